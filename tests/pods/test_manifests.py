"""What every pod of every DAG looks like when it reaches the cluster, for both runners."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pod_manifests
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Google does not say which Kubernetes Composer 3 runs. It is GKE, whose Regular channel made clusters with 1.35.8-gke.1036000 on
# 17 September 2026 (docs.cloud.google.com/feeds/gke-regular-channel-release-notes.xml); clusters go from one to the next.
KUBERNETES = ("1.34", "1.35", "1.36")
WRITE_SECRET = "aelp2-google-ads-mutate"
type Pods = dict[str, dict[tuple[str, str], dict[str, Any]]]


def _stored(runner: str) -> dict[str, dict[str, Any]]:
    """DAG.task → the manifest in the repository."""
    found = {}
    for file in sorted((ROOT / "tests" / "pods" / "manifests" / runner).glob("*.yaml")):
        for text in file.read_text(encoding="utf-8").split("--- # ")[1:]:
            name, manifest = text.split("\n", 1)
            found[name] = yaml.safe_load(manifest)
    return found


def _base(pod: dict[str, Any]) -> dict[str, Any]:
    return next(container for container in pod["spec"]["containers"] if container["name"] == "base")


def _all(pods: Pods) -> Iterator[tuple[str, dict[str, Any]]]:
    for runner, by_task in pods.items():
        for (dag_id, task_id), pod in by_task.items():
            yield f"{runner}: {dag_id}.{task_id}", pod


@pytest.mark.parametrize("runner", pod_manifests.RUNNERS)
def test_the_manifests_in_the_repository_are_those_that_are_sent(runner: str, rendered: Pods) -> None:
    """A change of any pod shows in the diff of a review: scripts/pod_manifests.py --write rewrites the files."""
    stored = _stored(runner)
    sent = {".".join(key): pod for key, pod in rendered[runner].items()}
    assert stored.keys() == sent.keys()
    assert not [name for name, pod in sent.items() if pod != stored[name]], "run scripts/pod_manifests.py --write"


def test_there_is_a_manifest_for_every_call_of_pod(rendered: Pods) -> None:
    """Counted in the DAG files and the approval's two, so that no task can slip through between the bag and the files."""
    text = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "dags").glob("*.py"))
    calls = len(re.findall(r"\bpod(?:_each)?\(\n?\s*\"", text)) + 2 * text.count("= approval_of(")
    assert calls > 40
    assert {runner: len(pods) for runner, pods in rendered.items()} == dict.fromkeys(pod_manifests.RUNNERS, calls)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("runner", pod_manifests.RUNNERS)
def test_every_manifest_passes_strict_validation(runner: str, version: str) -> None:
    """Kubernetes' own schema, with no field that it does not know."""
    stored = _stored(runner)
    assert stored
    for name, pod in stored.items():
        assert kubernetes_validate.validate(pod, version, strict=True) == version, name


@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        (
            "securityContext",
            "readOnlyRootFileSystem",
            True,
        ),  # F of FileSystem: Kubernetes would drop it and mount a writable root
        ("securityContext", "runAsUser", "10001"),
        ("resources", "limit", {"memory": "1Gi"}),
    ],
)
def test_a_planted_mistake_is_found(where: str, field: str, value: object) -> None:
    """An unknown field and a wrong type, which a cluster would ignore or refuse, are errors here."""
    pod = copy.deepcopy(_stored("composer")["mmm_weekly.fit_mmm"])
    _base(pod)[where][field] = value
    with pytest.raises(kubernetes_validate.ValidationError, match=field if field != "runAsUser" else "10001"):
        kubernetes_validate.validate(pod, KUBERNETES[1], strict=True)


def test_the_runners_differ_in_where_and_as_whom_and_in_nothing_else(rendered: Pods) -> None:
    """Namespace, service account, and the label that the operator makes of its connection."""
    composer, gke = copy.deepcopy(rendered["composer"]), copy.deepcopy(rendered["gke"])
    for pods in (composer, gke):
        for pod in pods.values():
            del pod["metadata"]["namespace"], pod["metadata"]["labels"]["airflow_kpo_in_cluster"]
            pod["spec"].pop("serviceAccountName", None)
    assert composer == gke


def test_each_role_has_its_namespace_and_identity_on_a_cluster_of_our_own(rendered: Pods) -> None:
    """Both are called after the role; on Composer's cluster, where nobody can make either, none is named."""
    roles = {"none": "aelp2-modeller", "salt": "aelp2-modeller", "read": "aelp2-reader", "mutate": "aelp2-mutator"}
    seen = set()
    for pod in rendered["gke"].values():
        role = roles[pod["metadata"]["labels"]["access"]]
        assert (pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]) == (role, role)
        seen.add(role)
    assert seen == set(roles.values())
    for pod in rendered["composer"].values():
        assert (pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName")) == ("composer-user-workloads", None)


def test_only_mutating_pods_can_mount_the_write_secret(rendered: Pods) -> None:
    """The secret's name stands nowhere in any other pod, and no secret comes by a way other than the one volume."""
    from aelp2_airflow.containers import SECRETS

    holders = set()
    for name, pod in _all(rendered):
        access = pod["metadata"]["labels"]["access"]
        volumes = [volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume]
        assert volumes == ([SECRETS[access]] if SECRETS[access] else []), name
        assert (WRITE_SECRET in str(pod)) == (access == "mutate"), name
        assert not re.search("secretRef|secretKeyRef|projected|csi|imagePullSecrets", str(pod)), name
        if access == "mutate":
            holders.add(pod["metadata"]["labels"]["job"])
    assert holders == {"apply-changes", "validate-changes", "roll-back-changes", "onboard", "check-deployment"}


def test_the_sidecar_is_under_the_same_rules_as_the_job(rendered: Pods) -> None:
    """It hands XCom over, in the job's own image by digest, unprivileged, with limits; and only pods with XCom have it."""
    with_xcom = 0
    for name, pod in _all(rendered):
        base, *others = pod["spec"]["containers"]
        has_xcom = any(env["name"] == "AELP2_XCOM_FILE" for env in base["env"])
        assert [other["name"] for other in others] == (["airflow-xcom-sidecar"] if has_xcom else []), name
        for sidecar in others:
            with_xcom += 1
            assert (sidecar["image"], sidecar["securityContext"]) == (base["image"], base["securityContext"]), name
            assert sidecar["resources"]["limits"] == sidecar["resources"]["requests"], name
            assert [mount["name"] for mount in sidecar["volumeMounts"]] == ["xcom"], name
    assert with_xcom


def test_the_cluster_ends_a_pod_that_outlives_its_task(rendered: Pods) -> None:
    """The pod's deadline is the task's timeout: 4 hours for the fit, 8 for a load of history, 1 where nothing is said."""
    for runner in pod_manifests.RUNNERS:
        deadlines = {task: pod["spec"]["activeDeadlineSeconds"] for (_, task), pod in rendered[runner].items()}
        assert {"fit_mmm": 14_400, "apply_changes": 3_600}.items() <= deadlines.items()
        assert rendered[runner]["ads_backfill", "ingest_ads"]["spec"]["activeDeadlineSeconds"] == 28_800


def test_one_pod_can_be_had_as_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With images of one's own, as `podman kube play` takes it; nothing else on standard output."""
    import json

    images = tmp_path / "images.lock.json"
    mine = "localhost/aelp2-ads@sha256:" + "1" * 64
    images.write_text(json.dumps({"ads": mine}), encoding="utf-8")
    asked = ["pod_manifests.py", "--json", "readiness_daily", "assess_readiness", "--images", str(images)]
    monkeypatch.setattr("sys.argv", asked)
    assert pod_manifests.main() == 0
    pod = json.loads(capsys.readouterr().out)
    assert (pod["kind"], _base(pod)["image"]) == ("Pod", mine)
    assert _base(pod)["args"] == ["assess-readiness", "--run-date", "2026-03-02"]
