"""review-mmm on tables: every named check decides, only PASS or REVIEW goes live, FAIL leaves last week's curves in force."""

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest
from click.testing import Result

from tasks.core.errors import GateStop
from tasks.core.settings import load_settings
from tasks.core.warehouse import open_warehouse

RUN = ("--run-date", "2025-03-05", "--source", "shop")
NEXT = ("--run-date", "2025-03-12", "--source", "shop")
DETAILS = ("mmm_curves", "mmm_allocations", "mmm_draws", "mmm_fit_weekly")
SOUND = {"model": "pymc_mmm", "trust": "normal", "r_hat_max": 1.004, "ess_min": 900.0, "divergences": 0, "r2": 0.9,
         "holdout_mape": 0.05, "holdout_coverage": 0.9}  # fmt: skip


def _table(name: str) -> pl.DataFrame:
    return open_warehouse(load_settings()).query(f"SELECT * FROM models.{name}", {})


def _live(run_date: date) -> list[str]:
    params = {"source": "shop", "target": "new_customers", "run_date": run_date}
    return open_warehouse(load_settings()).query_file("models/live_mmm_run/query.sql", params)["run_id"].to_list()


def _publish(name: str, run_date: date, run: dict[str, object], details: dict[str, pl.Expr]) -> None:
    """A copy of the fitted run as ``name``, sound but for the figures ``run`` and the detail rows ``details``."""
    warehouse = open_warehouse(load_settings())
    fitted = _table("mmm_runs").head(1)
    figures = [pl.lit(value).cast(fitted.schema[column]).alias(column) for column, value in (SOUND | run).items()]
    original = fitted["run_id"][0]
    for table in DETAILS:
        rows = _table(table).filter(run_id=original).with_columns(run_id=pl.lit(name))
        if table == "mmm_allocations":
            rows = rows.with_columns(prior_contraction=pl.lit(0.9))
        if table == "mmm_fit_weekly":
            total = pl.col("component") == "total"
            rows = rows.with_columns(
                pl.when(total).then(pl.col("observed") * f).alias(c) for c, f in (("p05", 0.9), ("p95", 1.1))
            )
        if table in details:
            rows = rows.with_columns(details[table])
        warehouse.merge(f"models.{table}", rows)
    warehouse.merge(
        "models.mmm_runs", fitted.with_columns(pl.lit(name).alias("run_id"), pl.lit(run_date).alias("run_date"), *figures)
    )


@pytest.fixture
def reviewed(shop: Callable[..., Result]) -> Callable[..., Result]:
    """Publishes a sound run with one thing changed and judges it."""
    assert shop("fit-mmm", *RUN).exit_code == 0

    def review(run: dict[str, object] | None = None, details: dict[str, pl.Expr] | None = None) -> Result:
        _publish("mmm-new", date(2025, 3, 12), run or {}, details or {})
        return shop("review-mmm", *NEXT)

    return review


def _component(names: list[str], value: float) -> pl.Expr:
    return pl.when(pl.col("component").is_in(names)).then(value).otherwise(pl.col("mean")).alias("mean")


BASE, MEDIA = ["baseline", "seasonality", "controls"], ["channel_0", "channel_1"]
CASES: dict[str, tuple[str, str, dict[str, object], dict[str, pl.Expr]]] = {
    "R-hat a little high": ("convergence_r_hat", "REVIEW", {"r_hat_max": 1.04}, {}),
    "chains disagree": ("convergence_r_hat", "FAIL", {"r_hat_max": 1.3}, {}),
    "few effective draws": ("convergence_ess", "REVIEW", {"ess_min": 150.0}, {}),
    "next to no effective draws": ("convergence_ess", "FAIL", {"ess_min": 12.0}, {}),
    "some divergences": ("divergences", "REVIEW", {"divergences": 4}, {}),
    "many divergences": ("divergences", "FAIL", {"divergences": 90}, {}),
    "half explained": ("fit_r2", "REVIEW", {"r2": 0.4}, {}),
    "nothing explained": ("fit_r2", "FAIL", {"r2": 0.05}, {}),
    "holdout off": ("holdout_mape", "REVIEW", {"holdout_mape": 0.3}, {}),
    "holdout far off": ("holdout_mape", "FAIL", {"holdout_mape": 0.8}, {}),
    "half the holdout outside": ("holdout_coverage", "REVIEW", {"holdout_coverage": 0.5}, {}),
    "holdout outside": ("holdout_coverage", "FAIL", {"holdout_coverage": 0.0}, {}),
    "fit outside its interval": ("fit_coverage", "FAIL", {}, {"mmm_fit_weekly": (pl.col("p05") * 1.15).alias("p05")}),
    "fewer than nobody without media": ("negative_baseline", "FAIL", {}, {"mmm_fit_weekly": _component(BASE, -1.0)}),
    "media did nearly all": ("media_share", "REVIEW", {}, {"mmm_fit_weekly": _component(MEDIA, 470.0)}),
    "media did more than all": ("media_share", "FAIL", {}, {"mmm_fit_weekly": _component(MEDIA, 900.0)}),
    "too good a return": ("implausible_roi", "REVIEW", {}, {"mmm_allocations": (pl.col("roas_mean") * 500).alias("roas_mean")}),
    "nothing learned": ("prior_to_posterior", "REVIEW", {}, {"mmm_allocations": pl.lit(0.01).alias("prior_contraction")}),
    "the fallback": ("trust", "REVIEW", {"model": "bootstrap_loglog", "trust": "low"}, {}),
}


def test_a_sound_run_passes_and_is_live(reviewed: Callable[..., Result]) -> None:
    """All checks pass, the verdict is PASS, the live query answers with the run."""
    result = reviewed()
    assert "mmm-new: verdict PASS; it is live now" in result.output
    assert result.exit_code == 0
    assert set(_table("mmm_reviews")["result"]) == {"PASS"}
    assert _live(date(2025, 3, 12)) == ["mmm-new"]


@pytest.mark.parametrize("case", CASES)
def test_each_named_check_decides_by_itself(reviewed: Callable[..., Result], case: str) -> None:
    """One flaw turns its own check and the verdict; a FAIL ends with the gate's error and is not live, a REVIEW is."""
    name, expected, run, details = CASES[case]
    result = reviewed(run, details)
    found = {row["check"]: row["result"] for row in _table("mmm_reviews").to_dicts()}
    assert {c: r for c, r in found.items() if r != "PASS"} == {name: expected, "verdict": expected}
    assert f"{expected:6} {name}" in result.output
    if expected == "FAIL":
        assert isinstance(result.exception, GateStop)
        assert result.exception.exit_code == 3
        assert f"mmm-new FAILED on {name}; no earlier run is live, so nothing can be planned" in str(result.exception)
        assert _live(date(2025, 3, 12)) == []
    else:
        assert result.exit_code == 0
        assert _live(date(2025, 3, 12)) == ["mmm-new"]


def test_a_failed_run_leaves_last_weeks_curves_live_and_says_so(
    shop: Callable[..., Result], reviewed: Callable[..., Result]
) -> None:
    """The error names the run and day that stay in force and what to do; the live query answers with that run."""
    assert shop("review-mmm", *RUN).exit_code == 0
    [earlier] = _live(date(2025, 3, 5))
    result = reviewed({"r2": 0.01})
    assert isinstance(result.exception, GateStop)
    assert f"FAILED on fit_r2; run {earlier} of 2025-03-05 stays live" in str(result.exception)
    assert "fit again" in str(result.exception)
    assert _live(date(2025, 3, 12)) == [earlier]


def test_a_run_that_passes_takes_the_place_of_last_weeks(shop: Callable[..., Result], reviewed: Callable[..., Result]) -> None:
    """The newer run is live from its own day on; asked for the earlier day, the earlier run is."""
    shop("review-mmm", *RUN)
    [earlier] = _live(date(2025, 3, 5))
    reviewed()
    assert (_live(date(2025, 3, 12)), _live(date(2025, 3, 11))) == (["mmm-new"], [earlier])


def test_judging_twice_changes_nothing(shop: Callable[..., Result], reviewed: Callable[..., Result]) -> None:
    """One row a check, however often a run is reviewed."""
    reviewed()
    before = _table("mmm_reviews").drop("reviewed_at").sort("check")
    shop("review-mmm", *NEXT)
    assert before.equals(_table("mmm_reviews").drop("reviewed_at").sort("check"))


def test_a_run_can_be_judged_by_its_id(shop: Callable[..., Result], reviewed: Callable[..., Result]) -> None:
    """--run-id judges that run and not the newest; an unknown one is an error that says so."""
    reviewed()
    fitted = next(run for run in _table("mmm_runs")["run_id"] if run != "mmm-new")
    assert f"mmm run {fitted}: verdict" in shop("review-mmm", *NEXT, "--run-id", fitted).output
    assert "has no run mmm-none" in str(shop("review-mmm", *NEXT, "--run-id", "mmm-none").exception)


def test_the_fallback_goes_live_only_as_review(shop: Callable[..., Result]) -> None:
    """The low-trust model can serve, but its verdict says REVIEW."""
    shop("fit-mmm", *RUN)
    assert "verdict REVIEW; it is live now" in shop("review-mmm", *RUN).output
    assert _table("mmm_reviews").filter(check="trust")["result"].to_list() == ["REVIEW"]


def test_review_without_a_run_says_what_to_do(shop: Callable[..., Result]) -> None:
    """Nothing to judge is an error, not a pass."""
    assert "run fit-mmm first" in str(shop("review-mmm", *RUN).exception)
