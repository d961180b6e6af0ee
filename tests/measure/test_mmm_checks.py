from datetime import date

import polars as pl
import pytest

from tasks.measure.mmm_checks import run_checks, verdict

RUN: dict[str, object] = {
    "model": "pymc_mmm", "trust": "normal", "r_hat_max": 1.004, "ess_min": 700.0, "divergences": 0, "r2": 0.9,
    "holdout_mape": 0.08, "holdout_coverage": 0.9,
}  # fmt: skip


LIFTS = pl.DataFrame(
    schema={"experiment_id": pl.String, "channel": pl.String}
    | dict.fromkeys(("delta_y", "sigma", "model_mean", "model_sd"), pl.Float64)
)


def _periods(baseline: float = 60.0, media: float = 40.0, inside: bool = True) -> pl.DataFrame:
    rows: list[dict[str, object]] = []
    for week in range(10):
        day = date(2024, 1, 1 + week)
        low = 90.0 if inside else 101.0
        rows.append({"period_start_date": day, "component": "total", "observed": 100.0, "mean": 100.0, "p05": low, "p95": 110.0,
                     "is_holdout": week > 7})  # fmt: skip
        rows += [
            {
                "period_start_date": day,
                "component": name,
                "observed": None,
                "mean": value,
                "p05": None,
                "p95": None,
                "is_holdout": False,
            }
            for name, value in (("baseline", baseline), ("seasonality", 0.0), ("controls", 0.0), ("tv", media))
        ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _allocations(roas: float = 2.0, contraction: float | None = 0.8) -> pl.DataFrame:
    return pl.DataFrame(
        {"channel": ["tv"], "current_spend_micros": [20_000_000], "outcome_current_mean": [40.0], "roas_mean": [roas],
         "prior_contraction": [contraction]},
        schema_overrides={"prior_contraction": pl.Float64},
    )  # fmt: skip


def test_a_sound_run_passes_every_check() -> None:
    """Nothing to object to means PASS."""
    checks = run_checks(RUN, _periods(), _allocations(), LIFTS)
    assert verdict(checks) == "PASS"
    assert len(checks) == 11


@pytest.mark.parametrize(
    ("change", "name", "result"),
    [
        ({"r_hat_max": 1.03}, "convergence_r_hat", "REVIEW"),
        ({"r_hat_max": 1.2}, "convergence_r_hat", "FAIL"),
        ({"r_hat_max": float("nan")}, "convergence_r_hat", "FAIL"),
        ({"r_hat_max": None}, "convergence_r_hat", "FAIL"),
        ({"ess_min": 150.0}, "convergence_ess", "REVIEW"),
        ({"ess_min": 20.0}, "convergence_ess", "FAIL"),
        ({"divergences": 3}, "divergences", "REVIEW"),
        ({"divergences": 300}, "divergences", "FAIL"),
        ({"r2": 0.1}, "fit_r2", "FAIL"),
        ({"holdout_mape": 0.3}, "holdout_mape", "REVIEW"),
        ({"holdout_mape": 0.9}, "holdout_mape", "FAIL"),
        ({"holdout_coverage": 0.1}, "holdout_coverage", "FAIL"),
    ],
)
def test_each_number_of_the_run_has_its_own_check(change: dict[str, object], name: str, result: str) -> None:
    """A bad number turns exactly its own check, and the verdict follows the worst one."""
    checks = run_checks(RUN | change, _periods(), _allocations(), LIFTS)
    assert [(name, result)] == [(check.name, check.result) for check in checks if check.result != "PASS"]
    assert verdict(checks) == result


@pytest.mark.parametrize(
    ("periods", "allocations", "name", "result"),
    [
        (_periods(baseline=-5.0), _allocations(), "negative_baseline", "FAIL"),
        (_periods(media=90.0), _allocations(), "media_share", "REVIEW"),
        (_periods(media=130.0), _allocations(), "media_share", "FAIL"),
        (_periods(inside=False), _allocations(), "fit_coverage", "FAIL"),
        (_periods(), _allocations(roas=500.0), "implausible_roi", "REVIEW"),
        (_periods(), _allocations(contraction=0.01), "prior_to_posterior", "REVIEW"),
    ],
)
def test_each_implausible_result_has_its_own_check(
    periods: pl.DataFrame, allocations: pl.DataFrame, name: str, result: str
) -> None:
    """What the curves claim is judged as well as how they were sampled."""
    checks = run_checks(RUN, periods, allocations, LIFTS)
    assert [(name, result)] == [(check.name, check.result) for check in checks if check.result != "PASS"]


def test_the_fallback_model_never_passes() -> None:
    """A low-trust run without a flaw is still REVIEW."""
    low = RUN | {"model": "bootstrap_loglog", "trust": "low", "r_hat_max": None, "ess_min": None, "divergences": None}
    assert verdict(run_checks(low, _periods(), _allocations(contraction=None), LIFTS)) == "REVIEW"


def test_a_curve_that_contradicts_its_lift_test_is_for_a_person() -> None:
    """Two standard errors of the difference pass, three do not; the test that agrees least is named. Without tests no check."""
    agreeing = {"experiment_id": "near", "channel": "tv", "delta_y": 40.0, "sigma": 3.0, "model_mean": 46.0, "model_sd": 4.0}
    lifts = pl.DataFrame([agreeing, agreeing | {"experiment_id": "far", "model_mean": 55.0}])
    first, both = (
        next(c for c in run_checks(RUN, _periods(), _allocations(), frame) if c.name == "lift_agreement")
        for frame in (lifts.head(1), lifts)
    )
    assert (first.result, first.value) == ("PASS", pytest.approx(1.2))
    assert (both.result, both.value) == ("REVIEW", pytest.approx(3.0))
    assert both.detail.startswith("far measured 40 for tv, the calibrated curve says 55")
