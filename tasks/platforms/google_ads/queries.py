"""The GAQL of the adapter. Values are dates, whole numbers and timestamps made here; nothing from outside is pasted in."""

# ruff: noqa: S608 - GAQL, which only reads; every value is made here and the ids are checked to be digits
from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

CHANGE_LIMIT = 10_000  # the most the API returns for change_event

ACCOUNTS = """
SELECT customer_client.id, customer_client.descriptive_name, customer_client.currency_code, customer_client.time_zone,
  customer_client.status
FROM customer_client
WHERE customer_client.manager = FALSE"""

CUSTOMER = "SELECT customer.id, customer.currency_code, customer.time_zone FROM customer"

CONVERSION_WINDOWS = """
SELECT conversion_action.id, conversion_action.click_through_lookback_window_days
FROM conversion_action
WHERE conversion_action.status = 'ENABLED' AND conversion_action.include_in_conversions_metric = TRUE"""

MEMBERS = """
SELECT campaign.id, campaign.name, campaign.status, campaign.advertising_channel_type, campaign.advertising_channel_sub_type,
  campaign.campaign_budget
FROM campaign
WHERE campaign.status != 'REMOVED'"""

CAMPAIGN_ENTITIES = """
SELECT campaign.id, campaign.name, campaign.status, campaign.advertising_channel_type
FROM campaign
WHERE campaign.status != 'REMOVED'"""

AD_GROUP_ENTITIES = """
SELECT campaign.id, ad_group.id, ad_group.name, ad_group.status
FROM ad_group
WHERE ad_group.status != 'REMOVED'"""

AD_ENTITIES = """
SELECT ad_group.id, ad_group_ad.ad.id, ad_group_ad.ad.name, ad_group_ad.ad.type, ad_group_ad.status
FROM ad_group_ad
WHERE ad_group_ad.status != 'REMOVED'"""

ASSET_GROUPS = """
SELECT asset_group.id, asset_group.name, asset_group.status, asset_group.campaign
FROM asset_group
WHERE asset_group.status != 'REMOVED'"""

NEGATIVE_LISTS = """
SELECT shared_set.id, shared_set.name, shared_set.type, shared_set.status
FROM shared_set
WHERE shared_set.type IN ('NEGATIVE_KEYWORDS', 'NEGATIVE_PLACEMENTS') AND shared_set.status != 'REMOVED'"""

NEGATIVE_LIST_USES = """
SELECT campaign_shared_set.campaign, campaign_shared_set.shared_set, campaign_shared_set.status
FROM campaign_shared_set
WHERE campaign_shared_set.status != 'REMOVED'"""

NEGATIVE_KEYWORDS = """
SELECT campaign.id, campaign_criterion.criterion_id, campaign_criterion.keyword.text, campaign_criterion.keyword.match_type,
  campaign_criterion.status
FROM campaign_criterion
WHERE campaign_criterion.negative = TRUE AND campaign_criterion.type = 'KEYWORD'"""


def _days(start: date, end: date) -> str:
    return f"segments.date BETWEEN '{start.isoformat()}' AND '{end.isoformat()}'"


def campaign_days(start: date, end: date) -> str:
    """Delivery, results and search impression shares per campaign and day."""
    return f"""
SELECT segments.date, campaign.id, campaign.name, campaign.status, campaign.advertising_channel_type,
  campaign.advertising_channel_sub_type, campaign.campaign_budget, customer.currency_code, metrics.impressions,
  metrics.clicks, metrics.cost_micros, metrics.conversions, metrics.conversions_value, metrics.video_trueview_views,
  metrics.video_quartile_p100_rate, metrics.search_impression_share,
  metrics.search_budget_lost_impression_share, metrics.search_rank_lost_impression_share
FROM campaign
WHERE {_days(start, end)}"""


def ad_days(start: date, end: date) -> str:
    """Delivery and results per ad and day. Performance Max has no ads and is not in it."""
    return f"""
SELECT segments.date, campaign.id, campaign.name, campaign.advertising_channel_type,
  campaign.advertising_channel_sub_type, ad_group.id, ad_group_ad.ad.id, ad_group_ad.ad.name, ad_group_ad.status,
  customer.currency_code, metrics.impressions, metrics.clicks, metrics.cost_micros, metrics.conversions,
  metrics.conversions_value, metrics.video_trueview_views, metrics.video_quartile_p100_rate
FROM ad_group_ad
WHERE {_days(start, end)}"""


def _criterion_days(view: str, of_criterion: str, start: date, end: date) -> str:
    return f"""
SELECT segments.date, campaign.id, campaign.name, campaign.advertising_channel_type,
  campaign.advertising_channel_sub_type, ad_group.id, ad_group_criterion.criterion_id, ad_group_criterion.status,
  {of_criterion}, customer.currency_code, metrics.impressions, metrics.clicks,
  metrics.cost_micros, metrics.conversions, metrics.conversions_value
FROM {view}
WHERE {_days(start, end)}"""


def keyword_days(start: date, end: date) -> str:
    """Delivery and results per keyword and day. Search ads that Google matches without keywords are not in it."""
    return _criterion_days("keyword_view", "ad_group_criterion.keyword.text, ad_group_criterion.keyword.match_type", start, end)


def audience_days(start: date, end: date) -> str:
    """Delivery and results per audience of an ad group and day; who is in none of them is not in it."""
    return _criterion_days("ad_group_audience_view", "ad_group_criterion.display_name", start, end)


def asset_group_days(start: date, end: date) -> str:
    """Delivery and results per asset group of Performance Max and day."""
    return f"""
SELECT segments.date, asset_group.id, asset_group.campaign, metrics.impressions, metrics.clicks, metrics.cost_micros,
  metrics.conversions, metrics.conversions_value
FROM asset_group
WHERE {_days(start, end)}"""


def conversion_days(start: date, end: date) -> str:
    """Conversions per campaign, conversion action, lag bucket and click day."""
    return f"""
SELECT segments.date, campaign.id, segments.conversion_action, segments.conversion_action_category,
  segments.conversion_lag_bucket, metrics.conversions, metrics.conversions_value
FROM campaign
WHERE {_days(start, end)}"""


def budgets(budget_ids: Sequence[str] | None = None) -> str:
    """Daily budgets as they stand now; only ``budget_ids`` (digits) if given."""
    only = f"\n  AND campaign_budget.id IN ({', '.join(budget_ids)})" if budget_ids else ""
    return f"""
SELECT campaign_budget.id, campaign_budget.name, campaign_budget.amount_micros, campaign_budget.explicitly_shared,
  campaign_budget.reference_count, campaign_budget.status, customer.currency_code
FROM campaign_budget
WHERE campaign_budget.status != 'REMOVED' AND campaign_budget.period = 'DAILY'{only}"""


def ads(adgroup_ids: Sequence[str] | None = None) -> str:
    """Ads as they stand now with their ad group and campaign; only those of ``adgroup_ids`` (digits) if given."""
    only = f"\n  AND ad_group.id IN ({', '.join(adgroup_ids)})" if adgroup_ids else ""
    return f"""
SELECT campaign.id, campaign.status, ad_group.id, ad_group.status, ad_group_ad.ad.id, ad_group_ad.status
FROM ad_group_ad
WHERE ad_group_ad.status != 'REMOVED'{only}"""


def changes(start: datetime, end: datetime) -> str:
    """Change events of ``start`` ≤ time < ``end`` (wall-clock times of the account), oldest first."""
    return f"""
SELECT change_event.resource_name, change_event.change_date_time, change_event.change_resource_type,
  change_event.change_resource_name, change_event.client_type, change_event.user_email,
  change_event.resource_change_operation, change_event.changed_fields, change_event.old_resource,
  change_event.new_resource
FROM change_event
WHERE change_event.change_date_time >= '{start:%Y-%m-%d %H:%M:%S}' AND change_event.change_date_time < '{end:%Y-%m-%d %H:%M:%S}'
ORDER BY change_event.change_date_time
LIMIT {CHANGE_LIMIT}"""


def campaign_named(label: str) -> str:
    """The campaign of this name; ``label`` is letters, digits and dashes."""
    return f"SELECT campaign.id FROM campaign WHERE campaign.status != 'REMOVED' AND campaign.name = '{label}'"


def budget_named(label: str) -> str:
    """The budget of this name; ``label`` is letters, digits and dashes."""
    return f"""
SELECT campaign_budget.id
FROM campaign_budget
WHERE campaign_budget.status != 'REMOVED' AND campaign_budget.name = '{label}'"""


def ad_group_named(label: str, campaign_id: str) -> str:
    """The ad group of this name in a campaign; ``label`` is letters, digits and dashes."""
    return f"""
SELECT ad_group.id
FROM ad_group
WHERE ad_group.status != 'REMOVED' AND ad_group.name = '{label}' AND campaign.id = {campaign_id}"""
