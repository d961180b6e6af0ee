"""Success metrics on the page: four weeks of each, its newest value in words, and red where a change had no approval."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from report_world import ACCOUNT, RUN_DATE, ReportWorld

from tasks.govern import report_metrics
from tasks.govern.report_data import read_report
from tasks.govern.report_page import render


def put(world: ReportWorld, metric: str, value: float | None, day: date = RUN_DATE, account: str = "all", **changes: Any) -> None:
    """One row of control.success_metrics_daily."""
    platform = "all" if account == "all" else "google_ads"
    row = {"run_date": day, "platform": platform, "account_id": account, "metric": metric, "value": value, "unit": "ratio"}
    world.put("control.success_metrics_daily", row | {"detail": f"why of {metric}", "measured_at": world.at(day, 8)} | changes)


def safety_of(world: ReportWorld) -> report_metrics.Safety:
    found = report_metrics.safety(report_metrics.read_metrics(world.warehouse, RUN_DATE))
    assert found is not None
    return found


def page(world: ReportWorld, source: str = "platforms") -> str:
    return render(read_report(world.warehouse, run_date=RUN_DATE, source=source))


def test_before_the_first_day_the_page_has_no_such_section(world: ReportWorld) -> None:
    """No rows, no heading."""
    world.model()
    assert report_metrics.facts(report_metrics.read_metrics(world.warehouse, RUN_DATE)) == {}
    assert "Does it work?" not in page(world)


def test_the_newest_day_is_told_and_four_weeks_are_drawn(world: ReportWorld) -> None:
    """Value with unit and interval; a metric nobody knows has words and no picture; what is older than four weeks is not read."""
    for back in range(30):
        day = RUN_DATE - timedelta(days=back)
        put(world, "marginal_cac", 60.0 + back, day, low=50.0, high=80.0, unit="currency", currency_code="USD")
    put(world, "interval_hit_rate", None)
    put(world, "time_to_decision", 3.25, account=ACCOUNT, unit="hours")
    metrics = report_metrics.read_metrics(world.warehouse, RUN_DATE)
    assert metrics.filter(metric="marginal_cac").height == 28
    cost, hits, decision = report_metrics.series(metrics)
    assert (cost.value, cost.interval, cost.detail) == ("60.00 USD", "50.00 USD to 80.00 USD", "why of marginal_cac")
    assert (hits.value, hits.picture) == ("not known", None)
    assert (decision.value, decision.account) == ("3.2", ""), "one account needs no name"
    assert cost.picture is not None


def test_a_day_without_a_value_is_a_gap_and_an_open_interval_says_so(world: ReportWorld) -> None:
    """The newest day counts even if it is unknown; low alone is 'from'."""
    put(world, "marginal_cac", 60.0, RUN_DATE - timedelta(days=3), low=50.0, unit="currency", currency_code="USD")
    (cost,) = report_metrics.series(report_metrics.read_metrics(world.warehouse, RUN_DATE))
    assert (cost.value, cost.interval) == ("60.00 USD", "from 50.00 USD")
    put(world, "marginal_cac", None, unit="currency")
    (cost,) = report_metrics.series(report_metrics.read_metrics(world.warehouse, RUN_DATE))
    assert (cost.value, cost.interval, cost.picture is not None) == ("not known", "", True)


def test_accounts_are_named_where_there_are_several(world: ReportWorld) -> None:
    """Two accounts have a picture each."""
    for account in (ACCOUNT, "2000000002"):
        put(world, "exploration_used", 0.1, account=account)
    found = report_metrics.series(report_metrics.read_metrics(world.warehouse, RUN_DATE))
    assert [(one.account, one.value) for one in found] == [(ACCOUNT, "10.0%"), ("2000000002", "10.0%")]


@pytest.mark.parametrize(
    ("values", "short", "mood"),
    [((0.0, 0.0), "0", "good"), ((0.0, 2.0), "2", "bad"), ((0.0, None), "cannot be told", "bad"), ((1.0, None), "1", "bad")],
)
def test_changes_without_approval_are_red_unless_surely_none(
    world: ReportWorld, values: tuple[float | None, ...], short: str, mood: str
) -> None:
    """Summed over accounts; an account that cannot be told is no 0. Yesterday's number does not hide today's."""
    put(world, report_metrics.SAFETY, 7.0, RUN_DATE - timedelta(days=1), ACCOUNT, unit="changes")
    for account, value in zip((ACCOUNT, "2000000002"), values, strict=True):
        put(world, report_metrics.SAFETY, value, account=account, unit="changes")
    found = safety_of(world)
    assert (found.short, found.mood) == (short, mood)
    assert found.lines


def test_the_page_shows_the_section_and_its_alarm(world: ReportWorld) -> None:
    """Heading, number in its colour, pictures; an import has none of it."""
    world.model()
    world.model(source="my_sheet", run_id="mmm-sheet")
    put(world, "blended_cac", 51.5, unit="currency", currency_code="USD")
    put(world, report_metrics.SAFETY, 0.0, account=ACCOUNT, unit="changes")
    text = page(world)
    assert 'Live changes without approval: <span class="good">0</span>' in text
    assert "51.50 USD" in text
    assert 'aria-label="Blended CAC, day by day"' in text
    put(world, report_metrics.SAFETY, 3.0, account=ACCOUNT, unit="changes")
    text = page(world)
    assert 'Live changes without approval: <span class="bad">3</span>' in text
    assert '<section class="long alert"><h2>Does it work?' in text
    assert "Does it work?" not in page(world, "my_sheet")


def test_every_metric_of_the_contract_is_on_the_page() -> None:
    """A new metric needs a name here, or is the one told in words."""
    from tasks.core.contracts import load_contract

    (metric,) = (field for field in load_contract("control.success_metrics_daily").fields if field.name == "metric")
    assert {*report_metrics.NAMES, report_metrics.SAFETY} == set(metric.enum)
