"""Fixtures of the govern tests."""

import sys
from pathlib import Path

import pytest

from tasks.core.warehouse.duckdb import DuckDBWarehouse

sys.path.insert(0, str(Path(__file__).parent))  # so that `from report_world import …` works under importlib mode

from report_world import ReportWorld  # needs the line above


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReportWorld:
    """An empty warehouse to write the parts of a report into."""
    return ReportWorld(DuckDBWarehouse(tmp_path / "w.duckdb"), monkeypatch)
