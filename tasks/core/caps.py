"""The caps on money, M2 to M6 of DESIGN §6, as pure functions of integers. Every rounding goes to the side that moves less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tasks.core.ad_changes import ENABLED
from tasks.core.changeset import Change
from tasks.core.money import pct_floor, round_down, round_up
from tasks.core.policy import Policy

WINDOW = timedelta(hours=24)


@dataclass(frozen=True)
class Violation:
    """A broken cap: the invariant (``M2`` …), its name, and the numbers."""

    invariant: str
    name: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.name}: {self.detail}"


@dataclass(frozen=True)
class Move:
    """A change of a budget that was made or may have been made; amounts in micros, 0 before for a new budget."""

    budget_id: str
    at: datetime
    amount_before_micros: int
    amount_after_micros: int

    @property
    def absolute_micros(self) -> int:
        """Size of the change without its sign: +10 and −10 make 20, not 0."""
        return abs(self.amount_after_micros - self.amount_before_micros)


def status_move(resource_id: str, at: datetime, before: str | None, after: str | None) -> Move:
    """A switch of an ad as a move of size 1, so that ``used_daily_micros`` counts switches as it sums money."""
    return Move(resource_id, at, int(before == ENABLED), int(after == ENABLED))


class BudgetLike(Protocol):
    """What the account's daily budget is computed from; ``tasks.platforms.base.BudgetState`` has it."""

    @property
    def budget_id(self) -> str:
        """Id of the budget."""

    @property
    def amount_micros(self) -> int:
        """Daily amount."""

    @property
    def enabled_campaign_ids(self) -> Sequence[str]:
        """Campaigns that draw on it and run."""

    @property
    def status(self) -> str:
        """The platform's status."""


def account_daily_budget_micros(budgets: Iterable[BudgetLike]) -> int:
    """Sum of the enabled budgets that pay for a running campaign; a shared budget counts once, however many draw on it.

    Budgets of paused campaigns spend nothing: counted, they would widen the room for changes of those that do.
    """
    paying = {b.budget_id: b.amount_micros for b in budgets if b.status == "ENABLED" and len(b.enabled_campaign_ids) > 0}
    return sum(paying.values())


def step_cap_micros(amount_before_micros: int, policy: Policy) -> int:
    """M2: the largest absolute change of one budget in one step."""
    return pct_floor(amount_before_micros, policy.step_cap_pct)


def daily_cap_micros(account_budget_micros: int, policy: Policy) -> int:
    """M3: the largest sum of absolute changes of an account in any 24 h."""
    return pct_floor(account_budget_micros, policy.daily_cap_pct)


def spend_ceiling_micros(highest_daily_spend_micros: int, policy: Policy) -> int:
    """M5: the highest amount an increase may set."""
    return pct_floor(highest_daily_spend_micros, 100 + policy.headroom_pct)


def used_daily_micros(own: Iterable[Move], logged: Iterable[Move], now: datetime) -> int:
    """Σ absolute changes of the last 24 h: ours, and everything else in the account's own change log.

    A change of ours also appears in the account's log. Each of ours takes at most one event of the same budget, before and
    after out of the log; what is left there was made by others. Times are not compared, because the platform's clock and ours
    differ; what falls out of the window on one side only therefore counts, which is the safe side. Moves after ``now`` count too.
    """
    mine = [m for m in own if m.at >= now - WINDOW]
    theirs = [m for m in logged if m.at >= now - WINDOW]
    claims = Counter((m.budget_id, m.amount_before_micros, m.amount_after_micros) for m in mine)
    total = sum(m.absolute_micros for m in mine)
    for move in theirs:
        key = (move.budget_id, move.amount_before_micros, move.amount_after_micros)
        if claims[key] > 0:
            claims[key] -= 1
        else:
            total += move.absolute_micros
    return total


def remaining_daily_micros(account_budget_micros: int, used_micros: int, policy: Policy) -> int:
    """What M3 still allows; 0 if nothing."""
    return max(daily_cap_micros(account_budget_micros, policy) - used_micros, 0)


def step_bounds(amount_before_micros: int, highest_daily_spend_micros: int, policy: Policy, budget_id: str) -> tuple[int, int]:
    """Lowest and highest amount one step may set, by M2, M5 and the policy's floor and ceiling.

    Both are multiples of the policy's unit and lie on their own side of the present amount: a budget already above its ceiling
    is not forced down, it just cannot rise.
    """
    step = step_cap_micros(amount_before_micros, policy)
    unit = policy.unit_micros
    lowest = max(amount_before_micros - step, policy.budget_floor_micros.get(budget_id, 0), unit)
    highest = min(
        amount_before_micros + step,
        spend_ceiling_micros(highest_daily_spend_micros, policy),
        policy.budget_ceiling_micros.get(budget_id, amount_before_micros + step),
    )
    return min(round_up(lowest, unit), amount_before_micros), max(round_down(highest, unit), amount_before_micros)


def change_violations(change: Change, target_cac_micros: int, policy: Policy) -> list[Violation]:
    """M2, M4, M5 and the policy's own bounds for one change, from the approved bytes alone."""
    found: list[Violation] = []
    before, after = change.amount_before_micros, change.amount_after_micros

    def add(invariant: str, name: str, detail: str) -> None:
        found.append(Violation(invariant, name, f"budget {change.budget_id}: {detail}"))

    cap = step_cap_micros(before, policy)
    if abs(change.delta_micros) > cap:
        add("M2", "step_cap", f"{before} to {after} micros is more than {policy.step_cap_pct} % = {cap}")
    if after % policy.unit_micros or after <= 0:
        add("M2", "unit", f"{after} micros is not a positive multiple of {policy.unit_micros}")
    if set(change.campaign_ids) & set(policy.fixed_campaign_ids):
        add("M6", "fixed_campaign", f"pays for a campaign the policy fixes: {policy.fixed_campaign_ids}")
    if len(change.campaign_ids) > 1 and not change.is_shared:
        add("M6", "not_shared", f"lists {len(change.campaign_ids)} campaigns, but the budget is not shared")
    if change.delta_micros < 0:
        floor = policy.budget_floor_micros.get(change.budget_id, 0)
        if after < floor:
            add("M2", "floor", f"{after} micros is below the policy's floor {floor}")
        return found
    ceiling = policy.budget_ceiling_micros.get(change.budget_id)
    if ceiling is not None and after > ceiling:
        add("M5", "ceiling", f"{after} micros is above the policy's ceiling {ceiling}")
    if change.p_cac_le_target_ppm < policy.min_probability_ppm:
        add(
            "M4",
            "cac_probability",
            f"P(marginal CAC ≤ {target_cac_micros} micros) is {change.p_cac_le_target_ppm} ppm, "
            f"an increase needs {policy.min_probability_ppm}",
        )
    if policy.target_cac_micros is not None and target_cac_micros > policy.target_cac_micros:
        add("M4", "cac_target", f"judged against {target_cac_micros} micros, the policy's target is {policy.target_cac_micros}")
    highest = spend_ceiling_micros(change.highest_daily_spend_micros, policy)
    if after > highest:
        add(
            "M5",
            "historical_spend",
            f"{after} micros is above {highest}: highest spend {change.highest_daily_spend_micros} + {policy.headroom_pct} %",
        )
    if after > change.highest_daily_spend_micros and not change.is_extrapolated:
        add("M5", "extrapolation_not_flagged", f"{after} micros lies beyond the highest spend seen and is not flagged")
    return found


def daily_violations(change_micros: int, used_micros: int, account_budget_micros: int, policy: Policy) -> list[Violation]:
    """M3 for one more change (or a whole set's sum) of ``change_micros`` absolute."""
    cap = daily_cap_micros(account_budget_micros, policy)
    if used_micros + change_micros <= cap:
        return []
    detail = (
        f"{used_micros} micros were moved in the last 24 h, {change_micros} more would pass "
        f"{policy.daily_cap_pct} % of the account's {account_budget_micros} = {cap}"
    )
    return [Violation("M3", "daily_cap", detail)]


def membership_violations(change: Change, is_shared: bool, member_ids: Sequence[str], reference_count: int) -> list[Violation]:
    """M6: the campaigns that draw on the budget now are those that were approved, and the platform counts no others."""
    found: list[Violation] = []

    def add(name: str, detail: str) -> None:
        found.append(Violation("M6", name, f"budget {change.budget_id}: {detail}"))

    if sorted(member_ids) != list(change.campaign_ids):
        add("members", f"approved for campaigns {list(change.campaign_ids)}, now {sorted(member_ids)}")
    if is_shared != change.is_shared:
        add("shared", f"approved as shared={change.is_shared}, now {is_shared}")
    if reference_count > len(member_ids):
        add("unlisted_members", f"the platform counts {reference_count} campaigns, only {len(member_ids)} are listed")
    return found
