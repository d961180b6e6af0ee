"""Fixtures of the core tests."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.core.warehouse.duckdb import DuckDBWarehouse

sys.path.insert(0, str(Path(__file__).parents[1] / "act"))  # the warehouse in memory lies beside the tests that need it most

from memory_warehouse import MemoryWarehouse  # needs the line above

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The clock stands at this instant."""
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    return NOW


@pytest.fixture
def store() -> MemoryWarehouse:
    """A new warehouse in memory."""
    return MemoryWarehouse()


@pytest.fixture
def shared_store(tmp_path: Path) -> DuckDBWarehouse:
    """A new warehouse in a file, which several threads may use at once."""
    return DuckDBWarehouse(tmp_path / "w.duckdb")
