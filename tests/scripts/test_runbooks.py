"""What a runbook tells a person to run at night works."""

import re
from pathlib import Path

import pytest

from tasks.core.warehouse.duckdb import DuckDBWarehouse

RUNBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "runbooks").glob("*.md"))
_QUERY = re.compile(r"`(SELECT [^`]+)`")
QUERIES = [(file.stem, query) for file in RUNBOOKS for query in _QUERY.findall(file.read_text(encoding="utf-8"))]


def test_runbooks_hold_queries() -> None:
    """The pattern finds them: a test over nothing would prove nothing."""
    assert {name for name, _ in QUERIES} >= {"ads_ingest_daily", "budget_canary_daily", "budget_watch_daily", "mmm_weekly"}


@pytest.mark.parametrize(("runbook", "query"), QUERIES)
def test_every_query_of_a_runbook_runs(runbook: str, query: str, tmp_path: Path) -> None:
    """Its tables and columns are those of the contracts."""
    DuckDBWarehouse(tmp_path / "w.duckdb").query(query.replace("<day>", "2026-03-01"))
