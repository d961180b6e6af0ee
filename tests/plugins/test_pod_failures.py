"""Why a pod failed, through the operators' own code: `execute`, pod manager, cleanup. Only the cluster's API is a double."""

import json
import logging
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pod_manifests
import pytest
from aelp2_airflow.containers import Access, Container
from aelp2_airflow.defaults import Urgency, alert
from aelp2_airflow.failure_kinds import FIRST_STEP, Kind
from airflow.providers.cncf.kubernetes.utils import pod_manager
from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow.sdk.execution_time.task_runner import _run_execute_callable
from cluster_double import GONE, IMAGE, RUNNING, SIDECAR, Cluster, container, ended, status
from kubernetes.client.exceptions import ApiException

SCHEDULED = {"type": "PodScheduled", "status": "True"}
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: 3 Insufficient cpu."}
DRAINED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
LOW = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi."
LATE = "Pod was active on the node longer than the specified deadline"


def waits(reason: str, message: str = "") -> dict[str, Any]:
    """A pod that has a node and whose container waits."""
    return status("Pending", container(waiting={"reason": reason, "message": message}), conditions=[SCHEDULED])


def failed(code: int, why: str | None = None, **more: Any) -> dict[str, Any]:
    """A pod whose job ended with ``code``."""
    return status("Failed", container(terminated=ended(code, why)), **more)


# what the kubelet reports, in the order of the reads → kind, whether it is final, words of the message
CASES: dict[str, tuple[list[Any], Kind, bool, str]] = {
    "no such digest": ([waits("ErrImagePull", "manifest unknown")], Kind.IMAGE_PULL, False, "manifest unknown"),
    "back-off": ([waits("ImagePullBackOff", "Back-off pulling")], Kind.IMAGE_PULL, False, IMAGE),
    "no image name": ([waits("InvalidImageName", "couldn't parse")], Kind.IMAGE_PULL, False, "InvalidImageName"),
    "out of memory": ([RUNNING, failed(137, "OOMKilled")], Kind.OUT_OF_MEMORY, True, "OOMKilled"),
    "killed": ([RUNNING, failed(137)], Kind.OUT_OF_MEMORY, False, "exit code 137"),
    "evicted before it began": ([status("Failed", reason="Evicted", message=LOW)], Kind.EVICTED, False, LOW),
    "evicted": ([RUNNING, failed(137, reason="Evicted", message=LOW)], Kind.EVICTED, False, LOW),
    "preempted": ([RUNNING, failed(143, reason="Preempting", message="Preempted")], Kind.EVICTED, False, "Preempting"),
    "node shut down": ([RUNNING, failed(143, reason="Terminated", message="node shutdown")], Kind.EVICTED, False, "shutdown"),
    "drained": ([RUNNING, failed(143, conditions=[DRAINED])], Kind.EVICTED, False, "EvictionByEvictionAPI"),
    "deleted": ([RUNNING, RUNNING, GONE], Kind.EVICTED, False, "lost its pod"),
    "deadline": ([RUNNING, failed(137, reason="DeadlineExceeded", message=LATE)], Kind.DEADLINE, False, LATE),
    "deadline, waiting": ([status("Failed", reason="DeadlineExceeded", message=LATE)], Kind.DEADLINE, False, LATE),
    "job error": ([RUNNING, failed(1)], Kind.JOB_ERROR, False, "exit code 1 "),
    "usage": ([RUNNING, failed(2)], Kind.USAGE, True, "exit code 2 "),
    "gate": ([RUNNING, failed(3)], Kind.GATE, True, "exit code 3 "),
    "guard": ([RUNNING, failed(4)], Kind.GUARD, True, "exit code 4 "),
    "passing": ([RUNNING, failed(75)], Kind.PASSING, False, "exit code 75 "),
    "another code": ([RUNNING, failed(70)], Kind.UNKNOWN, False, "exit code 70 (unexpected)"),
    "no entry point": ([failed(128, "StartError")], Kind.UNKNOWN, False, "exit code 128"),
    "no config map": ([waits("CreateContainerConfigError", "no aelp2-settings")], Kind.UNKNOWN, False, "no aelp2-settings"),
    "no node": ([status("Pending", conditions=[NO_NODE])], Kind.UNKNOWN, False, "Insufficient cpu"),
    "nothing said": ([status("Failed")], Kind.UNKNOWN, False, "does not say why"),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _configured() -> None:
    """What Airflow does once, at the first task of a process, takes a while and belongs to no test."""
    import airflow.models.xcom  # noqa: F401 - imported for its models
    from sqlalchemy.orm import configure_mappers

    configure_mappers()


@pytest.fixture(params=["composer", "gke"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Makes an operator of either runner whose cluster is a double."""
    (tmp_path / "images.lock.json").write_text(json.dumps({"ads": IMAGE}), encoding="utf-8")
    (tmp_path / "kube_config").write_text(pod_manifests.KUBE_CONFIG, encoding="utf-8")
    for name, value in (pod_manifests.CLUSTER | {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pod_manager.time, "sleep", lambda _seconds: None)
    if request.param == "gke":
        from aelp2_airflow.gke_job import GkeJobPodOperator as Operator
    else:
        from aelp2_airflow.cluster_job import JobPodOperator as Operator

    def operator(cluster: Cluster, access: Access = "none", *, xcom: bool = False) -> Any:
        made = Operator(
            task_id="ingest_ads",
            container=Container("ingest-ads", access=access),
            arguments=["ingest-ads"],
            execution_timeout=timedelta(hours=1),
            xcom=xcom,
        )
        made.startup_check_interval_seconds = made.startup_timeout_seconds = made.schedule_timeout_seconds = 0.05
        made.termination_grace_period = 1
        pod_manifests.without_a_cluster(made, tmp_path)
        made.__dict__["client"] = cluster
        return made

    return operator


def _context(operator: Any) -> dict[str, Any]:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="ads_ingest_daily",
        task_id=operator.task_id,
        run_id="r1",
        map_index=2,
        try_number=1,
        pushed=pushed,
        xcom_push=lambda key, value, **_: pushed.update({key: value}),
        log_url="http://airflow.example/log",
    )
    return {"ti": ti, "run_id": "r1", "task": operator, "dag": SimpleNamespace(dag_id=ti.dag_id, doc_md="", parent_dag=None)}


def _run(operator: Any) -> BaseException:
    """Execute as Airflow's task runner does, with its timeout; what came out."""
    context = _context(operator)
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - the timeout is no Exception
        _run_execute_callable(context, operator.execute, operator)
    return raised.value


@pytest.mark.parametrize("case", CASES)
def test_the_cause_is_told_apart(case: str, make: Callable[..., Any]) -> None:
    """Kind, message and whether Airflow tries again follow from what the kubelet reports."""
    states, kind, is_final, words = CASES[case]
    error = _run(make(Cluster(*states)))
    assert (getattr(error, "kind", None), isinstance(error, AirflowFailException)) == (kind, is_final), error
    assert isinstance(error, AirflowException)
    assert words in str(error)
    assert str(error).startswith("aelp2 ingest-ads ")


@pytest.mark.parametrize("case", ["no such digest", "no config map", "no node", "deleted", "evicted", "out of memory"])
def test_a_pod_that_was_given_up_does_not_begin_later(case: str, make: Callable[..., Any]) -> None:
    """A pod that still waits when its task fails is deleted: no late image may let it mutate. One that ended stays to be read."""
    cluster = Cluster(*CASES[case][0])
    _run(make(cluster, "mutate"))
    assert cluster.deleted == (1 if case in ("no such digest", "no config map", "no node") else 0)


def test_a_task_that_runs_out_of_time_ends_its_pod(make: Callable[..., Any]) -> None:
    """Airflow's own timeout reaches Airflow as such, the pod is deleted, and the alert calls it a deadline.

    Its alarm is rung at the third look at the pod: half a second of the real clock might be over before the first.
    """
    cluster = Cluster(status("Pending", conditions=[SCHEDULED]))
    look, looks = cluster.read_namespaced_pod, iter(range(1, 10**6))

    def late(*arguments: Any, **keywords: Any) -> Any:
        if next(looks) == 3:
            signal.raise_signal(signal.SIGALRM)
        return look(*arguments, **keywords)

    cluster.read_namespaced_pod = late  # type: ignore[method-assign]
    operator = make(cluster, "mutate")
    operator.startup_timeout_seconds = operator.schedule_timeout_seconds = 3600
    error = _run(operator)
    assert isinstance(error, AirflowTaskTimeout)
    assert cluster.deleted == 1
    assert _alert(operator, error)["kind"] == "deadline"


@pytest.mark.parametrize("code", [500, 403])
def test_a_pod_that_cannot_be_followed_is_ended(code: int, make: Callable[..., Any]) -> None:
    """Where the API fails, nobody would see what the pod does next: it is told to end, and the error names what broke."""
    for state_after in (RUNNING, code):
        cluster = Cluster(RUNNING, code, state_after)
        cluster.read_namespaced_pod_log = lambda *_, **__: (_ for _ in ()).throw(ApiException(status=code))  # type: ignore[method-assign]
        error = _run(make(cluster, "mutate"))
        assert cluster.deleted == 1
        assert isinstance(error, ApiException) or "ApiException" in str(error)


@pytest.mark.parametrize("call", ["list_namespaced_pod", "create_namespaced_pod"])
def test_a_pod_whose_birth_was_not_seen_is_ended(call: str, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster took the pod in, then its API broke: where Airflow knows of no pod, the pod must not mutate unwatched."""
    cluster = Cluster(RUNNING)
    create = cluster.create_namespaced_pod

    def breaks(*arguments: Any, **keywords: Any) -> Any:
        if call == "create_namespaced_pod":
            create(*arguments, **keywords)  # done, and the answer is lost
        raise ApiException(status=403)

    monkeypatch.setattr(cluster, call, breaks)
    assert isinstance(_run(make(cluster, "mutate")), ApiException)
    assert cluster.manifest is not None
    assert cluster.deleted == 1


def test_nothing_to_do_is_skipped(make: Callable[..., Any]) -> None:
    """Exit code 99 skips the task on both runners."""
    assert isinstance(_run(make(Cluster(RUNNING, failed(99)))), AirflowSkipException)


def test_a_job_that_ended_well_leaves_no_pod_and_its_xcom(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The sidecar's value is the result; the pod is deleted."""
    sidecar, done = container(SIDECAR, running={"startedAt": "2026-03-02T06:00:05Z"}), container(terminated=ended(0))
    after = status("Succeeded", done, container(SIDECAR, terminated=ended(0)))
    cluster = Cluster(RUNNING, RUNNING, status("Running", done, sidecar))
    operator = make(cluster, xcom=True)
    monkeypatch.setattr(pod_manager.PodManager, "extract_xcom_json", lambda *_: '["ingest-ads"]')
    monkeypatch.setattr(pod_manager.PodManager, "extract_xcom_kill", lambda *_: cluster.states.__setitem__(0, after))
    assert _run_execute_callable(_context(operator), operator.execute, operator) == ["ingest-ads"]
    assert cluster.deleted == 1


def test_a_pod_with_xcom_that_was_evicted_says_evicted(make: Callable[..., Any]) -> None:
    """Where the sidecar ended too, the base class only says that there is no XCom to be read."""
    dead = [container(terminated=ended(137)), container(SIDECAR, terminated=ended(137))]
    cluster = Cluster(RUNNING, status("Failed", *dead, reason="Evicted", message=LOW))
    error = _run(make(cluster, xcom=True))
    assert (error.kind, LOW in str(error)) == (Kind.EVICTED, True)  # type: ignore[attr-defined]
    assert "Xcom sidecar container is already terminated" in str(error.__cause__)


def test_a_pod_is_joined_again_unless_it_mutates(make: Callable[..., Any]) -> None:
    """After a worker died the second try takes the running pod over; a mutating task never looks for one."""
    for access, joins in (("read", True), ("mutate", False)):
        cluster = Cluster(RUNNING, failed(1))
        operator = make(cluster, access)
        made: list[str] = []
        cluster.create_namespaced_pod(operator.build_pod_request_obj(_context(operator)), operator.namespace)
        cluster.create_namespaced_pod = lambda *_, made=made, **__: made.append("another")  # type: ignore[method-assign]
        _run(operator)
        assert made == ([] if joins else ["another"]), access


def _alert(operator: Any, error: object) -> dict[str, str]:
    """The line that the failure callback logs."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("aelp2.alert")
    logger.addHandler(handler)
    try:
        alert(_context(operator) | {"exception": error}, Urgency.NOW)
    finally:
        logger.removeHandler(handler)
    (line,) = lines
    found: dict[str, str] = json.loads(line)
    return found


def test_the_alert_carries_the_kind_and_its_first_step(make: Callable[..., Any]) -> None:
    """What a log-based metric is cut by, and what a person does first."""
    operator = make(Cluster(RUNNING, failed(137, "OOMKilled")))
    line = _alert(operator, _run(operator))
    assert (line["kind"], line["first_step"]) == ("out_of_memory", FIRST_STEP[Kind.OUT_OF_MEMORY])
    assert "OOMKilled" in line["error"]
    assert _alert(operator, ValueError("x"))["kind"] == "unknown"
    lost = _alert(operator, None)  # as Airflow calls it where the worker vanished
    assert (lost["kind"], "worker vanished" in lost["error"]) == ("unknown", True)
    assert _alert(operator, HITLTimeoutError("nobody answered"))["kind"] == "deadline"
    assert _alert(operator, AirflowSensorTimeout("no answer came"))["kind"] == "deadline"
