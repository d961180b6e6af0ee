"""The page itself: every section from its data, numbers as in the tables, nothing that runs, calls out or leaks."""

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from markupsafe import Markup
from report_world import PLANNED, RUN_DATE, SET_ID, SHA, ReportWorld
from website_rows import website

from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.govern import report_charts, report_flow, report_journey_charts, report_words
from tasks.govern.report import command
from tasks.govern.report_data import Report, read_report
from tasks.govern.report_journeys import Journeys
from tasks.govern.report_page import render

_VOID = {"meta", "br", "input", "img", "hr", "link"}
EVIL = "<script>alert('x')</script> & <b onclick=y>"


def full(world: ReportWorld) -> Report:
    """Everything that can be on a page: a kept change, a stop, a safety event, a failed load, a held budget."""
    world.model("REVIEW")
    world.decisions(("7001", "hold", "total_constant", "SEARCH_BRAND spends 789.77 USD a day"), ("7006", "increase", "none", "x"))
    world.plan()
    world.decide("approved")
    world.apply()
    world.roll_back()
    world.daily()
    world.loads("quota exceeded")
    website(world)
    return read_report(world.warehouse, run_date=RUN_DATE, source="platforms")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    with pytest.MonkeyPatch.context() as environment:
        yield full(ReportWorld(DuckDBWarehouse(tmp_path_factory.mktemp("full") / "w.duckdb"), environment))


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render(report)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are left out where a test is about the rest: drawing them takes most of the time."""
    for draw in ("response_curve", "fit", "spend_bars", "daily_cac"):
        monkeypatch.setattr(report_charts, draw, lambda *rows, **options: Markup("<svg></svg>"))
    for draw in ("shares", "maturity", "qini"):
        monkeypatch.setattr(report_journey_charts, draw, lambda *rows, **options: Markup("<svg></svg>"))
    monkeypatch.setattr(report_flow, "picture", lambda *rows, **options: Markup("<svg></svg>"))


def titles(page: str) -> list[str]:
    return [re.sub(r"<.*?>", "", title).strip() for title in re.findall(r"<(?:h2|summary)\b.*?>(.*?)</(?:h2|summary)>", page)]


def none_of(journeys: Journeys) -> Journeys:
    return Journeys(**{field.name: getattr(journeys, field.name).clear() for field in fields(journeys)})


SECTIONS: dict[str, Callable[[Report], Report]] = {
    "Stopped": lambda r: replace(r, switches=()),
    "The change log does not verify": lambda r: replace(r, ledger_problems=()),
    "What was proposed": lambda r: replace(r, plan=None),
    "Predicted against realised": lambda r: replace(r, daily=r.daily.clear()),
    "Cost per new customer, day by day": lambda r: replace(r, daily=r.daily.clear()),
    "Safety checks since the change": lambda r: replace(r, plan=replace(r.plan, watch=r.plan.watch.clear())),  # type: ignore[type-var, union-attr]
    "What each channel brings": lambda r: replace(r, model=replace(r.model, curves=r.model.curves.clear())),  # type: ignore[type-var, union-attr]
    "Current, proposed and optimal spend": lambda r: replace(
        r,
        model=replace(r.model, allocations=r.model.allocations.clear()),  # type: ignore[type-var, union-attr]
    ),
    "Does the model fit": lambda r: replace(r, model=replace(r.model, fit=r.model.fit.clear())),  # type: ignore[type-var, union-attr]
    "Health of the model": lambda r: replace(r, model=None),
    "Who came because of the ads": lambda r: replace(r, journeys=none_of(r.journeys)),
    "Every budget on": lambda r: replace(r, decisions=r.decisions.clear()),
    "Change log (": lambda r: replace(r, plan=replace(r.plan, history=replace(r.plan.history, rows=()))),  # type: ignore[type-var, union-attr]
    "Safety events": lambda r: replace(r, safety=r.safety.clear()),
    "Loads and data checks": lambda r: replace(r, health=r.health.clear()),
}


@pytest.mark.parametrize("title", list(SECTIONS))
def test_a_section_comes_from_its_data_and_goes_with_it(report: Report, title: str, no_pictures: None) -> None:
    """With the rows the heading is there once, without them not at all, and the rest of the page still renders."""
    broken = replace(report, ledger_problems=("row seq=3: it was edited",))
    assert sum(heading.startswith(title) for heading in titles(render(broken))) == 1
    assert not any(heading.startswith(title) for heading in titles(render(SECTIONS[title](broken))))


def test_numbers_on_the_page_are_those_of_the_tables(report: Report, page: str) -> None:
    """Proposals, allocations, reviews, guardrails and the changefeed stand on the page as written in their rows."""
    assert report.plan is not None
    assert report.model is not None
    expected = []
    for row in report.plan.proposals.iter_rows(named=True):
        expected += [report_words.amount(row[name], "USD") for name in ("amount_before_micros", "amount_after_micros")]
        expected += [report_words.signed(row[f"expected_new_customers_{end}"], 2) for end in ("mean", "p05", "p95")]
        expected += [f">{report_words.percent(row['p_cac_le_target'])}<", row["budget_id"]]
    for row in report.model.allocations.iter_rows(named=True):
        expected += [report_words.amount(row[name], "USD") for name in ("current_spend_micros", "optimal_spend_micros")]
        expected += [report_words.signed(row[name]) for name in ("outcome_gain_p05", "outcome_gain_p95")]
    expected += [f"{value:,.2f}" for value in report.plan.watch["value"].to_list() if value and value > 3]
    expected += [f"{report.plan.watch['threshold'].max():,.2f}", report_words.percent(0.0574, 1), report_words.percent(0.75)]
    expected += [report_words.amount(row.amount_after_micros, "USD") for row in report.plan.history.rows if row.change_id]
    assert [text for text in expected if text not in page] == []
    assert len(expected) > 30


def test_the_page_shows_every_hash_the_approval_rests_on(report: Report, page: str) -> None:
    """SHA-256 of the change set in full, each row's hash, and the hash of the model's data."""
    assert report.plan is not None
    assert SHA in page
    assert "d" * 64 in page
    assert len(report.plan.history.rows) == 16
    assert [row.seq for row in report.plan.history.rows if f'title="{row.row_hash}">{row.row_hash[:12]}<' not in page] == []


def test_an_approval_of_another_hash_cries_out(report: Report, no_pictures: None) -> None:
    """The one thing that must not look fine."""
    assert report.plan is not None
    other = replace(report.plan, change_set={**report.plan.change_set, "approved_sha256": "f" * 64})
    assert "for another hash" in render(replace(report, plan=other))
    assert "for another hash" not in render(report)


def test_texts_from_tables_cannot_become_markup(world: ReportWorld) -> None:
    """Reasons, details, errors, channel names of a sheet: whatever a table holds is shown, never run."""
    world.model()
    world.plan(reason=EVIL)
    world.decide("approved", approver=EVIL)
    world.decisions(("7001", "hold", EVIL, EVIL))
    world.loads(EVIL)
    made = read_report(world.warehouse, run_date=PLANNED, source="platforms")
    assert made.model is not None
    renamed = made.model.allocations.with_columns(channel=made.model.allocations["channel"] + EVIL)
    curves = made.model.curves.with_columns(channel=made.model.curves["channel"] + EVIL)
    text = render(replace(made, model=replace(made.model, allocations=renamed, curves=curves)))
    assert "<script" not in text.lower()
    assert "onclick=y>" not in text
    assert text.count("&lt;script&gt;") >= 6


def test_the_page_calls_nothing_and_runs_nothing(page: str) -> None:
    """No script, no address of anywhere, no event handler: it can be mailed and opened anywhere."""
    assert (
        re.findall(r"<script|<link|<iframe|<img|<object|javascript:|@import|url\(|https?:|//[\w-]+\.|\bsrc=|\bhref=", page) == []
    )
    assert re.findall(r"<[^>]*\son\w+=", page) == []


class _Balance(HTMLParser):
    """Collects tags that are not closed in the order they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A self-closing element of an SVG."""

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")


def test_the_page_is_well_formed(page: str) -> None:
    """Every element is closed in order, ids are used once, language and viewport are declared."""
    checker = _Balance()
    checker.feed(page)
    checker.close()
    assert (checker.wrong, checker.open) == ([], [])
    assert len(checker.ids) == len(set(checker.ids))
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page


def test_personal_data_and_secrets_stay_out(world: ReportWorld, no_pictures: None) -> None:
    """An address, a phone number, a token in a table's text is cut out; of an approver's address the name before the @ stays."""
    world.model()
    world.plan(reason="ask jane@corp.example or +49 170 1234567")
    world.decide("approved", approver="maria.lopez@corp.example")
    world.loads("401: Bearer ya29.abcdefghijklmnop refused for bob@corp.example")
    text = render(read_report(world.warehouse, run_date=PLANNED, source="platforms"))
    assert [hit for hit in ("@", "170 1234567", "ya29", "jane", "bob") if hit in text.replace("@media", "")] == []
    assert "maria.lopez approved exactly these changes" in text


def test_the_page_is_the_same_bytes_twice(report: Report, page: str) -> None:
    """Nothing on it comes from the clock or from chance."""
    assert render(report) == page


def test_pictures_are_there_in_both_widths_and_carry_a_label(page: str) -> None:
    """Two response curves; all others once for the desktop and once for a phone; the 90 % bands are drawn."""
    labels = re.findall(r'<svg [^>]*role="img" aria-label="([^"]+)"', page)
    assert sorted(labels) == sorted(
        [
            "Response curve of Search non-brand: new customers a week by spend",
            "Response curve of YouTube: new customers a week by spend",
            *["Current, proposed and optimal spend by channel"] * 2,
            *["Observed and predicted outcome by period"] * 2,
            *["Blended CAC by day"] * 2,
            "Qini curve of spring_holdout",
            *["Share of all conversions by channel and method"] * 2,
            *["Share of what the paid channels bring by channel and method"] * 2,
            *["First touches of the most frequent journeys and how they end"] * 2,
            *["Share of conversions that has arrived by day after the click"] * 2,
        ]
    )
    assert page.count('<div class="desk">') == page.count('<div class="phone">') == 7
    assert len(re.findall(r'fill="var\(--accent\)"[^>]*opacity="0.18"|opacity="0.18"[^>]*fill="var\(--accent\)"', page)) == 5
    assert not re.search(r"#0[1-8]0[1-8]0[1-8]|rgb\([1-8], [1-8], [1-8]\)", page)  # every marker colour became a variable


def test_the_command_writes_the_file_whole(world: ReportWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default file carries source and day; no half-written file stays; the error of an empty source names the remedy."""
    world.model()
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_REPORT_DIR", str(tmp_path / "reports"))
    said = CliRunner().invoke(command, ["--run-date", "2026-03-01"], catch_exceptions=False)
    (path,) = (tmp_path / "reports").iterdir()
    assert path.name == "report-platforms-2026-03-01.html"
    assert said.stdout == f"report written: {path}\n"
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    empty = CliRunner().invoke(command, ["--run-date", "2026-03-01", "--source", "sheet"], standalone_mode=False)
    assert "nothing to report for source 'sheet'" in str(empty.exception)


OTHER = "google_ads-2000000002-2026-02-26-bbbbbbbbbbbb"
Run = Callable[..., list[Path]]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command; the paths it names, each of which is there."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_REPORT_DIR", str(tmp_path / "reports"))

    def run(*arguments: str) -> list[Path]:
        said = CliRunner().invoke(command, ["--run-date", "2026-03-01", *arguments], catch_exceptions=False)
        paths = [Path(line.removeprefix("report written: ")) for line in said.stdout.splitlines()]
        assert sorted(paths) == sorted(paths[0].parent.glob("*.html"))
        return paths

    return run


def test_each_account_gets_its_page(world: ReportWorld, written: Run) -> None:
    """Two accounts planned on the newest day, one of them twice: a page for the newest set of each, named by account."""
    world.model()
    world.plan(set_id="google_ads-2000000001-2026-02-26-aaaaaaaaaaaa", hour=5)
    world.plan()
    world.plan(set_id=OTHER, account="2000000002", hour=9)
    paths = written()
    assert [path.name for path in paths] == [f"report-platforms-2026-03-01-200000000{n}.html" for n in (1, 2)]
    for path, set_id in zip(paths, (SET_ID, OTHER), strict=True):
        assert f"Change set <code>{set_id}</code>" in path.read_text(encoding="utf-8")


def test_a_page_of_one_set_keeps_its_name(world: ReportWorld, written: Run) -> None:
    """One account on the newest day, although another had a plan before; or one set that was asked for."""
    world.plan(set_id=OTHER, account="2000000002", day=PLANNED - timedelta(days=1))
    world.plan()
    (path,) = written()
    assert (path.name, SET_ID in path.read_text(encoding="utf-8")) == ("report-platforms-2026-03-01.html", True)
    (asked,) = written("--change-set-id", OTHER)
    assert asked == path
    assert f"Change set <code>{OTHER}</code>" in asked.read_text(encoding="utf-8")


def test_a_named_file_takes_the_account_into_its_name(world: ReportWorld, written: Run, tmp_path: Path) -> None:
    """`--out` of several pages: none overwrites another."""
    world.plan()
    world.plan(set_id=OTHER, account="2000000002")
    paths = written("--out", str(tmp_path / "mine" / "plan.html"))
    assert [path.name for path in paths] == ["plan-2000000001.html", "plan-2000000002.html"]
