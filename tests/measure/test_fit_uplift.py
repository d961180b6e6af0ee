"""fit-uplift against a warehouse: true effects, labels, what is withheld and why, the link to the MMM."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from measure.uplift_world import ASSIGNED, session_frame, store_trial

from tasks.cli import cli
from tasks.core.contracts import load_contract
from tasks.core.errors import GateStop, JobError, NothingToDo, Refused
from tasks.core.settings import load_settings
from tasks.core.warehouse import Warehouse, open_warehouse
from tasks.measure.uplift_fit import fit_propensity
from tasks.measure.uplift_inputs import read_experiment, read_trial
from tasks.measure.uplift_lift import lift_of

COST = {
    "channel": "YOUTUBE",
    "treatment_spend_micros": 3_000_000_000,
    "control_spend_micros": 0,
    "currency_code": "EUR",
    "spend_days": 28,
    "coverage_ratio": 0.5,
}
TABLES = ("uplift_segment_daily", "uplift_learners_daily", "uplift_deciles_daily", "uplift_curves", "segment_scores_daily")


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NOW", "2026-03-02T06:00:00+00:00")
    return open_warehouse(load_settings())


@pytest.fixture
def run(warehouse: Warehouse) -> Callable[..., Result]:
    def call(*options: str, run_date: str = "2026-03-02") -> Result:
        arguments = ["fit-uplift", "--run-date", run_date, "--experiment", "holdout", "--replicates", "40"]
        return CliRunner().invoke(cli, [*arguments, "--active-days", "30", *options])

    return call


def read(warehouse: Warehouse, table: str) -> pl.DataFrame:
    contract = load_contract(f"models.{table}")
    return warehouse.query(f"SELECT {', '.join(contract.columns)} FROM models.{table} ORDER BY {', '.join(contract.grain)}")


def test_a_lot_gives_causal_effects_that_hold_the_truth(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """By segment and over all the effect is the true one within its error; people are scored, the better segment higher."""
    truth = store_trial(warehouse, 4000)
    result = run("--treatment-cost", "2", "--target-cac", "40", "--currency", "EUR")
    assert result.exit_code == 0, result.output
    assert "holdout: 4,000 units; causal effect +" in result.output
    assert "no lift test for the MMM: the cost of its arms is not known" in result.output
    rows = read(warehouse, "uplift_segment_daily").filter(method="aipw")
    assert rows["effect_kind"].unique().to_list() == ["causal"]
    for row in rows.iter_rows(named=True):
        assert abs(row["ate"] - truth[row["segment"]]) < 3 * row["ate_error"]  # coverage itself: test_uplift_core
        assert row["ate_p025"] < row["ate_p05"] < row["ate"] < row["ate_p95"] < row["ate_p975"]
    assert rows["trimmed_ratio"].to_list() == [None] * 3
    learners = read(warehouse, "uplift_learners_daily")
    assert learners["is_chosen"].sum() == 1
    assert (learners["qini_p05"] > 0).all()
    chosen = learners.filter("is_chosen").row(0, named=True)
    assert chosen["treat_ratio"] == pytest.approx(0.5, abs=0.1)
    assert (chosen["currency_code"], chosen["is_within_target"]) == ("EUR", True)
    scores = read(warehouse, "segment_scores_daily")
    assert scores["withheld_reason"].unique().to_list() == [None]
    means = dict(scores.group_by("segment").agg(pl.col("uplift").mean()).iter_rows())
    assert means["returning"] == pytest.approx(0.12, abs=0.04)
    assert means["first_visit"] == pytest.approx(0.02, abs=0.03)
    curves = read(warehouse, "uplift_curves")
    assert curves.filter(share=0.0)["gain"].to_list() == [0.0] * 4
    assert curves.height == 4 * 51


@pytest.mark.slow
def test_twice_is_as_once(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """The same data and seed give the same rows, and the day's rows are replaced."""
    store_trial(warehouse, 2500, cost=COST)
    assert run().exit_code == 0
    first = {table: read(warehouse, table) for table in (*TABLES, "lift_tests")}
    assert run().exit_code == 0
    for table, frame in first.items():
        assert read(warehouse, table).equals(frame), table
        assert frame.height > 0


def test_without_a_lot_effects_are_labelled_adjusted_and_kept_from_the_mmm(
    warehouse: Warehouse, run: Callable[..., Result]
) -> None:
    """The naive difference is biased, the adjusted one holds the truth, every row says observational, no lift test exists."""
    truth = store_trial(warehouse, 4000, randomised=False, cost=COST)
    result = run()
    assert result.exit_code == 0, result.output
    assert "observational effect" in result.output
    assert "no lift test for the MMM: it was not randomised" in result.output
    for table in TABLES:
        assert read(warehouse, table)["effect_kind"].unique().to_list() == ["observational"], table
    rows = {row["method"]: row for row in read(warehouse, "uplift_segment_daily").filter(segment="all").iter_rows(named=True)}
    assert rows["naive"]["ate_p025"] > truth["all"] + 0.03
    assert rows["aipw"]["ate_p025"] < truth["all"] < rows["aipw"]["ate_p975"]
    assert rows["aipw"]["smd_before"] > 1 > 0.1 > rows["aipw"]["smd_after"]
    assert read(warehouse, "lift_tests").is_empty()


def test_the_lift_of_observation_is_refused_even_if_the_table_calls_it_randomised(warehouse: Warehouse) -> None:
    """The units decide as well as the experiment's row: neither alone opens the way into the MMM."""
    store_trial(warehouse, 1000, randomised=False, cost=COST)
    store_trial(warehouse, 1000, seed=2, cost=COST, experiment_id="lot")
    day = date(2026, 3, 2)
    seen, lot = (read_experiment(warehouse, name) for name in ("holdout", "lot"))
    trials = [read_trial(warehouse, experiment, day, 28) for experiment in (seen, lot)]
    for trial, experiment in ((trials[0], seen), (trials[0], lot), (trials[1], seen)):
        with pytest.raises(Refused, match="was not randomised: what was only observed never calibrates the MMM"):
            lift_of(trial.units, trial.is_customer, experiment, 1)
    assert lift_of(trials[1].units, trials[1].is_customer, lot, 1) is not None


@pytest.mark.slow
def test_a_lift_stands_in_the_units_of_the_mmm(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """3,000 EUR on half of 4,000 units that are half the audience, in four weeks: 8,000 units, about 12,000 / 4 EUR a week."""
    truth = store_trial(warehouse, 4000, cost=COST)
    assert "lift test of YOUTUBE: +" in run().output
    row = read(warehouse, "lift_tests").row(0, named=True)
    treated = warehouse.query("SELECT COUNT(*) AS n FROM gaelp_users.experiment_assignments WHERE arm = 'treatment'")["n"][0]
    assert (row["x"], row["is_usable"], row["channel"], row["period_days"]) == (0.0, True, "YOUTUBE", 7)
    assert row["delta_x"] == pytest.approx(3000 / treated * 8000 / 4)
    assert abs(row["delta_y"] - truth["all"] * 8000 / 4) < 3 * row["sigma"]
    frame = read(warehouse, "lift_tests").select("channel", "x", "delta_x", "delta_y", "sigma")
    assert frame.dtypes == [pl.String, *[pl.Float64] * 4]


@pytest.mark.slow
def test_a_lift_that_no_curve_can_have_is_kept_and_marked(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """Where the control arm cost as much there is no step in spend; the row says so."""
    store_trial(warehouse, 2500, cost=COST | {"control_spend_micros": 9_000_000_000})
    assert "not usable, the treatment arm did not cost more" in run().output
    assert read(warehouse, "lift_tests")["is_usable"].to_list() == [False]


def test_customers_of_before_are_no_new_customers(warehouse: Warehouse) -> None:
    """A unit with a purchase before the assignment counts for uplift and not for the lift in new customers."""
    store_trial(warehouse, 1500, cost=COST)
    persons = [f"{i:032x}" for i in range(1500)]
    day = ASSIGNED - timedelta(days=30)
    warehouse.append("gaelp_users.journey_sessions", session_frame(persons, [day] * 1500, [1.0] * 1500, property_id="43"))
    experiment = read_experiment(warehouse, "holdout")
    trial = read_trial(warehouse, experiment, date(2026, 3, 2), 28)
    assert trial.is_customer.all()
    assert trial.units.segment.tolist() == ["customer"] * 1500
    assert lift_of(trial.units, trial.is_customer, experiment, 1) is None


@pytest.mark.slow
def test_people_who_drifted_are_not_scored(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """A flood of visitors on another device and channel: every score is withheld, with the features that moved."""
    store_trial(warehouse, 2500)
    persons = [f"{i + (1 << 80):032x}" for i in range(6000)]
    crowd = session_frame(persons, [date(2026, 2, 28)] * 6000, [0.0] * 6000, device_category="desktop", channel_group="Direct")
    warehouse.append("gaelp_users.journey_sessions", crowd)
    result = run()
    assert "all withheld: drift: the people differ from those of the experiment (PSI " in result.output
    scores = read(warehouse, "segment_scores_daily")
    assert scores.select(pl.col("propensity", "uplift").is_not_null().sum()).row(0) == (0, 0)
    assert scores["is_drifted"].all()
    assert scores["withheld_reason"].str.contains("mobile_share|paid_share").all()


def test_visits_after_the_assignment_are_no_features_and_late_conversions_no_outcome(warehouse: Warehouse) -> None:
    """On the instant of the assignment the sides part; day 28 after it counts no more; features end 90 days back."""
    store_trial(warehouse, 1000)
    base = read_trial(warehouse, read_experiment(warehouse, "holdout"), date(2026, 3, 2), 28).units
    days = [ASSIGNED - timedelta(days=91), ASSIGNED, ASSIGNED + timedelta(days=28)]
    person = f"{0:032x}"
    extra = session_frame([person] * 3, days, [0.0, 0.0, 1.0], property_id="43", device_category="desktop")
    warehouse.append("gaelp_users.journey_sessions", extra)
    again = read_trial(warehouse, read_experiment(warehouse, "holdout"), date(2026, 3, 2), 28).units
    assert np.array_equal(again.features, base.features)
    assert np.array_equal(again.outcome, base.outcome)
    late = session_frame([person], [ASSIGNED + timedelta(days=27)], [1.0], property_id="44")
    warehouse.append("gaelp_users.journey_sessions", late)
    assert read_trial(warehouse, read_experiment(warehouse, "holdout"), date(2026, 3, 2), 28).units.outcome[0] == 1


def test_cookies_can_be_the_units(warehouse: Warehouse) -> None:
    """An experiment on user_pseudo_id reads the same visits by cookie."""
    store_trial(warehouse, 1000, kind="user_pseudo_id")
    units = read_trial(warehouse, read_experiment(warehouse, "holdout"), date(2026, 3, 2), 28).units
    assert set(units.segment) == {"returning", "first_visit"}
    assert units.outcome.sum() > 100


def test_the_propensity_is_calibrated() -> None:
    """Predicted and observed shares of the untreated agree in each third."""
    from measure.uplift_world import people

    units, _ = people(6000, 3)
    fresh, _ = people(6000, 4)
    control = fresh.where(fresh.treated == 0)
    asked = fit_propensity(units, 1)(control.features)
    for third in np.array_split(np.argsort(asked), 3):
        assert asked[third].mean() == pytest.approx(control.outcome[third].mean(), abs=0.03)


def test_what_stops_the_job(warehouse: Warehouse, run: Callable[..., Result]) -> None:
    """An unknown experiment, windows that are not over, an import that broke off, too few conversions: each named."""
    result = run()
    assert isinstance(result.exception, JobError)
    assert "no experiment 'holdout'; load its assignments with import-assignments" in str(result.exception)
    store_trial(warehouse, 100)
    early = run(run_date="2026-02-11")
    assert isinstance(early.exception, NothingToDo)
    assert "all are on 2026-02-12" in str(early.exception)
    small = run()
    assert isinstance(small.exception, GateStop)
    assert "too small: of" in str(small.exception)
    schema = load_contract("gaelp_users.experiments").polars_schema()
    torn = {"experiment_id": "holdout", "is_randomised": True, "units": 100, "source": "x", "loaded_at": None}
    now = pl.Series(["2026-03-03T00:00:00Z"]).str.to_datetime("%+", time_unit="us", time_zone="UTC")[0]
    warehouse.merge("gaelp_users.experiments", pl.DataFrame([torn | {"loaded_at": now}], schema=schema))
    broken = run()
    assert isinstance(broken.exception, GateStop)
    assert "100 of 100 assignments are of another import" in str(broken.exception)
    assert all(read(warehouse, table).is_empty() for table in TABLES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--treatment-cost", "1"), "come together"),
        (("--treatment-cost", "0", "--target-cac", "9", "--currency", "EUR"), "finite amounts above zero"),
        (("--treatment-cost", "nan", "--target-cac", "9", "--currency", "EUR"), "finite amounts above zero"),
        (("--treatment-cost", "1", "--target-cac", "9", "--currency", "euro"), "three capital letters"),
    ],
)
def test_a_price_that_is_none_is_refused(run: Callable[..., Result], options: tuple[str, ...], message: str) -> None:
    assert message in str(run(*options).exception)


def fit_all(run_date: str = "2026-03-02") -> Result:
    arguments = ["fit-uplift", "--run-date", run_date, "--replicates", "20", "--active-days", "30"]
    return CliRunner().invoke(cli, arguments)


@pytest.mark.slow
def test_without_a_name_every_experiment_that_is_ready_is_fitted(warehouse: Warehouse) -> None:
    """The large one is fitted, one too small and one under way wait, and the run is a good one."""
    store_trial(warehouse, 2000)
    store_trial(warehouse, 60, seed=2, experiment_id="small")
    result = fit_all()
    assert result.exit_code == 0, result.output
    assert "holdout: 2,000 units" in result.output
    assert "small waits: too small: of" in result.output
    assert read(warehouse, "uplift_segment_daily")["experiment_id"].unique().to_list() == ["holdout"]
    early = fit_all("2026-02-01")  # nobody's four weeks are over
    assert isinstance(early.exception, NothingToDo)


def test_without_any_experiment_there_is_nothing_to_do(warehouse: Warehouse) -> None:
    """Exit code 99: an advertiser without experiments has a DAG that is skipped and not red."""
    result = fit_all()
    assert isinstance(result.exception, NothingToDo)
    assert "no experiment was imported" in str(result.exception)


@pytest.mark.slow
def test_a_broken_lot_stops_no_other_experiment(warehouse: Warehouse) -> None:
    """The others are fitted, then the job ends with 3 and names the broken one."""
    store_trial(warehouse, 2000)
    store_trial(warehouse, 2000, seed=2, experiment_id="broken")
    rows = warehouse.query(
        "SELECT unit_id FROM gaelp_users.experiment_assignments WHERE experiment_id = 'broken' AND arm = 'control'"
    )
    warehouse.delete(
        "gaelp_users.experiment_assignments",
        column="unit_id",
        values=rows["unit_id"].to_list()[:400],
        where={"experiment_id": "broken"},
    )
    result = fit_all()
    assert isinstance(result.exception, GateStop)
    assert "1 of 2 experiments cannot be fitted: broken: sample ratio mismatch" in str(result.exception)
    assert read(warehouse, "uplift_segment_daily")["experiment_id"].unique().to_list() == ["holdout"]
