"""A few ad groups whose ads, keywords or audiences truly differ, served by a platform that follows a split only roughly."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.lab.layout import delay_distribution

DAY = timedelta(days=1)
FIRST = date(2026, 1, 5)
LAGS = 8
DELAY = delay_distribution(3.0)[:LAGS] / delay_distribution(3.0)[:LAGS].sum()
ACCOUNT = {"platform": "google_ads", "account_id": "1"}
ADS, CRITERIA = "ads.ads_ad_performance", "ads.ads_criterion_performance"


def stamp(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), tzinfo=UTC) + timedelta(hours=6)


@dataclass
class BanditWorld:
    """``cac``: true spend per conversion of each arm, by campaign. ``ctr``: clicks per impression, the same keys and order."""

    warehouse: DuckDBWarehouse
    cac: dict[str, list[float]]
    kind: str = "ad"
    day_spend: float = 1000.0
    seed: int = 1
    noise: float = 0.15
    pull: float = 0.0  # how much more the platform serves the arm that already serves most
    ctr: dict[str, list[float]] | None = None
    statuses: dict[str, str] = field(default_factory=dict)
    warm_shares: dict[str, list[float]] = field(default_factory=dict)  # of a campaign's ads while no split is given
    days: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def ads(self, campaign: str) -> list[str]:
        return [f"{campaign}{n}" for n in range(len(self.cac[campaign]))]

    def serve(self, day: date, shares: dict[str, float] | None = None) -> None:
        """Serve one day: evenly, or by the share of its group that each ad has."""
        for campaign, cacs in self.cac.items():
            names = self.ads(campaign)
            even = self.warm_shares.get(campaign, [1.0] * len(names))
            wanted = np.array(even if shares is None else [shares.get(name, 0.0) for name in names])
            served = wanted ** (1 + self.pull) * np.exp(self.rng.normal(0, self.noise, len(names)))
            spend = self.day_spend * np.exp(self.rng.normal(0, 0.1)) * served / served.sum()
            for n, name in enumerate(names):
                lags = self.rng.multinomial(self.rng.poisson(spend[n] / cacs[n]), DELAY)
                ctr = 0.05 if self.ctr is None else self.ctr[campaign][n]
                clicks = int(self.rng.poisson(spend[n]))
                row = {"day": day, "campaign": campaign, "ad": name, "spend": float(spend[n]), "lags": lags, "clicks": clicks}
                self.days.append(row | {"impressions": max(round(clicks / ctr), clicks)})

    def load(self, run_date: date) -> None:
        """What ingest would hold on the morning of ``run_date``: conversions as far as they have arrived."""
        table = ADS if self.kind == "ad" else CRITERIA
        rows = [
            {
                **ACCOUNT, "date": r["day"], "campaign_id": r["campaign"], "adgroup_id": f"g{r['campaign']}",
                **self.named(r["ad"]), "channel": "SEARCH_NONBRAND", "is_brand": False,
                "impressions": r["impressions"], "clicks": r["clicks"], "cost_micros": round(r["spend"] * 1e6),
                "conversions": float(arrived), "revenue_micros": round(arrived * 50e6), "currency_code": "USD", "timezone": "UTC",
                "attribution_window": "default", "loaded_at": stamp(run_date),
            }
            for r in self.days
            if run_date - 40 * DAY <= r["day"] < run_date
            for arrived in [r["lags"][: (run_date - DAY - r["day"]).days + 1].sum()]
        ]  # fmt: skip
        self.warehouse.merge(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))

    def named(self, arm: str) -> dict[str, str]:
        """The columns that only tables of this kind of arm have."""
        status = self.statuses.get(arm, "ENABLED")
        if self.kind == "ad":
            return {"ad_id": arm, "ad_status": status}
        return {"criterion_kind": self.kind, "criterion_id": arm, "criterion_status": status}

    def curve(self, run_date: date) -> None:
        """What estimate-maturity would have written."""
        shares = np.minimum(np.concatenate([np.cumsum(DELAY), np.ones(30 - LAGS)]), 1.0)
        rows = [
            {
                "run_date": run_date, "source": "google_ads", "account_id": "1", "conversion_action_id": "1",
                "channel_group": "all", "lag_days": lag, "share_mean": float(share), "share_p05": float(share),
                "share_p95": float(share), "conversions": 100.0, "cohorts": 10, "dispersion": 1.0, "loaded_at": stamp(run_date),
            }
            for lag, share in enumerate(shares)
        ]  # fmt: skip
        table = "ga4.conversion_maturity"
        self.warehouse.merge(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))

    def spent(self, ad: str, since: date = FIRST) -> float:
        return sum(row["spend"] for row in self.days if row["ad"] == ad and row["day"] >= since)
