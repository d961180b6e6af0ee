"""`aelp2 plan-audiences`: what would be sent to make audiences of the scores. Shadow: nothing is sent."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse
    from tasks.decide.audiences import Plan

SCORES_DAYS = 7  # scores of last week's fit are the newest a weekly job has


def write_plans(warehouse: Warehouse, plans: list[Plan], scored: pl.DataFrame, experiment_id: str, run_date: date) -> None:
    """Replace the day's plans of the experiment and their members."""
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract

    now, first = utc_now(), scored.row(0, named=True)
    key = {"run_date": run_date, "experiment_id": experiment_id, "loaded_at": now}
    rows = [
        {
            **key,
            "destination": plan.destination.name,
            "audience": plan.audience,
            "people": plan.people,
            "consented_people": plan.consented,
            "matchable_people": plan.matchable,
            "identifiers": plan.members.height,
            "minimum_people": plan.destination.minimum,
            "is_withheld": plan.withheld is not None,
            "withheld_reason": plan.withheld,
            "payload_sha256": plan.payload_sha256,
            "payload_bytes": plan.payload_bytes,
            "scored_date": first["scored_date"],
            "model_version": first["model_version"],
        }
        for plan in plans
    ]
    contract = load_contract("gaelp_users.audience_members")
    members = pl.concat(
        plan.members.with_columns(
            pl.lit(run_date).alias("run_date"),
            pl.lit(experiment_id).alias("experiment_id"),
            pl.lit(plan.destination.name).alias("destination"),
            pl.lit(plan.audience).alias("audience"),
            pl.lit(now).cast(pl.Datetime("us", "UTC")).alias("loaded_at"),
        ).select(contract.columns)
        for plan in plans
    )
    where, schema = {"experiment_id": experiment_id}, load_contract("control.audience_plans").polars_schema()
    warehouse.replace_partitions("gaelp_users.audience_members", members, partitions=[run_date], where=where)
    frame = pl.DataFrame(rows, schema=schema)
    warehouse.replace_partitions("control.audience_plans", frame, partitions=[run_date], where=where)


@click.command("plan-audiences")
@click.option("--experiment", "experiment_id", required=True, help="Experiment whose model scored the people.")
@click.option(
    "--share", default=0.3, show_default=True, type=click.FloatRange(0.01, 1), help="Best share of people to grow with."
)
@run_date_option
def command(experiment_id: str, share: float, run_date: date) -> None:
    """Plan audiences for Google customer match, Meta and GA4 from causal scores. Nothing is sent.

    Each plan counts people, consent and ids, names the least size of the destination, and holds the SHA-256 of the exact payload;
    its members stand in gaelp_users.audience_members as hashed ids, so that a deletion by id reaches them.

    \b
    Example: aelp2 plan-audiences --run-date 2026-03-02 --experiment holdout --share 0.2

    Exit code 4: the scores are observational; they never make an audience. 99: there are no scores of the last week.
    """
    from tasks.core.errors import NothingToDo
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push
    from tasks.decide.audiences import AUDIENCES, DESTINATIONS, plan_audience

    warehouse = open_warehouse(load_settings())
    since = run_date - timedelta(days=SCORES_DAYS)
    candidates = warehouse.query_file(
        "control/audience_candidates/query.sql", {"experiment_id": experiment_id, "run_date": run_date, "since_date": since}
    )
    if candidates.is_empty():
        raise NothingToDo(f"models.segment_scores_daily has no scores of {experiment_id} since {since}; run fit-uplift")
    plans = [plan_audience(candidates, destination, name, share) for destination in DESTINATIONS for name in AUDIENCES]
    write_plans(warehouse, plans, candidates, experiment_id, run_date)
    push({"experiment_id": experiment_id, "plans": len(plans), "withheld": sum(plan.withheld is not None for plan in plans)})
    for plan in plans:
        said = plan.withheld or f"payload {str(plan.payload_sha256)[:12]} of {plan.payload_bytes:,} bytes"
        click.echo(
            f"{plan.destination.name} {plan.audience}: {plan.people:,} people, {plan.consented:,} consented, "
            f"{plan.matchable:,} can be matched; {said}"
        )
    click.echo("shadow: nothing was sent")
