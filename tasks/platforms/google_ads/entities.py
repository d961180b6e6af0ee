"""What an account holds: campaigns, ad groups, ads, asset groups of Performance Max, negative lists and keywords."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from tasks.platforms.google_ads import queries
from tasks.platforms.google_ads.enums import enum_name, last_part
from tasks.platforms.google_ads.reporting import Labels
from tasks.platforms.normalise import raw_rows

if TYPE_CHECKING:
    import polars as pl

TABLE = "ads.ads_entities"
Row = Any  # a protobuf GoogleAdsRow
# (kind, id, parent kind, parent id, clear name, status, detail)
Found = tuple[str, str, str | None, str | None, str, str, str | None]


def _campaign(row: Row) -> Found:
    c = row.campaign
    kind = enum_name("AdvertisingChannelType", c.advertising_channel_type)
    return "campaign", str(c.id), None, None, c.name, enum_name("CampaignStatus", c.status), kind


def _ad_group(row: Row) -> Found:
    group = row.ad_group
    return "adgroup", str(group.id), "campaign", str(row.campaign.id), group.name, enum_name("AdGroupStatus", group.status), None


def _ad(row: Row) -> Found:
    ad = row.ad_group_ad.ad
    status = enum_name("AdGroupAdStatus", row.ad_group_ad.status)
    return "ad", str(ad.id), "adgroup", str(row.ad_group.id), ad.name, status, enum_name("AdType", ad.type_)


def _asset_group(row: Row) -> Found:
    group, status = row.asset_group, enum_name("AssetGroupStatus", row.asset_group.status)
    return "asset_group", str(group.id), "campaign", last_part(group.campaign), group.name, status, None


def _negative_list(row: Row) -> Found:
    shared, status = row.shared_set, enum_name("SharedSetStatus", row.shared_set.status)
    return "negative_list", str(shared.id), None, None, shared.name, status, enum_name("SharedSetType", shared.type_)


def _negative_list_use(row: Row) -> Found:
    """A list in a campaign: one list may stand in many."""
    use = row.campaign_shared_set
    campaign, shared = last_part(use.campaign), last_part(use.shared_set)
    status = enum_name("CampaignSharedSetStatus", use.status)
    return "negative_list_use", f"{campaign}~{shared}", "campaign", campaign, "", status, shared


def _negative_keyword(row: Row) -> Found:
    criterion = row.campaign_criterion
    campaign, keyword = str(row.campaign.id), criterion.keyword
    match = enum_name("KeywordMatchType", keyword.match_type)
    status = enum_name("CampaignCriterionStatus", criterion.status)
    return "negative_criterion", f"{campaign}~{criterion.criterion_id}", "campaign", campaign, keyword.text, status, match


_KINDS: tuple[tuple[str, Callable[[Row], Found]], ...] = (
    (queries.CAMPAIGN_ENTITIES, _campaign),
    (queries.AD_GROUP_ENTITIES, _ad_group),
    (queries.AD_ENTITIES, _ad),
    (queries.ASSET_GROUPS, _asset_group),
    (queries.NEGATIVE_LISTS, _negative_list),
    (queries.NEGATIVE_LIST_USES, _negative_list_use),
    (queries.NEGATIVE_KEYWORDS, _negative_keyword),
)


def entity_frame(ask: Callable[[str], Iterable[Row]], labels: Labels, run_date: date) -> pl.DataFrame:
    """Raw rows of ads.ads_entities as they stand now, dated ``run_date``; ``ask`` runs a query. Names are hashed here."""
    return raw_rows(TABLE, (_record(found, labels, run_date) for found in _found(ask)))


def _found(ask: Callable[[str], Iterable[Row]]) -> Iterator[Found]:
    for query, read in _KINDS:
        yield from (read(row) for row in ask(query))


def _record(found: Found, labels: Labels, run_date: date) -> dict[str, object]:
    kind, id_, parent_kind, parent_id, name, status, detail = found
    return {
        "date": run_date,
        "entity_kind": kind,
        "entity_id": id_,
        "parent_kind": parent_kind,
        "parent_id": parent_id,
        "creative_id": None,
        "name_hash": labels.hash(name),
        "status": status,
        "detail": detail,
    }
