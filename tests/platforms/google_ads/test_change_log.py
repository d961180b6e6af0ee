"""A change log longer than one answer is read in halves, and nothing is lost or counted twice."""

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import JobError
from tasks.platforms.google_ads.change_log import read_events, to_change
from tasks.platforms.google_ads.reporting import Labels

START = datetime(2026, 2, 1)  # noqa: DTZ001 - the API takes wall-clock times of the account
_BOUNDS = re.compile(r">= '([^']+)' AND \S+ < '([^']+)'")


class Log:
    """A change log that answers at most ``limit`` events, as the API does."""

    def __init__(self, events: list[float], limit: int) -> None:
        self.events = sorted(START + timedelta(seconds=s) for s in events)
        self.limit = limit
        self.asked = 0

    def __call__(self, query: str) -> list[datetime]:
        self.asked += 1
        match = _BOUNDS.search(query)
        assert match is not None
        low, high = (datetime.fromisoformat(text) for text in match.groups())
        return [e for e in self.events if low <= e < high][: self.limit]


@given(st.lists(st.floats(0, 3599.99), max_size=60, unique_by=lambda s: int(s)), st.integers(2, 10))
def test_every_event_comes_once_and_in_order(seconds: list[float], limit: int) -> None:
    """Whatever the spread and the limit, the halves add up to the whole."""
    log = Log(seconds, limit)
    assert read_events(log, START, START + timedelta(hours=1), limit) == log.events


def test_a_short_log_is_asked_for_once() -> None:
    """Fewer rows than the limit: nothing was cut off."""
    log = Log([1.0, 2.0], 3)
    read_events(log, START, START + timedelta(days=30), 3)
    assert log.asked == 1


def test_a_second_that_fills_an_answer_is_an_error() -> None:
    """It cannot be split further; what was cut off must not be lost in silence."""
    with pytest.raises(JobError, match="within the second 2026-02-01 00:00:05"):
        read_events(Log([5.1, 5.2, 5.3], 3), START, START + timedelta(minutes=1), 3)


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2026-11-01 01:30:00", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-01 00:59:59", datetime(2026, 11, 1, 7, 59, 59, tzinfo=UTC)),
        ("2026-07-01 01:30:00", datetime(2026, 7, 1, 8, 30, tzinfo=UTC)),
    ],
    ids=["the hour that comes twice", "before it", "summer"],
)
def test_in_the_hour_that_comes_twice_the_later_time_is_taken(local: str, utc: datetime) -> None:
    """The log bears the account's wall-clock time. The later reading never lets a change fall out of the rolling 24 h."""
    event = SimpleNamespace(
        resource_name="customers/1/changeEvents/1~1~1",
        change_date_time=local,
        change_resource_type=0,
        change_resource_name="customers/1/campaigns/9",
        client_type=0,
        user_email="",
        resource_change_operation=0,
        changed_fields=SimpleNamespace(paths=[]),
        old_resource=SimpleNamespace(campaign_budget=None),
        new_resource=SimpleNamespace(campaign_budget=None),
    )
    change = to_change(event, Labels(b"0" * 32, ()), "America/Los_Angeles")
    assert change.changed_at == utc
