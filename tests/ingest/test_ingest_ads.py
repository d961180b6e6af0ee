"""ingest-ads end to end: the real command, the real client, the real protocol, with faults switched on."""

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from tasks.core.contracts import load_contract
from tasks.lab.process import RunningSandbox

pytestmark = pytest.mark.slow


def table(jobs, name: str) -> pl.DataFrame:
    frame = jobs.warehouse.query(f"SELECT * FROM {name}")
    keys = load_contract(name).grain
    return frame.drop("loaded_at").sort(keys)


def recent(jobs, days: int) -> float:
    query = "SELECT SUM(conversions) AS c FROM ads.ads_campaign_performance WHERE date >= DATE_SUB(@today, INTERVAL {} DAY)"
    return float(jobs.warehouse.query(query.format(days), {"today": jobs.today})["c"][0])


def test_history_then_window_then_nothing_new(jobs) -> None:
    """The first run loads all 400 days, the second the last 30, and the row counts do not move."""
    first = jobs.run("ingest-ads", "--history-days", "400")
    assert (first.code, "first load" in first.out) == (0, True), first.err
    before, frame = jobs.counts(), table(jobs, "ads.ads_campaign_performance")
    criteria = table(jobs, "ads.ads_criterion_performance")
    second = jobs.run("ingest-ads")
    assert (second.code, "restatement window of 30 days" in second.out) == (0, True), second.err
    assert jobs.counts() == before
    assert table(jobs, "ads.ads_campaign_performance").equals(frame)
    assert table(jobs, "ads.ads_criterion_performance").equals(criteria)
    assert criteria["date"].n_unique() == frame["date"].n_unique() == 400
    assert before["campaign_budgets"] == 10


def test_no_clear_name_or_address_is_stored_or_logged(jobs) -> None:
    """M14: campaign names, account names, e-mail addresses and tokens are in no table, log, error or XCom."""
    xcom = jobs.folder / "xcom.json"
    jobs.env["AELP2_XCOM_FILE"] = str(xcom)
    done = jobs.run("ingest-ads", "--days", "30", "--history-days", "60")
    jobs.sandbox.admin.fault("auth")
    failed = jobs.run("ingest-ads")
    everything = done.out + done.err + failed.out + failed.err + xcom.read_text()
    names = ("ads_campaign_performance", "ads_ad_performance", "ads_criterion_performance", "campaign_budgets")
    for name in (*names, "ads_change_events", "ads_accounts"):
        everything += str(jobs.warehouse.query(f"SELECT * FROM ads.{name}").write_ndjson())
    config = yaml.safe_load(Path(jobs.sandbox.env["AELP2_GOOGLE_ADS_CONFIG"]).read_text())
    token = config["developer_token"]
    found = [
        clear
        for clear in ("NonBrand", "Acme", "keyword generic", "Audience Reach", "@example.test", "ya29.", token)
        if clear in everything
    ]
    assert (found, json.loads(xcom.read_text())["failed_accounts"]) == ([], [])


def test_one_broken_account_of_three(three: RunningSandbox, jobs_on) -> None:
    """Two land, the third is named with its code, request id and remedy, and the exit code asks for a person."""
    jobs = jobs_on(three)
    three.admin.fault("account_disabled", customer_id="2000000012", times=None)
    try:
        got = jobs.run("ingest-ads", "--history-days", "60")
        assert got.code == 1
        assert "1 of 3 accounts failed, the other 2 landed. 2000000012: FAILED" in got.err
        assert "CUSTOMER_NOT_ENABLED" in got.err
        assert "leave it out of --account" in got.err
        rows = jobs.warehouse.query("SELECT account_id, status, error FROM control.ingest_runs ORDER BY account_id").rows()
        assert [row[:2] for row in rows] == [
            ("2000000011", "succeeded"),
            ("2000000012", "failed"),
            ("2000000013", "succeeded"),
        ]
        assert "request id sbx" in rows[1][2]
        landed = table(jobs, "ads.ads_campaign_performance").group_by("account_id", "currency_code").len().sort("account_id")
        assert landed.select("account_id", "currency_code").rows() == [("2000000011", "USD"), ("2000000013", "EUR")]
    finally:
        three.admin.clear_faults()
    assert jobs.run("ingest-ads", "--history-days", "60").code == 0
    assert table(jobs, "ads.ads_campaign_performance")["account_id"].n_unique() == 3


def test_a_quota_error_is_waited_out(jobs) -> None:
    """Told to wait 3 s, the job takes at least 3 s longer than its first call and lands."""
    jobs.sandbox.admin.fault("quota", retry_delay_seconds=3, resource="campaign")
    started = time.monotonic()
    got = jobs.run("ingest-ads", "--history-days", "60")
    assert (got.code, time.monotonic() - started > 3, "seconds=3" in got.err) == (0, True, True), got.err


def test_a_quota_error_for_hours_ends_as_try_again(jobs) -> None:
    """Exit code 75 and the time to come back; the run is on record as failed."""
    jobs.sandbox.admin.fault("quota", retry_delay_seconds=40_591, resource="campaign")
    got = jobs.run("ingest-ads", "--history-days", "60")
    assert (got.code, "the platform asks to wait 40591 s" in got.err) == (75, True), got.err
    assert jobs.warehouse.query("SELECT status FROM control.ingest_runs")["status"].to_list() == ["failed"]


def test_a_page_that_comes_twice_is_counted_once(jobs) -> None:
    """The totals are those of an undisturbed run and the duplicates are on record."""
    jobs.run("ingest-ads", "--history-days", "60")
    whole = table(jobs, "ads.ads_ad_performance")
    jobs.sandbox.admin.fault("duplicate_page", resource="ad_group_ad")
    got = jobs.run("ingest-ads")
    runs = jobs.warehouse.query("SELECT duplicates FROM control.ingest_runs")
    assert (got.code, runs["duplicates"][0] > 0) == (0, True)
    assert table(jobs, "ads.ads_ad_performance").equals(whole)


def test_a_stream_that_breaks_is_read_again(jobs) -> None:
    """UNAVAILABLE after the first batch: nothing is half there, nothing twice."""
    jobs.run("ingest-ads", "--history-days", "60")
    whole = table(jobs, "ads.ads_campaign_performance")
    jobs.sandbox.admin.fault("broken_stream", resource="campaign")
    assert jobs.run("ingest-ads").code == 0
    assert table(jobs, "ads.ads_campaign_performance").equals(whole)


def test_a_sunset_version_stops_with_the_remedy(jobs) -> None:
    """The message names the constant; nothing is written."""
    jobs.sandbox.admin.fault("sunset_version", times=None)
    got = jobs.run("ingest-ads")
    assert (got.code, "set API_VERSION in tasks/platforms/google_ads/version.py" in got.err) == (1, True), got.err
    assert set(jobs.counts().values()) == {0}


def test_a_killed_backfill_goes_on_and_ends_the_same(jobs, tmp_path) -> None:
    """kill -9 after the first of several chunks: the re-run loads only the rest, and the tables equal an undisturbed run's."""
    line, env = jobs.arguments("ingest-ads", "--history-days", "400")
    jobs.sandbox.admin.fault("delay", seconds=250, times=None, skip=1, resource="ad_group_ad", method="search_stream")
    process = subprocess.Popen(line, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for text in process.stderr:
        if "chunk landed" in text:
            break
    process.kill()
    process.wait()
    process.stderr.close()
    jobs.sandbox.admin.clear_faults()
    cut = jobs.warehouse.query("SELECT status, end_date FROM control.ingest_runs").row(0)
    assert cut[0] == "running"
    resumed = jobs.run("ingest-ads")
    assert (resumed.code, f"nothing after {cut[1]} has landed yet" in resumed.out) == (0, True), resumed.err
    got = {name: table(jobs, name) for name in ("ads.ads_campaign_performance", "ads.ads_conversion_action_stats")}
    jobs.env["AELP2_DUCKDB_PATH"] = str(tmp_path / "undisturbed.duckdb")
    assert jobs.run("ingest-ads", "--history-days", "400").code == 0
    for name, frame in got.items():
        assert frame.equals(table(jobs, name)), name


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, jobs_on) -> Iterator[object]:
    """A sandbox of this test alone: restated history stays restated."""
    from tasks.lab.process import sandbox_process

    with sandbox_process(state_dir=tmp_path_factory.mktemp("own"), history_days=60) as sandbox:
        yield jobs_on(sandbox)


def test_restated_conversions_after_10_days(own) -> None:
    """Ten days pass and conversions are restated: 30 days are replaced as a fresh load has them, older ones stay untouched; so
    are the days of keywords and audiences."""
    names = ("ads.ads_campaign_performance", "ads.ads_criterion_performance")
    own.run("ingest-ads", "--history-days", "60")
    old = {name: table(own, name) for name in names}
    own.sandbox.admin.advance(10)
    own.sandbox.admin.fault("restate", days=15, factor=1.5)
    before = recent(own, 15)
    assert own.run("ingest-ads").code == 0
    kept = {name: table(own, name) for name in names}
    assert recent(own, 15) > before * 1.2
    is_old = pl.col("date") < own.today - timedelta(days=30)
    for name in names:
        assert kept[name]["date"].n_unique() == 70
        assert kept[name].filter(is_old).equals(old[name].filter(is_old))
    own.env["AELP2_DUCKDB_PATH"] = str(own.folder / "fresh.duckdb")
    own.run("ingest-ads", "--history-days", "30")
    for name in names:
        assert kept[name].filter(~is_old).equals(table(own, name))
