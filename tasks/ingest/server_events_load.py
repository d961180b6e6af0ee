"""Server events into the warehouse: each record is new, a repetition, forgotten or set aside, and the four add up."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import GateStop, JobError
from tasks.core.forgotten import read_forgotten, without_forgotten
from tasks.core.quarantine import quarantine
from tasks.ingest.server_events_read import Record, Shape, read_records
from tasks.ingest.server_events_row import COLUMNS, RowError, RowRules, typed_row

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse.base import Warehouse

TABLE = "gaelp_users.server_events"
CHUNK_RECORDS = 50_000
_LINE = "line"


@dataclass
class Counts:
    """Records of one load by what became of them."""

    records: int = 0
    inserted: int = 0
    duplicates: int = 0
    forgotten: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class Bad:
    """A record set aside: where it stands, what it had, and why; none of its values."""

    line: int
    record_hmac: str
    columns: tuple[str, ...]
    check: str
    problem: str


class ServerEventsLoad:
    """One load of a file or address.

    Args:
        warehouse: where rows go.
        rules: source, salt, default country and run date.
        max_bad_pct: nothing is loaded if more of the records than this are bad.
    """

    def __init__(self, warehouse: Warehouse, rules: RowRules, max_bad_pct: float) -> None:
        self._warehouse = warehouse
        self._rules = rules
        self._max_bad_pct = max_bad_pct
        self._bad: list[Bad] = []
        self._counts = Counts()
        self.first_day: date | None = None  # of the good records
        self.last_day: date | None = None

    def check(self, address: str, shape: Shape) -> tuple[Counts, Counter[str]]:
        """Counts as :meth:`run` would give them, and bad records by reason; nothing is written."""
        new = self._new_rows(address, shape)
        self._counts.inserted, self._counts.quarantined = new.height, len(self._bad)
        return self._counts, self.problems()

    def run(self, address: str, shape: Shape, content: bytes | None = None) -> Counts:
        """Load the file or address, or its ``content`` if that is here already.

        GateStop after setting the bad ones aside if they are too many, and then no row is loaded.
        """
        new, counts = self._new_rows(address, shape, content), self._counts
        counts.quarantined = len(self._bad)
        for check in sorted({bad.check for bad in self._bad}):
            rows = [asdict(bad) | {"source": self._rules.source} for bad in self._bad if bad.check == check]
            quarantine(self._warehouse, TABLE, rows, check, lambda row: str(row["problem"]), self._rules.run_date)
        if counts.quarantined > counts.records * self._max_bad_pct / 100:
            shown = "; ".join(f"{number:,} × {problem}" for problem, number in self.problems().most_common(5))
            raise GateStop(
                f"{counts.quarantined:,} of {counts.records:,} are bad, over {self._max_bad_pct:g} %; nothing was loaded: "
                f"{shown}; lines and reasons are in control.quarantine: mend the export, or say --max-bad-pct"
            )
        counts.inserted = self._warehouse.insert_new(TABLE, new)
        counts.duplicates += new.height - counts.inserted  # another run of the same load was faster
        return counts

    def problems(self) -> Counter[str]:
        """Bad records by reason."""
        return Counter(bad.problem for bad in self._bad)

    def _new_rows(self, address: str, shape: Shape, content: bytes | None = None) -> pl.DataFrame:
        import polars as pl

        frames = list(self._frames(address, shape, content))
        if not self._counts.records:
            raise JobError("there is not one record; check the export")
        rows = pl.concat(frames)
        if rows.height:
            self.first_day, self.last_day = rows.select(first=pl.col("event_date").min(), last=pl.col("event_date").max()).row(0)
        kept = without_forgotten(rows, read_forgotten(self._warehouse), self._rules.salt)
        self._counts.forgotten = rows.height - kept.height
        new = self._without_known(kept)
        return new.drop(_LINE).with_columns(pl.lit(utc_now()).cast(pl.Datetime("us", "UTC")).alias("loaded_at"))

    def _frames(self, address: str, shape: Shape, content: bytes | None) -> Iterator[pl.DataFrame]:
        """Typed rows in chunks, so that a million of them are never Python objects at once."""
        import polars as pl

        schema = {_LINE: pl.Int64(), **load_contract(TABLE).polars_schema()}
        schema.pop("loaded_at")
        rows: list[dict[str, object]] = []
        for record in read_records(address, shape, content):
            self._counts.records += 1
            try:
                if record.check is not None and record.reason is not None:
                    raise RowError(record.check, record.reason)
                rows.append(typed_row(record.texts, self._rules) | {_LINE: record.line})
            except RowError as error:
                self._set_aside(record, error)
            if len(rows) == CHUNK_RECORDS:
                yield pl.DataFrame(rows, schema=schema)
                rows = []
        yield pl.DataFrame(rows, schema=schema)

    def _set_aside(self, record: Record, error: RowError) -> None:
        digest = hmac.new(self._rules.salt, record.raw.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        present = tuple(column for column in COLUMNS if record.texts.get(column, "").strip())
        self._bad.append(Bad(record.line, digest, present, error.check, str(error)))

    def _without_known(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows whose event is new; a repetition is counted, another content under a known id is set aside."""
        import polars as pl

        held = self._warehouse.query(
            "SELECT event_id, content_sha256 FROM gaelp_users.server_events WHERE source = @source",
            {"source": self._rules.source},
        )
        first = rows.unique("event_id", keep="first", maintain_order=True).select("event_id", "content_sha256")
        known = pl.concat([held, first.join(held, on="event_id", how="anti")])
        compared = rows.join(known, on="event_id", how="left", suffix="_known", maintain_order="left")
        changed = compared.filter(pl.col("content_sha256") != pl.col("content_sha256_known"))
        for line, event_id in changed.select(_LINE, "event_id").iter_rows():
            problem = "another event was reported under this event_id before; the first one stays"
            self._bad.append(Bad(line, event_id, ("event_id",), "event_id_reused", problem))
        same = compared.filter(pl.col("content_sha256") == pl.col("content_sha256_known")).drop("content_sha256_known")
        new = same.unique("event_id", keep="first", maintain_order=True).join(held, on="event_id", how="anti")
        self._counts.duplicates = same.height - new.height
        return new
