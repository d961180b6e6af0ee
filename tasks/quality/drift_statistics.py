"""Distances between two samples: PSI, Kolmogorov–Smirnov and Jensen–Shannon, defined as Evidently defines them.

Evidently's own functions take 75 ms a column, and the null distribution of a distance needs some ten thousand of them; these take
0.1 ms. tests/quality/test_drift_statistics.py holds them against Evidently's, which draws the report. KS is the distance D, not
Evidently's p-value: the p-value takes the days for independent, which they are not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FEW_VALUES = 20  # up to so many distinct values in the reference Evidently compares values instead of bins
_EMPTY = 1e-4  # share that an empty bin counts with in the PSI


def histograms(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    """Shares of both samples in the same bins: Sturges' number of equal bins over both, or each value by itself where few."""
    values = np.unique(reference)
    if len(values) <= _FEW_VALUES:
        values = np.union1d(values, current)
        return _shares(np.searchsorted(values, reference), len(values)), _shares(np.searchsorted(values, current), len(values))
    both = np.concatenate([reference, current])
    low, high = float(both.min()), float(both.max())
    bins = math.ceil(math.log2(len(both)) + 1)
    edges = np.linspace(low, high, bins + 1)
    # A value on an inner edge belongs to the bin above it, the highest value to the last bin, as in numpy's histogram.
    return _shares(_bin(reference, edges), bins), _shares(_bin(current, edges), bins)


def _bin(sample: Floats, edges: Floats) -> NDArray[np.intp]:
    return np.minimum(np.searchsorted(edges, sample, side="right") - 1, len(edges) - 2)


def _shares(places: NDArray[np.intp], bins: int) -> Floats:
    return np.bincount(places, minlength=bins) / len(places)


def psi(reference: Floats, current: Floats) -> float:
    """Population stability index of two vectors of shares; an empty bin counts as 0.01 %."""
    p, q = _filled(reference), _filled(current)
    return float(np.sum((p - q) * np.log(p / q)))


def _filled(shares: Floats) -> Floats:
    least = float(shares[shares > 0].min())
    return np.where(shares == 0, least / 1e6 if least <= _EMPTY else _EMPTY, shares)


def jensenshannon(reference: Floats, current: Floats) -> float:
    """Jensen–Shannon distance (natural logarithm, at most 0.833) of two vectors of shares."""
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    # A share of 0 adds nothing: 0 · log 0 = 0.
    left = np.sum(p * np.log(np.where(p > 0, p, 1) / np.where(p > 0, middle, 1)))
    right = np.sum(q * np.log(np.where(q > 0, q, 1) / np.where(q > 0, middle, 1)))
    return math.sqrt(max(0.0, float(left + right) / 2))


def ks(reference: Floats, current: Floats) -> float:
    """Largest gap between the two empirical distribution functions."""
    first, second = np.sort(reference), np.sort(current)
    both = np.concatenate([first, second])
    gap = np.searchsorted(first, both, side="right") / len(first) - np.searchsorted(second, both, side="right") / len(second)
    return float(np.abs(gap).max())


def distances(reference: Floats, current: Floats) -> dict[str, float]:
    """PSI, KS and Jensen–Shannon distance of two samples of numbers."""
    p, q = histograms(reference, current)
    return {"psi": psi(p, q), "ks": ks(reference, current), "jensenshannon": jensenshannon(p, q)}
