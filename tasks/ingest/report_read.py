"""Connector reports from files: which files, their bytes as text columns with lower-case names."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tasks.core.errors import JobError
from tasks.ingest.csv_problems import Problems
from tasks.ingest.csv_read import file_text, line_numbers
from tasks.ingest.report_spec import Report, recognise

SUFFIXES = (".csv", ".csv.gz", ".parquet")
FILE = "__file__"  # the name of the file a row comes from, kept beside its texts


@dataclass(frozen=True)
class Found:
    """One file: its name, what report it is and its rows as texts."""

    name: str
    report: Report
    rows: pl.DataFrame


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and of each folder its reports by suffix, in order; JobError where there is none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and p.name.lower().endswith(SUFFIXES))
            if not inside:
                raise JobError(f"the folder {path.name!r} holds no file that ends in {', '.join(SUFFIXES)}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise JobError(f"no file or folder {path.name!r} at that path; give the paths of the connector's reports")
    return list(dict.fromkeys(found))


def read_files(paths: Iterable[Path]) -> list[Found]:
    """Every file, recognised and read; JobError tells of all that cannot be, so that a person mends them at once."""
    found, broken = [], []
    for path in paths:
        try:
            rows = _read(path)
            found.append(Found(path.name, recognise(path.name, rows.columns), rows.with_columns(pl.lit(path.name).alias(FILE))))
        except JobError as error:
            broken.append(str(error))
    if broken:
        raise JobError(
            "\n".join([f"{len(broken)} of {len(broken) + len(found)} files cannot be read; nothing was written", *broken])
        )
    return found


def _read(path: Path) -> pl.DataFrame:
    frame = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    return frame.rename(dict(zip(frame.columns, _names(path, frame.columns), strict=True)))


def _names(path: Path, header: Iterable[str]) -> list[str]:
    """The header in lower case; connectors differ in case by the warehouse they write to."""
    names = [name.strip().lower() for name in header]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise JobError(f"{path.name}: the header names {', '.join(twice)} more than once; export the report again")
    return names


def _csv(path: Path) -> pl.DataFrame:
    problems = Problems(path.name)
    text = file_text(path, problems)
    header = next(csv.reader(io.StringIO(text, newline="")))
    _names(path, header)  # the reader below would number a repeated name instead of refusing it
    try:
        rows = len(line_numbers(text, len(header), ",", problems))
    except csv.Error as error:
        raise JobError(f"{path.name} cannot be read as CSV: {error}; export the report again") from error
    problems.stop_if_any()
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise JobError(f"{path.name} cannot be read as CSV: {error}; export the report again") from error
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    if frame.height != rows:
        raise JobError(f'{path.name}: {frame.height} rows by one reader and {rows} by the other; look for a quote (") left open')
    if not rows:
        raise JobError(f"{path.name} has a header and no rows; export the report with its data, or leave the file out")
    return frame


def _parquet(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise JobError(f"{path.name} cannot be read as Parquet: {error}; write it again") from error
    if frame.is_empty():
        raise JobError(f"{path.name} has columns and no rows; export the report with its data, or leave the file out")
    texts = [
        pl.col(name).dt.strftime("%Y-%m-%d" if dtype == pl.Date else "%Y-%m-%d %H:%M:%S%.6f")
        if dtype == pl.Date or isinstance(dtype, pl.Datetime)
        else pl.col(name).cast(pl.List(pl.String)).list.join(",")
        if isinstance(dtype, pl.List)
        else pl.col(name).cast(pl.String)
        for name, dtype in frame.schema.items()
        if not isinstance(dtype, pl.Struct)
    ]
    return frame.select(texts)
