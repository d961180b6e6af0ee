"""Verdicts of experiments: a fair split, an error of 5 % over all looks together, and a difference that is found."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.measure.ab_verdict import Judged, Variation, judge


def looks(rates: tuple[float, float], seed: int, share: float = 0.5, days: int = 30, a_day: int = 1000) -> list[Judged]:
    """The verdict of each day of one experiment."""
    rng = np.random.default_rng(seed)
    treated = rng.binomial(a_day, share, days)
    won = rng.binomial(treated, rates[0]).cumsum(), rng.binomial(a_day - treated, rates[1]).cumsum()
    units = treated.cumsum(), (a_day - treated).cumsum()
    return [
        judge(Variation(int(units[0][d]), int(won[0][d]), share), Variation(int(units[1][d]), int(won[1][d]), 1 - share))
        for d in range(days)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_looking_daily_errs_no_more_than_one_time_in_twenty(share: float) -> None:
    """Of four hundred experiments without a difference, at most 5 % are ever called, though each is looked at thirty times."""
    called = [any(j.verdict in ("better", "worse") for j in looks((0.03, 0.03), seed, share)) for seed in range(400)]
    assert sum(called) <= 20


@pytest.mark.slow
@pytest.mark.parametrize(("rates", "verdict"), [((0.04, 0.03), "better"), ((0.03, 0.04), "worse")])
def test_a_difference_is_found_and_its_side_is_right(rates: tuple[float, float], verdict: str) -> None:
    """A third more or less is called in most of a hundred experiments, never the wrong way; the truth lies in the sequence."""
    runs = [looks(rates, seed) for seed in range(100)]
    assert sum(run[-1].verdict == verdict for run in runs) >= 85
    assert not any(
        j.verdict not in (verdict, "undecided") for run in runs for j in run if j.verdict != "too_few" and not j.is_srm
    )
    inside = [all(j.low <= rates[0] - rates[1] <= j.high for j in run) for run in runs]
    assert sum(inside) >= 95


def test_a_split_that_was_not_drawn_gives_no_verdict() -> None:
    """5,000 to 4,500 units is no even lot, whatever the rates say; 5,000 to 4,950 is."""
    assert judge(Variation(5000, 300, 0.5), Variation(4500, 100, 0.5)).verdict == "invalid_split"
    fair = judge(Variation(5000, 300, 0.5), Variation(4950, 100, 0.5))
    assert (fair.is_srm, fair.verdict) == (False, "better")


def test_few_conversions_are_no_verdict() -> None:
    """Nineteen conversions are too few, whichever arm has them."""
    assert judge(Variation(500, 19, 0.5), Variation(500, 0, 0.5)).verdict == "too_few"


def test_no_units_are_refused() -> None:
    """Without exposures, or with shares that are no split, there is nothing to judge."""
    with pytest.raises(ValueError, match="0 units"):
        judge(Variation(0, 0, 0.5), Variation(0, 0, 0.5))
    with pytest.raises(ValueError, match="are no experiment"):
        judge(Variation(5, 0, 0.5), Variation(5, 0, 0.6))
