"""The kill switch: stop all mutations now, or those of one account, and say why."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tasks.core.settings import Settings
    from tasks.core.warehouse import Warehouse


def _place(settings: Settings) -> str:
    """Where the switches lie, in words. JobError on a file that is not there: in a new one a switch would stop nothing."""
    from tasks.core.errors import JobError

    if settings.backend == "bigquery":
        return f"BigQuery project {settings.gcp_project}"
    file = settings.duckdb_path.absolute()
    if not file.is_file():
        raise JobError(
            f"there is no warehouse in {file}, so a switch there would stop nothing. Those of Google Cloud are in BigQuery: set "
            "AELP2_BACKEND=bigquery and AELP2_GCP_PROJECT (docs/runbooks/by_hand.md); another file: AELP2_DUCKDB_PATH"
        )
    return f"{file}, a file of this machine"


def _is_known(warehouse: Warehouse, scope: str) -> bool:
    """Whether any change set was ever proposed for the account of ``scope``; a mistyped id freezes nothing."""
    platform, _, account_id = scope.partition(":")
    frame = warehouse.query(
        "SELECT COUNT(*) AS n FROM control.change_sets WHERE platform = @platform AND account_id = @account_id",
        {"platform": platform, "account_id": account_id},
    )
    return bool(frame["n"][0])


@click.command("kill")
@click.option("--why", help="Reason; whoever finds the system stopped reads it.")
@click.option("--off", is_flag=True, help="Allow mutations again.")
@click.option("--scope", default="all", show_default=True, help="`all`, or platform:account to freeze or thaw one account.")
@click.option("--status", is_flag=True, help="Only print the switches.")
@click.option("--run-date", type=click.DateTime(["%Y-%m-%d"]), help="Day to file the event under; today (UTC) if left out.")
def command(why: str | None, off: bool, scope: str, status: bool, run_date: datetime | None) -> None:
    """Stop all mutations now (or, with --off, allow them again).

    The switch is read before every single mutation, so a running apply stops at its next budget. `all` also stops rollbacks; the
    freeze of one account does not.

    \b
    aelp2 kill --why "wrong prices on the landing page"
    aelp2 kill --off --why "prices are right again"
    aelp2 kill --off --scope google_ads:1234567890 --why "CAC breach looked into"
    """
    from tasks.core import safety
    from tasks.core.actor import person
    from tasks.core.clock import utc_now
    from tasks.core.settings import load_settings
    from tasks.core.switches import ALL, flip, read_switches
    from tasks.core.warehouse import open_warehouse

    settings = load_settings()
    place = _place(settings)
    warehouse = open_warehouse(settings)
    if not status:
        if not (why and why.strip()):
            raise click.UsageError('say why: --why "…" (or --status to look only)')
        switch = flip(warehouse, scope=scope, is_on=not off, why=why, actor=person(settings.actor))
        platform, _, account_id = (scope, "", ALL) if scope == ALL else scope.partition(":")
        safety.record(
            warehouse,
            run_date=(run_date or utc_now()).date(),
            platform=platform,
            account_id=account_id,
            kind="kill_switch",
            severity="warning" if off else "critical",
            detail=f"switch {scope} no. {switch.event_id} is {'off' if off else 'on'}, by {switch.actor}: {switch.why}",
        )
        if scope != ALL and not _is_known(warehouse, scope):
            click.echo(f"no change set was ever proposed for {scope}: is the account id right (digits, no dashes)?", err=True)
    switches = read_switches(warehouse)
    click.echo(f"switches in {place}:")
    if not switches:
        click.echo("no switch was ever used: mutations are allowed where mode, policy and approval allow them")
    for each in sorted(switches.values(), key=lambda s: s.scope):
        state = "ON  mutations stopped" if each.is_on else "off"
        click.echo(f"{each.scope}: {state} (since {each.switched_at:%Y-%m-%d %H:%M} UTC, {each.actor}: {each.why})")
