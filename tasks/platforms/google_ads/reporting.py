"""Answered rows of each report as a raw frame: one tuple a row, then one frame, no per-cell Polars work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tasks.core.errors import JobError
from tasks.core.redaction import hash_name
from tasks.platforms.google_ads.enums import enum_name, last_part
from tasks.platforms.google_ads.labels import label

if TYPE_CHECKING:
    import polars as pl

MICROS = 1_000_000
Row = Any  # a protobuf GoogleAdsRow


class Labels:
    """Name hashes, channel and brand per campaign, worked out once per campaign instead of once per day.

    Args:
        salt: for the hashes.
        brand_terms: the advertiser's own, see labels.py.
    """

    def __init__(self, salt: bytes, brand_terms: tuple[str, ...]) -> None:
        self._salt = salt
        self._brand_terms = brand_terms
        self._campaigns: dict[tuple[int, str, int, int], tuple[str | None, str, bool]] = {}
        self._names: dict[str, str | None] = {}

    def campaign(self, campaign: Any) -> tuple[str | None, str, bool]:
        """(name_hash, channel, is_brand)."""
        key = (campaign.id, campaign.name, campaign.advertising_channel_type, campaign.advertising_channel_sub_type)
        found = self._campaigns.get(key)
        if found is None:
            channel_type = enum_name("AdvertisingChannelType", key[2])
            sub_type = enum_name("AdvertisingChannelSubType", key[3])
            found = (hash_name(key[1], self._salt), *label(channel_type, sub_type, key[1], self._brand_terms))
            self._campaigns[key] = found
        return found

    def hash(self, name: str) -> str | None:
        """Hash of any other name or e-mail address."""
        if name not in self._names:
            self._names[name] = hash_name(name, self._salt)
        return self._names[name]


def _numbers(metrics: Any) -> tuple[int, int, int, float, int]:
    value = round(metrics.conversions_value * MICROS)
    return metrics.impressions, metrics.clicks, metrics.cost_micros, metrics.conversions, value


def _video(metrics: Any, channel: str) -> tuple[int | None, int | None]:
    """Views and views to the end; the API tells the latter as a share of impressions. Null where a channel shows no video."""
    if channel not in _VIDEO_CHANNELS:
        return None, None
    return metrics.video_trueview_views, round(metrics.video_quartile_p100_rate * metrics.impressions)


_VIDEO_CHANNELS = {"YOUTUBE", "DEMAND_GEN", "PMAX"}
_VIDEO = ("video_views", "video_completions")
_NUMBERS = ("impressions", "clicks", "cost_micros", "conversions", "revenue_micros")
_SHARES = ("search_impression_share", "search_budget_lost_impression_share", "search_rank_lost_impression_share")


def campaign_row(row: Row, labels: Labels) -> tuple[Any, ...]:
    """One campaign day in the order of CAMPAIGN_COLUMNS."""
    campaign, metrics = row.campaign, row.metrics
    name_hash, channel, is_brand = labels.campaign(campaign)
    return (
        row.segments.date,
        str(campaign.id),
        name_hash,
        channel,
        is_brand,
        enum_name("CampaignStatus", campaign.status),
        last_part(campaign.campaign_budget) or None,
        *_numbers(metrics),
        *_video(metrics, channel),
        *(getattr(metrics, share) if metrics.HasField(share) else None for share in _SHARES),
        row.customer.currency_code,
    )


CAMPAIGN_COLUMNS = (
    *("date", "campaign_id", "name_hash", "channel", "is_brand", "campaign_status", "budget_id"),
    *_NUMBERS,
    *_VIDEO,
    *_SHARES,
    "currency_code",
)


def ad_row(row: Row, labels: Labels) -> tuple[Any, ...]:
    """One ad day in the order of AD_COLUMNS."""
    _, channel, is_brand = labels.campaign(row.campaign)
    ad = row.ad_group_ad.ad
    return (
        row.segments.date,
        str(row.campaign.id),
        str(row.ad_group.id),
        str(ad.id),
        labels.hash(ad.name),
        channel,
        is_brand,
        enum_name("AdGroupAdStatus", row.ad_group_ad.status),
        *_numbers(row.metrics),
        *_video(row.metrics, channel),
        row.customer.currency_code,
    )


AD_COLUMNS = (
    *("date", "campaign_id", "adgroup_id", "ad_id", "name_hash", "channel", "is_brand", "ad_status"),
    *_NUMBERS,
    *_VIDEO,
    "currency_code",
)


def keyword_row(row: Row, labels: Labels) -> tuple[Any, ...]:
    """One keyword day in the order of CRITERION_COLUMNS."""
    keyword = row.ad_group_criterion.keyword
    return _criterion_row(row, labels, "keyword", keyword.text, enum_name("KeywordMatchType", keyword.match_type))


def audience_row(row: Row, labels: Labels) -> tuple[Any, ...]:
    """One audience day in the order of CRITERION_COLUMNS."""
    return _criterion_row(row, labels, "audience", row.ad_group_criterion.display_name, None)


def _criterion_row(row: Row, labels: Labels, kind: str, name: str, match_type: str | None) -> tuple[Any, ...]:
    _, channel, is_brand = labels.campaign(row.campaign)
    criterion = row.ad_group_criterion
    return (
        row.segments.date,
        str(row.campaign.id),
        str(row.ad_group.id),
        kind,
        str(criterion.criterion_id),
        labels.hash(name),
        match_type,
        channel,
        is_brand,
        enum_name("AdGroupCriterionStatus", criterion.status),
        *_numbers(row.metrics),
        row.customer.currency_code,
    )


CRITERION_COLUMNS = (
    *("date", "campaign_id", "adgroup_id", "criterion_kind", "criterion_id", "name_hash", "match_type", "channel", "is_brand"),
    "criterion_status",
    *_NUMBERS,
    "currency_code",
)


def asset_group_row(row: Row, _labels: Labels) -> tuple[Any, ...]:
    """One day of an asset group in the order of ASSET_GROUP_COLUMNS."""
    group = row.asset_group
    return (row.segments.date, "campaign", last_part(group.campaign), "asset_group", str(group.id), 1, *_numbers(row.metrics))


ASSET_GROUP_COLUMNS = ("date", "level", "entity_id", "breakdown", "segment_id", "period_days", *_NUMBERS)


def conversion_row(row: Row, _labels: Labels) -> tuple[Any, ...]:
    """One conversion action, lag bucket and click day of a campaign in the order of CONVERSION_COLUMNS."""
    segments, metrics = row.segments, row.metrics
    return (
        segments.date,
        str(row.campaign.id),
        last_part(segments.conversion_action),
        enum_name("ConversionActionCategory", segments.conversion_action_category),
        enum_name("ConversionLagBucket", segments.conversion_lag_bucket),
        metrics.conversions,
        round(metrics.conversions_value * MICROS),
    )


CONVERSION_COLUMNS = (
    *("date", "campaign_id", "conversion_action_id", "conversion_action_category", "lag_bucket"),
    *("conversions", "revenue_micros"),
)


def raw_frame(
    rows: Iterable[Row],
    labels: Labels,
    to_tuple: Callable[[Row, Labels], tuple[Any, ...]],
    columns: tuple[str, ...],
    schema: dict[str, pl.DataType],
) -> pl.DataFrame:
    """Rows as a frame of ``columns`` with the contract's dtypes; JobError names a date that is none."""
    import polars as pl

    types = {name: pl.String() if name == "date" else schema[name] for name in columns}
    frame = pl.DataFrame([to_tuple(row, labels) for row in rows], schema=types, orient="row")
    days = frame["date"].str.to_date("%Y-%m-%d", strict=False)
    if days.null_count():
        wrong = frame.filter(days.is_null())["date"][0]
        raise JobError(f"the platform sent the date {wrong!r}, which is no YYYY-MM-DD; load the day again")
    return frame.with_columns(days)
