"""Which BigQuery functions pass to DuckDB, and how: as they are, or rewritten where plain transpilation is silently wrong.

Each entry is compared with ZetaSQL's reference evaluator in tests/core/warehouse/test_dialect_against_zetasql.py. A function
that is not here is refused. Types are not known when SQL is translated, so a rewrite that depends on one asks ``typeof()``:
DuckDB folds it to a constant when it plans, and a wrong type ends in an error instead of a wrong value.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import sqlglot
from sqlglot import exp

from tasks.core.errors import JobError

Rewrite = Callable[[exp.Expr], exp.Expr]


class Untranslatable(JobError):
    """BigQuery SQL that this project does not run on DuckDB; the message names the construct and the alternative."""


def refuse(construct: str, alternative: str) -> Untranslatable:
    """The error for ``construct``, which names what to write instead."""
    return Untranslatable(f"{construct} cannot be run the same way on DuckDB and BigQuery: {alternative}")


@functools.cache
def _parsed(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, dialect="duckdb")


def template(text: str, **nodes: exp.Expr) -> exp.Expr:
    """DuckDB expression ``text`` in which each name ``__key`` is replaced by ``nodes[key]``, in parentheses if it is no leaf."""

    def fill(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.name.startswith("__"):
            value = nodes[node.name[2:]].copy()
            leaf = isinstance(value, exp.Column | exp.Literal | exp.Func | exp.Paren | exp.Parameter)
            return value if leaf else exp.Paren(this=value)
        return node

    return _parsed(text).copy().transform(fill)


def _only_if(type_name: str, construct: str, result: str) -> str:
    """``result`` when ``__x`` has the type ``type_name``; otherwise an error when a row is evaluated."""
    message = f"{construct} wants a {type_name.replace('TIMESTAMP WITH TIME ZONE', 'TIMESTAMP')}"
    return f"CASE WHEN typeof(__x) IN ('{type_name}', '\"NULL\"') THEN {result} ELSE error('{message}, not ' || typeof(__x)) END"


def _unit(node: exp.Expr, construct: str, allowed: tuple[str, ...]) -> str:
    unit = node.args.get("unit")
    name = "" if unit is None else f"WEEK({unit.name})" if isinstance(unit, exp.WeekStart) else unit.name.upper()
    if name not in allowed:
        raise refuse(f"{construct} by {name or 'no unit'}", f"use one of {', '.join(allowed)}")
    return "WEEK" if name in ("WEEK(MONDAY)", "ISOWEEK") else name


_DATE_PARTS = ("DAY", "WEEK(MONDAY)", "ISOWEEK", "MONTH", "QUARTER", "YEAR")
_TIME_PARTS = ("MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY")


def _date_trunc(node: exp.Expr) -> exp.Expr:
    unit = _unit(node, "DATE_TRUNC", _DATE_PARTS)
    return template(_only_if("DATE", "DATE_TRUNC", f"CAST(DATE_TRUNC('{unit}', CAST(__x AS DATE)) AS DATE)"), x=node.this)


def _date_shift(sign: str, name: str) -> Rewrite:
    def rewrite(node: exp.Expr) -> exp.Expr:
        unit = _unit(node, name, ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR"))
        size, step = {"QUARTER": (3, "MONTH"), "WEEK": (7, "DAY")}.get(unit, (1, unit))
        amount = f"to_{step.lower()}s(CAST({size} * CAST(__n AS BIGINT) AS INTEGER))"
        shifted = f"CAST(CAST(__x AS DATE) {sign} {amount} AS DATE)"
        return template(_only_if("DATE", name, shifted), x=node.this, n=_number(node.expression))

    return rewrite


def _number(node: exp.Expr) -> exp.Expr:
    """sqlglot keeps the count of an INTERVAL as a string literal; as a number it can be multiplied."""
    if isinstance(node, exp.Literal) and node.is_string:
        return exp.Literal.number(node.name)
    return node


def _date_diff(node: exp.Expr) -> exp.Expr:
    unit = _unit(node, "DATE_DIFF", _DATE_PARTS)
    both = "CAST(__x AS DATE)", "CAST(__y AS DATE)"
    if unit == "WEEK":
        both = f"DATE_TRUNC('WEEK', {both[0]})", f"DATE_TRUNC('WEEK', {both[1]})"
    difference = f"DATE_DIFF('{unit}', {both[1]}, {both[0]})"
    checked = _only_if("DATE", "DATE_DIFF", _only_if("DATE", "DATE_DIFF", difference).replace("typeof(__x)", "typeof(__y)"))
    return template(checked, x=node.this, y=node.expression)


def _timestamp_diff(node: exp.Expr) -> exp.Expr:
    unit = _unit(node, "TIMESTAMP_DIFF", _TIME_PARTS)
    # DATE_DIFF counts boundaries; BigQuery counts whole elapsed units, as DATE_SUB does.
    kind = "TIMESTAMP WITH TIME ZONE"
    elapsed = f"DATE_SUB('{unit}', CAST(__y AS TIMESTAMPTZ), CAST(__x AS TIMESTAMPTZ))"
    checked = _only_if(kind, "TIMESTAMP_DIFF", _only_if(kind, "TIMESTAMP_DIFF", elapsed).replace("typeof(__x)", "typeof(__y)"))
    return template(checked, x=node.this, y=node.expression)


def _timestamp_shift(sign: str, name: str) -> Rewrite:
    def rewrite(node: exp.Expr) -> exp.Expr:
        unit = _unit(node, name, _TIME_PARTS)
        # A day is 24 hours; as an interval of hours no calendar is involved.
        size, step = (24, "hour") if unit == "DAY" else (1, unit.lower())
        shifted = f"CAST(__x AS TIMESTAMPTZ) {sign} to_{step}s({size} * CAST(__n AS BIGINT))"
        if unit == "SECOND" or step in ("microsecond", "millisecond"):
            micros = {"second": 1_000_000, "millisecond": 1_000, "microsecond": 1}[step]
            shifted = f"CAST(__x AS TIMESTAMPTZ) {sign} to_microseconds({micros} * CAST(__n AS BIGINT))"
        return template(_only_if("TIMESTAMP WITH TIME ZONE", name, shifted), x=node.this, n=_number(node.expression))

    return rewrite


def _timestamp_trunc(node: exp.Expr) -> exp.Expr:
    if node.args.get("zone"):
        raise refuse("TIMESTAMP_TRUNC with a time zone", "truncate in UTC")
    unit = _unit(node, "TIMESTAMP_TRUNC", (*_TIME_PARTS, *_DATE_PARTS))
    truncated = f"DATE_TRUNC('{unit}', CAST(__x AS TIMESTAMPTZ))"
    return template(_only_if("TIMESTAMP WITH TIME ZONE", "TIMESTAMP_TRUNC", truncated), x=node.this)


def _unix_to_time(node: exp.Expr) -> exp.Expr:
    scale = node.args.get("scale")
    factor = {"0": 1_000_000, "3": 1_000, "6": 1}[scale.name if scale is not None else "0"]
    return template(f"make_timestamptz(CAST({factor} * CAST(__x AS BIGINT) AS BIGINT))", x=node.this)


def _date(node: exp.Expr) -> exp.Expr:
    if node.args.get("zone"):
        return template(
            _only_if(
                "TIMESTAMP WITH TIME ZONE", "DATE(timestamp, zone)", "CAST(timezone(__z, CAST(__x AS TIMESTAMPTZ)) AS DATE)"
            ),
            x=node.this,
            z=node.args["zone"],
        )
    return template("CAST(__x AS DATE)", x=node.this)


def _count_if(node: exp.Expr) -> exp.Expr:
    return template("COUNT(CASE WHEN __x THEN 1 END)", x=node.this)  # of no rows it is 0 on BigQuery, null in DuckDB's own


_EXTRACT = ("YEAR", "QUARTER", "MONTH", "DAY", "DAYOFYEAR", "ISOWEEK", "ISOYEAR", "HOUR", "MINUTE", "SECOND")


def _extract(node: exp.Expr) -> exp.Expr:
    part = node.this.name.upper()
    if isinstance(node.expression, exp.AtTimeZone):
        raise refuse("EXTRACT … AT TIME ZONE", "use DATE(timestamp, zone) first")
    if part == "DAYOFWEEK":
        return template("EXTRACT(DAYOFWEEK FROM __x) + 1", x=node.expression)  # BigQuery: Sunday = 1; DuckDB: Sunday = 0
    if part == "DATE":
        return template("CAST(__x AS DATE)", x=node.expression)
    if part not in _EXTRACT:
        raise refuse(f"EXTRACT({part})", f"use one of DATE, DAYOFWEEK, {', '.join(_EXTRACT)}")
    # DuckDB's week is the ISO week.
    return template(f"EXTRACT({'WEEK' if part == 'ISOWEEK' else part} FROM __x)", x=node.expression)


def _date_format(node: exp.Expr, construct: str) -> str:
    text = node.args["format"]
    if not isinstance(text, exp.Literal) or re.search(r"%(?![Ymd])", text.name) or "%Y" not in text.name:
        raise refuse(f"{construct} with {text.sql()}", "write the format as a literal of %Y, %m, %d and plain characters")
    return text.name.replace("'", "''")


def _parse_date(node: exp.Expr) -> exp.Expr:
    return template(f"CAST(STRPTIME(__x, '{_date_format(node, 'PARSE_DATE')}') AS DATE)", x=node.this)


def _format_date(node: exp.Expr) -> exp.Expr:
    if not isinstance(node.this, exp.TsOrDsToDate):
        raise refuse("FORMAT_TIMESTAMP", "format DATE(timestamp) with FORMAT_DATE")
    shown = f"STRFTIME(CAST(__x AS DATE), '{_date_format(node, 'FORMAT_DATE')}')"
    return template(_only_if("DATE", "FORMAT_DATE", shown), x=node.this.this)


def _last_day(node: exp.Expr) -> exp.Expr:
    if node.args.get("unit") is not None:
        _unit(node, "LAST_DAY", ("MONTH",))
    return template(_only_if("DATE", "LAST_DAY", "LAST_DAY(CAST(__x AS DATE))"), x=node.this)


_TO_INT64 = (
    "CASE WHEN typeof(__x) = 'DOUBLE' THEN CAST(ROUND(CAST(__x AS DOUBLE)) AS BIGINT) "  # DuckDB rounds half to even
    "WHEN typeof(__x) <> 'VARCHAR' OR regexp_full_match(CAST(__x AS VARCHAR), '\\s*[+-]?(\\d+|0[xX][0-9a-fA-F]+)\\s*') "
    "THEN CAST(__x AS BIGINT) WHEN __x IS NULL THEN NULL ELSE {otherwise} END"
)
_TO_BOOL = (
    "CASE WHEN typeof(__x) <> 'VARCHAR' OR lower(CAST(__x AS VARCHAR)) IN ('true', 'false') THEN CAST(__x AS BOOLEAN) "
    "WHEN __x IS NULL THEN NULL ELSE {otherwise} END"
)
_TO_STRING = (
    "CASE WHEN typeof(__x) IN ('VARCHAR', 'BIGINT', 'INTEGER', 'HUGEINT', 'BOOLEAN', 'DATE', '\"NULL\"') "
    "THEN CAST(__x AS VARCHAR) "
    "ELSE error('CAST AS STRING writes a ' || typeof(__x) || ' differently on BigQuery; format it in Python') END"
)
_TO_DATE = (
    "CASE WHEN typeof(__x) <> 'VARCHAR' OR regexp_full_match(CAST(__x AS VARCHAR), '\\d{{4}}-\\d{{1,2}}-\\d{{1,2}}') "
    "THEN {cast}(__x AS DATE) WHEN __x IS NULL THEN NULL ELSE {otherwise} END"
)


def _cast(node: exp.Expr) -> exp.Expr:
    safe = isinstance(node, exp.TryCast)
    construct = "SAFE_CAST" if safe else "CAST"
    kind = node.args["to"].this
    otherwise = "NULL" if safe else f"error('{construct}: bad value ' || CAST(__x AS VARCHAR))"
    cast = "TRY_CAST" if safe else "CAST"
    if node.args.get("format"):
        raise refuse(f"{construct} … FORMAT", "use PARSE_DATE or FORMAT_DATE")
    templates = {
        exp.DataType.Type.BIGINT: _TO_INT64.format(otherwise=otherwise).replace("THEN CAST(__x", f"THEN {cast}(__x"),
        exp.DataType.Type.BOOLEAN: _TO_BOOL.format(otherwise=otherwise),
        exp.DataType.Type.TEXT: _TO_STRING,
        exp.DataType.Type.DOUBLE: f"{cast}(__x AS DOUBLE)",
        exp.DataType.Type.DATE: _TO_DATE.format(otherwise=otherwise, cast=cast),
        exp.DataType.Type.TIMESTAMPTZ: f"{cast}(__x AS TIMESTAMPTZ)",
    }
    if kind not in templates:
        raise refuse(
            f"{construct} AS {node.args['to'].sql('bigquery')}",
            "use INT64 (micros for money), FLOAT64, STRING, BOOL, DATE or TIMESTAMP",
        )
    return template(templates[kind], x=node.this)


def _divide(node: exp.Expr) -> exp.Expr:
    divisor = node.expression
    if isinstance(divisor, exp.Literal) and float(divisor.name) != 0:
        return template("CAST(__x AS DOUBLE) / __y", x=node.this, y=divisor)
    guarded = "CASE WHEN __y = 0 THEN error('division by zero') ELSE CAST(__x AS DOUBLE) / __y END"
    return template(guarded, x=node.this, y=divisor)


def _safe_divide(node: exp.Expr) -> exp.Expr:
    return template("CASE WHEN __y <> 0 THEN CAST(__x AS DOUBLE) / __y END", x=node.this, y=node.expression)


def _whole_division(operator: str) -> Rewrite:
    def rewrite(node: exp.Expr) -> exp.Expr:
        guarded = f"CASE WHEN __y = 0 THEN error('division by zero') ELSE __x {operator} __y END"
        x, y = (part.this if isinstance(part, exp.Paren) else part for part in (node.this, node.expression))
        return template(guarded, x=x, y=y)

    return rewrite


def _as_float(function: str) -> Rewrite:
    def rewrite(node: exp.Expr) -> exp.Expr:
        decimals = node.args.get("decimals")
        if decimals is not None:
            if not (isinstance(decimals, exp.Literal) and decimals.name.isdigit()):
                raise refuse(f"{function} to a computed number of digits", "write the number of digits as a literal")
            return template(f"{function}(CAST(__x AS DOUBLE), {int(decimals.name)})", x=node.this)
        return template(f"{function}(CAST(__x AS DOUBLE))", x=node.this)

    return rewrite


def _domain(function: str, condition: str) -> Rewrite:
    """``function`` with an error outside of its domain, where DuckDB gives NaN or -inf."""

    def rewrite(node: exp.Expr) -> exp.Expr:
        return template(
            f"CASE WHEN __x {condition} THEN error('{function} of a value {condition}') ELSE {function}(CAST(__x AS DOUBLE)) END",
            x=node.this,
        )

    return rewrite


def _by_extreme(function: str) -> Rewrite:
    def rewrite(node: exp.Expr) -> exp.Expr:
        return template(f"{function}(__x, __y)", x=node.this, y=node.expression)  # keeps a row whose value is NULL

    return rewrite


def _json_value(node: exp.Expr) -> exp.Expr:
    path = (
        "$"
        + "".join(
            f"[{step.name or step.this}]" if isinstance(step, exp.JSONPathSubscript) else f".{step.this}"
            for step in node.expression.expressions[1:]
        )
        if isinstance(node.expression, exp.JSONPath)
        else ""
    )
    if not re.fullmatch(r"\$(\.[A-Za-z_][A-Za-z0-9_]*|\[\d+\])*", path):
        raise refuse(
            f"JSON path {node.expression.sql('bigquery')}", "write a literal path of names and numbers such as '$.a.b[0]'"
        )
    text = (
        f"CASE WHEN json_valid(__x) THEN CASE WHEN json_type(__x, '{path}') IN ('OBJECT', 'ARRAY') THEN NULL "
        f"ELSE json_extract_string(__x, '{path}') END END"
    )
    return template(text, x=node.this)


def _substring(node: exp.Expr) -> exp.Expr:
    start = node.args.get("start")
    if not (isinstance(start, exp.Literal) and start.name.isdigit() and int(start.name) >= 1):
        raise refuse("SUBSTR from a computed, zero or negative position", "write the position as a literal of at least 1")
    length = node.args.get("length")
    if length is None:
        return template(f"SUBSTRING(__x, {int(start.name)})", x=node.this)
    return template(f"SUBSTRING(__x, {int(start.name)}, __n)", x=node.this, n=length)


def _hex(node: exp.Expr) -> exp.Expr:
    digest = node.this
    if isinstance(digest, exp.SHA2Digest) and digest.args["length"].name == "256":
        return template("SHA256(__x)", x=digest.this)
    raise refuse(f"TO_HEX({digest.sql('bigquery')})", "TO_HEX takes SHA256(text) or MD5(text)")


def _date_array(node: exp.Expr) -> exp.Expr:
    step = node.args.get("step")
    count, unit = (step.this.name, step.args["unit"].name.upper()) if isinstance(step, exp.Interval) else ("", "")
    if not count.isdigit() or int(count) < 1 or unit not in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR"):
        raise refuse("GENERATE_DATE_ARRAY with that step", "write a literal step of at least 1 DAY, WEEK, MONTH, QUARTER or YEAR")
    return template(
        f"CAST(GENERATE_SERIES(CAST(__a AS DATE), CAST(__b AS DATE), INTERVAL '{int(count)}' {unit}) AS DATE[])",
        a=node.args["start"],
        b=node.args["end"],
    )


def _string_agg(node: exp.Expr) -> exp.Expr:
    if isinstance(node.this, exp.Limit):
        raise refuse("STRING_AGG with LIMIT", "number the rows with ROW_NUMBER() and filter first")
    return node


def _regexp(node: exp.Expr) -> exp.Expr:
    if not isinstance(node.expression, exp.RawString | exp.Literal):
        raise refuse("a computed regular expression", "write it as a literal")
    return node


# Operators and clauses that sqlglot represents as functions, and functions that mean the same on both sides.
SAME: frozenset[type[exp.Expr]] = frozenset(
    {
        exp.Abs, exp.And, exp.Any, exp.AnyValue, exp.Array, exp.ArrayAgg, exp.ArraySize, exp.Avg, exp.Case, exp.Coalesce,
        exp.Concat, exp.Count, exp.CumeDist, exp.DenseRank, exp.EndsWith, exp.Exists, exp.Exp, exp.FirstValue,
        exp.GenerateSeries, exp.Greatest, exp.If, exp.IsInf, exp.IsNan, exp.Lag, exp.LastValue, exp.Lead, exp.Least,
        exp.Length, exp.LogicalAnd, exp.LogicalOr, exp.Lower, exp.MD5, exp.Max, exp.Min, exp.Not, exp.Ntile, exp.Nullif, exp.Or,
        exp.PercentRank, exp.PercentileCont, exp.Pow, exp.Rank, exp.Replace, exp.RowNumber, exp.Split, exp.StartsWith, exp.Stddev,
        exp.StddevPop, exp.StddevSamp, exp.Struct, exp.Sum, exp.UnixDate, exp.UnixMicros, exp.Unnest, exp.Upper, exp.Variance,
        exp.VariancePop, exp.DateFromParts,
    }
)  # fmt: skip

REWRITTEN: dict[type[exp.Expr], Rewrite] = {
    exp.ArgMax: _by_extreme("ARG_MAX_NULL"),
    exp.ArgMin: _by_extreme("ARG_MIN_NULL"),
    exp.Cast: _cast,
    exp.Ceil: _as_float("CEIL"),
    exp.CountIf: _count_if,
    exp.Date: _date,
    exp.DateAdd: _date_shift("+", "DATE_ADD"),
    exp.DateDiff: _date_diff,
    exp.DateSub: _date_shift("-", "DATE_SUB"),
    exp.DateTrunc: _date_trunc,
    exp.Div: _divide,
    exp.Extract: _extract,
    exp.Floor: _as_float("FLOOR"),
    exp.GenerateDateArray: _date_array,
    exp.GroupConcat: _string_agg,
    exp.IntDiv: _whole_division("//"),
    exp.JSONExtractScalar: _json_value,
    exp.LastDay: _last_day,
    exp.Ln: _domain("LN", "<= 0"),
    exp.LowerHex: _hex,
    exp.Mod: _whole_division("%"),
    exp.RegexpLike: _regexp,
    exp.Round: _as_float("ROUND"),
    exp.SafeDivide: _safe_divide,
    exp.Sqrt: _domain("SQRT", "< 0"),
    exp.StrToDate: _parse_date,
    exp.Substring: _substring,
    exp.TimeToStr: _format_date,
    exp.TimestampAdd: _timestamp_shift("+", "TIMESTAMP_ADD"),
    exp.TimestampDiff: _timestamp_diff,
    exp.TimestampSub: _timestamp_shift("-", "TIMESTAMP_SUB"),
    exp.TimestampTrunc: _timestamp_trunc,
    exp.Trunc: _as_float("TRUNC"),
    exp.TryCast: _cast,
    exp.UnixToTime: _unix_to_time,
}

# What people reach for most, with what to write instead.
ALTERNATIVES: dict[str, str] = {
    "APPROX_COUNT_DISTINCT": "use COUNT(DISTINCT x)",
    "APPROX_QUANTILES": "use PERCENTILE_CONT(x, q) OVER ()",
    "CURRENT_DATE": "pass the run date as a parameter",
    "CURRENT_TIMESTAMP": "pass the instant as a parameter",
    "FORMAT": "format in Python",
    "GENERATE_UUID": "make the id in Python",
    "RAND": "draw in Python with a seed",
    "SAFE_FUNC": "SAFE.fn() is not supported; use SAFE_CAST or SAFE_DIVIDE",
}
