"""What a paused campaign with one ad set and one ad is made of, in Meta's parameters."""

from __future__ import annotations

from typing import Any

from tasks.core.errors import JobError
from tasks.platforms.base import Skeleton
from tasks.platforms.meta.money import minor_of

EDGES = {"campaign": "campaigns", "adgroup": "adsets", "ad": "ads"}
PARENTS = {"adgroup": ("campaign", "campaign_id"), "ad": ("adgroup", "adset_id")}
# A person narrows it down before anything is switched on; an ad set cannot be made without a place.
_COUNTRIES = ["US"]


def page_of(credentials: dict[str, str]) -> str:
    """The page that the ad speaks for; JobError says how to name one."""
    if page := credentials.get("page_id"):
        return page
    raise JobError(
        "an ad on Meta speaks for a Facebook page, and the credentials name none: put the page's id (Page settings, Page "
        "transparency) into page_id with `aelp2 onboard meta`"
    )


def parameters(skeleton: Skeleton, kind: str, currency: str, page_id: str) -> dict[str, Any]:
    """Parameters of the campaign, ad set or ad, without its parent. The budget stands on the campaign."""
    common: dict[str, Any] = {"name": skeleton.label, "status": "PAUSED"}
    if kind == "campaign":
        return common | {
            "objective": "OUTCOME_SALES",
            "buying_type": "AUCTION",
            "special_ad_categories": [],
            "bid_strategy": "LOWEST_COST_WITHOUT_CAP",
            "daily_budget": minor_of(skeleton.daily_budget_micros, currency),
        }
    if kind == "adgroup":
        return common | {
            "billing_event": "IMPRESSIONS",
            "optimization_goal": "LINK_CLICKS",
            "destination_type": "WEBSITE",
            # Since v23.0 an ad set must say whether Meta may widen its audience.
            "targeting": {"geo_locations": {"countries": _COUNTRIES}, "targeting_automation": {"advantage_audience": 0}},
        }
    link = {"link": skeleton.landing_url, "message": skeleton.label}
    return common | {"creative": {"name": skeleton.label, "object_story_spec": {"page_id": page_id, "link_data": link}}}
