"""check-deployment: what a pod needs is there, each lack has its line and its remedy, and nothing is changed."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

sys.path.insert(0, str(Path(__file__).parents[1] / "core" / "warehouse"))

from bigquery_double import bigquery_double  # needs the line above

from tasks.core import settings as settings_module
from tasks.core.contracts import all_contracts, load_contract
from tasks.core.errors import GateStop, JobError, TryAgain
from tasks.core.settings import Settings, load_settings
from tasks.core.warehouse import Warehouse, open_warehouse
from tasks.govern import deployment
from tasks.govern.check_deployment import command

SECRET = "1//refresh-token-that-nobody-may-see"
Run = Callable[..., Result]
IN_CONTAINER = deployment.in_container


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine of its own: no setting of the developer's counts."""
    for name in [name for name in os.environ if name.startswith("AELP2_")]:
        monkeypatch.delenv(name)
    given = {
        "AELP2_DUCKDB_PATH": str(tmp_path / "w.duckdb"),
        "AELP2_CREDENTIALS_DIR": str(tmp_path / "credentials"),
        "AELP2_NAME_SALT_FILE": str(tmp_path / "name_salt"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    # These tests may themselves run in a container.
    monkeypatch.setattr(deployment, "in_container", lambda env: "KUBERNETES_SERVICE_HOST" in env)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return given


@pytest.fixture
def run(env: dict[str, str]) -> Run:
    """The command, with its exception as the result's."""
    return lambda *arguments: CliRunner().invoke(command, list(arguments))


@pytest.fixture(params=["duckdb", pytest.param("bigquery", marks=pytest.mark.slow)])
def warehouse(
    request: pytest.FixtureRequest, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """An empty warehouse that the job will open too."""
    if request.param == "duckdb":
        yield open_warehouse(load_settings(env))
        return
    with bigquery_double(tmp_path / "double.duckdb") as double:
        for name, value in double.items():
            monkeypatch.setenv(name, value)
        yield open_warehouse(load_settings(env | double))


@pytest.fixture
def pod(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:  # after env, which clears the variable
    """As in a pod: the variable that Kubernetes sets, a user without privilege, a root file system that is read-only."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(deployment.os, "geteuid", lambda: 10001)
    monkeypatch.setattr(deployment, "disk", lambda: "only /tmp takes files")


def line(result: Result, name: str) -> str:
    """What the check ``name`` said."""
    (found,) = [text for text in result.output.splitlines() if text[5:].startswith(name.ljust(12))]
    return found


def made(warehouse: Warehouse) -> None:
    """All tables and views, as the release makes them."""
    for contract in all_contracts(views=True):
        warehouse.create(contract.name)


def stored(folder: Path, name: str, text: str = f"refresh_token: {SECRET}") -> None:
    """A private file."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name).chmod(0o600)


# --- the whole command


def test_a_whole_deployment_holds(warehouse: Warehouse, run: Run) -> None:
    """All tables there: every check says what it saw, on either backend, and the summary goes to Airflow."""
    made(warehouse)
    result = run()
    assert (result.exit_code, result.exception) == (0, None)
    total = len(all_contracts(views=True))
    assert f"{total} of {total} tables and views are there" in line(result, "tables")
    assert "shadow: proposals only" in line(result, "mode")
    assert "no account may be changed" in line(result, "rules")
    assert "no switch is on" in line(result, "switches")
    assert result.output.splitlines()[-1].endswith("all 5 checks hold")


def test_it_changes_nothing(warehouse: Warehouse, run: Run, env: dict[str, str]) -> None:
    """A warehouse without tables has none afterwards; on BigQuery that is a failing check, on DuckDB jobs make their tables."""
    result = run()
    assert {contract.name for contract in all_contracts() if warehouse.columns(contract.name)} == set()
    is_bigquery = os.environ.get("AELP2_BACKEND") == "bigquery"
    assert isinstance(result.exception, GateStop) == is_bigquery
    if is_bigquery:
        assert "ads.ad_statuses does not exist" in line(result, "tables")
        assert "look at its plan, then apply it (docs/deploy.md)" in line(result, "tables")
    else:
        assert "not there yet" in line(result, "warehouse")
        assert not Path(env["AELP2_DUCKDB_PATH"]).exists()


def test_a_table_that_lacks_a_column_stops(warehouse: Warehouse, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The release before had a column less: the table is named with it, and nobody adds it here."""
    made(warehouse)
    real = load_contract("control.kill_switch")
    more = dataclasses.replace(real, fields=(*real.fields, dataclasses.replace(real.fields[0], name="added_later")))
    contracts = [more if c.name == more.name else c for c in all_contracts(views=True)]
    monkeypatch.setattr("tasks.core.contracts.all_contracts", lambda **_: contracts)
    result = run()
    assert isinstance(result.exception, GateStop)
    assert str(result.exception) == "not fit to run: tables; what to do stands beside each above (runbook smoke)"
    assert "FAIL tables       control.kill_switch lacks added_later." in result.output
    assert "added_later" not in (warehouse.columns("control.kill_switch") or {})


def test_a_switch_that_is_on_is_told(warehouse: Warehouse, run: Run) -> None:
    """Who looks after a release sees that changes are stopped; the deployment is fit all the same."""
    made(warehouse)
    from tasks.govern.kill import command as kill

    CliRunner().invoke(kill, ["--why", "a drill"], catch_exceptions=False)
    result = run()
    assert result.exit_code == 0
    assert "on: all" in line(result, "switches")


@pytest.mark.parametrize(
    ("name", "value", "check", "said"),
    [
        ("AELP2_POLICY", "/nowhere/policy.yaml", "rules", "names /nowhere/policy.yaml, which does not exist"),
        ("AELP2_BACKEND", "bigquery", "warehouse", "BigQuery"),
    ],
)
def test_each_lack_has_its_line(run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, check: str, said: str) -> None:
    """A failing check names the thing; those after it are still made, unless they need it."""
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("AELP2_GCP_PROJECT", "p")
    monkeypatch.setattr(deployment, "answers", _denied if check == "warehouse" else deployment.answers)
    result = run()
    assert isinstance(result.exception, GateStop)
    assert line(result, check).startswith("FAIL")
    assert said in line(result, check)
    assert ("tables" in result.output) == (check != "warehouse")


def _denied(_settings: Settings, _warehouse: Warehouse) -> str:
    raise JobError("BigQuery denied the query; check the job's service account and its roles")


def test_a_wrong_setting_is_an_error_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without settings there is nothing to check against: exit code 1 names the variable."""
    monkeypatch.setenv("AELP2_MODE", "life")
    result = run()
    assert "AELP2_MODE='life'" in str(result.exception)
    assert getattr(result.exception, "exit_code", None) == 1


def test_a_passing_fault_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """BigQuery's own trouble is no verdict on the deployment: exit code 75, which Airflow repeats."""

    def busy(_settings: Settings, _warehouse: Warehouse) -> str:
        raise TryAgain("BigQuery failed")

    monkeypatch.setattr(deployment, "answers", busy)
    assert isinstance(run().exception, TryAgain)


def test_the_summary_for_airflow(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, mode and what failed: enough for the release to see which code ran, and no secret."""
    monkeypatch.setenv("AELP2_XCOM_FILE", str(tmp_path / "x.json"))
    monkeypatch.setenv("AELP2_POLICY", "/nowhere.yaml")
    run()
    told = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert (told["mode"], told["backend"], told["failed"], told["checks"]) == ("shadow", "duckdb", ["rules"], 5)
    assert told["version"].count(".") == 2


# --- in a pod


@pytest.mark.usefixtures("pod")
def test_a_reading_pod_has_its_credentials_and_shows_none(run: Run, tmp_path: Path) -> None:
    """Presence is told by the platform's name; no value, no part of one."""
    stored(tmp_path, "name_salt", "5" * 64)
    stored(tmp_path / "credentials", "reddit.yaml")
    result = run("--access", "read")
    assert result.exit_code == 0, result.output
    assert line(result, "credentials").endswith("of reddit")
    assert SECRET not in result.output
    assert "5" * 12 not in result.output


@pytest.mark.usefixtures("pod")
def test_a_pod_without_its_secret_stops(run: Run) -> None:
    """No salt, no credentials: two lines, each with what to do."""
    result = run("--access", "read")
    assert str(result.exception).startswith("not fit to run: salt, credentials;")
    assert "openssl rand -hex 32" in line(result, "salt")
    assert "the secret aelp2-google-ads-read" in line(result, "credentials")


@pytest.mark.usefixtures("pod")
def test_a_pod_holds_no_secret_that_is_not_its_own(run: Run, tmp_path: Path) -> None:
    """Least privilege, seen from inside: a modelling pod that could read credentials is a fault."""
    stored(tmp_path / "credentials", "meta.yaml")
    result = run("--access", "none")
    assert str(result.exception).startswith("not fit to run: credentials;")
    assert "meta.yaml can be read, but access 'none' means no credentials" in line(result, "credentials")


@pytest.mark.usefixtures("pod")
@pytest.mark.parametrize(("mode", "holds"), [("shadow", True), ("live", False)])
def test_a_mutating_pod_needs_credentials_only_when_live(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, holds: bool
) -> None:
    """M1: shadow mode needs none at all."""
    stored(tmp_path, "name_salt", "5" * 64)
    monkeypatch.setenv("AELP2_MODE", mode)
    result = run("--access", "mutate")
    assert line(result, "credentials").startswith("ok" if holds else "FAIL")


@pytest.mark.usefixtures("pod")
@pytest.mark.parametrize(
    ("text", "mode", "said"), [("", 0o600, "is empty"), ("a: b", 0o644, "others on this machine can reach it")]
)
def test_credentials_that_are_no_use_or_no_secret(run: Run, tmp_path: Path, text: str, mode: int, said: str) -> None:
    """An empty file and one that all can read are as bad as none."""
    stored(tmp_path, "name_salt", "5" * 64)
    stored(tmp_path / "credentials", "x.yaml", text)
    (tmp_path / "credentials" / "x.yaml").chmod(mode)
    assert said in line(run("--access", "read"), "credentials")


def test_on_a_laptop_secrets_and_disk_are_the_owners(run: Run, tmp_path: Path) -> None:
    """The same command line, as the local runner calls it, judges neither."""
    stored(tmp_path / "credentials", "meta.yaml")
    result = run("--access", "none")
    assert result.exit_code == 0
    assert "credentials" not in result.output
    assert "disk" not in result.output


# --- single checks


def test_the_disk_of_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files can be written; a root that is mounted for writing, a folder that takes a file, or root, is a fault."""
    flags = os.ST_RDONLY
    monkeypatch.setattr(deployment.os, "geteuid", lambda: 10001)
    monkeypatch.setattr(deployment.os, "statvfs", lambda _: SimpleNamespace(f_flag=flags))
    assert "takes files, nothing else does; user 10001" in deployment.disk(closed=(tmp_path / "is-not-there",))
    with pytest.raises(JobError, match="can be written to; the pod's root file system must be read-only"):
        deployment.disk(closed=(tmp_path,))
    assert list(tmp_path.iterdir()) == []
    flags = 0
    with pytest.raises(JobError, match="/ is mounted for writing"):
        deployment.disk(closed=())
    monkeypatch.setattr(deployment.os, "geteuid", lambda: 0)
    with pytest.raises(JobError, match="runs as root"):
        deployment.disk(closed=())


def test_what_is_wrong_with_a_table() -> None:
    """Missing, lacking, of another type; a column more is what a rollback leaves."""
    contract = load_contract("control.kill_switch")
    right = {field.name: field.type_name() for field in contract.fields}
    assert deployment.table_problem(contract, right, may_lack=False) is None
    assert deployment.table_problem(contract, right | {"added_later": "STRING"}, may_lack=False) is None
    assert deployment.table_problem(contract, None, may_lack=True) is None
    assert deployment.table_problem(contract, None, may_lack=False) == "control.kill_switch does not exist"
    wrong = deployment.table_problem(contract, right | {"is_on": "STRING"}, may_lack=False)
    assert wrong == "control.kill_switch: is_on is STRING, not BOOL"


def test_a_container_is_told_by_its_variable() -> None:
    """Kubernetes sets one in every pod, podman another in every container."""
    assert IN_CONTAINER({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert IN_CONTAINER({"container": "podman"})
    assert not IN_CONTAINER({"HOME": "/home/somebody"})


def test_the_places_that_must_be_closed_are_those_of_this_program() -> None:
    """Among them the folder of the code: who can write there can change what runs next."""
    assert Path(settings_module.__file__).resolve().parents[1] / "govern" in deployment._CLOSED
    assert Path("/") in deployment._CLOSED
