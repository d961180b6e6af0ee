"""``aelp2 stitch-identities``: which ids belong to one person."""

from __future__ import annotations

from datetime import date

import click

from tasks.core.cli_options import run_date_option


@click.command("stitch-identities")
@click.option(
    "--window-days", default=395, show_default=True, type=click.IntRange(min=1), help="Days of events that tell who is who."
)
@run_date_option
def command(*, window_days: int, run_date: date) -> None:
    """Work out which ids belong to one person, from GA4 and server events before the run date.

    Ids seen in one event belong together, unless one of them is shared by several people: such an id has no person and glues
    nobody together; gaelp_users.identity_nodes says why. Without consent to measurement nothing goes beyond the cookie. Person
    ids stay the same from day to day; who turned out to be one person, or several, is in gaelp_users.identity_person_changes.

    \b
    aelp2 stitch-identities --run-date 2026-03-02

    Only days with events newer than their edges are read again, so late events of any age count on the next run. Running it twice
    changes nothing.
    """
    from dataclasses import asdict

    from tasks.core import xcom
    from tasks.core.redaction import load_salt
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.identity.stitch_job import stitch
    from tasks.identity.stitching import Limits

    settings = load_settings()
    salt = load_salt(settings.name_salt_file, may_create=settings.backend == "duckdb")
    done = stitch(open_warehouse(settings), run_date, window_days, salt, Limits())
    xcom.push(asdict(done))
    click.echo(
        f"{done.days} days read again; {done.ids:,} ids of {done.persons:,} persons, {done.excluded:,} shared or left out; "
        f"{done.merged:,} persons merged, {done.split:,} split; {done.written:,} rows written, {done.deleted:,} deleted"
    )
