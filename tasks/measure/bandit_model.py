"""Posteriors of bandit arms from days of spend and delayed rewards. Pure: arrays in, arrays out.

Rewards of an arm are Poisson with a rate per unit of spend. Four things a plain bandit lacks are in the likelihood:

- **Delay.** A reward counts for the day of its click. Of a young day only a share has arrived (the maturity curve); a Poisson
  count thinned by a known share is Poisson again, so a day enters with ``spend × share`` and nothing is filled in or waited for
  (the estimator of Chapelle, Modeling delayed feedback in display advertising, KDD 2014, with the delay's law known).
- **Decay.** A day weighs ``discount`` times the day after it (power discounting; West and Harrison, Bayesian Forecasting and
  Dynamic Models, 1997, section 6.3). The discount of a campaign is the one that best foretold its days one by one.
- **Hierarchy.** arm ← campaign ← account, or ← the MMM's channel. How much is borrowed is learnt: the strength of each level
  maximises the negative binomial likelihood of what lies below (empirical Bayes), with a weak prior so that few arms do not
  decide it.
- **Dispersion.** Counts and spend are divided by how much more days differ than chance makes them (quasi-likelihood); with
  values as rewards this also carries the spread of the orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]

DISCOUNTS = (1.0, 0.96, 0.9)  # half-lives: none, 17 days, 7 days
# Arms rarely drift; without evidence they are taken as they were on all days.
_DISCOUNT_PRIOR = np.log([0.6, 0.2, 0.2])
_STRENGTHS = np.array([2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0])
_STRENGTH_CENTRE, _STRENGTH_SPREAD = 8.0, 0.7  # log-normal prior: arms differ by a factor of about 1.4, known to a factor of 2
FORETELL_STRENGTH = 10.0  # of the running mean when the days are foretold one by one
SEGMENT_STRENGTH = 20.0  # rewards that the arm's posterior is worth in each of its segments
_LEAST_CELL = 0.5  # expected rewards of a cell that the dispersion is read from; below, its chi square is all noise
_MOST_DISPERSION = 10.0
_LEAST_REWARD = 0.5  # of an account without any reward yet: a rate of zero could never rise again


@dataclass(frozen=True)
class ArmDays:
    """One campaign: D days in order, A arms. ``share``: (D,) share of the rewards of each click day that has arrived."""

    spend: Floats  # (D, A) in whole units of the account's currency
    reward: Floats  # (D, A) rewards that have arrived, by click day
    share: Floats  # (D,)

    @property
    def exposure(self) -> Floats:
        """(D, A) spend whose rewards can be seen."""
        return self.spend * self.share[:, None]


@dataclass(frozen=True)
class ChannelPrior:
    """What is known of a campaign before its own days: rewards per unit of spend, and the relative uncertainty of that."""

    mean: float
    relative_sd: float = 0.0
    source: Literal["account", "mmm"] = "account"


@dataclass(frozen=True)
class Posterior:
    """Gamma posteriors of the arms of one campaign: shape ``alpha``, rate ``exposure`` (whole units of spend)."""

    alpha: Floats  # (A,)
    exposure: Floats  # (A,)
    prior_mean: float
    prior_strength: float
    prior_source: Literal["account", "mmm"]
    discount: float
    dispersion: float


def log_negative_binomial(count: Floats, shape: Floats | float, rate: Floats | float, exposure: Floats) -> Floats:
    """Log probability of ``count`` in ``exposure`` where the rate per exposure is gamma(shape, rate); fractions of counts too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(exposure > 0, count * np.log(exposure / (rate + exposure)), 0.0)
    spread = gammaln(count + shape) - gammaln(shape) - gammaln(count + 1.0)
    return np.asarray(spread + shape * np.log(rate / (rate + exposure)) + own, dtype=np.float64)


def foretold(days: ArmDays, discount: float) -> tuple[float, Floats, Floats]:
    """Log probability with which each day was foretold by the days before; and the discounted rewards and exposure at the end."""
    exposure = days.exposure
    rewards, seen = np.zeros(exposure.shape[1]), np.zeros(exposure.shape[1])
    total = 0.0
    for reward, more in zip(days.reward, exposure, strict=True):
        if seen.sum() > 0 and more.sum() > 0:
            mean = max(float(rewards.sum()), _LEAST_REWARD) / float(seen.sum())
            shape, rate = FORETELL_STRENGTH + rewards, FORETELL_STRENGTH / mean + seen
            total += float(log_negative_binomial(reward, shape, rate, more).sum())
        rewards, seen = discount * rewards + reward, discount * seen + more
    return total, rewards, seen


def choose_discount(days: ArmDays, discounts: Sequence[float] = DISCOUNTS) -> tuple[float, Floats, Floats]:
    """The discount that best foretold the days, with the discounted rewards and exposure of each arm."""
    tried = [foretold(days, discount) for discount in discounts]
    prior = _DISCOUNT_PRIOR if len(discounts) == len(_DISCOUNT_PRIOR) else np.zeros(len(discounts))
    best = int(np.argmax([score for score, _, _ in tried] + prior))
    return discounts[best], tried[best][1], tried[best][2]


def dispersion(campaigns: Sequence[ArmDays]) -> float:
    """Mean Pearson chi square of the cells of all campaigns, each arm at its own mean rate; at least 1."""
    cells: list[Floats] = []
    for days in campaigns:
        exposure = days.exposure
        total = exposure.sum(axis=0)
        rate = np.divide(days.reward.sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
        expected = exposure * rate
        usable = expected >= _LEAST_CELL
        cells.append(((days.reward - expected)[usable]) ** 2 / expected[usable])
    found = np.concatenate(cells) if cells else np.zeros(0)
    return float(np.clip(found.mean(), 1.0, _MOST_DISPERSION)) if len(found) >= 20 else 1.0


def strength(counts: Floats, exposure: Floats, means: Floats) -> float:
    """How many rewards the mean of the level above is worth: the most likely one for the counts below it."""
    seen = exposure > 0
    scores = [
        float(log_negative_binomial(counts[seen], k, k / means[seen], exposure[seen]).sum())
        - 0.5 * (np.log(k / _STRENGTH_CENTRE) / _STRENGTH_SPREAD) ** 2
        for k in _STRENGTHS
    ]
    return float(_STRENGTHS[int(np.argmax(scores))])


def fit_account(
    campaigns: Sequence[ArmDays], priors: Sequence[ChannelPrior | None], borrowed: float | None = None
) -> list[Posterior]:
    """Posteriors of every arm of an account's campaigns.

    Args:
        campaigns: their days.
        priors: what is known of each campaign's channel; None leaves it to the account's mean.
        borrowed: rewards that the campaign's mean is worth to an arm; None learns it.

    Raises:
        ValueError: nothing was spent whose rewards could have arrived.
    """
    spread = dispersion(campaigns)
    # Before the discount is chosen: else days that differ by more than chance would pass for drift.
    discounted = [choose_discount(ArmDays(days.spend / spread, days.reward / spread, days.share)) for days in campaigns]
    counts = [rewards for _, rewards, _ in discounted]
    exposure = [seen for _, _, seen in discounted]
    total = sum(float(seen.sum()) for seen in exposure)
    if total <= 0:
        raise ValueError("no spend whose rewards could have arrived")
    overall = ChannelPrior(max(sum(float(n.sum()) for n in counts), _LEAST_REWARD / spread) / total)
    above = [prior or overall for prior in priors]
    campaign_counts = np.array([n.sum() for n in counts])
    campaign_exposure = np.array([seen.sum() for seen in exposure])
    between = strength(campaign_counts, campaign_exposure, np.array([prior.mean for prior in above]))
    # The prior's own uncertainty adds to how much campaigns differ: relative variances add, and a gamma's is 1 / strength.
    worth = 1.0 / (1.0 / between + np.array([prior.relative_sd for prior in above]) ** 2)
    means = (worth + campaign_counts) / (worth / np.array([prior.mean for prior in above]) + campaign_exposure)
    of_arms = np.repeat(means, [len(n) for n in counts])
    k = borrowed if borrowed is not None else strength(np.concatenate(counts), np.concatenate(exposure), of_arms)
    return [
        Posterior(k + n, k / mean + seen, float(mean), k, prior.source, discount, spread)
        for (discount, _, _), n, seen, mean, prior in zip(discounted, counts, exposure, means, above, strict=True)
    ]


def fit_segment(days: ArmDays, whole: Posterior, chosen: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Shape and rate of each arm on the ``chosen`` days only, shrunk to what all its days say."""
    kept = ArmDays(np.where(chosen[:, None], days.spend, 0.0), np.where(chosen[:, None], days.reward, 0.0), days.share)
    _, rewards, seen = foretold(kept, whole.discount)
    mean = whole.alpha / whole.exposure
    return SEGMENT_STRENGTH + rewards / whole.dispersion, SEGMENT_STRENGTH / mean + seen / whole.dispersion
