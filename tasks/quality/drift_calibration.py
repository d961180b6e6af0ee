"""Is a distance larger than this series makes by itself? Placebo windows answer, not a formula that takes days for independent.

The same comparison is made at earlier ends of the same series, a season apart, where nothing is judged: their mean and spread are
the null distribution, with the autocorrelation and the slow waves of the series in it. The p-value is that of a new observation
from it under a t distribution; windows that overlap count for as many as would fit side by side. Over all columns of an account
the false discovery rate is controlled (Benjamini, Hochberg: Controlling the false discovery rate, JRSS B 57(1), 1995, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tasks.quality.drift_statistics import Floats
from tasks.quality.drift_windows import Windows

LEAST_PLACEBOS = 4.0  # side by side; below, the spread of the null is a guess
_LEAST_SPREAD = 0.01  # of the null: a history without any movement would call the first rounding error drift
TWO_SIDED = ("level", "spread")
# Distances cannot be negative and lean to the right; their roots are near enough to normal for the tail of a t distribution. With
# the square root of the PSI and bare KS and JS 7 to 10 % of clean weeks raised an alarm, with these 2 % (decision 0013).
_ROOTS = {"psi": 0.25, "ks": 0.5, "jensenshannon": 0.5}


@dataclass(frozen=True)
class Judged:
    """A distance beside its null: mean and spread of the value to the power ``power``, with ``placebos`` - 1 degrees of freedom.

    ``p_value`` is NaN where the history is too short or the value unknown.
    """

    method: str
    value: float
    mean: float
    spread: float
    placebos: float
    p_value: float

    @property
    def power(self) -> float:
        """Power under which the null is near to normal."""
        return _ROOTS.get(self.method, 1.0)

    @property
    def null_mean(self) -> float:
        """What the series does by itself, on the scale of the value."""
        return max(self.mean, 0.0) ** (1 / self.power) if self.power != 1.0 else self.mean

    @property
    def excess(self) -> float:
        """How far above what the series does by itself; of either sign for level and spread."""
        return self.value - self.null_mean

    def critical_value(self, alpha: float) -> float:
        """The value (of level and spread: the absolute value) whose p-value is ``alpha``."""
        if math.isnan(self.p_value):
            return math.nan
        tail = alpha / 2 if self.method in TWO_SIDED else alpha
        scaled = self.mean + float(stats.t.isf(tail, self.placebos - 1)) * self.spread
        return max(scaled, 0.0) ** (1 / self.power) if self.power != 1.0 else scaled


def judge(history: Floats, method: str, windows: Windows) -> Judged:
    """The newest value of ``history`` against the placebo windows that do not overlap it."""
    value = float(history[0]) if len(history) else math.nan
    placebos = history[windows.current // windows.season :]
    placebos = placebos[~np.isnan(placebos)]
    count = (len(placebos) - 1) * windows.season / windows.current + 1 if len(placebos) else 0.0
    if math.isnan(value) or count < LEAST_PLACEBOS:
        return Judged(method, value, math.nan, math.nan, count, math.nan)
    widened = math.sqrt(1 + 1 / count)  # the mean is an estimate itself
    if method in TWO_SIDED:
        # Around zero: a series that has grown by itself is not expected to grow on.
        spread = max(math.sqrt(float(np.mean(placebos**2))), _LEAST_SPREAD) * widened
        tail = 2 * float(stats.t.sf(abs(value) / spread, count - 1))
        return Judged(method, value, 0.0, spread, count, tail)
    power = _ROOTS.get(method, 1.0)
    scaled = placebos**power
    mean, spread = float(scaled.mean()), max(float(scaled.std(ddof=1)), _LEAST_SPREAD) * widened
    tail = float(stats.t.sf((value**power - mean) / spread, count - 1))
    return Judged(method, value, mean, spread, count, tail)


def q_values(p_values: Sequence[float]) -> list[float]:
    """Benjamini–Hochberg adjusted p-values in the same order; NaN (not judged) stays NaN and counts for nothing."""
    adjusted = [math.nan] * len(p_values)
    known = sorted((index for index, p in enumerate(p_values) if not math.isnan(p)), key=lambda index: p_values[index])
    least = 1.0
    for rank in range(len(known), 0, -1):
        index = known[rank - 1]
        least = min(least, p_values[index] * len(known) / rank)
        adjusted[index] = least
    return adjusted
