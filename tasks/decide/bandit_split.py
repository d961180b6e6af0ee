"""From posteriors to a split of a group's spend. Pure, and a function of its arguments and the seed alone.

The exploiting part is split by P(best) raised to ``POWER``: at ties it splits evenly, with evidence it goes to the leader sooner
than Thompson sampling's own matching, which pays for exploration a second time. The exploring part, exactly ``reserve``, goes to
arms that are not the leader: by how probable each is the best of the rest, and a tenth of it evenly, so that no live arm has a
propensity of 0.

An arm whose P(CAC > cap) is above the limit may only use up its minimum sample; then it is dropped, unless it is the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from tasks.decide.bandit_policies import Policy, linear, p_best, thompson, ucb

Floats = NDArray[np.float64]
PPM = 1_000_000
POWER = 4.0  # tests/bench/bench_bandit.py: 1 loses 3 to 4 % of conversions against it, the leader alone up to 1 %
DRAWS = 2000
_EVEN = 0.1  # of the exploring part


@dataclass(frozen=True)
class Arm:
    """One arm's state. ``by_segment``: (alpha, exposure) in each segment, in one order for all arms of a group."""

    arm_id: str
    alpha: float
    exposure: float
    cac_alpha: float
    cac_exposure: float
    spend_micros: int
    is_enabled: bool = True
    is_fatigued: bool = False
    by_segment: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Rules:
    """What a decision rests on beside the arms. ``segment``: index of the day's segment, for the linear policies.

    ``reserve_ppm`` of the group's spend explores; ``day_spend_micros`` is what the group spends a day, which turns what is left
    of a minimum sample into a share. Without ``cac_cap_micros`` no arm is dropped.
    """

    policy: Policy = "thompson"
    reserve_ppm: int = 100_000
    cac_cap_micros: int | None = None
    drop_probability: float = 0.9
    min_sample_micros: int = 0
    day_spend_micros: int = 0
    segment: int = 0
    power: float = POWER
    draws: int = DRAWS


@dataclass(frozen=True)
class Choice:
    """What was decided for one arm; shares in parts per million of the group's spend."""

    arm_id: str
    action: Literal["keep", "pause", "enable"]
    share_ppm: int
    explore_ppm: int
    reserve_ppm: int
    p_best: float
    p_cac_above_cap: float | None
    is_leader: bool
    is_chosen: bool
    reason: str


def p_cac_above(arm: Arm, cap_micros: int) -> float:
    """P(spend per conversion > cap) = P(rate < 1 / cap) of the arm's gamma posterior."""
    return float(gammainc(arm.cac_alpha, arm.cac_exposure * 1e6 / cap_micros))


def to_ppm(shares: Floats, total: int) -> NDArray[np.int64]:
    """Whole parts per million that sum to exactly ``total``, by largest remainders; zero stays zero."""
    if total == 0 or shares.sum() <= 0:
        return np.zeros(len(shares), dtype=np.int64)
    exact = shares / shares.sum() * total
    found: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - found) * (shares > 0), kind="stable")
    found[order[: total - int(found.sum())]] += 1
    return found


def _dropped(arms: Sequence[Arm], above: Sequence[float | None], rules: Rules) -> list[bool]:
    """Which arms are over: dearer than the cap with enough certainty and enough sample; the least bad one is never among them."""
    over = [p is not None and p > rules.drop_probability for p in above]
    found = [bad and arm.spend_micros >= rules.min_sample_micros for bad, arm in zip(over, arms, strict=True)]
    if all(found):
        found[int(np.argmin([float(p or 0.0) for p in above]))] = False
    return found


def _limits(arms: Sequence[Arm], above: Sequence[float | None], rules: Rules) -> Floats:
    """(A,) largest share each arm may get: what is left of the minimum sample for one that looks too dear, else all."""
    limits = np.ones(len(arms))
    for index, (arm, p) in enumerate(zip(arms, above, strict=True)):
        if p is not None and p > rules.drop_probability:
            left = max(rules.min_sample_micros - arm.spend_micros, 0)
            limits[index] = min(left / rules.day_spend_micros, 1.0) if rules.day_spend_micros > 0 else 0.0
    if limits.max() < 1.0:  # somebody has to serve: the least dear
        limits[int(np.argmin([float(p or 0.0) for p in above]))] = 1.0
    return limits


def _expectations(arms: Sequence[Arm], rules: Rules, seed: int) -> tuple[Floats, Floats, Floats]:
    """Thompson's draws (they say who may be the best, under every policy), the weights of exploitation, the expected rewards."""
    names = [arm.arm_id for arm in arms]
    alpha, exposure = np.array([a.alpha for a in arms]), np.array([a.exposure for a in arms])
    draws = thompson(names, alpha, exposure, rules.draws, seed)
    mean = alpha / exposure
    if rules.policy == "thompson":
        weights = p_best(draws) ** rules.power
    elif rules.policy == "ucb":
        weights = np.eye(len(arms))[ucb(names, alpha, exposure, seed)[0].argmax()]
    else:
        table = np.array([a.by_segment for a in arms])  # (A, S, 2)
        mean = table[:, rules.segment, 0] / table[:, rules.segment, 1]
        found = linear(rules.policy, names, table[:, :, 0].T, table[:, :, 1].T, rules.segment, rules.draws, seed)
        if rules.policy == "lin_ts":
            draws, weights = found, p_best(found) ** rules.power
        else:
            weights = np.eye(len(arms))[found[0].argmax()]
    return draws, weights / weights.sum(), mean


def _explorers(arms: Sequence[Arm], draws: Floats, leader: int) -> Floats:
    """(A,) weights of the exploring part; a fatigued ad is explored only if all the others are fatigued too."""
    others = draws.copy()
    others[:, leader] = -np.inf
    able = np.array([index != leader and not arm.is_fatigued for index, arm in enumerate(arms)])
    if not able.any():
        able = np.arange(len(arms)) != leader
    others[:, ~able] = -np.inf
    return np.asarray((1 - _EVEN) * p_best(others) + _EVEN * able / able.sum(), dtype=np.float64)


def _within(exploit: Floats, explore: Floats, limits: Floats, leader: int) -> tuple[Floats, Floats]:
    """Both parts with no arm above its limit; what is cut goes to the other arms without one."""
    total = exploit + explore
    keep = np.minimum(1.0, np.divide(limits, total, out=np.ones_like(total), where=total > 0))
    free = limits >= 1.0
    cut_exploit, cut_explore = float((exploit * (1 - keep)).sum()), float((explore * (1 - keep)).sum())
    exploit, explore = exploit * keep, explore * keep
    rest = free & (np.arange(len(free)) != leader)
    if rest.any():
        explore = explore + cut_explore * rest * (explore + 1e-9) / ((explore + 1e-9) * rest).sum()
    else:
        cut_exploit += cut_explore
    exploit = exploit + cut_exploit * free * (exploit + 1e-9) / ((exploit + 1e-9) * free).sum()
    return exploit, explore


def decide(arms: Sequence[Arm], rules: Rules, seed: int) -> list[Choice]:
    """Decide one group. The same arms, rules and seed give the same choices.

    Raises:
        ValueError: no arm.
    """
    if not arms:
        raise ValueError("a group without arms has nothing to decide")
    above = [None if rules.cac_cap_micros is None else p_cac_above(arm, rules.cac_cap_micros) for arm in arms]
    dropped = _dropped(arms, above, rules)
    alive = [index for index in range(len(arms)) if not dropped[index]]
    live = [arms[index] for index in alive]
    draws, exploit, mean = _expectations(live, rules, seed)
    limits = _limits(live, [above[index] for index in alive], rules)
    leader = int(np.argmax(np.where(limits >= 1.0, mean, -np.inf)))
    reserve = rules.reserve_ppm / PPM if len(live) > 1 else 0.0
    explore = _explorers(live, draws, leader) if reserve else np.zeros(len(live))
    exploit, explore = _within((1 - reserve) * exploit, reserve * explore, limits, leader)
    explore_ppm = to_ppm(explore, round(float(explore.sum()) * PPM))
    share_ppm = to_ppm(exploit, PPM - int(explore_ppm.sum())) + explore_ppm
    chosen = int(np.random.default_rng(seed).choice(len(live), p=share_ppm / PPM))
    best = p_best(draws)
    found = []
    for index, arm in enumerate(arms):
        if dropped[index]:
            found.append(_pause(arm, above[index], rules))
            continue
        place = alive.index(index)
        found.append(
            Choice(
                arm.arm_id,
                "keep" if arm.is_enabled else "enable",
                int(share_ppm[place]),
                int(explore_ppm[place]),
                rules.reserve_ppm if reserve else 0,
                float(best[place]),
                above[index],
                place == leader,
                place == chosen,
                _reason(arm, float(best[place]), limits[place] < 1.0, place == leader, above[index], rules),
            )
        )
    return found


def _pause(arm: Arm, above: float | None, rules: Rules) -> Choice:
    assert above is not None
    assert rules.cac_cap_micros is not None
    reason = (
        f"P(CAC > {rules.cac_cap_micros / 1e6:,.2f}) is {above:.3f}, above {rules.drop_probability:g}, after "
        f"{arm.spend_micros / 1e6:,.2f} spent of a minimum sample of {rules.min_sample_micros / 1e6:,.2f}"
    )
    return Choice(arm.arm_id, "pause", 0, 0, 0, 0.0, above, is_leader=False, is_chosen=False, reason=reason)


def _reason(arm: Arm, best: float, is_limited: bool, is_leader: bool, above: float | None, rules: Rules) -> str:
    words = f"P(best) {best:.3f}" + ("; leads its group" if is_leader else "")
    if is_limited:
        words += f"; P(CAC > cap) {above:.3f}: only what is left of its minimum sample"
    elif above is not None and above > rules.drop_probability:
        words += f"; P(CAC > cap) {above:.3f}, kept because the group would be left without an ad; look at the group"
    if arm.is_fatigued:
        words += "; fatigued, not explored"
    return words


def next_reserve(target: float, spend: float, explored: float, week_spend: float) -> float:
    """The reserve that makes up, over about a week, for what exploration lacks or exceeds of ``target``; between 0 and twice it.

    Args:
        target: share of spend.
        spend: of the window behind, same unit as the others.
        explored: the part of it that was exploration.
        week_spend: spend of its last seven days.
    """
    if week_spend <= 0:
        return target
    return min(max(target + (target * spend - explored) / week_spend, 0.0), 2 * target)
