"""The distances are Evidently's, to the last digit; the null and the false discovery rate are what they say."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tasks.quality.drift_calibration import judge, q_values
from tasks.quality.drift_statistics import distances, histograms, jensenshannon, ks, psi
from tasks.quality.drift_windows import Windows, compare, without_season

WINDOWS = Windows(current=14, reference=28, season=7)
SAMPLES: dict[str, Callable[[np.random.Generator, int], Any]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed": lambda rng, n: rng.lognormal(3, 1, n),
    "few values": lambda rng, n: rng.poisson(2, n).astype(float),
    "counts": lambda rng, n: rng.poisson(400, n).astype(float),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_distances_are_evidentlys(name: str) -> None:
    """PSI and Jensen–Shannon of Evidently on the same samples are the same numbers; its KS p-value is that of our D."""
    import pandas as pd
    from scipy.stats import ks_2samp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = [importlib.import_module(f"evidently.legacy.calculations.stattests.{one}") for one in ("psi", "jensenshannon")]
        kind = importlib.import_module("evidently.legacy.core").ColumnType.Numerical
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reference, current = SAMPLES[name](rng, 84), 1.1 * SAMPLES[name](rng, 28)
        ours = distances(reference, current)
        theirs = [
            module.__dict__[f"_{one}"](pd.Series(reference), pd.Series(current), kind, 0.1)[0]
            for one, module in zip(("psi", "jensenshannon"), tests, strict=True)
        ]
        assert [ours["psi"], ours["jensenshannon"]] == pytest.approx(theirs, abs=1e-9)
        assert ours["ks"] == pytest.approx(ks_2samp(reference, current).statistic, abs=1e-12)


def test_distances_by_hand() -> None:
    """Halves against a quarter and three quarters: PSI 0.25·ln 2 + 0.25·ln 1.5 = 0.2747, half the samples apart: KS 0.5."""
    p, q = np.array([0.5, 0.5]), np.array([0.25, 0.75])
    assert psi(p, q) == pytest.approx(0.25 * np.log(2) + 0.25 * np.log(1.5))
    assert psi(p, p) == 0
    # Middle (0.375, 0.625); half of 0.5·ln(4/3) + 0.5·ln(0.8) and of 0.25·ln(2/3) + 0.75·ln(1.2).
    half = (0.5 * np.log(4 / 3) + 0.5 * np.log(0.8) + 0.25 * np.log(2 / 3) + 0.75 * np.log(1.2)) / 2
    assert jensenshannon(p, q) == pytest.approx(np.sqrt(half))
    assert jensenshannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(np.sqrt(np.log(2)))
    assert ks(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0])) == 0.5
    # A bin that is empty counts as 0.01 % and not as nothing: (1 − 0.0001)·ln(1 / 0.0001), twice.
    assert psi(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(2 * 0.9999 * np.log(10_000), rel=1e-3)


def test_few_values_are_compared_one_by_one() -> None:
    """Up to 20 distinct values have a share each, also those that only the current window holds."""
    p, q = histograms(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 2.0]))
    assert (p.tolist(), q.tolist()) == ([0.5, 0.5, 0.0], [0.5, 0.0, 0.5])


def test_the_season_comes_from_the_reference_alone() -> None:
    """A series that is nothing but its weekly season is flat without it; one weekday three times as high stays so."""
    week = np.array([10.0, 12.0, 14.0, 12.0, 10.0, 4.0, 0.0])
    values = np.tile(week, 6)
    flat = without_season(values, WINDOWS, "positive")
    mean = week.mean()
    assert flat.reshape(-1, 7)[:, :6] == pytest.approx(np.full((6, 6), mean))
    assert flat.reshape(-1, 7)[:, 6].tolist() == [0.0] * 6, "a weekday on which nothing ever happens has no factor"
    loud = values.copy()
    loud[28 + 5 :: 7] *= 3  # the weekday that has 4 has 12 in the current window
    assert without_season(loud, WINDOWS, "positive")[28:34] == pytest.approx([*[mean] * 5, 3 * mean])
    assert without_season(values - 20, WINDOWS, "signed") == pytest.approx(np.full(42, mean - 20))


def test_level_and_spread_by_hand() -> None:
    """Twice the mean with the same relative variation: level ln 2 (floor of 1 %), spread 0; missing days are left out."""
    rng = np.random.default_rng(0)
    reference = 100 + rng.normal(0, 10, 28)
    values = np.concatenate([reference, 2 * reference[:14]])
    values[[3, 30]] = np.nan
    found = compare(values, Windows(14, 28, 1), "positive")
    assert found["level"] == pytest.approx(np.log(2), abs=0.06)
    assert found["spread"] == pytest.approx(0, abs=0.25)
    nothing = compare(np.concatenate([reference, np.zeros(14)]), Windows(14, 28, 1), "positive")
    assert nothing["level"] == pytest.approx(np.log(0.01 / 1.01))
    values[30:40] = np.nan
    assert np.isnan(list(compare(values, Windows(14, 28, 1), "positive").values())).all()


def test_the_p_value_is_that_of_a_new_observation_from_the_placebos() -> None:
    """Placebos of mean 2 and deviation 1, two weeks wide and a week apart: nine of them count as five; t = 3 / sqrt(1.2)."""
    from scipy.stats import t

    placebos = np.array([1.0, 3.0] * 4 + [2.0])
    spread = placebos.std(ddof=1) * np.sqrt(1 + 1 / 5)
    judged = judge(np.concatenate([[5.0, 99.0], placebos]), "plain", WINDOWS)
    assert judged.placebos == 5
    assert judged.p_value == pytest.approx(t.sf(3 / spread, 4))
    assert judged.critical_value(judged.p_value) == pytest.approx(5.0)
    assert judged.excess == pytest.approx(3.0)
    root = judge(np.concatenate([[25.0, 99.0], placebos**2]), "ks", WINDOWS)
    assert root.p_value == pytest.approx(judged.p_value), "a KS distance is judged by its root"
    assert root.critical_value(root.p_value) == pytest.approx(25.0)


def test_placebos_that_overlap_the_current_window_do_not_count() -> None:
    """The window one week back shares a week with the current one: whatever happened there says nothing about the null."""
    placebos = np.array([1.0, 3.0] * 5)
    quiet, loud = (judge(np.concatenate([[5.0, beside], placebos]), "plain", WINDOWS) for beside in (2.0, 50.0))
    assert quiet == loud
    assert np.isnan(judge(np.array([5.0, 1.0, 2.0, 3.0]), "plain", WINDOWS).p_value), "four placebos side by side are needed"
    assert np.isnan(judge(np.array([]), "plain", WINDOWS).p_value)


def test_false_discovery_rate_by_hand() -> None:
    """Benjamini and Hochberg on 0.01, 0.04, 0.03, 0.5 of four: 0.04, 0.0533, 0.0533, 0.5; what was not judged takes no part."""
    nan = float("nan")
    adjusted = q_values([0.01, nan, 0.04, 0.03, 0.5])
    assert [q for q in adjusted if q == q] == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert np.isnan(adjusted[1])
