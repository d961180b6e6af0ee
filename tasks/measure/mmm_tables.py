"""A fit as the rows of ``models.mmm_*``. Pure: :class:`Fitted` in, polars frames out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.response import ResponseDraws, marginal_response, weekly_response
from tasks.measure.mmm_config import package_versions
from tasks.measure.mmm_parts import Fitted

Floats = NDArray[np.float64]

GRID_POINTS = 40
GRID_REACH = 1.5  # the curve goes this far beyond the highest spend seen; all of it flagged as extrapolated
RECENT_PERIODS = 8
MOVE = 0.5  # the optimum may move a channel by at most half of its current spend in either direction
_MICROS = 1_000_000


@dataclass(frozen=True)
class Allocation:
    """(C,) spend per period in currency units: now, at the optimum, its bounds; and which bound each optimum lies on."""

    current: Floats
    optimal: Floats
    lower: Floats
    upper: Floats
    binding: tuple[str, ...]


def run_row(fitted: Fitted, *, run_id: str, run_date: date, fitted_at: datetime) -> pl.DataFrame:
    """The row of ``models.mmm_runs``."""
    data, config = fitted.data, fitted.config
    low = config.model != "pymc_mmm"
    return pl.DataFrame(
        {
            "run_id": [run_id],
            "run_date": [run_date],
            "source": [data.source],
            "target": [data.target],
            "currency_code": [data.currency_code],
            "model": [config.model],
            "trust": ["low" if low else "normal"],
            "window_start_date": [data.periods[0]],
            "window_end_date": [data.window_end],
            "period_days": [data.period_days],
            "periods": [len(data.periods)],
            "channels": [list(data.channels)],
            "left_out_channels": [list(data.left_out)],
            "split_channels": [list(data.split.channels)],
            "remarketing_campaign_ids": [list(data.split.campaign_ids)],
            "geos": [list(data.geos)],
            "lift_tests": [[test.experiment_id for test in data.lift_tests]],
            "data_sha256": [data.sha256],
            "config_sha256": [config.sha256],
            "config_json": [config.to_json()],
            "seed": [config.seed],
            "versions_json": [package_versions()],
            "r_hat_max": [fitted.r_hat_max],
            "ess_min": [fitted.ess_min],
            "divergences": [fitted.divergences],
            "r2": [fitted.r2],
            "holdout_periods": [fitted.holdout.periods],
            "holdout_mape": [fitted.holdout.mape],
            "holdout_coverage": [fitted.holdout.coverage],
            "seconds": [fitted.seconds],
            "fitted_at": [fitted_at],
        },
        schema_overrides={
            "left_out_channels": pl.List(pl.String),
            "split_channels": pl.List(pl.String),
            "remarketing_campaign_ids": pl.List(pl.String),
            "lift_tests": pl.List(pl.String), "r_hat_max": pl.Float64, "ess_min": pl.Float64, "divergences": pl.Int64
        },
    )  # fmt: skip


def curve_rows(fitted: Fitted, run_id: str) -> pl.DataFrame:
    """Steady-state curves per channel on a grid of spend per period, national."""
    frames = []
    for c, channel in enumerate(fitted.data.channels):
        highest = float(fitted.data.spend[..., c].sum(axis=1).max())
        micros = np.unique(np.round(np.linspace(0, GRID_REACH * highest, GRID_POINTS) * _MICROS).astype(np.int64))
        outcome = weekly_response(micros / _MICROS, fitted.response[channel])
        slope = marginal_response(micros / _MICROS, fitted.response[channel])
        frames.append(
            pl.DataFrame(
                {
                    "run_id": run_id,
                    "geo": "national",
                    "channel": channel,
                    "spend_micros": micros,
                    "outcome_mean": outcome.mean(axis=1),
                    **dict(
                        zip(
                            ("outcome_p05", "outcome_p50", "outcome_p95"),
                            np.quantile(outcome, [0.05, 0.5, 0.95], axis=1),
                            strict=True,
                        )
                    ),
                    "marginal_mean": slope.mean(axis=1),
                    **dict(zip(("marginal_p05", "marginal_p95"), np.quantile(slope, [0.05, 0.95], axis=1), strict=True)),
                    "is_extrapolated": micros > round(highest * _MICROS),
                    "window_start_date": fitted.data.periods[0],
                    "window_end_date": fitted.data.window_end,
                }
            )
        )
    return pl.concat(frames)


def draw_rows(fitted: Fitted, run_id: str) -> pl.DataFrame:
    """The stored joint draws per channel and geo."""
    frames = []
    national = ("national",)
    for channel, response in fitted.response.items():
        draws, geos = response.saturation_lam.shape
        names = fitted.data.geos if geos == len(fitted.data.geos) else national
        frames.append(
            pl.DataFrame(
                {
                    "run_id": run_id,
                    "geo": np.tile(names, draws),
                    "channel": channel,
                    "draw": np.repeat(np.arange(draws), geos),
                    "form": response.form,
                    "adstock_alpha": response.adstock_alpha.ravel(),
                    "saturation_lam": response.saturation_lam.ravel(),
                    "outcome_beta": response.outcome_beta.ravel(),
                    "spend_scale": response.spend_scale.ravel(),
                    "spend_share": response.spend_share.ravel(),
                }
            )
        )
    return pl.concat(frames)


def lift_rows(fitted: Fitted, run_id: str) -> pl.DataFrame:
    """Rows of ``models.mmm_lift_tests``: each calibrating test beside what the stored draws say of the same step in spend."""
    rows = []
    for test in fitted.data.lift_tests:
        response = fitted.response[test.channel]
        step = weekly_response(test.x + test.delta_x, response) - weekly_response(test.x, response)
        low, high = np.quantile(step, [0.05, 0.95])
        rows.append(
            {
                "run_id": run_id,
                "experiment_id": test.experiment_id,
                "channel": test.channel,
                "design": test.design,
                "x": test.x,
                "delta_x": test.delta_x,
                "delta_y": test.delta_y,
                "sigma": test.sigma,
                "model_mean": float(step.mean()),
                "model_sd": float(step.std()),
                "model_p05": float(low),
                "model_p95": float(high),
            }
        )
    return pl.DataFrame(rows, schema=load_contract("models.mmm_lift_tests").polars_schema())


def period_rows(fitted: Fitted, run_id: str) -> pl.DataFrame:
    """Observed and predicted national outcome per period, and its parts.

    ``total`` of a held-out period is the prediction of the fit that never saw it; the parts are always the main fit's.
    """
    data, parts = fitted.data, fitted.parts
    periods, held = len(data.periods), fitted.holdout.periods
    p05, p95 = np.quantile(parts.predictive, [0.05, 0.95], axis=0)
    mean = parts.mean.mean(axis=0)
    mean[periods - held :], p05[periods - held :], p95[periods - held :] = (
        fitted.holdout.mean,
        fitted.holdout.p05,
        fitted.holdout.p95,
    )
    observed = data.outcome.sum(axis=1)
    frames = [_component("total", run_id, data.periods, observed, mean, p05, p95, np.arange(periods) >= periods - held)]
    draws = {"baseline": parts.baseline, "seasonality": parts.seasonality, "controls": parts.controls}
    draws |= {channel: parts.media[..., c] for c, channel in enumerate(data.channels)}
    for name, values in draws.items():
        low, high = np.quantile(values, [0.05, 0.95], axis=0)
        frames.append(_component(name, run_id, data.periods, None, values.mean(axis=0), low, high, np.zeros(periods, dtype=bool)))
    return pl.concat(frames)


def _component(
    name: str,
    run_id: str,
    periods: tuple[date, ...],
    observed: Floats | None,
    mean: Floats,
    p05: Floats,
    p95: Floats,
    held: NDArray[np.bool_],
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "run_id": run_id,
            "geo": "national",
            "period_start_date": list(periods),
            "component": name,
            "observed": pl.Series(observed if observed is not None else [None] * len(periods), dtype=pl.Float64),
            "mean": mean,
            "p05": p05,
            "p95": p95,
            "is_holdout": held,
        }
    )


def blended_cost(fitted: Fitted) -> float:
    """Spend over outcome of the last periods, in currency units per unit of outcome: the target when nobody names one.

    Channels that are not in the model count: their customers are among the outcomes.
    """
    outcome = float(fitted.data.outcome[-RECENT_PERIODS:].sum())
    spend = fitted.data.blended_spend(RECENT_PERIODS)
    if outcome <= 0 or spend <= 0:
        raise JobError(
            f"spend {spend:g} and outcome {outcome:g} of the last {RECENT_PERIODS} periods give no blended cost; "
            "name one with --target-cost"
        )
    return spend / outcome


def optimise(response: dict[str, ResponseDraws], current: Floats, highest: Floats, risk_aversion: float) -> Allocation:
    """Spend per channel of the same sum that maximises mean − risk_aversion·sd of the total outcome over the draws.

    Bounds: within half of the current spend, and never above the highest spend seen (a curve beyond it is extrapolated) unless
    current spend already is. SLSQP with the exact gradient; JobError if it does not converge.
    """
    lower, upper = (1 - MOVE) * current, np.maximum(np.minimum((1 + MOVE) * current, highest), current)
    total = float(current.sum())
    if total <= 0:
        raise JobError(f"no channel has spent anything in the last {RECENT_PERIODS} periods; there is nothing to allocate")
    channels = list(response)
    value_now = np.array([weekly_response(float(s), response[c]) for c, s in zip(channels, current, strict=True)]).sum(axis=0)
    unit = max(float(value_now.mean()), 1e-12)

    def loss(share: Floats) -> tuple[float, Floats]:
        spend = share * total
        outcome = np.array([weekly_response(float(s), response[c]) for c, s in zip(channels, spend, strict=True)])
        slope = np.array([marginal_response(float(s), response[c]) for c, s in zip(channels, spend, strict=True)])
        summed = outcome.sum(axis=0)
        deviation = max(float(summed.std()), 1e-12)
        gradient = slope.mean(axis=1) - risk_aversion * ((summed - summed.mean()) * slope).mean(axis=1) / deviation
        return -(float(summed.mean()) - risk_aversion * deviation) / unit, -gradient * total / unit

    result = minimize(
        loss,
        current / total,
        jac=True,
        method="SLSQP",
        bounds=list(zip(lower / total, upper / total, strict=True)),
        constraints=[{"type": "eq", "fun": lambda share: share.sum() - 1, "jac": lambda share: np.ones_like(share)}],
        options={"maxiter": 300, "ftol": 1e-10},
    )
    if not result.success:
        raise JobError(f"the search for the best allocation did not converge: {result.message}")
    optimal = np.clip(result.x * total, lower, upper)
    near = 1e-4 * total
    binding = tuple(
        "upper" if o >= u - near and u > w else "lower" if o <= w + near and u > w else "none"
        for o, w, u in zip(optimal, lower, upper, strict=True)
    )
    return Allocation(current, optimal, lower, upper, binding)


def allocation_rows(fitted: Fitted, run_id: str, target_cost: float) -> pl.DataFrame:
    """Rows of ``models.mmm_allocations``; ``target_cost`` in currency units per unit of outcome."""
    data = fitted.data
    current = data.recent_spend(RECENT_PERIODS)
    best = optimise(fitted.response, current, data.spend.sum(axis=1).max(axis=0), fitted.config.risk_aversion)
    roas = fitted.parts.media.sum(axis=1) / data.spend.sum(axis=(0, 1))
    rows = []
    for c, channel in enumerate(data.channels):
        response = fitted.response[channel]
        now, then = weekly_response(float(current[c]), response), weekly_response(float(best.optimal[c]), response)
        slope = marginal_response(float(current[c]), response)
        rows.append(
            {
                "run_id": run_id,
                "channel": channel,
                "current_spend_micros": _micros(current[c]),
                "optimal_spend_micros": _micros(best.optimal[c]),
                "lower_bound_micros": _micros(best.lower[c]),
                "upper_bound_micros": _micros(best.upper[c]),
                "binding_bound": best.binding[c],
                "outcome_current_mean": float(now.mean()),
                "outcome_optimal_mean": float(then.mean()),
                "outcome_gain_p05": float(np.quantile(then - now, 0.05)),
                "outcome_gain_p95": float(np.quantile(then - now, 0.95)),
                "roas_mean": float(roas[:, c].mean()),
                "roas_p03": float(np.quantile(roas[:, c], 0.03)),
                "roas_p97": float(np.quantile(roas[:, c], 0.97)),
                "marginal_cac_current_micros": _micros(1 / slope.mean()) if slope.mean() > 1e-9 else None,
                "p_cac_le_target": float(np.mean(slope * target_cost >= 1)),
                "target_cac_micros": _micros(target_cost),
                "risk_measure": f"mean_minus_{fitted.config.risk_aversion:g}_sd",
                "prior_contraction": None if fitted.prior_contraction is None else float(fitted.prior_contraction[c]),
            }
        )
    return pl.DataFrame(rows, schema_overrides={"marginal_cac_current_micros": pl.Int64, "prior_contraction": pl.Float64})


def _micros(amount: float) -> int:
    return round(float(amount) * _MICROS)
