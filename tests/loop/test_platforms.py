"""Every platform through the real job into the warehouse: what lands equals what the market holds, to the micro."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta

import polars as pl
import pytest

from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.lab.market import Market
from tasks.lab.process import RunningSandbox, sandbox_process
from tasks.lab.world import load_world
from tasks.platforms import ADAPTERS

pytestmark = pytest.mark.slow
WORLD, SEED, START, DAYS = "everywhere", 11, date(2025, 3, 3), 400


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    folder = tmp_path_factory.mktemp("sandbox")
    with sandbox_process(state_dir=folder, world=WORLD, seed=SEED, start_date=START.isoformat(), history_days=DAYS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def loaded(running: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> DuckDBWarehouse:
    """All platforms, one job each, one after the other."""
    folder = tmp_path_factory.mktemp("work")
    today = running.endpoint["today"]
    env = running.env | {
        "AELP2_DUCKDB_PATH": str(folder / "warehouse.duckdb"),
        "AELP2_NAME_SALT_FILE": str(folder / "salt"),
        "AELP2_NOW": f"{today}T06:00:00+00:00",
    }
    run = "import sys; from tasks.cli import main; main(sys.argv[1:])"
    for platform in ADAPTERS:
        line = [sys.executable, "-c", run, "ingest-ads", "--run-date", today, "--platform", platform]
        done = subprocess.run(line, env={**os.environ, **env}, capture_output=True, text=True, timeout=1200, check=False)
        assert done.returncode == 0, f"{platform}: {done.stdout}{done.stderr}"
    return DuckDBWarehouse(folder / "warehouse.duckdb")


@pytest.mark.parametrize("platform", ADAPTERS)
def test_totals_equal_the_markets(platform: str, loaded: DuckDBWarehouse) -> None:
    """Impressions, clicks and cost of the whole history, by campaign; ads add up to campaigns where campaigns have ads."""
    market = Market(load_world(WORLD), SEED, START, DAYS)
    market.run_to(DAYS)
    layout = market.layout
    on_it = {c.id for a in market.world.on(platform) for c in a.campaigns}
    expected: dict[str, list[int]] = {}
    for index, unit in enumerate(layout.units):
        if unit.campaign.id in on_it:
            sums = [sum(int(getattr(d, n)[index]) for d in market.days) for n in ("impressions", "clicks", "cost_micros")]
            held = expected.setdefault(str(unit.campaign.id), [0, 0, 0])
            expected[str(unit.campaign.id)] = [a + b for a, b in zip(held, sums, strict=True)]
    for table, kept in (("ads_campaign_performance", set(expected)), ("ads_ad_performance", _with_ads(market, expected))):
        frame = loaded.query(
            f"SELECT campaign_id, CAST(SUM(impressions) AS INT64) AS impressions, CAST(SUM(clicks) AS INT64) AS clicks, "
            f"CAST(SUM(cost_micros) AS INT64) AS cost FROM ads.{table} WHERE platform = @platform GROUP BY campaign_id",
            {"platform": platform},
        )
        assert {row[0]: list(row[1:]) for row in frame.iter_rows()} == {c: expected[c] for c in kept}


def test_history_came_whole_and_nothing_was_set_aside(loaded: DuckDBWarehouse) -> None:
    """Every account has its first and its last day, and the quarantine is empty."""
    days = loaded.query(
        "SELECT platform, MIN(date) AS low, MAX(date) AS high FROM ads.ads_campaign_performance GROUP BY platform"
    )
    first, last = START, START + timedelta(days=DAYS - 1)
    assert {p: (low, high) for p, low, high in days.iter_rows()} == dict.fromkeys(ADAPTERS, (first, last))
    assert loaded.query("SELECT COUNT(*) AS n FROM control.quarantine")["n"][0] == 0
    currencies = loaded.query("SELECT DISTINCT platform, currency_code FROM ads.ads_accounts").filter(
        pl.col("platform") == "linkedin"
    )
    assert currencies["currency_code"].to_list() in (["EUR"], [])


def _with_ads(market: Market, campaigns: dict[str, list[int]]) -> set[str]:
    has = {str(unit.campaign.id) for unit in market.layout.units if unit.ad_id}
    return has & set(campaigns)
