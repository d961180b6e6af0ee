"""A plan of Google's budgets beside other platforms and other currencies: counted in, left as they are."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from decide_world import DAYS, NOW, RUN_DATE, TRUTH, Advertiser, frame

from tasks.core.errors import GateStop
from tasks.core.policy import parse_policy
from tasks.core.settings import load_settings
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.decide.live_model import LiveModel, read_live_model
from tasks.decide.plan_budgets import prepare
from tasks.decide.plan_inputs import PlanInputs, read_platform_inputs
from tasks.decide.plan_writer import PlanRun

Job = Callable[..., str]


def inputs(warehouse: DuckDBWarehouse) -> tuple[LiveModel, PlanInputs]:
    model = read_live_model(warehouse, "platforms", "new_customers", RUN_DATE)
    return model, read_platform_inputs(warehouse, model, parse_policy({}, "the test"), "google_ads", RUN_DATE)


def spend(advertiser: Advertiser, platform: str, channel: str, amount: float, currency: str, days: int = DAYS) -> None:
    """Daily spend of an account of another platform."""
    about = {"platform": platform, "account_id": f"{platform}_1", "currency_code": currency, "budget_id": None}
    last = RUN_DATE - timedelta(days=1)
    rows = [advertiser._day(last - timedelta(days=n), "c1", channel, "", amount) | about for n in range(days)]
    advertiser.warehouse.merge("ads.ads_campaign_performance", frame("ads.ads_campaign_performance", rows))


def rates(warehouse: DuckDBWarehouse, value: float, currency: str = "EUR") -> None:
    common = {"currency_code": currency, "rate": value, "reporting_currency_code": "USD", "loaded_at": NOW}
    days = [RUN_DATE - timedelta(days=n) for n in range(1, DAYS + 2)]
    usd = {"currency_code": "USD", "rate": 1.0}
    rows = [common | more | {"date": day, "quoted_date": day} for day in days for more in ({}, usd)]
    warehouse.merge("ads.fx_rates_daily", frame("ads.fx_rates_daily", rows))


def rows(warehouse: DuckDBWarehouse, table: str) -> list[dict[str, Any]]:
    return warehouse.query(f"SELECT * FROM {table}").to_dicts()


Planned = Callable[..., PlanRun]


@pytest.fixture
def planned(advertiser: Advertiser, tmp_path: Path) -> Planned:
    """The plan of the day, not written."""

    def run(change_pct: float = 0.0) -> PlanRun:
        settings = load_settings({"AELP2_DUCKDB_PATH": str(tmp_path / "w.duckdb")})
        policy = parse_policy({}, "the test")
        return prepare(advertiser.warehouse, settings, policy, RUN_DATE, "platforms", "new_customers", change_pct)

    return run


@pytest.fixture
def with_meta(advertiser: Advertiser, monkeypatch: pytest.MonkeyPatch) -> Advertiser:
    """The model knows META too, which spends 1000 euros a day."""
    monkeypatch.setitem(TRUTH, "META", (300.0, 2.0, 14_000.0))
    advertiser.write()
    spend(advertiser, "meta", "META", 1000.0, "EUR")
    return advertiser


def test_spend_of_other_platforms_counts_converted(with_meta: Advertiser) -> None:
    """In the model's currency, in present spend, in what was seen, and in the blended CAC."""
    before = 3000 / 40
    rates(with_meta.warehouse, 1.2)
    model, found = inputs(with_meta.warehouse)
    position = model.curves.channels.index("META")
    assert found.spend.current[position] == pytest.approx(1200.0)
    assert found.spend.highest[position] == pytest.approx(1200.0)
    assert found.blended_cac == pytest.approx(before + 1200 / 40)


def test_spend_without_a_rate_stops_the_plan(with_meta: Advertiser, plan_job: Job) -> None:
    """Left out, it would make the blended CAC low; at par, wrong."""
    with pytest.raises(GateStop, match=r"no rate from EUR to USD for 2026-01-01, so spend has no sum: .* run `aelp2 ingest-fx`"):
        plan_job()
    assert rows(with_meta.warehouse, "control.change_sets") == []


def test_a_channel_without_budgets_keeps_its_spend(with_meta: Advertiser, planned: Planned) -> None:
    """Nothing is asked of META; Google's channels share what Google's budgets have."""
    rates(with_meta.warehouse, 1.2)
    run = planned()
    now = dict(zip(run.plan.channels, run.inputs.spend.current, strict=True))
    best = dict(zip(run.plan.channels, run.plan.optimum.spend, strict=True))
    assert best["META"] == pytest.approx(1200.0)
    assert best["YOUTUBE"] > now["YOUTUBE"] + 1
    assert sum(best.values()) == pytest.approx(4200.0)
    assert run.plan.changes
    assert {change.budget.budget_id for change in run.plan.changes} <= set(with_meta.budgets)


def test_a_change_of_the_total_is_of_what_has_budgets(with_meta: Advertiser, planned: Planned) -> None:
    """Ten per cent less of 3,000 a day, not of the 4,200 that META is part of."""
    rates(with_meta.warehouse, 1.2)
    assert planned(-10).plan.optimum.spend.sum() == pytest.approx(4200 - 300)


def test_a_stale_account_of_another_platform_stops_the_plan(advertiser: Advertiser, plan_job: Job) -> None:
    """What has not landed there would make the blended CAC low."""
    advertiser.write()
    spend(advertiser, "meta", "META", 1000.0, "USD")
    late = "ads.ads_campaign_performance"
    days = [RUN_DATE - timedelta(days=n) for n in range(1, 5)]
    own = frame(late, []).clear()
    advertiser.warehouse.replace_partitions(late, own, partitions=days, where={"platform": "meta"})
    with pytest.raises(GateStop, match=r"stale spend: account meta:meta_1 \(last day 2026-02-21\)"):
        plan_job()
