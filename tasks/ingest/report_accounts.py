"""What an account's amounts and days mean: from its history files, from the person who imports, or an error that asks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from tasks.core.errors import JobError
from tasks.core.redaction import hash_name
from tasks.ingest.report_rows import look_up
from tasks.ingest.report_spec import UNKNOWN, Connector, connectors
from tasks.platforms.base import Account


@dataclass(frozen=True)
class Told:
    """What a person says of accounts: ``by_account`` outranks the files, ``otherwise`` fills what these leave open."""

    by_account: Mapping[str, str] = field(default_factory=dict)
    otherwise: str | None = None

    @staticmethod
    def parse(values: Iterable[str], option: str) -> Told:
        """From the values of an option, each ``X`` or ``ACCOUNT=X``; JobError where two differ."""
        by_account: dict[str, str] = {}
        otherwise = None
        for value in values:
            account, equals, said = value.rpartition("=")
            if equals:
                known, by_account[account] = by_account.get(account, said), said
            else:
                known, otherwise = otherwise or said, said
            if known != said:
                raise JobError(f"{option} says both {known} and {said} for {account or 'all accounts'}; give one")
        return Told(by_account, otherwise)

    def over(self, account_id: str, read: str | None) -> str | None:
        """What holds for an account of which the files say ``read``."""
        return self.by_account.get(account_id) or read or self.otherwise


def parse_accounts(values: Iterable[str]) -> dict[str, str]:
    """Platform → account from the values of ``--account``; JobError where a platform is none or a value no pair."""
    accounts = {}
    for value in values:
        platform, _, account = value.partition("=")
        if platform not in connectors() or not account:
            raise JobError(f"--account {value!r} is no PLATFORM=ACCOUNT; the platforms are {', '.join(connectors())}")
        accounts[platform] = account
    return accounts


def find_accounts(
    connector: Connector,
    account_ids: Iterable[str],
    histories: Mapping[str, pl.DataFrame],
    currencies: Told,
    timezones: Told,
    salt: bytes,
) -> dict[str, Account]:
    """Every account by its id; currency and time zone are empty where nobody tells them."""
    ids = pl.DataFrame({"account_id": sorted(set(account_ids))}, schema={"account_id": pl.String})
    known = look_up(ids, connector.accounts, histories)
    for name in ("currency", "timezone", "name", "status"):
        if name not in known.columns:
            known = known.with_columns(pl.lit(None, dtype=pl.String).alias(name))
    found = {}
    for row in known.iter_rows(named=True):
        account_id = row["account_id"]
        currency = currencies.over(account_id, row["currency"]) or ""
        timezone = timezones.over(account_id, connector.timezone or row["timezone"]) or ""
        _check(connector.platform, account_id, currency, timezone)
        found[account_id] = Account(
            connector.platform, account_id, hash_name(row["name"], salt) or "", currency, timezone, row["status"] or "UNKNOWN"
        )
    return found


def _check(platform: str, account_id: str, currency: str, timezone: str) -> None:
    if currency and not re.fullmatch(r"[A-Z]{3}", currency):
        raise JobError(f"{platform} account {account_id}: {currency!r} is no ISO 4217 code; give --currency {account_id}=USD")
    if timezone:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise JobError(
                f"{platform} account {account_id}: {timezone!r} is no IANA time zone; give --timezone {account_id}=Europe/Berlin"
            ) from error


def refuse_untold(accounts: Iterable[Account]) -> None:
    """JobError that names every account whose amounts or days nobody gives a meaning."""
    lines = []
    for account in accounts:
        options = [o for o, told in (("--currency", account.currency_code), ("--timezone", account.timezone)) if not told]
        if options:
            who = "rows of no known account" if account.account_id == UNKNOWN else f"account {account.account_id}"
            asks = " and ".join(f"{option} {account.account_id}=…" for option in options)
            lines.append(f"{account.platform} {who}: give {asks}")
    if lines:
        raise JobError(
            "\n".join(["no report or history file tells what these amounts and days mean; nothing was written", *lines])
        )
