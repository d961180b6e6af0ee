"""The readiness card: the newest verdict of each account with every reason, and no verdict that nobody gave."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from bandit_rows import account
from report_world import ACCOUNT, RUN_DATE, ReportWorld

from tasks.govern import readiness as checks
from tasks.govern import report_readiness as readiness
from tasks.govern import report_words as words
from tasks.govern.assess_readiness import write
from tasks.govern.readiness import Account, Check
from tasks.govern.report_data import read_report
from tasks.govern.report_page import render

pytestmark = pytest.mark.slow  # each test draws whole pages

OWN = ("google_ads", ACCOUNT)
EVIL = "<img src=x onerror=alert(1)> ask jane@corp.example"
NAMES = ("freshness", "gates", "model", "drift", "fidelity", "incidents", "switches", "ledger", "approvals")


def assessed(world: ReportWorld, bad: dict[str, str], *, day: date = RUN_DATE, accounts: tuple[str, ...] = (ACCOUNT,)) -> None:
    """The job's own rows: all checks good but those in ``bad`` with their reason."""
    world.at(day, 7)
    found = [Check(name, name not in bad, bad.get(name, f"{name} is fine")) for name in NAMES]
    whole = [*found, checks.verdict(found)]
    write(world.warehouse, day, {Account("google_ads", one, day, day): whole for one in accounts})


def page(world: ReportWorld) -> str:
    world.decisions(("7001", "hold", "total_constant", "x"))
    return render(read_report(world.warehouse, run_date=RUN_DATE, source="platforms"))


def section(page: str) -> str:
    found = re.search(r"<h2>May the accounts be changed today\?</h2>.*?</section>", page, re.DOTALL)
    return found[0] if found else ""


def cards(world: ReportWorld, own: tuple[str, str] | None = OWN) -> list[readiness.Card]:
    return readiness.cards(readiness.read_readiness(world.warehouse, RUN_DATE), RUN_DATE, own)


def test_a_red_check_stands_first_with_its_reason_and_not_by_colour_alone(world: ReportWorld) -> None:
    """Verdict, every check in words, a cross beside the red one and a tick beside the others."""
    assessed(world, {"switches": "switch 'all' is on: holiday"})
    text = section(page(world))
    assert f'{words.scope_name(f"google_ads:{ACCOUNT}")}: <span class="bad">not ready</span>' in text
    rows = re.findall(
        r'<tr><td>(.*?)</td><td class="nowrap"><span class="(\w+)">(.*?)</span></td><td class="wide">(.*?)</td>', text
    )
    assert rows[0] == ("Is nothing stopped or frozen?", "bad", "✗ stands in the way", "switch &#39;all&#39; is on: holiday")
    assert [row[1:3] for row in rows[1:]] == [("good", "✓ in order")] * 8
    assert {row[0] for row in rows} == set(words.READY_CHECKS.values())


def test_all_good_is_ready(world: ReportWorld) -> None:
    """A verdict of the day without a red check."""
    assessed(world, {})
    (card,) = cards(world)
    assert (card.state, card.day, len(card.checks)) == ("ready", RUN_DATE, 9)


@pytest.mark.parametrize("name", NAMES)
def test_each_check_has_words_of_its_own(world: ReportWorld, name: str) -> None:
    """Red for each reason, one by one, and the page says which."""
    assessed(world, {name: f"because of {name}"})
    (card,) = cards(world)
    assert (card.state, card.checks[0]["check"], card.checks[0]["detail"]) == ("not_ready", name, f"because of {name}")
    assert name in words.READY_CHECKS


def test_a_verdict_of_yesterday_is_not_one_of_today(world: ReportWorld) -> None:
    """It was ready; the card says that nobody assessed it today, and one assessed later than the report's day is not read."""
    assessed(world, {"drift": "old"}, day=RUN_DATE - timedelta(days=2))
    assessed(world, {}, day=RUN_DATE - timedelta(days=1))
    assessed(world, {}, day=RUN_DATE + timedelta(days=1))
    (card,) = cards(world)
    assert (card.state, card.day) == ("outdated", RUN_DATE - timedelta(days=1))
    assert "not assessed today" in section(page(world))
    assert ">ready<" not in section(page(world))


def test_without_an_assessment_the_card_says_so(world: ReportWorld) -> None:
    """An enabled account that nobody assessed has no verdict; a closed one and no account at all have no card."""
    assert section(page(world)) == ""
    account(world)
    account(world, "2000000009", status="CANCELED")
    assert [(card.account, card.state) for card in cards(world, None)] == [(OWN, "not_assessed")]
    text = section(page(world))
    assert ">not assessed<" in text
    assert "Nobody has assessed this account" in text


def test_the_account_of_the_page_stands_first_then_what_is_not_ready(world: ReportWorld) -> None:
    """Of many accounts six are shown, and the others are counted."""
    others = tuple(f"300000000{number}" for number in range(8))
    assessed(world, {}, accounts=(ACCOUNT, *others))
    row = {"platform": "google_ads", "account_id": others[5], "run_date": RUN_DATE, "is_ready": False, "detail": "x"}
    now = world.at(RUN_DATE, 8)
    world.put("control.readiness", *(row | {"check": name, "assessed_at": now} for name in ("verdict", "model")))
    assert [card.account[1] for card in cards(world)][:3] == [ACCOUNT, others[5], others[0]]
    assert "3 more accounts: 3 ready, 0 not" in section(page(world))


def test_a_hostile_reason_is_shown_and_not_run(world: ReportWorld) -> None:
    """Markup is escaped, an address is cut out."""
    assessed(world, {"model": EVIL})
    text = section(page(world))
    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(1)&gt; ask [redacted]" in text


def test_an_import_has_no_card(world: ReportWorld) -> None:
    """A sheet is not changed."""
    assessed(world, {})
    row = {"run_date": RUN_DATE, "platform": "imported", "account_id": "sheet", "budget_id": "TV", "decision": "hold"}
    world.put("control.plan_decisions", row | {"constraint": "no_gain", "detail": "x", "decided_at": world.at(RUN_DATE, 7)})
    assert section(render(read_report(world.warehouse, run_date=RUN_DATE, source="sheet"))) == ""
