"""Health of a fitted model: named checks with thresholds in one versioned place, and the verdict they add up to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

PASS, REVIEW, FAIL = "PASS", "REVIEW", "FAIL"
_RANK = {PASS: 0, REVIEW: 1, FAIL: 2}


@dataclass(frozen=True)
class Thresholds:
    """For each check the bound for PASS and the one for REVIEW; beyond both is FAIL. Change a number, raise ``version``."""

    version: int = 2
    r_hat: tuple[float, float] = (1.02, 1.05)
    ess: tuple[float, float] = (300.0, 100.0)
    divergences: tuple[float, float] = (0.0, 20.0)
    negative_baseline: tuple[float, float] = (0.0, 0.05)
    fit_r2: tuple[float, float] = (0.6, 0.2)
    fit_coverage: tuple[float, float] = (0.8, 0.6)
    holdout_mape: tuple[float, float] = (0.2, 0.5)
    holdout_coverage: tuple[float, float] = (0.6, 0.25)
    media_share: tuple[float, float] = (0.8, 1.0)
    prior_contraction: float = 0.1
    roas_ratio: float = 20.0
    lift_distance: float = 2.0


@dataclass(frozen=True)
class Check:
    """One named check: its result, the value measured, what was asked, and what it means."""

    name: str
    result: str
    value: float | None
    threshold: str
    detail: str


def _at_most(name: str, value: float, bounds: tuple[float, float], detail: str) -> Check:
    result = PASS if value <= bounds[0] else REVIEW if value <= bounds[1] else FAIL
    return Check(name, result, value, f"≤ {bounds[0]:g} passes, ≤ {bounds[1]:g} needs review", detail)


def _at_least(name: str, value: float, bounds: tuple[float, float], detail: str) -> Check:
    # A NaN compares false with both bounds, so a value that could not be computed fails.
    result = PASS if value >= bounds[0] else REVIEW if value >= bounds[1] else FAIL
    return Check(name, result, value, f"≥ {bounds[0]:g} passes, ≥ {bounds[1]:g} needs review", detail)


def run_checks(
    run: dict[str, object],
    periods: pl.DataFrame,
    allocations: pl.DataFrame,
    lifts: pl.DataFrame,
    limits: Thresholds | None = None,
) -> list[Check]:
    """Checks of one run from its rows in ``models.mmm_runs``, ``mmm_fit_weekly``, ``mmm_allocations`` and ``mmm_lift_tests``."""
    limits = limits or Thresholds()
    checks = [*_sampling(run, limits), *_fit(run, periods, limits), *_plausibility(periods, allocations, limits)]
    checks += _calibration(lifts, limits)
    if run["trust"] == "low":
        checks.append(
            Check(
                "trust",
                REVIEW,
                None,
                "only pymc_mmm can pass",
                f"{run['model']} is the low-trust fallback a person switched on; use its curves with care",
            )
        )
    return checks


def verdict(checks: list[Check]) -> str:
    """The worst result of all checks."""
    return max((check.result for check in checks), key=_RANK.__getitem__)


def _number(value: object) -> float:
    return float("nan") if value is None else float(str(value))


def _sampling(run: dict[str, object], limits: Thresholds) -> list[Check]:
    if run["model"] != "pymc_mmm":
        return []
    return [
        _at_most(
            "convergence_r_hat",
            _number(run["r_hat_max"]),
            limits.r_hat,
            "largest R-hat; above 1 the chains disagree: raise tune and draws",
        ),
        _at_least(
            "convergence_ess",
            _number(run["ess_min"]),
            limits.ess,
            "smallest effective sample size; too few for stable intervals: raise draws",
        ),
        _at_most(
            "divergences",
            _number(run["divergences"]),
            limits.divergences,
            "divergent transitions; the sampler misses part of the posterior",
        ),
    ]


def _fit(run: dict[str, object], periods: pl.DataFrame, limits: Thresholds) -> list[Check]:
    seen = periods.filter((pl.col("component") == "total") & ~pl.col("is_holdout"))
    inside = float(seen.select(pl.col("observed").is_between("p05", "p95").mean()).item() or 0.0)
    return [
        _at_least(
            "fit_r2",
            _number(run["r2"]),
            limits.fit_r2,
            "share of the outcome's variance explained; low means an important influence is missing",
        ),
        _at_least("fit_coverage", inside, limits.fit_coverage, "share of fitted periods inside their 90 % predictive interval"),
        _at_most(
            "holdout_mape",
            _number(run["holdout_mape"]),
            limits.holdout_mape,
            "error on periods the test fit never saw, as a share",
        ),
        _at_least(
            "holdout_coverage",
            _number(run["holdout_coverage"]),
            limits.holdout_coverage,
            "share of held-out periods inside their 90 % interval",
        ),
    ]


def _calibration(lifts: pl.DataFrame, limits: Thresholds) -> list[Check]:
    """Whether the curves go through the experiments that calibrated them; nothing without any."""
    if lifts.is_empty():
        return []
    gap = (pl.col("model_mean") - pl.col("delta_y")).abs() / (pl.col("sigma") ** 2 + pl.col("model_sd") ** 2).sqrt()
    worst = lifts.with_columns(distance=gap).sort("distance", "experiment_id", descending=[True, False]).row(0, named=True)
    return [
        Check(
            "lift_agreement",
            PASS if worst["distance"] <= limits.lift_distance else REVIEW,
            worst["distance"],
            f"≤ {limits.lift_distance:g} passes",
            f"{worst['experiment_id']} measured {worst['delta_y']:,.4g} for {worst['channel']}, the calibrated curve says "
            f"{worst['model_mean']:,.4g}; in standard errors, of the test that agrees least. Far apart, one of them is wrong",
        )
    ]


def _plausibility(periods: pl.DataFrame, allocations: pl.DataFrame, limits: Thresholds) -> list[Check]:
    other = ["baseline", "seasonality", "controls"]
    base = periods.filter(pl.col("component").is_in(other)).group_by("period_start_date").agg(pl.col("mean").sum())
    negative = int((base["mean"] < 0).sum()) / max(len(base), 1)
    media = float(periods.filter(~pl.col("component").is_in([*other, "total"]))["mean"].sum())
    observed = float(periods.filter(pl.col("component") == "total")["observed"].sum())
    checks = [
        _at_most(
            "negative_baseline",
            negative,
            limits.negative_baseline,
            "share of periods in which the model says that without media fewer than zero would buy",
        ),
        _at_most(
            "media_share",
            media / observed,
            limits.media_share,
            "share of the outcome credited to media; near or above 1 is implausible",
        ),
    ]
    spend = float(allocations["current_spend_micros"].sum()) / 1e6
    mean_roas = float(allocations["outcome_current_mean"].sum()) / max(spend, 1e-9)
    best = allocations.sort("roas_mean", descending=True).row(0, named=True)
    ratio = best["roas_mean"] / mean_roas if mean_roas > 0 else float("inf")
    checks.append(
        Check(
            "implausible_roi",
            PASS if ratio <= limits.roas_ratio else REVIEW,
            ratio,
            f"≤ {limits.roas_ratio:g} passes",
            f"best return ({best['channel']}) over the average return of current spend; one this good is mostly a model error",
        )
    )
    known = allocations.drop_nulls("prior_contraction").sort("prior_contraction")
    if not known.is_empty():
        worst = known.row(0, named=True)
        value = worst["prior_contraction"]
        checks.append(
            Check(
                "prior_to_posterior",
                PASS if value >= limits.prior_contraction else REVIEW,
                value,
                f"≥ {limits.prior_contraction:g} passes",
                f"how much the data narrowed the prior of {worst['channel']}, the least learned channel; "
                "near 0 its curve is the prior's: run a lift test",
            )
        )
    return checks
