"""Stands where a cluster's API answers, beneath the operators' real pod manager: one pod, in the states a test tells it.

States are the `status` of a pod as the kubelet reports it, in the API's own JSON, read by the real client's own classes.
"""

import json
from typing import Any

from kubernetes.client import ApiClient, V1Pod
from kubernetes.client.exceptions import ApiException

GONE = 404  # a state can also be the HTTP status that the API answers with
BASE, SIDECAR = "base", "airflow-xcom-sidecar"
IMAGE = "europe-docker.pkg.dev/p/aelp2/ads@sha256:" + "0" * 64


class _Response:
    def __init__(self, body: dict[str, Any]) -> None:
        self.data = json.dumps(body)


def container(name: str = BASE, **state: dict[str, Any]) -> dict[str, Any]:
    """One entry of containerStatuses: ``waiting``, ``running`` or ``terminated``."""
    return {"name": name, "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0, "started": False, "state": state}


def status(phase: str, *containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The status of a pod."""
    return {"phase": phase, **({"containerStatuses": list(containers)} if containers else {}), **more}


def ended(code: int, reason: str | None = None) -> dict[str, Any]:
    """The state of a container that ended."""
    why = reason or ("Completed" if code == 0 else "Error")
    return {"exitCode": code, "reason": why, "startedAt": "2026-03-02T06:00:05Z", "finishedAt": "2026-03-02T06:01:00Z"}


RUNNING = status("Running", container(running={"startedAt": "2026-03-02T06:00:05Z"}))


class Cluster:
    """A CoreV1Api with one pod. Each read shows the next of ``states``; the last one stays."""

    def __init__(self, *states: Any) -> None:
        self.states = list(states)
        self.manifest: dict[str, Any] | None = None
        self.deleted = 0
        self.labels: dict[str, str] = {}
        self.api_client = ApiClient()

    def _pod(self, state: Any) -> V1Pod:
        if isinstance(state, int):
            raise ApiException(status=state, reason="as the test asked")
        assert self.manifest is not None
        return self.api_client.deserialize(_Response(self.manifest | {"status": state}), "V1Pod")

    def create_namespaced_pod(self, body: Any, namespace: str, **_: Any) -> V1Pod:
        """Take the pod in."""
        self.manifest = self.api_client.sanitize_for_serialization(body)
        assert self.manifest["metadata"]["namespace"] == namespace
        return self._pod(status("Pending"))

    def list_namespaced_pod(self, namespace: str, label_selector: str) -> Any:
        """What the operator looks for: its own pod, as young as it can be seen."""
        found = [] if self.manifest is None else [self._pod(status("Pending"))]
        return type("List", (), {"items": found})

    def read_namespaced_pod(self, name: str, namespace: str) -> V1Pod:
        """The pod as it is by now."""
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return self._pod(state)

    def read_namespaced_pod_log(self, name: str, namespace: str, **_: Any) -> Any:
        """Nothing was said."""
        return type("Log", (), {"stream": lambda *_, **__: iter(()), "close": lambda *_: None, "release_conn": lambda *_: None})()

    def list_namespaced_event(self, namespace: str, **_: Any) -> Any:
        """Nothing happened that is not in the status."""
        return type("List", (), {"items": [], "metadata": type("Meta", (), {"resource_version": "1"})})

    def patch_namespaced_pod(self, name: str, namespace: str, body: dict[str, Any]) -> None:
        """Labels that the operator sets."""
        self.labels |= body["metadata"]["labels"]

    def delete_namespaced_pod(self, name: str, namespace: str, **_: Any) -> None:
        """End the pod."""
        self.deleted += 1
