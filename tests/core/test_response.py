import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.errors import JobError
from tasks.core.response import ResponseDraws, draws_by_channel, marginal_response, weekly_response


def _draws(form: str = "logistic", draws: int = 5, geos: int = 2) -> ResponseDraws:
    rng = np.random.default_rng(1)
    share = np.tile([0.75, 0.25][:geos] if geos > 1 else [1.0], (draws, 1))
    return ResponseDraws(
        form=form,
        adstock_alpha=rng.uniform(0, 1, (draws, geos)),
        saturation_lam=rng.uniform(0.2, 0.9, (draws, geos)) * (4 if form == "logistic" else 1),
        outcome_beta=rng.uniform(50, 90, (draws, geos)),
        spend_scale=np.full((draws, geos), 800.0),
        spend_share=share,
    )


@pytest.mark.parametrize("form", ["logistic", "power"])
@given(low=st.floats(0, 5000), step=st.floats(1, 5000))
def test_more_spend_never_sells_less_and_each_unit_less_than_the_one_before(form: str, low: float, step: float) -> None:
    """The curve rises from zero and its slope falls."""
    draws = _draws(form)
    assert (weekly_response(0.0, draws) == 0).all()
    assert (weekly_response(low + step, draws) >= weekly_response(low, draws)).all()
    assert (marginal_response(low + step, draws) <= marginal_response(low, draws) + 1e-12).all()


@pytest.mark.parametrize("form", ["logistic", "power"])
def test_the_marginal_response_is_the_derivative(form: str) -> None:
    """The marginal response equals the central difference of the response."""
    spend, step = np.array([10.0, 400.0, 2500.0]), 1e-3
    difference = (weekly_response(spend + step, _draws(form)) - weekly_response(spend - step, _draws(form))) / (2 * step)
    np.testing.assert_allclose(marginal_response(spend, _draws(form)), difference, rtol=1e-6)


def test_regions_add_up_by_their_share_of_spend() -> None:
    """National response is the sum over regions, each at its share of the spend."""
    draws = _draws()
    expected = sum(
        draws.outcome_beta[:, g] * np.tanh(draws.saturation_lam[:, g] * 1000 * draws.spend_share[:, g] / 800 / 2)
        for g in range(2)
    )
    np.testing.assert_allclose(weekly_response(1000.0, draws), expected)


def test_a_grid_of_spend_gives_one_row_per_amount() -> None:
    """The shape of the answer is the shape of spend followed by the draws."""
    assert weekly_response(np.zeros((3, 4)), _draws(draws=7)).shape == (3, 4, 7)


def test_negative_spend_is_refused() -> None:
    """A negative amount is an error that shows it."""
    with pytest.raises(JobError, match="-3"):
        weekly_response(-3.0, _draws())


def test_rows_of_the_table_become_joint_draws_in_order() -> None:
    """Draw numbers line up over channels whatever order the rows come in; rows of two runs are refused, a missing row too."""
    rows = [
        {"run_id": "a", "geo": geo, "channel": channel, "draw": draw, "form": "logistic", "adstock_alpha": 0.5,
         "saturation_lam": 1.0 + draw,
         "outcome_beta": 10.0 * draw + (geo == "south"), "spend_scale": 5.0, "spend_share": 0.5}
        for draw in range(3) for channel in ("tv", "search") for geo in ("south", "north")
    ]  # fmt: skip
    frame = pl.DataFrame(rows)
    shuffled = draws_by_channel(frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert list(shuffled) == ["search", "tv"]
    np.testing.assert_array_equal(shuffled["tv"].outcome_beta, [[0, 1], [10, 11], [20, 21]])
    with pytest.raises(JobError, match="exactly one MMM run"):
        draws_by_channel(pl.concat([frame, frame.with_columns(run_id=pl.lit("b"))]))
    with pytest.raises(JobError, match="has 5 rows for channel tv"):
        draws_by_channel(frame.filter(~((pl.col("channel") == "tv") & (pl.col("draw") == 2) & (pl.col("geo") == "north"))))
