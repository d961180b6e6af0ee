"""The persons behind a market and their GA4 export: totals are the market's, days are stable, files behave as Google's do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from tasks.lab.ga4_export import Ga4Export
from tasks.lab.layout import MAX_LAG_DAYS
from tasks.lab.market import Change, Market
from tasks.lab.people import People
from tasks.lab.people_events import LATE_SHARE, day_bounds
from tasks.lab.world import load_world

HISTORY, WARM = 70, 15
START = date(2025, 12, 1)
DAY = timedelta(days=1)


def market(days: int = HISTORY, seed: int = 7, changes: tuple[Change, ...] = ()) -> Market:
    found = Market(load_world("acme"), seed, START, HISTORY)
    for change in changes:
        found.apply(change)
    found.run_to(days)
    return found


@pytest.fixture(scope="module")
def people() -> People:
    return People(market())


def morning(day: int) -> datetime:
    return datetime.combine(START + day * DAY, datetime.min.time(), tzinfo=UTC) + timedelta(hours=5, minutes=30)


def test_sessions_and_purchases_add_up_to_the_market(people: People) -> None:
    """Sessions of each campaign are its clicks, purchases the CRM's new customers, times the sampling rate, to within one.

    In the market's first days nobody is there yet who could return, so these are left out for the clicks.
    """
    days, layout = people.market.days, people.market.layout
    rate = people.settings.sampling_rate
    sampled = [people.sessions(day) for day in range(HISTORY)]
    paid = np.concatenate([s.campaign for s in sampled[WARM:]])
    clicks = sum(np.bincount(layout.unit_campaign, weights=d.clicks, minlength=layout.n_campaigns) for d in days[WARM:])
    assert np.abs(np.bincount(paid[paid >= 0], minlength=layout.n_campaigns) - rate * clicks).max() <= 1
    bought = sum(int(s.is_purchase.sum()) for s in sampled)
    assert abs(bought - rate * sum(d.new_customers for d in days)) <= 1
    value, revenue = sum(int(s.value_micros.sum()) for s in sampled), sum(d.revenue_micros for d in days)
    assert abs(value - rate * revenue) < 0.03 * rate * revenue


def test_a_day_is_the_same_whatever_happens_later(people: People) -> None:
    """A budget changed after the day, more simulated days and the order in which days are asked for change nothing of it."""
    later = People(market(HISTORY + 5, changes=(Change(HISTORY, "budget", 7006, 1),)))
    later.sessions(HISTORY + 4)
    for day in (HISTORY - 1, 40):
        for name, values in vars(people.sessions(day)).items():
            assert np.array_equal(values, getattr(later.sessions(day), name)), name


def test_nobody_buys_twice_and_lags_end(people: People) -> None:
    """A person buys at most once, at most 29 days after the first visit; some of all lags occur."""
    sampled = [people.sessions(day) for day in range(HISTORY)]
    buyers = np.concatenate([s.person[s.is_purchase] for s in sampled])
    lags = np.concatenate([s.lag[s.is_purchase] for s in sampled])
    assert len(np.unique(buyers)) == len(buyers) > 300
    assert 0 == lags.min() < 14 < lags.max() < MAX_LAG_DAYS


def test_the_world_has_what_makes_stitching_hard(people: People) -> None:
    """Cookie resets, shared devices, bots with one cookie and many sessions, and people who refuse consent."""
    sampled = [people.sessions(day) for day in range(40, HISTORY)]
    frame = pl.concat([pl.DataFrame({"person": s.person, "cookie": s.cookie, "ok": s.analytics_consent}) for s in sampled])
    humans = frame.filter(pl.col("person") >= 0)
    assert humans.group_by("person").agg(pl.col("cookie").n_unique()).filter(pl.col("cookie") > 1).height > 50
    assert humans.group_by("cookie").agg(pl.col("person").n_unique()).filter(pl.col("person") > 1).height > 50
    assert frame.filter(pl.col("person") < 0).group_by("cookie").len()["len"].min() > 300
    assert 0.9 < humans["ok"].mean() < 0.99  # type: ignore[operator]  # a mean of bools is a float


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 3, 9), 24), (date(2025, 11, 2), 25)])
def test_a_day_is_as_long_as_the_clock_says(day: date, hours: int) -> None:
    """Days of the property's time zone have 23 to 25 hours."""
    start, end = day_bounds(day, "America/New_York")
    assert end - start == hours * 3_600_000_000


# --- the export


@pytest.fixture
def export(tmp_path: Path) -> Ga4Export:
    return Ga4Export(market(HISTORY + 4), tmp_path, days=6)


def rows(export: Ga4Export, day: int, kind: str = "") -> int | None:
    file = export.path / f"events_{kind}{START + day * DAY:%Y%m%d}.parquet"
    return int(pq.read_metadata(file).num_rows) if file.exists() else None


def test_every_purchase_has_an_order_of_its_own(export: Ga4Export) -> None:
    """No two purchases share an order id: GA4 and the business's own events are joined on it."""
    frames = [export.events(day).events.filter(pl.col("event_name") == "purchase") for day in range(HISTORY - 30, HISTORY)]
    orders = pl.concat(frames)["transaction_id"]
    assert orders.n_unique() == len(orders) > 300


@pytest.mark.slow
def test_files_come_grow_and_go_as_googles_do(export: Ga4Export) -> None:
    """Yesterday is intraday, the day before has both tables, a daily table gains rows for three days and then is final."""
    seen = {}
    for morning_of in range(HISTORY, HISTORY + 5):
        export.write(morning(morning_of))
        seen[morning_of] = {d: (rows(export, d), rows(export, d, "intraday_")) for d in range(HISTORY - 6, morning_of)}
    for morning_of, files in seen.items():
        for day, (daily, intraday) in files.items():
            age = morning_of - day
            assert (daily is None, intraday is None) == (age < 2, age > 2), (morning_of, day)
    day = HISTORY - 1
    sizes = [seen[HISTORY + n][day][0] for n in range(1, 5)]
    assert sizes[0] is not None
    assert sizes[0] < sizes[1] < sizes[2] == sizes[3]  # type: ignore[operator]  # all are numbers, as seen above
    late = [e.height for e in (export.events(day).events.filter(pl.col("late") == n) for n in range(len(LATE_SHARE)))]
    twice = sizes[3] - sum(late)  # type: ignore[operator]
    assert 0 < twice < 0.005 * sum(late)


def test_writing_again_writes_the_same(export: Ga4Export) -> None:
    """A second start on the same morning leaves the same files, byte for byte."""
    export.write(morning(HISTORY))
    before = {file.name: file.read_bytes() for file in export.path.iterdir()}
    Ga4Export(export.market, export.folder, days=6).write(morning(HISTORY))
    assert before == {file.name: file.read_bytes() for file in export.path.iterdir()}
    assert {oct(file.stat().st_mode & 0o777) for file in export.path.iterdir()} == {"0o600"}


def test_the_tables_have_googles_shape(export: Ga4Export) -> None:
    """Names, nesting and types of the columns are those of Google's schema; one purchase carries its order in three places."""
    export.write(morning(HISTORY))
    file = export.path / f"events_{START + (HISTORY - 3) * DAY:%Y%m%d}.parquet"
    kinds = dict(duckdb.sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet('{file}'))").fetchall())
    value = "STRUCT(string_value VARCHAR, int_value BIGINT, float_value DOUBLE, double_value DOUBLE)"
    assert kinds["event_params"] == f'STRUCT("key" VARCHAR, "value" {value})[]'
    assert (kinds["event_date"], kinds["event_timestamp"], kinds["batch_event_index"]) == ("VARCHAR", "BIGINT", "BIGINT")
    assert {"user_first_touch_timestamp", "event_bundle_sequence_id", "session_traffic_source_last_click", "items"} <= set(kinds)
    order = duckdb.sql(
        "SELECT ecommerce.transaction_id, list_filter(event_params, lambda p: p.key = 'transaction_id')[1].value.string_value, "
        "ecommerce.purchase_revenue, list_filter(event_params, lambda p: p.key = 'value')[1].value.double_value, items[1].price "
        f"FROM read_parquet('{file}') WHERE event_name = 'purchase'"
    ).fetchall()
    assert order
    assert all(a == b and x == y == z for a, b, x, y, z in order)
