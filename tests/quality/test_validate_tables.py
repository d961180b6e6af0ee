"""The gate: a healthy world passes, and every kind of defect is found by the check that is there for it."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from gate_world import DAYS, LOADED, MICROS, RUN_DATE, Row

from tasks import cli
from tasks.core.errors import JobError
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.quality.checks_file import load_checks
from tasks.quality.gates import GATES, window
from tasks.quality.table_checks import CHUNK_ROWS, TableGate
from tasks.quality.validate_tables import check_gate

Tables = dict[str, list[Row]]
Store = Callable[[Tables], DuckDBWarehouse]
PERFORMANCE = "ads.ads_campaign_performance"


def failing(warehouse: DuckDBWarehouse, gate: str = "ingest-ads", source: str = "platforms") -> dict[tuple[str, str], int]:
    """(table, check) → offending rows of every check that found something."""
    results = check_gate(warehouse, GATES[gate], RUN_DATE, source)
    return {(result.table, result.check): result.failures for result in results if result.failures}


def last(rows: list[Row], back: int = 1) -> list[Row]:
    return [row for row in rows if row.get("date", row.get("period_start_date")) == RUN_DATE - timedelta(days=back)]


@pytest.mark.parametrize("gate", ["ingest-ads", "fit-mmm", "watch-canary"])
def test_a_healthy_world_passes_without_a_warning(healthy: Tables, store: Store, gate: str) -> None:
    """No check cries wolf: on complete, plausible tables every gate finds nothing."""
    assert failing(store(healthy), gate) == {}


def _clicks(tables: Tables) -> None:
    last(tables[PERFORMANCE])[0]["clicks"] = 1001


def _negative(tables: Tables) -> None:
    last(tables[PERFORMANCE])[0]["cost_micros"] = -5


def _bad_currency(tables: Tables) -> None:
    tables["ads.ads_accounts"][0]["currency_code"] = "euro"


def _other_currency(tables: Tables) -> None:
    last(tables[PERFORMANCE])[0]["currency_code"] = "USD"


def _account_currency(tables: Tables) -> None:
    tables["ads.ads_accounts"][0]["currency_code"] = "USD"


def _hole(tables: Tables) -> None:
    tables[PERFORMANCE] = [row for row in tables[PERFORMANCE] if row["date"] != DAYS[-4]]


def _few_rows(tables: Tables) -> None:
    tables[PERFORMANCE] = [r for r in tables[PERFORMANCE] if r["date"] != DAYS[-1] or r["campaign_id"] == "1"]


def _stale(tables: Tables) -> None:
    tables[PERFORMANCE] = [row for row in tables[PERFORMANCE] if row["date"] < DAYS[-3]]


def _one_stale_account(tables: Tables) -> None:
    rows = [{**row, "account_id": "222"} for row in tables[PERFORMANCE] if row["date"] < DAYS[-4]]
    tables[PERFORMANCE] += rows
    tables["ads.ads_accounts"].append({**tables["ads.ads_accounts"][0], "account_id": "222"})


def _duplicate(tables: Tables) -> None:
    tables[PERFORMANCE].append(dict(last(tables[PERFORMANCE])[0]))


def _too_early(tables: Tables) -> None:
    last(tables[PERFORMANCE])[0]["loaded_at"] = LOADED - timedelta(days=3)


def _outlier(tables: Tables) -> None:
    last(tables[PERFORMANCE])[0]["cost_micros"] *= 10


def _unclicked(tables: Tables) -> None:
    for row in tables[PERFORMANCE]:
        if row["campaign_id"] == "1":
            row["clicks"] = 0


def _unknown_account(tables: Tables) -> None:
    tables["ads.ads_accounts"][0]["account_id"] = "999"


def _ads_cost_more(tables: Tables) -> None:
    last(tables["ads.ads_ad_performance"])[0]["cost_micros"] *= 2


def _keywords_cost_more(tables: Tables) -> None:
    last(tables["ads.ads_criterion_performance"])[0]["cost_micros"] *= 2


def _keyword_without_match_type(tables: Tables) -> None:
    last(tables["ads.ads_criterion_performance"])[0]["match_type"] = None


def _actions_differ(tables: Tables) -> None:
    for row in tables["ads.ads_conversion_action_stats"]:
        row["conversions"] *= 2


def _event_from_the_future(tables: Tables) -> None:
    tables["ads.ads_change_events"][0]["changed_at"] = LOADED + timedelta(hours=1)


def _no_budgets_today(tables: Tables) -> None:
    tables["ads.campaign_budgets"] = [r for r in tables["ads.campaign_budgets"] if r["date"] != RUN_DATE]


def _lost_member(tables: Tables) -> None:
    tables["ads.campaign_budgets"][-1]["reference_count"] = 2


def _zero_budget(tables: Tables) -> None:
    tables["ads.campaign_budgets"][-1]["amount_micros"] = 0


def _no_sales(tables: Tables) -> None:
    last(tables["ads.business_outcomes"])[0].update(new_customers=0.0, revenue_micros=0)


def _revenue_only(tables: Tables) -> None:
    last(tables["ads.business_outcomes"])[0].update(new_customers=0.0)


def _never_sales(tables: Tables) -> None:
    for row in tables["ads.business_outcomes"]:
        row.update(new_customers=None, revenue_micros=None)


def _outcome_hole(tables: Tables) -> None:
    tables["ads.business_outcomes"] = [r for r in tables["ads.business_outcomes"] if r["period_start_date"] != DAYS[-9]]


def _outcome_mixed(tables: Tables) -> None:
    last(tables["ads.business_outcomes"])[0]["currency_code"] = "USD"


def _short_geo(tables: Tables) -> None:
    rows = tables["ads.business_outcomes"]
    rows += [{**row, "geo": "north"} for row in rows if row["period_start_date"] < DAYS[-2]]


def _outcome_early(tables: Tables) -> None:
    last(tables["ads.business_outcomes"])[0]["loaded_at"] = LOADED - timedelta(days=3)


def _control_hole(tables: Tables) -> None:
    tables["ads.business_controls"] = [r for r in tables["ads.business_controls"] if r["period_start_date"] != DAYS[-9]]


def _constant_control(tables: Tables) -> None:
    for row in tables["ads.business_controls"]:
        row["value"] = 1.0


ADS, CRITERIA, ACTIONS, BUDGETS, EVENTS = (
    "ads.ads_ad_performance",
    "ads.ads_criterion_performance",
    "ads.ads_conversion_action_stats",
    "ads.campaign_budgets",
    "ads.ads_change_events",
)
OUTCOMES, CONTROLS, ACCOUNTS = "ads.business_outcomes", "ads.business_controls", "ads.ads_accounts"


@pytest.mark.parametrize(
    ("break_it", "table", "check", "failures"),
    [
        (_clicks, PERFORMANCE, "clicks_above_impressions", 1),
        (_negative, PERFORMANCE, "cost_micros at least(0)", 1),
        (_bad_currency, ACCOUNTS, "currency_code str_matches('^[A-Z]{3}$')", 1),
        (_other_currency, PERFORMANCE, "currency_changes", 1),
        (_account_currency, ACCOUNTS, "currency_differs", 1),
        (_account_currency, BUDGETS, "currency_differs", 24),
        (_hole, PERFORMANCE, "missing_days", 1),
        (_few_rows, PERFORMANCE, "rows_dropped", 1),
        (_stale, PERFORMANCE, "is_fresh", 1),
        (_one_stale_account, PERFORMANCE, "account_is_stale", 1),
        (_duplicate, PERFORMANCE, "grain_is_unique", 1),
        (_too_early, PERFORMANCE, "written_before_the_day_was_over", 1),
        (_outlier, PERFORMANCE, "cost_outlier", 1),
        (_unclicked, PERFORMANCE, "conversions_without_clicks", 1),
        (_unknown_account, ACCOUNTS, "account_is_unknown", 1),
        (_ads_cost_more, ADS, "ads_above_campaign", 1),
        (_keywords_cost_more, CRITERIA, "keywords_above_campaign", 1),
        (_keyword_without_match_type, CRITERIA, "match_type_of_a_kind", 1),
        (_actions_differ, ACTIONS, "actions_differ_from_campaign", 4),
        (_event_from_the_future, EVENTS, "changed_after_it_was_loaded", 1),
        (_no_budgets_today, BUDGETS, "no_budgets_of_the_run_date", 1),
        (_lost_member, BUDGETS, "members_are_incomplete", 1),
        (_zero_budget, BUDGETS, "amount_is_zero", 1),
        (_no_sales, OUTCOMES, "outcome_is_zero", 1),
        (_revenue_only, OUTCOMES, "revenue_without_customers", 1),
        (_never_sales, OUTCOMES, "no_outcome_at_all", 1),
        (_outcome_hole, OUTCOMES, "missing_periods", 1),
        (_outcome_mixed, OUTCOMES, "mixed_periods_or_currencies", 1),
        (_short_geo, OUTCOMES, "geos_differ_in_periods", 1),
        (_outcome_early, OUTCOMES, "written_before_the_period_was_over", 1),
        (_control_hole, CONTROLS, "missing_periods", 1),
        (_constant_control, CONTROLS, "control_never_changes", 1),
    ],
)
def test_each_defect_is_found_by_its_check(
    healthy: Tables, store: Store, break_it: Callable[[Tables], None], table: str, check: str, failures: int
) -> None:
    """One defect planted in a healthy world is found by the check named for it, with the right number of rows."""
    break_it(healthy)
    gate = GATES["ingest-ads"]
    member = next(t for t in gate.tables if t.name == table)
    results = TableGate(store(healthy), member, window(gate, RUN_DATE, "platforms")).run()
    found = {result.check: result.failures for result in results if result.failures}
    assert found.get(check) == failures, found


@pytest.mark.parametrize(("platform", "found"), [("linkedin", 0), ("x", 0), ("meta", 1)])
def test_clicks_above_impressions_are_no_defect_where_the_platform_counts_so(
    healthy: Tables, store: Store, platform: str, found: int
) -> None:
    """LinkedIn's messages have clicks and no impressions, X counts every click on a post: that stops no line."""
    _clicks(healthy)
    for row in healthy[PERFORMANCE]:
        row["platform"] = platform
    gate = GATES["ingest-ads"]
    member = next(t for t in gate.tables if t.name == PERFORMANCE)
    results = TableGate(store(healthy), member, window(gate, RUN_DATE, "platforms")).run()
    assert sum(result.failures for result in results if result.check == "clicks_above_impressions") == found


def test_every_check_of_the_daily_tables_has_a_defect_that_trips_it() -> None:
    """A check that no test can make fail would be decoration."""
    marks = test_each_defect_is_found_by_its_check.pytestmark
    tripped = {(table, check) for mark in marks for _, table, check, _ in mark.args[1]}
    daily = [table.name for table in GATES["ingest-ads"].tables]
    # The same rules on ads and on keywords as on campaigns.
    twins = {
        (ADS, check) for check in ("written_before_the_day_was_over", "clicks_above_impressions", "conversions_without_clicks")
    }
    twins |= {(CRITERIA, check) for check in ("written_before_the_day_was_over", "clicks_above_impressions")}
    written = {(ACTIONS, "written_before_the_day_was_over")}
    assert {(t, c.name) for t in daily for c in load_checks(t)} - tripped == twins | written


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(["validate-tables", *arguments, "--run-date", RUN_DATE.isoformat()])
    return int(stop.value.code or 0)


def test_a_critical_failure_ends_with_exit_code_3_and_names_table_count_example_and_remedy(
    healthy: Tables, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message alone lets a person act."""
    _clicks(healthy)
    store(healthy)
    assert run("--for", "fit-mmm") == 3
    message = capsys.readouterr().err
    for part in (f"{PERFORMANCE} clicks_above_impressions", "1 found", "campaign_id: 1", "clicks: 1001", "Load the day again"):
        assert part in message


def test_warnings_leave_the_gate_open_and_are_counted(
    healthy: Tables, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning is logged, counted for Airflow and recorded, and the line goes on."""
    monkeypatch.setenv("AELP2_XCOM_FILE", str(tmp_path / "xcom.json"))
    _outlier(healthy)
    warehouse = store(healthy)
    assert run() == 0
    assert json.loads((tmp_path / "xcom.json").read_text())["warnings"] == 1
    assert "1 warnings" in capsys.readouterr().out
    rows = warehouse.query("SELECT severity, failures FROM control.validation_results WHERE check = 'cost_outlier'")
    assert rows.to_dicts() == [{"severity": "warning", "failures": 1}]
    assert warehouse.query("SELECT quarantine_id FROM control.quarantine").height == 0


def test_offending_rows_are_quarantined_once_and_results_do_not_pile_up(healthy: Tables, store: Store) -> None:
    """The same gate twice leaves the same rows in control."""
    _negative(healthy)
    warehouse = store(healthy)
    counts = []
    for _ in range(2):
        assert run() == 3
        counts.append(
            (
                warehouse.query("SELECT check FROM control.validation_results").height,
                warehouse.query("SELECT reason, row_json FROM control.quarantine").height,
            )
        )
    assert counts[0] == counts[1]
    kept = warehouse.query("SELECT table_name, check, row_json FROM control.quarantine").to_dicts()
    # The campaign's negative cost also lies below what its ads and its keywords cost: three findings, one row each.
    assert {(row["table_name"], row["check"]) for row in kept} == {
        (PERFORMANCE, "cost_micros at least(0)"),
        (ADS, "ads_above_campaign"),
        (CRITERIA, "keywords_above_campaign"),
    }
    assert [json.loads(row["row_json"])["cost_micros"] for row in kept] == [-5, -5, -5]


def test_a_mended_table_leaves_no_failure_of_the_day_behind(healthy: Tables, store: Store) -> None:
    """After the second run control.validation_results says what holds now."""
    cost = last(healthy[PERFORMANCE])[0]["cost_micros"]
    _negative(healthy)
    warehouse = store(healthy)
    assert run() == 3
    good = last(healthy[PERFORMANCE])[0] | {"cost_micros": cost}
    warehouse.merge(PERFORMANCE, pl.DataFrame([good], schema=load_schema()))
    assert run() == 0
    failed = warehouse.query("SELECT check FROM control.validation_results WHERE failures > 0 AND severity = 'critical'")
    assert failed.height == 0


def load_schema() -> dict[str, pl.DataType]:
    from tasks.core.contracts import load_contract

    return load_contract(PERFORMANCE).polars_schema()


@pytest.mark.parametrize("table", [PERFORMANCE, OUTCOMES, BUDGETS, ACCOUNTS])
def test_an_empty_table_stops_the_gate(healthy: Tables, store: Store, table: str) -> None:
    """No rows is not "no failures"."""
    healthy[table] = []
    assert failing(store(healthy))[(table, "has_rows")] == 1


def test_chunks_find_what_one_read_finds(healthy: Tables, store: Store) -> None:
    """Whether read at once or a day at a time, the same rows break the contract."""
    for day in (DAYS[-1], DAYS[-20]):
        next(row for row in healthy[PERFORMANCE] if row["date"] == day)["impressions"] = -1
    warehouse = store(healthy)
    gate = GATES["ingest-ads"]
    table = next(t for t in gate.tables if t.name == PERFORMANCE)
    found = [
        {
            (r.check, r.failures, len(r.examples))
            for r in TableGate(warehouse, table, window(gate, RUN_DATE, "platforms"), size).run()
            if r.check.startswith("impressions")
        }
        for size in (1, 7, CHUNK_ROWS)
    ]
    assert found == [{("impressions at least(0)", 2, 2)}] * 3


def test_rows_after_the_run_date_are_not_judged(healthy: Tables, store: Store) -> None:
    """A gate for a past day gives what it gave on that day: later rows belong to later gates."""
    later = {**last(healthy[PERFORMANCE])[0], "date": RUN_DATE + timedelta(days=3), "clicks": 9999}
    healthy[PERFORMANCE].append(later)
    assert failing(store(healthy)) == {}


IMPORT = "sheet"


def _import_tables() -> Tables:
    weeks = [date(2015, 1, 5) + timedelta(weeks=week) for week in range(30)]
    common = {"source": IMPORT, "geo": "national", "period_days": 7, "loaded_at": LOADED}
    media = [
        {**common, "channel": "tv", "period_start_date": week, "spend_micros": 5 * MICROS + n, "currency_code": "EUR"}
        for n, week in enumerate(weeks)
    ]
    outcomes = [{**common, "period_start_date": week, "revenue_micros": MICROS, "currency_code": "EUR"} for week in weeks]
    return {"ads.imported_media": media, OUTCOMES: outcomes}


def test_an_old_import_passes_whole(store: Store) -> None:
    """A spreadsheet of 2015 has no freshness; it is judged from its first to its last row."""
    assert failing(store(_import_tables()), "fit-mmm", IMPORT) == {}


def test_an_import_cut_off_between_its_tables_is_refused(store: Store) -> None:
    """Tables of one source written by two imports do not belong together."""
    tables = _import_tables()
    for row in tables[OUTCOMES]:
        row["loaded_at"] = LOADED - timedelta(hours=1)
    assert failing(store(tables), "fit-mmm", IMPORT) == {("ads.imported_media", "import_is_whole"): 1}


def test_spend_and_outcome_of_an_import_cover_the_same_periods(store: Store) -> None:
    """A week with an outcome and no media row is refused."""
    tables = _import_tables()
    tables["ads.imported_media"].pop()
    assert failing(store(tables), "fit-mmm", IMPORT) == {("ads.imported_media", "media_and_outcome_differ_in_periods"): 1}


def test_a_channel_that_never_spends_is_a_warning(store: Store) -> None:
    """The import stands, the channel is named."""
    tables = _import_tables()
    tables["ads.imported_media"] += [{**row, "channel": "radio", "spend_micros": 0} for row in tables["ads.imported_media"]]
    assert failing(store(tables), "fit-mmm", IMPORT) == {("ads.imported_media", "channel_without_spend"): 1}


def _models(run_date: date, verdict: str, with_draws: bool = True) -> Tables:
    run = {
        "run_id": "r1", "run_date": run_date, "source": "platforms", "target": "new_customers", "currency_code": "EUR",
        "model": "pymc_mmm", "trust": "normal", "window_start_date": DAYS[0], "window_end_date": DAYS[-1], "period_days": 7,
        "periods": 14, "data_sha256": "a", "config_sha256": "b", "config_json": "{}", "seed": 1, "versions_json": "{}",
        "holdout_periods": 2, "fitted_at": LOADED,
    }  # fmt: skip
    review = {
        "run_id": "r1", "check": "verdict", "result": verdict, "detail": "d", "run_date": run_date, "reviewed_at": LOADED,
    }  # fmt: skip
    draw = {
        "run_id": "r1", "geo": "national", "channel": "YOUTUBE", "draw": 0, "adstock_alpha": 0.5, "saturation_lam": 1.0,
        "outcome_beta": 2.0, "spend_scale": 3.0, "spend_share": 1.0, "form": "logistic",
    }  # fmt: skip
    drift = {
        "run_date": RUN_DATE, "platform": "google_ads", "account_id": "111", "dataset": "ads_facts", "segment": "all",
        "column_name": "cost", "method": "ks", "placebos": 9.0, "verdict": "ok", "detail": "d", "reference_start_date": DAYS[0],
        "current_start_date": DAYS[0], "current_end_date": DAYS[-1], "thresholds_version": 1, "checked_at": LOADED,
    }  # fmt: skip
    return {
        "models.mmm_runs": [run],
        "models.mmm_reviews": [review],
        "models.mmm_draws": [draw] if with_draws else [],
        "control.drift_reports": [drift],
    }


RUNS, REVIEWS, DRAWS = "models.mmm_runs", "models.mmm_reviews", "models.mmm_draws"


@pytest.mark.parametrize(
    ("age_days", "verdict", "with_draws", "expected"),
    [
        (1, "PASS", True, set()),
        (1, "REVIEW", True, set()),
        (1, "FAIL", True, {(RUNS, "no_usable_run"), (REVIEWS, "newest_run_failed")}),
        (20, "PASS", True, {(RUNS, "newest_run_is_old")}),
        (1, "PASS", False, {(DRAWS, "has_rows")}),
    ],
)
def test_a_plan_needs_a_reviewed_model(
    healthy: Tables, store: Store, age_days: int, verdict: str, with_draws: bool, expected: set[tuple[str, str]]
) -> None:
    """plan-budgets starts only behind a model that was judged fit, with draws; an old one is a warning."""
    models = _models(RUN_DATE - timedelta(days=age_days), verdict, with_draws)
    assert set(failing(store({**healthy, **models}), "plan-budgets")) == expected


def test_the_gates_read_only_tables_their_jobs_read() -> None:
    """The mapping of gates and the index of jobs do not drift apart (ads_accounts holds what the others mean)."""
    for name, gate in GATES.items():
        job = cli.JOBS[name]
        beside = {*cli.JOBS["ingest-outcomes"].writes, *cli.JOBS["ingest-events"].writes}  # loaded in the same DAG
        drift = "control.drift_reports"  # a verdict on what the plan reads
        known = {*job.reads, *job.writes, *beside, ACCOUNTS, "ads.imported_media", drift}
        assert {table.name for table in gate.tables} <= known, name


def test_an_unknown_gate_is_a_usage_error(store: Store) -> None:
    """A typo in a DAG is found before anything runs."""
    store({})
    assert run("--for", "fit-mm") == 2


def test_help_needs_neither_polars_nor_a_warehouse() -> None:
    """--help of the gate stays fast."""
    import subprocess
    import sys

    code = "import sys, tasks.quality.validate_tables; print(sorted({'polars', 'duckdb', 'pandera'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#fail a\nSELECT 1", "#remedy"),
        ("#fail a\n#remedy x\nDELETE FROM t", "exactly one SELECT"),
        ("#fail a\n#remedy x\nSELECT 1; SELECT 2", "exactly one SELECT"),
        ("#fail a\n#remedy x\nSELECT @nope", "nope"),
        ("#fail a\n#remedy x\nSELECT 1\n#warn a\n#remedy x\nSELECT 1", "twice"),
        ("#error a\n#remedy x\nSELECT 1", "#error a"),
        ("SELECT 1\n#fail a", "before the first"),
    ],
)
def test_a_checks_file_that_breaks_the_format_is_refused(text: str, expected: str) -> None:
    """A typo in checks.sql never turns a check off silently."""
    from tasks.quality.checks_file import parse_checks

    with pytest.raises(JobError, match=expected):
        parse_checks("ads.t", text)


def _landed(first: date, last_day: date) -> Row:
    """A load of account 111 whose days ``first`` to ``last_day`` landed."""
    return {
        "platform": "google_ads",
        "account_id": "111",
        "run_date": RUN_DATE,
        "start_date": first,
        "end_date": last_day,
        "status": "succeeded",
        "rows": 1,
        "duplicates": 0,
        "api_version": "v26",
        "finished_at": LOADED,
    }


def test_a_day_that_landed_without_delivery_is_no_gap(healthy: Tables, store: Store) -> None:
    """A platform sends no row for a day on which everything was paused: the load covered it, so nothing is missing."""
    _hole(healthy)
    healthy["control.ingest_runs"] = [_landed(DAYS[0], DAYS[-1])]
    assert (PERFORMANCE, "missing_days") not in failing(store(healthy))


def test_a_load_that_ended_before_the_gap_does_not_explain_it(healthy: Tables, store: Store) -> None:
    """Only a load that covers the missing day does."""
    _hole(healthy)
    healthy["control.ingest_runs"] = [_landed(DAYS[0], DAYS[-5]), _landed(DAYS[-3], DAYS[-4])]
    assert failing(store(healthy))[(PERFORMANCE, "missing_days")] == 1


def test_an_audience_above_its_campaign_stops_nothing(healthy: Tables, store: Store) -> None:
    """Whether somebody in two audiences counts once is the platform's to say; keywords alone are held against the campaign."""
    row = last(healthy[CRITERIA])[0]
    row |= {"criterion_kind": "audience", "match_type": None, "cost_micros": row["cost_micros"] * 2}
    assert failing(store(healthy)) == {}


def test_an_advertiser_without_ads_passes(healthy: Tables, store: Store) -> None:
    """Performance Max has no ads: whoever buys nothing else has empty tables of ads and keywords, and that stops no line."""
    healthy[ADS] = []
    healthy[CRITERIA] = []
    assert failing(store(healthy)) == {}
