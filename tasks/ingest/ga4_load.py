"""Loading the GA4 export: the days that may still change, each table once, a broken property beside whole ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError, TryAgain
from tasks.core.forgotten import is_forgotten, read_forgotten, without_forgotten
from tasks.core.log import redact
from tasks.core.quarantine import quarantine
from tasks.ingest.ads_window import DAY, PastLoad, Window, backfill_window
from tasks.ingest.ga4_daily import write_days
from tasks.ingest.ga4_rows import TABLE, Refused, judge
from tasks.ingest.ga4_source import ExportTable, Ga4Source

if TYPE_CHECKING:
    from tasks.core.warehouse.base import Warehouse

log = structlog.get_logger(source=__name__)

PLATFORM = "ga4"
LATE_DAYS = 4  # events arrive for 72 hours, so a day's table changes on the three days after it, and one day of margin
CHUNK_ROWS = 500_000  # days are written together until they have so many rows


@dataclass
class Result:
    """How one property's load ended. read = written + quarantined + duplicates + forgotten."""

    property_id: str
    window: Window
    landed: date | None = None
    read: int = 0
    written: int = 0
    quarantined: int = 0
    duplicates: int = 0
    forgotten: int = 0
    tables: int = 0
    missing_days: list[date] = field(default_factory=list)
    error: JobError | None = None

    def line(self) -> str:
        """The result as one line for a person."""
        if self.error is not None:
            return f"{self.property_id}: FAILED: {redact(str(self.error))}"
        gaps = f", no table for {len(self.missing_days)} days" if self.missing_days else ""
        return (
            f"{self.property_id}: {self.window.start} to {self.window.end}, {self.tables} tables, {self.read:,} events read = "
            f"{self.written:,} written + {self.quarantined:,} quarantined + {self.duplicates:,} duplicates + "
            f"{self.forgotten:,} of forgotten people{gaps} ({self.window.why})"
        )


def ga4_window(
    past: Sequence[PastLoad], first_table: date, last_day: date, run_date: date, *, days: int, start_date: date | None
) -> Window:
    """Days to load up to ``last_day``.

    The first time: from the export's first table. Later: the days that may still change, counted back from what landed last, so
    that a schedule that stood still for a week reads those again that were preliminary then. A load that was cut off goes on
    the same way. ``start_date`` loads again from there, or from where the same backfill of this run date was cut off.
    """
    landed = [load for load in past if load.end_date >= load.start_date]
    if start_date is not None:
        return backfill_window(landed, start_date, last_day, run_date)
    if not landed:
        return Window(first_table, last_day, "first load: all of the export")
    newest = max(load.end_date for load in landed)
    start = max(first_table, min(run_date, newest + DAY) - days * DAY)
    return Window(start, last_day, f"the {days} days before {min(run_date, newest + DAY)} may still have changed")


@dataclass
class Ga4Load:
    """One run over the properties of ``source``.

    Args:
        source: export tables.
        warehouse: where rows go.
        salt: key of the hashes of names, user ids and order ids.
        run_date: days before it are loaded.
        days: days read again each time.
        start_date: backfill from here; None for the window.
        properties: wanted property ids; all if empty.
    """

    source: Ga4Source
    warehouse: Warehouse
    salt: bytes
    run_date: date
    days: int = LATE_DAYS
    start_date: date | None = None
    properties: tuple[str, ...] = ()

    def run(self) -> list[Result]:
        """Load every wanted property; a JobError of one is kept in its result and stops no other."""
        by_property: dict[str, list[ExportTable]] = {}
        for table in self.source.tables():
            by_property.setdefault(table.property_id, []).append(table)
        missing = [p for p in self.properties if p not in by_property]
        if missing or not by_property:
            raise JobError(
                f"the export has no events tables of property {', '.join(missing) or '(any)'}; it has {sorted(by_property)}"
            )
        results = []
        for property_id in self.properties or sorted(by_property):
            tables = by_property[property_id]
            past = self._past(property_id)
            last = self.run_date - DAY
            window = ga4_window(past, tables[0].day, last, self.run_date, days=self.days, start_date=self.start_date)
            result = Result(property_id, window)
            results.append(result)
            try:
                self._load(tables, result)
            except JobError as error:
                result.error = error
                log.error("property failed", property=property_id, error=str(error))
                self._record(result, "failed")
        return results

    def _load(self, tables: list[ExportTable], result: Result) -> None:
        window = result.window
        wanted = {t.day: t for t in tables if window.start <= t.day <= window.end}
        if not wanted:
            raise JobError(f"no table for any day of {window.start} to {window.end}; the newest is {tables[-1].table_id}")
        days = [window.start + n * DAY for n in range((window.end - window.start).days + 1)]
        result.missing_days = [day for day in days if day not in wanted]
        if result.missing_days:  # rows of such a day stay as they are: a missing table says nothing about its events
            log.warning(
                "days without a table",
                property=result.property_id,
                days=len(result.missing_days),
                first=str(result.missing_days[0]),
            )
        for chunk in self._chunks([wanted[day] for day in days if day in wanted]):
            self._write(chunk, result)
            result.landed = chunk[-1].day
            self._record(result, "running")
        self._record(result, "succeeded")

    def _chunks(self, tables: list[ExportTable]) -> Iterator[list[ExportTable]]:
        """Consecutive tables until they have CHUNK_ROWS rows together, oldest first, so that what landed is one piece."""
        chunk: list[ExportTable] = []
        rows = 0
        for table in tables:
            chunk.append(table)
            rows += self.source.rows(table)
            if rows >= CHUNK_ROWS:
                yield chunk
                chunk, rows = [], 0
        if chunk:
            yield chunk

    def _write(self, chunk: list[ExportTable], result: Result) -> None:
        """Replace the chunk's days in one transaction, then the days of ga4_daily that follow from them."""
        import polars as pl

        now, frames, refused = utc_now(), [], []
        forgotten = read_forgotten(self.warehouse)
        for table, flat in zip(chunk, self.source.flats(chunk), strict=True):
            judged = judge(flat, table, self.salt, now)
            kept = without_forgotten(judged.rows, forgotten, self.salt)
            bad = [r for r in judged.refused if not is_forgotten(r.ids, forgotten, self.salt)]
            frames.append(kept)
            refused += bad
            result.read += judged.read
            result.written += kept.height
            result.forgotten += judged.rows.height - kept.height + len(judged.refused) - len(bad)
            result.quarantined += len(bad)
            result.duplicates += judged.duplicates
            result.tables += 1
        days, own = [table.day for table in chunk], {"property_id": result.property_id}
        self.warehouse.replace_partitions("ga4.ga4_events", pl.concat(frames), partitions=days, where=own)
        self._quarantine(refused)
        write_days(self.warehouse, result.property_id, days[0], days[-1], now)
        log.info("days landed", property=result.property_id, until=str(days[-1]), events=result.written)

    def _quarantine(self, refused: list[Refused]) -> None:
        ordered = sorted(refused, key=lambda r: (r.check, r.reason))
        for (check, reason), group in groupby(ordered, key=lambda r: (r.check, r.reason)):
            rows = [r.row for r in group]
            quarantine(self.warehouse, TABLE, rows, check, reason, self.run_date)
            log.warning("events quarantined", check=check, reason=reason, rows=len(rows))

    def _past(self, property_id: str) -> list[PastLoad]:
        rows = self.warehouse.query(
            "SELECT run_date, start_date, end_date, status FROM control.ingest_runs "
            "WHERE platform = @platform AND account_id = @account_id",
            {"platform": PLATFORM, "account_id": property_id},
        )
        return [PastLoad(**row) for row in rows.iter_rows(named=True)]

    def _record(self, result: Result, status: str) -> None:
        """The property's line in control.ingest_runs; start_date stays that of the first attempt when a backfill goes on."""
        import polars as pl

        start = min(self.start_date or result.window.start, result.window.start)
        row = {
            "platform": PLATFORM,
            "account_id": result.property_id,
            "run_date": self.run_date,
            "start_date": start,
            "end_date": result.landed or result.window.start - DAY,
            "status": status,
            "rows_read": result.read,
            "rows": result.written,
            "duplicates": result.duplicates,
            "quarantined": result.quarantined,
            "forgotten": result.forgotten,
            "error": redact(str(result.error)) if result.error else None,
            "api_version": "bigquery_export",
            "finished_at": utc_now(),
        }
        schema = load_contract("control.ingest_runs").polars_schema()
        self.warehouse.merge("control.ingest_runs", pl.DataFrame([row], schema=schema))


def raise_failures(results: Sequence[Result]) -> None:
    """Nothing if all landed; else one error that names the broken properties: TryAgain if time alone may mend them all."""
    failed = [r for r in results if r.error is not None]
    if not failed:
        return
    message = f"{len(failed)} of {len(results)} properties failed: {'; '.join(r.line() for r in failed)}"
    raise (TryAgain if all(isinstance(r.error, TryAgain) for r in failed) else JobError)(message)
