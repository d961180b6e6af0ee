"""Rows of models.bandit_posteriors and models.bandit_rewards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaincinv

from tasks.core.contracts import load_contract
from tasks.measure.bandit_fatigue import Course, fatigue
from tasks.measure.bandit_inputs import MICROS, Account, Campaign
from tasks.measure.bandit_model import ArmDays, ChannelPrior, Posterior, fit_account, fit_segment

if TYPE_CHECKING:
    import polars as pl

CAC_STRENGTH = 1.0  # conversions
POSTERIORS, REWARDS = "models.bandit_posteriors", "models.bandit_rewards"


def account_rows(
    account: Account, priors: Mapping[str, ChannelPrior], unit_micros: int | None, run_date: date
) -> list[dict[str, Any]]:
    """Rows of all the account's arms of one kind, in all segments, each group under the version its numbers have.

    Raises:
        ValueError: nothing was spent whose rewards could have arrived.
    """
    days = [account.arm_days(campaign, unit_micros) for campaign in account.campaigns]
    above = [priors.get(campaign.channel) for campaign in account.campaigns]
    posteriors = fit_account(days, above)
    paid = [account.arm_days(campaign, None) for campaign in account.campaigns]
    # Whether an arm is too dear is its own days' to say: here the other arms lend it next to nothing.
    conversions = fit_account(paid, above if unit_micros is None else [None] * len(days), CAC_STRENGTH)
    found: list[dict[str, Any]] = []
    for campaign, one, reward, cac in zip(account.campaigns, days, posteriors, conversions, strict=True):
        rows = list(_campaign_rows(account, campaign, one, reward, cac))
        stamp = {
            "run_date": run_date,
            "reward": "conversions" if unit_micros is None else "value",
            "reward_unit_micros": unit_micros,
        }
        found += _versioned([stamp | row for row in rows])
    return found


def _versioned(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows with the hash of their group's numbers."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["adgroup_id"], []).append(row)
    for group in groups.values():
        text = json.dumps(group, sort_keys=True, default=str)
        version = hashlib.sha256(text.encode()).hexdigest()[:16]
        yield from ({**row, "posterior_version": version} for row in group)


def _campaign_rows(
    account: Account, campaign: Campaign, days: ArmDays, reward: Posterior, cac: Posterior
) -> Iterator[dict[str, Any]]:
    is_weekend = np.array([day.weekday() >= 5 for day in account.days])
    segments = {
        "all": (reward.alpha, reward.exposure),
        "weekday": fit_segment(days, reward, ~is_weekend),
        "weekend": fit_segment(days, reward, is_weekend),
    }
    for index, (adgroup_id, arm_id) in enumerate(campaign.arms):
        spent = np.flatnonzero(campaign.cost_micros[:, index] > 0)
        if len(spent) == 0:
            continue
        group = np.array([other == adgroup_id for other, _ in campaign.arms])
        tired = _fatigue(campaign, days, index, group, int(spent[0])) if account.arm_kind == "ad" else None
        quantiles = gammaincinv(cac.alpha[index], np.array([0.95, 0.5, 0.05])) / cac.exposure[index]
        exposure, spend = float(days.exposure[:, index].sum()), float(days.spend[:, index].sum())
        shared = {
            "platform": account.platform,
            "account_id": account.account_id,
            "campaign_id": campaign.campaign_id,
            "adgroup_id": adgroup_id,
            "arm_kind": account.arm_kind,
            "arm_id": arm_id,
            "channel": campaign.channel,
            "arm_status": campaign.statuses[index],
            "cac_alpha": float(cac.alpha[index]),
            "cac_exposure_spend": float(cac.exposure[index]),
            "prior_mean": reward.prior_mean,
            "prior_strength": reward.prior_strength,
            "prior_source": reward.prior_source,
            "discount": reward.discount,
            "dispersion": reward.dispersion,
            "spend_micros": round(float(campaign.cost_micros[:, index].sum())),
            "group_day_spend_micros": round(float(campaign.cost_micros[-7:, group].sum()) / 7),
            "impressions": round(float(campaign.impressions[:, index].sum())),
            "clicks": round(float(campaign.clicks[:, index].sum())),
            "conversions": float(campaign.conversions[:, index].sum()),
            "arrived_share": min(exposure / spend, 1.0),
            "first_date": account.days[int(spent[0])],
            "last_date": account.days[int(spent[-1])],
            **{f"cac_{name}_micros": round(MICROS / q) for name, q in zip(("p05", "p50", "p95"), quantiles, strict=True)},
            "is_fatigued": tired is not None,
            "fatigue_reason": tired,
            "currency_code": account.currency_code,
        }
        for segment, (alpha, rate) in segments.items():
            yield shared | {"segment": segment, "alpha": float(alpha[index]), "exposure_spend": float(rate[index])}


def _fatigue(campaign: Campaign, days: ArmDays, index: int, group: Any, first: int) -> str | None:
    """Fatigue of one ad against the others of its group, from its first day with spend on."""
    own = np.arange(len(group)) == index

    def course(chosen: Any) -> Course:
        sums = [a[first:, chosen].sum(axis=1) for a in (campaign.impressions, campaign.clicks, days.exposure, days.reward)]
        return Course(*sums)

    return fatigue(course(own), course(group & ~own))


def posterior_frame(rows: list[dict[str, Any]], loaded_at: datetime) -> pl.DataFrame:
    """The rows in the shape of the contract."""
    import polars as pl

    stamped = [{**row, "loaded_at": loaded_at} for row in rows]
    return pl.DataFrame(stamped, schema=load_contract(POSTERIORS).polars_schema())


def reward_frame(mature: pl.DataFrame, run_date: date, loaded_at: datetime) -> pl.DataFrame:
    """Rows of the mature decisions in the shape of the contract."""
    import polars as pl

    stamped = mature.with_columns(pl.lit(run_date).alias("matured_date"), pl.lit(loaded_at).alias("loaded_at"))
    return stamped.select(pl.col(name).cast(dtype) for name, dtype in load_contract(REWARDS).polars_schema().items())
