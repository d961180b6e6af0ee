"""``aelp2 import-reports``: the reports that a connector already lands, into the standard tables."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from tasks.core.cli_options import run_date_option


@click.command("import-reports")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@run_date_option
@click.option("--currency", "currencies", multiple=True, help="ISO 4217 code where no file tells it, or ACCOUNT=CODE; repeat it.")
@click.option("--timezone", "timezones", multiple=True, help="IANA zone where no file tells it, or ACCOUNT=ZONE; repeat it.")
@click.option("--account", "accounts", multiple=True, help="PLATFORM=ACCOUNT of rows that name no account; repeat it.")
@click.option(
    "--brand-terms",
    default="",
    envvar="AELP2_BRAND_TERMS",
    help="Words in Google campaign names that mark the own brand, separated by commas; besides `brand`. [env AELP2_BRAND_TERMS]",
)
@click.option("--dry-run", is_flag=True, help="Read and check the files, print what they hold, write nothing.")
def command(
    *,
    paths: tuple[Path, ...],
    run_date: date,
    currencies: tuple[str, ...],
    timezones: tuple[str, ...],
    accounts: tuple[str, ...],
    brand_terms: str,
    dry_run: bool,
) -> None:
    """Load ad reports that a connector already lands: Fivetran's tables of six ad platforms.

    PATHS are files (.csv, .csv.gz, .parquet) or folders of them. Each is told by its columns. Give reports and history files
    together: the histories tell names, parents, currency and time zone. docs/how-to/import-reports.md lists the reports.

    \b
    aelp2 import-reports exports/ --run-date 2026-03-02 --dry-run
    aelp2 import-reports exports/ --run-date 2026-03-02 --currency USD --timezone America/New_York

    All files are checked before anything is written: an error names file, column and value, and the tables stay as they
    were. Importing again changes nothing. Rows that no table may take go to control.quarantine with the reason.
    """
    from tasks.core.clock import utc_now
    from tasks.core.redaction import load_salt
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.core.xcom import push
    from tasks.ingest.report_accounts import Told, parse_accounts
    from tasks.ingest.report_load import Telling, check, write
    from tasks.ingest.report_read import find_files, read_files

    settings = load_settings()
    salt = load_salt(settings.name_salt_file, may_create=settings.backend == "duckdb")
    telling = Telling(
        run_date,
        Told.parse(currencies, "--currency"),
        Told.parse(timezones, "--timezone"),
        parse_accounts(accounts),
        tuple(term.strip() for term in brand_terms.split(",") if term.strip()),
    )
    files = read_files(find_files(paths))
    now = utc_now()
    checked = check(files, telling, salt, now)
    for line in checked.lines:
        click.echo(line.text())
    for note in checked.notes:
        click.echo(note)
    if checked.rejected:
        click.echo(f"{len(checked.rejected):,} rows fit no table; control.quarantine tells why")
    rows = sum(frame.height for frame in checked.frames.values())
    if dry_run:
        click.echo(f"{len(files)} files, {rows:,} rows for {len(checked.frames)} tables; nothing was written (--dry-run)")
        return
    write(open_warehouse(settings), checked, run_date, now)
    push({"files": len(files), "rows": rows, "quarantined": len(checked.rejected)})
    click.echo(f"imported {len(files)} files, {rows:,} rows into {len(checked.frames)} tables")
