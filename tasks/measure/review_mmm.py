"""`aelp2 review-mmm`: judge a fitted marketing-mix model by named checks; only PASS or REVIEW becomes live."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option
from tasks.core.errors import GateStop, JobError

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse
    from tasks.measure.mmm_checks import Check


@click.command("review-mmm")
@run_date_option
@click.option("--source", default="platforms", show_default=True, help="Data the model was fitted on.")
@click.option(
    "--target",
    type=click.Choice(["new_customers", "revenue"]),
    default="new_customers",
    show_default=True,
    help="Outcome it explains.",
)
@click.option("--run-id", help="Run to judge. [default: the newest run fitted up to the run date]")
def command(run_date: date, source: str, target: str, run_id: str | None) -> None:
    """Judge the newest MMM run by named checks; only PASS or REVIEW becomes live.

    FAIL ends with exit code 3 and leaves the curves that were live before in force.

    \b
    Example: aelp2 review-mmm --run-date 2026-03-02
    """
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push
    from tasks.measure.mmm_checks import FAIL, run_checks, verdict

    warehouse = open_warehouse(load_settings())
    for table in ("models.mmm_runs", "models.mmm_reviews"):
        warehouse.create(table)
    run = _run(warehouse, source, target, run_date, run_id)
    identifier = str(run["run_id"])
    weekly, allocations, lifts = (
        warehouse.query_file(f"models/mmm_review_{part}/query.sql", {"run_id": identifier})
        for part in ("periods", "allocations", "lifts")
    )
    checks = run_checks(run, weekly, allocations, lifts)
    result = verdict(checks)
    warehouse.merge("models.mmm_reviews", review_rows(identifier, run_date, checks, result))
    push({"run_id": identifier, "verdict": result})
    for check in checks:
        value = "" if check.value is None else f" {check.value:.4g}"
        click.echo(f"{check.result:6} {check.name}{value} ({check.threshold}): {check.detail}")
    if result == FAIL:
        live = warehouse.query_file("models/live_mmm_run/query.sql", {"source": source, "target": target, "run_date": run_date})
        stays = (
            f"run {live['run_id'][0]} of {live['run_date'][0]} stays live"
            if not live.is_empty()
            else "no earlier run is live, so nothing can be planned"
        )
        failed = ", ".join(check.name for check in checks if check.result == FAIL)
        raise GateStop(f"MMM run {identifier} FAILED on {failed}; {stays}. Mend the data or the configuration and fit again")
    click.echo(f"mmm run {identifier}: verdict {result}; it is live now")


def _run(warehouse: Warehouse, source: str, target: str, run_date: date, run_id: str | None) -> dict[str, object]:
    from tasks.core.contracts import load_contract

    rows = warehouse.query_file("models/mmm_newest_run/query.sql", {"source": source, "target": target, "run_date": run_date})
    if run_id:
        columns = ", ".join(load_contract("models.mmm_runs").columns)
        rows = warehouse.query(
            f"SELECT {columns} FROM models.mmm_runs WHERE run_id = @run_id",  # noqa: S608 - names of the contract
            {"run_id": run_id},
        )
    if rows.is_empty():
        wanted = f"run {run_id}" if run_id else f"run of source {source} for {target} up to {run_date}"
        raise JobError(f"models.mmm_runs has no {wanted}; run fit-mmm first")
    return rows.row(0, named=True)


def review_rows(run_id: str, run_date: date, checks: list[Check], result: str) -> pl.DataFrame:
    """Rows of ``models.mmm_reviews``: one per check and the summary row ``verdict``."""
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.measure.mmm_checks import PASS, Thresholds

    open_points = [check.name for check in checks if check.result != PASS]
    summary = "all checks pass" if not open_points else "look at: " + ", ".join(open_points)
    rows = [
        {"check": check.name, "result": check.result, "value": check.value, "threshold": check.threshold, "detail": check.detail}
        for check in checks
    ]
    rows.append(
        {
            "check": "verdict",
            "result": result,
            "value": None,
            "threshold": f"thresholds version {Thresholds().version}",
            "detail": summary,
        }
    )
    return pl.DataFrame(rows, schema_overrides={"value": pl.Float64}, infer_schema_length=None).with_columns(
        pl.lit(run_id).alias("run_id"), pl.lit(run_date).alias("run_date"), pl.lit(utc_now()).alias("reviewed_at")
    )
