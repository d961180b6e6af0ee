"""Keywords and audiences: how the day of an ad group splits over what it targets, with known truth. Pure.

A search ad group has keywords, any other one audiences; PMax has neither. Each has a fixed share of the group's impressions,
clicks and cost, and turns them into conversions better or worse than its neighbours by a fixed factor. Which one has which is
drawn from the seed. What is split is whole and sums exactly to what the ads report; nothing of the market's own numbers moves.

Whose a single conversion is depends on its ad, day, lag and number alone, so one that has arrived keeps its keyword for good,
and a restatement adds some and moves none.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.lab.layout import Floats, Unit
from tasks.lab.world import Campaign

Ints = NDArray[np.int64]
Kind = Literal["keyword", "audience"]

PER_GROUP = 3
SHARES = (0.45, 0.33, 0.22)
CONVERSION_FACTORS = (1.7, 1.0, 0.55)
MATCH_TYPES = ("EXACT", "PHRASE", "BROAD")


@dataclass(frozen=True)
class Criterion:
    """A keyword or an audience of an ad group. ``number`` counts from 0 within the group."""

    kind: Kind
    campaign: Campaign
    ad_group_id: int
    criterion_id: int
    number: int
    share: float
    conversion_factor: float
    pairs: tuple[int, ...]  # its columns in what ``split`` gives


class Criteria:
    """All criteria of a world's Google accounts. S ads that have some, P = S × 3 pairs of an ad and a criterion of its group."""

    def __init__(self, units: list[Unit], is_google: NDArray[np.bool_], seed: int) -> None:
        rng = np.random.default_rng([seed, 9])
        self._units = np.array([i for i, unit in enumerate(units) if unit.ad_id and is_google[i]], dtype=np.int64)
        own = [units[index] for index in self._units]
        self._ids = np.array([unit.ad_id for unit in own], dtype=np.uint64)
        self._seed = seed
        self.all: list[Criterion] = []
        shares = np.zeros((len(own), PER_GROUP))
        weights = np.zeros((len(own), PER_GROUP))
        for group_id in dict.fromkeys(unit.ad_group_id for unit in own):
            places = [place for place, unit in enumerate(own) if unit.ad_group_id == group_id]
            share, factor = rng.permutation(SHARES), rng.permutation(CONVERSION_FACTORS)
            shares[places], weights[places] = share, share * factor
            campaign = own[places[0]].campaign
            kind: Kind = "keyword" if campaign.channel.startswith("SEARCH") else "audience"
            for number in range(PER_GROUP):
                pairs = tuple(place * PER_GROUP + number for place in places)
                known = float(share[number]), float(factor[number])
                self.all.append(Criterion(kind, campaign, group_id, group_id * 1000 + number + 1, number, *known, pairs))
        self._share_edges = np.cumsum(shares, axis=1)[:, :-1]  # (S, 2)
        self._conversion_edges = (np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True))[:, :-1]

    def repeat(self, daily: Ints) -> Ints:
        """(D, P) what each pair's ad has, of (D, U)."""
        return np.repeat(daily[:, self._units], PER_GROUP, axis=1)

    def split(self, daily: Ints) -> Ints:
        """(D, P) whole parts of (D, U) counts, in the shares. They sum to the counts, and over time to the shares."""
        counts = daily[:, self._units]
        days = np.arange(len(counts), dtype=np.uint64)[:, None]
        start = _uniform(self._seed, days, self._ids[None, :])  # rounding always down would starve the small ones
        cuts = np.floor(counts[..., None] * self._share_edges + start[..., None]).astype(np.int64)
        zero, whole = np.zeros_like(counts)[..., None], counts[..., None]
        parts = np.diff(np.concatenate([zero, np.minimum(cuts, whole), whole], axis=2), axis=2)
        return np.asarray(parts.reshape(len(counts), -1), dtype=np.int64)

    def split_conversions(self, counts: Ints, action: int) -> Ints:
        """(D, P, 30) conversions of each pair, of (D, U, 30)."""
        own = counts[:, self._units, :]
        day, place, lag = np.nonzero(own)
        times = own[day, place, lag]
        first = np.repeat(np.cumsum(times) - times, times)
        number = np.arange(len(first)) - first
        day, place, lag = (np.repeat(index, times) for index in (day, place, lag))
        keys = (np.asarray(key, dtype=np.uint64) for key in (day, lag, number, np.full(len(day), action)))
        drawn = _uniform(self._seed, self._ids[place], *keys)
        which = (drawn[:, None] >= self._conversion_edges[place]).sum(axis=1)
        days, ads, lags = own.shape
        cell = ((day * ads + place) * PER_GROUP + which) * lags + lag
        found = np.bincount(cell, minlength=own.size * PER_GROUP).reshape(days, ads * PER_GROUP, lags)
        return np.asarray(found, dtype=np.int64)


def _uniform(seed: int, *keys: NDArray[np.uint64]) -> Floats:
    """Numbers in [0, 1) told from ``keys`` alone, in no order of drawing (Steele et al., SplitMix, OOPSLA 2014)."""
    state = np.full(1, seed, dtype=np.uint64)
    for key in keys:
        state = (state ^ key) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return np.asarray((state >> np.uint64(11)) / 2.0**53, dtype=np.float64)
