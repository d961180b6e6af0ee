"""The two DAGs of the approval gate on a running Airflow, as a person at the UI would drive them."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

from airflow_api import AirflowApi
from local_airflow import APPROVER, OPERATOR, LocalAirflow

APPROVAL, CANARY = "budget_approval_daily", "budget_canary_daily"


def until[T](condition: Callable[[], T], what: str, timeout_s: float = 900) -> T:
    """What ``condition`` gives as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.3)
    raise AssertionError(f"waited {timeout_s} s for {what}")


class GateRuns:
    """Runs of both DAGs; ``hour`` of the logical date tells several runs of one day apart."""

    def __init__(self, airflow: LocalAirflow) -> None:
        self.airflow = airflow
        self.operator: AirflowApi = airflow.api(OPERATOR)
        self.approver: AirflowApi = airflow.api(APPROVER)

    def trigger(self, dag_id: str, day: str, hour: int = 8) -> str:
        run_id: str = self.operator.trigger(dag_id, f"{day}T{hour:02d}:00:00Z")["dag_run_id"]
        return run_id

    def find(self, dag_id: str, day: str, hour: int = 8) -> str:
        """The run of ``dag_id`` on ``day``, as soon as there is one."""
        found = until(lambda: self.operator.run_at(dag_id, f"{day}T{hour:02d}:00:00Z"), f"a run of {dag_id} on {day}")
        return str(found["dag_run_id"])

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {task["task_id"]: task["state"] for task in self.operator.tasks(dag_id, run_id)}

    def asked(self, run_id: str) -> None:
        """Wait until the approval waits for a person and the canary's gate for the approval, and the scheduler knows of both."""
        self.review_waits(run_id)
        self.gate_waits(run_id)

    def review_waits(self, run_id: str) -> None:
        """Wait until the approval waits for a person."""
        self.wait_for(APPROVAL, run_id, "review", "awaiting_input")
        self.airflow.wait_until_parked(APPROVAL, run_id, "review")

    def gate_waits(self, run_id: str) -> None:
        """Wait until the gate of the canary waits for the approval ``run_id``."""
        at = self.operator.run(APPROVAL, run_id)["logical_date"]
        canary = until(lambda: self.operator.run_at(CANARY, at), f"the twin of {run_id}")
        self.wait_for(CANARY, canary["dag_run_id"], "gate", "deferred")
        self.airflow.wait_until_parked(CANARY, canary["dag_run_id"], "gate")

    def wait_for(self, dag_id: str, run_id: str, task_id: str, *states: str) -> None:
        until(lambda: self.states(dag_id, run_id).get(task_id) in states, f"{dag_id}.{task_id} to be {' or '.join(states)}")

    def end(self, dag_id: str, run_id: str) -> tuple[str, dict[str, str | None]]:
        """How the run ended: its state and the state of each task."""
        until(lambda: self.operator.run(dag_id, run_id)["state"] in {"success", "failed"}, f"the end of {dag_id} {run_id}")
        return self.operator.run(dag_id, run_id)["state"], self.states(dag_id, run_id)

    def close(self, run_id: str) -> dict[str, str | None]:
        """End an approval that still waits, as "Mark run as failed" does: nobody has decided anything. The state of each task.

        The run's own state is not told: SQLite has no row locks, and a scheduler that looks at the run in that moment finds all
        its last tasks skipped and calls it a success (seen on a busy machine).
        """
        self.operator.call("PATCH", f"/dags/{APPROVAL}/dagRuns/{run_id}", json={"state": "failed"})
        return self.end(APPROVAL, run_id)[1]

    def let_expire(self, run_id: str) -> datetime:
        """The deadline of the question that ``run_id`` asks, which this makes a thing of the past: no test waits for a clock."""
        which = "FROM task_instance WHERE dag_id = ? AND run_id = ? AND task_id = 'review' AND state = 'awaiting_input'"
        with closing(sqlite3.connect(self.airflow.home / "airflow.db", timeout=300)) as database, database:
            ((task, deadline),) = database.execute(f"SELECT id, trigger_timeout {which}", (APPROVAL, run_id)).fetchall()
            database.execute("UPDATE task_instance SET trigger_timeout = '2020-01-01 00:00:00.000000' WHERE id = ?", (task,))
        return datetime.fromisoformat(deadline).replace(tzinfo=UTC)
