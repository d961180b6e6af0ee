"""Fixtures of the gate's tests."""

import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import gate_world under importlib mode
from gate_world import Row, healthy_rows  # needs the path set above


@pytest.fixture
def healthy() -> dict[str, list[Row]]:
    return healthy_rows()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, list[Row]]], DuckDBWarehouse]:
    """Write rows past the writers' own checks, as a careless tool would, and point the CLI at the file."""
    path = tmp_path / "warehouse.duckdb"
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(path))

    def write(tables: dict[str, list[Row]]) -> DuckDBWarehouse:
        warehouse = DuckDBWarehouse(path)
        for table, rows in tables.items():
            contract = load_contract(table)
            warehouse.create(table)
            frame = pl.DataFrame(rows, schema=contract.polars_schema())
            with warehouse._connection() as connection:  # duplicates and the like never pass the public writers
                connection.register("incoming", frame.to_arrow())
                connection.execute(f'INSERT INTO "{contract.dataset}"."{contract.table}" BY NAME SELECT * FROM incoming')
        return warehouse

    return write
