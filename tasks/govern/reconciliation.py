"""Which changes in an account are ours: the platform's change log against the ledger. Pure functions of rows.

A change of ours takes the event of the same budget with the same amounts before and after that lies nearest in time, and each
event is taken once. What is left in the log was made by others; what is left in the ledger never reached the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from tasks.core.ledger import Row

MATCH_WITHIN = timedelta(hours=6)  # the platform's clock and ours differ, and a lost answer is logged when it is found out
LOG_DELAY = timedelta(hours=24)  # the platform's log may lag: only after that is an absent event missed
FIGHT_WITHIN = timedelta(days=7)
_RECEIPTS = ("applied", "rolled_back")
Origin = Literal["ours", "out_of_band", "not_in_log"]


@dataclass(frozen=True)
class LoggedChange:
    """A budget change of the platform's log; amounts in micros, 0 where the budget was made or removed."""

    event_key: str
    date: date
    budget_id: str
    amount_before_micros: int
    amount_after_micros: int
    changed_at: datetime


@dataclass(frozen=True)
class Reconciled:
    """A change with whose it is. For one of somebody else, ``against`` is the change of ours that it undoes, if any."""

    change: LoggedChange
    origin: Origin
    own: Row | None = None
    against: Row | None = None

    @property
    def is_fighting(self) -> bool:
        """True if it moved a budget back that we had moved."""
        return self.against is not None


def reconcile(logged: Sequence[LoggedChange], ledger: Iterable[Row], since: datetime, until: datetime) -> list[Reconciled]:
    """Every change of ``logged`` and every receipt of ``since`` ≤ time < ``until`` that has no event, oldest first.

    Args:
        logged: the account's budget changes, in any order.
        ledger: rows of the changefeed of the account.
        since: start of the time that ``logged`` covers.
        until: end of it; receipts of the last 24 h before it may still be on their way into the log.
    """
    receipts = [r for r in ledger if r.event in _RECEIPTS and r.change_id and r.amount_before_micros != r.amount_after_micros]
    owners = _owners(logged, receipts)
    found = [
        Reconciled(change, "ours", own=owners[change.event_key])
        if change.event_key in owners
        else Reconciled(change, "out_of_band", against=_undone(change, receipts))
        for change in logged
    ]
    taken = {row.seq for row in owners.values()}
    found += [
        Reconciled(_as_change(row), "not_in_log", own=row)
        for row in receipts
        if row.seq not in taken and since <= row.at < until - LOG_DELAY
    ]
    return sorted(found, key=lambda r: (r.change.changed_at, r.change.event_key))


def completeness(found: Sequence[Reconciled]) -> float | None:
    """Matched over all; None if nothing changed."""
    return sum(r.origin == "ours" for r in found) / len(found) if found else None


def _owners(logged: Iterable[LoggedChange], receipts: Iterable[Row]) -> dict[str, Row]:
    """Event → our receipt. The nearest pairs first, so that a repeated change does not take another one's event."""
    by_change: dict[tuple[str | None, int | None, int | None], list[Row]] = {}
    for row in receipts:
        by_change.setdefault((row.budget_id, row.amount_before_micros, row.amount_after_micros), []).append(row)
    pairs = [
        (abs(change.changed_at - row.at), row.seq, change.event_key, row)
        for change in logged
        for row in by_change.get((change.budget_id, change.amount_before_micros, change.amount_after_micros), ())
    ]
    owners: dict[str, Row] = {}
    taken: set[int] = set()
    for apart, seq, event_key, row in sorted(pairs, key=lambda p: p[:3]):
        if apart <= MATCH_WITHIN and event_key not in owners and seq not in taken:
            owners[event_key] = row
            taken.add(seq)
    return owners


def _undone(change: LoggedChange, receipts: Iterable[Row]) -> Row | None:
    """The newest change of ours of the seven days before that moved the budget the other way; None if there is none."""
    direction = change.amount_after_micros - change.amount_before_micros
    against = [
        row
        for row in receipts
        if row.budget_id == change.budget_id
        and timedelta(0) <= change.changed_at - row.at <= FIGHT_WITHIN
        and direction * ((row.amount_after_micros or 0) - (row.amount_before_micros or 0)) < 0
    ]
    return max(against, key=lambda r: r.seq, default=None)


def _as_change(row: Row) -> LoggedChange:
    at = row.at.astimezone(UTC)
    return LoggedChange(
        f"ledger:{row.event_id}", at.date(), row.budget_id or "", row.amount_before_micros or 0, row.amount_after_micros or 0, at
    )
