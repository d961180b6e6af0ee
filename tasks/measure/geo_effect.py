"""What a geo experiment brought: difference in differences of ratios, with an interval by permutation of the geos. Pure numpy.

Regions grow and shrink together, in proportion to their size. So the treated geos are compared with what they would have sold had
they changed from before to the test as the control geos did (Vaver & Koehler 2011, "Measuring Ad Effectiveness Using Geo
Experiments", compare geos the same way):

    1 + lift = (Σ_T y_test / Σ_T y_pre) / (Σ_C y_test / Σ_C y_pre)

The interval inverts a permutation test (Rosenbaum 2002, "Observational Studies", 2.4 to 2.6): a lift is in it if, once it is
taken out of the treated geos, their difference is no more extreme than that of other geos picked by the same lot. Nothing is
assumed of the noise, and a few large geos cannot make the interval too narrow; with a lot it is exact.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import JobError
from tasks.measure.geo_panel import Floats, GeoPanel

LEVEL = 0.95
NORMAL = 1.959964  # half width of a 95 % interval in standard errors
PICKS = 4000  # permutations where there are more
FEWEST = 40  # ways to pick the treated geos: with fewer no interval of 95 % is bounded
FARTHEST = 5.0  # log of the largest lift looked for
NO_STEP = 0.01  # of the spend: less is no step along a curve


@dataclass(frozen=True)
class Effect:
    """Relative lift of the treated geos with its interval, and the two-sided p-value of no lift."""

    lift: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class GeoLift:
    """The experiment in the units of the MMM: national, a week, spend in whole currency units.

    ``trend_p``: p-value of a lift before the test, when there can be none; None if the time before is too short to split.
    """

    effect: Effect
    x: float
    delta_x: float
    delta_y: float
    sigma: float
    trend_p: float | None
    problem: str | None


def picks_of(treated: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """(P, G) ways to pick as many geos, the true one first: all, or ``PICKS`` at random. JobError if there are too few."""
    geos, size = len(treated), int(treated.sum())
    ways = math.comb(geos, size)
    if ways < FEWEST:
        raise JobError(
            f"{size} of {geos} geos are treated: there are {ways} ways to pick them, and an interval of 95 % needs {FEWEST}. "
            "Split the geos finer, or treat more of them"
        )
    if ways <= PICKS:
        chosen = np.array(list(itertools.combinations(range(geos), size)))
    else:
        chosen = np.argsort(np.random.default_rng(seed).random((PICKS, geos)), axis=1)[:, :size]
    picks = np.zeros((len(chosen), geos), dtype=bool)
    np.put_along_axis(picks, chosen, True, axis=1)
    others = picks[(picks != treated).any(axis=1)]
    return np.concatenate([treated[None], others])


def effect_of(before: Floats, after: Floats, picks: NDArray[np.bool_]) -> Effect:
    """Lift of the geos of the first of ``picks``; ``before`` and ``after`` (G,) are outcomes above zero."""
    treated = picks[0]
    inside = picks.astype(np.float64)

    def difference(log_lift: float) -> Floats:
        plain = np.where(treated, after * math.exp(-log_lift), after)
        sums = [(inside @ values, values.sum()) for values in (plain, before)]
        (new, new_all), (old, old_all) = sums
        result: Floats = np.log(new / old) - np.log((new_all - new) / (old_all - old))
        return result

    def p_value(log_lift: float) -> float:
        found = np.abs(difference(log_lift))
        return float(np.mean(found >= found[0] - 1e-12))

    centre = float(difference(0.0)[0])

    def bound(sign: int) -> float:
        inner, outer = 0.0, FARTHEST
        if p_value(centre + sign * outer) > 1 - LEVEL:
            raise JobError("the interval of the lift has no end: the geos differ too much from each other for this test")
        while outer - inner > 1e-6:
            middle = (inner + outer) / 2
            if p_value(centre + sign * middle) > 1 - LEVEL:
                inner = middle
            else:
                outer = middle
        return math.expm1(centre + sign * outer)

    return Effect(math.expm1(centre), bound(-1), bound(1), p_value(0.0))


def measure(panel: GeoPanel, coverage: float, seed: int) -> GeoLift:
    """The lift of ``panel``, whose geos hold ``coverage`` of the whole market.

    Outcomes of the cool-down count as the test's: spend of the test is still at work then. As a rate they belong to the weeks of
    the test alone. The step is told upwards, also where treatment was to spend less.
    """
    picks = picks_of(panel.treated, seed)
    early, late = panel.period == 0, panel.period > 0
    before, after = panel.outcome[:, early].sum(axis=1), panel.outcome[:, late].sum(axis=1)
    effect = effect_of(before, after, picks)
    share = float(before[panel.treated].sum() / before.sum()) * coverage
    actual, otherwise = _spend(panel, before)
    scale = 1 / share / panel.weeks(1)
    sold = float(after[panel.treated].sum())
    brought, low, high = (sold * lift / (1 + lift) * scale for lift in (effect.lift, effect.low, effect.high))
    step = (actual - otherwise) / share
    problem = None
    if abs(step) * share <= NO_STEP * max(actual, otherwise):
        problem = "the treated geos spent what they would have spent anyway, so there is no step along the curve"
    return GeoLift(
        effect=effect,
        x=min(actual, otherwise) / share,
        delta_x=abs(step),
        delta_y=brought if step >= 0 else -brought,
        sigma=(high - low) / (2 * NORMAL),
        trend_p=_trend(panel, picks),
        problem=problem,
    )


def _spend(panel: GeoPanel, before: Floats) -> tuple[float, float]:
    """Spend a week of the treated geos in the test: what it was, and what it would have been.

    It would have changed from before as in the control geos; where the channel is new, it would have been theirs per outcome.
    """

    def rate(who: NDArray[np.bool_], period: int) -> float:
        return float(panel.spend[who][:, panel.period == period].sum()) / panel.weeks(period)

    treated, control = panel.treated, ~panel.treated
    old, new = rate(control, 0), rate(control, 1)
    if rate(treated, 0) > 0:
        return rate(treated, 1), rate(treated, 0) * (new / old if old > 0 else 1.0)
    return rate(treated, 1), new * float(before[treated].sum() / before[control].sum())


def _trend(panel: GeoPanel, picks: NDArray[np.bool_]) -> float | None:
    """p-value of a lift in the second half of the time before the test."""
    days = int((panel.period == 0).sum())
    first, second = panel.outcome[:, : days // 2].sum(axis=1), panel.outcome[:, days // 2 : days].sum(axis=1)
    if days < 4 or (first <= 0).any() or (second <= 0).any():
        return None
    return effect_of(first, second, picks).p_value
