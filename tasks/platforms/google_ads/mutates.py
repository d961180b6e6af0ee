"""What the requests that change something have in common. Their answers are read by answers.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.core.errors import JobError
from tasks.platforms.base import AdStatus, BudgetAmount

MAX_OPERATIONS = 10_000
Asked = BudgetAmount | AdStatus


def start_request(
    client: Any, name: str, account_id: str, asked: Sequence[Asked], what: tuple[str, str], *, validate_only: bool
) -> Any:
    """A request ``name`` for the rows of ``asked`` with partial failure and no operation yet.

    ``what`` is one and many of them in words. JobError on no rows, too many, or the same thing twice.
    """
    one, many = what
    ids = [row.resource_id for row in asked]
    twice = sorted({i for i in ids if ids.count(i) > 1}) if len(set(ids)) != len(ids) else []
    if not asked or len(asked) > MAX_OPERATIONS or twice:
        raise JobError(f"{one} mutate takes 1 to {MAX_OPERATIONS} different {many}; got {len(asked)} rows, twice: {twice}")
    request = client.get_type(name)
    request.customer_id = account_id
    request.partial_failure = True
    request.validate_only = validate_only
    return request
