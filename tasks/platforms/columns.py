"""Decoded rows of an API page, or text columns of a file, as typed columns: a unit each, exact amounts, no per-cell Polars work.

| unit | takes | gives |
| --- | --- | --- |
| text | text, whole numbers | String |
| count | whole numbers as number or text | Int64 |
| number | numbers as number or text | Float64 |
| money | units of the currency, `12.34` | Int64 micros |
| cents | hundredths of the currency, `1234` | Int64 micros |
| micros | millionths of the currency | Int64 micros |
| day | `2026-03-01`, alone or at the head of a timestamp | Date |
| flag | true or false as boolean or text | Boolean |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from tasks.core.errors import JobError

if TYPE_CHECKING:
    import polars as pl

Unit = Literal["text", "count", "number", "money", "cents", "micros", "day", "flag"]
REQUIRED = object()
_PER_MICRO = {"money": 1_000_000, "cents": 10_000, "micros": 1}
_WORDS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Column:
    """One column of a raw frame.

    Args:
        name: what the table contract calls it.
        path: the key a row holds it under; keys of nested objects are joined by a dot, ``dimensions.ad_id``.
        unit: see the module's table.
        default: what an absent, null or empty cell means; without one such a cell is an error. None stays null.
    """

    name: str
    path: str
    unit: Unit = "text"
    default: object = REQUIRED


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], what: str) -> pl.DataFrame:
    """``rows`` as a frame of ``columns``; JobError names ``what``, the column and the value that does not fit."""
    import polars as pl

    cells = _all_cells(rows, [column.path for column in columns])
    return pl.DataFrame([convert(_series(column, own), column, what) for column, own in zip(columns, cells, strict=True)])


def convert_frame(frame: pl.DataFrame, columns: Sequence[Column], what: str) -> pl.DataFrame:
    """``columns`` out of a frame whose columns are named by their paths, e.g. a CSV read as text.

    A column that the frame lacks is an error unless it has a default.
    """
    import polars as pl

    made = []
    for column in columns:
        if column.path in frame.columns:
            source = frame[column.path]
        elif column.default is REQUIRED:
            raise JobError(f"{what}: there is no column {column.path!r}; it has {', '.join(frame.columns)}")
        else:
            source = pl.Series(column.path, [None] * frame.height, dtype=pl.String)
        made.append(convert(source, column, what))
    return pl.DataFrame(made)


def convert(source: pl.Series, column: Column, what: str) -> pl.Series:
    """``source`` in the column's unit and under its name, its default in place of empty cells."""
    import polars as pl

    if source.dtype == pl.String:
        source = source.set(source.str.strip_chars() == "", None)
    if source.null_count() and column.default is REQUIRED:
        raise JobError(f"{what}: {column.path} is empty in {source.null_count()} of {len(source)} rows; it is needed in each")
    made = _typed(source, column.unit)
    bad = made.is_null() & source.is_not_null()
    if bad.any():
        value = source.filter(bad)[0]
        raise JobError(f"{what}: {column.path} is {value!r}, which is no {column.unit}; the row cannot be read")
    if column.default is not REQUIRED and column.default is not None and made.null_count():
        made = made.to_frame("cell").select(pl.col("cell").fill_null(pl.lit(column.default, dtype=made.dtype)))["cell"]
    return made.alias(column.name)


def _all_cells(rows: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> list[list[Any]]:
    """The cells of each path. Most pages have every key in every row: those are picked in one go, twice as fast."""
    if len(paths) > 1 and not any("." in path for path in paths):
        try:
            return [list(column) for column in zip(*map(itemgetter(*paths), rows), strict=True)] or [[] for _ in paths]
        except KeyError:
            pass  # some row lacks a key: asked one by one, absent ones are null
    return [_cells(rows, path) for path in paths]


def _cells(rows: Sequence[Mapping[str, Any]], path: str) -> list[Any]:
    keys = path.split(".")
    if len(keys) == 1:
        return [row.get(path) for row in rows]
    if len(keys) == 2:
        outer, inner = keys
        return [(row.get(outer) or {}).get(inner) for row in rows]
    cells: list[Any] = list(rows)
    for key in keys:
        cells = [(cell or {}).get(key) for cell in cells]
    return cells


def _series(column: Column, cells: list[Any]) -> pl.Series:
    """The cells in the type JSON gave them; a mixture of numbers and text as text."""
    import polars as pl

    try:
        made = pl.Series(column.path, cells)
    except (TypeError, pl.exceptions.PolarsError):
        made = pl.Series(column.path, [None if cell is None else str(cell) for cell in cells], dtype=pl.String)
    if made.dtype.is_nested() or made.dtype == pl.Object:
        made = pl.Series(column.path, [None if cell is None else str(cell) for cell in cells], dtype=pl.String)
    return made.cast(pl.String) if made.dtype == pl.Null else made


def _typed(source: pl.Series, unit: Unit) -> pl.Series:
    """``source`` in the type of ``unit``; null where a value does not fit."""
    import polars as pl

    if unit == "text":
        return source.cast(pl.Int64, strict=False).cast(pl.String) if source.dtype.is_float() else source.cast(pl.String)
    if unit == "day":
        return source.cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if unit == "flag":
        if source.dtype == pl.Boolean:
            return source
        return source.cast(pl.String).str.to_lowercase().replace_strict(_WORDS, default=None, return_dtype=pl.Boolean)
    if source.dtype == pl.Boolean:
        return pl.Series([None] * len(source), dtype=pl.Int64)
    if unit in ("count", "micros") and not source.dtype.is_float():
        whole = source.cast(pl.Int64, strict=False)
        if whole.null_count() == source.null_count():
            return whole
    number = source.cast(pl.Float64, strict=False)
    number = number.set(~number.is_finite().fill_null(value=True), None)
    if unit == "number":
        return number
    if unit == "count":
        return number.set((number != number.round()).fill_null(value=False), None).cast(pl.Int64)
    return (number * _PER_MICRO[unit]).round().cast(pl.Int64, strict=False)
