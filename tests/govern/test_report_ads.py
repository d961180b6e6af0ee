"""Sets of ads on the page: what was proposed and why, who approved which hash, what was switched and read back; and the plan of
budgets beside them, which they leave alone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from bandit_rows import OFF, ON, ad_decision, ad_event, ad_set, apply_ads, approve_ads, propose_ads
from report_world import ACCOUNT, PLANNED, RUN_DATE, SET_ID, ReportWorld

from tasks.core.errors import JobError
from tasks.govern import report_ads as ads
from tasks.govern import report_facts as facts
from tasks.govern.report_data import newest_sets, read_report
from tasks.govern.report_page import render

pytestmark = pytest.mark.slow  # each test draws whole pages

EVIL = "<svg onload=alert(1)> ask jane@corp.example"


def page(world: ReportWorld) -> str:
    return render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms"))


def section(page: str) -> str:
    """The section of ads without its markup."""
    found = re.search(r"<h2>Ads to enable and to pause</h2>.*?</section>", page, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found[0] if found else "")).replace("\u00a0", " ")


def test_a_set_of_ads_never_stands_in_for_the_plan_of_budgets(world: ReportWorld) -> None:
    """Newer than the plan of budgets it is not the page's plan; sums, log and the pages an account are those of budgets."""
    world.plan()
    before = read_report(world.warehouse, run_date=RUN_DATE, source="platforms")
    made = ad_set()
    propose_ads(world, made)
    approve_ads(world, made)
    apply_ads(world, made)
    propose_ads(world, ad_set(day=RUN_DATE))
    after = read_report(world.warehouse, run_date=RUN_DATE, source="platforms")
    assert before.plan is not None
    assert after.plan is not None
    assert after.plan.change_set["change_set_id"] == SET_ID
    assert facts.totals(after.plan) == facts.totals(before.plan)
    assert after.plan.history.rows == before.plan.history.rows
    assert [one["change_set_id"] for one in after.sets] == [SET_ID]
    assert [one["change_set_id"] for one in newest_sets(world.warehouse, RUN_DATE, "platforms")] == [SET_ID]
    assert (after.ledger_problems, after.ledger_rows) == ((), 12)


def test_the_way_of_a_set_from_plan_to_read_back(world: ReportWorld) -> None:
    """Statuses before, proposed, read and after; reason, approver, both hashes, platform request; the log row by row."""
    made = ad_set()
    propose_ads(world, made)
    approve_ads(world, made)
    apply_ads(world, made)
    found = page(world)
    text = section(found)
    why, read = "P(CAC &gt; 75.00) is 0.981", "26 Feb 2026, 11:00 UTC switched and read back : "
    for line in (
        "1 to enable, 1 to pause",
        f"a2 ad group g1, campaign c1 paused enabled {why} paused {read}enabled",
        f"a3 ad group g1, campaign c1 enabled paused {why} enabled {read}paused",
        f"Change set {made.change_set_id} by planner, SHA-256 {made.sha256}",
        "Approved by maria on 26 Feb 2026, 10:00 UTC, for this hash (run-9)",
        "Its change log (10 entries)",
        "req-ad",
    ):
        assert line in text, line
    (one,) = read_report(world.warehouse, run_date=RUN_DATE, source="platforms").ads.sets
    assert [row for row in one.history.rows if f'title="{row.row_hash}">{row.row_hash[:12]}<' not in found] == []


def test_an_approval_of_another_hash_cries_out(world: ReportWorld) -> None:
    """The one thing that must not look fine."""
    made = ad_set()
    propose_ads(world, made)
    approve_ads(world, made, sha256="f" * 64)
    assert f"for another hash: {'f' * 64}" in re.sub(r"\s+", " ", section(page(world)))


def test_bytes_that_were_changed_are_not_shown_as_the_proposal(world: ReportWorld) -> None:
    """Edited after the proposal: the page says so, shows none of it, and does not break."""
    made = ad_set()
    propose_ads(world, made, canonical=made.canonical().decode().replace('"a3"', '"a9"'))
    text = section(page(world))
    assert "This set cannot be trusted: its bytes hash to" in text
    assert "a9" not in text


def test_a_rollback_a_refusal_and_an_edit_are_told(world: ReportWorld) -> None:
    """Each ad by its own last row in the changefeed."""
    made = ad_set()
    propose_ads(world, made)
    approve_ads(world, made)
    apply_ads(world, made, until=1)
    first, second = made.changes
    ad_event(world, made, "mutate_intended", second)
    ad_event(world, made, "blocked", second, status_before=None, status_after=None, detail={"found": "REMOVED"})
    ad_event(world, made, "blocked")
    ad_event(world, made, "rollback_intended", first, status_before=ON, status_after=OFF)
    ad_event(world, made, "rolled_back", first, status_before=ON, status_after=OFF)
    text = section(page(world))
    assert "stopped, a person must look" in text
    assert "switched back : paused" in text
    assert "found otherwise, a person must look : REMOVED" in text


@pytest.mark.parametrize(
    ("mode", "days", "state", "said"),
    [
        ("shadow", 0, "shadow", "In shadow mode nobody is asked"),
        ("live", 0, "proposed", "It waits for a person until 2 Mar 2026, 08:00 UTC"),
        ("live", 3, "expired", "Nobody answered; unanswered means no"),
    ],
)
def test_a_set_that_nobody_decided_on(world: ReportWorld, mode: str, days: int, state: str, said: str) -> None:
    """Shadow, waiting, too late."""
    propose_ads(world, ad_set(day=RUN_DATE - timedelta(days=days), mode=mode))
    (one,) = read_report(world.warehouse, run_date=RUN_DATE, source="platforms").ads.sets
    assert one.state(RUN_DATE) == state
    text = section(page(world))
    assert said in text
    assert text.count("not switched") == 2


def test_earlier_sets_are_listed_and_those_of_other_accounts_shown(world: ReportWorld) -> None:
    """The newest of each account in full, the one of the page first."""
    world.plan()
    old, new = ad_set(day=PLANNED - timedelta(days=1)), ad_set()
    propose_ads(world, old)
    propose_ads(world, new)
    found = read_report(world.warehouse, run_date=RUN_DATE, source="platforms")
    first, rest = ads.shown(found.ads, ("google_ads", ACCOUNT))
    assert [[one.row["change_set_id"] for one in part] for part in (first, rest)] == [[new.change_set_id], [old.change_set_id]]
    assert "Other sets of ads of the last four weeks (1)" in section(render(found))


def test_what_the_plan_left_alone_has_its_reason(world: ReportWorld) -> None:
    """Held decisions by name, the rest in numbers; of many alike the first five."""
    world.decisions(("7001", "hold", "total_constant", "x"))
    ad_decision(world, "b0", "hold", "last_enabled_ad", "yesterday's", day=PLANNED - timedelta(days=1))
    ad_decision(world, "a1", "hold", "kept", "P(best) 0.9")
    ad_decision(world, "a3", "pause", "none", "too dear")
    for number in range(7):
        ad_decision(world, f"b{number}", "hold", "last_enabled_ad", f"why {number}")
    text = section(page(world))
    assert "7 last enabled ad of the group, 1 kept as they are" in text or "1 kept as they are, 7 last enabled ad" in text
    assert "1 proposed to be paused" in text
    assert [number for number in range(7) if f"why {number}" in text] == [0, 1, 2, 3, 4]
    assert "yesterday" not in text


def test_hostile_reasons_are_shown_and_not_run(world: ReportWorld) -> None:
    """In the hashed bytes and in a decision alike."""
    propose_ads(world, ad_set(reason=EVIL))
    ad_decision(world, "a1", "hold", EVIL, EVIL)
    found = page(world)
    assert "<svg onload" not in found
    assert found.count("&lt;svg onload=alert(1)&gt; ask [redacted]") >= 3


def test_asked_for_as_a_plan_of_budgets_a_set_of_ads_is_not_one(world: ReportWorld) -> None:
    """`--change-set-id` names plans of budgets; the sets of ads stand on every page."""
    made = ad_set()
    propose_ads(world, made)
    with pytest.raises(JobError, match="is not among those"):
        read_report(world.warehouse, run_date=RUN_DATE, source="platforms", change_set_id=made.change_set_id)
