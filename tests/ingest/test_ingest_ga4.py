"""The load of the GA4 export: late events, intraday replaced by daily, a day twice, resuming, several properties, the sandbox."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest
from ga4_world import PROPERTY, SALT, came, event, load, purchase, stored, write_table

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError, NothingToDo, TryAgain
from tasks.core.forgotten import forgotten_hash
from tasks.core.redaction import hash_name
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest import ga4_load
from tasks.ingest.ads_window import PastLoad
from tasks.ingest.ga4_load import Ga4Load, Result, ga4_window, raise_failures
from tasks.ingest.ga4_source import DATASET, ExportTable, FolderSource, best_tables, open_source, parse_table
from tasks.lab.ga4_export import Ga4Export
from tasks.lab.market import Market
from tasks.lab.world import load_world

DAY = timedelta(days=1)
D1 = date(2026, 3, 1)


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


def name(day: date, kind: str = "") -> str:
    return f"events_{kind}{day:%Y%m%d}"


def visits(day: date, n: int, start: int = 0) -> list[dict[str, object]]:
    return [event(day, user=f"u{number}") for number in range(start, start + n)]


# --- which tables


@pytest.mark.parametrize(
    "table",
    [
        "events_2026030", "events_202603011", "events_20260231", "events_20260301; DROP TABLE x", "events_fresh_20260301",
        "users_20260301", "pseudonymous_users_20260301", "EVENTS_20260301", "events_intraday_20260301 ", "events_2026030１", "",
    ],
)  # fmt: skip
def test_anything_but_an_events_table_is_left_alone(table: str) -> None:
    """Only Google's two kinds of name with a real day are taken, whole: nothing else can become part of a statement."""
    assert parse_table("1", table) is None


def test_the_daily_table_wins_over_the_intraday_one() -> None:
    """Of each property and day one table is left."""
    tables = [
        parse_table(p, t) for p in ("1", "2") for t in ("events_intraday_20260301", "events_20260301", "events_intraday_20260302")
    ]
    found = best_tables([t for t in tables if t])
    expected = [(p, d, i) for p in ("1", "2") for d, i in ((D1, False), (D1 + DAY, True))]
    assert found == [ExportTable(*row) for row in expected]
    assert found[1].table_id == "events_intraday_20260302"


@pytest.mark.parametrize(
    "place", ["p.analytics_1", "project.analytics_x", "project.analytics_1.events", "Project-1.analytics_1", "project.a"]
)
def test_a_place_that_is_neither_folder_nor_dataset_is_refused(place: str, tmp_path: Path) -> None:
    """The error names the variable and what it may be."""
    from tasks.core.settings import load_settings

    assert not DATASET.fullmatch(place)
    with pytest.raises(JobError, match="AELP2_GA4_EXPORT"):
        open_source(load_settings({"AELP2_GA4_EXPORT": str(tmp_path / place)}))


def test_without_an_export_there_is_nothing_to_do() -> None:
    """An advertiser without GA4 skips the task; the reason names the variable."""
    from tasks.core.settings import load_settings

    with pytest.raises(NothingToDo, match="AELP2_GA4_EXPORT is not set"):
        open_source(load_settings({}))


# --- late, intraday, twice


def test_late_events_for_three_days_all_arrive_once(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    """Each morning the day's table has more rows; after three days the totals are the final table's, no row twice."""
    for late in range(4):
        for day in range(4):  # four days, each growing for three mornings
            seen = max(0, min(late - day, 3))
            if late >= day:
                write_table(tmp_path, name(D1 + day * DAY), visits(D1 + day * DAY, 10 + seen))
        result = load(tmp_path, warehouse, D1 + (late + 1) * DAY)
        assert result.read == result.written
    counts = stored(warehouse).group_by("event_date").len().sort("event_date")["len"].to_list()
    assert counts == [13, 12, 11, 10]
    daily = warehouse.query("SELECT date, sessions, visitors FROM ga4.ga4_daily ORDER BY date")
    assert daily.rows() == [(D1, 13, 13)]  # each visitor has one session, which goes on over all days


def test_the_daily_table_replaces_the_intraday_one(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    """First the preliminary rows, marked so; then exactly the daily table's, also while both tables lie there."""
    write_table(tmp_path, name(D1, "intraday_"), visits(D1, 5))
    load(tmp_path, warehouse, D1 + DAY)
    assert stored(warehouse)["is_intraday"].to_list() == [True] * 5
    write_table(tmp_path, name(D1), visits(D1, 8, start=2))
    write_table(tmp_path, name(D1 + DAY, "intraday_"), visits(D1 + DAY, 1))
    load(tmp_path, warehouse, D1 + 2 * DAY)
    rows = stored(warehouse)
    assert rows.filter(pl.col("event_date") == D1)["is_intraday"].to_list() == [False] * 8
    assert set(rows.filter(pl.col("event_date") == D1)["user_pseudo_id"]) == {f"u{n}" for n in range(2, 10)}
    assert rows.filter(pl.col("event_date") > D1)["is_intraday"].to_list() == [True]


def test_a_day_exported_twice_counts_once(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    """Every row of the table is there twice: half are duplicates, the day's totals are those of one."""
    day = [*visits(D1, 4), purchase(D1, "u0", "o1", 12.5)]
    write_table(tmp_path, name(D1), [*day, *day])
    result = load(tmp_path, warehouse, D1 + DAY)
    assert (result.read, result.written, result.duplicates) == (10, 5, 5)
    daily = warehouse.query("SELECT SUM(sessions) AS s, SUM(conversions) AS c, SUM(value_micros) AS v FROM ga4.ga4_daily").row(0)
    assert daily == (4, 1.0, 12_500_000)


def test_running_twice_changes_nothing(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    """Events, days and quarantine are the same after a second run of the day and after a backfill of all."""
    days = [D1 + n * DAY for n in range(3)]
    for day in days:
        write_table(tmp_path, name(day), [*visits(day, 3), event(day, user="")])
    run_date = days[-1] + DAY

    def state() -> list[list[dict[str, object]]]:
        daily = (
            "SELECT date, channel_group, source, currency_code, sessions, visitors, conversions, is_intraday FROM ga4.ga4_daily"
        )
        order = " ORDER BY date, channel_group, source, currency_code"
        kept = warehouse.query("SELECT quarantine_id FROM control.quarantine ORDER BY quarantine_id")
        return [stored(warehouse).to_dicts(), warehouse.query(daily + order).to_dicts(), kept.to_dicts()]

    load(tmp_path, warehouse, run_date)
    before = state()
    assert [len(part) for part in before] == [9, 1, 3]  # three cookies, each with one session over all days
    load(tmp_path, warehouse, run_date)
    assert before == state()
    load(tmp_path, warehouse, run_date, start_date=D1)
    assert before == state()


def test_a_table_that_is_gone_leaves_its_rows(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    """A day without a table inside the window is said and its stored rows stay: no table is not no events."""
    for n in range(2):
        write_table(tmp_path, name(D1 + n * DAY), visits(D1 + n * DAY, 3))
    load(tmp_path, warehouse, D1 + 2 * DAY)
    (tmp_path / f"analytics_{PROPERTY}" / f"{name(D1)}.parquet").unlink()
    result = load(tmp_path, warehouse, D1 + 2 * DAY, start_date=D1)
    assert (result.missing_days, stored(warehouse).height) == ([D1], 6)


# --- windows and resuming


def past(run: date, start: date, end: date, status: str = "succeeded") -> PastLoad:
    return PastLoad(run, start, end, status)


@pytest.mark.parametrize(
    ("landed", "expected"),
    [
        ([], (date(2026, 1, 1), "first load")),
        ([past(D1, D1 - 60 * DAY, D1 - DAY)], (D1 - 4 * DAY, "may still have changed")),
        # A schedule that stood still: what was preliminary on 15 February is read again too.
        ([past(date(2026, 2, 16), date(2026, 1, 1), date(2026, 2, 15))], (date(2026, 2, 12), "may still have changed")),
        ([past(D1, date(2026, 1, 1), date(2025, 12, 31), "failed")], (date(2026, 1, 1), "first load")),
        ([past(D1, date(2026, 1, 1), date(2026, 1, 20), "failed")], (date(2026, 1, 17), "may still have changed")),
    ],
)
def test_the_window_reaches_back_to_all_that_may_have_changed(landed: list[PastLoad], expected: tuple[date, str]) -> None:
    """72 hours and a day behind what landed last; all of the export the first time."""
    window = ga4_window(landed, date(2026, 1, 1), D1 - DAY, D1, days=4, start_date=None)
    assert (window.start, window.end) == (expected[0], D1 - DAY)
    assert expected[1] in window.why


def test_a_history_load_goes_on_where_it_was_cut_off(
    tmp_path: Path, warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that cannot be read stops the load; what landed stays, and the next run starts four days before its end."""
    days = [D1 + n * DAY for n in range(10)]
    for day in days:
        write_table(tmp_path, name(day), visits(day, 2))
    broken = tmp_path / f"analytics_{PROPERTY}" / f"{name(days[7])}.parquet"
    whole = broken.read_bytes()
    broken.write_bytes(b"PAR1 is how it starts, and then nothing")
    monkeypatch.setattr(ga4_load, "CHUNK_ROWS", 1)
    with pytest.raises(JobError, match="no readable Parquet file"):
        load(tmp_path, warehouse, days[-1] + DAY)
    (run,) = warehouse.query("SELECT status, end_date, error FROM control.ingest_runs").to_dicts()
    assert (run["status"], run["end_date"]) == ("failed", days[6])
    broken.write_bytes(whole)
    result = load(tmp_path, warehouse, days[-1] + DAY)
    assert result.window.start == days[3]
    assert stored(warehouse).height == 20


def test_a_broken_property_stops_no_other(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    """One property lands, the other's error is kept; the job's error names it and can be tried again only if time may mend it."""
    write_table(tmp_path, name(D1), visits(D1, 2))
    write_table(tmp_path, name(D1), visits(D1, 2), property_id="99").write_text("nothing")
    results = Ga4Load(FolderSource(tmp_path), warehouse, SALT, D1 + DAY).run()
    assert [(r.property_id, r.error is None) for r in results] == [(PROPERTY, True), ("99", False)]
    with pytest.raises(JobError, match="1 of 2 properties failed: 99: FAILED"):
        raise_failures(results)
    passing = [Result("1", results[0].window, error=TryAgain("quota"))]
    with pytest.raises(TryAgain):
        raise_failures(passing)
    with pytest.raises(JobError, match="no events tables of property 5"):
        Ga4Load(FolderSource(tmp_path), warehouse, SALT, D1 + DAY, properties=("5",)).run()


def test_who_asked_to_be_forgotten_does_not_come_back(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    """Rows with a forgotten cookie are dropped and counted."""
    row = ("user_pseudo_id", forgotten_hash("user_pseudo_id", "u1", SALT), D1, "request 7", utc_now())
    schema = load_contract("gaelp_users.forgotten_ids").polars_schema()
    warehouse.append("gaelp_users.forgotten_ids", pl.DataFrame([row], schema=schema, orient="row"))
    write_table(tmp_path, name(D1), visits(D1, 3))
    result = load(tmp_path, warehouse, D1 + DAY)
    assert (result.read, result.written, result.forgotten) == (3, 2, 1)
    assert set(stored(warehouse)["user_pseudo_id"]) == {"u0", "u2"}


@pytest.mark.parametrize(
    ("kind", "value", "bad"),
    [
        ("user_pseudo_id", "u1", {}),
        ("user_id_hash", hash_name("member 1", SALT), {"user_id": "member 1"}),
        ("gclid", "click", {"collected_traffic_source": came("google", "cpc", None, "click")}),
        ("fbclid", "face", {"params": {"page_location": "https://x.example/?a=1&fbclid=face"}}),
    ],
)
def test_refused_rows_of_the_forgotten_are_not_set_aside(
    tmp_path: Path, warehouse: DuckDBWarehouse, kind: str, value: str, bad: dict[str, object]
) -> None:
    """Whatever id of theirs a broken event holds, it is dropped and counted as theirs; another's is set aside."""
    row = (kind, forgotten_hash(kind, value, SALT), D1, "request 7", utc_now())
    schema = load_contract("gaelp_users.forgotten_ids").polars_schema()
    warehouse.append("gaelp_users.forgotten_ids", pl.DataFrame([row], schema=schema, orient="row"))
    broken = {"event_timestamp": 0}
    write_table(tmp_path, name(D1), [event(D1, user="u1", **broken, **bad), event(D1, user="u2", **broken), event(D1, user="u3")])
    result = load(tmp_path, warehouse, D1 + DAY)
    assert (result.read, result.written, result.quarantined, result.forgotten) == (3, 1, 1, 1)
    assert warehouse.query("SELECT COUNT(*) AS n FROM control.quarantine")["n"][0] == 1


# --- the day per channel


def test_sessions_become_days_per_channel(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    """One session over midnight is of its first day; two currencies are two rows, the session is counted in one of them."""
    landing = came("google", "cpc")
    late = [
        event(D1, "session_start", "a", hour=23.5, collected_traffic_source=landing),
        purchase(D1 + DAY, "a", "o1", 10.0, "EUR", hour=0.5),
        purchase(D1 + DAY, "a", "o1", 10.0, "EUR", hour=0.6),  # the same order twice is one conversion
        purchase(D1 + DAY, "a", "o2", 5.0, "USD", hour=0.7),
        event(D1 + DAY, "session_start", "b", params={"ga_session_number": 2, "session_engaged": "0"}),
    ]
    for day in (D1, D1 + DAY):
        write_table(tmp_path, name(day), [row for row in late if row["event_date"] == f"{day:%Y%m%d}"])
    load(tmp_path, warehouse, D1 + 2 * DAY)
    columns = "date, channel_group, currency_code, sessions, engaged_sessions, new_visitors, conversions, value_micros"
    rows = warehouse.query(f"SELECT {columns} FROM ga4.ga4_daily ORDER BY date, currency_code").rows()
    assert rows == [
        (D1, "Paid Search", "EUR", 1, 1, 1, 1.0, 10_000_000),
        (D1, "Paid Search", "USD", 0, 0, 0, 1.0, 5_000_000),
        (D1 + DAY, "Direct", "XXX", 1, 0, 0, 0.0, 0),
    ]


# --- the sandbox's market


@pytest.mark.slow
def test_a_market_comes_in_whole_over_six_mornings(tmp_path: Path, warehouse: DuckDBWarehouse) -> None:
    """Day after day from intraday, daily and late rows: in the end events and orders are the market's, as from one late load."""
    start, history = date(2025, 12, 1), 70
    market = Market(load_world("acme"), 7, start, history)
    market.run_to(history + 6)
    export = Ga4Export(market, tmp_path, days=6)
    for morning in range(history, history + 7):
        run_date = start + morning * DAY
        export.write(datetime.combine(run_date, time(5, 30), tzinfo=UTC))
        result = load(tmp_path, warehouse, run_date)
        assert result.read == result.written + result.duplicates
        assert result.quarantined == 0
    final = range(history - 6, history + 2)  # days that no late row can reach any more
    days = [start + day * DAY for day in final]
    counts = dict(warehouse.query("SELECT event_date, COUNT(*) AS n FROM ga4.ga4_events GROUP BY event_date").rows())
    assert [counts[day] for day in days] == [export.events(day).events.height for day in final]
    bought = "SELECT COUNT(DISTINCT transaction_id_hash) AS n, SUM(value_micros) AS v FROM ga4.ga4_events "
    bought += "WHERE event_date IN UNNEST(@d)"
    orders, value = warehouse.query(f"{bought} AND event_name = 'purchase'", {"d": days}).row(0)
    assert orders == sum(export.people.purchases(day) for day in final)
    assert value == sum(int(export.people.sessions(day).value_micros.sum()) for day in final)
    again = DuckDBWarehouse(tmp_path / "again.duckdb")
    load(tmp_path, again, start + (history + 6) * DAY)
    assert stored(warehouse).equals(stored(again))
