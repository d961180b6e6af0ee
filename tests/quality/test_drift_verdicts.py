"""Drift that was put into an account is found, and an account that only has its seasons raises no alarm."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from drift_world import CHANNELS, ON_TIME, RUN_DATE, SHIFTS, Account
from scipy.stats import ks_2samp

from tasks.quality import drift_windows
from tasks.quality.drift_config import load_config
from tasks.quality.drift_series import ads_series
from tasks.quality.drift_verdicts import Finding, findings
from tasks.quality.drift_windows import Windows

CONFIG = load_config()


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each pair of windows is compared once: those of one week are the placebos of the next."""
    compare = drift_windows.compare

    @functools.cache
    def by_bytes(values: bytes, windows: Windows, kind: drift_windows.Kind) -> dict[str, float]:
        return compare(np.frombuffer(values), windows, kind)

    monkeypatch.setattr(drift_windows, "compare", lambda values, windows, kind: by_bytes(values.tobytes(), windows, kind))
    yield
    by_bytes.cache_clear()


def check(daily: pl.DataFrame, back: int = 0) -> list[Finding]:
    """What is found as of ``back`` weeks before RUN_DATE."""
    run_date = RUN_DATE - timedelta(weeks=back)
    return findings(ads_series(daily.filter(pl.col("date") < run_date), ON_TIME, run_date, CONFIG), CONFIG)


def found_in(shift: str, all_found: list[Finding]) -> bool:
    """Whether a finding is about what was broken: the column, the kind of method, the segment or the account as a whole."""
    columns, methods, segment = {
        "mean: dearer": ({"cost per click", "cost"}, {"psi", "ks", "jensenshannon", "level"}, "SEARCH"),
        "mean: fewer": ({"conversions", "conversion rate"}, {"psi", "ks", "jensenshannon", "level"}, "SOCIAL"),
        "variance": ({"cost", "clicks", "impressions", "conversions"}, {"psi", "ks", "jensenshannon", "spread"}, "SEARCH"),
        "missing": ({"cost", "clicks", "impressions"}, {"missing"}, "VIDEO"),
        "new category": ({"cost mix", "click mix"}, {"new_category"}, "all"),
    }[shift]
    return any(
        one.is_found and one.series.column in columns and one.judged.method in methods and one.series.segment in (segment, "all")
        for one in all_found
    )


@pytest.mark.slow
@pytest.mark.usefixtures("remembered")
def test_shifts_are_found() -> None:
    """Mean, variance, missing days and a new category: each is found in at least 19 of 20 accounts, where it was put."""
    found = {shift: sum(found_in(shift, check(make(seed).daily())) for seed in range(20)) for shift, make in SHIFTS.items()}
    assert {shift: number for shift, number in found.items() if number < 19} == {}


@pytest.mark.slow
@pytest.mark.usefixtures("remembered")
def test_clean_weeks_raise_no_alarm() -> None:
    """Of 100 weeks that only have their weekly season, a slow wave and growth, at most 5 have any finding.

    Plain Kolmogorov–Smirnov tests at 5 % of three columns of the three channels alarm in about half of these weeks.
    """
    daily = Account(501, days=1430).daily()
    alarms = [back for back in range(100) if any(one.is_found for one in check(daily, back))]
    assert len(alarms) <= 5, alarms
    assert sum(plain_ks(daily, back) for back in range(100)) > 40


def plain_ks(daily: pl.DataFrame, back: int) -> bool:
    """Whether any of cost, clicks and conversions of any channel differs by an uncalibrated test."""
    end = RUN_DATE - timedelta(weeks=back)
    window = daily.filter((pl.col("date") >= end - timedelta(days=112)) & (pl.col("date") < end))
    reference = window.filter(pl.col("date") < end - timedelta(days=28))
    current = window.filter(pl.col("date") >= end - timedelta(days=28))
    return any(
        ks_2samp(*(part.filter(pl.col("channel") == channel)[column].to_numpy() for part in (reference, current))).pvalue < 0.05
        for channel in CHANNELS
        for column in ("cost_micros", "clicks", "conversions")
    )


@pytest.mark.slow
@pytest.mark.usefixtures("remembered")
def test_a_season_alone_is_no_drift() -> None:
    """Weekends that hardly see any traffic are the same in both windows: at most one of 20 such accounts has a finding."""
    week = np.array([1.4, 1.3, 1.2, 1.2, 1.1, 0.1, 0.1])
    assert sum(any(one.is_found for one in check(Account(seed, week=week).daily())) for seed in range(20)) <= 1


@pytest.mark.slow
def test_a_season_that_changes_is_found() -> None:
    """The same spend a week, but the weekends now carry it: the distance of the days from their factors says so."""
    account = Account(3)
    day = np.arange(account.days - 28, account.days)
    moved = np.where((day + (RUN_DATE - timedelta(days=account.days)).weekday()) % 7 >= 5, 3.0, 0.66)
    for values in (account.channels["SEARCH"].cost, account.channels["SEARCH"].clicks, account.channels["SEARCH"].impressions):
        values[-28:] *= moved
    assert {one.judged.method for one in check(account.daily()) if one.is_found and one.series.segment == "SEARCH"} & {
        "psi",
        "ks",
        "jensenshannon",
        "spread",
    }


def test_a_short_history_is_unknown_and_stops_nothing() -> None:
    """Twenty weeks leave too few placebo windows: nothing is called drift by a distance, and the verdict says why."""
    account = Account(1, days=140)
    account.channels["SEARCH"].cost[-28:] *= 3
    by_distance = [
        one for one in check(account.daily()) if one.judged.method in ("psi", "ks", "jensenshannon", "level", "spread")
    ]
    assert {one.verdict for one in by_distance} == {"unknown"}
    assert "the history is too short to tell" in by_distance[0].detail


def test_young_days_wait_for_their_conversions() -> None:
    """Windows of conversions end where nine of ten have arrived, and what is still to come of the days before is added."""
    curve = pl.DataFrame({"account_id": ["111"] * 4, "lag_days": range(4), "share": [0.5, 0.8, 0.9, 1.0]})
    daily = Account(1, days=200).daily()
    series = {(one.segment, one.column): one for one in ads_series(daily, curve, RUN_DATE, CONFIG)}
    young = series["SEARCH", "conversions"]
    assert young.end == RUN_DATE - timedelta(days=2)
    seen = daily.filter(pl.col("channel") == "SEARCH").sort("date")["conversions"].to_numpy()
    # The newest day kept is the third from the end, of which 0.9 have arrived; the day before it has all.
    assert young.values[-2:] == pytest.approx([seen[-4] / 1.0, seen[-3] / 0.9])
    assert series["SEARCH", "clicks"].end == RUN_DATE
    assert ads_series(daily, curve.clear(), RUN_DATE, CONFIG)[5].end == RUN_DATE - timedelta(days=30)


def test_only_datasets_a_budget_rests_on_are_critical() -> None:
    """The same finding of a dataset that does not block is a warning."""
    series = [one for one in ads_series(newcomer_day(), ON_TIME, RUN_DATE, CONFIG) if one.column == "cost mix"]
    (critical,) = [one for one in findings(series, CONFIG) if one.is_found]
    assert critical.verdict == "critical"
    gentle = [dataclasses.replace(one, rules=dataclasses.replace(one.rules, blocks=False)) for one in series]
    assert [one.verdict for one in findings(gentle, CONFIG) if one.is_found] == ["warning"]


def newcomer_day() -> pl.DataFrame:
    """Too little history for a distance, and a channel that was never there."""
    return SHIFTS["new category"](1).daily().filter(pl.col("date") >= RUN_DATE - timedelta(days=150))
