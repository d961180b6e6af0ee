"""The warehouse on BigQuery.

A write loads a Parquet file into a staging table that expires by itself, then one MERGE moves it into the table: one statement
is atomic on BigQuery, so a killed job leaves a table as it was or as it should be.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tasks.core.contracts import TableContract, load_contract, type_from_bigquery
from tasks.core.warehouse.base import Params, check_inside_partitions, conform, deletable, read_sql, with_bases
from tasks.core.warehouse.bigquery_client import call, make_client, run
from tasks.core.warehouse.bigquery_lease import Lease, hold
from tasks.core.warehouse.dialect import parameter_types, parsed, qualified, tables_of

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.settings import Settings

STAGING_HOURS = 6
# insert_new holds a lease for at most this long; its statement is cut off well before (see bigquery_client.JOB_TIMEOUT_MS).
_INSERT_WAIT_SECONDS = 300.0


class BigQueryWarehouse:
    """Warehouse in the datasets of ``settings.gcp_project``; tables are made from their contracts when they are missing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client_or_none: Any = None
        self._ready: set[str] = set()

    @property
    def _client(self) -> Any:
        if self._client_or_none is None:
            self._client_or_none = make_client(self._settings)
        return self._client_or_none

    def query(self, sql: str, params: Params | None = None) -> pl.DataFrame:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        import polars as pl

        tree = parsed(sql)
        types = parameter_types(tree, params or {})
        for contract in with_bases(load_contract(table) for table in tables_of(tree)):
            self.create(contract.name)
        job = run(self._client, sql, {name: (types[name], value) for name, value in (params or {}).items()})
        return pl.DataFrame(call("reading a result", lambda: job.result().to_arrow(create_bqstorage_client=False)))

    def query_file(self, path: str, params: Params | None = None) -> pl.DataFrame:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        return self.query(read_sql(path), params)

    def create(self, table: str) -> None:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        if table in self._ready:
            return
        from google.api_core.exceptions import NotFound
        from google.cloud import bigquery

        contract = load_contract(table)
        if contract.view is not None:
            for base in tables_of(parsed(contract.view)):
                self.create(base)
        wanted = self._table(contract, contract.table)
        try:
            found = call(f"looking up {table}", lambda: self._client.get_table(wanted.reference))
        except NotFound:
            dataset = bigquery.Dataset(f"{self._client.project}.{contract.dataset}")
            dataset.location = self._settings.bigquery_location
            call(f"creating dataset {contract.dataset}", lambda: self._client.create_dataset(dataset, exists_ok=True))
            call(f"creating {table}", lambda: self._client.create_table(wanted, exists_ok=True))
        else:
            if contract.view is not None:
                self._replace_view(table, found, wanted)
                return
            present = {field.name for field in found.schema}
            added = [field for field in wanted.schema if field.name not in present]
            if added:
                # BigQuery adds columns as NULLABLE only; conform() keeps required ones filled.
                nullable = [_field({**field.to_api_repr(), "mode": _added_mode(field)}) for field in added]
                found.schema = [*found.schema, *nullable]
                call(f"adding columns to {table}", lambda: self._client.update_table(found, ["schema"]))
        self._ready.add(table)

    def _replace_view(self, table: str, found: Any, wanted: Any) -> None:
        """Give the view that is there the text of the contract, if it has another."""
        if found.view_query != wanted.view_query:
            found.view_query = wanted.view_query
            call(f"replacing the view {table}", lambda: self._client.update_table(found, ["view_query"]))
        self._ready.add(table)

    def _table(self, contract: TableContract, name: str) -> Any:
        from google.cloud import bigquery

        if contract.view is not None:
            view = bigquery.Table(f"{self._client.project}.{contract.dataset}.{name}")
            # A view does not know the default project of the one who asks it.
            view.view_query = qualified(contract.view, self._client.project)
            view.description = contract.description
            view.labels = {"app": "aelp2", "owner": contract.owner}
            return view
        schema = [_field(field) for field in contract.bigquery_schema()]
        table = bigquery.Table(f"{self._client.project}.{contract.dataset}.{name}", schema=schema)
        table.description = contract.description
        table.labels = {"app": "aelp2", "owner": contract.owner}
        if contract.partition:
            table.time_partitioning = bigquery.TimePartitioning(field=contract.partition)
        table.clustering_fields = list(contract.cluster) or None
        return table

    def columns(self, table: str) -> dict[str, str] | None:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        from google.api_core.exceptions import NotFound

        contract = load_contract(table)
        name = f"{self._client.project}.{contract.dataset}.{contract.table}"
        try:
            found = call(f"looking up {table}", lambda: self._client.get_table(name))
        except NotFound:
            return None
        return {field.name: type_from_bigquery(field.field_type, field.mode) for field in found.schema}

    def append(self, table: str, frame: pl.DataFrame) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`. One load job, which is atomic."""
        contract, full = conform(table, frame)
        self.create(table)
        if full.height:
            self._load(contract, full, contract.table)
        return full.height

    def merge(self, table: str, frame: pl.DataFrame) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        contract, full = conform(table, frame)
        others = [column for column in contract.columns if column not in contract.grain]
        update = f"WHEN MATCHED THEN UPDATE SET {', '.join(f'`{c}` = s.`{c}`' for c in others)}\n" if others else ""
        self._merge(contract, full, on=_same_grain(contract), clauses=update + _insert(contract))
        return full.height

    def insert_new(self, table: str, frame: pl.DataFrame) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`.

        Two insert-only statements do not conflict on BigQuery, so both could find a grain absent. A lease on the table keeps
        them apart; the statement's own time limit is shorter than the lease.
        """
        contract, full = conform(table, frame)
        if not full.height:
            return 0
        with hold(self._lease(f"insert_new:{table}"), wait_seconds=_INSERT_WAIT_SECONDS):
            return self._merge(contract, full, on=_same_grain(contract), clauses=_insert(contract))

    def replace_partitions(
        self, table: str, frame: pl.DataFrame, *, partitions: Sequence[date], where: Params | None = None
    ) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`. One MERGE that never matches: it deletes and inserts at once."""
        contract, full = conform(table, frame)
        check_inside_partitions(contract, full, partitions, where or {})
        if not partitions:
            return 0
        params: dict[str, object] = {"partitions": list(partitions), **{f"w{n}": v for n, v in enumerate((where or {}).values())}}
        narrowed = "".join(f" AND t.`{column}` = @w{n}" for n, column in enumerate(where or {}))
        delete = f"WHEN NOT MATCHED BY SOURCE AND t.`{contract.partition}` IN UNNEST(@partitions){narrowed} THEN DELETE\n"
        self._merge(contract, full, on="FALSE", clauses=delete + _insert(contract), params=params)
        return full.height

    def delete(self, table: str, *, column: str, values: Sequence[str], where: Params | None = None) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`. One DELETE, which is atomic."""
        from tasks.core.warehouse.parameters import parameter_type

        contract = deletable(table, column, where or {})
        if not values:
            return 0
        self.create(table)
        params: dict[str, object] = {"values": list(values), **{f"w{n}": v for n, v in enumerate((where or {}).values())}}
        narrowed = "".join(f" AND t.`{name}` = @w{n}" for n, name in enumerate(where or {}))
        sql = f"DELETE FROM `{contract.dataset}.{contract.table}` AS t\nWHERE t.`{column}` IN UNNEST(@values){narrowed}"
        job = run(self._client, sql, {name: (parameter_type(name, value), value) for name, value in params.items()})
        return int(job.dml_stats.deleted_row_count)

    def _merge(
        self, contract: TableContract, frame: pl.DataFrame, *, on: str, clauses: str, params: Mapping[str, object] | None = None
    ) -> int:
        """Run one MERGE from a staging copy of ``frame``; returns the rows it inserted."""
        from tasks.core.warehouse.parameters import parameter_type

        self.create(contract.name)
        typed = {name: (parameter_type(name, value), value) for name, value in (params or {}).items()}
        with self._staged(contract, frame) as staging:
            sql = (
                f"MERGE `{contract.dataset}.{contract.table}` AS t\nUSING `{contract.dataset}.{staging}` AS s\nON {on}\n{clauses}"
            )
            job = run(self._client, sql, typed)
        return int(job.dml_stats.inserted_row_count)

    @contextmanager
    def _staged(self, contract: TableContract, frame: pl.DataFrame) -> Iterator[str]:
        """Name of a table that holds ``frame``; it is dropped at the end, and expires if the process dies first."""
        name = f"{contract.table}__staging_{uuid.uuid4().hex}"
        table = self._table(contract, name)
        table.time_partitioning, table.clustering_fields = None, None
        table.expires = _expiry()
        call(f"creating staging table {name}", lambda: self._client.create_table(table))
        try:
            if frame.height:
                self._load(contract, frame, name)
            yield name
        finally:
            call(f"dropping staging table {name}", lambda: self._client.delete_table(table.reference, not_found_ok=True))

    def _load(self, contract: TableContract, frame: pl.DataFrame, name: str) -> None:
        from google.cloud import bigquery

        parquet = io.BytesIO()
        frame.write_parquet(parquet, compression="zstd")
        parquet_options = bigquery.ParquetOptions()
        parquet_options.enable_list_inference = True  # a repeated field arrives as an array, not as a nested record
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            schema=[_field(field) for field in contract.bigquery_schema()],
            parquet_options=parquet_options,
            labels={"app": "aelp2"},
        )
        destination = f"{self._client.project}.{contract.dataset}.{name}"
        job_id = f"aelp2_load_{uuid.uuid4().hex}"  # one id for all attempts: a repeated request cannot load twice

        def load() -> None:
            job = self._client.load_table_from_file(parquet, destination, rewind=True, job_id=job_id, job_config=config)
            job.result()

        call(f"loading {frame.height} rows into {contract.dataset}.{name}", load)

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """See :class:`tasks.core.warehouse.base.Warehouse`. A row in control.leases that is renewed while it is held."""
        return hold(self._lease(name), wait_seconds=0.0)

    def _lease(self, name: str) -> Lease:
        self.create("control.leases")
        return Lease(lambda: make_client(self._settings), self._client, name)


def _expiry() -> datetime:
    """Real time, which the server acts on: under a simulated AELP2_NOW a staging table would expire at once."""
    return datetime.now(UTC) + timedelta(hours=STAGING_HOURS)


def _field(resource: Mapping[str, Any]) -> Any:
    from google.cloud import bigquery

    return bigquery.SchemaField.from_api_repr(dict(resource))


def _added_mode(field: Any) -> str:
    return "REPEATED" if field.mode == "REPEATED" else "NULLABLE"


def _same_grain(contract: TableContract) -> str:
    return " AND ".join(f"t.`{column}` = s.`{column}`" for column in contract.grain)


def _insert(contract: TableContract) -> str:
    columns = ", ".join(f"`{column}`" for column in contract.columns)
    values = ", ".join(f"s.`{column}`" for column in contract.columns)
    return f"WHEN NOT MATCHED BY TARGET THEN INSERT ({columns}) VALUES ({values})"
