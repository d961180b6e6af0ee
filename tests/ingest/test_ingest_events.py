"""Server events: what is good lands once, what is bad is set aside with a reason, nothing personal lands anywhere."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks import cli
from tasks.core.forgotten import forgotten_hash
from tasks.core.redaction import hash_name
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest.server_events_row import COLUMNS

RUN_DATE = "2026-03-02"
HEADER = "event_id,event_name,event_time,user_id,email,phone,gclid,value,currency,consent_ads,consent_analytics"
GOOD: dict[str, Any] = {
    "event_id": "e-1",
    "event_name": "purchase",
    "event_time": "2026-03-01T10:00:00+01:00",
    "user_id": "customer 17",
    "email": " Jane.Doe+shop@GoogleMail.com",
    "phone": "(415) 555-2671",
    "gclid": "Cj0KCQiA-abc_123",
    "value": "12.345678",
    "currency": "USD",
    "consent_ads": "granted",
    "consent_analytics": "true",
}


class Loader:
    """Runs the job in this process against a fresh warehouse."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys
        self.warehouse = DuckDBWarehouse(folder / "w.duckdb")
        (folder / "salt").write_text("s" * 64)
        (folder / "salt").chmod(0o600)
        for name, value in {
            "AELP2_DUCKDB_PATH": str(folder / "w.duckdb"),
            "AELP2_NAME_SALT_FILE": str(folder / "salt"),
            "AELP2_NOW": "2026-03-02T06:00:00+00:00",
            "AELP2_XCOM_FILE": str(folder / "xcom.json"),
        }.items():
            monkeypatch.setenv(name, value)

    def file(self, content: str | bytes, name: str = "events") -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self, path: Path, *options: str, form: str = "ndjson") -> tuple[int, str]:
        """(exit code, all that was said)."""
        fixed = ["ingest-events", str(path), "--format", form, "--default-country", "US", "--run-date", RUN_DATE]
        code = 0
        try:
            cli.main([*fixed, *options])
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = self.capsys.readouterr()
        return code, said.out + said.err

    def rows(self, *rows: dict[str, Any], options: tuple[str, ...] = ("--max-bad-pct", "100")) -> dict[str, int]:
        """Load ``rows`` as NDJSON; the counts of the load."""
        code, said = self.run(self.file("\n".join(json.dumps(row) for row in rows)), *options)
        assert code == 0, said
        counts: dict[str, int] = json.loads((self.folder / "xcom.json").read_text())
        assert counts["records"] == sum(counts.values()) - counts["records"]
        return counts

    def events(self) -> list[dict[str, Any]]:
        return self.all("gaelp_users.server_events").to_dicts()

    def quarantined(self) -> list[dict[str, Any]]:
        return self.all("control.quarantine").to_dicts()

    def all(self, table: str) -> pl.DataFrame:
        from tasks.core.contracts import load_contract

        return self.warehouse.query(f"SELECT {', '.join(f'`{c}`' for c in load_contract(table).columns)} FROM {table}")


@pytest.fixture
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Loader:
    return Loader(tmp_path, monkeypatch, capsys)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_good_event_lands_with_hashes_only(loader: Loader) -> None:
    """Time in UTC with its day, money in micros, e-mail and phone as hash of the normal form, own ids under the salt."""
    assert loader.rows(GOOD)["inserted"] == 1
    (row,) = loader.events()
    salt = b"s" * 64
    assert row | {"content_sha256": None} == {
        "source": "server",
        "event_date": date(2026, 3, 1),
        "event_id": hash_name("server\x1fe-1", salt),
        "event_at": datetime(2026, 3, 1, 9, tzinfo=UTC),
        "event_name": "purchase",
        "user_pseudo_id": None,
        "user_id_hash": hash_name("customer 17", salt),
        "email_sha256": sha256("janedoe@gmail.com"),
        "phone_sha256": sha256("+14155552671"),
        "gclid": "Cj0KCQiA-abc_123",
        **dict.fromkeys(("gbraid", "wbraid", "fbclid", "ttclid", "li_fat_id", "transaction_id_hash")),
        "value_micros": 12_345_678,
        "currency_code": "USD",
        "is_ads_consented": True,
        "is_analytics_consented": True,
        "content_sha256": None,
        "loaded_at": datetime(2026, 3, 2, 6, tzinfo=UTC),
    }


def test_csv_and_ndjson_give_the_same_rows(loader: Loader) -> None:
    """The same event from either form, also gzipped, is one event: content and id are equal."""
    loader.rows(GOOD)
    line = ",".join(GOOD[column] for column in HEADER.split(","))
    for content in (f"{HEADER}\n{line}\n".encode(), gzip.compress(f"\ufeff{HEADER}\r\n{line}\r\n\r\n".encode())):
        code, said = loader.run(loader.file(content), form="csv")
        assert (code, "1 records: 0 new, 1 known" in said) == (0, True), said
    assert len(loader.events()) == 1


def test_twice_changes_nothing(loader: Loader) -> None:
    """The second load of a file inserts and quarantines nothing; a repetition within the file counts as known."""
    rows = [GOOD, GOOD, GOOD | {"event_id": "e-2"}, GOOD | {"event_id": "e-3", "event_time": "2026-03-01T10:00:00"}]
    first = loader.rows(*rows)
    before = loader.events(), loader.quarantined()
    second = loader.rows(*rows)
    assert first == {"records": 4, "inserted": 2, "duplicates": 1, "forgotten": 0, "quarantined": 1}
    assert second == {"records": 4, "inserted": 0, "duplicates": 3, "forgotten": 0, "quarantined": 1}
    assert before == (loader.events(), loader.quarantined())


def test_an_event_id_used_again_for_another_event_is_set_aside(loader: Loader) -> None:
    """The first one stays, within a file and across files; the other does not vanish as if it were a repetition."""
    changed = GOOD | {"value": "99"}
    assert loader.rows(GOOD, changed)["quarantined"] == 1
    assert loader.rows(changed)["quarantined"] == 1
    assert [row["value_micros"] for row in loader.events()] == [12_345_678]
    assert {row["check"] for row in loader.quarantined()} == {"event_id_reused"}


def test_two_sources_do_not_share_event_ids(loader: Loader) -> None:
    """Number 1 of the shop is not number 1 of the call centre."""
    for source in ("shop", "calls"):
        assert loader.rows(GOOD, options=("--source", source))["inserted"] == 1


def test_a_hash_is_taken_as_it_is(loader: Loader) -> None:
    """An upstream system may hash itself, in either case."""
    given = {"email": sha256("janedoe@gmail.com").upper(), "phone": sha256("+14155552671")}
    assert loader.rows(GOOD, GOOD | given)["duplicates"] == 1


def test_consent_is_only_what_the_file_grants(loader: Loader) -> None:
    """Empty, absent and denied are no consent."""
    rows = [
        GOOD | {"event_id": f"c{n}", "consent_ads": v, "consent_analytics": v} for n, v in enumerate(("", None, False, "denied"))
    ]
    loader.rows(*rows, {key: value for key, value in GOOD.items() if not key.startswith("consent")})
    assert {(row["is_ads_consented"], row["is_analytics_consented"]) for row in loader.events()} == {(False, False)}


PLANTED = ("jane.doe", "5552671", "555-2671", "customer 17", "DROP TABLE")
HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("no id", {"event_id": ""}, "required"),
    ("null id", {"event_id": None}, "required"),
    ("null as text", {"event_id": "null"}, "placeholder"),
    ("everybody is user null", {"user_id": "NULL"}, "placeholder"),
    ("naive time", {"event_time": "2026-03-01T10:00:00"}, "offset"),
    ("a day is no time", {"event_time": "2026-03-01"}, "offset"),
    ("seconds since 1970", {"event_time": 1772359200}, "event_time"),
    ("1970", {"event_time": "1970-01-01T00:00:00Z"}, "event_time_past"),
    ("2100", {"event_time": "2100-01-01T00:00:00Z"}, "event_time_future"),
    ("year 1 east of Greenwich", {"event_time": "0001-01-01T00:00:00+14:00"}, "event_time"),
    ("negative value", {"value": -5}, "value_min"),
    ("NaN", {"value": float("nan")}, "value"),
    ("infinity", {"value": float("inf")}, "value"),
    ("thousands separator", {"value": "1,234.50"}, "value"),
    ("absurd value", {"value": 1e300}, "value_max"),
    ("no currency", {"currency": ""}, "currency"),
    ("currency as a sign", {"currency": "$"}, "currency"),
    ("emoji as a name", {"event_name": "🛒"}, "event_name"),
    ("SQL as a name", {"event_name": "x'; DROP TABLE ads; --"}, "event_name"),
    ("1 MB parameter", {"gclid": "g" * 1_000_000}, "length"),
    ("e-mail as click id", {"gclid": "jane.doe@example.com"}, "platform_id"),
    ("phone as click id", {"gclid": "14155552671"}, "platform_id"),
    ("phone as cookie", {"user_pseudo_id": "4155552671"}, "platform_id"),
    ("e-mail as event name", {"event_name": "jane.doe@example.com"}, "event_name"),
    ("e-mail as time", {"event_time": "jane.doe@example.com"}, "event_time"),
    ("phone as value", {"value": "(415) 555-2671"}, "value"),
    ("phone as e-mail", {"email": "(415) 555-2671"}, "email"),
    ("e-mail as phone", {"phone": "jane.doe@example.com"}, "phone"),
    ("no such number", {"phone": "555-2671"}, "phone"),
    ("hash of nothing", {"email": sha256("")}, "email"),
    ("consent in words", {"consent_ads": "jane.doe agreed"}, "consent"),
    ("zero byte", {"user_id": "a\x00b"}, "control_character"),
    ("half a character", {"user_id": "\ud800"}, "utf8"),
    ("an object", {"email": {"value": "jane.doe@example.com"}}, "fields"),
    ("a list", {"phone": ["4155552671"]}, "fields"),
    ("a field nobody knows", {"e-mail": "jane.doe@example.com"}, "fields"),
]


@pytest.mark.parametrize(("changes", "check"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_hostile_record_is_set_aside_with_a_reason(loader: Loader, changes: dict[str, Any], check: str) -> None:
    """The bad record is in quarantine by its line, the good one beside it lands, and no value of it is anywhere."""
    counts = loader.rows(GOOD | {"event_id": "good"}, GOOD | changes)
    assert counts == {"records": 2, "inserted": 1, "duplicates": 0, "forgotten": 0, "quarantined": 1}
    (bad,) = loader.quarantined()
    assert (bad["check"], json.loads(bad["row_json"])["line"]) == (check, 2)
    assert bad["reason"]
    for planted in PLANTED:
        assert planted not in bad["row_json"] + bad["reason"]


BAD_LINES = [
    (b"not json at all jane.doe@example.com", "json"),
    (b'{"event_id": "1"', "json"),
    (b'["a list"]', "json"),
    (b'{"event_id": "1", "event_id": "2"}', "json"),
    (b"[" * 100_000, "json"),
    (json.dumps(GOOD).replace("purchase", "pur\xe9").encode("latin-1"), "utf8"),
]


@pytest.mark.parametrize(("line", "check"), BAD_LINES)
def test_a_broken_line_is_set_aside(loader: Loader, line: bytes, check: str) -> None:
    """What is no record is one bad record; the lines around it land."""
    good = [json.dumps(GOOD | {"event_id": name}).encode() for name in ("before", "after")]
    code, said = loader.run(loader.file(b"\n".join([good[0], line, good[1]])), "--max-bad-pct", "50")
    assert (code, "3 records: 2 new, 0 known, 0 of forgotten people, 1 set aside" in said) == (0, True), said
    assert [row["check"] for row in loader.quarantined()] == [check]


def test_a_csv_row_of_another_width_is_set_aside(loader: Loader) -> None:
    """A row with a field too many does not shift into the wrong columns."""
    line = ",".join(GOOD[column] for column in HEADER.split(","))
    code, said = loader.run(loader.file(f"{HEADER}\n{line}\n{line},more\n"), "--max-bad-pct", "50", form="csv")
    assert (code, "2 records: 1 new, 0 known, 0 of forgotten people, 1 set aside" in said) == (0, True), said


@pytest.mark.parametrize(
    ("content", "form", "options", "message"),
    [
        (b"", "ndjson", (), "there is not one record"),
        (b"\n\n", "ndjson", (), "there is not one record"),
        (b"", "csv", (), "the header lacks"),
        (b"event_id,event_name\n1,x\n", "csv", (), "the header lacks ['event_time']"),
        (b"event_id,event_name,event_time,event_id\n", "csv", (), "repeats 1 names"),
        (b"event_id,event_name,event_time,mail\n", "csv", (), "1 that are not known ['mail']"),
        (b"1,jane.doe@example.com,415 555 2671\n", "csv", (), "not known ['(not a name)', '(not a name)', '(not a name)']"),
        (b'event_id,event_name,event_time\n1,"x,2026\n2,x",2026\n', "csv", (), "is a quote opened and not closed"),
        (b'event_id,event_name,event_time\n1,"x,2026\n2,x,2026\n', "csv", (), "cannot be read as CSV near line 3"),
        (gzip.compress(b"x" * 5000, mtime=0)[:25], "ndjson", (), "breaks off or does not unpack"),
        (b"{}", "ndjson", ("--column", "mail=email"), "none of event_id"),
        (b"{}", "ndjson", ("--source", "A b"), "lower case letters"),
        (b"{}", "ndjson", ("--default-country", "us"), "is no country"),
        (b"{}", "csv", ("--separator", "ab"), "is not one character"),
    ],
)
def test_a_file_of_the_wrong_form_is_refused_whole(
    loader: Loader, content: bytes, form: str, options: tuple[str, ...], message: str
) -> None:
    """Where records cannot be told apart or columns are not known, the error says so and nothing is written."""
    code, said = loader.run(loader.file(content), *options, form=form)
    assert (code, message in said) == (1, True), said
    assert "jane.doe" not in said
    assert loader.events() == loader.quarantined() == []


def test_too_many_bad_records_stop_the_load(loader: Loader) -> None:
    """Over the limit nothing is loaded, exit code 3, and the bad ones are in quarantine all the same."""
    rows = [GOOD | {"event_id": f"e{n}", "value": "x" if n < 2 else "1"} for n in range(10)]
    path = loader.file("\n".join(json.dumps(row) for row in rows))
    code, said = loader.run(path)
    assert (code, "2 of 10 are bad, over 10 %" in said, "2 × value is no number" in said) == (3, True, True), said
    assert (len(loader.events()), len(loader.quarantined())) == (0, 2)
    assert loader.run(path, "--max-bad-pct", "20")[0] == 0
    assert (len(loader.events()), len(loader.quarantined())) == (8, 2)


def test_check_only_writes_nothing(loader: Loader) -> None:
    """The same counts and reasons, no row anywhere."""
    path = loader.file(f"{json.dumps(GOOD)}\n{json.dumps(GOOD | {'event_id': 'b', 'value': 'x'})}")
    code, said = loader.run(path, "--check-only")
    assert (code, "2 records: 1 new" in said, "1 × value is no number" in said) == (0, True, True), said
    assert loader.events() == loader.quarantined() == []


def test_columns_may_be_called_otherwise(loader: Loader) -> None:
    """--column and --ignore fit a file of another system, for both forms."""
    row = {"id": "1", "event_name": "lead", "when": "2026-03-01T00:00:00Z", "note": "called jane.doe@example.com"}
    options = ("--column", "event_id=id", "--column", "event_time=when", "--ignore", "note")
    assert loader.rows(row, options=options)["inserted"] == 1
    code, said = loader.run(loader.file("id,event_name,when,note\n2,lead,2026-03-01T00:00:00Z,x\n"), *options, form="csv")
    assert (code, "1 new" in said) == (0, True), said


@pytest.mark.parametrize(
    "make",
    [
        lambda salt: ("email_sha256", sha256("janedoe@gmail.com")),
        lambda salt: ("phone_sha256", sha256("+14155552671")),
        lambda salt: ("user_id_hash", hash_name("customer 17", salt)),
        lambda salt: ("gclid", "Cj0KCQiA-abc_123"),
    ],
)
def test_who_was_forgotten_does_not_come_back(loader: Loader, make: Callable[[bytes], tuple[str, str]]) -> None:
    """A record with any id of a forgotten person is dropped and counted; others land."""
    salt = b"s" * 64
    kind, value = make(salt)
    row = {
        "id_kind": kind,
        "id_hash": forgotten_hash(kind, value, salt),
        "run_date": date(2026, 3, 1),
        "why": "asked",
        "forgotten_at": datetime(2026, 3, 1, tzinfo=UTC),
    }
    schema = {"forgotten_at": pl.Datetime("us", "UTC")}
    loader.warehouse.append("gaelp_users.forgotten_ids", pl.DataFrame([row], schema_overrides=schema))
    other = {"event_id": "e-2", "user_id": "18", "email": "joe@example.com", "phone": "", "gclid": ""}
    counts = loader.rows(GOOD, GOOD | other)
    assert counts == {"records": 2, "inserted": 1, "duplicates": 0, "forgotten": 1, "quarantined": 0}


def test_nothing_personal_is_in_any_table_file_or_word(loader: Loader, tmp_path: Path) -> None:
    """Planted addresses, numbers and user ids are in no byte of the database, the XCom or what the job says (M14)."""
    planted = ["zoe.planted@example.org", "+442079460958", "020 7946 0958", "44 20 7946 0958", "442079460958"]
    rows = [GOOD | {"event_id": p, "user_id": "member-4711", "transaction_id": "order-4711"} for p in planted]
    rows += [GOOD | {"event_id": f"{column}{p}", column: p} for column in COLUMNS if column != "event_id" for p in planted]
    path = loader.file("\n".join(json.dumps(row) for row in rows))
    code, said = loader.run(path, "--max-bad-pct", "100")
    assert code == 0
    code, more = loader.run(path, "--max-bad-pct", "1")
    assert code == 3
    path.unlink()
    bytes_of = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.name != "salt") + (said + more).encode()
    tables = " ".join(str(row) for row in loader.events() + loader.quarantined())
    for value in (*planted, "member-4711", "order-4711"):
        assert value.encode() not in bytes_of
        assert value not in tables
    assert len(loader.quarantined()) > 20
