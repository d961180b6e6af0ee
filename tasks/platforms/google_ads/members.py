"""Which campaigns draw on which budget: what M3 and M6 are judged by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tasks.platforms.google_ads.enums import enum_name, last_part
from tasks.platforms.google_ads.reporting import Labels


@dataclass
class Members:
    """What draws on one budget."""

    campaign_ids: set[str] = field(default_factory=set)
    enabled_ids: set[str] = field(default_factory=set)
    channels: set[str] = field(default_factory=set)


def members_by_budget(rows: Iterable[Any], labels: Labels) -> dict[str, Members]:
    """Budget id → its members, from the rows of ``queries.MEMBERS``, which leaves removed campaigns out."""
    found: dict[str, Members] = {}
    for row in rows:
        members = found.setdefault(last_part(row.campaign.campaign_budget), Members())
        campaign_id = str(row.campaign.id)
        members.campaign_ids.add(campaign_id)
        members.channels.add(labels.campaign(row.campaign)[1])
        if enum_name("CampaignStatus", row.campaign.status) == "ENABLED":
            members.enabled_ids.add(campaign_id)
    return found
