"""Read budgets and ads back once the whole set is applied, and compare them with what was approved."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import kind_option, run_date_option

if TYPE_CHECKING:
    from tasks.act.context import Context
    from tasks.act.stored import StoredSet


def verify_changes(context: Context, stored: StoredSet, run_date: date) -> str:
    """GateStop unless every change of the set is there; then the set is `verified` and its watch begins."""
    from tasks.act.mutation import Mutation, Step
    from tasks.core.errors import NothingToDo

    change_set = stored.verified()
    state = context.ledger.history(stored.change_set_id).state
    if state not in ("applied", "verified"):
        raise NothingToDo(f"change set {stored.change_set_id} is {state or 'not proposed'!r}: there is nothing applied to verify")
    mutation = Mutation(context, stored, change_set, run_date)
    lines = []
    for change in change_set.changes:
        mutation.read_back(Step.apply(change))
        lines.append(f"  {change.what} holds {mutation.kind.show(change.after, change_set)}")
    if state == "applied":
        context.append(stored, "verified", detail={"changes": len(lines)})
    return "\n".join([f"{stored.change_set_id}: verified", *lines])


@click.command("verify-changes")
@run_date_option
@kind_option
@click.option("--change-set-id", help="One change set instead of the live sets of the run date.")
def command(run_date: date, kind: str, change_set_id: str | None) -> None:
    """Read budgets or ads back and compare them with what was approved.

    Exit code 3 if one differs: the set is blocked then, and roll-back-changes restores what is still ours.

    \b
    aelp2 verify-changes --run-date 2026-03-02
    """
    from tasks.act.context import Context, for_each
    from tasks.act.stored import sets_to_act_on

    context = Context.from_environment()
    sets = sets_to_act_on(context.warehouse, context.ledger, run_date, change_set_id, ready=("applied", "verified"), kind=kind)
    for_each(sets, lambda stored: verify_changes(context, stored, run_date))
