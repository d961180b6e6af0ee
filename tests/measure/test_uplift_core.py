"""Average effects: recovered where a lot decided, labelled, adjusted and checked where none did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measure.uplift_world import EFFECTS, people

from tasks.core.errors import GateStop
from tasks.measure.uplift_core import (
    check_lot,
    effective_size,
    naive_effect,
    overlap_of,
    pooled_segments,
    robust_effect,
    robust_scores,
    weighted_smd,
)

Z = 1.959964


@pytest.mark.slow
@pytest.mark.parametrize("odds", [0.5, 0.8])
def test_the_true_effect_of_each_segment_lies_in_the_interval_of_a_lot(odds: float) -> None:
    """Of 50 worlds, at least 90 % of the 95 % intervals hold the truth, in every segment and over all, and not all of them."""
    hits: dict[str, list[bool]] = {name: [] for name in ("all", *EFFECTS)}
    for seed in range(50):
        units, effect = people(3000, seed, odds=odds)
        score = robust_scores(units, seed, folds=3).score
        for name, found in hits.items():
            mine = np.ones(units.size, bool) if name == "all" else units.segment == name
            estimate = robust_effect(units.where(mine), score[mine], name)
            assert (estimate.kind, estimate.withheld) == ("causal", None)
            low, high = estimate.bound(0.025), estimate.bound(0.975)
            assert low is not None
            assert high is not None
            found.append(bool(low <= effect[mine].mean() <= high))
    assert {name: sum(found) for name, found in hits.items() if sum(found) < 45} == {}
    assert sum(map(sum, hits.values())) < 4 * 50, "intervals that never miss are too wide"


def test_strong_confounding_is_labelled_and_the_adjusted_estimate_is_better() -> None:
    """The naive difference is off by many of its errors in every seed; adjusted, the error shrinks to a fraction."""
    naive_errors, adjusted_errors = [], []
    for seed in range(6):
        units, effect = people(4000, seed, randomised=False)
        scores = robust_scores(units, seed, folds=3)
        overlap = overlap_of(units, scores.odds)
        naive = naive_effect(units)
        kept = units.where(overlap.kept)
        adjusted = robust_effect(kept, scores.score[overlap.kept])
        assert naive.kind == adjusted.kind == "observational"
        assert naive.mean is not None
        assert adjusted.mean is not None
        assert naive.error is not None
        assert naive.mean - effect.mean() > 4 * naive.error
        naive_errors.append(naive.mean - effect.mean())
        adjusted_errors.append(abs(adjusted.mean - effect[overlap.kept].mean()))
        assert overlap.smd_after < 0.2 < 0.9 < overlap.smd_before
    assert np.mean(adjusted_errors) < 0.2 * np.mean(naive_errors)


def test_the_score_uses_the_odds_of_the_lot() -> None:
    """With nine of ten treated, and odds that differ from person to person, the mean stays true."""
    rng = np.random.default_rng(5)
    units, effect = people(20_000, 5)
    odds = np.where(units.features[:, 1] > 0, 0.9, 0.3)
    treated = (rng.random(units.size) < odds).astype(float)
    base = 0.75 / (1 + np.exp(2.0 - 0.8 * units.features[:, 1]))
    outcome = (rng.random(units.size) < base + treated * effect).astype(float)
    units = replace(units, features=units.features[:, 2:], treated=treated, outcome=outcome, odds=odds)
    naive, robust = naive_effect(units), robust_effect(units, robust_scores(units, 1, folds=2).score)
    assert naive.mean is not None
    assert robust.mean is not None
    assert robust.error is not None
    assert naive.mean - effect.mean() > 0.05
    assert abs(robust.mean - effect.mean()) < 3 * robust.error


def test_people_without_a_counterpart_are_trimmed_and_thin_overlap_is_refused() -> None:
    """Where the features decide who is exposed, nothing can be compared and the reason says why."""
    units, _ = people(3000, 2, randomised=False, confounding=12.0)
    overlap = overlap_of(units, robust_scores(units, 2, folds=3).odds)
    assert overlap.trimmed_share > 0.3
    assert overlap.problem is not None
    mild, _ = people(3000, 2, randomised=False, confounding=0.5)
    fine = overlap_of(mild, robust_scores(mild, 2, folds=3).odds)
    assert (fine.problem, fine.trimmed_share < 0.01, fine.effective > 1000) == (None, True, True)


def test_weights_and_differences_by_hand() -> None:
    """Weights 1, 1, 2 count like 16/6 units; means 1 and 3 with variances 1 and 1 differ by two deviations."""
    assert effective_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    features, treated = np.array([[0.0], [2.0], [2.0], [4.0]]), np.array([0.0, 0.0, 1.0, 1.0])
    assert weighted_smd(features, treated, np.ones(4)) == pytest.approx([2.0])
    assert weighted_smd(features, treated, np.array([0.0, 1.0, 1.0, 0.0])) == pytest.approx([0.0])
    assert weighted_smd(np.ones((4, 1)), treated, np.ones(4)) == pytest.approx([0.0])


def test_arms_that_do_not_fit_the_lot_stop_the_job() -> None:
    """A tenth of an arm missing from 4,000 units is no chance; the right numbers pass, and without a lot nothing is asked."""
    units, _ = people(4000, 3)
    check_lot(units)
    kept = (units.treated == 0) | (np.arange(units.size) % 5 > 0)
    with pytest.raises(GateStop, match=r"sample ratio mismatch: 1,\d+ units are treated, the lot says 1,\d+ ± \d+"):
        check_lot(units.where(kept))
    check_lot(people(4000, 3, randomised=False)[0])


def test_tiny_segments_are_pooled_and_what_is_still_tiny_is_withheld_with_a_reason() -> None:
    """Forty people of a segment go to `other`; an estimate from them alone is not given."""
    units, _ = people(2000, 4)
    names = units.segment.astype(object)
    names[:40], names[40:70] = "vip", "press"
    units = replace(units, segment=names.astype(str))
    segment, pooled = pooled_segments(units)
    assert set(pooled) == {"vip", "press"}
    assert all("units in the smaller arm, 50 are needed" in why for why in pooled.values())
    assert (segment == "other").sum() == 70
    other = units.where(segment == "other")
    effect = robust_effect(other, np.zeros(other.size), "other")
    assert (effect.mean, effect.error, effect.bound(0.05)) == (None, None, None)
    assert effect.withheld is not None


def test_hardly_any_conversion_is_withheld_too() -> None:
    units, _ = people(2000, 4)
    rare = replace(units, outcome=(np.arange(2000) < 9).astype(float))
    assert robust_effect(rare, np.zeros(2000)).withheld == "too few conversions: 9, 10 are needed"
    assert robust_scores(replace(units, outcome=np.zeros(2000)), 1).score == pytest.approx(np.zeros(2000), abs=0.02)
