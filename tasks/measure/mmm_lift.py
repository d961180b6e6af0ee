"""Lift tests in the marketing-mix model: which ones calibrate it, and the term of its density that they are.

A test says that ``delta_x`` more spend a period than ``x`` brings ``delta_y ± sigma`` outcome. The national steady-state curve of
the channel, the one the tables publish, is asked for the same step:

    delta_y ~ Normal(curve(x + delta_x) − curve(x), sigma)
    curve(s) = Σ_g target[g] · beta · S(lam · s · share[g] / scale[g])

In a national model that is PyMC-Marketing's ``MMM.add_lift_test_measurements`` (the tests compare the two densities). It is
written out here for two reasons: that method puts the scaled numbers into the graph as constants, so that the holdout fit, whose
scales are others, would be calibrated in wrong units; and of a model with regions it wants a measurement a region, not a sum.
Carry-over plays no part: the adstock is normalised, so a step held constant ends at the same spend.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tasks.measure.mmm_data import Floats, LiftTest, MmmInput

if TYPE_CHECKING:
    from tasks.measure.mmm_model import Scales

FARTHEST = 3.0  # times the highest spend seen: beyond, the curve is a guess, or the amounts are in other units
BEFORE, AFTER, WEIGHT, MEASURED, PRECISION = "lift_before", "lift_after", "lift_weight", "lift_measured", "lift_precision"


def choose(rows: pl.DataFrame, data: MmmInput) -> tuple[MmmInput, list[str]]:
    """``data`` with the lift tests of ``rows`` that may calibrate its model, and for each other one its name and why not.

    ``rows``: ``models/mmm_lift_inputs``. Rates are brought to the period of the model.
    """
    tests, left_out = [], []
    for row in rows.sort("experiment_id").iter_rows(named=True):
        if why := _unfit(row, data):
            left_out.append(f"{row['experiment_id']} ({row['channel']}): {why}")
            continue
        amounts = {name: row[name] * data.period_days / row["period_days"] for name in ("x", "delta_x", "delta_y", "sigma")}
        tests.append(
            LiftTest(
                row["experiment_id"],
                row["channel"],
                row["design"],
                **amounts,
                start=row["test_start_date"],
                end=row["test_end_date"],
            )
        )
    return replace(data, lift_tests=tuple(tests)), left_out


def _unfit(row: dict[str, Any], data: MmmInput) -> str | None:
    """Why this row of ``models.lift_tests`` must not calibrate the model of ``data``; None if it may."""
    if row["effect_kind"] != "causal" or row["design"] is None:
        kind = row["effect_kind"] if row["design"] else None
        return f"its effect is {kind or 'of unknown kind'}; only what a lot decided calibrates the model"
    if not row["is_usable"]:
        return f"not usable: {row['withheld_reason']}"
    if row["channel"] not in data.channels:
        return f"the model has no such channel, it has {', '.join(data.channels)}"
    if row["currency_code"] != data.currency_code:
        return f"its spend is in {row['currency_code']}, the model's in {data.currency_code}"
    start, end = row["test_start_date"], row["test_end_date"]
    if start is None or end is None or start < data.periods[0] or end > data.window_end:
        span = f"from {start} to {end}" if start and end else "on unknown days"
        return f"it ran {span}, the model's data from {data.periods[0]} to {data.window_end}"
    measured = np.array([row[name] for name in ("x", "delta_x", "delta_y", "sigma")])
    if not np.isfinite(measured).all() or row["x"] < 0 or row["delta_x"] <= 0 or row["sigma"] <= 0:
        return "x must not be negative, delta_x and sigma must be positive"
    highest = float(data.spend[..., data.channels.index(row["channel"])].sum(axis=1).max())
    reach = (row["x"] + row["delta_x"]) * data.period_days / row["period_days"]
    if reach > FARTHEST * highest:
        return (
            f"its {reach:,.0f} {data.currency_code} a period is more than {FARTHEST:g} times the highest spend seen "
            f"({highest:,.0f}); are its amounts in other units?"
        )
    return None


def arrays(data: MmmInput, scales: Scales) -> dict[str, Floats]:
    """The measurements in units of the model: (L, G) spend before and after, (G,) weights, (L,) lift and 1 / sigma.

    A test that is not over within ``data`` has precision zero: the holdout fit must not know what came later.
    """
    index = [data.channels.index(test.channel) for test in data.lift_tests]
    unit = (data.geo_shares / scales.channel)[:, index].T
    x, step, lift, sigma = np.array([(t.x, t.delta_x, t.delta_y, t.sigma) for t in data.lift_tests]).T
    total = float(scales.target.sum())
    known = np.array([test.end <= data.window_end for test in data.lift_tests])
    return {
        BEFORE: x[:, None] * unit,
        AFTER: (x + step)[:, None] * unit,
        WEIGHT: scales.target / total,
        MEASURED: lift / total,
        PRECISION: np.where(known, total / sigma, 0.0),
    }


def add_to(model: Any, data: MmmInput, scales: Scales) -> None:
    """Add the lift tests of ``data`` to the density of ``model``; their numbers stay shared data, set anew with each data set."""
    import pymc as pm
    import pytensor.tensor as pt

    index = np.array([data.channels.index(test.channel) for test in data.lift_tests])
    with model:
        given = {name: pm.Data(name, values) for name, values in arrays(data, scales).items()}
        lam, beta = (model[name].values[index][:, None] for name in ("saturation_lam", "saturation_beta"))
        step = beta * (pt.tanh(lam * given[AFTER] / 2) - pt.tanh(lam * given[BEFORE] / 2))
        gap = (pt.dot(step, given[WEIGHT]) - given[MEASURED]) * given[PRECISION]
        pm.Potential("lift_tests", -pt.sum(gap**2) / 2)
