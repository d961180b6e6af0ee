"""The guards on money. They run before every single mutation, on what is read at that moment (DESIGN §5 rule 5, §6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from tasks.act.stored import StoredSet, load_approval
from tasks.core import caps
from tasks.core.ad_changes import AdChange
from tasks.core.canonical import BUDGETS
from tasks.core.changeset import Change
from tasks.core.clock import is_simulated
from tasks.core.errors import Refused
from tasks.core.ledger import ad_moves_of, moves_of
from tasks.core.money import same_person
from tasks.core.switches import ALL, account_scope, on_for, read_switches
from tasks.platforms.base import with_budgets

if TYPE_CHECKING:
    from tasks.act.context import Context
    from tasks.core.changeset import AnyChange, AnySet, ChangeSet, Value
    from tasks.platforms.base import BudgetState, Platform


READINESS_LASTS = timedelta(hours=24)


@dataclass(frozen=True)
class LiveView:
    """The account as the platform holds it now: all budgets by id, and what moved in the last 24 h by its own change log."""

    budgets: dict[str, BudgetState]
    logged: tuple[caps.Move, ...]

    def amount(self, budget_id: str) -> int:
        """Daily amount now; Refused if the budget is gone."""
        if budget_id not in self.budgets:
            raise Refused(f"budget {budget_id} is no longer in the account; a person must look")
        return self.budgets[budget_id].amount_micros

    def value(self, change: Change) -> int:
        """The same for a change."""
        return self.amount(change.budget_id)


def read_live(platform: Platform, account_id: str, now: datetime) -> LiveView:
    """Read the account."""
    budgets = {b.budget_id: b for b in with_budgets(platform).read_budgets(account_id)}
    moves = [
        caps.Move(c.resource_id, c.changed_at, c.amount_before_micros or 0, c.amount_after_micros or 0)
        for c in platform.read_changes(account_id, now - caps.WINDOW)
        if c.resource_type == "CAMPAIGN_BUDGET" and (c.amount_before_micros, c.amount_after_micros) != (None, None)
    ]
    return LiveView(budgets, tuple(moves))


def expiry(context: Context, stored: StoredSet) -> datetime:
    """From when ``stored`` is void: what the set says, and never later than its proposal plus the policy's hours.

    The proposal's time comes from the ledger, whose rows are chained, so that moving the date in a table gives no more time.
    """
    proposed = context.ledger.history(stored.change_set_id).find("proposed")
    if proposed is None:
        raise Refused(f"change set {stored.change_set_id} was never proposed in the ledger; plan again")
    if proposed.sha256 != stored.sha256:
        raise Refused(f"change set {stored.change_set_id} was proposed with another hash ({proposed.sha256[:12]}…); plan again")
    return min(stored.expires_at, proposed.at + timedelta(hours=context.policy.approval_hours))


def switch_reasons(context: Context, stored: StoredSet, *, freeze_counts: bool = True) -> list[str]:
    """Kill switch, and the account's freeze unless the step lowers risk."""
    switches = read_switches(context.warehouse)
    scopes = [ALL, account_scope(stored.platform, stored.account_id)] if freeze_counts else [ALL]
    return [
        f"switch {s.scope!r} is on since {s.switched_at:%Y-%m-%d %H:%M} UTC ({s.actor}: {s.why}); "
        f'`aelp2 kill --off --scope {s.scope} --why "…"` allows changes again'
        for s in on_for(switches, scopes)
    ]


def live_reasons(context: Context, stored: StoredSet) -> list[str]:
    """Mode and allow-list: whether this account may be mutated at all."""
    reasons = []
    if context.settings.mode != "live":
        reasons.append("AELP2_MODE is shadow: nothing is mutated")
    if stored.mode != "live":
        reasons.append("it was proposed in shadow mode")
    if is_simulated() and context.settings.google_ads_endpoint is None:
        reasons.append("AELP2_NOW is set: a clock that stands still keeps approvals alive; only a sandbox is mutated under it")
    if not context.policy.allows(stored.platform, stored.account_id):
        name = account_scope(stored.platform, stored.account_id)
        reasons.append(f"account {name} is not in the policy's allowed_accounts")
    return reasons


def approval_reasons(context: Context, stored: StoredSet, change_set: AnySet, now: datetime) -> list[str]:
    """M1: an unexpired approval of exactly these bytes by somebody else, in the table and in the chained ledger."""
    approval = load_approval(context.warehouse, stored.change_set_id)
    if approval is None:
        return ["nobody has decided on it (control.approvals has no row); a task marked as success is no approval"]
    reasons = []
    if approval.decision != "approved":
        reasons.append(f"the decision on it is {approval.decision!r}, not approved")
    if approval.sha256 != stored.sha256:
        reasons.append(f"what was approved has hash {approval.sha256[:12]}…, this is {stored.sha256[:12]}…")
    until = min(approval.expires_at, expiry(context, stored))
    if now >= until:
        reasons.append(f"its approval expired at {until:%Y-%m-%d %H:%M} UTC; plan again")
    if same_person(approval.approver, "") or same_person(approval.approver, change_set.author):
        reasons.append(f"{approval.approver!r} is nobody or its author: nobody approves an own proposal")
    recorded = context.ledger.history(stored.change_set_id).find("approved")
    if recorded is None:
        reasons.append("the ledger holds no approval of it; run record-approval again with the same arguments")
    elif recorded.sha256 != stored.sha256 or not same_person(str(recorded.detail().get("approver")), approval.approver):
        reasons.append("the approval in the table differs from the one in the ledger; a person must look")
    return reasons


def readiness_reasons(context: Context, stored: StoredSet, now: datetime) -> list[str]:
    """The account's newest verdict of `assess-readiness`: of the set's day or later, of the last 24 h, and good."""
    account = account_scope(stored.platform, stored.account_id)
    remedy = f"`aelp2 assess-readiness --run-date {stored.run_date}` makes one"
    verdicts = context.warehouse.query(
        "SELECT is_ready, detail, assessed_at FROM control.readiness WHERE platform = @platform AND account_id = @account_id "
        "AND `check` = 'verdict' AND run_date >= @run_date ORDER BY run_date DESC LIMIT 1",
        {"platform": stored.platform, "account_id": stored.account_id, "run_date": stored.run_date},
    )
    if verdicts.is_empty():
        return [f"account {account} has no readiness verdict for {stored.run_date}; {remedy}"]
    is_ready, detail, assessed_at = verdicts.row(0)
    if now - assessed_at > READINESS_LASTS:
        return [f"the readiness of account {account} was assessed at {assessed_at:%Y-%m-%d %H:%M} UTC, too long ago; {remedy}"]
    return [] if is_ready else [f"account {account} is not ready: {detail}"]


def check_authority(context: Context, stored: StoredSet, now: datetime, *, states: Iterable[str]) -> AnySet:
    """The verified change set if all that need not ask the platform agrees; Refused with every reason otherwise."""
    change_set = stored.verified()
    reasons = live_reasons(context, stored) + switch_reasons(context, stored)
    reasons += approval_reasons(context, stored, change_set, now) + readiness_reasons(context, stored, now)
    if frozen_why := context.tightened(stored).frozen_why:
        reasons.append(f"account {account_scope(stored.platform, stored.account_id)} is frozen: {frozen_why}")
    state, allowed = context.ledger.history(stored.change_set_id).state, tuple(states)
    if state not in allowed:
        reasons.append(f"it is {state or 'not proposed'!r} in the ledger; this step needs {' or '.join(allowed)}")
    age = (change_set.run_date - change_set.data_through_date).days
    if age > context.policy.max_data_age_days:
        reasons.append(f"it rests on data {age} days old, the policy allows {context.policy.max_data_age_days}")
    if reasons:
        raise Refused(f"change set {stored.change_set_id} refused: {'; '.join(reasons)}")
    return change_set


def set_violations(context: Context, change_set: ChangeSet, live: LiveView, now: datetime) -> list[caps.Violation]:
    """M2 to M6 for what is still to be done of the set: all of it fits, or none of it is begun."""
    history = context.ledger.history(change_set.change_set_id)
    rest = [c for c in change_set.changes if is_to_come(history.change_state(c.change_id), c, live)]
    policy = context.tightened(change_set).policy
    found = [v for c in change_set.changes for v in caps.change_violations(c, change_set.target_cac_micros, policy)]
    for change in rest:
        found += _live_violations(context, change_set, change, live)
    size, used = sum(abs(c.delta_micros) for c in rest), used_in_a_day(context, change_set, live.logged, now, rest)
    return found + caps.daily_violations(size, used, _base(change_set, live), policy)


class _Holds[C](Protocol):
    def value(self, change: C) -> Value:
        """What is there now."""


def is_to_come[C: (Change, AdChange)](state: str, change: C, live: _Holds[C]) -> bool:
    """Whether the change is still to be made, by its ``state`` in the ledger and what is there."""
    if state != "mutate_intended":
        return state == ""
    # Intended before a crash: if the wanted value is there, it was done and only its receipt is missing.
    return live.value(change) != change.after


def change_violations(
    context: Context, change_set: ChangeSet, change: Change, live: LiveView, now: datetime
) -> list[caps.Violation]:
    """M2 to M6 for one change at the moment of its mutation."""
    policy = context.tightened(change_set).policy
    found = caps.change_violations(change, change_set.target_cac_micros, policy)
    found += _live_violations(context, change_set, change, live)
    used = used_in_a_day(context, change_set, live.logged, now, [change])
    return found + caps.daily_violations(abs(change.delta_micros), used, _base(change_set, live), policy)


def _live_violations(context: Context, change_set: ChangeSet, change: Change, live: LiveView) -> list[caps.Violation]:
    budget = live.budgets.get(change.budget_id)
    if budget is None:
        return [caps.Violation("M7", "budget_gone", f"budget {change.budget_id} is no longer in the account")]
    members, references = budget.member_campaign_ids, budget.reference_count
    found = caps.membership_violations(change, budget.is_explicitly_shared, members, references)
    if budget.currency_code != change_set.currency_code:
        detail = f"budget {change.budget_id} is in {budget.currency_code}, approved in {change_set.currency_code}"
        found.append(caps.Violation("M7", "currency", detail))
    if budget.status != "ENABLED":
        found.append(caps.Violation("M7", "status", f"budget {change.budget_id} is {budget.status}, not ENABLED"))
    other = open_elsewhere(context, change_set, budget_id=change.budget_id)
    if other:
        found.append(caps.Violation("M7", "under_watch", f"budget {change.budget_id} is in the open canary {other}"))
    return found


def open_elsewhere(context: Context, change_set: AnySet, **what: str) -> str | None:
    """Another set that changed ``what`` (``budget_id`` or ``adgroup_id``) and is neither promoted nor rolled back.

    Its rollback would meet our change.
    """
    for history in context.ledger.histories(change_set.platform, change_set.account_id):
        if history.change_set_id == change_set.change_set_id or history.state in ("promoted", "rolled_back"):
            continue
        mine = {r.change_id for r in history.rows if all(getattr(r, name) == value for name, value in what.items())}
        if any(history.change_state(c) not in ("failed", "rolled_back") for c in mine):
            return history.change_set_id
    return None


def _base(change_set: ChangeSet, live: LiveView) -> int:
    """The account's daily budget that M3 is measured by: the smaller of what was approved and what is there now."""
    return min(change_set.account_daily_budget_micros, caps.account_daily_budget_micros(live.budgets.values()))


def used_in_a_day(
    context: Context, change_set: AnySet, logged: Iterable[caps.Move], now: datetime, to_come: Iterable[AnyChange]
) -> int:
    """What was moved in the account over 24 h, by us and by others: micros for budgets, switches for ads."""
    changes = list(to_come)
    is_money = change_set.kind == BUDGETS
    read = context.ledger.moves if is_money else context.ledger.ad_moves
    own = read(change_set.platform, change_set.account_id, now - caps.WINDOW)
    history = context.ledger.history(change_set.change_set_id)
    for change in changes:
        # An intent of ours that is about to be carried out again is counted by its change, not twice.
        intent = history.find("mutate_intended", change.change_id)
        if intent is not None and history.change_state(change.change_id) == "mutate_intended":
            for move in (moves_of if is_money else ad_moves_of)([intent], now - caps.WINDOW):
                own.remove(move)
    return caps.used_daily_micros(own, logged, now)
