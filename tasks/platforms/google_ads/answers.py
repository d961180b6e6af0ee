"""The answer of a mutate, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.platforms.base import Receipt, RowOutcome
from tasks.platforms.google_ads.failures import parse_failure, problems_of
from tasks.platforms.google_ads.mutates import Asked


def read_answer(response: Any, asked: Sequence[Asked], request_id: str, *, validate_only: bool) -> Receipt:
    """One outcome per row, in order.

    The answer carries one ``GoogleAdsFailure`` with many errors; each names its operation by index. An error that names none
    concerns every row. A row with neither a result nor an error counts as failed: its fate is not known from the answer.
    """
    errors: dict[int, list[str]] = {}
    for detail in response.partial_failure_error.details:
        failure = parse_failure(detail.value)
        request_id = request_id or failure.request_id
        for problem in problems_of(failure):
            rows = range(len(asked)) if problem.operation is None else [problem.operation]
            for index in rows:
                errors.setdefault(index, []).append(f"{problem.code}: {problem.message}")
    if response.partial_failure_error.code and not errors:
        errors = {index: [response.partial_failure_error.message or "failed without a reason"] for index in range(len(asked))}
    outcomes = []
    for index, row in enumerate(asked):
        said = "; ".join(errors.get(index, [])) or None
        answered = index < len(response.results) and bool(response.results[index].resource_name)
        if said is None and not validate_only and not answered:
            said = "the platform returned neither a result nor an error for this row"
        outcomes.append(RowOutcome(row.change_id, row.resource_id, said))
    return Receipt(request_id, tuple(outcomes))
