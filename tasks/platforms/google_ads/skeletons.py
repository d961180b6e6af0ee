"""A paused search campaign with one ad group and one ad: what is there, and the request that makes what is missing.

All that is missing is made by one request, all or nothing. A responsive search ad bears no name on this platform, so any ad in
the labelled ad group counts as the skeleton's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import JobError
from tasks.platforms.base import Skeleton
from tasks.platforms.google_ads import queries

_LABEL = re.compile(r"[0-9A-Za-z-]{1,100}")
_HEADLINES = ("Headline one to be written", "Headline two to be written", "Headline three to be written")
_DESCRIPTIONS = ("First description, to be written before this ad is enabled.", "Second description, to be written as well.")


@dataclass(frozen=True)
class Found:
    """Ids of what bears the label, None for what is missing."""

    budget_id: str | None = None
    campaign_id: str | None = None
    adgroup_id: str | None = None
    ad_id: str | None = None


def find(ask: Callable[[str], Iterable[Any]], label: str) -> Found:
    """What there is of the skeleton ``label``; ``ask`` runs a query. JobError for a label that cannot stand in one."""
    if not _LABEL.fullmatch(label):
        raise JobError(f"the label {label!r} is not 1 to 100 letters, digits and dashes")
    campaigns = [str(row.campaign.id) for row in ask(queries.campaign_named(label))]
    if not campaigns:
        budgets = [str(row.campaign_budget.id) for row in ask(queries.budget_named(label))]
        return Found(budget_id=next(iter(budgets), None))
    groups = [str(row.ad_group.id) for row in ask(queries.ad_group_named(label, campaigns[0]))]
    if not groups:
        return Found(campaign_id=campaigns[0])
    ads = sorted(row.ad_group_ad.ad.id for row in ask(queries.ads(groups[:1])))
    return Found(campaign_id=campaigns[0], adgroup_id=groups[0], ad_id=str(ads[0]) if ads else None)


def build_request(client: Any, account_id: str, skeleton: Skeleton, found: Found, *, validate_only: bool) -> Any:
    """One MutateGoogleAdsRequest that creates what ``found`` lacks; it has no operation if nothing is missing."""
    request = client.get_type("MutateGoogleAdsRequest")
    request.customer_id, request.validate_only = account_id, validate_only
    root, enums = f"customers/{account_id}", client.enums
    budget = f"{root}/campaignBudgets/{found.budget_id or -1}"
    campaign = f"{root}/campaigns/{found.campaign_id or -2}"
    group = f"{root}/adGroups/{found.adgroup_id or -3}"
    if found.campaign_id is None:
        if found.budget_id is None:
            made = request.mutate_operations.add().campaign_budget_operation.create
            made.resource_name, made.name, made.amount_micros = budget, skeleton.label, skeleton.daily_budget_micros
            made.explicitly_shared = False
        made = request.mutate_operations.add().campaign_operation.create
        made.resource_name, made.name, made.campaign_budget = campaign, skeleton.label, budget
        made.status = enums.CampaignStatusEnum.PAUSED
        made.advertising_channel_type = enums.AdvertisingChannelTypeEnum.SEARCH
        made.manual_cpc.SetInParent()  # it spends nothing on its own judgement once somebody enables it
        # Required of every new campaign since 2025. True of a skeleton, which says nothing.
        declared = enums.EuPoliticalAdvertisingStatusEnum.DOES_NOT_CONTAIN_EU_POLITICAL_ADVERTISING
        made.contains_eu_political_advertising = declared
    if found.adgroup_id is None:
        made = request.mutate_operations.add().ad_group_operation.create
        made.resource_name, made.name, made.campaign = group, skeleton.label, campaign
        made.status, made.type_ = enums.AdGroupStatusEnum.PAUSED, enums.AdGroupTypeEnum.SEARCH_STANDARD
    if found.ad_id is None:
        made = request.mutate_operations.add().ad_group_ad_operation.create
        made.ad_group, made.status = group, enums.AdGroupAdStatusEnum.PAUSED
        made.ad.final_urls.append(skeleton.landing_url)
        for text in _HEADLINES:
            made.ad.responsive_search_ad.headlines.add().text = text
        for text in _DESCRIPTIONS:
            made.ad.responsive_search_ad.descriptions.add().text = text
    return request


def made_ids(response: Any) -> Mapping[str, str]:
    """Kind (campaign, adgroup, ad) → id of what an answer says was made."""
    fields = {"campaign_result": "campaign", "ad_group_result": "adgroup", "ad_group_ad_result": "ad"}
    found = {}
    for item in response.mutate_operation_responses:
        which = item.WhichOneof("response")
        if which in fields:
            found[fields[which]] = re.split(r"[/~]", getattr(item, which).resource_name)[-1]
    return found
