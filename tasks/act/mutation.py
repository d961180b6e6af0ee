"""One mutation with everything around it: guard, intent, mutate, receipt, read back; and what to do after a crash in between.

The order makes a crash harmless. An intent is written before the platform is asked, a receipt after it answered. A second run
that finds an intent without a receipt reads the budget: it holds the wanted amount (the change was made, the receipt is
written now), or the earlier one (it is done again; setting an amount twice is setting it once), or neither (somebody else did;
a person decides).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tasks.core import safety
from tasks.core.errors import GateStop, JobError, Refused, TryAgain
from tasks.core.transitions import forbidden
from tasks.platforms.base import AmbiguousMutationError, BudgetAmount

if TYPE_CHECKING:
    from datetime import date

    from tasks.act.context import Context
    from tasks.act.stored import StoredSet
    from tasks.core.changeset import Change


# The platform's clock and ours may differ by this much; an equal change of the same budget within it goes to a person.
CLOCK_SLACK = timedelta(hours=1)


@dataclass(frozen=True)
class Step:
    """Setting one budget from one amount to another, with the names of its ledger rows."""

    change: Change
    intent: str
    receipt: str
    from_micros: int
    to_micros: int

    @classmethod
    def apply(cls, change: Change) -> Step:
        """The approved change."""
        return cls(change, "mutate_intended", "applied", change.amount_before_micros, change.amount_after_micros)

    @classmethod
    def roll_back(cls, change: Change) -> Step:
        """Its undoing."""
        return cls(change, "rollback_intended", "rolled_back", change.amount_after_micros, change.amount_before_micros)

    @property
    def amounts(self) -> tuple[int, int]:
        """Before and after of this step."""
        return self.from_micros, self.to_micros


class Mutation:
    """Carries out steps of one change set for one run of a job."""

    def __init__(self, context: Context, stored: StoredSet, run_date: date) -> None:
        self.context, self.stored, self.run_date = context, stored, run_date
        self.platform = context.platform(stored.platform)

    def read(self, budget_id: str) -> int:
        """The budget's amount now."""
        (budget,) = self.platform.read_budgets(self.stored.account_id, [budget_id])
        return budget.amount_micros

    def state(self, change: Change) -> str:
        """Last ledger event of the change."""
        return self.context.ledger.history(self.stored.change_set_id).change_state(change.change_id)

    def recover(self, step: Step) -> bool:
        """Settle an intent without a receipt. True if the amount is set (receipt written now), False if it has to be set."""
        now = self.read(step.change.budget_id)
        if now == step.to_micros:
            self._receipt(step, None, recovered=True)
            return True
        if now != step.from_micros:
            self.block(step.change, f"{now} micros, neither {step.from_micros} nor {step.to_micros}")
        if self._was_made(step):
            self.block(step.change, f"{now} micros again: the change was made, then somebody took it back")
        return False

    def _was_made(self, step: Step) -> bool:
        """Whether the account's own log holds the change although the budget stands where it was before it."""
        intent = self.context.ledger.history(self.stored.change_set_id).find(step.intent, step.change.change_id)
        if intent is None:
            return False
        wanted = (step.change.budget_id, step.from_micros, step.to_micros)
        logged = self.platform.read_changes(self.stored.account_id, intent.at - CLOCK_SLACK)
        return wanted in [(c.resource_id, c.amount_before_micros, c.amount_after_micros) for c in logged]

    def carry_out(self, step: Step, guard: Callable[[], None]) -> None:
        """Set the amount, once. ``guard`` raises unless it may be done at this very moment.

        Raises:
            Refused: a guard, or somebody else's edit.
            GateStop: the platform refused the row, or the amount read back is not the one set.
            TryAgain: nothing was done, or it is not known yet; the same command settles it.
        """
        if self.state(step.change) == step.intent:
            if self.recover(step):
                return
        else:
            self._refuse_out_of_turn(step)
        guard()
        self.context.append(self.stored, step.intent, step.change, amounts=step.amounts)
        amount = BudgetAmount(step.change.change_id, step.change.budget_id, step.to_micros)
        try:
            receipt = self.platform.set_budgets(self.stored.account_id, [amount], validate_only=False)
        except AmbiguousMutationError as error:
            if not self.recover(step):
                raise TryAgain(f"{error}. Budget {step.change.budget_id} still holds {step.from_micros} micros") from error
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
        """The answer says no, or does not say: if the budget holds the new amount it was set, and its receipt is written."""
        if self.read(step.change.budget_id) == step.to_micros:
            self._receipt(step, None, recovered=True)
            return
        self.fail(step, problem)

    def read_back(self, step: Step) -> None:
        """GateStop unless the budget holds what was set."""
        now = self.read(step.change.budget_id)
        if now != step.to_micros:
            self._block(step.change, f"set to {step.to_micros} micros, read back {now}")
            raise GateStop(f"budget {step.change.budget_id} set to {step.to_micros} micros, holds {now}; a person must look")

    def fail(self, step: Step, problem: str) -> None:
        """The platform refused: nothing was changed by this step. GateStop."""
        if step.receipt == "applied":
            self.context.append(self.stored, "failed", step.change, detail={"error": problem})
            self.context.append(self.stored, "failed", detail={"change_id": step.change.change_id, "error": problem})
        self._event("mutation_failed", "critical", f"budget {step.change.budget_id}: {problem}")
        raise GateStop(
            f"the platform refused budget {step.change.budget_id} ({step.from_micros} to {step.to_micros} micros): {problem}. "
            + (
                "roll-back-changes restores what was applied before it"
                if step.receipt == "applied"
                else "it still has to be restored"
            )
        )

    def block(self, change: Change, found: str) -> None:
        """Somebody else has the budget now. Refused: a person decides."""
        self._block(change, found)
        raise Refused(
            f"budget {change.budget_id} holds {found}: it was edited outside of AELP2 and is left alone. Look at the account's "
            f"change history, then decide: `aelp2 roll-back-changes --change-set-id {self.stored.change_set_id} --why …` once it "
            "holds our amount again, or `aelp2 promote-changes` with the same options to keep what is there"
        )

    def _block(self, change: Change, found: str) -> None:
        if self.state(change):
            self.context.append(self.stored, "blocked", change, detail={"found": found})
        self.context.append(self.stored, "blocked", detail={"change_id": change.change_id, "found": found})
        self._event("out_of_band_edit", "critical", f"budget {change.budget_id} holds {found}; a person must decide")

    def _receipt(self, step: Step, request_id: str | None, *, recovered: bool) -> None:
        self.context.append(
            self.stored,
            step.receipt,
            step.change,
            amounts=step.amounts,
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
