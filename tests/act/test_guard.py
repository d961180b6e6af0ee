"""The guards, one by one, at the moment of a mutation: what they read, when, and what they count."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest
from act_world import ACCOUNT, AUTHOR, MICROS, NOW, RUN_DATE, World, account, assess, settings

from tasks.act import guard
from tasks.act.stored import load_approval, load_set
from tasks.core.caps import Move
from tasks.core.errors import GateStop, JobError, Refused, TryAgain
from tasks.core.ledger import Event
from tasks.core.switches import flip

OLD_ONLY = f"DELETE FROM control.readiness WHERE run_date >= DATE '{RUN_DATE}'"
BEFORE = {k: v.amount_micros for k, v in account().items()}


class CrashError(BaseException):
    """The process dies here."""


def die_at(world: World, monkeypatch: pytest.MonkeyPatch, event: str, budget_id: str | None) -> Callable[[], None]:
    """Die right before that row is written; returns how to come back to life."""
    real = world.context.append

    def append(stored: object, name: str, change: object = None, **facts: object) -> object:
        if name == event and getattr(change, "budget_id", None) == budget_id:
            raise CrashError
        return real(stored, name, change, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(world.context, "append", append)
    return lambda: monkeypatch.setattr(world.context, "append", real)


def made(world: World) -> list[tuple[str, int, int]]:
    return [(m.budget_id, m.before // MICROS, m.after // MICROS) for m in world.platform.ours()]


def test_switches_approval_and_budget_are_read_before_each_mutation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M10, M1, M7: for each of three budgets the switches, the approval and the account are read once more."""
    stored = world.ready()
    seen: list[str] = []
    real_query, real_set, real_read = world.warehouse.query, world.platform.set_budgets, world.platform.read_budgets

    def query(sql: str, params: object = None) -> object:
        seen.extend(t for t in ("kill_switch", "approvals", "canary_budgets_snapshot") if f"control.{t}" in sql)
        return real_query(sql, params)  # type: ignore[arg-type]

    def read(*args: object) -> object:
        seen.append("budgets")
        return real_read(*args)  # type: ignore[arg-type]

    def mutate(*args: object, **kwargs: object) -> object:
        seen.append("MUTATE")
        return real_set(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(world.warehouse, "query", query)
    monkeypatch.setattr(world.platform, "read_budgets", read)
    monkeypatch.setattr(world.platform, "set_budgets", mutate)
    world.apply(stored)
    before_each = " ".join(seen).split("MUTATE")[:-1]
    assert len(before_each) == 3
    for stretch in before_each:
        assert {"kill_switch", "approvals", "canary_budgets_snapshot", "budgets"} <= set(stretch.split())


@pytest.mark.parametrize("table", ["canary_changes", "kill_switch", "approvals", "canary_budgets_snapshot", "change_sets"])
def test_what_cannot_be_read_stops_everything(world: World, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """M3: no table of control that a guard needs may be away and the money move all the same."""
    stored = world.ready()
    real = world.warehouse.query

    def query(sql: str, params: object = None) -> object:
        if f"control.{table}" in sql:
            raise ConnectionError(f"{table} away")
        return real(sql, params)  # type: ignore[arg-type]

    monkeypatch.setattr(world.warehouse, "query", query)
    with pytest.raises(ConnectionError, match=table):
        world.apply(load_set(world.warehouse, stored.change_set_id))
    assert world.platform.ours() == []


@pytest.mark.parametrize("call", ["read_budgets", "read_changes"])
def test_an_account_that_cannot_be_read_stops_everything(world: World, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """M3, M7: without the budgets and the account's own change log nothing is applied."""
    stored = world.ready()

    def away(*_args: object) -> object:
        raise TryAgain("platform away")

    monkeypatch.setattr(world.platform, call, away)
    with pytest.raises(TryAgain):
        world.apply(stored)
    assert world.platform.ours() == []


def test_a_tampered_ledger_stops_everything(world: World) -> None:
    """M11: an approval row without its place in the chain is no approval, though table and ledger agree about it."""
    stored = world.ready()
    world.warehouse.tamper("UPDATE control.canary_changes SET actor = 'somebody' WHERE event = 'approved'")
    with pytest.raises(Refused, match=r"the ledger does not verify \(row seq=2 .*it was edited"):
        world.apply(stored)
    assert world.platform.ours() == []


def test_a_cut_ledger_stops_everything(world: World) -> None:
    """M3, M11: rows deleted at the end would make the day's moves forgotten; the anchors remember."""
    first = world.ready(world.change("b1", 20))
    world.apply(first)
    world.verify(first)
    second = world.ready(world.change("b2", -15), author="other")
    world.warehouse.tamper(f"DELETE FROM control.canary_changes WHERE change_set_id = '{first.change_set_id}' AND seq > 5")
    with pytest.raises(Refused, match="the ledger does not verify"):
        world.apply(second)
    assert made(world) == [("b1", 400, 420)]


def test_half_a_rollback_is_not_applied_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M12: apply died before b3, its rollback before b1: a second apply would set b2 twice. It refuses; the rollback ends it."""
    stored = world.ready()
    revive = die_at(world, monkeypatch, "mutate_intended", "b3")
    with pytest.raises(CrashError):
        world.apply(stored)
    revive()
    revive = die_at(world, monkeypatch, "rollback_intended", "b1")
    with pytest.raises(CrashError):
        world.roll_back(stored)
    revive()
    assert made(world) == [("b1", 400, 420), ("b2", 300, 285), ("b2", 285, 300)]
    with pytest.raises(Refused, match="cannot go on: budget b2 is rolled_back; nothing is applied twice"):
        world.apply(stored)
    assert len(world.platform.ours()) == 3
    world.roll_back(stored)
    assert world.platform.amounts() == BEFORE
    assert world.state(stored) == "rolled_back"


def test_a_failed_change_is_not_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M12: died between the row of the failed change and the row of its set: the next apply must not send it once more."""
    stored = world.ready()
    world.platform.faults = ["ok", "refuse"]
    revive = die_at(world, monkeypatch, "failed", None)
    with pytest.raises(CrashError):
        world.apply(stored)
    revive()
    with pytest.raises(Refused, match="budget b2 is failed"):
        world.apply(stored)
    assert made(world) == [("b1", 400, 420)]
    world.roll_back(stored)
    assert world.platform.amounts() == BEFORE


def test_a_change_taken_back_by_somebody_is_not_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M7, M12: the receipt was lost, somebody undid the change, the block was written by half: still not made a second time."""
    stored = world.ready()
    revive = die_at(world, monkeypatch, "applied", "b1")
    with pytest.raises(CrashError):
        world.apply(stored)
    revive()
    world.platform.edit("b1", 400 * MICROS)
    revive = die_at(world, monkeypatch, "blocked", None)
    with pytest.raises(CrashError):
        world.apply(stored)
    revive()
    with pytest.raises(Refused, match="budget b1 is blocked"):
        world.apply(stored)
    assert made(world) == [("b1", 400, 420)]


def test_the_guard_of_the_mutation_itself_refuses_a_step_out_of_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M12: also if the check before the first mutation were gone, the step itself does not begin twice."""
    stored = world.ready()
    world.platform.faults = ["refuse"]
    revive = die_at(world, monkeypatch, "failed", None)
    with pytest.raises(CrashError):
        world.apply(stored)
    revive()
    monkeypatch.setattr("tasks.act.apply_changes._refuse_ended", lambda *_a: None)
    with pytest.raises(Refused, match="'mutate_intended' of a change may not follow 'failed'"):
        world.apply(stored)
    assert world.platform.ours() == []


@pytest.mark.parametrize("is_made", [True, False])
def test_an_answer_that_does_not_tell_is_settled_by_reading(world: World, monkeypatch: pytest.MonkeyPatch, is_made: bool) -> None:
    """M8, M12: an error in the row although the budget was set is a receipt; an error and the old amount is a failure."""
    stored = world.ready()
    real = world.platform.set_budgets

    def set_budgets(account_id: str, amounts: list[object], *, validate_only: bool) -> object:
        if validate_only:
            return real(account_id, amounts, validate_only=True)  # type: ignore[arg-type]
        if is_made:
            real(account_id, amounts, validate_only=False)  # type: ignore[arg-type]
        raise JobError("the platform returned neither a result nor an error")

    monkeypatch.setattr(world.platform, "set_budgets", set_budgets)
    if is_made:
        world.apply(stored)
        assert world.platform.amounts()["b1"] == 420 * MICROS
        world.roll_back(stored)
        assert world.platform.amounts() == BEFORE
    else:
        with pytest.raises(GateStop, match="neither a result nor an error"):
            world.apply(stored)
        assert (world.platform.ours(), world.state(stored)) == ([], "failed")


def test_an_answer_with_another_number_of_rows_is_settled_by_reading(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M8: no row in the answer to one that was set: the money moved, so there is a receipt and a rollback restores it."""
    stored = world.ready()
    real = world.platform.set_budgets
    monkeypatch.setattr(world.platform, "set_budgets", lambda *a, **k: dataclasses.replace(real(*a, **k), outcomes=()))
    world.apply(stored)
    rows = [r for r in world.context.ledger.rows() if r.event == "applied" and r.budget_id]
    assert [r.detail() for r in rows] == [{"recovered": True}] * 3


def test_a_simulated_clock_never_moves_real_money(world: World) -> None:
    """M1: a left-over AELP2_NOW would keep an approval alive for ever; without a sandbox's endpoint every step refuses."""
    stored = world.ready()
    world.context.settings = dataclasses.replace(settings(), google_ads_endpoint=None)
    for step in (world.snapshot, world.validate, world.apply):
        with pytest.raises(Refused, match="AELP2_NOW is set"):
            step(stored)
    assert world.platform.ours() == []


def test_others_changes_count_at_the_moment_of_mutation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M3: somebody moves 45 up and 45 down while the set is on its way: 20 + 90 = 110 of 100, the next budget is refused."""
    stored = world.ready()
    real = world.platform.set_budgets

    def set_and_meddle(*args: object, **kwargs: object) -> object:
        receipt = real(*args, **kwargs)  # type: ignore[arg-type]
        world.platform.edit("b4", 145 * MICROS)
        world.platform.edit("b4", 100 * MICROS)
        return receipt

    monkeypatch.setattr(world.platform, "set_budgets", set_and_meddle)
    with pytest.raises(Refused, match="M3 daily_cap: 110000000 micros were moved"):
        world.apply(stored)
    assert made(world) == [("b1", 400, 420)]


def test_ten_percent_up_and_down_again_is_twenty(world: World) -> None:
    """M3: +50 and −50 by us through a rollback use the whole day of 100: nothing more fits until tomorrow."""
    first = world.ready(world.change("b1", 20), world.change("b2", 15), world.change("b3", 10), world.change("b4", 5))
    world.apply(first)
    world.roll_back(first)
    assert world.platform.amounts() == BEFORE
    with pytest.raises(Refused, match="M3 daily_cap: 100000000 micros were moved"):
        world.ready(world.change("b4", 1), author="other")
    world.at(24.1)
    world.apply(world.ready(world.change("b4", 2), author="third"))


def test_the_smaller_base_counts(world: World) -> None:
    """M3: budgets that were removed since the approval shrink the cap; new ones do not widen it."""
    stored = world.ready(world.change("b1", 20), world.change("b2", 15), world.change("b3", 10), world.change("b4", 5))
    live = guard.read_live(world.platform, ACCOUNT, NOW)
    world.platform.budgets["b9"] = dataclasses.replace(account()["b4"], members=["c9"], amount_micros=9_000 * MICROS)
    assert guard._base(stored.verified(), guard.read_live(world.platform, ACCOUNT, NOW)) == 1000 * MICROS
    assert guard._base(stored.verified(), live) == 1000 * MICROS
    world.platform.budgets["b4"].status = "REMOVED"
    del world.platform.budgets["b9"]
    with pytest.raises(Refused, match="M7 status"):
        world.apply(stored)
    assert guard._base(stored.verified(), guard.read_live(world.platform, ACCOUNT, NOW)) == 900 * MICROS


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda w: w.warehouse.tamper("DELETE FROM control.readiness"), "no readiness verdict for 2026-03-02"),
        (lambda w: assess(w.warehouse, why_not="model: no MMM run has passed its review"), "not ready: model: no MMM run"),
        (lambda w: assess(w.warehouse, run_date=RUN_DATE + timedelta(days=1), why_not="freshness: old"), "not ready: freshness"),
        (lambda w: w.at(-24.5) or assess(w.warehouse) or w.at(0), "too long ago"),
        (lambda w: assess(w.warehouse, run_date=RUN_DATE - timedelta(days=1)) or w.warehouse.tamper(OLD_ONLY), "no readiness"),
    ],
)
def test_an_account_that_is_not_ready_is_not_changed(world: World, spoil: Callable[[World], object], words: str) -> None:
    """Without a good verdict of the set's day or later, not older than a day, nothing is set; the refusal says why."""
    stored = world.ready()
    spoil(world)
    with pytest.raises(Refused, match=words):
        world.apply(stored)
    assert world.platform.ours() == []
    assert world.safety_kinds() == ["apply_refused"]


def test_a_rollback_needs_no_readiness(world: World) -> None:
    """Restoring lowers risk: it must work most of all when something is wrong."""
    stored = world.ready()
    world.apply(stored)
    assess(world.warehouse, why_not="ledger: broken")
    world.roll_back(stored)
    assert world.platform.amounts() == BEFORE


def test_budgets_of_paused_campaigns_do_not_widen_the_cap(world: World) -> None:
    """M3: a campaign paused since the approval takes its budget out of the base: 10 % of 900 is less than the set's 95."""
    stored = world.ready(world.change("b1", 20), world.change("b2", 15), world.change("b3", 10), world.change("b4", 5))
    world.platform.edit("b1", 445 * MICROS)
    world.platform.edit("b1", 400 * MICROS)
    world.at(0.1)
    world.platform.budgets["b4"].enabled = []
    assert guard._base(stored.verified(), guard.read_live(world.platform, ACCOUNT, NOW)) == 900 * MICROS
    with pytest.raises(Refused, match=r"M3 daily_cap: .* 10 % of the account's 900000000 = 90000000"):
        world.apply(stored)
    assert world.platform.ours() == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": "REMOVED"}, "M7 status"),
        ({"reference_count": 2}, "M6 unlisted_members"),
        ({"is_shared": True}, "M6 shared"),
        ({"members": ["c1", "c9"]}, "M6 members"),
    ],
)
def test_a_budget_that_is_no_longer_what_was_approved(world: World, facts: dict[str, object], words: str) -> None:
    """M6, M7: removed, shared meanwhile, another campaign on it, or one that the platform counts but does not list."""
    stored = world.ready()
    for name, value in facts.items():
        setattr(world.platform.budgets["b1"], name, value)
    with pytest.raises(Refused, match=words):
        world.apply(stored)
    assert world.platform.ours() == []


def test_a_budget_that_is_gone(world: World) -> None:
    """M7: removed from the account: refused by name, not by a trace."""
    stored = world.ready()
    del world.platform.budgets["b1"]
    with pytest.raises(Refused, match="budget b1"):
        world.apply(stored)
    assert world.platform.ours() == []


def test_another_currency_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M7: 420 of another currency is not what was approved."""
    stored = world.ready()
    real = world.platform.read_budgets
    monkeypatch.setattr(
        world.platform, "read_budgets", lambda *a: [dataclasses.replace(b, currency_code="JPY") for b in real(*a)]
    )
    with pytest.raises(Refused, match="M7 currency: budget b1 is in JPY, approved in USD"):
        world.apply(stored)
    assert world.platform.ours() == []


def test_old_data_is_refused(world: World) -> None:
    """A change set that rests on old data is not applied, whatever was approved."""
    stored = world.ready()
    world.use(max_data_age_days=0)
    with pytest.raises(Refused, match="data 1 days old, the policy allows 0"):
        world.apply(stored)


def test_every_reason_is_named_at_once(world: World) -> None:
    """A person mends all of them in one go."""
    stored = world.propose(mode="shadow")
    world.use(allowed_accounts=())
    world.context.settings = dataclasses.replace(world.context.settings, mode="shadow")
    flip(world.warehouse, scope="all", is_on=True, why="stop", actor="maria")
    with pytest.raises(Refused) as caught:
        world.apply(stored)
    for words in (
        "AELP2_MODE is shadow",
        "proposed in shadow mode",
        "allowed_accounts",
        "switch 'all' is on",
        "nobody has decided",
    ):
        assert words in str(caught.value)


def test_a_set_that_was_never_proposed_has_no_life(world: World) -> None:
    """M1: the ledger's proposal is what the expiry counts from; a set slipped into the table has none."""
    stored = world.propose()
    world.warehouse.tamper("DELETE FROM control.canary_changes")
    with pytest.raises(Refused, match="never proposed in the ledger"):
        guard.expiry(world.context, stored)


def test_a_shorter_life_in_the_policy_holds_at_once(world: World) -> None:
    """M1: the policy of today bounds what was proposed under that of yesterday; it never lengthens."""
    stored = world.ready()
    world.use(approval_hours=1)
    assert guard.expiry(world.context, stored) == NOW + timedelta(hours=1)
    world.use(approval_hours=72)
    assert guard.expiry(world.context, stored) == NOW + timedelta(hours=24)


def test_two_decisions_in_the_table_are_no_decision(world: World) -> None:
    """M1: a person must look."""
    stored = world.ready()
    world.warehouse.tamper("INSERT INTO control.approvals SELECT * FROM control.approvals")
    with pytest.raises(Refused, match="has 2 decisions"):
        load_approval(world.warehouse, stored.change_set_id)


@pytest.mark.parametrize("name", [AUTHOR, "", "\u200b"])
def test_an_approval_of_nobody_or_the_author_does_not_count(world: World, name: str) -> None:
    """M1: whatever wrote it into table and chain."""
    stored = world.ready()
    approval = load_approval(world.warehouse, stored.change_set_id)
    assert approval is not None
    world.warehouse.tamper(f"UPDATE control.approvals SET approver = '{name}'")
    reasons = guard.approval_reasons(world.context, stored, stored.verified(), NOW)
    assert any("nobody approves an own proposal" in r for r in reasons)


def test_our_open_intent_is_counted_once(world: World) -> None:
    """M3: an intent that is carried out again after a crash is the change itself, not a second one."""
    stored = world.ready(world.change("b1", 20))
    change = stored.verified().changes[0]
    world.context.append(stored, "mutate_intended", change, values=(change.amount_before_micros, change.amount_after_micros))
    live = guard.read_live(world.platform, ACCOUNT, NOW)
    assert guard.used_in_a_day(world.context, stored.verified(), live.logged, NOW, [change]) == 0
    assert guard.used_in_a_day(world.context, stored.verified(), live.logged, NOW, []) == 20 * MICROS


def test_changes_of_other_kinds_are_not_moves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M3 counts budget amounts: a campaign's change or a renamed budget is none; a budget made or removed is."""
    world.platform.edit("b1", 410 * MICROS)
    (event,) = world.platform.read_changes(ACCOUNT, NOW)
    events = [
        event,
        dataclasses.replace(event, resource_type="CAMPAIGN"),
        dataclasses.replace(event, amount_before_micros=None, amount_after_micros=None),
        dataclasses.replace(event, amount_before_micros=None),
        dataclasses.replace(event, amount_after_micros=None),
    ]
    monkeypatch.setattr(world.platform, "read_changes", lambda *_a: events)
    moves = guard.read_live(world.platform, ACCOUNT, NOW).logged
    assert [m.absolute_micros // MICROS for m in moves] == [10, 410, 400]
    assert moves[0] == Move("b1", NOW, 400 * MICROS, 410 * MICROS)


def test_another_account_does_not_count(world: World) -> None:
    """M3 is per account: what is moved elsewhere neither uses nor widens this account's day."""
    stored = world.ready()
    other = Event("other", "google_ads", "999", "proposed", "b" * 64, "job")
    for name in ("proposed", "approved", "snapshot", "validated"):
        world.context.ledger.append(dataclasses.replace(other, event=name))
    world.context.ledger.append(
        dataclasses.replace(
            other,
            event="mutate_intended",
            change_id="x",
            budget_id="b1",
            amount_before_micros=0,
            amount_after_micros=500 * MICROS,
        )
    )
    world.apply(stored)
    assert made(world) == [("b1", 400, 420), ("b2", 300, 285), ("b3", 200, 195)]
