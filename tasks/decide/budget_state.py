"""What the plan knows about each budget, and the rules that leave a budget alone. Pure functions of dataclasses.

A rule gives a :class:`Hold` with its name and its numbers, so that `control.plan_decisions` can say for every budget why nothing
happens to it. Rules that forbid one direction only become limits of the projection instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tasks.core.caps import spend_ceiling_micros, step_cap_micros
from tasks.core.money import format_micros
from tasks.core.policy import Policy
from tasks.decide.projection import Limit

SPENDS_ITS_AMOUNT = 0.90  # of the amount: above that, the amount is what limits the campaign
LOST_TO_BUDGET = 0.05  # search impression share lost to budget: above that, too
PACING_DAYS = 7  # fewer elapsed days of a month say nothing about its pace
PACING_LIMIT = 1.10  # of the amount times the elapsed days: above that, an increase waits


@dataclass(frozen=True)
class Budget:
    """One campaign budget on the morning of the run date. Spend figures count complete account days only.

    ``budget_lost_share`` is the mean search impression share lost to budget, None outside search. ``last_change`` is the newest
    change of the budget or of how a member campaign bids, with who made it.
    """

    platform: str
    account_id: str
    budget_id: str
    currency_code: str
    amount_micros: int
    status: str
    is_explicitly_shared: bool
    reference_count: int
    campaign_ids: tuple[str, ...]
    enabled_campaign_ids: tuple[str, ...]
    channels: tuple[str, ...]
    recent_spend_micros: int  # mean of a day
    month_to_date_micros: int
    month_days: int
    highest_daily_spend_micros: int
    budget_lost_share: float | None = None
    last_change: tuple[date, str] | None = None
    open_change_set_id: str | None = None
    frozen_why: str | None = None
    is_frozen_by_flag: bool = False  # then the reason says how it is freed

    @property
    def utilisation(self) -> float:
        """Recent spend over the amount; 0 for a budget of nothing."""
        return self.recent_spend_micros / self.amount_micros if self.amount_micros else 0.0

    @property
    def is_limited(self) -> bool:
        """True if the amount is what holds the spend back, so that a change of it changes spend."""
        return self.utilisation >= SPENDS_ITS_AMOUNT or (self.budget_lost_share or 0.0) >= LOST_TO_BUDGET

    @property
    def priority(self) -> float:
        """How hard the amount limits the campaigns: orders budgets of one channel."""
        return self.utilisation + (self.budget_lost_share or 0.0)


@dataclass(frozen=True)
class Hold:
    """A budget is left alone: the rule's name and the numbers behind it."""

    constraint: str
    detail: str


def money(micros: float, currency: str) -> str:
    """``1,234.50 USD``, rounded to cents."""
    return format_micros(round(micros / 10_000) * 10_000, currency)


def hold(budget: Budget, policy: Policy, model_channels: frozenset[str], run_date: date) -> Hold | None:
    """The first rule that forbids any change of ``budget`` on ``run_date``, or None if it may move."""
    checks = (
        _frozen(budget),
        _not_running(budget),
        _fixed(budget, policy),
        _membership(budget),
        _unknown_channel(budget, model_channels),
        _canary(budget),
        _learning(budget, policy, run_date),
        _not_spent(budget),
        _too_small(budget, policy),
    )
    return next((found for found in checks if found is not None), None)


def _frozen(budget: Budget) -> Hold | None:
    if budget.frozen_why is None:
        return None
    scope = f"{budget.platform}:{budget.account_id}"
    remedy = "" if budget.is_frozen_by_flag else f"; after a person has looked, `aelp2 kill --off --scope {scope} --why …`"
    return Hold("account_frozen", f"account frozen: {budget.frozen_why}{remedy}")


def _not_running(budget: Budget) -> Hold | None:
    if budget.status != "ENABLED":
        return Hold("not_enabled", f"the budget's status is {budget.status}")
    if not budget.enabled_campaign_ids:
        return Hold("paused", f"none of its {len(budget.campaign_ids)} campaigns is enabled")
    if budget.amount_micros == 0:
        return Hold("zero_budget", "its amount is 0; a first amount is a person's decision")
    return None


def _fixed(budget: Budget, policy: Policy) -> Hold | None:
    fixed = sorted(set(budget.campaign_ids) & set(policy.fixed_campaign_ids))
    return Hold("fixed_campaign", f"campaign {', '.join(fixed)} is fixed by the policy") if fixed else None


def _membership(budget: Budget) -> Hold | None:
    """M6: a change of a shared budget moves all members, so all must be known and answer to one curve."""
    if len(budget.campaign_ids) != budget.reference_count:
        return Hold(
            "members_unknown",
            f"the platform counts {budget.reference_count} campaigns on it, {len(budget.campaign_ids)} are known; run ingest-ads",
        )
    if len(budget.campaign_ids) > 1 and not budget.is_explicitly_shared:
        return Hold("members_unknown", f"{len(budget.campaign_ids)} campaigns draw on it though it is not marked as shared")
    if len(budget.channels) > 1:
        return Hold(
            "several_channels", f"it is shared by campaigns of {', '.join(sorted(budget.channels))}; no one curve answers for it"
        )
    return None


def _unknown_channel(budget: Budget, model_channels: frozenset[str]) -> Hold | None:
    missing = sorted(set(budget.channels) - model_channels)
    if missing or not budget.channels:
        return Hold("not_in_model", f"the MMM has no curve for channel {', '.join(missing) or 'unknown'}")
    return None


def _canary(budget: Budget) -> Hold | None:
    if budget.open_change_set_id is None:
        return None
    return Hold("open_canary", f"change set {budget.open_change_set_id} is still being watched")


def _learning(budget: Budget, policy: Policy, run_date: date) -> Hold | None:
    if budget.last_change is None:
        return None
    changed, by = budget.last_change
    days = (run_date - changed).days
    if days >= policy.learning_days:
        return None
    return Hold("learning_phase", f"changed on {changed} ({by}), {days} of {policy.learning_days} cool-down days have passed")


def _not_spent(budget: Budget) -> Hold | None:
    if budget.is_limited:
        return None
    return Hold(
        "not_limited_by_budget",
        f"spends {money(budget.recent_spend_micros, budget.currency_code)} of "
        f"{money(budget.amount_micros, budget.currency_code)} a day "
        f"({budget.utilisation:.0%}): a larger amount would gain nothing, a smaller one would free nothing",
    )


def _too_small(budget: Budget, policy: Policy) -> Hold | None:
    step, least = step_cap_micros(budget.amount_micros, policy), max(policy.unit_micros, policy.min_step_micros)
    if step >= least:
        return None
    return Hold(
        "below_min_step",
        f"{policy.step_cap_pct:g} % of {money(budget.amount_micros, budget.currency_code)} is less than the smallest step worth "
        f"making, {money(least, budget.currency_code)}",
    )


def step_cap_name(policy: Policy) -> str:
    """Name of the cap on one step (M2)."""
    return f"step_cap_{policy.step_cap_pct:g}_pct"


def daily_cap_name(policy: Policy) -> str:
    """Name of the rolling cap on the account (M3)."""
    return f"daily_cap_{policy.daily_cap_pct:g}_pct"


def tops(budget: Budget, policy: Policy) -> tuple[Limit, ...]:
    """What an increase must stay at or below; the amount itself where pacing forbids one."""
    limits = [
        Limit("historical_cap", spend_ceiling_micros(budget.highest_daily_spend_micros, policy)),
        Limit(step_cap_name(policy), budget.amount_micros + step_cap_micros(budget.amount_micros, policy)),
    ]
    if budget.budget_id in policy.budget_ceiling_micros:
        limits.insert(0, Limit("ceiling", policy.budget_ceiling_micros[budget.budget_id]))
    if budget.month_days >= PACING_DAYS and budget.month_to_date_micros > PACING_LIMIT * budget.amount_micros * budget.month_days:
        limits.insert(0, Limit("pacing", budget.amount_micros))
    return tuple(limits)


def bottoms(budget: Budget, policy: Policy) -> tuple[Limit, ...]:
    """What a decrease must stay at or above."""
    limits = [
        Limit(step_cap_name(policy), budget.amount_micros - step_cap_micros(budget.amount_micros, policy)),
        Limit("minimum_unit", policy.unit_micros),
    ]
    if budget.budget_id in policy.budget_floor_micros:
        limits.insert(0, Limit("floor", policy.budget_floor_micros[budget.budget_id]))
    return tuple(limits)
