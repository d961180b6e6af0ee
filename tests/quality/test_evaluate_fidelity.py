"""Predicted against realised, by hand; what is missing blocks; limits only tighten."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from tasks.cli import cli
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.ledger import Event, Ledger
from tasks.core.response import ResponseDraws, response_to, weekly_response
from tasks.core.segments import UNSPLIT, Split
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.quality.fidelity_config import FILE, load_config, parse_config
from tasks.quality.fidelity_metrics import Z90, Period, coverage, judge, ks, measure, rmse
from tasks.quality.fidelity_predictions import spend_of

MONDAY = date(2026, 1, 5)
LIMITS = {"mape_cac": 0.5, "mape_roas": 0.5, "nrmse": 0.5, "ks": 0.35, "coverage_90": 0.65}


def period(number: int, mean: float, realised: float | None, **changes: Any) -> Period:
    """A week of 1,000 spent, customers worth 20 each, an interval of ± 1.645 · 10."""
    revenue = None if realised is None else 20 * realised
    values: dict[str, Any] = {
        "start": MONDAY + timedelta(weeks=number),
        "days": 7,
        "kind": "one_step",
        "ref": "run",
        "mean": mean,
        "p05": mean - 10 * Z90,
        "p95": mean + 10 * Z90,
        "realised": realised,
        "spend": 1000.0,
        "revenue": revenue,
        "value": 20.0,
    }
    return Period(**(values | changes))


def test_the_metrics_by_hand() -> None:
    """Predicted 100 and 80, came 125 and 80.

    CAC 10 against 8 (+25 %) and 12.50 against 12.50: MAPE 12.5 %. ROAS 2 against 2.50 (−20 %) and 1.60 against 1.60: 10 %.
    RMSE √(25²/2) = 17.678, over the mean 102.5: 17.25 %. One of two lies in its interval (100 ± 16.4 does not hold 125).
    """
    weeks = [period(0, 100, 125.0), period(1, 80, 80.0)]
    found = measure(weeks, "new_customers")
    assert (weeks[0].predicted_cac, weeks[0].realised_cac) == (10.0, 8.0)
    assert (weeks[0].predicted_roas, weeks[0].realised_roas) == (2.0, 2.5)
    assert found["mape_cac"] == pytest.approx(0.125)
    assert found["mape_roas"] == pytest.approx(0.1)
    assert found["rmse"] == pytest.approx(17.678, abs=1e-3)
    assert found["nrmse"] == pytest.approx(17.678 / 102.5, abs=1e-4)
    assert found["coverage_90"] == 0.5
    assert "mape_cac" not in measure(weeks, "revenue"), "revenue has no cost per customer"


def test_the_ks_distance_by_hand() -> None:
    """Both weeks predicted N(100, 10); both came in at 110, where Φ(1) = 0.8413 was expected: no less than 0.8413 lies below.

    At 110 the realised share jumps from 0 to 1: the gaps are 0.8413 and 0.1587. Weeks at 90 and 110 leave 0.3413.
    """
    assert ks([period(0, 100, 110.0), period(1, 100, 110.0)]) == pytest.approx(0.8413, abs=1e-4)
    assert ks([period(0, 100, 90.0), period(1, 100, 110.0)]) == pytest.approx(0.3413, abs=1e-4)
    sure = [period(0, 100, 99.0, p05=100.0, p95=100.0), period(1, 100, 101.0, p05=100.0, p95=100.0)]
    assert ks(sure) == 0.5, "a prediction without any doubt is a step"


def test_a_biased_model_fails_and_an_honest_one_passes() -> None:
    """Twelve weeks drawn from the prediction pass the final limits; the same weeks at double the outcome fail."""
    rng = np.random.default_rng(4)
    weeks = [period(n, 100, float(100 + 10 * rng.normal())) for n in range(12)]
    assert judge(weeks, "new_customers", LIMITS, least=4)[-1].result == "pass"
    doubled = [period(n, 100, 2 * (one.realised or 0)) for n, one in enumerate(weeks)]
    metrics = {one.name: one.result for one in judge(doubled, "new_customers", LIMITS, least=4)}
    assert metrics["verdict"] == "fail"
    assert {name for name, result in metrics.items() if result == "fail"} == {
        "mape_cac",
        "nrmse",
        "ks",
        "coverage_90",
        "verdict",
    }
    # Half the customers: CAC twice as high, predicted 10 against 20, an error of 50 %: at the limit. A third is beyond it.
    third = [period(n, 100, 100 / 3) for n in range(12)]
    assert {one.name: one.result for one in judge(third, "new_customers", LIMITS, least=4)}["mape_roas"] == "fail"


@pytest.mark.parametrize(
    ("changes", "blocked"),
    [
        ({"realised": None, "revenue": None}, {"mape_cac", "mape_roas", "rmse", "nrmse", "ks", "coverage_90"}),
        ({"spend": None}, {"mape_cac", "mape_roas"}),
        ({"revenue": None}, {"mape_roas"}),
        ({"value": None}, {"mape_roas"}),
        ({"realised": 0.0}, {"mape_cac"}),
    ],
)
def test_missing_data_blocks_and_never_passes(changes: dict[str, Any], blocked: set[str]) -> None:
    """One unknown number in one of many good weeks: the metrics that need it are blocked, and so is the verdict."""
    weeks = [period(n, 100, 100.0) for n in range(8)]
    weeks[3] = dataclasses.replace(weeks[3], **changes)
    metrics = {one.name: one for one in judge(weeks, "new_customers", LIMITS | {"nrmse": 9.0}, least=4)}
    assert {name for name, one in metrics.items() if one.result == "blocked"} == blocked | {"verdict"}
    assert all(metrics[name].value is None for name in blocked)


def test_too_few_weeks_block() -> None:
    """Three weeks say nothing, however well they fit."""
    (verdict,) = judge([period(n, 100, 100.0) for n in range(3)], "new_customers", LIMITS, least=4)
    assert (verdict.result, verdict.detail) == (
        "blocked",
        "3 periods with a prediction and an outcome that is due, 4 are needed",
    )


def test_few_change_sets_are_judged_by_their_errors_only() -> None:
    """Of two sets the distribution is shown and decides nothing."""
    metrics = {
        one.name: one.result for one in judge([period(0, 100, 140.0)] * 2, "new_customers", LIMITS, least=1, errors_only_below=8)
    }
    assert (metrics["ks"], metrics["coverage_90"], metrics["verdict"]) == ("info", "info", "pass")


def test_the_schedule_only_tightens_and_ends_at_the_promise() -> None:
    """0.5 for both MAPEs and 0.35 for KS from week 12 on; a schedule that loosens or does not begin at 0 is refused."""
    config = load_config()
    assert {name: config.limits(12)[name] for name in ("mape_cac", "mape_roas", "ks")} == {
        "mape_cac": 0.5,
        "mape_roas": 0.5,
        "ks": 0.35,
    }
    assert config.limits(0)["ks"] > config.limits(4)["ks"] > config.limits(11)["ks"] > config.limits(500)["ks"]
    raw = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    raw["schedule"][2]["ks"] = 0.9
    with pytest.raises(JobError, match=r"loosens \['ks'\]"):
        parse_config(raw)
    raw["schedule"] = raw["schedule"][1:2]
    with pytest.raises(JobError, match="begin with from_week 0"):
        parse_config(raw)
    del raw["schedule"][0]["ks"]
    with pytest.raises(JobError, match="needs from_week"):
        parse_config(raw)


def test_metrics_of_no_period_are_unknown() -> None:
    """Nothing to compare is nothing known."""
    assert (rmse([]), ks([]), coverage([])) == (None, None, None)


def test_carry_over_brings_the_steady_state_in_the_end() -> None:
    """Spend held constant ends at the steady response; the first period of it has only its own share of the carry-over.

    Retention 0.5 over two periods: weights 2/3 and 1/3, so the first period of 30 counts as 20.
    """
    one = np.ones((1, 1))
    draws = ResponseDraws("logistic", 0.5 * one, 2 * one, 50 * one, 100 * one, one)
    found = response_to(np.array([30.0, 30.0, 30.0]), draws, 2)[:, 0]
    assert found[0] == pytest.approx(weekly_response(20.0, draws)[0])
    assert found[1:] == pytest.approx([weekly_response(30.0, draws)[0]] * 2)


def test_spend_goes_to_the_parts_that_the_run_was_split_into() -> None:
    """A run that tells prospecting from remarketing is asked about its own parts; a week with a missing day is left out."""
    rows = [(date(2026, 1, 5), 7, "YOUTUBE", part, amount * MICROS) for part, amount in ((False, 30), (True, 12))]
    rows += [(date(2026, 1, 12), 6, "YOUTUBE", False, MICROS), (date(2026, 1, 5), 7, "PMAX", True, 5 * MICROS)]
    media = pl.DataFrame(
        rows, schema=["period_start_date", "days_seen", "channel", "is_remarketing", "spend_micros"], orient="row"
    ).with_columns(currency_code=pl.lit("USD"))
    split = Split(("YOUTUBE",), ("1",))
    assert spend_of(media, split, "USD") == {
        date(2026, 1, 5): {"YOUTUBE_PROSPECTING": 30.0, "YOUTUBE_REMARKETING": 12.0, "PMAX": 5.0}
    }
    assert spend_of(media, UNSPLIT, "USD") == {date(2026, 1, 5): {"YOUTUBE": 42.0, "PMAX": 5.0}}
    assert spend_of(media, UNSPLIT, "EUR") == {}


def test_a_week_whose_spend_has_no_rate_is_left_out() -> None:
    """One channel of the week is still in euros: the week has no sum in dollars, the one after it has."""
    rows = [(date(2026, 1, 5), 7, "YOUTUBE", False, MICROS, "USD"), (date(2026, 1, 5), 7, "LINKEDIN", False, MICROS, "EUR")]
    rows += [(date(2026, 1, 12), 7, "YOUTUBE", False, MICROS, "USD")]
    columns = ["period_start_date", "days_seen", "channel", "is_remarketing", "spend_micros", "currency_code"]
    assert spend_of(pl.DataFrame(rows, schema=columns, orient="row"), UNSPLIT, "USD") == {date(2026, 1, 12): {"YOUTUBE": 1.0}}


# --- the job on tables

RUN_DATE = date(2026, 3, 5)  # a Thursday: the week that ended on Sunday the 1st is due
WEEKS = [date(2026, 3, 2) - timedelta(weeks=back) for back in range(60, 0, -1)]
LOADED = datetime(2026, 3, 5, 5, tzinfo=UTC)
MICROS = 1_000_000
RUN_ID = "mmm-1"
FITTED = date(2026, 2, 9)  # its window ends the day before: three weeks are one step ahead


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=load_contract(table).polars_schema())


class World:
    """A business that spends 700 a week on one channel, wins 140 new customers of 10 each, and a model that says so."""

    def __init__(self, warehouse: DuckDBWarehouse) -> None:
        self.warehouse = warehouse

    def put(self, table: str, rows: list[dict[str, Any]]) -> None:
        self.warehouse.merge(table, frame(table, rows))

    def business(self, sold: Callable[[date], float | None] = lambda _: 20.0) -> None:
        """Daily rows up to the day before RUN_DATE."""
        days = [WEEKS[0] + timedelta(days=n) for n in range((RUN_DATE - WEEKS[0]).days)]
        spend = {"platform": "google_ads", "account_id": "111", "campaign_id": "1", "channel": "YOUTUBE", "is_brand": False}
        spend |= {"campaign_status": "ENABLED", "impressions": 100, "clicks": 10, "cost_micros": 100 * MICROS, "conversions": 1.0}
        spend |= {"revenue_micros": 0, "currency_code": "EUR", "timezone": "Europe/Berlin", "attribution_window": "30d_click"}
        self.put("ads.ads_campaign_performance", [spend | {"date": day, "loaded_at": LOADED} for day in days])
        crm = {"source": "crm", "geo": "national", "period_days": 1, "currency_code": "EUR", "loaded_at": LOADED}
        rows = []
        for day in days:
            won = sold(day)
            revenue = None if won is None else round(won * 10 * MICROS)
            rows.append(crm | {"period_start_date": day, "new_customers": won, "revenue_micros": revenue})
        self.put("ads.business_outcomes", rows)

    def model(self, verdict: str = "PASS") -> None:
        """Baseline 100, season 5, 35 of the channel at 700 (saturated) each week; the two held-out weeks said 150 and 130."""
        run = {"run_id": RUN_ID, "run_date": FITTED, "source": "platforms", "target": "new_customers", "currency_code": "EUR"}
        run |= {"model": "pymc_mmm", "trust": "normal", "window_start_date": WEEKS[0], "window_end_date": FITTED - timedelta(1)}
        run |= {"period_days": 7, "periods": 57, "channels": ["YOUTUBE"], "geos": ["national"], "data_sha256": "d"}
        run |= {"config_sha256": "c", "config_json": '{"l_max": 2}', "seed": 1, "versions_json": "{}", "holdout_periods": 2}
        self.put("models.mmm_runs", [run | {"fitted_at": LOADED}])
        review = {"run_id": RUN_ID, "check": "verdict", "result": verdict, "detail": "d", "run_date": FITTED}
        self.put("models.mmm_reviews", [review | {"reviewed_at": LOADED}])
        rows, seen = [], [week for week in WEEKS if week < FITTED]
        for number, week in enumerate(seen):
            held = number >= len(seen) - 2
            about = {"run_id": RUN_ID, "geo": "national", "period_start_date": week}
            total = {"observed": 140.0, "mean": 140.0 + (held and (20 * (number % 2) - 10)), "p05": 120.0, "p95": 160.0}
            rows.append(about | {"component": "total", "is_holdout": held} | total)
            for component, mean in (("baseline", 100.0), ("seasonality", 5.0), ("YOUTUBE", 35.0)):
                rows.append(about | {"component": component, "mean": mean, "is_holdout": False})
        self.put("models.mmm_fit_weekly", rows)
        draw = {"run_id": RUN_ID, "geo": "national", "channel": "YOUTUBE", "form": "logistic", "adstock_alpha": 0.0}
        draw |= {"saturation_lam": 100.0, "spend_scale": 700.0, "spend_share": 1.0}
        self.put("models.mmm_draws", [draw | {"draw": n, "outcome_beta": beta} for n, beta in enumerate((34.0, 36.0))])

    def metrics(self, basis: str = "model") -> dict[str, tuple[str, float | None]]:
        """Metric → result and value."""
        rows = self.warehouse.query(
            "SELECT metric, result, value FROM control.fidelity_evaluations WHERE basis = @basis", {"basis": basis}
        )
        return {name: (result, value) for name, result, value in rows.iter_rows()}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", LOADED.isoformat())
    return World(DuckDBWarehouse(tmp_path / "w.duckdb"))


def run(day: date = RUN_DATE) -> Result:
    done = CliRunner().invoke(cli, ["evaluate-fidelity", "--run-date", day.isoformat()])
    assert done.exit_code == 0, done.output
    return done


def test_weeks_the_model_had_not_seen_are_held_against_what_came(world: World) -> None:
    """Two held-out weeks at 130 and 150 against 140, three weeks one step ahead at 100 + 5 + 35 = 140 against 140.

    MAPE of CAC is (|140/130 − 1| + |140/150 − 1|) / 5 = (1/13 + 1/15) / 5; of ROAS 2 · |130/140 − 1| / 5.
    RMSE √(2·10²/5) = 6.32. The interval of a step ahead is as wide as the run's own: ± 20 around 140.
    """
    world.business()
    world.model()
    assert "pass" in run().output
    found = world.metrics()
    assert found["mape_cac"] == ("pass", pytest.approx((1 / 13 + 1 / 15) / 5))
    assert found["mape_roas"] == ("pass", pytest.approx(2 * (1 / 14) / 5))
    assert found["rmse"] == ("info", pytest.approx(np.sqrt(40)))
    assert found["verdict"] == ("pass", None)
    pairs = world.warehouse.query("SELECT * FROM control.fidelity_periods ORDER BY period_start_date")
    assert pairs["kind"].to_list() == ["holdout"] * 2 + ["one_step"] * 3
    assert pairs["predicted_mean"].to_list() == pytest.approx([150.0, 130.0, 140.0, 140.0, 140.0])
    assert pairs["predicted_p05"].to_list()[-1] == pytest.approx(120.0)
    assert pairs["period_start_date"].to_list()[-1] == date(2026, 2, 23)
    assert pairs["predicted_cac_micros"].to_list()[-1] == 5 * MICROS
    run()
    assert world.metrics() == found, "twice is as once"
    assert world.warehouse.query("SELECT * FROM control.fidelity_periods ORDER BY period_start_date").equals(pairs)
    evaluations = world.warehouse.query("SELECT * FROM control.fidelity_evaluations")
    for table, rows in (("control.fidelity_evaluations", evaluations), ("control.fidelity_periods", pairs)):
        load_contract(table).pandera_schema().validate(rows)
    assert set(evaluations["weeks_since_first_fit"]) == {3}


def test_the_week_that_has_just_ended_waits_until_it_is_due(world: World) -> None:
    """On Monday the week of yesterday is not yet counted: its last days may still be loaded."""
    world.business()
    world.model()
    run(date(2026, 3, 2))
    assert world.metrics()["mape_cac"][1] == pytest.approx((1 / 13 + 1 / 15) / 4)


@pytest.mark.parametrize("gap", ["a day without a number", "no live model", "too few weeks"])
def test_what_is_missing_blocks(world: World, gap: str) -> None:
    """A missing day of the outcome, a model that failed its review, weeks that nobody predicted: blocked, with the reason."""
    world.business(lambda day: None if gap == "a day without a number" and day == date(2026, 2, 18) else 20.0)
    if gap != "too few weeks":
        world.model("FAIL" if gap == "no live model" else "PASS")
    else:
        world.model()
        world.warehouse.merge(
            "models.mmm_fit_weekly",
            world.warehouse.query("SELECT * FROM models.mmm_fit_weekly").with_columns(is_holdout=pl.lit(value=False)),
        )
    words = {
        "a day without a number": "outcome or revenue of 2026-02-16 is missing",
        "no live model": "no marketing-mix run was accepted yet",
        "too few weeks": "3 periods with a prediction",
    }[gap]
    assert words in run().output
    assert world.metrics()["verdict"][0] == "blocked"


def test_a_model_that_promised_too_much_fails(world: World) -> None:
    """The business wins a third of what was predicted for the last three weeks: the verdict is fail."""
    world.business(lambda day: 20.0 / 3 if day >= FITTED else 20.0)
    world.model()
    run()
    found = world.metrics()
    assert found["mape_roas"] == ("fail", pytest.approx((3 * 2 + 2 / 14) / 5))
    assert found["verdict"][0] == "fail"


def applied(world: World, name: str, on: date, *, undone: date | None = None) -> None:
    """A change set of +10 a day that expected 7 more customers a week (3.71 to 10.29), applied at noon."""
    row = {"change_set_id": name, "change_id": f"{name}-1", "run_date": on, "platform": "google_ads", "account_id": "111"}
    row |= {"budget_id": "b", "campaign_ids": ["1"], "channel": "YOUTUBE", "currency_code": "EUR", "reason": "r"}
    row |= {"amount_before_micros": 100 * MICROS, "amount_after_micros": 110 * MICROS, "optimum_micros": 110 * MICROS}
    row |= {"binding_constraint": "none", "expected_new_customers_mean": 7.0, "expected_new_customers_p05": 3.71}
    row |= {"expected_new_customers_p95": 10.29, "set_new_customers_mean": 7.0, "set_new_customers_p05": 7 - 2 * Z90}
    row |= {"set_new_customers_p95": 7 + 2 * Z90, "target_cac_micros": 5 * MICROS, "p_cac_le_target": 0.9}
    row |= {"is_extrapolated": False, "data_through_date": on, "mmm_run_id": RUN_ID, "proposed_at": LOADED}
    world.put("control.budget_proposals", [row])
    rows = [(event, on) for event in ("proposed", "approved", "snapshot", "validated", "applied")]
    rows += [(event, undone) for event in ("verified", "breached", "rolled_back") if undone]
    for event, day in rows:
        with pytest.MonkeyPatch.context() as at:
            at.setenv("AELP2_NOW", f"{day}T12:00:00+00:00")
            change = Event(change_set_id=name, platform="google_ads", account_id="111", event=event, actor="job", sha256="a" * 64)
            Ledger(world.warehouse).append(change)


def test_an_applied_change_set_is_held_against_its_own_week(world: World) -> None:
    """Usual 140 a week plus 7 expected = 147, came 168 (24 a day); usual days do not vary, so the interval is the plan's ± 2 sd.

    Planned spend 7 · (100 + 10) = 770 over 147 = 5.238 a customer; came 700 over 168 = 4.167. A set that is not a
    week old, and one that was rolled back within its week, are left out.
    """
    start = date(2026, 2, 16)
    world.business(lambda day: 24.0 if start <= day < start + timedelta(days=7) else 20.0)
    world.model()
    applied(world, "good", start)
    applied(world, "young", date(2026, 2, 26))
    applied(world, "undone", date(2026, 2, 10), undone=date(2026, 2, 12))
    run()
    (pair,) = world.warehouse.query("SELECT * FROM control.fidelity_periods WHERE basis = 'plan'").iter_rows(named=True)
    assert (pair["prediction_ref"], pair["predicted_mean"], pair["realised"]) == ("good", pytest.approx(147.0), 168.0)
    assert (pair["predicted_p05"], pair["predicted_p95"]) == (pytest.approx(147 - 2 * Z90), pytest.approx(147 + 2 * Z90))
    assert (pair["predicted_cac_micros"], pair["realised_cac_micros"]) == (5_238_095, 4_166_667)
    found = world.metrics("plan")
    assert found["mape_cac"] == ("pass", pytest.approx((770 / 147) / (700 / 168) - 1))
    assert (found["ks"][0], found["verdict"][0]) == ("info", "pass")


def test_without_a_change_set_that_is_due_no_plan_is_judged(world: World) -> None:
    """Nothing was predicted, so nothing is said about plans."""
    world.business()
    world.model()
    run()
    assert world.metrics("plan") == {}
