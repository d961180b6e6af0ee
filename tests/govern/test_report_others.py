"""Changes by others on the page, through the job that finds them: when, who, what, and whether it froze the account."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from bandit_rows import account
from report_world import ACCOUNT, PLANNED, RUN_DATE, SET_ID, ReportWorld

from tasks.core.switches import flip, freeze
from tasks.govern import reconcile_changes, report_others
from tasks.govern.report_data import read_report
from tasks.govern.report_page import render

pytestmark = pytest.mark.slow  # each test draws whole pages

OWN = ("google_ads", ACCOUNT)
HASH = "abc123def456" + "0" * 52
MICROS = 10**6


def logged(world: ReportWorld, key: str, at: datetime, budget: str, before: int, after: int, **facts: Any) -> None:
    """An event of the platform's own change log; amounts in currency units."""
    row = {"platform": "google_ads", "account_id": ACCOUNT, "change_event_id": key, "date": at.date(), "changed_at": at}
    row |= {"resource_type": "CAMPAIGN_BUDGET", "resource_id": budget, "operation": "UPDATE", "changed_fields": ["amount_micros"]}
    row |= {"client_type": "GOOGLE_ADS_WEB_CLIENT", "actor_hash": HASH, "loaded_at": at, "amount_before_micros": before * MICROS}
    world.put("ads.ads_change_events", row | {"amount_after_micros": after * MICROS} | facts)


def applied(world: ReportWorld) -> None:
    """The plan of budgets, applied at eleven and in the platform's log."""
    account(world)
    world.plan()
    world.decide("approved")
    world.apply()
    at = world.at(PLANNED, 11)
    logged(world, "e1", at, "7003", 1500, 1462, amount_after_micros=1_462_500_000, client_type="GOOGLE_ADS_API")
    logged(world, "e2", at, "7006", 750, 787, amount_after_micros=787_500_000, client_type="GOOGLE_ADS_API")


def reconciled(world: ReportWorld) -> str:
    """Run the job, then the page's section without its markup."""
    world.at(RUN_DATE, 6)
    reconcile_changes.run(world.warehouse, RUN_DATE)
    return section(world)


def section(world: ReportWorld) -> str:
    page = render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms"))
    found = re.search(r"<h2>Changes by others</h2>.*?</section>", page, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found[0] if found else "")).replace("\u00a0", " ")


def test_an_edit_by_somebody_else_is_on_the_page(world: ReportWorld) -> None:
    """When, the start of the hash of who, through what, which budget, both amounts; it counts in the cap and froze nothing."""
    applied(world)
    logged(world, "e3", world.at(PLANNED, 15), "7001", 300, 420)
    text = reconciled(world)
    assert "3 changes: 2 ours, 1 by others , 0 of ours missing in the platform's log . Matched: 67 %" in text
    assert (
        "26 Feb 2026, 15:00 UTC person abc123def456, Google ads web client Budget 7001 300.00 USD 420.00 USD "
        "Counted in the cap of its 24 hours; it froze nothing." in text
    )
    assert HASH not in text


def test_an_edit_against_ours_shows_the_freeze_and_its_end(world: ReportWorld) -> None:
    """Frozen by the job and still so; then thawed by a person."""
    applied(world)
    logged(world, "e4", world.at(PLANNED, 15), "7006", 787, 700, amount_before_micros=787_500_000)
    text = reconciled(world)
    assert f"Undid our change {SET_ID}-7006 . The account was frozen on 1 Mar 2026, 06:00 UTC by reconcile-changes" in text
    assert "and is still frozen" in text
    world.at(RUN_DATE, 8)
    flip(world.warehouse, scope=f"google_ads:{ACCOUNT}", is_on=False, why="talked to them", actor="maria@corp.example")
    assert "thawed on 1 Mar 2026, 08:00 UTC by maria." in section(world)


def test_an_account_that_was_frozen_before_keeps_its_freeze(world: ReportWorld) -> None:
    """The freeze in force at the change is the one that is told, not one of another account."""
    applied(world)
    world.at(PLANNED, 13)
    freeze(world.warehouse, "google_ads", "1000000001", why="x", actor="watch-canary")
    world.at(PLANNED, 14)
    freeze(world.warehouse, *OWN, why="CAC", actor="watch-canary")
    logged(world, "e4", world.at(PLANNED, 15), "7006", 787, 700, amount_before_micros=787_500_000)
    assert "was frozen on 26 Feb 2026, 14:00 UTC by watch-canary and is still frozen" in reconciled(world)


def test_ours_without_its_event_is_told(world: ReportWorld) -> None:
    """In our log but not in the platform's: somebody must look."""
    account(world)
    world.plan()
    world.decide("approved")
    world.apply()
    text = reconciled(world)
    assert "2 changes: 0 ours, 0 by others , 2 of ours missing in the platform's log . Matched: 0 %" in text
    assert text.count("Ours, but not in the platform's log") == 2


def test_nothing_reconciled_is_no_section_and_only_ours_is_one_line(world: ReportWorld) -> None:
    """Silence is not completeness; completeness is said."""
    applied(world)
    assert section(world) == ""
    text = reconciled(world)
    assert "2 changes: 2 ours, 0 by others" in text
    assert "Matched: 100 %" in text
    assert "By whom" not in text


def test_of_many_edits_the_newest_are_shown_and_all_are_counted(world: ReportWorld) -> None:
    """Twenty rows; the fight stands first although it is the oldest."""
    applied(world)
    logged(world, "f", world.at(PLANNED, 12), "7006", 787, 700, amount_before_micros=787_500_000)
    start = world.at(PLANNED, 13)
    for number in range(25):
        logged(world, f"e{number + 10}", start + timedelta(minutes=number), "7001", 300 + number, 301 + number)
    text = reconciled(world)
    found = read_report(world.warehouse, run_date=RUN_DATE, source="platforms").others
    (one,) = report_others.found(found, {}, OWN)
    assert (one.by_others, len(one.rows), one.more, one.rows[0]["event_key"]) == (26, 20, 6, "f")
    assert one.rows[1]["event_key"] == "e34"
    assert "6 older changes not shown" in text


def test_hostile_names_in_the_log_are_shown_and_not_run(world: ReportWorld) -> None:
    """Budget and client of the platform's log are somebody else's text."""
    applied(world)
    evil = "<script>alert(1)</script>"
    logged(world, "e3", world.at(PLANNED, 15), evil, 300, 420, client_type=evil)
    reconciled(world)
    page = render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms"))
    assert "<script" not in page.lower()
    assert page.count("&lt;script&gt;") >= 2
