"""Which days an account's load covers: a pure function of what landed before and of what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

CHUNK_DAYS = 183  # half a year of 30 ads is about 6,000 rows: memory stays flat however long the history is
DAY = timedelta(days=1)


@dataclass(frozen=True)
class PastLoad:
    """A row of control.ingest_runs: the days ``start_date`` to ``end_date`` landed; none if ``end_date`` is before."""

    run_date: date
    start_date: date
    end_date: date
    status: str


@dataclass(frozen=True)
class Window:
    """Days to load, both included, and in words why."""

    start: date
    end: date
    why: str

    def chunks(self) -> Iterator[tuple[date, date]]:
        """Spans of at most CHUNK_DAYS, oldest first, so that what has landed is always one piece."""
        first = self.start
        while first <= self.end:
            last = min(first + (CHUNK_DAYS - 1) * DAY, self.end)
            yield first, last
            first = last + DAY


def last_complete_day(run_date: date, timezone: str, now: datetime) -> date:
    """The day before ``run_date``, or one earlier while that day still runs in ``timezone``: half a day is no day."""
    yesterday = run_date - DAY
    return yesterday - DAY if now.astimezone(ZoneInfo(timezone)).date() == yesterday else yesterday


def backfill_window(landed: Sequence[PastLoad], start_date: date, last_day: date, run_date: date) -> Window:
    """From ``start_date``, or from where the same backfill of this run date was cut off."""
    cut = [p for p in landed if (p.run_date, p.start_date) == (run_date, start_date) and p.status != "succeeded"]
    if cut and cut[0].end_date < last_day:
        return Window(cut[0].end_date + DAY, last_day, f"backfill from {start_date}, going on where it was cut off")
    return Window(start_date, last_day, f"backfill from {start_date}")


def plan_window(
    past: Sequence[PastLoad], run_date: date, last_day: date, *, days: int, history_days: int, start_date: date | None
) -> Window:
    """Days to load up to ``last_day``.

    With ``start_date``: from there, or from where an earlier attempt of the same run date and start was cut off. Without: the
    restatement window of ``days``; the whole history of ``history_days`` the first time; and everything since the last day that
    landed, if that is further back than the window (a load that was cut off, a schedule that stood still).
    """
    landed = [load for load in past if load.end_date >= load.start_date]
    if start_date is not None:
        return backfill_window(landed, start_date, last_day, run_date)
    if not landed:
        return Window(run_date - history_days * DAY, last_day, "first load: all of the history")
    newest = max(load.end_date for load in landed)
    start = run_date - days * DAY
    if newest + DAY < start:
        return Window(newest + DAY, last_day, f"nothing after {newest} has landed yet")
    return Window(start, last_day, f"restatement window of {days} days")
