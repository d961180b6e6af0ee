"""Budget changes: the request and the reading of its answer, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.core.errors import JobError
from tasks.platforms.base import BudgetAmount, Receipt, RowOutcome
from tasks.platforms.google_ads.failures import parse_failure, problems_of

MAX_OPERATIONS = 10_000


def build_request(client: Any, account_id: str, amounts: Sequence[BudgetAmount], *, validate_only: bool) -> Any:
    """One MutateCampaignBudgetsRequest that sets nothing but ``amount_micros``, with partial failure.

    JobError on no rows, too many, a budget named twice, an id that is no number or an amount that is not positive.
    """
    ids = [amount.budget_id for amount in amounts]
    twice = sorted({i for i in ids if ids.count(i) > 1}) if len(set(ids)) != len(ids) else []
    if not amounts or len(amounts) > MAX_OPERATIONS or twice:
        raise JobError(f"a budget mutate takes 1 to {MAX_OPERATIONS} different budgets; got {len(amounts)} rows, twice: {twice}")
    request = client.get_type("MutateCampaignBudgetsRequest")
    request.customer_id = account_id
    request.partial_failure = True
    request.validate_only = validate_only
    for amount in amounts:
        if not amount.budget_id.isdecimal() or amount.amount_micros <= 0:
            raise JobError(f"{amount.change_id}: budget {amount.budget_id!r} to {amount.amount_micros} micros makes no sense")
        operation = request.operations.add()
        operation.update.resource_name = f"customers/{account_id}/campaignBudgets/{amount.budget_id}"
        operation.update.amount_micros = amount.amount_micros
        operation.update_mask.paths.append("amount_micros")
    return request


def read_answer(response: Any, amounts: Sequence[BudgetAmount], request_id: str, *, validate_only: bool) -> Receipt:
    """One outcome per row, in order.

    The answer carries one ``GoogleAdsFailure`` with many errors; each names its operation by index. An error that names none
    concerns every row. A row with neither a result nor an error counts as failed: its fate is not known from the answer.
    """
    errors: dict[int, list[str]] = {}
    for detail in response.partial_failure_error.details:
        failure = parse_failure(detail.value)
        request_id = request_id or failure.request_id
        for problem in problems_of(failure):
            rows = range(len(amounts)) if problem.operation is None else [problem.operation]
            for index in rows:
                errors.setdefault(index, []).append(f"{problem.code}: {problem.message}")
    if response.partial_failure_error.code and not errors:
        errors = {index: [response.partial_failure_error.message or "failed without a reason"] for index in range(len(amounts))}
    outcomes = []
    for index, amount in enumerate(amounts):
        said = "; ".join(errors.get(index, [])) or None
        answered = index < len(response.results) and bool(response.results[index].resource_name)
        if said is None and not validate_only and not answered:
            said = "the platform returned neither a result nor an error for this row"
        outcomes.append(RowOutcome(amount.change_id, amount.budget_id, said))
    return Receipt(request_id, tuple(outcomes))
