"""Measure the guardrails of every open canary; a CAC breach freezes the account by itself (M10)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option
from tasks.core.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from tasks.act.context import Context
    from tasks.act.guardrails import Guardrail
    from tasks.act.stored import StoredSet
    from tasks.core.ad_changes import AdStatusSet
    from tasks.core.changeset import AnySet, ChangeSet

TABLE = "control.canary_watch"
WATCHED = ("applied", "verified", "breached", "blocked")


def first_day(context: Context, stored: StoredSet) -> date:
    """First day of the watch: the account's day on which the last change was made.

    That day counts although the change came in its course: a part of a day thins an effect out, it does not make one up.
    """
    from zoneinfo import ZoneInfo

    frame = context.warehouse.query(
        "SELECT timezone FROM ads.ads_campaign_performance WHERE platform = @platform AND account_id = @account_id "
        "ORDER BY date DESC LIMIT 1",
        {"platform": stored.platform, "account_id": stored.account_id},
    )
    if not frame.height:
        raise JobError(f"no delivery of account {stored.account_id} is loaded, so its canary cannot be watched; run ingest-ads")
    applied = context.ledger.history(stored.change_set_id).find("applied")
    if applied is None:
        raise JobError(f"change set {stored.change_set_id} has no receipt of its apply")
    local = applied.at.astimezone(ZoneInfo(str(frame["timezone"][0]))).date()
    return max(local, stored.run_date)


def _landed_through(frame: pl.DataFrame, run_date: date, max_data_age_days: int) -> date:
    """Newest day that every account has delivered. An account silent for longer than data may be old has stopped spending."""
    newest = frame.filter(frame["scope"] == "landed")["date"].to_list()
    return min((d for d in newest if (run_date - d).days <= max_data_age_days), default=date.min)


def _days(frame: pl.DataFrame, start: date, end: date) -> list[tuple[date, int, float | None]]:
    """(day, spend of the business in micros, new customers or None if not known yet) of ``start`` ≤ day < ``end``."""
    spend = dict(frame.filter(frame["scope"] == "business").select("date", "cost_micros").iter_rows())
    outcome = dict(frame.filter(frame["scope"] == "outcome").select("date", "new_customers").iter_rows())
    days = [start + timedelta(days=i) for i in range((end - start).days)]
    return [(d, spend.get(d, 0), outcome.get(d)) for d in days if d in spend or d in outcome]


def _check_currencies(frame: pl.DataFrame, change_set: AnySet) -> None:
    from tasks.core.currencies import REMEDY

    def codes(*scopes: str) -> list[str]:
        return sorted(frame.filter(frame["scope"].is_in(scopes))["currency_code"].unique())

    business, own = codes("business", "outcome"), codes("budget")
    if len(business) > 1:
        raise JobError(
            f"spend and outcomes are in {', '.join(business)}: blended CAC needs one currency; {REMEDY} for the missing rates, "
            "or watch the canary by hand and close it with --why"
        )
    if own and own != [change_set.currency_code]:
        raise JobError(
            f"account {change_set.account_id} spends in {', '.join(own)}, its canary is in {change_set.currency_code}; find out "
            "why, and close the canary with --why"
        )


def measure(context: Context, stored: StoredSet, change_set: AnySet, run_date: date) -> tuple[list[Guardrail], int]:
    """The guardrails of a canary by the complete days before ``run_date``, and how many days of watch are known in full.

    CAC is of the whole business, in the currency of its outcomes, which need not be the one the account pays in: it is only ever
    compared with itself. JobError if a rate is missing for some spend, or if the account pays in other money than its canary.
    """
    from tasks.act import guardrails
    from tasks.act.guardrails import Day
    from tasks.core.ad_changes import AdStatusSet

    policy, start = context.policy, first_day(context, stored)
    since = start - timedelta(days=policy.watch_baseline_days)
    frame = context.warehouse.query_file(
        "control/canary_watch/days.sql",
        {"start_date": since, "end_date": run_date, "platform": stored.platform, "account_id": stored.account_id},
    )
    _check_currencies(frame, change_set)
    through = _landed_through(frame, run_date, policy.max_data_age_days)
    days = [(d, Day(spend, customers)) for d, spend, customers in _days(frame, since, run_date) if customers is not None]
    known = [(d, day) for d, day in days if d <= through]
    baseline, watch = [day for d, day in known if d < start], [day for d, day in known if d >= start]
    found = [
        guardrails.blended_cac(
            baseline,
            watch,
            tolerance_pct=float(policy.max_cac_breach_pct),
            confidence=float(policy.watch_confidence),
        )
    ]
    by_budget = frame.filter(frame["scope"] == "budget")
    days_loaded = by_budget.filter(by_budget["date"] >= start)["date"].n_unique()
    if isinstance(change_set, AdStatusSet):
        by_group = context.warehouse.query_file(
            "control/canary_watch/ad_days.sql",
            {"start_date": since, "end_date": run_date, "platform": stored.platform, "account_id": stored.account_id},
        )
        return found + _ad_guardrails(change_set, by_group, start, days_loaded), min(len(watch), days_loaded)
    return found + _budget_guardrails(change_set, by_budget, start, days_loaded), min(len(watch), days_loaded)


def _budget_guardrails(change_set: ChangeSet, by_budget: pl.DataFrame, start: date, days: int) -> list[Guardrail]:
    """Spend and delivery of each changed budget."""
    from tasks.act import guardrails

    found = []
    for change in change_set.changes:
        silence, after = _delivered(by_budget.filter(by_budget["budget_id"] == change.budget_id), start)
        larger = max(change.amount_before_micros, change.amount_after_micros)
        found.append(guardrails.budget_spend(change.budget_id, larger, after))
        found.append(guardrails.delivery(change.budget_id, after, days, silence))
    return found


def _ad_guardrails(change_set: AdStatusSet, by_group: pl.DataFrame, start: date, days: int) -> list[Guardrail]:
    """Delivery of each ad group in which an ad was switched."""
    from tasks.act import guardrails

    found = []
    for adgroup_id in sorted({c.adgroup_id for c in change_set.changes}):
        silence, after = _delivered(by_group.filter(by_group["adgroup_id"] == adgroup_id), start)
        found.append(guardrails.delivery(f"adgroup:{adgroup_id}", after, days, silence))
    return found


def _delivered(own: pl.DataFrame, start: date) -> tuple[int | None, list[int]]:
    """Longest silence before ``start`` (None: it never spent), and the spend of each day from then on, micros."""
    from tasks.act import guardrails

    spent = own.filter((own["date"] < start) & (own["cost_micros"] > 0))["date"].to_list()
    silence = guardrails.longest_silence(spent, min(spent), start) if spent else None
    return silence, own.filter(own["date"] >= start)["cost_micros"].to_list()


def edited(context: Context, stored: StoredSet, change_set: AnySet, run_date: date) -> list[str]:
    """What no longer holds our amount or status; the set is blocked for each, and a safety event asks for a person."""
    from tasks.act.mutation import Mutation
    from tasks.core.errors import Refused

    mutation = Mutation(context, stored, change_set, run_date)
    found = []
    for change in change_set.changes:
        if mutation.state(change) in ("rollback_intended", "rolled_back"):
            continue
        now = mutation.read(change)
        if now != change.after:
            held = f"{now}{change.unit}, ours is {change.after}"
            found.append(f"{change.what} holds {held}")
            try:
                mutation.block(change, held)
            except Refused as asked:
                click.echo(str(asked), err=True)
    return found


def _write(context: Context, stored: StoredSet, run_date: date, rows: Sequence[Guardrail]) -> None:
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract

    now = utc_now()
    records = [
        {
            "change_set_id": stored.change_set_id,
            "run_date": run_date,
            "guardrail": g.name,
            "value": g.value,
            "threshold": g.threshold,
            "result": g.result,
            "detail": g.detail,
            "watched_at": now,
        }
        for g in rows
    ]
    context.warehouse.merge(TABLE, pl.DataFrame(records, schema=load_contract(TABLE).polars_schema()))


def _breach(context: Context, stored: StoredSet, run_date: date, guardrails: Sequence[Guardrail], why: str) -> None:
    """Mark the set as breached; a CAC breach also freezes the account, once."""
    from tasks.core import safety
    from tasks.core.switches import account_scope, freeze

    bad = [g for g in guardrails if g.result == "roll_back"]
    cac = next((g for g in bad if g.name == "blended_cac"), None)
    scope = account_scope(stored.platform, stored.account_id)
    if cac is not None:
        # Frozen first: a crash after this line leaves an account that nobody can change, not one that goes on.
        why_frozen = f"canary {stored.change_set_id}: {cac.detail}"
        freeze(context.warehouse, stored.platform, stored.account_id, why=why_frozen, actor="watch-canary")
    safety.record(
        context.warehouse,
        run_date=run_date,
        platform=stored.platform,
        account_id=stored.account_id,
        kind="cac_breach" if cac is not None else "guardrail_breach",
        severity="critical",
        detail=f"canary {stored.change_set_id}: {'; '.join(f'{g.name}: {g.detail}' for g in bad)}"
        + (f"; account {scope} is frozen until `aelp2 kill --off --scope {scope} --why …`" if cac is not None else ""),
    )
    context.append(stored, "breached", detail={"why": why})


def watch(context: Context, stored: StoredSet, run_date: date) -> str:
    """Measure one canary, write the guardrails and the verdict, act on a breach. Watching a day twice changes nothing."""
    from tasks.act import guardrails

    change_set = stored.verified()
    found, days = measure(context, stored, change_set, run_date)
    summary = guardrails.verdict(found, days, context.policy.watch_days)
    # Breached before: a better later day does not call the rollback off.
    if context.ledger.history(stored.change_set_id).find("breached") and summary.result != "roll_back":
        summary = guardrails.Guardrail("verdict", summary.value, summary.threshold, "roll_back", "breached on an earlier day")
    edits = edited(context, stored, change_set, run_date)
    outside = guardrails.Guardrail(
        "out_of_band_edit",
        float(len(edits)),
        0.0,
        "keep_watching" if edits else "promote",
        "; ".join(edits) or "everything is ours",
    )
    if edits and summary.result == "promote":
        summary = guardrails.Guardrail("verdict", summary.value, summary.threshold, "keep_watching", outside.detail)
    if summary.result == "roll_back":
        _breach(context, stored, run_date, found, summary.detail)
    _write(context, stored, run_date, [*found, outside, summary])
    lines = [f"  {g.name}: {g.result}; {g.detail}" for g in (*found, outside) if g.result != "promote" or g.name == "blended_cac"]
    return "\n".join([f"{stored.change_set_id}: {summary.result} ({summary.detail})", *lines])


@click.command("watch-canary")
@run_date_option
@click.option("--change-set-id", help="One change set instead of every open canary.")
def command(run_date: date, change_set_id: str | None) -> None:
    """Measure the guardrails of every open canary; freeze the account on a CAC breach.

    Blended CAC against the days before the change, spend and delivery of the changed budgets (of the ad groups, where ads were
    switched), edits by others. Writes the verdict
    (keep_watching, promote, roll_back) and ends well also on a breach: roll-back-changes and promote-changes act on the verdict.

    \b
    aelp2 watch-canary --run-date 2026-03-03
    """
    from tasks.act.context import Context, for_each
    from tasks.act.stored import load_set

    context = Context.from_environment()
    due = [
        load_set(context.warehouse, h.change_set_id)
        for h in context.ledger.histories()
        if h.state in WATCHED and h.find("applied") and change_set_id in (None, h.change_set_id)
    ]
    if not due:
        click.echo("no canary is open")
        return
    for_each(due, lambda stored: watch(context, stored, run_date))
