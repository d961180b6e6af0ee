"""The optimum over draws: equal to brute force on small cases, risk-averse, and clear about what cannot hold."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import JobError
from tasks.decide.evidence import marginal_cost, upper_quantile
from tasks.decide.optimiser import (
    Curves,
    Floats,
    Infeasible,
    affordable_spend,
    is_probable,
    optimise,
    utility,
    utility_gradient,
)


def curves(beta: Floats, scale: Floats) -> Curves:
    """tanh curves: ``beta`` and ``scale`` are (D, C)."""
    names = tuple(f"c{i}" for i in range(beta.shape[1]))
    return Curves(names, lambda s: beta * np.tanh(s / scale), lambda s: beta / scale * (1 - np.tanh(s / scale) ** 2))


def random_curves(seed: int, channels: int, draws: int = 60) -> Curves:
    rng = np.random.default_rng(seed)
    beta = rng.uniform(5, 40, channels) * np.exp(rng.normal(0, 0.3, (draws, channels)))
    return curves(beta, rng.uniform(50, 400, channels) * np.exp(rng.normal(0, 0.1, (draws, channels))))


def brute_force(c: Curves, lower: Floats, upper: Floats, total: float, risk_aversion: float, steps: int = 60) -> float:
    grid = np.linspace(0, total, steps + 1)
    values = [
        utility(c.outcome(np.array([*point, total - sum(point)])), risk_aversion)
        for point in itertools.product(grid, repeat=len(lower) - 1)
        if all(lower[i] <= p <= upper[i] for i, p in enumerate(point)) and lower[-1] <= total - sum(point) <= upper[-1]
    ]
    return max(values)


@pytest.mark.parametrize("risk_aversion", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_optimum_is_at_least_what_a_fine_grid_finds(seed: int, risk_aversion: float) -> None:
    """On three channels no point of a grid of 61 × 61 is better, and the optimum is not much better than the best of them."""
    c = random_curves(seed, 3)
    lower, upper = np.array([10.0, 0.0, 20.0]), np.array([200.0, 250.0, 300.0])
    found = optimise(c, np.full(3, 100.0), lower, upper, 300.0, risk_aversion=risk_aversion)
    best = brute_force(c, lower, upper, 300.0, risk_aversion)
    assert found.value >= best - 1e-9
    assert found.value <= best + 0.01 * abs(best)
    assert found.spend.sum() == pytest.approx(300.0)
    assert (found.spend >= lower - 1e-6).all()
    assert (found.spend <= upper + 1e-6).all()


def test_known_answer_of_two_equal_channels() -> None:
    """Two channels with the same certain curve share the total equally."""
    c = curves(np.full((4, 2), 10.0), np.full((4, 2), 100.0))
    found = optimise(c, np.array([150.0, 50.0]), np.zeros(2), np.full(2, 200.0), 200.0, risk_aversion=0.5)
    assert found.spend == pytest.approx([100.0, 100.0], abs=0.01)
    assert found.binding == ("none", "none")


def test_aversion_moves_money_away_from_the_uncertain_channel() -> None:
    """Of two channels with equal means the one whose effect is uncertain gets less."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, 400)
    noise = (noise - noise.mean()) / noise.std()
    beta = np.stack([np.full(400, 10.0), 10.0 + 4.0 * noise], axis=1)
    c = curves(beta, np.full((400, 2), 100.0))
    arguments = (c, np.full(2, 100.0), np.zeros(2), np.full(2, 200.0), 200.0)
    neutral = optimise(*arguments, risk_aversion=0.0)
    averse = optimise(*arguments, risk_aversion=1.0)
    assert neutral.spend == pytest.approx([100.0, 100.0], abs=0.1)
    assert averse.spend[1] < 90.0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 3))
def test_the_gradient_is_that_of_the_utility(seed: int, risk_aversion: float) -> None:
    """The analytic gradient equals central differences."""
    c = random_curves(seed, 3)
    spend = np.random.default_rng(seed + 1).uniform(20, 300, 3)
    step = 1e-3 * np.eye(3)
    numeric = [(utility(c.outcome(spend + h), risk_aversion) - utility(c.outcome(spend - h), risk_aversion)) / 2e-3 for h in step]
    assert utility_gradient(c, spend, risk_aversion) == pytest.approx(numeric, rel=1e-4, abs=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.floats(0, 2), st.floats(0.3, 1.7))
def test_the_optimum_keeps_bounds_and_total_and_never_loses(seed: int, channels: int, risk_aversion: float, room: float) -> None:
    """Whatever the curves: the total is met, bounds hold, and at an unchanged total the value does not fall."""
    c = random_curves(seed, channels, draws=40)
    current = np.random.default_rng(seed + 7).uniform(10, 300, channels)
    lower, upper = current * max(1 - room, 0.0), current * (1 + room)
    found = optimise(c, current, lower, upper, float(current.sum()), risk_aversion=risk_aversion)
    assert found.spend.sum() == pytest.approx(current.sum())
    assert (found.spend >= lower - 1e-6).all()
    assert (found.spend <= upper + 1e-6).all()
    assert found.value >= found.value_before - 1e-9


def test_one_channel_keeps_its_total() -> None:
    """With one channel there is nothing to shift."""
    found = optimise(random_curves(1, 1), np.array([100.0]), np.array([0.0]), np.array([120.0]), 100.0, risk_aversion=0.5)
    assert found.spend == pytest.approx([100.0])


@pytest.mark.parametrize("beta", [0.0, 1e-12, 1e9])
def test_extreme_draws_still_give_an_allocation(beta: float) -> None:
    """Curves of no effect at all or of a huge one end in an allocation within the bounds."""
    c = curves(np.full((10, 2), beta), np.full((10, 2), 100.0))
    found = optimise(c, np.full(2, 100.0), np.zeros(2), np.full(2, 150.0), 200.0, risk_aversion=0.5)
    assert found.spend.sum() == pytest.approx(200.0)


def test_draws_that_are_not_finite_are_named() -> None:
    """A channel whose draws give NaN is named instead of being planned with."""
    beta = np.full((10, 2), 5.0)
    beta[3, 1] = np.nan
    with pytest.raises(JobError, match="posterior draws of c1 give no finite response"):
        optimise(curves(beta, np.full((10, 2), 9.0)), np.full(2, 5.0), np.zeros(2), np.full(2, 9.0), 10.0, risk_aversion=0.5)


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        ((60.0, 60.0), (90.0, 90.0), "lower bounds of all channels add up to 120.00"),
        ((0.0, 0.0), (40.0, 40.0), "upper bounds of all channels .* add up to 80.00"),
        ((50.0, 0.0), (40.0, 90.0), "floors of channel c0 need 50.00 a day but its upper bound is 40.00"),
    ],
)
def test_infeasible_bounds_are_named(lower: tuple[float, float], upper: tuple[float, float], message: str) -> None:
    """What cannot hold is named with its numbers, and it is a gate's stop (exit 3)."""
    with pytest.raises(Infeasible, match=message) as stop:
        optimise(random_curves(1, 2), np.full(2, 50.0), np.array(lower), np.array(upper), 100.0, risk_aversion=0.5)
    assert stop.value.exit_code == 3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(1, 200), st.floats(1.0, 3.0))
def test_affordable_spend_grows_with_the_target_and_holds_the_probability(seed: int, target: float, factor: float) -> None:
    """A looser target never affords less, and at the affordable spend the probability still holds (or nothing is added)."""
    c = random_curves(seed, 3)
    current, upper = np.full(3, 50.0), np.full(3, 500.0)
    tight = affordable_spend(c, current, upper, target_cac=target, min_probability_ppm=800_000)
    loose = affordable_spend(c, current, upper, target_cac=target * factor, min_probability_ppm=800_000)
    assert (loose >= tight).all()
    holds = is_probable(c, tight, target, 800_000)
    assert (holds | (tight == current)).all()


def test_the_deciding_bound_is_the_quantile_of_the_probability() -> None:
    """P(cost ≤ target) ≥ p holds exactly when the p-quantile of the cost is at most the target: both sides of M4."""
    slope = np.array([[1 / 10.0], [1 / 20.0], [1 / 30.0], [1 / 40.0], [1 / 50.0]])
    c = Curves(("a",), lambda s: slope * s, lambda _s: slope)
    at_40 = marginal_cost(c, np.array([1.0]), 40.0, 0.8)[0]
    below_40 = marginal_cost(c, np.array([1.0]), 39.0, 0.8)[0]
    assert (at_40.bound, at_40.p_le_target) == (pytest.approx(40.0), 0.8)
    assert at_40.buffer_pct(40.0) == pytest.approx(0.0)
    assert (below_40.bound, below_40.p_le_target) == (pytest.approx(40.0), 0.6)
    assert is_probable(c, np.array([1.0]), 40.0, 800_000).tolist() == [True]
    assert is_probable(c, np.array([1.0]), 39.0, 800_000).tolist() == [False]


def test_a_cost_without_limit_has_no_buffer() -> None:
    """Draws in which more spend brings nothing make the bound infinite, and the buffer is then unknown, not a number."""
    flat = np.zeros((10, 1))
    cost = marginal_cost(Curves(("a",), lambda s: flat * s, lambda _s: flat), np.array([1.0]), 50.0, 0.8)[0]
    assert (cost.p95, cost.p_le_target, cost.buffer_pct(50.0)) == (np.inf, 0.0, None)
    assert upper_quantile(np.array([1.0, np.inf]), 0.5) == 1.0
