"""Ask the platform to check the approved changes without making them (M8)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import kind_option, run_date_option

if TYPE_CHECKING:
    from tasks.act.context import Context
    from tasks.act.stored import StoredSet


def validate_changes(context: Context, stored: StoredSet, run_date: date) -> str:
    """Check the caps against what is live now, then the rows with ``validate_only``. GateStop names every refused row."""
    from tasks.act.guard import check_authority
    from tasks.act.kinds import kind_of
    from tasks.core import safety
    from tasks.core.clock import utc_now
    from tasks.core.errors import GateStop, Refused

    now = utc_now()
    change_set = check_authority(context, stored, now, states=("snapshot", "validated"))
    platform, kind = context.platform(stored.platform), kind_of(change_set)
    violations = kind.set_violations(context, change_set, kind.read_live(platform, change_set, now), now)
    if violations:
        raise Refused(f"change set {stored.change_set_id} breaks caps: {'; '.join(map(str, violations))}")
    rows = [(change, change.after) for change in change_set.changes]
    receipt = kind.check_values(platform, stored.account_id, rows)
    errors = {o.change_id: o.error for o in receipt.outcomes}
    problems = [f"{c.what}: {errors[c.change_id]}" for c, _ in rows if errors.get(c.change_id) is not None]
    problems += [f"{c.what}: not answered" for c, _ in rows if c.change_id not in errors]
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
    context.append(stored, "validated", detail={"rows": len(rows)}, request_id=receipt.request_id)
    return f"{stored.change_set_id}: the platform accepts all {len(rows)} rows (request {receipt.request_id}); nothing changed"


@click.command("validate-changes")
@run_date_option
@kind_option
@click.option("--change-set-id", help="One change set instead of the live sets of the run date.")
def command(run_date: date, kind: str, change_set_id: str | None) -> None:
    """Ask the platform to check the changes without making them.

    Also checks the caps (M2 to M6, for ads M13) for the whole set against the account as it is now. Exit code 3 if the platform
    would refuse a row: the set is failed then and nothing was changed.

    \b
    aelp2 validate-changes --run-date 2026-03-02
    """
    from tasks.act.context import Context, for_each
    from tasks.act.stored import sets_to_act_on

    context = Context.from_environment()
    sets = sets_to_act_on(context.warehouse, context.ledger, run_date, change_set_id, ready=("snapshot", "validated"), kind=kind)
    for_each(sets, lambda stored: validate_changes(context, stored, run_date))
