"""Sentences a marketing lead understands, and the table that the terminal shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.core.money import MICROS
from tasks.decide.budget_state import SPENDS_ITS_AMOUNT, money
from tasks.decide.evidence import Cost
from tasks.decide.planner import Change, Plan

_OUTCOME = {"new_customers": "new customer", "revenue": "unit of revenue"}


def cost_text(value: float, currency: str) -> str:
    """A marginal cost for a person; infinite means that more spend brings nothing."""
    return money(value * MICROS, currency) if np.isfinite(value) else "no amount"


def _cost_sentence(channel: str, cost: Cost, target: float, outcome: str, currency: str) -> str:
    if not np.isfinite(cost.p50):
        return f"One more {outcome} cannot be bought in {channel} at its present spend"
    side = "below" if cost.p50 <= target else "above"
    return (
        f"In {channel} one more {outcome} costs about {cost_text(cost.p50, currency)}, {side} the target of "
        f"{money(target * MICROS, currency)}"
    )


def reason(change: Change, plan: Plan, target: str) -> str:
    """Why this budget moves, in which direction, and what it is worth."""
    budget, outcome = change.budget, _OUTCOME[target]
    code, channel = budget.currency_code, budget.channels[0]
    now = plan.cost_now[plan.channels.index(channel)]
    text = [_cost_sentence(channel, now, plan.target_cac, outcome, code)]
    # Money moves within an account only: each account has a change set of its own, which is approved or not by itself.
    own = [c for c in plan.changes if c.budget.account_id == budget.account_id]
    others = sorted({c.budget.channels[0] for c in own if c.step.delta_micros * change.step.delta_micros < 0})
    if change.step.delta_micros > 0:
        chance = f"it does so in {now.p_le_target:.0%} of the model's draws"
        text.append(chance)
        if budget.utilisation >= SPENDS_ITS_AMOUNT:
            text.append(f"the budget spends {budget.utilisation:.0%} of its amount, so the amount is what limits it")
        else:
            text.append(f"{budget.budget_lost_share or 0.0:.0%} of its search impressions are lost to the budget")
        text.append(f"the money comes from {', '.join(others)}" if others else "the policy lets the total grow")
    elif others:
        text.append(f"the same money brings more in {', '.join(others)}")
    else:
        text.append("the plan asks for a smaller total and this is where it is missed least")
    return "; ".join(text) + "."


def plan_table(plan: Plan, target: str) -> list[str]:
    """The plan as lines for a terminal: changes first, then what was left alone and why."""
    if not plan.decisions:
        return ["no budgets"]
    lines = [f"{'budget':<14}{'channel':<18}{'before':>14}{'after':>14}{'optimum':>14}  {'P(CAC ok)':>9}  constraint"]
    for change in sorted(plan.changes, key=lambda c: (-c.step.delta_micros, c.budget.budget_id)):
        amounts = (change.step.before_micros, change.step.after_micros, change.optimum_micros)
        cells = "".join(f"{m / MICROS:>14,.2f}" for m in amounts)
        lines.append(
            f"{change.budget.budget_id:<14}{change.budget.channels[0]:<18}{cells}  "
            f"{change.cost.p_le_target:>9.2f}  {change.step.binding}"
        )
    moved = {c.budget for c in plan.changes}
    for budget, constraint in ((d.budget, d.constraint) for d in plan.decisions if d.budget not in moved):
        cells = f"{budget.amount_micros / MICROS:>14,.2f}{'as it is':>14}{'':>14}"
        lines.append(f"{budget.budget_id:<14}{'+'.join(budget.channels) or '-':<18}{cells}  {'':>9}  {constraint}")
    lines += _totals(plan, target)
    return lines


def _totals(plan: Plan, target: str) -> Sequence[str]:
    if not plan.changes:
        return ["no change today"]
    delta = sum(c.step.delta_micros for c in plan.changes)
    code, gain = plan.changes[0].budget.currency_code, plan.gain
    what = "new customers" if target == "new_customers" else f"{code} revenue"
    text = (
        f"expected {gain.mean:+,.1f} {what} a week ({gain.p05:+,.1f} to {gain.p95:+,.1f}, P(more) {plan.p_gain:.2f}) at "
        f"{money(delta, code)} a day more spend; target {money(plan.target_cac * MICROS, code)}, risk measure {plan.risk_measure}"
    )
    return [text]
