"""Conversions that the bandit wins beside plain MABWiser Thompson sampling, in one run: prints JSON.

`.venv/bin/python tests/bench/bench_bandit.py [--seeds 40] [--all]`

Five arms with CVR .010, .012, .015, .011 and .020, 2,000 visits a day at one price, 30 days. A visit's conversion arrives within
seven days, so only then is it known that it had none. Plain MABWiser is used as its users do: each visit is given to
``partial_fit`` once, with its final reward, when its seven days are over; before the first of them visits are split evenly.
``mabwiser_early`` gives it successes as they arrive and failures when the seven days are over, which is biased but sooner.
Ours is the product's code with its defaults (10 % of visits for exploration) and a maturity curve learnt from 300 earlier
conversions of the account; ``explored`` is its visits on others than the leader of their day.

Delays: ``sandbox`` is the shape of the sandbox's platforms (mean three days) cut at seven, ``even`` has days 0 to 7 alike. With
--all there is also ``seventh_day`` (nothing arrives before): there nobody can know anything for seven days, so even perfect
knowledge after them wins only about 1,110. Worlds: ``static``, and ``change``, where the arms of .020 and .012 swap after day 15.
Conversions are those expected of the visits that each arm got, so that the luck of the draw is left out; each player still sees
drawn ones. Intervals are of the mean over paired seeds (t, 95 %).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from mabwiser.mab import MAB, LearningPolicy
from scipy.stats import t as student

from tasks.decide.bandit_split import PPM, Arm, Explored, Reserve, Rules, decide, reserve_of
from tasks.lab.layout import delay_distribution
from tasks.measure.bandit_model import ArmDays, fit_account

CVR = np.array([0.010, 0.012, 0.015, 0.011, 0.020])
ARMS = len(CVR)
VISITS, DAYS, CHANGE_DAY, LAST_LAG, KNOWN_CONVERSIONS = 2000, 30, 15, 7, 300
BAR = 1.05
_sandbox = delay_distribution(3.0)[: LAST_LAG + 1]
DELAYS = {
    "sandbox": _sandbox / _sandbox.sum(),
    "even": np.full(LAST_LAG + 1, 1 / (LAST_LAG + 1)),
    "seventh_day": np.eye(LAST_LAG + 1)[LAST_LAG],
}
EVEN = np.full(ARMS, 1 / ARMS)


class Player(Protocol):
    """Splits a day's visits, seeing what had arrived by the evening before: (days, arms) visits, (days, arms) conversions."""

    def visits(self, day: int, visits: np.ndarray, arrived: np.ndarray) -> np.ndarray:
        """(arms,) whole visits that sum to VISITS."""


class PlainMabwiser:
    """MABWiser's Thompson sampling; ``early`` counts a success when it arrives instead of when its seven days are over."""

    def __init__(self, seed: int, early: bool = False) -> None:
        self.bandit = MAB(list(range(ARMS)), LearningPolicy.ThompsonSampling(), seed=seed)
        self.rng, self.early, self.is_fitted = np.random.default_rng([seed, 1]), early, False
        self.given = np.zeros((DAYS, ARMS), dtype=int)

    def visits(self, day: int, visits: np.ndarray, arrived: np.ndarray) -> np.ndarray:
        decisions: list[int] = []
        rewards: list[int] = []

        def give(arm: int, count: int, reward: int) -> None:
            decisions.extend([arm] * count)
            rewards.extend([reward] * count)

        over = day - LAST_LAG - 1
        for arm in range(ARMS):
            for earlier in range(day) if self.early else ([over] if over >= 0 else []):
                give(arm, int(arrived[earlier, arm]) - self.given[earlier, arm], 1)
                self.given[earlier, arm] = int(arrived[earlier, arm])
            if over >= 0:
                give(arm, int(visits[over, arm] - arrived[over, arm]), 0)
        if decisions:
            (self.bandit.partial_fit if self.is_fitted else self.bandit.fit)(decisions, rewards)
            self.is_fitted = True
        if not self.is_fitted:
            return self.rng.multinomial(VISITS, EVEN)
        return np.bincount(self.bandit.predict(np.zeros((VISITS, 1))), minlength=ARMS)


class Ours:
    """The product: posteriors by tasks.measure.bandit_model, split by tasks.decide.bandit_split."""

    def __init__(self, seed: int, delay: np.ndarray, target: float = 0.1) -> None:
        self.rng, self.seed, self.target = np.random.default_rng([seed, 2]), seed, target
        self.leaders: list[int] = []
        self.explored = 0.0
        self.curve = np.cumsum(self.rng.multinomial(KNOWN_CONVERSIONS, delay)) / KNOWN_CONVERSIONS

    def visits(self, day: int, visits: np.ndarray, arrived: np.ndarray) -> np.ndarray:
        share = self.curve[np.minimum(day - 1 - np.arange(day), LAST_LAG)]
        try:
            (found,) = fit_account([ArmDays(visits[:day].astype(float), arrived[:day].astype(float), share)], [None])
        except ValueError:  # nothing can have arrived yet
            return self.rng.multinomial(VISITS, EVEN)
        pairs = list(zip(found.alpha, found.exposure, strict=True))
        arms = [Arm(str(n), a, e, a, e, round(visits[:day, n].sum() * 1e6)) for n, (a, e) in enumerate(pairs)]
        choices = decide(arms, Rules(reserve=self.reserve(day, visits)), self.seed * 1000 + day)
        self.leaders.append([choice.is_leader for choice in choices].index(True))
        return self.rng.multinomial(VISITS, np.array([choice.share_ppm for choice in choices]) / PPM)

    def reserve(self, day: int, visits: np.ndarray) -> Reserve:
        """By what was explored in the days that were decided: they are the last ones, and all visits but the leader's."""
        decided = visits[day - len(self.leaders) : day]
        self.explored = float(decided.sum()) - sum(float(row[leader]) for row, leader in zip(decided, self.leaders, strict=True))
        return reserve_of(self.target, Explored(float(decided.sum()), self.explored, float(decided[-7:].sum()), len(decided)))


def rates(day: int, world: str) -> np.ndarray:
    """(arms,) true CVR of a day."""
    return CVR[[0, 4, 2, 3, 1]] if world == "change" and day >= CHANGE_DAY else CVR


def play(player: Player, seed: int, delay: np.ndarray, world: str) -> float:
    """Expected conversions of all 30 days' visits, whenever they arrive."""
    rng, won = np.random.default_rng([seed, 3]), 0.0
    visits, lags = np.zeros((DAYS, ARMS)), np.zeros((DAYS, ARMS, LAST_LAG + 1))
    for day in range(DAYS):
        seen = np.arange(LAST_LAG + 1)[None, :] <= day - 1 - np.arange(DAYS)[:, None]
        visits[day] = player.visits(day, visits, (lags * seen[:, None, :]).sum(axis=2))
        won += float(visits[day] @ rates(day, world))
        lags[day] = rng.multinomial(rng.binomial(visits[day].astype(int), rates(day, world)), delay)
    return won


def interval(values: np.ndarray) -> list[float]:
    """Mean and its 95 % interval."""
    half = float(student.ppf(0.975, len(values) - 1)) * values.std(ddof=1) / np.sqrt(len(values))
    return [round(float(values.mean() + side * half), 4) for side in (0, -1, 1)]


def compare(name: str, world: str, seeds: int) -> dict[str, object]:
    """Every player on the same seeds; [mean, low, high] of conversions and of the ratio to plain MABWiser."""
    delay, begun = DELAYS[name], time.process_time()
    won: dict[str, list[float]] = {"mabwiser": [], "mabwiser_early": [], "ours": []}
    explored = []
    for seed in range(seeds):
        players: dict[str, Player] = {
            "mabwiser": PlainMabwiser(seed),
            "mabwiser_early": PlainMabwiser(seed, early=True),
            "ours": Ours(seed, delay),
        }
        for who, player in players.items():
            won[who].append(play(player, seed, delay, world))
            if isinstance(player, Ours):
                explored.append(player.explored / VISITS / len(player.leaders))
    counts = {who: np.array(values, dtype=float) for who, values in won.items()}
    return {
        "oracle": float(sum(VISITS * rates(day, world).max() for day in range(DAYS))),
        "conversions": {who: interval(values) for who, values in counts.items()},
        "ratio_to_mabwiser": {who: interval(values / counts["mabwiser"]) for who, values in counts.items()},
        "ratio_to_mabwiser_early": interval(counts["ours"] / counts["mabwiser_early"]),
        "explored": round(float(np.mean(explored)), 3),
        "cpu_s": round(time.process_time() - begun, 1),
    }


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--all", action="store_true", help="also the delay before which nothing can be known")
    asked = parser.parse_args()
    delays = list(DELAYS) if asked.all else ["sandbox", "even"]
    worlds = {f"{name}_{world}": compare(name, world, asked.seeds) for name in delays for world in ("static", "change")}
    print(json.dumps({"bar": {"ratio": BAR}, "seeds": asked.seeds, "worlds": worlds}, indent=1))


if __name__ == "__main__":
    main()
