"""The manifest of every pod of every DAG, as the operators send it: tests/pods/manifests/RUNNER/DAG.yaml.

Run with `.venv-airflow/bin/python`. Without arguments it compares; `--write` writes; `--json DAG TASK` prints one pod. All of one
fixed run: 2 March 2026, the images of `--images`, the answers of one approval. No cluster is asked.
"""

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "tests" / "pods" / "manifests"
RUNNERS = ("composer", "gke")
IMAGES = {
    image: f"europe-docker.pkg.dev/my-company-aelp2-dev/aelp2/{image}@sha256:{'0' * 64}"
    for image in ("ads", "identity", "learn", "mmm", "report")
}
CLUSTER = {
    "AELP2_GKE_PROJECT": "my-company-aelp2-dev",
    "AELP2_GKE_LOCATION": "europe-west1",
    "AELP2_GKE_CLUSTER": "aelp2-jobs",
}
LOGICAL_DATE = datetime(2026, 3, 2, 6, tzinfo=UTC)
RUN_ID = "manual__2026-03-02T06:00:00+00:00"
_ACCOUNT = (
    "--run-date",
    "2026-03-02",
    "--platform",
    "google_ads",
    "--account",
    "1234567890",
)  # one of those `list-accounts` names
_XCOMS = {
    ("request_approval", "return_value"): {"sets": [{"change_set_id": "set-a", "sha256": "a" * 64}]},
    ("review", "answer"): {"chosen_options": ["Approve"], "responded_by_user": {"id": "2", "name": "approver"}},
}
_MEANT_EMPTY = {"emptyDir"}
KUBE_CONFIG = """
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
users: [{name: nobody, user: {}}]
"""


@contextlib.contextmanager
def _airflow(runner: str, images: dict[str, str], dag_ids: list[str]) -> Iterator[Path]:
    """A folder with those DAG files as Composer would hold them, and an Airflow that reads it."""
    with tempfile.TemporaryDirectory(prefix="aelp2-pods-") as name:
        folder = Path(name)
        for dag_id in dag_ids:
            (folder / f"{dag_id}.py").write_bytes((ROOT / "dags" / f"{dag_id}.py").read_bytes())
        (folder / "images.lock.json").write_text(json.dumps(images), encoding="utf-8")
        (folder / "kube_config").write_text(KUBE_CONFIG, encoding="utf-8")
        before = dict(os.environ)
        os.environ |= {
            "AELP2_RUNNER": runner,
            "AIRFLOW__CORE__DAGS_FOLDER": name,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        } | CLUSTER
        os.environ.setdefault("AIRFLOW_HOME", name)
        sys.path.insert(0, str(ROOT / "plugins"))
        try:
            yield folder
        finally:
            sys.path.remove(str(ROOT / "plugins"))
            os.environ.clear()
            os.environ |= before


def _operators(folder: Path) -> Iterator[tuple[str, Any]]:
    """DAG id and every task that is a pod; of one that is made for each account, one as it would be made."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(folder))
    if bag.import_errors:
        raise SystemExit("\n".join(bag.import_errors.values()))
    for dag_id, dag in sorted(bag.dags.items()):
        for task in dag.tasks:
            if "container" in (made_of := getattr(task, "partial_kwargs", {})):
                yield dag_id, task.unmap({"arguments": [made_of["container"].command, *_ACCOUNT]})
            elif hasattr(task, "container"):
                yield dag_id, task


def _context(dag_id: str, operator: Any) -> dict[str, Any]:
    """What Airflow offers a task of this run."""
    dag_run = SimpleNamespace(
        logical_date=LOGICAL_DATE,
        run_after=LOGICAL_DATE,
        run_id=RUN_ID,
        run_type="manual",
        triggering_user_name="operator",
    )
    ti = SimpleNamespace(
        dag_id=dag_id,
        task_id=operator.task_id,
        run_id=RUN_ID,
        map_index=-1,
        try_number=1,
        xcom_pull=lambda task_ids, key="return_value": _XCOMS[task_ids, key],
    )
    params = dict(operator.dag.params.dump())
    return {
        "dag": operator.dag,
        "dag_run": dag_run,
        "macros": _macros(),
        "params": params | ({"platform": params["platform"] or "google_ads"} if "platform" in params else {}),
        "run_id": RUN_ID,
        "task": operator,
        "ti": ti,
        "triggering_asset_events": {},
    }


def _macros() -> Any:
    from airflow.sdk.execution_time import macros

    return macros


def without_a_cluster(operator: Any, folder: Path) -> None:
    """Give the operator what it would ask Google or the disk of a Composer worker for."""
    if hasattr(operator, "cluster_name"):
        from google.oauth2.credentials import Credentials

        operator.__dict__["cluster_info"] = ("https://127.0.0.1:1", "")
        operator.hook.get_credentials = lambda: Credentials("nobody's")
    else:
        operator.config_file = str(folder / "kube_config")


def pods(
    runner: str, dag_ids: list[str] | None = None, images: dict[str, str] | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    """(DAG, task) → the manifest of its pod, for all DAGs or those of ``dag_ids``."""
    found = {}
    with _airflow(runner, images or IMAGES, dag_ids or sorted(file.stem for file in (ROOT / "dags").glob("*.py"))) as folder:
        from kubernetes.client import ApiClient

        for dag_id, operator in _operators(folder):
            context = _context(dag_id, operator)
            operator.render_template_fields(context)
            without_a_cluster(operator, folder)
            pod = operator.build_pod_request_obj(context)
            pod.metadata.name = re.sub(r"-[a-z0-9]{8}$", "-snapshot", pod.metadata.name)  # else another one each time
            found[dag_id, operator.task_id] = _pruned(ApiClient().sanitize_for_serialization(pod))
    return found


def _pruned(value: Any) -> Any:
    """Without empty lists and mappings, which say nothing to Kubernetes."""
    if isinstance(value, dict):
        return {key: kept for key, one in value.items() if (kept := _pruned(one)) not in ([], {}) or key in _MEANT_EMPTY}
    return [_pruned(one) for one in value] if isinstance(value, list) else value


def _plain_dumper() -> Any:
    """YAML without anchors: each manifest stands for itself."""
    import yaml

    return type("Plain", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})


def pages(runner: str) -> dict[Path, str]:
    """File → the manifests of one DAG as a YAML stream."""
    import yaml

    streams: dict[Path, list[str]] = {}
    for (dag_id, task_id), pod in pods(runner).items():
        text = yaml.dump(pod, Dumper=_plain_dumper(), sort_keys=True, width=140, default_flow_style=None)
        streams.setdefault(TARGET / runner / f"{dag_id}.yaml", []).append(f"--- # {dag_id}.{task_id}\n{text}")
    return {file: "".join(texts) for file, texts in streams.items()}


def main() -> int:
    """Compare, write, or print one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the files of tests/pods/manifests anew")
    parser.add_argument("--json", nargs=2, metavar=("DAG", "TASK"), help="print the manifest of one pod as JSON")
    parser.add_argument("--runner", choices=RUNNERS, help="of this runner alone; with --json composer unless said")
    parser.add_argument("--images", type=Path, help="with --json: an images.lock.json of your own (image → reference by digest)")
    asked = parser.parse_args()
    if asked.json:
        dag_id, task_id = asked.json
        images = json.loads(asked.images.read_text(encoding="utf-8")) if asked.images else None
        with contextlib.redirect_stdout(sys.stderr):  # Airflow logs to standard output
            pod = pods(asked.runner or "composer", [dag_id], images)[dag_id, task_id]
        json.dump(pod, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return 0
    return max(_one_runner(runner, write=asked.write) for runner in ([asked.runner] if asked.runner else RUNNERS))


def _one_runner(runner: str, *, write: bool) -> int:
    new = pages(runner)
    old = {file: file.read_text(encoding="utf-8") for file in (TARGET / runner).glob("*.yaml")}
    if not write:
        changed = sorted(file.name for file in new.keys() | old.keys() if new.get(file) != old.get(file))
        if changed:
            sys.stderr.write(f"{runner}: {', '.join(changed)} out of date; run scripts/pod_manifests.py --write\n")
        return int(bool(changed))
    for gone in old.keys() - new.keys():
        gone.unlink()
    for file, text in new.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
