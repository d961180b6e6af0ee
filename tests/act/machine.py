"""Random sequences of plan, approve, apply, edit, crash, retry and roll back, whatever the sets change; test_invariants.py and
test_ad_invariants.py say what must hold at the moment something is changed.
"""

import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar
from unittest import mock

from act_world import ACCOUNT, AUTHOR, NOW, PERSON, RUN_DATE, account, live_policy, settings
from hypothesis import HealthCheck, Phase
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
from tasks.core.errors import JobError
from tasks.core.switches import Switch, flip, read_switches

CRASH = st.sampled_from([None] * 8 + [1, 2, 3, 4, 5, 7, 9, 12, 16])
_FAULT = st.sampled_from(["refuse", "quota", "lost_before", "lost_after"])
FAULTS = st.sampled_from([0, 0, 0, 1, 2]).flatmap(
    lambda n: st.just([]) if n == 0 else _FAULT.map(lambda f: ["ok"] * (n - 1) + [f])
)


UNDO = st.sampled_from(["no", "yes", "crash"])


class Crash(BaseException):
    """The process dies here: nothing after this line runs, and nothing catches it."""


class Shadow:
    """What the test knows by itself about a set, without asking the product."""

    def __init__(self, stored: StoredSet, now: datetime) -> None:
        self.stored, self.proposed_at = stored, now
        self.approved = False
        self.applied: list[str] = []  # what reached the platform by an apply


class Loop(RuleBasedStateMachine):
    """The machine; the checks that matter sit at the moment something is changed.

    ``reached`` counts how often that was: a machine whose sets are all refused before would break no invariant and prove nothing.
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
        raise NotImplementedError

    def _watch_inserts(self) -> None:
        real_insert = self.warehouse.insert_new

        def insert_new(table: str, frame: object) -> int:
            self._tick()
            return real_insert(table, frame)  # type: ignore[arg-type]

        self.warehouse.insert_new = insert_new  # type: ignore[method-assign]

    def _tick(self) -> None:
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                self.countdown = None
                raise Crash

    def _reached_platform(self, name: str) -> None:
        """Budget or ad ``name`` was set: not before, so that a process that dies on the way may send it again."""
        assert self.doing is not None
        kind, shadow = self.doing
        if kind == "apply":
            shadow.applied.append(name)

    def _check_switches(self) -> dict[str, Switch]:
        """M10: the kill switch holds everything up."""
        switches = read_switches(self.warehouse)  # type: ignore[arg-type]
        assert "all" not in switches or not switches["all"].is_on, "M10 kill switch"
        return switches

    def _check_authority(self, shadow: Shadow) -> None:
        """M1 and M10 of an apply."""
        assert shadow.approved, "M1 approval"
        assert self.now < shadow.proposed_at + timedelta(hours=24), "M1 expiry"
        frozen = self._check_switches().get(f"google_ads:{ACCOUNT}")
        assert frozen is None or not frozen.is_on, "M10 freeze"

    def _remember(self, stored: StoredSet) -> Shadow:
        known = next((s for s in self.sets if s.stored.change_set_id == stored.change_set_id), None)
        if known is None:
            self.sets.append(Shadow(stored, self.now))
        return known or self.sets[-1]

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

    def _go(self, shadow: Shadow, meddle: Callable[[], None], crash: int | None, faults: list[str], undo: str) -> None:
        """The usual way of a set; somebody may meddle right before it is applied."""
        index = self.sets.index(shadow)
        self.decide(index, PERSON, "approved", True)
        self.prepare(index, None)
        meddle()
        self.apply(index, crash, faults)
        if undo != "no":
            self.roll_back(index, 4 if undo == "crash" else None)
            self.apply(index, None, [])

    def _new_day(self) -> None:
        self.time_passes(25)
        for scope in ("all", f"google_ads:{ACCOUNT}"):
            self.switch(scope, False)

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


def run(machine: type[Loop], examples: int, *, shrinks: bool = True) -> None:
    """Run ``examples`` sequences; without ``shrinks`` the first failing one is raised as found, in a fraction of the time."""
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(
            max_examples=examples,
            stateful_step_count=14,
            deadline=None,
            derandomize=True,
            phases=[phase for phase in Phase if shrinks or phase is not Phase.shrink],
            report_multiple_bugs=False,  # the first broken invariant is raised as itself, not in a group
            suppress_health_check=list(HealthCheck),
        ),
    )
