"""The table of reference rates that a central bank would publish for a sandbox's world."""

import math
from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np

from tasks.lab.world import World

EUR = "EUR"
OTHERS = {"USD": 1.08, "JPY": 160.0, "GBP": 0.86}  # units for one euro, where the world does not say
NOT_QUOTED = "RUB"  # as in the real table since 2022
_DAY = timedelta(days=1)
_SWING = 0.01  # yearly: the world itself holds its rate, so that what a unit of spend does stays what its world says
_NOISE = 0.002
_BEFORE_DAYS = 10  # a history that begins on a holiday needs the quote before it


def reference_rates(world: World, seed: int, first: date, today: date) -> Iterator[list[str]]:
    """Lines of the table from its head on, newest day first: working days before ``today``, from a little before ``first``."""
    units = _units(world)
    yield ["Date", *units, NOT_QUOTED, ""]
    day = today - _DAY
    while day >= first - _BEFORE_DAYS * _DAY:
        if day.weekday() < 5:
            yield [day.isoformat(), *(_quote(seed, at, level, day) for at, level in enumerate(units.values())), "N/A", ""]
        day -= _DAY


def _units(world: World) -> dict[str, float]:
    """Units of each currency for one euro, in the mean: as the world converts its accounts' spend, where it says so."""
    worth = {account.currency: account.world_currency_per_unit for account in world.accounts} | {world.currency: 1.0}
    euro = worth.get(EUR, OTHERS.get(world.currency, 1.0))
    return OTHERS | {currency: euro / one for currency, one in sorted(worth.items()) if currency != EUR}


def _quote(seed: int, at: int, level: float, day: date) -> str:
    noise = np.random.default_rng([seed, at, day.toordinal()]).standard_normal()
    swing = _SWING * math.sin(2 * math.pi * day.toordinal() / 365.25 + at)
    return f"{level * math.exp(swing + _NOISE * noise):.4f}"
