"""On the sandbox's market, whose truth is known: following the plans raises true new customers at the same spend."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from tasks.core.policy import Policy
from tasks.core.response import ResponseDraws
from tasks.decide.budget_state import Budget
from tasks.decide.live_model import curves_of
from tasks.decide.optimiser import Curves
from tasks.decide.planner import ChannelSpend, plan_budgets
from tasks.lab.market import Change, Market
from tasks.lab.world import load_world

HISTORY, WEEKS, DRAWS = 90, 8, 200
START = date(2025, 11, 1)


def truth_curves(market: Market) -> Curves:
    """Draws around the true curves, 15 % apart, as a good model would give them.

    The market saturates as 1 − exp(−s / scale); the model's form is tanh. ``lam`` is chosen so that both have the same
    ceiling and the same response at the present spend, so the draws are near the truth but not equal to it.
    """
    rng = np.random.default_rng(1)
    layout = market.layout
    recent = np.mean([day.spend for day in market.days[-14:]], axis=0)
    draws = {}
    for index, (_account, channel) in enumerate(layout.channels):
        ceiling, scale, spend = layout.ceiling[index], layout.scale[index], recent[index]
        lam = 2 * np.arctanh(-np.expm1(-spend / scale)) * scale / spend
        shape = (DRAWS, 1)
        draws[channel] = ResponseDraws(
            form="logistic",
            adstock_alpha=np.zeros(shape),
            saturation_lam=np.full(shape, lam) * np.exp(rng.normal(0, 0.10, shape)),
            outcome_beta=np.full(shape, ceiling * 7) * np.exp(rng.normal(0, 0.15, shape)),
            spend_scale=np.full(shape, scale * 7),
            spend_share=np.ones(shape),
        )
    return curves_of(draws, 7)


def budget_states(market: Market, today: int) -> list[Budget]:
    """What ingest would know of each budget on the morning of day index ``today``."""
    layout = market.layout
    spent = np.array([np.bincount(layout.campaign_budget, _campaign_cost(market, d), len(layout.budgets)) for d in range(today)])
    amounts = market.budgets_on(today)
    states = []
    for index, budget in enumerate(layout.budgets):
        members = [c for c in layout.campaigns if c.budget == budget.id]
        ids = tuple(str(c.id) for c in members)
        states.append(
            Budget(
                platform="google_ads",
                account_id=layout.budget_account[budget.id],
                budget_id=str(budget.id),
                currency_code="USD",
                amount_micros=int(amounts[index]),
                status="ENABLED",
                is_explicitly_shared=budget.shared,
                reference_count=len(ids),
                campaign_ids=ids,
                enabled_campaign_ids=ids,
                channels=tuple(sorted({c.channel for c in members})),
                recent_spend_micros=int(spent[-14:, index].mean()),
                month_to_date_micros=0,
                month_days=0,
                highest_daily_spend_micros=int(spent[:, index].max()),
            )
        )
    return states


def _campaign_cost(market: Market, day: int) -> np.ndarray:
    layout = market.layout
    return np.bincount(layout.unit_campaign, market.days[day].cost_micros, layout.n_campaigns)


def channel_spend(market: Market) -> ChannelSpend:
    weeks = np.array([day.spend for day in market.days[: HISTORY // 7 * 7]]).reshape(-1, 7, market.layout.n_channels).mean(axis=1)
    return ChannelSpend(np.mean([day.spend for day in market.days[-14:]], axis=0), weeks.min(axis=0), weeks.max(axis=0))


def follow(seed: int, plan: bool) -> tuple[float, float]:
    """Expected true customers and spend over four weeks after eight weekly plans (or after eight weeks of nothing)."""
    market = Market(load_world("acme"), seed, START, HISTORY)
    market.run_to(HISTORY)
    for week in range(WEEKS):
        today = HISTORY + 7 * week
        if plan:
            found = plan_budgets(
                truth_curves(market),
                channel_spend(market),
                budget_states(market, today),
                replace(Policy(), target_cac_micros=None),
                target_cac=90.0,
                blended_cac=65.0,
                used_micros={},
                run_date=START + timedelta(days=today),
            )
            assert found.changes, "every week has something to gain in this world"
            assert sum(c.step.delta_micros for c in found.changes) == 0
            for change in found.changes:
                market.apply(Change(today, "budget", int(change.budget.budget_id), change.step.after_micros))
        market.run_to(today + 7)
    market.run_to(HISTORY + 7 * WEEKS + 28)
    after = market.days[-28:]
    return float(sum(d.baseline + d.incremental.sum() for d in after)), float(sum(d.spend.sum() for d in after))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 11])
def test_eight_weekly_plans_win_customers_at_flat_spend(seed: int) -> None:
    """Against doing nothing on the same seed: more true new customers, spend within 2 %, so the blended CAC falls."""
    customers, spend = follow(seed, plan=True)
    idle_customers, idle_spend = follow(seed, plan=False)
    assert customers > 1.02 * idle_customers
    assert spend == pytest.approx(idle_spend, rel=0.02)
    assert spend / customers < idle_spend / idle_customers
