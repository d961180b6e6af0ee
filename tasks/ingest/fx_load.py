"""Writing ads.fx_rates_daily: all of the window in one go, or nothing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from datetime import date, timedelta
from typing import TYPE_CHECKING

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.ingest.fx_rates import Quotes, Rate, daily_rates, parse_rates
from tasks.ingest.outcomes_source import MAX_BYTES, decoded, fetch_bytes, without_query

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse.base import Warehouse

VARIABLE, REPORTING_VARIABLE = "AELP2_FX_RATES", "AELP2_REPORTING_CURRENCY"
_DAY = timedelta(days=1)


class FxLoad:
    """One load of rates.

    Args:
        warehouse: where rows go.
        run_date: rates are written for days before it.
        days: days loaded again each time.
        start_date: load from here; None for the window.
        reporting: the currency to convert to; None takes the one of all ad accounts.
    """

    def __init__(self, warehouse: Warehouse, run_date: date, days: int, start_date: date | None, reporting: str | None) -> None:
        self._warehouse = warehouse
        found = warehouse.query_file("ads/fx_currencies/query.sql")
        accounts = sorted(found.filter(found["kind"] == "account")["currency_code"])
        self.reporting = reporting or _only(accounts)
        self.currencies = sorted({*found["currency_code"], self.reporting})
        self.end = run_date - _DAY
        self.start = start_date or self._first(run_date - days * _DAY)
        if self.start > self.end:
            raise JobError(
                f"--start-date {self.start} is not before --run-date {run_date}; rates are loaded for the days before it"
            )

    def run(self, address: str | None) -> int:
        """Rows written. JobError, and nothing written, if a rate of the window is not to be had."""
        name = ""
        quotes: Quotes = {}
        if self.currencies != [self.reporting]:
            if not address:
                raise JobError(
                    f"{VARIABLE} is not set, with amounts in {', '.join(self.currencies)} to convert to {self.reporting}; "
                    "name the ECB's table of reference rates, a CSV file or an http(s) address (docs/how-to/currencies.md)"
                )
            name = f"{VARIABLE}={without_query(address)}"
            text = _text(fetch_bytes(address, VARIABLE, self.start, self.end), name)
            quotes = parse_rates(text, name, self.currencies)
            if later := [day for day in sorted(quotes) if day > utc_now().date()]:
                raise JobError(f"{name}: {later[0]} is after today, nobody has quoted it yet; fetch the table again")
        rates = daily_rates(quotes, name, self.currencies, self.reporting, self.start, self.end)
        partitions = [self.start + n * _DAY for n in range((self.end - self.start).days + 1)]
        return self._warehouse.replace_partitions("ads.fx_rates_daily", _frame(rates, self.reporting), partitions=partitions)

    def _first(self, wanted: date) -> date:
        """``wanted``, or the first day of spend if a rate of a day between is missing or leads to another currency."""
        known = self._warehouse.query_file("ads/fx_known/query.sql", {"before_date": wanted}).to_dicts()
        first: date | None = known[0]["first_date"]
        if first is None or first >= wanted:
            return wanted
        stored = {row["currency_code"]: row["days"] for row in known if row["reporting_currency_code"] == self.reporting}
        is_whole = all(stored.get(currency) == (wanted - first).days for currency in self.currencies)
        return wanted if is_whole else first


def _only(currencies: list[str]) -> str:
    if not currencies:
        raise JobError("ads.ads_accounts has no account, so there is no currency to report in; run ingest-ads first")
    if len(currencies) > 1:
        raise JobError(
            f"the ad accounts are billed in {', '.join(currencies)}; set {REPORTING_VARIABLE} to the one that amounts shall be "
            "reported in, best that of the business's outcomes"
        )
    return currencies[0]


def _text(raw: bytes, name: str) -> str:
    """The table, also from the zip file that the ECB publishes its history as."""
    if not raw.startswith(b"PK\x03\x04"):
        return decoded(raw, name)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            files = archive.namelist()
            if len(files) != 1:
                raise JobError(
                    f"{name} is a zip file of {len(files)} files, expected the table alone; unpack it and name the CSV"
                )
            with archive.open(files[0]) as member:
                raw = member.read(MAX_BYTES + 1)
    except zipfile.BadZipFile as error:
        raise JobError(f"{name} is no whole zip file ({error}); fetch it again") from None
    return decoded(raw, name)


def _frame(rates: Iterable[Rate], reporting: str) -> pl.DataFrame:
    import polars as pl

    now = utc_now()
    rows = [(r.day, r.currency, reporting, r.rate, r.quoted, now) for r in rates]
    return pl.DataFrame(rows, schema=load_contract("ads.fx_rates_daily").polars_schema(), orient="row")
