"""Which changes in an account are ours: the platform's change log against the ledger. Pure functions of rows.

A change of ours takes the event of the same budget or ad with the same values before and after that lies nearest in time, and
each event is taken once. What is left in the log was made by others; what is left in the ledger never reached the log.

Some platforms keep no log that their API tells of. There the daily looks at the account stand for it: an event is a difference
between two looks, made at some moment between them, and of our own changes only what the next look can show is expected.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from tasks.core.changeset import Value
from tasks.core.ledger import Row

MATCH_WITHIN = timedelta(hours=6)  # the platform's clock and ours differ, and a lost answer is logged when it is found out
LOG_DELAY = timedelta(hours=24)  # the platform's log may lag: only after that is an absent event missed
FIGHT_WITHIN = timedelta(days=7)
BUDGET, AD = "CAMPAIGN_BUDGET", "AD_GROUP_AD"
_RECEIPTS = ("applied", "rolled_back")
Origin = Literal["ours", "out_of_band", "not_in_log"]


@dataclass(frozen=True)
class LoggedChange:
    """A change of the platform's log: of a budget's amount in micros (0 where it was made or removed), or of an ad's status.

    ``resource_id`` of an ad is its ad group's id, ``~`` and its own. ``began_at``: it was made at some moment from then to
    ``changed_at``; None: at ``changed_at``.
    """

    event_key: str
    date: date
    resource_type: str
    resource_id: str
    before: Value
    after: Value
    changed_at: datetime
    began_at: datetime | None = None

    def apart(self, moment: datetime) -> timedelta:
        """How far ``moment`` lies from the change; nothing if it may have been made just then."""
        return max(timedelta(0), moment - self.changed_at, (self.began_at or self.changed_at) - moment)

    @property
    def text(self) -> str:
        """What was changed, for people."""
        kind, unit = ("budget", " micros") if self.resource_type == BUDGET else ("ad", "")
        return f"{kind} {self.resource_id}: {self.before} to {self.after}{unit}"


@dataclass(frozen=True)
class Reconciled:
    """A change with whose it is. For one of somebody else, ``against`` is the change of ours that it undoes, if any."""

    change: LoggedChange
    origin: Origin
    own: Row | None = None
    against: Row | None = None

    @property
    def is_fighting(self) -> bool:
        """True if it moved something back that we had moved."""
        return self.against is not None


def reconcile(
    logged: Sequence[LoggedChange],
    ledger: Iterable[Row],
    since: datetime,
    until: datetime,
    *,
    looks: Sequence[datetime] | None = None,
) -> list[Reconciled]:
    """Every change of ``logged`` and every receipt of ``since`` ≤ time < ``until`` that has no event, oldest first.

    Args:
        logged: the account's changes of budgets and ads, in any order.
        ledger: rows of the changefeed of the account.
        since: start of the time that ``logged`` covers.
        until: end of it; receipts of the last 24 h before it may still be on their way into the log.
        looks: where ``logged`` was told from looks at the account, their moments; a receipt after the last is not missed.
    """
    receipts = [r for r in ledger if is_receipt(r)]
    if looks is not None:
        receipts, until = shown(receipts, looks), max(looks, default=since) + LOG_DELAY
    owners = _owners(logged, receipts)
    # When the platform says that ours was made: its clock and ours differ.
    made_at = {owners[change.event_key].seq: change.changed_at for change in logged if change.event_key in owners}
    found = [
        Reconciled(change, "ours", own=owners[change.event_key])
        if change.event_key in owners
        else Reconciled(change, "out_of_band", against=_undone(change, receipts, made_at))
        for change in logged
    ]
    taken = {row.seq for row in owners.values()}
    found += [
        Reconciled(_as_change(row), "not_in_log", own=row)
        for row in receipts
        if row.seq not in taken and since <= row.at < until - LOG_DELAY
    ]
    return sorted(found, key=lambda r: (r.change.changed_at, r.change.event_key))


def shown(receipts: Iterable[Row], looks: Sequence[datetime]) -> list[Row]:
    """What ``looks`` can show of our changes: between two of them, the first and last value of each budget or ad.

    Several changes of one become one row with the last one's identity; those that cancel out leave nothing to be seen.
    """
    moments = sorted(looks)
    net: dict[tuple[str, int], Row] = {}
    for row in sorted(receipts, key=lambda r: r.seq):
        key = (row.resource_id, bisect_left(moments, row.at))
        first = net.get(key, row)
        before = {"amount_before_micros": first.amount_before_micros, "status_before": first.status_before}
        net[key] = replace(row, **before)  # type: ignore[arg-type]  # two fields, each of its own type
    return [row for row in net.values() if _before(row) != _after(row)]


def is_receipt(row: Row) -> bool:
    """Whether ``row`` says that we changed something, a rollback included."""
    return row.event in _RECEIPTS and bool(row.change_id) and _before(row) != _after(row)


def completeness(found: Sequence[Reconciled]) -> float | None:
    """Matched over all; None if nothing changed."""
    return sum(r.origin == "ours" for r in found) / len(found) if found else None


def _owners(logged: Iterable[LoggedChange], receipts: Iterable[Row]) -> dict[str, Row]:
    """Event → our receipt. The nearest pairs first, so that a repeated change does not take another one's event."""
    by_change: dict[tuple[str, Value, Value], list[Row]] = {}
    for row in receipts:
        by_change.setdefault((row.resource_id, _before(row), _after(row)), []).append(row)
    pairs = [
        (change.apart(row.at), row.seq, change.event_key, row)
        for change in logged
        for row in by_change.get((change.resource_id, change.before, change.after), ())
    ]
    owners: dict[str, Row] = {}
    taken: set[int] = set()
    for apart, seq, event_key, row in sorted(pairs, key=lambda p: p[:3]):
        if apart <= MATCH_WITHIN and event_key not in owners and seq not in taken:
            owners[event_key] = row
            taken.add(seq)
    return owners


def _undone(change: LoggedChange, receipts: Iterable[Row], made_at: Mapping[int, datetime]) -> Row | None:
    """The newest change of ours of the seven days before that moved the same thing the other way; None if there is none.

    ``made_at`` is the platform's time of the receipts, by ``seq``, that have their event.
    """
    against = [
        row
        for row in receipts
        if row.resource_id == change.resource_id
        and timedelta(0) <= change.changed_at - made_at.get(row.seq, row.at) <= FIGHT_WITHIN
        and _is_opposite(change, row)
    ]
    return max(against, key=lambda r: r.seq, default=None)


def _is_opposite(change: LoggedChange, row: Row) -> bool:
    if isinstance(change.before, int) and isinstance(change.after, int):
        return (change.after - change.before) * (int(_after(row)) - int(_before(row))) < 0
    return change.after == _before(row)


def _before(row: Row) -> Value:
    return row.status_before or row.amount_before_micros or 0


def _after(row: Row) -> Value:
    return row.status_after or row.amount_after_micros or 0


def _as_change(row: Row) -> LoggedChange:
    at = row.at.astimezone(UTC)
    kind = AD if row.ad_id else BUDGET
    return LoggedChange(f"ledger:{row.event_id}", at.date(), kind, row.resource_id, _before(row), _after(row), at)
