"""Ads of the small advertiser, and change sets that switch them, for the tests of this stage."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from act_world import ACCOUNT, AUTHOR, NOW, RUN_DATE, World, store

from tasks.act.stored import StoredSet
from tasks.core.ad_changes import AdChange, AdStatusSet, ad_change_id, make_ad_set
from tasks.core.contracts import load_contract
from tasks.core.warehouse import Warehouse

ON, OFF = "ENABLED", "PAUSED"
WHY = "P(best) is below 1 % after 4,000 visits."


def ads() -> list[list[str]]:
    """Campaign, ad group, ad, status: g1 has two ads on, g2 one of two, g3 its only one."""
    return [
        ["c1", "g1", "a1", ON],
        ["c1", "g1", "a2", ON],
        ["c1", "g1", "a3", OFF],
        ["c2", "g2", "a4", ON],
        ["c2", "g2", "a5", OFF],
        ["c5", "g3", "a6", ON],
    ]


GROUP_OF = {ad: (campaign, group) for campaign, group, ad, _ in ads()}


def switch(ad_id: str, after: str, run_date: date = RUN_DATE, **facts: Any) -> AdChange:
    """Switch one of the world's ads."""
    campaign_id, adgroup_id = GROUP_OF[ad_id]
    made = {
        "change_id": ad_change_id("google_ads", ACCOUNT, run_date, (adgroup_id, ad_id)),
        "campaign_id": campaign_id,
        "adgroup_id": adgroup_id,
        "ad_id": ad_id,
        "status_before": OFF if after == ON else ON,
        "status_after": after,
        "reason": WHY,
    }
    return AdChange(**(made | facts))


def ad_set(*changes: AdChange, run_date: date = RUN_DATE, **facts: Any) -> AdStatusSet:
    """A set of ``changes``."""
    made: dict[str, Any] = {
        "platform": "google_ads",
        "account_id": ACCOUNT,
        "currency_code": "USD",
        "run_date": run_date,
        "author": AUTHOR,
        "mode": "live",
        "decisions_sha256": "1" * 64,
        "policy_sha256": "0" * 64,
        "data_through_date": run_date - timedelta(days=1),
    }
    return make_ad_set(AdStatusSet(changes=changes, **(made | facts)))


def propose_ads(warehouse: Warehouse, *changes: AdChange, **facts: Any) -> StoredSet:
    """Store a set as plan-ads does."""
    return store(warehouse, ad_set(*changes, **facts), kind="ad_status")


class AdWorld(World):
    """The same account with ads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.platform.ads = ads()

    def propose_ads(self, *changes: AdChange, **facts: Any) -> StoredSet:
        """Propose; default: a5 on, then a1 and a4 off."""
        chosen = changes or (switch("a4", OFF), switch("a5", ON), switch("a1", OFF))
        return propose_ads(self.warehouse, *chosen, **facts)

    def prepared(self, stored: StoredSet) -> StoredSet:
        """``stored`` approved, snapshot and validated."""
        self.decide(stored)
        self.snapshot(stored)
        self.validate(stored)
        return stored

    def ready_ads(self, *changes: AdChange, **facts: Any) -> StoredSet:
        """A set that is approved, snapshot and validated."""
        return self.prepared(self.propose_ads(*changes, **facts))

    def load_statuses(self, day: date = RUN_DATE) -> None:
        """What ingest-ads would load this morning."""
        rows = [
            {
                "platform": "google_ads",
                "account_id": ACCOUNT,
                "date": day,
                "campaign_id": ad.campaign_id,
                "adgroup_id": ad.adgroup_id,
                "ad_id": ad.ad_id,
                "ad_status": ad.status,
                "adgroup_status": ad.adgroup_status,
                "campaign_status": ad.campaign_status,
                "loaded_at": NOW,
            }
            for ad in self.platform.read_ads(ACCOUNT, sorted({a[1] for a in self.platform.ads}))
        ]
        table = "ads.ad_statuses"
        self.warehouse.replace_partitions(
            table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()), partitions=[day]
        )
