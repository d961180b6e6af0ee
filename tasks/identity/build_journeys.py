"""`aelp2 build-journeys`: visits, journeys, counted paths and steps of the last weeks."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse


@click.command("build-journeys")
@run_date_option
@click.option(
    "--days",
    default=90,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Days before the run date to make anew: late events and newly stitched persons change the past.",
)
def command(run_date: date, days: int) -> None:
    """Make visits, journeys, counted paths and steps of the last weeks.

    From GA4's events and the stitched persons. A visit is a GA4 session; its channel is that of its first tagged event. A journey
    is what a person did in the 30 days before a conversion, or until a silence of 30 days. Days that were made before are made
    anew; twice is as once.

    \b
    Example: aelp2 build-journeys --run-date 2026-03-02
             aelp2 build-journeys --run-date 2026-03-02 --days 400     after a long backfill
    """
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push

    warehouse = open_warehouse(load_settings())
    start = run_date - timedelta(days=days)
    sessions, left_out = write_sessions(warehouse, start, run_date)
    counts = {"visits": sessions.height, "left_out": left_out} | write_journeys(warehouse, sessions, start, run_date)
    push(counts)
    click.echo(
        f"{counts['visits']:,} visits ({counts['left_out']:,} of bots left out) from {start} to {run_date - timedelta(days=1)}, "
        f"{counts['journeys']:,} journeys, {counts['conversions']:,.0f} converted, {counts['paths']:,} paths"
    )


def _days(start: date, end: date) -> list[date]:
    return [start + timedelta(days=n) for n in range((end - start).days)]


def write_sessions(warehouse: Warehouse, start: date, end: date) -> tuple[pl.DataFrame, int]:
    """Replace ``gaelp_users.journey_sessions`` of ``start`` ≤ day < ``end``; the visits, and how many were left out.

    GateStop if a property was paid in several currencies.
    """
    from tasks.identity.visits import to_sessions

    # A visit that began the evening before is seen whole and left to its own day.
    window = {"start_date": start - timedelta(days=1), "end_date": end}
    parts, orders = (warehouse.query_file(f"gaelp_users/journey_{part}/query.sql", window) for part in ("visits", "purchases"))
    sessions = to_sessions(parts.filter(~parts["is_bot"]), orders)
    sessions = sessions.filter((sessions["session_start_date"] >= start) & (sessions["session_start_date"] < end))
    warehouse.replace_partitions("gaelp_users.journey_sessions", sessions, partitions=_days(start, end))
    return sessions, int(parts["is_bot"].sum())


def write_journeys(warehouse: Warehouse, sessions: pl.DataFrame, start: date, end: date) -> dict[str, float]:
    """Replace touchpoints, paths and steps of ``start`` ≤ day < ``end``, whose visits are ``sessions``.

    How many journeys, conversions and paths there are.
    """
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.identity.journeys import first_day_to_read, steps_of, to_touchpoints

    context = first_day_to_read(start)
    now, days = pl.lit(utc_now()).alias("loaded_at"), _days(start, end)
    earlier = warehouse.query_file("gaelp_users/journey_context/query.sql", {"start_date": context, "end_date": start})
    visits = pl.concat([earlier, sessions.select(earlier.columns)])
    touches = to_touchpoints(visits, end).filter(pl.col("touch_date") >= start).with_columns(now)
    warehouse.replace_partitions("gaelp_users.persistent_touchpoints", touches, partitions=days)
    window = {"start_date": start, "end_date": end, "context_date": context}
    counted = warehouse.query_file("models/journey_paths_counted/query.sql", window)
    paths = counted.join(_currencies(visits), on="property_id", how="left").with_columns(now)
    # Before a property's first purchase its currency is not known, and a path needs none: nothing was paid.
    paths = paths.filter(pl.col("currency_code").is_not_null())
    warehouse.replace_partitions("models.journey_paths_daily", paths, partitions=days)
    warehouse.replace_partitions("models.journey_transitions_daily", steps_of(counted).with_columns(now), partitions=days)
    return {
        "journeys": float(paths["conversions"].sum()) + float(paths["null_journeys"].sum()),
        "conversions": float(paths["conversions"].sum()),
        "paths": paths["path"].n_unique(),
    }


def _currencies(visits: pl.DataFrame) -> pl.DataFrame:
    """property_id → currency_code; GateStop if a property was paid in several."""
    import polars as pl

    from tasks.core.errors import GateStop

    found = (
        visits.filter(pl.col("currency_code").is_not_null()).group_by("property_id").agg(pl.col("currency_code").unique().sort())
    )
    mixed = found.filter(pl.col("currency_code").list.len() > 1)
    if mixed.height:
        property_id, codes = mixed.row(0)
        raise GateStop(
            f"mixed currencies: property {property_id} was paid in {', '.join(codes)}; send one reporting currency with every "
            "purchase, or give each market a property of its own"
        )
    return found.with_columns(pl.col("currency_code").list.first())
