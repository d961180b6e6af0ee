"""What a setting delivers: the files of a folder, one file, or an address; and which of them were taken before.

A file that a run has loaded is not read again until it changes (``control.imported_files``). A file whose name holds a day
(20260302 or 2026-03-02) waits until that day is over on the run date, so that a run for an earlier day sees what it saw then.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import GateStop, JobError, TryAgain
from tasks.core.log import redact
from tasks.ingest.outcomes_source import MAX_BYTES, download, without_query

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

Kind = Literal["server_events", "experiments"]
_DAY = re.compile(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)(?!\d)")
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Delivery:
    """One file: where it lies, the bytes of an address, and the name by which it is known and shown."""

    address: str
    name: str
    content: bytes | None = None

    def digest(self, read_with: str) -> str:
        """SHA-256 of the content and of what it is read with."""
        content = Path(self.address).read_bytes() if self.content is None else self.content
        return hashlib.sha256(read_with.encode() + b"\x1f" + content).hexdigest()


def day_of(name: str) -> date | None:
    """The day in a file's name, None if it holds none."""
    match = _DAY.search(name)
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def find(place: str, variable: str, suffixes: Sequence[str], run_date: date) -> list[Delivery]:
    """What lies at ``place`` and is due on ``run_date``, in the order of the names.

    Args:
        place: a folder, a file, or an http(s) address, in which ``{date}`` becomes the day before the run date.
        variable: the setting it came from, for messages.
        suffixes: ends of the names of files that count, each also with .gz.

    Raises:
        JobError: there is no such place. TryAgain: the server does not answer.
    """
    shown = without_query(place)
    if urlsplit(place).scheme in ("http", "https"):
        address = place.replace("{date}", (run_date - DAY).isoformat())
        content = download(address, shown, variable)
        if len(content) > MAX_BYTES:
            raise JobError(f"{variable}={shown} is larger than {MAX_BYTES:,} bytes; deliver it in parts")
        return [Delivery(address, redact(Path(urlsplit(address).path).name or "address"), content)]
    path = Path(place)
    if path.is_file():
        return [Delivery(str(path), redact(path.name))]
    if not path.is_dir():
        raise JobError(f"{variable}={shown}: there is no such folder or file; give one, or an http(s) address")
    ends = tuple(f"{suffix}{packed}" for suffix in suffixes for packed in ("", ".gz"))
    found = [file for file in sorted(path.iterdir()) if file.is_file() and file.name.lower().endswith(ends)]
    return [Delivery(str(file), redact(file.name)) for file in found if (day_of(file.name) or date.min) < run_date]


def unchanged(warehouse: Warehouse, kind: Kind) -> Callable[[str, str], bool]:
    """Whether the file of a name was loaded with just this digest the last time."""
    rows = warehouse.query(
        "SELECT file_name, content_sha256 FROM control.imported_files WHERE source_kind = @source_kind", {"source_kind": kind}
    )
    known = dict(rows.iter_rows())
    return lambda name, digest: known.get(name) == digest


@dataclass(frozen=True)
class Taken:
    """A file that was loaded: name, digest, and the rows of it that were good."""

    name: str
    digest: str
    rows: int


def remember(warehouse: Warehouse, kind: Kind, taken: Sequence[Taken], run_date: date) -> None:
    """Note the files, so that the next run leaves them alone while they stay as they are."""
    import polars as pl

    rows = [
        {
            "source_kind": kind,
            "file_name": file.name,
            "content_sha256": file.digest,
            "run_date": run_date,
            "rows": file.rows,
            "loaded_at": utc_now(),
        }
        for file in taken
    ]
    schema = load_contract("control.imported_files").polars_schema()
    warehouse.merge("control.imported_files", pl.DataFrame(rows, schema=schema))


@dataclass
class Run:
    """One line of ``control.ingest_runs``: how the load of a source, or of an experiment's file, ended."""

    kind: Kind
    account_id: str
    api_version: str
    first: date | None = None
    last: date | None = None
    read: int = 0
    written: int = 0
    duplicates: int = 0
    quarantined: int = 0
    forgotten: int = 0

    def span(self, first: date | None, last: date | None) -> None:
        """Widen the days that landed."""
        if first is not None and last is not None:
            self.first = first if self.first is None else min(self.first, first)
            self.last = last if self.last is None else max(self.last, last)

    def record(self, warehouse: Warehouse, run_date: date, error: str | None) -> None:
        """Write the line; a later load of the same run date replaces it."""
        import polars as pl

        row = {
            "platform": self.kind,
            "account_id": self.account_id,
            "run_date": run_date,
            "start_date": self.first or run_date,
            "end_date": self.last or run_date - DAY,
            "status": "failed" if error else "succeeded",
            "rows_read": self.read,
            "rows": self.written,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined,
            "forgotten": self.forgotten,
            "error": redact(error) if error else None,
            "api_version": self.api_version,
            "finished_at": utc_now(),
        }
        schema = load_contract("control.ingest_runs").polars_schema()
        warehouse.merge("control.ingest_runs", pl.DataFrame([row], schema=schema))


def told(errors: dict[str, JobError]) -> str:
    """The errors in one text."""
    return "; ".join(f"{name}: {error}" for name, error in errors.items())


def raise_errors(errors: dict[str, JobError], of: int, what: str) -> None:
    """Nothing if there are none; else one error of the kind that all of them share, or a JobError."""
    if not errors:
        return
    kinds: Sequence[type[JobError]] = (TryAgain, GateStop)
    kind = next((k for k in kinds if all(isinstance(error, k) for error in errors.values())), JobError)
    raise kind(f"{len(errors)} of {of} {what} failed: {told(errors)}")
