"""`aelp2 measure-success`: does it work? New customers, costs, hits of the model, exploration, decisions, safety, day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from tasks.core.policy import Policy
    from tasks.core.warehouse import Warehouse
    from tasks.govern.success_metrics import Metric
    from tasks.govern.success_model import Mix

TABLE = "control.success_metrics_daily"
HISTORY_DAYS = 42  # four weeks of the business that may have ended a week ago
EXPLORED_DAYS = 60  # what choose-arms holds exploration against
LIFT_DAYS = 365
Account = tuple[str, str]
Row = dict[str, Any]
Metrics = dict[Account, list["Metric"]]


def _by_account(rows: Sequence[Row]) -> dict[Account, Row]:
    return {(row["platform"], row["account_id"]): row for row in rows}


def _hits(warehouse: Warehouse, run_date: date) -> dict[Account, Row]:
    """The newest evaluation of each account's change sets; the model's under (all, all), of new customers if there is one."""
    from tasks.govern.success_metrics import FRESH_DAYS

    window = {"run_date": run_date, "start_date": run_date - timedelta(days=FRESH_DAYS)}
    rows = warehouse.query_file("control/metrics_fidelity/query.sql", window).to_dicts()
    return _by_account(sorted(rows, key=lambda row: bool(row["target"] == "new_customers")))


def _mix(warehouse: Warehouse, end: date | None, live: Row | None) -> Mix:
    """Spend of the two weeks up to ``end``, by the channels of ``live``."""
    from tasks.core.currencies import REMEDY
    from tasks.core.segments import UNSPLIT, Split
    from tasks.govern.success_model import RECENT_DAYS, Mix

    if end is None:
        return Mix({}, RECENT_DAYS, None, (None, None), "no spend is known; run ingest-ads")
    split = Split(tuple(live["split_channels"] or ()), tuple(live["remarketing_campaign_ids"] or ())) if live else UNSPLIT
    start, after = end - timedelta(days=RECENT_DAYS - 1), end + timedelta(days=1)
    window = {"start_date": start, "end_date": after, "remarketing_campaign_ids": list(split.campaign_ids)}
    spend: dict[str, int] = {}
    codes = set()
    for row in warehouse.query_file("control/metrics_channel_spend/query.sql", window).iter_rows(named=True):
        name = split.name(row["channel"], row["is_remarketing"])
        spend[name] = spend.get(name, 0) + row["spend_micros"]
        codes.add(row["currency_code"])
    problem = None
    if not sum(spend.values()):
        problem = f"nothing was spent in the {RECENT_DAYS} days up to {end}"
    elif len(codes) > 1:
        problem = f"spend in several currencies has no sum; {REMEDY}"
    return Mix(spend, RECENT_DAYS, min(codes, default=None), (start, end), problem)


def measure_business(warehouse: Warehouse, run_date: date, hits: Row | None) -> list[Metric]:
    """Metrics of the advertiser: what the business counted, and what its model says."""
    from tasks.core.response import draws_by_channel
    from tasks.govern import success_metrics, success_model

    window = {"run_date": run_date, "start_date": run_date - timedelta(days=HISTORY_DAYS)}
    daily = warehouse.query_file("control/fidelity_daily/query.sql", window).to_dicts()
    business = success_metrics.business_of(daily, run_date)
    wanted = {"run_date": run_date, "source": "platforms", "target": "new_customers"}
    runs = warehouse.query_file("models/live_mmm_run/query.sql", wanted).to_dicts()
    live = runs[0] if runs else None
    mix = _mix(warehouse, max((row["date"] for row in daily), default=None), live)
    of_run = {"run_id": live["run_id"] if live else ""}
    drawn = warehouse.query_file("control/plan_draws/query.sql", of_run)
    allocations = warehouse.query_file("models/report_allocations/query.sql", of_run).to_dicts()
    since = {"run_date": run_date, "start_date": run_date - timedelta(days=LIFT_DAYS)}
    tests = warehouse.query_file("models/metrics_lifts/query.sql", since).to_dicts()
    return [
        *success_metrics.of_business(business),
        success_model.marginal_cac(mix, live, draws_by_channel(drawn) if drawn.height else {}, run_date),
        success_model.measured(tests, (since["start_date"], run_date - timedelta(days=1))),
        success_metrics.hit_rate(hits),
        success_model.frontier_share(mix, live, allocations),
    ]


def measure_exploration(warehouse: Warehouse, policy: Policy, run_date: date) -> Mapping[Account, list[Metric]]:
    """What exploration used and brought, of each account with decisions; an account without any is under no key."""
    from tasks.govern import success_metrics

    window = {"run_date": run_date, "start_date": run_date - timedelta(days=EXPLORED_DAYS)}
    days = (window["start_date"], run_date - timedelta(days=1))
    used = _by_account(warehouse.query_file("models/bandit_exploration/query.sql", window).to_dicts())
    brought: dict[Account, list[Row]] = {}
    for row in warehouse.query_file("models/metrics_exploration/query.sql", window).iter_rows(named=True):
        brought.setdefault((row["platform"], row["account_id"]), []).append(row)
    return {
        key: [
            success_metrics.exploration_used(used.get(key), float(policy.exploration_pct), days),
            success_metrics.exploration_roi(brought.get(key, []), days),
        ]
        for key in {*used, *brought}
    }


def measure_ledger(warehouse: Warehouse, run_date: date, accounts: set[Account]) -> Metrics:
    """Decisions, approvals, completeness and rollbacks of ``accounts`` and of every account the ledger or the log knows."""
    from tasks.core.ledger import Ledger
    from tasks.govern import success_ledger
    from tasks.govern.reconcile_changes import DAYS

    book, until = Ledger(warehouse), datetime.combine(run_date + timedelta(days=1), time(), UTC)
    problems, sets = book.problems(), success_ledger.histories_of(book.rows(), until)
    answers = {row["change_set_id"]: row for row in warehouse.query_file("control/metrics_approvals/query.sql").to_dicts()}
    first, reconciled = success_ledger.since_of(run_date), run_date - timedelta(days=DAYS - 1)
    since, window = datetime.combine(first, time(), UTC), (first, run_date)
    counted = {"run_date": run_date, "start_date": reconciled}
    counts = _by_account(warehouse.query_file("control/metrics_reconciliation/query.sql", counted).to_dicts())
    found: Metrics = {}
    for key in sorted({*accounts, *sets, *counts}):
        own = sets.get(key, [])
        receipts = success_ledger.receipts_of(own, reconciled)
        found[key] = [
            success_ledger.time_to_decision(own, since, window),
            success_ledger.without_approval(own, answers, problems),
            success_ledger.completeness(counts.get(key), receipts, (reconciled, run_date)),
            *success_ledger.rollback_times(own, since, window),
        ]
    return found


def measure(warehouse: Warehouse, policy: Policy, run_date: date) -> Metrics:
    """(platform, account) → its metrics; those of the advertiser are under (all, all) and come first."""
    from tasks.govern import success_metrics

    everybody = (success_metrics.ALL, success_metrics.ALL)
    hits = _hits(warehouse, run_date)
    found: Metrics = {everybody: measure_business(warehouse, run_date, hits.pop(everybody, None))}
    explored = measure_exploration(warehouse, policy, run_date)
    delivered = warehouse.query_file("control/readiness_accounts/query.sql", {"run_date": run_date})
    known = {*delivered.select("platform", "account_id").iter_rows(), *explored, *hits}
    window = (run_date - timedelta(days=EXPLORED_DAYS), run_date - timedelta(days=1))
    nothing = [
        success_metrics.exploration_used(None, float(policy.exploration_pct), window),
        success_metrics.exploration_roi([], window),
    ]
    for key, metrics in measure_ledger(warehouse, run_date, known).items():
        own = [success_metrics.hit_rate(hits[key])] if key in hits else []
        found[key] = [*own, *explored.get(key, nothing), *metrics]
    return found


def write(warehouse: Warehouse, run_date: date, found: Metrics) -> None:
    """Replace the day's metrics."""
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract

    now, records = utc_now(), []
    for (platform, account_id), metrics in found.items():
        for metric in metrics:
            row = asdict(metric)
            (start, end), name, currency = row.pop("window"), row.pop("name"), row.pop("currency")
            about = {"run_date": run_date, "platform": platform, "account_id": account_id, "metric": name}
            about |= {"currency_code": currency, "window_start_date": start, "window_end_date": end, "measured_at": now}
            records.append(about | row)
    frame = pl.DataFrame(records, schema=load_contract(TABLE).polars_schema())
    warehouse.replace_partitions(TABLE, frame, partitions=[run_date])


def line_of(account: Account, metric: Metric) -> str:
    """One metric for the terminal."""
    if metric.value is None:
        return f"{':'.join(account)} {metric.name}: unknown ({metric.detail})"
    ends = ["" if end is None else f"{end:,.4g}" for end in (metric.low, metric.high)]
    interval = f" [{' to '.join(ends)}]" if any(ends) else ""
    unit = metric.currency if metric.unit == "currency" else metric.unit
    return f"{':'.join(account)} {metric.name}: {metric.value:,.4g}{interval} {unit} ({metric.detail})"


@click.command("measure-success")
@run_date_option
def command(run_date: date) -> None:
    """Write the day's success metrics: what the system is for, and whether it keeps its promises.

    New customers, blended CAC, marginal CAC of the model and of lift tests, how often what came lay in the predicted interval,
    share of spend at the optimum, exploration, hours to a decision, live changes without approval (must be 0), completeness of
    the changefeed, minutes to a rollback. What cannot be known has no value and says why. Nothing is acted on.

    \b
    aelp2 measure-success --run-date 2026-03-02
    """
    from tasks.core.policy import load_policy
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse

    settings = load_settings()
    warehouse = open_warehouse(settings)
    found = measure(warehouse, load_policy(settings), run_date)
    write(warehouse, run_date, found)
    click.echo("\n".join(line_of(account, metric) for account, metrics in found.items() for metric in metrics))
