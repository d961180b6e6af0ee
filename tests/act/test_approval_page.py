"""The page a person decides on: the whole table, why, risk, caps, expiry; nothing in it can pose as something else."""

import re
from datetime import timedelta
from typing import Any

import pytest
from act_world import MICROS, NOW, World
from page_world import proposal

from tasks.act.approval_page import Section, body, subject
from tasks.act.stored import StoredSet
from tasks.core.policy import Policy

BIDI = "\u202e"


def section(stored: StoredSet, *, verdict: str = "healthy", used: int = 0, **facts: Any) -> Section:
    change_set = stored.verified()
    rows = [proposal(stored, c, **(facts if n == 0 else {})) for n, c in enumerate(change_set.changes)]
    until = NOW + timedelta(hours=24)
    return Section(change_set, rows, expires_at=until, verdict=verdict, policy=Policy(), used_micros=used)


def page(stored: StoredSet, **facts: Any) -> str:
    return body([section(stored, **facts)])


def cells(line: str) -> list[str]:
    """Cells of a table row as Markdown reads it: a bar after an odd number of backslashes is text."""
    return [c.strip() for c in re.split(r"(?<!\\)(?:\\\\)*\|", line)][1:-1]


def test_the_table_shows_every_change(world: World) -> None:
    """One row per change under eight headings; probability and buffer stand with increases only; each reason stands once."""
    stored = world.propose()
    lines = page(stored).splitlines()
    table = [cells(line) for line in lines if line.startswith("|")]
    assert [len(row) for row in table] == [8] * 5
    assert table[2] == [
        "SEARCH_NONBRAND",
        "b1 (c1)",
        "400.00 USD",
        "420.00 USD",
        "+5.0 %",
        "+1.2 (-0.5 to +3.0)",
        "90 %",
        "+12 %",
    ]
    assert [[*row[1:5], *row[6:]] for row in table[3:]] == [
        ["b2 (c2)", "300.00 USD", "285.00 USD", "-5.0 %", "–", "–"],
        ["b3 (c3, c4)", "200.00 USD", "195.00 USD", "-2.5 %", "–", "–"],
    ]
    why = lines[lines.index("**Why**") + 2 : lines.index("**Before you answer**") - 1]
    assert why == [
        (
            "- **b1**: One more new customer costs about 50.00 USD, below the target. "
            "(bound by step_cap_5_pct; beyond the spend seen so far)"
        ),
        "- **b2, b3**: One more new customer costs about 50.00 USD, below the target. (bound by step_cap_5_pct)",
    ]


def test_totals_risk_caps_expiry_and_hash_are_said(world: World) -> None:
    """What is moved and net, the least certain increase, the day's cap, until when, by whom, and the exact hash."""
    stored = world.propose()
    text = page(stored, used=30 * MICROS, p_cac_le_target=0.83)
    for words in (
        (
            "**3 budget changes** for account 2000000001, run date 2026-03-02: 20.00 USD a day more and 20.00 USD less, "
            "0.00 USD net; expected +3.8 (90 %: +0.5 to +6.8) new customers a week."
        ),
        "P(marginal CAC ≤ target) = 83 %; the policy asks for at least 80 %. Budgets b1 go beyond the highest daily spend seen.",
        "Target CAC 60.00 USD.",
        "each change ≤ 5 % of its budget; in 24 h 70.00 USD of 100.00 USD (10 % of the account's daily budget) would be used.",
        "up to 2026-03-01; model run1, health verdict **healthy**.",
        "watched for 3 days and rolled back if CAC rises by more than 15 %.",
        "**If rejected or unanswered**: nothing changes.",
        "**Expires**: 2026-03-03 08:00 UTC. Proposed by plan-budgets, who cannot approve it.",
        f"`{stored.sha256}` (`{stored.change_set_id}`)",
    ):
        assert words in text
    assert subject([section(stored)]) == "Budgets of google_ads 2000000001 on 2026-03-02: 1 up, 2 down"


def test_proposals_of_an_older_plan_show_their_mean_alone(world: World) -> None:
    """Intervals of single changes do not add up to one of all."""
    older = {f"set_new_customers_{name}": None for name in ("mean", "p05", "p95")}
    assert "net; expected +3.8 new customers a week." in page(world.propose(), **older)


def test_each_account_has_its_section(world: World) -> None:
    """Above them what the one answer does; in each section its own page; the line of required actions counts them all."""
    stored = [world.propose(), world.propose(world.change("b2", -15), account_id="2000000002")]
    text = body([section(one) for one in stored])
    first, *parts = text.split("## ")
    assert first.startswith("**2 accounts, one answer**: it decides every change set below, each by its own hash.")
    assert [part.rstrip() for part in parts] == [
        f"google\\_ads {one.account_id}\n\n{page(one)}".replace("\\", "") for one in stored
    ]
    assert subject([section(one) for one in stored]) == "Budgets of 2 accounts on 2026-03-02: 1 up, 3 down"


def test_reasons_are_what_a_long_page_leaves_out(world: World) -> None:
    """It says so; every other line stays."""
    one = section(world.propose())
    whole, short = body([one]).splitlines(), body([one], has_reasons=False).splitlines()
    start, end = whole.index("**Why**"), whole.index("**Before you answer**")
    assert short[:-2] == whole[:start] + whole[end:]
    assert short[-1].startswith("Why each change is made is left out")


def test_without_an_increase_there_is_no_probability_to_show(world: World) -> None:
    """Decreases alone: said so, and a buffer that is not known is a dash."""
    text = page(world.propose(world.change("b2", -15)), buffer_pct=None)
    assert "No budget rises." in text
    assert "| – |" in text


@pytest.mark.parametrize(
    "evil",
    [
        "ok | 1.00 USD | 1.00 USD",
        "ok \\| 1.00 USD",
        "ok \\\\| 1.00 USD",
        "ok\n| fake | row |",
        "ok\r\n\n**Approved already**",
        "trailing \\",
    ],
)
def test_no_text_breaks_out_of_its_cell(world: World, evil: str) -> None:
    """M14 and good order: bars, backslashes before bars and line ends stay inside of the cell they came in."""
    stored = world.propose()
    clean, lines = page(stored).splitlines(), page(stored, reason=evil).splitlines()
    assert len(lines) == len(clean)
    assert [cells(line) for line in lines[2:7]] == [cells(line) for line in clean[2:7]]
    why = lines[lines.index("**Why**") + 2]
    assert why.startswith("- **b1**: ")
    assert why.endswith("(bound by step_cap_5_pct; beyond the spend seen so far)")


@pytest.mark.parametrize(
    "evil",
    [
        "[approve](https://evil.test)",
        "![x](https://evil.test/p.png)",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "`code`",
        "**bold**",
        "~~struck~~",
        "<https://evil.test>",
    ],
)
def test_no_text_becomes_markup(world: World, evil: str) -> None:
    """A link, picture, tag or emphasis in a name is shown as the characters it is made of."""
    text = page(world.propose(), reason=evil, verdict=evil)
    assert evil not in text
    assert re.sub(r"\\([\\`*~\[\]<>|])", r"\1", text).count(evil) == 2
    why = text.splitlines()[text.splitlines().index("**Why**") + 2].removeprefix("- **b1**")
    assert not re.search(r"(?<!\\)[\[\]<>`~*]", why)


def test_characters_that_turn_or_hide_text_are_left_out(world: World) -> None:
    """A right-to-left override would show 024 for 420; zero-width and control characters would hide a difference."""
    text = page(world.propose(), reason=f"costs {BIDI}024 \u200bUSD\x07\x1b[31m")
    assert not set(text) & {BIDI, "\u200b", "\x07", "\x1b"}
    assert "costs 024 USD" in text


def test_an_authors_name_is_text_too(world: World) -> None:
    """The author comes from the environment of whoever planned."""
    text = page(world.propose(author="[x](https://evil.test) | **me**"))
    assert "Proposed by \\[x\\](https://evil.test) \\| \\*\\*me\\*\\*, who cannot approve it." in text
