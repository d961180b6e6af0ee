"""Which days a load covers: history first, then the restatement window, and never a hole."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ingest.ads_window import CHUNK_DAYS, CHUNK_ROWS, FIRST_DAYS, Chunks, PastLoad, Window, last_complete_day, plan_window

RUN = date(2026, 3, 1)
LAST = date(2026, 2, 28)
DAY = timedelta(days=1)


def plan(*past: PastLoad, start_date: date | None = None) -> tuple[date, date]:
    window = plan_window(past, RUN, LAST, days=30, history_days=913, start_date=start_date)
    return window.start, window.end


def load(start: date, end: date, status: str = "succeeded", run_date: date = RUN - DAY) -> PastLoad:
    return PastLoad(run_date, start, end, status)


def test_the_first_load_takes_the_history() -> None:
    """Nothing landed yet: all of it. A failed attempt that landed nothing does not count."""
    assert plan() == plan(load(RUN - 30 * DAY, RUN - 31 * DAY, "failed")) == (RUN - 913 * DAY, LAST)


def test_later_loads_take_the_restatement_window() -> None:
    """Yesterday's run landed: 30 days again."""
    assert plan(load(RUN - 913 * DAY, RUN - 2 * DAY)) == (RUN - 30 * DAY, LAST)


def test_a_load_that_was_cut_off_goes_on_where_it_stopped() -> None:
    """The history landed up to last summer when the process was killed: the next run takes the rest."""
    stop = date(2025, 7, 1)
    assert plan(load(RUN - 913 * DAY, stop, "running")) == (stop + DAY, LAST)


def test_a_schedule_that_stood_still_leaves_no_hole() -> None:
    """50 days without a run: the load starts after the last day that landed, not 30 days back."""
    assert plan(load(RUN - 913 * DAY, RUN - 50 * DAY)) == (RUN - 49 * DAY, LAST)


def test_a_backfill_starts_where_it_is_told_and_goes_on_after_a_cut() -> None:
    """Same run date and start, not finished: go on. Another start or a finished one: from the start."""
    start, cut = date(2024, 1, 1), date(2024, 9, 30)
    normal = load(RUN - 30 * DAY, LAST)
    assert plan(normal, start_date=start) == (start, LAST)
    assert plan(normal, load(start, cut, "running", RUN), start_date=start) == (cut + DAY, LAST)
    assert plan(normal, load(start, cut, "succeeded", RUN), start_date=start) == (start, LAST)
    assert plan(normal, load(start, cut, "running", RUN), start_date=start - DAY) == (start - DAY, LAST)


@pytest.mark.parametrize(
    ("timezone", "last"),
    [("America/New_York", LAST), ("Europe/Berlin", LAST), ("America/Los_Angeles", LAST - DAY), ("Pacific/Honolulu", LAST - DAY)],
)
def test_a_day_that_still_runs_is_left_out(timezone: str, last: date) -> None:
    """06:00 UTC is 01:00 in New York but still the evening before in Los Angeles."""
    assert last_complete_day(RUN, timezone, datetime(2026, 3, 1, 6, tzinfo=UTC)) == last


def test_the_clock_only_guards_the_day_under_way() -> None:
    """Running for a day of the past, or of a simulated future, takes the day before the run date."""
    for now in (datetime(2027, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)):
        assert last_complete_day(RUN, "America/Los_Angeles", now) == LAST


@given(st.dates(date(2020, 1, 1), date(2026, 1, 1)), st.integers(-1, 1500), st.integers(0, 400_000))
def test_chunks_cover_each_day_once(start: date, length: int, rows_a_day: int) -> None:
    """Oldest first, no gap, no overlap; after the first as many days as aim at CHUNK_ROWS, none longer than the limit."""
    window = Window(start, start + length * DAY, "")
    chunks, spans = Chunks(window), []
    for first, last in chunks:
        spans.append((first, last))
        days = (last - first).days + 1
        chunks.landed(days * rows_a_day, days)
    days_seen = [first + n * DAY for first, last in spans for n in range((last - first).days + 1)]
    assert days_seen == [start + n * DAY for n in range(length + 1)]
    assert all((last - first).days < FIRST_DAYS for first, last in spans[:1])
    for first, last in spans[1:]:
        days = (last - first).days + 1
        assert days <= CHUNK_DAYS
        assert days == 1 or days * rows_a_day <= CHUNK_ROWS


def test_what_landed_before_tells_how_long_the_first_piece_may_be() -> None:
    """A daily load of thirty days is one piece once a history is known, and several for an account of 100,000 rows a day."""
    window = Window(RUN - 30 * DAY, LAST, "")
    for rows_a_day, days in ((30, 30), (100_000, 2)):
        past = load(RUN - 913 * DAY, RUN - 2 * DAY)
        first, last = next(iter(Chunks(window, [replace(past, rows=rows_a_day * past.days)])))
        assert (last - first).days + 1 == days


def test_a_big_account_is_loaded_in_small_pieces_and_a_small_one_in_large() -> None:
    """100,000 rows a day: two days at a time; 30 rows a day: half a year."""
    for rows_a_day, expected in ((100_000, 2), (30, CHUNK_DAYS), (1_000_000, 1)):
        chunks = Chunks(Window(date(2025, 1, 1), date(2026, 1, 1), ""))
        spans = iter(chunks)
        next(spans)
        chunks.landed(FIRST_DAYS * rows_a_day, FIRST_DAYS)
        first, last = next(spans)
        assert (last - first).days + 1 == expected
