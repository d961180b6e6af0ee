"""Bandits in the report: the arms of the largest ad groups with what is known of them, and what exploration cost in spend."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse

_WINDOW_DAYS = 14  # an older posterior says nothing about today
EXPLORED_DAYS = 60  # as choose-arms balances exploration; tests/govern/test_report_bandits.py holds the two together
MOST_GROUPS = 6
KINDS = {"ad": MOST_GROUPS, "keyword": 2, "audience": 2}  # how many groups of each kind of arm are shown, in this order
_MOST_ARMS = 8
_WEEK = 7
_ORDER = ("leads", "kept_last", "dropped", "dear", "fatigued", "trial", "explored", "unpaid", "undecided")
_PPM = 1_000_000
Account = tuple[str, str]  # platform, account id


@dataclass(frozen=True)
class Bandits:
    """Frames as the query files give them; each is empty where its job has not run."""

    arms: pl.DataFrame
    totals: pl.DataFrame
    explored: pl.DataFrame


@dataclass(frozen=True)
class Group:
    """Arms of one kind in an ad group. ``arms``: rows of the query with ``role`` and ``status``, those that matter most first."""

    account: Account
    day: date
    arms: tuple[dict[str, Any], ...]
    all_arms: int

    @property
    def first(self) -> dict[str, Any]:
        """A row for what all arms share."""
        return self.arms[0]

    @property
    def cap_micros(self) -> int | None:
        """The cost cap that the decision held arms against; None without one, or without a decision."""
        return next((arm["cac_cap_micros"] for arm in self.arms if arm["cac_cap_micros"] is not None), None)

    @property
    def reserve_ppm(self) -> int | None:
        """Share of the group's spend that was to be explored that day; None where nothing was decided."""
        return max((arm["reserve_ppm"] for arm in self.arms if arm["reserve_ppm"] is not None), default=None)


@dataclass(frozen=True)
class Shown:
    """The groups that the page shows, and how many it does not show."""

    groups: tuple[Group, ...]
    more_groups: int
    totals: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Span:
    """Spend of some days on groups with a choice, in micros: what the decisions reserved of it, and what was explored."""

    first_day: date
    last_day: date
    spend: int
    reserved: float
    explored: int

    @property
    def share(self) -> float | None:
        """Explored over spend; None without spend."""
        return self.explored / self.spend if self.spend else None

    @property
    def reserved_share(self) -> float | None:
        """Reserved over spend; None without spend."""
        return self.reserved / self.spend if self.spend else None


@dataclass(frozen=True)
class Exploration:
    """The exploration account of one ad account: its weeks, oldest first, and their sum."""

    account: Account
    currency: str
    weeks: tuple[Span, ...]
    total: Span

    def owed(self, target: float) -> int:
        """Micros that later days still have to explore by the policy's share ``target``; negative where too much was."""
        return round(target * self.total.spend) - self.total.explored


def read_bandits(warehouse: Warehouse, run_date: date) -> Bandits:
    """What fit-bandits and choose-arms have left behind up to ``run_date``, and what came of it in spend."""
    window = {"start_date": run_date - timedelta(days=_WINDOW_DAYS), "run_date": run_date}
    explored_from = {"start_date": run_date - timedelta(days=EXPLORED_DAYS), "run_date": run_date}
    return Bandits(
        arms=warehouse.query_file("models/report_arms/query.sql", window | {"most_groups": MOST_GROUPS}),
        totals=warehouse.query_file("models/report_arm_totals/query.sql", window),
        explored=warehouse.query_file("models/report_exploration/query.sql", explored_from),
    )


def shown(bandits: Bandits, own: Account | None) -> Shown | None:
    """The groups with the highest spend, those of ``own`` first; None before the first fit."""
    if bandits.arms.is_empty():
        return None
    rows: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    groups_of: dict[Account, int] = {}
    for row in bandits.arms.iter_rows(named=True):
        account = (row["platform"], row["account_id"])
        groups_of[account] = row["account_groups"]
        rows.setdefault((row["arm_kind"], account != own, row["group_rank"], account), []).append(row)
    groups = tuple(
        _group(rows[key]) for kind, most in KINDS.items() for key in sorted(key for key in rows if key[0] == kind)[:most]
    )
    kinds = list(KINDS)
    totals = sorted(
        bandits.totals.to_dicts(),
        key=lambda one: (
            (one["platform"], one["account_id"]) != own,
            one["platform"],
            one["account_id"],
            kinds.index(one["arm_kind"]),
        ),
    )
    return Shown(groups, sum(groups_of.values()) - len(groups), tuple(totals))


def _group(rows: Sequence[dict[str, Any]]) -> Group:
    arms = [{**row, "role": _role(row), "status": _status(row)} for row in rows]
    arms.sort(key=lambda arm: (_ORDER.index(arm["role"]), -(arm["split_share_ppm"] or 0), -arm["spend_micros"], arm["arm_id"]))
    first = rows[0]
    return Group((first["platform"], first["account_id"]), first["run_date"], tuple(arms[:_MOST_ARMS]), len(arms))


def _role(row: dict[str, Any]) -> str:
    """What the decision made of an arm, from its columns and from the rules in its log."""
    if row["action"] is None:
        return "undecided"
    if row["action"] == "pause":
        return "dropped"
    rules = json.loads(row["context"])["rules"]
    is_dear = row["p_cac_above_cap"] is not None and row["p_cac_above_cap"] > rules["drop_probability"]
    if row["is_leader"]:
        return "kept_last" if is_dear else "leads"
    if is_dear:
        return "dear"
    if row["is_fatigued"]:
        return "fatigued"
    if row["spend_micros"] < rules["min_sample_micros"]:
        return "trial"
    return "explored" if row["split_share_ppm"] else "unpaid"


def _status(row: dict[str, Any]) -> str:
    """How the ad stood when its account was loaded, with what is above it; ``unknown`` if it was not among the loaded ads.

    Of keywords and audiences, the platform's status on the newest day with delivery.
    """
    if row["arm_kind"] != "ad":
        return str(row["arm_status"])
    if row["ad_status"] is None:
        return "unknown"
    if row["ad_status"] == "ENABLED" and (row["campaign_status"], row["adgroup_status"]) != ("ENABLED", "ENABLED"):
        return "parent_paused"
    return str(row["ad_status"])


def exploration(bandits: Bandits, run_date: date, own: Account | None) -> list[Exploration]:
    """The exploration accounts, ``own`` first; none before a decided day has been delivered."""
    days: dict[tuple[Account, str], list[dict[str, Any]]] = {}
    for row in bandits.explored.iter_rows(named=True):
        days.setdefault(((row["platform"], row["account_id"]), row["currency_code"]), []).append(row)
    found = []
    for (account, currency), rows in sorted(days.items(), key=lambda item: (item[0][0] != own, item[0])):
        weeks: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            weeks.setdefault((run_date - row["run_date"] - timedelta(days=1)).days // _WEEK, []).append(row)
        found.append(
            Exploration(account, currency, tuple(_span(weeks[back]) for back in sorted(weeks, reverse=True)), _span(rows))
        )
    return found


def _span(rows: Sequence[dict[str, Any]]) -> Span:
    days = [row["run_date"] for row in rows]
    spend, reserved, explored = (
        sum(row[name] for row in rows) for name in ("spend_micros", "reserve_micros", "explore_spend_micros")
    )
    return Span(min(days), max(days), spend, reserved, explored)


def share(ppm: int | None) -> float | None:
    """Parts per million as a share."""
    return None if ppm is None else ppm / _PPM
