"""The market behaves as its docstring says."""

from datetime import date

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tasks.lab.market import DAY_OVERDELIVERY, MICROS, MONTH_DAYS, Change, Day, Market
from tasks.lab.truth import marginal_cac, steady_customers, truth
from tasks.lab.world import World, load_world

START = date(2023, 8, 28)
HISTORY = 120
YOUTUBE = 2  # channel index in world acme


def run(days: int = HISTORY, *, world: World | None = None, seed: int = 7, changes: tuple[Change, ...] = ()) -> Market:
    market = Market(world or load_world("acme"), seed, START, HISTORY)
    for change in changes:
        market.apply(change)
    market.run_to(days)
    return market


def fields_of(day: Day) -> list[np.ndarray]:
    return [np.asarray(value) for value in vars(day).values()]


def assert_same(left: Day, right: Day) -> None:
    for a, b in zip(fields_of(left), fields_of(right), strict=True):
        assert_array_equal(a, b)


def by_channel(market: Market, day: int) -> np.ndarray:
    return market.days[day].spend


def test_the_same_seed_gives_the_same_numbers() -> None:
    for left, right in zip(run().days, run().days, strict=True):
        assert_same(left, right)


def test_another_seed_gives_other_numbers() -> None:
    assert [d.new_customers for d in run(seed=7).days] != [d.new_customers for d in run(seed=8).days]


def test_running_in_one_go_equals_running_day_by_day() -> None:
    stepwise = run(HISTORY)
    for day in range(HISTORY, HISTORY + 5):
        stepwise.run_to(day + 1)
    assert_same(run(HISTORY + 5).days[-1], stepwise.days[-1])


def test_a_budget_change_leaves_every_earlier_day_as_it_was_and_moves_the_day_it_is_made() -> None:
    plain = run(HISTORY + 10)
    changed = run(HISTORY + 10, changes=(Change(HISTORY + 4, "budget", 7006, 1_400 * MICROS),))
    for day in range(HISTORY + 4):
        assert_same(plain.days[day], changed.days[day])
    before, after = (by_channel(m, HISTORY + 4)[YOUTUBE] for m in (plain, changed))
    assert after == pytest.approx(before + 500, rel=0.25)


def test_a_change_of_a_day_that_is_over_is_refused() -> None:
    with pytest.raises(ValueError, match="day 3 is over; changes hold from day 120 on"):
        run().apply(Change(3, "budget", 7006, MICROS))


def test_no_day_spends_over_twice_its_budget_and_no_month_over_30_4_times() -> None:
    market = run(HISTORY + 40)
    layout = market.layout
    cost = np.stack([np.bincount(layout.campaign_budget[layout.unit_campaign], d.cost_micros) for d in market.days])
    budget = np.stack([d.budget_micros for d in market.days])
    assert np.all(cost <= DAY_OVERDELIVERY * budget + 10)
    months = [(d.year, d.month) for d in (market.date_of(i) for i in range(len(market.days)))]
    for month in set(months):
        days = [i for i, m in enumerate(months) if m == month]
        # A lowered budget can leave the month already over: the limit is on what may still be spent.
        if np.ptp(budget[days], axis=0).max() == 0:
            assert np.all(cost[days].sum(axis=0) <= MONTH_DAYS * budget[days].mean(axis=0) + 100)


def test_a_budget_bound_campaign_spends_about_its_budget() -> None:
    market = run(HISTORY + 30)
    spend = np.mean([d.spend[YOUTUBE] for d in market.days[-30:]])
    assert spend == pytest.approx(1_500, rel=0.06)


def test_members_of_a_shared_budget_spend_it_together() -> None:
    market = run(HISTORY + 30)
    layout = market.layout
    members = [layout.campaign_index[9005], layout.campaign_index[9006]]
    cost = [np.bincount(layout.unit_campaign, d.cost_micros)[members] for d in market.days[-30:]]
    assert np.mean([c.sum() for c in cost]) / MICROS == pytest.approx(1_400, rel=0.06)
    assert np.min(cost) > 0


def test_a_paused_campaign_spends_nothing_and_its_effect_fades_geometrically() -> None:
    pauses = tuple(Change(HISTORY, "campaign", id_, 0) for id_ in (9007, 9008))
    market = run(HISTORY + 8, changes=pauses)
    scale, ceiling = market.layout.scale[YOUTUBE], market.layout.ceiling[YOUTUBE]
    level = [
        -scale * np.log1p(-market.days[HISTORY + i].incremental[YOUTUBE] / ceiling / market.season.response(HISTORY + i))
        for i in range(8)
    ]
    assert [market.days[HISTORY + i].spend[YOUTUBE] for i in range(8)] == [0.0] * 8
    assert np.divide(level[1:], level[:-1]) == pytest.approx([market.layout.carry_over[YOUTUBE]] * 7)


def test_a_paused_ad_serves_nothing_and_its_campaign_spends_on() -> None:
    market = run(HISTORY + 5, changes=(Change(HISTORY, "ad", 90070101, 0),))
    unit = market.layout.unit_index[90070101]
    campaign = market.layout.unit_campaign == market.layout.campaign_index[9007]
    assert [int(d.impressions[unit]) for d in market.days[HISTORY:]] == [0] * 5
    assert np.mean([d.cost_micros[campaign].sum() for d in market.days[HISTORY:]]) > 600 * MICROS


@pytest.mark.parametrize("channel", range(5))
def test_response_rises_with_spend_and_flattens(channel: int) -> None:
    market = run(1)
    customers = [steady_customers(market, channel, spend) for spend in (0, 500, 1_000, 1_500, 2_000)]
    gains = np.diff(customers)
    assert customers[0] == 0.0
    assert np.all(gains > 0)
    assert np.all(np.diff(gains) < 0)


def test_marginal_cac_is_the_inverse_slope_of_the_curve() -> None:
    market = run(1)
    slope = (steady_customers(market, YOUTUBE, 1_501) - steady_customers(market, YOUTUBE, 1_499)) / 2
    assert marginal_cac(market, YOUTUBE, 1_500) == pytest.approx(1 / slope, rel=1e-6)


def test_the_current_allocation_leaves_something_to_gain() -> None:
    market = run()
    steady = market._steady_spend()
    marginal = {name: marginal_cac(market, i, steady[i]) for i, (_, name) in enumerate(market.layout.channels)}
    assert marginal["YOUTUBE"] < marginal["DEMAND_GEN"] < 80 < 200 < marginal["PMAX"] < marginal["SEARCH_NONBRAND"]


def test_brand_search_claims_customers_who_come_anyway() -> None:
    market = run()
    brand = market.layout.unit_channel == 0
    claimed = np.mean([d.purchases[brand].sum() for d in market.days])
    incremental = np.mean([d.incremental[0] for d in market.days])
    assert claimed > 4 * incremental


def test_awareness_makes_brand_queries() -> None:
    calm = World.model_validate(load_world("acme").model_dump() | {"media_plan": {"weekly_drift": 0, "pauses": False}})
    dark = tuple(Change(HISTORY, "campaign", id_, 0) for id_ in (9007, 9008, 9009))
    plain, darkened = run(HISTORY + 60, world=calm), run(HISTORY + 60, world=calm, changes=dark)
    # Spend over delivery is what the auctions offered, whatever the budget let through.
    offered = [np.mean([(d.cost_micros[:4].sum() / d.delivery[0]) for d in m.days[-20:]]) for m in (plain, darkened)]
    assert 0.65 * offered[0] < offered[1] < 0.85 * offered[0]


def test_a_shock_halves_the_market_from_its_first_day_on() -> None:
    plain, shocked = run(HISTORY + 5), run(HISTORY + 5, world=load_world("cac_breach"))
    assert_same(plain.days[HISTORY - 1], shocked.days[HISTORY - 1])
    assert shocked.days[HISTORY].baseline == pytest.approx(0.5 * plain.days[HISTORY].baseline)
    assert shocked.days[HISTORY].incremental == pytest.approx(0.45 * plain.days[HISTORY].incremental)


def test_new_customers_scatter_around_baseline_plus_incremental() -> None:
    market = run()
    expected = np.array([d.baseline + d.incremental.sum() for d in market.days])
    actual = np.array([d.new_customers for d in market.days])
    assert actual.mean() == pytest.approx(expected.mean(), rel=0.03)
    assert 0.06 < (actual / expected).std() < 0.16


def test_part_of_today_is_small_and_changes_nothing() -> None:
    market = run()
    part = market.part_of_today()
    market.run_to(HISTORY + 1)
    assert part.cost_micros.sum() == pytest.approx(0.2 * market.days[HISTORY].cost_micros.sum(), rel=0.001)


def test_history_of_two_and_a_half_years_moves_budgets_enough_to_learn_from() -> None:
    market = Market(load_world("acme"), 7, START, 913)
    market.run_to(913)
    weekly = np.stack([d.spend for d in market.days])[:910].reshape(130, 7, 5).sum(axis=1)
    variation = weekly.std(axis=0) / weekly.mean(axis=0)
    correlation = np.corrcoef(weekly.T)[np.triu_indices(5, 1)]
    assert np.all(variation > 0.12)
    assert np.all(np.abs(correlation) < 0.6)
    assert sum(d.spend.sum() for d in market.days) / 913 == pytest.approx(10_000, rel=0.1)
    assert sum(d.new_customers for d in market.days) / 913 == pytest.approx(160, rel=0.1)


def test_truth_sums_the_completed_days_of_its_window() -> None:
    market = run()
    first, last = market.date_of(10), market.date_of(19)
    found = truth(market, first, last)
    days = market.days[10:20]
    assert (found["days"], found["new_customers"]) == (10, sum(d.new_customers for d in days))
    assert [c["spend"] for c in found["channels"]] == pytest.approx(list(sum(d.spend for d in days)))
    assert [c["incremental_customers"] for c in found["channels"]] == pytest.approx(list(sum(d.incremental for d in days)))


def test_truth_of_days_that_have_not_happened_is_refused() -> None:
    with pytest.raises(ValueError, match="no simulated day between 2030-01-01 and 2030-01-02"):
        truth(run(), date(2030, 1, 1), date(2030, 1, 2))
