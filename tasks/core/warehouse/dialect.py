"""BigQuery SQL on DuckDB: transpiles through sqlglot and refuses what would be silently wrong.

Default-deny: a statement passes only if every node of its tree is on a list that the tests cover. ADR 0006 says why.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.warehouse.dialect_functions import ALTERNATIVES, REWRITTEN, SAME, Untranslatable, refuse, template
from tasks.core.warehouse.parameters import ParameterType, check_names, parameter_type

_DUCKDB_TYPES = {
    "BOOL": "BOOLEAN",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "STRING": "VARCHAR",
    "TIMESTAMP": "TIMESTAMPTZ",
    "DATE": "DATE",
}

# Clauses, operators and leaves that mean the same on both sides.
_STRUCTURE: frozenset[type[exp.Expr]] = frozenset(
    {
        exp.Add, exp.Alias, exp.Between, exp.Boolean, exp.Bracket, exp.CTE, exp.Column, exp.DataType, exp.Distinct, exp.Dot,
        exp.DPipe, exp.EQ, exp.Except, exp.From, exp.GT, exp.GTE, exp.Group, exp.Having, exp.HavingMax, exp.Identifier,
        exp.IgnoreNulls, exp.In,
        exp.Intersect, exp.Interval, exp.Is, exp.Join, exp.JSONPath, exp.JSONPathKey, exp.JSONPathRoot, exp.JSONPathSubscript,
        exp.LT, exp.LTE, exp.Like, exp.Limit, exp.Literal, exp.Mul, exp.NEQ, exp.Neg, exp.Null, exp.NullSafeEQ, exp.NullSafeNEQ,
        exp.Offset, exp.Order, exp.Ordered, exp.Parameter, exp.Paren, exp.PropertyEQ, exp.Qualify, exp.RawString, exp.Select,
        exp.Star, exp.Sub, exp.Subquery, exp.Table, exp.TableAlias, exp.TsOrDsToDate, exp.Tuple, exp.Union, exp.Var,
        exp.WeekStart, exp.Where, exp.Window,
        exp.WindowSpec, exp.With, exp.SHA2Digest,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """A translated statement: DuckDB SQL, the contract tables it names, the parameters it uses."""

    sql: str
    tables: tuple[str, ...]
    parameters: frozenset[str]


def parse_select(sql: str) -> exp.Expr:
    """Tree of one BigQuery SELECT; JobError for a syntax error, several statements or anything but a query."""
    try:
        trees = sqlglot.parse(sql, dialect="bigquery")
    except (ParseError, TokenError) as error:
        raise JobError(f"SQL does not parse as BigQuery: {error}") from error
    found = [tree for tree in trees if tree is not None]
    if len(found) != 1:
        raise JobError(f"query() takes one statement, not {len(found)}")
    if not isinstance(found[0], exp.Select | exp.SetOperation | exp.Subquery):
        raise JobError(
            f"query() takes a SELECT, not {found[0].key.upper()}; write through append, merge, insert_new or replace_partitions"
        )
    return found[0]


def tables_of(tree: exp.Expr) -> tuple[str, ...]:
    """Contract tables named in ``tree``, sorted; JobError for a table without dataset or with a project."""
    names = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables = set()
    for table in tree.find_all(exp.Table):
        if table.catalog:
            raise JobError(f"{table.sql('bigquery')} names a project; write `dataset.table`, the project is a setting")
        if table.db:
            tables.add(load_contract(f"{table.db}.{table.name}").name)
        elif table.name not in names:
            raise JobError(f"table {table.name!r} has no dataset and is not a WITH name; write `dataset.{table.name}`")
    return tuple(sorted(tables))


def qualified(sql: str, project: str) -> str:
    """``sql`` with ``project`` before each table, for a view, which keeps no default project; the rest of the text stays."""
    names = "|".join(re.escape(table) for table in tables_of(parsed(sql)))
    return re.sub(rf"(?<![\w.`-])({names})(?![\w.])", lambda found: f"`{project}`.{found[1]}", sql)


def parameter_types(tree: exp.Expr, params: Mapping[str, object]) -> dict[str, ParameterType]:
    """BigQuery type of each parameter of ``tree``.

    The elements of an empty list take the type of the contract column that the list is compared with.
    """
    used = frozenset(node.name for node in tree.find_all(exp.Parameter))
    check_names(used, params)
    columns = {field.name: field.type for table in tables_of(tree) for field in load_contract(table).fields}
    compared = {}
    for node in tree.find_all(exp.In):
        unnest = node.args.get("unnest")
        if unnest is not None and isinstance(unnest.expressions[0], exp.Parameter) and isinstance(node.this, exp.Column):
            compared[unnest.expressions[0].name] = columns.get(node.this.name)
    return {name: parameter_type(name, value, compared.get(name)) for name, value in params.items()}


@functools.lru_cache(maxsize=512)
def parsed(sql: str) -> exp.Expr:
    """:func:`parse_select`, remembered; callers copy before they change the tree."""
    return parse_select(sql)


def to_duckdb(sql: str, params: Mapping[str, object] | None = None) -> Statement:
    """Translate one BigQuery SELECT for the types of ``params``; JobError names what cannot be translated faithfully."""
    return _translate(sql, tuple(sorted(parameter_types(parsed(sql), params or {}).items())))


@functools.lru_cache(maxsize=512)
def _translate(sql: str, types: tuple[tuple[str, ParameterType], ...]) -> Statement:
    tree = parsed(sql).copy()
    tables = tables_of(tree)
    for node in tree.walk():
        _check(node)
    names = frozenset(node.name for node in tree.find_all(exp.Parameter))
    translated = rewrite(tree, dict(types))
    return Statement(translated.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE), tables, names)


def _check(node: exp.Expr) -> None:
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        raise refuse(f"function {node.name.upper()}", ALTERNATIVES.get(node.name.upper(), "it is not on the tested list"))
    if type(node) not in _STRUCTURE and type(node) not in SAME and type(node) not in REWRITTEN:
        name = node.sql_name() if isinstance(node, exp.Func) else type(node).__name__
        raise refuse(name, ALTERNATIVES.get(name, "it is not on the tested list of tasks/core/warehouse/dialect_functions.py"))
    rule = _RULES.get(type(node))
    if rule is not None:
        rule(node)


def _check_bracket(node: exp.Expr) -> None:
    if node.args.get("safe") is not True:
        raise refuse(
            "array[OFFSET(n)]", "BigQuery fails outside of the array and DuckDB gives NULL; use SAFE_OFFSET(n) or SAFE_ORDINAL(n)"
        )


def _check_unnest(node: exp.Expr) -> None:
    if node.args.get("offset"):
        raise refuse(
            "UNNEST … WITH OFFSET",
            "its offsets start at 1 on DuckDB; unnest GENERATE_ARRAY(0, ARRAY_LENGTH(a) - 1) and use SAFE_OFFSET",
        )


def _check_struct(node: exp.Expr) -> None:
    if any(not isinstance(field, exp.PropertyEQ) for field in node.expressions):
        raise refuse("STRUCT with an unnamed field", "name every field: STRUCT(a AS a)")


def _check_interval(node: exp.Expr) -> None:
    if not isinstance(node.parent, exp.GenerateDateArray):
        raise refuse("date + INTERVAL", "use DATE_ADD, DATE_SUB, TIMESTAMP_ADD or TIMESTAMP_SUB")


def _check_parent(kind: type[exp.Expr], construct: str, alternative: str) -> Callable[[exp.Expr], None]:
    def check(node: exp.Expr) -> None:
        if not isinstance(node.parent, kind):
            raise refuse(construct, alternative)

    return check


def _check_datatype(node: exp.Expr) -> None:
    if not isinstance(node.parent, exp.Cast):
        raise refuse(f"type {node.sql('bigquery')}", "types are written in CAST only")


def _check_select(node: exp.Expr) -> None:
    """A GROUP BY name that is an alias here and a column below it means different things on the two sides."""
    if node.args.get("kind"):
        raise refuse("SELECT AS STRUCT", "select the fields as columns")
    group = node.args.get("group")
    grouped = {key.name for key in group.expressions if isinstance(key, exp.Column) and not key.table} if group else set()
    for item in node.expressions:
        derived = isinstance(item, exp.Alias) and item.alias in grouped and not isinstance(item.this, exp.Column)
        if derived and any(column.name == item.alias for column in item.this.find_all(exp.Column)):
            raise refuse(
                f"GROUP BY {item.alias}, which is both a column and made from it,", "give the derived column another name"
            )


def _check_array_agg(node: exp.Expr) -> None:
    if isinstance(node.this, exp.Limit) or (isinstance(node.this, exp.Order) and isinstance(node.parent, exp.IgnoreNulls)):
        raise refuse(
            "ARRAY_AGG with LIMIT, or with IGNORE NULLS and ORDER BY", "filter and number the rows in a WITH clause first"
        )


_RULES: dict[type[exp.Expr], Callable[[exp.Expr], None]] = {
    exp.ArrayAgg: _check_array_agg,
    exp.Bracket: _check_bracket,
    exp.DataType: _check_datatype,
    exp.Interval: _check_interval,
    exp.SHA2Digest: _check_parent(exp.LowerHex, "SHA256 as bytes", "use TO_HEX(SHA256(x))"),
    exp.Select: _check_select,
    exp.Struct: _check_struct,
    exp.TsOrDsToDate: _check_parent(exp.TimeToStr, "an implicit cast to DATE", "use DATE(x)"),
    exp.Unnest: _check_unnest,
}


def rewrite(tree: exp.Expr, types: dict[str, ParameterType]) -> exp.Expr:
    """``tree`` for DuckDB, from the leaves up so that a rewrite sees arguments that are done."""
    for node in reversed(list(tree.walk(bfs=True))):
        replacement = _replacement(node, types)
        if replacement is not None:
            if node is tree:
                tree = replacement
            node.replace(replacement)
    return tree


def _replacement(node: exp.Expr, types: dict[str, ParameterType]) -> exp.Expr | None:
    if isinstance(node, exp.In) and node.args.get("unnest") is not None:
        array = node.args["unnest"].expressions[0]
        if isinstance(array, exp.Cast):  # a parameter: not NULL and without NULLs, so a hash join says the same and is faster
            return template("__x IN (SELECT UNNEST(__a))", x=node.this, a=array)
        return None
    if isinstance(node, exp.Parameter):
        kind = types[node.name]
        return exp.cast(node.copy(), _DUCKDB_TYPES[kind.name] + ("[]" if kind.is_array else ""), dialect="duckdb")
    if isinstance(node, exp.Literal) and not node.is_string and not node.name.isdigit():
        return exp.cast(node.copy(), "DOUBLE", dialect="duckdb")  # 1.5 is FLOAT64 on BigQuery, DECIMAL on DuckDB
    rewrite = REWRITTEN.get(type(node))
    return rewrite(node) if rewrite is not None else None


__all__ = ["Statement", "Untranslatable", "parameter_types", "parsed", "rewrite", "tables_of", "to_duckdb"]
