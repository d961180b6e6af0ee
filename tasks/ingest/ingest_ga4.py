"""``aelp2 ingest-ga4``: the events of Google Analytics 4 from its export."""

from datetime import date, datetime

import click

from tasks.core.cli_options import run_date_option


@click.command(name="ingest-ga4")
@run_date_option
@click.option("--property", "properties", multiple=True, help="GA4 property id; repeat it. Default: all that the export holds.")
@click.option(
    "--days", default=4, show_default=True, type=click.IntRange(min=1), help="Days to load again: 72 hours and one day."
)
@click.option("--start-date", type=click.DateTime(["%Y-%m-%d"]), help="Load again from this day; goes on where it was cut off.")
def command(*, run_date: date, properties: tuple[str, ...], days: int, start_date: datetime | None) -> None:
    """Load GA4's exported events as flat rows, and its day per channel.

    AELP2_GA4_EXPORT names the export: the BigQuery dataset that Google fills (my-project.analytics_123456), or a folder that
    holds analytics_PROPERTY folders of Parquet files. Each day is taken from its daily table where there is one, else from its
    intraday table. Events arrive for 72 hours, so each run loads the last days again and replaces them; running twice changes
    nothing. The first run loads all of the export, day after day: a run that was cut off goes on where it stopped.

    \b
    AELP2_GA4_EXPORT=my-project.analytics_123456 aelp2 ingest-ga4 --run-date 2026-03-01
    aelp2 ingest-ga4 --run-date 2026-03-01 --property 123456 --start-date 2026-01-01

    User ids, order ids and campaign names are hashed, page addresses are not kept. Rows that cannot be right go to
    control.quarantine with the reason. In control.ingest_runs the rows read are those written, those quarantined, those that were
    there twice and those of people who asked to be forgotten.
    Exit codes: 1 the export cannot be read, 75 only passing faults, 99 no export is named.
    """
    from tasks.core import xcom
    from tasks.core.redaction import load_salt
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.ingest.ga4_load import Ga4Load, raise_failures
    from tasks.ingest.ga4_source import open_source

    settings = load_settings()
    load = Ga4Load(
        open_source(settings),
        open_warehouse(settings),
        load_salt(settings.name_salt_file, may_create=settings.backend == "duckdb"),
        run_date,
        days,
        start_date.date() if start_date else None,
        properties,
    )
    results = load.run()
    for result in results:
        click.echo(result.line())
    xcom.push(
        {
            "properties": len(results),
            "failed_properties": [r.property_id for r in results if r.error is not None],
            "read": sum(r.read for r in results),
            "written": sum(r.written for r in results),
            "quarantined": sum(r.quarantined for r in results),
            "duplicates": sum(r.duplicates for r in results),
        }
    )
    raise_failures(results)
