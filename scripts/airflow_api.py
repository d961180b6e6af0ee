"""The part of Airflow's REST API the local loop and the release need, as a person would use it: log in, trigger, look, answer."""

from typing import Any, Self
from urllib.parse import urlsplit

import httpx

Json = dict[str, Any]


class AirflowApiError(RuntimeError):
    """Airflow did not answer, or answered with an error; the message names the request and what came back."""


def _send(client: httpx.Client, method: str, path: str, **kwargs: Any) -> httpx.Response:
    try:
        response = client.request(method, path, **kwargs)
    except httpx.HTTPError as error:
        raise AirflowApiError(f"{method} {client.base_url}{path}: {type(error).__name__}: {error}") from error
    if response.status_code >= 400:
        raise AirflowApiError(f"{method} {client.base_url}{path} answered {response.status_code}: {response.text[:600]}")
    return response


class AirflowApi:
    """A session of ``user`` against the Airflow at ``url``."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self.user = user
        # trust_env=False: a proxy of the machine must not see requests to loopback.
        self._client = httpx.Client(base_url=url, timeout=300, trust_env=False)
        token = _send(self._client, "POST", "/auth/token", json={"username": user, "password": password}).json()
        self._client.headers["Authorization"] = f"Bearer {token['access_token']}"

    @classmethod
    def with_token(cls, url: str, token: str) -> Self:
        """A session with a token that somebody else gave out, as Google does for Composer."""
        api = cls.__new__(cls)
        api.url, api.user = url, ""
        is_here = urlsplit(url).hostname == "127.0.0.1"
        api._client = httpx.Client(base_url=url, timeout=60, trust_env=not is_here, headers={"Authorization": f"Bearer {token}"})
        return api

    @staticmethod
    def health(url: str) -> Json:
        """Component → its status, without a login."""
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            health: Json = _send(client, "GET", "/api/v2/monitor/health").json()
        return health

    def call(self, method: str, path: str, **kwargs: Any) -> Json:
        """Send one request to ``/api/v2`` + ``path``; the decoded answer ({} if it has no body)."""
        response = _send(self._client, method, f"/api/v2{path}", **kwargs)
        answer: Json = response.json() if response.content else {}
        return answer

    def put_pool(self, name: str, slots: int, description: str) -> None:
        """Make pool ``name`` exist with ``slots`` slots."""
        body = {"slots": slots, "description": description, "include_deferred": False}
        if name in {pool["name"] for pool in self.call("GET", "/pools")["pools"]}:
            self.call("PATCH", f"/pools/{name}", json={"pool": name, **body})
        else:
            self.call("POST", "/pools", json={"name": name, **body})

    def dag_ids(self) -> set[str]:
        """The ids of all DAGs that are not stale."""
        return {dag["dag_id"] for dag in self.call("GET", "/dags", params={"limit": 100})["dags"]}

    def source(self, dag_id: str) -> str:
        """The text of the file that Airflow took the DAG from."""
        return str(self.call("GET", f"/dagSources/{dag_id}", headers={"Accept": "application/json"})["content"])

    def import_errors(self) -> list[str]:
        """The tracebacks of DAG files that do not import."""
        errors = self.call("GET", "/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in errors]

    def pause(self, dag_id: str, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": paused})

    def run_at(self, dag_id: str, logical_date: str) -> Json | None:
        """The run of ``dag_id`` at ``logical_date`` (ISO 8601 with offset), or None."""
        params = {"logical_date_gte": logical_date, "logical_date_lte": logical_date}
        runs = self.call("GET", f"/dags/{dag_id}/dagRuns", params=params)["dag_runs"]
        return runs[0] if runs else None

    def trigger(self, dag_id: str, logical_date: str, conf: Json | None = None) -> Json:
        """Start a run of ``dag_id`` for ``logical_date``; the run."""
        body = {"logical_date": logical_date, "conf": conf or {}}
        return self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)

    def run(self, dag_id: str, run_id: str) -> Json:
        """One DAG run."""
        return self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")

    def clear_run(self, dag_id: str, run_id: str) -> None:
        """Let every task of a finished run run again."""
        self.call("POST", f"/dags/{dag_id}/dagRuns/{run_id}/clear", json={"dry_run": False})

    def clear_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        """What "Clear" in the UI does: the task and all after it run again."""
        wish = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False, "include_downstream": True}
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=wish)

    def tasks(self, dag_id: str, run_id: str) -> list[Json]:
        """The task instances of one run."""
        found: list[Json] = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return found

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """What "Mark success" in the UI does."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self.call("PATCH", path, json={"new_state": state, "include_downstream": False})

    def log_lines(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> list[str]:
        """What the task has said so far; ``map_index`` tells instances of a mapped task apart."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        asked = {"params": {"map_index": map_index}, "headers": {"Accept": "application/json"}}
        content = self.call("GET", path, **asked)["content"]
        return [line["event"] for line in content if isinstance(line, dict)]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """The value a task handed over."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.call("GET", path, params={"deserialize": "false", "stringify": "false"})["value"]

    def question(self, dag_id: str, run_id: str, task_id: str) -> Json:
        """What is asked of a person: subject, body, options, and the answer once there is one."""
        return self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails")

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> Json:
        """Answer a required action with ``option``."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        return self.call("PATCH", path, json={"chosen_options": [option]})
