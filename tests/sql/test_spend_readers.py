"""Whoever adds spend of several accounts adds it in one currency, or shows two and is refused."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
D1 = date(2026, 2, 27)
ROW = {
    "channel": "SEARCH", "is_brand": False, "campaign_status": "ENABLED", "impressions": 10, "clicks": 1, "conversions": 1.0,
    "revenue_micros": 0, "timezone": "UTC", "attribution_window": "30d_click", "loaded_at": NOW, "account_id": "1", "date": D1,
    "campaign_id": "1", "platform": "google_ads", "currency_code": "USD", "cost_micros": 1,
}  # fmt: skip


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


def put(warehouse: DuckDBWarehouse, table: str, *rows: dict[str, Any]) -> None:
    warehouse.merge(table, pl.DataFrame(list(rows), schema=load_contract(table).polars_schema()))


def spend(warehouse: DuckDBWarehouse, *rows: dict[str, Any]) -> None:
    put(warehouse, "ads.ads_campaign_performance", *(ROW | row for row in rows))


def rate(warehouse: DuckDBWarehouse, day: date, currency: str, value: float, into: str = "USD") -> None:
    row = {"date": day, "currency_code": currency, "rate": value, "reporting_currency_code": into, "quoted_date": day}
    put(warehouse, "ads.fx_rates_daily", row | {"loaded_at": NOW})


def outcome(warehouse: DuckDBWarehouse, currency: str, day: date = D1) -> None:
    row = {"source": "crm", "geo": "national", "period_start_date": day, "period_days": 1, "new_customers": 1.0, "loaded_at": NOW}
    put(warehouse, "ads.business_outcomes", row | {"currency_code": currency})


WINDOW = {"start_date": D1, "run_date": date(2026, 3, 2)}
DAYS = {"start_date": D1, "end_date": date(2026, 3, 2)}


def _adders(warehouse: DuckDBWarehouse) -> dict[str, list[tuple[Any, ...]]]:
    """What each query that adds spend of several accounts makes of a day."""
    watched = warehouse.query_file("control/canary_watch/days.sql", DAYS | {"platform": "google_ads", "account_id": "1"})
    mix = warehouse.query_file("control/metrics_channel_spend/query.sql", DAYS | {"remarketing_campaign_ids": []})
    plan = DAYS | {"period_days": 7, "remarketing_campaign_ids": []}
    return {
        "fidelity": warehouse.query_file("control/fidelity_daily/query.sql", WINDOW)["cost_micros", "currencies"].rows(),
        "report": warehouse.query_file("ads/report_daily/query.sql", WINDOW)["cost_micros", "currencies"].rows(),
        "mix": sorted(mix["spend_micros", "currency_code"].rows()),
        "plan": sorted(
            warehouse.query_file("control/plan_channel_spend/query.sql", plan)["spend_micros", "currency_code"].rows()
        ),
        "watch": sorted(watched.filter(pl.col("scope") == "business")["cost_micros", "currency_code"].rows()),
    }


def test_whoever_adds_spend_adds_it_in_one_currency_or_shows_two(warehouse: DuckDBWarehouse) -> None:
    """100 dollars and 100 euros are 220 dollars; without the rate each adder shows a second currency, and is refused."""
    outcome(warehouse, "USD")
    spend(
        warehouse,
        {"campaign_id": "a", "cost_micros": 100},
        {"campaign_id": "b", "cost_micros": 100, "currency_code": "EUR", "account_id": "2", "platform": "meta"},
    )
    apart = [(100, "EUR"), (100, "USD")]
    assert _adders(warehouse) == {"fidelity": [(200, 2)], "report": [(200, 2)], "mix": apart, "plan": apart, "watch": apart}
    rate(warehouse, D1, "EUR", 1.2)
    rate(warehouse, D1, "USD", 1.0)
    assert _adders(warehouse) == {
        "fidelity": [(220, 1)], "report": [(220, 1)], "mix": [(220, "USD")], "plan": [(100, "USD"), (120, "USD")],
        "watch": [(220, "USD")],
    }  # fmt: skip
