"""Run the checks of one table: schema in chunks (memory does not grow with rows), grain, freshness and the table's own SQL.

The statements built here (noqa: S608) hold names from contracts and text from include/sql only; every value is a parameter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from tasks.core.contracts import TableContract, load_contract
from tasks.quality.checks_file import Severity, SqlCheck, load_checks
from tasks.quality.gates import GateTable, Window

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

CHUNK_ROWS = 250_000
KEPT_ROWS = 100  # offending rows kept per check: enough to see the pattern, and a broken table does not fill the quarantine

Row = dict[str, Any]
_RULE_WORDS = {
    "not_nullable": "is required",
    "greater_than_or_equal_to": "at least",
    "less_than_or_equal_to": "at most",
}


@dataclass
class CheckResult:
    """Outcome of one check: ``failures`` offending rows of ``rows`` looked at; ``examples`` holds at most ``KEPT_ROWS``."""

    table: str
    check: str
    severity: Severity
    rows: int
    failures: int
    detail: str
    remedy: str = ""
    examples: list[Row] = field(default_factory=list)

    def __str__(self) -> str:
        """Table, check, count, an example and the remedy in one line."""
        example = f", for example {_plain(self.examples[0])}" if self.examples else ""
        return f"{self.table} {self.check}: {self.detail}{example}. {self.remedy}"


def _plain(row: Row) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in row.items() if value is not None) + "}"


def row_schema(contract: TableContract) -> pa.DataFrameSchema:
    """The contract's pandera schema for a chunk: without the grain, which only the whole table can prove unique."""
    schema = contract.pandera_schema()
    schema.unique = None
    return schema


def schema_failures(schema: pa.DataFrameSchema, chunk: pl.DataFrame) -> dict[str, tuple[int, list[Row]]]:
    """Every broken rule of ``chunk`` as ``column rule`` → number of offending rows and the first of them."""
    try:
        schema.validate(chunk, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return {}
    broken: dict[str, tuple[int, list[Row]]] = {}
    for (column, rule), found in cases.group_by("column", "check", maintain_order=True):
        places = found["index"].drop_nulls().head(KEPT_ROWS).to_list()
        rows = [chunk.row(int(place), named=True) for place in places]
        broken[f"{column or schema.name} {_rule_name(str(rule))}"] = (found.height, rows)
    return broken


def _rule_name(rule: str) -> str:
    for technical, words in _RULE_WORDS.items():
        rule = rule.replace(technical, words)
    return rule


def _where(contract: TableContract, table: GateTable) -> str:
    if contract.partition is None:
        return f"({table.scope})"
    return f"{contract.partition} >= @start_date AND {contract.partition} <= @run_date AND ({table.scope})"


def _ask(warehouse: Warehouse, sql: str, parameters: dict[str, object]) -> pl.DataFrame:
    used = {name: value for name, value in parameters.items() if f"@{name}" in sql}
    # @source is the beginning of no other name; @run_date and the rest neither.
    return warehouse.query(sql, used)


@dataclass(frozen=True)
class TableGate:
    """The checks of one table in one window."""

    warehouse: Warehouse
    table: GateTable
    window: Window
    chunk_rows: int = CHUNK_ROWS

    @property
    def contract(self) -> TableContract:
        """The table's contract."""
        return load_contract(self.table.name)

    def run(self) -> list[CheckResult]:
        """All results, passed ones included; an empty table that may be empty passes everything."""
        days = self._days()
        rows = int(days["row_count"].sum())
        results = [self._has_rows(rows)]
        if rows == 0:
            return results
        results += self._schema(days, rows)
        if not self.table.is_sparse and not self.window.is_import and self.contract.freshness_hours is not None:
            results.append(self._fresh(days, rows, self.contract.freshness_hours))
        return results + self._sql([self._grain(), *load_checks(self.table.name)], rows)

    def _days(self) -> pl.DataFrame:
        """Columns day, row_count: the rows of each partition; one row with a null day if the table has no partitions."""
        day = self.contract.partition or "CAST(NULL AS DATE)"
        where = _where(self.contract, self.table)
        sql = f"SELECT {day} AS day, COUNT(*) AS row_count FROM {self.table.name} WHERE {where} GROUP BY 1 ORDER BY 1"  # noqa: S608
        return _ask(self.warehouse, sql, self.window.parameters())

    def _has_rows(self, rows: int) -> CheckResult:
        missing = self.table.needs_rows and rows == 0
        span = f"{self.window.start_date} to {self.window.run_date}"
        return CheckResult(
            self.table.name,
            "has_rows",
            "critical",
            rows,
            int(missing),
            f"no rows of source {self.window.source} in {span}" if missing else f"{rows:,} rows in {span}",
            "Run the job that writes the table (`aelp2 jobs` names it), or choose another --source" if missing else "",
        )

    def _chunks(self, days: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The rows, whole partitions at a time, about ``chunk_rows`` each."""
        columns = ", ".join(f"`{column}`" for column in self.contract.columns)
        where = _where(self.contract, self.table)
        select = f"SELECT {columns} FROM {self.table.name} WHERE {where}"  # noqa: S608
        if self.contract.partition is None:
            yield _ask(self.warehouse, select, self.window.parameters())
            return
        number = (days["row_count"].cum_sum() - 1) // self.chunk_rows
        for _, group in days.group_by(number.alias("chunk"), maintain_order=True):
            bounds = {"start_date": group["day"][0], "run_date": group["day"][-1]}
            yield _ask(self.warehouse, select, {**self.window.parameters(), **bounds})

    def _schema(self, days: pl.DataFrame, rows: int) -> list[CheckResult]:
        schema = row_schema(self.contract)
        broken: dict[str, CheckResult] = {}
        for chunk in self._chunks(days):
            for rule, (failures, examples) in schema_failures(schema, chunk).items():
                result = broken.setdefault(rule, CheckResult(self.table.name, rule, "critical", rows, 0, ""))
                result.failures += failures
                result.examples = (result.examples + examples)[:KEPT_ROWS]
                result.detail = f"{result.failures:,} of {rows:,} rows break the contract"
                result.remedy = (
                    f"Mend the source and load again; the rule stands in {self.table.name.replace('.', '/')}/table.yaml"
                )
        passed = CheckResult(self.table.name, "contract", "critical", rows, 0, f"{rows:,} rows keep types, ranges and patterns")
        return list(broken.values()) or [passed]

    def _grain(self) -> SqlCheck:
        grain, where = ", ".join(f"`{column}`" for column in self.contract.grain), _where(self.contract, self.table)
        return SqlCheck(
            self.table.name,
            "grain_is_unique",
            "critical",
            "The rows were written twice: load the days again, which replaces them",
            f"SELECT {grain}, COUNT(*) AS copies FROM {self.table.name} WHERE {where} GROUP BY {grain} HAVING COUNT(*) > 1",  # noqa: S608
        )

    def _fresh(self, days: pl.DataFrame, rows: int, limit: int) -> CheckResult:
        """Hours from the end of the newest day (or the newest load) to the start of the run date."""
        start = datetime.combine(self.window.run_date, time(), UTC)
        if self.contract.partition is None:
            sql = f"SELECT MAX(loaded_at) AS newest FROM {self.table.name}"  # noqa: S608
            newest = self.warehouse.query(sql)["newest"][0]
            what = f"loaded at {newest:%Y-%m-%d %H:%M}"
            hours = (start - newest).total_seconds() / 3600
        else:
            last: date = days["day"].max()  # type: ignore[assignment]  # a DATE column with rows
            what = f"the newest day is {last}"
            hours = (start - datetime.combine(last, time(), UTC)).total_seconds() / 3600 - 24
        stale = hours > limit
        return CheckResult(
            self.table.name,
            "is_fresh",
            "critical",
            rows,
            int(stale),
            f"{what}, {max(math.ceil(hours), 0)} h before the run date {self.window.run_date}; allowed are {limit} h",
            "Run the load of the run date (`aelp2 ingest-ads`, `aelp2 ingest-outcomes`) and look at control.ingest_runs"
            if stale
            else "",
        )

    def _sql(self, checks: list[SqlCheck], rows: int) -> list[CheckResult]:
        """All SQL checks counted in one query; the offending rows are fetched only where there are some."""
        counts = "\nUNION ALL\n".join(
            f"SELECT '{check.name}' AS check_name, COUNT(*) AS failures FROM (\n{check.sql}\n) AS offending"  # noqa: S608
            for check in checks
        )
        failures = dict(_ask(self.warehouse, counts, self.window.parameters()).iter_rows())
        return [
            CheckResult(
                self.table.name,
                check.name,
                check.severity,
                rows,
                failures[check.name],
                f"{failures[check.name]:,} found" if failures[check.name] else "none found",
                check.remedy if failures[check.name] else "",
                self._examples(check) if failures[check.name] else [],
            )
            for check in checks
        ]

    def _examples(self, check: SqlCheck) -> list[Row]:
        sql = f"SELECT * FROM (\n{check.sql}\n) AS offending LIMIT {KEPT_ROWS}"  # noqa: S608
        return _ask(self.warehouse, sql, self.window.parameters()).to_dicts()
