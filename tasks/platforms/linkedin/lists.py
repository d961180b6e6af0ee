"""What an account holds, as LinkedIn's lists name it, and what a skeleton's parts are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tasks.platforms.base import Account, Skeleton
from tasks.platforms.linkedin.connection import account_urn

STATUSES = {
    "ACTIVE": "ENABLED",
    "PAUSED": "PAUSED",
    "DRAFT": "PAUSED",
    "COMPLETED": "REMOVED",
    "ARCHIVED": "REMOVED",
    "CANCELED": "REMOVED",
    "PENDING_DELETION": "REMOVED",
    "REMOVED": "REMOVED",
}


@dataclass(frozen=True)
class List:
    """One of an account's lists: ``query`` finds all of it, ``parent`` is the field with the URN of what stands above."""

    path: str
    kind: str
    query: str
    urn: str
    status: str = "status"
    parent_kind: str | None = None
    parent: str | None = None


def _search(statuses: str) -> str:
    return f"q=search&search=(status:(values:List({statuses})))&pageSize=1000"


GROUPS = List(
    "adCampaignGroups",
    "campaign",
    _search("ACTIVE,ARCHIVED,CANCELED,DRAFT,PAUSED,PENDING_DELETION,REMOVED"),
    "urn:li:sponsoredCampaignGroup",
)
CAMPAIGNS = List(
    "adCampaigns",
    "adgroup",
    _search("ACTIVE,ARCHIVED,CANCELED,COMPLETED,DRAFT,PAUSED,PENDING_DELETION,REMOVED"),
    "urn:li:sponsoredCampaign",
    parent_kind="campaign",
    parent="campaignGroup",
)
CREATIVES = List(
    "creatives",
    "ad",
    "q=criteria&pageSize=100",
    "urn:li:sponsoredCreative",
    status="intendedStatus",
    parent_kind="adgroup",
    parent="campaign",
)
LISTS = (GROUPS, CAMPAIGNS, CREATIVES)


def skeleton_fields(
    account: Account, skeleton: Skeleton, one: List, made: Mapping[str, str | None], now: datetime
) -> dict[str, object]:
    """What LinkedIn is told of one part; ``made`` has the ids of those above it.

    A text ad, because its creative holds its own landing page and needs no company page and no post. Campaign and creative are
    drafts: LinkedIn takes them without an audience, which a person adds.
    """
    begins = {"start": int(now.timestamp() * 1000)}
    urn = account_urn(account.account_id)
    if one is GROUPS:
        return {"account": urn, "name": skeleton.label, "status": "PAUSED", "runSchedule": begins}
    if one is CREATIVES:
        text = {"headline": "Headline to be written", "description": "Text to be written", "landingPage": skeleton.landing_url}
        above = f"{CAMPAIGNS.urn}:{made['adgroup']}"
        return {"campaign": above, "name": skeleton.label, "intendedStatus": "DRAFT", "content": {"textAd": text}}
    whole, micros = divmod(skeleton.daily_budget_micros, 1_000_000)
    return {
        "account": urn,
        "campaignGroup": f"{GROUPS.urn}:{made['campaign']}",
        "name": skeleton.label,
        "status": "DRAFT",
        "type": "TEXT_AD",
        "objectiveType": "WEBSITE_VISIT",
        "costType": "CPC",
        "unitCost": {"amount": "0", "currencyCode": account.currency_code},
        "dailyBudget": {"amount": f"{whole}.{micros:06d}", "currencyCode": account.currency_code},
        "locale": {"country": "US", "language": "en"},
        "runSchedule": begins,
        "politicalIntent": "NOT_DECLARED",
    }
