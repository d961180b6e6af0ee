"""One DAG file, three runners: what differs between them is where a job runs."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pod_manifests
import pytest
from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
LINE = ["ingest-ads", "--run-date", "2026-03-01", "--platform", "reddit", "--account", "t2_1"]
CLUSTERS = ("composer", "gke")
type Bag = Callable[..., Any]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bag:
    """Parses DAG files as an environment with these settings would."""
    for file in FILES:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "images.lock.json").write_text(json.dumps(pod_manifests.IMAGES), encoding="utf-8")

    def parse(folder: Path = tmp_path, **settings: str) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        for name in [name for name in os.environ if name.startswith(("AELP2_RUNNER", "AELP2_GKE"))]:
            monkeypatch.delenv(name)
        for name, value in {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path), **settings}.items():
            monkeypatch.setenv(name, value)
        return DagBag(str(folder))

    return parse


def _bag(parse: Bag, runner: str) -> dict[str, DAG]:
    bag = parse(AELP2_RUNNER=runner, **(pod_manifests.CLUSTER if runner == "gke" else {}))
    assert not bag.import_errors, bag.import_errors
    assert len(bag.dags) == len(FILES)
    return dict(bag.dags)


def _jobs(bag: dict[str, DAG]) -> dict[str, Any]:
    """DAG.task → every task that runs a job; of one that is made for each account, one as it would be made."""
    found: dict[str, Any] = {}
    for dag in bag.values():
        for task in dag.tasks:
            made = task.unmap({"arguments": LINE}) if "container" in getattr(task, "partial_kwargs", {}) else task
            if hasattr(made, "container"):
                found[f"{dag.dag_id}.{made.task_id}"] = made
    return found


def _graph(bag: dict[str, DAG]) -> dict[str, tuple[set[str], str, bool]]:
    return {
        f"{dag_id}.{task.task_id}": (task.downstream_task_ids, str(task.trigger_rule), bool(task.is_mapped))
        for dag_id, dag in bag.items()
        for task in dag.tasks
    }


def _everywhere(job: Any) -> tuple[Any, ...]:
    return job.container, job.arguments, job.pool, job.execution_timeout, job.trigger_rule, job.do_xcom_push, job.outlets


def _in_a_cluster(job: Any) -> dict[str, Any]:
    """All that the operator holds, but where its cluster is and what makes an object itself."""
    own = {
        "namespace",
        "service_account_name",
        "config_file",
        "_BaseOperator__init_kwargs",
        "template_fields",
        "start_date",
        "_dag",
    }
    own |= {"project_id", "location", "cluster_name", "gcp_conn_id", "use_internal_ip", "use_dns_endpoint", "impersonation_chain"}
    kept = {
        key: value for key, value in vars(job).items() if key not in own and "task_group" not in key and "init_kwargs" not in key
    }
    return {key: re.sub(r" at 0x\w+", "", repr(value)) for key, value in kept.items() if "functools.partial" not in repr(value)}


@pytest.mark.parametrize("runner", CLUSTERS)
def test_tasks_edges_and_jobs_are_the_same_wherever_they_run(runner: str, parse: Bag) -> None:
    """Same tasks, edges, containers, arguments, pools, timeouts, XCom and assets as on a developer's machine."""
    local, cluster = _bag(parse, "local"), _bag(parse, runner)
    assert _graph(local) == _graph(cluster)
    here, there = _jobs(local), _jobs(cluster)
    assert len(here) > 40
    assert {name: _everywhere(job) for name, job in here.items()} == {name: _everywhere(job) for name, job in there.items()}


def test_both_clusters_operators_are_set_up_alike(parse: Bag) -> None:
    """Every attribute of each operator: retries, reattach, exit codes, deadline, deletion, security, volumes, labels …"""
    composer, gke = (_jobs(_bag(parse, runner)) for runner in CLUSTERS)
    assert composer.keys() == gke.keys()
    compared = set()
    for name, job in composer.items():
        mine, other = _in_a_cluster(job), _in_a_cluster(gke[name])
        assert {key: value for key, value in other.items() if key in mine} == mine, name
        compared |= mine.keys()
    assert {"reattach_on_restart", "retries", "skip_on_exit_code", "on_finish_action", "active_deadline_seconds"} <= compared
    assert {"deferrable", "termination_grace_period", "startup_timeout_seconds", "log_events_on_failure", "labels"} <= compared


def test_template_fields_are_the_same_in_every_process(parse: Bag) -> None:
    """The google provider makes them of a set, whose order changes from process to process; ours stand in a fixed order."""
    composer, gke = (next(iter(_jobs(_bag(parse, runner)).values())) for runner in CLUSTERS)
    assert gke.template_fields[: len(composer.template_fields)] == tuple(composer.template_fields)
    assert {"cluster_name", "location", "project_id"} <= set(gke.template_fields)
    assert all(hasattr(gke, field) for field in gke.template_fields)


def test_gke_pods_start_in_the_cluster_that_the_environment_names(parse: Bag) -> None:
    """By its name, over the endpoint that IAM guards."""
    for job in _jobs(_bag(parse, "gke")).values():
        assert (job.project_id, job.location, job.cluster_name) == ("my-company-aelp2-dev", "europe-west1", "aelp2-jobs")
        assert (job.use_dns_endpoint, job.config_file) == (True, None)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"AELP2_RUNNER": "k8s"}, "AELP2_RUNNER='k8s' is not one of local, composer, gke"),
        ({"AELP2_RUNNER": "Composer"}, "AELP2_RUNNER='Composer' is not one of"),
        ({"AELP2_RUNNER": "gke"}, "also needs AELP2_GKE_PROJECT, AELP2_GKE_LOCATION, AELP2_GKE_CLUSTER"),
        ({"AELP2_RUNNER": "gke", **pod_manifests.CLUSTER, "AELP2_GKE_CLUSTER": ""}, "also needs AELP2_GKE_CLUSTER: where"),
    ],
)
def test_a_wrong_setting_is_an_import_error_that_names_it(
    settings: dict[str, str], error: str, parse: Bag, tmp_path: Path
) -> None:
    """A typing mistake never falls back to another runner."""
    bag = parse(folder=tmp_path / "mmm_weekly.py", **settings)
    (said,) = bag.import_errors.values()
    assert error in said


def test_without_the_setting_jobs_are_pods_in_composers_cluster(parse: Bag, tmp_path: Path) -> None:
    """Unset and empty mean the same."""
    for settings in ({}, {"AELP2_RUNNER": ""}):
        bag = parse(folder=tmp_path / "mmm_weekly.py", **settings)
        assert not bag.import_errors
        assert {job.namespace for job in _jobs(bag.dags).values()} == {"composer-user-workloads"}
