"""kill -9 of the real apply against the sandbox, and two applies at once. Every step of it: tests/act/test_crashes.py."""

import signal
import subprocess
from collections.abc import Callable

import pytest
from loop_world import Stage, after, steps, until

At = Callable[[str], Stage]
HELD = 300.0  # seconds; the test lets the call go long before

# Where the process dies → the state of the second change then, and whether the platform has made it (at once, or in the end).
PLACES = {
    "asked, never made": ("mutate_intended", False),
    "asked, made after the death": ("mutate_intended", True),
    "made, the answer lost": ("mutate_intended", True),
    "receipt written, not read back": ("applied", True),
}


def hits(stage: Stage, kind: str) -> int:
    return sum(fault["hits"] for fault in stage.sandbox.admin.faults() if fault["kind"] == kind)


def start_and_hold(stage: Stage, command: str, fault: str | None = None, skip: int = 1) -> "subprocess.Popen[str]":
    """Start ``command`` and return while the mutate call after ``skip`` others is held; once it may go on, ``fault`` hits it."""
    for kind, more in (("delay", {"seconds": HELD}), (fault, {})):
        if kind is not None:
            stage.sandbox.admin.fault(kind, method="mutate", skip=skip, **more)
    process = stage.start(command, "--live", day=stage.today)
    until(lambda: hits(stage, "delay") == 1, "the mutation to hold")
    return process


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def kill_at(stage: Stage, place: str) -> None:
    """Run the apply and end it by SIGKILL at ``place``."""
    if place == "asked, never made":
        kill(start_and_hold(stage, "apply-changes", "unavailable"))
        stage.sandbox.admin.clear_faults(kind="delay")
        until(lambda: hits(stage, "unavailable") == 1, "the end of the mutation that was on its way")
    elif place == "asked, made after the death":
        kill(start_and_hold(stage, "apply-changes"))
        stage.sandbox.admin.clear_faults()
        until(lambda: len(stage.made()) == 2, "the mutation that was on its way")
    else:
        apply = start_and_hold(stage, "apply-changes", "lost_response" if "lost" in place else None)
        stage.sandbox.admin.fault("delay", method="search_stream", resource="campaign_budget", seconds=HELD)
        stage.sandbox.admin.clear_faults(kind="delay", method="mutate")
        until(lambda: hits(stage, "delay") == 1, "the read after it")
        kill(apply)
    stage.sandbox.admin.clear_faults()


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

    stage.must("apply-changes", "--live")
    assert amounts | after(planned) == stage.amounts()
    assert steps(planned) == stage.made()
    each = [(c.change_id, event) for c in planned.changes for event in undisturbed]
    assert [*begun, *each, ("", "applied")] == stage.events()
    assert stage.ledger.problems() == []


def test_kill_9_of_a_rollback_and_run_again(stage_at: At) -> None:
    """Killed while the second budget is being restored: the next run restores the rest, each budget once."""
    stage = stage_at("breached")
    planned, amounts = stage.change_set(), stage.amounts()
    kill(start_and_hold(stage, "roll-back-changes", skip=3))  # each restoring mutation is checked first
    stage.sandbox.admin.clear_faults()
    until(lambda: len(stage.made()) == len(planned.changes) + 2, "the mutation that was on its way")

    stage.must("roll-back-changes", "--live", day=stage.today)
    assert amounts | {c.budget_id: c.amount_before_micros for c in planned.changes} == stage.amounts()
    back = [(budget, new, old) for budget, old, new in reversed(steps(planned))]
    assert [*steps(planned), *back] == stage.made()
    assert (stage.state(), stage.ledger.problems()) == ("rolled_back", [])


def test_two_applies_at_once(stage_at: At) -> None:
    """One wins, the other is refused while it runs; each change is made once."""
    stage = stage_at("validated")
    planned = stage.change_set()
    stage.sandbox.admin.fault("delay", method="mutate", seconds=HELD)
    racers = [stage.start("apply-changes", "--live") for _ in range(2)]
    until(lambda: any(racer.poll() is not None for racer in racers), "the refusal of one")
    until(lambda: hits(stage, "delay") == 1, "the first mutation of the other")
    stage.sandbox.admin.clear_faults()
    ends = [racer.communicate(timeout=1200) for racer in racers]
    assert sorted(racer.returncode for racer in racers) == [0, 4], ends
    (loser,) = [err for racer, (_, err) in zip(racers, ends, strict=True) if racer.returncode == 4]
    assert "another run holds the lease" in loser
    assert steps(planned) == stage.made()
    assert (stage.state(), stage.ledger.problems()) == ("applied", [])
