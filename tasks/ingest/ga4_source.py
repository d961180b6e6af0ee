"""Where GA4 export tables lie: a folder of Parquet files, or a BigQuery dataset. Either gives one day's events as flat rows.

One SQL file, ``include/sql/ga4/ga4_events/flatten_export.sql``, reads both. It names the table of the day ``export_table``; that
name is given its meaning here, from a table id that matches :data:`TABLE_ID` whole, so no text from outside becomes SQL.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tasks.core.errors import JobError, NothingToDo
from tasks.core.warehouse.base import read_sql

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.settings import Settings

FLATTEN = "ga4/ga4_events/flatten_export.sql"
TABLE_ID = re.compile(r"events_(intraday_)?([0-9]{8})")
PROPERTY = re.compile(r"analytics_([0-9]{1,20})")
DATASET = re.compile(r"([a-z][a-z0-9-]{4,28}[a-z0-9])\.analytics_([0-9]{1,20})")
_LOOKUP = re.compile(
    r"\(SELECT p\.value\.(string|int|float|double)_value FROM UNNEST\(e\.event_params\) AS p WHERE p\.key = '([a-z_]+)' LIMIT 1\)"
)
# Columns that the query reads, with their BigQuery type where a table may lack them: Google added them over the years.
_REQUIRED = ("event_date", "event_timestamp", "event_name", "event_params", "user_pseudo_id")
_OPTIONAL = {
    "user_id": "STRING",
    "event_bundle_sequence_id": "INT64",
    "batch_page_id": "INT64",
    "batch_ordering_id": "INT64",
    "batch_event_index": "INT64",
    "event_value_in_usd": "FLOAT64",
    "privacy_info": "STRUCT<analytics_storage STRING, ads_storage STRING>",
    "device": "STRUCT<category STRING>",
    "geo": "STRUCT<country STRING>",
    "collected_traffic_source": (
        "STRUCT<manual_source STRING, manual_medium STRING, manual_campaign_id STRING, manual_campaign_name STRING, gclid STRING>"
    ),
    "ecommerce": "STRUCT<transaction_id STRING>",
}


@dataclass(frozen=True)
class ExportTable:
    """One table of the export: the events of ``day``, preliminary if it is an intraday table."""

    property_id: str
    day: date
    is_intraday: bool

    @property
    def table_id(self) -> str:
        """Google's name of the table."""
        return f"events_{'intraday_' if self.is_intraday else ''}{self.day:%Y%m%d}"


class Ga4Source(Protocol):
    """Export tables of one or more properties."""

    def tables(self) -> list[ExportTable]:
        """One table a property and day, oldest first; the daily table where there are both kinds."""

    def rows(self, table: ExportTable) -> int:
        """About how many rows ``table`` has."""

    def flat(self, table: ExportTable) -> pl.DataFrame:
        """Its events, one row each, as the columns of the flattening query."""

    def flats(self, tables: Sequence[ExportTable]) -> Iterator[pl.DataFrame]:
        """:meth:`flat` of each, in order."""


def parse_table(property_id: str, name: str) -> ExportTable | None:
    """The export table called ``name``; None if it is no day's table of events (users_…, events_fresh_…, anything else)."""
    match = TABLE_ID.fullmatch(name)
    if match is None:
        return None
    try:
        day = date(int(match[2][:4]), int(match[2][4:6]), int(match[2][6:]))
    except ValueError:
        return None
    return ExportTable(property_id, day, match[1] is not None)


def best_tables(found: Sequence[ExportTable]) -> list[ExportTable]:
    """The daily table of each property and day where there is one, else the intraday table."""
    best = {(t.property_id, t.day): t for t in sorted(found, key=lambda t: not t.is_intraday)}
    return [best[key] for key in sorted(best)]


def _columns(present: Sequence[str], where: str, null: Mapping[str, str]) -> str:
    """Select list of what the query reads; a column that the table lacks is NULL of its type."""
    missing = [name for name in _REQUIRED if name not in present]
    if missing:
        raise JobError(f"{where} is no GA4 export table: it lacks the columns {', '.join(missing)}")
    return ", ".join([*_REQUIRED, *(name if name in present else f"{null[name]} AS {name}" for name in _OPTIONAL)])


@functools.cache
def duckdb_parts() -> tuple[str, str]:
    """(columns looked up in the parameters, the query that reads them) for DuckDB.

    Each lookup becomes a column of ``export_table`` made with list functions; the rest of the query goes through the dialect
    layer, which refuses what it cannot translate.
    """
    from tasks.core.warehouse.dialect import to_duckdb

    lookups: dict[str, str] = {}

    def column(match: re.Match[str]) -> str:
        kind, key = match[1], match[2]
        name = f"param_{key}_{kind}"
        keys = "list_transform(event_params, lambda p: p.key)"
        values = f"list_transform(event_params, lambda p: p.value.{kind}_value)"
        lookups[name] = f"list_extract({values}, list_position({keys}, '{key}')) AS {name}"  # position 0 or NULL gives NULL
        return f"e.{name}"

    body = _LOOKUP.sub(column, read_sql(FLATTEN))
    select = body[re.search(r"^SELECT", body, re.MULTILINE).start() :]  # type: ignore[union-attr]  # the file has a SELECT
    # A WITH name stands for the export while the dialect layer looks at the query; its place is taken when the query runs.
    whole = to_duckdb(f"WITH export_table AS (SELECT 1 AS nothing) {select}").sql
    return ", ".join(lookups.values()), whole.split("(SELECT 1 AS nothing)", 1)[1]


def _duckdb_null(bigquery_type: str) -> str:
    kind = bigquery_type.replace("STRING", "VARCHAR").replace("INT64", "BIGINT").replace("FLOAT64", "DOUBLE")
    return f"CAST(NULL AS {kind.replace('STRUCT<', 'STRUCT(').replace('>', ')')})"


class FolderSource:
    """Parquet files ``analytics_<property>/events_YYYYMMDD.parquet`` below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not folder.is_dir():
            raise JobError(f"AELP2_GA4_EXPORT={folder}: no such folder, and not a dataset such as my-project.analytics_123456")
        self._properties = {m[1]: p for p in sorted(folder.iterdir()) if (m := PROPERTY.fullmatch(p.name)) and p.is_dir()}
        if not self._properties:
            raise JobError(f"{folder} holds no folder analytics_<property id>; point AELP2_GA4_EXPORT at the folder above them")

    def tables(self) -> list[ExportTable]:
        """See :class:`Ga4Source`."""
        found = [parse_table(p, file.stem) for p, folder in self._properties.items() for file in folder.glob("*.parquet")]
        return best_tables([table for table in found if table is not None])

    def _file(self, table: ExportTable) -> Path:
        return self._properties[table.property_id] / f"{table.table_id}.parquet"

    def rows(self, table: ExportTable) -> int:
        """See :class:`Ga4Source`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return int(pq.read_metadata(self._file(table)).num_rows)
        except (pa.ArrowInvalid, OSError) as error:
            raise JobError(f"{self._file(table)} is no readable Parquet file: {error}") from error

    def flat(self, table: ExportTable) -> pl.DataFrame:
        """See :class:`Ga4Source`."""
        import duckdb
        import polars as pl
        import pyarrow.parquet as pq

        file = self._file(table)
        nulls = {name: _duckdb_null(kind) for name, kind in _OPTIONAL.items()}
        columns = _columns(pq.read_schema(file).names, str(file), nulls)
        lookups, query = duckdb_parts()
        source = f"WITH export_table AS NOT MATERIALIZED (SELECT {columns}, {lookups} FROM read_parquet($file)) "  # noqa: S608  # names of this module
        with duckdb.connect() as connection:
            connection.execute("SET arrow_output_version='1.4'")  # texts as string views, which Polars takes without a copy
            try:
                # A table and not a stream: DuckDB then makes it on all cores.
                flat = connection.sql(source + query.lstrip(" )"), params={"file": str(file)}).to_arrow_table()
            except duckdb.Error as error:
                raise JobError(f"{file} cannot be read as a GA4 export table: {str(error).strip()}") from error
        return pl.DataFrame(flat)

    def flats(self, tables: Sequence[ExportTable]) -> Iterator[pl.DataFrame]:
        """See :class:`Ga4Source`. Two at once: a day of a small shop is one row group, which keeps one core busy."""
        with ThreadPoolExecutor(2) as pool:
            yield from pool.map(self.flat, tables)


class BigQuerySource:
    """The dataset ``project.analytics_<property>`` that Google's export fills."""

    def __init__(self, settings: Settings, dataset: str) -> None:
        from tasks.core.warehouse.bigquery_client import make_client

        match = DATASET.fullmatch(dataset)
        if match is None:
            raise JobError(f"AELP2_GA4_EXPORT={dataset!r} is no dataset; write for example my-project.analytics_123456")
        self._dataset, self._property_id = dataset, match[2]
        self._client = make_client(settings)

    def tables(self) -> list[ExportTable]:
        """See :class:`Ga4Source`."""
        from tasks.core.warehouse.bigquery_client import call

        names = call(f"listing {self._dataset}", lambda: [t.table_id for t in self._client.list_tables(self._dataset)])
        return best_tables([t for name in names if (t := parse_table(self._property_id, name)) is not None])

    def _table(self, table: ExportTable) -> Any:
        from tasks.core.warehouse.bigquery_client import call

        name = f"{self._dataset}.{table.table_id}"
        return call(f"looking up {name}", lambda: self._client.get_table(name))

    def rows(self, table: ExportTable) -> int:
        """See :class:`Ga4Source`."""
        return int(self._table(table).num_rows or 0)

    def flat(self, table: ExportTable) -> pl.DataFrame:
        """See :class:`Ga4Source`."""
        import polars as pl

        from tasks.core.warehouse.bigquery_client import call, run

        name = f"{self._dataset}.{table.table_id}"
        nulls = {column: f"CAST(NULL AS {kind})" for column, kind in _OPTIONAL.items()}
        columns = _columns([field.name for field in self._table(table).schema], name, nulls)
        job = run(self._client, f"WITH export_table AS (SELECT {columns} FROM `{name}`)\n{read_sql(FLATTEN)}", {})  # noqa: S608  # a checked id
        return pl.DataFrame(call("reading a result", lambda: job.result().to_arrow(create_bqstorage_client=False)))

    def flats(self, tables: Sequence[ExportTable]) -> Iterator[pl.DataFrame]:
        """See :class:`Ga4Source`. One after the other: the work is BigQuery's, and its client is not made for several threads."""
        return map(self.flat, tables)


def open_source(settings: Settings) -> Ga4Source:
    """The source that ``settings.ga4_export`` names; NothingToDo if it names none."""
    place = settings.ga4_export
    if place is None:
        raise NothingToDo(
            "AELP2_GA4_EXPORT is not set; name the dataset of the GA4 export (my-project.analytics_123456) or a folder that "
            "holds analytics_<property id> folders of Parquet files"
        )
    if DATASET.fullmatch(place) and not Path(place).exists():
        return BigQuerySource(settings, place)
    return FolderSource(Path(place))
