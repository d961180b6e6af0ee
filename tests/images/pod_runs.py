"""Runs the committed manifest of a pod with `podman kube play`, and tells what came of it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from podman import inspect, podman

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "tests" / "pods" / "manifests" / "composer"
SETTINGS = "aelp2-settings"
POD_USER = 10001
NOW = "2026-03-02T06:00:00+00:00"  # of the run that the manifests are of


def manifest(dag_id: str, task_id: str) -> dict[str, Any]:
    """The pod of one task, exactly as the operator sends it: tests/pods compares these files with the operators."""
    for document in yaml.safe_load_all((MANIFESTS / f"{dag_id}.yaml").read_text(encoding="utf-8")):
        if document["metadata"]["labels"]["task_id"] == task_id:
            return dict(document)
    raise LookupError(f"no pod {dag_id}.{task_id} in {MANIFESTS}")


def on_this_machine(pod: Mapping[str, Any], folder: Path, name: str) -> dict[str, Any]:
    """All that differs here from the cluster; everything else is run as the operator sent it.

    - the image is the one built here, which is never pulled
    - the warehouse is a DuckDB file on a mounted folder in place of BigQuery; the clock stands at the manifest's run
    - the pod's name is unique, and so are those of its volumes: podman 4.3 gives an emptyDir to every pod that calls it the same
    - a Secret is a folder with the owner, group and mode that the kubelet gives it; podman 4.3 makes it 0644 in any case
    """
    changed = deepcopy(dict(pod))
    changed["metadata"]["name"] = name
    for container in changed["spec"]["containers"]:
        extra = container["image"].rsplit("/", 1)[1].split("@")[0]
        container |= {"image": f"localhost/aelp2-{extra}:latest", "imagePullPolicy": "Never"}
    for volume in changed["spec"]["volumes"]:
        if wanted := volume.pop("secret", None):
            volume["hostPath"] = {"path": str(folder / wanted["secretName"]), "type": "Directory"}
    base = base_of(changed)
    here = {"AELP2_BACKEND": "duckdb", "AELP2_DUCKDB_PATH": "/data/warehouse.duckdb", "AELP2_NOW": NOW}
    base["env"] = [one for one in base["env"] if one["name"] not in here]
    base["env"] += [{"name": key, "value": value} for key, value in here.items()]
    base["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    changed["spec"]["volumes"].append({"name": "data", "hostPath": {"path": str(folder / "data"), "type": "Directory"}})
    for volume in (
        *changed["spec"]["volumes"],
        *(mount for one in changed["spec"]["containers"] for mount in one["volumeMounts"]),
    ):
        volume["name"] = f"{name}-{volume['name']}"
    return changed


def base_of(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The container of the job."""
    return next(one for one in pod["spec"]["containers"] if one["name"] == "base")


@dataclass
class Run:
    """A pod that was started."""

    name: str

    def wait(self, seconds: float = 1500) -> dict[str, Any]:
        """How the job ended: podman's `State` of its container. `kube play` itself is content whatever the job does."""
        deadline = time.monotonic() + seconds
        while (state := self.state("base"))["Status"] not in ("exited", "stopped"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} still runs after {seconds:.0f} s:\n{self.logs()}")
            time.sleep(0.2)
        return state

    def state(self, container: str) -> dict[str, Any]:
        """podman's `State` of a container."""
        return dict(inspect("container", f"{self.name}-{container}")["State"])

    def ran_out_of_memory(self) -> bool:
        """Whether the job was killed for its memory: podman's word, or the kernel's, as conmon 2.1 hears nothing on cgroup v1."""
        found = inspect("container", f"{self.name}-base")
        said = subprocess.run(["dmesg"], capture_output=True, text=True, check=False).stdout
        return bool(found["State"]["OOMKilled"]) or any(
            "oom-kill:" in line and f"libpod-{found['Id']}," in line for line in said.splitlines()
        )

    def logs(self) -> str:
        """What the job wrote."""
        done = podman("logs", f"{self.name}-base")
        return done.stdout + done.stderr

    def in_sidecar(self, line: str) -> str:
        """What a line typed into the sidecar's shell answers, as Airflow types it."""
        return podman(
            "exec", "--interactive", f"{self.name}-airflow-xcom-sidecar", "/bin/sh", stdin=f"{line}\n", check=False
        ).stdout


@contextmanager
def played(pod: Mapping[str, Any], folder: Path, **settings: str) -> Iterator[Run]:
    """Start ``pod`` with the folder's `data` at /data and ``settings`` in its ConfigMap; it is gone afterwards in any case."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for path in (data, *data.rglob("*")):  # what kubelet does by fsGroup, podman does not: the pod's user may write there
        path.chmod(0o777 if path.is_dir() else 0o666)
    name = f"aelp2-{pod['metadata']['labels']['job']}-{secrets.token_hex(4)}"
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": SETTINGS},
        "data": {"AELP2_MODE": "shadow", **settings},
    }
    files = {"pod.json": on_this_machine(pod, folder, name), "settings.json": config}
    for file, document in files.items():
        (folder / file).write_text(json.dumps(document), encoding="utf-8")
    try:
        podman("kube", "play", "--quiet", "--network=none", f"--configmap={folder / 'settings.json'}", str(folder / "pod.json"))
        yield Run(name)
    finally:
        podman("pod", "rm", "--force", "--time=0", "--ignore", name)


def store_secret(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """The Secret ``name`` for pods played from ``folder``, as the kubelet mounts it with `defaultMode: 0440` and `fsGroup`."""
    (folder / name).mkdir(mode=0o755)
    for key, text in files.items():
        file = folder / name / key
        file.write_text(text, encoding="utf-8")
        os.chown(file, 0, POD_USER)
        file.chmod(0o440)
