"""The series that drift is looked for in, from the frames of the queries. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import polars as pl

from tasks.core.currencies import REMEDY
from tasks.core.errors import JobError
from tasks.quality.drift_config import DatasetRules, DriftConfig
from tasks.quality.drift_statistics import Floats
from tasks.quality.drift_windows import Windows

ALL = "all"
_MICROS = 1_000_000
_DAY = timedelta(days=1)
Kind = Literal["positive", "signed", "mix"]


@dataclass(frozen=True)
class Series:
    """One column of one segment.

    ``values``: (T,) a value a step, NaN where missing; for a ``mix`` (T, K) weights of ``categories``. The last step ends the day
    before ``end``.
    """

    platform: str
    account_id: str
    dataset: str
    segment: str
    column: str
    kind: Kind
    values: Floats
    end: date
    rules: DatasetRules
    categories: tuple[str, ...] = ()

    @property
    def windows(self) -> Windows:
        """Lengths of the two windows."""
        return self.rules.windows

    @property
    def step_days(self) -> int:
        """Days of a step: series without a weekly season are weeks."""
        return 1 if self.windows.season > 1 else 7

    @property
    def current_start(self) -> date:
        """First day of the current window."""
        return self.end - self.windows.current * self.step_days * _DAY

    @property
    def reference_start(self) -> date:
        """First day of the reference."""
        return self.end - self.windows.length * self.step_days * _DAY


def _grid(frame: pl.DataFrame, start: date, end: date, column: str, step: int = 1) -> Floats:
    """``column`` by step from ``start`` to the day before ``end``; NaN where there is no row."""
    values = np.full((end - start).days // step, np.nan)
    for day, value in frame.select("date", column).iter_rows():
        place = (day - start).days // step
        if 0 <= place < len(values) and value is not None:
            values[place] = value
    return values


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """``top`` / ``bottom``; NaN where the bottom is zero or missing."""
    quotient: Floats = np.divide(top, bottom, out=np.full(len(top), np.nan), where=np.nan_to_num(bottom) > 0)
    return quotient


def _mix(frame: pl.DataFrame, key: str, column: str, start: date, end: date, step: int = 1) -> tuple[tuple[str, ...], Floats]:
    """Categories and their weights by step; no row is no weight."""
    categories = tuple(sorted(frame[key].unique()))
    weights = [np.nan_to_num(_grid(frame.filter(pl.col(key) == one), start, end, column, step)) for one in categories]
    return categories, np.stack(weights, axis=1)


def _first(frame: pl.DataFrame, end: date, rules: DatasetRules) -> date:
    """First day of the history that is used."""
    first = frame["date"].min()
    assert isinstance(first, date)
    return max(first, end - rules.history_days * _DAY)


def _is_alive(frame: pl.DataFrame, end: date, windows: Windows) -> bool:
    """Any row in the two windows; what ended before them cannot drift."""
    return not frame.filter((pl.col("date") >= end - windows.length * _DAY) & (pl.col("date") < end)).is_empty()


def ads_series(daily: pl.DataFrame, maturity: pl.DataFrame, run_date: date, config: DriftConfig) -> list[Series]:
    """Cost, delivery, conversions and their ratios of each account and channel, and the mix of channels of each account."""
    rules = config.datasets["ads_facts"]
    found: list[Series] = []
    for (platform, account), of_account in daily.group_by(["platform", "account_id"], maintain_order=True):
        curve = maturity.filter(pl.col("account_id") == account).sort("lag_days")["share"].to_numpy()
        start = _first(of_account, run_date, rules)
        total = of_account.group_by("date").agg(pl.col("cost_micros", "impressions", "clicks", "conversions").sum())
        segments = {ALL: total} | {
            str(name): rows for (name,), rows in of_account.group_by(["channel"]) if _is_alive(rows, run_date, rules.windows)
        }
        for segment, rows in sorted(segments.items()):
            about = (str(platform), str(account), "ads_facts", segment)
            found += _ads_segment(about, rows, start, run_date, _mature(curve, config), rules)
        for column, weight in (("cost mix", "cost_micros"), ("click mix", "clicks")):
            names, weights = _mix(of_account, "channel", weight, start, run_date)
            found.append(Series(str(platform), str(account), "ads_facts", ALL, column, "mix", weights, run_date, rules, names))
    return found


def _mature(curve: Floats, config: DriftConfig) -> tuple[int, Floats]:
    """Days at the end that are too young for conversions, and the share that has arrived by each age from there on."""
    ripe = np.flatnonzero(curve >= config.mature_share)
    if len(ripe) == 0:
        return config.mature_days, np.ones(1)
    return int(ripe[0]), curve[ripe[0] :]


def _ads_segment(
    about: tuple[str, str, str, str], rows: pl.DataFrame, start: date, end: date, mature: tuple[int, Floats], rules: DatasetRules
) -> list[Series]:
    cost, impressions, clicks, seen = (
        _grid(rows, start, end, name) for name in ("cost_micros", "impressions", "clicks", "conversions")
    )
    young, shares = mature
    conversions = seen[: len(seen) - young].copy()
    # The newest day kept is `young` days old; each day before it is a day older.
    ages = min(len(shares), len(conversions))
    conversions[len(conversions) - ages :] /= shares[:ages][::-1]
    columns: dict[str, Floats] = {
        "cost": cost / _MICROS,
        "impressions": impressions,
        "clicks": clicks,
        "click-through rate": _ratio(clicks, impressions),
        "cost per click": _ratio(cost / _MICROS, clicks),
    }
    found = [Series(*about, name, "positive", values, end, rules) for name, values in columns.items()]
    ripe_end = end - young * _DAY
    rate = _ratio(conversions, clicks[: len(conversions)])
    found += [Series(*about, "conversions", "positive", conversions, ripe_end, rules)]
    return [*found, Series(*about, "conversion rate", "positive", rate, ripe_end, rules)]


def journey_series(daily: pl.DataFrame, run_date: date, late_days: int, config: DriftConfig) -> list[Series]:
    """Visits, engagement and purchases per property, and the mix of channel groups."""
    rules, found = config.datasets["journeys"], []
    end = run_date - late_days * _DAY
    for (property_id,), rows in daily.group_by(["property_id"], maintain_order=True):
        start = _first(rows, end, rules)
        total = rows.group_by("date").agg(pl.col("sessions", "engaged_sessions", "conversions").sum())
        sessions, engaged, bought = (_grid(total, start, end, name) for name in ("sessions", "engaged_sessions", "conversions"))
        about = ("ga4", str(property_id), "journeys", ALL)
        columns = {"visits": sessions, "engaged share": _ratio(engaged, sessions), "purchase rate": _ratio(bought, sessions)}
        found += [Series(*about, name, "positive", values, end, rules) for name, values in columns.items()]
        names, weights = _mix(rows, "channel_group", "sessions", start, end)
        found.append(Series(*about, "channel mix", "mix", weights, end, rules, names))
    return found


def feature_series(
    media: pl.DataFrame, outcome: pl.DataFrame, controls: pl.DataFrame, run_date: date, config: DriftConfig
) -> list[Series]:
    """What the marketing-mix model sees a week: spend of each channel, the outcome, the controls. Complete weeks only."""
    rules = config.datasets["model_features"]
    if media["currency_code"].n_unique() > 1:
        codes = ", ".join(media["currency_code"].unique().sort())
        raise JobError(f"spend in {codes} has no sum, so its drift cannot be told; {REMEDY}")
    end = run_date - run_date.weekday() * _DAY
    about = ("all", "all", "model_features")
    found: list[Series] = []
    complete = {"spend": media.filter(pl.col("days_seen") == 7), "outcome": outcome.filter(pl.col("days_seen") == 7)}
    spend = complete["spend"].rename({"period_start_date": "date"}).group_by("date", "channel").agg(pl.col("spend_micros").sum())
    if not spend.is_empty():
        start = _first(spend, end, rules)
        start -= start.weekday() * _DAY
        for (channel,), rows in sorted(spend.group_by(["channel"])):
            values = np.nan_to_num(_grid(rows, start, end, "spend_micros", 7)) / _MICROS
            found.append(Series(*about, str(channel), "weekly spend", "positive", values, end, rules))
        names, weights = _mix(spend, "channel", "spend_micros", start, end, 7)
        found.append(Series(*about, ALL, "weekly spend mix", "mix", weights, end, rules, names))
    sold = complete["outcome"].rename({"period_start_date": "date"}).group_by("date").agg(pl.col("new_customers").sum())
    if not sold.is_empty():
        values = _grid(sold, _first(sold, end, rules), end, "new_customers", 7)
        found.append(Series(*about, ALL, "weekly new customers", "positive", values, end, rules))
    moved = controls.rename({"period_start_date": "date"}).group_by("date", "control").agg(pl.col("value").mean())
    for (control,), rows in sorted(moved.group_by(["control"])):
        values = _grid(rows, _first(rows, end, rules), end, "value", 7)
        if np.isfinite(values).any() and np.nanstd(values) > 0:
            found.append(Series(*about, str(control), "weekly control", "signed", values, end, rules))
    return found


def residual_series(residuals: Mapping[str, pl.DataFrame], config: DriftConfig) -> list[Series]:
    """Residuals of each live model by its target; weekly models only."""
    rules, found = config.datasets["model_residuals"], []
    for target, frame in sorted(residuals.items()):
        rows = frame.rename({"period_start_date": "date"}).drop_nulls()
        if rows.is_empty():
            continue
        last = rows["date"].max()
        assert isinstance(last, date)
        end = last + 7 * _DAY
        values = _grid(rows, _first(rows, end, rules), end, "residual", 7)
        found.append(Series("all", "all", "model_residuals", target, "weekly residual", "signed", values, end, rules))
    return found


def accounts(series: Sequence[Series]) -> list[tuple[str, str]]:
    """(platform, account) of ``series``, sorted."""
    return sorted({(one.platform, one.account_id) for one in series})
