"""The optimum: how much each channel should get, seen over joint posterior draws and with aversion to risk. Pure numpy.

Maximises ``mean_d T(s, d) − risk_aversion · sd_d T(s, d)`` where ``T(s, d)`` is the sum over channels of the steady-state outcome
at spend ``s`` in draw ``d`` (mean–standard-deviation utility; Markowitz 1952, applied to response instead of return), at a
given total and within a lower and an upper bound per channel. Uncertainty of a curve counts against spending there, and since
draws are joint, what two channels share in uncertainty counts too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.changeset import PPM
from tasks.core.errors import GateStop, JobError

Floats = NDArray[np.float64]

_TOLERANCE = 1e-9  # of the total: what counts as equal money
_AT_BOUND = 1e-4  # of the total: an optimum this near a bound lies on it


@dataclass(frozen=True)
class Curves:
    """Response of C channels over D joint draws: both functions take (C,) spend a day and give (D, C).

    ``outcome`` is in outcome units a day; ``marginal`` in outcome units per currency unit.
    """

    channels: tuple[str, ...]
    outcome: Callable[[Floats], Floats]
    marginal: Callable[[Floats], Floats]


@dataclass(frozen=True)
class Optimum:
    """The allocation found: (C,) spend a day, its value and that of the present one, and the bound each channel lies on."""

    spend: Floats
    value: float
    value_before: float
    binding: tuple[str, ...]  # none, lower or upper, by channel


class Infeasible(GateStop):
    """No allocation satisfies the bounds; the message names the constraint that cannot hold."""


def risk_name(risk_aversion: float) -> str:
    """Name of the risk measure with its parameter, as the tables carry it."""
    return f"mean_minus_{risk_aversion:g}_sd"


def utility(outcome: Floats, risk_aversion: float) -> float:
    """``mean − risk_aversion · sd`` of the total over draws; ``outcome`` is (D, C)."""
    total = outcome.sum(axis=1)
    return float(total.mean() - risk_aversion * total.std())


def utility_gradient(curves: Curves, spend: Floats, risk_aversion: float) -> Floats:
    """(C,) derivative of :func:`utility` by spend: ``mean(f'_c) − risk_aversion · cov(T, f'_c) / sd(T)``."""
    slope = curves.marginal(spend)
    gradient: Floats = slope.mean(axis=0)
    total = curves.outcome(spend).sum(axis=1)
    deviation = float(total.std())
    if risk_aversion and deviation > 0:
        centred = total - total.mean()
        gradient = gradient - risk_aversion * (centred @ slope) / (len(total) * deviation)
    return gradient


def check_feasible(channels: Sequence[str], lower: Floats, upper: Floats, total: float) -> None:
    """Raises Infeasible naming the channel or the sum of bounds that no allocation of ``total`` can satisfy."""
    for name, low, high in zip(channels, lower, upper, strict=True):
        if low > high + _TOLERANCE * max(total, 1.0):
            raise Infeasible(
                f"infeasible: the floors of channel {name} need {low:,.2f} a day but its upper bound is {high:,.2f}; "
                "lower the floors or raise headroom_pct in the policy"
            )
    slack = _TOLERANCE * max(total, 1.0)
    if lower.sum() > total + slack:
        raise Infeasible(
            f"infeasible: the lower bounds of all channels add up to {lower.sum():,.2f} a day, more than the total of "
            f"{total:,.2f}; lower the floors in the policy or plan for a larger total with --budget-change-pct"
        )
    if upper.sum() < total - slack:
        raise Infeasible(
            f"infeasible: the upper bounds of all channels (spend seen plus headroom) add up to {upper.sum():,.2f} a day, less "
            f"than the total of {total:,.2f}; plan for less with --budget-change-pct or raise headroom_pct in the policy"
        )


def fill(start: Floats, lower: Floats, upper: Floats, total: float) -> Floats:
    """The allocation nearest in shape to ``start`` that adds up to ``total`` within the bounds (which must allow it)."""
    spend = np.clip(start, lower, upper)
    gap = total - float(spend.sum())
    room = upper - spend if gap > 0 else spend - lower
    available = float(room.sum())
    if available > 0:
        spend = spend + room * (gap / available)
    return np.clip(spend, lower, upper)


def _starts(curves: Curves, current: Floats, lower: Floats, upper: Floats, total: float) -> Iterator[Floats]:
    """The present mix, and mixes that favour channels by their marginal outcome: the utility need not be concave."""
    yield fill(current, lower, upper, total)
    slope = curves.marginal(np.maximum(current, _TOLERANCE * total)).mean(axis=0)
    for sign in (1.0, -1.0):
        spend = lower.copy()
        left = total - float(lower.sum())
        for channel in np.argsort(-sign * slope, kind="stable"):
            extra = min(float(upper[channel] - lower[channel]), left)
            spend[channel] += extra
            left -= extra
        yield spend
    yield fill((lower + upper) / 2.0, lower, upper, total)


def optimise(curves: Curves, current: Floats, lower: Floats, upper: Floats, total: float, *, risk_aversion: float) -> Optimum:
    """Best allocation of ``total`` a day over channels.

    Args:
        curves: response over joint draws.
        current: (C,) present spend a day, currency units.
        lower: (C,) least spend a day of each channel.
        upper: (C,) most spend a day.
        total: spend a day to allocate.
        risk_aversion: weight of the standard deviation, ≥ 0; 0 maximises the mean.

    Raises:
        Infeasible: the bounds leave no allocation of ``total``.
        JobError: the curves give values that are not finite, or no start converged.
    """
    from scipy.optimize import minimize

    check_feasible(curves.channels, lower, upper, total)
    before = curves.outcome(current)
    if not (np.isfinite(before).all() and np.isfinite(curves.marginal(current)).all()):
        bad = sorted({curves.channels[c] for c in np.nonzero(~np.isfinite(before))[1]}) or ["unknown"]
        raise JobError(f"the posterior draws of {', '.join(bad)} give no finite response; fit the model again and review it")
    value_before = utility(before, risk_aversion)
    if total <= 0:
        zero = np.zeros_like(current)
        return Optimum(zero, utility(curves.outcome(zero), risk_aversion), value_before, ("upper",) * len(current))
    scale = max(abs(float(before.sum(axis=1).mean())), 1e-12)

    def objective(share: Floats) -> float:
        return -utility(curves.outcome(share * total), risk_aversion) / scale

    def gradient(share: Floats) -> Floats:
        return -utility_gradient(curves, share * total, risk_aversion) * total / scale

    bounds = list(zip(lower / total, upper / total, strict=True))
    best: Floats | None = None
    best_value = -np.inf
    for start in _starts(curves, current, lower, upper, total):
        found = minimize(
            objective,
            start / total,
            jac=gradient,
            bounds=bounds,
            constraints={"type": "eq", "fun": lambda share: float(share.sum()) - 1.0, "jac": np.ones_like},
            method="SLSQP",
            options={"maxiter": 500, "ftol": 1e-12},
        )
        # A start is itself feasible, so a search that ends badly still leaves it as a candidate.
        for candidate in (found.x * total if np.isfinite(found.x).all() else start, start):
            spend = fill(candidate, lower, upper, total)
            value = utility(curves.outcome(spend), risk_aversion)
            if value > best_value + 1e-12 * scale:
                best, best_value = spend, value
    if best is None:
        raise JobError("the search for the optimum found no finite allocation; fit the model again and review it")
    near = _AT_BOUND * total
    binding = tuple(
        "upper" if high - s <= near else "lower" if s - low <= near else "none"
        for s, low, high in zip(best, lower, upper, strict=True)
    )
    return Optimum(best, best_value, value_before, binding)


def is_probable(curves: Curves, spend: Floats, target_cac: float, min_probability_ppm: int) -> NDArray[np.bool_]:
    """(C,) whether P(marginal CAC ≤ target) at this spend is at least ``min_probability_ppm`` (M4).

    The probability is the share of draws in which one more outcome costs at most ``target_cac``, in whole parts per million
    rounded down, as the change set carries it: plan and apply must never differ by a rounding.
    """
    share = (curves.marginal(spend) * target_cac >= 1.0).mean(axis=0)
    return np.asarray((share * PPM).astype(np.int64) >= min_probability_ppm, dtype=np.bool_)


def affordable_spend(curves: Curves, current: Floats, upper: Floats, *, target_cac: float, min_probability_ppm: int) -> Floats:
    """(C,) largest spend a day up to ``upper`` at which :func:`is_probable` holds; ``current`` where it fails already.

    The curves are concave, so the probability falls with spend and bisection finds the edge; it is approached from below.
    """
    good, bad = current.copy(), np.maximum(upper, current)
    holds_now = is_probable(curves, current, target_cac, min_probability_ppm)
    holds_at_top = is_probable(curves, bad, target_cac, min_probability_ppm)
    for _ in range(50):
        middle = (good + bad) / 2.0
        holds = is_probable(curves, middle, target_cac, min_probability_ppm)
        good, bad = np.where(holds, middle, good), np.where(holds, bad, middle)
    edge = np.where(holds_at_top, np.maximum(upper, current), good)
    return np.asarray(np.where(holds_now, edge, current), dtype=np.float64)
