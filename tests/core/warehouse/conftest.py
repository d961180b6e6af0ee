"""The same warehouse tests run over every backend."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bigquery_double import bigquery_double  # found beside this file

from tasks.core.settings import load_settings
from tasks.core.warehouse import Warehouse, open_warehouse

Open = Callable[[], Warehouse]


@pytest.fixture(params=["duckdb", pytest.param("bigquery", marks=pytest.mark.slow)])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment of a job on an empty warehouse: DuckDB, or BigQuery's real client against the double."""
    if request.param == "duckdb":
        yield {"AELP2_DUCKDB_PATH": str(tmp_path / "w.duckdb")}
    else:
        with bigquery_double(tmp_path / "double.duckdb") as env:
            yield env


@pytest.fixture
def open_one(environment: dict[str, str]) -> Open:
    """Opens the warehouse as another job would: nothing is shared but the tables."""
    return lambda: open_warehouse(load_settings(environment))


@pytest.fixture
def warehouse(open_one: Open) -> Warehouse:
    """An empty warehouse."""
    return open_one()
