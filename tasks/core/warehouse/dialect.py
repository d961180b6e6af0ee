"""BigQuery SQL on DuckDB: transpiles through sqlglot and refuses what would be silently wrong."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from tasks.core.errors import JobError


@dataclass(frozen=True)
class Statement:
    """A translated statement: DuckDB SQL, the contract tables it names, the parameters it uses."""

    sql: str
    tables: tuple[str, ...]
    parameters: frozenset[str]

    def bind(self, params: Mapping[str, object]) -> dict[str, object]:
        """Exactly the parameters the statement uses; JobError names missing and superfluous ones."""
        missing, unused = self.parameters - set(params), set(params) - self.parameters
        if missing or unused:
            raise JobError(f"SQL parameters missing: {sorted(missing)}, given but not used: {sorted(unused)}")
        return dict(params)


@functools.cache
def to_duckdb(sql: str) -> Statement:
    """Translate one BigQuery SELECT; JobError names what cannot be translated faithfully."""
    tree = sqlglot.parse_one(sql, dialect="bigquery")
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables = {f"{t.db}.{t.name}" for t in tree.find_all(exp.Table) if t.db and t.name not in ctes}
    parameters = {p.name for p in tree.find_all(exp.Parameter)}
    return Statement(tree.sql(dialect="duckdb"), tuple(sorted(tables)), frozenset(parameters))
