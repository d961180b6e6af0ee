"""A process that dies at any step of switching ads: the next run ends where an undisturbed one ends (M12).

The same sweep as test_crashes.py, in one process: a death is an exception that nothing catches. SIGKILL and the files of a real
warehouse add nothing that depends on what is changed, so they are tried there with budgets.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from unittest import mock

import pytest
from act_world import NOW, PERSON, RUN_DATE, live_policy, settings
from ad_world import OFF, ON, ads, propose_ads, switch
from memory_platform import MemoryPlatform
from sqlite_warehouse import SqliteWarehouse

from tasks.act.apply_changes import apply_changes
from tasks.act.context import Context
from tasks.act.record_approval import record_approval
from tasks.act.roll_back_changes import roll_back_changes
from tasks.act.snapshot_budgets import snapshot_budgets
from tasks.act.validate_changes import validate_changes
from tasks.core.errors import JobError


class Death(BaseException):
    """Nothing after this line runs."""


class Mortal:
    """A set of three switches that is validated (for a rollback: applied), and a count of calls that reach outside."""

    def __init__(self, job: str) -> None:
        self.warehouse, self.platform = SqliteWarehouse(), MemoryPlatform({}, ads=ads())
        self.context = Context(settings(), live_policy(), self.warehouse, lambda _n: self.platform)  # type: ignore[arg-type]
        self.stored = propose_ads(self.warehouse, switch("a5", ON), switch("a4", OFF), switch("a1", OFF))  # type: ignore[arg-type]
        names = {"change_set_id": self.stored.change_set_id, "sha256": self.stored.sha256}
        record_approval(self.context, **names, decision="approved", approver=PERSON, approval_ref="r")
        snapshot_budgets(self.context, self.stored, RUN_DATE)
        validate_changes(self.context, self.stored, RUN_DATE)
        self.work: Callable[[], str] = lambda: apply_changes(self.context, self.stored, RUN_DATE)
        if job == "roll_back":
            self.work()
            self.work = lambda: roll_back_changes(self.context, self.stored, RUN_DATE, "test")
        self.calls, self.last = 0, -1
        for owner, name in ((self.platform, "set_ad_statuses"), (self.warehouse, "insert_new"), (self.warehouse, "merge")):
            setattr(owner, name, self._mortal(getattr(owner, name)))

    def _mortal(self, call: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object, **kwargs: object) -> object:
            self._tick()
            result = call(*args, **kwargs)
            self._tick()
            return result

        return run

    def _tick(self) -> None:
        self.calls += 1
        if self.calls - 1 == self.last:
            raise Death

    def outcome(self) -> tuple[object, ...]:
        """Statuses, what we switched, the ledger's events, its problems."""
        events = [(r.change_id, r.event) for r in self.context.ledger.rows()]
        return self.platform.statuses(), self.platform.our_switches(), events, self.context.ledger.problems()


@pytest.fixture(autouse=True)
def morning() -> Iterator[None]:
    with mock.patch.dict(os.environ, {"AELP2_NOW": NOW.isoformat()}):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("job", ["apply", "roll_back"])
def test_dying_at_every_step_switches_each_ad_once(job: str) -> None:
    """Before and after each write and each call of the platform: the same ads, the same rows, each switch made once."""
    whole = Mortal(job)
    whole.work()
    expected, places = whole.outcome(), whole.calls
    assert places >= 30
    for place in range(places):
        world = Mortal(job)
        world.last = place
        with pytest.raises(Death):
            world.work()
        world.last = -1
        # Dead after the last write of a finished job, the second run rightly refuses.
        with suppress(*[JobError] if place >= places - 3 else []):
            world.work()
        assert world.outcome() == expected, place
