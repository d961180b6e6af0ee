"""`aelp2 report`: self-contained HTML pages about the newest plan of each account, its model and its canary."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from tasks.core.cli_options import run_date_option


@click.command("report")
@run_date_option
@click.option(
    "--source", default="platforms", show_default=True, help="`platforms`, or the name of an import (aelp2 import-csv)."
)
@click.option(
    "--target",
    type=click.Choice(["new_customers", "revenue"]),
    help="Outcome of the model shown. Default: that of the plan, else one that has a live run.",
)
@click.option("--change-set-id", help="Plan to tell of. Default: those of the newest day, a page an account.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write. Default: AELP2_REPORT_DIR/report-….")
def command(run_date: date, source: str, target: str | None, change_set_id: str | None, out: Path | None) -> None:
    """Write one self-contained HTML page about the run; where several accounts have a plan, one for each.

    Headline, plain answers and readiness first; then ads that are switched, changes by others, arms and what exploring costs;
    response curves with intervals, current against optimal against proposed spend, fit and holdout, health verdict, the change
    log with hashes, predicted against realised. No scripts and no links to anywhere: it can be mailed
    as it is. Of several pages each has the account's id in its file name.

    \b
    Example: aelp2 report --run-date 2026-03-01
    """
    from tasks.core.policy import load_policy
    from tasks.core.report_store import store, write_file
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.govern.report_data import newest_sets, read_report
    from tasks.govern.report_page import render

    settings = load_settings()
    warehouse, policy = open_warehouse(settings), load_policy(settings)
    sets = [] if change_set_id else newest_sets(warehouse, run_date, source)
    pages: dict[str | None, str] = {one["change_set_id"]: f"-{one['account_id']}" for one in sets}
    if len(pages) < 2:
        pages = {change_set_id: ""}  # the newest, if none was asked for
    for set_id, ending in pages.items():
        found = read_report(warehouse, run_date=run_date, source=source, target=target, change_set_id=set_id, policy=policy)
        page = render(found)
        name = f"report-{source}-{run_date.isoformat()}{ending}.html"
        where = store(settings.report_dir, name, page) if out is None else write_file(out.with_stem(out.stem + ending), page)
        click.echo(f"report written: {where}")
