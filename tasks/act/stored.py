"""Change sets and approvals as they are stored; the bytes are hashed again each time they are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from tasks.core.canonical import BUDGETS
from tasks.core.changeset import AnySet, parse
from tasks.core.errors import JobError, NothingToDo, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.ledger import Ledger
    from tasks.core.warehouse import Warehouse

# Where several sets of one account and day exist: one on its way to being applied goes before one that was turned down.
_DECIDED_AGAINST = ("rejected", "expired")
_UNDECIDED = ("", "proposed")


@dataclass(frozen=True)
class StoredSet:
    """A row of ``control.change_sets``."""

    change_set_id: str
    sha256: str
    canonical_json: str
    run_date: date
    platform: str
    account_id: str
    author: str
    mode: str
    created_at: datetime
    expires_at: datetime
    kind: str = BUDGETS

    def verified(self) -> AnySet:
        """The change set in the stored bytes. Refused if bytes, hash, id and columns do not all agree."""
        actual = hashlib.sha256(self.canonical_json.encode("utf-8")).hexdigest()
        if actual != self.sha256:
            raise Refused(
                f"change set {self.change_set_id}: its bytes hash to {actual[:12]}…, the table says {self.sha256[:12]}…; "
                "it was changed after it was proposed and is void: plan again"
            )
        try:
            change_set = parse(self.canonical_json)
        except JobError as error:
            raise Refused(f"change set {self.change_set_id}: {error}") from error
        names = ("change_set_id", "run_date", "platform", "account_id", "author", "mode", "kind")
        inside, columns = ([str(getattr(x, name)) for name in names] for x in (change_set, self))
        if inside != columns:
            raise Refused(f"change set {self.change_set_id}: columns {columns} differ from the hashed bytes {inside}; plan again")
        return change_set


@dataclass(frozen=True)
class Approval:
    """A row of ``control.approvals``."""

    change_set_id: str
    sha256: str
    decision: str
    approver: str
    approval_ref: str
    decided_at: datetime
    expires_at: datetime


_SETS = (
    "SELECT change_set_id, sha256, canonical_json, run_date, platform, account_id, author, mode, created_at, expires_at, "
    "COALESCE(kind, 'budgets') AS kind FROM control.change_sets"
)


def load_set(warehouse: Warehouse, change_set_id: str) -> StoredSet:
    """The set ``change_set_id``; Refused if there is none."""
    frame = warehouse.query(f"{_SETS} WHERE change_set_id = @id", {"id": change_set_id})
    if frame.height != 1:
        raise Refused(f"change set {change_set_id!r} is in control.change_sets {frame.height} times; see `aelp2 plan-budgets`")
    return StoredSet(**frame.row(0, named=True))


def sets_of_day(warehouse: Warehouse, run_date: date, kind: str) -> list[StoredSet]:
    """All sets of one kind of ``run_date``, oldest first."""
    frame = warehouse.query(f"{_SETS} WHERE run_date = @run_date ORDER BY created_at, change_set_id", {"run_date": run_date})
    found = [StoredSet(**record) for record in frame.iter_rows(named=True)]
    return [stored for stored in found if stored.kind == kind]


def load_approval(warehouse: Warehouse, change_set_id: str) -> Approval | None:
    """The decision on a set, or None."""
    frame = warehouse.query(
        "SELECT change_set_id, sha256, decision, approver, approval_ref, decided_at, expires_at "
        "FROM control.approvals WHERE change_set_id = @id",
        {"id": change_set_id},
    )
    if frame.height > 1:
        raise Refused(f"change set {change_set_id} has {frame.height} decisions in control.approvals; a person must look")
    return Approval(**frame.row(0, named=True)) if frame.height else None


def sets_to_act_on(
    warehouse: Warehouse, ledger: Ledger, run_date: date, change_set_id: str | None, *, ready: Sequence[str], kind: str = BUDGETS
) -> list[StoredSet]:
    """The named set, or the live set of ``kind`` of each account of ``run_date`` that got furthest (the newest of equals).

    ``ready`` are the states the step begins from. If sets of some accounts are ready, those of the others are left out with a
    line: an account whose set nobody has answered yet, or whose canary was applied by an earlier run of the day, does not hold
    the approved ones up. If none is ready all are returned, and the step's own guards say why not. NothingToDo if the day has no
    live set.
    """
    if change_set_id is not None:
        return [load_set(warehouse, change_set_id)]
    best: dict[tuple[str, str], tuple[tuple[int, datetime], StoredSet]] = {}
    for stored in sets_of_day(warehouse, run_date, kind):
        if stored.mode != "live":
            continue
        state = ledger.history(stored.change_set_id).state
        rank = 0 if state in _UNDECIDED else 1 if state in _DECIDED_AGAINST else 2
        key, order = (stored.platform, stored.account_id), (rank, stored.created_at)
        if key not in best or best[key][0] <= order:
            best[key] = (order, stored)
    if not best:
        raise NothingToDo(f"no live change set of {run_date} ({kind}): the plan proposed none, or the system is in shadow mode")
    sets = [stored for _, stored in best.values()]
    states = {s.change_set_id: ledger.history(s.change_set_id).state for s in sets}
    chosen = [s for s in sets if states[s.change_set_id] in ready] or sets
    for left_out in sets:
        if left_out not in chosen:
            state = states[left_out.change_set_id] or "not in the ledger"
            click.echo(f"{left_out.change_set_id}: left out, it is {state!r}; this step begins from {' or '.join(ready)}")
    return chosen
