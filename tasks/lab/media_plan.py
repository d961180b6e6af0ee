"""What a human buyer did in the past: weekly drift, tests up and down, pauses. A model can only learn from such moves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.lab.world import Budget, MediaPlan


@dataclass(frozen=True)
class BudgetHistory:
    """One budget's past.

    Attributes:
        amount_micros: int64, one a day of history; the last equals the configured amount.
        is_paused: bool, one a day: the budget's campaigns did not run that day.
    """

    amount_micros: NDArray[np.int64]
    is_paused: NDArray[np.bool_]


def budget_history(plan: MediaPlan, budget: Budget, days: int, seed: int) -> BudgetHistory:
    """``days`` days of ``budget``, the same for the same seed and id whatever else the world holds.

    The level follows an AR(1) in logs with a weekly step; tests multiply it for two to four weeks; about every sixth test is a
    pause instead. The last ``plan.calm_days`` days hold the configured amount.
    """
    rng = np.random.default_rng([seed, 1, budget.id])
    weeks = days // 7 + 2
    level = np.zeros(weeks)
    shocks = rng.normal(0.0, plan.weekly_drift, weeks)
    for week in range(1, weeks):
        level[week] = 0.88 * level[week - 1] + shocks[week]
    factor = np.exp(np.repeat(level, 7)[:days])
    is_paused = np.zeros(days, dtype=np.bool_)
    start = int(rng.integers(14, 14 + int(plan.weeks_between_tests * 7)))
    while start < days:
        length = int(rng.integers(14, 29))
        if plan.pauses and rng.random() < 1 / 6:
            is_paused[start : start + max(7, length // 2)] = True
        else:
            factor[start : start + length] *= rng.choice(plan.test_factors)
        start += length + int(rng.exponential(plan.weeks_between_tests * 7))
    calm_from = max(0, days - plan.calm_days)
    factor[calm_from:] = 1.0
    is_paused[calm_from:] = False
    amount = np.maximum(np.round(budget.per_day * factor), 1.0)
    return BudgetHistory((amount * 1_000_000).astype(np.int64), is_paused)
