"""Both backends keep the same promises: same tables, same numbers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import UTC, date, datetime

import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError, Refused
from tasks.core.settings import load_settings
from tasks.core.warehouse import Warehouse, open_warehouse

NOW = datetime(2026, 3, 1, 6, 0, 0, 123456, tzinfo=UTC)
TABLE = "ads.business_outcomes"
DAY1, DAY2, DAY3 = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)


def outcomes(*rows: tuple[date, float], source: str = "crm") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "source": [source] * len(rows),
            "geo": ["national"] * len(rows),
            "period_start_date": [day for day, _ in rows],
            "period_days": [1] * len(rows),
            "new_customers": [count for _, count in rows],
            "currency_code": ["USD"] * len(rows),
            "loaded_at": [NOW] * len(rows),
        },
        schema_overrides={"period_start_date": pl.Date, "new_customers": pl.Float64, "loaded_at": pl.Datetime("us", "UTC")},
    )


def counts(warehouse: Warehouse, source: str = "crm") -> dict[date, float]:
    frame = warehouse.query(
        "SELECT period_start_date, new_customers FROM ads.business_outcomes WHERE source = @source", {"source": source}
    )
    return dict(frame.iter_rows())


def test_a_table_nobody_wrote_yet_reads_as_empty(warehouse: Warehouse) -> None:
    """Reading before the first write gives no rows, and the columns have their types."""
    frame = warehouse.query("SELECT period_start_date, new_customers, loaded_at FROM ads.business_outcomes")
    schema = load_contract(TABLE).polars_schema()
    assert {name: schema[name] for name in frame.columns} == dict(frame.schema)
    assert frame.height == 0


@pytest.mark.parametrize("table", ["ads.business_outcomes", "ads.ads_entities", "control.kill_switch"])
def test_columns_are_as_the_contract_says_and_looking_makes_nothing(warehouse: Warehouse, table: str) -> None:
    """None before the table is made, then each column with its type in the contracts' words, in order."""
    assert warehouse.columns(table) is None
    assert warehouse.columns(table) is None
    warehouse.create(table)
    expected = {field.name: field.type_name() for field in load_contract(table).fields}
    assert list(expected.items()) == list((warehouse.columns(table) or {}).items())


@pytest.mark.parametrize("view", ["ads.ads_campaign_daily", "dashboard.spend_daily"])
def test_columns_of_a_view(warehouse: Warehouse, view: str) -> None:
    """A view has the columns of its contract, too; also the first of a dataset that has no table."""
    assert warehouse.columns(view) is None
    warehouse.create(view)
    assert list(load_contract(view).columns) == list(warehouse.columns(view) or {})


def test_every_value_comes_back_as_it_was_written(warehouse: Warehouse) -> None:
    """Text, integers, floats, booleans, days, instants with microseconds, nulls and lists keep value and type."""
    for contract_name in ("ads.business_outcomes", "ads.campaign_budgets"):
        contract = load_contract(contract_name)
        frame = sample(contract_name)
        warehouse.append(contract_name, frame)
        columns = ", ".join(contract.columns)
        read = warehouse.query(f"SELECT {columns} FROM {contract_name} ORDER BY {', '.join(contract.grain)}")
        assert frame.select(contract.columns).to_dict(as_series=False) == read.to_dict(as_series=False)
        assert dict(frame.select(contract.columns).schema) == dict(read.schema)


def sample(table: str) -> pl.DataFrame:
    """One full row and one with every optional field null."""
    values = {"STRING": "ü'\"\n", "INT64": 2**53 + 1, "FLOAT64": 0.1, "BOOL": True, "DATE": DAY1, "TIMESTAMP": NOW}
    rows = []
    for number in range(2):
        row: dict[str, object] = {}
        for field in load_contract(table).fields:
            value: object = [values[field.type]] * 2 if field.repeated else values[field.type]
            row[field.name] = value if field.required or number == 0 else [] if field.repeated else None
        grain = next(f for f in load_contract(table).fields if f.name in load_contract(table).grain and f.type == "STRING")
        row[grain.name] = f"row {number}"
        rows.append(row)
    return pl.DataFrame(rows, schema=load_contract(table).polars_schema())


def test_merge_replaces_rows_of_the_same_grain(warehouse: Warehouse) -> None:
    """A later row of the same grain takes the place of the earlier one; others stay; twice is the same as once."""
    warehouse.merge(TABLE, outcomes((DAY1, 1.0), (DAY2, 2.0)))
    for _ in range(2):
        assert warehouse.merge(TABLE, outcomes((DAY2, 5.0), (DAY3, 3.0))) == 2
    assert counts(warehouse) == {DAY1: 1.0, DAY2: 5.0, DAY3: 3.0}


def test_replace_partitions_drops_what_is_no_longer_there(warehouse: Warehouse) -> None:
    """Rows of the replaced days that the new load lacks are gone; other days and other sources are untouched."""
    warehouse.append(TABLE, outcomes((DAY1, 1.0), (DAY2, 2.0), (DAY3, 3.0)))
    warehouse.append(TABLE, outcomes((DAY1, 4.0), source="shop"))
    for _ in range(2):
        replaced = warehouse.replace_partitions(TABLE, outcomes((DAY1, 9.0)), partitions=[DAY1, DAY2], where={"source": "crm"})
        assert replaced == 1
    assert counts(warehouse) == {DAY1: 9.0, DAY3: 3.0}
    assert counts(warehouse, "shop") == {DAY1: 4.0}


def test_replace_partitions_by_nothing_empties_them(warehouse: Warehouse) -> None:
    """An empty load of a day means that the day has no rows."""
    warehouse.append(TABLE, outcomes((DAY1, 1.0), (DAY2, 2.0)))
    warehouse.replace_partitions(TABLE, outcomes(), partitions=[DAY1])
    assert counts(warehouse) == {DAY2: 2.0}


def test_insert_new_keeps_the_first_row(warehouse: Warehouse) -> None:
    """insert_new is a compare-and-set: a grain that exists is left alone and not counted."""
    assert warehouse.insert_new(TABLE, outcomes((DAY1, 1.0))) == 1
    assert warehouse.insert_new(TABLE, outcomes((DAY1, 7.0), (DAY2, 2.0))) == 1
    assert counts(warehouse) == {DAY1: 1.0, DAY2: 2.0}


def test_delete_takes_only_what_matches(warehouse: Warehouse) -> None:
    """Rows with one of the values that also equal the filter are gone and counted; twice deletes nothing more."""
    for source in ("crm", "shop", "mall"):
        warehouse.append(TABLE, outcomes((DAY1, 1.0), (DAY2, 2.0), source=source))
    assert warehouse.delete(TABLE, column="source", values=["shop", "x"], where={"geo": "north"}) == 0
    assert warehouse.delete(TABLE, column="source", values=["shop", "mall", "x"], where={"geo": "national"}) == 4
    assert warehouse.delete(TABLE, column="source", values=["shop", "mall"]) == 0
    assert warehouse.delete(TABLE, column="source", values=[]) == 0
    assert counts(warehouse) == {DAY1: 1.0, DAY2: 2.0}
    assert counts(warehouse, "shop") == counts(warehouse, "mall") == {}


@pytest.mark.parametrize("column", ["period_days", "no_such", "source` = 'x' OR `source"])
def test_delete_goes_by_text_columns_of_the_contract(warehouse: Warehouse, column: str) -> None:
    """A number, an unknown name and SQL in a name are refused before anything is asked of the database."""
    with pytest.raises(JobError, match="cannot delete by"):
        warehouse.delete(TABLE, column=column, values=["crm"])
    with pytest.raises(JobError, match="cannot delete by"):
        warehouse.delete(TABLE, column="source", values=["crm"], where={column: "x"})


@pytest.mark.parametrize("method", ["append", "merge", "insert_new"])
def test_nothing_to_write_is_no_error(warehouse: Warehouse, method: str) -> None:
    """An empty frame writes no rows and the table reads as empty."""
    assert getattr(warehouse, method)(TABLE, outcomes()) == 0
    assert counts(warehouse) == {}


def test_numbers_are_the_same(warehouse: Warehouse) -> None:
    """Sums, weeks, ratios, ranks and parameters of every kind give these values and types."""
    warehouse.append(TABLE, outcomes((date(2026, 1, 4), 1.5), (date(2026, 1, 5), 2.0), (date(2026, 1, 11), 4.0)))
    sql = """
    SELECT
      DATE_TRUNC(period_start_date, WEEK(MONDAY)) AS week_date,
      SUM(new_customers) AS customers,
      SUM(period_days) AS days,
      SUM(new_customers) / COUNT(*) AS mean,
      COUNTIF(new_customers > @least) AS many,
      RANK() OVER (ORDER BY SUM(new_customers) DESC) AS place
    FROM ads.business_outcomes
    WHERE source IN UNNEST(@sources) AND period_start_date >= @since AND loaded_at <= @now AND period_days = @days
    GROUP BY week_date
    ORDER BY week_date
    """
    params = {"least": 1.75, "sources": ["crm", "x"], "since": date(2026, 1, 1), "now": NOW, "days": 1}
    frame = warehouse.query(sql, params)
    assert frame.rows() == [(date(2025, 12, 29), 1.5, 1, 1.5, 0, 2), (date(2026, 1, 5), 6.0, 2, 3.0, 2, 1)]
    assert [pl.Date, pl.Float64, pl.Int64, pl.Float64, pl.Int64, pl.Int64] == frame.dtypes


def test_an_empty_list_takes_the_type_of_its_column(warehouse: Warehouse) -> None:
    """`column IN UNNEST(@none)` with an empty list finds nothing instead of failing."""
    warehouse.append(TABLE, outcomes((DAY1, 1.0)))
    sql = "SELECT source FROM ads.business_outcomes WHERE period_start_date IN UNNEST(@days)"
    assert warehouse.query(sql, {"days": []}).height == 0


@pytest.mark.parametrize(
    ("sql", "params", "message"),
    [
        ("DELETE FROM ads.business_outcomes WHERE TRUE", {}, "takes a SELECT"),
        ("SELECT 1 AS a; SELECT 2 AS a", {}, "one statement, not 2"),
        ("SELECT FROM WHERE", {}, "does not parse"),
        ("SELECT a FROM ads.no_such_table", {}, "no contract for table 'ads.no_such_table'"),
        ("SELECT @a AS a", {}, r"missing: \['a'\]"),
        ("SELECT 1 AS a", {"a": 1}, r"not used: \['a'\]"),
        ("SELECT @a AS a", {"a": None}, "is a NoneType"),
        ("SELECT @a AS a", {"a": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001  # a naive instant is the point
        ("SELECT 1 AS a FROM UNNEST(@a) AS b", {"a": [1, "x"]}, "mixes"),
    ],
)
def test_a_wrong_query_is_refused(warehouse: Warehouse, sql: str, params: dict[str, object], message: str) -> None:
    """Anything but one SELECT over contract tables with exactly its parameters is refused with a clear error."""
    with pytest.raises(JobError, match=message):
        warehouse.query(sql, params)


def test_a_lease_is_held_by_one(warehouse: Warehouse, open_one: Callable[[], Warehouse]) -> None:
    """A second holder is refused at once, and the lease is free again after the first leaves."""
    with warehouse.exclusive("apply-changes"):
        with pytest.raises(Refused, match="another run holds the lease 'apply-changes'"), open_one().exclusive("apply-changes"):
            pass
        with open_one().exclusive("another"):
            pass
    with open_one().exclusive("apply-changes"):
        pass


def _claim(environment: dict[str, str], number: int, results: object) -> None:
    frame = outcomes((DAY1, float(number)))
    inserted = open_warehouse(load_settings(environment)).insert_new(TABLE, frame)
    results.put((number, inserted))  # type: ignore[attr-defined]


@pytest.mark.slow
def test_of_many_processes_one_inserts(environment: dict[str, str], warehouse: Warehouse) -> None:
    """Of six processes that insert the same new grain at once exactly one succeeds, and its row is the one that stays."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_claim, args=(environment, number, results)) for number in range(6)]
    for process in processes:
        process.start()
    answers = dict(results.get(timeout=1200) for _ in processes)
    for process in processes:
        process.join()
    winners = [number for number, inserted in answers.items() if inserted]
    assert len(winners) == 1
    assert counts(warehouse) == {DAY1: float(winners[0])}
