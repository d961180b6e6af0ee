"""apply-changes: every refusal, at most once, guarded at each mutation, read back."""

import dataclasses
from collections.abc import Callable

import pytest
from act_world import AUTHOR, MICROS, PERSON, World, account

from tasks.core import caps
from tasks.core.errors import GateStop, Refused, TryAgain
from tasks.core.switches import flip

BEFORE = {k: v.amount_micros for k, v in account().items()}
AFTER = BEFORE | {"b1": 420 * MICROS, "b2": 285 * MICROS, "b3": 195 * MICROS}


def assert_refused(world: World, action: Callable[[], object], words: str) -> None:
    with pytest.raises(Refused, match=words):
        action()
    assert world.platform.ours() == []
    assert world.platform.amounts() == BEFORE


def test_the_whole_way(world: World) -> None:
    """An approved set is checked, applied, read back, and the ledger tells every step."""
    stored = world.ready()
    world.apply(stored)
    world.verify(stored)
    assert world.platform.amounts() == AFTER
    events = [r.event for r in world.context.ledger.rows()]
    one = ["mutate_intended", "applied", "verified"]
    assert events == ["proposed", "approved", "snapshot", "validated", *one, *one, *one, "applied", "verified"]
    assert world.context.ledger.problems() == []


def test_validate_only_comes_first(world: World) -> None:
    """The platform checks the rows before the first one is set (M8)."""
    world.apply(world.ready())
    sent = [c for c in world.platform.calls if c in ("validate", "mutate")]
    assert sent == ["validate", "mutate", "mutate", "mutate"]


def test_nothing_without_a_decision(world: World) -> None:
    """Marking tasks as success leaves no approval, and without one each step refuses (It must show 3)."""
    stored = world.propose()
    for step in (world.snapshot, world.validate, world.apply):
        assert_refused(world, lambda step=step: step(stored), "nobody has decided")


def test_a_rejected_set_is_refused(world: World) -> None:
    """No means no."""
    stored = world.propose()
    world.decide(stored, "rejected")
    assert_refused(world, lambda: world.snapshot(stored), "'rejected', not approved")


def test_an_approval_written_past_the_ledger_is_refused(world: World) -> None:
    """A row slipped into control.approvals does not suffice; the chained ledger must hold the decision too."""
    stored = world.ready()
    world.warehouse.tamper("DELETE FROM control.canary_changes WHERE event = 'approved'")
    assert_refused(world, lambda: world.apply(stored), "the ledger holds no approval")


def test_one_micro_more_is_refused(world: World) -> None:
    """An approval of one hash does not cover bytes changed by one micro."""
    stored = world.ready()
    changed = stored.canonical_json.replace('"amount_after_micros":420000000', '"amount_after_micros":420000001')
    assert changed != stored.canonical_json
    world.warehouse.tamper(f"UPDATE control.change_sets SET canonical_json = '{changed}'")
    forged = dataclasses.replace(stored, canonical_json=changed)
    assert_refused(world, lambda: world.apply(forged), "changed after it was proposed")


def test_another_set_is_not_covered_by_the_approval(world: World) -> None:
    """A new plan of the same day, one cent further, needs a decision of its own."""
    world.ready()
    other = world.propose(world.change("b1", 19))
    assert_refused(world, lambda: world.apply(other), "nobody has decided")


def test_an_expired_approval_is_refused(world: World) -> None:
    """24 hours after the proposal the approval is void, to the second."""
    stored = world.ready()
    world.at(24)
    assert_refused(world, lambda: world.apply(stored), "expired at 2026-03-03 08:00 UTC")


def test_moving_the_expiry_in_the_tables_gives_no_more_time(world: World) -> None:
    """The proposal's time in the chained ledger bounds the life of a set."""
    stored = world.ready()
    world.warehouse.tamper("UPDATE control.approvals SET expires_at = expires_at + INTERVAL 9 DAY")
    world.at(25)
    assert_refused(
        world, lambda: world.apply(dataclasses.replace(stored, expires_at=stored.expires_at.replace(year=2027))), "expired"
    )


@pytest.mark.parametrize("name", [AUTHOR, AUTHOR.upper(), f"  {AUTHOR}\t", "plan-\uff42udgets"])
def test_an_own_approval_is_refused(world: World, name: str) -> None:
    """The author cannot approve, however the name is written."""
    stored = world.propose()
    assert_refused(world, lambda: world.decide(stored, approver=name), "somebody else has to approve")


def test_an_own_approval_slipped_into_the_tables_is_refused(world: World) -> None:
    """The guard looks again at the moment of mutation."""
    stored = world.ready()
    world.warehouse.tamper(f"UPDATE control.approvals SET approver = '{AUTHOR}'")
    assert_refused(world, lambda: world.apply(stored), "nobody approves an own proposal")


def test_a_second_apply_is_refused(world: World) -> None:
    """A finished set is never applied again, and nothing is sent."""
    stored = world.ready()
    world.apply(stored)
    sent = len(world.platform.ours())
    with pytest.raises(Refused, match="nothing is applied twice"):
        world.apply(stored)
    assert len(world.platform.ours()) == sent == 3


def test_a_rolled_back_set_is_not_applied_again(world: World) -> None:
    """Back is back: a new plan is needed."""
    stored = world.ready()
    world.apply(stored)
    world.roll_back(stored)
    with pytest.raises(Refused, match="nothing is applied twice"):
        world.apply(stored)
    assert world.platform.amounts() == BEFORE


def test_shadow_mode_never_opens_the_platform(world: World) -> None:
    """In shadow mode no step reaches for credentials (M1)."""
    stored = world.ready()
    world.context.settings = dataclasses.replace(world.context.settings, mode="shadow")
    world.context._platforms.clear()
    world.context.open_platform = lambda name: pytest.fail(f"opened {name}")
    for step in (world.snapshot, world.validate, world.apply):
        assert_refused(world, lambda step=step: step(stored), "AELP2_MODE is shadow")


def test_an_account_off_the_allow_list_is_refused(world: World) -> None:
    """The default policy allows no account."""
    stored = world.ready()
    world.use(allowed_accounts=())
    assert_refused(world, lambda: world.apply(stored), "not in the policy's allowed_accounts")


@pytest.mark.parametrize("scope", ["all", "google_ads:2000000001"])
def test_switches_stop_the_apply(world: World, scope: str) -> None:
    """Kill switch and freeze."""
    stored = world.ready()
    flip(world.warehouse, scope=scope, is_on=True, why="test", actor="maria")
    assert_refused(world, lambda: world.apply(stored), f"switch '{scope}' is on")


def test_the_switch_is_read_before_every_single_mutation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thrown after the first budget, it stops the second (M10)."""
    stored = world.ready()
    real = world.platform.set_budgets

    def set_and_kill(*args: object, **kwargs: object) -> object:
        receipt = real(*args, **kwargs)
        flip(world.warehouse, scope="all", is_on=True, why="test", actor="maria")
        return receipt

    monkeypatch.setattr(world.platform, "set_budgets", set_and_kill)
    with pytest.raises(Refused, match="switch 'all' is on"):
        world.apply(stored)
    assert [m.budget_id for m in world.platform.ours()] == ["b1"]


def test_a_switch_that_cannot_be_read_stops_everything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is no permission: the error is not swallowed."""
    stored = world.ready()
    real = world.warehouse.query

    def broken(sql: str, params: object = None) -> object:
        if "kill_switch" in sql:
            raise ConnectionError("warehouse away")
        return real(sql, params)

    monkeypatch.setattr(world.warehouse, "query", broken)
    with pytest.raises(ConnectionError):
        world.apply(stored)
    assert world.platform.ours() == []


def test_a_ledger_that_cannot_be_read_stops_everything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daily cap needs the ledger; an invalid query must not pass as zero (M3)."""
    stored = world.ready()
    monkeypatch.setattr("tasks.core.ledger.Ledger.moves", lambda *_a: (_ for _ in ()).throw(ConnectionError("ledger away")))
    with pytest.raises(ConnectionError):
        world.apply(stored)
    assert world.platform.ours() == []


def test_an_edit_since_the_snapshot_blocks(world: World) -> None:
    """Compare-and-set: one micro of difference and a person decides (M7)."""
    stored = world.ready()
    world.platform.edit("b1", 400 * MICROS + 10_000)
    with pytest.raises(Refused, match="edited outside"):
        world.apply(stored)
    assert world.platform.ours() == []
    assert world.state(stored) == "blocked"
    assert "out_of_band_edit" in world.safety_kinds()


def test_an_edit_since_the_plan_blocks_the_snapshot(world: World) -> None:
    """What the person approved started from another amount."""
    stored = world.propose()
    world.decide(stored)
    world.platform.edit("b2", 301 * MICROS)
    with pytest.raises(Refused, match="edited outside"):
        world.snapshot(stored)
    assert world.state(stored) == "blocked"


def test_a_new_member_of_a_shared_budget_is_refused(world: World) -> None:
    """Approved for two campaigns, three draw on it now (M6)."""
    stored = world.ready()
    world.platform.budgets["b3"].members.append("c9")
    assert_refused(world, lambda: world.apply(stored), "M6 members")


def test_what_others_changed_counts_towards_the_day(world: World) -> None:
    """+45 by somebody, then −45 again: 90 moved, 10 left, the set of 40 is refused (M3; signed sums would make 0)."""
    stored = world.ready()
    world.platform.edit("b4", 145 * MICROS)
    world.platform.edit("b4", 100 * MICROS)
    with pytest.raises(Refused, match="M3 daily_cap: 90000000 micros were moved"):
        world.apply(stored)
    assert world.platform.ours() == []


def test_our_own_changes_in_the_log_are_not_counted_twice(world: World) -> None:
    """Two sets of 40 and 35 in one day fit into 100, though the platform's log repeats ours."""
    first = world.ready()
    world.apply(first)
    world.verify(first)
    second = world.ready(world.change("b4", 5), author="other-plan")
    world.apply(second)
    assert world.platform.amounts() == AFTER | {"b4": 105 * MICROS}


def test_the_rolling_window_ends_after_a_day(world: World) -> None:
    """What was moved 24 h and a second ago no longer counts."""
    world.platform.edit("b4", 145 * MICROS)
    world.platform.edit("b4", 100 * MICROS)
    world.at(24.001)
    world.apply(world.ready())
    assert world.platform.amounts() == AFTER


def test_a_budget_under_watch_is_left_alone(world: World) -> None:
    """A second set may not touch a budget of an open canary; its rollback would meet a foreign amount."""
    first = world.ready()
    world.apply(first)
    world.at(30)
    second = world.propose(world.change("b1", 5), author="other-plan")
    world.decide(second)
    world.snapshot(second)
    with pytest.raises(Refused, match="M7 under_watch"):
        world.validate(second)


def test_a_refused_row_stops_and_fails_the_set(world: World) -> None:
    """A partial failure is a failure: the row is in the ledger, the rest is not tried (M8)."""
    stored = world.ready()
    world.platform.faults = ["ok", "refuse"]
    with pytest.raises(GateStop, match="CONCURRENT_MODIFICATION"):
        world.apply(stored)
    assert [m.budget_id for m in world.platform.ours()] == ["b1"]
    history = world.context.ledger.history(stored.change_set_id)
    assert (history.state, [r.event for r in history.rows if r.budget_id == "b2"]) == ("failed", ["mutate_intended", "failed"])
    with pytest.raises(Refused):
        world.apply(stored)


def test_a_refused_validation_changes_nothing(world: World) -> None:
    """validate-changes names the row and fails the set."""
    stored = world.propose()
    world.decide(stored)
    world.snapshot(stored)
    world.platform.refuse_validation = {"b2"}
    with pytest.raises(GateStop, match="budget b2: TOO_LOW"):
        world.validate(stored)
    assert (world.state(stored), world.platform.ours()) == ("failed", [])


def test_a_lost_answer_is_settled_by_reading(world: World) -> None:
    """The change was made: it is adopted with a receipt, not made again."""
    stored = world.ready()
    world.platform.faults = ["lost_after"]
    world.apply(stored)
    assert [m.budget_id for m in world.platform.ours()] == ["b1", "b2", "b3"]
    first = world.context.ledger.history(stored.change_set_id).find("applied", stored.verified().changes[0].change_id)
    assert first is not None
    assert first.detail() == {"recovered": True}


@pytest.mark.parametrize("fault", ["lost_before", "quota"])
def test_a_change_not_made_is_made_by_the_next_run(world: World, fault: str) -> None:
    """Nothing was done: try again (75), then once."""
    stored = world.ready()
    world.platform.faults = [fault]
    with pytest.raises(TryAgain):
        world.apply(stored)
    world.apply(stored)
    assert world.platform.amounts() == AFTER
    assert [m.budget_id for m in world.platform.ours()] == ["b1", "b2", "b3"]


def test_a_running_apply_refuses_a_second(world: World) -> None:
    """The lease is held by one."""
    stored = world.ready()
    with world.warehouse.exclusive("mutations"):
        assert_refused(world, lambda: world.apply(stored), "another run holds the lease")


def test_without_the_step_cap_a_step_of_6_percent_would_pass(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is what refuses it: with the check taken out of the code the money moves."""
    stored = world.propose(world.change("b1", 24))
    world.decide(stored)
    world.snapshot(stored)
    with pytest.raises(Refused, match="M2 step_cap"):
        world.validate(stored)
    monkeypatch.setattr(caps, "change_violations", lambda *_a: [])
    world.validate(stored)
    world.apply(stored)
    assert world.platform.amounts()["b1"] == 424 * MICROS


def test_the_approver_is_in_the_ledger(world: World) -> None:
    """Who decided is part of the chain."""
    stored = world.propose()
    world.decide(stored)
    row = world.context.ledger.history(stored.change_set_id).find("approved")
    assert row is not None
    assert (row.actor, row.detail()["approver"]) == (PERSON, PERSON)
