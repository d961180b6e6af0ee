"""kill -9 of the real apply against the sandbox, and two applies at once. Every step of it: tests/act/test_crashes.py."""

import signal
from collections.abc import Callable

import pytest
from loop_world import Stage, after, steps, until

At = Callable[[str], Stage]
HOLD_S = 6  # longer than the kill takes


def hits(stage: Stage, kind: str) -> int:
    return sum(fault["hits"] for fault in stage.sandbox.admin.faults() if fault["kind"] == kind)


def hold_second_mutation(stage: Stage, *more: str) -> None:
    """The second budget's mutation hangs; then the faults ``more`` hit it."""
    for kind in ("delay", *more):
        fields = {"seconds": HOLD_S} if kind == "delay" else {}
        stage.sandbox.admin.fault(kind, method="mutate", skip=1, **fields)


# Where the process dies → the state of the second change then, and whether the platform has made it (at once, or in the end).
PLACES = {
    "asked, never made": ("mutate_intended", False),
    "asked, made after the death": ("mutate_intended", True),
    "made, the answer lost": ("mutate_intended", True),
    "receipt written, not read back": ("applied", True),
}


def kill_at(stage: Stage, place: str) -> None:
    """Run the apply and end it by SIGKILL at ``place``."""
    hold_second_mutation(stage, *(["unavailable"] if "never" in place else ["lost_response"] if "lost" in place else []))
    apply = stage.start("apply-changes", "--live")
    until(lambda: hits(stage, "delay") == 1, "the second mutation")
    if "lost" in place or "receipt" in place:
        stage.sandbox.admin.fault("delay", method="search_stream", resource="campaign_budget", seconds=HOLD_S)
        until(lambda: hits(stage, "delay") == 2, "the read after it")
    apply.kill()
    apply.communicate()
    assert apply.returncode == -signal.SIGKILL
    if "after the death" in place:
        until(lambda: len(stage.made()) == 2, "the mutation that was on its way")
    if "never" in place:
        until(lambda: hits(stage, "unavailable") == 1, "the end of the mutation that was on its way")


@pytest.mark.parametrize("place", PLACES)
def test_kill_9_and_run_again(stage_at: At, place: str) -> None:
    """The second run ends where an undisturbed one ends: same budgets, same rows, each change made once, in order (M12)."""
    undisturbed = ["mutate_intended", "applied", "verified"]
    stage = stage_at("validated")
    planned, amounts = stage.change_set(), stage.amounts()
    begun = stage.events()
    kill_at(stage, place)
    second = planned.changes[1]
    state, was_made = PLACES[place]
    assert state == stage.ledger.history(planned.change_set_id).change_state(second.change_id)
    assert steps(planned)[: 1 + was_made] == stage.made()

    stage.sandbox.admin.clear_faults()
    stage.must("apply-changes", "--live")
    stage.must("verify-changes")
    assert amounts | after(planned) == stage.amounts()
    assert steps(planned) == stage.made()
    each = [(c.change_id, event) for c in planned.changes for event in undisturbed]
    assert [*begun, *each, ("", "applied"), ("", "verified")] == stage.events()
    assert "the ledger verifies" in stage.must("verify-ledger")


def test_kill_9_of_a_rollback_and_run_again(stage_at: At) -> None:
    """Killed while the second budget is being restored: the next run restores the rest, each budget once."""
    stage = stage_at("breached")
    planned, amounts = stage.change_set(), stage.amounts()
    hold_second_mutation(stage, "lost_response")
    rollback = stage.start("roll-back-changes", "--live", day=stage.today)
    until(lambda: hits(stage, "delay") == 1, "the second restoring mutation")
    rollback.kill()
    rollback.communicate()
    stage.sandbox.admin.clear_faults()

    stage.must("roll-back-changes", "--live", day=stage.today)
    assert amounts | {c.budget_id: c.amount_before_micros for c in planned.changes} == stage.amounts()
    back = [(budget, new, old) for budget, old, new in reversed(steps(planned))]
    assert [*steps(planned), *back] == stage.made()
    assert stage.state() == "rolled_back"
    stage.must("verify-ledger")


def test_two_applies_at_once(stage_at: At) -> None:
    """One wins, the other is refused while it runs; each change is made once."""
    stage = stage_at("validated")
    planned = stage.change_set()
    stage.sandbox.admin.fault("delay", method="mutate", seconds=HOLD_S)
    racers = [stage.start("apply-changes", "--live") for _ in range(2)]
    ends = [racer.communicate(timeout=120) for racer in racers]
    assert sorted(racer.returncode for racer in racers) == [0, 4], ends
    (loser,) = [err for racer, (_, err) in zip(racers, ends, strict=True) if racer.returncode == 4]
    assert "another run holds the lease" in loser
    assert steps(planned) == stage.made()
    assert stage.state() == "applied"
    stage.must("verify-ledger")
