"""watch-canary: each guardrail on loaded days, the freeze, and what is not taken for a day."""

import math
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from act_world import ACCOUNT, MICROS, RUN_DATE, World
from watch_world import SPEND, canary, count, deliver, span

from tasks.act import watch_canary
from tasks.act.guardrails import Day, blended_cac, budget_spend, delivery, dispersion, longest_silence, verdict
from tasks.act.promote_changes import promote
from tasks.act.roll_back_changes import due_sets, newest_verdicts
from tasks.act.stored import StoredSet
from tasks.act.watch_canary import first_day, watch
from tasks.core.errors import JobError, Refused
from tasks.core.switches import flip, read_switches

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
SCOPE = f"google_ads:{ACCOUNT}"


def look(world: World, stored: StoredSet, day: int) -> dict[str, tuple[str, float | None]]:
    """Watch on the morning of RUN_DATE + ``day``; guardrail → (result, value) as written."""
    run_date = RUN_DATE + timedelta(days=day)
    watch(world.context, stored, run_date)
    frame = world.warehouse.query(
        "SELECT guardrail, result, value FROM control.canary_watch WHERE run_date = @d", {"d": run_date}
    )
    return {name: (result, value) for name, result, value in frame.iter_rows()}


def usual(world: World, *, watch_customers: float = 19.0) -> StoredSet:
    """A canary with a month before it at CAC 50 and four days after it."""
    stored = canary(world)
    deliver(world, span(-28, 3))
    count(world, span(-28, -1), 19.0)
    count(world, span(0, 3), watch_customers)
    return stored


def frozen(world: World) -> bool:
    switch = read_switches(world.warehouse).get(SCOPE)
    return switch is not None and switch.is_on


def test_a_calm_canary_is_promoted_after_its_full_watch(world: World) -> None:
    """Two days seen: wait. Three: promote, by every guardrail."""
    stored = usual(world)
    assert look(world, stored, 2)["verdict"] == ("keep_watching", 2.0)
    seen = look(world, stored, 3)
    assert seen["verdict"] == ("promote", 3.0)
    names = {
        "blended_cac",
        "out_of_band_edit",
        "verdict",
        *(f"{g}:{b}" for g in ("spend", "delivery") for b in ("b1", "b2", "b3")),
    }
    assert {k: r for k, (r, _) in seen.items()} == dict.fromkeys(names, "promote")
    assert promote(world.context, stored, newest_verdicts(world.context)[stored.change_set_id], None).endswith(
        "(its watch ended well)"
    )
    assert (world.state(stored), frozen(world)) == ("promoted", False)


def test_a_cac_breach_freezes_the_account_and_asks_for_the_rollback(world: World) -> None:
    """M10: CAC doubles: breached, frozen by itself, said loudly, due for rollback; the rollback is not held up by the freeze."""
    stored = usual(world, watch_customers=9.5)
    seen = look(world, stored, 3)
    assert (seen["blended_cac"][0], seen["verdict"][0]) == ("roll_back", "roll_back")
    assert (world.state(stored), frozen(world)) == ("breached", True)
    assert read_switches(world.warehouse)[SCOPE].actor == "watch-canary"
    assert "cac_breach" in world.safety_kinds()
    assert [s.change_set_id for s in due_sets(world.context)] == [stored.change_set_id]
    other = world.propose(world.change("b4", 5), author="other")
    world.decide(other)
    with pytest.raises(Refused, match=f"switch '{SCOPE}' is on"):
        world.snapshot(other)
    world.roll_back(stored)
    assert world.platform.amounts()["b1"] == 400 * MICROS
    assert due_sets(world.context) == []


def test_cac_that_goes_down_is_no_breach(world: World) -> None:
    """The guard knows the direction: half the cost passes, twice the cost does not."""
    stored = usual(world, watch_customers=38.0)
    assert look(world, stored, 3)["verdict"][0] == "promote"
    assert not frozen(world)


def test_a_breach_is_not_called_off_by_a_better_day(world: World) -> None:
    """M10: breached once is rolled back, also if the numbers recover before the rollback ran."""
    stored = usual(world, watch_customers=9.5)
    look(world, stored, 3)
    count(world, span(0, 4), 30.0)
    deliver(world, span(4, 4))
    assert look(world, stored, 5)["verdict"][0] == "roll_back"
    assert [s.change_set_id for s in due_sets(world.context)] == [stored.change_set_id]


def test_a_freeze_is_switched_once(world: World) -> None:
    """Watching a day again adds no second switching; a person's thaw lasts until the canary is looked at again."""
    stored = usual(world, watch_customers=9.5)
    look(world, stored, 3)
    look(world, stored, 3)
    assert world.warehouse.query("SELECT COUNT(*) AS n FROM control.kill_switch")["n"][0] == 1
    assert world.safety_kinds().count("cac_breach") == 1
    flip(world.warehouse, scope=SCOPE, is_on=False, why="looked into", actor="maria")
    look(world, stored, 3)
    assert frozen(world)


def test_watching_a_day_twice_changes_nothing(world: World) -> None:
    """M12: the same rows, the same ledger."""
    stored = usual(world)
    first, rows = look(world, stored, 3), world.context.ledger.rows()
    assert look(world, stored, 3) == first
    assert world.context.ledger.rows() == rows


def test_the_partial_day_of_today_does_not_count(world: World) -> None:
    """Spend of this morning without its customers yet would look like a breach; it is neither counted nor seen."""
    stored = usual(world)
    before = look(world, stored, 3)
    deliver(world, span(3, 3), {"b1": 900, "b2": 900, "b3": 900, "b4": 900})
    count(world, span(3, 3), 0.0)
    assert look(world, stored, 3) == before
    assert look(world, stored, 4)["verdict"][0] == "roll_back"


def test_days_without_their_customers_are_not_seen(world: World) -> None:
    """The business has not counted the last day: two days of three are known, so wait."""
    stored = usual(world)
    count(world, span(2, 2), None)
    assert look(world, stored, 3)["verdict"] == ("keep_watching", 2.0)


def test_days_whose_spend_has_not_landed_are_not_seen(world: World) -> None:
    """Customers without spend would make CAC look low: on day 4 three days are known, and their CAC is what it was."""
    stored = usual(world)
    three = look(world, stored, 3)["blended_cac"]
    world.warehouse.tamper(f"DELETE FROM ads.ads_campaign_performance WHERE date = DATE '{span(3, 3)[0]}'")
    seen = look(world, stored, 4)
    assert (seen["blended_cac"], seen["verdict"]) == (three, ("promote", 3.0))


def test_a_day_counts_when_the_slowest_account_has_landed(world: World) -> None:
    """Two accounts spend; the other ends its days later. A day of half the spend would hide a breach."""
    stored = canary(world)
    deliver(world, span(-28, 2))
    deliver(world, span(-28, 1), {"x1": 950}, account_id="2000000002")
    count(world, span(-28, -1), 38.0)
    count(world, span(0, 2), 38.0)
    assert look(world, stored, 3)["verdict"] == ("keep_watching", 2.0)
    deliver(world, span(2, 2), {"x1": 950}, account_id="2000000002")
    assert look(world, stored, 3)["verdict"] == ("promote", 3.0)


def test_an_account_that_stopped_long_ago_holds_nothing_up(world: World) -> None:
    """An account silent for longer than data may be old has stopped; the canary of the other one goes on."""
    stored = usual(world)
    deliver(world, span(-28, -10), {"x1": 5}, account_id="2000000002")
    assert look(world, stored, 3)["verdict"] == ("promote", 3.0)


def test_restated_numbers_are_measured_again(world: World) -> None:
    """Customers of earlier days arrive late: the verdict of the next day uses what is known then."""
    stored = usual(world)
    count(world, span(0, 1), 16.5)
    early = look(world, stored, 2)["blended_cac"][1]
    count(world, span(0, 1), 19.0)
    late = look(world, stored, 2)["blended_cac"][1]
    assert early is not None
    assert late is not None
    assert early > late
    assert look(world, stored, 3)["verdict"][0] == "promote"


def test_no_data_at_all_is_an_error(world: World) -> None:
    """A canary that cannot be watched must not be promoted by silence."""
    stored = canary(world)
    with pytest.raises(JobError, match="run ingest-ads"):
        watch(world.context, stored, RUN_DATE + timedelta(days=3))


def test_a_baseline_without_customers_is_an_error(world: World) -> None:
    """Nothing to compare with is not the same as no breach."""
    stored = canary(world)
    deliver(world, span(-28, 2))
    count(world, span(0, 2), 19.0)
    with pytest.raises(JobError, match="0 baseline days hold 0 micros"):
        watch(world.context, stored, RUN_DATE + timedelta(days=3))


def test_several_currencies_are_an_error(world: World) -> None:
    """Without rates no blended CAC can be told; adding up would be a number without meaning."""
    stored = usual(world)
    deliver(world, span(0, 2), {"x1": 5}, account_id="2000000002", currency_code="EUR")
    with pytest.raises(JobError, match="in EUR, USD: blended CAC needs one currency"):
        watch(world.context, stored, RUN_DATE + timedelta(days=3))


@pytest.mark.parametrize(
    ("business", "outcome", "own", "canary", "message"),
    [
        ("USD", "USD", "EUR", "EUR", None),  # an account in euros of a business that counts in dollars
        ("USD", "USD", "USD", "USD", None),
        ("EUR", "USD", "USD", "USD", "in EUR, USD: blended CAC needs one currency"),  # no rate converts that spend
        ("USD", "USD", "USD", "EUR", "account 9 spends in USD, its canary is in EUR"),
    ],
)
def test_cac_is_of_the_business_and_caps_of_the_account(
    business: str, outcome: str, own: str, canary: str, message: str | None
) -> None:
    """Spend of the business and its outcomes are in one currency; the account's own may be another, and is its canary's."""
    frame = pl.DataFrame({"scope": ["business", "outcome", "budget", "landed"], "currency_code": [business, outcome, own, own]})
    change_set = SimpleNamespace(account_id="9", currency_code=canary)
    if message is None:
        watch_canary._check_currencies(frame, change_set)
    else:
        with pytest.raises(JobError, match=message):
            watch_canary._check_currencies(frame, change_set)


def test_spend_in_another_currency_counts_by_its_rate(world: World) -> None:
    """An account in euros, at 1.25 dollars each, beside the canary's own: blended CAC is over the dollars of both."""
    stored = usual(world)
    deliver(world, span(-28, 3), {"x1": 380}, account_id="2000000002", currency_code="EUR")
    rates = [
        {"date": day, "currency_code": code, "reporting_currency_code": "USD", "rate": rate, "quoted_date": day, "loaded_at": NOW}
        for day in span(-28, 3)
        for code, rate in (("EUR", 1.25), ("USD", 1.0))
    ]
    world.warehouse.merge("ads.fx_rates_daily", pl.DataFrame(rates))
    frame = world.warehouse.query_file(
        "control/canary_watch/days.sql",
        {"start_date": RUN_DATE, "end_date": RUN_DATE + timedelta(days=1), "platform": "google_ads", "account_id": ACCOUNT},
    )
    business = frame.filter(pl.col("scope") == "business").select("cost_micros", "currency_code").rows()
    assert business == [((sum(SPEND.values()) + 475) * MICROS, "USD")]
    assert look(world, stored, 3)["verdict"] == ("promote", 3.0)


def test_a_day_beyond_what_the_platform_may_charge_rolls_back(world: World) -> None:
    """More than twice the budget on one day: a breach of delivery, without a freeze."""
    stored = usual(world)
    deliver(world, span(1, 1), SPEND | {"b1": 841})
    count(world, span(1, 1), 30.0)
    seen = look(world, stored, 3)
    assert (seen["spend:b1"], seen["verdict"][0]) == (("roll_back", 841.0), "roll_back")
    assert not frozen(world)
    assert "guardrail_breach" in world.safety_kinds()


def test_a_budget_that_stops_spending_rolls_back(world: World) -> None:
    """It spent before the change and not after it."""
    stored = usual(world)
    deliver(world, span(0, 2), SPEND | {"b2": 0})
    seen = look(world, stored, 3)
    assert {k for k, (r, _) in seen.items() if r == "roll_back"} == {"delivery:b2", "verdict"}


def test_an_edit_under_watch_blocks_and_is_not_promoted(world: World) -> None:
    """M7: somebody changed a budget of the canary: a person decides, and the numbers no longer speak for our change."""
    stored = usual(world)
    world.platform.edit("b2", 290 * MICROS)
    seen = look(world, stored, 3)
    assert (seen["out_of_band_edit"], seen["verdict"][0]) == (("keep_watching", 1.0), "keep_watching")
    assert (world.state(stored), world.platform.amounts()["b2"]) == ("blocked", 290 * MICROS)
    with pytest.raises(Refused, match="is blocked"):
        promote(world.context, stored, "promote", None)


def test_the_watch_begins_on_the_accounts_own_day(world: World) -> None:
    """Applied at 02:00 UTC is still the evening before in New York, but never before the run date; other zones move it on."""
    stored = canary(world)
    deliver(world, span(-28, -1))
    assert first_day(world.context, stored) == RUN_DATE
    deliver(world, span(-28, -1), timezone="Pacific/Kiritimati")
    assert first_day(world.context, stored) == RUN_DATE
    world.warehouse.tamper('UPDATE control.canary_changes SET "at" = "at" + INTERVAL 4 HOUR WHERE event = \'applied\'')
    assert first_day(world.context, stored) == RUN_DATE + timedelta(days=1)


def days(customers: float, n: int, units: int = 1000) -> list[Day]:
    return [Day(units * MICROS, customers)] * n


def cac(watch_customers: float, n: int = 3, **facts: Any) -> str:
    rules = {"tolerance_pct": 15.0, "confidence": 0.95} | facts
    return blended_cac(days(20.0, 28), days(watch_customers, n), **rules).result


def test_a_breach_is_a_statement_with_confidence() -> None:
    """Three noisy days slightly over the limit are none; the same over four weeks is; so is a little less confidence."""
    assert cac(16.5) == "promote"
    assert cac(12.0) == "roll_back"
    assert cac(15.0, 3) == "promote"
    assert cac(15.0, 60) == "roll_back"
    assert cac(14.5, 3) == "promote"
    assert cac(14.5, 3, confidence=0.8) == "roll_back"


def test_no_new_customer_at_all_is_a_breach() -> None:
    """Silence of the business is not a division by zero that passes."""
    assert cac(0.0) == "roll_back"


def test_no_spend_is_not_clear_yet() -> None:
    """Nothing spent tells nothing about its cost."""
    rule = blended_cac(days(20.0, 28), days(20.0, 3, units=0), tolerance_pct=15.0, confidence=0.95)
    assert (rule.result, rule.value) == ("keep_watching", None)
    assert verdict([rule], 3, 3).result == "keep_watching"


def test_the_bound_by_hand() -> None:
    """CAC 100 against 50; 30 and 560 customers: exp(−1.645 · √(1/30 + 1/560)) = 0.735, so at least 73.5 with 95 %."""
    rule = blended_cac(days(20.0, 28), days(10.0, 3), tolerance_pct=15.0, confidence=0.95)
    assert rule.value == pytest.approx(100 * math.exp(-1.6448536 * math.sqrt(1 / 30 + 1 / 560)), rel=1e-6)
    assert rule.threshold == pytest.approx(57.5)


def test_noisy_baselines_need_more() -> None:
    """Pearson's dispersion of alternating 10 and 30 around 20 is 28/27 · 5 = 5.19; equal days are Poisson's 1 at least."""
    noisy = [Day(1000 * MICROS, c) for c in (10.0, 30.0) * 14]
    assert dispersion(noisy) == pytest.approx(28 / 27 * 5)
    assert dispersion(days(20.0, 28)) == 1.0
    assert dispersion([Day(1, 1.0)]) == 1.0
    assert blended_cac(noisy, days(12.0, 3), tolerance_pct=15.0, confidence=0.95).result == "promote"


@pytest.mark.parametrize(("highest", "result"), [(840, "promote"), (841, "roll_back")])
def test_twice_the_budget_is_allowed_and_no_micro_more(highest: int, result: str) -> None:
    """What Google may charge on one day."""
    assert budget_spend("b1", 420 * MICROS, [400 * MICROS, highest * MICROS]).result == result
    assert budget_spend("b1", 420 * MICROS, []).result == "promote"


@pytest.mark.parametrize(
    ("silence", "after", "n", "result"),
    [
        (0, [0], 1, "roll_back"),
        (0, [1], 1, "promote"),
        (None, [0], 1, "promote"),
        (0, [], 0, "promote"),
        (2, [], 2, "keep_watching"),
        (2, [], 3, "roll_back"),
        (2, [0, 0, 7], 3, "promote"),
    ],
)
def test_delivery_needs_days_to_judge(silence: int | None, after: list[int], n: int, result: str) -> None:
    """No day of watch is no stop, nor is a silence as long as there was before; a budget that never spent did not stop either."""
    assert delivery("b1", after, n, silence).result == result


@pytest.mark.parametrize(
    ("spent", "silence"),
    [([1, 2, 3, 4, 5, 8, 9, 10], 2), ([1, 2, 3], 7), ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0)],
)
def test_the_longest_silence_before_the_change(spent: list[int], silence: int) -> None:
    """Week-ends off; off since the third; never off."""
    assert longest_silence([date(2026, 2, n) for n in spent], date(2026, 2, 1), date(2026, 2, 11)) == silence
