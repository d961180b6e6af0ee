"""`aelp2 validate-tables`: the gate before a job."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option
from tasks.quality.gates import GATES, PLATFORMS, Gate, tables, window

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse
    from tasks.quality.table_checks import CheckResult


def check_gate(warehouse: Warehouse, gate: Gate, run_date: date, source: str) -> list[CheckResult]:
    """Results of every check of every table that the gate's job reads for ``source``."""
    import structlog

    from tasks.quality.table_checks import TableGate

    results: list[CheckResult] = []
    for table in tables(gate, source):
        found = TableGate(warehouse, table, window(gate, run_date, source)).run()
        bad = sum(1 for result in found if result.failures)
        structlog.get_logger(source=__name__).info("checked", table=table.name, rows=found[0].rows, checks=len(found), failed=bad)
        results += found
    return results


def record(warehouse: Warehouse, gate: str, run_date: date, results: list[CheckResult]) -> None:
    """Write every result to control.validation_results and the rows of failed critical checks to control.quarantine."""
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract
    from tasks.core.log import redact
    from tasks.core.quarantine import quarantine

    now = utc_now()
    rows = [
        {
            "run_date": run_date,
            "gate": gate,
            "table_name": result.table,
            "check": result.check,
            "severity": result.severity,
            "rows": result.rows,
            "failures": result.failures,
            "detail": redact(f"{result.detail}. {result.remedy}".strip()),
            "checked_at": now,
        }
        for result in results
    ]
    schema = load_contract("control.validation_results").polars_schema()
    # A check that failed an hour ago and holds now must not leave its old row: the day's results of the gate are replaced.
    warehouse.replace_partitions(
        "control.validation_results", pl.DataFrame(rows, schema=schema), partitions=[run_date], where={"gate": gate}
    )
    for result in results:
        if result.severity == "critical" and result.failures:
            quarantine(warehouse, result.table, result.examples, result.check, result.remedy, run_date)


@click.command("validate-tables")
@click.option(
    "--for",
    "job",
    type=click.Choice(list(GATES)),
    default="ingest-ads",
    show_default=True,
    help="Job whose tables are checked; ingest-ads means everything that the daily load writes.",
)
@click.option("--source", default=PLATFORMS, show_default=True, help="`platforms`, or the source of an import-csv map.")
@run_date_option
def command(job: str, source: str, run_date: date) -> None:
    """Gate: check the tables a job reads; a failing critical check stops the line with exit code 3.

    Each table is held against its contract (types, ranges, patterns, unique grain, freshness) and against the checks in its
    checks.sql. Warnings are logged and counted. All results are written to control.validation_results, offending rows of
    critical checks to control.quarantine (the first 100 of a check); the tables themselves are not changed.

    \b
    aelp2 validate-tables --for fit-mmm --run-date 2026-03-02
    aelp2 validate-tables --for fit-mmm --source my_import --run-date 2026-03-02
    """
    import structlog

    from tasks.core.errors import GateStop
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push

    warehouse = open_warehouse(load_settings())
    results = check_gate(warehouse, GATES[job], run_date, source)
    record(warehouse, job, run_date, results)
    failed = [result for result in results if result.failures]
    critical = [result for result in failed if result.severity == "critical"]
    warnings = [result for result in failed if result.severity == "warning"]
    for result in warnings:
        structlog.get_logger(source=__name__).warning("gate_warning", gate=job, finding=str(result))
    push({"gate": job, "checks": len(results), "failed": len(critical), "warnings": len(warnings)})
    counted = f"{len({r.table for r in results})} tables, {len(results)} checks, {len(warnings)} warnings"
    if critical:
        lines = "\n".join(f"  {result}" for result in critical)
        raise GateStop(f"the gate before {job} stops ({counted}, {len(critical)} critical failures)\n{lines}")
    click.echo(f"gate {job} open for {source} on {run_date}: {counted}")
