"""What each policy expects of the arms: MABWiser's draws and bounds, on the table's posteriors.

MABWiser's (2.7): how Thompson sampling draws, UCB1's bound, LinTS's and LinUCB's regression, and its seeded generator. Ours: all
that the arms know. MABWiser counts whole decisions and 0/1 rewards one by one, forgets nothing and keeps its state in the object;
delayed, discounted and shared evidence is fractional. So its arms are not fitted but set, through the attributes that ``fit``
would fill: successes and failures (Thompson), sum, count and bound (UCB1), ``A`` and ``Xty`` of the ridge regression on the
segment as indicators (linear). tests/decide/test_bandit_policies.py holds that on whole counts this equals MABWiser fitted on the
same decisions.

A trial is the spend at which the group's mean arm wins ``TRIAL_RATE`` rewards, so the beta of MABWiser's Thompson sampling is as
wide as the gamma of the table, whatever the currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Policy = Literal["thompson", "ucb", "lin_ts", "lin_ucb"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
TRIAL_RATE = 0.02
_SPREAD = float(np.sqrt(TRIAL_RATE * (1 - TRIAL_RATE)))  # of one trial's 0/1 reward: MABWiser's linear policies assume 1
_MOST_RATE = 0.95  # a beta needs failures


def trials_of(alpha: Floats, exposure: Floats) -> Floats:
    """Trials behind each arm: its spend in units at which the group's mean arm wins ``TRIAL_RATE`` rewards."""
    unit = TRIAL_RATE * exposure.sum() / alpha.sum()
    return np.asarray(np.maximum(exposure / unit, alpha / _MOST_RATE), dtype=np.float64)


def _fitted(arms: Sequence[str], policy: Any, seed: int, contexts: Floats | None = None) -> tuple[MAB, Any]:
    """A MABWiser bandit that takes questions, and the object that holds what its arms know."""
    bandit = MAB(list(arms), policy, seed=seed)
    bandit.fit(list(arms), [0] * len(arms), *([] if contexts is None else [contexts]))
    return bandit, bandit._imp


def thompson(arms: Sequence[str], alpha: Floats, exposure: Floats, draws: int, seed: int) -> Floats:
    """(draws, A) MABWiser's Thompson draws of the success rate."""
    bandit, inside = _fitted(arms, LearningPolicy.ThompsonSampling(), seed)
    for arm, successes, trials in zip(arms, alpha, trials_of(alpha, exposure), strict=True):
        inside.arm_to_success_count[arm], inside.arm_to_fail_count[arm] = float(successes), float(trials - successes)
    return _as_array(bandit.predict_expectations(np.zeros((draws, 1))), arms)


def ucb(arms: Sequence[str], alpha: Floats, exposure: Floats, seed: int) -> Floats:
    """(1, A) MABWiser's UCB1 bounds. Its ``alpha`` is the spread of a trial, without which the bound would drown rates of 2 %."""
    bandit, inside = _fitted(arms, LearningPolicy.UCB1(alpha=_SPREAD), seed)
    trials = trials_of(alpha, exposure)
    inside.total_count = float(trials.sum())
    for arm, successes, count in zip(arms, alpha, trials, strict=True):
        mean = float(successes / count)
        inside.arm_to_sum[arm], inside.arm_to_count[arm], inside.arm_to_mean[arm] = float(successes), float(count), mean
        inside.arm_to_expectation[arm] = inside._get_ucb(mean, inside.alpha, inside.total_count, float(count))
    return _as_array([bandit.predict_expectations()], arms)


def linear(
    policy: Literal["lin_ts", "lin_ucb"],
    arms: Sequence[str],
    alpha: Floats,
    exposure: Floats,
    segment: int,
    draws: int,
    seed: int,
) -> Floats:
    """(draws or 1, A) MABWiser's LinTS draws or LinUCB bounds in a segment, from (S, A) posteriors of the S segments."""
    learning = LearningPolicy.LinTS if policy == "lin_ts" else LearningPolicy.LinUCB
    segments = len(alpha)
    first = np.eye(segments)[np.zeros(len(arms), dtype=int)]
    bandit, inside = _fitted(arms, learning(alpha=_SPREAD), seed, first)
    unit = TRIAL_RATE * exposure.sum() / alpha.sum()
    for index, arm in enumerate(arms):
        model = inside.arm_to_model[arm]
        model.A, model.Xty = np.diag(exposure[:, index] / unit), alpha[:, index].copy()
        model.A_inv = np.linalg.inv(model.A)
        model.beta = model.A_inv @ model.Xty
    context = np.eye(segments)[np.full(draws if policy == "lin_ts" else 1, segment)]
    found = bandit.predict_expectations(context)
    return _as_array(found if isinstance(found, list) else [found], arms)


def _as_array(expectations: Any, arms: Sequence[str]) -> Floats:
    rows = expectations if isinstance(expectations, list) else [expectations]
    return np.array([[float(row[arm]) for arm in arms] for row in rows])


def p_best(draws: Floats) -> Floats:
    """(A,) share of draws in which each arm is the best."""
    return np.bincount(draws.argmax(axis=1), minlength=draws.shape[1]) / len(draws)
