"""Bad rows are kept with their reason, once each, and without personal data."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tasks.core.quarantine import quarantine
from tasks.core.warehouse.duckdb import DuckDBWarehouse

DAY = date(2026, 3, 1)
TABLE = "ads.ads_campaign_performance"


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


def kept(warehouse: DuckDBWarehouse) -> list[dict[str, object]]:
    return warehouse.query("SELECT table_name, `check`, reason, row_json FROM control.quarantine ORDER BY reason").to_dicts()


def test_a_bad_row_is_kept_as_json_with_its_reason(warehouse: DuckDBWarehouse) -> None:
    """Every value comes back; the load stamp is no part of the row's identity."""
    row = {"date": DAY, "cost_micros": -5, "loaded_at": datetime(2026, 3, 1, tzinfo=UTC)}
    assert quarantine(warehouse, TABLE, [row], "cost_micros_min", lambda r: f"cost is {r['cost_micros']}", DAY) == 1
    (found,) = kept(warehouse)
    assert (found["table_name"], found["check"], found["reason"]) == (TABLE, "cost_micros_min", "cost is -5")
    assert json.loads(str(found["row_json"])) == {"date": "2026-03-01", "cost_micros": -5}


def test_the_same_bad_row_twice_is_one_row(warehouse: DuckDBWarehouse) -> None:
    """Running a job again does not pile up; another reason for the same row is another row."""
    for _ in range(2):
        quarantine(warehouse, TABLE, [{"a": 1}, {"a": 1}], "check", "why", DAY)
    quarantine(warehouse, TABLE, [{"a": 1}], "other", "why else", DAY)
    assert [row["reason"] for row in kept(warehouse)] == ["why", "why else"]


def test_no_rows_write_nothing(warehouse: DuckDBWarehouse) -> None:
    """An empty list is fine."""
    assert quarantine(warehouse, TABLE, [], "check", "why", DAY) == 0


def test_an_e_mail_address_in_a_bad_row_is_cut_out(warehouse: DuckDBWarehouse) -> None:
    """The quarantine is a table like any other: no clear personal data in it."""
    quarantine(warehouse, TABLE, [{"note": "ask jane.doe@example.test"}], "check", "from jane.doe@example.test", DAY)
    assert "jane.doe" not in json.dumps(kept(warehouse))
