"""Say for each change of a budget or an ad in the accounts whose it is; freeze an account in which somebody undoes ours."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.warehouse import Warehouse
    from tasks.govern.reconciliation import LoggedChange, Reconciled

TABLE = "control.change_reconciliation"
DAYS = 30  # what the platforms keep of their change logs
ACTOR = "reconcile-changes"


def _logged(warehouse: Warehouse, start: date, run_date: date) -> dict[tuple[str, str], list[LoggedChange]]:
    """(platform, account) → its changes of budgets and ads."""
    from tasks.govern.reconciliation import BUDGET, LoggedChange

    found: dict[tuple[str, str], list[LoggedChange]] = {}
    frame = warehouse.query_file("control/reconcile_events/query.sql", {"start_date": start, "run_date": run_date})
    for row in frame.iter_rows(named=True):
        is_budget = row["resource_type"] == BUDGET
        names = ("amount_before_micros", "amount_after_micros") if is_budget else ("status_before", "status_after")
        before, after = (row[name] or (0 if is_budget else "") for name in names)  # made or removed: there was or is none
        change = LoggedChange(
            row["change_event_id"], row["date"], row["resource_type"], row["resource_id"], before, after, row["changed_at"]
        )
        found.setdefault((row["platform"], row["account_id"]), []).append(change)
    return found


def _looks(
    warehouse: Warehouse, start: date, run_date: date
) -> tuple[dict[tuple[str, str], list[LoggedChange]], dict[tuple[str, str], list[datetime]]]:
    """Of the platforms without a change log: what differs between two looks, and the moments of the looks."""
    from tasks.core.ad_changes import ad_resource_id
    from tasks.govern.reconciliation import AD, LoggedChange
    from tasks.platforms import ADAPTERS, adapter_of

    silent = [name for name in ADAPTERS if not adapter_of(name).keeps_change_log]
    asked = {"start_date": start, "run_date": run_date, "platforms": silent}
    frame = warehouse.query_file("control/reconcile_snapshots/query.sql", asked)
    changes: dict[tuple[str, str], list[LoggedChange]] = {}
    moments: dict[tuple[str, str], list[datetime]] = {}
    for row in frame.iter_rows(named=True):
        account = (row["platform"], row["account_id"])
        if row["changed_at"] not in moments.setdefault(account, []):
            moments[account].append(row["changed_at"])
        before, after = row["status_before"], row["status_after"]
        if before in (None, after):
            continue
        ad = ad_resource_id((row["adgroup_id"], row["ad_id"]))
        change = LoggedChange(f"look:{row['date']}:{ad}", row["date"], AD, ad, before, after, row["changed_at"], row["began_at"])
        changes.setdefault(account, []).append(change)
    return changes, moments


def _record(platform: str, account_id: str, one: Reconciled, now: datetime) -> dict[str, object]:
    ours, change = one.own or one.against, one.change
    values = (
        ("amount_before_micros", "amount_after_micros") if isinstance(change.before, int) else ("status_before", "status_after")
    )
    return {
        "platform": platform,
        "account_id": account_id,
        "event_key": change.event_key,
        "date": change.date,
        "origin": one.origin,
        "resource_type": change.resource_type,
        "resource_id": change.resource_id,
        "change_set_id": ours.change_set_id if ours else None,
        "change_id": ours.change_id if ours else None,
        **{name: None if value == "" else value for name, value in zip(values, (change.before, change.after), strict=True)},
        "is_fighting": one.is_fighting,
        "changed_at": change.changed_at,
        "reconciled_at": now,
    }


def _tell(warehouse: Warehouse, run_date: date, platform: str, account_id: str, found: Sequence[Reconciled]) -> None:
    """Safety events: one for each change that undoes ours or is missing in the log, one for all the others together."""
    from functools import partial

    from tasks.core import safety

    record = partial(safety.record, warehouse, run_date=run_date, platform=platform, account_id=account_id)
    for one in found:
        key = one.change.event_key
        if one.origin == "not_in_log":
            detail = f"{one.change.text} is in our ledger but not in the platform's change log; look at the account [{key}]"
            record(kind="change_not_in_log", severity="critical", detail=detail)
        elif one.against is not None:
            detail = f"{one.change.text} undoes our change {one.against.change_id}; talk to whoever did it [{key}]"
            record(kind="change_fought", severity="critical", detail=detail)
    others = [r.change for r in found if r.origin == "out_of_band" and not r.is_fighting]
    if others:
        detail = f"{len(others)} changes were made outside this system, of {_named(others)}"
        record(kind="out_of_band_change", severity="info", detail=f"{detail}; those of a day count in its caps (M3)")


def _named(changes: Sequence[LoggedChange]) -> str:
    return ", ".join(sorted({change.text.split(":")[0] for change in changes}))


def _freeze(warehouse: Warehouse, platform: str, account_id: str, fights: Sequence[Reconciled]) -> None:
    from tasks.core.switches import freeze

    if fights:
        what = _named([one.change for one in fights])
        why = f"somebody moved back what we had changed: {what}; talk to them before the loop goes on"
        freeze(warehouse, platform, account_id, why=why, actor=ACTOR)


def run(warehouse: Warehouse, run_date: date) -> list[str]:
    """Reconcile every account that changed or was changed; a line of text for each. Running twice changes nothing."""
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract
    from tasks.core.ledger import Ledger
    from tasks.govern.reconciliation import completeness, reconcile

    start = run_date - timedelta(days=DAYS - 1)
    since, until = (datetime.combine(day, time(), UTC) for day in (start, run_date + timedelta(days=1)))
    logged, ledger = _logged(warehouse, start, run_date), Ledger(warehouse).rows()
    seen, looks = _looks(warehouse, start, run_date)
    logged |= seen
    known = set(warehouse.query_file("control/reconciled_before/query.sql", {"start_date": start}).iter_rows())
    lines = []
    for platform, account_id in sorted(set(logged) | {(r.platform, r.account_id) for r in ledger if r.change_id}):
        own = [r for r in ledger if (r.platform, r.account_id) == (platform, account_id)]
        account = (platform, account_id)
        found = reconcile(logged.get(account, []), own, since, until, looks=looks.get(account))
        if not found:
            continue
        new = [r for r in found if (platform, account_id, r.change.event_key, r.origin, r.is_fighting) not in known]
        # Frozen and told before it is written down: a crash in between does both again, it does not forget to.
        _freeze(warehouse, platform, account_id, [r for r in new if r.is_fighting])
        # What others did before our first proposal is nobody's news.
        began = own[0].at if own else until
        _tell(warehouse, run_date, platform, account_id, [r for r in new if r.change.changed_at >= began])
        records = [_record(platform, account_id, one, utc_now()) for one in found]
        frame = pl.DataFrame(records, schema=load_contract(TABLE).polars_schema())
        # All days anew: a change that was missing in the log yesterday may have come.
        days = [start + timedelta(days=n) for n in range(DAYS)]
        warehouse.replace_partitions(TABLE, frame, partitions=days, where={"platform": platform, "account_id": account_id})
        count = {origin: sum(r.origin == origin for r in found) for origin in ("ours", "out_of_band", "not_in_log")}
        lines.append(
            f"{platform}:{account_id}: {len(found)} changes in {DAYS} days: {count['ours']} ours, "
            f"{count['out_of_band']} by others ({sum(r.is_fighting for r in found)} against ours), "
            f"{count['not_in_log']} of ours missing in the platform's log; completeness {completeness(found):.0%}"
        )
    return lines


@click.command("reconcile-changes")
@run_date_option
def command(run_date: date) -> None:
    """Compare the platforms' change logs of 30 days with the ledger.

    Each change of a budget's amount or an ad's status is ours, somebody else's, or ours and missing in the log. Changes of others
    are safety events and count in the daily caps; one that undoes ours freezes the account until a person thaws it with
    `aelp2 kill --off`. Platforms without a log that their API tells of are compared by the daily looks at their ads.

    \b
    aelp2 reconcile-changes --run-date 2026-03-03
    """
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse

    lines = run(open_warehouse(load_settings()), run_date)
    click.echo("\n".join(lines) if lines else f"no budget and no ad was changed in the last {DAYS} days, by anybody")
