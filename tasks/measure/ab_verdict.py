"""What may be said of an experiment on any day, however often it is looked at. Pure.

The verdict is an asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas: Time-uniform central limit theory
and asymptotic confidence sequences, Annals of Statistics 52(6), 2024) of the difference of means by inverse probability weights:
it holds at all sample sizes at once, so stopping when it excludes zero keeps the error at 5 %. The interval of a t-test that is
looked at every day does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy.stats import chisquare

ALPHA = 0.05
SRM_ALPHA = 0.001  # a mismatch stops the verdict, so it must not come by chance
LEAST_CONVERTED = 20  # in both arms together: below, the normal law that the sequence rests on is no good one
TIGHTEST_AT = 5000  # units at which the sequence is made tightest
Verdict = Literal["better", "worse", "undecided", "too_few", "invalid_split"]


@dataclass(frozen=True)
class Variation:
    """Units of one arm, those of them that converted, and the share of units that the lot gives it."""

    exposures: int
    converted: int
    share: float


@dataclass(frozen=True)
class Judged:
    """``lift``: rate of treatment minus rate of control, with its confidence sequence."""

    srm_p_value: float
    lift: float
    low: float
    high: float
    verdict: Verdict

    @property
    def is_srm(self) -> bool:
        """True if the split is not the one that was drawn."""
        return self.srm_p_value < SRM_ALPHA


def half_width(variance: float, units: int, alpha: float = ALPHA) -> float:
    """Half the width of the confidence sequence of a mean over ``units``, whose terms vary by ``variance``."""
    level = -2 * math.log(alpha)
    rho2 = (level + math.log(level) + 1) / TIGHTEST_AT
    inside = 2 * (units * rho2 + 1) / (units**2 * rho2) * math.log(math.sqrt(units * rho2 + 1) / alpha)
    return math.sqrt(variance * inside)


def judge(treatment: Variation, control: Variation) -> Judged:
    """Judge treatment against control.

    Raises:
        ValueError: no exposure, or shares that are no split.
    """
    units = treatment.exposures + control.exposures
    if units == 0 or not 0 < treatment.share < 1 or not math.isclose(treatment.share + control.share, 1.0, abs_tol=1e-6):
        raise ValueError(f"{units} units with shares {treatment.share} and {control.share} are no experiment")
    expected = [units * treatment.share, units * control.share]
    p_value = float(chisquare([treatment.exposures, control.exposures], expected).pvalue)
    treated, held = treatment.converted / units / treatment.share, control.converted / units / control.share
    lift = treated - held
    variance = treated / treatment.share + held / control.share - lift**2
    half = half_width(max(variance, 0.0), units)
    return Judged(p_value, lift, lift - half, lift + half, _verdict(p_value, treatment, control, lift, half))


def _verdict(p_value: float, treatment: Variation, control: Variation, lift: float, half: float) -> Verdict:
    if p_value < SRM_ALPHA:
        return "invalid_split"
    if treatment.converted + control.converted < LEAST_CONVERTED:
        return "too_few"
    if abs(lift) <= half:
        return "undecided"
    return "better" if lift > 0 else "worse"
