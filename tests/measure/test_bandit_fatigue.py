"""Fatigue is a fall against the ad's own first weeks and against its group, beyond chance."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.measure.bandit_fatigue import Course, fatigue


def course(
    count: int = 70, ctr: tuple[float, float] = (0.05, 0.05), rate: tuple[float, float] = (0.02, 0.02), seed: int = 1
) -> Course:
    """Days with rates that move in a line from the first to the second value."""
    rng = np.random.default_rng(seed)
    impressions, exposure = np.full(count, 20_000.0), np.full(count, 1000.0)
    clicks = rng.poisson(impressions * np.linspace(*ctr, count)).astype(float)
    return Course(impressions, clicks, exposure, rng.poisson(exposure * np.linspace(*rate, count)).astype(float))


@pytest.mark.parametrize(
    ("ad", "others", "says"),
    [
        (course(rate=(0.03, 0.01)), course(seed=2), "rewards per spend at"),
        (course(ctr=(0.05, 0.02), rate=(0.02, 0.018)), course(seed=2), "clicks per impression at"),
        (course(ctr=(0.05, 0.02), rate=(0.02, 0.03)), course(seed=2), None),  # fewer clicks, but better ones
        (course(rate=(0.03, 0.01)), course(rate=(0.03, 0.01), seed=2), None),  # the whole group falls: a season
        (course(rate=(0.02, 0.02)), course(rate=(0.01, 0.04), seed=2), "rewards per spend at"),  # everybody else rises
        (course(), course(seed=2), None),
        (course(40, rate=(0.03, 0.01)), course(40, seed=2), None),  # too young
    ],
)
def test_the_rule(ad: Course, others: Course, says: str | None) -> None:
    """A fall of rewards, or of clicks while rewards do not rise; not a season, not chance, not a young ad."""
    found = fatigue(ad, others)
    assert (found is None) if says is None else (found is not None and found.startswith(says))


def test_an_ad_alone_is_not_judged() -> None:
    """Without others nobody can tell fatigue from a season."""
    alone = Course(*(np.zeros(70),) * 4)
    assert fatigue(course(rate=(0.03, 0.01)), alone) is None


def test_steady_ads_are_rarely_called_fatigued() -> None:
    """At most one in twenty of three hundred steady ads."""
    found = [fatigue(course(seed=seed), course(seed=seed + 1000)) for seed in range(300)]
    assert sum(reason is not None for reason in found) <= 15
