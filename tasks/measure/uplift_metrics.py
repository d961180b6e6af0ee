"""How well scores rank by effect: Qini curve, uplift at k, calibration by decile, value of a policy. Pure NumPy.

Ties: units with one score are one step of the curve, and a cut through them takes the same share of each, so the order of the
rows never matters. scikit-uplift 0.5.1 tells scores apart that differ only by the rounding of a float (0.1 + 0.2 against 0.3);
here scores equal to nine significant digits are one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.measure.uplift_data import Floats

GRID = np.linspace(0, 1, 51)


def tie_groups(scores: Floats) -> NDArray[np.int64]:
    """(N,) dense ranks from the best score (0) down; scores equal to nine significant digits share one."""
    scale = float(np.abs(scores).max(initial=0.0)) or 1.0
    _, inverse = np.unique(-np.round(scores / scale, 9), return_inverse=True)
    return inverse.astype(np.int64)


@dataclass(frozen=True)
class Ranking:
    """Units of a fixed ranking: tie group (N,), outcome, arm, and inverse-odds weights; sums per group are quick."""

    group: NDArray[np.int64]
    outcome: Floats
    treated: Floats
    weight: Floats

    @classmethod
    def of(cls, scores: Floats, outcome: Floats, treated: Floats, odds: Floats) -> Ranking:
        """Weights are 1 / P(own arm): with equal odds the curve is the textbook one."""
        return cls(tie_groups(scores), outcome, treated, np.where(treated == 1, 1 / odds, 1 / (1 - odds)))

    def sums(self, counts: Floats) -> Floats:
        """(5, G + 1) cumulated from the best group: units, treated, control weights, treated, control outcomes."""
        size = int(self.group.max()) + 1
        own = self.weight * counts
        columns = (
            counts,
            own * self.treated,
            own * (1 - self.treated),
            own * self.treated * self.outcome,
            own * (1 - self.treated) * self.outcome,
        )
        per_group = np.stack([np.bincount(self.group, weights=column, minlength=size) for column in columns])
        return np.concatenate([np.zeros((5, 1)), per_group.cumsum(axis=1)], axis=1)


def _gain(sums: Floats) -> Floats:
    """Qini (Radcliffe 2007): outcomes won among the treated so far, Y_t − Y_c · N_t / N_c, per treated unit of all."""
    _, treated, control, won, lost = sums
    ratio = np.divide(treated, control, out=np.zeros_like(treated), where=control > 0)
    return np.asarray((won - lost * ratio) / max(treated[-1], 1e-300))


def qini_curve(ranking: Ranking, counts: Floats | None = None) -> tuple[Floats, Floats]:
    """(shares, gains) at every tie group: share of the units targeted, conversions won per unit if all were treated."""
    sums = ranking.sums(np.ones(len(ranking.outcome)) if counts is None else counts)
    return np.asarray(sums[0] / sums[0, -1]), _gain(sums)


def qini_of(shares: Floats, gains: Floats) -> float:
    """Area between the curve and the straight line of a random order; 0 for a constant score."""
    return float(np.trapezoid(gains, shares) - gains[-1] / 2)


def uplift_at(ranking: Ranking, share: float, counts: Floats | None = None) -> float:
    """Difference of the arms' rates in the best ``share`` of the units; a tie group at the cut counts in part."""
    sums = ranking.sums(np.ones(len(ranking.outcome)) if counts is None else counts)
    reached = sums[0] / sums[0, -1]
    _, treated, control, won, lost = (float(np.interp(share, reached, row)) for row in sums)
    return (won / treated if treated > 0 else 0.0) - (lost / control if control > 0 else 0.0)


def bootstrap(statistic: Callable[[Floats], Floats], size: int, replicates: int, seed: int) -> Floats:
    """(R, …) replicates of ``statistic(counts)``; each unit counts Poisson(1) times (Hanley & MacGibbon 2006)."""
    rng = np.random.default_rng(seed)
    return np.stack([statistic(rng.poisson(1.0, size).astype(float)) for _ in range(replicates)])


@dataclass(frozen=True)
class Ranked:
    """A ranking's quality with bootstrap replicates: Qini, uplift at each k, and the curve on ``GRID``."""

    qini: float
    qini_replicates: Floats
    at: dict[float, float]
    at_replicates: dict[float, Floats]
    curve: Floats
    curve_replicates: Floats


def judge(ranking: Ranking, shares: tuple[float, ...], replicates: int, seed: int) -> Ranked:
    """Qini, uplift at ``shares`` and the curve, with ``replicates`` bootstrap replicates of the units."""

    def all_of(counts: Floats) -> Floats:
        reached, gains = qini_curve(ranking, counts)
        at = [uplift_at(ranking, share, counts) for share in shares]
        return np.array([qini_of(reached, gains), *at, *np.interp(GRID, reached, gains)])

    point = all_of(np.ones(len(ranking.outcome)))
    drawn = bootstrap(all_of, len(ranking.outcome), replicates, seed)
    cut = 1 + len(shares)
    return Ranked(
        qini=float(point[0]),
        qini_replicates=drawn[:, 0],
        at={share: float(point[1 + i]) for i, share in enumerate(shares)},
        at_replicates={share: drawn[:, 1 + i] for i, share in enumerate(shares)},
        curve=point[cut:],
        curve_replicates=drawn[:, cut:],
    )


@dataclass(frozen=True)
class Bin:
    """One bin of the calibration: mean predicted uplift, mean doubly robust score with its error."""

    number: int
    units: int
    predicted: float
    observed: float
    error: float


def calibration(scores: Floats, robust: Floats, bins: int = 10) -> list[Bin]:
    """Predicted against observed uplift by decile, best first; a tie group is never split, so ties leave fewer bins."""
    group = tie_groups(scores)
    counts = np.bincount(group)
    middle = (counts.cumsum() - counts / 2) / len(scores)
    number = np.minimum((middle * bins).astype(int), bins - 1)[group]
    found = []
    for bin_number in np.unique(number):
        mine = number == bin_number
        if mine.sum() < 2:
            continue
        error = robust[mine].std(ddof=1) / np.sqrt(mine.sum())
        predicted, observed = float(scores[mine].mean()), float(robust[mine].mean())
        found.append(Bin(int(bin_number) + 1, int(mine.sum()), predicted, observed, float(error)))
    return found


@dataclass(frozen=True)
class Policy:
    """Treat whoever is worth it: share of the units, conversions won and cost per 1,000 units, CAC and its upper bound."""

    share: float
    won: float
    won_error: float
    cost: float
    cac: float | None
    cac_upper: float | None
    is_within_target: bool


def policy_value(scores: Floats, robust: Floats, cost: float, target: float) -> Policy:
    """Treat a unit if its predicted uplift pays: marginal CAC = cost / uplift ≤ target.

    The scores are out of fold, so the treated units' robust scores estimate what is won without the optimism of the fit.
    ``is_within_target`` takes the 5 % bound of what is won.
    """
    treat = scores >= cost / target
    share = float(treat.mean())
    value = np.where(treat, robust, 0.0)
    won, error = float(value.mean()) * 1000, float(value.std(ddof=1) / np.sqrt(len(value))) * 1000
    spent = share * cost * 1000
    low = won - 1.6448536269514722 * error
    cac = spent / won if won > 0 else None
    upper = spent / low if low > 0 else None
    return Policy(share, won, error, spent, cac, upper, share > 0 and upper is not None and upper <= target)
