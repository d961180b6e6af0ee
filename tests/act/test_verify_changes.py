"""verify-changes: every budget is read back once more when the whole set is applied (M8)."""

import pytest
from act_world import MICROS, World

from tasks.core.errors import GateStop, NothingToDo


def test_every_budget_is_read_back(world: World) -> None:
    """The amounts are said in money; the set is verified, once."""
    stored = world.ready()
    world.apply(stored)
    text = world.verify(stored)
    assert "budget b1 holds 420.00 USD" in text
    assert "budget b3 holds 195.00 USD" in text
    assert world.state(stored) == "verified"
    rows = world.context.ledger.rows()
    world.verify(stored)
    assert world.context.ledger.rows() == rows


def test_a_difference_stops_the_line(world: World) -> None:
    """M8, M7: one budget holds something else: exit 3, blocked, a safety event, nothing is sent."""
    stored = world.ready()
    world.apply(stored)
    world.platform.edit("b3", 195 * MICROS + 10_000)
    sent = len(world.platform.ours())
    with pytest.raises(GateStop, match="budget b3 set to 195000000 micros, holds 195010000"):
        world.verify(stored)
    assert (world.state(stored), len(world.platform.ours())) == ("blocked", sent)
    assert "out_of_band_edit" in world.safety_kinds()


def test_what_was_set_and_not_kept_is_found_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M8: the platform said yes and kept the old amount: the apply itself stops, the next budget is not tried."""
    stored = world.ready()
    monkeypatch.setattr(world.platform, "_set", lambda *_a: None)
    with pytest.raises(GateStop, match="budget b1 set to 420000000 micros, holds 400000000"):
        world.apply(stored)
    assert world.state(stored) == "blocked"
    assert [c for c in world.platform.calls if c == "mutate"] == ["mutate"]


@pytest.mark.parametrize("upto", ["propose", "ready", "rolled back"])
def test_what_is_not_applied_is_nothing_to_verify(world: World, upto: str) -> None:
    """99: the task is skipped; nothing is read, nothing is written."""
    stored = world.propose() if upto == "propose" else world.ready()
    if upto == "rolled back":
        world.apply(stored)
        world.roll_back(stored)
    rows = world.context.ledger.rows()
    with pytest.raises(NothingToDo, match="nothing applied to verify"):
        world.verify(stored)
    assert world.context.ledger.rows() == rows
