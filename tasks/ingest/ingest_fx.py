"""``aelp2 ingest-fx``: daily rates of the currencies that amounts are in."""

from datetime import date, datetime

import click

from tasks.core.cli_options import run_date_option


@click.command(name="ingest-fx")
@run_date_option
@click.option("--days", default=30, show_default=True, type=click.IntRange(min=1), help="Days to load again.")
@click.option("--start-date", type=click.DateTime(["%Y-%m-%d"]), help="Load again from this day on.")
def command(*, run_date: date, days: int, start_date: datetime | None) -> None:
    """Load daily rates from the table that AELP2_FX_RATES names (a file or an http(s) address) into ads.fx_rates_daily.

    The table is the European Central Bank's: `Date,USD,JPY,…`, units for one euro. Each currency of the ad accounts and of the
    business's outcomes gets one row a day, converted to AELP2_REPORTING_CURRENCY; a day without a quote carries the last one of
    the seven days before. Where all is in one currency no table is needed. The first run, and the first one after a new currency
    came, goes back to the first day of spend; later runs load the last --days again.

    \b
    AELP2_FX_RATES=eurofxref-hist.csv aelp2 ingest-fx --run-date 2026-03-01

    All of the window lands or nothing. Exit codes: 1 a rate is missing or the table is wrong, 75 its server does not answer.
    """
    from tasks.core import xcom
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.ingest.fx_load import FxLoad

    settings = load_settings()
    load = FxLoad(
        open_warehouse(settings), run_date, days, start_date.date() if start_date else None, settings.reporting_currency
    )
    written = load.run(settings.fx_rates)
    others = [currency for currency in load.currencies if currency != load.reporting]
    what = f"{', '.join(others)} to {load.reporting}" if others else f"{load.reporting} alone"
    click.echo(f"ads.fx_rates_daily: {written:,} rows ({what}, {load.start} to {load.end})")
    xcom.push({"ads.fx_rates_daily": written})
