"""Which days an account's load covers: a pure function of what landed before and of what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

FIRST_DAYS, CHUNK_DAYS = 7, 183  # of a first chunk, whose rows tell how many an account has; of any
CHUNK_ROWS = 250_000  # what a chunk aims at: memory stays flat however long the history and however big the account
DAY = timedelta(days=1)


@dataclass(frozen=True)
class PastLoad:
    """A row of control.ingest_runs: the days ``start_date`` to ``end_date`` landed; none if ``end_date`` is before."""

    run_date: date
    start_date: date
    end_date: date
    status: str
    rows: int = 0
    duplicates: int = 0
    quarantined: int = 0

    @property
    def days(self) -> int:
        """How many landed."""
        return (self.end_date - self.start_date).days + 1


@dataclass(frozen=True)
class Window:
    """Days to load, both included, and in words why."""

    start: date
    end: date
    why: str

    @property
    def days(self) -> int:
        """How many; none or fewer if there is nothing to load."""
        return (self.end - self.start).days + 1


class Chunks:
    """A window in spans that land one by one, oldest first, so that what has landed is always one piece.

    Args:
        window: what they cover.
        past: earlier loads of the account; the longest says how many rows a day has.
    """

    def __init__(self, window: Window, past: Sequence[PastLoad] = ()) -> None:
        self._window, self._next, self._length = window, window.start, FIRST_DAYS
        if known := [load for load in past if load.rows and load.days > 0]:
            longest = max(known, key=lambda load: load.days)
            self.landed(longest.rows, longest.days)

    def __iter__(self) -> Iterator[tuple[date, date]]:
        """First and last day of each span, both included."""
        while self._next <= self._window.end:
            first, last = self._next, min(self._next + (self._length - 1) * DAY, self._window.end)
            self._next = last + DAY
            yield first, last

    def landed(self, rows: int, days: int) -> None:
        """Of ``days`` days ``rows`` rows came: the next span is as long as CHUNK_ROWS of them, at least a day."""
        self._length = max(1, min(CHUNK_DAYS, CHUNK_ROWS * days // max(rows, 1)))


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
