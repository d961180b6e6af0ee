"""Server events and experiments from a setting: each file once, again when it changes, a broken one beside whole ones."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks import cli
from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.deliveries import day_of, find

HEADER = "experiment_id,unit_id_kind,unit_id,arm,is_randomised,assigned_date,propensity"
TABLES = (
    "gaelp_users.server_events",
    "gaelp_users.experiments",
    "gaelp_users.experiment_assignments",
    "control.ingest_runs",
    "control.imported_files",
    "control.quarantine",
)
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDBWarehouse:
    (tmp_path / "salt").write_text("s" * 64)
    (tmp_path / "salt").chmod(0o600)
    for folder in ("events", "lots"):
        (tmp_path / folder).mkdir()
    for name, value in {
        "AELP2_DUCKDB_PATH": tmp_path / "w.duckdb",
        "AELP2_NAME_SALT_FILE": tmp_path / "salt",
        "AELP2_NOW": "2026-03-02T06:00:00+00:00",
        "AELP2_SERVER_EVENTS": tmp_path / "events",
        "AELP2_EXPERIMENTS": tmp_path / "lots",
    }.items():
        monkeypatch.setenv(name, str(value))
    return DuckDBWarehouse(tmp_path / "w.duckdb")


@pytest.fixture
def run(warehouse: DuckDBWarehouse, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str, run_date: str = "2026-03-02") -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            cli.main([*arguments, "--run-date", run_date])
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out + said.err

    return call


@pytest.fixture
def csv_server() -> Iterator[Callable[[dict[str, str]], str]]:
    """Starts a server on loopback that answers with the text of a path; its address."""
    servers = []

    def start(pages: dict[str, str]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = pages.get(self.path.split("?")[0])
                self.send_response(200 if text else 404)
                self.end_headers()
                self.wfile.write((text or "").encode())

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def held(warehouse: DuckDBWarehouse, table: str) -> list[dict[str, Any]]:
    contract = load_contract(table)
    columns = ", ".join(f"`{column}`" for column in contract.columns)
    return warehouse.query(f"SELECT {columns} FROM {table} ORDER BY {', '.join(contract.grain)}").to_dicts()


def event(number: int, day: str = "2026-03-01", **more: Any) -> str:
    row = {"event_id": f"e{number}", "event_name": "purchase", "event_time": f"{day}T10:00:00-05:00", "email": "ada@example.com"}
    return json.dumps(row | {"value": 3, "currency": "USD"} | more)


def lot(*days: str, experiment: str = "holdout") -> str:
    rows = [f"{experiment},user_pseudo_id,{n}.{n},{('control', 'treatment')[n % 2]},true,{day},0.5" for n, day in enumerate(days)]
    return "\n".join([HEADER, *rows]) + "\n"


@pytest.mark.parametrize("command", ["ingest-events", "import-assignments"])
def test_without_a_source_there_is_nothing_to_do(command: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An advertiser without server events or experiments: exit code 99, which Airflow shows as skipped."""
    monkeypatch.delenv("AELP2_SERVER_EVENTS")
    monkeypatch.delenv("AELP2_EXPERIMENTS")
    code, said = run(command)
    assert code == 99, said
    assert "nothing to do" in said


@pytest.mark.parametrize("command", ["ingest-events", "import-assignments"])
def test_a_source_that_is_not_there_is_an_error(command: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that names nothing is a mistake and not an advertiser without a source; the setting is named."""
    monkeypatch.setenv("AELP2_SERVER_EVENTS", str(tmp_path / "gone"))
    monkeypatch.setenv("AELP2_EXPERIMENTS", str(tmp_path / "gone"))
    code, said = run(command)
    assert (code, "there is no such folder or file" in said, "AELP2_" in said) == (1, True, True)


def test_a_second_run_changes_nothing(warehouse: DuckDBWarehouse, run: Run, tmp_path: Path) -> None:
    """Every table is as it was, stamps included; the run says that the files are unchanged."""
    (tmp_path / "events" / "events_20260301.ndjson").write_text(f"{event(1)}\n{event(2)}\n{event(1)}\n")
    (tmp_path / "events" / "crm.csv.gz").write_bytes(
        gzip.compress(b"event_id,event_name,event_time\nc1,lead,2026-02-20T00:00:00Z\n")
    )
    (tmp_path / "events" / "notes.txt").write_text("not ours")
    (tmp_path / "events" / "events_20260228.ndjson").write_text("")
    (tmp_path / "lots" / "holdout.csv").write_text(lot("2026-02-01", "2026-02-02"))
    for command in ("ingest-events", "import-assignments"):
        code, said = run(command)
        assert code == 0, said
    before = {table: held(warehouse, table) for table in TABLES}
    code, said = run("ingest-events")
    assert (code, "0 files loaded, 3 unchanged" in said) == (0, True), said
    code, said = run("import-assignments")
    assert (code, "0 imported, 1 unchanged" in said) == (0, True), said
    assert before == {table: held(warehouse, table) for table in TABLES}
    assert len(before["gaelp_users.server_events"]) == 3
    runs = {row["platform"]: row for row in before["control.ingest_runs"]}
    keys = ("account_id", "start_date", "end_date", "status", "rows_read", "rows", "duplicates", "quarantined", "forgotten")
    events = ("server", date(2026, 2, 20), date(2026, 3, 1), "succeeded", 4, 3, 1, 0, 0)
    assert tuple(runs["server_events"][key] for key in keys) == events
    units = ("holdout.csv", date(2026, 2, 1), date(2026, 2, 2), "succeeded", 2, 2, 0, 0, 0)
    assert tuple(runs["experiments"][key] for key in keys) == units


def test_a_file_that_grew_is_read_again(warehouse: DuckDBWarehouse, run: Run, tmp_path: Path) -> None:
    """What is new in it lands; what was known counts as such."""
    file = tmp_path / "events" / "crm.ndjson"
    file.write_text(event(1) + "\n")
    run("ingest-events")
    file.write_text(event(1) + "\n" + event(2) + "\n")
    code, said = run("ingest-events", run_date="2026-03-03")
    assert (code, "2 records: 1 new, 1 known" in said) == (0, True), said
    assert len(held(warehouse, "gaelp_users.server_events")) == 2


def test_days_that_are_not_over_wait(warehouse: DuckDBWarehouse, run: Run, tmp_path: Path) -> None:
    """A file of the run date and assignments of it stay out, so that a run for an earlier day sees what it saw then."""
    for day in ("2026-03-01", "2026-03-02"):
        (tmp_path / "events" / f"events_{day}.ndjson").write_text(event(int(day[-1]), day) + "\n")
    (tmp_path / "lots" / "holdout.csv").write_text(lot("2026-02-01", "2026-03-01", "2026-03-02"))
    (tmp_path / "lots" / "later.csv").write_text(lot("2026-03-02", "2026-03-02", experiment="later"))
    run("ingest-events")
    code, said = run("import-assignments")
    assert (code, "1 imported, 0 unchanged, 1 not begun by 2026-03-02" in said) == (0, True), said
    assert len(held(warehouse, "gaelp_users.server_events")) == 1
    assert len(held(warehouse, "gaelp_users.experiment_assignments")) == 2
    run("ingest-events", run_date="2026-03-03")
    run("import-assignments", run_date="2026-03-03")
    assert len(held(warehouse, "gaelp_users.server_events")) == 2
    assert len(held(warehouse, "gaelp_users.experiment_assignments")) == 5


def test_a_broken_file_stops_no_other(warehouse: DuckDBWarehouse, run: Run, tmp_path: Path) -> None:
    """Whole files land; the run fails, names the broken one, and tries it again until it is mended."""
    (tmp_path / "events" / "a.ndjson").write_text("no json\n")
    (tmp_path / "events" / "b.ndjson").write_text(event(1) + "\n")
    code, said = run("ingest-events")
    assert (code, "1 of 2 files failed: a.ndjson: 1 of 1 are bad" in said) == (3, True), said
    (row,) = (row for row in held(warehouse, "control.ingest_runs"))
    assert (row["status"], row["rows"]) == ("failed", 1)
    assert [row["file_name"] for row in held(warehouse, "control.imported_files")] == ["b.ndjson"]
    (tmp_path / "events" / "a.ndjson").write_text(event(2) + "\n")
    assert run("ingest-events")[0] == 0
    (tmp_path / "lots" / "a.csv").write_text(lot("2026-02-01", "never"))
    (tmp_path / "lots" / "b.csv").write_text(lot("2026-02-01", "2026-02-01"))
    (tmp_path / "lots" / "c.csv").write_text(lot("2026-02-01", "2026-02-01"))
    code, said = run("import-assignments")
    assert code == 1, said
    assert "a.csv: 1 problem" in said
    assert "c.csv holds the experiment holdout, which b.csv holds too" in said
    assert len(held(warehouse, "gaelp_users.experiment_assignments")) == 2


def test_the_cost_of_the_arms_stands_beside_the_file(warehouse: DuckDBWarehouse, run: Run, tmp_path: Path) -> None:
    """NAME.yaml says what --channel and the others say; a change of it is a change of the experiment; a mistake is named."""
    (tmp_path / "lots" / "holdout.csv").write_text(lot("2026-02-01", "2026-02-01"))
    cost = tmp_path / "lots" / "holdout.yaml"
    run("import-assignments")
    cost.write_text("{channel: YOUTUBE, treatment_spend: 1200.5, control_spend: 0, currency: EUR, spend_days: 28, coverage: 0.5}")
    code, said = run("import-assignments")
    assert (code, "YOUTUBE: 1,200.50 against 0.00 EUR" in said) == (0, True), said
    (row,) = held(warehouse, "gaelp_users.experiments")
    assert (row["channel"], row["treatment_spend_micros"], row["coverage_ratio"]) == ("YOUTUBE", 1_200_500_000, 0.5)
    for wrong, words in (
        ("{spend: 3}", "give channel"),
        ("{treatment_spend: -1}", "treatment_spend"),
        ("{channel: A}", "in part"),
    ):
        cost.write_text(wrong)
        code, said = run("import-assignments")
        assert (code, words in said) == (1, True), said


def test_names_of_columns_come_from_the_setting(warehouse: DuckDBWarehouse, run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    """A DAG has no arguments for one advertiser: source, country and names of columns can be set."""
    monkeypatch.setenv("AELP2_SERVER_EVENTS_SOURCE", "shop")
    monkeypatch.setenv("AELP2_SERVER_EVENTS_COLUMNS", "event_time=created event_id=key")
    monkeypatch.setenv("AELP2_DEFAULT_COUNTRY", "US")
    row = {"key": "1", "event_name": "lead", "created": "2026-03-01T10:00:00Z", "phone": "(415) 555-2671"}
    (tmp_path / "events" / "a.jsonl").write_text(json.dumps(row))
    code, said = run("ingest-events")
    assert code == 0, said
    (found,) = held(warehouse, "gaelp_users.server_events")
    assert (found["source"], len(found["phone_sha256"])) == ("shop", 64)


def test_a_file_for_an_address(run: Run, warehouse: DuckDBWarehouse, csv_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address is read with the day before the run date in it."""
    monkeypatch.setenv("AELP2_SERVER_EVENTS", f"{csv_server({'/e-2026-03-01.ndjson': event(1)})}/e-{{date}}.ndjson")
    assert run("ingest-events")[0] == 0
    monkeypatch.setenv("AELP2_EXPERIMENTS", f"{csv_server({'/lot.csv': lot('2026-02-01', '2026-02-01')})}/lot.csv?key=secret")
    code, said = run("import-assignments")
    assert (code, "secret" in said) == (0, False), said
    assert "secret" not in str([held(warehouse, table) for table in TABLES])
    assert len(held(warehouse, "gaelp_users.server_events")) == 1
    assert len(held(warehouse, "gaelp_users.experiment_assignments")) == 2


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("server_events_20260301.ndjson", date(2026, 3, 1)),
        ("crm-2026-03-01.csv.gz", date(2026, 3, 1)),
        ("crm_1772323200123.csv", None),
        ("crm_20261301.csv", None),
        ("crm.csv", None),
    ],
)
def test_the_day_in_a_name(name: str, day: date | None) -> None:
    """Eight digits that are a day, with or without dashes; a stamp or a number is none."""
    assert day_of(name) == day


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    """So that the first report of an event id is the one that stays."""
    for name in ("b.csv", "a.ndjson", "c.CSV", "d.parquet", "e.csv.gz"):
        (tmp_path / name).touch()
    found = find(str(tmp_path), "AELP2_SERVER_EVENTS", (".csv", ".ndjson"), date(2026, 3, 2))
    assert [one.name for one in found] == ["a.ndjson", "b.csv", "c.CSV", "e.csv.gz"]
    assert pl.Series([one.content for one in found]).null_count() == 4
