"""On whole counts our warmed arms are MABWiser's own, fitted on the same decisions; beyond them, what only ours can take."""

from __future__ import annotations

import numpy as np
import pytest
from mabwiser.mab import MAB, LearningPolicy
from scipy.stats import kstest

from tasks.decide.bandit_policies import _SPREAD, TRIAL_RATE, linear, p_best, thompson, trials_of, ucb

ARMS = ["a", "b", "c"]
TRIALS = np.array([1000, 1500, 500])
WINS = np.array([20, 30, 10])  # the group's mean is 2 %, so one trial is one decision


def decisions(wins: np.ndarray, trials: np.ndarray) -> tuple[list[str], list[int]]:
    arms = [arm for arm, n in zip(ARMS, trials, strict=True) for _ in range(n)]
    rewards = [int(i < w) for w, n in zip(wins, trials, strict=True) for i in range(n)]
    return arms, rewards


def test_thompson_draws_as_mabwiser_fitted_on_the_same_decisions() -> None:
    """MABWiser starts from one success and one failure: with these added the draws are the same numbers."""
    bandit = MAB(ARMS, LearningPolicy.ThompsonSampling(), seed=7)
    bandit.fit(*decisions(WINS - 1, TRIALS - 2))
    theirs = [[row[arm] for arm in ARMS] for row in bandit.predict_expectations(np.zeros((500, 1)))]
    assert thompson(ARMS, WINS.astype(float), TRIALS.astype(float), 500, 7) == pytest.approx(np.array(theirs))


def test_ucb_is_mabwiser_s() -> None:
    """The bound of UCB1 with the spread of one trial."""
    bandit = MAB(ARMS, LearningPolicy.UCB1(alpha=_SPREAD), seed=7)
    bandit.fit(*decisions(WINS, TRIALS))
    theirs = bandit.predict_expectations()
    assert ucb(ARMS, WINS.astype(float), TRIALS.astype(float), 7)[0] == pytest.approx([theirs[arm] for arm in ARMS], rel=1e-3)


def test_the_linear_bound_is_mabwiser_s_up_to_its_prior() -> None:
    """LinUCB fitted on the same decisions of two segments; MABWiser's ridge adds one trial without a reward to each."""
    wins, trials = np.array([[20, 30, 10], [10, 5, 25]]), np.array([[1000, 1500, 500], [400, 900, 700]])
    bandit = MAB(ARMS, LearningPolicy.LinUCB(alpha=_SPREAD), seed=7)
    pairs = [decisions(w, n) for w, n in zip(wins, trials, strict=True)]
    contexts = [[1.0, 0.0]] * len(pairs[0][0]) + [[0.0, 1.0]] * len(pairs[1][0])
    bandit.fit(pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1], contexts)
    theirs = bandit.predict_expectations([[0.0, 1.0]])
    ours = linear("lin_ucb", ARMS, wins.astype(float), trials.astype(float), 1, 1, 7)[0]
    assert ours == pytest.approx([theirs[arm] for arm in ARMS], rel=0.02)
    assert int(ours.argmax()) == 2


def test_a_trial_makes_the_beta_as_wide_as_the_gamma_in_any_currency() -> None:
    """Fractional posteriors are drawn as they are; spend in another currency changes nothing but the scale."""
    alpha, exposure = np.array([12.5, 30.25]), np.array([800.0, 2100.0])
    assert trials_of(alpha, exposure) == pytest.approx(trials_of(alpha, 150 * exposure))
    drawn = thompson(["a", "b"], alpha, exposure, 4000, 3)[:, 0] / TRIAL_RATE * alpha.sum() / exposure.sum()
    exact = np.random.default_rng(1).gamma(alpha[0], 1 / exposure[0], 4000)
    assert kstest(drawn, exact).pvalue > 0.001


def test_p_best_is_the_share_of_draws_won() -> None:
    """Each draw has one best arm."""
    assert p_best(np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [0.0, 5.0]])).tolist() == [0.25, 0.75]
