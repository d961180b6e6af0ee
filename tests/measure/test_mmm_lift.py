"""Lift tests as measurements of the marketing-mix model: which ones are taken, in which units, and what they teach."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import Result

from tasks.core.contracts import load_contract
from tasks.core.response import weekly_response
from tasks.core.settings import load_settings
from tasks.core.warehouse import open_warehouse
from tasks.measure import mmm_fit
from tasks.measure.mmm_config import MmmConfig
from tasks.measure.mmm_data import LiftTest, MmmInput
from tasks.measure.mmm_lift import BEFORE, PRECISION, arrays, choose
from tasks.measure.mmm_model import MmmSampler, build_mmm, scales_of, set_data
from tasks.measure.mmm_parts import response_of

CONFIG = MmmConfig()
ROW: dict[str, Any] = {
    "experiment_id": "north", "target": "new_customers", "source": "shop", "channel": "channel_1", "design": "geo_experiment",
    "effect_kind": "causal", "x": 200.0, "delta_x": 800.0, "delta_y": 60.0, "sigma": 6.0, "period_days": 7,
    "currency_code": "EUR", "test_start_date": date(2024, 5, 6), "test_end_date": date(2024, 6, 2), "is_usable": True,
    "withheld_reason": None, "run_date": date(2025, 3, 4),
}  # fmt: skip
LIFTS = (
    LiftTest("a", "channel_1", "geo_experiment", 200.0, 800.0, 90.0, 10.0, date(2024, 2, 1), date(2024, 3, 1)),
    LiftTest("b", "channel_0", "randomised_holdout", 0.0, 800.0, 40.0, 20.0, date(2024, 2, 1), date(2025, 2, 1)),
)


def rows(*changes: dict[str, Any]) -> pl.DataFrame:
    """Rows of ``models.lift_tests``, one for each change of ``ROW``."""
    schema = load_contract("models.lift_tests").polars_schema()
    return pl.DataFrame([{"loaded_at": None} | ROW | change for change in changes], schema=schema)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"effect_kind": "observational"}, "its effect is observational; only what a lot decided"),
        ({"effect_kind": None}, "its effect is of unknown kind"),
        ({"design": None}, "its effect is of unknown kind"),
        ({"is_usable": False, "withheld_reason": "no step in spend"}, "not usable: no step in spend"),
        ({"channel": "radio"}, "the model has no such channel, it has channel_0, channel_1"),
        ({"currency_code": "USD"}, "its spend is in USD, the model's in EUR"),
        ({"test_start_date": date(2023, 12, 31)}, "it ran from 2023-12-31 to 2024-06-02, the model's data from 2024-01-01"),
        ({"test_end_date": date(2025, 2, 24)}, "the model's data from 2024-01-01 to 2025-02-23"),
        ({"test_start_date": None}, "it ran on unknown days"),
        ({"delta_x": -800.0}, "delta_x and sigma must be positive"),
        ({"sigma": 0.0}, "delta_x and sigma must be positive"),
        ({"delta_y": float("nan")}, "delta_x and sigma must be positive"),
        ({"x": 200e6, "delta_x": 800e6}, "are its amounts in other units?"),
    ],
)
def test_what_must_not_calibrate_is_named_with_its_reason(simulated: MmmInput, change: dict[str, Any], why: str) -> None:
    """The test beside it is taken; the one that does not fit is left out and says why."""
    data, left_out = choose(rows(change, {"experiment_id": "south"}), simulated)
    assert [test.experiment_id for test in data.lift_tests] == ["south"]
    [said] = left_out
    assert said.startswith("north (")
    assert why in said


def test_a_lift_below_zero_is_a_measurement_too(simulated: MmmInput) -> None:
    """Leaving out the unlucky half of tests of a weak channel would make it look strong."""
    data, left_out = choose(rows({"delta_y": -5.0}), simulated)
    assert (data.lift_tests[0].delta_y, left_out) == (-5.0, [])


def test_rates_are_brought_to_the_period_of_the_model(simulated: MmmInput) -> None:
    """A test in days: seven times the amounts in a model of weeks."""
    day = {"period_days": 1} | {name: ROW[name] / 7 for name in ("x", "delta_x", "delta_y", "sigma")}
    weekly, daily = (choose(rows(change), simulated)[0].lift_tests[0] for change in ({}, day))
    for name in ("x", "delta_x", "delta_y", "sigma"):
        assert getattr(daily, name) == pytest.approx(getattr(weekly, name))


def test_lift_tests_are_part_of_the_inputs_identity(simulated: MmmInput) -> None:
    """None, one, another: three hashes. The order of the same two: one hash."""
    one, both = replace(simulated, lift_tests=LIFTS[:1]), replace(simulated, lift_tests=LIFTS)
    other = replace(simulated, lift_tests=(replace(LIFTS[0], sigma=11.0),))
    assert len({data.sha256 for data in (simulated, one, other, both)}) == 4
    assert replace(simulated, lift_tests=LIFTS[::-1]).sha256 == both.sha256


def test_the_holdout_fit_does_not_know_a_test_that_ended_later(simulated: MmmInput) -> None:
    """Of 52 weeks the second test is not over: its precision is zero, the scales are those of the shorter window."""
    data = replace(simulated, lift_tests=LIFTS)
    short = data.first(50)
    full, seen = (arrays(d, scales_of(d)) for d in (data, short))
    assert (full[PRECISION] > 0).all()
    assert (seen[PRECISION] > 0).tolist() == [True, False]
    assert full[BEFORE][0, 0] == pytest.approx(200.0 / simulated.spend[..., 1].max())


@pytest.mark.slow
def test_the_term_is_pymc_marketings_lift_measurement(simulated: MmmInput) -> None:
    """Between any two points both densities differ alike: same steps, same scaling of x, delta_x, delta_y and sigma."""
    import pandas as pd

    ours = build_mmm(replace(simulated, lift_tests=LIFTS), CONFIG)
    theirs = build_mmm(simulated, CONFIG)
    columns = ("channel", "x", "delta_x", "delta_y", "sigma")
    theirs.add_lift_test_measurements(pd.DataFrame([{name: getattr(test, name) for name in columns} for test in LIFTS]))
    densities = [mmm.model.compile_logp(mode="FAST_COMPILE") for mmm in (ours, theirs)]
    rng = np.random.default_rng(5)
    start = theirs.model.initial_point(0)
    gaps = []
    for _ in range(4):
        point = {name: value + rng.normal(0, 0.4, np.shape(value)) for name, value in start.items()}
        gaps.append(float(densities[0](point)) - float(densities[1](point)))
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("geos", [1, 3])
def test_set_anew_the_measurements_are_those_of_a_fresh_model(make_market: Callable[..., MmmInput], geos: int) -> None:
    """The holdout fit reuses the compiled model: its lift tests must follow the scales of its own window."""
    data = replace(make_market(geos=geos), lift_tests=LIFTS)
    short = data.first(50)
    reused, fresh = build_mmm(data, CONFIG), build_mmm(short, CONFIG)
    set_data(reused, short, scales_of(short))
    point = fresh.model.initial_point(0)
    values = [float(mmm.model.compile_logp(mode="FAST_COMPILE")(point)) for mmm in (reused, fresh)]
    assert values[0] == pytest.approx(values[1], rel=1e-10)


def twins() -> tuple[MmmInput, dict[str, float]]:
    """Two channels that always move together, and what each truly brings a week at its mean spend."""
    rng = np.random.default_rng(8)
    weeks = 80
    common = rng.gamma(2.0, 500.0, weeks)
    spend = np.stack([common, 0.9 * common * (1 + rng.normal(0, 0.01, weeks))], axis=1)
    scale = {"channel_0": 40.0, "channel_1": 360.0}
    effect = sum(size * np.tanh(spend[:, c] / 3000) for c, size in enumerate(scale.values()))
    outcome = 500 + effect + rng.normal(0, 12, weeks)
    data = MmmInput(
        "simulated", "new_customers", "EUR", 7, tuple(date(2024, 1, 1) + timedelta(weeks=w) for w in range(weeks)),
        ("national",), tuple(scale), spend[:, None], outcome[:, None], (), np.zeros((weeks, 1, 0)),
    )  # fmt: skip
    return data, {name: size * float(np.tanh(1000 / 3000)) for name, size in scale.items()}


@pytest.mark.slow
def test_a_lift_test_tells_collinear_channels_apart() -> None:
    """The plain model halves the credit of two channels that move together; one test of the weak one moves both to the truth."""
    data, truth = twins()
    lift = {"x": 0.0, "delta_x": 1000.0, "delta_y": truth["channel_0"] + 0.5, "sigma": 2.0}
    measured = rows({"channel": "channel_0", "test_end_date": date(2024, 5, 26)} | lift)
    calibrated, left_out = choose(measured, data)
    assert left_out == []
    steps = {}
    for name, given in (("plain", data), ("calibrated", calibrated)):
        sampler = MmmSampler(given, replace(CONFIG, chains=2))
        posterior = sampler.sample(given, draws=300, tune=400, seed=2, label="t", progress=None)
        assert posterior.r_hat_max < 1.05
        steps[name] = {c: weekly_response(1000.0, r) for c, r in response_of(posterior, given, 600).items()}

    def width(name: str, channel: str) -> float:
        return float(np.ptp(np.quantile(steps[name][channel], [0.05, 0.95])))

    for channel, true in truth.items():
        assert abs(steps["calibrated"][channel].mean() - true) < 0.25 * abs(steps["plain"][channel].mean() - true)
        assert width("calibrated", channel) < 0.5 * width("plain", channel)
    assert steps["plain"]["channel_0"].mean() > 3 * truth["channel_0"]
    assert abs(steps["calibrated"]["channel_0"].mean() - truth["channel_0"]) < 2 * lift["sigma"]


@pytest.fixture
def calibrated_shop(shop: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The shop, whose sampler is replaced by the quick fallback: the job's own work is what these tests look at."""
    from tasks.measure.bootstrap_loglog import fit_bootstrap

    monkeypatch.setenv("AELP2_MMM_MODEL", "pymc_mmm")
    monkeypatch.setattr(mmm_fit, "_fit_pymc", lambda data, config, _progress: fit_bootstrap(data, config))
    return lambda *options: shop("fit-mmm", "--run-date", "2025-03-05", "--source", "shop", *options)


def _runs() -> pl.DataFrame:
    return open_warehouse(load_settings()).query("SELECT run_id, lift_tests FROM models.mmm_runs ORDER BY fitted_at, run_id")


def _publish(*changes: dict[str, Any]) -> None:
    now = pl.lit("2025-03-04T06:00:00Z").str.to_datetime(time_unit="us", time_zone="UTC")
    open_warehouse(load_settings()).merge("models.lift_tests", rows(*changes).with_columns(loaded_at=now))


@pytest.mark.slow
def test_a_fit_is_reused_until_its_lift_tests_change(calibrated_shop: Callable[..., Result]) -> None:
    """The job takes the tests of its source and target, names the others, records what it took, fits anew when one changes."""
    foreign = ({"experiment_id": "ads", "source": None}, {"experiment_id": "euro", "target": "revenue"})
    _publish(
        {}, {"experiment_id": "radio", "channel": "radio"}, *foreign, {"experiment_id": "late", "run_date": date(2025, 3, 6)}
    )
    first = calibrated_shop()
    assert first.exit_code == 0, first.output
    assert "lift test left out" in first.output
    assert "radio (radio): the model has no such channel" in first.output
    assert "calibrated by north (channel_1): measured 60 ± 6 for 800.00 EUR a period, the curve says" in first.output
    assert "reused" in calibrated_shop().output
    assert _runs()["lift_tests"].to_list() == [["north"]]
    _publish({"delta_y": 61.0})
    assert "reused" not in calibrated_shop().output
    assert "reused" not in calibrated_shop("--no-lift-tests").output
    assert sorted(_runs()["lift_tests"].to_list()) == [[], ["north"], ["north"]]
    stored = open_warehouse(load_settings()).query("SELECT delta_y, sigma, model_p05, model_p95 FROM models.mmm_lift_tests")
    assert sorted(stored["delta_y"]) == [60.0, 61.0]
    assert (stored["model_p05"] < stored["model_p95"]).all()


def test_the_fallback_model_says_that_it_cannot_be_calibrated(shop: Callable[..., Result]) -> None:
    """Its curves are not measured by experiments, and its run does not claim so."""
    _publish({})
    result = shop("fit-mmm", "--run-date", "2025-03-05", "--source", "shop")
    assert "the fallback model cannot be calibrated" in result.output
    assert _runs()["lift_tests"].to_list() == [[]]


@pytest.mark.slow
def test_another_target_cost_is_another_run(shop: Callable[..., Result]) -> None:
    """The allocation says how likely a channel meets the target: a run with another target is not reused for it."""
    run = ("fit-mmm", "--run-date", "2025-03-05", "--source", "shop")
    assert "reused" not in shop(*run, "--target-cost", "30").output
    assert "reused" in shop(*run, "--target-cost", "30").output
    assert "reused" not in shop(*run, "--target-cost", "31").output
    targets = open_warehouse(load_settings()).query("SELECT DISTINCT target_cac_micros FROM models.mmm_allocations")
    assert sorted(targets["target_cac_micros"]) == [30_000_000, 31_000_000]
