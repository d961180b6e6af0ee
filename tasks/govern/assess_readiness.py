"""One verdict per account and day: may it be changed? The canary refuses without a good one."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from tasks.core.policy import Policy
    from tasks.core.warehouse import Warehouse
    from tasks.govern.readiness import Account, Check

TABLE = "control.readiness"
OPEN_DAYS = 7  # proposals live a day; a week is ample


def _accounts(warehouse: Warehouse, run_date: date) -> list[Account]:
    from tasks.govern.readiness import Account

    rows = warehouse.query_file("control/readiness_accounts/query.sql", {"run_date": run_date})
    return [Account(**row) for row in rows.iter_rows(named=True)]


def _pending(warehouse: Warehouse, run_date: date) -> dict[tuple[str, str], list[str]]:
    """(platform, account) → change sets of earlier days whose time to decide is not over."""
    since, starts = run_date - timedelta(days=OPEN_DAYS), datetime.combine(run_date, time(), UTC)
    window = {"since_date": since, "run_date": run_date, "day_starts_at": starts}
    return _by_account(warehouse.query_file("control/readiness_sets/query.sql", window))


def _lost(warehouse: Warehouse, run_date: date) -> dict[tuple[str, str], list[str]]:
    """(platform, account) → changes of ours that never reached the platform's log."""
    rows = warehouse.query(
        "SELECT platform, account_id, event_key FROM control.change_reconciliation "
        "WHERE date >= @since_date AND origin = 'not_in_log' ORDER BY event_key",
        {"since_date": run_date - timedelta(days=OPEN_DAYS)},
    )
    return _by_account(rows)


def _by_account(rows: pl.DataFrame) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for platform, account_id, name in rows.iter_rows():
        found.setdefault((platform, account_id), []).append(name)
    return found


def assess(warehouse: Warehouse, policy: Policy, run_date: date) -> Mapping[Account, list[Check]]:
    """The checks of every account that ever delivered, the verdict last."""
    from tasks.core.ledger import Ledger
    from tasks.core.switches import read_switches
    from tasks.govern import readiness

    accounts = _accounts(warehouse, run_date)
    gate_rows = warehouse.query_file("control/readiness_gates/query.sql", {"run_date": run_date}).to_dicts()
    live = warehouse.query_file(
        "models/live_mmm_run/query.sql", {"source": "platforms", "target": "new_customers", "run_date": run_date}
    ).to_dicts()
    day = {"run_date": run_date}
    drift, fidelity = (warehouse.query_file(f"control/readiness_{c}/query.sql", day).to_dicts() for c in ("drift", "fidelity"))
    switches, pending, lost = read_switches(warehouse), _pending(warehouse, run_date), _lost(warehouse, run_date)
    book = Ledger(warehouse)
    problems, sets = book.problems(), book.histories()
    found = {}
    for account in accounts:
        key = (account.platform, account.account_id)
        histories = {h.change_set_id: h for h in sets if (h.rows[0].platform, h.rows[0].account_id) == key}
        checks = [
            readiness.freshness(account, run_date, policy.max_data_age_days),
            readiness.gates(gate_rows, run_date),
            readiness.model(live[0] if live else None, run_date),
            readiness.drift(drift, account, run_date),
            readiness.fidelity(fidelity, account, run_date),
            readiness.incidents(histories.values(), lost.get(key, [])),
            readiness.switches(switches, account),
            readiness.ledger(problems),
            readiness.approvals(pending.get(key, []), histories),
        ]
        found[account] = [*checks, readiness.verdict(checks)]
    return found


def write(warehouse: Warehouse, run_date: date, found: Mapping[Account, list[Check]]) -> None:
    """Replace the day's verdicts of the accounts."""
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract

    now = utc_now()
    records = [
        {
            "platform": account.platform,
            "account_id": account.account_id,
            "run_date": run_date,
            "check": check.name,
            "is_ready": check.is_ready,
            "detail": check.detail,
            "assessed_at": now,
        }
        for account, checks in found.items()
        for check in checks
    ]
    warehouse.replace_partitions(TABLE, pl.DataFrame(records, schema=load_contract(TABLE).polars_schema()), partitions=[run_date])


@click.command("assess-readiness")
@run_date_option
def command(run_date: date) -> None:
    """Say for every account whether it may be changed today, and if not, why.

    Looks at freshness, gates, the model, drift, fidelity, open incidents, switches, the ledger and open proposals. The job ends
    well either way; it is apply-changes that refuses an account without a good verdict of the day.

    \b
    aelp2 assess-readiness --run-date 2026-03-02
    """
    from tasks.core.policy import load_policy
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse

    settings = load_settings()
    warehouse = open_warehouse(settings)
    found = assess(warehouse, load_policy(settings), run_date)
    write(warehouse, run_date, found)
    if not found:
        click.echo("no account has delivered yet: nothing can be changed")
    for account, checks in found.items():
        click.echo(f"{account.scope}: {'ready' if checks[-1].is_ready else 'NOT READY'} ({checks[-1].detail})")
