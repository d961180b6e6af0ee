"""The end of a release, through Airflow's REST API: pools, then the smoke DAG on the images of this release."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from airflow_api import AirflowApi, AirflowApiError, Json
from release_source import LOCK
from release_tools import ReleaseError

POOLS = {
    "gates": (4, "Canaries that wait for a person's decision"),
    "mutations": (1, "Tasks that may change a live ad account, one at a time"),
}
SMOKE = "smoke"
FILES_S = 1200  # Composer copies a bucket to its workers and parses it within minutes
RUN_S = 2400  # Autopilot may have to add nodes for the pods
_POLL_S = 10.0


def set_pools(api: AirflowApi) -> None:
    """Both pools exist with their slots."""
    for name, (slots, description) in POOLS.items():
        api.put_pool(name, slots, description)


class Smoke:
    """Runs the smoke DAG until one run ended well on exactly the images of the lock file.

    ``dags`` is each DAG's file as it was released: Airflow must have taken all of them before.
    """

    def __init__(
        self,
        api: AirflowApi,
        lock: Mapping[str, str],
        dags: Mapping[str, str],
        say: Callable[[str], None],
        poll_s: float = _POLL_S,
    ) -> None:
        self._api = api
        self._lock = dict(lock)
        self._dags = dict(dags)
        self._say = say
        self._poll_s = poll_s

    def run(self, release: Json, *, files_s: float = FILES_S, run_s: float = RUN_S) -> None:
        """Start it, show each task as it ends; ReleaseError names what failed. Old files on Composer are waited for."""
        deadline = time.monotonic() + files_s
        self._until_taken(deadline)
        self._api.pause(SMOKE, False)
        while True:
            tasks = self._one_run(release, run_s)
            old = [task["task_id"] for task in tasks if not self._is_current(task)]
            if not old:
                break
            if time.monotonic() >= deadline:
                raise ReleaseError(
                    f"{files_s:.0f} s after the upload Composer still runs {', '.join(old)} on other images than {LOCK} has. "
                    "See whether the bucket holds the files and the scheduler is healthy (docs/runbooks/release_failed.md)"
                )
            self._say(f"  Composer has not picked up the new files yet ({old[0]} had the image of before); trying again")
            time.sleep(self._poll_s)
        if failed := [f"{task['task_id']} ({task['state']})" for task in tasks if task["state"] != "success"]:
            raise ReleaseError(
                f"the smoke test failed: {', '.join(failed)}. The release is in place. Each task's log says what is missing "
                "(docs/runbooks/smoke.md); to go back: docs/runbooks/rollback.md"
            )

    def _until_taken(self, deadline: float) -> None:
        while old := self._not_taken():
            if time.monotonic() >= deadline:
                errors = "; ".join(self._api.import_errors()) or "it shows no import error, so the files did not arrive"
                raise ReleaseError(f"Airflow has not taken the new file of {', '.join(old)}: {errors[-1500:]}")
            self._say(f"  Composer has not picked up the new files yet ({len(old)} DAGs are as before); waiting")
            time.sleep(self._poll_s)

    def _not_taken(self) -> list[str]:
        known = self._api.dag_ids()
        return [dag_id for dag_id, text in self._dags.items() if dag_id not in known or self._api.source(dag_id) != text]

    def _is_current(self, task: Json) -> bool:
        """Whether the pod had this release's image; a task that never got so far is judged by its state."""
        image = task.get("rendered_fields", {}).get("image")
        return image is None or image in self._lock.values()

    def _one_run(self, release: Json, run_s: float) -> list[Json]:
        run_id = self._api.trigger(SMOKE, datetime.now(UTC).isoformat(), release)["dag_run_id"]
        self._say(f"  run {run_id}")
        shown: dict[str, str] = {}
        deadline = time.monotonic() + run_s
        while True:
            state = self._api.run(SMOKE, run_id)["state"]
            tasks = self._api.tasks(SMOKE, run_id)
            for task in tasks:
                if task["state"] and shown.get(task["task_id"]) != task["state"]:
                    shown[task["task_id"]] = task["state"]
                    self._say(f"  {task['task_id']:<16} {task['state']}")
            if state in ("success", "failed"):
                return tasks
            if time.monotonic() >= deadline:
                raise ReleaseError(
                    f"run {run_id} of {SMOKE} is still {state} after {run_s:.0f} s: {json.dumps(shown)}. A pod that waits for a "
                    "node or a secret shows events under its task's log (docs/runbooks/smoke.md)"
                )
            time.sleep(self._poll_s)


def read_lock(root: Path) -> dict[str, str]:
    """The lock file as it lies here."""
    lock: dict[str, str] = json.loads((root / LOCK).read_text(encoding="utf-8"))
    return lock


def dag_files(root: Path) -> dict[str, str]:
    """DAG → the text of its file, as they lie here."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted((root / LOCK).parent.glob("*.py"))}


def connect(url: str, token: str) -> AirflowApi:
    """A session with Google's access token; ReleaseError if the address is none."""
    if not url.startswith(("https://", "http://127.0.0.1")):
        raise ReleaseError(f"the environment's airflowUri is {url!r}, no https address; is the environment running?")
    return AirflowApi.with_token(url, token)


__all__ = ["AirflowApiError", "Smoke", "connect", "dag_files", "read_lock", "set_pools"]
