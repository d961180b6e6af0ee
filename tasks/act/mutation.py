"""One mutation with everything around it: guard, intent, mutate, receipt, read back; and what to do after a crash in between.

The order makes a crash harmless. An intent is written before the platform is asked, a receipt after it answered. A second run
that finds an intent without a receipt reads the budget or the ad: it holds the wanted value (the change was made, the receipt is
written now), or the earlier one (it is done again; setting a value twice is setting it once), or neither (somebody else did;
a person decides).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tasks.act.kinds import kind_of
from tasks.core import safety
from tasks.core.errors import GateStop, JobError, Refused, TryAgain
from tasks.core.transitions import forbidden
from tasks.platforms.base import AmbiguousMutationError

if TYPE_CHECKING:
    from datetime import date

    from tasks.act.context import Context
    from tasks.act.stored import StoredSet
    from tasks.core.changeset import AnyChange, AnySet, Value


# The platform's clock and ours may differ by this much; an equal change of the same thing within it goes to a person.
CLOCK_SLACK = timedelta(hours=1)


@dataclass(frozen=True)
class Step:
    """Setting one budget or ad from one value to another, with the names of its ledger rows."""

    change: AnyChange
    intent: str
    receipt: str
    from_value: Value
    to_value: Value

    @classmethod
    def apply(cls, change: AnyChange) -> Step:
        """The approved change."""
        return cls(change, "mutate_intended", "applied", change.before, change.after)

    @classmethod
    def roll_back(cls, change: AnyChange) -> Step:
        """Its undoing."""
        return cls(change, "rollback_intended", "rolled_back", change.after, change.before)

    @property
    def values(self) -> tuple[Value, Value]:
        """Before and after of this step."""
        return self.from_value, self.to_value


class Mutation:
    """Carries out steps of one change set for one run of a job."""

    def __init__(self, context: Context, stored: StoredSet, change_set: AnySet, run_date: date) -> None:
        self.context, self.stored, self.change_set, self.run_date = context, stored, change_set, run_date
        self.kind = kind_of(change_set)
        self.platform = context.platform(stored.platform)

    def read(self, change: AnyChange) -> Value:
        """The budget's amount or the ad's status now."""
        return self.kind.read(self.platform, self.stored.account_id, change)

    def state(self, change: AnyChange) -> str:
        """Last ledger event of the change."""
        return self.context.ledger.history(self.stored.change_set_id).change_state(change.change_id)

    def recover(self, step: Step) -> bool:
        """Settle an intent without a receipt. True if the value is set (receipt written now), False if it has to be set."""
        now, unit = self.read(step.change), step.change.unit
        if now == step.to_value:
            self._receipt(step, None, recovered=True)
            return True
        if now != step.from_value:
            self.block(step.change, f"{now}{unit}, neither {step.from_value} nor {step.to_value}")
        if self._was_made(step):
            self.block(step.change, f"{now}{unit} again: the change was made, then somebody took it back")
        return False

    def _was_made(self, step: Step) -> bool:
        """Whether the account's own log holds the change although everything stands where it was before it."""
        intent = self.context.ledger.history(self.stored.change_set_id).find(step.intent, step.change.change_id)
        if intent is None:
            return False
        logged = self.platform.read_changes(self.stored.account_id, intent.at - CLOCK_SLACK)
        return step.values in [self.kind.logged_values(event, step.change) for event in logged]

    def carry_out(self, step: Step, guard: Callable[[], None]) -> None:
        """Set the value, once. ``guard`` raises unless it may be done at this very moment.

        Raises:
            Refused: a guard, or somebody else's edit.
            GateStop: the platform refused the row, or what is read back is not what was set.
            TryAgain: nothing was done, or it is not known yet; the same command settles it.
        """
        if self.state(step.change) == step.intent:
            if self.recover(step):
                return
        else:
            self._refuse_out_of_turn(step)
        guard()
        self.context.append(self.stored, step.intent, step.change, values=step.values)
        try:
            receipt = self.kind.set_values(self.platform, self.stored.account_id, [(step.change, step.to_value)])
        except AmbiguousMutationError as error:
            if not self.recover(step):
                still = f"{step.change.what} still holds {step.from_value}{step.change.unit}"
                raise TryAgain(f"{error}. {still[0].upper()}{still[1:]}") from error
            return
        except TryAgain:
            raise
        except JobError as error:
            self._settle_refusal(step, str(error))
            return
        problem = next((o.error for o in receipt.outcomes if not o.ok), None)
        if problem is not None or len(receipt.outcomes) != 1:
            self._settle_refusal(step, problem or f"the platform answered {len(receipt.outcomes)} rows for one")
            return
        self._receipt(step, receipt.request_id, recovered=False)
        self.read_back(step)

    def _refuse_out_of_turn(self, step: Step) -> None:
        """Refused if the ledger does not let the step begin now.

        The append of its intent would not say so where the step was begun and ended before: it hands the earlier row back.
        """
        history = self.context.ledger.history(self.stored.change_set_id)
        why = forbidden(step.intent, history.state, history.change_state(step.change.change_id))
        if why:
            raise Refused(f"change {step.change.change_id}: {why}; nothing is applied twice")

    def _settle_refusal(self, step: Step, problem: str) -> None:
        """The answer says no, or does not say: if the new value is there it was set, and its receipt is written."""
        if self.read(step.change) == step.to_value:
            self._receipt(step, None, recovered=True)
            return
        self.fail(step, problem)

    def read_back(self, step: Step) -> None:
        """GateStop unless what was set is there."""
        now, change = self.read(step.change), step.change
        if now != step.to_value:
            self._block(change, f"set to {step.to_value}{change.unit}, read back {now}")
            raise GateStop(f"{change.what} set to {step.to_value}{change.unit}, holds {now}; a person must look")

    def fail(self, step: Step, problem: str) -> None:
        """The platform refused: nothing was changed by this step. GateStop."""
        if step.receipt == "applied":
            self.context.append(self.stored, "failed", step.change, detail={"error": problem})
            self.context.append(self.stored, "failed", detail={"change_id": step.change.change_id, "error": problem})
        self._event("mutation_failed", "critical", f"{step.change.what}: {problem}")
        raise GateStop(
            f"the platform refused {step.change.what} ({step.from_value} to {step.to_value}{step.change.unit}): {problem}. "
            + (
                "roll-back-changes restores what was applied before it"
                if step.receipt == "applied"
                else "it still has to be restored"
            )
        )

    def block(self, change: AnyChange, found: str) -> None:
        """Somebody else has the budget or the ad now. Refused: a person decides."""
        self._block(change, found)
        which = f'--run-date {self.run_date} --change-set-id {self.stored.change_set_id} --why "…"'
        raise Refused(
            f"{change.what} holds {found}: it was edited outside of AELP2 and is left alone. Look at the account's "
            f"change history, then decide: `aelp2 roll-back-changes {which} --live` once it is ours again, or "
            f"`aelp2 promote-changes {which}` to keep what is there"
        )

    def _block(self, change: AnyChange, found: str) -> None:
        if self.state(change):
            self.context.append(self.stored, "blocked", change, detail={"found": found})
        self.context.append(self.stored, "blocked", detail={"change_id": change.change_id, "found": found})
        self._event("out_of_band_edit", "critical", f"{change.what} holds {found}; a person must decide")

    def _receipt(self, step: Step, request_id: str | None, *, recovered: bool) -> None:
        self.context.append(
            self.stored,
            step.receipt,
            step.change,
            values=step.values,
            request_id=request_id,
            detail={"recovered": True} if recovered else {},
        )

    def _event(self, kind: str, severity: safety.Severity, detail: str) -> None:
        safety.record(
            self.context.warehouse,
            run_date=self.run_date,
            platform=self.stored.platform,
            account_id=self.stored.account_id,
            kind=kind,
            severity=severity,
            detail=f"change set {self.stored.change_set_id}: {detail}",
        )
