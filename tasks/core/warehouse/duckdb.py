"""The warehouse on one DuckDB file, for a laptop and for tests.

DuckDB lets either one process write or several read. Each operation therefore attaches the file under a lock of the operating
system (shared for a query, exclusive for a write) and detaches it again: readers run side by side, writers wait for their turn,
nobody fails. A killed process leaves its transaction in the write-ahead file, which the next writer replays or drops.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.contracts import TableContract, load_contract, type_from_duckdb
from tasks.core.errors import JobError, Refused
from tasks.core.warehouse.base import Params, check_inside_partitions, conform, deletable, read_sql, with_bases

if TYPE_CHECKING:
    import duckdb
    import polars as pl


_ATTACHED = "warehouse_file"
_ONE_AT_A_TIME = threading.RLock()  # the threads of a process share its instance, which attaches the file once


@functools.lru_cache(maxsize=1)
def _instance(path: Path) -> duckdb.DuckDBPyConnection:
    """The process's engine without tables: to make one takes ten times as long as to attach the file to it.

    Its threads do not survive a fork, nor do those of Polars: processes are spawned.
    """
    import duckdb

    instance = duckdb.connect(config={"temp_directory": f"{path}.tmp"})  # where a large sort spills: beside the file
    instance.execute("SET GLOBAL TimeZone='UTC'")
    instance.execute("SET GLOBAL arrow_output_version='1.4'")  # texts leave as string views, which Polars takes without a copy
    return instance


class _Stream:
    """A frame as a bare Arrow stream, which DuckDB reads without a copy; for a Polars frame it would import PyArrow, 0.2 s."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """See the Arrow PyCapsule interface; each scan takes a stream of its own."""
        return self._frame.__arrow_c_stream__(requested_schema)


class DuckDBWarehouse:
    """Warehouse in the file ``path``; the folder is made if it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._path.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, kind)  # released when the file closes, also by a kill
            yield

    @contextmanager
    def _connection(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        with _ONE_AT_A_TIME:
            instance = _instance(self._path)
            connection = instance.cursor()
            path = str(self._path).replace("'", "''")
            connection.execute(f"ATTACH '{path}' AS {_ATTACHED}{' (READ_ONLY)' if read_only else ''}")
            try:
                connection.execute(f"USE {_ATTACHED}")
                yield connection
            finally:
                connection.close()  # what was not committed is rolled back
                instance.execute(f"DETACH {_ATTACHED}")

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._locked(fcntl.LOCK_EX), self._connection() as connection:
            yield connection

    def query(self, sql: str, params: Params | None = None) -> pl.DataFrame:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        from tasks.core.warehouse.dialect import to_duckdb

        statement = to_duckdb(sql, params or {})
        contracts = with_bases(load_contract(table) for table in statement.tables)
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in (params or {}).items()}
        with self._locked(fcntl.LOCK_SH):
            if self._is_clean():
                with self._connection(read_only=True) as connection:
                    if all(_is_made(connection, contract) for contract in contracts):
                        return _frame(connection, statement.sql, values)
        with self._writing() as connection:  # a table is new or lacks a column: make it as its contract says, then read
            for contract in contracts:
                _create(connection, contract)
            return _frame(connection, statement.sql, values)

    def _is_clean(self) -> bool:
        """Whether the file exists and no killed writer left a write-ahead file, which only a writer may replay."""
        return self._path.exists() and not self._path.with_name(self._path.name + ".wal").exists()

    def query_file(self, path: str, params: Params | None = None) -> pl.DataFrame:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        return self.query(read_sql(path), params)

    def create(self, table: str) -> None:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        with self._writing() as connection:
            for contract in with_bases([load_contract(table)]):
                _create(connection, contract)

    def columns(self, table: str) -> dict[str, str] | None:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        if not self._path.exists():
            return None
        contract = load_contract(table)
        # A write-ahead file that a killed writer left can be replayed by a writer only; that changes no row.
        with self._locked(fcntl.LOCK_EX), self._connection(read_only=self._is_clean()) as connection:
            found = connection.execute(
                "SELECT column_name, data_type FROM duckdb_columns() "
                "WHERE database_name = current_database() AND schema_name = ? AND table_name = ? ORDER BY column_index",
                [contract.dataset, contract.table],
            ).fetchall()
        return {name: type_from_duckdb(kind) for name, kind in found} or None

    def append(self, table: str, frame: pl.DataFrame) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        return self._write(*conform(table, frame))

    def merge(self, table: str, frame: pl.DataFrame) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        contract, full = conform(table, frame)
        same = " AND ".join(f't."{c}" = incoming."{c}"' for c in contract.grain)
        delete = f'DELETE FROM "{contract.dataset}"."{contract.table}" AS t USING incoming WHERE {same}'
        return self._write(contract, full, delete=(delete, []))

    def insert_new(self, table: str, frame: pl.DataFrame) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        contract, full = conform(table, frame)
        same = " AND ".join(f't."{c}" = incoming."{c}"' for c in contract.grain)
        only_new = f'WHERE NOT EXISTS (SELECT 1 FROM "{contract.dataset}"."{contract.table}" AS t WHERE {same})'
        return self._write(contract, full, only=only_new)

    def replace_partitions(
        self, table: str, frame: pl.DataFrame, *, partitions: Sequence[date], where: Params | None = None
    ) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        contract, full = conform(table, frame)
        check_inside_partitions(contract, full, partitions, where or {})
        narrowed = "".join(f' AND "{column}" = ?' for column in where or {})
        delete = (
            f'DELETE FROM "{contract.dataset}"."{contract.table}" '
            f'WHERE "{contract.partition}" IN (SELECT unnest(?::DATE[])){narrowed}'
        )
        return self._write(contract, full, delete=(delete, [list(partitions), *(where or {}).values()]))

    def delete(self, table: str, *, column: str, values: Sequence[str], where: Params | None = None) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        contract = deletable(table, column, where or {})
        narrowed = "".join(f' AND "{name}" = ?' for name in where or {})
        statement = (
            f'DELETE FROM "{contract.dataset}"."{contract.table}" WHERE "{column}" IN (SELECT unnest(?::VARCHAR[])){narrowed}'
        )
        with self._writing() as connection:
            _create(connection, contract)
            row = connection.execute(statement, [list(values), *(where or {}).values()]).fetchone()
        return int(row[0]) if row else 0

    def _write(
        self, contract: TableContract, full: pl.DataFrame, *, delete: tuple[str, list[object]] | None = None, only: str = ""
    ) -> int:
        """Delete and insert in one transaction; ``full`` has passed :func:`conform`."""
        with self._writing() as connection:
            _create(connection, contract)
            connection.register("incoming", _Stream(full))
            columns = ", ".join(f'"{c}"' for c in contract.columns)
            connection.begin()  # an error or a kill before the commit leaves the table as it was
            if delete is not None:
                connection.execute(*delete)
            row = connection.execute(
                f'INSERT INTO "{contract.dataset}"."{contract.table}" ({columns}) SELECT {columns} FROM incoming {only}'
            ).fetchone()
            connection.commit()
        return int(row[0]) if row else 0

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """See :class:`tasks.core.warehouse.base.Warehouse`. A locked file: the lease dies with its process."""
        path = self._path.with_name(f"{self._path.stem}.{name}.lease")
        with path.open("a+") as lease:
            try:
                fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lease.seek(0)
                raise Refused(
                    f"another run holds the lease {name!r} (process {lease.read().strip() or 'unknown'}); "
                    "wait until it ends, then look at the ledger before you run again"
                ) from None
            lease.truncate(0)
            lease.write(str(os.getpid()))
            lease.flush()
            yield


def _missing_columns(connection: duckdb.DuckDBPyConnection, contract: TableContract) -> list[str]:
    """Columns of ``contract`` that the table lacks; all of them if there is no such table."""
    rows = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE schema_name = ? AND table_name = ?", [contract.dataset, contract.table]
    ).fetchall()
    present = {name for (name,) in rows}
    return [column for column in contract.columns if column not in present]


def _is_made(connection: duckdb.DuckDBPyConnection, contract: TableContract) -> bool:
    """Whether the table has all columns of its contract, or the view is that of its contract."""
    if contract.view is None:
        return not _missing_columns(connection, contract)
    rows = connection.execute(
        "SELECT comment FROM duckdb_views() WHERE schema_name = ? AND view_name = ?", [contract.dataset, contract.table]
    ).fetchall()
    return [comment for (comment,) in rows] == [contract.view_sha256]


def _create(connection: duckdb.DuckDBPyConnection, contract: TableContract) -> None:
    if contract.view is not None:
        if not _is_made(connection, contract):
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{contract.dataset}"')  # a dataset may hold views alone
            connection.execute(contract.duckdb_ddl())
        return
    missing = _missing_columns(connection, contract)
    if len(missing) == len(contract.fields):
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{contract.dataset}"')
        connection.execute(contract.duckdb_ddl())
        return
    for field in contract.fields:
        if field.name in missing:
            connection.execute(
                f'ALTER TABLE "{contract.dataset}"."{contract.table}" ADD COLUMN "{field.name}" {field.duckdb_type()}'
            )


@functools.cache
def result_type(duckdb_type: str) -> str:
    """The type BigQuery would give: every integer is INT64 there, also a SUM, which DuckDB makes 128 bits wide."""
    result = duckdb_type
    for integer in ("HUGEINT", "UBIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER"):
        result = re.sub(rf"\b{integer}\b", "BIGINT", result)
    return result


def _frame(connection: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, object]) -> pl.DataFrame:
    import duckdb
    import polars as pl

    try:
        relation = connection.sql(sql, params=dict(params))
        kinds = [(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]
        if any(result_type(kind) != kind for _, kind in kinds):
            quoted = [(name.replace('"', '""'), kind) for name, kind in kinds]
            casts = ", ".join(
                f'CAST("{name}" AS {result_type(kind)}) AS "{name}"' if result_type(kind) != kind else f'"{name}"'
                for name, kind in quoted
            )
            relation = connection.sql(f"SELECT {casts} FROM ({sql}) AS result", params=dict(params))
        return pl.DataFrame(relation)  # through Arrow's C stream: no copy
    except duckdb.Error as error:
        raise JobError(f"query failed on DuckDB: {str(error).strip()}") from error
