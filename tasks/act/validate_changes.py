"""Ask the platform to check the approved changes without making them (M8)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from tasks.act.context import Context
    from tasks.act.stored import StoredSet


def validate_changes(context: Context, stored: StoredSet, run_date: date) -> str:
    """Check the caps against what is live now, then the rows with ``validate_only``. GateStop names every refused row."""
    from tasks.act.guard import check_authority, read_live, set_violations
    from tasks.core import safety
    from tasks.core.clock import utc_now
    from tasks.core.errors import GateStop, Refused
    from tasks.platforms.base import BudgetAmount

    now = utc_now()
    change_set = check_authority(context, stored, now, states=("snapshot", "validated"))
    platform = context.platform(stored.platform)
    violations = set_violations(context, change_set, read_live(platform, stored.account_id, now), now)
    if violations:
        raise Refused(f"change set {stored.change_set_id} breaks caps: {'; '.join(map(str, violations))}")
    amounts = [BudgetAmount(c.change_id, c.budget_id, c.amount_after_micros) for c in change_set.changes]
    receipt = platform.set_budgets(stored.account_id, amounts, validate_only=True)
    answered = {o.change_id for o in receipt.outcomes}
    problems = [f"budget {o.budget_id}: {o.error}" for o in receipt.outcomes if not o.ok]
    problems += [f"budget {a.budget_id}: not answered" for a in amounts if a.change_id not in answered]
    if problems:
        context.append(stored, "failed", detail={"validate_only": problems}, request_id=receipt.request_id)
        safety.record(
            context.warehouse,
            run_date=run_date,
            platform=stored.platform,
            account_id=stored.account_id,
            kind="validation_failed",
            severity="warning",
            detail=f"change set {stored.change_set_id}: {'; '.join(problems)}",
        )
        raise GateStop(f"the platform would refuse change set {stored.change_set_id}: {'; '.join(problems)}. Nothing was changed")
    context.append(stored, "validated", detail={"rows": len(amounts)}, request_id=receipt.request_id)
    return f"{stored.change_set_id}: the platform accepts all {len(amounts)} rows (request {receipt.request_id}); nothing changed"


@click.command("validate-changes")
@run_date_option
@click.option("--change-set-id", help="One change set instead of the live sets of the run date.")
def command(run_date: date, change_set_id: str | None) -> None:
    """Ask the platform to check the changes without making them.

    Also checks the caps M2 to M6 for the whole set against the account as it is now. Exit code 3 if the platform would refuse
    a row: the set is failed then and nothing was changed.

    \b
    aelp2 validate-changes --run-date 2026-03-02
    """
    from tasks.act.context import Context, for_each
    from tasks.act.stored import sets_to_act_on

    context = Context.from_environment()
    sets = sets_to_act_on(context.warehouse, context.ledger, run_date, change_set_id, ready=("snapshot", "validated"))
    for_each(sets, lambda stored: validate_changes(context, stored, run_date))
