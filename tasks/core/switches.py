"""The kill switch and the freezes of accounts (M10). The last switching of a scope counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tasks.core.clock import utc_now
from tasks.core.errors import JobError

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

TABLE = "control.kill_switch"
ALL = "all"
_SCOPE = re.compile(r"^(all|[a-z][a-z0-9_]*:[0-9A-Za-z_-]+)$")
_EVENT_ID = re.compile(r"[0-9]{10}")
_ATTEMPTS = 50


@dataclass(frozen=True)
class Switch:
    """The last switching of a scope."""

    event_id: str
    scope: str
    is_on: bool
    why: str
    actor: str
    switched_at: datetime


def account_scope(platform: str, account_id: str) -> str:
    """Scope of one account's freeze."""
    return f"{platform}:{account_id}"


def read_switches(warehouse: Warehouse) -> dict[str, Switch]:
    """Scope → its last switching. Whatever keeps it from being read is raised: then nothing is mutated."""
    # By number, not by time: a clock that stands wrong must not bring an old switching back.
    frame = warehouse.query(
        "SELECT event_id, scope, is_on, why, actor, switched_at FROM control.kill_switch ORDER BY event_id",
    )
    for event_id in frame["event_id"]:
        _number(event_id)
    return {record["scope"]: Switch(**record) for record in frame.iter_rows(named=True)}


def on_for(switches: Mapping[str, Switch], scopes: Iterable[str]) -> list[Switch]:
    """Those of ``scopes`` whose last switching stops changes, in their order."""
    return [switch for scope in scopes if (switch := switches.get(scope)) is not None and switch.is_on]


def _number(event_id: str) -> int:
    """Number of a switching. A row with another kind of id would outrank every later switching, so it is an error."""
    if not _EVENT_ID.fullmatch(event_id):
        raise JobError(f"control.kill_switch holds a row {event_id!r} that `aelp2 kill` did not write; delete it, then switch")
    return int(event_id)


def flip(warehouse: Warehouse, *, scope: str, is_on: bool, why: str, actor: str) -> Switch:
    """Switch ``scope``. JobError on an unknown kind of scope or an empty reason."""
    import polars as pl

    from tasks.core.contracts import load_contract

    if not _SCOPE.fullmatch(scope):
        raise JobError(f"scope {scope!r} is neither `all` nor of the form platform:account, for example google_ads:1234567890")
    if not why.strip():
        raise JobError("a switching needs a reason; whoever finds the system stopped must know why")
    for _ in range(_ATTEMPTS):
        # By the highest number, not by a count: a row that went missing must not keep the switch from being thrown.
        last = warehouse.query("SELECT MAX(event_id) AS event_id FROM control.kill_switch")["event_id"][0]
        number = 1 if last is None else _number(last) + 1
        switch = Switch(f"{number:010d}", scope, is_on, why.strip(), actor, utc_now())
        frame = pl.DataFrame([vars(switch)], schema=load_contract(TABLE).polars_schema())
        if warehouse.insert_new(TABLE, frame) == 1:
            return switch
    raise JobError(f"could not switch {scope!r} in {_ATTEMPTS} attempts; run again at once")


def freeze(warehouse: Warehouse, platform: str, account_id: str, *, why: str, actor: str) -> None:
    """Stop changes of one account. One that is frozen already keeps the reason it has."""
    scope = account_scope(platform, account_id)
    if not on_for(read_switches(warehouse), [scope]):
        flip(warehouse, scope=scope, is_on=True, why=why, actor=actor)
