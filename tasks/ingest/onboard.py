"""``aelp2 onboard``: credentials of a platform, a skeleton campaign, its history, and how all of it stands."""

from __future__ import annotations

import os
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tasks.platforms import ADAPTERS

if TYPE_CHECKING:
    from tasks.core.settings import Settings


class _Amount(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is no amount", param, ctx)
        if not amount.is_finite():
            self.fail(f"{value!r} is no amount", param, ctx)
        return amount


@click.command("onboard")
@click.argument("platform", required=False, type=click.Choice(list(ADAPTERS)))
@click.option("--from-file", type=click.Path(path_type=Path), help="YAML file with the credential fields, mode 0600.")
@click.option("--store", type=click.Choice(["file", "secret-manager"]), help="Default: file; secret-manager with BigQuery.")
@click.option("--check", "check_only", is_flag=True, help="Only check what is stored.")
@click.option("--status", is_flag=True, help="Print how credentials and data of every platform (or PLATFORM) stand.")
@click.option("--offline", is_flag=True, help="With --status: ask no platform.")
@click.option("--skeleton", is_flag=True, help="Check a paused campaign with one ad group and ad; --apply makes it.")
@click.option("--apply", "is_applied", is_flag=True, help="With --skeleton: make it. Needs AELP2_MODE=live.")
@click.option("--account", "accounts", multiple=True, help="Account id; for --backfill repeat it, default: all enabled.")
@click.option("--landing-url", help="With --skeleton: where the ad leads; UTM parameters are added.")
@click.option(
    "--budget", type=_Amount(), default="20", show_default=True, help="With --skeleton: daily budget in the account's currency."
)
@click.option("--label", default="start", show_default=True, help="With --skeleton: what it is for; one skeleton for each.")
@click.option("--backfill", "days", type=click.IntRange(1, 3660), help="Load the last so many days.")
def command(
    *,
    platform: str | None,
    from_file: Path | None,
    store: str | None,
    check_only: bool,
    status: bool,
    offline: bool,
    skeleton: bool,
    is_applied: bool,
    accounts: tuple[str, ...],
    landing_url: str | None,
    budget: Decimal,
    label: str,
    days: int | None,
) -> None:
    """Bring the ad platform PLATFORM in: credentials first, then a skeleton campaign and the history.

    Credentials are taken from the environment (AELP2_PLATFORM_FIELD each), --from-file, or asked for at a terminal; never from an
    argument. They are tried at the platform, and only right ones are stored. Accounts and scopes are printed, secrets nowhere.

    \b
    aelp2 onboard reddit
    aelp2 onboard reddit --from-file reddit.yaml --store secret-manager
    aelp2 onboard reddit --check
    aelp2 onboard reddit --skeleton --account t2_acme --landing-url https://shop.example/
    aelp2 onboard reddit --backfill 400
    aelp2 onboard --status

    Exit codes: 0 right and stored, 1 credentials are missing, wrong, expired or lack rights (the message says which, and what to
    do), 4 a guard refused the skeleton, 75 the platform does not answer: run the same command again.
    """
    if sum((check_only, status, skeleton, days is not None)) > 1:
        raise click.UsageError("give one of --check, --status, --skeleton, --backfill")
    accounts = tuple(account for account in accounts if account)  # a form that was left empty gives ''
    if platform is None and not status:
        raise click.UsageError(f"say which platform: {', '.join(ADAPTERS)}")
    if skeleton and (len(accounts) != 1 or not landing_url):
        raise click.UsageError("--skeleton needs --account, once, and --landing-url")
    from tasks.core.settings import load_settings

    settings = load_settings()
    store = store or ("secret-manager" if settings.backend == "bigquery" else "file")
    if status:
        _print_status(settings, platform, store, online=not offline)
    elif skeleton:
        account = _plain(accounts[0])
        _skeleton(settings, str(platform), account, (label, str(landing_url), budget), is_applied=is_applied)
    elif days is not None:
        _backfill(settings, str(platform), days, [_plain(account) for account in accounts])
    elif check_only:
        _check(settings, str(platform), store)
    else:
        _take(settings, str(platform), store, from_file)


def _plain(account: str) -> str:
    """The id as the platform writes it: dashes in a number are for people."""
    bare = account.replace("-", "")
    return bare if bare.isdecimal() else account


def _take(settings: Settings, platform: str, store: str, file: Path | None) -> None:
    """Gather, try, store."""
    from tasks.ingest.onboard_access import candidate, check
    from tasks.ingest.onboard_fields import gather
    from tasks.ingest.onboard_store import FILE, SecretManager, store_in_file
    from tasks.platforms import adapter_of

    values = gather(platform, adapter_of(platform).credential_fields, file=file)
    with candidate(platform, settings, values, beside_stored=store == FILE) as (trial, checked):
        verdict = check(platform, trial, values)
        _say(verdict)
        where = store_in_file(settings, platform, checked) if store == FILE else SecretManager(settings).add(platform, values)
    click.echo(where)


def _check(settings: Settings, platform: str, store: str) -> None:
    """Try what is stored."""
    from tasks.ingest.onboard_access import check, check_secret
    from tasks.ingest.onboard_store import FILE

    _say(check(platform, settings) if store == FILE else check_secret(platform, settings))


def _say(verdict: Any) -> None:
    for line in verdict.lines():
        click.echo(line)
    verdict.require()
    click.echo(f"the credentials of {verdict.platform} are right")


def _print_status(settings: Settings, platform: str | None, store: str, *, online: bool) -> None:
    from tasks.core.clock import utc_now
    from tasks.core.warehouse import open_warehouse
    from tasks.ingest.onboard_status import status_lines

    platforms = [platform] if platform else list(ADAPTERS)
    warehouse, today = open_warehouse(settings), utc_now().date()
    for line in status_lines(platforms, settings, warehouse, store=store, online=online, today=today):
        click.echo(line)


def _skeleton(settings: Settings, platform: str, account: str, asked: tuple[str, str, Decimal], *, is_applied: bool) -> None:
    from tasks.core.actor import person
    from tasks.core.policy import load_policy
    from tasks.core.warehouse import open_warehouse
    from tasks.ingest.onboard_skeleton import Skeletons, wish_for
    from tasks.platforms import open_platform

    wish = wish_for(platform, account, *asked)
    source = open_platform(platform, settings)
    skeletons = Skeletons(settings, load_policy(settings), open_warehouse(settings), source, person(settings.actor))
    click.echo(f"landing page {wish.landing_url}")
    if is_applied:
        click.echo(skeletons.make(account, wish))
    else:
        click.echo(f"{skeletons.check(account, wish)}; --apply makes it")


def _backfill(settings: Settings, platform: str, days: int, accounts: list[str]) -> None:
    from tasks.core.clock import utc_now
    from tasks.core.warehouse import open_warehouse
    from tasks.ingest.ads_load import raise_failures
    from tasks.ingest.onboard_backfill import backfill
    from tasks.platforms import open_platform

    terms = tuple(term.strip() for term in os.environ.get("AELP2_BRAND_TERMS", "").split(",") if term.strip())
    source = open_platform(platform, settings, brand_terms=terms)
    results = backfill(source, open_warehouse(settings), days=days, accounts=accounts, today=utc_now().date())
    for result in results:
        click.echo(result.line())
    raise_failures(results)
