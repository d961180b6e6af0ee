"""`aelp2 attribute-conversions`: credit the conversions of four weeks to channels by nine methods, and compare with the MMM."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    import polars as pl

    from tasks.measure.attribution_tables import Window


def window_of(run_date: date, weeks: int) -> tuple[date, date]:
    """First day and day after the last of the ``weeks`` complete weeks (Monday to Sunday) before ``run_date``."""
    end = run_date - timedelta(days=run_date.weekday())
    return end - timedelta(weeks=weeks), end


@click.command("attribute-conversions")
@run_date_option
@click.option("--weeks", default=4, show_default=True, type=click.IntRange(1, 26), help="Complete weeks of journeys to use.")
@click.option("--replicates", default=200, show_default=True, type=click.IntRange(20, 2000), help="Bootstrap replicates.")
@click.option("--seed", default=20260101, show_default=True, type=click.IntRange(0), help="Seed of bootstrap and sampling.")
def command(run_date: date, weeks: int, replicates: int, seed: int) -> None:
    """Credit the conversions of the last weeks to channels by nine methods, and compare with the MMM.

    Rules (first, last, linear, position, time decay), the removal effect of Markov chains of order 1 to 3, and the Shapley value;
    shares with 90 % intervals. The cross-check sets last touch and Markov beside the live marketing-mix model: where the
    intervals do not meet, a channel is flagged. Attribution says who was present, the model says who caused.

    \b
    Example: aelp2 attribute-conversions --run-date 2026-03-02
    """
    from tasks.core.errors import GateStop
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.measure.attribution_tables import (
        CHECKED,
        attribution_rows,
        conversion_shares,
        cross_check_rows,
        mmm_shares,
    )

    warehouse = open_warehouse(load_settings())
    start, end = window_of(run_date, weeks)
    frame = warehouse.query_file("models/attribution_paths/query.sql", {"start_date": start, "end_date": end})
    if frame["conversions"].sum() == 0:
        raise GateStop(
            f"models.journey_paths_daily has no conversion from {start} to {end - timedelta(days=1)}; run ingest-ga4 and "
            "build-journeys for these days, or look at ga4.ga4_events for purchases"
        )
    last_week = end - timedelta(weeks=1)
    share_of_model = mmm_shares(warehouse, run_date)
    for window, paths in _by_property(frame, start, end):
        shares = conversion_shares(paths, replicates, seed)
        warehouse.replace_partitions(
            "models.attribution_weekly",
            attribution_rows(window, paths, shares, seed),
            partitions=[last_week],
            where={"property_id": window.property_id},
        )
        warehouse.replace_partitions(
            "models.attribution_cross_check",
            cross_check_rows(window, {m: shares[m] for m in CHECKED}, paths.channels, share_of_model),
            partitions=[last_week],
            where={"property_id": window.property_id},
        )
        said = f"{paths.conversions.sum():,.0f} conversions of {paths.journeys:,.0f} journeys"
        click.echo(f"property {window.property_id}: {said} from {start} to {end - timedelta(days=1)} credited")
    if share_of_model is None:
        click.echo("no live MMM run: attribution stands alone, nothing to compare with")


def _by_property(frame: pl.DataFrame, start: date, end: date) -> Iterator[tuple[Window, Any]]:
    from tasks.core.errors import GateStop
    from tasks.measure.attribution_tables import Window, paths_of

    for (property_id,), rows in frame.group_by(["property_id"], maintain_order=True):
        currencies = rows["currency_code"].unique().sort().to_list()
        if len(currencies) > 1:
            raise GateStop(
                f"mixed currencies: property {property_id} has conversions in {', '.join(currencies)} from {start} to {end}; "
                "set one reporting currency in the shop, or attribute each market's property by itself"
            )
        yield Window(str(property_id), start, end, currencies[0]), paths_of(rows)
