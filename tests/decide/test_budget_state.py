"""Rules that leave a budget alone, and bounds of a step: each rule fires alone and says its numbers."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tasks.core.caps import change_violations
from tasks.core.changeset import Change
from tasks.core.policy import Policy
from tasks.decide.budget_state import Budget, bottoms, hold, tops
from tasks.decide.projection import Limit

RUN_DATE = date(2026, 2, 26)
MODEL = frozenset({"SEARCH_NONBRAND", "YOUTUBE"})
FINE = Budget(
    platform="google_ads",
    account_id="2000000001",
    budget_id="7003",
    currency_code="USD",
    amount_micros=600_000_000,
    status="ENABLED",
    is_explicitly_shared=False,
    reference_count=1,
    campaign_ids=("9003",),
    enabled_campaign_ids=("9003",),
    channels=("YOUTUBE",),
    recent_spend_micros=595_000_000,
    month_to_date_micros=0,
    month_days=25,
    highest_daily_spend_micros=700_000_000,
)


def test_a_budget_that_spends_its_amount_may_move() -> None:
    """Nothing holds an ordinary budget."""
    assert hold(FINE, Policy(), MODEL, RUN_DATE) is None


@pytest.mark.parametrize(
    ("changed", "constraint", "numbers"),
    [
        ({"status": "REMOVED"}, "not_enabled", "REMOVED"),
        ({"enabled_campaign_ids": ()}, "paused", "none of its 1 campaigns"),
        ({"amount_micros": 0}, "zero_budget", "amount is 0"),
        ({"reference_count": 3}, "members_unknown", "counts 3 campaigns on it, 1 are known"),
        ({"campaign_ids": ("9003", "9004"), "reference_count": 2}, "members_unknown", "not marked as shared"),
        ({"channels": ("SEARCH_NONBRAND", "YOUTUBE")}, "several_channels", "SEARCH_NONBRAND, YOUTUBE"),
        ({"channels": ("PMAX",)}, "not_in_model", "PMAX"),
        ({"open_change_set_id": "set-1"}, "open_canary", "set-1"),
        ({"last_change": (date(2026, 2, 20), "by hand")}, "learning_phase", "6 of 7 cool-down days"),
        ({"recent_spend_micros": 372_000_000}, "not_limited_by_budget", "372.00 USD of 600.00 USD a day (62%)"),
        ({"amount_micros": 19_000_000, "recent_spend_micros": 19_000_000}, "below_min_step", "5 % of 19.00 USD"),
        ({"frozen_why": "CAC breach"}, "account_frozen", "CAC breach"),
    ],
)
def test_each_rule_holds_its_budget(changed: dict[str, object], constraint: str, numbers: str) -> None:
    """The rule is named and its numbers are in the detail."""
    found = hold(replace(FINE, **changed), Policy(), MODEL, RUN_DATE)  # type: ignore[arg-type]
    assert found is not None
    assert found.constraint == constraint
    assert numbers in found.detail


def test_a_fixed_campaign_fixes_the_budget_it_shares() -> None:
    """One fixed member is enough: a shared budget moves all of them."""
    shared = replace(FINE, campaign_ids=("9003", "9004"), reference_count=2, is_explicitly_shared=True)
    found = hold(shared, Policy(fixed_campaign_ids=("9004",)), MODEL, RUN_DATE)
    assert found is not None
    assert (found.constraint, found.detail) == ("fixed_campaign", "campaign 9004 is fixed by the policy")


def test_the_cool_down_ends_on_its_day() -> None:
    """Seven days after a change the budget may move again."""
    rested = replace(FINE, last_change=(date(2026, 2, 19), "by hand"))
    assert hold(rested, Policy(), MODEL, RUN_DATE) is None


def test_lost_impression_share_shows_a_limited_budget() -> None:
    """A search budget that spends 85 % on average but loses 12 % of its impressions to the budget is limited by it."""
    search = replace(FINE, recent_spend_micros=510_000_000, budget_lost_share=0.12)
    assert hold(search, Policy(), MODEL, RUN_DATE) is None


def test_a_month_ahead_of_its_pace_gets_no_increase() -> None:
    """25 days at 680 of 600 a day is over 110 %: an increase waits, a decrease does not."""
    fast = replace(FINE, month_to_date_micros=25 * 680_000_000)
    assert tops(fast, Policy())[0] == Limit("pacing", 600_000_000)
    assert max(limit.micros for limit in bottoms(fast, Policy())) == 570_000_000
    assert "pacing" not in {limit.name for limit in tops(replace(fast, month_days=6), Policy())}


def test_bounds_agree_with_the_caps_that_apply_checks() -> None:
    """The lowest top and the highest bottom pass change_violations, one unit beyond them does not."""
    policy = Policy(
        budget_ceiling_micros={"7003": 620_000_000}, budget_floor_micros={"7003": 590_000_000}, step_cap_pct=Decimal("4.5")
    )
    top = min(limit.micros for limit in tops(FINE, policy))
    bottom = max(limit.micros for limit in bottoms(FINE, policy))
    assert (top, bottom) == (620_000_000, 590_000_000)
    for after, broken in ((top, False), (top + 10_000, True), (bottom, False), (bottom - 10_000, True)):
        change = Change("c", "7003", "YOUTUBE", ("9003",), False, 600_000_000, after, 700_000_000, False, 900_000)
        assert bool(change_violations(change, 50_000_000, policy)) is broken


def test_the_highest_spend_seen_ends_an_increase() -> None:
    """M5: with 505 as the highest day and 20 % headroom nothing goes above 606."""
    low = replace(FINE, highest_daily_spend_micros=505_000_000)
    assert min(tops(low, Policy()), key=lambda limit: limit.micros) == Limit("historical_cap", 606_000_000)
