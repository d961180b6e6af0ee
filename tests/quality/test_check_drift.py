"""check-drift writes what it found, the gate before plan-budgets stops on it, and a person can let it pass, on record."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from drift_world import ON_TIME, RUN_DATE, SHIFTS, Account
from gate_world import Row

from tasks.cli import cli
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError, NothingToDo
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.quality.drift_config import DATASETS, load_config, parse_config
from tasks.quality.drift_html import page
from tasks.quality.drift_series import ads_series, feature_series
from tasks.quality.drift_verdicts import findings
from tasks.quality.gates import GATES, PLATFORMS, GateTable, window
from tasks.quality.table_checks import CheckResult, TableGate

TABLE = GateTable("control.drift_reports", origin="platforms")
NOW = f"{RUN_DATE}T06:00:00+00:00"


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Account], DuckDBWarehouse]:
    """Load an account's days, one campaign a channel, and point the CLI at the file."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_REPORT_DIR", str(tmp_path / "reports"))
    monkeypatch.setenv("AELP2_NOW", NOW)

    def load(made: Account) -> DuckDBWarehouse:
        warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
        fixed = {
            "campaign_status": "ENABLED",
            "revenue_micros": 0,
            "currency_code": "EUR",
            "timezone": "Europe/Berlin",
            "attribution_window": "30d_click",
        }
        frame = made.daily().with_columns(
            campaign_id=pl.col("channel"),
            is_brand=pl.lit(value=False),
            loaded_at=pl.lit(NOW).str.to_datetime(time_zone="UTC"),
            **{name: pl.lit(value, dtype=pl.Int64 if isinstance(value, int) else pl.String) for name, value in fixed.items()},
        )
        schema = load_contract("ads.ads_campaign_performance").polars_schema()
        ready = frame.select(pl.col(name).cast(schema[name]) for name in schema if name in frame.columns)
        warehouse.merge("ads.ads_campaign_performance", ready)
        return warehouse

    return load


def run(*arguments: str, day: date = RUN_DATE) -> Result:
    return CliRunner().invoke(cli, ["check-drift", "--run-date", day.isoformat(), *arguments])


def gate(warehouse: DuckDBWarehouse, day: date = RUN_DATE) -> dict[str, CheckResult]:
    """The gate's checks of control.drift_reports by name."""
    results = TableGate(warehouse, TABLE, window(GATES["plan-budgets"], day, PLATFORMS)).run()
    return {result.check: result for result in results}


def test_the_gate_before_a_plan_reads_the_drift_check() -> None:
    """plan-budgets waits for control.drift_reports of the platforms; an import has none."""
    assert TABLE in GATES["plan-budgets"].tables


@pytest.mark.slow
def test_a_critical_drift_stops_the_gate_until_a_person_lets_it_pass(
    account: Callable[[Account], DuckDBWarehouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job ends well; the gate names column and remedy; after --acknowledge it opens, and who said why is on record.

    A column that turns critical later still stops, and so does the same one once the acknowledgement has run out.
    """
    warehouse = account(SHIFTS["new category"](1))
    assert gate(warehouse)["has_rows"].failures == 1
    told = run("--no-html")
    assert (told.exit_code, "critical" in told.output) == (0, True), told.output
    stopped = gate(warehouse)["critical_drift"]
    assert (stopped.severity, stopped.failures > 0) == ("critical", True)
    assert "--acknowledge platform:account" in str(stopped)
    assert "NEW is new with" in str([example["detail"] for example in stopped.examples])

    monkeypatch.setenv("AELP2_ACTOR", "maria")
    assert run("--acknowledge", "google_ads:111").exit_code == 2
    assert isinstance(run("--acknowledge", "google_ads:999", "--why", "x").exception, JobError)
    assert isinstance(run("--acknowledge", "111", "--why", "x").exception, JobError)
    word = ("--why", "the new channel is wanted", "--days", "7")
    assert run("--acknowledge", "google_ads:111", *word).exit_code == 0
    assert {one["account_id"] for one in gate(warehouse)["critical_drift"].examples} == {"all"}, "the model's inputs still stop"
    done = run("--acknowledge", "google_ads:111", "--acknowledge", "all:all", *word)
    assert done.exit_code == 0, done.output
    kept = warehouse.query("SELECT actor, why, until_date FROM control.drift_acknowledgements")
    assert set(kept.iter_rows()) == {("maria", "the new channel is wanted", RUN_DATE + timedelta(days=6))}
    assert kept.height == stopped.failures, "twice is as once"
    events = warehouse.query("SELECT kind, detail FROM control.safety_events")
    assert set(events["kind"]) == {"drift_acknowledged"}
    assert all("by maria: the new channel is wanted" in detail for detail in events["detail"])
    assert gate(warehouse)["critical_drift"].failures == 0

    reports = warehouse.query("SELECT * FROM control.drift_reports WHERE verdict = 'critical'")
    let_pass = (pl.col("account_id") == "111") & (pl.col("segment") == "all")
    other = reports.filter(let_pass).head(1).with_columns(column_name=pl.lit("clicks"))
    warehouse.merge("control.drift_reports", other)
    assert [example["column_name"] for example in gate(warehouse)["critical_drift"].examples] == ["clicks"]
    late = RUN_DATE + timedelta(days=7)
    warehouse.merge("control.drift_reports", reports.with_columns(run_date=pl.lit(late)))
    assert gate(warehouse, late)["critical_drift"].failures == kept.height


@pytest.mark.slow
def test_drift_of_an_account_whose_budgets_are_not_moved_stops_no_plan(account: Callable[[Account], DuckDBWarehouse]) -> None:
    """Another account has budgets: this one's drift is a warning, its own dataset apart; the model's inputs still stop."""
    warehouse = account(SHIFTS["new category"](1))
    assert run("--no-html").exit_code == 0
    assert {one["account_id"] for one in gate(warehouse)["critical_drift"].examples} == {"111", "all"}
    budget = {
        "platform": "google_ads", "account_id": "222", "date": RUN_DATE, "budget_id": "b", "amount_micros": 1,
        "is_explicitly_shared": False, "reference_count": 1, "member_campaign_ids": ["c"], "enabled_campaign_ids": ["c"],
        "channels": ["PMAX"], "status": "ENABLED", "currency_code": "USD", "loaded_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip

    def hold(row: dict[str, object]) -> None:
        schema = load_contract("ads.campaign_budgets").polars_schema()
        warehouse.merge("ads.campaign_budgets", pl.DataFrame([row], schema=schema))

    hold(budget)
    found = gate(warehouse)
    assert {one["account_id"] for one in found["critical_drift"].examples} == {"all"}
    assert {one["account_id"] for one in found["critical_drift_without_budgets"].examples} == {"111"}
    assert found["critical_drift_without_budgets"].severity == "warning"
    hold(budget | {"account_id": "111", "budget_id": "own"})
    assert {one["account_id"] for one in gate(warehouse)["critical_drift"].examples} == {"111", "all"}


@pytest.mark.slow
def test_a_day_that_was_not_checked_stops_the_gate(account: Callable[[Account], DuckDBWarehouse]) -> None:
    """Yesterday's verdicts are no answer for today."""
    warehouse = account(Account(1))
    assert run("--no-html").exit_code == 0
    assert gate(warehouse)["not_checked_today"].failures == 0
    assert gate(warehouse, RUN_DATE + timedelta(days=1))["not_checked_today"].failures == 1


@pytest.mark.slow
def test_the_check_repeats_itself_and_keeps_its_contract(account: Callable[[Account], DuckDBWarehouse]) -> None:
    """Twice on the same data leaves the same rows, all within the contract; a clean account has no finding."""
    warehouse = account(Account(1))
    first = run("--no-html")
    assert "0 critical, 0 warning" in first.output, first.output
    rows = warehouse.query("SELECT * FROM control.drift_reports ORDER BY dataset, segment, column_name, method")
    assert run("--no-html").output == first.output
    assert warehouse.query("SELECT * FROM control.drift_reports ORDER BY dataset, segment, column_name, method").equals(rows)
    load_contract("control.drift_reports").pandera_schema().validate(rows)
    assert set(rows["dataset"]) == {"ads_facts", "model_features"}
    assert gate(warehouse)["contract"].failures == 0


def test_without_any_data_there_is_nothing_to_do(store: Callable[[dict[str, list[Row]]], DuckDBWarehouse]) -> None:
    """An empty warehouse is no error."""
    store({})
    assert isinstance(run("--no-html").exception, NothingToDo)


@pytest.mark.slow
def test_the_page_is_evidentlys_with_our_verdicts_and_loads_nothing(
    account: Callable[[Account], DuckDBWarehouse], tmp_path: Path
) -> None:
    """One file with the finding in words and Evidently's pictures below; no script, style, font or picture from elsewhere."""
    account(SHIFTS["mean: dearer"](1))
    told = run()
    assert told.exit_code == 0, told.output
    text = (tmp_path / "reports" / f"drift-{RUN_DATE}.html").read_text(encoding="utf-8")
    head = text[text.index("<section") : text.index("</section>")]
    assert "cost per click of SEARCH: the mean is +" in head
    assert "google_ads / 111 / ads_facts / SEARCH / cost per click" in text
    tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*", text)
    assert [tag for tag in tags if re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", tag)] == []
    assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", text) == []


@pytest.mark.slow
def test_numbers_that_are_not_evidentlys_end_the_job() -> None:
    """Should a new version of Evidently count differently, nobody is shown a picture that contradicts the verdict."""
    series = ads_series(SHIFTS["mean: dearer"](1).daily(), ON_TIME, RUN_DATE, load_config())
    found = findings([one for one in series if (one.segment, one.column) == ("SEARCH", "cost per click")], load_config())
    wrong = [dataclasses.replace(one, judged=dataclasses.replace(one.judged, value=one.judged.value + 0.01)) for one in found]
    with pytest.raises(JobError, match="did a new version of Evidently change its definition"):
        page(wrong, RUN_DATE)


def test_the_thresholds_are_checked() -> None:
    """The file in force reads; a dataset or method that is missing, broken weeks and a threshold of 0 are refused by name."""
    import yaml

    from tasks.quality.drift_config import FILE

    raw = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert tuple(load_config().datasets) == DATASETS
    for path, value, message in (
        (("effects", "psi"), None, "effects must name exactly"),
        (("datasets", "journeys"), None, "datasets must name exactly"),
        (("datasets", "ads_facts"), {"current": 30, "reference": 84, "season": 7}, "whole seasons of 7"),
        (("shares", "missing"), {"warning": 0, "critical": 1}, "missing needs warning and critical above 0"),
    ):
        broken = {key: dict(one) if isinstance(one, dict) else one for key, one in raw.items()}
        if value is None:
            del broken[path[0]][path[1]]
        else:
            broken[path[0]][path[1]] = value
        with pytest.raises(JobError, match=message):
            parse_config(broken)


def test_the_check_starts_fast() -> None:
    """Evidently and pandas take seconds to load; the job's module and its verdicts do without."""
    import subprocess
    import sys

    code = (
        "import sys, tasks.quality.check_drift, tasks.quality.drift_job; "
        "print([m for m in ('evidently', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_spend_in_two_currencies_has_no_drift() -> None:
    """Dollars and euros added up would drift with their rate; the job says which rates to load."""
    day = {"period_start_date": RUN_DATE - timedelta(days=14), "days_seen": 7, "channel": "SEARCH", "spend_micros": 1}
    media = pl.DataFrame([day | {"currency_code": code} for code in ("EUR", "USD")])
    empty = pl.DataFrame()
    with pytest.raises(JobError, match=r"spend in EUR, USD has no sum.*run `aelp2 ingest-fx`"):
        feature_series(media, empty, empty, RUN_DATE, load_config())
