"""The DuckDB warehouse: writes are idempotent, checked against the contract, and safe between processes."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks.core.errors import JobError, Refused
from tasks.core.warehouse.duckdb import DuckDBWarehouse

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)


def outcomes(*rows: tuple[date, float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "source": ["crm"] * len(rows),
            "geo": ["national"] * len(rows),
            "period_start_date": [day for day, _ in rows],
            "period_days": [1] * len(rows),
            "new_customers": [count for _, count in rows],
            "currency_code": ["USD"] * len(rows),
            "loaded_at": [NOW] * len(rows),
        },
        schema_overrides={"loaded_at": pl.Datetime("us", "UTC")},
    )


TABLE = "ads.business_outcomes"
DAY1, DAY2, DAY3 = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


def counts(warehouse: DuckDBWarehouse) -> dict[date, float]:
    frame = warehouse.query("SELECT period_start_date, new_customers FROM ads.business_outcomes")
    return dict(frame.iter_rows())


def test_a_table_nobody_wrote_yet_reads_as_empty(warehouse: DuckDBWarehouse) -> None:
    """Reading before the first write gives no rows instead of an error."""
    assert counts(warehouse) == {}


def test_merge_replaces_rows_of_the_same_grain(warehouse: DuckDBWarehouse) -> None:
    """A later row of the same grain takes the place of the earlier one; others stay."""
    warehouse.merge(TABLE, outcomes((DAY1, 1.0), (DAY2, 2.0)))
    warehouse.merge(TABLE, outcomes((DAY2, 5.0), (DAY3, 3.0)))
    assert counts(warehouse) == {DAY1: 1.0, DAY2: 5.0, DAY3: 3.0}


def test_replace_partitions_drops_what_is_no_longer_there(warehouse: DuckDBWarehouse) -> None:
    """Rows of the replaced days that the new load lacks are gone; other days are untouched."""
    warehouse.append(TABLE, outcomes((DAY1, 1.0), (DAY2, 2.0), (DAY3, 3.0)))
    warehouse.replace_partitions(TABLE, outcomes((DAY1, 9.0)), partitions=[DAY1, DAY2], where={"source": "crm"})
    assert counts(warehouse) == {DAY1: 9.0, DAY3: 3.0}


def test_replace_partitions_refuses_rows_outside_of_them(warehouse: DuckDBWarehouse) -> None:
    """A row outside the replaced days would duplicate on the next run, so it is refused."""
    with pytest.raises(JobError, match="outside the partitions"):
        warehouse.replace_partitions(TABLE, outcomes((DAY3, 1.0)), partitions=[DAY1])


def test_insert_new_keeps_the_first_row(warehouse: DuckDBWarehouse) -> None:
    """insert_new is a compare-and-set: a grain that exists is left alone and not counted."""
    assert warehouse.insert_new(TABLE, outcomes((DAY1, 1.0))) == 1
    assert warehouse.insert_new(TABLE, outcomes((DAY1, 7.0), (DAY2, 2.0))) == 1
    assert counts(warehouse) == {DAY1: 1.0, DAY2: 2.0}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (outcomes((DAY1, 1.0)).drop("currency_code"), r"lacks required columns \['currency_code'\]"),
        (outcomes((DAY1, 1.0)).with_columns(extra=pl.lit(1)), r"unknown columns \['extra'\]"),
        (outcomes((DAY1, 1.0)).with_columns(pl.lit("x").alias("new_customers")), "String instead of Float64"),
        (outcomes((DAY1, 1.0)).with_columns(pl.lit(None).alias("geo")), r"hold nulls: \['geo'\]"),
        (outcomes((DAY1, 1.0), (DAY1, 2.0)), "2 rows share a grain"),
    ],
)
def test_a_frame_that_breaks_the_contract_is_refused(warehouse: DuckDBWarehouse, frame: pl.DataFrame, message: str) -> None:
    """A missing, unknown, mistyped or null column and a duplicated grain are named, and nothing is written."""
    with pytest.raises(JobError, match=message):
        warehouse.append(TABLE, frame)
    assert counts(warehouse) == {}


def test_rows_that_share_a_hash_but_no_grain_are_taken(warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick look at hashes only ever clears rows; the values decide, so a collision refuses nothing."""
    monkeypatch.setattr(pl.DataFrame, "hash_rows", lambda frame: pl.repeat(7, frame.height, dtype=pl.UInt64, eager=True))
    assert warehouse.append(TABLE, outcomes((DAY1, 1.0), (DAY2, 2.0))) == 2
    with pytest.raises(JobError, match="2 rows share a grain"):
        warehouse.append(TABLE, outcomes((DAY3, 1.0), (DAY3, 2.0)))


def _insert(path: Path, number: int) -> None:
    DuckDBWarehouse(path).insert_new(TABLE, outcomes((date(2026, 2, number), float(number))))


def test_processes_wait_for_each_other(tmp_path: Path) -> None:
    """Eight processes that write at once all succeed, and no row is lost."""
    path = tmp_path / "w.duckdb"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_insert, args=(path, number)) for number in range(1, 9)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert counts(DuckDBWarehouse(path)) == {date(2026, 2, n): float(n) for n in range(1, 9)}


def test_a_lease_is_held_by_one(warehouse: DuckDBWarehouse) -> None:
    """A second holder is refused at once, and the lease is free again after the first leaves."""
    with (
        warehouse.exclusive("apply-changes"),
        pytest.raises(Refused, match="another run holds the lease"),
        warehouse.exclusive("apply-changes"),
    ):
        pass
    with warehouse.exclusive("apply-changes"):
        pass


def test_threads_of_one_process_wait_for_each_other(tmp_path: Path) -> None:
    """They share the engine, which attaches the file once."""
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    warehouse.create("ads.campaign_budgets")
    count = "SELECT COUNT(*) AS n FROM ads.campaign_budgets"
    with ThreadPoolExecutor(8) as pool:
        assert [frame["n"][0] for frame in pool.map(lambda _: warehouse.query(count), range(40))] == [0] * 40


def test_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    """Each operation ends with all data in the file: a copy of it is whole, and a reader need not wait for a replay."""
    warehouse = DuckDBWarehouse(tmp_path / "it's.duckdb")
    warehouse.create("ads.campaign_budgets")
    warehouse.query("SELECT COUNT(*) AS n FROM ads.campaign_budgets")
    assert {p.name for p in tmp_path.iterdir()} == {"it's.duckdb", "it's.lock"}
