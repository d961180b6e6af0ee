"""Days of spend and new customers around a canary, for the tests of its watch."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import polars as pl
from act_world import ACCOUNT, MICROS, NOW, RUN_DATE, World

from tasks.act.stored import StoredSet
from tasks.core.contracts import load_contract

SPEND = {"b1": 380, "b2": 290, "b3": 190, "b4": 90}


def canary(world: World) -> StoredSet:
    """The usual set, applied and verified on RUN_DATE."""
    stored = world.ready()
    world.apply(stored)
    world.verify(stored)
    return stored


def deliver(
    world: World, days: Iterable[date], spend: dict[str, int] | None = None, account_id: str = ACCOUNT, **facts: Any
) -> None:
    """Spend in whole currency units per budget on each of ``days``; loading a day again replaces it."""
    table = "ads.ads_campaign_performance"
    rows = [
        {
            "platform": "google_ads",
            "account_id": account_id,
            "date": day,
            "campaign_id": f"{account_id}-{budget}",
            "channel": "SEARCH_NONBRAND",
            "is_brand": False,
            "campaign_status": "ENABLED",
            "budget_id": budget,
            "impressions": 1000,
            "clicks": 100,
            "cost_micros": units * MICROS,
            "conversions": 10.0,
            "revenue_micros": 0,
            "currency_code": "USD",
            "timezone": "America/New_York",
            "attribution_window": "30d_click",
            "loaded_at": NOW,
        }
        | facts
        for day in days
        for budget, units in (SPEND if spend is None else spend).items()
    ]
    world.warehouse.merge(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))


def count(world: World, days: Iterable[date], customers: float | None, **facts: Any) -> None:
    """New customers by the business's own count on each of ``days``; a day again replaces it."""
    table = "ads.business_outcomes"
    rows = [
        {
            "source": "crm",
            "geo": "national",
            "period_start_date": day,
            "period_days": 1,
            "new_customers": customers,
            "currency_code": "USD",
            "loaded_at": NOW,
        }
        | facts
        for day in days
    ]
    world.warehouse.merge(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))


def span(first: int, last: int) -> list[date]:
    """Days ``first`` to ``last``, both included, counted from RUN_DATE."""
    return [RUN_DATE + timedelta(days=n) for n in range(first, last + 1)]
