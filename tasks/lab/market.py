"""The market: what each day's budgets spend and sell, with known truth. Pure and deterministic in (world, seed, changes).

One step is one day. A campaign spends what its budget and its auctions allow; effective spend of a channel is carried over
geometrically and turned into incremental new customers by a saturating curve; other customers come anyway. The platform
reports its own view of it: conversions by click date, over-attributed, arriving up to 30 days late. Every day draws from its
own generator, seeded by (seed, day), so a change on one day leaves all earlier days as they were.
"""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.lab.criteria import Criteria
from tasks.lab.layout import MAX_LAG_DAYS, Group, Layout
from tasks.lab.media_plan import budget_history
from tasks.lab.season import Season
from tasks.lab.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Generators = list[tuple[Group, np.random.Generator]]

MICROS = 1_000_000
MONTH_DAYS = 30.4  # Google bills at most 30.4 times the daily budget a month
DAY_OVERDELIVERY = 2.0  # and may spend up to twice the budget on one day
LEADS_PER_PURCHASE = 2.2


@dataclass(frozen=True)
class Change:
    """Something set through an API or a web page; it holds from day ``day`` (an index) on."""

    day: int
    kind: Literal["budget", "campaign", "ad"]
    entity: int  # id
    value: int  # micros for a budget; 1 = enabled, 0 = paused for a campaign or an ad


@dataclass(frozen=True)
class Day:
    """One simulated day. U units (ads; a PMax campaign is one unit), N campaigns, C channels of accounts, B budgets."""

    budget_micros: Ints  # (B,) amount in force
    impressions: Ints  # (U,)
    clicks: Ints  # (U,)
    cost_micros: Ints  # (U,) account currency
    purchases: Ints  # (U, 30) final counts by lag in days after the click
    leads: Ints  # (U, 30)
    order_micros: Ints  # (U,) mean order of the day, account currency
    delivery: Floats  # (N,) spend over what the auctions would have taken
    new_customers: int  # CRM truth
    revenue_micros: int  # CRM truth, world currency
    baseline: float  # expected customers who come anyway
    incremental: Floats  # (C,) expected incremental customers
    spend: Floats  # (C,) world currency


@dataclass
class _Carry:
    """What one day hands to the next."""

    adstock: Floats  # (C,)
    awareness: float
    month: int
    month_spend: Floats  # (B,) account currency so far this month
    month_budget: Floats  # (B,) budgets summed over the days so far
    month_days: int


@dataclass
class Market:
    """A market run day by day.

    Args:
        world: the truth.
        seed: any non-negative integer; the same seed gives the same numbers.
        start: first day of history.
        history_days: days that a human buyer ran before the sandbox's clock starts.
    """

    world: World
    seed: int
    start: date
    history_days: int
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layout = Layout(self.world, self.seed)
        self.criteria = Criteria(self.layout.units, self.layout.unit_is_google, self.seed)
        self.season = Season(self.world, self.seed, self.start, self.history_days)
        histories = [budget_history(self.world.media_plan, b, self.history_days, self.seed) for b in self.layout.budgets]
        self._past_amount = np.stack([h.amount_micros for h in histories])
        self._past_pause = np.stack([h.is_paused for h in histories])
        self.days: list[Day] = []
        steady = self._steady_spend()
        self._awareness_at_plan = max(float(self.layout.awareness_weight @ steady), 1e-9)
        self._carry = _Carry(steady.copy(), 1.0, 0, np.zeros(len(histories)), np.zeros(len(histories)), 0)

    def date_of(self, day: int) -> date:
        """The calendar date of day index ``day``."""
        return self.start + timedelta(days=day)

    def apply(self, change: Change) -> None:
        """Record a change that holds from its day on; days already simulated cannot be changed.

        Raises:
            ValueError: the day has been simulated or lies in the history.
        """
        if change.day < max(len(self.days), self.history_days):
            raise ValueError(f"day {change.day} is over; changes hold from day {max(len(self.days), self.history_days)} on")
        self.changes.append(change)

    def budgets_on(self, day: int) -> Ints:
        """(B,) micros in force on ``day``."""
        if day < self.history_days:
            return self._past_amount[:, day]
        amounts = self._past_amount[:, -1].copy()
        for change in self.changes:
            if change.kind == "budget" and change.day <= day:
                amounts[self.layout.budget_index[change.entity]] = change.value
        return amounts

    def enabled_on(self, day: int, kind: Literal["campaign", "ad"]) -> NDArray[np.bool_]:
        """(N,) campaigns or (U,) units that run on ``day``."""
        index = self.layout.campaign_index if kind == "campaign" else self.layout.unit_index
        enabled = np.ones(self.layout.n_campaigns if kind == "campaign" else self.layout.n_units, dtype=np.bool_)
        if kind == "campaign" and day < self.history_days:
            enabled &= ~self._past_pause[self.layout.campaign_budget, day]
        for change in self.changes:
            if change.kind == kind and change.day <= day:
                enabled[index[change.entity]] = bool(change.value)
        return enabled

    def run_to(self, day: int) -> None:
        """Simulate every day before ``day`` that has not been simulated yet."""
        while len(self.days) < day:
            result, self._carry = self._step(len(self.days), self._carry)
            self.days.append(result)

    def part_of_today(self) -> Day:
        """The day under way, ``world.today_share`` of it: what an API shows before the day is over. Never becomes history."""
        day, _ = self._step(len(self.days), self._carry)
        share = self.world.today_share
        same_day = np.zeros(MAX_LAG_DAYS)
        same_day[0] = share
        return replace(
            day,
            impressions=np.floor(day.impressions * share).astype(np.int64),
            clicks=np.floor(day.clicks * share).astype(np.int64),
            cost_micros=np.floor(day.cost_micros * share).astype(np.int64),
            purchases=np.floor(day.purchases * same_day).astype(np.int64),
            leads=np.floor(day.leads * same_day).astype(np.int64),
        )

    def expected_incremental(self, adstock: Floats, day: int | None = None) -> Floats:
        """(C,) expected incremental customers at this adstocked spend, on an average day or on day index ``day``."""
        layout = self.layout
        level = 1.0 if day is None else self.season.response(day)
        return np.asarray(level * layout.ceiling * -np.expm1(-adstock / layout.scale), dtype=np.float64)

    def _steady_spend(self) -> Floats:
        """(C,) effective spend at the configured budgets: where history starts."""
        layout = self.layout
        members = np.bincount(layout.campaign_budget, weights=layout.auction, minlength=len(layout.budgets))
        wanted = np.array([b.per_day for b in layout.budgets]) / members
        return layout.per_channel(
            layout.auction * np.minimum(1.0, wanted[layout.campaign_budget]) * layout.fx * layout.efficiency
        )

    def _auctions(self, day: int, awareness: float, rngs: Generators) -> Floats:
        """(N,) what the auctions would take on ``day`` in account currency."""
        layout = self.layout
        drawn = np.concatenate([rng.normal(0.0, 1.0, group.campaigns.stop - group.campaigns.start) for group, rng in rngs])
        noise = np.exp(drawn * layout.auction_noise - layout.auction_noise**2 / 2)
        lifted = 1.0 - layout.awareness_gain + layout.awareness_gain * awareness
        return np.asarray(layout.auction * self.season.demand(day) * lifted * noise, dtype=np.float64)

    def _spend(self, day: int, auctions: Floats, carry: _Carry, rngs: Generators) -> tuple[Floats, _Carry]:
        """(N,) spend in account currency under the daily and the monthly limit, and the month's account of it."""
        layout = self.layout
        budgets = self.budgets_on(day) / MICROS
        month = self.date_of(day).month
        if month != carry.month:
            zeros = np.zeros(len(budgets))
            carry = replace(carry, month=month, month_spend=zeros, month_budget=zeros, month_days=0)
        month_budget, month_days = carry.month_budget + budgets, carry.month_days + 1
        drawn = np.concatenate([rng.normal(0.0, 1.0, group.budgets.stop - group.budgets.start) for group, rng in rngs])
        delivered = budgets * np.clip(1.0 + 0.10 * drawn, 0.6, DAY_OVERDELIVERY)
        month_left = MONTH_DAYS * month_budget / month_days - carry.month_spend
        limit = np.clip(np.minimum(delivered, month_left), 0.0, DAY_OVERDELIVERY * budgets)
        wanted = auctions * self.enabled_on(day, "campaign") * layout.has_enabled_unit(self.enabled_on(day, "ad"))
        by_budget = np.bincount(layout.campaign_budget, weights=wanted, minlength=len(budgets))
        fill = np.minimum(1.0, limit / np.maximum(by_budget, 1e-9))
        spend = wanted * fill[layout.campaign_budget]
        month_spend = carry.month_spend + by_budget * fill
        return spend, replace(carry, month_spend=month_spend, month_budget=month_budget, month_days=month_days)

    def _step(self, day: int, carry: _Carry) -> tuple[Day, _Carry]:
        layout, season = self.layout, self.season
        rngs = layout.per_group((self.seed, 2, day))
        auctions = self._auctions(day, carry.awareness, rngs)
        spend, carry = self._spend(day, auctions, carry, rngs)
        effective = layout.per_channel(spend * layout.fx * layout.efficiency)
        adstock = (1.0 - layout.carry_over) * effective + layout.carry_over * carry.adstock
        awareness = 0.97 * carry.awareness + 0.03 * float(layout.awareness_weight @ adstock) / self._awareness_at_plan
        incremental = self.expected_incremental(adstock, day)
        baseline = season.baseline(day)
        expected = baseline + float(incremental.sum())
        crm = np.random.default_rng([self.seed, 3, day])
        new_customers = int(crm.poisson(expected * season.daily_noise(day)))
        # A sum of n gamma orders with coefficient of variation v is one gamma of shape n / v^2.
        shape, revenue = self.world.revenue.noise**-2 if self.world.revenue.noise else np.inf, 0.0
        if new_customers:
            mean = new_customers * self.world.revenue.per_customer
            revenue = mean if np.isinf(shape) else float(crm.gamma(new_customers * shape) * mean / (new_customers * shape))
        platform = self._platform(day, spend, auctions, incremental, baseline)
        result = Day(
            budget_micros=self.budgets_on(day),
            new_customers=new_customers,
            revenue_micros=round(revenue * 100) * 10_000,
            baseline=baseline,
            incremental=incremental,
            spend=layout.per_channel(spend * layout.fx),
            delivery=np.divide(spend, auctions, out=np.zeros_like(spend), where=auctions > 0),
            **platform,
        )
        return result, replace(carry, adstock=adstock, awareness=awareness)

    def _platform(self, day: int, spend: Floats, auctions: Floats, incremental: Floats, baseline: float) -> dict[str, Ints]:
        """What the platforms count: impressions, clicks, cost, conversions by lag, for each unit."""
        layout = self.layout
        unit_spend = spend[layout.unit_campaign] * layout.spend_shares(self.enabled_on(day, "ad"))
        # The others bill in whole cents; Google in micros.
        cents = np.round(unit_spend * 100) * (MICROS // 100)
        cost = np.where(layout.unit_is_google, np.round(unit_spend * MICROS), cents).astype(np.int64)
        shown = unit_spend * layout.fx[layout.unit_campaign] / (layout.cost_per_click * layout.click_through_rate)
        served = layout.per_channel(spend * layout.fx) / np.maximum(layout.per_channel(auctions * layout.fx), 1e-9)
        claimed = layout.over_attribution * incremental + layout.baseline_claim * served * baseline
        weight = unit_spend * layout.unit_value
        total = np.bincount(layout.unit_channel, weights=weight, minlength=layout.n_channels)
        share = np.divide(weight, total[layout.unit_channel], out=np.zeros_like(weight), where=total[layout.unit_channel] > 0)
        mean = claimed[layout.unit_channel] * share
        mean_order = self.world.revenue.per_customer / layout.fx[layout.unit_campaign]
        parts = [self._counts(rng, group.units, shown, mean, mean_order) for group, rng in layout.per_group((self.seed, 4, day))]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} | {"cost_micros": cost}

    def _counts(self, rng: np.random.Generator, units: slice, shown: Floats, mean: Floats, mean_order: Floats) -> dict[str, Ints]:
        """The counts of one platform's units."""
        layout = self.layout
        impressions = rng.poisson(shown[units])
        clicks = rng.binomial(impressions, layout.unit_click_rate[units])
        purchases = rng.multinomial(rng.poisson(mean[units]), layout.delay[units])
        leads = rng.multinomial(rng.poisson(mean[units] * LEADS_PER_PURCHASE), layout.lead_delay[units])
        order = mean_order[units] * np.exp(rng.normal(0.0, 0.05, len(impressions)))
        return {
            "impressions": impressions,
            "clicks": clicks,
            "purchases": purchases,
            "leads": leads,
            "order_micros": (np.round(order * 100) * 10_000).astype(np.int64),
        }
