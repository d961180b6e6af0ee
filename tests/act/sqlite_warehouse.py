"""The warehouse interface on SQLite in memory: fast enough for thousands of jobs in one process.

SQLite reads the jobs' own SQL: schemas are attached databases, and @params and backticks are known to it. What it lacks (dates,
time stamps, lists, booleans) is stored as text or integer and read back by the table contracts.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from tasks.core.contracts import Field, all_contracts, load_contract
from tasks.core.errors import Refused
from tasks.core.warehouse.base import conform

_FIELDS: dict[str, Field] = {f.name: f for c in all_contracts() for f in c.fields if c.dataset == "control"}


def _store(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, list) else value


def _load(name: str, value: Any) -> Any:
    field = _FIELDS.get(name)
    if value is None or field is None:
        return value
    if field.repeated:
        return json.loads(value)
    if field.type == "TIMESTAMP":
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if field.type == "DATE" else bool(value) if field.type == "BOOL" else value


class SqliteWarehouse:
    """Enough of the interface for the jobs of this stage."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._held: set[str] = set()
        for dataset in ("control", "models", "ads"):
            self._connection.execute(f"ATTACH ':memory:' AS {dataset}")
        for contract in all_contracts():
            if contract.dataset in ("control", "models", "ads"):
                columns = ", ".join(f'"{c}"' for c in contract.columns)
                self._connection.execute(f"CREATE TABLE {contract.name} ({columns})")

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> pl.DataFrame:
        cursor = self._connection.execute(sql, {k: _store(v) for k, v in (params or {}).items()})
        names = [column[0] for column in cursor.description]
        rows = [{n: _load(n, v) for n, v in zip(names, row, strict=True)} for row in cursor]
        schema = {n: _FIELDS[n].polars_dtype() if n in _FIELDS else pl.Int64() for n in names}
        return pl.DataFrame(rows, schema=schema)

    def _insert(self, table: str, frame: pl.DataFrame, *, replace: bool) -> int:
        contract, full = conform(table, frame)
        load_contract(table)
        inserted = 0
        for record in full.to_dicts():
            values = {k: _store(v) for k, v in record.items()}
            same = " AND ".join(f'"{c}" = @{c}' for c in contract.grain)
            if replace:
                self._connection.execute(f"DELETE FROM {table} WHERE {same}", values)
            elif self._connection.execute(f"SELECT 1 FROM {table} WHERE {same}", values).fetchone():
                continue
            self._connection.execute(f"INSERT INTO {table} VALUES ({', '.join('@' + c for c in contract.columns)})", values)
            inserted += 1
        return inserted

    def insert_new(self, table: str, frame: pl.DataFrame) -> int:
        return self._insert(table, frame, replace=False)

    def merge(self, table: str, frame: pl.DataFrame) -> int:
        return self._insert(table, frame, replace=True)

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        if name in self._held:
            raise Refused(f"another run holds the lease {name!r}")
        self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)
