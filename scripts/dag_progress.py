"""Follow DAG runs in the terminal: one line per change of a task, and what a long task last said."""

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_api import AirflowApi, AirflowApiError

_ENDED = {"success", "failed"}
_SHOWN = {
    "running",
    "success",
    "failed",
    "skipped",
    "upstream_failed",
    "awaiting_input",
    "deferred",
    "up_for_retry",
}
_SAY_EVERY_S = 5.0  # how often a long task's newest line is shown
_NOISE = (
    "Could not read served",
    '{"aelp2_alert',
    "::",
    "$ aelp2",
    "DAG bundles",
    "Filling up",
    "Worker startup",
    "GitWild",
    "Pushing xcom",
    "/",
)

_STAMP = re.compile(r"^\S+Z \[\w+\s*\] ")  # time and level in front of a job's log line


class DagFailedError(RuntimeError):
    """A DAG run ended otherwise than the loop needs; the message names task, last words and log."""


@dataclass
class Progress:
    """Prints what happens, with the seconds since the loop began in front."""

    api: AirflowApi
    logs: str
    begun: float = field(default_factory=time.monotonic)
    _states: dict[tuple[str, str], str] = field(default_factory=dict)
    _started: dict[tuple[str, str], float] = field(default_factory=dict)
    _said: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """One line."""
        sys.stdout.write(f"[{time.monotonic() - self.begun:6.1f} s] {text}\n")
        sys.stdout.flush()

    def follow(self, dag_id: str, run_id: str, until: Callable[[dict[str, str]], bool] | None = None) -> str:
        """Show the run's tasks until it ends, or until ``until`` (task → state) is true; the run's state."""
        while True:
            state = self.api.run(dag_id, run_id)["state"]
            tasks = self.api.tasks(dag_id, run_id)
            for task in sorted(tasks, key=lambda task: task["start_date"] or "9"):
                self._show(dag_id, run_id, task)
            if state in _ENDED or (until and until({task["task_id"]: task["state"] for task in tasks})):
                return str(state)
            time.sleep(0.5)

    def _show(self, dag_id: str, run_id: str, task: dict[str, Any]) -> None:
        # Of a task that is made many times each instance is a line of its own.
        number = task.get("map_index", -1)
        task_id, state = task["task_id"] + (f"[{number}]" if number >= 0 else ""), task["state"]
        key, now = (run_id + dag_id, task_id), time.monotonic()
        if state != self._states.get(key):
            self._states[key] = state
            if state == "running":
                self._started[key] = now
            if state in _SHOWN:
                took = f"  {task['duration']:.1f} s" if state in {"success", "failed"} and task["duration"] else ""
                self.say(f"{dag_id:22} {task_id:18} {state}{took}")
        elif state == "running" and now - max(self._started.get(key, now), self._said.get(key, (0.0, ""))[0]) > _SAY_EVERY_S:
            line = self._last_words(dag_id, run_id, task)
            if line and line != self._said.get(key, (0.0, ""))[1]:
                self.say(f"{'':22} {task_id:18} … {line[:110]}")
            self._said[key] = (now, line)

    def _last_words(self, dag_id: str, run_id: str, task: dict[str, Any]) -> str:
        try:
            lines = self.api.log_lines(dag_id, run_id, task["task_id"], max(task["try_number"], 1), task.get("map_index", -1))
        except AirflowApiError:
            return ""  # the log's first line is not there yet
        spoken = [line for line in lines if line.strip() and not line.startswith(_NOISE)]
        return _STAMP.sub("", spoken[-1].strip()) if spoken else ""

    def must_succeed(self, dag_id: str, run_id: str) -> None:
        """Follow the run to its end; DagFailedError unless it succeeded."""
        if self.follow(dag_id, run_id) != "success":
            self.fail(dag_id, run_id)

    def fail(self, dag_id: str, run_id: str) -> None:
        """Raise DagFailedError with the last words of the tasks that failed."""
        words = []
        for task in self.api.tasks(dag_id, run_id):
            if task["state"] == "failed":
                place = (dag_id, run_id, task["task_id"], max(task["try_number"], 1), task.get("map_index", -1))
                lines = self.api.log_lines(*place)
                tail = [line for line in lines if line.strip() and not line.startswith(_NOISE)][-12:]
                path = f"{self.logs}/dag_id={dag_id}/run_id={run_id}/task_id={task['task_id']}"
                words.append(f"{dag_id}.{task['task_id']} failed; log: {path}\n  " + "\n  ".join(tail))
        raise DagFailedError("\n".join(words) or f"{dag_id} {run_id} failed without a failed task")

    def run(self, dag_id: str, day: str, *, again: bool = True) -> str:
        """Start the run of ``dag_id`` for ``day``, or let it run again if it has run (unless not ``again``); its id."""
        self.api.pause(dag_id, False)
        logical_date = f"{day}T06:00:00Z"
        found = self.api.run_at(dag_id, logical_date)
        if found is None:
            return str(self.api.trigger(dag_id, logical_date)["dag_run_id"])
        run_id = str(found["dag_run_id"])
        if found["state"] in _ENDED and (again or found["state"] == "failed"):
            self.say(f"{dag_id:22} has run for {day} before; running it again")
            self.api.clear_run(dag_id, run_id)
        elif found["state"] in _ENDED:
            self.say(f"{dag_id:22} has run for {day} before; its result stands")
        return run_id
