"""promote-changes: closes a canary that ended well, and nothing else."""

from typing import Any

import polars as pl
import pytest
from act_world import MICROS, NOW, RUN_DATE, World
from click.testing import CliRunner

from tasks.act.promote_changes import command, promote
from tasks.act.stored import StoredSet
from tasks.core.contracts import load_contract
from tasks.core.errors import Refused, TryAgain


def verified(world: World) -> StoredSet:
    stored = world.ready()
    world.apply(stored)
    world.verify(stored)
    return stored


def watched(world: World, stored: StoredSet, result: str, day: int = 3) -> None:
    table = "control.canary_watch"
    row = {
        "change_set_id": stored.change_set_id,
        "run_date": RUN_DATE.replace(day=RUN_DATE.day + day),
        "guardrail": "verdict",
        "result": result,
        "detail": "x",
        "watched_at": NOW,
    }
    world.warehouse.merge(table, pl.DataFrame([row], schema=load_contract(table).polars_schema()))


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command on this world."""
    monkeypatch.setattr("tasks.act.context.Context.from_environment", lambda: world.context)
    return lambda *arguments: CliRunner().invoke(command, ["--run-date", RUN_DATE.isoformat(), *arguments])


def test_a_good_watch_closes_the_canary(world: World, run: Any) -> None:
    """The amounts stay, nothing is sent, the chain ends; a second run finds nothing and a named one says so (M11, M12)."""
    stored = verified(world)
    watched(world, stored, "promote")
    world.platform.calls.clear()
    assert "promoted (its watch ended well)" in run().output
    assert (world.state(stored), world.platform.calls) == ("promoted", [])
    rows = world.context.ledger.rows()
    assert "no canary is to be promoted" in run().output
    assert "promoted already" in run("--change-set-id", stored.change_set_id).output
    assert world.context.ledger.rows() == rows


@pytest.mark.parametrize("verdict", [None, "keep_watching", "roll_back"])
def test_any_other_watch_does_not(world: World, run: Any, verdict: str | None) -> None:
    """No verdict is not a good one; asked for by name it is refused."""
    stored = verified(world)
    if verdict:
        watched(world, stored, verdict)
    assert "no canary is to be promoted" in run().output
    assert isinstance(run("--change-set-id", stored.change_set_id).exception, Refused)
    assert world.state(stored) == "verified"


def test_the_newest_watch_counts(world: World, run: Any) -> None:
    """An older good day does not outweigh a later bad one, in whatever order they were written."""
    stored = verified(world)
    watched(world, stored, "roll_back", day=5)
    watched(world, stored, "promote", day=4)
    assert "no canary is to be promoted" in run().output


@pytest.mark.parametrize("upto", ["propose", "ready", "apply", "roll_back"])
def test_only_a_verified_set_is_promoted(world: World, upto: str) -> None:
    """M11: never what was not read back, nor what was undone."""
    stored = world.propose() if upto == "propose" else world.ready()
    if upto in ("apply", "roll_back"):
        world.apply(stored)
    if upto == "roll_back":
        world.roll_back(stored)
    with pytest.raises(Refused, match="cannot be promoted"):
        promote(world.context, stored, "promote", None)


def test_half_a_rollback_is_never_promoted(world: World) -> None:
    """M9: b3 is restored, b2 is not yet, the set still says verified: keeping that would be neither the old nor the new plan."""
    stored = verified(world)
    world.platform.faults = ["ok", "quota", "quota"]
    with pytest.raises(TryAgain):
        world.roll_back(stored)
    assert world.state(stored) == "verified"
    with pytest.raises(Refused, match=r"the rollback of .* was begun"):
        promote(world.context, stored, "promote", None)
    world.roll_back(stored)
    assert world.state(stored) == "rolled_back"


def test_nothing_is_promoted_while_a_rollback_runs(world: World) -> None:
    """M9, M12: both hold the same lease, so a set cannot be closed as kept while it is being restored."""
    stored = verified(world)
    with world.warehouse.exclusive("mutations"), pytest.raises(Refused, match="lease"):
        promote(world.context, stored, "promote", None)
    assert world.state(stored) == "verified"


def test_a_blocked_set_waits_for_a_person(world: World, run: Any) -> None:
    """M7: refused without a reason whatever the watch says; with one the person's word is in the chain and nothing is sent."""
    stored = verified(world)
    world.platform.edit("b2", 290 * MICROS)
    with pytest.raises(Refused):
        world.roll_back(stored)
    watched(world, stored, "promote")
    assert isinstance(run().exception, Refused)
    sent = len(world.platform.ours())
    assert run("--change-set-id", stored.change_set_id, "--why", "agreed with the agency").exit_code == 0
    assert (world.state(stored), len(world.platform.ours())) == ("promoted", sent)
    assert world.context.ledger.rows()[-1].detail() == {"why": "agreed with the agency"}


def test_a_blocked_set_that_was_never_applied_is_not_kept(world: World) -> None:
    """There is nothing to keep; the rollback closes it."""
    stored = world.propose()
    world.decide(stored)
    world.platform.edit("b1", 401 * MICROS)
    with pytest.raises(Refused):
        world.snapshot(stored)
    with pytest.raises(Refused, match="never fully applied"):
        promote(world.context, stored, "promote", "keep")
    world.roll_back(stored)
    assert world.state(stored) == "rolled_back"


def test_a_reason_alone_names_no_set(run: Any) -> None:
    """--why goes with one set and must say something."""
    assert run("--why", "x").exit_code == 2
    assert run("--change-set-id", "x", "--why", " ").exit_code == 2
