"""What follows from the report's tables: sums, proposed spend a channel, predicted against realised. Pure."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from tasks.core.money import MICROS
from tasks.govern.report_data import Model, Plan, Record, Report

_USUAL_DAYS = 28
_LEAST_USUAL_DAYS = 7


@dataclass(frozen=True)
class Totals:
    """Sums over the proposals of a plan. ``ups`` and ``downs``: channel → micros a day, largest first, both positive.

    ``p05`` and ``p95`` are those of all steps together; None where the plan is older than their columns: intervals do not add up.
    """

    ups: dict[str, int]
    downs: dict[str, int]
    mean: float
    p05: float | None
    p95: float | None
    largest_step: float

    @property
    def up(self) -> int:
        """Micros a day that budgets gain."""
        return sum(self.ups.values())

    @property
    def down(self) -> int:
        """Micros a day that budgets lose."""
        return sum(self.downs.values())


@dataclass(frozen=True)
class Measure:
    """One line of predicted against realised. ``usual_low`` to ``usual_high`` holds about 95 % of such stretches of days."""

    name: str
    usual: float
    usual_low: float | None
    usual_high: float | None
    predicted: float
    realised: float


@dataclass(frozen=True)
class Realised:
    """The days since the change against the four weeks before, a day on average. Money in currency units."""

    first_day: date
    last_day: date
    days: int
    usual_days: int
    spend: Measure
    customers: Measure
    cac: Measure

    @property
    def spend_gap(self) -> float:
        """Realised over predicted spend, minus one."""
        return self.spend.realised / self.spend.predicted - 1

    @property
    def is_usual(self) -> bool:
        """True if the customers won lie in the usual range."""
        return (self.customers.usual_low or 0.0) <= self.customers.realised <= (self.customers.usual_high or math.inf)


@dataclass(frozen=True)
class Channel:
    """Spend per period of one channel in micros; ``proposed`` equals ``current`` where the plan leaves it alone."""

    row: Record
    current: int
    optimal: int
    proposed: int
    is_moved: bool


def totals(plan: Plan) -> Totals:
    """Sums over the proposals."""
    p = plan.proposals.with_columns(step=pl.col("amount_after_micros") - pl.col("amount_before_micros"))
    by_channel = p.group_by("channel").agg(pl.col("step").sum()).sort("step", "channel")
    steps = [(row["channel"], int(row["step"])) for row in by_channel.iter_rows(named=True)]
    shares = [abs(row["step"]) / row["amount_before_micros"] for row in p.iter_rows(named=True) if row["amount_before_micros"]]
    joint = (p[f"set_new_customers_{name}"][0] for name in ("mean", "p05", "p95")) if p.height else (None, None, None)
    mean, p05, p95 = joint
    return Totals(
        ups={channel: step for channel, step in reversed(steps) if step > 0},
        downs={channel: -step for channel, step in steps if step < 0},
        mean=float(p["expected_new_customers_mean"].sum()) if mean is None else mean,
        p05=p05,
        p95=p95,
        largest_step=max(shares, default=0.0),
    )


def channels(model: Model, plan: Plan | None) -> list[Channel]:
    """Current, optimal and proposed spend per period, the channel with the most spend first."""
    steps: dict[str, int] = {}
    for row in plan.proposals.iter_rows(named=True) if plan else ():
        steps[row["channel"]] = steps.get(row["channel"], 0) + row["amount_after_micros"] - row["amount_before_micros"]
    return [
        Channel(
            row=row,
            current=row["current_spend_micros"],
            optimal=row["optimal_spend_micros"],
            proposed=max(0, row["current_spend_micros"] + steps.get(row["channel"], 0) * model.run["period_days"]),
            is_moved=row["channel"] in steps,
        )
        for row in model.allocations.iter_rows(named=True)
    ]


def outcome_at(curve: pl.DataFrame, spend_micros: int) -> float:
    """Mean outcome of a response curve at ``spend_micros``, linear between its grid points, flat beyond its ends."""
    grid, mean = curve["spend_micros"].to_list(), curve["outcome_mean"].to_list()
    spend = min(max(spend_micros, grid[0]), grid[-1])
    right = next(i for i, value in enumerate(grid) if value >= spend)
    left = max(right - 1, 0)
    share = 0.0 if grid[right] == grid[left] else (spend - grid[left]) / (grid[right] - grid[left])
    return float(mean[left] + share * (mean[right] - mean[left]))


def business_day(at: datetime, daily: pl.DataFrame) -> date:
    """The day of ``at`` in the time zone of the ad accounts, as the watch counts days."""
    return at.astimezone(ZoneInfo(str(daily["timezone"][0]))).date() if daily.height else at.date()


def has_one_currency(report: Report) -> bool:
    """True if spend of the whole business can be added up; without rates it cannot over several currencies."""
    daily = report.daily
    return bool(daily.height) and daily["currencies"].max() == 1 and daily["currency_code"].n_unique() == 1


def realised(report: Report) -> Realised | None:
    """Predicted against realised, or None before a day with data has passed since the change.

    Days count from the day of the change, its own included, to the day before it was rolled back. The prediction is the usual
    day plus what the plan expects of its change; whatever else moved the business stays in the difference.
    """
    plan = report.plan
    if plan is None or plan.applied_at is None or report.target != "new_customers" or not has_one_currency(report):
        return None
    start = max(business_day(plan.applied_at, report.daily), plan.change_set["run_date"])
    end = business_day(plan.ended_at, report.daily) if plan.ended_at else date.max
    known = report.daily.drop_nulls("new_customers")
    after = known.filter((pl.col("date") >= start) & (pl.col("date") < end))
    before = known.filter(pl.col("date") < start).tail(_USUAL_DAYS)
    if after.is_empty() or before.height < _LEAST_USUAL_DAYS or not before["new_customers"].sum():
        return None
    sums, days = totals(plan), after.height
    usual, usual_spend = _mean(before, "new_customers"), _mean(before, "cost_micros") / MICROS
    margin = 2 * statistics.stdev(before["new_customers"].to_list()) / math.sqrt(days)
    won, spent = _mean(after, "new_customers"), _mean(after, "cost_micros") / MICROS
    expected, planned_spend = usual + sums.mean / 7, usual_spend + (sums.up - sums.down) / MICROS
    return Realised(
        first_day=start,
        last_day=after["date"][-1],
        days=days,
        usual_days=before.height,
        spend=Measure("Ad spend a day", usual_spend, None, None, planned_spend, spent),
        customers=Measure("New customers a day", usual, max(0.0, usual - margin), usual + margin, expected, won),
        cac=Measure("Blended CAC", usual_spend / usual, None, None, planned_spend / expected, spent / won if won else math.inf),
    )


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame[column].sum()) / frame.height
