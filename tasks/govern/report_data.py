"""What the report shows, read from tables only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tasks.core.errors import JobError
from tasks.core.ledger import Ledger, Row, SetHistory
from tasks.core.switches import Switch, read_switches
from tasks.govern.report_ads import Ads, read_ads
from tasks.govern.report_arms import Bandits, read_bandits
from tasks.govern.report_journeys import Journeys, read_journeys
from tasks.govern.report_metrics import read_metrics
from tasks.govern.report_others import Others, read_others
from tasks.govern.report_readiness import Readiness, read_readiness
from tasks.govern.report_trust import Trust, read_trust

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.policy import Policy
    from tasks.core.warehouse import Warehouse

_DAILY_WINDOW_DAYS = 91
_SETS_WINDOW_DAYS = 28
_HEALTH_WINDOW_DAYS = 7
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """The live MMM run and what was published with it, or the newest run while none has passed a review.

    ``newest_run_id`` differs from the run's own id where a newer fit failed its review and the older one stays live.
    """

    run: Record
    is_live: bool
    newest_run_id: str
    reviews: pl.DataFrame
    curves: pl.DataFrame
    allocations: pl.DataFrame
    fit: pl.DataFrame

    @property
    def verdict(self) -> str:
        """PASS, REVIEW or FAIL; empty before the review."""
        return next((row["result"] for row in self.reviews.iter_rows(named=True) if row["check"] == "verdict"), "")

    @property
    def checks(self) -> list[Record]:
        """The named checks without their summary, the worst first."""
        rows = [row for row in self.reviews.iter_rows(named=True) if row["check"] != "verdict"]
        return sorted(rows, key=lambda row: ["FAIL", "REVIEW", "PASS"].index(row["result"]))


@dataclass(frozen=True)
class Plan:
    """One change set: its row with its decision, its proposals, its guardrails, its part of the changefeed."""

    change_set: Record
    proposals: pl.DataFrame
    watch: pl.DataFrame
    history: SetHistory

    @property
    def state(self) -> str:
        """Last event of the set; ``proposed`` where the changefeed does not know it."""
        return self.history.state or "proposed"

    @property
    def applied_at(self) -> datetime | None:
        """When its first budget was changed."""
        return next((row.at for row in self.history.rows if row.event == "applied"), None)

    @property
    def ended_at(self) -> datetime | None:
        """When it was rolled back; None while its amounts stand."""
        undone = self.history.find("rolled_back")
        return undone.at if undone else None

    @property
    def applied_budgets(self) -> int:
        """How many budgets hold a receipt of their change."""
        return len({row.change_id for row in self.history.rows if row.event == "applied" and row.change_id})


@dataclass(frozen=True)
class Report:
    """All frames of one report. ``plan`` is None before the first plan that changes something, ``model`` before the first fit."""

    run_date: date
    source: str
    model: Model | None
    plan: Plan | None
    sets: tuple[Record, ...]  # of the last weeks, newest first, each with its `state`
    decisions: pl.DataFrame
    ledger_rows: int
    ledger_problems: tuple[str, ...]
    switches: tuple[Switch, ...]
    daily: pl.DataFrame
    health: pl.DataFrame
    safety: pl.DataFrame
    journeys: Journeys
    trust: Trust
    metrics: pl.DataFrame
    readiness: Readiness
    bandits: Bandits
    ads: Ads
    others: Others
    policy: Policy | None = None  # what is asked of exploration; None where the caller does not say

    @property
    def currency(self) -> str:
        """Currency of the plan, else of the model; empty where neither is there."""
        if self.plan and self.plan.proposals.height:
            return str(self.plan.proposals["currency_code"][0])
        return str(self.model.run["currency_code"]) if self.model else ""

    @property
    def target(self) -> str:
        """Outcome that the model is about; the plan too, as it is read for the same one."""
        return str(self.model.run["target"]) if self.model else "new_customers"

    @property
    def account(self) -> tuple[str, str] | None:
        """Platform and id of the account whose plan the page tells of."""
        return (self.plan.change_set["platform"], self.plan.change_set["account_id"]) if self.plan else None

    @property
    def is_advice(self) -> bool:
        """True for an import: its plan names channels of a sheet, which nothing can change."""
        return self.source != "platforms"


def _first(frame: pl.DataFrame) -> Record | None:
    return frame.row(0, named=True) if frame.height else None


def _read_model(warehouse: Warehouse, run_date: date, source: str, target: str | None) -> Model | None:
    found: list[tuple[Record | None, Record]] = []
    for candidate in (target,) if target else ("new_customers", "revenue"):
        params = {"run_date": run_date, "source": source, "target": candidate}
        newest = _first(warehouse.query_file("models/mmm_newest_run/query.sql", params))
        if newest is not None:
            found.append((_first(warehouse.query_file("models/live_mmm_run/query.sql", params)), newest))
    if not found:
        return None
    live, newest = next((pair for pair in found if pair[0] is not None), found[0])
    shown = {"run_id": (live or newest)["run_id"]}
    return Model(
        run=warehouse.query_file("models/report_run/query.sql", shown).row(0, named=True),
        is_live=live is not None,
        newest_run_id=newest["run_id"],
        reviews=warehouse.query_file("models/report_reviews/query.sql", shown),
        curves=warehouse.query_file("models/report_curves/query.sql", shown),
        allocations=warehouse.query_file("models/report_allocations/query.sql", shown),
        fit=warehouse.query_file("models/report_fit/query.sql", shown),
    )


def _read_sets(warehouse: Warehouse, run_date: date, source: str) -> list[dict[str, Any]]:
    """The change sets of the last weeks, newest first."""
    params = {"run_date": run_date, "source": source, "start_date": run_date - timedelta(days=_SETS_WINDOW_DAYS)}
    return warehouse.query_file("control/report_sets/query.sql", params).to_dicts()


def newest_sets(warehouse: Warehouse, run_date: date, source: str) -> list[dict[str, Any]]:
    """The newest change set of each account that had one on the newest such day, by account; none before the first."""
    sets = _read_sets(warehouse, run_date, source)
    of_day = [one for one in sets if one["run_date"] == sets[0]["run_date"]]
    newest = {(one["platform"], one["account_id"]): one for one in reversed(of_day)}
    return [newest[account] for account in sorted(newest)]


def read_report(
    warehouse: Warehouse,
    *,
    run_date: date,
    source: str,
    target: str | None = None,
    change_set_id: str | None = None,
    policy: Policy | None = None,
) -> Report:
    """Everything the page needs, about ``change_set_id`` or the newest change set.

    The model is that of the outcome the plan was made for, unless ``target`` asks otherwise.

    JobError if there is neither a model nor a plan for ``source``, or if the change set is not among those of the last weeks.
    """
    by_source = {"run_date": run_date, "source": source}
    health_from = {"start_date": run_date - timedelta(days=_HEALTH_WINDOW_DAYS), "run_date": run_date}
    daily_from = {"start_date": run_date - timedelta(days=_DAILY_WINDOW_DAYS), "run_date": run_date}
    sets = _read_sets(warehouse, run_date, source)
    decisions = warehouse.query_file("control/report_decisions/query.sql", by_source)
    chosen = _choose(sets, change_set_id, source)
    ledger = Ledger(warehouse)
    rows = ledger.rows()
    histories = {one["change_set_id"]: _history(one["change_set_id"], rows) for one in sets}
    plan = _read_plan(warehouse, run_date, chosen, histories[chosen["change_set_id"]]) if chosen else None
    model = _read_model(warehouse, run_date, source, target or (_target_of(warehouse, plan) if plan else None))
    ads, bandits = read_ads(warehouse, run_date, rows), read_bandits(warehouse, run_date)
    has_ads = source == "platforms" and bool(ads.sets or bandits.arms.height)
    if model is None and not sets and decisions.is_empty() and not has_ads:
        raise JobError(
            f"nothing to report for source {source!r} up to {run_date}: no MMM run and no plan. "
            f"Run aelp2 fit-mmm --source {source} --run-date {run_date} first"
        )
    return Report(
        run_date=run_date,
        source=source,
        model=model,
        plan=plan,
        sets=tuple(one | {"state": histories[one["change_set_id"]].state or "proposed"} for one in sets),
        decisions=decisions,
        ledger_rows=len(rows),
        ledger_problems=tuple(ledger.problems()),
        switches=tuple(switch for switch in read_switches(warehouse).values() if switch.is_on),
        daily=warehouse.query_file("ads/report_daily/query.sql", daily_from),
        health=warehouse.query_file("control/report_health/query.sql", health_from),
        safety=warehouse.query_file("control/report_safety/query.sql", health_from),
        journeys=read_journeys(warehouse, run_date),
        trust=read_trust(warehouse, run_date),
        metrics=read_metrics(warehouse, run_date),
        readiness=read_readiness(warehouse, run_date),
        bandits=bandits,
        ads=ads,
        others=read_others(warehouse, run_date),
        policy=policy,
    )


def _choose(sets: Sequence[Record], change_set_id: str | None, source: str) -> Record | None:
    chosen = next((one for one in sets if change_set_id in (None, one["change_set_id"])), None)
    if change_set_id and chosen is None:
        raise JobError(
            f"change set {change_set_id!r} is not among those of source {source!r} in the last {_SETS_WINDOW_DAYS} days: "
            f"{', '.join(one['change_set_id'] for one in sets) or 'there is none'}"
        )
    return chosen


def _target_of(warehouse: Warehouse, plan: Plan) -> str | None:
    """The outcome the plan was made for: that of the MMM run behind its proposals."""
    proposal = _first(plan.proposals)
    run = _first(warehouse.query_file("models/report_run/query.sql", {"run_id": proposal["mmm_run_id"]})) if proposal else None
    return str(run["target"]) if run else None


def _history(change_set_id: str, rows: Sequence[Row]) -> SetHistory:
    return SetHistory(change_set_id, tuple(row for row in rows if row.change_set_id == change_set_id))


def _read_plan(warehouse: Warehouse, run_date: date, change_set: Record, history: SetHistory) -> Plan:
    by_set = {"change_set_id": change_set["change_set_id"]}
    return Plan(
        change_set=change_set,
        proposals=warehouse.query_file("control/report_proposals/query.sql", by_set),
        watch=warehouse.query_file("control/report_watch/query.sql", by_set | {"run_date": run_date}),
        history=history,
    )
