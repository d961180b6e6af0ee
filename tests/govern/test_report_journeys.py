"""Who came because of the ads: newest week, largest property, ways and curves as the tables say them, in words for people."""

import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
import website_rows as rows
from report_world import PLANNED, RUN_DATE, ReportWorld

from tasks.govern import report_journeys as journeys
from tasks.govern import report_words as words
from tasks.govern.report_data import read_report
from tasks.govern.report_flow import Way
from tasks.govern.report_page import render


def read(world: ReportWorld, run_date: date = RUN_DATE) -> journeys.Journeys:
    return journeys.read_journeys(world.warehouse, run_date)


def test_before_the_jobs_have_run_there_is_nothing(world: ReportWorld) -> None:
    """No facts from empty tables, and no heading on the page."""
    world.model()
    found = read(world)
    assert (journeys.shares(found), journeys.ways(found), journeys.maturity(found), journeys.uplift(found)) == (
        None,
        None,
        [],
        [],
    )
    assert "Who came because" not in render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms"))


def test_shares_are_those_of_the_newest_week(world: ReportWorld) -> None:
    """Three methods; the channel below one percent in all of them is left out, what others say is not read."""
    rows.attribution(world, rows.WEEK - timedelta(weeks=1), conversions=7.0)
    rows.attribution(world)
    found = journeys.shares(read(world))
    assert found is not None
    assert (found.first_day, found.last_day) == (date(2026, 1, 26), date(2026, 2, 22))
    assert found.conversions == pytest.approx(131)
    assert set(found.of_all["method"]) == {"last", "markov_1", "shapley"}
    assert set(found.of_all["channel_group"]) == {"Paid Search", "Paid Video", "Direct"}
    assert found.of_paid.is_empty()


def test_a_week_that_was_not_over_on_the_run_date_is_not_shown(world: ReportWorld) -> None:
    """A report of an earlier day does not know later weeks; one of two months later shows no old shares."""
    rows.attribution(world)
    assert journeys.shares(read(world, date(2026, 2, 22))) is None
    assert journeys.shares(read(world, date(2026, 2, 23))) is not None
    assert journeys.shares(read(world, date(2026, 4, 14))) is None


def test_shares_of_several_properties_are_never_mixed(world: ReportWorld) -> None:
    """The property with the most conversions is shown, with its own cross-check, and the others are counted."""
    rows.attribution(world, property_id=rows.SMALL_PROPERTY, conversions=130.0)
    rows.attribution(world)
    rows.cross_check(world, property_id=rows.SMALL_PROPERTY)
    found = journeys.shares(read(world))
    assert found is not None
    assert (found.property_id, found.properties, set(found.of_all["property_id"])) == (rows.PROPERTY, 2, {rows.PROPERTY})
    assert found.of_paid.is_empty()
    assert found.disagreements == ()


def test_disagreements_are_told_for_the_same_week(world: ReportWorld) -> None:
    """Where intervals are apart the finding stands beside the picture, with the method by its name."""
    rows.attribution(world)
    rows.cross_check(world)
    rows.cross_check(world, rows.WEEK - timedelta(weeks=1))
    found = journeys.shares(read(world))
    assert found is not None
    assert found.of_paid.height == 6
    assert [words.disagreement(detail) for detail in found.disagreements] == [
        "Paid Search: last touch gives 67%, more than the model's 35%",
        "Paid Video: last touch gives 33%, more than the model's 35%",
    ]


def test_ways_are_the_first_three_touches_of_most_conversions(world: ReportWorld) -> None:
    """Days add up, a fourth touch is left out, a way without a conversion is not shown but counts among all journeys."""
    rows.paths(world)
    found = journeys.ways(read(world))
    assert found is not None
    assert found.ways == (
        Way(("Paid Search",), 60, 1940),
        Way(("Paid Search", "Direct"), 30, 470),
        Way(("Paid Video",), 20, 1480),
        Way(("Paid Video", "Paid Search", "Direct"), 17, 103),
        Way(("Direct",), 9, 791),
    )
    assert (found.converted, found.journeys) == (136, 5320)
    assert found.converted_share == 1
    assert found.journeys_share == pytest.approx(4920 / 5320)


def test_ways_end_with_the_day_before_the_run_date(world: ReportWorld) -> None:
    """Twenty-eight days: neither the day itself nor what is older."""
    rows.paths(world, RUN_DATE + timedelta(days=1))
    assert journeys.ways(read(world)) is None
    rows.paths(world, RUN_DATE - timedelta(days=29))
    assert journeys.ways(read(world)) is None
    rows.paths(world, RUN_DATE - timedelta(days=27))
    assert journeys.ways(read(world)) is not None


def test_at_most_three_curves_of_maturity_and_the_newest_of_each_source(world: ReportWorld) -> None:
    """Those with the most conversions, of all channels together; half and 95 % as the curve says."""
    rows.maturity(world, PLANNED - timedelta(days=1))
    rows.maturity(world)
    found = journeys.maturity(read(world))
    assert [curve.name[2] for curve in found] == ["101", "purchase", "102"]
    assert {day for curve in found for day in curve.rows["run_date"]} == {PLANNED}
    assert [curve.rows.height for curve in found] == [30, 30, 30]
    assert [(curve.day_50, curve.day_95) for curve in found] == [(1, 5), (0, 2), (None, None)]


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        ((0, 6), "half arrive on the day of the click, 95 % after 6 days"),
        ((1, None), "half have arrived 1 day after the click, 95 % not within the days seen"),
        ((None, None), "half have not come within the days seen"),
    ],
)
def test_maturity_in_words(days: tuple[int | None, int | None], sentence: str) -> None:
    """How long to wait, without a number nobody has seen."""
    assert words.arrival(*days) == sentence


def test_an_experiment_shows_its_newest_curve_of_the_chosen_learner(world: ReportWorld) -> None:
    """Numbers at the best three tenths, of a thousand people; what is older than a quarter is not shown."""
    rows.uplift(world, PLANNED - timedelta(days=7))
    rows.uplift(world)
    rows.uplift(world, PLANNED - timedelta(days=1), "seen_or_not", "observational")
    rows.uplift(world, RUN_DATE - timedelta(days=92), "last_year")
    newest, other = journeys.uplift(read(world))
    assert (newest.experiment_id, newest.day, newest.is_causal, newest.rows.height) == ("spring_holdout", PLANNED, True, 3)
    assert set(newest.rows["learner"]) == {"doubly_robust"}
    assert newest.best_share == 0.3
    assert (newest.won, newest.won_p05, newest.won_p95, newest.won_random) == pytest.approx((12, 8, 16, 6))
    assert (other.experiment_id, other.is_causal) == ("seen_or_not", False)


@pytest.mark.parametrize(("low", "said"), [(0.001, "picking pays"), (0.0, "it cannot be told from chance")])
def test_an_order_is_called_better_only_if_its_area_is(world: ReportWorld, low: float, said: str) -> None:
    """The low end of the interval of the Qini area decides, not the curve at one place."""
    world.model()
    rows.uplift(world, qini_low=low)
    assert f": {said}. Fitted" in render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms"))


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("causal", '<span class="good">Causal: who was treated was drawn by lot</span>'),
        ("observational", '<span class="warn">Observational: nobody drew lots, so other causes may be at work</span>'),
    ],
)
def test_a_curve_says_whether_it_is_causal(world: ReportWorld, kind: str, label: str) -> None:
    """The label stands with the numbers: nobody may take the one for the other."""
    world.model()
    rows.uplift(world, kind=kind)
    page = render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms")).replace("\u00a0", " ")
    assert f"{label}. Treating the best 30 % wins +12.0 (+8.0 to +16.0), as many at random +6.0: picking pays." in page


def test_the_page_tells_them_as_the_tables_do(world: ReportWorld) -> None:
    """Gloss, property, window, disagreement, counted ways and waiting times stand on the page."""
    world.model()
    rows.website(world)
    page = render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms")).replace("\u00a0", " ")
    for text in (
        "Attribution says who was present, the model says who caused.",
        "131 conversions on the website from 26 Jan 2026 to 22 Feb 2026, GA4 property 300000001.",
        '<b class="warn">They disagree.</b> Paid Search: last touch gives 67%, more than the model&#39;s 35%.',
        "These 5 hold 100 % of 136 conversions and 92 % of 5,320 journeys.",
        '<td>Paid Video → Paid Search → Direct</td><td class="n">120</td><td class="n">17</td><td class="n">14.2 %</td>',
        "<b>conversion action 101, Google Ads account 2000000001.</b> Of 15,191 conversions half have arrived 1 day after",
    ):
        assert text in page


@pytest.mark.parametrize(
    ("write", "heading"),
    [
        (rows.attribution, "Shares of the channels, by method"),
        (rows.paths, "The ways people take"),
        (rows.maturity, "How long conversions take to arrive"),
        (rows.uplift, "Does it pay to pick whom to treat?"),
    ],
)
def test_each_picture_stands_alone(world: ReportWorld, write: Callable[[ReportWorld], None], heading: str) -> None:
    """Where only one of the jobs has run, the section holds its picture and no other heading."""
    world.model()
    write(world)
    page = render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms"))
    assert re.findall(r'<div class="part"><h3>(.*?)</h3>', page) == [heading]


def test_an_import_shows_no_website(world: ReportWorld) -> None:
    """The website belongs to the platforms' numbers; a sheet has none."""
    world.model(source="sheet")
    rows.website(world)
    assert "Who came because" not in render(read_report(world.warehouse, run_date=RUN_DATE, source="sheet"))
