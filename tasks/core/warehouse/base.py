"""The warehouse interface and what both backends share: frames are checked against the contract before every write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tasks.core.contracts import SQL_ROOT, TableContract, load_contract
from tasks.core.errors import JobError

if TYPE_CHECKING:
    import polars as pl

Params = Mapping[str, object]


class Warehouse(Protocol):
    """Tables by contract name (``dataset.table``), SQL in BigQuery's dialect with ``@params``, frames as Polars."""

    def query(self, sql: str, params: Params | None = None) -> pl.DataFrame:
        """Rows of a SELECT. Parameters: str, int, float, bool, date, aware datetime, or a list of one of them."""

    def query_file(self, path: str, params: Params | None = None) -> pl.DataFrame:
        """Rows of the query in ``include/sql/<path>``."""

    def create(self, table: str) -> None:
        """Create ``table`` from its contract unless it exists; add columns that it lacks; replace a view of another text."""

    def columns(self, table: str) -> dict[str, str] | None:
        """Column → type, in the words of the contracts (``INT64``, ``STRING[]``), as they are; None if there is no such table.

        Looks and makes nothing, unlike all others here.
        """

    def append(self, table: str, frame: pl.DataFrame) -> int:
        """Insert all rows; returns how many."""

    def merge(self, table: str, frame: pl.DataFrame) -> int:
        """Insert rows, replacing those with the same grain; returns the rows of ``frame``."""

    def insert_new(self, table: str, frame: pl.DataFrame) -> int:
        """Insert only rows whose grain is absent, atomically across processes; returns how many were inserted."""

    def replace_partitions(
        self, table: str, frame: pl.DataFrame, *, partitions: Sequence[date], where: Params | None = None
    ) -> int:
        """Replace the rows of ``partitions`` (narrowed to rows equal to ``where``) by ``frame`` in one transaction."""

    def delete(self, table: str, *, column: str, values: Sequence[str], where: Params | None = None) -> int:
        """Delete the rows whose ``column`` is one of ``values`` (and that equal ``where``); returns how many."""

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Hold the lease ``name`` alone; Refused at once if another process holds it."""


def read_sql(path: str) -> str:
    """Text of ``include/sql/<path>``; JobError if there is no such file."""
    target: Path = SQL_ROOT / path
    if not target.is_file():
        raise JobError(f"no SQL file include/sql/{path}")
    return target.read_text(encoding="utf-8")


def with_bases(contracts: Iterable[TableContract]) -> list[TableContract]:
    """``contracts`` with the tables that their views read, each once, before any view."""
    from tasks.core.warehouse.dialect import parsed, tables_of

    named = list(contracts)
    read = {table for contract in named if contract.view is not None for table in tables_of(parsed(contract.view))}
    tables = {contract.name: contract for contract in named if contract.view is None}
    bases = [load_contract(table) for table in sorted(read - set(tables))]
    if nested := [contract.name for contract in bases if contract.view is not None]:
        raise JobError(f"a view reads the view {nested[0]}; let it read tables, so that any of them can be made anew alone")
    return [*bases, *tables.values(), *(contract for contract in named if contract.view is not None)]


def conform(table: str, frame: pl.DataFrame) -> tuple[TableContract, pl.DataFrame]:
    """``frame`` with the contract's columns in order.

    JobError on a missing required, unknown or mistyped column, on a null in a required one and on rows that share a grain.
    Optional columns that are absent become null; Int32 → Int64 and the like are the caller's business.
    """
    import polars as pl

    contract = load_contract(table)
    if contract.view is not None:
        raise JobError(f"{table} is a view; write the tables it reads")
    schema = contract.polars_schema()
    unknown = [column for column in frame.columns if column not in schema]
    missing = [field.name for field in contract.fields if field.required and field.name not in frame.columns]
    if unknown or missing:
        raise JobError(f"{table}: frame has unknown columns {unknown} and lacks required columns {missing}")
    wrong = {
        column: f"{dtype} instead of {schema[column]}"
        for column, dtype in frame.schema.items()
        if dtype not in (schema[column], pl.Null())
    }
    if wrong:
        raise JobError(f"{table}: wrong column types {wrong}")
    full = frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in schema.items()
    )
    repeated = [field.name for field in contract.fields if field.repeated]
    if repeated:
        full = full.with_columns(pl.col(name).fill_null([]) for name in repeated)
    nulls = [field.name for field in contract.fields if field.required and full[field.name].null_count()]
    if nulls:
        raise JobError(f"{table}: required columns hold nulls: {nulls}")
    _check_grain(contract, full)
    return contract, full


def _check_grain(contract: TableContract, frame: pl.DataFrame) -> None:
    """JobError if rows share a grain. Distinct hashes prove distinct rows at a third of the cost of comparing them."""
    grain = frame.select(contract.grain)
    if grain.hash_rows().n_unique() == grain.height:
        return
    duplicated = grain.is_duplicated()  # equal hashes may be chance, so now the values decide
    if duplicated.any():
        example = grain.filter(duplicated).row(0, named=True)
        raise JobError(f"{contract.name}: {duplicated.sum()} rows share a grain {contract.grain}, for example {example}")


def deletable(table: str, column: str, where: Params) -> TableContract:
    """The contract of ``table``; JobError unless ``column`` and those of ``where`` are STRING fields of it."""
    contract = load_contract(table)
    texts = {field.name for field in contract.fields if field.type == "STRING" and not field.repeated}
    unknown = sorted({column, *where} - texts)
    if unknown:
        raise JobError(f"{table}: cannot delete by {unknown}, which are no STRING columns of it")
    return contract


def check_inside_partitions(contract: TableContract, frame: pl.DataFrame, partitions: Sequence[date], where: Params) -> None:
    """JobError if a row lies outside what ``replace_partitions`` deletes: it would duplicate on the next run."""
    import polars as pl

    if contract.partition is None:
        raise JobError(f"{contract.name} has no partition column; use merge")
    outside = frame.filter(~pl.col(contract.partition).is_in(list(partitions)))
    for column, value in where.items():
        if column not in contract.columns:
            raise JobError(f"{contract.name} has no column {column!r} to narrow by")
        outside = pl.concat([outside, frame.filter(pl.col(column) != value)])
    if outside.height:
        raise JobError(
            f"{contract.name}: {outside.height} rows lie outside the partitions or the filter being replaced, "
            f"for example {outside.select(contract.grain).row(0, named=True)}"
        )
