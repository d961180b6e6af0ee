"""Arms and the exploration account on the page: posteriors, P(best), splits and spend as the tables hold them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from bandit_rows import ARMS, CAP, OFF, ON, RULES, bandits, delivered, posteriors, statuses
from markupsafe import Markup
from report_world import ACCOUNT, RUN_DATE, ReportWorld

from tasks.core.policy import Policy
from tasks.decide.choose_arms import EXPLORED_DAYS
from tasks.govern import report_arm_charts
from tasks.govern import report_arms as arms
from tasks.govern import report_words as words
from tasks.govern.report_data import read_report
from tasks.govern.report_page import render

pytestmark = pytest.mark.slow  # each test draws whole pages

OWN = ("google_ads", ACCOUNT)


def page(world: ReportWorld) -> str:
    return render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms", policy=Policy()))


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time; left out where a test is about the rest."""
    monkeypatch.setattr(report_arm_charts, "cost_intervals", lambda group: Markup("<svg></svg>"))


def text_of(page: str) -> str:
    """The page without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)).replace("\u00a0", " ")


def shown(world: ReportWorld) -> arms.Shown:
    found = arms.shown(arms.read_bandits(world.warehouse, RUN_DATE), OWN)
    assert found is not None
    return found


def test_without_bandits_the_page_says_nothing_of_them(world: ReportWorld) -> None:
    """No rows, no heading, no picture."""
    world.decisions(("7001", "hold", "total_constant", "x"))
    assert arms.shown(arms.read_bandits(world.warehouse, RUN_DATE), OWN) is None
    assert "Which ads serve" not in page(world)


def test_the_page_shows_each_arm_as_the_tables_hold_it(world: ReportWorld) -> None:
    """Interval, P(best), share, status and reason of every arm; the dropped one with its cap and its sample."""
    made = {row["arm_id"]: row for row in bandits(world)}
    statuses(world, [("a1", ON), ("a2", OFF), ("a3", ON)])
    assert [(ad, row["action"]) for ad, row in sorted(made.items())] == [("a1", "keep"), ("a2", "keep"), ("a3", "pause")]
    found = page(world)
    text = text_of(found)
    rows = {row["arm_id"]: row for row in posteriors(ARMS, group="g1", at=world.at(RUN_DATE, 7))}
    for ad, row in rows.items():
        expected = [words.amount(row[f"cac_{name}_micros"], "USD") for name in ("p05", "p50", "p95")]
        expected += [words.amount(row["spend_micros"], "USD"), f"{row['conversions']:,.1f}"]
        expected += [words.percent(made[ad]["split_share_ppm"] / 1e6, 1), made[ad]["reason"].replace(">", "&gt;")]
        if ad != "a3":
            expected.append(words.percent(made[ad]["p_best"], 1))
        assert [one for one in expected if one not in found] == [], ad
    assert f"Cost cap {words.amount(CAP, 'USD')}".replace("\u00a0", " ") in text
    assert "3 ads of 1 group decided, 1 dropped, 0 to be enabled again" in text
    for line in ("leads its group", "on trial: too little spent to judge", "dropped: too dear", "after 1,800.00 spent"):
        assert line in text
    (group,) = shown(world).groups
    assert [(arm["arm_id"], arm["role"], arm["status"]) for arm in group.arms] == [
        ("a1", "leads", ON),
        ("a3", "dropped", ON),
        ("a2", "trial", OFF),
    ]
    assert 'aria-label="Cost of a conversion by ad in ad group g1"' in found


def test_the_posterior_shown_is_the_one_that_was_decided_by(world: ReportWorld) -> None:
    """Restated data made a newer version of the day; the page stays with the version in the log."""
    bandits(world)
    later = world.at(RUN_DATE, 9)
    world.put("models.bandit_posteriors", *posteriors({"a1": (1.0, 9000.0)}, group="g1", at=later, version="v2"))
    (group,) = shown(world).groups
    assert {arm["arm_id"]: arm["posterior_version"] for arm in group.arms} == {"a1": "v1", "a2": "v1", "a3": "v1"}


def test_a_new_day_without_decisions_says_so(world: ReportWorld, no_pictures: None) -> None:
    """Posteriors alone are shown as such; yesterday's split is not passed off as today's."""
    bandits(world, day=RUN_DATE - timedelta(days=1))
    world.put("models.bandit_posteriors", *posteriors(ARMS, group="g1", at=world.at(RUN_DATE, 7)))
    (group,) = shown(world).groups
    assert {arm["role"] for arm in group.arms} == {"undecided"}
    assert "Nothing has been decided for" in text_of(page(world))


def test_roles_come_from_the_log(world: ReportWorld, no_pictures: None) -> None:
    """Fatigue, a last arm that is too dear, and one that still has its sample, each by name."""
    bandits(world, {"b1": (40.0, 2000.0), "b2": (30.0, 2000.0)}, group="g1", is_fatigued=True, fatigue_reason="CTR fell by 41 %")
    bandits(world, {"c1": (4.0, 1800.0)}, group="g2")
    bandits(world, {"d1": (40.0, 2000.0), "d2": (0.0, 600.0)}, group="g3")
    roles = {(g.first["adgroup_id"], a["arm_id"]): a["role"] for g in shown(world).groups for a in g.arms}
    assert roles == {
        ("g1", "b1"): "leads",
        ("g1", "b2"): "fatigued",
        ("g2", "c1"): "kept_last",
        ("g3", "d1"): "leads",
        ("g3", "d2"): "dear",
    }
    text = text_of(page(world))
    for line in ("Fatigue: CTR fell by 41 %", "too dear, kept as the last one", "One ad is left, so there is nothing to explore"):
        assert line in text


def test_a_status_is_that_of_the_newest_load_and_of_what_is_above(world: ReportWorld) -> None:
    """A paused campaign is told; an ad that was not loaded any more is not called enabled."""
    bandits(world)
    statuses(world, [("a3", ON)], day=RUN_DATE - timedelta(days=1))
    statuses(world, [("a1", ON), ("a2", OFF)], campaign_status=OFF)
    (group,) = shown(world).groups
    assert {arm["arm_id"]: arm["status"] for arm in group.arms} == {"a1": "parent_paused", "a2": OFF, "a3": "unknown"}


def test_of_many_groups_those_with_most_spend_are_shown(world: ReportWorld, no_pictures: None) -> None:
    """Six of nine, by spend a day; how many more there are stands on the page."""
    for number in range(9):
        spend = 100_000_000 * (number + 1)
        bandits(world, {"a1": (40.0, 2000.0)}, group=f"g{number}", group_day_spend_micros=spend)
    found = shown(world)
    assert [group.first["adgroup_id"] for group in found.groups] == ["g8", "g7", "g6", "g5", "g4", "g3"]
    assert found.more_groups == 3
    text = text_of(page(world))
    assert "3 more ad groups not shown" in text
    assert "9 ads of 9 groups decided" in text


def test_other_accounts_come_after_the_one_of_the_page(world: ReportWorld) -> None:
    """Its small group stands before their large one."""
    bandits(world, group_day_spend_micros=1)
    bandits(world, group="g2", account_id="1000000001", group_day_spend_micros=10**12)
    assert [group.account[1] for group in shown(world).groups] == [ACCOUNT, "1000000001"]


def test_exploration_is_counted_in_spend_week_by_week(world: ReportWorld, no_pictures: None) -> None:
    """By hand: each day 100 on the leader, 15 on the explored one, 30 on the dropped one, which does not count."""
    for back in range(1, 11):
        day = RUN_DATE - timedelta(days=back)
        bandits(world, day=day)
        delivered(world, day, {"a1": 100, "a2": 15, "a3": 30})
    (found,) = arms.exploration(arms.read_bandits(world.warehouse, RUN_DATE), RUN_DATE, OWN)
    sums = [(span.spend // 10**6, span.explored // 10**6, round(span.reserved / 1e6, 3)) for span in found.weeks]
    assert sums == [(345, 45, 34.5), (805, 105, 80.5)], "three days of the week before, then the seven days up to yesterday"
    assert (found.total.spend, found.total.explored) == (1150 * 10**6, 150 * 10**6)
    assert found.total.share == pytest.approx(15 / 115)
    assert found.owed(0.1) == -35 * 10**6
    text = text_of(page(world))
    for line in (
        "The policy reserves 10.0 % of spend for exploration. 19 Feb 2026 to 28 Feb 2026: 150.00 USD of 1,150.00 USD, 13.0 %",
        "35.00 USD more than that",
        "115.00 USD 10.0 %",
        "80.50 USD 10.0 %",
    ):
        assert line in text, line


def test_the_account_reaches_back_as_far_as_the_next_reserve_looks() -> None:
    """The page and choose-arms balance over the same days."""
    assert arms.EXPLORED_DAYS == EXPLORED_DAYS


def test_days_that_are_not_delivered_are_no_exploration(world: ReportWorld, no_pictures: None) -> None:
    """Decided today, delivered never: the section says that nothing is known, not zero percent."""
    bandits(world)
    delivered(world, RUN_DATE, {"a1": 100})
    assert arms.exploration(arms.read_bandits(world.warehouse, RUN_DATE), RUN_DATE, OWN) == []
    assert "nothing is known of what exploration costs" in text_of(page(world))


def test_what_a_table_says_cannot_become_markup(world: ReportWorld) -> None:
    """Ids, channel and fatigue of hostile names are shown, not run, in the picture too."""
    evil = "<script>alert(1)</script>"
    bandits(world, {evil: (40.0, 2000.0)}, group=evil, channel=evil, is_fatigued=True, fatigue_reason=evil)
    found = page(world)
    assert "<script" not in found.lower()
    assert found.count("&lt;script&gt;") >= 4


def test_a_page_of_bandits_alone_needs_no_model(world: ReportWorld, no_pictures: None) -> None:
    """An advertiser without a model sees the ads; the headline does not speak of a model."""
    bandits(world, rules=replace(RULES, cac_cap_micros=None))
    text = text_of(page(world))
    assert "No model and no budget plan yet" in text
    assert "The policy names no cost cap" in text
    world.model(source="my_sheet", run_id="mmm-sheet")
    assert "Which ads serve" not in render(read_report(world.warehouse, run_date=RUN_DATE, source="my_sheet"))
