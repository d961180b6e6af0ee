"""Writes a plan: a decision for every budget, the proposals, one change set an account, its first row in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.core import caps, changeset
from tasks.core.clock import utc_now
from tasks.core.errors import JobError
from tasks.core.money import MICROS
from tasks.core.policy import Policy
from tasks.core.settings import Mode
from tasks.decide.live_model import LiveModel
from tasks.decide.plan_inputs import PlanInputs
from tasks.decide.planner import Change, Plan
from tasks.decide.proposal import frame, store
from tasks.decide.reasons import reason

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse


@dataclass(frozen=True)
class PlanRun:
    """What the plan of one account is written with."""

    run_date: date
    model: LiveModel
    inputs: PlanInputs
    policy: Policy
    plan: Plan
    mode: Mode
    author: str
    account_policies: Mapping[str, Policy] = field(default_factory=dict)

    def policy_of(self, account_id: str) -> Policy:
        """The policy, with the caps that feature flags have lowered for the account."""
        return self.account_policies.get(account_id, self.policy)


def to_change_set(run: PlanRun, account_id: str) -> changeset.ChangeSet | None:
    """The change set of one account, or None if nothing changes there.

    Every change is checked against the caps once more from the bytes alone; JobError if one is broken, which would be a defect.
    """
    own = [c for c in run.plan.changes if c.budget.account_id == account_id]
    if not own:
        return None
    budgets = [b for b in run.inputs.budgets if b.account_id == account_id]
    daily_budget, policy = caps.account_daily_budget_micros(budgets), run.policy_of(account_id)
    made = changeset.make_change_set(
        changeset.ChangeSet(
            platform=run.inputs.platform,
            account_id=account_id,
            currency_code=run.model.currency_code,
            run_date=run.run_date,
            author=run.author,
            mode=run.mode,
            mmm_run_id=run.model.run_id,
            policy_sha256=policy.sha256(),
            target_cac_micros=run.inputs.target_cac_micros,
            account_daily_budget_micros=daily_budget,
            data_through_date=run.inputs.data_through_date,
            changes=tuple(_change(run, c) for c in own),
        )
    )
    broken = [v for c in made.changes for v in caps.change_violations(c, made.target_cac_micros, policy)]
    moved = sum(abs(c.delta_micros) for c in made.changes)
    broken += caps.daily_violations(moved, run.inputs.used_micros.get(account_id, 0), daily_budget, policy)
    if broken:
        raise JobError(f"the plan breaks a cap, a defect of plan-budgets to report: {'; '.join(map(str, broken))}")
    return made


def _change(run: PlanRun, change: Change) -> changeset.Change:
    budget = change.budget
    return changeset.Change(
        change_id=changeset.change_id(budget.platform, budget.account_id, run.run_date, budget.budget_id),
        budget_id=budget.budget_id,
        channel=budget.channels[0],
        campaign_ids=budget.campaign_ids,
        is_shared=budget.is_explicitly_shared,
        amount_before_micros=change.step.before_micros,
        amount_after_micros=change.step.after_micros,
        highest_daily_spend_micros=budget.highest_daily_spend_micros,
        is_extrapolated=change.is_extrapolated,
        p_cac_le_target_ppm=changeset.probability_ppm(change.cost.p_le_target),
    )


def _micros(amount: float) -> int | None:
    """None for an infinite amount, and for one too large to be an amount of money."""
    return round(amount * MICROS) if np.isfinite(amount) and amount < 1e9 else None


def _proposal(run: PlanRun, made: changeset.ChangeSet, change: Change, now: datetime) -> dict[str, Any]:
    budget, cost, together = change.budget, change.cost, run.plan.account_gains[change.budget.account_id]
    return {
        "change_set_id": made.change_set_id,
        "change_id": changeset.change_id(budget.platform, budget.account_id, run.run_date, budget.budget_id),
        "run_date": run.run_date,
        "platform": budget.platform,
        "account_id": budget.account_id,
        "budget_id": budget.budget_id,
        "campaign_ids": list(budget.campaign_ids),
        "channel": budget.channels[0],
        "currency_code": budget.currency_code,
        "amount_before_micros": change.step.before_micros,
        "amount_after_micros": change.step.after_micros,
        "optimum_micros": change.optimum_micros,
        "reason": reason(change, run.plan, run.model.target),
        "binding_constraint": change.step.binding,
        "expected_new_customers_mean": change.gain.mean,
        "expected_new_customers_p05": change.gain.p05,
        "expected_new_customers_p95": change.gain.p95,
        "set_new_customers_mean": together.mean,
        "set_new_customers_p05": together.p05,
        "set_new_customers_p95": together.p95,
        "marginal_cac_p50_micros": _micros(cost.p50),
        "marginal_cac_p95_micros": _micros(cost.p95),
        "marginal_cac_bound_micros": _micros(cost.bound),
        "target_cac_micros": made.target_cac_micros,
        "p_cac_le_target": cost.p_le_target,
        "buffer_pct": cost.buffer_pct(run.plan.target_cac),
        "is_extrapolated": change.is_extrapolated,
        "risk_measure": run.plan.risk_measure,
        "data_through_date": run.inputs.data_through_date,
        "mmm_run_id": run.model.run_id,
        "proposed_at": now,
    }


def write_decisions(warehouse: Warehouse, run: PlanRun, account_id: str) -> None:
    """One row for every budget of the account, also for those left alone."""
    now = utc_now()
    rows = [
        {
            "run_date": run.run_date,
            "platform": run.inputs.platform,
            "account_id": account_id,
            "budget_id": d.budget.budget_id,
            "decision": d.decision,
            "constraint": d.constraint,
            "detail": d.detail,
            "decided_at": now,
        }
        for d in run.plan.decisions
        if d.budget.account_id == account_id
    ]
    warehouse.merge("control.plan_decisions", frame("control.plan_decisions", rows))


def write_change_set(warehouse: Warehouse, run: PlanRun, made: changeset.ChangeSet) -> None:
    """Proposals first, then the set, then its ledger row: a crash in between leaves nothing that could be approved half-made."""
    now = utc_now()
    own = [c for c in run.plan.changes if c.budget.account_id == made.account_id]
    warehouse.merge("control.budget_proposals", frame("control.budget_proposals", [_proposal(run, made, c, now) for c in own]))
    store(warehouse, made, now, run.policy.approval_hours)
