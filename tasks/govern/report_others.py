"""Changes that others made in the accounts, and whether they froze one: what is read, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from tasks.core.switches import account_scope
from tasks.govern.reconcile_changes import DAYS

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse

_MOST_ROWS = 20
_HASH_SHOWN = 12
Account = tuple[str, str]  # platform, account id


@dataclass(frozen=True)
class Others:
    """Frames as the query files give them; ``changes`` is empty where reconcile-changes has found nothing or not run."""

    changes: pl.DataFrame
    switchings: pl.DataFrame


@dataclass(frozen=True)
class Found:
    """One account: all changes of the window by whose they are, and those that a person has to see."""

    account: Account
    currency: str
    ours: int
    by_others: int
    missing: int  # ours, but not in the platform's log
    rows: tuple[dict[str, Any], ...]  # each with `who` and `freeze`

    @property
    def completeness(self) -> float:
        """Matched over all."""
        return self.ours / (self.ours + self.by_others + self.missing)

    @property
    def more(self) -> int:
        """Changes that are not shown."""
        return self.by_others + self.missing - len(self.rows)


def read_others(warehouse: Warehouse, run_date: date) -> Others:
    """What reconcile-changes has written about the days that the platforms' logs reach back."""
    start = run_date - timedelta(days=DAYS - 1)
    window = {"start_date": start, "run_date": run_date, "most_rows": _MOST_ROWS}
    return Others(
        changes=warehouse.query_file("control/report_reconciled/query.sql", window),
        switchings=warehouse.query_file("control/report_switchings/query.sql"),
    )


def found(others: Others, currencies: dict[Account, str], own: Account | None) -> list[Found]:
    """The accounts whose change logs were reconciled, ``own`` first."""
    rows: dict[Account, list[dict[str, Any]]] = {}
    for row in others.changes.iter_rows(named=True):
        rows.setdefault((row["platform"], row["account_id"]), []).append(row)
    made = []
    for account, own_rows in sorted(rows.items(), key=lambda item: (item[0] != own, item[0])):
        count = {row["origin"]: row["alike"] for row in own_rows}
        shown = [
            {**row, "who": _who(row), "freeze": _freeze(others.switchings, account, row)}
            for row in own_rows
            if row["origin"] != "ours"
        ]
        ours, by_others, missing = (count.get(origin, 0) for origin in ("ours", "out_of_band", "not_in_log"))
        made.append(Found(account, currencies.get(account, ""), ours, by_others, missing, tuple(shown)))
    return made


def _who(row: dict[str, Any]) -> str:
    """Who made it as far as the log tells: the start of a salted hash, and through what."""
    if row["origin"] == "not_in_log":
        return "this system"
    person = f"person {row['actor_hash'][:_HASH_SHOWN]}" if row["actor_hash"] else "not named in the log"
    return f"{person}, {row['client_type'].replace('_', ' ').capitalize()}" if row["client_type"] else person


def _freeze(switchings: pl.DataFrame, account: Account, row: dict[str, Any]) -> dict[str, Any] | None:
    """The freeze of the account in force at a change against ours or the first after it, and what ended it; None without one."""
    if not row["is_fighting"]:
        return None
    own = [one for one in switchings.iter_rows(named=True) if one["scope"] == account_scope(*account)]
    before = [one for one in own if one["switched_at"] < row["changed_at"]]
    after = [one for one in own if one["switched_at"] >= row["changed_at"]]
    in_force = before[-1:] if before and before[-1]["is_on"] else []
    frozen = next(iter([*in_force, *(one for one in after if one["is_on"])]), None)
    if frozen is None:
        return None
    thawed = next((one for one in after if not one["is_on"] and one["event_id"] > frozen["event_id"]), None)
    return {"frozen": frozen, "thawed": thawed}
