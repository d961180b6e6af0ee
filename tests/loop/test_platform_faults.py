"""What the platform does wrong on the money path, and what a person stops half-way."""

import re
import time
from collections.abc import Callable

from loop_world import Stage, after, before, steps, until

At = Callable[[str], Stage]


def hits(stage: Stage) -> int:
    return sum(fault["hits"] for fault in stage.sandbox.admin.faults())


def test_a_row_that_is_refused_stops_the_set_and_the_rest_is_restored(stage_at: At) -> None:
    """Partial failure on the second budget: its own error is told, the first stays until the rollback restores it exactly."""
    stage = stage_at("validated")
    planned, amounts = stage.change_set(), stage.amounts()
    first, second, *_ = planned.changes
    stage.sandbox.admin.fault("partial_failure", budget_id=int(second.budget_id))

    ran = stage.run("apply-changes", "--live")
    assert ran.code == 3
    assert f"the platform refused budget {second.budget_id}" in ran.err
    assert "database_error.CONCURRENT_MODIFICATION" in ran.err
    assert amounts | {first.budget_id: first.amount_after_micros} == stage.amounts()
    assert stage.state() == "failed"

    stage.must("roll-back-changes", "--live")
    assert amounts == stage.amounts()
    (made,) = steps(planned)[:1]
    assert [made, (made[0], made[2], made[1])] == stage.made()
    assert stage.state() == "rolled_back"
    assert "no canary has to be rolled back" in stage.must("roll-back-changes", "--live")
    assert stage.run("apply-changes", "--live").code == 4, "a set that failed is not applied again"
    assert stage.ledger.problems() == []


def test_a_row_that_would_be_refused_is_found_before_anything_is_set(stage_at: At) -> None:
    """The check of all rows names the one that fails among several; nothing is changed and nothing can be applied."""
    stage = stage_at("planned")
    planned, amounts = stage.change_set(), stage.amounts()
    wrong = planned.changes[-1]
    stage.decide()
    stage.must("snapshot-budgets")
    stage.sandbox.admin.fault("partial_failure", budget_id=int(wrong.budget_id), include_validate_only=True)
    ran = stage.run("validate-changes")
    assert ran.code == 3
    assert {wrong.budget_id} == set(re.findall(r"budget (\d+):", ran.err))
    assert stage.run("apply-changes", "--live").code == 4
    assert (amounts, []) == (stage.amounts(), stage.made())


def test_quota_waits_as_long_as_the_platform_says(stage_at: At) -> None:
    """A read waits inside the job; a mutation gives the turn back with the time to come again, and is made once then."""
    stage = stage_at("validated")
    planned, amounts = stage.change_set(), stage.amounts()
    stage.sandbox.admin.fault("quota", method="search_stream", retry_delay_seconds=5)
    stage.sandbox.admin.fault("quota", method="mutate", retry_delay_seconds=7200)

    begun = time.monotonic()
    ran = stage.run("apply-changes", "--live")
    assert (ran.code, "seconds=5" in ran.err, time.monotonic() - begun > 5) == (75, True, True), ran.err
    assert "the platform asks to wait 7200 s" in ran.err
    assert "2026-02-26T08:00" in ran.err, "when to come again"
    assert (amounts, []) == (stage.amounts(), stage.made())

    stage.hours = 2
    stage.must("apply-changes", "--live")
    assert amounts | after(planned) == stage.amounts()
    assert steps(planned) == stage.made()


def test_a_lost_answer_is_looked_up_and_not_sent_again(stage_at: At) -> None:
    """The connection breaks after the change was made: the budget is read, the receipt says so, nothing is doubled."""
    stage = stage_at("validated")
    planned = stage.change_set()
    stage.sandbox.admin.fault("lost_response", method="mutate", times=2)
    stage.must("apply-changes", "--live")
    assert steps(planned) == stage.made()
    receipts = [row for row in stage.ledger.rows() if row.event == "applied" and row.change_id]
    recovered = [bool(row.detail().get("recovered")) for row in receipts]
    assert [True, True, *[False] * (len(receipts) - 2)] == recovered
    sent = [r for r in stage.sandbox.admin.requests() if r["method"] == "MutateCampaignBudgets"]
    assert len(planned.changes) == len(sent)


def test_a_sunset_version_is_told_as_what_it_is(stage_at: At) -> None:
    """Every call answers UNSUPPORTED_VERSION: exit code 1, what to change, nothing done; afterwards the same command works."""
    stage = stage_at("validated")
    amounts = stage.amounts()
    stage.sandbox.admin.fault("sunset_version", times=None)
    ran = stage.run("apply-changes", "--live")
    assert ran.code == 1
    assert "UNSUPPORTED_VERSION" in ran.err
    assert "set API_VERSION in tasks/platforms/google_ads/version.py to a newer version" in ran.err
    assert (amounts, "validated") == (stage.amounts(), stage.state())
    stage.sandbox.admin.clear_faults()
    assert "would apply" in stage.must("apply-changes")


def test_the_kill_switch_stops_a_running_apply_at_its_next_budget(stage_at: At) -> None:
    """Switched on while the first budget is being set: that one ends, no other begins; a rollback waits for the switch too."""
    stage = stage_at("validated")
    planned, amounts = stage.change_set(), stage.amounts()
    first = planned.changes[0]
    stage.sandbox.admin.fault("delay", method="mutate", seconds=300)
    apply = stage.start("apply-changes", "--live")
    until(lambda: hits(stage) == 1, "the first mutation")
    stage.must("kill", "--why", "stop at once", day=None)
    stage.sandbox.admin.clear_faults()
    _, err = apply.communicate(timeout=1200)
    assert (apply.returncode, "stop at once" in err) == (4, True), err
    assert [(first.budget_id, first.amount_before_micros, first.amount_after_micros)] == stage.made()

    still = stage.run("roll-back-changes", "--live")
    assert (still.code, "stop at once" in still.err) == (4, True)
    assert amounts | {first.budget_id: first.amount_after_micros} == stage.amounts()
    stage.must("kill", "--off", "--why", "looked into", day=None)
    stage.must("roll-back-changes", "--live")
    assert amounts == stage.amounts()
    assert before(planned).items() <= stage.amounts().items()
