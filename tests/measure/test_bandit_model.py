"""Posteriors of arms: delay is corrected, not waited for; old days fade only if arms drift; few data borrow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma

from tasks.measure.bandit_model import ArmDays, ChannelPrior, Posterior, choose_discount, dispersion, fit_account, fit_segment

CURVE = np.cumsum([0.4, 0.2, 0.15, 0.1, 0.05, 0.05, 0.03, 0.02])
RATES = np.array([0.010, 0.012, 0.015, 0.011, 0.020])


def days(rates: np.ndarray, count: int, spend: float = 400.0, seed: int = 1, drift_to: np.ndarray | None = None) -> ArmDays:
    """Days up to yesterday, of which the youngest have only part of their rewards; from the middle on with other rates."""
    rng = np.random.default_rng(seed)
    share = CURVE[np.minimum(np.arange(count)[::-1], len(CURVE) - 1)]
    rate = np.array([rates if drift_to is None or day < count // 2 else drift_to for day in range(count)])
    reward = rng.poisson(spend * rate * share[:, None]).astype(float)
    return ArmDays(np.full((count, len(rates)), spend), reward, share)


def mean(found: Posterior) -> np.ndarray:
    return np.asarray(found.alpha / found.exposure)


def test_young_days_count_by_the_share_that_has_arrived() -> None:
    """On eight young days the posterior is right on average; counting each day whole would be a quarter too low."""
    right, naive = [], []
    for seed in range(200):
        data = days(np.full(5, 0.02), 8, seed=seed)
        right.append(mean(fit_account([data], [None])[0]).mean())
        naive.append(mean(fit_account([ArmDays(data.spend, data.reward, np.ones(8))], [None])[0]).mean())
    assert np.mean(right) == pytest.approx(0.02, rel=0.02)
    assert np.mean(naive) < 0.02 * 0.85


def test_the_interval_holds_what_it_says() -> None:
    """Over two hundred accounts, drawn from the law the model assumes, an arm's 80 % interval holds the truth that often."""
    rng, hits = np.random.default_rng(4), []
    for seed in range(200):
        rates = rng.gamma(8.0, 0.015 / 8.0, 6)
        found = fit_account([days(rates, 20, seed=seed)], [None])[0]
        low, high = (gamma.ppf(q, found.alpha) / found.exposure for q in (0.1, 0.9))
        hits.append(((rates > low) & (rates < high)).mean())
    assert np.mean(hits) == pytest.approx(0.80, abs=0.04)


def test_old_days_fade_where_arms_drift_and_only_there() -> None:
    """The discount is learnt: 1 for arms that stay as they are, below for arms whose rates change half way."""
    steady = [choose_discount(days(RATES, 40, 2000, seed))[0] for seed in range(20)]
    moving = [choose_discount(days(RATES, 40, 2000, seed, drift_to=RATES[::-1]))[0] for seed in range(20)]
    assert np.mean(np.array(steady) == 1.0) >= 0.9
    assert np.mean(np.array(moving) < 1.0) >= 0.9
    after = mean(fit_account([days(RATES, 40, 2000, 3, drift_to=RATES[::-1])], [None])[0])
    assert int(after.argmax()) == 0


def test_an_arm_without_days_is_its_campaign_and_a_campaign_without_days_its_account() -> None:
    """Nothing seen means borrowed: the new arm has its campaign's rate, the new campaign lies between its account and itself."""
    known, new = days(np.full(4, 0.02), 30), days(np.full(4, 0.02), 30)
    new.spend[:, 3] = 0.0
    new.reward[:, 3] = 0.0
    poor = days(np.full(3, 0.005), 30)
    empty = ArmDays(np.zeros((30, 2)), np.zeros((30, 2)), known.share)
    found = fit_account([known, new, poor, empty], [None] * 4)
    assert mean(found[1])[3] == pytest.approx(found[1].prior_mean)
    assert found[1].prior_mean == pytest.approx(0.02, rel=0.1)
    assert found[2].prior_mean == pytest.approx(0.005, rel=0.15)
    overall = sum(d.reward.sum() for d in (known, new, poor)) / sum(d.exposure.sum() for d in (known, new, poor))
    assert mean(found[3]) == pytest.approx([overall, overall])


def test_what_is_borrowed_is_learnt_from_how_alike_arms_are() -> None:
    """Arms that hardly differ lend each other much, arms far apart little."""
    alike = fit_account([days(np.full(12, 0.02), 40, 1000)], [None])[0].prior_strength
    apart = fit_account([days(np.geomspace(0.004, 0.08, 12), 40, 1000)], [None])[0].prior_strength
    assert alike >= 4 * apart


def test_the_mmm_s_channel_stands_above_a_campaign() -> None:
    """A campaign with next to no days takes the channel's rate of the MMM, the more so the surer that is."""
    known = days(np.full(4, 0.02), 30)
    little = ArmDays(np.full((30, 2), 0.01), np.zeros((30, 2)), known.share)
    sure, unsure = (fit_account([known, little], [None, ChannelPrior(0.06, relative_sd, "mmm")])[1] for relative_sd in (0.1, 2.0))
    assert (sure.prior_source, sure.prior_mean) == ("mmm", pytest.approx(0.06, rel=0.05))
    busy = days(np.full(2, 0.02), 30, 50)
    near, far = (fit_account([known, busy], [None, ChannelPrior(0.06, sd, "mmm")])[1].prior_mean for sd in (0.1, 2.0))
    assert near > far > 0.019
    assert unsure.prior_source == "mmm"


def test_days_that_differ_more_than_chance_widen_the_posterior() -> None:
    """Counts that vary four times as much as Poisson ones make the dispersion about four and the posterior twice as wide."""
    rng = np.random.default_rng(2)
    calm = days(np.full(5, 0.02), 60, 1000)
    wild = ArmDays(calm.spend, 4.0 * rng.poisson(calm.exposure * 0.02 / 4.0), calm.share)
    assert dispersion([calm]) == pytest.approx(1.0, abs=0.15)
    assert dispersion([wild]) == pytest.approx(4.0, rel=0.2)
    narrow, wide = (fit_account([d], [None], borrowed=1.0)[0] for d in (calm, wild))
    assert (narrow.discount, wide.discount) == (1.0, 1.0)
    assert np.mean(wide.alpha**-0.5) == pytest.approx(2 * np.mean(narrow.alpha**-0.5), rel=0.15)


def test_a_segment_leans_on_all_days() -> None:
    """Where a segment has no day the arm's whole posterior mean stands; where it has many, its own days do."""
    data = days(RATES, 40, 2000)
    whole = fit_account([data], [None])[0]
    alpha, exposure = fit_segment(data, whole, np.zeros(40, dtype=bool))
    assert alpha / exposure == pytest.approx(mean(whole))
    weekend = np.arange(40) % 7 >= 5
    data.reward[weekend] *= 3
    alpha, exposure = fit_segment(data, fit_account([data], [None])[0], weekend)
    assert np.all(alpha / exposure > 1.4 * RATES)


def test_nothing_spent_is_refused() -> None:
    """Without spend whose rewards could have arrived there is no rate."""
    with pytest.raises(ValueError, match="no spend whose rewards could have arrived"):
        fit_account([ArmDays(np.ones((3, 2)), np.zeros((3, 2)), np.zeros(3))], [None])
