"""A business with accounts in dollars and euros goes from its platform to a model in the currency of its outcomes."""

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.lab.process import sandbox_process

DAYS = 40 * 7


def job(env: dict[str, str], today: date, *command: str) -> tuple[int, str]:
    """Exit code of a job of its own process, and what it said."""
    run = "import sys; from tasks.cli import main; main(sys.argv[1:])"
    line = [sys.executable, "-c", run, *command, "--run-date", str(today)]
    done = subprocess.run(line, env=os.environ | env, capture_output=True, text=True, timeout=1200, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_accounts_in_two_currencies_become_one_model(tmp_path: Path) -> None:
    """Without rates the fit stops and says what to run; with them it counts in dollars, and no account's spend is lost."""
    with sandbox_process(state_dir=tmp_path / "sandbox", world="three_accounts", history_days=DAYS) as sandbox:
        today = date.fromisoformat(sandbox.endpoint["today"])
        env = sandbox.env | {
            "AELP2_DUCKDB_PATH": str(tmp_path / "w.duckdb"),
            "AELP2_NAME_SALT_FILE": str(tmp_path / "salt"),
            "AELP2_NOW": f"{today}T06:00:00+00:00",
        }
        for command in (("ingest-ads", "--history-days", str(DAYS)), ("ingest-outcomes",)):
            code, said = job(env, today, *command)
            assert code == 0, said
        fit = ("fit-mmm", "--model", "bootstrap_loglog", "--draws", "200")
        code, said = job(env, today, *fit)
        assert code == 1, said
        assert "no rate from EUR to USD for" in said
        assert "run `aelp2 ingest-fx`" in said

        code, said = job(env, today, "ingest-fx")
        assert code == 0, said
        assert "(EUR to USD, " in said
        code, said = job(env, today, *fit)
        assert code == 0, said

    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    (run,) = warehouse.query("SELECT currency_code, channels, left_out_channels FROM models.mmm_runs").rows()
    assert run == ("USD", ["DEMAND_GEN", "PMAX", "SEARCH_BRAND", "SEARCH_NONBRAND", "YOUTUBE"], [])
    joined = (
        "SELECT own.currency_code, SUM(spend.cost_micros) AS spent, SUM(own.cost_micros) AS own_spent "
        "FROM ads.business_spend_daily AS spend JOIN ads.ads_campaign_performance AS own "
        "ON own.account_id = spend.account_id AND own.campaign_id = spend.campaign_id AND own.date = spend.date "
        "GROUP BY own.currency_code"
    )
    spend = {currency: (spent, own) for currency, spent, own in warehouse.query(joined).rows()}
    assert spend["USD"][0] == spend["USD"][1]
    assert 1.0 < spend["EUR"][0] / spend["EUR"][1] < 1.2
    week = today - timedelta(days=today.weekday() + 7)
    # DEMAND_GEN is bought in euros alone: the model's week is the sum of its days, each by its own rate.
    (exact,) = warehouse.query(
        "SELECT SUM(CAST(ROUND(own.cost_micros * fx.rate) AS INT64)) AS c FROM ads.ads_campaign_performance AS own "
        "JOIN ads.fx_rates_daily AS fx ON fx.date = own.date AND fx.currency_code = 'EUR' "
        "WHERE own.channel = 'DEMAND_GEN' AND own.date >= @start_date AND own.date < @end_date",
        {"start_date": week, "end_date": week + timedelta(days=7)},
    )["c"]
    media = warehouse.query_file(
        "models/mmm_media_weekly/query.sql",
        {"source": "platforms", "start_date": week, "run_date": today, "remarketing_campaign_ids": []},
    )
    assert media.filter(media["channel"] == "DEMAND_GEN")["spend_micros"].to_list() == [exact]
    assert set(media["currency_code"]) == {"USD"}
