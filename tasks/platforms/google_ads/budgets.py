"""Budget changes: the request. Its answer is read by answers.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.core.errors import JobError
from tasks.platforms.base import BudgetAmount
from tasks.platforms.google_ads.mutates import start_request


def build_request(client: Any, account_id: str, amounts: Sequence[BudgetAmount], *, validate_only: bool) -> Any:
    """One MutateCampaignBudgetsRequest that sets nothing but ``amount_micros``, with partial failure.

    JobError on no rows, too many, a budget named twice, an id that is no number or an amount that is not positive.
    """
    request = start_request(
        client, "MutateCampaignBudgetsRequest", account_id, amounts, ("a budget", "budgets"), validate_only=validate_only
    )
    for amount in amounts:
        if not amount.budget_id.isdecimal() or amount.amount_micros <= 0:
            raise JobError(f"{amount.change_id}: budget {amount.budget_id!r} to {amount.amount_micros} micros makes no sense")
        operation = request.operations.add()
        operation.update.resource_name = f"customers/{account_id}/campaignBudgets/{amount.budget_id}"
        operation.update.amount_micros = amount.amount_micros
        operation.update_mask.paths.append("amount_micros")
    return request
