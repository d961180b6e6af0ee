"""What must never move money: every one of these ends in exit code 4 and leaves the platform as it was."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from loop_world import ACCOUNT, AUTHOR, PERSON, Stage, sql

from tasks.core.canonical import canonical_json

At = Callable[[str], Stage]
APPLY = ("apply-changes", "--live")


def refused(stage: Stage, words: str, *command: str) -> None:
    """The command (APPLY if none is given) ends with exit code 4, says ``words``, and the ledger holds what it held."""
    events = stage.events()
    ran = stage.run(*(command or APPLY))
    assert (ran.code, words in ran.err) == (4, True), ran
    assert events == stage.events()


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        ("bytes", "it was changed after it was proposed and is void"),
        ("bytes, hash", "differ from the hashed bytes"),
        ("bytes, hash, id", "nobody has decided on it"),
        ("bytes, hash, id, approval", "was never proposed in the ledger"),
    ],
)
def test_a_plan_changed_by_one_micro_is_refused(untouched: At, moved: str, words: str) -> None:
    """An approval holds for its exact bytes, however many tables somebody brings into line with the change."""
    stage = untouched("validated")
    planned = stage.change_set()
    raw = json.loads(planned.canonical())
    raw["changes"][0]["amount_after_micros"] += 1
    text = canonical_json(raw).decode()
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    changed_id = planned.change_set_id[:-12] + sha256[:12]
    old = (planned.change_set_id,)
    sql(stage, "UPDATE control.change_sets SET canonical_json = ? WHERE change_set_id = ?", text, *old)
    if "hash" in moved:
        sql(stage, "UPDATE control.change_sets SET sha256 = ? WHERE change_set_id = ?", sha256, *old)
    if "id" in moved:
        sql(stage, "UPDATE control.change_sets SET change_set_id = ? WHERE change_set_id = ?", changed_id, *old)
    if "approval" in moved:
        sql(stage, "UPDATE control.approvals SET sha256 = ?, change_set_id = ? WHERE change_set_id = ?", sha256, changed_id, *old)
    refused(stage, words)
    assert stage.run("verify-ledger").code == 3


def test_an_approval_of_another_hash_is_not_recorded(untouched: At) -> None:
    """The answer of a person names the hash that was shown; any other is refused."""
    stage = untouched("planned")
    planned = stage.change_set()
    wrong = f"{int(planned.sha256, 16) ^ 1:064x}"
    names = ("--set", f"{planned.change_set_id}={wrong}", "--approval-ref", "run1/review")
    refused(stage, "the decision is about", "record-approval", *names, "--decision", "approved", "--approver", PERSON)


def test_an_expired_approval_is_refused(untouched: At) -> None:
    """A day later the approval is void, also if somebody moves the date in the table; nor can the set be approved any more."""
    stage, late = untouched("validated"), untouched("planned")
    stage.hours = late.hours = 25
    refused(stage, "its approval expired at")
    later = datetime(2030, 1, 1, tzinfo=UTC)
    sql(stage, "UPDATE control.approvals SET expires_at = ?", later)
    sql(stage, "UPDATE control.change_sets SET expires_at = ?", later)
    refused(stage, "its approval expired at")
    ran = late.decide()
    assert (ran.code, "expired at" in ran.err) == (4, True)


def test_nobody_approves_an_own_plan(untouched: At) -> None:
    """Not through record-approval, nor by a row written past it."""
    stage = untouched("planned")
    planned = stage.change_set()
    ran = stage.decide(approver=f" {AUTHOR.upper()} ")
    assert (ran.code, "somebody else has to approve it" in ran.err) == (4, True)
    assert stage.state() == "proposed"
    now = datetime.now(UTC)
    row = (planned.change_set_id, planned.sha256, "approved", AUTHOR, "by hand", now, now + timedelta(days=3650))
    stage.warehouse.create("control.approvals")
    columns = "change_set_id, sha256, decision, approver, approval_ref, decided_at, expires_at"
    sql(stage, f"INSERT INTO control.approvals ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
    refused(stage, "nobody approves an own proposal")


def test_without_a_decision_every_step_is_refused(untouched: At) -> None:
    """A task marked as success leaves no row behind, and without the row no step goes on."""
    stage = untouched("planned")
    for command in (("snapshot-budgets",), ("validate-changes",), APPLY):
        refused(stage, "nobody has decided on it", *command)


def test_a_rejected_plan_is_refused(untouched: At) -> None:
    """No is no: nothing is applied, and the same set is not approved afterwards."""
    stage = untouched("planned")
    assert stage.decide("rejected").code == 0
    refused(stage, "'rejected', not approved")
    ran = stage.decide("approved")
    assert (ran.code, "is decided already" in ran.err) == (4, True)
    assert stage.state() == "rejected"


def test_shadow_mode_proposes_and_does_nothing_else(untouched: At) -> None:
    """With nothing set but the warehouse: a plan is written, nobody is asked, nothing is applied, no credentials are needed."""
    stage = untouched("loaded")
    stage.mode, stage.credentials = "shadow", False
    assert "(shadow, " in stage.must("plan-budgets")
    (shadow_id,) = stage.warehouse.query("SELECT change_set_id FROM control.change_sets")["change_set_id"]
    assert [stage.run(*job).code for job in (["request-approval"], APPLY)] == [99, 99]
    refused(stage, "AELP2_MODE is shadow", *APPLY, "--change-set-id", shadow_id)
    assert stage.events() == [("", "proposed")]
    assert "no canary has to be rolled back" in stage.must("roll-back-changes", "--live")


def test_an_approved_plan_is_refused_in_shadow_mode(untouched: At) -> None:
    """Going back to shadow stops what was approved before, without credentials."""
    stage = untouched("validated")
    stage.mode, stage.credentials = "shadow", False
    refused(stage, "AELP2_MODE is shadow: nothing is mutated")


@pytest.mark.parametrize("scope", ["all", f"google_ads:{ACCOUNT}"])
def test_the_kill_switch_stops_an_approved_plan(untouched: At, scope: str) -> None:
    """One command, a reason, and the next apply is refused with that reason."""
    stage = untouched("validated")
    stage.must("kill", "--why", "wrong prices on the landing page", "--scope", scope, day=None)
    refused(stage, "wrong prices on the landing page")
    assert stage.safety_kinds() == ["apply_refused", "kill_switch"]
