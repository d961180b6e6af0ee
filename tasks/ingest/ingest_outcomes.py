"""``aelp2 ingest-outcomes``: what the business counted, from its own daily table."""

from datetime import date, datetime

import click

from tasks.core.cli_options import run_date_option


@click.command(name="ingest-outcomes")
@run_date_option
@click.option("--days", default=30, show_default=True, type=click.IntRange(min=1), help="Days to load again.")
@click.option("--start-date", type=click.DateTime(["%Y-%m-%d"]), help="Load again from this day on.")
@click.option(
    "--controls-url",
    envvar="AELP2_CONTROLS_URL",
    help="Second table with one column per influence, such as is_promo. [env AELP2_CONTROLS_URL]",
)
def command(*, run_date: date, days: int, start_date: datetime | None, controls_url: str | None) -> None:
    """Load daily new customers and revenue from the table that AELP2_OUTCOMES_URL names (a file or an http(s) address).

    The table is CSV with the columns date, new_customers, currency and, if known, revenue and geo; every other column is a
    control: an influence on sales other than media, as numbers or true / false. `{start}` and `{end}` in the address become
    the days wanted. The first run loads all of it, later runs the last --days again. Rows of --run-date and later are left out:
    the day is not over.

    \b
    AELP2_OUTCOMES_URL=export.csv aelp2 ingest-outcomes --run-date 2026-03-01

    All of the window lands or nothing: a bad row goes to control.quarantine with the reason and the job ends with 3, as it does
    for a missing day. Exit codes: 1 the table cannot be read or has the wrong columns, 75 its server does not answer.
    """
    from tasks.core import xcom
    from tasks.core.errors import JobError
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.ingest.outcomes_load import OutcomesLoad

    settings = load_settings()
    if settings.outcomes_url is None:
        raise JobError("AELP2_OUTCOMES_URL is not set; name the business's daily table, a CSV file or an http(s) address")
    load = OutcomesLoad(open_warehouse(settings), run_date, days, start_date.date() if start_date else None)
    written = load.run(settings.outcomes_url, controls_url or None)
    for table, rows in written.items():
        click.echo(f"{table}: {rows:,} rows ({load.window.why})")
    xcom.push(written)
