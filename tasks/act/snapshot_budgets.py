"""Read what the approved change set is about as it stands now, budgets or ads; an edit since the plan stops here (M7)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import kind_option, run_date_option

if TYPE_CHECKING:
    from tasks.act.context import Context
    from tasks.act.stored import StoredSet


def snapshot_budgets(context: Context, stored: StoredSet, run_date: date) -> str:
    """Take the snapshot of ``stored`` once; a second call compares with the first. Refused if something was edited."""
    from tasks.act.guard import check_authority
    from tasks.act.mutation import Mutation
    from tasks.core.clock import utc_now

    now = utc_now()
    change_set = check_authority(context, stored, now, states=("approved", "snapshot", "validated"))
    mutation = Mutation(context, stored, change_set, run_date)
    live = mutation.kind.read_live(mutation.platform, change_set, now)
    for change in change_set.changes:
        value = live.value(change)
        if value != change.before:
            mutation.block(change, f"{value}{change.unit}, the plan was made for {change.before}")
    mutation.kind.write_snapshot(context, stored, change_set, live, now)
    context.append(stored, "snapshot", detail={mutation.kind.noun: len(change_set.changes)})
    return f"{stored.change_set_id}: {len(change_set.changes)} {mutation.kind.noun} read, all as the plan found them"


@click.command("snapshot-budgets")
@run_date_option
@kind_option
@click.option("--change-set-id", help="One change set instead of the live sets of the run date.")
def command(run_date: date, kind: str, change_set_id: str | None) -> None:
    """Read the budgets (or ads) of the approved change set as they stand now.

    apply-changes compares with this snapshot right before each mutation, and a rollback restores it. What was edited
    since the plan was made blocks the set. Changes nothing on the platform.

    \b
    aelp2 snapshot-budgets --run-date 2026-03-02
    """
    from tasks.act.context import Context, for_each
    from tasks.act.stored import sets_to_act_on

    context = Context.from_environment()
    ready = ("approved", "snapshot", "validated")
    sets = sets_to_act_on(context.warehouse, context.ledger, run_date, change_set_id, ready=ready, kind=kind)
    for_each(sets, lambda stored: snapshot_budgets(context, stored, run_date))
