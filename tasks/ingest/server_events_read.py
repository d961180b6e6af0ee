"""From a file or an address to rows of texts: CSV or NDJSON, plain or gzipped, one record at a time.

Every record comes out: one that has no usable form carries the reason instead of its texts. What would make it impossible to
tell records apart (a quote that is never closed, a cut-off archive) is a JobError, and nothing is loaded.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tasks.core.errors import JobError
from tasks.ingest.outcomes_source import MAX_BYTES, download, without_query
from tasks.ingest.server_events_row import COLUMNS, REQUIRED

MAX_RECORD_CHARACTERS = 64 * 1024 * 1024
FORMS = {".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv"}
_UNREADABLE = "\ufffd"  # what the decoder puts in place of bytes that are not UTF-8
_COLUMN_NAME = re.compile(r"[A-Za-z][A-Za-z_ -]{0,40}")  # anything else may be the data of a file without a header


@dataclass(frozen=True)
class Record:
    """A record of the file: its line, its raw text (never shown), its texts by column, or why it has none."""

    line: int
    raw: str
    texts: Mapping[str, str]
    check: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Shape:
    """What the caller says of the file: form, separator, what columns are called there, which to leave out."""

    form: str
    separator: str = ","
    renamed: Mapping[str, str] | None = None  # theirs → ours
    ignored: frozenset[str] = frozenset()

    def ours(self, theirs: str) -> str:
        """Our name of a column of the file."""
        return (self.renamed or {}).get(theirs, theirs)


@contextmanager
def _opened(address: str, content: bytes | None) -> Iterator[IO[str]]:
    shown = without_query(address)
    if content is not None:
        raw: IO[bytes] = io.BytesIO(content)
    elif urlsplit(address).scheme in ("http", "https"):
        content = download(address, shown, "the events")
        if len(content) > MAX_BYTES:
            raise JobError(f"{shown} is larger than {MAX_BYTES:,} bytes; download it and load the file")
        raw = io.BytesIO(content)
    else:
        path = Path(address)
        if not path.is_file():
            raise JobError(f"no file {path.name!r} at that path; give a file or an http(s) address")
        raw = path.open("rb")
    with raw:
        is_packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        unpacked: IO[bytes] = gzip.GzipFile(fileobj=raw) if is_packed else raw  # type: ignore[assignment]  # it reads bytes
        with io.TextIOWrapper(unpacked, encoding="utf-8-sig", errors="replace", newline="") as text:
            try:
                yield text
            except (OSError, EOFError, zlib.error) as error:
                raise JobError(f"{shown} breaks off or does not unpack ({error}); export it again") from error


def form_of(name: str) -> str | None:
    """The form that the end of a file's name says, None if it says none."""
    return next((form for end, form in FORMS.items() if name.lower().removesuffix(".gz").endswith(end)), None)


def read_records(address: str, shape: Shape, content: bytes | None = None) -> Iterator[Record]:
    """Every record of the file or address, or of its ``content`` if that is here already, in order; blank lines are none."""
    with _opened(address, content) as text:
        records = _ndjson(text, shape) if shape.form == "ndjson" else _csv(text, shape, without_query(address))
        for record in records:
            is_broken = record.reason is None and _UNREADABLE in record.raw
            yield _unusable(record.line, record.raw, "utf8", "the row holds bytes that are not UTF-8") if is_broken else record


def _unusable(line: int, raw: str, check: str, reason: str) -> Record:
    return Record(line, raw, {}, check, reason)


def _header(names: list[str], shape: Shape, name: str) -> list[str]:
    ours = [shape.ours(column.strip()) for column in names]
    known = {*COLUMNS, *shape.ignored}
    twice = sorted({column for column in ours if ours.count(column) > 1})
    unknown = [column for column in ours if column not in known]
    missing = [column for column in REQUIRED if column not in ours]
    if twice or unknown or missing:
        shown = [column if _COLUMN_NAME.fullmatch(column) else "(not a name)" for column in unknown[:5]]
        raise JobError(
            f"{name}: the header lacks {missing}, repeats {len(twice)} names and has {len(unknown)} that are not known {shown}; "
            "say --column OURS=THEIRS or --ignore THEIRS"
        )
    return ours


def _csv(text: IO[str], shape: Shape, name: str) -> Iterator[Record]:
    before = csv.field_size_limit(MAX_RECORD_CHARACTERS)
    try:
        reader = csv.reader(text, delimiter=shape.separator, strict=True)
        header = _header(next(reader, []), shape, name)
        last = reader.line_num
        for fields in reader:
            line, lines = last + 1, reader.line_num - last
            last = reader.line_num
            if lines > 1:
                raise JobError(
                    f"{name}: the field that begins in line {line} holds a line break; is a quote opened and not closed?"
                )
            if not fields:
                continue
            raw = "\x1f".join(fields)
            if len(fields) != len(header):
                yield _unusable(line, raw, "fields", f"the row has {len(fields)} fields, the header {len(header)}")
            else:
                texts = dict(zip(header, fields, strict=True))
                yield Record(line, raw, {column: texts[column] for column in COLUMNS if column in texts})
    except csv.Error as error:
        raise JobError(f"{name} cannot be read as CSV near line {reader.line_num}: {error}; export it again") from error
    finally:
        csv.field_size_limit(before)


class _RepeatedKey(ValueError):
    pass


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedKey
    return found


def _ndjson(text: IO[str], shape: Shape) -> Iterator[Record]:
    for line, raw in enumerate(text, 1):
        if raw.strip():
            yield _object(line, raw.strip(), shape)


def _object(line: int, raw: str, shape: Shape) -> Record:
    try:
        # Numbers stay the texts they are: a float would change them, and NaN is no number of JSON.
        parsed = json.loads(raw, object_pairs_hook=_once, parse_float=str, parse_int=str, parse_constant=str)
    except _RepeatedKey:
        return _unusable(line, raw, "json", "the object names a field twice")
    except (ValueError, RecursionError):
        return _unusable(line, raw, "json", "the line is no JSON")
    if not isinstance(parsed, dict):
        return _unusable(line, raw, "json", "the line is no JSON object")
    texts: dict[str, str] = {}
    for theirs, value in parsed.items():
        column = shape.ours(theirs)
        if theirs in shape.ignored or column in shape.ignored:
            continue
        if column not in COLUMNS:
            return _unusable(line, raw, "fields", "the object has a field that is not known; say --column or --ignore")
        if column in texts:
            return _unusable(line, raw, "fields", f"the object has two fields for {column}")
        if isinstance(value, dict | list):
            return _unusable(line, raw, "fields", f"{column} is an object or a list")
        texts[column] = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return Record(line, raw, texts)
