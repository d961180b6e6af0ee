"""The business's daily table lands whole or not at all, once, and only for days that are over."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from click.testing import CliRunner, Result

from tasks.core.errors import GateStop, JobError, TryAgain
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.ingest_outcomes import command
from tasks.ingest.outcomes_source import without_query

RUN = date(2026, 3, 1)
DAY = timedelta(days=1)
HEADER = "date,new_customers,revenue,currency"
Ingest = Callable[..., Result]


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


@pytest.fixture
def ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ingest:
    """Runs the command on a table given as text."""
    monkeypatch.setenv("AELP2_NOW", "2026-03-01T06:00:00+00:00")
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.delenv("AELP2_CONTROLS_URL", raising=False)

    def run(text: str, *arguments: str, run_date: date = RUN, controls: str | None = None) -> Result:
        (tmp_path / "outcomes.csv").write_text(text)
        monkeypatch.setenv("AELP2_OUTCOMES_URL", str(tmp_path / "outcomes.csv"))
        if controls is not None:
            (tmp_path / "controls.csv").write_text(controls)
            arguments = (*arguments, "--controls-url", str(tmp_path / "controls.csv"))
        return CliRunner().invoke(command, ["--run-date", str(run_date), *arguments])

    return run


def table(days: int, *, customers: int = 10, until: date = RUN - DAY) -> str:
    rows = [f"{until - n * DAY},{customers},{customers}00.50,USD" for n in reversed(range(days))]
    return "\n".join([HEADER, *rows, ""])


def stored(warehouse: DuckDBWarehouse) -> dict[date, tuple[float, int | None]]:
    rows = warehouse.query("SELECT period_start_date, new_customers, revenue_micros FROM ads.business_outcomes").rows()
    return {day: (count, revenue) for day, count, revenue in rows}


def test_the_first_load_takes_everything(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """400 days in, 400 days there, money in whole micros, under the source crm."""
    assert ingest(table(400)).exception is None
    got = stored(warehouse)
    assert (len(got), got[RUN - DAY]) == (400, (10.0, 1_000_500_000))
    assert warehouse.query("SELECT DISTINCT source, geo, period_days, currency_code FROM ads.business_outcomes").rows() == [
        ("crm", "national", 1, "USD")
    ]


def test_later_loads_restate_the_window_and_nothing_doubles(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """The next day other numbers come: 30 days take them, older days keep theirs."""
    ingest(table(60))
    ingest(table(61, customers=12, until=RUN), run_date=RUN + DAY)
    got = stored(warehouse)
    assert (len(got), [count for count, _ in got.values()].count(12.0)) == (61, 30)
    assert got[RUN - 30 * DAY] == (10.0, 1_000_500_000)


def test_running_twice_changes_nothing(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """Same rows, one line in control.ingest_runs."""
    ingest(table(60))
    before = stored(warehouse)
    assert ingest(table(60)).exception is None
    runs = warehouse.query("SELECT status, end_date FROM control.ingest_runs").rows()
    assert (stored(warehouse), runs) == (before, [("succeeded", RUN - DAY)])


def test_the_day_under_way_is_left_out(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """A row of the run date itself is half a day and would pass for a whole one."""
    ingest(table(10, until=RUN))
    assert max(stored(warehouse)) == RUN - DAY


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-02-10,ten,1,USD", "line 3: new_customers is 'ten', which is no number"),
        ("2026-02-10,-1,1,USD", "line 3: new_customers is -1, below 0"),
        ("2026-02-10,nan,1,USD", "line 3: new_customers is 'nan', which is no finite number"),
        ("2026-02-10,true,1,USD", "line 3: new_customers is 'true', which is no number"),
        ("2026-02-10,1,-3,USD", "line 3: revenue is -3, below 0"),
        ("10.02.2026,1,1,USD", "line 3: date is '10.02.2026', write YYYY-MM-DD"),
        ("2027-01-01,1,1,USD", "line 3: date is 2027-01-01, today is 2026-03-01"),
        ("2026-02-10,1,1,dollars", "line 3: currency is 'dollars', write an ISO code"),
        ("2026-02-09,11,1,USD", "line 3: 2026-02-09 national has a second row with other numbers"),
    ],
)
def test_a_bad_row_stops_the_load_and_is_kept(ingest: Ingest, warehouse: DuckDBWarehouse, row: str, reason: str) -> None:
    """Nothing is loaded, the message names line and value, and the row waits in control.quarantine."""
    got = ingest(f"{HEADER}\n2026-02-09,10,1,USD\n{row}\n")
    assert isinstance(got.exception, GateStop)
    assert reason in str(got.exception)
    assert stored(warehouse) == {}
    (kept,) = warehouse.query("SELECT table_name, reason FROM control.quarantine").rows()
    assert (kept[0], kept[1].startswith(reason)) == ("ads.business_outcomes", True)
    assert warehouse.query("SELECT status, quarantined FROM control.ingest_runs").rows() == [("failed", 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header"),
        (f"{HEADER}\n", "has no rows"),
        ("date,customers\n2026-02-10,1\n", r"lacks the columns \['new_customers', 'currency'\]"),
        (f"{HEADER}\n2026-02-10,1\n", "line 2 has not 4 fields"),
        (f"{HEADER},Is Promo\n2026-02-10,1,1,USD,1\n", r"name the columns \['Is Promo'\] in lower case"),
        ("date,date,new_customers,currency\na,b,c,d\n", r"repeats \['date'\]"),
        (f"{HEADER}\n2026-02-10,1,1,USD\n2026-02-11,1,1,EUR\n", "mixes the currencies EUR, USD"),
        (f"{HEADER}\n2026-03-01,1,1,USD\n", "has no day in .*; it has 2026-03-01 to 2026-03-01"),
    ],
)
def test_a_table_of_the_wrong_form_is_an_error(ingest: Ingest, warehouse: DuckDBWarehouse, text: str, message: str) -> None:
    """Columns, fields and currency are judged before any row is."""
    got = ingest(text)
    assert isinstance(got.exception, JobError)
    assert got.exception.exit_code == 1
    with pytest.raises(JobError, match=message):
        raise got.exception
    assert stored(warehouse) == {}


def test_a_missing_day_stops_the_load(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """A hole would look like a day without customers to the model."""
    lines = table(10).splitlines()
    got = ingest("\n".join(lines[:4] + lines[5:]))
    assert isinstance(got.exception, GateStop)
    assert "lacks 1 days between its first and last: 2026-02-22 national" in str(got.exception)
    assert stored(warehouse) == {}


def test_other_columns_are_controls(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """Numbers, or true and false, by name; a second table adds more."""
    text = f"{HEADER},is_promo,price\n2026-02-27,1,1,USD,true,9.5\n2026-02-28,1,1,USD,false,9\n"
    assert ingest(text, controls="date,is_holiday\n2026-02-27,false\n2026-02-28,true\n2026-03-01,true\n").exception is None
    rows = warehouse.query(
        "SELECT control, period_start_date, value FROM ads.business_controls ORDER BY control, period_start_date"
    ).rows()
    first, second = date(2026, 2, 27), date(2026, 2, 28)
    assert rows == [
        ("is_holiday", first, 0.0),
        ("is_holiday", second, 1.0),
        ("is_promo", first, 1.0),
        ("is_promo", second, 0.0),
        ("price", first, 9.5),
        ("price", second, 9.0),
    ]


def test_unknown_revenue_is_null(ingest: Ingest, warehouse: DuckDBWarehouse) -> None:
    """An empty cell is not zero."""
    ingest(f"{HEADER}\n2026-02-28,1,,USD\n")
    assert stored(warehouse) == {date(2026, 2, 28): (1.0, None)}


class _Server(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, tuple[HTTPStatus, str]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body = self.answers.get(self.path, (HTTPStatus.NOT_FOUND, ""))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(_Server, "asked", [])
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def run_from(address: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setenv("AELP2_OUTCOMES_URL", address)
    return CliRunner().invoke(command, ["--run-date", str(RUN), "--start-date", "2026-02-27"])


def test_an_address_may_ask_for_the_days(
    ingest: Ingest, server: str, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """{start} and {end} become the first and last day wanted."""
    path = "/x.csv?from=2026-02-27&to=2026-02-28"
    monkeypatch.setattr(_Server, "answers", {path: (HTTPStatus.OK, table(2))})
    assert run_from(f"{server}/x.csv?from={{start}}&to={{end}}", monkeypatch).exception is None
    assert (_Server.asked, len(stored(warehouse))) == ([path], 2)


@pytest.mark.parametrize(
    ("status", "error"),
    [(HTTPStatus.SERVICE_UNAVAILABLE, TryAgain), (HTTPStatus.TOO_MANY_REQUESTS, TryAgain), (HTTPStatus.FORBIDDEN, JobError)],
)
def test_an_address_that_refuses(
    ingest: Ingest, server: str, monkeypatch: pytest.MonkeyPatch, status: HTTPStatus, error: type[JobError]
) -> None:
    """Passing faults are told from lasting ones, and the key in the address is not shown."""
    monkeypatch.setattr(_Server, "answers", {"/x.csv?key=s3cret": (status, "")})
    got = run_from(f"{server}/x.csv?key=s3cret", monkeypatch)
    assert type(got.exception) is error
    assert f"HTTP {status.value}" in str(got.exception)
    assert "s3cret" not in str(got.exception)


def test_a_server_that_is_not_there(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: try again later."""
    got = run_from("http://127.0.0.1:9/x.csv", monkeypatch)
    assert isinstance(got.exception, TryAgain)


def test_an_address_is_shown_without_its_secrets() -> None:
    """User, password and query are left out; a file name stays."""
    assert without_query("https://me:pw@host.test:8443/a.csv?key=1#x") == "https://host.test:8443/a.csv"
    assert without_query("data/outcomes.csv") == "data/outcomes.csv"
