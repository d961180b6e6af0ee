"""Bodies of what ``create_skeleton`` makes: paused, and named by its label.

The objective is traffic: a campaign for sales needs a pixel event first, which only the account's people can choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from tasks.core.clock import utc_now
from tasks.core.errors import JobError
from tasks.platforms.base import Skeleton

KINDS = ("campaign", "adgroup", "ad")
NEEDED = {"campaign": (), "adgroup": ("location_id",), "ad": ("identity_id", "video_id", "cover_image_id")}


def refuse_incomplete(secrets: Mapping[str, str], kinds: list[str]) -> None:
    """JobError if the credentials file lacks what these kinds are made of."""
    missing = [name for kind in kinds for name in NEEDED[kind] if not secrets.get(name)]
    if missing:
        raise JobError(
            f"a TikTok {' and '.join(kinds)} cannot be made without {', '.join(missing)}: run `aelp2 onboard tiktok` and give "
            "them (docs/how-to/connect-tiktok.md says where they stand)"
        )


def body(skeleton: Skeleton, kind: str, parent_id: str | None, secrets: Mapping[str, str]) -> dict[str, object]:
    """Fields of ``kind`` below ``parent_id``, without the account's id."""
    budget = {"budget_mode": "BUDGET_MODE_DAY", "budget": skeleton.daily_budget_micros / 1_000_000}
    if kind == "campaign":
        return {"campaign_name": skeleton.label, "objective_type": "TRAFFIC", "operation_status": "DISABLE", **budget}
    if kind == "adgroup":
        return {
            "campaign_id": parent_id,
            "adgroup_name": skeleton.label,
            "operation_status": "DISABLE",
            "promotion_type": "WEBSITE",
            "placement_type": "PLACEMENT_TYPE_AUTOMATIC",
            "location_ids": [secrets["location_id"]],
            "optimization_goal": "CLICK",
            "billing_event": "CPC",
            "bid_type": "BID_TYPE_NO_BID",
            "pacing": "PACING_MODE_SMOOTH",
            "schedule_type": "SCHEDULE_FROM_NOW",
            "schedule_start_time": f"{utc_now() + timedelta(days=1):%Y-%m-%d %H:%M:%S}",
            **budget,
        }
    creative = {
        "ad_name": skeleton.label,
        "operation_status": "DISABLE",
        "ad_format": "SINGLE_VIDEO",
        "identity_type": secrets.get("identity_type", "CUSTOMIZED_USER"),
        "identity_id": secrets["identity_id"],
        "video_id": secrets["video_id"],
        "image_ids": [secrets["cover_image_id"]],
        "ad_text": skeleton.label,
        "call_to_action": "LEARN_MORE",
        "landing_page_url": skeleton.landing_url,
    }
    return {"adgroup_id": parent_id, "creatives": [creative]}
