"""Restore the exact earlier budgets of failed or breached canaries, by their receipts (M9).

Only an amount that is still ours is taken back; each budget on its own, so that somebody's edit of one does not leave the others
at what has to be undone. The caps do not hold a rollback up (what they allow next counts it), nor does the account's freeze: a
breach freezes the account and must be undone. The kill switch for `all` does hold it up: a person asked for stillness.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option
from tasks.core.errors import JobError, Refused

if TYPE_CHECKING:
    from tasks.act.context import Context
    from tasks.act.mutation import Mutation
    from tasks.act.stored import StoredSet
    from tasks.core.changeset import Change
    from tasks.core.ledger import SetHistory

# Nothing of the set was ever sent, or it has come to its end.
_CLOSED = ("", "proposed", "approved", "snapshot", "rejected", "expired", "promoted", "rolled_back")


def is_due(history: SetHistory, verdict: str | None) -> bool:
    """True if the set must be rolled back without anybody asking: its apply did not end well, its watch says so, or somebody
    began it: half a rollback is brought to its end.
    """
    if history.state in _CLOSED or not history.has_intents:
        return False
    finished = history.find("applied") is not None
    return not finished or verdict == "roll_back" or history.rollback_began


def newest_verdicts(context: Context) -> dict[str, str]:
    """Change set → result of its newest watch."""
    frame = context.warehouse.query(
        "SELECT change_set_id, result FROM control.canary_watch WHERE guardrail = 'verdict' ORDER BY run_date, change_set_id"
    )
    return dict(frame.iter_rows())


def _guard(context: Context, stored: StoredSet) -> None:
    from tasks.act.guard import live_reasons, switch_reasons

    stored.verified()
    reasons = live_reasons(context, stored) + switch_reasons(context, stored, freeze_counts=False)
    if reasons:
        raise Refused(f"rollback of {stored.change_set_id} refused: {'; '.join(reasons)}")


def _validate(mutation: Mutation, change: Change) -> None:
    from tasks.core.errors import GateStop
    from tasks.platforms.base import BudgetAmount

    wanted = BudgetAmount(change.change_id, change.budget_id, change.amount_before_micros)
    receipt = mutation.platform.set_budgets(mutation.stored.account_id, [wanted], validate_only=True)
    problems = [o.error for o in receipt.outcomes if not o.ok]
    if problems:
        raise GateStop(f"the platform would refuse to restore budget {change.budget_id}: {problems}; restore it by hand")


def _restore(context: Context, mutation: Mutation, change: Change) -> str:
    """Bring one change back; what was done, in words."""
    from tasks.act.mutation import Step

    state = mutation.state(change)
    if state in ("", "failed", "rolled_back"):
        return "nothing to restore" if state != "rolled_back" else "restored already"
    applied, restored = Step.apply(change), Step.roll_back(change)
    was_applied = context.ledger.history(mutation.stored.change_set_id).find("applied", change.change_id) is not None
    if not was_applied and not mutation.recover(applied):
        context.append(mutation.stored, "failed", change, detail={"error": "intended, but never made"})
        return "never made"
    if mutation.state(change) != "rollback_intended":
        now = mutation.read(change.budget_id)
        if now != change.amount_after_micros:
            mutation.block(change, f"{now} micros, ours is {change.amount_after_micros}")
    _guard(context, mutation.stored)
    _validate(mutation, change)
    mutation.carry_out(restored, lambda: _guard_ours(context, mutation, change))
    mutation.read_back(restored)
    return f"{change.amount_after_micros} -> {change.amount_before_micros} micros"


def _guard_ours(context: Context, mutation: Mutation, change: Change) -> None:
    _guard(context, mutation.stored)
    now = mutation.read(change.budget_id)
    if now != change.amount_after_micros:
        mutation.block(change, f"{now} micros, ours is {change.amount_after_micros}")


def roll_back_changes(context: Context, stored: StoredSet, run_date: date, why: str) -> str:
    """Undo what was applied of ``stored``, last change first. Running it again finishes or finds everything done.

    Refused if a budget is somebody else's now or a switch forbids it; the other budgets are restored before that is raised.
    """
    from tasks.act.context import LEASE, type_of
    from tasks.act.mutation import Mutation

    with context.warehouse.exclusive(LEASE):
        change_set = stored.verified()
        state = context.ledger.history(stored.change_set_id).state
        if state in _CLOSED:
            return f"{stored.change_set_id}: nothing to roll back (it is {state or 'not proposed'})"
        mutation = Mutation(context, stored, run_date)
        lines: list[str] = []
        errors: list[JobError] = []
        for change in reversed(change_set.changes):
            try:
                lines.append(f"  budget {change.budget_id}: {_restore(context, mutation, change)}")
            except JobError as error:
                errors.append(error)
        for line in lines:
            click.echo(line)
        if errors:
            worst = next((e for e in errors if isinstance(e, Refused)), errors[0])
            raise type_of(worst)("; ".join(dict.fromkeys(str(e) for e in errors)))
        _record(context, stored, run_date, why)  # first: once the set is closed no later run would write it
        context.append(stored, "rolled_back", detail={"why": why, "changes": len(lines)})
    return f"{stored.change_set_id}: rolled back and read back ({why})"


def _record(context: Context, stored: StoredSet, run_date: date, why: str) -> None:
    from tasks.core import safety

    safety.record(
        context.warehouse,
        run_date=run_date,
        platform=stored.platform,
        account_id=stored.account_id,
        kind="rolled_back",
        severity="warning",
        detail=f"change set {stored.change_set_id}: every budget holds its earlier amount again ({why})",
    )


def due_sets(context: Context) -> list[StoredSet]:
    """The sets that must be rolled back now; empty on a good day. In shadow mode there are none."""
    from tasks.act.stored import load_set

    verdicts = newest_verdicts(context)
    due = [h for h in context.ledger.histories() if is_due(h, verdicts.get(h.change_set_id))]
    return [load_set(context.warehouse, h.change_set_id) for h in due]


@click.command("roll-back-changes")
@run_date_option
@click.option("--change-set-id", help="Roll this set back by a person's wish; needs --why.")
@click.option("--why", help="Reason, kept in the ledger; needed with --change-set-id.")
@click.option("--live/--dry-run", default=False, help="Mutate the account, or only print.  [default: --dry-run]")
def command(run_date: date, change_set_id: str | None, why: str | None, live: bool) -> None:
    """Restore the exact earlier budgets of failed or breached canaries, by their receipts.

    Acts on sets whose apply did not finish and on sets whose newest watch says roll_back; without any it does nothing and ends
    well. A budget that somebody else edited is left alone: exit code 4, a person decides.

    \b
    aelp2 roll-back-changes --run-date 2026-03-03
    aelp2 roll-back-changes --run-date 2026-03-03 --change-set-id ID --why "wrong prices" --live
    """
    from tasks.act.context import Context, for_each
    from tasks.act.stored import load_set

    if change_set_id and not (why and why.strip()):
        raise click.UsageError("--change-set-id needs --why: the reason is kept in the ledger")
    context = Context.from_environment()
    sets = [load_set(context.warehouse, change_set_id)] if change_set_id else due_sets(context)
    if not sets:
        click.echo("no canary has to be rolled back")
        return
    reason = why or "its apply did not finish, or its watch found a breach"
    if not live:
        for stored in sets:
            click.echo(f"{stored.change_set_id}: would be rolled back (dry run; --live does it): {reason}")
        return
    for_each(sets, lambda stored: roll_back_changes(context, stored, run_date, reason))
