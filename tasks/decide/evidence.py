"""What a step is expected to bring and to cost, over the posterior draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.decide.optimiser import Curves, Floats

DAYS_A_WEEK = 7


@dataclass(frozen=True)
class Cost:
    """Marginal cost of one more outcome in currency units; ``inf`` where more spend brings nothing.

    ``bound`` is the quantile of the cost at the policy's ``min_probability``: P(cost ≤ target) ≥ min_probability holds exactly
    when ``bound`` ≤ target, so it is the bound that decides (M4).
    """

    p50: float
    p95: float
    bound: float
    p_le_target: float

    def buffer_pct(self, target: float) -> float | None:
        """Room between the deciding bound and the target in percent of the target; None if the bound is infinite."""
        return (target - self.bound) / target * 100 if np.isfinite(self.bound) and target > 0 else None


@dataclass(frozen=True)
class Gain:
    """Expected change of the outcome a week: mean and 5th and 95th percentile."""

    mean: float
    p05: float
    p95: float


def upper_quantile(values: Floats, probability: float) -> float:
    """Smallest value that at least ``probability`` of ``values`` do not exceed; no interpolation, so infinity is safe."""
    ordered = np.sort(values)
    # The small slack keeps 0.8 * 500 = 400.00000000000006 from asking for one draw too many.
    return float(ordered[max(int(np.ceil(probability * len(ordered) - 1e-9)), 1) - 1])


def marginal_cost(curves: Curves, spend: Floats, target: float, min_probability: float) -> list[Cost]:
    """Cost of one more outcome for each of C channels at (C,) spend a day."""
    slope = curves.marginal(spend)
    cost = np.divide(1.0, slope, out=np.full_like(slope, np.inf), where=slope > 0)
    share = (slope * target >= 1.0).mean(axis=0)
    return [
        Cost(
            upper_quantile(cost[:, c], 0.5),
            upper_quantile(cost[:, c], 0.95),
            upper_quantile(cost[:, c], min_probability),
            float(share[c]),
        )
        for c in range(cost.shape[1])
    ]


def weekly_gain(change: Floats) -> Gain:
    """(D,) change of the outcome a day as a :class:`Gain` a week."""
    weekly = change * DAYS_A_WEEK
    return Gain(float(weekly.mean()), float(np.quantile(weekly, 0.05)), float(np.quantile(weekly, 0.95)))
