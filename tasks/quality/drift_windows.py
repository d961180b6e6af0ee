"""Current and reference windows of a series, without the weekly season, and how far apart they are. Pure numpy.

Both windows are whole weeks, so each weekday has the same weight in both, and the weekday factors come from the reference alone:
a season that stays is no drift, and a season that changes is. A missing day is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.quality.drift_statistics import Floats, distances, jensenshannon, psi

Kind = Literal["positive", "signed"]  # signed: may be negative, so differences instead of ratios
NUMERIC = ("psi", "ks", "jensenshannon", "level", "spread")
CATEGORY = ("psi", "jensenshannon")
_FLOOR = 0.01  # a level that falls to nothing counts as 1 % of the reference, so that its logarithm exists
_LEAST_SEEN = 0.5  # share of a window's days that must be there for a distance to mean anything


@dataclass(frozen=True)
class Windows:
    """Lengths in steps of the series (days, or weeks where ``season`` is 1): whole seasons, the reference right before."""

    current: int
    reference: int
    season: int

    @property
    def length(self) -> int:
        """Steps that one comparison needs."""
        return self.current + self.reference

    def ends(self, steps: int) -> range:
        """Ends (exclusive) of all comparisons in a series of ``steps``, the newest first, a season apart."""
        return range(steps, self.length - 1, -self.season)


def without_season(values: Floats, windows: Windows, kind: Kind) -> Floats:
    """``values`` (reference then current) over the reference's weekday factors, or less its weekday means where ``signed``."""
    if windows.season == 1:
        return values
    weeks = values.reshape(-1, windows.season)
    reference = weeks[: windows.reference // windows.season]
    seen = ~np.isnan(reference)
    counts = np.maximum(seen.sum(axis=0), 1)
    by_weekday = np.where(seen, reference, 0.0).sum(axis=0) / counts
    overall = float(np.where(seen, reference, 0.0).sum() / max(int(seen.sum()), 1))
    if kind == "signed":
        return np.asarray((weeks - by_weekday + overall).ravel(), dtype=np.float64)
    if overall <= 0:
        return values
    # A weekday on which nothing ever happens has no factor.
    return np.asarray((weeks / np.where(by_weekday > 0, by_weekday / overall, 1.0)).ravel(), dtype=np.float64)


def compare(values: Floats, windows: Windows, kind: Kind) -> dict[str, float]:
    """Each of `NUMERIC` for one pair of windows; NaN where too many days are missing."""
    adjusted = without_season(values, windows, kind)
    reference, current = adjusted[: windows.reference], adjusted[windows.reference :]
    reference, current = reference[~np.isnan(reference)], current[~np.isnan(current)]
    if len(reference) < _LEAST_SEEN * windows.reference or len(current) < _LEAST_SEEN * windows.current:
        return dict.fromkeys(NUMERIC, math.nan)
    return distances(reference, current) | _moments(reference, current, kind)


def _moments(reference: Floats, current: Floats, kind: Kind) -> dict[str, float]:
    """``level``: log ratio of means; ``spread``: of the coefficients of variation. Signed: in deviations of the reference."""
    mean, sd = float(reference.mean()), float(reference.std())
    now, now_sd = float(current.mean()), float(current.std())
    if kind == "signed":
        if sd == 0:
            return {"level": math.nan, "spread": math.nan}
        return {"level": (now - mean) / sd, "spread": math.log((now_sd + _FLOOR * sd) / ((1 + _FLOOR) * sd))}
    if mean <= 0:
        return {"level": math.nan, "spread": math.nan}
    level = math.log((now + _FLOOR * mean) / ((1 + _FLOOR) * mean))
    if sd == 0 or now <= 0:
        return {"level": level, "spread": math.nan}
    before, after = sd / mean, now_sd / now
    return {"level": level, "spread": math.log((after + _FLOOR * before) / ((1 + _FLOOR) * before))}


def numeric_history(values: Floats, windows: Windows, kind: Kind) -> dict[str, Floats]:
    """Method → its value at each end of ``windows.ends``, the newest (the one to judge) first."""
    found = [compare(values[end - windows.length : end], windows, kind) for end in windows.ends(len(values))]
    return {method: np.array([one[method] for one in found]) for method in NUMERIC}


def missing_history(values: Floats, windows: Windows) -> Floats:
    """Share of missing steps in the current window less that in the reference, at each end."""
    gone = np.isnan(values).astype(float)
    return np.array(
        [
            gone[end - windows.current : end].mean() - gone[end - windows.length : end - windows.current].mean()
            for end in windows.ends(len(values))
        ]
    )


def category_shares(weights: Floats, windows: Windows, end: int) -> tuple[Floats, Floats]:
    """Shares of the categories of ``weights`` (steps × categories) in reference and current; NaN without any weight."""
    split = end - windows.current
    reference, current = weights[end - windows.length : split].sum(axis=0), weights[split:end].sum(axis=0)
    with np.errstate(invalid="ignore"):
        return reference / reference.sum(), current / current.sum()


def category_history(weights: Floats, windows: Windows) -> dict[str, Floats]:
    """Method → its value at each end for the mix of categories."""
    found: dict[str, list[float]] = {method: [] for method in CATEGORY}
    for end in windows.ends(len(weights)):
        reference, current = category_shares(weights, windows, end)
        known = not (np.isnan(reference).any() or np.isnan(current).any())
        there = (reference > 0) | (current > 0)
        found["psi"].append(psi(reference[there], current[there]) if known else math.nan)
        found["jensenshannon"].append(jensenshannon(reference[there], current[there]) if known else math.nan)
    return {method: np.array(values) for method, values in found.items()}
