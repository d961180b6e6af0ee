"""The DuckDB warehouse in memory on one connection: the same SQL and the same writes, without a file per operation."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import duckdb
import polars as pl

from tasks.core.contracts import load_contract
from tasks.core.errors import Refused
from tasks.core.warehouse import duckdb as backend
from tasks.core.warehouse.base import Params, with_bases
from tasks.core.warehouse.dialect import to_duckdb


class MemoryWarehouse(backend.DuckDBWarehouse):
    """For many short runs in one process; leases hold within the process."""

    def __init__(self) -> None:
        super().__init__(Path(gettempdir()) / "never-opened.duckdb")
        self._memory = duckdb.connect(":memory:")
        self._memory.execute("SET TimeZone='UTC'")
        self._made: set[str] = set()
        self._held: set[str] = set()

    def query(self, sql: str, params: Params | None = None) -> pl.DataFrame:
        statement = to_duckdb(sql, params or {})
        for contract in with_bases(load_contract(table) for table in set(statement.tables) - self._made):
            backend._create(self._memory, contract)
            self._made.add(contract.name)
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in (params or {}).items()}
        return backend._frame(self._memory, statement.sql, values)

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        yield self._memory

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        if name in self._held:
            raise Refused(f"another run holds the lease {name!r}")
        self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)

    def tamper(self, sql: str) -> None:
        """Do to a table what only an intruder would."""
        self._memory.execute(sql)
