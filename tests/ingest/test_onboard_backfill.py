"""A backfill that is killed goes on where it stopped, and leaves what an undisturbed one leaves."""

from pathlib import Path

import polars as pl
import pytest
from onboard_world import Onboarding

from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest import onboard_backfill

TABLES = (
    "ads.ads_accounts",
    "ads.ads_campaign_performance",
    "ads.ads_ad_performance",
    "ads.ads_action_performance",
    "ads.ads_breakdown_performance",
    "ads.ads_entities",
    "ads.ad_statuses",
)


def tables(warehouse: DuckDBWarehouse) -> dict[str, pl.DataFrame]:
    """All that was loaded, without when."""
    return {name: warehouse.query(f"SELECT * FROM {name}").drop("loaded_at").sort(load_contract(name).grain) for name in TABLES}


@pytest.mark.slow
def test_a_killed_backfill_of_400_days_goes_on_and_ends_the_same(onboarding: Onboarding) -> None:
    """kill -9 while the first account is half there: the next run takes the rest, and the tables are an undisturbed run's."""
    values = onboarding.credentials("reddit", "right")
    assert values is not None
    assert onboarding.run("reddit", env=onboarding.environment("reddit", values)).code == 0
    process = onboarding.start("reddit", "--backfill", "400")
    assert process.stderr is not None
    landed = 0
    for text in process.stderr:
        landed += "chunk landed" in text
        if landed == 2:
            break
    process.kill()
    process.communicate()
    (cut,) = onboarding.warehouse.query("SELECT account_id, status, start_date, end_date FROM control.ingest_runs").to_dicts()
    assert cut["status"] == "running"
    assert 0 < (cut["end_date"] - cut["start_date"]).days < 390
    resumed = onboarding.run("reddit", "--backfill", "400")
    assert (resumed.code, resumed.out.count("going on where it was cut off")) == (0, 1), resumed.said
    got = tables(onboarding.warehouse)
    assert got["ads.ads_campaign_performance"]["date"].n_unique() == 400
    undisturbed = onboarding.folder / "undisturbed.duckdb"
    assert onboarding.run("reddit", "--backfill", "400", env={"AELP2_DUCKDB_PATH": str(undisturbed)}).code == 0
    for name, frame in tables(DuckDBWarehouse(Path(undisturbed))).items():
        assert frame.height > 0, name
        assert got[name].equals(frame), name


def test_a_person_at_a_terminal_sees_a_bar_for_each_account(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Days of days, ended before the next account's begins; anywhere else nothing is drawn."""
    bar = onboard_backfill.Bar()
    bar("acc_1", 200, 400)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    bar("acc_1", 200, 400)
    bar("acc_1", 400, 400)
    bar("acc_2", 30, 60)
    bar.close()
    lines = capsys.readouterr().err.strip().split("\n")
    assert ["acc_1" in line and "400/400" in line for line in lines] == [True, False]
    assert "30/60" in lines[1]
