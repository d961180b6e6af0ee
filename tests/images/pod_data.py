"""What lies on a pod's mounted folder before the job starts: small worlds of the jobs' own tests, on the day of the manifests."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse

RUN_DATE = date(2026, 3, 2)
SEED = 11


def _world(folder: str, module: str) -> Any:
    """A module of another test folder, which keeps its world there."""
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.pop(0)


def warehouse(folder: Path) -> DuckDBWarehouse:
    """The file that the pod finds at /data/warehouse.duckdb."""
    (folder / "data").mkdir(exist_ok=True)
    return DuckDBWarehouse(folder / "data" / "warehouse.duckdb")


def put(to: DuckDBWarehouse, table: str, rows: list[dict[str, Any]]) -> None:
    """Rows of a contract table."""
    to.merge(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))


def healthy(folder: Path, *, without_last_days: int = 0) -> None:
    """Tables that pass every gate; ``without_last_days`` takes the newest days of the outcomes away, and the gate stops."""
    for table, rows in _world("quality", "gate_world").healthy_rows().items():
        late = RUN_DATE - timedelta(days=without_last_days)
        put(warehouse(folder), table, [row for row in rows if "period_start_date" not in row or row["period_start_date"] < late])


def weeks_of_spend(folder: Path, weeks: int = 60) -> None:
    """Spend of two channels, and new customers that truly follow it."""
    rows = _world("quality", "gate_world").healthy_rows()
    like = {table: rows[table][0] for table in ("ads.ads_accounts", "ads.ads_campaign_performance", "ads.business_outcomes")}
    rng = np.random.default_rng(SEED)
    spend = rng.gamma(2.0, 60.0, (weeks * 7, 2))
    carried = spend + 0.5 * np.roll(spend, 1, axis=0) + 0.25 * np.roll(spend, 2, axis=0)
    customers = 40 + (np.array([6.0, 14.0]) * np.tanh(carried / 300)).sum(axis=1) + rng.normal(0, 1, weeks * 7)
    days = [RUN_DATE - timedelta(days=back) for back in range(weeks * 7, 0, -1)]
    performance = [
        like["ads.ads_campaign_performance"]
        | {"date": day, "campaign_id": str(n), "channel": channel, "cost_micros": round(spend[t, n] * 1e6)}
        for t, day in enumerate(days)
        for n, channel in enumerate(("YOUTUBE", "SEARCH_NONBRAND"))
    ]
    outcomes = [
        like["ads.business_outcomes"] | {"period_start_date": day, "new_customers": float(customers[t])}
        for t, day in enumerate(days)
    ]
    store = warehouse(folder)
    put(store, "ads.ads_accounts", [like["ads.ads_accounts"]])
    put(store, "ads.ads_campaign_performance", performance)
    put(store, "ads.business_outcomes", outcomes)


def bandits(folder: Path) -> None:
    """Eight weeks of two ads in one group, one of them better."""
    module = _world("loop", "bandit_world")
    world = module.BanditWorld(warehouse(folder), cac={"a": [40, 80]})
    for back in range(56, 0, -1):
        world.serve(RUN_DATE - timedelta(days=back))
    world.curve(RUN_DATE)
    world.load(RUN_DATE)


def story(folder: Path) -> None:
    """A plan that was approved, applied and rolled back, for the report to tell."""
    module = _world("govern", "report_world")
    with pytest.MonkeyPatch.context() as environment:
        world = module.ReportWorld(warehouse(folder), environment)
        world.model("REVIEW")
        world.plan()
        world.decide("approved")
        world.apply()
        world.roll_back()
        world.daily()


def server_events(folder: Path) -> None:
    """A file of two events of two people, with what must not be stored as it is."""
    event = {
        "event_name": "purchase",
        "value": "12.5",
        "currency": "USD",
        "consent_ads": "granted",
        "consent_analytics": "granted",
    }
    rows = [
        event
        | {"event_id": "e-1", "event_time": "2026-03-01T10:00:00+01:00", "user_id": "customer 17", "phone": "+1 415 555 2671"},
        event
        | {"event_id": "e-2", "event_time": "2026-03-01T11:00:00+01:00", "user_id": "customer 18", "email": "jane@example.com"},
    ]
    warehouse(folder)
    (folder / "data" / "events").mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data" / "events" / "2026-03-01.ndjson").write_text(lines, encoding="utf-8")
