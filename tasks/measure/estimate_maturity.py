"""``aelp2 estimate-maturity``: how much of recent days' conversions is still to come."""

from datetime import date

import click

from tasks.core.cli_options import run_date_option


@click.command(name="estimate-maturity")
@run_date_option
@click.option("--window-days", default=120, show_default=True, type=click.IntRange(31, 730), help="Click days to learn from.")
@click.option("--conversion-event", default="purchase", show_default=True, help="GA4 event that counts as the conversion.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Seed of the draws behind the intervals.")
def command(*, run_date: date, window_days: int, conversion_event: str, seed: int) -> None:
    """Estimate the share of conversions that has arrived by each day after the click, and correct recent click days by it.

    From GA4 for each property and each channel with enough conversions, from the ad platforms for each conversion action.
    Writes the curves with their 90 % intervals, and GA4's conversions by click day and conversion day with what is still to come.

    \b
    aelp2 estimate-maturity --run-date 2026-03-01

    An action with too few conversions or no click day older than 30 days gets no curve and a warning. Exit code 99: there is no
    conversion at all.
    """
    from tasks.core import xcom
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.measure.maturity_job import MaturityJob

    job = MaturityJob(open_warehouse(load_settings()), run_date, window_days, conversion_event, seed)
    written = job.run()
    for table, rows in written.items():
        click.echo(f"{table}: {rows:,} rows")
    xcom.push(written)
