"""Pods for real: the manifests that the operators send, the images that ship, `podman kube play`, a mounted DuckDB file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pod_data
import pytest
from pod_runs import base_of, manifest, played, store_secret

pytestmark = [pytest.mark.container, pytest.mark.slow, pytest.mark.usefixtures("images")]

# image → (DAG, task, what lies there before, settings, the table that shows that it worked, rows)
ONE_OF_EACH: dict[str, tuple[str, str, Callable[[Path], None], dict[str, str], str, int]] = {
    "ads": ("mmm_weekly", "validate_tables", pod_data.healthy, {}, "control.validation_results", 34),
    "identity": (
        "ga4_ingest_daily",
        "ingest_events",
        pod_data.server_events,
        {"AELP2_SERVER_EVENTS": "/data/events"},
        "gaelp_users.server_events",
        2,
    ),
    "learn": ("bandit_daily", "fit_bandits", pod_data.bandits, {}, "models.bandit_posteriors", 6),
    "mmm": ("mmm_weekly", "fit_mmm", pod_data.weeks_of_spend, {}, "models.mmm_runs", 1),
    "report": ("budget_watch_daily", "report", pod_data.story, {"AELP2_REPORT_DIR": "/data/reports"}, "control.change_sets", 1),
}
# What the container sees of itself: who it is, what it may do, its limits (cgroup v1 or v2), where it can write.
PROBE = """
import json, os, pathlib
status = dict(line.split(':\\t') for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
group = pathlib.Path('/sys/fs/cgroup')
two = (group / 'memory.max').exists()
read = lambda name: (group / name).read_text().split()
quota, period = read('cpu.max') if two else read('cpu/cpu.cfs_quota_us') + read('cpu/cpu.cfs_period_us')
def write(folder):
    try:
        (pathlib.Path(folder) / 'probe').write_text('x')
    except OSError as error:
        return error.strerror
    return 'written'
print(json.dumps({
    'uid': os.getuid(), 'gid': os.getgid(), 'capabilities': int(status['CapEff'], 16), 'no_new_privileges': status['NoNewPrivs'],
    'seccomp': status['Seccomp'], 'memory': int(read('memory.max' if two else 'memory/memory.limit_in_bytes')[0]),
    'cpu': int(quota) / int(period), 'writes': {folder: write(folder) for folder in ('/', '/app', '/etc', '/tmp', '/data')},
}))
"""


def probe(pod: dict[str, Any], program: str) -> dict[str, Any]:
    """The same pod with ``program`` in place of the job: image, user, limits and volumes stay."""
    text = f"exec(bytes.fromhex('{program.encode().hex()}'))"  # podman 4.3 splits a manifest at line breaks inside of strings
    base_of(pod).update(command=["python", "-c", text], args=[])
    return pod


def rows(folder: Path, table: str) -> int:
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found is not None
    return int(found[0])


def test_every_image_is_tried(images: list[str]) -> None:
    """An image that a DAG begins to use needs a job here."""
    assert sorted(ONE_OF_EACH) == images


@pytest.mark.parametrize("image", ONE_OF_EACH)
def test_a_job_of_each_image_succeeds_as_its_pod(image: str, tmp_path: Path) -> None:
    """As uid 10001, on a read-only root, without network: exit code 0, its rows are in the file, its lines in the log."""
    dag_id, task_id, prepare, settings, table, expected = ONE_OF_EACH[image]
    prepare(tmp_path)
    store_secret(tmp_path, "aelp2-name-salt", {"name_salt": "5" * 64})
    pod = manifest(dag_id, task_id)
    assert f"/{image}@" in base_of(pod)["image"]
    with played(pod, tmp_path, **settings) as run:
        ended = run.wait()
        assert ended["ExitCode"] == 0, run.logs()
        assert run.logs().strip()
        assert not run.ran_out_of_memory()
    assert rows(tmp_path, table) == expected


def test_a_mail_address_does_not_reach_the_file_of_the_pod(tmp_path: Path) -> None:
    """What a pod stores of a person went through the salt of the mounted Secret."""
    pod_data.server_events(tmp_path)
    store_secret(tmp_path, "aelp2-name-salt", {"name_salt": "5" * 64})
    with played(manifest("ga4_ingest_daily", "ingest_events"), tmp_path, AELP2_SERVER_EVENTS="/data/events") as run:
        assert run.wait()["ExitCode"] == 0, run.logs()
    stored = (tmp_path / "data" / "warehouse.duckdb").read_bytes()
    assert b"jane@example.com" not in stored
    assert b"customer 18" not in stored


def test_a_gate_that_stops_is_exit_code_3(tmp_path: Path) -> None:
    """Outcomes that end a month ago stop the model's gate; the log names table, check and remedy."""
    pod_data.healthy(tmp_path, without_last_days=30)
    with played(manifest("mmm_weekly", "validate_tables"), tmp_path) as run:
        assert run.wait()["ExitCode"] == 3
        assert "ads.business_outcomes is_fresh" in run.logs()


def test_a_wrong_argument_is_exit_code_2(tmp_path: Path) -> None:
    """The program's own words about usage reach the log."""
    pod = manifest("mmm_weekly", "validate_tables")
    base_of(pod)["args"].append("--loudly")
    with played(pod, tmp_path) as run:
        assert run.wait()["ExitCode"] == 2
        assert "No such option '--loudly'" in run.logs()


def test_nothing_to_do_is_exit_code_99(tmp_path: Path) -> None:
    """Without credentials of any platform there is no account to list, and no XCom is left."""
    store_secret(tmp_path, "aelp2-google-ads-read", {"name_salt": "5" * 64})
    with played(manifest("ads_ingest_daily", "list_accounts"), tmp_path) as run:
        assert run.wait()["ExitCode"] == 99
        assert "nothing to do: no platform has credentials" in run.logs()
        assert run.in_sidecar("ls /airflow/xcom") == ""


def test_too_little_memory_ends_in_137_and_is_told_apart(tmp_path: Path) -> None:
    """The model in a pod of 200 MB: killed, and the kernel names this container's memory as the reason."""
    pod_data.weeks_of_spend(tmp_path)
    pod = manifest("mmm_weekly", "fit_mmm")
    base_of(pod)["resources"]["limits"]["memory"] = base_of(pod)["resources"]["requests"]["memory"] = "200Mi"
    with played(pod, tmp_path) as run:
        ended = run.wait()
        assert ended["ExitCode"] == 137, run.logs()
        assert run.ran_out_of_memory()
    assert rows(tmp_path, "ads.ads_campaign_performance") == 840  # the file of a killed pod can be read


@pytest.mark.parametrize(
    ("dag_id", "task_id"), [("mmm_weekly", "validate_tables"), ("bandit_daily", "fit_bandits"), ("mmm_weekly", "fit_mmm")]
)
def test_a_pod_sees_the_limits_it_was_promised(dag_id: str, task_id: str, tmp_path: Path) -> None:
    """Sizes s, m and l from inside: memory, share of CPUs; no right of root, nothing gained by a setuid file, calls filtered."""
    pod = manifest(dag_id, task_id)
    limits = base_of(pod)["resources"]["limits"]
    cpu = float(limits["cpu"].removesuffix("m")) / (1000 if limits["cpu"].endswith("m") else 1)
    with played(probe(pod, PROBE), tmp_path) as run:
        assert run.wait()["ExitCode"] == 0, run.logs()
        seen = json.loads(run.logs())
    refused = "Read-only file system"
    assert seen == {
        "uid": 10001,
        "gid": 10001,
        "capabilities": 0,
        "no_new_privileges": "1",
        "seccomp": "2",
        "memory": int(limits["memory"].removesuffix("Gi")) << 30,
        "cpu": cpu,
        "writes": {"/": refused, "/app": refused, "/etc": refused, "/tmp": "written", "/data": "written"},
    }


def test_airflow_reads_the_xcom_from_the_sidecar_and_ends_it(tmp_path: Path) -> None:
    """A load for a platform whose credentials are incomplete, read back and ended with the very lines that Airflow types."""
    secret = {"name_salt": "5" * 64, "linkedin.yaml": "access_token: incomplete\n"}
    store_secret(tmp_path, "aelp2-google-ads-read", secret)
    with played(manifest("ads_ingest_daily", "list_accounts"), tmp_path) as run:
        assert run.wait()["ExitCode"] == 0, run.logs()
        assert json.loads(run.in_sidecar("cat /airflow/xcom/return.json")) == [
            ["ingest-ads", "--run-date", "2026-03-02", "--platform", "linkedin"]
        ]
        assert run.state("airflow-xcom-sidecar")["Running"]
        run.in_sidecar("kill -2 $(pgrep -u $(id -u) -f 'sh')")
        deadline = time.monotonic() + 600
        while run.state("airflow-xcom-sidecar")["Running"] and time.monotonic() < deadline:
            time.sleep(0.2)
        assert run.state("airflow-xcom-sidecar") | {"Status": "exited", "ExitCode": 0} == run.state("airflow-xcom-sidecar")
        assert "incomplete" not in run.logs()
