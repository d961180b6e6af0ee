"""The rules of ad-status changes as pure functions: M13, and for ads what M3 and M7 are for budgets (DESIGN §6).

M13 is one statement: after a pause the ad group still has an enabled ad. It is asked of the statuses that are there at that
moment, and, where a whole set is judged, of what the set will have switched by then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tasks.core.ad_changes import ENABLED, PAUSED, AdChange, AdState
from tasks.core.caps import Violation
from tasks.core.policy import Policy


def left_enabled(adgroup_id: str, ads: Iterable[AdState], switches: Collection[AdChange]) -> list[str]:
    """Ids of the ads of the group that are enabled once ``switches`` are made."""
    wanted = {c.key: c.status_after for c in switches}
    own = [ad for ad in ads if ad.adgroup_id == adgroup_id]
    return sorted(ad.ad_id for ad in own if wanted.get(ad.key, ad.status) == ENABLED)


def last_ad_violations(change: AdChange, ads: Iterable[AdState], switches: Collection[AdChange]) -> list[Violation]:
    """M13 for a pause: with ``switches`` (``change`` among them) made, its ad group must have an enabled ad left."""
    if change.status_after != PAUSED or left_enabled(change.adgroup_id, ads, switches):
        return []
    detail = f"{change.what}: pausing it would leave the ad group without an enabled ad"
    return [Violation("M13", "last_enabled_ad", detail)]


def parent_violations(change: AdChange, ad: AdState) -> list[Violation]:
    """M13 for an enable: AELP2 pauses neither campaigns nor ad groups, so one that is not enabled was paused by a person."""
    if change.status_after != ENABLED:
        return []
    parents = (("campaign", ad.campaign_id, ad.campaign_status), ("ad group", ad.adgroup_id, ad.adgroup_status))
    return [
        Violation("M13", "paused_by_a_person", f"{change.what}: its {name} {id_} is {status}, so the ad is not enabled")
        for name, id_, status in parents
        if status != ENABLED
    ]


def change_violations(change: AdChange, ads: Sequence[AdState], switches: Collection[AdChange]) -> list[Violation]:
    """M7 and M13 for one change; ``switches`` are those of its set that will have been made by then, itself among them."""
    ad = next((ad for ad in ads if ad.key == change.key), None)
    if ad is None:
        return [Violation("M7", "ad_gone", f"{change.what} is no longer in the account")]
    found = parent_violations(change, ad) + last_ad_violations(change, ads, switches)
    if ad.campaign_id != change.campaign_id:
        detail = f"{change.what} is in campaign {ad.campaign_id}, approved in {change.campaign_id}"
        found.append(Violation("M7", "campaign", detail))
    return found


def daily_violations(changes: int, used: int, policy: Policy) -> list[Violation]:
    """M3 for ads: how many are switched in an account over 24 h, by anybody."""
    if used + changes <= policy.max_ad_changes_per_day:
        return []
    detail = f"{used} ads were switched in the last 24 h, {changes} more would pass the policy's {policy.max_ad_changes_per_day}"
    return [Violation("M3", "ad_changes_per_day", detail)]
