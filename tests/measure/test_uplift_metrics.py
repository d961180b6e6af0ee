"""Quality of a ranking by effect: the textbook numbers, ties of every sort, calibration, the value of a policy, drift."""

from __future__ import annotations

import numpy as np
import pytest
from measure.uplift_world import people
from sklift.metrics import qini_auc_score, uplift_at_k
from sklift.metrics import qini_curve as textbook_curve

from tasks.measure.uplift_core import robust_scores
from tasks.measure.uplift_data import Floats, Units
from tasks.measure.uplift_drift import LIMIT, drift, drift_reason, psi
from tasks.measure.uplift_learners import DEFAULT, LEARNERS, choose, out_of_fold
from tasks.measure.uplift_metrics import Ranking, calibration, judge, policy_value, qini_curve, qini_of, tie_groups, uplift_at


def ranking_of(scores: Floats, units: Units) -> Ranking:
    assert units.odds is not None
    return Ranking.of(scores, units.outcome, units.treated, units.odds)


def test_distinct_scores_give_the_textbook_curve_and_uplift_at_k() -> None:
    """scikit-uplift's Qini curve over the number of treated, its uplift at k, and its normalised area in proportion."""
    units, _ = people(2000, 1)
    scores = np.random.default_rng(1).permutation(units.size).astype(float)
    number, value = textbook_curve(units.outcome, scores, units.treated)
    shares, gains = qini_curve(ranking_of(scores, units))
    assert shares == pytest.approx(number / units.size)
    assert gains == pytest.approx(value / units.treated.sum())
    theirs = uplift_at_k(units.outcome, scores, units.treated, strategy="overall", k=0.3)
    assert uplift_at(ranking_of(scores, units), 0.3) == pytest.approx(theirs)
    other = np.random.default_rng(2).permutation(units.size).astype(float)
    ratio = qini_auc_score(units.outcome, scores, units.treated) / qini_auc_score(units.outcome, other, units.treated)
    ours = [qini_of(*qini_curve(ranking_of(s, units))) for s in (scores, other)]
    assert ours[0] / ours[1] == pytest.approx(ratio)


def test_scores_that_differ_by_a_float_s_rounding_are_ties() -> None:
    """0.1 + 0.2 and 0.3 are one score; scikit-uplift sees two, so its curve hangs on how the sum was made."""
    scores = np.array([0.3, 0.1 + 0.2, 0.3, 0.1 + 0.2, 0.1, 0.1])
    outcome, treated = np.array([0.0, 1, 0, 1, 1, 0]), np.array([0.0, 1, 0, 1, 0, 1])
    assert tie_groups(scores).tolist() == [0, 0, 0, 0, 1, 1]
    assert len(textbook_curve(outcome, scores, treated)[0]) == 4
    shares, _ = qini_curve(Ranking.of(scores, outcome, treated, np.full(6, 0.5)))
    assert shares == pytest.approx([0, 4 / 6, 1])


def test_the_order_of_the_rows_never_matters() -> None:
    """Shuffled rows of a score with few values give the same curve, uplift at k and calibration."""
    units, _ = people(1000, 2)
    scores = np.round(units.features[:, 0])
    order = np.random.default_rng(3).permutation(units.size)
    shuffled = units.where(np.ones(units.size, bool))
    shuffled = Units(
        units.names,
        units.features[order],
        units.treated[order],
        units.outcome[order],
        None if units.odds is None else units.odds[order],
        units.segment[order],
    )
    one, two = ranking_of(scores, units), ranking_of(scores[order], shuffled)
    assert qini_curve(one)[1] == pytest.approx(qini_curve(two)[1])
    assert [uplift_at(one, k) for k in (0.05, 0.1, 0.5)] == pytest.approx([uplift_at(two, k) for k in (0.05, 0.1, 0.5)])
    assert len(calibration(scores, units.outcome)) == len(calibration(scores[order], units.outcome[order])) < 10


def test_one_score_for_all_has_no_area_and_every_k_is_the_average() -> None:
    """A constant score ranks nothing: the curve is the straight line."""
    units, _ = people(1000, 2)
    ranking = ranking_of(np.full(units.size, 0.1), units)
    average = units.outcome[units.treated == 1].mean() - units.outcome[units.treated == 0].mean()
    assert qini_of(*qini_curve(ranking)) == pytest.approx(0)
    assert [uplift_at(ranking, k) for k in (0.1, 0.5, 1.0)] == pytest.approx([average] * 3)
    assert {b.number for b in calibration(np.zeros(100), np.ones(100))} == {6}


def test_unequal_odds_do_not_tilt_the_curve() -> None:
    """Four of five treated: the weighted end of the curve is the average effect all the same."""
    units, effect = people(20_000, 3, odds=0.8)
    assert qini_curve(ranking_of(effect, units))[1][-1] == pytest.approx(effect.mean(), abs=0.02)


def test_the_interval_of_a_good_ranking_is_above_zero_and_of_a_random_one_is_not() -> None:
    """True effects rank better than chance; of twenty random rankings about as many 90 % intervals hold zero as should."""
    units, effect = people(8000, 4)
    good = judge(ranking_of(effect, units), (0.1, 0.3), 100, 1)
    assert np.quantile(good.qini_replicates, 0.05) > 0
    held = 0
    for seed in range(20):
        fewer, _ = people(1500, seed)
        noise = judge(ranking_of(np.random.default_rng(seed).random(fewer.size), fewer), (0.1,), 60, seed)
        low, high = np.quantile(noise.qini_replicates, [0.05, 0.95])
        held += bool(low < 0 < high)
    assert 15 <= held <= 20
    low, high = np.quantile(good.at_replicates[0.3], [0.025, 0.975])
    assert low < 0.10 < high
    assert good.curve[0] == 0
    assert good.curve.shape == good.curve_replicates[0].shape


def test_calibration_by_decile_sees_a_model_that_exaggerates() -> None:
    """True effects agree with the robust scores; ten times the effect does not."""
    units, effect = people(20_000, 5)
    robust = robust_scores(units, 1, folds=2).score
    rng = np.random.default_rng(1)
    fair = calibration(effect + rng.normal(0, 1e-6, units.size), robust)
    assert [b.number for b in fair] == list(range(1, 11))
    assert sum(abs(b.observed - b.predicted) < 2.6 * b.error for b in fair) >= 9
    wild = calibration(10 * effect + rng.normal(0, 1e-6, units.size), robust)
    assert abs(wild[0].observed - wild[0].predicted) > 10 * wild[0].error


def test_a_policy_treats_whoever_pays_and_says_what_it_costs() -> None:
    """At 4 a treatment and a CAC of 80 at most, an uplift of 5 % pays: the keen alone are treated."""
    units, effect = people(20_000, 6)
    robust = robust_scores(units, 1, folds=2).score
    policy = policy_value(effect, robust, cost=4.0, target=80.0)
    keen = units.segment == "keen"
    assert policy.share == pytest.approx(keen.mean())
    assert policy.won == pytest.approx(1000 * keen.mean() * 0.10, rel=0.25)
    assert policy.cost == pytest.approx(policy.share * 4000)
    assert policy.cac == pytest.approx(policy.cost / policy.won)
    assert (policy.is_within_target, policy.cac_upper is not None) == (True, True)
    nobody = policy_value(effect, robust, cost=4.0, target=20.0)
    assert (nobody.share, nobody.cac, nobody.is_within_target) == (0.0, None, False)


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_ranks_people_it_never_saw(name: str) -> None:
    """Out of fold the predicted effects go with the true ones, with even and with uneven odds."""
    for odds in (0.5, 0.8):
        units, effect = people(6000, 7, odds=odds)
        assert np.corrcoef(out_of_fold(name, units, 1), effect)[0, 1] > 0.2


def test_the_default_learner_stands_unless_another_is_clearly_better() -> None:
    """One standard error of the difference decides."""
    rng = np.random.default_rng(1)
    draws = {name: rng.normal(0, 1, 200) for name in LEARNERS}
    level = dict.fromkeys(LEARNERS, 1.0)
    assert choose(level | {"two_models": 1.5}, draws) == DEFAULT
    assert choose(level | {"two_models": 4.0}, draws) == "two_models"


def test_drift_is_named_and_a_second_sample_of_the_same_people_is_none() -> None:
    """A feature that moved by one deviation passes the limit; chance does not; a value never seen before does."""
    rng = np.random.default_rng(1)
    trained = rng.normal(size=(5000, 2))
    same, moved = rng.normal(size=(5000, 2)), rng.normal([0.0, 1.0], size=(5000, 2))
    assert drift_reason(drift(("visits", "age"), trained, same)) is None
    assert (drift_reason(drift(("visits", "age"), trained, moved)) or "").startswith("drift: the people differ")
    assert "(PSI age" in (drift_reason(drift(("visits", "age"), trained, moved)) or "")
    assert psi(np.zeros(1000), np.zeros(1000)) == pytest.approx(0)
    for trained_at, now_at in ((0.0, 1.0), (1.0, 0.0)):
        assert psi(np.full(1000, trained_at), np.full(1000, now_at)) > LIMIT
    assert psi(np.arange(4.0), np.arange(4.0)) == pytest.approx(0)
    jitter = rng.choice([0.0, 1e-17], 1000)
    assert psi(np.full(1000, 0.3) + jitter, np.full(1000, 0.1 + 0.2)) == pytest.approx(0)
