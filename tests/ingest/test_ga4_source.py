"""The flattening query: the same rows from Parquet on DuckDB and from BigQuery's own evaluator, older tables, nothing pasted."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ga4_world import SCHEMA, came, event, purchase, write_table
from sql.zetasql_analyser import analyse, evaluate

from tasks.core.errors import JobError
from tasks.core.warehouse.base import read_sql
from tasks.ingest.ga4_source import _OPTIONAL, FLATTEN, ExportTable, FolderSource, duckdb_parts

DAY = date(2026, 3, 1)
TABLE = ExportTable("123456", DAY, is_intraday=False)
EVENTS = [
    event(DAY, "session_start", collected_traffic_source=came("google", "cpc", "Sale", "G1")),
    event(DAY, params={"source": "news", "medium": "email", "campaign": "March", "page_location": "https://x.example/?fbclid=F"}),
    event(DAY, params={"session_engaged": 1, "engagement_time_msec": 4_321}, batch_event_index=None),
    purchase(DAY, "u2", "o1", 12.25, "USD", ecommerce={"transaction_id": "o-other"}),
    purchase(DAY, "u2", "o2", params={"transaction_id": None, "value": 7}, ecommerce={"transaction_id": "o3"}),
    event(DAY, event_params=[]),
    event(DAY, user=None, event_params=None, privacy_info=None, event_name=None, event_timestamp=None),
]


def literal(value: Any, kind: pa.DataType) -> str:
    """``value`` as BigQuery SQL of the Arrow type ``kind``."""
    if pa.types.is_list(kind):
        element = _bigquery(kind.value_type)
        inner = ", ".join(literal(v, kind.value_type) for v in value or [])
        return f"CAST(NULL AS ARRAY<{element}>)" if value is None else f"ARRAY<{element}>[{inner}]"
    if value is None:
        return f"CAST(NULL AS {_bigquery(kind)})"
    if pa.types.is_struct(kind):
        inner = ", ".join(literal(value.get(f.name), f.type) for f in kind)
        return f"CAST(STRUCT({inner}) AS {_bigquery(kind)})"
    return repr(value)


def _bigquery(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"ARRAY<{_bigquery(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"STRUCT<{', '.join(f'{f.name} {_bigquery(f.type)}' for f in kind)}>"
    return {"string": "STRING", "int64": "INT64", "double": "FLOAT64"}[str(kind)]


@pytest.mark.slow
def test_duckdb_gives_what_bigquerys_evaluator_gives(tmp_path: Path) -> None:
    """Seven events with every way a parameter can be there or not: all columns agree, in both directions."""
    write_table(tmp_path, TABLE.table_id, EVENTS)
    rows = [f"SELECT {', '.join(f'{literal(e.get(f.name), f.type)} AS {f.name}' for f in SCHEMA)}" for e in EVENTS]
    sql = f"WITH export_table AS ({' UNION ALL '.join(rows)})\n{read_sql(FLATTEN)}"
    found = FolderSource(tmp_path).flat(TABLE)
    assert found.columns == [column.name for column in analyse(sql, {}).output_column_list]
    assert sorted(evaluate(sql), key=repr) == sorted(found.rows(), key=repr)


def test_parameters_come_out_as_columns(tmp_path: Path) -> None:
    """Strings, whole and real numbers, the fall-backs, and nulls where nothing is."""
    write_table(tmp_path, TABLE.table_id, EVENTS)
    rows = FolderSource(tmp_path).flat(TABLE).to_dicts()
    assert [r["source"] for r in rows] == ["google", "news", None, None, None, None, None]
    assert [r["campaign"] for r in rows][:2] == ["Sale", "March"]
    assert [r["session_engaged"] for r in rows] == ["1", "1", "1", "1", "1", None, None]
    assert [r["value"] for r in rows] == [None, None, None, 12.25, 7.0, None, None]
    assert [r["transaction_id"] for r in rows][3:5] == ["o1", "o3"]
    assert (rows[2]["engagement_msec"], rows[1]["page_location"], rows[0]["gclid"]) == (4321, "https://x.example/?fbclid=F", "G1")
    assert len({r["event_id"] for r in rows[:2]}) == 2


def test_an_older_table_without_the_newer_columns_is_read(tmp_path: Path) -> None:
    """Columns that Google added over the years are null where a table lacks them."""
    file = write_table(tmp_path, TABLE.table_id, EVENTS)
    whole = FolderSource(tmp_path).flat(TABLE)
    pq.write_table(pq.read_table(file).drop_columns([c for c in SCHEMA.names if c in _OPTIONAL]), file)
    old = FolderSource(tmp_path).flat(TABLE)
    same = ["event_name", "user_pseudo_id", "session_id", "value", "currency", "page_location"]
    assert old.select(same).equals(whole.select(same))
    assert old.schema == whole.schema
    assert old["country"].null_count() == old.height


def test_another_table_is_refused(tmp_path: Path) -> None:
    """A file without the export's columns, or with one of another type, is an error that names the file."""
    file = write_table(tmp_path, TABLE.table_id, EVENTS)
    pl.DataFrame({"event_date": ["20260301"]}).write_parquet(file)
    with pytest.raises(JobError, match=r"20260301.parquet is no GA4 export table: it lacks the columns event_timestamp"):
        FolderSource(tmp_path).flat(TABLE)
    pl.DataFrame(
        {name: ["x"] for name in ("event_date", "event_timestamp", "event_name", "event_params", "user_pseudo_id")}
    ).write_parquet(file)
    with pytest.raises(JobError, match=r"20260301.parquet cannot be read as a GA4 export table"):
        FolderSource(tmp_path).flat(TABLE)


def test_every_lookup_of_the_query_is_turned_into_a_column() -> None:
    """No scalar subquery is left for DuckDB, where it would take minutes, and no lookup is lost."""
    lookups, query = duckdb_parts()
    assert "UNNEST" not in query.upper()
    assert set(re.findall(r"p\.key = '(\w+)'", read_sql(FLATTEN))) == set(re.findall(r", '(\w+)'\)\)", lookups))


def test_a_dataset_is_listed_and_asked_by_checked_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """On BigQuery the day's table stands in one WITH clause, missing columns are typed nulls, and other tables are left alone."""
    from google.cloud import bigquery

    from tasks.core.settings import load_settings
    from tasks.core.warehouse import bigquery_client
    from tasks.ingest.ga4_source import BigQuerySource

    asked: list[str] = []

    class Client:
        def list_tables(self, dataset: str) -> list[Any]:
            names = ("events_20260301", "events_intraday_20260301", "events_x`; DROP TABLE t", "users_20260301")
            return [type("Item", (), {"table_id": f"{name}", "dataset": dataset}) for name in names]

        def get_table(self, name: str) -> Any:
            asked.append(name)
            fields = [bigquery.SchemaField(n, "STRING") for n in SCHEMA.names if n != "ecommerce"]
            return type("Table", (), {"schema": fields, "num_rows": 3})

    class Job:
        def result(self) -> Any:
            return self

        def to_arrow(self, *, create_bqstorage_client: bool) -> pa.Table:
            return pa.table({"event_id": ["a"]})

    def run(_client: Any, sql: str, _params: Any) -> Job:
        asked.append(sql)
        return Job()

    monkeypatch.setattr(bigquery_client, "make_client", lambda _settings: Client())
    monkeypatch.setattr(bigquery_client, "run", run)
    source = BigQuerySource(load_settings({}), "my-project.analytics_123456")
    assert source.tables() == [TABLE]
    assert source.rows(TABLE) == 3
    assert source.flat(TABLE)["event_id"].to_list() == ["a"]
    sql = asked[-1]
    assert asked[0] == "my-project.analytics_123456.events_20260301"
    assert sql.startswith("WITH export_table AS (SELECT event_date, ")
    assert "FROM `my-project.analytics_123456.events_20260301`)\n--" in sql
    assert "CAST(NULL AS STRUCT<transaction_id STRING>) AS ecommerce" in sql
