"""roll-back-changes: the exact earlier value where the budget is ours, once, logged; otherwise it stops and asks (M9)."""

import contextlib
import dataclasses
from typing import Any

import pytest
from act_world import ACCOUNT, MICROS, RUN_DATE, World, account
from click.testing import CliRunner

from tasks.act.roll_back_changes import LEASE_WAIT_SECONDS, command, due_sets, is_due
from tasks.act.stored import StoredSet
from tasks.core.errors import GateStop, JobError, Refused, TryAgain
from tasks.core.switches import flip
from tasks.core.warehouse.bigquery_lease import TTL_SECONDS

BEFORE = {k: v.amount_micros for k, v in account().items()}


def applied(world: World) -> StoredSet:
    stored = world.ready()
    world.apply(stored)
    return stored


def events(world: World, budget_id: str | None) -> list[str]:
    return [r.event for r in world.context.ledger.rows() if r.budget_id == budget_id]


def due(world: World) -> list[str]:
    return [s.change_set_id for s in due_sets(world.context)]


def test_the_exact_earlier_amounts_come_back(world: World) -> None:
    """M9: to the micro, last change first, checked by the platform before, read back after, each step in the chain."""
    world.platform.budgets["b1"].amount_micros = 400_010_000
    change = dataclasses.replace(world.change("b1", 0), amount_after_micros=420_010_000, highest_daily_spend_micros=420_010_000)
    stored = world.ready(change, world.change("b2", -15))
    world.apply(stored)
    world.platform.calls.clear()
    world.roll_back(stored)
    assert world.platform.amounts() == BEFORE | {"b1": 400_010_000}
    assert [m.budget_id for m in world.platform.ours()] == ["b1", "b2", "b2", "b1"]
    assert [c for c in world.platform.calls if c in ("validate", "mutate")] == ["validate", "mutate"] * 2
    assert events(world, "b1")[-2:] == ["rollback_intended", "rolled_back"]
    assert events(world, None)[-1] == "rolled_back"
    assert world.context.ledger.problems() == []
    rows = {r.event: r for r in world.context.ledger.rows() if r.budget_id == "b1"}
    assert (rows["rolled_back"].amount_before_micros, rows["rolled_back"].amount_after_micros) == (420_010_000, 400_010_000)
    assert (rows["rolled_back"].request_id or "").startswith("req-")
    assert "rolled_back" in world.safety_kinds()


def test_a_second_rollback_does_nothing(world: World) -> None:
    """M9: idempotent; nothing is sent, nothing is written."""
    stored = applied(world)
    world.roll_back(stored)
    rows, calls = world.context.ledger.rows(), list(world.platform.calls)
    assert world.roll_back(stored).endswith("nothing to roll back (it is rolled_back)")
    assert (world.context.ledger.rows(), world.platform.calls) == (rows, calls)


@pytest.mark.parametrize("step", ["propose", "decide", "snapshot", "reject", "promote"])
def test_without_receipts_it_is_no_work(world: World, step: str) -> None:
    """M9: a rollback task that fires because a gate failed finds nothing, asks nothing of the platform and ends well."""
    stored = world.propose()
    if step in ("decide", "snapshot", "reject"):
        world.decide(stored, "rejected" if step == "reject" else "approved")
    if step == "snapshot":
        world.snapshot(stored)
    if step == "promote":
        world.decide(stored)
        world.snapshot(stored)
        world.validate(stored)
        world.apply(stored)
        world.verify(stored)
        world.context.append(stored, "promoted")
    world.platform.calls.clear()
    assert "nothing to roll back" in world.roll_back(stored)
    assert (world.platform.calls, due(world), world.safety_kinds()) == ([], [], [])


def test_changes_never_applied_get_no_rollback_rows(world: World) -> None:
    """M9: the second of three was refused: only the first is restored, and the chain says nothing else."""
    stored = world.ready()
    world.platform.faults = ["ok", "refuse"]
    with pytest.raises(GateStop):
        world.apply(stored)
    assert due(world) == [stored.change_set_id]
    world.roll_back(stored)
    assert world.platform.amounts() == BEFORE
    assert events(world, "b1")[-2:] == ["rollback_intended", "rolled_back"]
    assert events(world, "b2") == ["mutate_intended", "failed"]
    assert events(world, "b3") == []
    assert [(m.budget_id, m.after) for m in world.platform.ours()] == [("b1", 420 * MICROS), ("b1", 400 * MICROS)]


def test_a_failed_validation_leaves_nothing_to_restore(world: World) -> None:
    """Nothing was intended: it is not due; asked for by hand, the set is closed and nothing is sent."""
    stored = world.propose()
    world.decide(stored)
    world.snapshot(stored)
    world.platform.refuse_validation = {"b2"}
    with pytest.raises(GateStop):
        world.validate(stored)
    assert due(world) == []
    world.roll_back(stored)
    assert (world.state(stored), world.platform.ours()) == ("rolled_back", [])


def test_somebodys_edit_is_left_alone_and_the_others_are_restored(world: World) -> None:
    """M9, M7: one micro of difference: that budget stops and asks, the other two are ours and go back; nothing is overwritten."""
    stored = applied(world)
    world.platform.edit("b2", 285 * MICROS + 10_000)
    with pytest.raises(Refused, match=r"budget b2 holds 285010000 micros, ours is 285000000.*edited outside"):
        world.roll_back(stored)
    assert world.platform.amounts() == BEFORE | {"b2": 285 * MICROS + 10_000}
    assert (world.state(stored), events(world, "b2")[-1]) == ("blocked", "blocked")
    assert "out_of_band_edit" in world.safety_kinds()


def test_once_it_is_ours_again_the_rollback_ends(world: World) -> None:
    """M9: a person puts our amount back and asks again: that one is restored, the others are not touched a second time."""
    stored = applied(world)
    world.platform.edit("b2", 290 * MICROS)
    with pytest.raises(Refused):
        world.roll_back(stored)
    sent = len(world.platform.ours())
    world.platform.edit("b2", 285 * MICROS)
    world.roll_back(stored)
    assert world.platform.amounts() == BEFORE
    assert [m.budget_id for m in world.platform.ours()[sent:]] == ["b2"]
    assert world.state(stored) == "rolled_back"


def test_an_edit_between_check_and_restore_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M9, M7: compare-and-set at the last moment: edited while the platform checked the row."""
    stored = applied(world)
    real = world.platform.set_budgets

    def check_and_meddle(account_id: str, amounts: list[Any], *, validate_only: bool) -> object:
        receipt = real(account_id, amounts, validate_only=validate_only)
        if validate_only and amounts[0].budget_id == "b3":
            world.platform.edit("b3", 222 * MICROS)
        return receipt

    monkeypatch.setattr(world.platform, "set_budgets", check_and_meddle)
    with pytest.raises(Refused, match="budget b3 holds 222000000"):
        world.roll_back(stored)
    assert world.platform.amounts() == BEFORE | {"b3": 222 * MICROS}


@pytest.mark.parametrize(("fault", "error"), [("refuse", GateStop), ("quota", TryAgain), ("lost_before", TryAgain)])
def test_what_could_not_be_restored_is_restored_by_the_next_run(world: World, fault: str, error: type[JobError]) -> None:
    """M9, M12: refused, out of quota or lost: loud, still due, and restored once by the run after."""
    stored = applied(world)
    world.platform.faults = [fault]
    with pytest.raises(error):
        world.roll_back(stored)
    assert world.platform.amounts() == BEFORE | {"b3": 195 * MICROS}
    assert due(world) == [stored.change_set_id]
    world.roll_back(stored)
    assert world.platform.amounts() == BEFORE
    restored = [m.budget_id for m in world.platform.ours()[3:]]
    assert sorted(restored) == ["b1", "b2", "b3"]


def test_a_lost_answer_of_a_restore_is_settled_by_reading(world: World) -> None:
    """M12: it was restored: adopted with a receipt, not done again."""
    stored = applied(world)
    world.platform.faults = ["lost_after"]
    world.roll_back(stored)
    assert [m.budget_id for m in world.platform.ours()[3:]] == ["b3", "b2", "b1"]
    row = next(r for r in world.context.ledger.rows() if (r.event, r.budget_id) == ("rolled_back", "b3"))
    assert row.detail() == {"recovered": True}


def test_the_platform_would_refuse_the_earlier_amount(world: World) -> None:
    """M8: checked before it is sent; a person restores by hand, the others are restored."""
    stored = applied(world)
    world.platform.refuse_validation = {"b2"}
    with pytest.raises(GateStop, match=r"would refuse to restore budget b2: .'TOO_LOW'.; restore it by hand"):
        world.roll_back(stored)
    assert world.platform.amounts() == BEFORE | {"b2": 285 * MICROS}


def test_the_kill_switch_holds_a_rollback_up_and_a_freeze_does_not(world: World) -> None:
    """M10: `all` is stillness, asked for by a person; the freeze after a breach must let the undoing through."""
    stored = applied(world)
    flip(world.warehouse, scope="all", is_on=True, why="stop", actor="maria")
    flip(world.warehouse, scope=f"google_ads:{ACCOUNT}", is_on=True, why="breach", actor="watch-canary")
    with pytest.raises(Refused, match="switch 'all' is on"):
        world.roll_back(stored)
    assert len(world.platform.ours()) == 3
    flip(world.warehouse, scope="all", is_on=False, why="go", actor="maria")
    world.roll_back(stored)
    assert world.platform.amounts() == BEFORE


def test_the_kill_switch_is_read_before_every_single_restore(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M10: thrown after the first restore, it holds the second up."""
    stored = applied(world)
    real = world.platform.set_budgets

    def set_and_kill(*args: Any, validate_only: bool) -> object:
        receipt = real(*args, validate_only=validate_only)
        if not validate_only:
            flip(world.warehouse, scope="all", is_on=True, why="stop", actor="maria")
        return receipt

    monkeypatch.setattr(world.platform, "set_budgets", set_and_kill)
    with pytest.raises(Refused, match="switch 'all' is on"):
        world.roll_back(stored)
    assert [m.budget_id for m in world.platform.ours()[3:]] == ["b3"]


@pytest.mark.parametrize("what", ["mode", "allow-list", "bytes"])
def test_no_rollback_of_what_may_not_be_touched(world: World, what: str) -> None:
    """M1: shadow mode, an account off the allow-list, tampered bytes: nothing is restored from them."""
    stored = applied(world)
    if what == "mode":
        world.context.settings = dataclasses.replace(world.context.settings, mode="shadow")
    elif what == "allow-list":
        world.use(allowed_accounts=())
    else:
        stored = dataclasses.replace(stored, canonical_json=stored.canonical_json.replace("400000000", "900000000"))
    with pytest.raises(Refused):
        world.roll_back(stored)
    assert len(world.platform.ours()) == 3


def test_the_lease_keeps_apply_and_rollback_apart(world: World) -> None:
    """M12: neither runs beside another run of either."""
    stored = applied(world)
    with world.warehouse.exclusive("mutations"), pytest.raises(Refused, match="lease"):
        world.roll_back(stored)
    assert len(world.platform.ours()) == 3


def test_half_a_rollback_is_due_whatever_the_watch_says(world: World) -> None:
    """M9: a person's rollback broke off half-way; the canary's good numbers must not leave it at half."""
    stored = applied(world)
    world.verify(stored)
    world.platform.faults = ["ok", "quota", "ok"]
    with pytest.raises(TryAgain):
        world.roll_back(stored)
    history = world.context.ledger.history(stored.change_set_id)
    assert history.state == "verified"
    for verdict in (None, "keep_watching", "promote", "roll_back"):
        assert is_due(history, verdict)


def test_a_calm_canary_is_not_due(world: World) -> None:
    """Only a breach, an unfinished apply or a begun rollback undoes by itself."""
    stored = applied(world)
    history = world.context.ledger.history(stored.change_set_id)
    assert [v for v in (None, "keep_watching", "promote", "roll_back") if is_due(history, v)] == ["roll_back"]


def test_the_safety_event_is_written_before_the_set_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Died between the two: the next run writes both; the other way round nobody would have heard of it."""
    stored = applied(world)
    real = world.context.append

    def die(stored: object, event: str, change: object = None, **facts: object) -> object:
        if event == "rolled_back" and change is None:
            raise ConnectionError("away")
        return real(stored, event, change, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(world.context, "append", die)
    with pytest.raises(ConnectionError):
        world.roll_back(stored)
    assert "rolled_back" in world.safety_kinds()
    monkeypatch.setattr(world.context, "append", real)
    world.roll_back(stored)
    assert world.state(stored) == "rolled_back"


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command on this world."""
    monkeypatch.setattr("tasks.act.context.Context.from_environment", lambda: world.context)

    def invoke(*arguments: str) -> Any:
        return CliRunner().invoke(command, ["--run-date", RUN_DATE.isoformat(), *arguments])

    return invoke


def test_the_command_waits_for_the_lease_of_a_run_that_was_killed(
    world: World, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody starts a rollback a second time, so it waits for longer than a dead pod's lease lives; then it undoes."""
    stored = applied(world)
    dead = contextlib.ExitStack()
    dead.enter_context(world.warehouse.exclusive("mutations"))
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            dead.close()

    monkeypatch.setattr("tasks.act.roll_back_changes.time.sleep", sleep)
    ended = run("--change-set-id", stored.change_set_id, "--why", "test", "--live")
    assert ended.exit_code == 0, ended.output
    assert len(waits) == 3
    assert world.platform.amounts() == BEFORE
    assert LEASE_WAIT_SECONDS > TTL_SECONDS


def test_the_command_does_nothing_unless_asked(world: World, run: Any) -> None:
    """A dry run is the default: it says what it would do; --live does it; without anything due it ends well."""
    assert "no canary has to be rolled back" in run("--live").output
    stored = world.ready()
    world.platform.faults = ["ok", "refuse"]
    with pytest.raises(GateStop):
        world.apply(stored)
    assert f"{stored.change_set_id}: would be rolled back (dry run; --live does it)" in run().output
    assert world.platform.amounts()["b1"] == 420 * MICROS
    assert "rolled back and read back" in run("--live").output
    assert world.platform.amounts() == BEFORE


def test_a_rollback_by_hand_needs_its_reason(world: World, run: Any) -> None:
    """The reason is kept in the chain."""
    stored = applied(world)
    for why in ((), ("--why", " ")):
        assert run("--change-set-id", stored.change_set_id, "--live", *why).exit_code == 2
    assert run("--change-set-id", stored.change_set_id, "--live", "--why", "wrong page").exit_code == 0
    assert world.context.ledger.rows()[-1].detail() == {"changes": 3, "why": "wrong page"}


def test_one_bad_set_does_not_hold_the_others_up(world: World, run: Any) -> None:
    """Two sets are due; the first is blocked by an edit, the second is restored all the same, and the error is raised."""
    first = world.ready(world.change("b1", 20), world.change("b2", -15))
    world.platform.faults = ["ok", "refuse"]
    with pytest.raises(GateStop):
        world.apply(first)
    second = world.ready(world.change("b3", 5), world.change("b4", -5), author="other")
    world.platform.faults = ["ok", "refuse"]
    with pytest.raises(GateStop):
        world.apply(second)
    world.platform.edit("b1", 444 * MICROS)
    result = run("--live")
    assert isinstance(result.exception, Refused)
    assert world.platform.amounts() == BEFORE | {"b1": 444 * MICROS}
    assert (world.state(first), world.state(second)) == ("blocked", "rolled_back")
