"""From posteriors to a split of a group's spend. Pure, and a function of its arguments and the seed alone.

The leader, the arm with the highest expected reward, gets what is not explored. Exploration is all spend on the other arms, so it
can be measured in spend afterwards whatever the platform makes of a split. It goes to them by how probable each is the best of
the rest, and a tenth of it evenly, so that no live arm has a propensity of 0. Its size is the account's to say (``Reserve``): the
policy's share of spend, exactly, in the long run. Where arms are new that share is too small to tell them apart; then the group
may borrow from the share of later days up to what Thompson sampling would explore, and the account pays it back.

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
POWER = 2.0  # on P(best), for how much a group would like to explore: matching P(best) itself explores too long
DRAWS = 2000
_EVEN = 0.1  # of what is explored
TRIAL_DAYS = 10  # over which a minimum sample is spent at the fastest
COLD_DAYS, COLD_BORROW, BORROW = 14, 2.0, 0.5  # days of an account's spend that may be borrowed: in its first days, later


@dataclass(frozen=True)
class Reserve:
    """What an account may explore today: ``least_ppm`` of each group's spend, up to ``borrow_ppm`` where arms are uncertain."""

    least_ppm: int
    borrow_ppm: int = 0


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

    ``day_spend_micros`` is what the group spends a day, which turns what is left of a minimum sample into a share. Without
    ``cac_cap_micros`` no arm is dropped.
    """

    policy: Policy = "thompson"
    reserve: Reserve = Reserve(100_000)
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
    found = [_is_over(p, rules) and arm.spend_micros >= rules.min_sample_micros for p, arm in zip(above, arms, strict=True)]
    if all(found):
        found[int(np.argmin([float(p or 0.0) for p in above]))] = False
    return found


def _is_over(above: float | None, rules: Rules) -> bool:
    """Whether an arm is surely enough dearer than the cap."""
    return above is not None and above > rules.drop_probability


def _leader(arms: Sequence[Arm], expected: Floats, above: Sequence[float | None], is_over: Sequence[bool], rules: Rules) -> int:
    """The arm that serves what is not explored: the best that is not too dear and past its trial, if there is one."""
    if all(is_over):
        return int(np.argmin([float(p or 0.0) for p in above]))
    on_trial = np.array([arm.spend_micros < rules.min_sample_micros for arm in arms])
    proven = ~np.array(is_over) & ~on_trial
    return int(np.argmax(np.where(proven if proven.any() else ~np.array(is_over), expected, -np.inf)))


def _limits(arms: Sequence[Arm], is_over: Sequence[bool], rules: Rules) -> Floats:
    """(A,) largest share each arm may get, where there is a cap.

    Until its minimum sample is spent an arm gets a tenth of it a day, so that most of its conversions have arrived before it is
    used up; one that already looks too dear gets no more than what is left of it.
    """
    limits = np.ones(len(arms))
    if rules.cac_cap_micros is None or rules.day_spend_micros <= 0:
        return limits
    for index, (arm, over) in enumerate(zip(arms, is_over, strict=True)):
        left = max(rules.min_sample_micros - arm.spend_micros, 0)
        if over or left:
            pace = rules.min_sample_micros / TRIAL_DAYS
            limits[index] = min((min(left, pace) if over else pace) / rules.day_spend_micros, 1.0)
    return limits


def _expectations(arms: Sequence[Arm], rules: Rules, seed: int) -> tuple[Floats, Floats]:
    """Draws that say who may be the best, and what the policy goes by when it names the leader.

    Thompson and LinTS lead with the highest mean, UCB and LinUCB with the highest bound.
    """
    names = [arm.arm_id for arm in arms]
    alpha, exposure = np.array([a.alpha for a in arms]), np.array([a.exposure for a in arms])
    if rules.policy in ("thompson", "ucb"):
        draws = thompson(names, alpha, exposure, rules.draws, seed)
        return draws, alpha / exposure if rules.policy == "thompson" else ucb(names, alpha, exposure, seed)[0]
    table = np.array([a.by_segment for a in arms]).transpose(2, 1, 0)  # (2, S, A)
    draws = linear("lin_ts", names, table[0], table[1], rules.segment, rules.draws, seed)
    if rules.policy == "lin_ts":
        return draws, table[0, rules.segment] / table[1, rules.segment]
    return draws, linear("lin_ucb", names, table[0], table[1], rules.segment, 1, seed)[0]


def _explorers(arms: Sequence[Arm], draws: Floats, leader: int) -> Floats:
    """(A,) weights of exploration; a fatigued ad is explored only if all the others are fatigued too."""
    able = np.array([index != leader and not arm.is_fatigued for index, arm in enumerate(arms)])
    if not able.any():
        able = np.arange(len(arms)) != leader
    others = np.where(able, draws, -np.inf)
    return np.asarray((1 - _EVEN) * p_best(others) + _EVEN * able / able.sum(), dtype=np.float64)


def _wanted(best: Floats, leader: int, rules: Rules) -> float:
    """Share that the group would explore by itself: what P(best) to the power leaves to others than the leader."""
    weights = best**rules.power
    return float(1 - weights[leader] / weights.sum())


def _within(explore: Floats, limits: Floats, leader: int) -> Floats:
    """Exploration with no arm above its limit; what is cut goes to the arms without one, or else back to the leader."""
    kept = np.minimum(explore, limits)
    room = np.where((limits >= 1.0) & (np.arange(len(limits)) != leader), explore, 0.0)
    if room.sum() <= 0:
        return kept
    return np.asarray(kept + (explore - kept).sum() * room / room.sum(), dtype=np.float64)


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
    draws, expected = _expectations(live, rules, seed)
    is_over = [_is_over(above[index], rules) for index in alive]
    limits = _limits(live, is_over, rules)
    leader = _leader(live, expected, [above[index] for index in alive], is_over, rules)
    best = p_best(draws)
    share_ppm = np.zeros(len(live), dtype=np.int64)
    reserve_ppm = 0
    if len(live) > 1:
        wanted_ppm = round(_wanted(best, leader, rules) * PPM)
        reserve_ppm = max(rules.reserve.least_ppm, min(wanted_ppm, rules.reserve.borrow_ppm))
        explore = _within(reserve_ppm / PPM * _explorers(live, draws, leader), limits, leader)
        share_ppm = to_ppm(explore, round(float(explore.sum()) * PPM))
    share_ppm[leader] = PPM - int(share_ppm.sum())
    chosen = int(np.random.default_rng(seed).choice(len(live), p=share_ppm / PPM))
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
                0 if place == leader else int(share_ppm[place]),
                reserve_ppm,
                float(best[place]),
                above[index],
                place == leader,
                place == chosen,
                _reason(arm, float(best[place]), place == leader, above[index], rules),
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


def _reason(arm: Arm, best: float, is_leader: bool, above: float | None, rules: Rules) -> str:
    words = f"P(best) {best:.3f}" + ("; leads its group" if is_leader else "")
    if _is_over(above, rules):
        kept = "kept because the group would be left without one; look at the group"
        words += f"; P(CAC > cap) {above:.3f}, {kept if is_leader else 'only what is left of its minimum sample'}"
    elif arm.spend_micros < rules.min_sample_micros and not is_leader:
        words += f"; on trial, {arm.spend_micros / 1e6:,.2f} of {rules.min_sample_micros / 1e6:,.2f} spent"
    if arm.is_fatigued:
        words += "; fatigued, not explored"
    return words


@dataclass(frozen=True)
class Explored:
    """What an account spent on groups with a choice since its first decision, or in the window looked at, in any one unit."""

    spend: float = 0.0
    explored: float = 0.0
    week_spend: float = 0.0  # of the last seven days
    days: int = 0  # days with decisions


def reserve_of(target: float, so_far: Explored) -> Reserve:
    """Today's reserve, so that in the long run exactly ``target`` of spend is explored.

    What is missing or too much is made up for over about a week, between half and twice the target; an account in debt explores
    half its share until the debt is paid.
    """
    balance = target * so_far.spend - so_far.explored
    day_spend = so_far.week_spend / min(max(so_far.days, 1), 7)
    least, debt_days = target, 0.0
    if day_spend > 0:
        least = min(max(target + balance / so_far.week_spend, target / 2), 2 * target)
        debt_days = -balance / day_spend
    limit = COLD_BORROW if so_far.days < COLD_DAYS else BORROW
    borrow = min(max(limit - debt_days, 0.0), 1.0) if target > 0 else 0.0
    return Reserve(round(least * PPM), round(borrow * PPM))
