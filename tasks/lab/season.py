"""How the whole market moves: weekday, year, trend, holidays, shocks, and noise that no model can explain."""

import math
from datetime import date, timedelta

import numpy as np

from tasks.lab.world import Shock, World


class Season:
    """Factors by day index; all are around one except the baseline, which is customers a day."""

    def __init__(self, world: World, seed: int, start: date, history_days: int) -> None:
        self._base = world.baseline
        self._shocks = world.shocks
        self._seed = seed
        self._start = start
        self._history_days = history_days

    def _calendar(self, day: int) -> float:
        """Weekday, time of year and holidays together."""
        base, on = self._base, self._start + timedelta(days=day)
        yearly = 1.0 + base.yearly_amplitude * math.cos(2 * math.pi * (on.timetuple().tm_yday - base.yearly_peak_day) / 365.25)
        lift = 1.0
        for holiday in base.holidays:
            if holiday.covers(on):
                lift *= 1.0 + holiday.lift
        return base.weekday[on.weekday()] * yearly * lift

    def _active(self, day: int) -> list[Shock]:
        since = day - self._history_days + 1
        return [s for s in self._shocks if 0 <= since - s.first_day_after_history < s.days]

    def demand(self, day: int) -> float:
        """How much the auctions offer; search follows the calendar, shocks hit it directly."""
        return float(self._calendar(day) * math.prod(s.demand_factor for s in self._active(day)))

    def response(self, day: int) -> float:
        """How much an adstocked unit of spend sells compared with an average day."""
        seasonal = self._calendar(day) ** self._base.response_seasonality
        return float(seasonal * math.prod(s.response_factor for s in self._active(day)))

    def baseline(self, day: int) -> float:
        """Expected customers who come anyway."""
        trend = (1.0 + self._base.trend_per_year) ** (day / 365.25)
        shock = math.prod(s.baseline_factor for s in self._active(day))
        return float(self._base.customers_per_day * trend * self._calendar(day) * shock)

    def daily_noise(self, day: int) -> float:
        """A factor with mean one, part of it shared by the week, on top of the counting noise."""
        week = np.random.default_rng([self._seed, 6, day // 7]).normal(0.0, self._base.weekly_noise)
        own = np.random.default_rng([self._seed, 7, day]).normal(0.0, self._base.daily_noise)
        return float(math.exp(week + own - (self._base.weekly_noise**2 + self._base.daily_noise**2) / 2))

    def calendar_flags(self, on: date) -> tuple[bool, bool]:
        """(is_holiday, is_promo): the calendar that the advertiser itself knows."""
        kinds = {h.kind for h in self._base.holidays if h.covers(on)}
        return "holiday" in kinds, "promo" in kinds
