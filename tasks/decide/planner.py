"""The plan of a day: optimum over channels, one step a budget, and for every budget what decided. Pure; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import numpy as np

from tasks.core.caps import account_daily_budget_micros, remaining_daily_micros
from tasks.core.errors import GateStop, JobError
from tasks.core.money import MICROS, round_down
from tasks.core.policy import Policy
from tasks.decide.budget_state import Budget, Hold, bottoms, daily_cap_name, hold, money, tops
from tasks.decide.evidence import Cost, Gain, marginal_cost, weekly_gain
from tasks.decide.optimiser import (
    Curves,
    Floats,
    Optimum,
    affordable_spend,
    is_probable,
    optimise,
    risk_name,
    utility,
    utility_gradient,
)
from tasks.decide.projection import Limit, Movable, Move, Step, project

AT_OPTIMUM = 0.01  # of a channel's spend: nearer than that, the optimum is where the channel already is


@dataclass(frozen=True)
class ChannelSpend:
    """Spend of the model's channels over all accounts, currency units a day; ``lowest`` and ``highest`` of any model period."""

    current: Floats
    lowest: Floats
    highest: Floats


@dataclass(frozen=True)
class Change:
    """One proposed step with all that a person needs to judge it."""

    budget: Budget
    step: Step
    optimum_micros: int
    cost: Cost
    gain: Gain
    is_extrapolated: bool


@dataclass(frozen=True)
class Decision:
    """What was decided about one budget and by which constraint."""

    budget: Budget
    decision: str  # increase, decrease, hold
    constraint: str
    detail: str


@dataclass(frozen=True)
class Plan:
    """The whole day: optimum of the channels, proposed changes, a decision for every budget.

    ``gain`` is the expected change of the outcome a week of all changes together, ``p_gain`` the probability that it is positive;
    ``account_gains`` is the part of it that each account's changes bring together, over the same joint draws.
    """

    channels: tuple[str, ...]
    optimum: Optimum
    cost_now: list[Cost]
    risk_measure: str
    target_cac: float
    changes: tuple[Change, ...]
    decisions: tuple[Decision, ...]
    gain: Gain
    p_gain: float
    account_gains: Mapping[str, Gain]


def _by_channel(budgets: Sequence[Budget], channels: tuple[str, ...]) -> dict[str, list[Budget]]:
    return {c: [b for b in budgets if b.channels == (c,)] for c in channels}


def _bounds(
    spend: ChannelSpend, budgets: Sequence[Budget], held: Mapping[Budget, Hold], policy: Policy, channels: tuple[str, ...]
) -> tuple[Floats, Floats]:
    """Search bounds by channel: the spend the model has seen plus headroom, narrowed by floors, ceilings and fixed campaigns."""
    room = float(policy.headroom_pct) / 100
    lower = np.minimum(spend.lowest * (1 - room), spend.current)
    upper = np.maximum(spend.highest * (1 + room), spend.current)
    for index, channel in enumerate(channels):
        members = _by_channel(budgets, channels)[channel]
        fixed = [b for b in members if b in held and held[b].constraint == "fixed_campaign"]
        free = [b for b in members if b not in fixed]
        kept = sum(b.recent_spend_micros for b in fixed)
        floor = kept + sum(policy.budget_floor_micros.get(b.budget_id, 0) for b in free)
        lower[index] = max(lower[index], floor / MICROS)
        if free and all(b.budget_id in policy.budget_ceiling_micros for b in free):
            upper[index] = min(upper[index], (kept + sum(policy.budget_ceiling_micros[b.budget_id] for b in free)) / MICROS)
        if not free:  # all fixed, or nothing here that could be moved, as in a platform whose budgets are not planned
            lower[index] = upper[index] = spend.current[index]
    return lower, upper


def _moves(
    curves: Curves, spend: ChannelSpend, optimum: Optimum, affordable: Floats, shares: Floats, risk_aversion: float
) -> dict[str, Move]:
    """What one account (with ``shares`` of each channel's spend) should do with each channel it has spend in."""
    value = utility_gradient(curves, spend.current, risk_aversion)
    moves = {}
    for index, channel in enumerate(curves.channels):
        gap = float(optimum.spend[index] - spend.current[index])
        if shares[index] <= 0 or abs(gap) <= AT_OPTIMUM * max(float(spend.current[index]), 1e-9):
            continue
        limits = [Limit("optimum", int(abs(gap) * shares[index] * MICROS))]
        if gap > 0:
            limits.append(Limit("cac_probability", int((affordable[index] - spend.current[index]) * shares[index] * MICROS)))
        moves[channel] = Move(1 if gap > 0 else -1, tuple(limits), float(value[index]))
    return moves


def _target_in_budget(budget: Budget, members: Sequence[Budget], gap_micros: float, policy: Policy) -> int:
    """Share of the channel's move that falls on ``budget`` in the long run, in proportion to what it spends."""
    total = sum(b.recent_spend_micros for b in members)
    share = budget.recent_spend_micros / total if total else 1 / len(members)
    wanted = budget.amount_micros + gap_micros * share
    low = policy.budget_floor_micros.get(budget.budget_id, 0)
    high = policy.budget_ceiling_micros.get(budget.budget_id, max(int(wanted), low))
    return round_down(int(min(max(wanted, low), max(high, low))), policy.unit_micros)


def plan_budgets(
    curves: Curves,
    spend: ChannelSpend,
    budgets: Sequence[Budget],
    policy: Policy,
    *,
    target_cac: float,
    blended_cac: float,
    used_micros: Mapping[str, int],
    run_date: date,
    budget_change_pct: float = 0.0,
    account_policies: Mapping[str, Policy] = MappingProxyType({}),
) -> Plan:
    """Plan one step for each budget of all accounts.

    Args:
        curves: response of the live model, channels in its order.
        spend: present and seen spend of those channels.
        budgets: all budgets of the planned accounts.
        rules: the policy.
        target_cac: currency units per outcome an increase must not exceed.
        blended_cac: all spend per outcome the business counted; growth needs it at or below the target.
        used_micros: by account, absolute changes already made or open in the rolling 24 h window (M3).
        run_date: the day planned for.
        budget_change_pct: change of the total to plan for; 0 keeps it.
        account_policies: by account, the policy with caps that feature flags have lowered for it.

    Raises:
        GateStop: growth is asked for, but the policy or the blended CAC does not allow it.
        Infeasible: floors, ceilings and headroom leave no allocation.
    """
    order = sorted(budgets, key=lambda b: (b.platform, b.account_id, b.budget_id))
    rules = {account: account_policies.get(account, policy) for account in sorted({b.account_id for b in order})}
    held = {b: found for b in order if (found := hold(b, rules[b.account_id], frozenset(curves.channels), run_date)) is not None}
    lower, upper = _bounds(spend, order, held, policy, curves.channels)
    # Only what has budgets can change: the rest of the spend stays, whatever is asked of the total.
    planned = sum(
        float(now) for c, now in zip(curves.channels, spend.current, strict=True) if _by_channel(order, curves.channels)[c]
    )
    total = float(spend.current.sum()) + planned * budget_change_pct / 100
    optimum = optimise(curves, spend.current, lower, upper, total, risk_aversion=float(policy.risk_aversion))
    affordable = affordable_spend(
        curves,
        spend.current,
        np.maximum(optimum.spend, spend.current),
        target_cac=target_cac,
        min_probability_ppm=policy.min_probability_ppm,
    )
    if budget_change_pct > 0 and not policy.allow_total_growth:
        raise GateStop(
            "--budget-change-pct asks for a larger total, which the policy forbids; set allow_total_growth: true in it"
        )
    if budget_change_pct > 0 and blended_cac > target_cac:
        raise GateStop(
            f"--budget-change-pct asks for a larger total, but the blended CAC of {blended_cac:,.2f} is above the target of "
            f"{target_cac:,.2f}; plan at a constant total until it is below"
        )
    may_grow = policy.allow_total_growth and blended_cac <= target_cac
    steps: dict[Budget, Step] = {}
    account_moves: dict[str, dict[str, Move]] = {}
    for account in rules:
        own = [b for b in order if b.account_id == account]
        shares = _account_shares(own, spend, curves.channels)
        moves = account_moves[account] = _moves(curves, spend, optimum, affordable, shares, float(policy.risk_aversion))
        if may_grow and budget_change_pct == 0:
            net = sum(b.amount_micros for b in own)  # every increase that passes M4 may go beyond what decreases pay for
        else:
            net = int((total - float(spend.current.sum())) * MICROS * _weight(own, order))
        steps.update(_steps(own, held, moves, rules[account], used_micros.get(account, 0), net))
    return _Assembly(curves, spend, order, held, policy, target_cac, optimum, steps, account_moves).plan()


def _weight(own: Sequence[Budget], every: Sequence[Budget]) -> float:
    total = sum(b.recent_spend_micros for b in every)
    return sum(b.recent_spend_micros for b in own) / total if total else 0.0


def _account_shares(own: Sequence[Budget], spend: ChannelSpend, channels: tuple[str, ...]) -> Floats:
    mine = np.array([sum(b.recent_spend_micros for b in _by_channel(own, channels)[c]) / MICROS for c in channels])
    share: Floats = np.divide(mine, spend.current, out=np.zeros_like(mine), where=spend.current > 0)
    return np.minimum(share, 1.0)


def _steps(
    own: Sequence[Budget], held: Mapping[Budget, Hold], moves: Mapping[str, Move], policy: Policy, used: int, net: int
) -> dict[Budget, Step]:
    """One step for each budget that may move; a step too small to be worth it is left out and the rest done again."""
    movable = [b for b in own if b not in held and b.channels[0] in moves]
    cap = remaining_daily_micros(account_daily_budget_micros(own), used, policy)
    too_small: dict[Budget, Step] = {}
    while True:
        kept = [b for b in movable if b not in too_small]
        found = project(
            [Movable(b.budget_id, b.channels[0], b.amount_micros, tops(b, policy), bottoms(b, policy), b.priority) for b in kept],
            moves,
            daily_cap_micros=cap,
            daily_cap_name=daily_cap_name(policy),
            net_micros=net,
            unit_micros=policy.unit_micros,
        )
        steps = dict(zip(kept, found, strict=True))
        small = [b for b, s in steps.items() if 0 < abs(s.delta_micros) < policy.min_step_micros]
        if not small:
            return steps | too_small
        smallest = min(small, key=lambda b: (abs(steps[b].delta_micros), b.budget_id))
        too_small[smallest] = Step(smallest.budget_id, smallest.amount_micros, smallest.amount_micros, "below_min_step")


@dataclass(frozen=True)
class _Assembly:
    """Puts the steps together with their evidence and finds a decision for every budget."""

    curves: Curves
    spend: ChannelSpend
    order: Sequence[Budget]
    held: Mapping[Budget, Hold]
    policy: Policy
    target_cac: float
    optimum: Optimum
    steps: Mapping[Budget, Step]
    moves: Mapping[str, Mapping[str, Move]]

    def plan(self) -> Plan:
        """The plan; without any change if the steps together would not raise the risk-adjusted outcome."""
        moving = {b: s for b, s in self.steps.items() if s.delta_micros}
        after = self._after(moving)
        before_draws, after_draws = self.curves.outcome(self.spend.current), self.curves.outcome(after)
        is_smaller = sum(s.delta_micros for s in moving.values()) < 0 and self.optimum.spend.sum() < self.spend.current.sum()
        aversion = float(self.policy.risk_aversion)
        worse = utility(after_draws, aversion) <= utility(before_draws, aversion)
        gains_nothing = bool(moving) and worse and not is_smaller
        if gains_nothing:
            moving, after, after_draws = {}, self.spend.current, before_draws
        change = after_draws - before_draws
        shares = self._shares(moving, change)
        changes = self._changes(moving, after, shares)
        self._check(changes, after)
        return Plan(
            channels=self.curves.channels,
            optimum=self.optimum,
            cost_now=self._cost(self.spend.current),
            risk_measure=risk_name(float(self.policy.risk_aversion)),
            target_cac=self.target_cac,
            changes=changes,
            decisions=tuple(self._decision(b, moving, gains_nothing) for b in self.order),
            gain=weekly_gain(change.sum(axis=1)),
            p_gain=float((change.sum(axis=1) > 0).mean()),
            account_gains=_account_gains(shares),
        )

    def _after(self, moving: Mapping[Budget, Step]) -> Floats:
        after = self.spend.current.copy()
        for budget, step in moving.items():
            after[self.curves.channels.index(budget.channels[0])] += step.delta_micros / MICROS
        return np.maximum(after, 0.0)

    def _cost(self, spend: Floats) -> list[Cost]:
        return marginal_cost(self.curves, spend, self.target_cac, float(self.policy.min_probability))

    def _shares(self, moving: Mapping[Budget, Step], change: Floats) -> dict[Budget, Floats]:
        """(D,) change of the outcome a day by budget: its part of what its channel's money moves."""
        total: dict[tuple[str, ...], int] = {}
        for budget, step in moving.items():
            total[budget.channels] = total.get(budget.channels, 0) + step.delta_micros
        return {
            budget: change[:, self.curves.channels.index(budget.channels[0])] * (step.delta_micros / total[budget.channels])
            for budget, step in moving.items()
        }

    def _changes(self, moving: Mapping[Budget, Step], after: Floats, shares: Mapping[Budget, Floats]) -> tuple[Change, ...]:
        cost = self._cost(after)
        found = []
        for budget, step in moving.items():
            index = self.curves.channels.index(budget.channels[0])
            members = [b for b in self.order if b.channels == budget.channels and b not in self.held]
            gap = float(self.optimum.spend[index] - self.spend.current[index]) * MICROS
            found.append(
                Change(
                    budget,
                    step,
                    _target_in_budget(budget, members, gap, self.policy),
                    cost[index],
                    weekly_gain(shares[budget]),
                    bool(after[index] > self.spend.highest[index]) or step.after_micros > budget.highest_daily_spend_micros,
                )
            )
        return tuple(found)

    def _check(self, changes: Sequence[Change], after: Floats) -> None:
        """M4 once more on the result itself: the projection must not be trusted to have kept it."""
        enough = is_probable(self.curves, after, self.target_cac, self.policy.min_probability_ppm)
        for change in changes:
            if change.step.delta_micros > 0 and not enough[self.curves.channels.index(change.budget.channels[0])]:
                raise JobError(
                    f"the plan would raise budget {change.budget.budget_id} although P(marginal CAC ≤ target) is "
                    f"{change.cost.p_le_target:.3f}, below {self.policy.min_probability}; a defect of plan-budgets, report it"
                )

    def _decision(self, budget: Budget, moving: Mapping[Budget, Step], gains_nothing: bool) -> Decision:
        if budget in self.held:
            return Decision(budget, "hold", self.held[budget].constraint, self.held[budget].detail)
        if budget in moving:
            step = moving[budget]
            text = f"{money(step.before_micros, budget.currency_code)} → {money(step.after_micros, budget.currency_code)} a day"
            return Decision(
                budget, "increase" if step.delta_micros > 0 else "decrease", step.binding, f"{text}; {self._channel_text(budget)}"
            )
        channel = budget.channels[0]
        if channel not in self.moves[budget.account_id]:
            return Decision(budget, "hold", "at_optimum", self._channel_text(budget))
        constraint = "no_gain" if gains_nothing else self.steps[budget].binding
        return Decision(budget, "hold", "rounding" if constraint == "none" else constraint, self._channel_text(budget))

    def _channel_text(self, budget: Budget) -> str:
        index = self.curves.channels.index(budget.channels[0])
        cost, code = self._cost(self.spend.current)[index], budget.currency_code
        return (
            f"{budget.channels[0]} spends {money(self.spend.current[index] * MICROS, code)} a day, its optimum is "
            f"{money(self.optimum.spend[index] * MICROS, code)}; one more outcome costs {_cost_text(cost.p50, code)} (median) to "
            f"{_cost_text(cost.p95, code)} (95th percentile), target {money(self.target_cac * MICROS, code)}, "
            f"P(cost ≤ target) {cost.p_le_target:.2f}"
        )


def _account_gains(shares: Mapping[Budget, Floats]) -> dict[str, Gain]:
    """The draws of an account's budgets are added before percentiles are taken: what one step may lose another may win."""
    draws: dict[str, Floats] = {}
    for budget, share in shares.items():
        draws[budget.account_id] = draws.get(budget.account_id, 0.0) + share
    return {account: weekly_gain(total) for account, total in draws.items()}


def _cost_text(value: float, currency: str) -> str:
    return money(value * MICROS, currency) if np.isfinite(value) else "no limit"
