"""The guards on ads: M13 and what belongs to it, on what is read at that moment (tasks/core/ad_rules.py holds the rules)."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tasks.act.guard import is_to_come, open_elsewhere, used_in_a_day
from tasks.core import ad_rules, caps
from tasks.core.ad_rules import change_violations as ad_violations
from tasks.core.errors import Refused

if TYPE_CHECKING:
    from tasks.act.context import Context
    from tasks.core.ad_changes import AdChange, AdKey, AdState, AdStatusSet
    from tasks.platforms.base import Platform


@dataclass(frozen=True)
class LiveAds:
    """Every ad of the ad groups that a set touches, and which ads were switched in the last 24 h by the account's own log."""

    ads: dict[AdKey, AdState]
    logged: tuple[caps.Move, ...]

    def value(self, change: AdChange) -> str:
        """Status now; Refused if the ad is gone."""
        if change.key not in self.ads:
            raise Refused(f"{change.what} is no longer in the account; a person must look")
        return self.ads[change.key].status


def read_live(platform: Platform, change_set: AdStatusSet, now: datetime) -> LiveAds:
    """Read the account."""
    groups = sorted({c.adgroup_id for c in change_set.changes})
    ads = {ad.key: ad for ad in platform.read_ads(change_set.account_id, groups)}
    switches = [
        caps.status_move(event.resource_id, event.changed_at, event.status_before, event.status_after)
        for event in platform.read_changes(change_set.account_id, now - caps.WINDOW)
        if event.resource_type == "AD_GROUP_AD" and (event.status_before, event.status_after) != (None, None)
    ]
    return LiveAds(ads, tuple(switches))


def set_violations(context: Context, change_set: AdStatusSet, live: LiveAds, now: datetime) -> list[caps.Violation]:
    """M13 and the rest for what is still to be done of the set: all of it fits, or none of it is begun."""
    history = context.ledger.history(change_set.change_set_id)
    rest = [c for c in change_set.changes if is_to_come(history.change_state(c.change_id), c, live)]
    found = [v for change in rest for v in _violations(context, change_set, change, live, rest)]
    used = used_in_a_day(context, change_set, live.logged, now, rest)
    return found + ad_rules.daily_violations(len(rest), used, context.tightened(change_set).policy)


def change_violations(
    context: Context, change_set: AdStatusSet, change: AdChange, live: LiveAds, now: datetime
) -> list[caps.Violation]:
    """The same for one change at the moment of its mutation: nothing counts as done that is not there."""
    found = _violations(context, change_set, change, live, [change])
    used = used_in_a_day(context, change_set, live.logged, now, [change])
    return found + ad_rules.daily_violations(1, used, context.tightened(change_set).policy)


def restore_violations(change: AdChange, live: LiveAds) -> list[caps.Violation]:
    """M13 for the undoing of ``change``."""
    back = dataclasses.replace(change, status_before=change.status_after, status_after=change.status_before)
    return ad_violations(back, list(live.ads.values()), [back])


def _violations(
    context: Context, change_set: AdStatusSet, change: AdChange, live: LiveAds, switches: Collection[AdChange]
) -> list[caps.Violation]:
    ads: Sequence[AdState] = list(live.ads.values())
    found = ad_violations(change, ads, switches)
    other = open_elsewhere(context, change_set, adgroup_id=change.adgroup_id)
    if other:
        found.append(caps.Violation("M7", "under_watch", f"{change.what}: the ad group is in the open canary {other}"))
    return found
