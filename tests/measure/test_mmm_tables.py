from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.response import ResponseDraws, weekly_response
from tasks.measure.bootstrap_loglog import fit_bootstrap
from tasks.measure.mmm_config import MmmConfig, run_id
from tasks.measure.mmm_data import MmmInput
from tasks.measure.mmm_fit import fit
from tasks.measure.mmm_parts import Fitted
from tasks.measure.mmm_tables import allocation_rows, blended_cost, curve_rows, draw_rows, optimise, period_rows, run_row

CONFIG = MmmConfig(model="bootstrap_loglog", bootstrap_replicates=40)


def _curve(beta: float, lam: float, spread: float = 0.0) -> ResponseDraws:
    draws = np.ones((200, 1))
    noise = 1 + spread * np.random.default_rng(5).standard_normal((200, 1))
    return ResponseDraws("logistic", 0.5 * draws, lam * draws, beta * noise, 1000 * draws, draws)


@pytest.fixture(scope="module")
def fallback(make_market: Callable[..., MmmInput]) -> Fitted:
    return fit_bootstrap(make_market(), CONFIG)


def test_the_optimum_keeps_the_sum_and_moves_to_the_better_channel() -> None:
    """Same total, bounds respected, and the channel with the steeper curve gains up to its bound."""
    current = np.array([500.0, 500.0])
    best = optimise({"steep": _curve(300, 4), "flat": _curve(30, 4)}, current, np.array([2000.0, 2000.0]), 0.0)
    assert best.optimal.sum() == pytest.approx(1000.0, rel=1e-6)
    assert (best.binding, best.optimal.round(3).tolist()) == (("upper", "lower"), [750.0, 250.0])


def test_an_interior_optimum_has_equal_marginal_returns() -> None:
    """Where no bound binds, one more unit brings the same in every channel."""
    from tasks.core.response import marginal_response

    response = {"a": _curve(100, 3), "b": _curve(120, 3)}
    best = optimise(response, np.array([600.0, 400.0]), np.array([5000.0, 5000.0]), 0.0)
    slopes = [marginal_response(float(s), r).mean() for s, r in zip(best.optimal, response.values(), strict=True)]
    assert best.binding == ("none", "none")
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-3)


def test_risk_aversion_moves_money_away_from_the_uncertain_channel() -> None:
    """With equal means, the channel with the wider posterior gets less."""
    response = {"sure": _curve(100, 3), "unsure": _curve(100, 3, spread=0.6)}
    current, highest = np.array([500.0, 500.0]), np.array([2000.0, 2000.0])
    assert optimise(response, current, highest, 1.0).optimal[1] < optimise(response, current, highest, 0.0).optimal[1] - 10


def test_the_optimum_never_goes_beyond_spend_seen() -> None:
    """The highest spend of the window bounds the search."""
    best = optimise({"a": _curve(900, 3), "b": _curve(10, 3)}, np.array([500.0, 500.0]), np.array([600.0, 600.0]), 0.0)
    assert best.optimal[0] == pytest.approx(600.0)


def test_nothing_spent_is_nothing_to_allocate() -> None:
    """No current spend is an error, not an allocation of zero."""
    with pytest.raises(JobError, match="nothing to allocate"):
        optimise({"a": _curve(1, 1)}, np.array([0.0]), np.array([5.0]), 0.5)


def test_rows_satisfy_their_contracts(fallback: Fitted) -> None:
    """Every frame has exactly the columns and types of its table, and unique keys."""
    run = "mmm-x"
    frames = {
        "models.mmm_runs": run_row(fallback, run_id=run, run_date=date(2025, 3, 3), fitted_at=datetime(2025, 3, 3, tzinfo=UTC)),
        "models.mmm_curves": curve_rows(fallback, run),
        "models.mmm_draws": draw_rows(fallback, run),
        "models.mmm_fit_weekly": period_rows(fallback, run),
        "models.mmm_allocations": allocation_rows(fallback, run, blended_cost(fallback)),
    }
    for name, frame in frames.items():
        contract = load_contract(name)
        assert set(contract.columns) == set(frame.columns), name
        assert frame.select(contract.grain).is_unique().all(), name


def test_the_cost_of_a_customer_counts_spend_that_is_not_modelled(fallback: Fitted) -> None:
    """The blended cost rises by the spend of channels left out, so that no customer looks free."""
    periods = len(fallback.data.periods)
    more = replace(fallback, data=replace(fallback.data, unmodelled_spend=(0.0,) * (periods - 3) + (100.0,) * 3))
    sold = float(fallback.data.outcome[-8:].sum())
    assert blended_cost(more) - blended_cost(fallback) == pytest.approx(300 / sold)
    assert more.data.sha256 != fallback.data.sha256


def test_the_curve_flags_what_lies_beyond_spend_seen(fallback: Fitted) -> None:
    """Points above the highest spend of the window are extrapolated, all others are not."""
    curve = curve_rows(fallback, "r")
    for c, channel in enumerate(fallback.data.channels):
        points = curve.filter(channel=channel)
        highest = round(fallback.data.spend[..., c].max() * 1e6)
        assert (points["spend_micros"] > highest).to_list() == points["is_extrapolated"].to_list()
        assert points["is_extrapolated"].any()


def test_parts_add_up_to_the_prediction(fallback: Fitted) -> None:
    """On fitted periods baseline, season, controls and channels sum to the total."""
    rows = period_rows(fallback, "r")
    parts = rows.filter(pl.col("component") != "total").group_by("period_start_date").agg(s=pl.col("mean").sum())
    total = rows.filter((pl.col("component") == "total") & ~pl.col("is_holdout"))
    joined = total.join(parts, on="period_start_date")
    np.testing.assert_allclose(joined["s"].to_numpy(), joined["mean"].to_numpy(), rtol=1e-9)
    assert rows.filter(component="total")["is_holdout"].sum() == CONFIG.holdout_periods


def test_the_fallback_finds_the_stronger_channel(fallback: Fitted) -> None:
    """channel_1 truly sells twice what channel_0 does at equal spend."""
    means = [weekly_response(1000.0, fallback.response[name]).mean() for name in fallback.data.channels]
    assert means[1] > 1.3 * means[0] > 0


def test_the_fallback_refuses_a_period_without_sales(simulated: MmmInput) -> None:
    """The logarithm of zero does not exist; the error names the period."""
    simulated.outcome[5, 0] = 0.0
    with pytest.raises(JobError, match="0 in 2024-02-05"):
        fit(simulated, CONFIG)


def test_run_ids_follow_data_and_configuration() -> None:
    """The same input and configuration give the same id, anything else another."""
    assert run_id("a", "revenue", "d", "c") == run_id("a", "revenue", "d", "c")
    assert MmmConfig().sha256 != MmmConfig(seed=1).sha256
    assert len({run_id("a", "revenue", "d", "c"), run_id("b", "revenue", "d", "c"), run_id("a", "revenue", "e", "c")}) == 3
