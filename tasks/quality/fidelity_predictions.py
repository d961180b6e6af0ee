"""Predictions to hold against what came, from the tables of the model and of the change sets. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from tasks.core.money import MICROS
from tasks.core.response import ResponseDraws, response_to
from tasks.core.segments import UNSPLIT, Split
from tasks.quality.fidelity_config import FidelityConfig
from tasks.quality.fidelity_metrics import Z90, Period

_WEEK = timedelta(weeks=1)
_RECENT = 8  # weeks whose mean baseline goes on into the next one
_NOISE_WEEKS = 13
_VALUE_WEEKS = 8  # weeks before that say what a new customer is worth


@dataclass(frozen=True)
class Week:
    """What came in a week: spend (currency units), outcomes; None where a day is missing."""

    spend: float | None
    new_customers: float | None
    revenue: float | None

    def outcome(self, target: str) -> float | None:
        """The outcome that a model of ``target`` is about."""
        return self.new_customers if target == "new_customers" else self.revenue


@dataclass(frozen=True)
class Run:
    """A live run: its parts by component and week, its totals, and its draws.

    ``spend``: week → spend of each of its channels, which may be parts of the platforms' channels; complete weeks only.
    """

    run_id: str
    window_end: date
    l_max: int
    parts: pl.DataFrame
    draws: Mapping[str, ResponseDraws]
    spend: Mapping[date, Mapping[str, float]]


def spend_of(media: pl.DataFrame, split: Split, currency: str) -> dict[date, dict[str, float]]:
    """Week → spend by the channels of a model with ``split``, from the query that the model is fitted on.

    Complete weeks only: one in which spend is in another currency, because a rate is missing, has no sum.
    """
    unknown = media.filter(pl.col("currency_code") != currency)["period_start_date"].unique().to_list()
    spend: dict[date, dict[str, float]] = {}
    for row in media.filter(pl.col("days_seen") == 7, ~pl.col("period_start_date").is_in(unknown)).iter_rows(named=True):
        of_week = spend.setdefault(row["period_start_date"], {})
        name = split.name(row["channel"], row["is_remarketing"])
        of_week[name] = of_week.get(name, 0.0) + row["spend_micros"] / MICROS
    return spend


def weeks_of(media: pl.DataFrame, outcome: pl.DataFrame, currency: str) -> dict[date, Week]:
    """Weeks by their Monday, from the queries that the model is fitted on; a week with a missing day counts as unknown."""
    spend = {day: sum(of_week.values()) for day, of_week in spend_of(media, UNSPLIT, currency).items()}
    came = outcome.filter(pl.col("days_seen") == 7).group_by("period_start_date").agg(
        pl.when(pl.col("new_customers").null_count() == 0).then(pl.col("new_customers").sum()).alias("new_customers"),
        pl.when(pl.col("revenue_micros").null_count() == 0).then(pl.col("revenue_micros").sum()).alias("revenue_micros"),
    )  # fmt: skip
    sold = {row["period_start_date"]: row for row in came.iter_rows(named=True)}
    found = {}
    for day in sorted(set(spend) | set(sold)):
        row = sold.get(day, {"new_customers": None, "revenue_micros": None})
        revenue = row["revenue_micros"]
        found[day] = Week(spend.get(day), row["new_customers"], None if revenue is None else revenue / MICROS)
    return found


def model_periods(
    runs: Sequence[Run], weeks: Mapping[date, Week], target: str, run_date: date, config: FidelityConfig
) -> list[Period]:
    """The newest weeks that are due, each with the prediction of the newest run that had not seen it, oldest first.

    A week after a run's window is predicted one step ahead from the spend that came; a week within it only if the run's test fit
    was not shown it. Weeks that no run predicted blindly are left out; a predicted week whose outcome is missing stays, unknown.
    """
    last = run_date - timedelta(days=run_date.weekday()) - _WEEK
    if last + _WEEK + timedelta(days=config.mature_days) > run_date:
        last -= _WEEK
    found = []
    for back in range(config.weeks):
        day = last - back * _WEEK
        prediction = next(iter(filter(None, (_predict(run, day) for run in runs))), None)
        if prediction is not None:
            found.append(_period(day, prediction, weeks, target))
    return found[::-1]


@dataclass(frozen=True)
class _Prediction:
    ref: str
    kind: str
    mean: float
    p05: float
    p95: float


def _predict(run: Run, day: date) -> _Prediction | None:
    if day > run.window_end:
        return _one_step(run, day)
    held = run.parts.filter((pl.col("period_start_date") == day) & (pl.col("component") == "total") & pl.col("is_holdout"))
    if held.is_empty():
        return None
    row = held.row(0, named=True)
    return _Prediction(run.run_id, "holdout", row["mean"], row["p05"], row["p95"])


def _one_step(run: Run, day: date) -> _Prediction | None:
    """Baseline as of late, season as a year ago, what the spend that came brings by the run's draws; None without that spend."""
    days = [day - back * _WEEK for back in range(2 * run.l_max, -1, -1)]
    if day not in run.spend:
        return None
    by_component = {str(name): rows for (name,), rows in run.parts.group_by(["component"])}
    standing = sum(_recent(by_component, name) for name in ("baseline", "controls"))
    season = _a_year_ago(by_component.get("seasonality"), day)
    brought = np.zeros(1)
    for channel, draws in run.draws.items():
        spent = [run.spend.get(one, {}).get(channel, 0.0) for one in days]
        brought = brought + response_to(np.array(spent), draws, run.l_max)[-1]
    total = by_component["total"].sort("period_start_date").tail(_NOISE_WEEKS)
    noise = float(((total["p95"] - total["p05"]) / (2 * Z90)).median() or 0.0)  # type: ignore[arg-type]  # of floats
    mean = standing + season + float(brought.mean())
    return _Prediction(run.run_id, "one_step", mean, mean - Z90 * noise, mean + Z90 * noise)


def _recent(parts: Mapping[str, pl.DataFrame], name: str) -> float:
    rows = parts.get(name)
    return 0.0 if rows is None else float(np.mean(rows.sort("period_start_date").tail(_RECENT)["mean"].to_numpy()))


def _a_year_ago(rows: pl.DataFrame | None, day: date) -> float:
    """The season of the week 52 weeks before, or of the run's newest week where it has not seen a year."""
    if rows is None:
        return 0.0
    then = rows.filter(pl.col("period_start_date") == day - 52 * _WEEK)
    row = then if then.height else rows.sort("period_start_date").tail(1)
    return float(row["mean"][0])


def _period(day: date, prediction: _Prediction, weeks: Mapping[date, Week], target: str) -> Period:
    week = weeks.get(day, Week(None, None, None))
    return Period(
        start=day,
        days=7,
        kind=prediction.kind,  # type: ignore[arg-type]  # one of the kinds
        ref=prediction.ref,
        mean=prediction.mean,
        p05=prediction.p05,
        p95=prediction.p95,
        realised=week.outcome(target),
        spend=week.spend,
        revenue=week.revenue,
        value=1.0 if target == "revenue" else _worth(weeks, day),
    )


def _worth(weeks: Mapping[date, Week], day: date) -> float | None:
    """Revenue per new customer in the weeks before ``day``; None if it is not known for any of them."""
    before = [weeks[one] for back in range(1, _VALUE_WEEKS + 1) if (one := day - back * _WEEK) in weeks]
    known = [(one.revenue, one.new_customers) for one in before if one.revenue is not None and one.new_customers]
    return sum(revenue for revenue, _ in known) / sum(sold for _, sold in known) if known else None


def plan_periods(sets: Sequence[Mapping[str, Any]], daily: pl.DataFrame, run_date: date, config: FidelityConfig) -> list[Period]:
    """One period for each change set that stood for the horizon and whose days are due.

    Predicted are the usual days before plus what the plan expected; the interval has the noise of the days and the plan's own.
    """
    rules, found = config.plan, []
    for one in sets:
        start = one["applied_date"]
        end = start + timedelta(days=rules.horizon_days)
        is_due = end + timedelta(days=config.mature_days) <= run_date
        if not is_due or one["expected_mean"] is None or (one["ended_date"] is not None and one["ended_date"] < end):
            continue
        usual = daily.filter((pl.col("date") >= start - timedelta(days=rules.usual_days)) & (pl.col("date") < start))
        after = daily.filter((pl.col("date") >= start) & (pl.col("date") < end))
        found.append(_set_period(one, usual, after, start, rules.horizon_days))
    return found


def _set_period(one: Mapping[str, Any], usual: pl.DataFrame, after: pl.DataFrame, start: date, days: int) -> Period:
    weeks = days / 7
    sold = usual["new_customers"].drop_nulls().to_list()
    spent, revenue = float(usual["cost_micros"].sum()) / MICROS, usual["revenue_micros"].drop_nulls()
    usual_sold = sum(sold) / max(len(sold), 1)
    mean = days * usual_sold + weeks * one["expected_mean"]
    own = (
        (one["expected_p95"] - one["expected_p05"]) / (2 * Z90) if None not in (one["expected_p05"], one["expected_p95"]) else 0.0
    )
    noise = statistics.stdev(sold) if len(sold) > 1 else 0.0
    sd = math.sqrt(days * noise**2 + (weeks * own) ** 2)
    whole = after.height == days and usual.height > 0
    return Period(
        start=start,
        days=days,
        kind="change_set",
        ref=one["change_set_id"],
        mean=mean,
        p05=mean - Z90 * sd,
        p95=mean + Z90 * sd,
        realised=_total(after, "new_customers") if whole else None,
        spend=float(after["cost_micros"].sum()) / MICROS if whole else None,
        revenue=None if (got := _total(after, "revenue_micros") if whole else None) is None else got / MICROS,
        value=float(revenue.sum()) / MICROS / sum(sold) if revenue.len() and sum(sold) > 0 else None,
        planned_spend=days * (spent / max(usual.height, 1) + one["step_micros"] / MICROS),
    )


def _total(frame: pl.DataFrame, column: str) -> float | None:
    """Sum, or None if a day is unknown."""
    return None if frame[column].null_count() else float(frame[column].sum())
