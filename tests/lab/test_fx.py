"""The sandbox's reference rates: the same for a seed, on working days only, near what the world converts by."""

from datetime import date, timedelta

import pytest

from tasks.ingest.fx_rates import daily_rates, parse_rates
from tasks.lab.fx import reference_rates
from tasks.lab.world import load_world

FIRST, TODAY = date(2025, 1, 1), date(2026, 3, 2)


def table(seed: int, today: date = TODAY, world: str = "everywhere") -> str:
    return "\n".join(",".join(line) for line in reference_rates(load_world(world), seed, FIRST, today))


def test_the_rates_are_those_of_the_seed_and_do_not_change_later() -> None:
    """Two calls agree, another seed differs, and a later day only adds lines at the top."""
    assert table(7) == table(7) != table(8)
    head, *lines = table(7).splitlines()
    assert [head, *table(7, TODAY + timedelta(days=3)).splitlines()[-len(lines) :]] == table(7).splitlines()
    assert lines[0].startswith("2026-02-27,")  # the Friday before a Monday; newest first


def test_the_job_reads_them_and_they_are_near_the_worlds_rate() -> None:
    """From the first day of history to yesterday there is a rate each day; a euro is 1.08 dollars within 3 %, and it moves."""
    quotes = parse_rates(table(7), "rates", ["EUR", "USD"])
    assert {day.weekday() for day in quotes} == {0, 1, 2, 3, 4}
    rates = [
        r.rate for r in daily_rates(quotes, "rates", ["EUR"], "USD", FIRST, TODAY - timedelta(days=1)) if r.currency == "EUR"
    ]
    assert rates == pytest.approx([1.08] * len(rates), rel=0.03)
    assert len(set(rates)) > 100  # four digits, some 300 working days
