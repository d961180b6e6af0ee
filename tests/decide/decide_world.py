"""A small advertiser on DuckDB, written through the table contracts: what ingest and the MMM would have left behind."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse

RUN_DATE = date(2026, 2, 26)
NOW = datetime(2026, 2, 26, 6, tzinfo=UTC)
DAYS = 56
DRAWS = 200
# channel: (ceiling a week, lam, spend a week that scales to one); the marginal CAC at the spend below is about 25 and 150
TRUTH = {"SEARCH_NONBRAND": (160.0, 3.0, 14_000.0), "YOUTUBE": (420.0, 2.0, 14_000.0)}


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows in the shape of the contract; fields that are left out are null."""
    return pl.DataFrame(rows, schema=load_contract(table).polars_schema())


@dataclass
class Advertiser:
    """Budgets are {id: (channel, amount in currency units, campaign ids)}; change a field, then call write()."""

    warehouse: DuckDBWarehouse
    account_id: str = "2000000001"
    currency: str = "USD"
    run_date: date = RUN_DATE
    budgets: dict[str, tuple[str, float, tuple[str, ...]]] = field(
        default_factory=lambda: {
            "7001": ("SEARCH_NONBRAND", 1200.0, ("9001",)),
            "7002": ("SEARCH_NONBRAND", 800.0, ("9002",)),
            "7003": ("YOUTUBE", 600.0, ("9003",)),
            "7004": ("YOUTUBE", 400.0, ("9004",)),
        }
    )
    utilisation: dict[str, float] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)
    customers_per_day: float = 40.0
    data_lag_days: int = 1
    outcome_lag_days: int = 1
    fit_age_days: int = 2
    spread: float = 0.10
    verdict: str = "PASS"

    def write(self) -> None:
        """Everything the plan reads, except switches, changes and the ledger."""
        self.warehouse.merge("ads.campaign_budgets", self._budgets())
        self.warehouse.merge("ads.ads_campaign_performance", self._performance())
        self.warehouse.merge("ads.business_outcomes", self._outcomes())
        self._write_model()

    def _budgets(self) -> pl.DataFrame:
        rows = [
            {
                "platform": "google_ads",
                "account_id": self.account_id,
                "date": self.run_date,
                "budget_id": budget,
                "amount_micros": round(amount * 1e6),
                "is_explicitly_shared": len(campaigns) > 1,
                "reference_count": len(campaigns),
                "member_campaign_ids": list(campaigns),
                "enabled_campaign_ids": [c for c in campaigns if self.statuses.get(c, "ENABLED") == "ENABLED"],
                "channels": channel.split("+"),
                "status": "ENABLED",
                "currency_code": self.currency,
                "loaded_at": NOW,
            }
            for budget, (channel, amount, campaigns) in self.budgets.items()
        ]
        return frame("ads.campaign_budgets", rows)

    def _performance(self) -> pl.DataFrame:
        rows = []
        last = self.run_date - timedelta(days=self.data_lag_days)
        for budget, (channel, amount, campaigns) in self.budgets.items():
            for campaign, name in zip(campaigns, (channel.split("+") * len(campaigns))[: len(campaigns)], strict=True):
                for back in range(DAYS):
                    share = self.utilisation.get(budget, 1.0) / len(campaigns)
                    # One day in the past spent more: what M5 looks for.
                    peak = self.highest.get(budget, amount * 1.2) / len(campaigns)
                    spend = peak if back == 40 else amount * share
                    rows.append(self._day(last - timedelta(days=back), campaign, name, budget, spend))
        return frame("ads.ads_campaign_performance", rows)

    def _day(self, day: date, campaign: str, channel: str, budget: str, spend: float) -> dict[str, Any]:
        return {
            "platform": "google_ads",
            "account_id": self.account_id,
            "date": day,
            "campaign_id": campaign,
            "channel": channel,
            "is_brand": False,
            "campaign_status": self.statuses.get(campaign, "ENABLED"),
            "budget_id": budget,
            "impressions": 1000,
            "clicks": 50,
            "cost_micros": round(spend * 1e6),
            "conversions": 1.0,
            "revenue_micros": 0,
            "currency_code": self.currency,
            "timezone": "America/New_York",
            "attribution_window": "30d_click",
            "loaded_at": NOW,
        }

    def _outcomes(self) -> pl.DataFrame:
        last = self.run_date - timedelta(days=self.outcome_lag_days)
        rows = [
            {
                "source": "crm",
                "geo": "national",
                "period_start_date": last - timedelta(days=back),
                "period_days": 1,
                "new_customers": self.customers_per_day,
                "currency_code": self.currency,
                "loaded_at": NOW,
            }
            for back in range(DAYS)
        ]
        return frame("ads.business_outcomes", rows)

    def _write_model(self) -> None:
        fitted = self.run_date - timedelta(days=self.fit_age_days)
        channels = sorted(TRUTH)
        run = {
            "run_id": "mmm-test",
            "run_date": fitted,
            "source": "platforms",
            "target": "new_customers",
            "currency_code": "USD",
            "model": "pymc_mmm",
            "trust": "normal",
            "window_start_date": self.run_date - timedelta(days=DAYS),
            "window_end_date": self.run_date - timedelta(days=1),
            "period_days": 7,
            "periods": DAYS // 7,
            "channels": channels,
            "geos": ["national"],
            "data_sha256": "0" * 64,
            "config_sha256": "0" * 64,
            "config_json": "{}",
            "seed": 1,
            "versions_json": "{}",
            "holdout_periods": 0,
            "fitted_at": NOW,
        }
        self.warehouse.merge("models.mmm_runs", frame("models.mmm_runs", [run]))
        review = {
            "run_id": "mmm-test",
            "check": "verdict",
            "result": self.verdict,
            "detail": "fixture",
            "run_date": fitted,
            "reviewed_at": NOW,
        }
        self.warehouse.merge("models.mmm_reviews", frame("models.mmm_reviews", [review]))
        rng = np.random.default_rng(7)
        rows = [
            {
                "run_id": "mmm-test",
                "geo": "national",
                "channel": channel,
                "draw": draw,
                "form": "logistic",
                "adstock_alpha": 0.3,
                "saturation_lam": TRUTH[channel][1],
                "outcome_beta": TRUTH[channel][0] * float(np.exp(rng.normal(0, self.spread))),
                "spend_scale": TRUTH[channel][2],
                "spend_share": 1.0,
            }
            for channel in channels
            for draw in range(DRAWS)
        ]
        self.warehouse.merge("models.mmm_draws", frame("models.mmm_draws", rows))
