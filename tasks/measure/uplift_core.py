"""Average effects from randomised and from observed exposure, by the doubly robust score. Pure NumPy and scikit-learn.

The score of a unit is the augmented inverse probability weighted estimate of its own effect (Robins, Rotnitzky & Zhao 1994),
with cross-fitted nuisance models (Chernozhukov et al. 2018, §3). Its mean is the average effect; its mean in a segment is that
of the segment; regressed on features it is the DR-learner (Kennedy 2020, "Towards optimal doubly robust estimation of
heterogeneous causal effects"). In a randomised experiment the odds are known, so the mean is unbiased whatever the outcome
models say. Without a lot it holds only if the features explain who was exposed: the result says so by its kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tasks.core.errors import GateStop
from tasks.measure.uplift_data import Bools, Floats, Kind, Units

FOLDS = 5
TREES_FROM = 10_000  # below, trees have too little to split on; a ridge logistic loses nothing there
TRIM = 0.05  # odds outside [0.05, 0.95] stand for units without a counterpart (Crump et al. 2009 take 0.1)
SRM_ALPHA = 0.0005  # sample ratio mismatch, threshold of Fabijan et al. 2019
MIN_PER_ARM = 50  # of a segment; fewer have no interval worth the name
MIN_CONVERSIONS = 10
MIN_PER_CLASS = 20  # of an arm, converted and not: five in each fold
POOLED = "other"
MAX_SMD = 0.1  # of a covariate after weighting (Austin 2009)
MIN_EFFECTIVE = 100.0  # Kish's effective sample size, the smaller arm
MAX_TRIMMED = 0.5


def classifier(size: int, seed: int) -> Any:
    """A calibrated-enough, regularised classifier for ``size`` rows of standardised features."""
    if size < TREES_FROM:
        return LogisticRegression(C=0.3, max_iter=500)
    return HistGradientBoostingClassifier(
        max_depth=3, learning_rate=0.06, max_iter=80, min_samples_leaf=100, l2_regularization=5.0, random_state=seed
    )


class Constant:
    """What to say of a class that was never, or always, seen: the smoothed rate (Laplace)."""

    def __init__(self, outcome: Floats) -> None:
        self.rate = (outcome.sum() + 1) / (len(outcome) + 2)

    def predict_proba(self, features: Floats) -> Floats:
        """(N, 2) probabilities."""
        return np.tile([1 - self.rate, self.rate], (len(features), 1))


def fit_rate(features: Floats, outcome: Floats, seed: int) -> Any:
    """A fitted model of P(outcome = 1 | features); a constant if only one class, or hardly another, is there."""
    if min(outcome.sum(), len(outcome) - outcome.sum()) < 5:
        return Constant(outcome)
    return classifier(len(outcome), seed).fit(features, outcome.astype(int))


def folds_of(units: Units, folds: int, seed: int) -> np.ndarray:
    """(N,) fold numbers, balanced over arm × outcome so that every fold has some of each."""
    rng = np.random.default_rng(seed)
    stratum = units.treated.astype(int) * 2 + units.outcome.astype(int)
    order = np.lexsort((rng.random(units.size), stratum))
    fold = np.empty(units.size, dtype=np.int64)
    fold[order] = np.arange(units.size) % folds
    return fold


@dataclass(frozen=True)
class Scores:
    """Doubly robust scores (N,), the odds they used and the predicted rate without treatment."""

    score: Floats
    odds: Floats
    untreated_rate: Floats


def robust_scores(units: Units, seed: int, folds: int = FOLDS) -> Scores:
    """Cross-fitted AIPW scores: a unit's nuisance models never saw the unit."""
    with threadpool_limits(limits=1):  # many small fits: on a busy machine threads wait for each other twenty times longer
        return _robust_scores(units, seed, folds)


def _robust_scores(units: Units, seed: int, folds: int) -> Scores:
    rates = np.empty((2, units.size))
    odds = np.empty(units.size) if units.odds is None else units.odds
    fold = folds_of(units, folds, seed)
    for number in range(folds):
        out = fold == number
        rest = units.where(~out)
        for arm in (0, 1):
            mine = rest.treated == arm
            model = fit_rate(rest.features[mine], rest.outcome[mine], seed)
            rates[arm, out] = model.predict_proba(units.features[out])[:, 1]
        if units.odds is None:
            odds[out] = fit_rate(rest.features, rest.treated, seed).predict_proba(units.features[out])[:, 1]
    safe = np.clip(odds, 0.001, 0.999) if units.odds is None else odds
    own = np.where(units.treated == 1, rates[1], rates[0])
    weight = units.treated / safe - (1 - units.treated) / (1 - safe)
    return Scores(rates[1] - rates[0] + weight * (units.outcome - own), safe, rates[0])


# --- is the comparison fair


def weighted_smd(features: Floats, treated: Floats, weights: Floats) -> Floats:
    """(D,) absolute standardised mean differences between the arms under ``weights``; the scale is the unweighted one."""
    arms = [treated == 1, treated == 0]
    means = [np.average(features[a], axis=0, weights=weights[a]) for a in arms]
    scale = np.sqrt((features[arms[0]].var(axis=0) + features[arms[1]].var(axis=0)) / 2)
    return np.asarray(np.abs(np.divide(means[0] - means[1], scale, out=np.zeros_like(scale), where=scale > 1e-12)))


def effective_size(weights: Floats) -> float:
    """Kish's effective sample size: (Σw)² / Σw²."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


@dataclass(frozen=True)
class Overlap:
    """How comparable the arms are: what was trimmed, effective size of the smaller arm, largest SMD before and after."""

    kept: Bools
    trimmed_share: float
    effective: float
    smd_before: float
    smd_after: float

    @property
    def problem(self) -> str | None:
        """Why the adjusted estimate must not be trusted, or None."""
        if self.trimmed_share > MAX_TRIMMED:
            return f"no overlap: {self.trimmed_share:.0%} of the units have no counterpart in the other arm"
        if self.effective < MIN_EFFECTIVE:
            return f"thin overlap: the smaller arm weighs as much as {self.effective:.0f} units, fewer than {MIN_EFFECTIVE:.0f}"
        if self.smd_after > MAX_SMD:
            return f"not balanced: after weighting an arm still differs by {self.smd_after:.2f} standard deviations"
        return None


def overlap_of(units: Units, odds: Floats) -> Overlap:
    """Trim to common odds, weight by inverse odds, and compare the arms before and after."""
    kept = (odds >= TRIM) & (odds <= 1 - TRIM)
    before = float(weighted_smd(units.features, units.treated, np.ones(units.size)).max(initial=0.0))
    treated, inside = units.treated[kept], odds[kept]
    if not 0 < treated.sum() < len(treated):
        return Overlap(kept, float(1 - kept.mean()), 0.0, before, float("inf"))
    weights = np.where(treated == 1, 1 / inside, 1 / (1 - inside))
    after = float(weighted_smd(units.features[kept], treated, weights).max(initial=0.0))
    effective = min(effective_size(weights[treated == arm]) for arm in (0, 1))
    return Overlap(kept, float(1 - kept.mean()), effective, before, after)


class TooSmall(GateStop):
    """The experiment holds too little to learn from; more outcomes may mend that."""


def check_lot(units: Units) -> None:
    """GateStop if the arms are not as large as the lot says (sample ratio mismatch): then it was no lot, or rows are missing."""
    if units.odds is None:
        return
    expected, spread = units.odds.sum(), np.sqrt((units.odds * (1 - units.odds)).sum())
    z = (units.treated.sum() - expected) / spread
    if 2 * stats.norm.sf(abs(z)) < SRM_ALPHA:
        raise GateStop(
            f"sample ratio mismatch: {units.treated.sum():,.0f} units are treated, the lot says {expected:,.0f} "
            f"± {2 * spread:,.0f}: units of an arm are missing or were not assigned by lot. "
            "Mend the assignments, or import them with is_randomised = false"
        )


def check_size(units: Units) -> None:
    """TooSmall if an arm has too few people who converted, or who did not, for any learner to be judged out of fold."""
    for arm, name in ((1, "treatment"), (0, "control")):
        mine = units.outcome[units.treated == arm]
        rarer = int(min(mine.sum(), len(mine) - mine.sum()))
        if rarer < MIN_PER_CLASS:
            raise TooSmall(
                f"too small: of {len(mine):,} units of the {name} arm {mine.sum():,.0f} converted, {MIN_PER_CLASS} are needed of "
                "those who did and of those who did not; wait for more outcomes, or let more people in"
            )


# --- effects


@dataclass(frozen=True)
class Effect:
    """Average effect on the outcome rate in one segment, with its standard error; or why it is withheld."""

    segment: str
    method: str
    kind: Kind
    treated: int
    control: int
    mean: float | None
    error: float | None
    withheld: str | None = None

    def bound(self, probability: float) -> float | None:
        """Quantile of the effect under its normal approximation."""
        return None if self.mean is None or self.error is None else float(self.mean + stats.norm.ppf(probability) * self.error)


def naive_effect(units: Units, segment: str = "all") -> Effect:
    """Difference of the two rates, unadjusted: causal under a lot with equal odds, and only described otherwise."""
    arms = [units.outcome[units.treated == arm] for arm in (1, 0)]
    n = [len(arm) for arm in arms]
    if min(n) < 2:
        return Effect(segment, "naive", units.kind, n[0], n[1], None, None, "an arm has fewer than two units")
    error = np.sqrt(sum(arm.var(ddof=1) / len(arm) for arm in arms))
    return Effect(segment, "naive", units.kind, n[0], n[1], float(arms[0].mean() - arms[1].mean()), float(error))


def robust_effect(units: Units, score: Floats, segment: str = "all") -> Effect:
    """Mean of the doubly robust scores; its error is theirs over √N."""
    treated, size = int(units.treated.sum()), units.size
    why = too_small(units)
    if why:
        return Effect(segment, "aipw", units.kind, treated, size - treated, None, None, why)
    error = float(score.std(ddof=1) / np.sqrt(size))
    return Effect(segment, "aipw", units.kind, treated, size - treated, float(score.mean()), error)


def too_small(units: Units) -> str | None:
    """Why these units carry no estimate, or None."""
    per_arm = min(int((units.treated == arm).sum()) for arm in (0, 1))
    if per_arm < MIN_PER_ARM:
        return f"too small: {per_arm} units in the smaller arm, {MIN_PER_ARM} are needed"
    if units.outcome.sum() < MIN_CONVERSIONS:
        return f"too few conversions: {units.outcome.sum():.0f}, {MIN_CONVERSIONS} are needed"
    return None


def pooled_segments(units: Units) -> tuple[np.ndarray, dict[str, str]]:
    """(N,) segments with the small ones pooled into ``other``, and what was pooled why."""
    pooled: dict[str, str] = {}
    segment = units.segment.astype(object)
    for name in np.unique(units.segment):
        why = too_small(units.where(units.segment == name))
        if why:
            pooled[str(name)] = why
            segment[units.segment == name] = POOLED
    return segment.astype(str), pooled
