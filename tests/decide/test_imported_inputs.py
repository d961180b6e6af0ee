"""What an increase of a brought channel may cost, and how small a step of advice may be."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from tasks.core.policy import Policy
from tasks.core.response import ResponseDraws
from tasks.decide.imported_inputs import _target, advice_policy
from tasks.decide.live_model import LiveModel, curves_of

CURRENT = np.array([100.0, 100.0])  # currency units a day


def _model(target: str = "revenue", beta: float = 7_000.0) -> LiveModel:
    """Two equal channels; at 100 a day each brings beta · tanh(1/2) a week."""
    ones = np.ones((5, 1))
    draws = ResponseDraws("logistic", 0.3 * ones, ones, beta * ones, 700.0 * ones, ones)
    day = date(2025, 12, 1)
    curves = curves_of({"tv": draws, "web": draws}, 7)
    return LiveModel("mmm-x", day, "sheet", target, "normal", "EUR", 7, date(2024, 1, 1), day, curves)


def test_an_outcome_through_media_sets_the_target_of_a_constant_total() -> None:
    """Of 10,000 revenue most comes by itself; an increase is held against what media bring on average, not against that."""
    target, origin = _target(_model(), Policy(), CURRENT, blended=0.02)
    assert target == pytest.approx(200 / (2 * 1_000 * np.tanh(0.5)))
    assert "through media" in origin


def test_a_policy_that_lets_the_total_grow_holds_the_blended_cost() -> None:
    """More money at the cost of an average media outcome would raise the blended cost."""
    assert _target(_model(), Policy(allow_total_growth=True), CURRENT, blended=0.02)[0] == 0.02


def test_the_policys_own_target_decides_for_customers_only() -> None:
    """target_cac_micros is a cost per new customer; it says nothing about a unit of revenue."""
    policy = Policy(target_cac_micros=60_000_000)
    assert _target(_model("new_customers"), policy, CURRENT, blended=50.0) == (60.0, "target_cac_micros of the policy")
    assert _target(_model("revenue"), policy, CURRENT, blended=0.02)[0] < 1


def test_media_that_bring_nothing_fall_back_to_the_blended_cost() -> None:
    """No outcome through media means no average to hold."""
    assert _target(_model(beta=0.0), Policy(), CURRENT, blended=0.02)[0] == 0.02


def test_advice_may_be_a_matter_of_cents() -> None:
    """The smallest step guards a live budget's learning phase; a brought table has none. All else stays the policy's."""
    policy = Policy(min_step_micros=5_000_000, step_cap_pct=Decimal(3))
    assert advice_policy(policy).min_step_micros == policy.unit_micros
    assert advice_policy(policy).step_cap_pct == 3
    assert advice_policy(Policy(min_step_micros=0)).min_step_micros == 0
