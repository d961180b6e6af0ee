"""What a person is shown and asked about ads: the hashed bytes, what is left in each group, and nothing that breaks M13."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from act_world import ACCOUNT, NOW, PERSON, RUN_DATE
from ad_world import OFF, ON, AdWorld, propose_ads, switch
from click.testing import CliRunner

from tasks.act import request_approval as module
from tasks.act.request_approval import command, request_approval, undecided
from tasks.core.ad_sets import held_ad_groups
from tasks.core.contracts import load_contract
from tasks.core.errors import NothingToDo, Refused, TryAgain

KIND = "ad_status"


def asked(world: AdWorld) -> dict[str, object]:
    return request_approval(world.context, undecided(world.context, RUN_DATE, None, kind=KIND))


def plan_said(world: AdWorld, days_ago: int = 0) -> None:
    """A plan for ads was made and changed nothing."""
    row = {"run_date": RUN_DATE - timedelta(days=days_ago), "platform": "google_ads", "account_id": ACCOUNT, "campaign_id": "c1"}
    row |= {"adgroup_id": "g1", "ad_id": "a1", "decision": "hold", "constraint": "kept", "detail": "as it is", "decided_at": NOW}
    table = "control.ad_decisions"
    world.warehouse.merge(table, pl.DataFrame([row], schema=load_contract(table).polars_schema()))


def test_the_page_says_what_is_switched_and_what_is_left(ad_world: AdWorld) -> None:
    """Each ad with both statuses and the number left enabled; why; rules; expiry; the exact hash; budgets stay out."""
    ad_world.load_statuses()
    ad_world.propose()
    stored = ad_world.propose_ads()
    page = asked(ad_world)
    assert page["subject"] == f"Ads of google_ads {ACCOUNT} on 2026-03-02: 1 to enable, 2 to pause"
    assert page["sets"] == [{"change_set_id": stored.change_set_id, "sha256": stored.sha256}]
    text = str(page["body"])
    for words in (
        "**1 to enable and 2 to pause** in account 2000000001, run date 2026-03-02. No budget changes.",
        "| c2 | g2 | a5 | PAUSED | ENABLED | 1 |",
        "| c1 | g1 | a1 | ENABLED | PAUSED | 1 |",
        "- **a5, a1, a4**: P(best) is below 1 % after 4,000 visits.",
        "at most 20 ads an account are switched in 24 h",
        "**Expires**: 2026-03-03 08:00 UTC. Proposed by plan-budgets, who cannot approve it.",
        f"`{stored.sha256}` (`{stored.change_set_id}`)",
    ):
        assert words in text, words


def test_no_reason_breaks_out_of_its_line(ad_world: AdWorld) -> None:
    """Text of a reason is text."""
    ad_world.load_statuses()
    ad_world.propose_ads(switch("a1", OFF, reason="x | [y](http://z) <b>"))
    assert r"x \| \[y\](http://z) \<b\>" in str(asked(ad_world)["body"])


def test_nobody_is_asked_about_a_set_that_breaks_m13(ad_world: AdWorld) -> None:
    """M13 at the page: by the statuses that were loaded since; the hash of the set is not even shown."""
    ad_world.propose_ads(switch("a1", OFF))
    ad_world.platform.edit_ad("g1", "a2", OFF)
    ad_world.load_statuses()
    with pytest.raises(Refused, match="breaks M13 last_enabled_ad: ad a1 of ad group g1"):
        asked(ad_world)


def test_without_loaded_statuses_nobody_is_asked(ad_world: AdWorld) -> None:
    """What cannot be checked is not shown."""
    ad_world.propose_ads(switch("a1", OFF))
    with pytest.raises(Refused, match="M7 ad_gone"):
        asked(ad_world)


def test_two_open_sets_in_one_group_are_not_asked_about(ad_world: AdWorld) -> None:
    """M13 at the page, for two sets together: yesterday's approved one takes a1, today's would take a2."""
    ad_world.load_statuses()
    yesterday = RUN_DATE - timedelta(days=1)
    first = ad_world.propose_ads(switch("a1", OFF, run_date=yesterday), run_date=yesterday)
    ad_world.decide(first)
    ad_world.propose_ads(switch("a2", OFF))
    with pytest.raises(Refused, match=f"M13 other_set: ad group g1 is in the open change set {first.change_set_id}"):
        asked(ad_world)


def test_a_set_left_out_does_not_hold_the_others_up(ad_world: AdWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """The other account is asked about, and the reason for the first is said."""
    ad_world.load_statuses()
    bad = ad_world.propose_ads(switch("a6", OFF))
    rows = ad_world.warehouse.query("SELECT * FROM ads.ad_statuses").with_columns(pl.lit("2000000002").alias("account_id"))
    ad_world.warehouse.merge("ads.ad_statuses", rows)
    name = f"google_ads-2000000002-{RUN_DATE.isoformat()}-ad-g1-a1"
    good = propose_ads(ad_world.warehouse, switch("a1", OFF, change_id=name), account_id="2000000002")
    assert asked(ad_world)["sets"] == [{"change_set_id": good.change_set_id, "sha256": good.sha256}]
    assert f"left out: {bad.change_set_id} breaks M13" in capsys.readouterr().err


@pytest.mark.parametrize(("days_ago", "error", "words"), [(None, NothingToDo, "in the week"), (1, TryAgain, "not ended")])
def test_a_day_without_a_plan(ad_world: AdWorld, days_ago: int | None, error: type[Exception], words: str) -> None:
    """An advertiser without bandits has nothing to do; one whose bandits spoke yesterday waits for today's."""
    if days_ago is not None:
        plan_said(ad_world, days_ago)
    with pytest.raises(error, match=words):
        asked(ad_world)


def test_a_plan_without_changes_is_nothing_to_do(ad_world: AdWorld) -> None:
    """It was made, and said no."""
    plan_said(ad_world)
    with pytest.raises(NothingToDo, match="switches no ad"):
        asked(ad_world)


@pytest.mark.parametrize(
    ("end", "is_held"),
    [("proposed", True), ("approved", True), ("rejected", False), ("old", False), ("applied", True), ("rolled_back", False)],
)
def test_which_sets_hold_their_ad_groups(ad_world: AdWorld, end: str, is_held: bool) -> None:
    """From the proposal until it is closed, turned down, or too old to be begun."""
    stored, later = ad_world.propose_ads(switch("a1", OFF)), NOW
    if end == "old":
        later = NOW + timedelta(hours=24)
    elif end != "proposed":
        ad_world.decide(stored, "rejected" if end == "rejected" else "approved")
    if end in ("applied", "rolled_back"):
        ad_world.snapshot(stored)
        ad_world.validate(stored)
        ad_world.apply(stored)
        later = NOW + timedelta(hours=48)
    if end == "rolled_back":
        ad_world.roll_back(stored)
    held = held_ad_groups(ad_world.warehouse, "google_ads", ACCOUNT, later)
    assert held == ({"g1": stored.change_set_id} if is_held else {})
    assert held_ad_groups(ad_world.warehouse, "google_ads", ACCOUNT, later, but=stored.change_set_id) == {}


def test_the_command_asks_about_the_kind_it_is_told(ad_world: AdWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--kind ad_status` finds the set of ads and leaves budgets to their own question."""
    monkeypatch.setenv("AELP2_XCOM_FILE", str(tmp_path / "xcom.json"))
    monkeypatch.setattr("tasks.act.context.Context.from_environment", lambda: ad_world.context)
    ad_world.load_statuses()
    ad_world.propose_ads(switch("a3", ON))
    done = CliRunner().invoke(command, ["--run-date", RUN_DATE.isoformat(), "--kind", KIND], standalone_mode=False)
    assert done.exception is None, done.exception
    assert "Ads of google_ads" in done.output
    assert module.undecided(ad_world.context, RUN_DATE, None, kind=KIND)
    assert PERSON not in done.output
