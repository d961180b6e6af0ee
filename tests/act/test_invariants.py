"""Random sequences of plan, approve, apply, edit, crash, retry and roll back never break an invariant of money (DESIGN §6)."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import ClassVar
from unittest import mock

import pytest
from act_world import ACCOUNT, AUTHOR, MICROS, NOW, PERSON, RUN_DATE, account, change, live_policy, propose, settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from memory_platform import MemoryPlatform
from sqlite_warehouse import SqliteWarehouse

from tasks.act.apply_changes import apply_changes
from tasks.act.context import Context
from tasks.act.record_approval import record_approval
from tasks.act.roll_back_changes import roll_back_changes
from tasks.act.snapshot_budgets import snapshot_budgets
from tasks.act.stored import StoredSet
from tasks.act.validate_changes import validate_changes
from tasks.act.verify_changes import verify_changes
from tasks.core import caps
from tasks.core.errors import JobError
from tasks.core.switches import flip, read_switches

BUDGETS = sorted(account())
STEPS_PCT = [-7, -5, -3, -1, 1, 3, 5, 7]
CRASH = st.sampled_from([None] * 8 + [1, 2, 3, 4, 5, 7, 9, 12, 16])
_FAULT = st.sampled_from(["refuse", "quota", "lost_before", "lost_after"])
FAULTS = st.sampled_from([0, 0, 0, 1, 2]).flatmap(
    lambda n: st.just([]) if n == 0 else _FAULT.map(lambda f: ["ok"] * (n - 1) + [f])
)


class Crash(BaseException):
    """The process dies here: nothing after this line runs, and nothing catches it."""


class Shadow:
    """What the test knows by itself about a set, without asking the product."""

    def __init__(self, stored: StoredSet, now: datetime) -> None:
        self.stored, self.proposed_at = stored, now
        self.approved = False
        self.applied: list[str] = []


class Money(RuleBasedStateMachine):
    """The machine; the checks that matter sit in ``_on_mutation``, at the moment money moves.

    ``reached`` counts how often it did: a machine whose sets are all refused before would break no invariant and prove nothing.
    """

    reached: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.env = mock.patch.dict(os.environ, {"AELP2_NOW": NOW.isoformat()})
        self.env.start()
        self.warehouse, self.platform = SqliteWarehouse(), MemoryPlatform(account())
        self.context = Context(settings(), live_policy(), self.warehouse, lambda _n: self.platform)  # type: ignore[arg-type]
        self.sets: list[Shadow] = []
        self.doing: tuple[str, Shadow] | None = None
        self.countdown: int | None = None
        self._watch_calls()

    def teardown(self) -> None:
        self.env.stop()

    def _watch_calls(self) -> None:
        real_set, real_insert = self.platform._set, self.warehouse.insert_new

        def set_amount(budget_id: str, micros: int, by: str) -> None:
            if by == "aelp2":
                self._on_mutation(budget_id, micros)
            self._tick()
            real_set(budget_id, micros, by)
            self._tick()

        def insert_new(table: str, frame: object) -> int:
            self._tick()
            return real_insert(table, frame)  # type: ignore[arg-type]

        self.platform._set, self.warehouse.insert_new = set_amount, insert_new  # type: ignore[method-assign]

    def _tick(self) -> None:
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                self.countdown = None
                raise Crash

    def _on_mutation(self, budget_id: str, micros: int) -> None:
        assert self.doing is not None
        kind, shadow = self.doing
        self.reached[kind] += 1
        wanted = next(c for c in shadow.stored.verified().changes if c.budget_id == budget_id)
        present = self.platform.budgets[budget_id].amount_micros
        switches = read_switches(self.warehouse)  # type: ignore[arg-type]
        assert "all" not in switches or not switches["all"].is_on, "M10 kill switch"
        if kind == "roll back":
            assert (present, micros) == (wanted.amount_after_micros, wanted.amount_before_micros), "M9"
            return
        assert kind == "apply"
        assert shadow.approved, "M1 approval"
        assert self.now < shadow.proposed_at + timedelta(hours=24), "M1 expiry"
        frozen = switches.get(f"google_ads:{ACCOUNT}")
        assert frozen is None or not frozen.is_on, "M10 freeze"
        assert (present, micros) == (wanted.amount_before_micros, wanted.amount_after_micros), "M7"
        assert abs(micros - present) <= Fraction(present) * 5 / 100, "M2"
        recent = [m for m in self.platform.mutations if datetime.fromisoformat(m.at) >= self.now - timedelta(hours=24)]
        moved = sum(abs(m.after - m.before) for m in recent) + abs(micros - present)
        total = sum(b.amount_micros for b in self.platform.budgets.values())
        assert moved <= Fraction(total) * 10 / 100, "M3"
        if micros > present:
            assert wanted.p_cac_le_target_ppm >= 800_000, "M4"
            assert micros <= Fraction(wanted.highest_daily_spend_micros) * 120 / 100, "M5"
        assert list(wanted.campaign_ids) == sorted(self.platform.budgets[budget_id].members), "M6"
        assert budget_id not in shadow.applied, "M12"
        shadow.applied.append(budget_id)

    def _run(self, kind: str, shadow: Shadow | None, action: Callable[[], object]) -> None:
        self.doing = (kind, shadow) if shadow else None
        try:
            action()
        except (JobError, Crash):
            pass
        finally:
            self.doing, self.countdown = None, None
            self.platform.faults = []

    def _pick(self, index: int) -> Shadow:
        return self.sets[index % len(self.sets)]

    @rule(
        steps=st.dictionaries(st.sampled_from(BUDGETS), st.sampled_from(STEPS_PCT), min_size=1, max_size=3),
        p=st.sampled_from([700_000, 950_000, 950_000, 950_000]),
        seen=st.sampled_from([50, 100, 100]),
    )
    def plan(self, steps: dict[str, int], p: int, seen: int) -> None:
        """Percent steps, some above the cap, some unlikely, some far beyond the spend seen."""
        self._plan(steps, p, seen)

    def _plan(self, steps: dict[str, int], p: int = 950_000, seen: int = 100) -> Shadow | None:
        changes = []
        for budget_id, pct in steps.items():
            before = self.platform.budgets[budget_id].amount_micros
            after = (before + before * pct // 100) // 10_000 * 10_000
            if after != before:
                facts = {"p_cac_le_target_ppm": p, "highest_daily_spend_micros": before * seen // 100}
                changes.append(change(budget_id, before, after, self.platform.budgets, **facts))
        if not changes:
            return None
        total = sum(self.platform.amounts().values())
        stored = propose(self.warehouse, changes, base=total)  # type: ignore[arg-type]
        known = next((s for s in self.sets if s.stored.change_set_id == stored.change_set_id), None)
        if known is None:
            self.sets.append(Shadow(stored, self.now))
        return known or self.sets[-1]

    @precondition(lambda self: self.sets)
    @rule(
        index=st.integers(0, 9),
        who=st.sampled_from([PERSON, PERSON, PERSON, AUTHOR, "Plan-Budgets "]),
        decision=st.sampled_from(["approved"] * 4 + ["rejected"]),
        is_right_hash=st.sampled_from([True, True, True, False]),
    )
    def decide(self, index: int, who: str, decision: str, is_right_hash: bool) -> None:
        shadow = self._pick(index)
        sha256 = shadow.stored.sha256 if is_right_hash else "f" * 64

        def act() -> None:
            record_approval(
                self.context,
                change_set_id=shadow.stored.change_set_id,
                sha256=sha256,
                decision=decision,
                approver=who,
                approval_ref="r",
            )
            assert is_right_hash
            if decision == "approved":
                assert who == PERSON
                shadow.approved = True

        self._run("decide", shadow, act)

    @precondition(lambda self: self.sets)
    @rule(index=st.integers(0, 9), crash=st.none() | st.integers(0, 4))
    def prepare(self, index: int, crash: int | None) -> None:
        shadow, self.countdown = self._pick(index), crash
        self._run("prepare", shadow, lambda: snapshot_budgets(self.context, shadow.stored, RUN_DATE))
        self._run("prepare", shadow, lambda: validate_changes(self.context, shadow.stored, RUN_DATE))

    @rule(
        steps=st.dictionaries(st.sampled_from(BUDGETS), st.sampled_from([-5, -3, -1, 1, 3, 5, 5, 6]), min_size=1, max_size=3),
        is_new_day=st.sampled_from([True, True, False]),
        swing=st.sampled_from([None] * 5 + BUDGETS),
        crash=CRASH,
        faults=FAULTS,
        undo=st.sampled_from(["no", "no", "yes", "crash"]),
    )
    def whole_way(
        self, steps: dict[str, int], is_new_day: bool, swing: str | None, crash: int | None, faults: list[str], undo: str
    ) -> None:
        """A mostly sound plan on its usual way, so that most sequences move money; somebody may meddle right before it does."""
        if is_new_day:
            self.time_passes(25)
            for scope in ("all", f"google_ads:{ACCOUNT}"):
                self.switch(scope, False)
        shadow = self._plan(steps)
        if shadow is None:
            return
        index = self.sets.index(shadow)
        self.decide(index, PERSON, "approved", True)
        self.prepare(index, None)
        if swing is not None:
            self.somebody_swings(swing, 47)
        self.apply(index, crash, faults)
        if undo != "no":
            self.roll_back(index, 4 if undo == "crash" else None)
            self.apply(index, None, [])

    @precondition(lambda self: self.sets)
    @rule(
        index=st.integers(0, 9),
        crash=CRASH,
        faults=FAULTS,
    )
    def apply(self, index: int, crash: int | None, faults: list[str]) -> None:
        shadow, self.countdown, self.platform.faults = self._pick(index), crash, faults
        self._run("apply", shadow, lambda: apply_changes(self.context, shadow.stored, RUN_DATE))
        self._run("verify", shadow, lambda: verify_changes(self.context, shadow.stored, RUN_DATE))

    @precondition(lambda self: self.sets)
    @rule(index=st.integers(0, 9), crash=st.none() | st.integers(0, 12))
    def roll_back(self, index: int, crash: int | None) -> None:
        shadow, self.countdown = self._pick(index), crash
        self._run("roll back", shadow, lambda: roll_back_changes(self.context, shadow.stored, RUN_DATE, "test"))

    @rule(budget_id=st.sampled_from(BUDGETS), units=st.integers(-20, 20), is_back=st.booleans())
    def somebody_edits(self, budget_id: str, units: int, is_back: bool) -> None:
        before = self.platform.budgets[budget_id].amount_micros
        earlier = [m.before for m in self.platform.mutations if m.budget_id == budget_id]
        self.platform.edit(budget_id, earlier[-1] if is_back and earlier else max(before + units * MICROS, MICROS))

    @rule(budget_id=st.sampled_from(BUDGETS), units=st.sampled_from([5, 5, 47]))
    def somebody_swings(self, budget_id: str, units: int) -> None:
        """Up and back again: every budget stands as before, and the day is half or nearly used."""
        before = self.platform.budgets[budget_id].amount_micros
        self.platform.edit(budget_id, before + units * MICROS)
        self.platform.edit(budget_id, before)

    @rule(hours=st.sampled_from([1, 5, 13, 25]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        os.environ["AELP2_NOW"] = self.now.isoformat()

    @rule(scope=st.sampled_from(["all", f"google_ads:{ACCOUNT}"]), is_on=st.sampled_from([True, False, False, False]))
    def switch(self, scope: str, is_on: bool) -> None:
        flip(self.warehouse, scope=scope, is_on=is_on, why="test", actor=PERSON)  # type: ignore[arg-type]

    @invariant()
    def the_ledger_verifies(self) -> None:
        assert self.context.ledger.problems() == [], "M11"

    @invariant()
    def a_finished_rollback_left_nothing_of_ours(self) -> None:
        for shadow in self.sets:
            history = self.context.ledger.history(shadow.stored.change_set_id)
            if history.state != "rolled_back":
                continue
            for one in shadow.stored.verified().changes:
                assert history.change_state(one.change_id) in ("", "failed", "rolled_back"), "M9"


def run(examples: int) -> None:
    run_state_machine_as_test(
        Money,
        settings=hypothesis_settings(
            max_examples=examples,
            stateful_step_count=14,
            deadline=None,
            derandomize=True,
            report_multiple_bugs=False,  # the first broken invariant is raised as itself, not in a group
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_200_sequences_break_no_invariant() -> None:
    """Plan, approve, apply, edit, crash, retry, roll back in any order: M1 to M12 hold each time money moves, and it moves."""
    Money.reached.clear()
    run(200)
    assert Money.reached["apply"] >= 60, Money.reached
    assert Money.reached["roll back"] >= 20, Money.reached


def test_a_few_sequences_break_no_invariant() -> None:
    """The same, short: part of the fast tests."""
    run(8)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("cap", ["change_violations", "daily_violations"])
def test_without_the_caps_an_invariant_breaks(monkeypatch: pytest.MonkeyPatch, cap: str) -> None:
    """Take a cap out of the code and the sequences find it: the suite goes red."""
    monkeypatch.setattr(caps, cap, lambda *_a: [])
    with pytest.raises(AssertionError, match=r"M[2345]"):
        run(200)
