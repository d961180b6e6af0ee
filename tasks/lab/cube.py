"""What the platform shows at this moment: the market's days as arrays, conversions only as far as they have arrived."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tasks.lab.criteria import Criteria
from tasks.lab.layout import MAX_LAG_DAYS
from tasks.lab.sandbox import Restatement, Sandbox

Ints = NDArray[np.int64]

ACTIONS = ("purchase", "lead")


@dataclass(frozen=True)
class Cube:
    """D days (the last one is today, in part), U units, N campaigns, 30 lags."""

    impressions: Ints  # (D, U)
    clicks: Ints  # (D, U)
    cost_micros: Ints  # (D, U)
    conversions: dict[str, Ints]  # action -> (D, U, 30), arrived so far
    order_micros: Ints  # (D, U)
    delivery: NDArray[np.float64]  # (D, N)
    criteria: Criteria

    def on(self, days: Sequence[int]) -> "Cube":
        """These days alone, in this order."""
        index = np.asarray(days, dtype=np.int64)
        return replace(
            self,
            impressions=self.impressions[index],
            clicks=self.clicks[index],
            cost_micros=self.cost_micros[index],
            conversions={action: counts[index] for action, counts in self.conversions.items()},
            order_micros=self.order_micros[index],
            delivery=self.delivery[index],
        )

    @cached_property
    def by_criterion(self) -> "Cube":
        """The same with a unit for each pair of an ad and a keyword or audience of its group; made when first asked for."""
        split, clicks = self.criteria.split, self.criteria.split(self.clicks)
        return replace(
            self,
            impressions=clicks + split(self.impressions - self.clicks),  # so that no part has more clicks than impressions
            clicks=clicks,
            cost_micros=split(self.cost_micros),
            conversions={a: self.criteria.split_conversions(self.conversions[a], n) for n, a in enumerate(ACTIONS)},
            order_micros=self.criteria.repeat(self.order_micros),
        )


def build_cube(sandbox: Sandbox) -> Cube:
    """The arrays as of the sandbox's today."""
    days = [*sandbox.market.days, sandbox.market.part_of_today()]
    today = sandbox.today_index
    click_day, lag = np.arange(len(days))[:, None], np.arange(MAX_LAG_DAYS)[None, :]
    # A conversion arrives on click day + lag; days before today are complete, today itself has only its first hours.
    arrived = ((click_day + lag <= today - 1) | ((click_day == today) & (lag == 0)))[:, None, :]
    conversions = {
        "purchase": np.stack([d.purchases for d in days]) * arrived,
        "lead": np.stack([d.leads for d in days]) * arrived,
    }
    for number, restatement in enumerate(sandbox.restatements):
        _restate(conversions, restatement, [sandbox.market.seed, 8, number])
    return Cube(
        impressions=np.stack([d.impressions for d in days]),
        clicks=np.stack([d.clicks for d in days]),
        cost_micros=np.stack([d.cost_micros for d in days]),
        conversions=conversions,
        order_micros=np.stack([d.order_micros for d in days]),
        delivery=np.stack([d.delivery for d in days]),
        criteria=sandbox.market.criteria,
    )


def _restate(conversions: dict[str, Ints], restatement: Restatement, seed: list[int]) -> None:
    """Scale counts in place; the fraction left over becomes one conversion with that probability, so that the sum is right."""
    window = slice(restatement.first_day, restatement.last_day + 1)
    rng = np.random.default_rng(seed)
    for counts in conversions.values():
        scaled = counts[window] * restatement.factor
        counts[window] = np.floor(scaled + rng.random(scaled.shape)).astype(np.int64)
