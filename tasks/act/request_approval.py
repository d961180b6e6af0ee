"""Lay a change set out for a person: table of changes, why, risk, expiry. The answer binds to the hash shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from tasks.core.changeset import probability_ppm
from tasks.core.cli_options import run_date_option
from tasks.core.errors import JobError, NothingToDo

if TYPE_CHECKING:
    from tasks.act.context import Context
    from tasks.act.stored import StoredSet
    from tasks.core.changeset import Change


def undecided(context: Context, run_date: date, change_set_id: str | None) -> list[StoredSet]:
    """Live sets that nobody has decided on and that are not void, the newest of each account, by account.

    NothingToDo says why there is none: no plan, shadow mode, decided already, or expired.
    """
    from tasks.act.guard import expiry
    from tasks.act.stored import load_set, sets_of_day
    from tasks.core.clock import utc_now

    found = [load_set(context.warehouse, change_set_id)] if change_set_id else sets_of_day(context.warehouse, run_date)
    if not found:
        raise NothingToDo(f"the plan of {run_date} proposed no change")
    newest = {(s.platform, s.account_id): s for s in found if s.mode == "live"}
    if not newest:
        raise NothingToDo(f"every change set of {run_date} was proposed in shadow mode; shadow sets are logged, never approved")
    open_sets, why_not = [], []
    for stored in newest.values():
        state = context.ledger.history(stored.change_set_id).state
        if state != "proposed":
            why_not.append(f"{stored.change_set_id} is {state or 'not in the ledger; run plan-budgets again'}")
        elif utc_now() >= expiry(context, stored):
            why_not.append(f"{stored.change_set_id} has expired; plan again")
        else:
            open_sets.append(stored)
    if not open_sets:
        raise NothingToDo("nothing to approve: " + "; ".join(why_not))
    return sorted(open_sets, key=lambda s: (s.platform, s.account_id))


def _proposals(context: Context, change_set_id: str) -> list[dict[str, Any]]:
    frame = context.warehouse.query(
        "SELECT change_id, budget_id, campaign_ids, channel, amount_before_micros, amount_after_micros, reason, "
        "binding_constraint, expected_new_customers_mean, expected_new_customers_p05, expected_new_customers_p95, "
        "p_cac_le_target, buffer_pct, "
        "is_extrapolated FROM control.budget_proposals WHERE change_set_id = @id ORDER BY channel, budget_id",
        {"id": change_set_id},
    )
    return frame.to_dicts()


def _verdict(context: Context, run_id: str) -> str:
    frame = context.warehouse.query(
        "SELECT result FROM models.mmm_reviews WHERE run_id = @run_id AND `check` = 'verdict'", {"run_id": run_id}
    )
    return str(frame["result"][0]) if frame.height else "not reviewed"


def used_so_far(context: Context, stored: StoredSet) -> int:
    """What moved in the last 24 h by the ledger and the loaded change log, micros. apply-changes asks the platform itself."""
    from tasks.core import caps
    from tasks.core.clock import utc_now

    now = utc_now()
    frame = context.warehouse.query(
        "SELECT resource_id, changed_at, amount_before_micros, amount_after_micros FROM ads.ads_change_events "
        "WHERE platform = @platform AND account_id = @account_id AND changed_at >= @since AND resource_type = 'CAMPAIGN_BUDGET' "
        "AND (amount_before_micros IS NOT NULL OR amount_after_micros IS NOT NULL)",
        {"platform": stored.platform, "account_id": stored.account_id, "since": now - caps.WINDOW},
    )
    logged = [caps.Move(budget, at, before or 0, after or 0) for budget, at, before, after in frame.iter_rows()]
    own = context.ledger.moves(stored.platform, stored.account_id, now - caps.WINDOW)
    return caps.used_daily_micros(own, logged, now)


def _shown(proposal: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the page takes from a proposal although the hashed bytes hold it too."""
    return (
        proposal["change_id"],
        proposal["budget_id"],
        proposal["channel"],
        list(proposal["campaign_ids"]),
        proposal["amount_before_micros"],
        proposal["amount_after_micros"],
        proposal["is_extrapolated"],
        probability_ppm(proposal["p_cac_le_target"]),
    )


def _hashed(change: Change) -> tuple[Any, ...]:
    return (
        change.change_id,
        change.budget_id,
        change.channel,
        list(change.campaign_ids),
        change.amount_before_micros,
        change.amount_after_micros,
        change.is_extrapolated,
        change.p_cac_le_target_ppm,
    )


def request_approval(context: Context, stored: StoredSet) -> dict[str, object]:
    """What Airflow shows and hands on: change_set_id, sha256, subject, body (Markdown), expires_at.

    JobError if the proposals differ from the hashed bytes: a person must not read other numbers than those approved.
    """
    from tasks.act.approval_page import body, subject
    from tasks.act.guard import expiry

    change_set = stored.verified()
    proposals = _proposals(context, stored.change_set_id)
    if sorted(map(_shown, proposals)) != sorted(map(_hashed, change_set.changes)):
        raise JobError(f"control.budget_proposals of {stored.change_set_id} differ from the hashed bytes; plan again")
    until = expiry(context, stored)
    return {
        "change_set_id": stored.change_set_id,
        "sha256": stored.sha256,
        "subject": subject(change_set),
        "body": body(
            change_set,
            proposals,
            expires_at=until,
            verdict=_verdict(context, change_set.mmm_run_id),
            policy=context.policy,
            used_micros=used_so_far(context, stored),
        ),
        "expires_at": until.isoformat(),
    }


@click.command("request-approval")
@run_date_option
@click.option("--change-set-id", help="One change set instead of the newest undecided one of the run date.")
def command(run_date: date, change_set_id: str | None) -> None:
    """Lay a change set out for a person: table of changes, why, risk, expiry.

    Exit code 99 if there is nothing to decide. One set is laid out a run; if other accounts wait too, the output names them.

    \b
    aelp2 request-approval --run-date 2026-03-02
    """
    from tasks.act.context import Context
    from tasks.core import xcom

    context = Context.from_environment()
    first, *others = undecided(context, run_date, change_set_id)
    page = request_approval(context, first)
    xcom.push(page)
    click.echo(f"{page['subject']}\n\n{page['body']}")
    if others:
        names = ", ".join(s.change_set_id for s in others)
        click.echo(f"\nThese wait too, each needs a run of its own with --change-set-id: {names}")
