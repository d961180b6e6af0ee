"""``aelp2 list-accounts``: every ad account that the stored credentials reach, one load each for Airflow to start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option
from tasks.platforms import ADAPTERS, has_credentials, open_platform

if TYPE_CHECKING:
    from tasks.core.settings import Settings


@dataclass(frozen=True)
class Load:
    """One load to start. Without ``account_id``: of a platform whose accounts could not be listed, so that its load says why."""

    platform: str
    account_id: str | None

    def arguments(self, run_date: date, start_date: date | None) -> list[str]:
        """The command line of ``ingest-ads`` for it."""
        line = ["ingest-ads", "--run-date", run_date.isoformat(), "--platform", self.platform]
        line += ["--account", self.account_id] if self.account_id else []
        return line + (["--start-date", start_date.isoformat()] if start_date else [])


def wanted_loads(settings: Settings, platforms: Sequence[str], accounts: Sequence[str]) -> Iterator[Load]:
    """Loads of ``platforms`` with stored credentials; only of ``accounts`` if any are named.

    A platform that refuses or does not answer gets a load of its own, which will fail for the same reason: the others start.
    """
    from tasks.core.errors import JobError

    for name in platforms:
        if not has_credentials(settings, name):
            click.echo(f"{name}: no credentials are stored; `aelp2 onboard {name}` stores them")
            continue
        try:
            found = open_platform(name, settings).accounts()
        except JobError as error:
            click.echo(f"{name}: accounts cannot be listed, its load will say why: {error}", err=True)
            yield Load(name, None)
            continue
        for account in found:
            if accounts and account.account_id not in accounts:
                continue
            if account.status != "ENABLED" and not accounts:
                click.echo(f"{name}: account {account.account_id} is {account.status}, left out; name it to load it")
                continue
            yield Load(name, account.account_id)


def _words(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(word.replace("-", "") for word in value.replace(",", " ").split())


@click.command(name="list-accounts")
@run_date_option
@click.option("--platform", default="", help="Only this one. Default: every platform with stored credentials.")
@click.option("--account", "accounts", default="", callback=_words, help="Only these account ids, separated by commas.")
@click.option("--start-date", default="", help="Backfill from this day (YYYY-MM-DD) instead of the restatement window.")
def command(*, run_date: date, platform: str, accounts: tuple[str, ...], start_date: str) -> None:
    """Name every ad account that the stored credentials reach, and hand Airflow one `ingest-ads` for each.

    Options may be empty, as a form that was left empty gives them. The platforms are asked now; nothing is stored.

    \b
    aelp2 list-accounts --run-date 2026-03-01
    aelp2 list-accounts --run-date 2026-03-01 --platform meta --start-date 2025-01-01
    """
    from tasks.core import xcom
    from tasks.core.errors import JobError, NothingToDo
    from tasks.core.settings import load_settings

    if platform and platform not in ADAPTERS:
        raise JobError(f"unknown platform {platform!r}; known: {', '.join(ADAPTERS)}")
    try:
        since = datetime.strptime(start_date, "%Y-%m-%d").date() if start_date else None  # noqa: DTZ007 - a day, no instant
    except ValueError:
        raise JobError(f"--start-date {start_date!r} is no day; write it as 2026-03-01") from None
    loads = list(wanted_loads(load_settings(), [platform] if platform else list(ADAPTERS), accounts))
    reached = {load.account_id for load in loads}
    if missing := [account for account in accounts if account not in reached]:
        raise JobError(f"the stored credentials reach no account {', '.join(missing)}; `aelp2 onboard --status` lists them")
    if not loads:
        raise NothingToDo("no platform has credentials that reach an account; `aelp2 onboard PLATFORM` stores them")
    for load in loads:
        click.echo(f"{load.platform}: {load.account_id or 'accounts unknown'}")
    xcom.push([load.arguments(run_date, since) for load in loads])
