"""A made-up ad account with a weekly and a yearly season, growth and noise that lasts; and ways to break its last weeks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RUN_DATE = date(2026, 3, 2)
CURRENT = 28
DAYS = 730
WEEK = np.array([1.0, 1.05, 1.1, 1.05, 0.95, 0.6, 0.55])
CHANNELS = ("SEARCH", "SOCIAL", "VIDEO")
# All conversions of a click have come by the evening.
ON_TIME = pl.DataFrame({"account_id": ["111"], "lag_days": [0], "share": [1.0]})


def lasting(rng: np.random.Generator, days: int, phi: float = 0.4) -> Floats:
    """Standard normal noise that remembers the day before."""
    noise, shocks = np.zeros(days), rng.normal(size=days) * np.sqrt(1 - phi**2)
    for day in range(1, days):
        noise[day] = phi * noise[day - 1] + shocks[day]
    return noise


@dataclass
class Channel:
    """Daily figures of one channel; ``there`` is False on days whose rows are missing."""

    cost: Floats
    impressions: Floats
    clicks: Floats
    conversions: Floats
    there: NDArray[np.bool_]


@dataclass
class Account:
    """Three channels of ``days`` days up to the day before RUN_DATE."""

    seed: int
    days: int = DAYS
    week: Floats = field(default_factory=lambda: WEEK)
    swing: float = 1.0  # how many times larger the noise of the first channel's spend is in the last weeks
    channels: dict[str, Channel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng, day = np.random.default_rng(self.seed), np.arange(self.days)
        for number, name in enumerate(CHANNELS):
            noise = 0.12 * lasting(rng, self.days)
            if number == 0:
                noise[-CURRENT:] *= self.swing
            wave = 0.1 * np.sin(2 * np.pi * day / 365 + rng.uniform(0, 6))
            season = self.week[(day + self._first.weekday()) % 7]
            cost = rng.uniform(800, 3000) * season * np.exp(noise + wave + 0.1 * day / 365)
            clicks = rng.poisson(cost / (rng.uniform(1, 3) * np.exp(0.06 * lasting(rng, self.days)))).astype(float)
            impressions = np.round(clicks / (0.04 * np.exp(0.05 * lasting(rng, self.days))))
            bought = rng.poisson(clicks * 0.04 * np.exp(0.08 * lasting(rng, self.days))).astype(float)
            self.channels[name] = Channel(cost, impressions, clicks, bought, np.ones(self.days, dtype=bool))

    @property
    def _first(self) -> date:
        return RUN_DATE - timedelta(days=self.days)

    def daily(self) -> pl.DataFrame:
        """Rows as the query gives them."""
        frames = []
        for name, channel in self.channels.items():
            dates = [self._first + timedelta(days=day) for day in range(self.days)]
            frame = pl.DataFrame(
                {
                    "platform": "google_ads",
                    "account_id": "111",
                    "channel": name,
                    "date": dates,
                    "cost_micros": (channel.cost * 1e6).round().astype(np.int64),
                    "impressions": channel.impressions.astype(np.int64),
                    "clicks": channel.clicks.astype(np.int64),
                    "conversions": channel.conversions,
                }
            )
            frames.append(frame.filter(pl.Series(channel.there)))
        return pl.concat(frames)


def dearer(account: Account) -> None:
    """Mean: the same clicks cost 30 % more."""
    account.channels["SEARCH"].cost[-CURRENT:] *= 1.3


def fewer(account: Account) -> None:
    """Mean: four conversions of ten are no longer counted."""
    rng, bought = np.random.default_rng(account.seed), account.channels["SOCIAL"].conversions
    bought[-CURRENT:] = rng.binomial(bought[-CURRENT:].astype(int), 0.6)


def gaps(account: Account) -> None:
    """Missing: every third day of a channel is not there."""
    account.channels["VIDEO"].there[-CURRENT::3] = False


def newcomer(account: Account) -> None:
    """New category: a channel that was never there takes a part of the spend of another."""
    old = account.channels["SEARCH"]
    there = np.zeros(account.days, dtype=bool)
    there[-CURRENT:] = True
    account.channels["NEW"] = Channel(old.cost * 0.3, old.impressions * 0.3, old.clicks * 0.3, old.conversions * 0.3, there)
    for values in (old.cost, old.impressions, old.clicks, old.conversions):
        values[-CURRENT:] *= 0.7


SHIFTS: dict[str, Callable[[int], Account]] = {}


def _broken(by: Callable[[Account], None]) -> Callable[[int], Account]:
    def make(seed: int) -> Account:
        account = Account(seed)
        by(account)
        return account

    return make


SHIFTS |= {"mean: " + one.__name__: _broken(one) for one in (dearer, fewer)}
SHIFTS |= {"variance": lambda seed: Account(seed, swing=3.0), "missing": _broken(gaps), "new category": _broken(newcomer)}
