"""The kill command: stops at once, says why, and does not look as if it had worked when it has not (M10)."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tasks.core.errors import JobError
from tasks.core.switches import read_switches
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.govern.kill import command

Run = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> DuckDBWarehouse:
    """A file is there and no table is in it."""
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    warehouse.query("SELECT 1 AS one")
    return warehouse


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on an empty warehouse, at eight in the morning, as maria."""
    for name, value in {
        "AELP2_DUCKDB_PATH": str(tmp_path / "w.duckdb"),
        "AELP2_NOW": "2026-03-02T08:00:00+00:00",
        "AELP2_ACTOR": "maria",
        "AELP2_MODE": "shadow",
        "AELP2_BACKEND": "duckdb",
    }.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(command, list(arguments))


def safety(store: DuckDBWarehouse) -> list[tuple[date, str, str, str]]:
    frame = store.query("SELECT run_date, account_id, severity, detail FROM control.safety_events ORDER BY run_date")
    return list(frame.iter_rows())


def test_one_command_stops_everything(run: Run, store: DuckDBWarehouse) -> None:
    """M10: without a date, a scope or any table being there: the switch is on, and a critical event says by whom and why."""
    result = run("--why", "wrong prices")
    assert result.exit_code == 0, result.output
    assert "all: ON  mutations stopped (since 2026-03-02 08:00 UTC, maria: wrong prices)" in result.output
    switch = read_switches(store)["all"]
    assert (switch.is_on, switch.actor, switch.why) == (True, "maria", "wrong prices")
    assert safety(store) == [(date(2026, 3, 2), "all", "critical", "switch all no. 0000000001 is on, by maria: wrong prices")]


def test_it_is_switched_off_again(run: Run, store: DuckDBWarehouse) -> None:
    """Each switching is an event of its own, filed under the day it is given."""
    run("--why", "wrong prices")
    result = run("--off", "--why", "right again", "--run-date", "2026-03-05")
    assert "all: off (since" in result.output
    assert not read_switches(store)["all"].is_on
    assert [(day, severity) for day, _, severity, _ in safety(store)] == [
        (date(2026, 3, 2), "critical"),
        (date(2026, 3, 5), "warning"),
    ]


def test_the_freeze_of_an_account_leaves_the_others(run: Run, store: DuckDBWarehouse) -> None:
    """The switch for all and that of an account do not touch each other."""
    run("--scope", "google_ads:111", "--why", "breach")
    run("--why", "stop")
    run("--off", "--why", "go")
    assert {k: v.is_on for k, v in read_switches(store).items()} == {"google_ads:111": True, "all": False}


def test_a_mistyped_account_is_said(run: Run, store: DuckDBWarehouse) -> None:
    """M10: Google shows ids with dashes; a freeze of such an id freezes nothing, so the person is told at once."""
    result = run("--scope", "google_ads:123-456-7890", "--why", "stop")
    assert result.exit_code == 0
    assert "no change set was ever proposed for google_ads:123-456-7890: is the account id right" in result.output
    assert "no change set" not in run("--why", "stop").output


def test_looking_changes_nothing(run: Run, store: DuckDBWarehouse) -> None:
    """--status needs no reason and writes no row."""
    assert "no switch was ever used" in run("--status").output
    run("--why", "stop")
    assert "all: ON" in run("--status").output
    assert store.query("SELECT COUNT(*) AS n FROM control.kill_switch")["n"][0] == 1


@pytest.mark.parametrize("arguments", [("--why", "stop"), ("--off", "--why", "go"), ("--status",)])
def test_a_warehouse_that_is_not_there_is_not_stopped(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """M10: in the wrong folder, or without AELP2_BACKEND=bigquery, it says so and makes no file in which all looks stopped."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "elsewhere.duckdb"))
    result = run(*arguments)
    assert isinstance(result.exception, JobError)
    assert f"no warehouse in {tmp_path}/elsewhere.duckdb" in str(result.exception)
    assert "AELP2_BACKEND=bigquery" in str(result.exception)
    assert not (tmp_path / "elsewhere.duckdb").exists()


def test_it_says_which_warehouse_it_stopped(run: Run, store: DuckDBWarehouse, tmp_path: Path) -> None:
    """A laptop's file and the environment's datasets look alike in everything else."""
    for arguments in (("--why", "stop"), ("--status",)):
        assert f"switches in {tmp_path}/w.duckdb, a file of this machine:" in run(*arguments).output


@pytest.mark.parametrize("arguments", [(), ("--off",), ("--why", "  ")])
def test_without_a_reason_nothing_is_switched(run: Run, store: DuckDBWarehouse, arguments: tuple[str, ...]) -> None:
    """Whoever finds the system stopped, or running again, must know why."""
    assert run(*arguments).exit_code == 2
    assert read_switches(store) == {}


def test_an_unknown_scope_is_an_error(run: Run, store: DuckDBWarehouse) -> None:
    """Loud, not a switch that nobody reads."""
    result = run("--scope", "everything", "--why", "stop")
    assert isinstance(result.exception, JobError)
    assert read_switches(store) == {}


def test_a_switching_is_never_nameless(run: Run, store: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without AELP2_ACTOR it is the user of the machine."""
    monkeypatch.delenv("AELP2_ACTOR")
    monkeypatch.setattr("getpass.getuser", lambda: "mario")
    run("--why", "stop")
    assert read_switches(store)["all"].actor == "user:mario"


def test_the_switch_holds_though_its_event_cannot_be_written(
    run: Run, store: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M10: first the switch, then everything else."""

    def broken(*_args: object, **_facts: object) -> None:
        raise ConnectionError("safety away")

    monkeypatch.setattr("tasks.core.safety.record", broken)
    assert isinstance(run("--why", "stop").exception, ConnectionError)
    assert read_switches(store)["all"].is_on
