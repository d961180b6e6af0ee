"""The warehouse on one DuckDB file, for a laptop and for tests.

DuckDB allows one writing process at a time. Each operation therefore opens the file under a lock of the operating system and
closes it again, so that parallel processes wait for each other instead of failing; opening costs about 10 ms.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.contracts import load_contract
from tasks.core.errors import Refused
from tasks.core.warehouse.base import Params, check_inside_partitions, conform, read_sql

if TYPE_CHECKING:
    import duckdb
    import polars as pl


class DuckDBWarehouse:
    """Warehouse in the file ``path``; the folder is made if it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._path.parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file closes, also by a kill
            connection = duckdb.connect(str(self._path))
            try:
                connection.execute("SET TimeZone='UTC'")
                yield connection
            finally:
                connection.close()

    def query(self, sql: str, params: Params | None = None) -> pl.DataFrame:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        import polars as pl

        from tasks.core.warehouse.dialect import to_duckdb

        statement = to_duckdb(sql)
        with self._connection() as connection:
            for table in statement.tables:
                self._create(connection, table)
            return pl.DataFrame(connection.execute(statement.sql, statement.bind(params or {})).to_arrow_table())

    def query_file(self, path: str, params: Params | None = None) -> pl.DataFrame:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        return self.query(read_sql(path), params)

    def create(self, table: str) -> None:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        with self._connection() as connection:
            self._create(connection, table)

    def _create(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        contract = load_contract(table)
        connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{contract.dataset}"')
        connection.execute(contract.duckdb_ddl())
        rows = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ?",
            [contract.dataset, contract.table],
        ).fetchall()
        present = {name for (name,) in rows}
        for field in contract.fields:
            if field.name not in present:
                connection.execute(
                    f'ALTER TABLE "{contract.dataset}"."{contract.table}" ADD COLUMN "{field.name}" {field.duckdb_type()}'
                )

    def append(self, table: str, frame: pl.DataFrame) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        return self._write(table, frame, delete=None)

    def merge(self, table: str, frame: pl.DataFrame) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        contract = load_contract(table)
        same = " AND ".join(f't."{c}" = incoming."{c}"' for c in contract.grain)
        delete = f'DELETE FROM "{contract.dataset}"."{contract.table}" AS t USING incoming WHERE {same}'
        return self._write(table, frame, delete=(delete, []))

    def insert_new(self, table: str, frame: pl.DataFrame) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        contract = load_contract(table)
        same = " AND ".join(f't."{c}" = incoming."{c}"' for c in contract.grain)
        only_new = f'WHERE NOT EXISTS (SELECT 1 FROM "{contract.dataset}"."{contract.table}" AS t WHERE {same})'
        return self._write(table, frame, delete=None, only=only_new)

    def replace_partitions(
        self, table: str, frame: pl.DataFrame, *, partitions: Sequence[date], where: Params | None = None
    ) -> int:
        """See :class:`tasks.core.warehouse.base.Warehouse`."""
        contract, full = conform(table, frame)
        check_inside_partitions(contract, full, partitions, where or {})
        narrowed = "".join(f' AND "{column}" = ?' for column in where or {})
        delete = f'DELETE FROM "{contract.dataset}"."{contract.table}" WHERE "{contract.partition}" IN (SELECT unnest(?::DATE[])){narrowed}'
        return self._write(table, full, delete=(delete, [list(partitions), *(where or {}).values()]))

    def _write(self, table: str, frame: pl.DataFrame, *, delete: tuple[str, list[object]] | None, only: str = "") -> int:
        contract, full = conform(table, frame)
        with self._connection() as connection:
            self._create(connection, table)
            connection.register("incoming", full.to_arrow())
            columns = ", ".join(f'"{c}"' for c in contract.columns)
            connection.begin()
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
