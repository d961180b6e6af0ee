"""Lay the undecided change sets out for a person: table of changes, why, risk, expiry. The answer binds to the hashes shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import click

from tasks.core.ad_changes import AdStatusSet
from tasks.core.canonical import BUDGETS
from tasks.core.changeset import probability_ppm
from tasks.core.cli_options import kind_option, run_date_option
from tasks.core.errors import JobError, NothingToDo, Refused, TryAgain

if TYPE_CHECKING:
    from tasks.act.ad_page import AdSection
    from tasks.act.approval_page import Section
    from tasks.act.context import Context
    from tasks.act.stored import StoredSet
    from tasks.core.changeset import Change, ChangeSet

# What the tasks of a DAG hand to each other should stay small: 48 KB is what Airflow's own transfer operators allow.
XCOM_BYTES = 49_344


def undecided(
    context: Context, run_date: date, change_set_id: str | None, account: str = "", kind: str = BUDGETS
) -> list[StoredSet]:
    """Live sets that nobody has decided on and that are not void, the newest of each account, by account; "" is every account.

    NothingToDo says why there is none: no change planned, shadow mode, decided already, or expired. TryAgain if there is no plan
    of the day yet. Refused if all that is left breaks M13: nobody is asked about it.
    """
    from tasks.act.guard import expiry
    from tasks.act.stored import load_set, sets_of_day
    from tasks.core.clock import utc_now

    if change_set_id:
        found = [load_set(context.warehouse, change_set_id)]
    else:
        of_day = sets_of_day(context.warehouse, run_date, kind)
        found = [s for s in of_day if s.platform != "imported" and account in ("", s.account_id)]
    if not found:
        raise _no_set(context, run_date, account) if kind == BUDGETS else _no_ad_set(context, run_date, account)
    newest = {(s.platform, s.account_id): s for s in found if s.mode == "live"}
    if not newest:
        raise NothingToDo(f"every change set of {run_date} was proposed in shadow mode; shadow sets are logged, never approved")
    open_sets, why_not, broken = [], [], []
    for stored in newest.values():
        state = context.ledger.history(stored.change_set_id).state
        if state != "proposed":
            why_not.append(f"{stored.change_set_id} is {state or 'not in the ledger; run the plan again'}")
        elif utc_now() >= expiry(context, stored):
            why_not.append(f"{stored.change_set_id} has expired; plan again")
        elif violations := ad_violations(context, stored):
            broken.append(f"{stored.change_set_id} breaks {'; '.join(violations)}; plan again")
        else:
            open_sets.append(stored)
    for line in broken:
        click.echo(f"left out: {line}", err=True)
    if broken and not open_sets:
        raise Refused("; ".join(broken))
    if not open_sets:
        raise NothingToDo("nothing to approve: " + "; ".join(why_not))
    return sorted(open_sets, key=lambda s: (s.platform, s.account_id))


def _no_set(context: Context, run_date: date, account: str) -> JobError:
    """Why the day has no change set: a plan that changes nothing leaves decisions behind, a plan that was not made does not."""
    frame = context.warehouse.query(
        "SELECT DISTINCT account_id FROM control.plan_decisions WHERE run_date = @run_date AND platform != 'imported' "
        "ORDER BY account_id",
        {"run_date": run_date},
    )
    planned = list(frame["account_id"])
    if not planned:
        return TryAgain(
            f"no plan of {run_date} yet: budget_plan_daily has not ended; look at its run, and if it failed at its runbook"
        )
    if account and account not in planned:
        return JobError(f"account {account!r} is not in the plan of {run_date}; planned were {', '.join(planned)}")
    return NothingToDo(f"the plan of {run_date} proposed no change" + (f" for account {account}" if account else ""))


def _no_ad_set(context: Context, run_date: date, account: str) -> JobError:
    """The same for ads. An advertiser whose ads no bandit decides on has no plan on any day, which is no failure."""
    frame = context.warehouse.query(
        "SELECT account_id, MAX(run_date) AS newest_date FROM control.ad_decisions "
        "WHERE run_date > @since_date AND run_date <= @run_date GROUP BY account_id",
        {"run_date": run_date, "since_date": run_date - timedelta(days=7)},
    )
    newest = max((day for name, day in frame.iter_rows() if account in ("", name)), default=None)
    if newest is None:
        return NothingToDo(f"no ad has been decided on in the week up to {run_date}")
    if newest < run_date:
        return TryAgain(f"no plan for ads of {run_date} yet: bandit_daily has not ended; look at its run")
    return NothingToDo(f"the plan of {run_date} switches no ad" + (f" of account {account}" if account else ""))


def ad_violations(context: Context, stored: StoredSet) -> list[str]:
    """M13 of a set of ads by what was loaded and by the other open sets; nothing for budgets, whose caps are not M13."""
    from tasks.core.ad_sets import held_ad_groups, load_ads, planned_violations
    from tasks.core.clock import utc_now

    ad_set = stored.verified() if stored.kind != BUDGETS else None
    if not isinstance(ad_set, AdStatusSet):
        return []
    ads = load_ads(context.warehouse, stored.platform, stored.account_id, stored.run_date)
    held = held_ad_groups(context.warehouse, stored.platform, stored.account_id, utc_now(), but=stored.change_set_id)
    return [str(v) for v in planned_violations(ad_set, ads, held)]


def _proposals(context: Context, change_set_id: str) -> list[dict[str, Any]]:
    frame = context.warehouse.query(
        "SELECT change_id, budget_id, campaign_ids, channel, amount_before_micros, amount_after_micros, reason, "
        "binding_constraint, expected_new_customers_mean, expected_new_customers_p05, expected_new_customers_p95, "
        "set_new_customers_mean, set_new_customers_p05, set_new_customers_p95, p_cac_le_target, buffer_pct, is_extrapolated "
        "FROM control.budget_proposals WHERE change_set_id = @id ORDER BY channel, budget_id",
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


def _section(context: Context, stored: StoredSet) -> Section | AdSection:
    """One account's part of the page."""
    from tasks.act.ad_page import AdSection
    from tasks.act.guard import expiry
    from tasks.core.ad_sets import load_ads

    change_set = stored.verified()
    if isinstance(change_set, AdStatusSet):
        ads = load_ads(context.warehouse, stored.platform, stored.account_id, stored.run_date)
        return AdSection(change_set, ads, expires_at=expiry(context, stored), policy=context.policy)
    return _budget_section(context, stored, change_set)


def _budget_section(context: Context, stored: StoredSet, change_set: ChangeSet) -> Section:
    """JobError if the proposals differ from the hashed bytes: a person must not read other numbers than those approved."""
    from tasks.act.approval_page import Section
    from tasks.act.guard import expiry

    proposals = _proposals(context, stored.change_set_id)
    if sorted(map(_shown, proposals)) != sorted(map(_hashed, change_set.changes)):
        raise JobError(f"control.budget_proposals of {stored.change_set_id} differ from the hashed bytes; plan again")
    return Section(
        change_set,
        proposals,
        expires_at=expiry(context, stored),
        verdict=_verdict(context, change_set.mmm_run_id),
        policy=context.policy,
        used_micros=used_so_far(context, stored),
    )


def request_approval(context: Context, sets: Sequence[StoredSet]) -> dict[str, object]:
    """What Airflow shows and hands on: subject, body (Markdown), and the id and hash of every set that the one answer decides.

    Where the page of many accounts gets long, the reasons are left out, and it says so; amounts and hashes never are.
    """
    from tasks.act.approval_page import body, subject

    sections = [_section(context, stored) for stored in sets]
    asked: dict[str, object] = {
        "subject": subject(sections),
        "sets": [{"change_set_id": stored.change_set_id, "sha256": stored.sha256} for stored in sets],
    }
    whole = asked | {"body": body(sections)}
    return whole if len(json.dumps(whole)) <= XCOM_BYTES else asked | {"body": body(sections, has_reasons=False)}


@click.command("request-approval")
@run_date_option
@kind_option
@click.option("--account", default="", help="Only the change set of this account. Default: all accounts on one page.")
@click.option("--change-set-id", help="One change set instead of the newest undecided ones of the run date.")
def command(run_date: date, kind: str, account: str, change_set_id: str | None) -> None:
    """Lay the undecided change sets out for a person: table of changes, why, risk, expiry.

    One page with a section an account, which one answer decides. Exit code 99 if there is nothing to decide; 75 if the run date
    has no plan yet.

    \b
    aelp2 request-approval --run-date 2026-03-02
    aelp2 request-approval --run-date 2026-03-02 --account 1234567890
    """
    from tasks.act.context import Context
    from tasks.core import xcom

    if account and change_set_id:
        raise click.UsageError("--change-set-id names one set of one account; leave --account out")
    context = Context.from_environment()
    page = request_approval(context, undecided(context, run_date, change_set_id, account, kind))
    xcom.push(page)
    click.echo(f"{page['subject']}\n\n{page['body']}")
