"""The share of conversions that has arrived: truncated lags, intervals, and what is still to come."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.core.maturity import fit_curve, still_to_come

LAGS = 30
TRUE = np.exp(-np.arange(LAGS) / 5.0) / np.exp(-np.arange(LAGS) / 5.0).sum()


def triangle(rng: np.random.Generator, days: int, a_day: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(all conversions, those seen so far, ages) of ``days`` click days, the youngest with age 0."""
    full = rng.multinomial(rng.poisson(a_day, days), TRUE).astype(float)
    ages = np.arange(days)[::-1]
    return full, np.where(np.arange(LAGS)[None, :] <= ages[:, None], full, 0.0), ages


def test_the_curve_is_recovered_from_truncated_lags() -> None:
    """With plenty of conversions the mean is the truth to half a point, although most click days are not complete."""
    _, seen, ages = triangle(np.random.default_rng(1), 45, 2000)
    curve = fit_curve(seen, ages, np.random.default_rng(2))
    assert np.abs(curve.mean - np.cumsum(TRUE)).max() < 0.005
    naive = np.cumsum(seen.sum(axis=0)) / seen.sum()
    assert np.abs(naive - np.cumsum(TRUE)).max() > 0.02  # what ignoring the truncation would say


def test_the_interval_of_the_curve_covers_the_truth() -> None:
    """The 90 % interval of the first week holds the truth in about nine worlds of ten."""
    hits = []
    for seed in range(60):
        _, seen, ages = triangle(np.random.default_rng(seed), 60, 20)
        curve = fit_curve(seen, ages, np.random.default_rng(seed + 1000))
        low, high, truth = curve.quantile(0.05), curve.quantile(0.95), np.cumsum(TRUE)
        hits.append((low[:7] <= truth[:7]) & (truth[:7] <= high[:7]))
    assert 0.82 <= np.mean(hits) <= 0.98


def test_the_corrected_total_covers_what_comes() -> None:
    """Seen plus still to come holds the final number of young click days in about nine of ten, without a lean to one side."""
    hits, errors = [], []
    for seed in range(60):
        full, seen, ages = triangle(np.random.default_rng(seed), 60, 20)
        rng = np.random.default_rng(seed + 1000)
        curve = fit_curve(seen, ages, rng)
        for age in (0, 2, 6):
            day = int(np.flatnonzero(ages == age)[0])
            total = seen[day].sum() + still_to_come(seen[day].sum(), curve.at(age), rng)
            low, high = np.quantile(total, [0.05, 0.95])
            hits.append(low <= full[day].sum() <= high)
            errors.append(total.mean() - full[day].sum())
    assert 0.83 <= np.mean(hits) <= 0.97
    assert abs(np.mean(errors)) < 0.1 * 20


def test_click_days_that_differ_widen_the_interval() -> None:
    """Where each day has lags of its own, the dispersion is seen and the interval grows."""
    rng = np.random.default_rng(3)
    ages = np.arange(60)[::-1]
    own = rng.dirichlet(TRUE * 15, 60)
    full = np.stack([rng.multinomial(200, p) for p in own]).astype(float)
    seen = np.where(np.arange(LAGS)[None, :] <= ages[:, None], full, 0.0)
    alike = triangle(np.random.default_rng(3), 60, 200)
    wide, narrow = (fit_curve(s, a, np.random.default_rng(1)) for s, a in ((seen, ages), alike[1:]))
    assert wide.dispersion > 2 > 1.3 > narrow.dispersion
    width = [c.quantile(0.95)[2] - c.quantile(0.05)[2] for c in (wide, narrow)]
    assert width[0] > 1.5 * width[1]


def test_a_share_never_falls_and_ends_at_one() -> None:
    """Every draw grows with the lag; beyond the last lag everything has arrived."""
    _, seen, ages = triangle(np.random.default_rng(4), 40, 5)
    curve = fit_curve(seen, ages, np.random.default_rng(5))
    assert (np.diff(curve.draws, axis=1) >= 0).all()
    assert (curve.at(LAGS + 10) == 1.0).all()
    assert (still_to_come(12, curve.at(99), np.random.default_rng(1)) == 0).all()


def test_without_an_old_click_day_there_is_no_curve() -> None:
    """The tail of lags that no click day is old enough to show is not guessed."""
    with pytest.raises(ValueError, match="no click day is 29 days old"):
        fit_curve(np.ones((10, LAGS)), np.arange(10), np.random.default_rng(1))
