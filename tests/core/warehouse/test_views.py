"""Views over both backends: made when they are first asked, made anew when their text changes, never written."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.warehouse import Warehouse
from tasks.core.warehouse.base import with_bases
from tasks.core.warehouse.dialect import qualified, to_duckdb

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
DAY, LATER = date(2026, 2, 27), date(2026, 2, 28)
Row = dict[str, Any]


def campaign(platform: str, currency: str, cost: int, day: date = DAY) -> Row:
    """A campaign's day; its account is named after its currency."""
    return {
        "platform": platform, "account_id": currency, "date": day, "campaign_id": f"{platform}-1", "channel": platform.upper(),
        "is_brand": False, "campaign_status": "ENABLED", "impressions": 100, "clicks": 10, "cost_micros": cost,
        "conversions": 1.0, "revenue_micros": 3 * cost, "avg_cpc_micros": cost // 10, "currency_code": currency,
        "timezone": "UTC", "attribution_window": "x", "loaded_at": NOW,
    }  # fmt: skip


def rate(currency: str, value: float, day: date = DAY, reporting: str = "USD") -> Row:
    """A row of ads.fx_rates_daily."""
    return {
        "date": day, "currency_code": currency, "reporting_currency_code": reporting, "rate": value, "quoted_date": day,
        "loaded_at": NOW,
    }  # fmt: skip


def outcome(currency: str, day: date = DAY) -> Row:
    """A day of the business, counted in ``currency``."""
    return {
        "source": "crm", "geo": "national", "period_start_date": day, "period_days": 1, "new_customers": 1.0,
        "currency_code": currency, "loaded_at": NOW,
    }  # fmt: skip


def load(warehouse: Warehouse, table: str, *rows: Row) -> None:
    schema = load_contract(table).polars_schema()
    warehouse.merge(table, pl.DataFrame(list(rows), schema={name: schema[name] for name in rows[0]}))


def test_amounts_are_in_the_reporting_currency_with_the_accounts_own_beside(warehouse: Warehouse) -> None:
    """100 euros at 1.25 are 125 dollars; dollars stay; the day without a rate keeps its row and has no converted amount."""
    load(
        warehouse,
        "ads.ads_campaign_performance",
        campaign("linkedin", "EUR", 100_000_001),
        campaign("linkedin", "EUR", 50_000_000, LATER),
        campaign("meta", "USD", 7_000_000),
    )
    load(warehouse, "ads.fx_rates_daily", rate("EUR", 1.25), rate("USD", 1.0), rate("USD", 1.0, LATER))
    found = warehouse.query(
        "SELECT platform, date, cost_micros, revenue_micros, avg_cpc_micros, currency_code, account_cost_micros, "
        "account_currency_code, clicks FROM ads.ads_campaign_daily ORDER BY platform, date"
    )
    assert found.rows() == [
        ("linkedin", DAY, 125_000_001, 375_000_004, 12_500_000, "USD", 100_000_001, "EUR", 10),
        ("linkedin", LATER, None, None, None, None, 50_000_000, "EUR", 10),
        ("meta", DAY, 7_000_000, 21_000_000, 700_000, "USD", 7_000_000, "USD", 10),
    ]


def test_spend_is_in_the_currency_of_the_outcomes(warehouse: Warehouse) -> None:
    """Outcomes in euros: dollars are divided by 1.25, euros need no rate, a dollar without one shows its own currency."""
    load(
        warehouse,
        "ads.ads_campaign_performance",
        campaign("linkedin", "EUR", 100_000_000),
        campaign("linkedin", "EUR", 100_000_000, LATER),
        campaign("meta", "USD", 50_000_000),
        campaign("meta", "USD", 50_000_000, LATER),
    )
    sql = "SELECT platform, date, cost_micros, currency_code FROM ads.business_spend_daily ORDER BY platform, date"
    own = [
        ("linkedin", DAY, 100_000_000, "EUR"), ("linkedin", LATER, 100_000_000, "EUR"),
        ("meta", DAY, 50_000_000, "USD"), ("meta", LATER, 50_000_000, "USD"),
    ]  # fmt: skip
    assert warehouse.query(sql).rows() == own  # without outcomes there is nothing to convert to
    load(warehouse, "ads.business_outcomes", outcome("EUR"), outcome("GBP", date(2024, 1, 1)))
    load(warehouse, "ads.fx_rates_daily", rate("EUR", 1.25), rate("USD", 1.0))
    assert warehouse.query(sql).rows() == [*own[:2], ("meta", DAY, 40_000_000, "EUR"), own[3]]


def test_a_platforms_view_has_its_rows_alone(warehouse: Warehouse) -> None:
    """One platform's campaigns in its own currency; the other's are in the other view."""
    load(warehouse, "ads.ads_campaign_performance", campaign("linkedin", "EUR", 5), campaign("x", "USD", 6))
    for platform, cost, currency in (("linkedin", 5, "EUR"), ("x", 6, "USD")):
        found = warehouse.query(f"SELECT platform, cost_micros, currency_code FROM ads.{platform}_campaign_daily")
        assert found.rows() == [(platform, cost, currency)]
    assert warehouse.query("SELECT ad_id FROM ads.reddit_ad_daily").is_empty()


def test_a_view_of_another_text_is_replaced(
    warehouse: Warehouse, open_one: Callable[[], Warehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next release's text counts from its first query on, also for a view that another process made."""
    load(warehouse, "ads.ads_campaign_performance", campaign("x", "USD", 6))
    sql = "SELECT cost_micros FROM ads.x_campaign_daily"
    assert warehouse.query(sql).rows() == [(6,)]
    old = load_contract("ads.x_campaign_daily")
    new = dataclasses.replace(old, view=(old.view or "").replace(" cost_micros,", " cost_micros * 2 AS cost_micros,"))
    for backend in ("duckdb", "bigquery"):
        monkeypatch.setattr(
            f"tasks.core.warehouse.{backend}.load_contract", lambda name: new if name == new.name else load_contract(name)
        )
    assert new.view != old.view
    assert open_one().query(sql).rows() == [(12,)]


def test_a_view_is_not_written(warehouse: Warehouse) -> None:
    """A write names the view and what to do, and the rows of its tables stay."""
    with pytest.raises(JobError, match=r"ads\.x_campaign_daily is a view; write the tables it reads"):
        load(warehouse, "ads.x_campaign_daily", campaign("x", "USD", 6))


def test_create_makes_a_view_and_its_tables(warehouse: Warehouse) -> None:
    """The view can be asked for by name alone, on a warehouse in which nothing is there."""
    warehouse.create("ads.business_spend_daily")
    warehouse.create("ads.business_spend_daily")
    assert warehouse.query("SELECT date FROM ads.business_spend_daily").is_empty()


def test_a_view_over_a_view_is_refused() -> None:
    """Views read tables."""
    nested = dataclasses.replace(load_contract("ads.x_ad_daily"), view="SELECT date FROM ads.x_campaign_daily")
    with pytest.raises(JobError, match=r"a view reads the view ads\.x_campaign_daily"):
        with_bases([nested])


def test_each_table_of_a_view_names_its_project() -> None:
    """Only names of tables change: neither columns, nor aliases, nor what is named so already."""
    sql = "SELECT a.date FROM ads.ads_accounts AS a JOIN ads.ads_ad_performance AS ads ON ads.date = a.date"
    assert qualified(sql.replace("a.date", "a.loaded_at"), "my-p") == (
        "SELECT a.loaded_at FROM `my-p`.ads.ads_accounts AS a JOIN `my-p`.ads.ads_ad_performance AS ads ON ads.date = a.loaded_at"
    )


_CONVERT = "SELECT CAST(ROUND(@cost * @rate) AS INT64) AS micros"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50), st.floats(0.001, 1000))
def test_converted_rows_sum_to_the_converted_sum(costs: list[int], value: float) -> None:
    """Convert then sum is sum then convert, within half a micro a row (and what 53 bits of a float leave of a large sum)."""
    import duckdb

    text = load_contract("ads.ads_campaign_daily").view or ""
    assert "CAST(ROUND(days.cost_micros * rates.rate) AS INT64) AS cost_micros" in text  # what is asked below
    sql = to_duckdb(_CONVERT, {"cost": 1, "rate": 1.0}).sql
    with duckdb.connect() as connection:
        rows = [connection.execute(sql, {"cost": cost, "rate": value}).fetchone() for cost in costs]
    converted = sum(row[0] for row in rows if row)
    exact = sum(costs) * value
    assert abs(converted - exact) <= 0.5 * len(costs) + 1e-15 * exact * len(costs)
