"""Rows of an experiment's file: every cell that does not fit is a problem with row, column and remedy, all shown at once.

No message repeats a unit: the file may hold what it must not, an address for example.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl

from tasks.core.errors import JobError
from tasks.ingest.csv_problems import PER_COLUMN, Problems
from tasks.ingest.csv_read import LINE, file_text, line_numbers

REQUIRED = ("experiment_id", "unit_id_kind", "unit_id", "arm", "is_randomised")
WHEN = ("assigned_at", "assigned_date")
OPTIONAL = ("propensity", "segment")
COLUMNS = (*REQUIRED, *WHEN, *OPTIONAL)
ARMS = ("treatment", "control")
UNIT_KINDS = ("person_id", "user_pseudo_id")
EARLIEST = date(2015, 1, 1)
_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
_SEGMENT = r"^[\w .:/+-]{1,64}$"
_PERSON = r"^[0-9a-f]{32}$"
_PERSONAL = r"@|^\+?[\d ()/-]{7,}$"  # an address, or what is dialled; GA4's cookies hold a point


class Rows:
    """The texts of one file, and what is wrong with them."""

    def __init__(self, texts: pl.DataFrame, problems: Problems) -> None:
        self.texts, self.problems = texts, problems

    def refuse(self, bad: pl.Expr, column: str, message: str, remedy: str, *, show: bool = True) -> None:
        """Note the first rows where ``bad`` holds, count the others."""
        rows = self.texts.filter(bad.fill_null(False))
        for line, value in rows.select(LINE, column).head(PER_COLUMN).iter_rows():
            self.problems.add(message, remedy, line=line, column=column, value=(value or "") if show else None)
        self.problems.count_hidden(rows.height - PER_COLUMN)

    def one_value(self, column: str, what: str) -> None:
        """The whole file has one value in ``column``."""
        given = self.texts.drop_nulls(column).group_by(column).agg(pl.col(LINE).min()).sort(LINE)
        if given.height > 1:
            first, other = given.row(0, named=True), given.row(1, named=True)
            self.problems.add(
                f"mixed {what}: row {first[LINE]} says {first[column]!r}",
                "Write one file per experiment, with one kind of unit and one way of assigning",
                line=other[LINE],
                column=column,
                value=other[column],
            )


def read_texts(path: Path, problems: Problems) -> pl.DataFrame:
    """Every known column of the CSV as stripped text, blank as null, absent ones as null, beside the line in ``LINE``."""
    text = file_text(path, problems)
    names = [name.strip() for name in next(csv.reader([text.lstrip("\r\n").splitlines()[0]]))]
    _check_names(names, problems)
    try:
        lines = line_numbers(text, len(names), ",", problems)
        problems.stop_if_any()
        if not lines:
            raise JobError(f"{path.name} has a header and no rows; export the assignments with their rows")
        frame = pl.read_csv(io.BytesIO(text.encode()), infer_schema=False, new_columns=names)
    except (csv.Error, pl.exceptions.ComputeError) as error:
        raise JobError(f"{path.name} cannot be read as CSV: {error}; save it again as CSV (UTF-8)") from error
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    if frame.height != len(lines):
        raise JobError(f'{path.name}: {frame.height} rows by one reader, {len(lines)} by the other; is a quote (") left open?')
    stripped = pl.all().str.strip_chars()
    frame = frame.select(pl.when(stripped == "").then(None).otherwise(stripped).name.keep())
    absent = [pl.lit(None, dtype=pl.String).alias(column) for column in COLUMNS if column not in names]
    return frame.with_columns(*absent, pl.Series(LINE, lines, dtype=pl.Int64))


def _check_names(names: list[str], problems: Problems) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            problems.add(f"the header has this name {times} times", "Keep one of the columns", line=1, column=name)
        if name not in COLUMNS:
            problems.add("no column of an experiment", f"Known are: {', '.join(COLUMNS)}", line=1, column=name)
    for column in REQUIRED:
        if column not in names:
            problems.add("the header lacks this column", f"Needed are: {', '.join(REQUIRED)}", line=1, column=column)
    if not set(WHEN) & set(names):
        problems.add("the header lacks this column", "Or give assigned_date, the day alone", line=1, column="assigned_at")
    if set(WHEN) <= set(names):
        problems.add("the header says the time twice", "Keep assigned_at or assigned_date", line=1, column="assigned_date")


def parse(texts: pl.DataFrame, run_date: date, problems: Problems, *, is_growing: bool = False) -> pl.DataFrame:
    """``texts`` as the typed columns of ``gaelp_users.experiment_assignments`` without source and loaded_at.

    In a file that ``is_growing`` assignments of the run date and later are normal: they are left out, not refused.
    """
    rows = Rows(texts, problems)
    for column in REQUIRED:
        rows.refuse(pl.col(column).is_null(), column, "an empty cell", "Fill it in; nothing here is assumed")
    rows.refuse(~pl.col("arm").is_in(ARMS), "arm", "no arm", "Write treatment or control, in lower case")
    rows.refuse(~pl.col("unit_id_kind").is_in(UNIT_KINDS), "unit_id_kind", "no kind of unit", "Write person_id or user_pseudo_id")
    rows.refuse(
        ~pl.col("is_randomised").is_in(["true", "false"]), "is_randomised", "neither true nor false", "Write true or false"
    )
    name = pl.col("experiment_id")
    rows.refuse(~name.str.contains(_NAME), "experiment_id", "no name of an experiment", "Write a-z, 0-9, _ and -, at most 64")
    rows.refuse(~pl.col("segment").str.contains(_SEGMENT), "segment", "no name of a segment", "Write at most 64 plain characters")
    for column, what in (("experiment_id", "experiments"), ("unit_id_kind", "units"), ("is_randomised", "ways of assigning")):
        rows.one_value(column, what)
    _check_units(rows)
    times = _times(rows, run_date, is_growing=is_growing)
    numbers = _propensity(rows)
    typed = texts.select(
        *("experiment_id", "unit_id_kind", "unit_id", "arm", "segment"),
        (pl.col("is_randomised") == "true").alias("is_randomised"),
        *times,
        numbers,
    )
    return typed.filter(pl.col("assigned_date") < run_date) if is_growing else typed


def _check_units(rows: Rows) -> None:
    unit, is_person = pl.col("unit_id"), pl.col("unit_id_kind") == "person_id"
    remedy = "Write the person_id of gaelp_users.identity_nodes (32 hex digits), or assign user_pseudo_id"
    rows.refuse(is_person & ~unit.str.contains(_PERSON), "unit_id", "no person_id", remedy, show=False)
    personal = ~is_person & unit.str.contains(_PERSONAL)
    rows.refuse(personal, "unit_id", "looks like an address or a phone number", "Assign user_pseudo_id or person_id", show=False)
    rows.refuse(unit.str.len_chars() > 200, "unit_id", "longer than 200 characters", "Write the id alone", show=False)
    first = rows.texts.drop_nulls("unit_id").group_by("unit_id").agg(first=pl.col(LINE).min())
    again = rows.texts.join(first, on="unit_id").filter(pl.col(LINE) > pl.col("first")).sort(LINE)
    for line, before in again.select(LINE, "first").head(PER_COLUMN).iter_rows():
        message = f"the unit stands in row {before} already"
        rows.problems.add(message, "Keep its first assignment: one unit, one arm", line=line, column="unit_id")
    rows.problems.count_hidden(again.height - PER_COLUMN)
    arms = set(rows.texts["arm"].drop_nulls()) & set(ARMS)
    if len(arms) == 1:
        missing = next(arm for arm in ARMS if arm not in arms)
        rows.problems.add(f"no unit is in the arm {missing}", "Without both arms nothing can be compared", column="arm")


def _times(rows: Rows, run_date: date, *, is_growing: bool) -> list[pl.Series]:
    texts = rows.texts
    if texts["assigned_at"].null_count() < texts.height:
        column = "assigned_at"
        has_offset = texts[column].str.contains(r"(Z|[+-]\d\d:?\d\d)$").fill_null(False)
        at = texts[column].str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
        rows.refuse(pl.lit(~has_offset), column, "no time with an offset", "Write ISO 8601 such as 2026-03-01T10:00:00+01:00")
        rows.refuse(pl.lit(has_offset & at.is_null()), column, "no time", "Write ISO 8601 such as 2026-03-01T10:00:00+01:00")
        day = at.dt.date()
    else:
        column = "assigned_date"
        day = texts[column].str.to_date("%Y-%m-%d", strict=False)
        at = pl.Series("assigned_at", [None] * texts.height, dtype=pl.Datetime("us", "UTC"))
        rows.refuse(pl.lit(day.is_null()), column, "no day", "Write it as 2026-03-01")
    if not is_growing:
        late = f"Assignments of {run_date} and later are not complete; leave them out or give a later --run-date"
        rows.refuse(pl.lit(day >= run_date), column, "on or after the run date", late)
    rows.refuse(pl.lit(day < EARLIEST), column, f"before {EARLIEST}", "Write the true day")
    return [at.alias("assigned_at"), day.alias("assigned_date")]


def _propensity(rows: Rows) -> pl.Series:
    column = "propensity"
    number = rows.texts[column].cast(pl.Float64, strict=False)
    given, randomised = pl.col(column).is_not_null(), pl.col("is_randomised") == "true"
    inside = (number > 0) & (number < 1)
    remedy = "Write the probability of treatment, for example 0.5; nobody may be sure of an arm"
    rows.refuse(given & pl.lit(~inside.fill_null(False)), column, "no probability between 0 and 1", remedy)
    rows.refuse(randomised & ~given, column, "an empty cell of a randomised experiment", remedy)
    no_lot = "Without a lot nobody knows it; leave it empty, fit-uplift estimates it"
    rows.refuse(given & (pl.col("is_randomised") == "false"), column, "given though nothing was randomised", no_lot)
    return number.alias(column)
