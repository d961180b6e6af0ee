"""Rates of a central bank's table become one row a day and currency, or nothing is written and a message says why."""

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.fx_rates import Rate, daily_rates, parse_rates
from tasks.ingest.ingest_fx import command

RUN = date(2026, 3, 3)  # a Tuesday
DAY = timedelta(days=1)
TABLE = """Date,USD,JPY,GBP,RUB,
2026-03-02,1.10,160.0,N/A,N/A,
2026-02-27,1.08,161.0,0.86,N/A,
2026-02-26,1.20,162.0,0.80,N/A,
"""
Ingest = Callable[..., Result]


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


@pytest.fixture
def ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ingest:
    """Runs the command on a table given as text; None sets no table."""
    monkeypatch.setenv("AELP2_NOW", "2026-03-03T06:00:00+00:00")
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    for name in ("AELP2_FX_RATES", "AELP2_REPORTING_CURRENCY"):
        monkeypatch.delenv(name, raising=False)

    def run(table: str | bytes | None, *arguments: str, reporting: str | None = "USD", run_date: date = RUN) -> Result:
        if table is not None:
            (tmp_path / "rates.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
            monkeypatch.setenv("AELP2_FX_RATES", str(tmp_path / "rates.csv"))
        monkeypatch.setenv("AELP2_REPORTING_CURRENCY", reporting or "")
        return CliRunner().invoke(command, ["--run-date", str(run_date), *arguments])

    return run


def accounts(warehouse: DuckDBWarehouse, *currencies: str) -> None:
    """An account in each currency."""
    rows = [
        {
            "platform": "meta",
            "account_id": code,
            "currency_code": code,
            "timezone": "UTC",
            "status": "ENABLED",
            "loaded_at": now(),
        }
        for code in currencies
    ]
    warehouse.merge("ads.ads_accounts", pl.DataFrame(rows, schema_overrides=load_contract("ads.ads_accounts").polars_schema()))


def now() -> datetime:
    return datetime(2026, 3, 3, 6, tzinfo=UTC)


def spend(warehouse: DuckDBWarehouse, day: date) -> None:
    """One campaign's row on ``day``."""
    row = {
        "platform": "meta", "account_id": "EUR", "date": day, "campaign_id": "1", "channel": "META", "is_brand": False,
        "campaign_status": "ENABLED", "impressions": 1, "clicks": 0, "cost_micros": 1, "conversions": 0.0, "revenue_micros": 0,
        "currency_code": "EUR", "timezone": "UTC", "attribution_window": "x", "loaded_at": now(),
    }  # fmt: skip
    warehouse.merge("ads.ads_campaign_performance", pl.DataFrame([row]))


def stored(warehouse: DuckDBWarehouse) -> dict[tuple[date, str], tuple[float, date]]:
    rows = warehouse.query("SELECT date, currency_code, rate, quoted_date FROM ads.fx_rates_daily").rows()
    return {(day, code): (rate, quoted) for day, code, rate, quoted in rows}


def test_each_day_and_currency_has_a_rate(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """Euros cross to dollars as quoted, the week-end carries Friday, dollars are 1, and what no account is in is not kept."""
    accounts(warehouse, "USD", "EUR")
    assert ingest(TABLE, "--days", "5").exception is None
    friday, monday = date(2026, 2, 27), date(2026, 3, 2)
    assert stored(warehouse) == {
        (date(2026, 2, 26), "EUR"): (1.20, date(2026, 2, 26)),
        (friday, "EUR"): (1.08, friday),
        (friday + DAY, "EUR"): (1.08, friday),
        (friday + 2 * DAY, "EUR"): (1.08, friday),
        (monday, "EUR"): (1.10, monday),
        **{(date(2026, 2, 26) + n * DAY, "USD"): (1.0, date(2026, 2, 26) + n * DAY) for n in range(5)},
    }


def test_two_currencies_cross_through_the_euro(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """A pound is 1.20/0.80 = 1.5 dollars; on Monday it is not quoted, so Friday's 1.08/0.86 holds although the dollar is."""
    accounts(warehouse, "GBP")
    assert ingest(TABLE, "--days", "5").exception is None
    rates = stored(warehouse)
    assert rates[date(2026, 2, 26), "GBP"] == (pytest.approx(1.5), date(2026, 2, 26))
    assert rates[date(2026, 3, 2), "GBP"] == (pytest.approx(1.08 / 0.86), date(2026, 2, 27))


def test_one_currency_needs_no_table(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """All accounts in euros: no setting is needed, every day is 1."""
    accounts(warehouse, "EUR")
    assert ingest(None, "--days", "2", reporting=None).exception is None
    assert stored(warehouse) == {(RUN - n * DAY, "EUR"): (1.0, RUN - n * DAY) for n in (1, 2)}


def test_a_second_run_changes_nothing(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """The window is replaced, not added to."""
    accounts(warehouse, "USD", "EUR")
    before = [ingest(TABLE, "--days", "5"), stored(warehouse)][1]
    assert ingest(TABLE, "--days", "5").exception is None
    assert stored(warehouse) == before
    assert len(warehouse.query("SELECT date FROM ads.fx_rates_daily")) == len(before)


def test_the_first_run_and_a_new_currency_go_back_to_the_first_spend(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """Spend since 26 February, a window of one day: all days come, then only the last, then with a new currency all again."""
    accounts(warehouse, "USD", "EUR")
    spend(warehouse, date(2026, 2, 26))
    assert "2026-02-26 to 2026-03-02" in ingest(TABLE, "--days", "1").output
    assert "2026-03-02 to 2026-03-02" in ingest(TABLE, "--days", "1").output
    accounts(warehouse, "GBP")
    assert "GBP to USD, 2026-02-26 to 2026-03-02" in ingest(TABLE, "--days", "1").output
    assert "2026-02-26 to 2026-03-02" in ingest(TABLE, "--days", "1", reporting="EUR").output  # another currency to report in
    assert "2026-02-27 to 2026-03-02" in ingest(TABLE, "--start-date", "2026-02-27", reporting="EUR").output


def test_the_zip_that_the_central_bank_publishes_is_read(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """Its history comes as one CSV in a zip file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eurofxref-hist.csv", TABLE)
    accounts(warehouse, "USD", "EUR")
    assert ingest(packed.getvalue(), "--days", "1").exception is None
    assert stored(warehouse)[RUN - DAY, "EUR"] == (1.10, RUN - DAY)


@pytest.mark.parametrize(
    ("table", "currencies", "reporting", "message"),
    [
        (TABLE, ("EUR", "USD"), None, "ad accounts are billed in EUR, USD; set AELP2_REPORTING_CURRENCY"),
        (None, ("EUR", "USD"), "USD", "AELP2_FX_RATES is not set, with amounts in EUR, USD"),
        (TABLE, (), None, "ads.ads_accounts has no account"),
        (TABLE, ("EUR", "CHF"), "EUR", "quotes no CHF"),
        (TABLE, ("EUR", "RUB"), "EUR", "no rate from RUB to EUR for 2026-02-26: .* it has none"),
        ("day;USD\n2026-03-02;1.1\n", ("EUR", "USD"), "USD", "the first line begins with 'day;USD', expected Date,USD"),
        ("Date,USD,\n02.03.2026,1.1,\n", ("EUR", "USD"), "USD", "line 2: Date '02.03.2026' is no day like"),
        ("Date,USD,\n2026-03-02,-1.1,\n", ("EUR", "USD"), "USD", "line 2: USD '-1.1' is no rate above 0"),
        ("Date,USD,\n2026-03-02,nan,\n", ("EUR", "USD"), "USD", "line 2: USD 'nan' is no rate above 0"),
        ("Date,USD,\n2026-03-02,1.1,\n2026-03-0", ("EUR", "USD"), "USD", "line 3: 1 cells, the first line has 3"),
        ("Date,USD,\n2026-03-02,1.1,\n2026-03-02,1.1,\n", ("EUR", "USD"), "USD", "line 3: 2026-03-02 is there twice"),
        (
            "Date,USD,\n2026-03-04,1.1,\n2026-03-02,1.1,\n",
            ("EUR", "USD"),
            "USD",
            "2026-03-04 is after today, nobody has quoted it",
        ),
        ("Date,USD,USD\n2026-03-02,1.1,1.2\n", ("EUR", "USD"), "USD", "two columns USD"),
        ("Date,USD,\n", ("EUR", "USD"), "USD", "has no line below its first"),
        ("", ("EUR", "USD"), "USD", "the first line begins with ''"),
        (TABLE, ("EUR", "USD"), "usd", "AELP2_REPORTING_CURRENCY='usd' is no currency"),
        (b"PK\x03\x04broken", ("EUR", "USD"), "USD", "is no whole zip file"),
        (b"\xff\xfe", ("EUR", "USD"), "USD", "is not UTF-8"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    ingest: Ingest,
    warehouse: DuckDBWarehouse,
    table: str | bytes | None,
    currencies: tuple[str, ...],
    reporting: str | None,
    message: str,
) -> None:
    """The message names the setting or the line and what to do."""
    if currencies:
        accounts(warehouse, *currencies)
    result = ingest(table, "--days", "5", reporting=reporting)
    assert isinstance(result.exception, JobError)
    with pytest.raises(JobError, match=message):
        raise result.exception
    assert stored(warehouse) == {}


def test_a_quote_is_carried_seven_days_and_no_more() -> None:
    """A table that is not kept up stops the load on the eighth day without a quote, one that begins late the day before."""
    quotes = parse_rates("Date,USD\n2026-03-02,1.1\n", "rates", ["USD"])
    monday = date(2026, 3, 2)
    carried = daily_rates(quotes, "rates", ["EUR"], "USD", monday, monday + 7 * DAY)
    assert [r for r in carried if r.currency == "EUR"] == [Rate(monday + n * DAY, "EUR", 1.1, monday) for n in range(8)]
    for start, end in ((monday, monday + 8 * DAY), (monday - DAY, monday)):
        with pytest.raises(JobError, match=f"no rate from EUR to USD for {max(end, monday) if start == monday else start}"):
            daily_rates(quotes, "rates", ["EUR"], "USD", start, end)


@given(st.floats(1e-4, 1e6), st.floats(1e-4, 1e6))
def test_there_and_back_is_where_it_began(first: float, second: float) -> None:
    """A to B times B to A is 1, whatever the two quotes are."""
    day = date(2026, 3, 2)
    quotes = {day: {"EUR": 1.0, "AAA": first, "BBB": second}}
    (there,) = [r.rate for r in daily_rates(quotes, "", ["AAA"], "BBB", day, day) if r.currency == "AAA"]
    (back,) = [r.rate for r in daily_rates(quotes, "", ["BBB"], "AAA", day, day) if r.currency == "BBB"]
    assert there * back == pytest.approx(1.0)
