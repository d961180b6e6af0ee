"""Fixtures of the core tests."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.core.warehouse.duckdb import DuckDBWarehouse

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The clock stands at this instant."""
    monkeypatch.setenv("AELP2_NOW", NOW.isoformat())
    return NOW


@pytest.fixture
def store(tmp_path: Path) -> DuckDBWarehouse:
    """A new warehouse in a file of its own."""
    return DuckDBWarehouse(tmp_path / "w.duckdb")
