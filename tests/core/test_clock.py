"""The clock: real, or the instant that a test or a simulated day sets."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.core.clock import is_simulated, utc_now


def test_without_the_override_it_is_the_real_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aware, in UTC, and between two readings of the system's clock."""
    monkeypatch.delenv("AELP2_NOW", raising=False)
    before = datetime.now(UTC)
    assert before <= utc_now() <= datetime.now(UTC)
    assert utc_now().utcoffset() == timedelta(0)
    assert not is_simulated()


def test_the_override_is_turned_into_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its offset."""
    monkeypatch.setenv("AELP2_NOW", "2026-03-01T23:30:00-05:00")
    assert utc_now() == datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
    assert utc_now().tzinfo is UTC
    assert is_simulated()


def test_an_override_without_offset_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expiry must not depend on the zone of the machine."""
    monkeypatch.setenv("AELP2_NOW", "2026-03-01T06:00:00")
    with pytest.raises(ValueError, match="has no offset"):
        utc_now()
