"""The gates behind ingest-ga4 and estimate-maturity: a healthy world passes, each defect trips the check named for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.quality.checks_file import load_checks
from tasks.quality.gates import GATES, window
from tasks.quality.table_checks import TableGate

RUN = date(2026, 3, 2)
DAY = timedelta(days=1)
NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
EVENTS, DAILY, CURVES, LAGGED = "ga4.ga4_events", "ga4.ga4_daily", "ga4.conversion_maturity", "ga4.ga4_lagged_daily"
RUNS = "control.ingest_runs"
World = dict[str, list[dict[str, Any]]]


def event(age: int, n: int, **changes: Any) -> dict[str, Any]:
    day = RUN - age * DAY
    base = {
        "property_id": "1", "event_date": day, "event_id": f"{age}-{n}",
        "event_at": datetime.combine(day, NOW.time(), tzinfo=UTC),
        "event_name": "purchase", "user_pseudo_id": f"u{age}-{n}", "session_id": "1", "is_session_engaged": True,
        "engagement_seconds": 0.0, "value_micros": 5, "currency_code": "USD", "is_ads_consented": True,
        "is_analytics_consented": True, "is_intraday": age == 1, "loaded_at": NOW,
    }  # fmt: skip
    return base | changes


def healthy() -> World:
    """Ten days of ten purchases, what follows from them, and the run that loaded them."""
    ages, stamp = range(1, 11), {"loaded_at": NOW}
    daily = {
        "property_id": "1", "channel_group": "Paid Search", "source": "google", "medium": "cpc", "sessions": 10,
        "engaged_sessions": 10, "visitors": 10, "new_visitors": 5, "conversions": 10.0, "value_micros": 50,
        "currency_code": "USD",
    }  # fmt: skip
    curve = {
        "run_date": RUN, "source": "ga4", "account_id": "1", "conversion_action_id": "purchase", "channel_group": "all",
        "share_p05": 0.4, "share_p95": 0.6, "conversions": 100.0, "cohorts": 10, "dispersion": 1.0,
    }  # fmt: skip
    lagged = {
        "property_id": "1", "conversion_action_id": "purchase", "channel_group": "Paid Search", "lag_days": 0,
        "conversions": 10.0,
        "value_micros": 50, "matured_conversions": 10.0, "matured_conversions_p05": 10.0, "matured_conversions_p95": 10.0,
        "matured_value_micros": 50, "currency_code": "USD", "run_date": RUN, "is_expected": False,
    }  # fmt: skip
    expected = {"click_date": RUN - DAY, "conversion_date": RUN, "lag_days": 1, "is_expected": True}
    run = {
        "platform": "ga4", "account_id": "1", "run_date": RUN, "start_date": RUN - 10 * DAY, "end_date": RUN - DAY,
        "status": "succeeded", "rows_read": 101, "rows": 100, "duplicates": 1, "quarantined": 0, "forgotten": 0,
        "api_version": "bigquery_export", "finished_at": NOW,
    }  # fmt: skip
    return {
        EVENTS: [event(age, n) for age in ages for n in range(10)],
        DAILY: [daily | {"date": RUN - age * DAY, "is_intraday": age == 1} | stamp for age in ages],
        CURVES: [curve | {"lag_days": lag, "share_mean": 0.5 + 0.01 * lag} | stamp for lag in range(10)],
        LAGGED: [
            *(lagged | {"click_date": RUN - age * DAY, "conversion_date": RUN - age * DAY} | stamp for age in ages),
            lagged | expected | stamp,
        ],
        RUNS: [run],
    }


def _double_counted(world: World) -> None:
    world[RUNS][0]["rows"] = 102


def _no_currency(world: World) -> None:
    world[EVENTS][3]["currency_code"] = None


def _early(world: World) -> None:
    for row in world[EVENTS]:
        if row["event_date"] == RUN - 2 * DAY:
            row["loaded_at"] = NOW - 5 * DAY


def _stays_intraday(world: World) -> None:
    world[EVENTS][-1]["is_intraday"] = True


def _refused(world: World) -> None:
    world[RUNS][0] |= {"rows": 90, "quarantined": 10}


def _half_a_day(world: World) -> None:
    world[EVENTS][:] = [r for r in world[EVENTS] if r["event_date"] != RUN - 3 * DAY or r["event_id"] in ("3-0", "3-1")]


def _daily_lost(world: World) -> None:
    del world[DAILY][4:8]


def _engaged(world: World) -> None:
    world[DAILY][0]["engaged_sessions"] = 11


def _unassigned(world: World) -> None:
    for row in world[DAILY][:3]:
        row["channel_group"] = "Unassigned"


def _share_falls(world: World) -> None:
    world[CURVES][5]["share_mean"] = 0.2


def _wide(world: World) -> None:
    world[CURVES][7]["share_p05"] = 0.1


def _crossed(world: World) -> None:
    world[LAGGED][0]["conversion_date"] -= 3 * DAY


def _uncorrected(world: World) -> None:
    del world[LAGGED][-1]


DEFECTS: list[tuple[str, str, str, Callable[[World], None]]] = [
    ("ingest-ga4", EVENTS, "counts_do_not_add_up", _double_counted),
    ("ingest-ga4", EVENTS, "value_without_currency", _no_currency),
    ("ingest-ga4", EVENTS, "day_written_before_it_was_over", _early),
    ("ingest-ga4", EVENTS, "preliminary_for_days", _stays_intraday),
    ("ingest-ga4", EVENTS, "many_quarantined", _refused),
    ("ingest-ga4", EVENTS, "rows_dropped", _half_a_day),
    ("ingest-ga4", DAILY, "conversions_differ_from_events", _daily_lost),
    ("ingest-ga4", DAILY, "engaged_above_sessions", _engaged),
    ("ingest-ga4", DAILY, "mostly_unassigned", _unassigned),
    ("estimate-maturity", CURVES, "share_falls", _share_falls),
    ("estimate-maturity", CURVES, "interval_is_wide", _wide),
    ("estimate-maturity", LAGGED, "conversion_before_click", _crossed),
    ("estimate-maturity", LAGGED, "recent_days_uncorrected", _uncorrected),
]


def failing(tmp_path: Path, world: World, job: str) -> set[tuple[str, str]]:
    """(table, check) of everything that the gate of ``job`` says against ``world``."""
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    for table, rows in world.items():
        warehouse.append(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))
    gate = GATES[job]
    results = [r for t in gate.tables for r in TableGate(warehouse, t, window(gate, RUN, "platforms")).run()]
    return {(r.table, r.check) for r in results if r.failures}


@pytest.mark.parametrize("job", ["ingest-ga4", "estimate-maturity"])
def test_a_healthy_world_passes(tmp_path: Path, job: str) -> None:
    """Nothing is said against it."""
    assert failing(tmp_path, healthy(), job) == set()


@pytest.mark.parametrize(("job", "table", "check", "break_it"), DEFECTS, ids=[d[2] for d in DEFECTS])
def test_each_defect_is_found_by_its_check(
    tmp_path: Path, job: str, table: str, check: str, break_it: Callable[[World], None]
) -> None:
    """One defect in the healthy world trips the check named for it, and only that one."""
    world = healthy()
    break_it(world)
    found = failing(tmp_path, world, job)
    assert (table, check) in found
    assert {c for t, c in found if t == table} == {check}


def test_every_check_has_a_defect_that_trips_it() -> None:
    """A check that no test can make fail would be decoration."""
    assert {(t, c) for _, t, c, _ in DEFECTS} == {(t, c.name) for t in (EVENTS, DAILY, CURVES, LAGGED) for c in load_checks(t)}
