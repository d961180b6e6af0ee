"""One fit: average effects by segment, four learners judged out of fold, the chosen one refitted. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from threadpoolctl import threadpool_limits

from tasks.measure.uplift_core import (
    Constant,
    Effect,
    Overlap,
    Scores,
    check_lot,
    check_size,
    classifier,
    naive_effect,
    overlap_of,
    pooled_segments,
    robust_effect,
    robust_scores,
)
from tasks.measure.uplift_data import Bools, Floats, Units
from tasks.measure.uplift_learners import LEARNERS, Predict, Scale, choose, fit_learner, out_of_fold
from tasks.measure.uplift_metrics import Ranked, Ranking, judge

SHARES = (0.1, 0.3)
ALL = "all"


@dataclass(frozen=True)
class Fit:
    """Everything of a fit: ``units`` (raw features, trimmed if observed), their scores, learners and effects."""

    units: Units
    scores: Scores
    overlap: Overlap | None
    smd_before: float
    smd_after: float
    effects: list[tuple[Effect, Units]]
    pooled: dict[str, str]
    predicted: dict[str, Floats]
    ranked: dict[str, Ranked]
    chosen: str
    segment_ranked: dict[str, Ranked]
    predict: Predict

    @property
    def problem(self) -> str | None:
        """Why the adjusted effects are withheld, or None; a lot needs no overlap."""
        return self.overlap.problem if self.overlap else None

    @property
    def is_ranking(self) -> bool:
        """The chosen learner ranks better than chance: the 90 % interval of its Qini lies above zero."""
        return float(np.quantile(self.ranked[self.chosen].qini_replicates, 0.05)) > 0


def fit_trial(units: Units, replicates: int, seed: int) -> Fit:
    """Fit all of it; GateStop if the arms do not fit the lot, or hold too little to learn from."""
    check_lot(units)
    check_size(units)
    scale = Scale.of(units.features)
    work = Units(units.names, scale.apply(units.features), units.treated, units.outcome, units.odds, units.segment)
    scores = robust_scores(work, seed)
    balance = overlap_of(work, scores.odds)
    overlap = balance if units.odds is None else None
    kept = balance.kept if units.odds is None else np.ones(units.size, dtype=np.bool_)
    naive = _segments(units, None)
    inside = Scores(scores.score[kept], scores.odds[kept], scores.untreated_rate[kept])
    adjusted = _segments(units.where(kept), inside.score)
    work = work.where(kept)
    predicted = {name: out_of_fold(name, work, seed) for name in LEARNERS}

    def ranking(scored: Floats, mine: Bools) -> Ranking:
        return Ranking.of(scored[mine], work.outcome[mine], work.treated[mine], inside.odds[mine])

    everybody = np.ones(work.size, dtype=np.bool_)
    ranked = {name: judge(ranking(scored, everybody), SHARES, replicates, seed) for name, scored in predicted.items()}
    chosen = choose({n: r.qini for n, r in ranked.items()}, {n: r.qini_replicates for n, r in ranked.items()})
    segment, pooled = pooled_segments(units.where(kept))
    within = {
        str(name): judge(ranking(predicted[chosen], segment == name), SHARES, replicates, seed)
        for name in np.unique(segment)
        if all(((segment == name) & (work.treated == arm)).sum() > 0 for arm in (0, 1))
    }
    model = fit_learner(chosen, work, seed)

    def predict(features: Floats) -> Floats:
        with threadpool_limits(limits=1):
            return model(scale.apply(features))

    return Fit(
        units=units.where(kept),
        scores=inside,
        overlap=overlap,
        smd_before=balance.smd_before,
        smd_after=balance.smd_after,
        effects=naive + adjusted,
        pooled=pooled,
        predicted=predicted,
        ranked=ranked,
        chosen=chosen,
        segment_ranked=within | {ALL: ranked[chosen]},
        predict=predict,
    )


def _segments(units: Units, score: Floats | None) -> list[tuple[Effect, Units]]:
    """Effects over all and by segment: naive ones without a ``score``, robust ones with it."""
    segment, _ = pooled_segments(units)
    found = []
    for name in (ALL, *map(str, np.unique(segment))):
        mine = np.ones(units.size, dtype=np.bool_) if name == ALL else segment == name
        part = units.where(mine)
        found.append((naive_effect(part, name) if score is None else robust_effect(part, score[mine], name), part))
    return found


def fit_propensity(units: Units, seed: int) -> Callable[[Floats], Floats]:
    """Calibrated P(convert without treatment): the control arm, isotonic from 1,000 conversions on, else Platt's sigmoid."""
    control = units.treated == 0
    features, outcome = units.features[control], units.outcome[control]
    scale = Scale.of(units.features)
    if min(outcome.sum(), len(outcome) - outcome.sum()) < 20:
        constant = Constant(outcome)
        return lambda asked: constant.predict_proba(asked)[:, 1]
    method = "isotonic" if outcome.sum() >= 1000 else "sigmoid"
    with threadpool_limits(limits=1):
        model = CalibratedClassifierCV(classifier(len(outcome), seed), method=method, cv=4)
        model.fit(scale.apply(features), outcome.astype(int))

    def predict(asked: Floats) -> Floats:
        with threadpool_limits(limits=1):
            return np.asarray(model.predict_proba(scale.apply(asked))[:, 1])

    return predict
