"""Read the budgets of the approved change set as they stand now; an edit since the plan stops here (M7)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from tasks.act.context import Context
    from tasks.act.stored import StoredSet

TABLE = "control.canary_budgets_snapshot"


def read_snapshot(context: Context, change_set_id: str) -> dict[str, int]:
    """Budget id → amount in micros of the snapshot of a set; empty before it was taken."""
    frame = context.warehouse.query(
        "SELECT budget_id, amount_micros FROM control.canary_budgets_snapshot WHERE change_set_id = @id", {"id": change_set_id}
    )
    return dict(frame.iter_rows())


def snapshot_budgets(context: Context, stored: StoredSet, run_date: date) -> str:
    """Take the snapshot of ``stored`` once; a second call compares with the first. Refused if a budget was edited."""
    import polars as pl

    from tasks.act.guard import check_authority, read_live
    from tasks.act.mutation import Mutation
    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract

    now = utc_now()
    change_set = check_authority(context, stored, now, states=("approved", "snapshot", "validated"))
    live = read_live(context.platform(stored.platform), stored.account_id, now)
    rows = []
    for change in change_set.changes:
        amount = live.amount(change.budget_id)
        if amount != change.amount_before_micros:
            Mutation(context, stored, run_date).block(
                change, f"{amount} micros, the plan was made for {change.amount_before_micros}"
            )
        budget = live.budgets[change.budget_id]
        rows.append(
            {
                "change_set_id": stored.change_set_id,
                "change_id": change.change_id,
                "platform": stored.platform,
                "account_id": stored.account_id,
                "budget_id": change.budget_id,
                "amount_micros": amount,
                "is_explicitly_shared": budget.is_explicitly_shared,
                "member_campaign_ids": list(budget.member_campaign_ids),
                "status": budget.status,
                "snapshot_at": now,
            }
        )
    context.warehouse.insert_new(TABLE, pl.DataFrame(rows, schema=load_contract(TABLE).polars_schema()))
    context.append(stored, "snapshot", detail={"budgets": len(rows)})
    return f"{stored.change_set_id}: {len(rows)} budgets read, all as the plan found them"


@click.command("snapshot-budgets")
@run_date_option
@click.option("--change-set-id", help="One change set instead of the live sets of the run date.")
def command(run_date: date, change_set_id: str | None) -> None:
    """Read the budgets of the approved change set as they stand now.

    apply-changes compares with this snapshot right before each mutation, and a rollback restores it. A budget that was edited
    since the plan was made blocks the set. Changes nothing on the platform.

    \b
    aelp2 snapshot-budgets --run-date 2026-03-02
    """
    from tasks.act.context import Context, for_each
    from tasks.act.stored import sets_to_act_on

    context = Context.from_environment()
    sets = sets_to_act_on(context.warehouse, context.ledger, run_date, change_set_id, ready=("approved", "snapshot", "validated"))
    for_each(sets, lambda stored: snapshot_budgets(context, stored, run_date))
