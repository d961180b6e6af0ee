"""``aelp2 ingest-ads``: every account's days from an ad platform into the standard tables."""

from datetime import date, datetime

import click

from tasks.core.cli_options import run_date_option
from tasks.platforms import ADAPTERS, open_platform


def _split_terms(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(term.strip() for term in value.split(",") if term.strip())


@click.command(name="ingest-ads")
@run_date_option
@click.option("--platform", default="google_ads", show_default=True, type=click.Choice(list(ADAPTERS)), help="Ad platform.")
@click.option("--account", "accounts", multiple=True, help="Account id, with or without dashes; repeat it. Default: all enabled.")
@click.option("--days", type=click.IntRange(min=1), help="Days to load again. Default: the platform's restatement window.")
@click.option("--start-date", type=click.DateTime(["%Y-%m-%d"]), help="Backfill from this day; goes on where it was cut off.")
@click.option(
    "--history-days",
    default=913,
    show_default=True,
    type=click.IntRange(min=1),
    help="Days loaded the first time for an account.",
)
@click.option(
    "--brand-terms",
    default="",
    envvar="AELP2_BRAND_TERMS",
    callback=_split_terms,
    help="Words in campaign names that mark the own brand, separated by commas; besides `brand`. [env AELP2_BRAND_TERMS]",
)
def command(
    *,
    run_date: date,
    platform: str,
    accounts: tuple[str, ...],
    days: int | None,
    start_date: datetime | None,
    history_days: int,
    brand_terms: tuple[str, ...],
) -> None:
    """Load delivery, results, what there is and what was changed of every ad account of a platform.

    Platforms go on counting conversions of past days, so each run loads the last weeks again and replaces them (30 days of Google
    Ads, 28 of most); running twice changes nothing. The first run of an account loads its history, in pieces that land one by
    one: a run that was cut off goes on where it stopped. Days count in the account's own time zone, up to the day before
    --run-date.

    \b
    aelp2 ingest-ads --run-date 2026-03-01
    aelp2 ingest-ads --run-date 2026-03-01 --account 123-456-7890 --start-date 2024-01-01
    aelp2 ingest-ads --run-date 2026-03-01 --platform meta

    A broken account stops no other. Exit codes: 0 all landed, 1 an account needs a person (the others landed, the message and
    control.ingest_runs say which and why), 75 only passing faults: run the same command again.
    """
    if days is not None and start_date is not None:
        raise click.UsageError("give --days or --start-date, not both")
    from tasks.core import xcom
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.ingest.ads_load import Load, Wish, raise_failures

    settings = load_settings()
    source = open_platform(platform, settings, brand_terms=brand_terms)
    wish = Wish(
        run_date=run_date,
        days=days or source.restatement_days,
        history_days=history_days,
        start_date=start_date.date() if start_date else None,
        accounts=tuple(account.replace("-", "") for account in accounts),
    )
    results = Load(source, open_warehouse(settings), wish).run()
    for result in results:
        click.echo(result.line())
    xcom.push(
        {
            "accounts": len(results),
            "failed_accounts": [r.account_id for r in results if r.error is not None],
            "rows": sum(r.rows for r in results),
        }
    )
    raise_failures(results)
