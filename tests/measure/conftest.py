"""Inputs of the measurement tests: small simulated markets with a known response."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest

from tasks.measure.mmm_data import MmmInput


def make_input(periods: int = 60, channels: int = 2, geos: int = 1, controls: int = 1, seed: int = 3) -> MmmInput:
    """Weekly spend, a season, a promotion and an outcome that truly follows adstocked, saturated spend."""
    rng = np.random.default_rng(seed)
    spend = rng.gamma(2.0, 500.0, (periods, geos, channels)) * (rng.uniform(size=(periods, geos, channels)) > 0.2)
    carried = spend.copy()
    for lag in range(1, 4):
        carried[lag:] += 0.5**lag * spend[:-lag]
    promotion = rng.uniform(size=(periods, geos, controls))
    effect = (np.arange(channels) + 1) * 120 * np.tanh(carried / 3000)
    outcome = 900 + 80 * np.sin(np.arange(periods) / 52 * 2 * np.pi)[:, None] + effect.sum(axis=2) + 60 * promotion.sum(axis=2)
    return MmmInput(
        source="simulated",
        target="new_customers",
        currency_code="EUR",
        period_days=7,
        periods=tuple(date(2024, 1, 1) + timedelta(weeks=week) for week in range(periods)),
        geos=tuple(f"geo_{g}" for g in range(geos)) if geos > 1 else ("national",),
        channels=tuple(f"channel_{c}" for c in range(channels)),
        spend=spend,
        outcome=outcome + rng.normal(0, 15, outcome.shape),
        control_names=tuple(f"control_{k}" for k in range(controls)),
        controls=promotion,
    )


@pytest.fixture
def simulated() -> MmmInput:
    """Sixty national weeks of two channels and one control."""
    return make_input()


@pytest.fixture(scope="session")
def make_market() -> Callable[..., MmmInput]:
    """The maker of simulated markets."""
    return make_input
