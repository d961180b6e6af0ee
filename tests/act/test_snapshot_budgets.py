"""snapshot-budgets: what the account holds right now, taken once, of exactly what was approved (M7)."""

import dataclasses

import pytest
from act_world import MICROS, World, account

from tasks.act.kinds import Budgets
from tasks.core.errors import Refused


def test_the_snapshot_holds_what_the_account_holds(world: World) -> None:
    """Amount, membership, sharing and status of each budget of the set, of no other, and nothing is sent."""
    stored = world.propose()
    world.decide(stored)
    world.snapshot(stored)
    amounts = {"b1": 400 * MICROS, "b2": 300 * MICROS, "b3": 200 * MICROS}
    names = {c.change_id: amounts[c.budget_id] for c in stored.verified().changes}
    assert Budgets().read_snapshot(world.context, stored.change_set_id) == names
    rows = world.warehouse.query(
        "SELECT budget_id, is_explicitly_shared, member_campaign_ids, status FROM control.canary_budgets_snapshot "
        "ORDER BY budget_id"
    ).to_dicts()
    assert rows[2] == {"budget_id": "b3", "is_explicitly_shared": True, "member_campaign_ids": ["c3", "c4"], "status": "ENABLED"}
    assert (world.state(stored), world.platform.ours()) == ("snapshot", [])


def test_a_second_snapshot_changes_nothing(world: World) -> None:
    """M12: same rows, same chain; the first reading stands."""
    stored = world.propose()
    world.decide(stored)
    world.snapshot(stored)
    rows = world.context.ledger.rows()
    world.at(1)
    world.snapshot(stored)
    assert world.context.ledger.rows() == rows
    assert world.warehouse.query("SELECT COUNT(*) AS n FROM control.canary_budgets_snapshot")["n"][0] == 3


@pytest.mark.parametrize("when", ["before the snapshot", "before a second one"])
def test_an_edit_since_the_plan_blocks(world: World, when: str) -> None:
    """M7: a person decides; the later budgets of the set are not read as if nothing had happened."""
    stored = world.propose()
    world.decide(stored)
    if when == "before a second one":
        world.snapshot(stored)
    world.platform.edit("b2", 300 * MICROS + 10_000)
    with pytest.raises(Refused, match="budget b2 holds 300010000 micros, the plan was made for 300000000"):
        world.snapshot(stored)
    assert world.state(stored) == "blocked"
    assert "out_of_band_edit" in world.safety_kinds()
    with pytest.raises(Refused):
        world.validate(stored)


def test_a_tampered_snapshot_is_no_permission(world: World) -> None:
    """M7: the snapshot must equal what was approved, and the account must equal the snapshot; moving both is seen."""
    stored = world.ready()
    world.warehouse.tamper("UPDATE control.canary_budgets_snapshot SET amount_micros = 380000000 WHERE budget_id = 'b1'")
    world.platform.budgets["b1"].amount_micros = 380 * MICROS
    with pytest.raises(Refused, match="budget b1: snapshot 380000000, approved from 400000000"):
        world.apply(stored)
    assert world.platform.ours() == []


def test_without_its_snapshot_nothing_is_applied(world: World) -> None:
    """M7: no row, no compare-and-set, no mutation."""
    stored = world.ready()
    world.warehouse.tamper("DELETE FROM control.canary_budgets_snapshot WHERE budget_id = 'b1'")
    with pytest.raises(Refused, match="budget b1: snapshot None"):
        world.apply(stored)
    assert world.platform.amounts() == {k: v.amount_micros for k, v in account().items()}


def test_a_snapshot_of_another_set_does_not_count(world: World) -> None:
    """M7: taken for the first plan of the day, not for the second."""
    world.ready()
    other = world.propose(world.change("b1", 10))
    world.decide(other)
    assert Budgets().read_snapshot(world.context, other.change_set_id) == {}
    with pytest.raises(Refused, match="'approved' in the ledger; this step needs"):
        world.validate(other)


def test_no_snapshot_without_authority(world: World) -> None:
    """M1: shadow mode never gets as far as the platform."""
    stored = world.propose()
    world.decide(stored)
    world.context.settings = dataclasses.replace(world.context.settings, mode="shadow")
    world.context.open_platform = lambda name: pytest.fail(f"opened {name}")
    with pytest.raises(Refused, match="AELP2_MODE is shadow"):
        world.snapshot(stored)
