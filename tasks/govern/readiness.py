"""The checks behind the verdict on an account: may it be changed today? Pure functions of what was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from tasks.core.ledger import SetHistory
from tasks.core.switches import ALL, Switch, account_scope, on_for

OUTCOME_DAYS = 7  # new customers may be counted a week later
MODEL_DAYS = 14  # the MMM is fitted weekly: two weeks mean that one fit failed and the next did too
GATE = "plan-budgets"
VERDICT = "verdict"


@dataclass(frozen=True)
class Check:
    """One check: whether it stands in the way of a change, and the numbers."""

    name: str
    is_ready: bool
    detail: str


@dataclass(frozen=True)
class Account:
    """An account with the newest days that landed; None where nothing ever did."""

    platform: str
    account_id: str
    newest_date: date
    newest_outcome_date: date | None

    @property
    def scope(self) -> str:
        """Its name as the switches know it."""
        return account_scope(self.platform, self.account_id)


def freshness(account: Account, run_date: date, max_data_age_days: int) -> Check:
    """Delivery as fresh as the policy asks for a change, new customers within a week."""
    age = (run_date - account.newest_date).days
    if age > max_data_age_days:
        return Check("freshness", False, f"newest delivery is of {account.newest_date}, {age} days old; run ingest-ads")
    newest = account.newest_outcome_date
    if newest is None or (run_date - newest).days > OUTCOME_DAYS:
        return Check("freshness", False, f"new customers are known until {newest or 'no day at all'} only; run ingest-outcomes")
    return Check("freshness", True, f"delivery until {account.newest_date}, new customers until {newest}")


def gates(rows: Iterable[Mapping[str, Any]], run_date: date) -> Check:
    """The gate before the plan ran today, and no gate of today found anything critical."""
    by_gate = {row["gate"]: row for row in rows}
    failed = [row for row in by_gate.values() if row["failed"]]
    if failed:
        first = failed[0]
        return Check(
            "gates", False, f"gate before {first['gate']}: {first['failed']} critical failures; {first['first_failure']}"
        )
    if GATE not in by_gate:
        return Check("gates", False, f"the gate before {GATE} did not run for {run_date}; run validate-tables --for {GATE}")
    return Check("gates", True, f"{sum(row['checks'] for row in by_gate.values())} checks of {len(by_gate)} gates")


def model(live: Mapping[str, Any] | None, run_date: date) -> Check:
    """A reviewed model is in force and young enough."""
    if live is None:
        return Check("model", False, "no MMM run has passed its review; run fit-mmm and review-mmm, and read the review")
    age = (run_date - live["run_date"]).days
    if age > MODEL_DAYS:
        why = f"run {live['run_id']} is {age} days old, more than {MODEL_DAYS}; see why later fits failed their review"
        return Check("model", False, why)
    return Check("model", True, f"run {live['run_id']} of {live['run_date']}, reviewed {live['verdict']}")


def drift(rows: Iterable[Mapping[str, Any]], account: Account, run_date: date) -> Check:
    """The day's data was compared, and nothing critical stands unacknowledged for the account or the model."""
    mine = [r for r in rows if (r["platform"], r["account_id"]) in ((account.platform, account.account_id), (ALL, ALL))]
    if not any(r["account_id"] == account.account_id for r in mine):
        return Check("drift", False, f"the account's data of {run_date} was not compared with earlier data; run check-drift")
    bad = [r for r in mine if r["critical"]]
    if bad:
        remedy = "look at the drift report, then `aelp2 check-drift --acknowledge` or mend the source"
        return Check("drift", False, f"{bad[0]['critical']} critical, first {bad[0]['first_critical']}; {remedy}")
    return Check("drift", True, "no critical drift")


def fidelity(rows: Iterable[Mapping[str, Any]], account: Account, run_date: date) -> Check:
    """The model's predictions passed, and those of the account's own change sets did not fail; at first there are none."""
    verdicts = {(r["platform"], r["account_id"], r["basis"]): r for r in rows}
    of_model = verdicts.get((ALL, ALL, "model"))
    of_plan = verdicts.get((account.platform, account.account_id, "plan"))
    if of_model is None:
        return Check("fidelity", False, f"nobody compared predictions with what came for {run_date}; run evaluate-fidelity")
    if of_model["result"] != "pass":
        return Check("fidelity", False, f"the model's predictions: {of_model['result']}; {of_model['detail']}")
    if of_plan is not None and of_plan["result"] == "fail":
        return Check("fidelity", False, f"what change sets promised: {of_plan['detail']}")
    return Check("fidelity", True, str(of_model["detail"]))


def switches(found: Mapping[str, Switch], account: Account) -> Check:
    """Neither the kill switch nor the account's freeze is on."""
    on = on_for(found, (ALL, account.scope))
    if not on:
        return Check("switches", True, "no switch is on")
    return Check(
        "switches",
        False,
        f"switch {on[0].scope!r} is on: {on[0].why}; `aelp2 kill --off --scope {on[0].scope} --why …` after a look",
    )


def ledger(problems: Sequence[str]) -> Check:
    """The changefeed verifies."""
    if problems:
        return Check("ledger", False, f"the ledger does not verify: {problems[0]}; find out why before anything is changed")
    return Check("ledger", True, "the chain verifies")


def incidents(histories: Iterable[SetHistory], lost: Sequence[str]) -> Check:
    """No change set of the account waits for a rollback or a person, and all our changes reached the platform's log."""
    open_sets = [f"{h.change_set_id} is {h.state}" for h in histories if h.state in ("failed", "breached", "blocked")]
    if open_sets:
        return Check(
            "incidents", False, f"change set {open_sets[0]}; roll it back or close it first (runbook budget_canary_daily)"
        )
    if lost:
        return Check(
            "incidents", False, f"{len(lost)} changes of ours are not in the platform's log, first {lost[0]}; look there"
        )
    return Check("incidents", True, "no change set waits for a rollback or a person")


def approvals(pending: Sequence[str], histories: Mapping[str, SetHistory]) -> Check:
    """No proposal of an earlier day is still waiting for its answer."""
    waiting = [name for name in pending if name in histories and histories[name].state == "proposed"]
    if waiting:
        return Check("approvals", False, f"change set {waiting[0]} of an earlier day is undecided; answer it or let it expire")
    return Check("approvals", True, "no proposal of an earlier day is open")


def verdict(checks: Sequence[Check]) -> Check:
    """Ready only if every check is."""
    against = [f"{c.name}: {c.detail}" for c in checks if not c.is_ready]
    return Check(VERDICT, not against, "; ".join(against) or f"all {len(checks)} checks passed")
