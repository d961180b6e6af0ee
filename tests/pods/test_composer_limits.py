"""DAGs, plugins and pods use nothing that Composer 3 forbids. Each rule says where it is written and is shown to find its sin."""

import ast
import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pod_manifests
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "dags").glob("*.py"), *(ROOT / "plugins").rglob("*.py")])
type Pod = dict[str, Any]


def namespace(pod: Pod) -> bool:
    """Pods always run in `composer-user-workloads`, even where another is named (composer-3/use-kubernetes-pod-operator)."""
    return pod["metadata"]["namespace"] != "composer-user-workloads"


def identity(pod: Pod) -> bool:
    """The environment's cluster is hidden, and its API offers secrets and config maps, no service accounts
    (composer-versioning-overview; the resources google_composer_user_workloads_*)."""
    return "serviceAccountName" in pod["spec"]


def sidecars(pod: Pod) -> bool:
    """One sidecar, and only if it is called `airflow-xcom-sidecar` (composer-3/use-kubernetes-pod-operator)."""
    return [c["name"] for c in pod["spec"]["containers"]] not in (["base"], ["base", "airflow-xcom-sidecar"])


def placement(pod: Pod) -> bool:
    """No pod affinity (composer-3/use-kubernetes-pod-operator); nor any other say about nodes that one does not see."""
    ways = {"affinity", "nodeName", "nodeSelector", "priorityClassName", "runtimeClassName", "schedulerName", "tolerations"}
    return bool(ways & set(pod["spec"]))


def host(pod: Pod) -> bool:
    """Nothing of the node: Autopilot refuses it by default (kubernetes-engine/docs/concepts/autopilot-security)."""
    spec = pod["spec"]
    return any(spec.get(way) for way in ("hostNetwork", "hostPID", "hostIPC")) or any("hostPath" in v for v in spec["volumes"])


def privilege(pod: Pod) -> bool:
    """No privileged container, no added capability (kubernetes-engine/docs/concepts/about-autopilot-privileged-workloads)."""
    for one in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
        security = one.get("securityContext", {})
        if security.get("privileged") is not False or security.get("allowPrivilegeEscalation") is not False:
            return True
        if security.get("capabilities") != {"drop": ["ALL"]}:
            return True
    return False


def objects(pod: Pod) -> bool:
    """Only what can be made there: secrets and config maps, by Composer's API (composer-3/use-kubernetes-pod-operator)."""
    kinds = {key for volume in pod["spec"]["volumes"] for key in volume if key != "name"}
    return not kinds <= {"emptyDir", "configMap", "secret"} or "imagePullSecrets" in pod["spec"]


def restricted(pod: Pod) -> bool:
    """Kubernetes' pod security standard `restricted`, which a namespace may enforce (kubernetes.io: pod-security-standards)."""
    of_pod = pod["spec"].get("securityContext", {})
    safe = of_pod.get("seccompProfile") == {"type": "RuntimeDefault"} and of_pod.get("runAsNonRoot") is True
    return not safe or of_pod.get("runAsUser") == 0 or privilege(pod) or host(pod) or objects(pod)


def _plant(pod: Pod, path: str, value: Any) -> None:
    *way, last = path.split(".")
    for step in way:
        pod = pod[int(step)] if step.isdigit() else pod.setdefault(step, {})
    if last == "+":
        pod.append(value)  # type: ignore[attr-defined]
    else:
        pod[last] = value


ON_COMPOSER: list[Callable[[Pod], bool]] = [namespace, identity]
ANYWHERE: list[Callable[[Pod], bool]] = [sidecars, placement, host, privilege, objects, restricted]
SINS: list[tuple[Callable[[Pod], bool], str, Any]] = [
    (namespace, "metadata.namespace", "default"),
    (identity, "spec.serviceAccountName", "aelp2-mutator"),
    (sidecars, "spec.containers.+", {"name": "proxy", "securityContext": {}}),
    (placement, "spec.affinity", {"nodeAffinity": {}}),
    (placement, "spec.nodeSelector", {"cloud.google.com/gke-spot": "true"}),
    (placement, "spec.tolerations", [{"key": "gpu"}]),
    (host, "spec.hostNetwork", True),
    (host, "spec.volumes.+", {"name": "docker", "hostPath": {"path": "/var/run/docker.sock"}}),
    (privilege, "spec.containers.0.securityContext.privileged", True),
    (privilege, "spec.containers.0.securityContext.capabilities", {"add": ["NET_RAW"]}),
    (privilege, "spec.initContainers", [{"name": "prepare"}]),
    (objects, "spec.volumes.+", {"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}),
    (objects, "spec.imagePullSecrets", [{"name": "registry"}]),
    (restricted, "spec.securityContext.runAsNonRoot", False),
    (restricted, "spec.securityContext.seccompProfile", {"type": "Unconfined"}),
]


@pytest.mark.parametrize("runner", pod_manifests.RUNNERS)
def test_no_pod_asks_for_what_its_cluster_refuses(runner: str, rendered: dict[str, dict[tuple[str, str], Pod]]) -> None:
    """Every pod of every DAG, by every rule; namespace and identity are Composer's own limits."""
    rules = ANYWHERE + (ON_COMPOSER if runner == "composer" else [])
    assert rendered[runner]
    assert not [(task, rule.__name__) for task, pod in rendered[runner].items() for rule in rules if rule(pod)]


@pytest.mark.parametrize(("rule", "where", "value"), SINS, ids=[f"{rule.__name__} {where}" for rule, where, _ in SINS])
def test_a_planted_sin_is_found_in_a_pod(
    rule: Callable[[Pod], bool], where: str, value: Any, rendered: dict[str, dict[tuple[str, str], Pod]]
) -> None:
    """Its own rule sees it; before there was nothing to see."""
    pod = copy.deepcopy(rendered["composer"]["mmm_weekly", "fit_mmm"])
    assert not rule(pod)
    _plant(pod, where, value)
    assert rule(pod)


# What Composer 3 does not carry to its scheduler and triggerer, where these would have to run (composer-3/install-plugins: no
# custom plugins for scheduler and triggerer, so no custom timetables and no DAG-level listeners).
_NOT_THERE = re.compile(r"airflow\.(timetables|triggers|listeners|plugins_manager|policies)(\.|$)|.*\.triggers(\.|$)")
_BASES = re.compile(r".*(Timetable|Trigger|AirflowPlugin|PriorityWeightStrategy)$")
# Airflow 3: DAG and task code reaches Airflow through its SDK, never its database (airflow: upgrading to Airflow 3).
_DATABASE = re.compile(r"(sqlalchemy|airflow\.(models|settings|utils\.(session|db)|jobs|executors|api_fastapi))(\.|$)")
# The environment's executor and its queues are Composer's; work runs in pods, never in a worker's own process or shell.
_WORK_HERE = {"PythonOperator", "BashOperator", "PythonVirtualenvOperator", "SSHOperator", "ExternalPythonOperator"}
_KEYWORDS = {"executor", "executor_config", "queue", "run_as_user_name", "affinity"}


def sins_of(source: str) -> Iterator[str]:
    """What in a DAG file or a plugin cannot work on Composer 3."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            yield from (f"imports {module}" for module in modules if _NOT_THERE.match(module) or _DATABASE.match(module))
            yield from (f"imports {name}" for name in names if name in _WORK_HERE or name == "hookimpl")
        elif isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            yield from (f"class {node.name} is a {base}" for base in bases if _BASES.match(base))
        elif isinstance(node, ast.Call):
            yield from (f"sets {keyword.arg}" for keyword in node.keywords if keyword.arg in _KEYWORDS)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.stem)
def test_no_source_uses_what_composer_lacks(file: Path) -> None:
    """No timetable, trigger, listener or plugin class of ours, no database, no executor or queue, no work in a worker."""
    assert list(sins_of(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "sin"),
    [
        ("from airflow.timetables.base import Timetable", "imports airflow.timetables.base"),
        ("class Mondays(CronTriggerTimetable): ...", "class Mondays is a CronTriggerTimetable"),
        ("class Wait(BaseTrigger): ...", "class Wait is a BaseTrigger"),
        ("from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger", "triggers.pod"),
        ("from airflow.listeners import hookimpl", "imports airflow.listeners"),
        ("class Page(AirflowPlugin): ...", "class Page is a AirflowPlugin"),
        ("from airflow.models import Variable", "imports airflow.models"),
        ("import sqlalchemy.orm", "imports sqlalchemy.orm"),
        ("from airflow.utils.session import create_session", "imports airflow.utils.session"),
        ("from airflow.providers.standard.operators.bash import BashOperator", "imports BashOperator"),
        ("pod('x', executor='LocalExecutor')", "sets executor"),
        ("pod('x', queue='big')", "sets queue"),
        ("pod('x', affinity={})", "sets affinity"),
    ],
)
def test_a_planted_sin_is_found_in_a_source(source: str, sin: str) -> None:
    """Each rule can fail."""
    assert any(sin in found for found in sins_of(source))


_BAG = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
tasks = [task for dag in bag.dags.values() for task in dag.tasks]
classes = {c.__module__ for task in tasks for c in [getattr(task, "operator_class", type(task))]}
print("RESULT" + json.dumps({
    "operators": sorted(classes),
    "timetables": sorted({type(dag.timetable).__module__ for dag in bag.dags.values()}),
    "deferrable": sorted({type(task).__module__ for task in tasks if getattr(task, "deferrable", False)}),
    "modules": [name for name in sys.modules if name.startswith(("airflow.providers.google", "aelp2_airflow.", "google.cloud"))],
}))
"""


@pytest.fixture(scope="module", params=["composer", "gke"])
def bag(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, list[str]]]:
    """What a process that has parsed all DAGs holds, for either runner."""
    import json

    folder = tmp_path_factory.mktemp("dags")
    for file in (ROOT / "dags").glob("*.py"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "images.lock.json").write_text(json.dumps(pod_manifests.IMAGES), encoding="utf-8")
    env = os.environ | pod_manifests.CLUSTER | {"AELP2_RUNNER": request.param, "AIRFLOW__CORE__DAGS_FOLDER": str(folder)}
    env["PYTHONPATH"] = str(ROOT / "plugins")
    done = subprocess.run([sys.executable, "-c", _BAG, str(folder)], env=env, capture_output=True, text=True)
    assert not done.returncode, done.stderr[-2000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    return request.param, json.loads(line.removeprefix("RESULT"))


def test_what_runs_in_scheduler_and_triggerer_is_airflows_own(bag: tuple[str, dict[str, list[str]]]) -> None:
    """Timetables are of Airflow; the gate alone defers, to a trigger of Airflow; no job runs as a process of a worker."""
    _, found = bag
    assert found["timetables"]
    assert all(module.startswith("airflow.") for module in found["timetables"])
    assert found["deferrable"] == ["aelp2_airflow.approval"]  # whose trigger is asked in tests/dags/test_dag_bag.py
    assert "aelp2_airflow.local_job" not in found["operators"] + found["modules"]


def test_only_the_gke_runner_imports_the_google_provider(bag: tuple[str, dict[str, list[str]]]) -> None:
    """Its import costs seconds (docs/decisions/0017-runners.md): on Composer's own cluster no DAG pays them."""
    runner, found = bag
    google = [name for name in found["modules"] if name.startswith(("airflow.providers.google.cloud", "google.cloud."))]
    assert bool(google) == (runner == "gke")
    assert ("aelp2_airflow.gke_job" in found["modules"]) == (runner == "gke")
