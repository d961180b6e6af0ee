"""What two warehouses hold, compared: every contract table row by row, and every statement BigQuery was sent by its analyser."""

from __future__ import annotations

import json
import math
import multiprocessing
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "warehouse"))

from bigquery_double import bigquery_double  # needs the line above
from sql.zetasql_analyser import analyse
from zetasql.core.exceptions import ServerError

from tasks.core.contracts import TableContract
from tasks.core.settings import load_settings
from tasks.core.warehouse import open_warehouse

# Sums of floats may be added in another order, since the double shuffles rows that have no ORDER BY. Seen: 3e-16.
TOLERANCE = 1e-12
# DuckDB's leases are locked files, so this table exists on BigQuery only.
ONE_SIDED = "control.leases"


@contextmanager
def on_both[Left](
    folder: Path, go: Callable[[Path, dict[str, str], ProcessPoolExecutor, Path], Left]
) -> Iterator[tuple[Left, Left, Path]]:
    """What ``go(folder, environment, pool, salt file)`` left on DuckDB and on BigQuery, and the file of BigQuery's statements."""
    statements = folder / "statements.jsonl"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        env = {"AELP2_BACKEND": "duckdb", "AELP2_DUCKDB_PATH": str(folder / "w.duckdb")}
        on_duckdb = go(folder / "duckdb", env, pool, folder / "salt")
        with bigquery_double(folder / "double.duckdb", statements) as env:
            yield on_duckdb, go(folder / "bigquery", env, pool, folder / "salt"), statements


def rows_of(contract: TableContract, env: dict[str, str]) -> pl.DataFrame:
    """The table as a job reads it, in the order of its grain."""
    columns, grain = (", ".join(f"`{name}`" for name in names) for names in (contract.columns, contract.grain))
    return open_warehouse(load_settings(env)).query(f"SELECT {columns} FROM {contract.name} ORDER BY {grain}")


def same(left: object, right: object) -> bool:
    """Equal; floats within the tolerance."""
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=TOLERANCE) or (math.isnan(left) and math.isnan(right))
    return left == right


def differences(
    name: str, left: pl.DataFrame, right: pl.DataFrame, may_differ: Mapping[tuple[str, str], str] | None = None
) -> list[str]:
    """One line for each column of the table that differs and is not in ``may_differ``."""
    if left.schema != right.schema or left.height != right.height:
        return [f"{name}: {left.height} rows on DuckDB, {right.height} on BigQuery; {left.schema} and {right.schema}"]
    found = []
    for column in left.columns:
        pairs = list(zip(left[column].to_list(), right[column].to_list(), strict=True))
        bad = [pair for pair in pairs if not same(*pair)]
        if bad and (name, column) not in (may_differ or {}):
            found.append(f"{name}.{column}: {len(bad)} of {left.height} rows differ, for example {bad[0]}")
    return found


def statements_in(log: Path) -> list[tuple[str, dict[str, str]]]:
    """Distinct statements of the double's log with the types of their parameters; staging tables by their table's name."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    # A staging table has its table's columns; a name within backticks is one name to ZetaSQL's catalog.
    distinct = {
        (re.sub(r"`(\w+)\.(\w+?)(__staging_[0-9a-f]+)?`", r"\1.\2", line["sql"]), tuple(sorted(line["types"].items())))
        for line in lines
    }
    return [(sql, dict(types)) for sql, types in sorted(distinct)]


def refusal(sql: str, types: Mapping[str, str]) -> str:
    """What the analyser says against ``sql``; a parameter stands in as a cast of NULL, which gives it its type."""
    typed = re.sub(r"@(\w+)", lambda match: f"CAST(NULL AS {types[match[1]]})", sql)
    try:
        analyse(typed)
    except ServerError as error:
        return f"{error}\n{typed}"
    return ""
