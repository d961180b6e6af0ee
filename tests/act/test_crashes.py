"""kill -9 at every step: the next run ends in the state of an undisturbed one. Two applies at once: one wins."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from act_world import MICROS, NOW, RUN_DATE, account, change, live_policy, propose, settings
from memory_platform import MemoryPlatform

from tasks.act.apply_changes import apply_changes
from tasks.act.context import Context
from tasks.act.record_approval import record_approval
from tasks.act.snapshot_budgets import snapshot_budgets
from tasks.act.validate_changes import validate_changes
from tasks.core.ledger import Ledger
from tasks.core.warehouse.duckdb import DuckDBWarehouse

pytestmark = pytest.mark.slow
DRIVER = Path(__file__).with_name("crash_driver.py")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a warehouse and an account in which a set of two changes is validated and waits to be applied."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AELP2_NOW", NOW.isoformat())
        platform = MemoryPlatform(account(), file=folder / "platform.json")
        warehouse = DuckDBWarehouse(folder / "w.duckdb")
        context = Context(settings(folder), live_policy(), warehouse, lambda _n: platform)
        budgets = platform.budgets
        changes = [
            change("b1", 400 * MICROS, 420 * MICROS, budgets),
            change("b2", 300 * MICROS, 285 * MICROS, budgets),
        ]
        stored = propose(warehouse, changes, base=1000 * MICROS)
        identity = {"change_set_id": stored.change_set_id, "sha256": stored.sha256}
        record_approval(context, **identity, decision="approved", approver="maria", approval_ref="r")
        snapshot_budgets(context, stored, RUN_DATE)
        validate_changes(context, stored, RUN_DATE)
    return folder, stored.change_set_id


def start(folder: Path, job: str, change_set_id: str, last: int) -> "subprocess.Popen[str]":
    command = [sys.executable, str(DRIVER), str(folder), job, change_set_id, str(last)]
    env = os.environ | {"AELP2_NOW": NOW.isoformat()}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def drive(folder: Path, job: str, change_set_id: str, last: int) -> tuple[int, str, str]:
    process = start(folder, job, change_set_id, last)
    out, err = process.communicate(timeout=1200)
    return process.returncode, out, err


def outcome(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]], list[tuple[str, int, int]], list[str]]:
    """Budgets, ledger events in order, what we set, and the ledger's problems."""
    platform, ledger = MemoryPlatform({}, file=folder / "platform.json"), Ledger(DuckDBWarehouse(folder / "w.duckdb"))
    events = [(r.change_id, r.event) for r in ledger.rows()]
    return platform.amounts(), events, [(m.budget_id, m.before, m.after) for m in platform.ours()], ledger.problems()


def undisturbed(prepared: tuple[Path, str], tmp_path: Path, job: str) -> tuple[tuple[object, ...], int, Path]:
    """The outcome of a run that nobody killed, how many places there are to kill it at, and the folder."""
    folder = tmp_path / "undisturbed"
    shutil.copytree(prepared[0], folder)
    if job == "roll_back":
        assert drive(folder, "apply", prepared[1], -1)[0] == 0
        shutil.copytree(folder, tmp_path / "applied")
    code, out, err = drive(folder, job, prepared[1], -1)
    assert code == 0, err
    return outcome(folder), int(out.strip().rsplit("calls=", 1)[1]), tmp_path / "applied" if job == "roll_back" else prepared[0]


@pytest.mark.parametrize("job", ["apply", "roll_back"])
def test_kill_9_at_every_step(prepared: tuple[Path, str], tmp_path: Path, job: str) -> None:
    """Before and after each write and each platform call: the same budgets, the same rows, each change made once (M12)."""
    expected, places, base = undisturbed(prepared, tmp_path, job)
    assert places >= 20
    for place in range(places):
        folder = tmp_path / f"kill-{place}"
        shutil.copytree(base, folder)
        code, _, err = drive(folder, job, prepared[1], place)
        assert code == -signal.SIGKILL, (place, err)
        code, _, err = drive(folder, job, prepared[1], -1)
        # Killed after the last write of a finished job, the second run rightly refuses or finds nothing to do.
        assert code in (0, 4) if place >= places - 3 else code == 0, (place, err)
        assert outcome(folder) == expected, place
        shutil.rmtree(folder)


def test_two_applies_at_once(prepared: tuple[Path, str], tmp_path: Path) -> None:
    """One wins, the other is refused; each change is made once."""
    folder = tmp_path / "race"
    shutil.copytree(prepared[0], folder)
    racers = [start(folder, "apply", prepared[1], -1) for _ in range(2)]
    ends = [racer.communicate(timeout=1200) for racer in racers]
    assert sorted(racer.returncode for racer in racers) == [0, 4], ends
    budgets, _, ours, problems = outcome(folder)
    assert (budgets["b1"], budgets["b2"]) == (420 * MICROS, 285 * MICROS)
    assert (ours, problems) == ([("b1", 400 * MICROS, 420 * MICROS), ("b2", 300 * MICROS, 285 * MICROS)], [])


def test_the_killed_process_leaves_no_lease(prepared: tuple[Path, str], tmp_path: Path) -> None:
    """A lease dies with its holder: the next run need not wait."""
    folder = tmp_path / "lease"
    shutil.copytree(prepared[0], folder)
    assert drive(folder, "apply", prepared[1], 3)[0] == -signal.SIGKILL
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AELP2_NOW", NOW.isoformat())
        platform, warehouse = MemoryPlatform({}, file=folder / "platform.json"), DuckDBWarehouse(folder / "w.duckdb")
        context = Context(settings(folder), live_policy(), warehouse, lambda _n: platform)
        from tasks.act.stored import load_set

        assert "2 changes applied" in apply_changes(context, load_set(warehouse, prepared[1]), RUN_DATE)
