"""A randomised holdout among the persons of a market, with a known effect.

On the first visit of the window a lot puts a cookie into the remarketing audience or holds it out. Its effect works on
*waverers*: persons who would never buy by themselves. Of these so many are persuadable that the share of all units is the world's
``effects``; a persuadable one that is treated comes back with the same cookie and buys, one that is held out does not. So the
outcome without treatment is the same in both arms, and the true effect of a segment is its share of persuadable units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.lab.world import Experiment

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Columns = dict[str, NDArray[Any]]

WAVERERS = 0.25  # of all persons; an effect cannot be larger
LOOKBACK_DAYS = 7  # before the window: who was seen there is a returning visitor
MAX_GAP_DAYS = 14  # from the assignment to the purchase, within any usual outcome window
SEGMENTS: tuple[Literal["new", "returning"], ...] = ("new", "returning")


@dataclass(frozen=True)
class Units:
    """Cookies put into an arm on ``day``, one row each; ``visit`` holds the columns of the visit on which it happened."""

    day: int
    visit: Columns
    segment: Ints  # index into SEGMENTS
    is_treated: Bools
    buy_day: Ints  # truth: day on which treatment makes the unit buy, -1 for never

    @property
    def size(self) -> int:
        """How many."""
        return len(self.segment)


class Trial:
    """The experiment of a market; days may be asked for in any order, each is the same.

    Args:
        settings: the world's experiment.
        seed: of the market.
        history_days: of the market; the window begins ``starts_days_before`` its end.
        arrivals: visits of a day, purchases of their own left out, as columns of sessions with ``is_waverer`` and ``reset_lag``.
    """

    def __init__(self, settings: Experiment, seed: int, history_days: int, arrivals: Callable[[int], Columns]) -> None:
        self.settings = settings
        self.first = max(LOOKBACK_DAYS, history_days - settings.starts_days_before)
        self.last = self.first + settings.days - 1
        self._seed, self._arrivals = seed, arrivals
        self._days: list[Units] = []
        self._assigned: set[int] = set()
        self._persuaded: set[int] = set()
        self._before: set[int] | None = None

    def units(self, day: int) -> Units | None:
        """Units assigned on ``day``; None outside of the window."""
        if not self.first <= day <= self.last:
            return None
        while self.first + len(self._days) <= day:
            self._days.append(self._assign(self.first + len(self._days)))
        return self._days[day - self.first]

    def buyers(self, day: int) -> Columns | None:
        """Columns of the visits on which treatment makes a unit buy on ``day``; None where there is none."""
        parts = []
        for earlier in range(day - MAX_GAP_DAYS, day):
            units = self.units(earlier)
            if units is not None and (units.is_treated & (units.buy_day == day)).any():
                rows = units.is_treated & (units.buy_day == day)
                parts.append(
                    {name: values[rows] for name, values in units.visit.items()} | {"gap": np.full(rows.sum(), day - earlier)}
                )
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else None

    def _assign(self, day: int) -> Units:
        if self._before is None:
            seen = [self._arrivals(d)["cookie"] for d in range(self.first - LOOKBACK_DAYS, self.first)]
            self._before = set(np.concatenate(seen).tolist())
        rng = np.random.default_rng([self._seed, 16, day])
        found = self._arrivals(day)
        _, firsts = np.unique(found["cookie"], return_index=True)
        is_first = np.zeros(len(found["cookie"]), dtype=np.bool_)
        is_first[firsts] = True
        new = np.array([cookie not in self._assigned for cookie in found["cookie"].tolist()], dtype=np.bool_)
        # Without consent nobody is assigned: remarketing may not show them anything.
        rows = is_first & new & found["analytics_consent"] & found["ads_consent"]
        visit = {name: values[rows] for name, values in found.items()}
        self._assigned.update(visit["cookie"].tolist())
        n = int(rows.sum())
        segment = np.array([int(cookie in self._before) for cookie in visit["cookie"].tolist()], dtype=np.int64)
        is_treated = rng.random(n) < self.settings.treated_share
        return Units(day, visit, segment, is_treated, self._purchases(day, visit, segment, rng))

    def _purchases(self, day: int, visit: Columns, segment: Ints, rng: np.random.Generator) -> Ints:
        """Day on which treatment would make each unit buy, -1 for never; the same whatever its arm."""
        effect = np.array([self.settings.effects[name] for name in SEGMENTS])[segment]
        gap = np.minimum(rng.geometric(1 / self.settings.mean_days_to_purchase, len(segment)), MAX_GAP_DAYS)
        room = np.where(visit["reset_lag"] > visit["lag"], visit["reset_lag"] - visit["lag"] - 1, MAX_GAP_DAYS)
        wavers = visit["is_waverer"] & (rng.random(len(segment)) < effect / WAVERERS) & (room > 0)
        days = np.where(wavers, day + np.minimum(gap, room), -1)
        for row in np.flatnonzero(wavers).tolist():
            person = int(visit["person"][row])
            if person in self._persuaded:  # with another cookie; nobody buys twice
                days[row] = -1
            self._persuaded.add(person)
        return np.asarray(days, dtype=np.int64)

    def truth(self, last_day: int) -> dict[str, Any]:
        """True effects by segment over the units assigned up to ``last_day`` (index), and what the world asks for."""
        days = [units for day in range(self.first, min(self.last, last_day) + 1) if (units := self.units(day)) is not None]
        segment = np.concatenate([units.segment for units in days])
        persuadable = np.concatenate([units.buy_day >= 0 for units in days])
        treated = np.concatenate([units.is_treated for units in days])
        asked: dict[str, float] = {str(name): effect for name, effect in self.settings.effects.items()}
        masks: dict[str, Bools] = {name: segment == index for index, name in enumerate(SEGMENTS)} | {
            "all": np.ones(len(segment), dtype=np.bool_)
        }
        return {
            "experiment_id": self.settings.id,
            "segments": {
                name: {
                    "units": int(mine.sum()),
                    "treated": int(treated[mine].sum()),
                    "true_effect": float(persuadable[mine].mean()) if mine.any() else None,
                    "asked_effect": asked.get(name),
                }
                for name, mine in masks.items()
            },
        }
