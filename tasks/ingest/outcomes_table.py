"""The business's daily table: texts in, typed rows out, and every bad row with its reason."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from tasks.core.errors import JobError

OUTCOME_COLUMNS = ("date", "geo", "new_customers", "revenue", "currency")
_CONTROL_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TRUTH = {"true": 1.0, "false": 0.0}
NATIONAL = "national"


@dataclass(frozen=True)
class Bad:
    """A row that cannot be taken: its line in the file (the header is line 1), its texts and why."""

    line: int
    row: Mapping[str, object]
    check: str
    reason: str


@dataclass
class Parsed:
    """Rows by (geo, day): outcomes as (new_customers, revenue in micros or None, currency), controls by name."""

    outcomes: dict[tuple[str, date], tuple[float, int | None, str]] = field(default_factory=dict)
    controls: dict[tuple[str, date], dict[str, float]] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)

    def days(self) -> list[date]:
        """All days of the outcomes, sorted."""
        return sorted({day for _, day in self.outcomes})


class _CellError(Exception):
    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check


def _number(row: Mapping[str, str], column: str, *, minimum: float | None = None) -> float:
    text = (row[column] or "").strip()
    if text.lower() in _TRUTH and minimum is None:
        return _TRUTH[text.lower()]
    try:
        value = float(text)
    except ValueError:
        raise _CellError("number", f"{column} is {text!r}, which is no number") from None
    if not math.isfinite(value):
        raise _CellError("number", f"{column} is {text!r}, which is no finite number")
    if minimum is not None and value < minimum:
        raise _CellError(f"{column}_min", f"{column} is {text}, below {minimum:g}")
    return value


def _day(row: Mapping[str, str], today: date) -> date:
    text = (row["date"] or "").strip()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise _CellError("date", f"date is {text!r}, write YYYY-MM-DD") from None
    if day > today:
        raise _CellError("date_in_future", f"date is {text}, today is {today}")
    return day


def _rows(text: str, name: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    reader = csv.DictReader(io.StringIO(text))
    header = [column.strip() for column in reader.fieldnames or []]
    twice = sorted({column for column in header if header.count(column) > 1})
    if not header or twice or "" in header:
        raise JobError(f"{name}: the header {header} is empty, has a nameless column or repeats {twice}; mend the export")
    reader.fieldnames = header
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise JobError(f"{name}: line {reader.line_num} has not {len(header)} fields as the header; mend the export")
        rows.append((reader.line_num, dict(row)))
    if not rows:
        raise JobError(f"{name} has no rows; check the export")
    return header, rows


def _control_names(header: list[str], name: str) -> list[str]:
    names = [column for column in header if column not in OUTCOME_COLUMNS]
    wrong = [column for column in names if not _CONTROL_NAME.fullmatch(column)]
    if wrong:
        raise JobError(f"{name}: name the columns {wrong} in lower case, digits and _ only (like is_promo), or leave them out")
    return names


def parse_outcomes(text: str, name: str, today: date) -> Parsed:
    """Rows of ``date,new_customers,currency`` with ``revenue``, ``geo`` and any controls as further columns.

    JobError if the form of the file is wrong; bad rows are in ``bad``. Identical rows count once, two different rows for one
    day are both bad.
    """
    header, rows = _rows(text, name)
    missing = [column for column in ("date", "new_customers", "currency") if column not in header]
    if missing:
        raise JobError(f"{name} lacks the columns {missing}; it has {header}")
    controls, parsed = _control_names(header, name), Parsed()
    for line, row in rows:
        try:
            key, count = (_geo(row), _day(row, today)), _number(row, "new_customers", minimum=0)
            has_revenue = "revenue" in row and row["revenue"].strip() != ""
            revenue = round(_number(row, "revenue", minimum=0) * 1_000_000) if has_revenue else None
            currency = row["currency"].strip()
            if not re.fullmatch(r"[A-Z]{3}", currency):
                raise _CellError("currency", f"currency is {currency!r}, write an ISO code such as USD")
            value = (count, revenue, currency)
            if parsed.outcomes.get(key, value) != value:
                raise _CellError("one_row_a_day", f"{key[1]} {key[0]} has a second row with other numbers")
            levels = {column: _number(row, column) for column in controls}
        except _CellError as error:
            parsed.bad.append(Bad(line, row, error.check, f"line {line}: {error}"))
            continue
        parsed.outcomes[key] = value
        if levels:
            parsed.controls[key] = levels
    return parsed


def parse_controls(text: str, name: str, today: date) -> Parsed:
    """Rows of ``date``, optional ``geo`` and one column per control (numbers, or true and false)."""
    header, rows = _rows(text, name)
    names, parsed = _control_names(header, name), Parsed()
    if "date" not in header or not names:
        raise JobError(f"{name} needs a column date and at least one control; it has {header}")
    for line, row in rows:
        try:
            key, levels = (_geo(row), _day(row, today)), {column: _number(row, column) for column in names}
            if parsed.controls.get(key, levels) != levels:
                raise _CellError("one_row_a_day", f"{key[1]} {key[0]} has a second row with other numbers")
        except _CellError as error:
            parsed.bad.append(Bad(line, row, error.check, f"line {line}: {error}"))
            continue
        parsed.controls[key] = levels
    return parsed


def _geo(row: Mapping[str, str]) -> str:
    return (row.get("geo") or "").strip() or NATIONAL


def missing_days(parsed: Parsed, start: date, end: date) -> list[tuple[str, date]]:
    """(geo, day) pairs between the first and the last day of outcomes in ``start``–``end`` that have no row."""
    days = [day for day in parsed.days() if start <= day <= end]
    geos = sorted({geo for geo, day in parsed.outcomes if start <= day <= end})
    if not days:
        return []
    span = [date.fromordinal(n) for n in range(days[0].toordinal(), days[-1].toordinal() + 1)]
    return [(geo, day) for day in span for geo in geos if (geo, day) not in parsed.outcomes]
