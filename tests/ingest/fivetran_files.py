"""What stands in the reports of ``../shared/data/fivetran_ads``, read with Python's csv module alone and added up in decimals.

Nothing here uses the job or its specs: which columns of a file hold its numbers and ids is written down once more, by hand.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

MICRO = Decimal(1_000_000)


@dataclass(frozen=True)
class Numbers:
    """Where a file's numbers lie: table, the rows of it that only this file gives, and total → columns of the file.

    A total is named after the table's column, ``column@window`` where each attribution window has its own. Amounts are in
    micros in the file if ``in_micros`` says so.
    """

    table: str
    where: Mapping[str, str]
    totals: Mapping[str, tuple[str, ...]]
    in_micros: tuple[str, ...] = ()


@dataclass(frozen=True)
class History:
    """Entities of a file: their id and parent as columns of the file, the status (None: told by none), the order of rows."""

    platform: str
    kind: str
    id: tuple[str, ...] = ("id",)
    parent: str | None = None
    status: str | None = None
    order: str | None = None


@dataclass
class Sums:
    """Rows of a file, how many repeat another to the letter, and its totals in units."""

    rows: int
    identical: int
    totals: dict[str, Decimal] = field(default_factory=dict)


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, header in lower case."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = [name.lower() for name in next(reader)]
        return [dict(zip(header, row, strict=True)) for row in reader]


def sums_of(path: Path, numbers: Numbers | None) -> Sums:
    """A plain sum over the file without its identical rows."""
    rows = rows_of(path)
    distinct = [dict(row) for row in dict.fromkeys(tuple(row.items()) for row in rows)]
    sums = Sums(len(rows), len(rows) - len(distinct))
    for total, columns in (numbers.totals if numbers else {}).items():
        exact = sum((Decimal(row[c]) for row in distinct for c in columns if row[c].strip()), Decimal(0))
        in_micros = numbers is not None and total.split("@")[0] in numbers.in_micros
        sums.totals[total] = exact / MICRO if in_micros else exact
    return sums


def newest_of(path: Path, history: History) -> dict[str, dict[str, str]]:
    """Entity id → its newest row."""

    def moment(row: dict[str, str]) -> str:
        text = row[history.order].replace("T", " ") if history.order else ""
        return re.sub(r" (\d):", r" 0\1:", text)

    found: dict[str, dict[str, str]] = {}
    for row in rows_of(path):
        entity = "~".join(row[c] for c in history.id)
        if entity not in found or moment(row) >= moment(found[entity]):
            found[entity] = row
    return found


def _by(table: str, platform: str, level: str, breakdown: str) -> tuple[str, dict[str, str]]:
    return f"ads.ads_{table}_performance", {"platform": platform, "level": level, "breakdown": breakdown}


def _all(table: str, platform: str) -> tuple[str, dict[str, str]]:
    return f"ads.ads_{table}_performance", {"platform": platform}


_GOOGLE = {
    "impressions": ("impressions",),
    "clicks": ("clicks",),
    "cost_micros": ("cost_micros",),
    "conversions": ("conversions",),
    "revenue_micros": ("conversions_value",),
}
_META = {"impressions": ("impressions",), "clicks": ("inline_link_clicks",), "cost_micros": ("spend",)}
_LINKEDIN = {
    "impressions": ("impressions",),
    "clicks": ("clicks",),
    "cost_micros": ("cost_in_local_currency",),
    "conversions": ("external_website_conversions",),
    "revenue_micros": ("conversion_value_in_local_currency",),
}
_MONTHLY = _LINKEDIN | {"conversions": ("external_website_post_click_conversions",)}
_SOCIAL = {"impressions": ("impressions",), "clicks": ("clicks",), "cost_micros": ("spend",)}
_TIKTOK = _SOCIAL | {"conversions": ("conversion",)}
_HOURLY = _TIKTOK | {"revenue_micros": ("total_purchase_value", "total_sales_lead_value")}
_X = {"impressions": ("impressions",), "clicks": ("clicks",), "cost_micros": ("billed_charge_local_micro",)}
_X_CONVERSIONS = _X | {
    "conversions": ("conversion_purchases_metric", "conversion_custom_metric"),
    "revenue_micros": ("conversion_purchases_sale_amount", "conversion_custom_sale_amount"),
}
_WINDOWS = {
    f"actions@{days}d_{how}": (f"{how}_through_conversion_attribution_window_{span}",)
    for how in ("click", "view")
    for days, span in ((1, "day"), (7, "week"), (28, "month"))
}
_REDDIT = _WINDOWS | {"revenue_micros@default": ("total_value",)}
_MONTHS = {total: columns for total, columns in _REDDIT.items() if "28d" in total or "default" in total}
_COST = ("cost_micros",)
_AMOUNTS = ("cost_micros", "revenue_micros")

NUMBERS: dict[str, Numbers] = {
    "facebook_ads_basic_ad_data": Numbers(*_all("ad", "meta"), _META),
    "facebook_ads_basic_ad_actions_data": Numbers(
        *_by("action", "meta", "ad", "none"),
        {"actions@default": ("value",), "actions@1d_view": ("_1_d_view",), "actions@7d_click": ("_7_d_click",)}
        | {"actions@inline": ("inline",)},
    ),
    "facebook_ads_basic_ad_action_values_data": Numbers(
        *_by("action", "meta", "ad", "none"),
        {"revenue_micros@default": ("value",), "revenue_micros@7d_click": ("_7_d_click",)},
    ),
    "facebook_ads_demographics_country_data": Numbers(*_by("breakdown", "meta", "account", "country"), _META),
    "facebook_ads_demographics_region_data": Numbers(*_by("breakdown", "meta", "account", "region"), _META),
    "facebook_ads_demographics_country_actions_data": Numbers(
        *_by("action", "meta", "account", "country"), {"actions@default": ("value",), "actions@inline": ("inline",)}
    ),
    "facebook_ads_demographics_region_actions_data": Numbers(
        *_by("action", "meta", "account", "region"), {"actions@default": ("value",)}
    ),
    "google_ads_account_stats_data": Numbers(*_by("breakdown", "google_ads", "account", "none"), _GOOGLE, _COST),
    "google_ads_ad_group_stats_data": Numbers(*_by("breakdown", "google_ads", "adgroup", "none"), _GOOGLE, _COST),
    "google_ads_search_term_keyword_stats_data": Numbers(
        *_by("breakdown", "google_ads", "adgroup", "search_term"), _GOOGLE, _COST
    ),
    "google_ads_campaign_stats_data": Numbers(*_all("campaign", "google_ads"), _GOOGLE, _COST),
    "google_ads_ad_stats_data": Numbers(*_all("ad", "google_ads"), _GOOGLE, _COST),
    "google_ads_keyword_stats_data": Numbers(*_all("criterion", "google_ads"), _GOOGLE, _COST),
    "linkedin_ad_analytics_by_campaign_data": Numbers(*_all("campaign", "linkedin"), _LINKEDIN),
    "linkedin_ad_analytics_by_creative_data": Numbers(*_all("ad", "linkedin"), _LINKEDIN),
    "linkedin_monthly_ad_analytics_by_member_country_data": Numbers(
        *_by("breakdown", "linkedin", "campaign", "country"), _MONTHLY
    ),
    "linkedin_monthly_ad_analytics_by_member_region_data": Numbers(*_by("breakdown", "linkedin", "campaign", "region"), _MONTHLY),
    "reddit_ads_account_report_data": Numbers(*_by("breakdown", "reddit", "account", "none"), _SOCIAL, _COST),
    "reddit_ads_ad_group_report_data": Numbers(*_by("breakdown", "reddit", "adgroup", "none"), _SOCIAL, _COST),
    "reddit_ads_campaign_country_report_data": Numbers(*_by("breakdown", "reddit", "campaign", "country"), _SOCIAL, _COST),
    "reddit_ads_campaign_report_data": Numbers(*_all("campaign", "reddit"), _SOCIAL, _COST),
    "reddit_ads_ad_report_data": Numbers(*_all("ad", "reddit"), _SOCIAL, _COST),
    "reddit_ads_account_conversions": Numbers(*_by("action", "reddit", "account", "none"), _REDDIT),
    "reddit_ads_campaign_conversions": Numbers(*_by("action", "reddit", "campaign", "none"), _REDDIT),
    "reddit_ads_ad_group_conversions": Numbers(*_by("action", "reddit", "adgroup", "none"), _REDDIT),
    "reddit_ads_ad_conversions": Numbers(*_by("action", "reddit", "ad", "none"), _REDDIT),
    "reddit_ads_campaign_country_conversions_report_data": Numbers(*_by("action", "reddit", "campaign", "country"), _MONTHS),
    "tiktok_ad_report_hourly_data": Numbers(*_all("ad", "tiktok"), _HOURLY),
    "tiktok_adgroup_report_hourly_data": Numbers(*_by("breakdown", "tiktok", "adgroup", "none"), _HOURLY),
    "tiktok_campaign_report_hourly_data": Numbers(*_all("campaign", "tiktok"), _HOURLY),
    "tiktok_campaign_country_report_data": Numbers(*_by("breakdown", "tiktok", "campaign", "country"), _TIKTOK),
    "twitter_account_report_data": Numbers(*_by("breakdown", "x", "account", "none"), {"impressions": ("impressions",)}),
    "twitter_line_item_report_data": Numbers(*_by("breakdown", "x", "adgroup", "none"), _X_CONVERSIONS, _AMOUNTS),
    "twitter_line_item_keywords_report_data": Numbers(*_by("breakdown", "x", "adgroup", "keyword"), _X_CONVERSIONS, _AMOUNTS),
    "twitter_campaign_locations_report_data": Numbers(*_by("breakdown", "x", "campaign", "country"), _X, _COST),
    "twitter_campaign_regions_report_data": Numbers(*_by("breakdown", "x", "campaign", "region"), _X, _COST),
    "twitter_campaign_report_data": Numbers(*_all("campaign", "x"), _X_CONVERSIONS, _AMOUNTS),
    "twitter_promoted_tweet_report_data": Numbers(*_all("ad", "x"), _X, _COST),
}

HISTORIES: dict[str, History] = {
    "facebook_ads_account_history_data": History("meta", "account", order="_fivetran_synced"),
    "facebook_ads_campaign_history_data": History("meta", "campaign", parent="account_id", order="updated_time"),
    "facebook_ads_ad_set_history_data": History("meta", "adgroup", parent="campaign_id", order="updated_time"),
    "facebook_ads_ad_history_data": History("meta", "ad", parent="ad_set_id", order="updated_time"),
    "google_ads_account_history_data": History("google_ads", "account", order="updated_at"),
    "google_ads_campaign_history_data": History(
        "google_ads", "campaign", parent="customer_id", status="status", order="updated_at"
    ),
    "google_ads_ad_group_history_data": History(
        "google_ads", "adgroup", parent="campaign_id", status="status", order="updated_at"
    ),
    "google_ads_ad_history_data": History("google_ads", "ad", parent="ad_group_id", status="status", order="updated_at"),
    "google_ads_ad_group_criterion_history_data": History(
        "google_ads", "keyword", ("ad_group_id", "id"), "ad_group_id", "status", "updated_at"
    ),
    "linkedin_ad_account_history_data": History("linkedin", "account", order="last_modified_time"),
    "linkedin_ad_campaign_group_history_data": History(
        "linkedin", "campaign_group", parent="account_id", order="last_modified_time"
    ),
    "linkedin_ad_campaign_history_data": History("linkedin", "campaign", parent="campaign_group_id", order="last_modified_time"),
    "linkedin_ad_creative_history_data": History("linkedin", "creative", parent="campaign_id", status="intended_status"),
    "linkedin_geo_data": History("linkedin", "place"),
    "reddit_ads_account_data": History("reddit", "account", status="status"),
    "reddit_ads_business_account_data": History("reddit", "account", status="status"),
    "reddit_ads_campaign_data": History("reddit", "campaign", parent="account_id", status="effective_status"),
    "reddit_ads_ad_group_data": History("reddit", "adgroup", parent="campaign_id", status="effective_status"),
    "reddit_ads_ad_data": History("reddit", "ad", parent="ad_group_id", status="effective_status"),
    "tiktok_advertiser_data": History("tiktok", "account", status="status"),
    "tiktok_ad_history_data": History(
        "tiktok", "ad", ("ad_id",), parent="adgroup_id", status="operation_status", order="updated_at"
    ),
    # By its name campaigns, by every column of it the ads once more.
    "tiktok_campaign_history_data": History(
        "tiktok", "ad", ("ad_id",), parent="adgroup_id", status="operation_status", order="updated_at"
    ),
    "tiktok_adgroup_history_data": History(
        "tiktok", "adgroup", ("adgroup_id",), parent="campaign_id", status="operation_status", order="updated_at"
    ),
    "twitter_account_history_data": History("x", "account", status="approval_status", order="updated_at"),
    "twitter_campaign_history_data": History("x", "campaign", parent="account_id", status="entity_status", order="updated_at"),
    "twitter_line_item_history_data": History("x", "adgroup", parent="campaign_id", status="entity_status", order="updated_at"),
    "twitter_promoted_tweet_history_data": History("x", "ad", parent="line_item_id", status="entity_status", order="updated_at"),
    "twitter_tweet_data": History("x", "creative", parent="account_id"),
    "twitter_tweet_url_data": History("x", "url", ("tweet_id", "index"), parent="tweet_id"),
}
