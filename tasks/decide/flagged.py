"""Feature flags in the plan of ad accounts: frozen accounts hold, lowered caps hold for their account alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.core.flags import AccountFlags
    from tasks.core.policy import Policy
    from tasks.decide.plan_inputs import PlanInputs


def flag_accounts(
    flags: AccountFlags, inputs: PlanInputs, policy: Policy, run_date: date
) -> tuple[PlanInputs, dict[str, Policy]]:
    """``inputs`` whose budgets say if a flag freezes their account, and the policy of each account. A freeze keeps its reason."""
    accounts = sorted({b.account_id for b in inputs.budgets})
    found = {account: flags.tightened(policy, inputs.platform, account, run_date) for account in accounts}
    why = {account: tightened.frozen_why for account, tightened in found.items() if tightened.frozen_why}
    budgets = tuple(
        replace(b, frozen_why=why[b.account_id], is_frozen_by_flag=True) if b.frozen_why is None and b.account_id in why else b
        for b in inputs.budgets
    )
    return replace(inputs, budgets=budgets), {account: tightened.policy for account, tightened in found.items()}
