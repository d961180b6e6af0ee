"""The changefeed ``control.canary_changes``: append-only, each row chained to the one before by SHA-256 (M11).

A row is appended only if its number is the next one (compare-and-set in the warehouse), so between reading the chain and
writing to it nobody else has written. That makes the check of the transition and the idempotency by ``event_id`` hold also
between processes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tasks.core.ad_changes import AdKey, ad_resource_id
from tasks.core.canonical import canonical_json
from tasks.core.caps import Move, status_move
from tasks.core.clock import utc_now
from tasks.core.errors import JobError
from tasks.core.transitions import forbidden

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse

TABLE = "control.canary_changes"
ANCHORS = "control.ledger_anchors"
GENESIS = "0" * 64
# What must be equal when an event is appended again. A retry has another time, request id and perhaps another actor.
_IDENTITY = (
    "event_id",
    "change_set_id",
    "change_id",
    "budget_id",
    "platform",
    "account_id",
    "event",
    "amount_before_micros",
    "amount_after_micros",
    "adgroup_id",
    "ad_id",
    "status_before",
    "status_after",
    "sha256",
)
_MOVING = {"applied": False, "mutate_intended": False, "rolled_back": True, "rollback_intended": True}
_ATTEMPTS = 200


@dataclass(frozen=True)
class Row:
    """One row of the changefeed; fields as in its table contract."""

    seq: int
    event_id: str
    change_set_id: str
    change_id: str
    budget_id: str | None
    platform: str
    account_id: str
    event: str
    amount_before_micros: int | None
    amount_after_micros: int | None
    sha256: str
    actor: str
    request_id: str | None
    detail_json: str
    at: datetime
    prev_hash: str
    row_hash: str
    # Of ad-status changes. Nulls are no part of a row's hash, so rows that are older than these columns keep theirs.
    adgroup_id: str | None = None
    ad_id: str | None = None
    status_before: str | None = None
    status_after: str | None = None

    @property
    def ad_key(self) -> AdKey:
        """The ad that it is about; of changes of ads only."""
        return self.adgroup_id or "", self.ad_id or ""

    @property
    def resource_id(self) -> str:
        """The budget or the ad that it is about, as the platforms' change logs name it."""
        return self.budget_id or ad_resource_id(self.ad_key)

    def computed_hash(self) -> str:
        """SHA-256 over the previous hash and the canonical row without its own hash; nulls are left out."""
        facts = {k: v for k, v in dataclasses.asdict(self).items() if k != "row_hash" and v is not None}
        facts["at"] = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        return hashlib.sha256(canonical_json(facts)).hexdigest()

    def detail(self) -> dict[str, Any]:
        """The further facts."""
        return dict(json.loads(self.detail_json))


@dataclass(frozen=True)
class Event:
    """A transition to append. ``change_id`` is empty for an event of the whole set."""

    change_set_id: str
    platform: str
    account_id: str
    event: str
    sha256: str
    actor: str
    change_id: str = ""
    budget_id: str | None = None
    amount_before_micros: int | None = None
    amount_after_micros: int | None = None
    adgroup_id: str | None = None
    ad_id: str | None = None
    status_before: str | None = None
    status_after: str | None = None
    request_id: str | None = None
    detail: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def event_id(self) -> str:
        """Idempotency key: set, change and step. The same step of the same change happens once."""
        return f"{self.change_set_id}/{self.change_id or 'set'}/{self.event}"


@dataclass(frozen=True)
class SetHistory:
    """All rows of one change set, in order."""

    change_set_id: str
    rows: tuple[Row, ...]

    @property
    def state(self) -> str:
        """Last event of the whole set; empty before ``proposed``."""
        return next((r.event for r in reversed(self.rows) if not r.change_id), "")

    def change_state(self, change_id: str) -> str:
        """Last event of one change; empty before its first."""
        return next((r.event for r in reversed(self.rows) if r.change_id == change_id), "")

    def find(self, event: str, change_id: str = "") -> Row | None:
        """The row of that step, if it happened."""
        return next((r for r in self.rows if r.event == event and r.change_id == change_id), None)

    @property
    def has_intents(self) -> bool:
        """True if a mutation of the set may have been sent."""
        return any(r.event == "mutate_intended" for r in self.rows)

    @property
    def rollback_began(self) -> bool:
        """True if restoring a change of the set was begun."""
        return any(r.event == "rollback_intended" for r in self.rows)


class Ledger:
    """The changefeed in a warehouse. Any failure to read it is raised: without the ledger nothing may be applied (M3)."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def _select(self, condition: str, params: Mapping[str, object] | None = None) -> list[Row]:
        from tasks.core.contracts import load_contract

        columns = ", ".join(f"`{column}`" for column in load_contract(TABLE).columns)  # `at` is a keyword of BigQuery
        sql = f"SELECT {columns} FROM {TABLE} {condition} ORDER BY seq"  # noqa: S608 - contract names and constants only
        return [Row(**record) for record in self._warehouse.query(sql, params).iter_rows(named=True)]

    def rows(self) -> list[Row]:
        """The whole chain in the order of ``seq``."""
        return self._select("")

    def history(self, change_set_id: str) -> SetHistory:
        """The rows of one change set; empty if it was never proposed."""
        return SetHistory(change_set_id, tuple(self._select("WHERE change_set_id = @id", {"id": change_set_id})))

    def histories(self, platform: str | None = None, account_id: str | None = None) -> list[SetHistory]:
        """Every change set of the account (or of all), in the order of their first rows."""
        grouped: dict[str, list[Row]] = {}
        for row in self.rows():
            if row.change_set_id and platform in (None, row.platform) and account_id in (None, row.account_id):
                grouped.setdefault(row.change_set_id, []).append(row)
        return [SetHistory(key, tuple(rows)) for key, rows in grouped.items()]

    def moves(self, platform: str, account_id: str, since: datetime) -> list[Move]:
        """What we changed (or may have: an intent without its receipt) on the account since ``since``, rollbacks included."""
        return moves_of(self._changes_of(platform, account_id), since)

    def ad_moves(self, platform: str, account_id: str, since: datetime) -> list[Move]:
        """The same for ads: each switch of a status is a move of size 1."""
        return ad_moves_of(self._changes_of(platform, account_id), since)

    def _changes_of(self, platform: str, account_id: str) -> list[Row]:
        condition = "WHERE platform = @platform AND account_id = @account_id AND change_id != ''"
        return self._select(condition, {"platform": platform, "account_id": account_id})

    def append(self, event: Event) -> Row:
        """Append ``event``, or return the row of the same ``event_id`` if it is there already.

        JobError if that row says something else, or if the transition is not allowed in the present state.
        """
        for _ in range(_ATTEMPTS):
            existing, head, history = self._look(event)
            if existing is not None:
                _check_same(existing, event)
                return existing
            change_state = history.change_state(event.change_id) if event.change_id else None
            why = forbidden(event.event, history.state, change_state)
            if why:
                raise JobError(f"change set {event.change_set_id} {event.change_id}: {why}")
            row = _next_row(head, event)
            if self._warehouse.insert_new(TABLE, _frame(TABLE, [dataclasses.asdict(row)])) == 1:
                anchor = {"seq": row.seq, "row_hash": row.row_hash, "anchored_at": row.at}
                self._warehouse.insert_new(ANCHORS, _frame(ANCHORS, [anchor]))
                return row
        raise JobError(
            f"the ledger did not take {event.event_id} in {_ATTEMPTS} attempts: others append without pause; run again"
        )

    def _look(self, event: Event) -> tuple[Row | None, Row | None, SetHistory]:
        rows = self._select(
            f"WHERE change_set_id = @id OR seq = (SELECT MAX(seq) FROM {TABLE})",  # noqa: S608 - constants only
            {"id": event.change_set_id},
        )
        history = SetHistory(event.change_set_id, tuple(r for r in rows if r.change_set_id == event.change_set_id))
        existing = next((r for r in history.rows if r.event_id == event.event_id), None)
        return existing, rows[-1] if rows else None, history

    def problems(self, *, expected_head: tuple[int, str] | None = None) -> list[str]:
        """Everything that is wrong with the chain, the first broken row first; empty if it verifies.

        ``expected_head`` is a (seq, row_hash) kept outside the warehouse, for example in the log of an earlier run.
        """
        anchors = self._warehouse.query(f"SELECT seq, row_hash FROM {ANCHORS} ORDER BY seq")  # noqa: S608 - constants only
        pairs: list[tuple[int, str]] = list(anchors.iter_rows())
        return chain_problems(self.rows(), pairs + ([expected_head] if expected_head else []))


def _moving(rows: Iterable[Row], since: datetime) -> list[Row]:
    """One row per change applied and one per change rolled back, also when only the intent is written."""
    moved: dict[tuple[str, str, bool], Row] = {}
    for row in rows:
        if row.event in _MOVING:
            moved[(row.change_set_id, row.change_id, _MOVING[row.event])] = row  # the receipt takes the place of the intent
        elif row.event == "failed":
            moved.pop((row.change_set_id, row.change_id, False), None)
    return [row for row in moved.values() if row.at >= since]


def moves_of(rows: Iterable[Row], since: datetime) -> list[Move]:
    """Moves of money in ``rows``."""
    money = [row for row in rows if row.event == "failed" or row.amount_before_micros is not None]
    return [
        Move(
            budget_id=row.budget_id or "",
            at=row.at,
            amount_before_micros=row.amount_before_micros or 0,
            amount_after_micros=row.amount_after_micros or 0,
        )
        for row in _moving(money, since)
    ]


def ad_moves_of(rows: Iterable[Row], since: datetime) -> list[Move]:
    """Switches of ads in ``rows``."""
    ads = [row for row in rows if row.event == "failed" or row.status_after is not None]
    return [status_move(row.resource_id, row.at, row.status_before, row.status_after) for row in _moving(ads, since)]


def chain_problems(rows: Sequence[Row], anchors: Iterable[tuple[int, str]] = ()) -> list[str]:
    """What is wrong with ``rows`` (in the order of ``seq``): gaps, edits, reorderings, forbidden transitions, a cut tail."""
    found: list[str] = []
    previous = GENESIS
    states: dict[str, str] = {}
    changes: dict[tuple[str, str], str] = {}
    for position, row in enumerate(rows, start=1):
        name = f"row seq={row.seq} ({row.event_id})"
        if row.seq != position:
            found.append(f"{name}: seq {position} was expected; a row is missing or doubled before it")
            break
        if row.prev_hash != previous:
            found.append(f"{name}: prev_hash does not match the row before; a row was exchanged or moved")
        if row.computed_hash() != row.row_hash:
            found.append(f"{name}: the content does not match its row_hash; it was edited")
        change_state = changes.get((row.change_set_id, row.change_id), "") if row.change_id else None
        why = forbidden(row.event, states.get(row.change_set_id, ""), change_state)
        if why:
            found.append(f"{name}: {why}")
        if row.change_id:
            changes[(row.change_set_id, row.change_id)] = row.event
        else:
            states[row.change_set_id] = row.event
        previous = row.row_hash
    hashes = {row.seq: row.row_hash for row in rows}
    for seq, row_hash in anchors:
        if hashes.get(seq) != row_hash:
            what = "is missing: the chain was cut off" if seq not in hashes else "has another hash now: the chain was rewritten"
            found.append(f"row seq={seq}: {what} (it was written down as {row_hash[:12]}…)")
            break
    return found


def _check_same(existing: Row, event: Event) -> None:
    given = dataclasses.asdict(event) | {"event_id": event.event_id}
    different = {k: (getattr(existing, k), given[k]) for k in _IDENTITY if getattr(existing, k) != given[k]}
    if different:
        raise JobError(
            f"{event.event_id} is in the ledger (seq {existing.seq}) with other content, recorded and new: {different}"
        )


def _next_row(head: Row | None, event: Event) -> Row:
    row = Row(
        seq=head.seq + 1 if head else 1,
        event_id=event.event_id,
        change_set_id=event.change_set_id,
        change_id=event.change_id,
        budget_id=event.budget_id,
        platform=event.platform,
        account_id=event.account_id,
        event=event.event,
        amount_before_micros=event.amount_before_micros,
        amount_after_micros=event.amount_after_micros,
        adgroup_id=event.adgroup_id,
        ad_id=event.ad_id,
        status_before=event.status_before,
        status_after=event.status_after,
        sha256=event.sha256,
        actor=event.actor,
        request_id=event.request_id,
        detail_json=canonical_json(event.detail).decode("utf-8"),
        at=utc_now(),
        prev_hash=head.row_hash if head else GENESIS,
        row_hash="",
    )
    return dataclasses.replace(row, row_hash=row.computed_hash())


def _frame(table: str, records: list[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    from tasks.core.contracts import load_contract

    return pl.DataFrame(records, schema=load_contract(table).polars_schema())
