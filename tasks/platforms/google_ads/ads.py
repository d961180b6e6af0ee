"""The status of ads: what is read, and the request that enables and pauses. Its answer is read by answers.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tasks.core.ad_changes import AdState
from tasks.core.errors import JobError
from tasks.platforms.base import AdStatus
from tasks.platforms.google_ads.enums import enum_name
from tasks.platforms.google_ads.mutates import start_request

SETTABLE = ("ENABLED", "PAUSED")


def build_request(client: Any, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Any:
    """One MutateAdGroupAdsRequest that sets nothing but ``status``, with partial failure.

    JobError on no rows, too many, an ad named twice, an id that is no number or a status that is neither ENABLED nor PAUSED.
    """
    request = start_request(
        client, "MutateAdGroupAdsRequest", account_id, statuses, ("an ad", "ads"), validate_only=validate_only
    )
    for wanted in statuses:
        if not (wanted.adgroup_id.isdecimal() and wanted.ad_id.isdecimal()) or wanted.status not in SETTABLE:
            raise JobError(f"{wanted.change_id}: ad {wanted.resource_id!r} to {wanted.status!r} makes no sense")
        operation = request.operations.add()
        operation.update.resource_name = f"customers/{account_id}/adGroupAds/{wanted.resource_id}"
        operation.update.status = getattr(client.enums.AdGroupAdStatusEnum, wanted.status)
        operation.update_mask.paths.append("status")
    return request


def to_states(rows: Iterable[Any]) -> list[AdState]:
    """The rows of ``queries.ads``, by ad group and ad."""
    found = [
        AdState(
            campaign_id=str(row.campaign.id),
            adgroup_id=str(row.ad_group.id),
            ad_id=str(row.ad_group_ad.ad.id),
            status=enum_name("AdGroupAdStatus", row.ad_group_ad.status),
            adgroup_status=enum_name("AdGroupStatus", row.ad_group.status),
            campaign_status=enum_name("CampaignStatus", row.campaign.status),
        )
        for row in rows
    ]
    return sorted(found, key=lambda ad: (int(ad.adgroup_id), int(ad.ad_id)))
