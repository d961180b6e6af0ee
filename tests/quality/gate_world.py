"""A small, healthy world of contract tables that a test breaks in one place."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

RUN_DATE = date(2026, 3, 2)
DAYS = [RUN_DATE - timedelta(days=back) for back in range(100, 0, -1)]
LOADED = datetime(2026, 3, 2, 5, tzinfo=UTC)
MICROS = 1_000_000
Row = dict[str, Any]


def _performance(campaign: str, day: date) -> Row:
    return {
        "platform": "google_ads",
        "account_id": "111",
        "date": day,
        "campaign_id": campaign,
        "channel": "YOUTUBE",
        "is_brand": False,
        "campaign_status": "ENABLED",
        "budget_id": f"b{campaign}",
        "impressions": 1000,
        "clicks": 40,
        "cost_micros": (100 + day.weekday()) * MICROS,
        "conversions": 4.0,
        "revenue_micros": 300 * MICROS,
        "currency_code": "EUR",
        "timezone": "Europe/Berlin",
        "attribution_window": "30d_click",
        "loaded_at": LOADED,
    }


def _budget(campaign: str, day: date) -> Row:
    return {
        "platform": "google_ads",
        "account_id": "111",
        "date": day,
        "budget_id": f"b{campaign}",
        "amount_micros": 100 * MICROS,
        "is_explicitly_shared": False,
        "reference_count": 1,
        "member_campaign_ids": [campaign],
        "enabled_campaign_ids": [campaign],
        "channels": ["YOUTUBE"],
        "status": "ENABLED",
        "currency_code": "EUR",
        "loaded_at": LOADED,
    }


def healthy_rows() -> dict[str, list[Row]]:
    """Rows of every table that the gates read, free of defects."""
    campaigns = ("1", "2", "3", "4")
    crm = {"source": "crm", "geo": "national", "period_days": 1, "loaded_at": LOADED}
    performance = [_performance(campaign, day) for campaign in campaigns for day in DAYS]
    ads = [
        {
            **{k: row[k] for k in row if k not in ("campaign_status", "budget_id")},
            "adgroup_id": "g",
            "ad_id": "a",
            "ad_status": "ENABLED",
        }
        for row in performance
    ]
    no_criterion = ("ad_id", "ad_status", "ctr", "cvr", "avg_cpc_micros")
    keywords = [
        {k: row[k] for k in row if k not in no_criterion}
        | {"criterion_kind": "keyword", "criterion_id": "k", "match_type": "EXACT", "criterion_status": "ENABLED"}
        for row in ads
    ]
    shared = ("platform", "account_id", "date", "campaign_id", "conversions", "revenue_micros", "currency_code", "loaded_at")
    actions = [
        {
            **{k: row[k] for k in shared},
            "conversion_action_id": "9",
            "conversion_action_category": "PURCHASE",
            "lag_bucket": "LESS_THAN_ONE_DAY",
        }
        for row in performance
    ]
    event = {
        "platform": "google_ads",
        "account_id": "111",
        "change_event_id": "e1",
        "date": DAYS[-1],
        "changed_at": LOADED - timedelta(hours=10),
        "resource_type": "CAMPAIGN_BUDGET",
        "resource_id": "b1",
        "operation": "UPDATE",
        "client_type": "GOOGLE_ADS_WEB_CLIENT",
        "loaded_at": LOADED,
    }
    account = {
        "platform": "google_ads",
        "account_id": "111",
        "currency_code": "EUR",
        "timezone": "Europe/Berlin",
        "status": "ENABLED",
        "loaded_at": LOADED,
    }
    return {
        "ads.ads_accounts": [account],
        "ads.ads_campaign_performance": performance,
        "ads.ads_ad_performance": ads,
        "ads.ads_criterion_performance": keywords,
        "ads.ads_conversion_action_stats": actions,
        "ads.ads_change_events": [event],
        "ads.campaign_budgets": [_budget(campaign, day) for campaign in campaigns for day in (*DAYS[-5:], RUN_DATE)],
        "ads.business_outcomes": [
            {**crm, "period_start_date": day, "new_customers": 20.0, "revenue_micros": 900 * MICROS, "currency_code": "EUR"}
            for day in DAYS
        ],
        "ads.business_controls": [
            {**crm, "control": "promotion", "period_start_date": day, "value": float(day.weekday() == 0)} for day in DAYS
        ],
    }
