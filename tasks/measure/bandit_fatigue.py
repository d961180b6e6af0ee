"""Creative fatigue: does an ad fall against its own first weeks, and against the other ads of its group? Pure.

How often one person saw the ad is unknown (platforms report it per campaign at best), so fatigue is told from its effect. The
rule: over its last 14 days the ad's rate is below 80 % of that of its first 28 days after the change of the group's other ads is
taken out (season, auctions and pages move all of them), by more than chance (one-sided 5 %, counts vary twice as much as Poisson
ones). It holds for rewards per spend, or for clicks per impression as long as rewards do not rise. Clicks warn of
fatigue; they are never a reward. An ad younger than 42 days, or alone in its group, is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FIRST_DAYS, RECENT_DAYS = 28, 14
FALL = 0.8
_Z = 1.645
_DISPERSION = 2.0


@dataclass(frozen=True)
class Course:
    """Days of an ad in order, or of several summed: counts and what they are counted on."""

    impressions: Floats  # (D,)
    clicks: Floats  # (D,)
    exposure: Floats  # (D,) spend times the share of its rewards that has arrived
    reward: Floats  # (D,)


def _change(counts: Floats, base: Floats) -> tuple[float, float] | None:
    """Log of the rate of the last days over that of the first ones, and its variance; None where either counted nothing."""
    first, recent = float(counts[:FIRST_DAYS].sum()), float(counts[-RECENT_DAYS:].sum())
    first_base, recent_base = float(base[:FIRST_DAYS].sum()), float(base[-RECENT_DAYS:].sum())
    if min(first, recent, first_base, recent_base) <= 0:
        return None
    return float(np.log(recent / recent_base) - np.log(first / first_base)), _DISPERSION * (1 / first + 1 / recent)


def _against(own: tuple[float, float] | None, group: tuple[float, float] | None) -> tuple[float, float] | None:
    """The ad's change beyond that of its group, and its standard error."""
    if own is None or group is None:
        return None
    return own[0] - group[0], float(np.sqrt(own[1] + group[1]))


def _falls(change: tuple[float, float] | None) -> bool:
    return change is not None and change[0] < np.log(FALL) and change[0] < -_Z * change[1]


def fatigue(ad: Course, others: Course) -> str | None:
    """Why the ad counts as fatigued, or None. Both over the same days, the ad's first one to the last."""
    if len(ad.clicks) < FIRST_DAYS + RECENT_DAYS or others.impressions.sum() <= 0:
        return None
    rewards = _against(_change(ad.reward, ad.exposure), _change(others.reward, others.exposure))
    clicks = _against(_change(ad.clicks, ad.impressions), _change(others.clicks, others.impressions))
    if rewards is not None and _falls(rewards):
        return f"rewards per spend at {np.exp(rewards[0]):.0%} of its first {FIRST_DAYS} days, relative to its group"
    if clicks is not None and _falls(clicks) and (rewards is None or rewards[0] <= 0):
        return f"clicks per impression at {np.exp(clicks[0]):.0%} of its first {FIRST_DAYS} days, relative to its group"
    return None
