"""Who gains most: four learners of the effect of one unit, fitted and judged out of fold.

scikit-uplift's class transformation (Jaskowski & Jaroszewicz 2012), two models and solo model (Lo 2002), and the DR-learner
(Kennedy 2020, algorithm 1): doubly robust scores regressed on the features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklift.models import ClassTransformation, SoloModel, TwoModels
from threadpoolctl import threadpool_limits

from tasks.measure.uplift_core import TREES_FROM, classifier, folds_of, robust_scores
from tasks.measure.uplift_data import Floats, Units

LEARNERS = ("class_transformation", "two_models", "solo_model", "doubly_robust")
DEFAULT = "doubly_robust"
OUTER_FOLDS = 4
Predict = Callable[[Floats], Floats]


def _regressor(size: int, seed: int) -> Any:
    if size < TREES_FROM:
        return Ridge(alpha=0.02 * size)  # the scores are far noisier than an outcome: shrink towards the average effect
    return HistGradientBoostingRegressor(
        max_depth=3, learning_rate=0.05, max_iter=60, min_samples_leaf=200, l2_regularization=20.0, random_state=seed
    )


def _class_transformation(units: Units, seed: int) -> Predict:
    # The method takes both arms for equally likely; weights by inverse odds make them so.
    weight = None
    if units.odds is not None:
        weight = np.where(units.treated == 1, 0.5 / units.odds, 0.5 / (1 - units.odds))
    model = ClassTransformation(classifier(units.size, seed))
    model.fit(units.features, units.outcome.astype(int), units.treated.astype(int), {"sample_weight": weight})
    return lambda features: np.asarray(model.predict(features), dtype=np.float64)


def _two_models(units: Units, seed: int) -> Predict:
    size = units.size // 2
    model = TwoModels(classifier(size, seed), classifier(size, seed + 1), method="vanilla")
    model.fit(units.features, units.outcome.astype(int), units.treated.astype(int))
    return lambda features: np.asarray(model.predict(features), dtype=np.float64)


def _solo_model(units: Units, seed: int) -> Predict:
    # With the arm as a plain feature a linear model gives all units one effect on the scale of log odds: let it interact.
    model = SoloModel(classifier(units.size, seed), method="treatment_interaction")
    model.fit(units.features, units.outcome.astype(int), units.treated.astype(int))
    return lambda features: np.asarray(model.predict(features), dtype=np.float64)


def _doubly_robust(units: Units, seed: int) -> Predict:
    score = robust_scores(units, seed, folds=3).score
    model = _regressor(units.size, seed).fit(units.features, score)
    return lambda features: np.asarray(model.predict(features), dtype=np.float64)


_FIT: dict[str, Callable[[Units, int], Predict]] = {
    "class_transformation": _class_transformation,
    "two_models": _two_models,
    "solo_model": _solo_model,
    "doubly_robust": _doubly_robust,
}


def fit_learner(name: str, units: Units, seed: int) -> Predict:
    """Fit ``name`` on standardised features; returns the function features (N, D) → predicted effect (N,)."""
    with threadpool_limits(limits=1):
        return _FIT[name](units, seed)


def out_of_fold(name: str, units: Units, seed: int, folds: int = OUTER_FOLDS) -> Floats:
    """(N,) predicted effect of each unit by a learner that never saw it."""
    fold = folds_of(units, folds, seed + 17)
    found = np.empty(units.size)
    for number in range(folds):
        out = fold == number
        predict = fit_learner(name, units.where(~out), seed)
        with threadpool_limits(limits=1):
            found[out] = predict(units.features[out])
    return found


@dataclass(frozen=True)
class Scale:
    """Mean and spread of the features in training; a constant feature stays 0."""

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, features: Floats) -> Scale:
        """Of ``features`` (N, D)."""
        spread = features.std(axis=0)
        return cls(features.mean(axis=0), np.where(spread > 1e-12, spread, 1.0))

    def apply(self, features: Floats) -> Floats:
        """Standardised ``features``."""
        return np.asarray((features - self.mean) / self.spread)


def choose(qini: dict[str, float], replicates: dict[str, Floats]) -> str:
    """The doubly robust learner, unless another's Qini beats it by more than one standard error of the difference.

    The best of four is partly luck; the default is the one whose assumptions are weakest.
    """
    best = max(LEARNERS, key=lambda name: qini[name])
    error = float((replicates[best] - replicates[DEFAULT]).std(ddof=1)) if best != DEFAULT else 0.0
    return best if qini[best] - qini[DEFAULT] > error else DEFAULT
