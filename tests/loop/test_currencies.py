"""Several platforms and two currencies through the real jobs: loads, rates, gate, model, review and plan."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from loop_world import CLI

from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.lab.market import Market
from tasks.lab.process import RunningSandbox, sandbox_process
from tasks.lab.world import load_world
from tasks.platforms import ADAPTERS

WORLD, SEED, START, DAYS = "everywhere", 7, date(2025, 8, 4), 206
LOADED = [platform for platform in ADAPTERS if platform in ("google_ads", "reddit")]
ACCOUNT = "507000001"  # on LinkedIn, billed in euros


class Desk:
    """The jobs on one warehouse, all on the morning of the sandbox's day."""

    def __init__(self, folder: Path, sandbox: RunningSandbox) -> None:
        self.warehouse = DuckDBWarehouse(folder / "w.duckdb")
        self.today = date.fromisoformat(sandbox.endpoint["today"])
        self._folder = folder
        (folder / "policy.yaml").write_text(
            yaml.safe_dump({"allowed_accounts": ["google_ads:2000000001"], "target_cac_micros": 75_000_000}), encoding="utf-8"
        )
        self._env = {k: v for k, v in os.environ.items() if not k.startswith(("AELP2_", "GRPC_"))} | sandbox.env
        self._env |= {
            "AELP2_DUCKDB_PATH": str(folder / "w.duckdb"),
            "AELP2_NAME_SALT_FILE": str(folder / "salt"),
            "AELP2_POLICY": str(folder / "policy.yaml"),
            "AELP2_NOW": f"{self.today}T06:00:00+00:00",
        }

    def run(self, *line: str) -> "subprocess.CompletedProcess[str]":
        """``aelp2 LINE --run-date TODAY``."""
        command = [str(CLI), *line, "--run-date", str(self.today)]
        return subprocess.run(command, env=self._env, cwd=self._folder, capture_output=True, text=True, timeout=1200, check=False)

    def must(self, *line: str) -> str:
        """The same; it has to end well. What it printed."""
        ran = self.run(*line)
        assert ran.returncode == 0, f"{line}: {ran.stdout}{ran.stderr}"
        return ran.stdout


def linkedin(today: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The account and its campaign's days as the market holds them, as a connector would land them: amounts in euros."""
    market = Market(load_world(WORLD), SEED, START, DAYS)
    market.run_to(DAYS)
    units = [n for n, unit in enumerate(market.layout.units) if str(unit.campaign.channel) == "LINKEDIN"]
    now = datetime(today.year, today.month, today.day, 6, tzinfo=UTC)
    about = {"platform": "linkedin", "account_id": ACCOUNT, "currency_code": "EUR", "timezone": "UTC", "loaded_at": now}
    fixed = {
        "campaign_id": "9201", "channel": "LINKEDIN", "is_brand": False, "campaign_status": "ACTIVE", "conversions": 0.0,
        "revenue_micros": 0, "attribution_window": "30d_click",
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for n, day in enumerate(market.days[:DAYS]):
        sums = {name: int(np.asarray(getattr(day, name))[units].sum()) for name in ("impressions", "clicks", "cost_micros")}
        rows.append(about | fixed | sums | {"date": market.date_of(n)})
    frames = [("ads.ads_accounts", [about | {"status": "ACTIVE"}]), ("ads.ads_campaign_performance", rows)]
    account, days = (pl.DataFrame(r, schema={k: load_contract(t).polars_schema()[k] for k in r[0]}) for t, r in frames)
    return account, days


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("currencies")
    with sandbox_process(
        state_dir=folder / "sandbox", world=WORLD, seed=SEED, start_date=START.isoformat(), history_days=DAYS
    ) as sandbox:
        made = Desk(folder, sandbox)
        for platform in LOADED:
            made.must("ingest-ads", "--platform", platform, "--history-days", str(DAYS))
        made.must("ingest-outcomes")
        account, days = linkedin(made.today)
        made.warehouse.merge("ads.ads_accounts", account)
        made.warehouse.merge("ads.ads_campaign_performance", days)
        yield made


def test_euros_and_dollars_become_one_model_and_one_plan(desk: Desk) -> None:
    """Without rates the fit names day, currency and remedy; with them LinkedIn enters in dollars and the plan moves
    Google alone; a day whose rate is lost stops the plan.
    """
    stopped = desk.run("fit-mmm")
    assert stopped.returncode == 1
    assert f"no rate from EUR to USD for {START}" in stopped.stderr
    assert f"run `aelp2 ingest-fx` --start-date {START}" in stopped.stderr
    assert f"EUR to USD, {START} to" in desk.must("ingest-fx")
    desk.must("validate-tables")
    sql = (
        "SELECT SUM(account_cost_micros) AS own, SUM(cost_micros) AS converted, SUM(account_cost_micros * fx_rate) AS exact, "
        "COUNTIF(cost_micros IS NULL) AS without, COUNT(*) AS days FROM ads.ads_campaign_daily WHERE platform = 'linkedin'"
    )
    (sums,) = desk.warehouse.query(sql).to_dicts()
    assert (sums["days"], sums["without"]) == (DAYS, 0)
    assert abs(sums["converted"] - sums["exact"]) <= DAYS / 2
    assert sums["converted"] / sums["own"] == pytest.approx(1.08, rel=0.03)

    desk.must("validate-tables", "--for", "fit-mmm")
    desk.must("fit-mmm")
    (run,) = desk.warehouse.query("SELECT run_id, channels, left_out_channels, currency_code FROM models.mmm_runs").to_dicts()
    assert run["currency_code"] == "USD"
    assert {"SEARCH_NONBRAND", "LINKEDIN", "REDDIT"} <= set(run["channels"])
    assert run["left_out_channels"] == []
    spend = desk.warehouse.query(
        "SELECT SUM(cost_micros) AS micros FROM ads.business_spend_daily WHERE channel = 'LINKEDIN' AND currency_code = 'USD'"
    )
    assert spend["micros"].to_list() == [sums["converted"]]

    reviewed = desk.run("review-mmm")
    assert "verdict PASS" in reviewed.stdout or "verdict REVIEW" in reviewed.stdout, reviewed.stdout
    lost = desk.today - timedelta(days=6)
    none = load_contract("ads.fx_rates_daily").empty_frame()
    desk.warehouse.replace_partitions("ads.fx_rates_daily", none, partitions=[lost])
    refused = desk.run("plan-budgets")
    assert refused.returncode == 3
    assert f"mixed currencies: no rate from EUR to USD for {lost}" in refused.stderr
    desk.must("ingest-fx")
    planned = desk.must("plan-budgets")
    assert "LINKEDIN, REDDIT: no budget of google_ads pays for it" in planned
    decided = desk.warehouse.query("SELECT DISTINCT platform FROM control.plan_decisions")
    assert decided["platform"].to_list() == ["google_ads"]
