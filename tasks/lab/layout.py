"""A world laid out as arrays: which unit belongs to which campaign, campaign to budget and channel, with their constants."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.lab.world import PLATFORMS, Account, Budget, Campaign, PlatformName, World

Floats = NDArray[np.float64]
MAX_LAG_DAYS = 30  # conversions arrive on days 0–29 after the click; then a click date is final


@dataclass(frozen=True)
class Unit:
    """An ad in an ad group, or a whole PMax campaign, which has neither (``ad_id`` 0)."""

    campaign: Campaign
    ad_group_id: int
    ad_id: int


@dataclass(frozen=True)
class Group:
    """The accounts of one platform: what it draws never depends on which other platforms a world has.

    ``key`` goes behind the seeds of its random streams.
    """

    platform: PlatformName
    key: tuple[int, ...]
    campaigns: slice
    budgets: slice
    units: slice


def delay_distribution(mean_days: float) -> Floats:
    """(30,) probability of each lag: a third of conversions on the click's day at the least, a geometric tail, cut at 30 days."""
    days = np.arange(MAX_LAG_DAYS)
    keep = mean_days / (1.0 + mean_days)
    tail = (1.0 - keep) * keep**days
    same_day = np.where(days == 0, 1.0, 0.0)
    mixed = 0.3 * same_day + 0.7 * tail
    return np.asarray(mixed / mixed.sum(), dtype=np.float64)


class Layout:
    """Index arrays and constants. U units, N campaigns, B budgets, C channels (a channel of two accounts is two)."""

    def __init__(self, world: World, seed: int) -> None:
        self.accounts: list[Account] = list(world.accounts)
        self.budgets: list[Budget] = [b for a in world.accounts for b in a.budgets]
        self.campaigns: list[Campaign] = [c for a in world.accounts for c in a.campaigns]
        self.units: list[Unit] = [unit for campaign in self.campaigns for unit in _units(campaign)]
        self.channels = [(a.id, name) for a in world.accounts for name in a.channels]
        self.n_campaigns, self.n_units, self.n_channels = len(self.campaigns), len(self.units), len(self.channels)
        self.budget_index = {b.id: i for i, b in enumerate(self.budgets)}
        self.campaign_index = {c.id: i for i, c in enumerate(self.campaigns)}
        self.unit_index = {u.ad_id: i for i, u in enumerate(self.units) if u.ad_id}
        self.budget_account = {b.id: a.id for a in world.accounts for b in a.budgets}
        self.campaign_account = [a for a in world.accounts for _ in a.campaigns]

        self.campaign_budget = np.array([self.budget_index[c.budget] for c in self.campaigns])
        self.campaign_channel = np.array(
            [self.channels.index((a.id, c.channel)) for a, c in zip(self.campaign_account, self.campaigns, strict=True)]
        )
        self.unit_campaign = np.array([self.campaign_index[u.campaign.id] for u in self.units])
        self.unit_is_google = np.array([self.campaign_account[i].platform == "google_ads" for i in self.unit_campaign])
        self.unit_channel = self.campaign_channel[self.unit_campaign]
        self.groups = [group for name in PLATFORMS if (group := self._group(name)).units.stop > group.units.start]
        self._channel_constants(world)
        self.auction = np.array([c.auction_per_day for c in self.campaigns])
        self.efficiency = np.array([c.efficiency for c in self.campaigns])
        self.rank_lost = np.array([c.rank_lost_share for c in self.campaigns])
        self.fx = np.array([a.world_currency_per_unit for a in self.campaign_account])
        self.auction_noise = self._auction_noise[self.campaign_channel]
        self.awareness_gain = self._awareness_gain[self.campaign_channel]
        self._unit_constants(seed)

    def _group(self, platform: PlatformName) -> Group:
        on_it = [a.platform == platform for a in self.campaign_account]
        campaigns = _span(on_it)
        budgets = _span([a.platform == platform for a in self.accounts for _ in a.budgets])
        units = _span([on_it[index] for index in self.unit_campaign])
        return Group(platform, () if platform == "google_ads" else (PLATFORMS.index(platform),), campaigns, budgets, units)

    def per_group(self, seed: tuple[int, ...]) -> list[tuple[Group, np.random.Generator]]:
        """Each platform with a generator of its own for ``seed``."""
        return [(group, np.random.default_rng([*seed, *group.key])) for group in self.groups]

    def _channel_constants(self, world: World) -> None:
        specs = [spec for account in world.accounts for spec in account.channels.values()]
        self.ceiling = np.array([s.response.ceiling_customers for s in specs])
        self.scale = np.array([s.response.scale_spend for s in specs])
        self.carry_over = np.array([s.response.carry_over for s in specs])
        self.over_attribution = np.array([s.reporting.over_attribution for s in specs])
        self.baseline_claim = np.array([s.reporting.baseline_claim for s in specs])
        self.awareness_weight = np.array([s.awareness_weight for s in specs])
        self._auction_noise = np.array([s.auction_noise for s in specs])
        self._awareness_gain = np.array([s.awareness_gain for s in specs])
        self.cost_per_click = np.array([s.reporting.cost_per_click for s in specs])[self.unit_channel]
        self.click_through_rate = np.array([s.reporting.click_through_rate for s in specs])[self.unit_channel]
        delays = [s.reporting.mean_delay_days for s in specs]
        self.delay = np.stack([delay_distribution(d) for d in delays])[self.unit_channel]
        self.lead_delay = np.stack([delay_distribution(d / 2) for d in delays])[self.unit_channel]

    def _unit_constants(self, seed: int) -> None:
        """Ads differ in how much they serve, how often they are clicked and what a click is worth."""
        self._serving, self.unit_click_rate, self.unit_value = (np.zeros(self.n_units) for _ in range(3))
        for group, rng in self.per_group((seed, 5)):
            units, n = group.units, group.units.stop - group.units.start
            self._serving[units] = rng.gamma(4.0, 1.0, n)
            self.unit_click_rate[units] = np.minimum(self.click_through_rate[units] * np.exp(rng.normal(0.0, 0.15, n)), 0.9)
            self.unit_value[units] = np.exp(rng.normal(0.0, 0.25, n))

    def per_channel(self, by_campaign: Floats) -> Floats:
        """(C,) sums of (N,)."""
        sums = np.bincount(self.campaign_channel, weights=by_campaign, minlength=self.n_channels)
        return np.asarray(sums, dtype=np.float64)

    def spend_shares(self, enabled: NDArray[np.bool_]) -> Floats:
        """(U,) each unit's share of its campaign's spend; only enabled units share."""
        weight = self._serving * enabled
        total = np.bincount(self.unit_campaign, weights=weight, minlength=self.n_campaigns)[self.unit_campaign]
        return np.asarray(np.divide(weight, total, out=np.zeros_like(weight), where=total > 0), dtype=np.float64)

    def has_enabled_unit(self, enabled: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(N,) whether the campaign has an ad to show."""
        counts = np.bincount(self.unit_campaign, weights=enabled.astype(np.float64), minlength=self.n_campaigns)
        return np.asarray(counts > 0)


def _span(members: Sequence[bool]) -> slice:
    """The places of the true ones, which stand side by side."""
    first = members.index(True) if True in members else 0
    return slice(first, first + sum(members))


def _units(campaign: Campaign) -> list[Unit]:
    if campaign.channel == "PMAX":
        return [Unit(campaign, 0, 0)]
    return [
        Unit(campaign, campaign.id * 100 + group, campaign.id * 10_000 + group * 100 + ad)
        for group in range(1, campaign.ad_groups + 1)
        for ad in range(1, campaign.ads_per_group + 1)
    ]
