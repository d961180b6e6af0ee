"""May the accounts be changed today? The readiness card of the report: what is read, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from tasks.govern.readiness import VERDICT

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

_WINDOW_DAYS = 28
MOST_ACCOUNTS = 6
Account = tuple[str, str]  # platform, account id


@dataclass(frozen=True)
class Readiness:
    """Frames as the query files give them; ``checks`` is empty where assess-readiness has not run."""

    accounts: pl.DataFrame
    checks: pl.DataFrame


@dataclass(frozen=True)
class Card:
    """One account. ``state``: ready, not_ready, outdated (the newest verdict is of an earlier day) or not_assessed."""

    account: Account
    state: str
    day: date | None
    checks: tuple[dict[str, Any], ...]  # what stands in the way first


def read_readiness(warehouse: Warehouse, run_date: date) -> Readiness:
    """The newest assessments up to ``run_date``, and the accounts that there are."""
    window = {"start_date": run_date - timedelta(days=_WINDOW_DAYS), "run_date": run_date}
    return Readiness(
        accounts=warehouse.query_file("ads/report_accounts/query.sql"),
        checks=warehouse.query_file("control/report_readiness/query.sql", window),
    )


def cards(found: Readiness, run_date: date, own: Account | None) -> list[Card]:
    """A card for every account that is in use, was assessed or has the page: ``own`` first, then what is not ready."""
    rows: dict[Account, list[dict[str, Any]]] = {}
    for row in found.checks.iter_rows(named=True):
        rows.setdefault((row["platform"], row["account_id"]), []).append(row)
    used = found.accounts.filter(pl.col("status") == "ENABLED").select("platform", "account_id").iter_rows()
    made = [_card(account, rows.get(account, []), run_date) for account in {*used, *rows, *([own] if own else [])}]
    return sorted(made, key=lambda card: (card.account != own, card.state == "ready", card.account))


def _card(account: Account, rows: list[dict[str, Any]], run_date: date) -> Card:
    verdict = next((row for row in rows if row["check"] == VERDICT), None)
    if verdict is None:
        return Card(account, "not_assessed", None, ())
    is_today = verdict["run_date"] == run_date
    state = ("ready" if verdict["is_ready"] else "not_ready") if is_today else "outdated"
    checks = sorted((row for row in rows if row["check"] != VERDICT), key=lambda row: (row["is_ready"], row["check"]))
    return Card(account, state, verdict["run_date"], tuple(checks))
