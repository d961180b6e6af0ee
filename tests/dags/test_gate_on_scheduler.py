"""The approval gate on the real scheduler, answered through the real REST API (DESIGN §5, approval gates 1-7).

The jobs are recorded, not run: what is under test is which of them Airflow starts. That the jobs themselves refuse is tested with
the jobs.
"""

import json
import stat
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from airflow_api import AirflowApiError
from gate_runs import APPROVAL, CANARY, GateRuns
from local_airflow import APPROVER, ROOT, LocalAirflow

pytestmark = pytest.mark.slow

ANSWER_WITHIN_S = 3600  # no test waits for it: on a busy machine a minute can go by before the test itself answers
INGEST, BACKFILL = "ads_ingest_daily", "ads_backfill"


class Loop(GateRuns):
    """The two DAGs of the gate, with jobs that only write down that they were called."""

    def __init__(self, airflow: LocalAirflow, folder: Path) -> None:
        super().__init__(airflow)
        self.folder = folder

    def exit_codes(self, day: str, codes: dict[str, int]) -> None:
        (self.folder / f"{day}.json").write_text(json.dumps(codes), encoding="utf-8")

    def calls(self, day: str) -> list[dict[str, str]]:
        lines = (self.folder / "calls.jsonl").read_text(encoding="utf-8").splitlines()
        return [call for call in map(json.loads, lines) if call["run-date"] == day]

    def commands(self, day: str) -> list[str]:
        return [call["command"] for call in self.calls(day)]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("airflow")
    program = folder / "aelp2"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent / "recording_cli.py"} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "calls.jsonl").touch()
    airflow = LocalAirflow(folder / "home", ROOT / "dags", ROOT / "plugins")
    airflow.start(
        {
            "AELP2_CLI": str(program),
            "RECORDING_DIR": str(folder),
            "AELP2_RESPONSE_TIMEOUT_S": str(ANSWER_WITHIN_S),
            "AELP2_APPROVERS": APPROVER,
        }
    )
    try:
        running = Loop(airflow, folder)
        for dag_id in (APPROVAL, CANARY, INGEST, BACKFILL):
            running.operator.pause(dag_id, False)
        yield running
    finally:
        airflow.stop()


def _alert(loop: Loop, dag_id: str, run_id: str, task_id: str) -> dict[str, str]:
    """The line of the alert in the task's own log."""
    (line,) = [said for said in loop.operator.log_lines(dag_id, run_id, task_id) if '"aelp2_alert"' in said]
    found: dict[str, str] = json.loads(line)
    return found


def test_an_approval_opens_the_gate(loop: Loop) -> None:
    """The approval DAG alone is triggered; its twin follows, waits for the person, applies; who and which hash are recorded."""
    day = "2026-03-02"
    run_id = loop.trigger(APPROVAL, day)
    canary = loop.find(CANARY, day)
    loop.asked(run_id)
    question = loop.approver.question(APPROVAL, run_id, "review")
    assert f"Budget changes of {day}" == question["subject"]
    assert question["body"].startswith("| campaign |")
    with pytest.raises(AirflowApiError, match="403"):
        loop.operator.answer(APPROVAL, run_id, "review", "Approve")
    loop.approver.answer(APPROVAL, run_id, "review", "Approve")

    state, tasks = loop.end(APPROVAL, run_id)
    assert state == "success"
    assert {"approved": "success", "record_approval": "success", "record_expiry": "skipped"}.items() <= tasks.items()
    state, tasks = loop.end(CANARY, canary)
    assert state == "success"
    assert {
        "gate": "success",
        "apply_changes": "success",
        "applied": "success",
        "roll_back_changes": "skipped",
    }.items() <= tasks.items()
    canary_jobs = ["assess-readiness", "snapshot-budgets", "validate-changes", "apply-changes", "verify-changes"]
    assert ["request-approval", "record-approval", *canary_jobs] == loop.commands(day)
    recorded = loop.calls(day)[1]
    both = f"set-a-{day}={'a' * 64},set-b-{day}={'b' * 64}"
    assert ("approved", "approver", both, f"{run_id}/review", "operator") == tuple(
        recorded[key] for key in ("decision", "approver", "set", "approval-ref", "actor")
    )
    assert loop.calls(day)[0]["account"] == ""


def test_airflow_tells_the_file_that_it_took_each_dag_from(loop: Loop) -> None:
    """To the letter: a release compares them to know that Composer has the new ones."""
    files = {file.stem: file.read_text(encoding="utf-8") for file in (ROOT / "dags").glob("*.py")}
    known = loop.operator.dag_ids()
    assert len(known) >= 15
    assert {dag_id: loop.operator.source(dag_id) for dag_id in known} == {dag_id: files[dag_id] for dag_id in known}


def test_a_rejection_skips_the_canary_and_is_recorded(loop: Loop) -> None:
    """Reject: the marker is skipped, the rejection is written, the canary ends quietly without one job."""
    day = "2026-03-03"
    run_id = loop.trigger(APPROVAL, day)
    loop.asked(run_id)
    loop.approver.answer(APPROVAL, run_id, "review", "Reject")

    state, tasks = loop.end(APPROVAL, run_id)
    assert state == "success"
    assert {"review": "success", "record_approval": "success", "approved": "skipped"}.items() <= tasks.items()
    state, tasks = loop.end(CANARY, loop.find(CANARY, day))
    assert state == "success"
    # The twin's own task is skipped as well: the approval run exists already.
    assert {"skipped"} == set(tasks.values())
    assert loop.commands(day) == ["request-approval", "record-approval"]
    assert loop.calls(day)[1]["decision"] == "rejected"


def test_no_answer_expires_and_nothing_is_applied(loop: Loop) -> None:
    """Silence never means yes: after the timeout the expiry is recorded, the gate fails, no mutating job but the receipt-driven
    rollback is called."""
    day = "2026-03-04"
    loop.exit_codes(day, {"roll-back-changes": 99})
    run_id = loop.trigger(APPROVAL, day)
    loop.asked(run_id)
    asked_at = datetime.fromisoformat(loop.operator.run(APPROVAL, run_id)["start_date"])
    deadline = loop.let_expire(run_id)
    assert timedelta() <= deadline - asked_at - timedelta(seconds=ANSWER_WITHIN_S) < timedelta(hours=1)

    state, tasks = loop.end(APPROVAL, run_id)
    assert state == "failed"
    expected = {
        "review": "failed",
        "record_approval": "upstream_failed",
        "approved": "upstream_failed",
        "record_expiry": "success",
    }
    assert expected.items() <= tasks.items()
    assert _alert(loop, APPROVAL, run_id, "review")["kind"] == "deadline"
    state, tasks = loop.end(CANARY, loop.find(CANARY, day))
    assert state == "failed"
    assert {"gate": "failed", "apply_changes": "upstream_failed", "roll_back_changes": "skipped"}.items() <= tasks.items()
    assert sorted(loop.commands(day), key=_order) == ["request-approval", "record-approval", "roll-back-changes"]
    assert {"expired"} == {call["decision"] for call in loop.calls(day) if call["command"] == "record-approval"}


def test_the_canary_alone_brings_its_approval_along(loop: Loop) -> None:
    """A manual trigger of the canary makes the approval run at the same logical date and waits for it."""
    day = "2026-03-05"
    canary = loop.trigger(CANARY, day)
    approval = loop.find(APPROVAL, day)
    loop.asked(approval)
    loop.approver.answer(APPROVAL, approval, "review", "Approve")

    assert (loop.end(APPROVAL, approval)[0], loop.end(CANARY, canary)[0]) == ("success", "success")
    assert "apply-changes" in loop.commands(day)


def test_nothing_to_approve_ends_quietly(loop: Loop) -> None:
    """request-approval with exit code 99: both DAGs end green with every job skipped."""
    day = "2026-03-06"
    loop.exit_codes(day, {"request-approval": 99})
    hold = loop.folder / f"{day}.hold"
    hold.touch()
    run_id = loop.trigger(APPROVAL, day)
    loop.gate_waits(run_id)
    hold.unlink()

    state, tasks = loop.end(APPROVAL, run_id)
    assert ("success", {"success", "skipped"}) == (state, set(tasks.values()))
    assert {"twin"} == {task for task, task_state in tasks.items() if task_state == "success"}
    state, tasks = loop.end(CANARY, loop.find(CANARY, day))
    assert ("success", {"skipped"}) == (state, set(tasks.values()))
    assert loop.commands(day) == ["request-approval"]


def test_marking_the_review_as_success_approves_nothing(loop: Loop) -> None:
    """`review` marked as success in the UI carries nobody's answer: recording stops, the gate fails."""
    day = "2026-03-09"
    loop.exit_codes(day, {"roll-back-changes": 99})
    run_id = loop.trigger(APPROVAL, day)
    loop.asked(run_id)
    loop.operator.set_task_state(APPROVAL, run_id, "review", "success")

    state, tasks = loop.end(APPROVAL, run_id)
    assert state == "failed"
    assert {"record_approval": "failed", "approved": "upstream_failed"}.items() <= tasks.items()
    assert "carries no answer of a person" in "\n".join(loop.operator.log_lines(APPROVAL, run_id, "record_approval"))
    loop.end(CANARY, loop.find(CANARY, day))
    assert {"request-approval", "roll-back-changes"} == set(loop.commands(day))


@pytest.mark.parametrize(("day", "dag_id", "task_id"), [("2026-03-10", APPROVAL, "approved"), ("2026-03-11", CANARY, "gate")])
def test_marking_the_gate_open_meets_the_jobs_own_refusal(loop: Loop, day: str, dag_id: str, task_id: str) -> None:
    """With the marker or the gate marked as success the first job behind it finds no recorded approval and refuses."""
    loop.exit_codes(day, {"roll-back-changes": 99})
    approval = loop.trigger(APPROVAL, day)
    canary = loop.find(CANARY, day)
    loop.asked(approval)
    loop.operator.set_task_state(dag_id, approval if dag_id == APPROVAL else canary, task_id, "success")

    state, tasks = loop.end(CANARY, canary)
    assert state == "failed"
    assert {"gate": "success", "snapshot_budgets": "failed", "apply_changes": "upstream_failed"}.items() <= tasks.items()
    assert "apply-changes" not in loop.commands(day)
    loop.close(approval)


def test_a_failed_apply_is_rolled_back_and_stays_red(loop: Loop) -> None:
    """apply-changes fails: the rollback runs once, nothing is retried, and a rollback that works does not turn the run green.

    Runbook image_pull: a pod that never began is begun again by clearing the gate of the same run.
    """
    day = "2026-03-12"
    loop.exit_codes(day, {"apply-changes": 1})
    run_id = loop.trigger(APPROVAL, day)
    loop.asked(run_id)
    loop.approver.answer(APPROVAL, run_id, "review", "Approve")

    canary = loop.find(CANARY, day)
    state, tasks = loop.end(CANARY, canary)
    assert state == "failed"
    alert = _alert(loop, CANARY, canary, "apply_changes")
    assert (alert["kind"], "aelp2 apply-changes ended with exit code 1" in alert["error"]) == ("job_error", True)
    assert {"apply_changes": "failed", "roll_back_changes": "success", "applied": "upstream_failed"}.items() <= tasks.items()
    assert tuple(loop.commands(day).count(job) for job in ("apply-changes", "roll-back-changes")) == (1, 1)

    loop.exit_codes(day, {})
    loop.operator.clear_task(CANARY, canary, "gate")
    state, tasks = loop.end(CANARY, canary)
    assert (state, tasks["apply_changes"], tasks["roll_back_changes"]) == ("success", "success", "skipped")
    assert tuple(loop.commands(day).count(job) for job in ("request-approval", "apply-changes")) == (1, 2)


def test_accounts_can_be_decided_apart(loop: Loop) -> None:
    """The waiting run is marked as failed, which decides nothing; then a run an account asks about that account alone."""
    day = "2026-03-13"
    both = loop.trigger(APPROVAL, day)
    loop.asked(both)
    tasks = loop.close(both)
    skipped = dict.fromkeys(("record_expiry", "record_approval", "approved"), "skipped")
    assert ({"review": "failed"} | skipped).items() <= tasks.items()
    loop.end(CANARY, loop.find(CANARY, day))
    for hour, account, option in ((9, "2000000001", "Reject"), (10, "2000000002", "Approve")):
        run_id = loop.operator.trigger(APPROVAL, f"{day}T{hour:02d}:00:00Z", {"account": account})["dag_run_id"]
        loop.asked(run_id)
        loop.approver.answer(APPROVAL, run_id, "review", option)
        state, tasks = loop.end(APPROVAL, run_id)
        assert state == "success", tasks
        loop.end(CANARY, loop.find(CANARY, day, hour))
    calls = loop.calls(day)
    assert [call["account"] for call in calls if call["command"] == "request-approval"] == ["", "2000000001", "2000000002"]
    assert [call["decision"] for call in calls if call["command"] == "record-approval"] == ["rejected", "approved"]
    assert loop.commands(day).count("apply-changes") == 1


def test_a_gate_that_failed_with_its_approval_is_cleared_as_well(loop: Loop) -> None:
    """Runbook budget_approval_daily: the request is cleared once there is a plan and answered, but the gate that had failed with
    it stays failed and applies nothing until it is cleared, too.
    """
    day = "2026-03-16"
    loop.exit_codes(day, {"request-approval": 75, "roll-back-changes": 99})
    run_id = loop.trigger(APPROVAL, day)
    assert loop.end(APPROVAL, run_id)[0] == "failed"
    canary = loop.find(CANARY, day)
    assert loop.end(CANARY, canary)[1]["gate"] == "failed"

    loop.exit_codes(day, {})
    loop.operator.clear_task(APPROVAL, run_id, "request_approval")
    loop.review_waits(run_id)
    loop.approver.answer(APPROVAL, run_id, "review", "Approve")
    assert loop.end(APPROVAL, run_id)[0] == "success"
    assert loop.end(CANARY, canary)[1]["gate"] == "failed"
    assert "apply-changes" not in loop.commands(day)

    loop.operator.clear_task(CANARY, canary, "gate")
    state, tasks = loop.end(CANARY, canary)
    assert (state, tasks["apply_changes"]) == ("success", "success")
    assert loop.commands(day).count("apply-changes") == 1


def test_a_review_that_was_marked_by_hand_can_still_be_answered(loop: Loop) -> None:
    """Runbook budget_approval_daily: cleared, it asks the person again; with the gate cleared as well the answer is applied."""
    day = "2026-03-17"
    loop.exit_codes(day, {"roll-back-changes": 99})
    run_id = loop.trigger(APPROVAL, day)
    canary = loop.find(CANARY, day)
    loop.asked(run_id)
    loop.operator.set_task_state(APPROVAL, run_id, "review", "success")
    assert loop.end(APPROVAL, run_id)[1]["record_approval"] == "failed"
    loop.end(CANARY, canary)

    loop.operator.clear_task(APPROVAL, run_id, "review")
    loop.review_waits(run_id)
    loop.approver.answer(APPROVAL, run_id, "review", "Approve")
    state, tasks = loop.end(APPROVAL, run_id)
    assert (state, tasks["record_approval"]) == ("success", "success")
    loop.operator.clear_task(CANARY, canary, "gate")
    assert loop.end(CANARY, canary)[1]["apply_changes"] == "success"


def test_what_was_recorded_is_applied_although_a_set_was_refused(loop: Loop) -> None:
    """Runbook budget_approval_daily: `record_approval` refused one set of several. It is marked as success by hand and the gate
    cleared; the marker follows by itself, and the jobs act on the recorded approvals alone.
    """
    day = "2026-03-18"
    loop.exit_codes(day, {"record-approval": 4, "roll-back-changes": 99})
    run_id = loop.trigger(APPROVAL, day)
    canary = loop.find(CANARY, day)
    loop.asked(run_id)
    loop.approver.answer(APPROVAL, run_id, "review", "Approve")
    assert loop.end(APPROVAL, run_id)[1]["approved"] == "upstream_failed"
    assert loop.end(CANARY, canary)[1]["gate"] == "failed"

    (loop.folder / f"{day}.approved").touch()  # what the job had recorded before it ended with 4
    loop.operator.set_task_state(APPROVAL, run_id, "record_approval", "success")
    loop.wait_for(APPROVAL, run_id, "approved", "success")
    loop.operator.clear_task(CANARY, canary, "gate")
    state, tasks = loop.end(CANARY, canary)
    assert (state, tasks["apply_changes"]) == ("success", "success")


def _order(command: str) -> int:
    return ["request-approval", "record-approval", "roll-back-changes"].index(command)


def test_one_account_that_fails_stops_no_other(loop: Loop) -> None:
    """Three accounts of three platforms, one broken: the others load, the checks run, and the run stays red."""
    day = "2026-04-02"
    loop.exit_codes(day, {"ingest-ads 2": 1})
    state, tasks = loop.end(INGEST, loop.trigger(INGEST, day))
    loads = sorted((c["platform"], c["account"]) for c in loop.calls(day) if c["command"] == "ingest-ads")
    assert loads == [("google_ads", "1"), ("meta", "2"), ("x", "3")]
    assert "validate-tables" in loop.commands(day)
    assert (tasks["validate_tables"], tasks["all_accounts_landed"]) == ("success", "upstream_failed")
    assert state == "failed"


def test_no_account_at_all_means_no_checks(loop: Loop) -> None:
    """Every load failed: nothing new can be checked, so nothing downstream believes that it was."""
    day = "2026-04-03"
    loop.exit_codes(day, {"ingest-ads 1": 1, "ingest-ads 2": 75, "ingest-ads 3": 1})
    state, tasks = loop.end(INGEST, loop.trigger(INGEST, day))
    assert "validate-tables" not in loop.commands(day)
    assert state == "failed"
    assert tasks["validate_tables"] == "upstream_failed"


def test_a_backfill_takes_what_the_form_says(loop: Loop) -> None:
    """The form's fields become the arguments of the job that lists the accounts."""
    day = "2026-04-04"
    form = {"platform": "meta", "account": "2", "start_date": "2025-01-01"}
    run = loop.operator.trigger(BACKFILL, f"{day}T08:00:00Z", conf=form)
    state, _tasks = loop.end(BACKFILL, run["dag_run_id"])
    assert state == "success"
    (listed,) = [c for c in loop.calls(day) if c["command"] == "list-accounts"]
    assert {name: listed[name] for name in ("platform", "account", "start-date")} == {
        "platform": "meta", "account": "2", "start-date": "2025-01-01",
    }  # fmt: skip
    with pytest.raises(AirflowApiError, match="400"):
        loop.operator.trigger(BACKFILL, "2026-04-05T08:00:00Z", conf=form | {"platform": "myspace"})
