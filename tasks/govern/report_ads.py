"""Ads that are enabled and paused: the change sets of ads in the report, from the plan to what was read back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from tasks.core.ad_changes import ENABLED, AdChange, AdStatusSet
from tasks.core.changeset import parse
from tasks.core.errors import JobError
from tasks.core.ledger import Row, SetHistory

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse

_WINDOW_DAYS = 28
_MOST_HELD = 5
MOST_SETS = 4
Account = tuple[str, str]  # platform, account id


@dataclass(frozen=True)
class AdSet:
    """A change set of ads: its row with its decision, what its bytes say, and its part of the changefeed.

    ``problem`` says why the bytes cannot be trusted; empty if they can.
    """

    row: dict[str, Any]
    changes: tuple[AdChange, ...]
    problem: str
    history: SetHistory
    snapshot: dict[str, dict[str, Any]]  # change id → the ad as it was read
    watch: dict[str, Any] | None  # newest verdict

    @property
    def account(self) -> Account:
        """Whose ads they are."""
        return self.row["platform"], self.row["account_id"]

    @property
    def counts(self) -> tuple[int, int]:
        """Ads to enable and to pause."""
        on = sum(change.status_after == ENABLED for change in self.changes)
        return on, len(self.changes) - on

    def state(self, run_date: date) -> str:
        """Last event of the set; ``shadow`` where it is never applied, ``expired`` where nobody answered in time."""
        if self.row["mode"] == "shadow":
            return "shadow"
        state = self.history.state or "proposed"
        return "expired" if state == "proposed" and self.row["expires_at"].date() < run_date else state

    def outcome(self, change: AdChange) -> tuple[str, Row | None]:
        """What became of one ad, and the row of the changefeed that says so. ``verified`` if it was read back as approved."""
        last = next((row for row in reversed(self.history.rows) if row.change_id == change.change_id), None)
        if last is None:
            return "untouched", None
        verified = self.history.find("verified")
        return ("verified", verified) if last.event == "applied" and verified else (last.event, last)


@dataclass(frozen=True)
class Ads:
    """``sets`` of the last weeks, newest first; ``decisions`` of the newest plan. Both are empty where plan-ads has not run."""

    sets: tuple[AdSet, ...]
    decisions: pl.DataFrame


@dataclass(frozen=True)
class Held:
    """Decisions of the bandits that the newest plan of an account did not propose, by what decided; the first of each way."""

    account: Account
    day: date
    counts: tuple[dict[str, Any], ...]  # decision, constraint, alike
    rows: tuple[dict[str, Any], ...]


def read_ads(warehouse: Warehouse, run_date: date, ledger: Sequence[Row]) -> Ads:
    """The change sets of ads of the last weeks up to ``run_date``, and what the newest plan made of every decision."""
    window = {"start_date": run_date - timedelta(days=_WINDOW_DAYS), "run_date": run_date}
    rows = warehouse.query_file("control/report_ad_sets/query.sql", window).to_dicts()
    ids = [row["change_set_id"] for row in rows]
    snapshots = warehouse.query_file("control/report_ad_snapshot/query.sql", {"ids": ids}).to_dicts() if ids else []
    made = []
    for row in rows:
        set_id = row["change_set_id"]
        changes, problem = _read_bytes(row)
        watch = warehouse.query_file("control/report_watch/query.sql", {"change_set_id": set_id, "run_date": run_date})
        verdicts = [one for one in watch.iter_rows(named=True) if one["guardrail"] == "verdict"]
        made.append(
            AdSet(
                row=row,
                changes=changes,
                problem=problem,
                history=SetHistory(set_id, tuple(one for one in ledger if one.change_set_id == set_id)),
                snapshot={one["change_id"]: one for one in snapshots if one["change_set_id"] == set_id},
                watch=verdicts[-1] if verdicts else None,
            )
        )
    decided = warehouse.query_file("control/report_ad_decisions/query.sql", window | {"most_rows": _MOST_HELD})
    return Ads(tuple(made), decided)


def _read_bytes(row: dict[str, Any]) -> tuple[tuple[AdChange, ...], str]:
    """The changes in the stored bytes, or why they cannot be shown: the page tells of a broken set, it does not break with it."""
    actual = hashlib.sha256(row["canonical_json"].encode("utf-8")).hexdigest()
    if actual != row["sha256"]:
        return (), f"its bytes hash to {actual}, not to {row['sha256']}: they were changed after they were proposed"
    try:
        made = parse(row["canonical_json"])
    except JobError as error:
        return (), str(error)
    return (made.changes, "") if isinstance(made, AdStatusSet) else ((), "its bytes are not those of a set of ads")


def shown(ads: Ads, own: Account | None) -> tuple[list[AdSet], list[AdSet]]:
    """The newest set of each account, ``own`` first, and all the others."""
    newest: dict[Account, AdSet] = {}
    for one in ads.sets:
        newest.setdefault(one.account, one)
    first = sorted(newest.values(), key=lambda one: (one.account != own, one.account))[:MOST_SETS]
    return first, [one for one in ads.sets if one not in first]


def held(ads: Ads, own: Account | None) -> list[Held]:
    """What the newest plans left alone although a bandit wanted it otherwise, ``own`` first."""
    rows: dict[Account, list[dict[str, Any]]] = {}
    for row in ads.decisions.iter_rows(named=True):
        rows.setdefault((row["platform"], row["account_id"]), []).append(row)
    found = []
    for account, own_rows in sorted(rows.items(), key=lambda item: (item[0] != own, item[0])):
        counts = {(row["decision"], row["constraint"]): row for row in own_rows}
        left = tuple(row for row in own_rows if row["decision"] == "hold" and row["constraint"] not in ("kept", "already"))
        found.append(Held(account, own_rows[0]["run_date"], tuple(counts.values()), left))
    return found
