"""Rows of the uplift tables. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from tasks.core.contracts import load_contract
from tasks.core.money import MICROS
from tasks.measure.uplift_data import Floats
from tasks.measure.uplift_fit import ALL, Fit
from tasks.measure.uplift_learners import LEARNERS
from tasks.measure.uplift_lift import PERIOD_DAYS, Lift
from tasks.measure.uplift_metrics import GRID, calibration, policy_value


@dataclass(frozen=True)
class Stamp:
    """What every row of a fit carries."""

    run_date: date
    experiment_id: str
    model_version: str
    now: datetime

    def row(self, **values: Any) -> dict[str, Any]:
        """``values`` with the stamp."""
        return {"date": self.run_date, "experiment_id": self.experiment_id, "loaded_at": self.now} | values


@dataclass(frozen=True)
class Price:
    """Cost of treating one unit, and the most that a further conversion may cost."""

    cost_micros: int
    target_micros: int
    currency_code: str


def _frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=load_contract(table).polars_schema())


def _band(replicates: Floats) -> tuple[float, float]:
    low, high = np.quantile(replicates, [0.05, 0.95])
    return float(low), float(high)


def segment_rows(stamp: Stamp, fit: Fit, outcome_days: int) -> pl.DataFrame:
    """Rows of ``models.uplift_segment_daily``: what was pooled is said in a row without numbers."""
    rows = []
    common = {
        "outcome_days": outcome_days,
        "model_version": stamp.model_version,
        "trimmed_ratio": fit.overlap.trimmed_share if fit.overlap else None,
        "effective_units": fit.overlap.effective if fit.overlap else None,
        "smd_before": fit.smd_before,
        "smd_after": fit.smd_after if np.isfinite(fit.smd_after) else None,
        "effect_kind": fit.units.kind,
    }
    for effect, units in fit.effects:
        withheld = effect.withheld or (fit.problem if effect.method == "aipw" else None)
        ranked = fit.segment_ranked.get(effect.segment) if effect.method == "aipw" and not withheld else None
        low, high = _band(ranked.qini_replicates) if ranked else (None, None)
        given = effect if withheld is None else None
        rows.append(
            stamp.row(
                segment=effect.segment,
                method=effect.method,
                treated_units=effect.treated,
                control_units=effect.control,
                converted_units=int(units.outcome.sum()),
                ate=given.mean if given else None,
                ate_error=given.error if given else None,
                ate_p05=given.bound(0.05) if given else None,
                ate_p95=given.bound(0.95) if given else None,
                ate_p025=given.bound(0.025) if given else None,
                ate_p975=given.bound(0.975) if given else None,
                qini=ranked.qini if ranked else None,
                qini_p05=low,
                qini_p95=high,
                is_withheld=withheld is not None,
                withheld_reason=withheld,
                **common,
            )
        )
    for name, why in fit.pooled.items():
        mine = fit.units.segment == name
        treated = int(fit.units.treated[mine].sum())
        rows.append(
            stamp.row(
                segment=name,
                method="aipw",
                treated_units=treated,
                control_units=int(mine.sum()) - treated,
                converted_units=int(fit.units.outcome[mine].sum()),
                is_withheld=True,
                withheld_reason=f"{why}; pooled into other",
                **common,
            )
        )
    return _frame("models.uplift_segment_daily", rows)


def learner_rows(stamp: Stamp, fit: Fit, price: Price | None) -> pl.DataFrame:
    """Rows of ``models.uplift_learners_daily``."""
    rows = []
    for name in LEARNERS:
        ranked = fit.ranked[name]
        bands = {"qini": ranked.qini_replicates} | {f"uplift_at_{k * 100:.0f}": r for k, r in ranked.at_replicates.items()}
        row = {"qini": ranked.qini} | {f"uplift_at_{k * 100:.0f}": v for k, v in ranked.at.items()}
        for column, replicates in bands.items():
            row[f"{column}_p05"], row[f"{column}_p95"] = _band(replicates)
        rows.append(
            stamp.row(
                learner=name,
                effect_kind=fit.units.kind,
                is_chosen=name == fit.chosen,
                model_version=stamp.model_version,
                **row,
                **_policy(fit, name, price),
            )
        )
    return _frame("models.uplift_learners_daily", rows)


def _policy(fit: Fit, name: str, price: Price | None) -> dict[str, Any]:
    if price is None:
        return {}
    policy = policy_value(fit.predicted[name], fit.scores.score, price.cost_micros / MICROS, price.target_micros / MICROS)
    return {
        "treatment_cost_micros": price.cost_micros,
        "target_cac_micros": price.target_micros,
        "currency_code": price.currency_code,
        "treat_ratio": policy.share,
        "won_per_thousand": policy.won,
        "won_per_thousand_p05": policy.won - 1.6448536269514722 * policy.won_error,
        "cac_micros": None if policy.cac is None else round(policy.cac * MICROS),
        "cac_p95_micros": None if policy.cac_upper is None else round(policy.cac_upper * MICROS),
        "is_within_target": policy.is_within_target,
    }


def decile_rows(stamp: Stamp, fit: Fit) -> pl.DataFrame:
    """Rows of ``models.uplift_deciles_daily``, of the chosen learner."""
    rows = [
        stamp.row(
            decile=found.number,
            units=found.units,
            predicted_uplift=found.predicted,
            observed_uplift=found.observed,
            observed_p05=found.observed - 1.6448536269514722 * found.error,
            observed_p95=found.observed + 1.6448536269514722 * found.error,
            effect_kind=fit.units.kind,
        )
        for found in calibration(fit.predicted[fit.chosen], fit.scores.score)
    ]
    return _frame("models.uplift_deciles_daily", rows)


def curve_rows(stamp: Stamp, fit: Fit) -> pl.DataFrame:
    """Rows of ``models.uplift_curves``."""
    rows = []
    for name in LEARNERS:
        ranked = fit.ranked[name]
        low, high = np.quantile(ranked.curve_replicates, [0.05, 0.95], axis=0)
        for i, share in enumerate(GRID):
            rows.append(
                stamp.row(
                    learner=name,
                    share=round(float(share), 4),
                    gain=float(ranked.curve[i]),
                    gain_p05=float(low[i]),
                    gain_p95=float(high[i]),
                    gain_random=float(share * ranked.curve[-1]),
                    effect_kind=fit.units.kind,
                )
            )
    return _frame("models.uplift_curves", rows)


def score_rows(
    stamp: Stamp,
    fit: Fit,
    people: pl.DataFrame,
    segments: np.ndarray,
    propensity: Floats,
    uplift: Floats,
    drifted: str | None,
) -> pl.DataFrame:
    """Rows of ``models.segment_scores_daily``. Withheld are all scores of a drifted model, and an uplift that ranks nothing."""
    band = _band(fit.ranked[fit.chosen].qini_replicates)
    chance = None if fit.is_ranking else f"uplift ranks no better than chance (Qini {band[0]:.5f} to {band[1]:.5f})"
    no_uplift = drifted or fit.problem or chance
    return people.select(
        pl.lit(stamp.run_date).alias("date"),
        pl.lit(stamp.experiment_id).alias("experiment_id"),
        "person_id",
        pl.Series("segment", segments.astype(str).tolist(), dtype=pl.String),
        pl.Series("propensity", [None] * people.height if drifted else propensity, dtype=pl.Float64),
        pl.Series("uplift", [None] * people.height if no_uplift else uplift, dtype=pl.Float64),
        pl.lit(fit.units.kind).alias("effect_kind"),
        pl.lit(drifted is not None).alias("is_drifted"),
        pl.lit(no_uplift, dtype=pl.String).alias("withheld_reason"),
        "is_ads_consented",
        pl.lit(stamp.model_version).alias("model_version"),
        pl.lit(stamp.now).cast(pl.Datetime("us", "UTC")).alias("loaded_at"),
    )


def lift_rows(stamp: Stamp, lift: Lift) -> pl.DataFrame:
    """The row of ``models.lift_tests``."""
    row = {
        "experiment_id": stamp.experiment_id,
        "target": "new_customers",
        "source": "platforms",
        "channel": lift.channel,
        "design": "randomised_holdout",
        "effect_kind": "causal",  # lift_of refuses everything else
        "x": lift.x,
        "delta_x": lift.delta_x,
        "delta_y": lift.delta_y,
        "sigma": lift.sigma,
        "period_days": PERIOD_DAYS,
        "currency_code": lift.currency_code,
        "test_start_date": lift.start,
        "test_end_date": lift.end,
        "is_usable": lift.problem is None,
        "withheld_reason": lift.problem,
        "run_date": stamp.run_date,
        "loaded_at": stamp.now,
    }
    return _frame("models.lift_tests", [row])


def told(fit: Fit) -> str:
    """What the fit says, in one line."""
    effect = next(e for e, _ in fit.effects if e.segment == ALL and e.method == "aipw")
    why = effect.withheld or fit.problem
    if why or effect.mean is None:
        return f"{fit.units.kind}: effect withheld, {why}"
    low, high = effect.bound(0.05), effect.bound(0.95)
    return (
        f"{fit.units.kind} effect {effect.mean:+.2%} ({low:+.2%} to {high:+.2%}) on the share that converts; {fit.chosen} ranks"
    )
