"""Airflow with the real jobs on a running sandbox: no click in the UI but an approval moves money.

`.venv-airflow` has neither DuckDB nor the sandbox, so tests/loop/serve_planned.py prepares them in the jobs' own environment.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_api import AirflowApi
from gate_runs import APPROVAL, CANARY, GateRuns
from local_airflow import APPROVER, ROOT, LocalAirflow
from local_sandbox import LocalSandbox

pytestmark = pytest.mark.slow

PYTHON, CLI = ROOT / ".venv" / "bin" / "python", ROOT / ".venv" / "bin" / "aelp2"


class Money(GateRuns):
    """The gate's DAGs, the sandbox behind them, and what was planned: a live change set that nobody has decided on."""

    def __init__(self, airflow: LocalAirflow, folder: Path, planned: dict[str, Any]) -> None:
        super().__init__(airflow)
        self.folder, self.planned = folder, planned
        self.day: str = planned["run_date"]
        self.sandbox = LocalSandbox(folder / "sandbox", CLI)

    def forget(self) -> None:
        """The warehouse as it was after the plan."""
        for leftover in self.folder.glob("w.duckdb*"):
            leftover.unlink()
        shutil.copyfile(self.folder / "planned.duckdb", self.folder / "w.duckdb")

    def platform(self) -> tuple[dict[str, int], int]:
        """Every budget, and how many changes the platform has ever seen."""
        return self.sandbox.budgets(), len(self.sandbox.state()["changes"])

    def said(self, dag_id: str, run_id: str, task_id: str) -> str:
        return "\n".join(self.operator.log_lines(dag_id, run_id, task_id))


def _line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"serve_planned.py ended with code {process.wait()}"
    answer: dict[str, Any] = json.loads(line)
    return answer


@pytest.fixture(scope="module")
def planned_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    folder = tmp_path_factory.mktemp("money")
    command = [str(PYTHON), str(ROOT / "tests" / "loop" / "serve_planned.py"), str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield folder, process
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=600)


@pytest.fixture(scope="module")
def running(planned_sandbox: tuple[Path, "subprocess.Popen[str]"]) -> Iterator[Money]:
    folder, process = planned_sandbox
    env = _line(process)["env"] | {"AELP2_CLI": str(CLI), "AELP2_WORK_DIR": str(folder), "AELP2_APPROVERS": APPROVER}
    airflow = LocalAirflow(folder / "home", ROOT / "dags", ROOT / "plugins")
    try:
        airflow.start(env)  # while the plan is being made
        planned = _line(process)
        shutil.copyfile(folder / "w.duckdb", folder / "planned.duckdb")
        money = Money(airflow, folder, planned)
        for dag_id in (APPROVAL, CANARY):
            money.operator.pause(dag_id, False)
        yield money
    finally:
        airflow.stop()


@pytest.fixture
def money(running: Money) -> Money:
    running.forget()
    return running


def ask(money: Money, hour: int) -> tuple[str, str]:
    """A run of both DAGs at ``hour`` that waits: the approval for a person, the canary for the approval."""
    approval = money.trigger(APPROVAL, money.day, hour)
    canary = money.find(CANARY, money.day, hour)
    money.asked(approval)
    return approval, canary


def mark(api: AirflowApi, dag_id: str, run_id: str, *tasks: str) -> None:
    """ "Mark success" on each of ``tasks``."""
    for task in tasks:
        api.set_task_state(dag_id, run_id, task, "success")


@pytest.mark.parametrize(("hour", "dag_id", "task_id"), [(1, CANARY, "gate"), (2, APPROVAL, "approved")])
def test_marking_the_gate_or_the_marker_as_success_moves_no_money(money: Money, hour: int, dag_id: str, task_id: str) -> None:
    """The first real job behind the gate finds no decision of a person and refuses; the platform sees nothing."""
    platform = money.platform()
    approval, canary = ask(money, hour)
    mark(money.operator, dag_id, approval if dag_id == APPROVAL else canary, task_id)
    state, tasks = money.end(CANARY, canary)
    money.close(approval)
    assert state == "failed"
    assert {"gate": "success", "snapshot_budgets": "failed", "apply_changes": "upstream_failed"}.items() <= tasks.items()
    assert "nobody has decided on it" in money.said(CANARY, canary, "snapshot_budgets")
    assert platform == money.platform()


def test_marking_everything_before_the_apply_as_success_moves_no_money(money: Money) -> None:
    """Gate, snapshot and check marked by hand: apply-changes itself runs and refuses, and the rollback has nothing to undo."""
    platform = money.platform()
    approval, canary = ask(money, 3)
    mark(money.operator, CANARY, canary, "validate_changes", "snapshot_budgets", "gate")
    state, tasks = money.end(CANARY, canary)
    money.close(approval)
    assert state == "failed"
    assert {"apply_changes": "failed", "roll_back_changes": "success"}.items() <= tasks.items()
    assert "nobody has decided on it" in money.said(CANARY, canary, "apply_changes")
    assert "no canary has to be rolled back" in money.said(CANARY, canary, "roll_back_changes")
    assert platform == money.platform()


def test_marking_the_review_as_success_moves_no_money(money: Money) -> None:
    """`review` marked by hand carries nobody's answer: no approval is recorded, no job behind the gate begins."""
    platform = money.platform()
    approval, canary = ask(money, 4)
    mark(money.operator, APPROVAL, approval, "review")
    state, tasks = money.end(APPROVAL, approval)
    assert state == "failed"
    assert {"review": "success", "record_approval": "failed", "approved": "upstream_failed"}.items() <= tasks.items()
    assert "carries no answer of a person" in money.said(APPROVAL, approval, "record_approval")
    state, tasks = money.end(CANARY, canary)
    assert state == "failed"
    assert {"gate": "failed", "snapshot_budgets": "upstream_failed", "apply_changes": "upstream_failed"}.items() <= tasks.items()
    assert platform == money.platform()


def test_an_approval_changes_exactly_what_was_asked(money: Money) -> None:
    """The person reads the hash of the planned bytes, answers Approve, and the platform holds those amounts, each set once."""
    budgets, changes = money.platform()
    assert money.planned["before"].items() <= budgets.items()
    approval, canary = ask(money, 5)
    assert money.planned["sha256"] in money.approver.question(APPROVAL, approval, "review")["body"]
    assert (budgets, changes) == money.platform()
    money.approver.answer(APPROVAL, approval, "review", "Approve")
    assert money.end(APPROVAL, approval)[0] == "success"
    state, tasks = money.end(CANARY, canary)
    assert (state, tasks["verify_changes"], tasks["roll_back_changes"]) == ("success", "success", "skipped")
    assert (budgets | money.planned["after"], changes + len(money.planned["after"])) == money.platform()
