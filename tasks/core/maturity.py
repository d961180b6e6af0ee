"""How much of a click day's conversions has arrived, and what that says of the rest.

Conversions follow their clicks by days or weeks, and of a young click day only the quick ones have been seen: lags are right
truncated. The estimate runs backwards in time: among the conversions with a lag of at most ``l`` days, the share with a lag of
exactly ``l`` (the reverse hazard) can be read from every click day that is at least ``l`` days old, and the share that has
arrived by day ``l`` is the product of one minus the later ones. That is the product-limit estimator for truncated data
(Lagakos, Barraj, De Gruttola: Nonparametric analysis of truncated survival data, with application to AIDS, Biometrika 75(3),
1988, section 2) and, on counts, the chain ladder (England, Verrall: Stochastic claims reserving in general insurance, British
Actuarial Journal 8(3), 2002, section 2).

Uncertainty: each reverse hazard is a beta posterior with the counts divided by the dispersion between click days (the moment
estimate of a beta-binomial), and what is still to come is negative binomial given what has been seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 1000
# Beta(0.1, 1): a tenth of a conversion at each lag, so that thirty lags nobody has seen do not add up to a tail.
_PRIOR = (0.1, 1.0)


@dataclass(frozen=True)
class Curve:
    """``draws``: (DRAWS, lags) shares arrived by the end of each lag day, the last one 1; ``lags`` counted from 0."""

    draws: Floats
    conversions: float
    cohorts: int
    dispersion: float

    @property
    def mean(self) -> Floats:
        """(lags,) posterior mean."""
        return np.asarray(self.draws.mean(axis=0), dtype=np.float64)

    def quantile(self, q: float) -> Floats:
        """(lags,) quantile ``q``."""
        return np.asarray(np.quantile(self.draws, q, axis=0), dtype=np.float64)

    def at(self, age: int) -> Floats:
        """(DRAWS,) share that has arrived when the click day is ``age`` days past; 1 beyond the last lag."""
        return self.draws[:, min(max(age, 0), self.draws.shape[1] - 1)]


def fit_curve(counts: Floats, ages: Ints, rng: np.random.Generator) -> Curve:
    """Estimate the curve from the triangle of click days and lags.

    Args:
        counts: (C, L) conversions of click day c with lag l; cells with l > ages[c] are ignored.
        ages: (C,) the largest lag that has been fully seen for each click day.
        rng: draws.

    Raises:
        ValueError: no click day is old enough to show the largest lag, so its share is unknown.
    """
    lags = counts.shape[1]
    seen = np.arange(lags)[None, :] <= ages[:, None]
    if not seen[:, -1].any():
        raise ValueError(f"no click day is {lags - 1} days old; the share that arrives later is unknown")
    known = np.where(seen, counts, 0.0)
    so_far = np.cumsum(known, axis=1)
    exact, upto = known.sum(axis=0), np.where(seen, so_far, 0.0).sum(axis=0)
    hazard = np.divide(exact, upto, out=np.zeros(lags), where=upto > 0)
    spread = _dispersion(known, np.where(seen, so_far, 0.0), hazard)
    alpha = _PRIOR[0] + exact / spread
    beta = _PRIOR[1] + (upto - exact) / spread
    draws = rng.beta(alpha[1:], beta[1:], (DRAWS, lags - 1))
    # Share by day l = product over later days k of 1 - h_k.
    later = np.cumprod((1.0 - draws)[:, ::-1], axis=1)[:, ::-1]
    shares = np.concatenate([later, np.ones((DRAWS, 1))], axis=1)
    return Curve(shares, float(known.sum()), int((known.sum(axis=1) > 0).sum()), spread)


def _dispersion(exact: Floats, upto: Floats, hazard: Floats) -> float:
    """Pearson chi square over its degrees of freedom, at least 1: how much more click days differ than chance makes them."""
    variance = upto * hazard * (1.0 - hazard)
    usable = (variance > 0.1) & (np.arange(exact.shape[1])[None, :] > 0)
    if usable.sum() < 20:
        return 1.0
    chi = (exact - upto * hazard)[usable] ** 2 / variance[usable]
    return max(1.0, float(chi.sum()) / float(usable.sum()))


def still_to_come(observed: float, share: Floats, rng: np.random.Generator) -> Floats:
    """(DRAWS,) conversions that will follow, given ``observed`` ones and draws of the share they are of all.

    Negative binomial: a mean of observed x (1 - share) / share, and never fewer than 0.
    """
    if observed <= 0:
        return np.zeros(len(share))
    # numpy takes any positive real number of successes, so fractional (data-driven) conversions are fine.
    return np.asarray(rng.negative_binomial(observed, np.clip(share, 1e-6, 1.0)), dtype=np.float64)
