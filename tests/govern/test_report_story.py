"""The headline and the answers: each state a plan can be in, told from its tables."""

from dataclasses import replace
from datetime import date

import pytest
from report_world import ACCOUNT, PLANNED, RUN_DATE, SET_ID, ReportWorld

from tasks.core.errors import JobError
from tasks.govern import report_facts as facts
from tasks.govern import report_story as story
from tasks.govern import report_words as words
from tasks.govern.report_data import Report, read_report
from tasks.govern.report_page import render

pytestmark = pytest.mark.slow  # each test draws whole pages


def read(world: ReportWorld, run_date: date = RUN_DATE, source: str = "platforms", **wish: str) -> Report:
    return read_report(world.warehouse, run_date=run_date, source=source, **wish)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def told(report: Report) -> dict[str, tuple[str, str]]:
    """Question → (short answer, mood)."""
    return {answer.question: (answer.short, answer.mood) for answer in story.answers(report, facts.realised(report))}


def sentence(report: Report, question: str) -> str:
    return plain(next(a.text for a in story.answers(report, facts.realised(report)) if a.question == question))


def test_without_a_model_and_a_plan_there_is_nothing_to_report(world: ReportWorld) -> None:
    """The error names the source and the command that makes something to report."""
    with pytest.raises(JobError, match=r"nothing to report for source 'platforms' up to 2026-03-01.*aelp2 fit-mmm"):
        read(world)


@pytest.mark.parametrize(
    ("verdict", "headline", "trust"),
    [
        ("PASS", "A model, but no budget plan yet", ("Yes", "good")),
        ("REVIEW", "A model, but no budget plan yet", ("With care", "warn")),
        ("FAIL", "The model failed its review, so there is no plan", ("No", "bad")),
        (None, "A model, but no budget plan yet", ("Not reviewed", "wait")),
    ],
)
def test_before_any_plan_the_page_is_about_the_model(
    world: ReportWorld, verdict: str | None, headline: str, trust: tuple[str, str]
) -> None:
    """No question about an approval is asked where there is nothing to approve."""
    world.model(verdict)
    report = read(world)
    assert story.headline(report) == headline
    assert told(report) == {
        "What was proposed?": ("Nothing yet", "wait"),
        "Why?": ("No plan", "wait"),
        "Can I trust the model?": trust,
    }


def test_the_page_says_which_channels_are_not_in_the_model(world: ReportWorld) -> None:
    """With the reason, where a reader asks if the model can be trusted."""
    world.model("PASS", left_out=("REDDIT has 0.60% of all spend, 1% are needed", "X has spend in 3 periods"))
    said = sentence(read(world), "Can I trust the model?")
    assert "REDDIT has 0.60% of all spend, 1% are needed; X has spend in 3 periods." in said
    assert "their spend counts in the blended CAC" in said


def test_a_plan_that_holds_everything_says_what_held_it(world: ReportWorld) -> None:
    """Budgets are counted by what decided, the most frequent first."""
    hold = [("7001", "total_constant"), ("7002", "total_constant"), ("7003", "learning_phase")]
    world.decisions(*((budget, "hold", constraint, "numbers") for budget, constraint in hold))
    report = read(world)
    assert plain(story.headline(report)) == "No budget change on 26 Feb 2026"
    assert sentence(report, "What was proposed?") == "The plan of 26 Feb 2026 leaves all 3 budgets as they are."
    assert sentence(report, "Why?").endswith("the total stays the same (2); resting after an earlier change (1).")


def test_the_headline_and_the_reasons_come_from_the_proposals(world: ReportWorld) -> None:
    """Amounts, channels by name, medians of the plan, what all steps together are expected to bring with its interval."""
    world.model()
    world.plan()
    report = read(world, PLANNED)
    assert plain(story.headline(report)) == "38 USD a day more for YouTube: waiting for a decision"
    assert sentence(report, "What was proposed?") == (
        "Take 38 USD a day from Search non-brand and give 38 USD a day to YouTube: 2 daily budgets, none by more than 5.0 %."
    )
    assert sentence(report, "Why?") == (
        "After this step the next new customer would cost about 59 USD in YouTube, but about 358 USD in Search non-brand; the "
        "target is 75 USD. Expected from the whole plan: +3.8 new customers a week (90 % interval +2.9 to +4.7)."
    )
    assert told(report)["Who approved it?"] == ("Nobody yet", "warn")
    assert told(report)["Was it applied?"] == ("No", "wait")
    assert "Is it working?" not in told(report)


def test_a_plan_older_than_joint_intervals_shows_its_mean_alone(world: ReportWorld) -> None:
    """The ends of single intervals do not add up to one of all steps, so none is told."""
    world.model()
    world.plan(joint=(None, None))
    report = read(world, PLANNED)
    assert sentence(report, "Why?").endswith("Expected from the whole plan: +3.8 new customers a week.")
    assert told(report)["Why?"] == ("+3.8 new customers a week", "warn")
    together = plain(render(report)).split("<td>Together</td>")[1].split("</tr>")[0]
    assert ("+3.78" in together, " to " in together) == (True, False)


def test_a_plan_nobody_answered_is_no_longer_waiting(world: ReportWorld) -> None:
    """After its expiry the page does not ask for a decision that would be refused."""
    world.plan()
    report = read(world)
    assert story.headline(report).endswith("expired unanswered")
    assert told(report)["Who approved it?"] == ("Nobody", "wait")


@pytest.mark.parametrize(("decision", "short"), [("rejected", "Rejected"), ("expired", "Nobody")])
def test_a_plan_that_was_not_approved_changed_nothing(world: ReportWorld, decision: str, short: str) -> None:
    """Who said no, and that the account is as it was."""
    world.plan()
    world.decide(decision, "maria" if decision == "rejected" else "nobody")
    report = read(world, PLANNED)
    assert story.headline(report).endswith({"rejected": "rejected", "expired": "expired unanswered"}[decision])
    assert told(report)["Who approved it?"] == (short, "wait")
    assert sentence(report, "Was it applied?") == "Nothing was changed in the ad account."


def test_an_approved_plan_is_not_called_applied_before_it_is(world: ReportWorld) -> None:
    """Approval and application are two things."""
    world.plan()
    world.decide("approved")
    report = read(world, PLANNED)
    assert told(report)["Who approved it?"] == ("maria", "good")
    assert told(report)["Was it applied?"] == ("Not yet", "wait")


def test_a_shadow_plan_asks_nobody_and_changes_nothing(world: ReportWorld) -> None:
    """Shadow mode is named for what it is."""
    world.plan("shadow")
    report = read(world, PLANNED)
    assert story.headline(report).endswith("proposed only")
    assert told(report)["Who approved it?"] == ("Nobody was asked", "wait")
    assert told(report)["Was it applied?"] == ("No", "wait")


def test_a_promoted_plan_is_kept_and_compared_with_what_was_predicted(world: ReportWorld) -> None:
    """How many budgets were changed, when it was kept, what was won against prediction and chance."""
    world.plan()
    world.decide("approved")
    world.apply()
    world.promote()
    world.daily(after=50.0)
    report = read(world)
    assert story.headline(report).endswith("kept after its watch")
    assert sentence(report, "Was it applied?") == (
        "2 of 2 budgets changed on 26 Feb 2026, 11:00 UTC and read back. Kept for good on 1 Mar 2026, 08:00 UTC."
    )
    assert told(report)["Is it working?"] == ("No harm seen", "good")
    assert "50 new customers a day against 43 predicted" in sentence(report, "Is it working?")


def test_a_rolled_back_plan_names_the_breach(world: ReportWorld) -> None:
    """The guardrail that failed, by its name, and that the earlier amounts are back."""
    world.plan()
    world.decide("approved")
    world.apply()
    world.roll_back()
    world.daily(after=15.0)
    report = read(world)
    assert story.headline(report).endswith("rolled back")
    assert told(report)["Was it applied?"] == ("Undone", "bad")
    assert told(report)["Is it working?"] == ("No", "bad")
    assert sentence(report, "Is it working?").startswith("Breached: Cost per new customer.")
    compared = facts.realised(report)
    assert compared is not None
    assert (compared.first_day, compared.last_day) == (PLANNED, PLANNED)  # the day of the rollback is not the plan's any more


def test_predicted_against_realised_is_the_arithmetic_it_says(world: ReportWorld) -> None:
    """Usual day 42 customers, sd 2.04; predicted adds 3.78 a week; 3 days of the change; spend 2,000 as before."""
    world.plan()
    world.decide("approved")
    world.apply()
    world.daily(after=50.0)
    found = facts.realised(read(world))
    assert found is not None
    assert (found.days, found.usual_days) == (3, 28)
    assert found.customers.usual == pytest.approx(42)
    assert found.customers.predicted == pytest.approx(42 + 3.78 / 7)
    assert found.customers.realised == pytest.approx(50)
    assert found.customers.usual_high == pytest.approx(42 + 2 * 2.0367 / 3**0.5, abs=1e-3)
    assert not found.is_usual
    assert found.spend.predicted == pytest.approx(2000)  # what one budget gains, the other loses
    assert found.cac.realised == pytest.approx(40)
    assert found.spend_gap == pytest.approx(0)


def test_spend_in_two_currencies_is_never_added_up(world: ReportWorld) -> None:
    """Without rates there is no blended CAC: neither the comparison nor the picture is made."""
    world.plan()
    world.decide("approved")
    world.apply()
    world.daily()
    report = read(world)
    mixed = replace(report, daily=report.daily.with_columns(currencies=2 * report.daily["currencies"]))
    assert facts.realised(report) is not None
    assert facts.realised(mixed) is None


def test_an_import_is_advice_that_nobody_approves(world: ReportWorld) -> None:
    """The plan of a sheet is told as advice, in revenue where its model is about revenue."""
    world.model("PASS", source="sheet", target="revenue")
    world.plan("shadow", set_id="imported-sheet-2026-02-26-abcdefabcdef", platform="imported", account="sheet")
    report = read(world, source="sheet")
    assert report.target == "revenue"
    assert story.headline(report).endswith("advice only")
    assert told(report)["Who approved it?"] == ("Not needed", "wait")
    assert "+4 USD revenue a week" in sentence(report, "Why?")
    assert "the next USD of revenue" in sentence(report, "Why?")
    with pytest.raises(JobError, match="nothing to report"):
        read(world)  # the platforms have nothing to do with it


def test_the_plan_of_an_account_that_bears_the_name_of_an_import_stays_apart(world: ReportWorld) -> None:
    """A source is an import only where the plan says so."""
    world.plan()
    with pytest.raises(JobError, match="nothing to report"):
        read(world, source=ACCOUNT)


def test_a_newer_model_that_failed_leaves_the_live_one_on_the_page(world: ReportWorld) -> None:
    """The page shows the curves that plans rest on, and says that a newer run did not pass."""
    world.model("PASS")
    world.model("FAIL", run_id="mmm-00000000000000ff")
    model = read(world).model
    assert model is not None
    assert (model.run["run_id"], model.is_live) == ("mmm-0123456789abcdef", True)
    assert model.verdict == "PASS"


def test_an_older_plan_can_be_asked_for_and_the_others_are_named(world: ReportWorld) -> None:
    """Two accounts planned on one day: neither hides the other; an unknown id is refused with the known ones."""
    other = "google_ads-2000000002-2026-02-26-bbbbbbbbbbbb"
    world.plan()
    world.plan(set_id=other, account="2000000002")
    report = read(world, change_set_id=other)
    assert report.plan is not None
    assert report.plan.change_set["account_id"] == "2000000002"
    assert {one["change_set_id"]: one["state"] for one in report.sets} == {SET_ID: "proposed", other: "proposed"}
    with pytest.raises(JobError, match=f"'nope' is not among those of source 'platforms'.*{SET_ID}"):
        read(world, change_set_id="nope")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (words.channel_name("SEARCH_NONBRAND"), "Search non-brand"),
        (words.channel_name("PAID_SOCIAL"), "Paid social"),
        (words.channel_name("tv_S"), "tv S"),
        (words.channel_name("SEARCH_NONBRAND_REMARKETING"), "Search non-brand, remarketing"),
        (words.channel_name("TV_REMARKETING"), "Tv remarketing"),
        (words.constraint("step_cap_2.5_pct"), "2.5 % a step"),
        (words.constraint("something_new"), "something new"),
        (words.guardrail("delivery:7006"), "Still delivering, budget 7006"),
        (words.readable("YOUTUBE and MYYOUTUBE"), "YouTube and MYYOUTUBE"),
        (words.readable("YOUTUBE_PROSPECTING, not YOUTUBE_X"), "YouTube, prospecting, not YOUTUBE_X"),
        (words.scope_name("all"), "all accounts"),
        (words.scope_name("google_ads:12"), "Google Ads account 12"),
        (words.person("maria@example.com"), "maria"),
        (plain(words.amount(-1_234_500_000, "USD")), "−1,234.50 USD"),
        (plain(words.about(9_500_000, "EUR")), "9.50 EUR"),
        (plain(words.span(PLANNED, RUN_DATE)), "26 Feb 2026 to 1 Mar 2026"),
        (plain(words.span(PLANNED, PLANNED)), "26 Feb 2026"),
        (words.signed(-0.04), "+0.0"),
        (words.signed(-0.06), "−0.1"),
        (words.listed(["a", "b", "a", "c"]), "a, b and c"),
        (words.plural(2, "entry"), "2 entries"),
        (plain(words.check_asked("holdout_mape", "≤ 0.2 passes, ≤ 0.5 needs review")), "≤ 20 % passes, ≤ 50 % needs review"),
    ],
)
def test_words_are_written_for_people(written: str, expected: str) -> None:
    """Names instead of codes, one way to write money, shares and dates."""
    assert written == expected
