"""estimate-maturity on a warehouse: click and conversion days, curves per source, and the corrected total of recent days."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.errors import NothingToDo
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.measure.maturity_inputs import BUCKETS, bucket_triangle
from tasks.measure.maturity_job import MaturityJob

RUN = date(2026, 3, 1)
DAY = timedelta(days=1)
LAG_SHARES = np.array([0.5, 0.2, 0.1, 0.08, 0.06, 0.04, 0.02])


def row(day: date, user: str, name: str, number: int, **changes: Any) -> dict[str, Any]:
    at = datetime.combine(day, datetime.min.time(), tzinfo=UTC) + timedelta(hours=10, seconds=number)
    base = {
        "property_id": "1", "event_date": day, "event_id": f"{user}-{name}-{number}", "event_at": at, "event_name": name,
        "user_pseudo_id": user, "session_id": "1", "is_session_engaged": True, "engagement_seconds": 0.0,
        "is_ads_consented": True, "is_analytics_consented": True, "is_intraday": False, "loaded_at": at,
    }  # fmt: skip
    return base | changes


def events(days: int, a_day: int, seed: int = 1) -> tuple[list[dict[str, Any]], dict[date, int]]:
    """A click and a later purchase of each person, up to the day before RUN; and the true totals by click day."""
    rng = np.random.default_rng(seed)
    found, totals = [], {}
    for age in range(1, days + 1):
        day = RUN - age * DAY
        totals[day] = int(rng.poisson(a_day))
        for n, lag in enumerate(rng.choice(len(LAG_SHARES), totals[day], p=LAG_SHARES)):
            user = f"{day}-{n}"
            found.append(row(day, user, "session_start", 0, source="google", medium="cpc", gclid=f"G{user}"))
            if day + int(lag) * DAY < RUN:
                bought = {
                    "value_micros": 10_000_000,
                    "currency_code": "USD",
                    "transaction_id_hash": hashlib.sha256(user.encode()).hexdigest(),
                }
                found += [row(day + int(lag) * DAY, user, "purchase", n, **bought) for n in (1, 2)]  # sent twice: one order
    return found, totals


def store(tmp_path: Path, rows: list[dict[str, Any]]) -> DuckDBWarehouse:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    warehouse.append("ga4.ga4_events", pl.DataFrame(rows, schema=load_contract("ga4.ga4_events").polars_schema()))
    return warehouse


def test_recent_click_days_are_corrected_and_both_days_are_kept(tmp_path: Path) -> None:
    """Sums of matured_conversions over conversion days hold the true total of young click days; old ones stay as seen."""
    rows, totals = events(60, 40)
    warehouse = store(tmp_path, rows)
    MaturityJob(warehouse, RUN, 60, "purchase", 1).run()
    curve = warehouse.query(
        "SELECT lag_days, share_mean FROM ga4.conversion_maturity WHERE channel_group = 'all' ORDER BY lag_days"
    )
    assert curve.height == 30
    assert np.abs(curve["share_mean"].to_numpy()[:7] - np.cumsum(LAG_SHARES)).max() < 0.03
    columns = "click_date, SUM(conversions) AS seen, SUM(matured_conversions) AS total, SUM(matured_conversions_p05) AS low, "
    sql = f"SELECT {columns} SUM(matured_conversions_p95) AS high FROM ga4.ga4_lagged_daily GROUP BY click_date"
    days = {r["click_date"]: r for r in warehouse.query(sql).to_dicts()}
    assert all(days[d]["total"] == days[d]["seen"] == n for d, n in totals.items() if (RUN - d).days > 30)
    young = [days[RUN - age * DAY] | {"true": totals[RUN - age * DAY]} for age in range(1, 6)]
    assert sum(r["seen"] for r in young) < 0.9 * sum(r["true"] for r in young)
    assert abs(sum(r["total"] for r in young) / sum(r["true"] for r in young) - 1) < 0.12
    assert sum(r["low"] - 1 <= r["true"] <= r["high"] + 1 for r in young) >= 4
    lags = warehouse.query("SELECT click_date, conversion_date, lag_days, is_expected FROM ga4.ga4_lagged_daily").to_dicts()
    assert all((r["conversion_date"] - r["click_date"]).days == r["lag_days"] for r in lags)
    assert {r["conversion_date"] for r in lags if r["is_expected"]} == {RUN}


def test_running_twice_changes_nothing(tmp_path: Path) -> None:
    """The draws are seeded by what they are for, so a second run writes the same numbers."""
    warehouse = store(tmp_path, events(40, 10)[0])
    columns = "channel_group, click_date, conversion_date, matured_conversions, matured_conversions_p95, matured_value_micros"
    sql = f"SELECT {columns} FROM ga4.ga4_lagged_daily ORDER BY channel_group, click_date, conversion_date"
    found = []
    for _ in range(2):
        MaturityJob(warehouse, RUN, 60, "purchase", 1).run()
        found.append(warehouse.query(sql))
    assert found[0].height > 100
    assert found[0].equals(found[1])


def test_a_conversion_without_a_visit_of_known_source_is_direct(tmp_path: Path) -> None:
    """Its click day is that of the conversion, and it teaches the curve nothing; a visit 30 days ago is too long ago."""
    old = [row(RUN - 40 * DAY, "a", "session_start", 0, source="news", medium="email"), row(RUN - 10 * DAY, "a", "purchase", 1)]
    warehouse = store(tmp_path, [*old, row(RUN - 5 * DAY, "b", "purchase", 1)])
    MaturityJob(warehouse, RUN, 60, "purchase", 1).run()
    found = warehouse.query(
        "SELECT channel_group, click_date, lag_days, conversions FROM ga4.ga4_lagged_daily ORDER BY click_date"
    ).rows()
    assert found == [("Direct", RUN - 10 * DAY, 0, 1.0), ("Direct", RUN - 5 * DAY, 0, 1.0)]
    assert warehouse.query("SELECT COUNT(*) AS n FROM ga4.conversion_maturity")["n"][0] == 0


def test_the_platforms_buckets_give_a_curve_by_day(tmp_path: Path) -> None:
    """Click days loaded 30 days later show all buckets; the wide ones are spread evenly over their days."""
    schema = load_contract("ads.ads_conversion_action_stats").polars_schema()
    rows = []
    for age in range(1, 60):
        day, loaded = RUN - age * DAY, min(RUN, RUN - age * DAY + 30 * DAY)
        for bucket, (_, last) in BUCKETS.items():
            if (loaded - day).days - 1 >= last:
                amount = {"LESS_THAN_ONE_DAY": 6.0, "TWENTY_ONE_TO_THIRTY_DAYS": 4.5}.get(bucket, 0.0)
                base = ("google_ads", "1", day, "9", "77", "PURCHASE", bucket, amount, 0, "USD")
                rows.append((*base, datetime.combine(loaded, datetime.min.time(), tzinfo=UTC)))
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    warehouse.append("ads.ads_conversion_action_stats", pl.DataFrame(rows, schema=schema, orient="row"))
    MaturityJob(warehouse, RUN, 60, "purchase", 1).run()
    columns = "source, conversion_action_id, share_mean"
    sql = f"SELECT {columns} FROM ga4.conversion_maturity WHERE lag_days IN (0, 20, 24, 29) ORDER BY lag_days"
    found = warehouse.query(sql).rows()
    assert {r[:2] for r in found} == {("google_ads", "77")}
    assert [r[2] for r in found] == pytest.approx([6 / 10.5, 6 / 10.5, (6 + 4.5 * 4 / 9) / 10.5, 1.0], abs=0.02)


def test_a_bucket_counts_once_all_its_days_have_passed() -> None:
    """A click day loaded on its 21st day has seen lags up to 20 and nothing of the last bucket."""
    at = datetime(2026, 2, 22, 6, tzinfo=UTC)
    frame = pl.DataFrame(
        {"click_date": [date(2026, 2, 1)], "lag_bucket": ["LESS_THAN_ONE_DAY"], "conversions": [1.0], "loaded_at": [at]}
    )
    triangle = bucket_triangle(frame)
    assert triangle.last_days[triangle.ages[0]] == 20


def test_without_any_conversion_there_is_nothing_to_do(tmp_path: Path) -> None:
    """Exit code 99, and the message says which jobs come first."""
    with pytest.raises(NothingToDo, match="run ingest-ga4 and ingest-ads first"):
        MaturityJob(DuckDBWarehouse(tmp_path / "w.duckdb"), RUN, 60, "purchase", 1).run()
