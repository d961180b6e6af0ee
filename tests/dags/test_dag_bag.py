"""The DAGs as Composer and a developer's machine parse them: names, contracts, pods, policy."""

import ast
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.providers.standard.triggers.external_task import WorkflowTrigger
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import TaskDeferred
from pod_manifests import IMAGES, KUBE_CONFIG

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
AELP2 = ROOT / ".venv" / "bin" / "aelp2"
_DAG_KEYS = {"schedule", "catchup", "max_active_runs", "tags", "doc_md", "dagrun_timeout", "max_active_tasks"}
_LOOP = {
    f"{name}_daily" for name in ("ads_ingest", "budget_plan", "budget_approval", "budget_canary", "budget_watch", "readiness")
} | {"mmm_weekly"}
_RENDERED = {"run_date": "2026-03-02", "decision": "approved", "sets(": f"a={'a' * 64},b={'b' * 64}"}


def _bag(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, DAG]:
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(folder))
    bag = DagBag(str(folder))
    assert not bag.import_errors, bag.import_errors
    return dict(bag.dags)


@pytest.fixture
def local_bag(monkeypatch: pytest.MonkeyPatch) -> dict[str, DAG]:
    """The DAGs on a developer's machine."""
    monkeypatch.setenv("AELP2_RUNNER", "local")
    return _bag(ROOT / "dags", monkeypatch)


@pytest.fixture
def composer_bag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, DAG]:
    """The same files with the release's image lock beside them, as they lie on Composer."""
    monkeypatch.delenv("AELP2_RUNNER", raising=False)
    for file in FILES:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "images.lock.json").write_text(json.dumps(IMAGES), encoding="utf-8")
    from aelp2_airflow import cluster_job

    (tmp_path / "kube_config").write_text(KUBE_CONFIG, encoding="utf-8")
    monkeypatch.setattr(cluster_job, "KUBE_CONFIG", str(tmp_path / "kube_config"))
    return _bag(tmp_path, monkeypatch)


FORMS = {"ads_backfill", "platform_onboard"}  # started from the UI with a form
MANUAL = FORMS | {"smoke"}  # which the release starts; it has nothing to ask


def _jobs(dags: dict[str, DAG]) -> list[BaseOperator]:
    """Every task that runs a job; of one that is made many times, one as it would be made."""
    return [job for dag in dags.values() for task in dag.tasks if hasattr(job := _as_made(task), "container")]


def _as_made(task: Any) -> Any:
    if "container" not in getattr(task, "partial_kwargs", {}):
        return task
    line = [task.partial_kwargs["container"].command, "--run-date", "2026-03-01", "--platform", "reddit", "--account", "t2_1"]
    return task.unmap({"arguments": line})


def _upstream(task: BaseOperator) -> set[str]:
    """The ids of all tasks before ``task``."""
    seen: set[str] = set()
    waiting = [task]
    while waiting:
        for before in waiting.pop().upstream_list:
            if before.task_id not in seen:
                seen.add(before.task_id)
                waiting.append(before)
    return seen


@pytest.mark.parametrize("bag", ["local_bag", "composer_bag"])
def test_bag_is_exactly_the_files(bag: str, request: pytest.FixtureRequest) -> None:
    """Each file of dags/ gives one DAG that is called like the file, on both sides; and there are the DAGs of the loop."""
    dags = request.getfixturevalue(bag)
    assert {file.stem for file in FILES} == set(dags)
    assert {Path(dag.fileloc).stem: dag_id for dag_id, dag in dags.items()} == {dag_id: dag_id for dag_id in dags}
    assert set(dags) >= _LOOP


def _shape(dags: dict[str, DAG]) -> dict[str, Any]:
    return {
        f"{dag_id}.{task.task_id}": (task.downstream_task_ids, str(task.trigger_rule), getattr(task, "arguments", None))
        for dag_id, dag in dags.items()
        for task in dag.tasks
    }


def test_local_and_composer_have_the_same_tasks(composer_bag: dict[str, DAG], monkeypatch: pytest.MonkeyPatch) -> None:
    """One DAG file, two runners: same tasks, same edges, same arguments."""
    monkeypatch.setenv("AELP2_RUNNER", "local")
    assert _shape(_bag(ROOT / "dags", monkeypatch)) == _shape(composer_bag)


def test_dag_policy(composer_bag: dict[str, DAG]) -> None:
    """No catch-up, one run at a time, a schedule, an owner, a tag, a timeout on every task that works."""
    for dag_id, dag in composer_bag.items():
        assert (dag.catchup, dag.max_active_runs) == (False, 1), dag_id
        assert dag.tags, dag_id
        is_manual = "NullTimetable" in type(dag.timetable).__name__
        assert is_manual == (dag_id in MANUAL), f"{dag_id} is never started"
        assert dag.params or dag_id not in FORMS, f"{dag_id}: a DAG that is only started by hand asks with a form"
        for task in dag.tasks:
            assert task.owner in {"data", "measurement", "growth"}, f"{dag_id}.{task.task_id} belongs to {task.owner!r}"
            assert task.execution_timeout or task.task_id in {"gate"}, f"{dag_id}.{task.task_id} has no timeout"
            assert task.on_failure_callback, f"{dag_id}.{task.task_id} fails silently"


def test_default_args_hold_no_dag_keys(composer_bag: dict[str, DAG]) -> None:
    """Airflow silently ignores DAG arguments in default_args, so there are none."""
    for dag in composer_bag.values():
        assert not set(dag.default_args) & _DAG_KEYS
        assert set(dag.default_args) <= set(BaseOperator.__init__.__wrapped__.__kwdefaults__) | {"task_id"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_contract(file: Path) -> None:
    """A DAG file: a docstring with Reads, Writes, If it fails and the runbook, which exists; no functions; two kinds of imports;
    natural size."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    doc = ast.get_docstring(tree) or ""
    assert re.match(r"### .+\n\n\S", doc), "title and one sentence"
    for word in ("**Reads**", "**Writes**", "**If it fails**", f"Runbook `{file.stem}`"):
        assert word in doc
    runbook = ROOT / "docs" / "runbooks" / f"{file.stem}.md"
    assert runbook.exists(), runbook
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda | ast.If | ast.Try)]
    modules = {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert modules <= {"airflow", "aelp2_airflow", "datetime"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert 20 <= len(text.splitlines()) <= 60


def test_no_dag_imports_the_google_provider() -> None:
    """Its import alone can pass 30 s on a small worker."""
    for file in [*FILES, *(ROOT / "plugins").rglob("*.py")]:
        if file.name == "gke_job.py":  # imported by that runner alone: tests/pods/test_composer_limits.py
            continue
        assert "providers.google" not in file.read_text(encoding="utf-8"), file


def _rendered(argument: str, dag: DAG) -> str:
    """``argument`` as it may look at run time; a field of a form as it stands before anybody fills it in."""
    if "{{" not in argument:
        return argument
    if field := re.fullmatch(r"{{ params\.(\w+)( or '')? }}", argument):
        return str(dag.params[field[1]] or "")
    return next((value for word, value in _RENDERED.items() if word in argument), "rendered")


@pytest.mark.skipif(not AELP2.exists(), reason="needs the jobs' environment: scripts/bootstrap.sh")
def test_arguments_of_every_pod_parse_with_the_real_cli(local_bag: dict[str, DAG]) -> None:
    """Every pod's rendered arguments are accepted by the command they name."""
    wrong = []
    for job in _jobs(local_bag):
        arguments = [_rendered(argument, job.dag) for argument in job.arguments]  # type: ignore[attr-defined]
        done = subprocess.run([AELP2, *arguments], env=os.environ | {"AELP2_PARSE_ONLY": "1"}, capture_output=True, text=True)
        if done.returncode:
            wrong.append(f"{job.dag.dag_id}.{job.task_id}: aelp2 {' '.join(arguments)}\n{done.stderr[-400:]}")
    assert not wrong, "\n".join(wrong)


def test_what_the_cli_calls_mutating_is_treated_as_mutating(local_bag: dict[str, DAG]) -> None:
    """Every job the CLI's index marks as mutating holds the mutate access here, and so is never retried."""
    index = json.loads(subprocess.run([AELP2, "jobs", "--json"], capture_output=True, text=True, check=True).stdout)
    for job in _jobs(local_bag):
        only_checks = "--check" in job.arguments  # type: ignore[attr-defined]  # the CLI takes no other deed beside it
        if index[job.container.command]["mutates"] and not only_checks:  # type: ignore[attr-defined]
            assert job.container.mutates, job.task_id  # type: ignore[attr-defined]


_OWN_COST = """
import json, sys
sys.path.insert(0, sys.argv[1])
import airflow.sdk, airflow.providers.cncf.kubernetes.operators.pod
import airflow.providers.standard.operators.hitl, airflow.providers.standard.operators.trigger_dagrun
import airflow.providers.standard.sensors.external_task, airflow.providers.standard.operators.empty
before = set(sys.modules)
for file in sys.argv[2:]:
    exec(compile(open(file).read(), file, "exec"), {"__name__": "dag_file", "__doc__": ""})
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_dag_files_pull_in_nothing_heavy(composer_bag: dict[str, DAG], tmp_path: Path) -> None:
    """What the DAG files import beyond Airflow and its operators is no pandas, numpy, pymc, google.cloud or job."""
    env = os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path)}
    run = [sys.executable, "-c", _OWN_COST, str(ROOT / "plugins"), *map(str, FILES)]
    modules = json.loads(subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    assert "aelp2_airflow.cluster_job" in modules
    assert not [name for name in modules if re.match(r"(pandas|numpy|polars|pymc|scipy|google\.cloud|tasks)(\.|$)", name)]


def test_pods_carry_the_policy(composer_bag: dict[str, DAG]) -> None:
    """Every job is a pod by digest, non-root, unprivileged, on a read-only root, with arguments only."""
    for job in _jobs(composer_bag):
        pod = job.build_pod_request_obj().to_dict()["spec"]  # type: ignore[attr-defined]
        container = next(c for c in pod["containers"] if c["name"] == "base")
        name = job.container.command  # type: ignore[attr-defined]
        assert job.namespace == "composer-user-workloads", name  # type: ignore[attr-defined]
        assert re.fullmatch(r".+@sha256:[0-9a-f]{64}", container["image"]), name
        dated = [] if name == "onboard" else ["--run-date"]  # credentials and skeletons are of no day
        assert ([], [name, *dated]) == (container["command"] or [], container["args"][: 1 + len(dated)]), name
        assert (pod["security_context"]["run_as_non_root"], pod["security_context"]["run_as_user"]) == (True, 10001), name
        security = container["security_context"]
        assert (
            security["privileged"],
            security["allow_privilege_escalation"],
            security["read_only_root_filesystem"],
            security["capabilities"]["drop"],
        ) == (False, False, True, ["ALL"]), name
        assert container["resources"]["limits"] == container["resources"]["requests"], name
        assert [source["config_map_ref"]["name"] for source in container["env_from"]] == ["aelp2-settings"], name
        assert {"base"} | ({"airflow-xcom-sidecar"} if job.do_xcom_push else set()) == {c["name"] for c in pod["containers"]}
        assert (pod["affinity"] or None, pod["node_selector"] or None) == (None, None), "Composer 3 ignores affinity"
        assert list(job.skip_on_exit_code) == [99], name  # type: ignore[attr-defined]


def test_only_mutating_pods_hold_mutating_credentials(composer_bag: dict[str, DAG]) -> None:
    """Secret, retries, pool and reattach follow from what a pod may do at the platforms; tests/pods looks at identities."""
    for job in _jobs(composer_bag):
        container = job.container  # type: ignore[attr-defined]
        pod = job.build_pod_request_obj().to_dict()["spec"]  # type: ignore[attr-defined]
        secrets = [v["secret"]["secret_name"] for v in pod["volumes"] if v.get("secret")]
        expected = {
            "none": [],
            "salt": ["aelp2-name-salt"],
            "read": ["aelp2-google-ads-read"],
            "mutate": ["aelp2-google-ads-mutate"],
        }
        assert expected[container.access] == secrets, job.task_id
        policy = (job.retries, job.pool, job.reattach_on_restart)  # type: ignore[attr-defined]
        if container.mutates:
            assert policy == (0, "mutations", False), job.task_id
        else:
            assert policy == (2, "default_pool", True), job.task_id


def test_what_a_pod_needs_outlives_it(composer_bag: dict[str, DAG]) -> None:
    """Data go to BigQuery, budget rules are mounted, the salt comes with the credentials: nothing lies on the pod's own disk."""
    for job in _jobs(composer_bag):
        pod = job.build_pod_request_obj().to_dict()["spec"]  # type: ignore[attr-defined]
        base = next(c for c in pod["containers"] if c["name"] == "base")
        mounts = {m["mount_path"]: m["name"] for m in base["volume_mounts"]}
        maps = {v["name"]: v["config_map"] for v in pod["volumes"] if v.get("config_map")}
        assert (maps[mounts["/etc/aelp2-policy"]]["name"], maps["policy"]["optional"]) == ("aelp2-policy", True), job.task_id
        env = {e["name"]: e["value"] for e in base["env"]}
        assert env["AELP2_BACKEND"] == "bigquery", job.task_id
        has_secret, access = "/etc/aelp2" in mounts, job.container.access  # type: ignore[attr-defined]
        assert env.get("AELP2_NAME_SALT_FILE") == ("/etc/aelp2/name_salt" if has_secret else None), job.task_id
        assert ("AELP2_GOOGLE_ADS_CONFIG" in env) == (access in ("read", "mutate")), job.task_id
        assert ("AELP2_CREDENTIALS_DIR" in env) == (access in ("read", "mutate")), job.task_id


def test_a_job_that_hashes_ids_gets_the_salt(composer_bag: dict[str, DAG]) -> None:
    """Its module reads the salt, which a pod's own disk does not hold; `forget` needs it only for ids that a person names."""
    hashing = {file.stem.replace("_", "-") for file in (ROOT / "tasks").rglob("*.py") if "load_salt(" in file.read_text()} - {
        "forget"
    }
    assert {"ingest-ga4", "stitch-identities"} <= hashing
    for job in _jobs(composer_bag):
        container = job.container  # type: ignore[attr-defined]
        assert container.command not in hashing or container.access != "none", container.command


def _kinds(jobs: list[BaseOperator]) -> list[tuple[str, str]]:
    return [(job.container.image, job.container.access) for job in jobs]  # type: ignore[attr-defined]


def test_the_smoke_test_has_one_pod_of_each_image_and_role_that_the_dags_use(composer_bag: dict[str, DAG]) -> None:
    """No kind of pod is left out, none made up; each is named after its kind, says what it must hold and hands its words over."""
    smoke = _jobs({"smoke": composer_bag["smoke"]})
    others = _jobs({dag_id: dag for dag_id, dag in composer_bag.items() if dag_id != "smoke"})
    assert sorted(set(_kinds(others))) == sorted(_kinds(smoke))
    for job, (image, access) in zip(smoke, _kinds(smoke), strict=True):
        assert (job.task_id, job.do_xcom_push, job.downstream_task_ids) == (f"{image}_{access}", True, set())
        given = job.arguments[3:]  # type: ignore[attr-defined]  # after the command and the run date
        assert given == ([] if access == "none" else ["--access", access]), job.task_id


def test_loads_are_made_for_each_account_and_never_mutate(composer_bag: dict[str, DAG]) -> None:
    """The accounts that were listed, one instance each; the checks wait for some of them, the run's colour for all."""
    dag = composer_bag["ads_ingest_daily"]
    loads = dag.get_task("ingest_ads")
    assert loads.is_mapped
    assert loads.expand_input.value["arguments"].operator.task_id == "list_accounts"
    assert loads.partial_kwargs["container"].access == "read"
    assert dag.get_task("some_accounts_landed").trigger_rule == "all_done_min_one_success"
    assert dag.get_task("all_accounts_landed").trigger_rule == "all_success"
    assert dag.get_task("all_accounts_landed").downstream_task_ids == set()
    assert dag.get_task("validate_tables").upstream_task_ids == {"ingest_fx"}
    assert dag.get_task("ingest_fx").upstream_task_ids == {"some_accounts_landed", "ingest_outcomes"}


def test_forms_offer_the_platforms_that_have_an_adapter(composer_bag: dict[str, DAG]) -> None:
    """The plugin cannot import the adapters, so the two lists are held against each other here."""
    from aelp2_airflow.forms import PLATFORMS

    text = (ROOT / "tasks" / "platforms" / "__init__.py").read_text(encoding="utf-8")
    adapters = re.findall(r'^    "([a-z_]+)": "tasks\.platforms', text, flags=re.MULTILINE)
    assert list(PLATFORMS) == adapters
    assert composer_bag["ads_backfill"].params.get_param("platform").schema["enum"] == [None, *PLATFORMS]


@pytest.mark.parametrize("what", ["budget", "bandit"])
def test_the_gate_is_before_every_mutating_task_of_the_canary(composer_bag: dict[str, DAG], what: str) -> None:
    """Walking the graph back from each task that may mutate always meets the gate."""
    canary = composer_bag[f"{what}_canary_daily"]
    mutating = [task for task in canary.tasks if hasattr(task, "container") and task.container.mutates]
    assert {"validate_changes", "apply_changes", "roll_back_changes"} == {task.task_id for task in mutating}
    for task in mutating:
        assert "gate" in _upstream(task), task.task_id
    assert {"assess_readiness", "validate_changes", "snapshot_budgets"} <= _upstream(canary.get_task("apply_changes"))


def test_each_canary_acts_on_its_own_kind_of_change_set(local_bag: dict[str, DAG]) -> None:
    """An answer about ads moves no budget, and the other way round; one watch looks after both, for their effects meet in CAC."""
    kinds = {"budget_approval_daily": "budgets", "budget_canary_daily": "budgets"}
    kinds |= {"bandit_approval_daily": "ad_status", "bandit_canary_daily": "ad_status"}
    by_hash = {"record-approval", "assess-readiness"}  # whatever the kind: the one by the hash it is given, the other by account
    for dag_id, kind in kinds.items():
        for job in _jobs({dag_id: local_bag[dag_id]}):
            command, *arguments = job.arguments  # type: ignore[attr-defined]
            given = arguments[arguments.index("--kind") + 1] if "--kind" in arguments else None
            default = None if command == "roll-back-changes" else "budgets"
            assert command in by_hash or (given or default) == kind, f"{dag_id}: {command}"
    assert not [job.task_id for job in _jobs({"w": local_bag["budget_watch_daily"]}) if "--kind" in job.arguments]  # type: ignore[attr-defined]


def test_a_watch_that_failed_holds_no_rollback_up_and_promotes_nothing(composer_bag: dict[str, DAG]) -> None:
    """One canary that cannot be measured fails the task; the breach of another one is undone all the same."""
    watch = composer_bag["budget_watch_daily"]
    rules = {task.task_id: task.trigger_rule.value for task in watch.tasks}
    assert (rules["roll_back_changes"], rules["promote_changes"]) == ("all_done", "none_failed_min_one_success")
    assert {"watch_canary", "roll_back_changes"} <= watch.get_task("promote_changes").upstream_task_ids


def test_an_advertiser_without_experiments_or_server_events_has_no_red_dag(composer_bag: dict[str, DAG]) -> None:
    """Their tasks are skipped (99); the gates after them run if anything came, and a failure still stops the line."""
    for dag_id, source, rule in (
        ("uplift_weekly", "import_assignments", "none_failed"),
        ("ga4_ingest_daily", "ingest_events", "none_failed_min_one_success"),
    ):
        gate = composer_bag[dag_id].get_task("validate_tables")
        assert source in gate.upstream_task_ids
        assert gate.trigger_rule.value == rule, dag_id
    uplift = composer_bag["uplift_weekly"]
    assert {"import_assignments", "validate_tables", "fit_uplift"} == _upstream(uplift.get_task("plan_audiences"))


def test_a_gate_looks_before_it_waits(composer_bag: dict[str, DAG], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided already opens it at once; else it waits in the trigger."""
    gate: Any = composer_bag["budget_canary_daily"].get_task("gate")
    context = {"logical_date": datetime(2026, 3, 2, 8, tzinfo=UTC)}
    monkeypatch.setattr(ExternalTaskSensor, "poke", lambda *_: True)
    gate.execute(context)
    monkeypatch.setattr(ExternalTaskSensor, "poke", lambda *_: False)
    with pytest.raises(TaskDeferred) as deferred:
        gate.execute(context)
    assert type(deferred.value.trigger) is WorkflowTrigger  # Composer's triggerer knows no code of ours


@pytest.mark.parametrize("what", ["budget", "bandit"])
def test_gate_and_approval_are_wired_as_decided(composer_bag: dict[str, DAG], what: str) -> None:
    """DESIGN §5: the sensor watches the marker; twins share schedule and start; silence is never yes; timeouts fit the day."""
    approval, canary = composer_bag[f"{what}_approval_daily"], composer_bag[f"{what}_canary_daily"]
    assert (approval.schedule, approval.start_date) == (canary.schedule, canary.start_date)
    gate: Any = canary.get_task("gate")
    assert (gate.external_dag_id, gate.external_task_ids) == (approval.dag_id, ["approved"])
    assert approval.has_task("approved")
    assert (gate.allowed_states, gate.skipped_states, gate.failed_states) == (
        ["success"],
        ["skipped"],
        ["failed", "upstream_failed"],
    )
    assert (gate.check_existence, gate.deferrable, gate.pool, gate.retries) == (True, True, "gates", 0)
    assert (gate.execution_delta, gate.execution_date_fn) == (None, None)
    review: Any = approval.get_task("review")
    assert (review.defaults, review.retries) == (None, 0)
    assert review.response_timeout.total_seconds() < gate.timeout < 24 * 3600
    assert {"review", "record_approval"} == approval.get_task("approved").upstream_task_ids
    for dag, other in ((approval, canary.dag_id), (canary, approval.dag_id)):
        twin: Any = dag.get_task("twin")
        assert (other, True, True) == (twin.trigger_dag_id, twin.skip_when_already_exists, twin.fail_when_dag_is_paused)


def test_a_missing_image_lock_is_a_clear_parse_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Composer without a lock shows which file is missing and who writes it."""
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.delenv("AELP2_RUNNER", raising=False)
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    (tmp_path / "mmm_weekly.py").write_bytes((ROOT / "dags" / "mmm_weekly.py").read_bytes())
    bag = DagBag(str(tmp_path))
    (error,) = bag.import_errors.values()
    assert f"{tmp_path / 'images.lock.json'} is missing; the release writes it" in error


def test_the_dag_clock_is_up_to_date() -> None:
    """dags/README.md is what scripts/dags_readme.py writes."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "dags_readme.py", "--check"], capture_output=True, text=True)
    assert not done.returncode, done.stderr
