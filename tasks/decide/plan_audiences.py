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


def plan_one(warehouse: Warehouse, experiment_id: str, share: float, run_date: date) -> dict[str, object]:
    """Plan the audiences of one experiment, tell of them, and return what the job hands on.

    Raises:
        NothingToDo: there are no scores of the last week. Refused: they are observational.
    """
    from tasks.core.errors import NothingToDo
    from tasks.decide.audiences import AUDIENCES, DESTINATIONS, plan_audience

    since = run_date - timedelta(days=SCORES_DAYS)
    candidates = warehouse.query_file(
        "control/audience_candidates/query.sql", {"experiment_id": experiment_id, "run_date": run_date, "since_date": since}
    )
    if candidates.is_empty():
        raise NothingToDo(f"models.segment_scores_daily has no scores of {experiment_id} since {since}; run fit-uplift")
    plans = [plan_audience(candidates, destination, name, share) for destination in DESTINATIONS for name in AUDIENCES]
    write_plans(warehouse, plans, candidates, experiment_id, run_date)
    for plan in plans:
        said = plan.withheld or f"payload {str(plan.payload_sha256)[:12]} of {plan.payload_bytes:,} bytes"
        click.echo(
            f"{experiment_id}, {plan.destination.name} {plan.audience}: {plan.people:,} people, {plan.consented:,} consented, "
            f"{plan.matchable:,} can be matched; {said}"
        )
    return {"experiment_id": experiment_id, "plans": len(plans), "withheld": sum(plan.withheld is not None for plan in plans)}


def plan_all(warehouse: Warehouse, share: float, run_date: date) -> list[dict[str, object]]:
    """Plan the audiences of every experiment with causal scores of the last week. NothingToDo if there is none."""
    from tasks.core.errors import NothingToDo

    since = run_date - timedelta(days=SCORES_DAYS)
    scored = warehouse.query(
        "SELECT experiment_id, COUNTIF(effect_kind <> 'causal') AS observed FROM models.segment_scores_daily "
        "WHERE date >= @since_date AND date <= @run_date GROUP BY experiment_id ORDER BY experiment_id",
        {"since_date": since, "run_date": run_date},
    )
    causal = scored.filter(scored["observed"] == 0)["experiment_id"]
    for experiment_id in scored.filter(scored["observed"] > 0)["experiment_id"]:
        click.echo(f"{experiment_id}: no audience; its scores are observational, and these decide about nobody")
    if causal.is_empty():
        raise NothingToDo(f"no experiment has causal scores since {since}; run fit-uplift on a randomised one")
    return [plan_one(warehouse, experiment_id, share, run_date) for experiment_id in causal]


@click.command("plan-audiences")
@click.option("--experiment", "experiment_id", help="Experiment whose model scored the people. Default: all with causal scores.")
@click.option(
    "--share", default=0.3, show_default=True, type=click.FloatRange(0.01, 1), help="Best share of people to grow with."
)
@run_date_option
def command(experiment_id: str | None, share: float, run_date: date) -> None:
    """Plan audiences for Google customer match, Meta and GA4 from causal scores. Nothing is sent.

    Each plan counts people, consent and ids, names the least size of the destination, and holds the SHA-256 of the exact payload;
    its members stand in gaelp_users.audience_members as hashed ids, so that a deletion by id reaches them.

    \b
    aelp2 plan-audiences --run-date 2026-03-02
    aelp2 plan-audiences --run-date 2026-03-02 --experiment holdout --share 0.2

    Exit code 4: the scores of --experiment are observational; they never make an audience. 99: no scores of the last week.
    """
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push

    warehouse = open_warehouse(load_settings())
    if experiment_id is None:
        push({"experiments": plan_all(warehouse, share, run_date)})
    else:
        push(plan_one(warehouse, experiment_id, share, run_date))
    click.echo("shadow: nothing was sent")
