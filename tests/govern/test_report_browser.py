"""The page as a person sees it: in Chromium, at phone and desktop width, light and dark, and on paper."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from bandit_rows import OFF, ON, account, ad_decision, ad_set, apply_ads, approve_ads, bandits, delivered, propose_ads, statuses
from report_world import ACCOUNT, PLANNED, RUN_DATE, ReportWorld
from website_rows import website

from tasks.core.policy import Policy
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.govern.assess_readiness import write
from tasks.govern.readiness import Account, Check, verdict
from tasks.govern.report_data import read_report
from tasks.govern.report_page import render

pytestmark = pytest.mark.slow
PHONE, DESKTOP = 390, 1280
VIEWS = [(width, scheme) for width in (PHONE, DESKTOP) for scheme in ("light", "dark")]
_ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run"
)
_PATIENCE_MS = 300_000  # Chromium's start and a page's loading have half a minute otherwise
# WCAG 2.2, success criterion 1.4.3: 4.5 : 1 for normal text.
_CONTRAST = """() => {
  const channel = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
  const numbers = css => (css.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = el => { for (; el; el = el.parentElement) {
    const c = numbers(getComputedStyle(el).backgroundColor); if (c.length === 3 || c[3] === 1) return c }
    return [255, 255, 255] };
  const poor = []; let seen = 0;
  for (const el of document.querySelectorAll('body *')) {
    if (![...el.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !el.getClientRects().length) continue;
    const style = getComputedStyle(el), ink = numbers(el.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(el))].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    seen += 1; if (!(ratio >= 4.5)) poor.push(`${el.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return [seen, poor];
}"""
_OVERLAPS = """() => [...document.querySelectorAll('.role-axis-label, .role-legend, .flow')].flatMap(group => {
  const boxes = [...group.querySelectorAll('text')].filter(t => t.textContent && +getComputedStyle(t).opacity > 0)
    .map(t => [t.textContent, t.getBoundingClientRect()]).filter(([, box]) => box.width);
  return boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([, b]) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom - 1 && b.top < a.bottom - 1).map(([other]) => `${one} / ${other}`));
})"""
_PICTURES = """() => [...document.querySelectorAll('svg')].filter(s => s.getClientRects().length).map(s => {
  const box = s.getBoundingClientRect();
  return {label: s.getAttribute('aria-label'), width: box.width, height: box.height, scale: box.width / s.viewBox.baseVal.width};
})"""


@dataclass
class Opened:
    """A page in the browser and what went wrong while it was opened."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page with everything on it, one with the model only, and one about ads and what guards the account."""
    folder = tmp_path_factory.mktemp("pages")
    made: dict[str, Path] = {}
    with pytest.MonkeyPatch.context() as environment:
        world = ReportWorld(DuckDBWarehouse(folder / "w.duckdb"), environment)
        world.model("REVIEW")
        made["model"] = _write(world, folder / "model.html", PLANNED)
        world.decisions(("7001", "hold", "total_constant", "SEARCH_BRAND spends 789.77 USD a day, its optimum is 254.07 USD"))
        world.plan()
        world.decide("approved")
        world.apply()
        world.roll_back()
        world.daily(after=20.0)
        world.loads("quota exceeded, retry in 40,591 s")
        website(world)
        made["full"] = _write(world, folder / "full.html", RUN_DATE)
        guarded = ReportWorld(DuckDBWarehouse(folder / "guarded.duckdb"), environment)
        ads(guarded)
        made["ads"] = _write(guarded, folder / "ads.html", RUN_DATE)
    return made


def ads(world: ReportWorld) -> None:
    """Long ids as a platform has them: arms, exploration, a set that was applied, readiness with a red check, edits by others."""
    world.plan()
    account(world)
    arms = {"710000012345": (40.0, 2000.0), "710000012346": (6.0, 300.0), "710000012347": (4.0, 1800.0)}
    for back in range(11):
        day = RUN_DATE - timedelta(days=back)
        bandits(world, arms, group="150000012345", day=day)
        bandits(world, dict(list(arms.items())[:2]), group="150000012346", day=day, is_fatigued=True, fatigue_reason="CTR −41 %")
        delivered(world, day, dict(zip(arms, (100, 11, 30), strict=True)), group="150000012345")
    statuses(world, [(ad, OFF if ad.endswith("7") else ON) for ad in arms], group="150000012345")
    made = ad_set()
    propose_ads(world, made)
    approve_ads(world, made)
    apply_ads(world, made)
    ad_decision(world, "710000012348", "hold", "last_enabled_ad", "M13 last_enabled_ad: " + "long words " * 20)
    checks = [
        Check("drift", False, "1 critical, first cost: " + "long words " * 20),
        Check("model", True, "run mmm-0123456789abcdef"),
    ]
    write(world.warehouse, RUN_DATE, {Account("google_ads", ACCOUNT, RUN_DATE, RUN_DATE): [*checks, verdict(checks)]})
    row = {"platform": "google_ads", "account_id": ACCOUNT, "date": PLANNED, "resource_type": "CAMPAIGN_BUDGET"}
    row |= {"event_key": "e1", "origin": "out_of_band", "resource_id": "7001", "amount_before_micros": 10**9, "is_fighting": True}
    row |= {"change_id": "google_ads-2000000001-2026-02-26-7001", "amount_after_micros": 2 * 10**9}
    world.put(
        "control.change_reconciliation", row | {"changed_at": world.at(PLANNED, 15), "reconciled_at": world.at(RUN_DATE, 6)}
    )


def _write(world: ReportWorld, path: Path, run_date: date) -> Path:
    page = render(read_report(world.warehouse, run_date=run_date, source="platforms", policy=Policy()))
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine: apt-get install --no-install-recommends chromium fonts-dejavu-core")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS.split(), timeout=_PATIENCE_MS)
        yield started
        started.close()


@pytest.fixture
def show(browser: Any, files: dict[str, Path]) -> Iterator[Any]:
    """Opens one of the pages; every folded part is opened too, so that it is measured."""
    contexts = []

    def opened(name: str, width: int, scheme: str) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.set_default_timeout(_PATIENCE_MS)
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.goto(files[name].as_uri())
        found.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return found

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", ["full", "model", "ads"])
@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_the_page_fits_every_screen_and_calls_nobody(
    show: Any, files: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    """No sideways scrolling of the page, no message in the console, no request but for the file itself."""
    opened = show(name, width, scheme)
    assert opened.page.evaluate("[document.documentElement.scrollWidth, document.body.scrollWidth]") == [width, width]
    assert opened.complaints == []
    assert opened.requests == [files[name].as_uri()]


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_every_text_stands_out_from_its_ground(show: Any, width: int, scheme: str) -> None:
    """4.5 : 1 or more for all text, that of the pictures included, in both schemes; dark is really dark."""
    page = show("full", width, scheme).page
    seen, poor = page.evaluate(_CONTRAST)
    assert poor == []
    assert seen > 200
    grounds = {"light": "rgb(244, 246, 248)", "dark": "rgb(17, 21, 27)"}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds[scheme]


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_sections_about_ads_can_be_read(show: Any, width: int, scheme: str) -> None:
    """All four are there; their text stands out, arms are drawn large enough, and no label lies on another."""
    page = show("ads", width, scheme).page
    headings = page.evaluate("[...document.querySelectorAll('h2')].map(h => h.textContent)")
    assert set(headings) >= {
        "May the accounts be changed today?",
        "Ads to enable and to pause",
        "Changes by others",
        "Which ads serve, and what exploring costs",
    }
    assert page.evaluate(_CONTRAST)[1] == []
    pictures = [p for p in page.evaluate(_PICTURES) if p["label"].startswith("Cost of a conversion")]
    assert len(pictures) == 2
    assert [p for p in pictures if p["height"] < 120 or p["width"] < 200 or not 0.9 <= p["scale"] <= 1.01] == []
    assert page.evaluate(_OVERLAPS) == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_pictures_are_seen_once_and_large_enough_to_read(show: Any, width: int) -> None:
    """Ten; shrunk by a tenth at most, so that 11 px text stays text; no label on another, nor on one of a legend or a flow."""
    page = show("full", width, "light").page
    pictures = page.evaluate(_PICTURES)
    assert len(pictures) == 10
    assert [p["label"] for p in pictures if p["height"] < 120 or p["width"] < 200 or not 0.9 <= p["scale"] <= 1.01] == []
    assert page.evaluate(_OVERLAPS) == []


def test_wide_tables_scroll_inside_their_box_on_a_phone(show: Any) -> None:
    """The box is as wide as the screen allows; the table goes on inside it."""
    page = show("full", PHONE, "light").page
    boxes = page.evaluate(
        "[...document.querySelectorAll('.scroll')].map(b => [b.clientWidth, b.scrollWidth, b.firstChild.tagName])"
    )
    assert max(client for client, _, _ in boxes) < PHONE
    assert sum(inside > client for client, inside, _ in boxes) >= 5
    assert {tag for _, _, tag in boxes} == {"TABLE"}


def test_the_answers_are_what_a_phone_shows_first(show: Any) -> None:
    """Headline and what was proposed stand on the first screen; on a desktop all answers do."""
    assert (
        show("model", PHONE, "light").page.evaluate("document.querySelector('.answers dd').getBoundingClientRect().bottom") < 900
    )
    desktop = show("full", DESKTOP, "light").page
    assert desktop.evaluate("document.querySelector('.answers').getBoundingClientRect().bottom") < 900


def test_on_paper_everything_is_unfolded_and_dark_on_white(show: Any, files: dict[str, Path]) -> None:
    """Printing from a dark desktop gives a light page with the change log and the glossary on it."""
    page = show("full", DESKTOP, "dark").page
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = false)")
    assert not page.evaluate("document.querySelector('dl.words').checkVisibility()")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(25, 34, 46)"
    assert page.evaluate("document.querySelector('dl.words').checkVisibility()")
