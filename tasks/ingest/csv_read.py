"""From bytes to a frame of texts: encoding, separator, header and shape of a person's file, checked before anything is parsed."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from pathlib import Path

import polars as pl

from tasks.core.errors import JobError
from tasks.ingest.csv_map import CsvMap
from tasks.ingest.csv_problems import Problems

LINE = "__line__"  # line in the file, kept beside the texts so that every problem can name it
_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


def file_text(path: Path, problems: Problems) -> str:
    """Text of a plain or gzipped UTF-8 file; what is no text is refused by name."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise JobError(f"{path.name} starts like a gzip file but does not unpack: {error}; pack it again") from error
    if raw[:4] == b"PK\x03\x04":
        raise JobError(f"{path.name} is a workbook or a zip archive, not a CSV; save the sheet as CSV (UTF-8)")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in raw:
        raise JobError(f"{path.name} is not UTF-8 text (it holds zero bytes); save it as CSV (UTF-8)")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problems.add(
            "a byte that is not UTF-8",
            "Save the file as CSV (UTF-8); it may be in Windows-1252 now",
            line=line,
            value=f"0x{raw[error.start]:02x}",
        )
        problems.stop_if_any()
        raise
    if not text.strip():
        raise JobError(f"{path.name} is empty; export the table again with its header and rows")
    return text


def _header(text: str, spec: CsvMap, problems: Problems) -> list[str]:
    first = text.lstrip("\r\n").splitlines()[0]
    names = [name.strip() for name in next(csv.reader([first], delimiter=spec.separator))]
    for other, word in _SEPARATORS.items():
        if other != spec.separator and len(names) == 1 and other in first:
            problems.add(
                f"the columns seem to be separated by {word}, the map says {_SEPARATORS[spec.separator]}",
                f"Add `file: {{separator: {other!r}}}` to the map"
                + (" and `decimal: ','` if numbers are written like 1,5" if other == ";" else ""),
                line=1,
                value=first[:60],
            )
            problems.stop_if_any()
    return names


def _check_names(names: list[str], spec: CsvMap, problems: Problems) -> None:
    for name, times in Counter(names).items():
        if name == "":
            problems.add(
                "a column without a name", "Name it in the header or delete it", line=1, column=f"#{names.index('') + 1}"
            )
        elif times > 1:
            problems.add(
                f"the header has this name {times} times", "Rename the columns so that each is unique", line=1, column=name
            )
    for column in sorted(spec.columns() - set(names)):
        problems.add(
            "the map names this column, the file lacks it",
            f"The file has: {', '.join(names)}. Correct the map or the header",
            line=1,
            column=column,
        )
    for column in sorted(set(names) - spec.columns() - set(spec.ignore) - {""}):
        problems.add("the map does not say what this column is", "Map it, or list it under `ignore`", line=1, column=column)


def line_numbers(text: str, width: int, separator: str, problems: Problems) -> list[int]:
    """Line number of every row that is not blank; a row with more or fewer fields than the header is a problem."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    lines: list[int] = []
    start = 1
    for fields in reader:
        if fields:
            lines.append(start)
            if len(fields) != width:
                problems.add(
                    f"the row has {len(fields)} fields, the header {width}",
                    "Quote fields that hold the separator; fill in or delete the row"
                    + (", or write decimals with a point" if separator == "," and len(fields) > width else ""),
                    line=start,
                )
        start = reader.line_num + 1
    return lines[1:]


def _from_csv(path: Path, spec: CsvMap, problems: Problems) -> pl.DataFrame:
    text = file_text(path, problems)
    names = _header(text, spec, problems)
    _check_names(names, spec, problems)
    try:
        lines = line_numbers(text, len(names), spec.separator, problems)
    except csv.Error as error:
        raise JobError(f"{path.name} cannot be read as CSV: {error}; save it again as CSV (UTF-8)") from error
    problems.stop_if_any()
    if not lines:
        raise JobError(f"{path.name} has a header and no rows; export the table with its data")
    try:
        frame = pl.read_csv(
            io.BytesIO(text.encode()), has_header=True, separator=spec.separator, infer_schema=False, new_columns=names
        )
    except pl.exceptions.ComputeError as error:
        raise JobError(f"{path.name} cannot be read as CSV: {error}; save it again as CSV (UTF-8)") from error
    blank = pl.all_horizontal(pl.all().is_null())
    # In a table of one column a blank line and an empty cell look the same; such a table lacks its other columns anyway.
    frame = frame.filter(~blank) if frame.height != len(lines) else frame
    if frame.height != len(lines):
        raise JobError(
            f'{path.name}: {frame.height} rows by one reader and {len(lines)} by the other; look for a quote (") that is '
            "opened and not closed"
        )
    return frame.with_columns(pl.Series(LINE, lines, dtype=pl.Int64))


def _from_parquet(path: Path, spec: CsvMap, problems: Problems) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise JobError(f"{path.name} cannot be read as Parquet: {error}; write it again") from error
    _check_names(frame.columns, spec, problems)
    for column, dtype in frame.schema.items():
        if dtype.is_nested() or dtype == pl.Binary:
            problems.add(f"the column holds {dtype}", "Give it a plain number, text or date type", column=column)
    problems.stop_if_any()
    if frame.is_empty():
        raise JobError(f"{path.name} has columns and no rows; export the table with its data")
    texts = [
        pl.col(column).dt.strftime(spec.date_format) if dtype.is_temporal() else pl.col(column).cast(pl.String)
        for column, dtype in frame.schema.items()
    ]
    # Parquet has no lines: the first row counts as 2, as it would under a header.
    return frame.select(texts).with_columns(pl.int_range(2, frame.height + 2, dtype=pl.Int64).alias(LINE))


def read_texts(path: Path, spec: CsvMap, problems: Problems) -> pl.DataFrame:
    """Every mapped column of ``path`` as stripped text, blank as null, beside its line number in ``LINE``.

    Reads CSV, gzipped CSV and Parquet (by suffix). JobError lists everything wrong with the file's form.
    """
    is_parquet = path.suffix.lower() == ".parquet"
    frame = _from_parquet(path, spec, problems) if is_parquet else _from_csv(path, spec, problems)
    stripped = pl.col(sorted(spec.columns())).str.strip_chars()
    return frame.select(pl.col(LINE), pl.when(stripped == "").then(None).otherwise(stripped).name.keep())
