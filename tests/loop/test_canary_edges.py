"""Canaries where the world is less tidy: several accounts on one day, a platform that delivers more than the amount."""

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "decide"))

from decide_world import Advertiser, frame  # needs the line above

from tasks.act.context import Context
from tasks.act.stored import StoredSet, load_set, sets_to_act_on
from tasks.act.watch_canary import measure
from tasks.core.changeset import Change, ChangeSet, change_id, make_change_set
from tasks.core.ledger import Event
from tasks.core.policy import Policy
from tasks.core.settings import load_settings
from tasks.core.warehouse.duckdb import DuckDBWarehouse

RUN_DATE = date(2026, 2, 26)
FIRST, SECOND = "2000000001", "2000000002"
READY = ("approved", "snapshot", "validated")
MICROS = 1_000_000


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A job's context on an empty file; no platform can be opened."""
    monkeypatch.setenv("AELP2_NOW", datetime(2026, 2, 26, 8, tzinfo=UTC).isoformat())

    def no_platform(name: str) -> None:
        raise AssertionError(f"{name} was opened")

    env = {"AELP2_DUCKDB_PATH": str(tmp_path / "w.duckdb"), "AELP2_MODE": "live"}
    return Context(load_settings(env), Policy(), DuckDBWarehouse(tmp_path / "w.duckdb"), no_platform)  # type: ignore[arg-type]


def propose(context: Context, account: str, before: int = 1200, after: int = 1140) -> StoredSet:
    """A live set of one change of budget 7001 in ``account``; amounts in currency units."""
    one = Change(
        change_id=change_id("google_ads", account, RUN_DATE, "7001"),
        budget_id="7001",
        channel="SEARCH_NONBRAND",
        campaign_ids=("9001",),
        is_shared=False,
        amount_before_micros=before * MICROS,
        amount_after_micros=after * MICROS,
        highest_daily_spend_micros=before * MICROS,
        is_extrapolated=False,
        p_cac_le_target_ppm=900_000,
    )
    made = make_change_set(
        ChangeSet(
            platform="google_ads",
            account_id=account,
            currency_code="USD",
            run_date=RUN_DATE,
            author="plan-budgets",
            mode="live",
            mmm_run_id="mmm-test",
            policy_sha256="0" * 64,
            target_cac_micros=60 * MICROS,
            account_daily_budget_micros=3000 * MICROS,
            data_through_date=RUN_DATE - timedelta(days=1),
            changes=(one,),
        )
    )
    now = datetime(2026, 2, 26, 6, tzinfo=UTC)
    row = {
        "change_set_id": made.change_set_id,
        "sha256": made.sha256,
        "canonical_json": made.canonical().decode(),
        "run_date": RUN_DATE,
        "platform": made.platform,
        "account_id": account,
        "author": made.author,
        "mode": made.mode,
        "created_at": now,
        "expires_at": now + timedelta(hours=24),
    }
    context.warehouse.insert_new("control.change_sets", frame("control.change_sets", [row]))
    stored = load_set(context.warehouse, made.change_set_id)
    advance(context, stored, "proposed")
    return stored


def advance(context: Context, stored: StoredSet, *events: str) -> None:
    """Bring the set on in the ledger."""
    for event in events:
        facts = (stored.change_set_id, "google_ads", stored.account_id, event, stored.sha256, "test")
        context.ledger.append(Event(*facts))


def chosen(context: Context) -> list[str]:
    """Accounts that a step from READY acts on."""
    return [s.account_id for s in sets_to_act_on(context.warehouse, context.ledger, RUN_DATE, None, ready=READY)]


def test_an_account_without_an_answer_does_not_hold_the_approved_one_up(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two accounts, one approved: the step acts on that one and names the other."""
    approved, waiting = propose(context, FIRST), propose(context, SECOND)
    advance(context, approved, "approved")
    assert chosen(context) == [FIRST]
    assert f"{waiting.change_set_id}: left out, it is 'proposed'" in capsys.readouterr().out


def test_an_account_applied_earlier_that_day_does_not_hold_the_next_one_up(context: Context) -> None:
    """The first account's canary is open already when the second one is approved by another run."""
    done, approved = propose(context, FIRST), propose(context, SECOND)
    advance(context, done, "approved", "snapshot", "validated", "applied", "verified")
    advance(context, approved, "approved")
    assert chosen(context) == [SECOND]


def test_where_no_set_is_ready_the_guards_get_them_all(context: Context) -> None:
    """Without any approval the step still refuses aloud instead of ending well with nothing done."""
    propose(context, FIRST)
    propose(context, SECOND)
    assert chosen(context) == [FIRST, SECOND]


def _spend(account: str, day: date, spend: int) -> pl.DataFrame:
    row = Advertiser(None, account_id=account)._day(day, "9001", "SEARCH_NONBRAND", "7001", spend)  # type: ignore[arg-type]
    return frame("ads.ads_campaign_performance", [row])


@pytest.mark.parametrize(("spend", "result"), [(2390, "promote"), (2410, "roll_back")])
def test_a_lowered_budget_may_overdeliver_by_its_earlier_amount(context: Context, spend: int, result: str) -> None:
    """1200 lowered to 1140: the platform may charge 2 · 1200 on the day of the change, which is no breach; more than that is."""
    stored = propose(context, FIRST)
    Advertiser(context.warehouse, account_id=FIRST).write()
    advance(context, stored, "approved", "snapshot", "validated", "applied", "verified")
    context.warehouse.merge("ads.ads_campaign_performance", _spend(FIRST, RUN_DATE, spend))
    found, _ = measure(context, stored, stored.verified(), RUN_DATE + timedelta(days=1))
    assert [g.result for g in found if g.name == "spend:7001"] == [result]
