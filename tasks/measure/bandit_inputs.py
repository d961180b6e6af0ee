"""From the warehouse to arrays: one account's campaigns as days × arms, the share of rewards that arrived, the MMM's priors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from tasks.measure.bandit_model import ArmDays, ChannelPrior, Floats

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse import Warehouse

log = structlog.get_logger(source=__name__)

DAY = timedelta(days=1)
LAST_LAG = 29  # the platforms' 30-day window: a click day that old has all its conversions
CURVE_DAYS = 14  # an estimate of the maturity curve is used that long
_P03_TO_P97 = 3.762  # standard deviations between them
_LEAST_RELATIVE_SD = 0.1  # an MMM is never surer than that of a channel, whatever its interval says
MICROS = 1e6


@dataclass(frozen=True)
class Campaign:
    """Arms of one kind in one campaign over D days. Arrays are (D, A), one column an arm, sorted by ad group and id."""

    campaign_id: str
    channel: str
    arms: tuple[tuple[str, str], ...]  # (ad group, arm)
    statuses: tuple[str, ...]
    impressions: Floats
    clicks: Floats
    cost_micros: Floats
    conversions: Floats
    revenue_micros: Floats


@dataclass(frozen=True)
class Account:
    """One account's campaigns over the same D days, seen as arms of one kind: ads, keywords or audiences.

    ``share``: (D,) share of a click day's conversions that has arrived.
    """

    platform: str
    account_id: str
    arm_kind: str
    currency_code: str
    days: tuple[date, ...]
    share: Floats
    campaigns: tuple[Campaign, ...]

    def arm_days(self, campaign: Campaign, unit_micros: int | None) -> ArmDays:
        """The campaign with conversions as rewards, or value in multiples of ``unit_micros``."""
        reward = campaign.conversions if unit_micros is None else campaign.revenue_micros / unit_micros
        # A day left out has no exposure, so what has arrived of it must not count either.
        return ArmDays(campaign.cost_micros / MICROS, np.where(self.share[:, None] > 0, reward, 0.0), self.share)

    @property
    def mean_order_micros(self) -> int:
        """Value of a conversion; 0 without any."""
        conversions = sum(float(c.conversions.sum()) for c in self.campaigns)
        revenue = sum(float(c.revenue_micros.sum()) for c in self.campaigns)
        return round(revenue / conversions) if conversions > 0 else 0


def read_shares(warehouse: Warehouse, run_date: date) -> dict[tuple[str, str], dict[int, float]]:
    """Share of conversions arrived by the end of each lag day, by platform and account."""
    curves = warehouse.query_file(
        "models/bandit_maturity/query.sql", {"run_date": run_date, "since_date": run_date - CURVE_DAYS * DAY}
    )
    found: dict[tuple[str, str], dict[int, float]] = {}
    for platform, account, lag, share in curves.iter_rows():
        found.setdefault((platform, account), {})[lag] = share
    return found


def share_of_days(days: tuple[date, ...], run_date: date, curve: Mapping[int, float] | None) -> Floats:
    """(D,) share that has arrived of each day; without a curve only days that are final count, as if the others had no clicks."""
    ages = [(run_date - DAY - day).days for day in days]
    if curve is None:
        return np.array([1.0 if age >= LAST_LAG else 0.0 for age in ages])
    return np.array([curve[min(age, max(curve))] for age in ages])


def read_accounts(warehouse: Warehouse, run_date: date, window_days: int) -> Iterator[Account]:
    """Accounts with arms that spent in the window, once for each kind of arm."""
    rows = warehouse.query_file(
        "models/bandit_arm_days/query.sql", {"run_date": run_date, "start_date": run_date - window_days * DAY}
    )
    curves = read_shares(warehouse, run_date)
    days = tuple(run_date - (window_days - n) * DAY for n in range(window_days))
    for (platform, account_id, kind), part in rows.group_by("platform", "account_id", "arm_kind", maintain_order=True):
        key = (str(platform), str(account_id))
        if key not in curves:
            log.warning(
                "no maturity curve",
                platform=key[0],
                account=key[1],
                arms=kind,
                effect=f"days younger than {LAST_LAG} are left out, so the bandit learns a month late",
                remedy="run estimate-maturity",
            )
        campaigns = [_campaign(str(name), one, days) for (name,), one in part.group_by("campaign_id", maintain_order=True)]
        share = share_of_days(days, run_date, curves.get(key))
        currencies = part["currency_code"].unique().sort()
        yield Account(*key, str(kind), str(currencies[0]), days, share, tuple(c for c in campaigns if c.cost_micros.sum() > 0))


def _campaign(campaign_id: str, rows: pl.DataFrame, days: tuple[date, ...]) -> Campaign:
    pairs = rows.select("adgroup_id", "arm_id").unique().sort("adgroup_id", "arm_id").rows()
    column = {pair: n for n, pair in enumerate(pairs)}
    names = ("impressions", "clicks", "cost_micros", "conversions", "revenue_micros")
    arrays = {name: np.zeros((len(days), len(pairs))) for name in names}
    newest: dict[Any, tuple[date, str]] = {}
    for row in rows.iter_rows(named=True):
        pair = (row["adgroup_id"], row["arm_id"])
        place = ((row["date"] - days[0]).days, column[pair])
        for name in names:
            arrays[name][place] = row[name]
        newest[pair] = max(newest.get(pair, (days[0], "")), (row["date"], row["arm_status"]))
    statuses = tuple(newest[pair][1] for pair in pairs)
    return Campaign(campaign_id, str(rows["channel"][0]), tuple(pairs), statuses, **arrays)


def read_channel_priors(warehouse: Warehouse, account: Account, target: str, unit_micros: int | None) -> dict[str, ChannelPrior]:
    """The live MMM's outcome per spend of each channel of ``account``, in the units of its platform; empty without a live run.

    A platform claims more or fewer conversions than the MMM calls caused. The ratio over all of the account's spend turns one
    into the other, so that channels keep the order the MMM gives them and the account keeps the level of its rewards.
    """
    runs = warehouse.query_file(
        "models/live_mmm_run/query.sql", {"source": "platforms", "target": target, "run_date": account.days[-1] + DAY}
    )
    if runs.is_empty() or runs["currency_code"][0] != account.currency_code:
        return {}
    rows = warehouse.query_file("models/bandit_channel_priors/query.sql", {"run_id": runs["run_id"][0]})
    causal = {str(c): (mean, high - low) for c, mean, low, high in rows.iter_rows() if mean > 0 and high > low}
    rewards = expected = 0.0
    for campaign in account.campaigns:
        if campaign.channel in causal:
            days = account.arm_days(campaign, unit_micros)
            rewards += float(days.reward.sum())
            expected += causal[campaign.channel][0] * float(days.exposure.sum())
    if rewards <= 0 or expected <= 0:
        return {}
    return {
        channel: ChannelPrior(rewards / expected * mean, max(width / _P03_TO_P97 / mean, _LEAST_RELATIVE_SD), "mmm")
        for channel, (mean, width) in causal.items()
    }
