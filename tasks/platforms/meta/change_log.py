"""The account's activities as changes: who set which budget or status from what to what.

Meta's word for a status is in the reader's language, so the number beside it counts: 1 is on, 15 off; 9 and 17 are on and wait
for a review. Going from one of those that are on to another is Meta's review, nobody's change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tasks.core.ad_changes import ad_resource_id
from tasks.core.errors import JobError
from tasks.platforms.base import AccountChange
from tasks.platforms.meta.money import micros_of

FIELDS = "event_time,event_type,object_id,object_type,extra_data,actor_id,actor_name,application_name"
PAGE_ROWS = 500
DAYS = 30
_META = "0"  # the actor of what no person did
# Event → resource type in ads.ads_change_events, operation, what changed.
_EVENTS = {
    "update_ad_run_status": ("AD_GROUP_AD", "UPDATE", "status"),
    "update_ad_set_run_status": ("AD_GROUP", "UPDATE", "status"),
    "update_campaign_run_status": ("CAMPAIGN", "UPDATE", "status"),
    "update_campaign_budget": ("CAMPAIGN_BUDGET", "UPDATE", "budget"),
    "update_ad_set_budget": ("CAMPAIGN_BUDGET", "UPDATE", "budget"),
    "create_ad": ("AD_GROUP_AD", "CREATE", "id"),
    "create_ad_set": ("AD_GROUP", "CREATE", "id"),
    "create_campaign_group": ("CAMPAIGN", "CREATE", "id"),
}
_STATUS_NUMBERS = {1: "ENABLED", 9: "ENABLED", 17: "ENABLED", 15: "PAUSED"}
_STATUS_WORDS = {"active": "ENABLED", "inactive": "PAUSED", "paused": "PAUSED", "archived": "REMOVED", "deleted": "REMOVED"}


def ads_of(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids of the ads that ``events`` are about."""
    return sorted({str(e["object_id"]) for e in events if _EVENTS.get(e["event_type"], ("",))[0] == "AD_GROUP_AD"})


def to_changes(
    events: Iterable[Mapping[str, Any]],
    adgroup_of: Mapping[str, str],
    currency: str,
    hash_name: Callable[[str | None], str | None],
) -> list[AccountChange]:
    """The events that are about budgets, campaigns, ad sets and ads, oldest first.

    Args:
        events: rows of the activities edge.
        adgroup_of: ad → its ad set.
        currency: of the account, for amounts that come without one.
        hash_name: makes a name a salted hash.
    """
    found = {}
    for event in events:
        if event["event_type"] in _EVENTS:
            change = _to_change(event, adgroup_of, currency, hash_name)
            found[change.change_event_id] = change  # a page may hold one twice
    return sorted(found.values(), key=lambda c: (c.changed_at, c.change_event_id))


def _to_change(
    event: Mapping[str, Any], adgroup_of: Mapping[str, str], currency: str, hash_name: Callable[[str | None], str | None]
) -> AccountChange:
    kind, operation, changed = _EVENTS[event["event_type"]]
    object_id = str(event["object_id"])
    extra = _extra(event)
    amounts = _amounts(extra, currency) if changed == "budget" else (None, None)
    statuses = _statuses(extra) if changed == "status" and str(event.get("actor_id")) != _META else (None, None)
    return AccountChange(
        change_event_id=_event_id(event),
        changed_at=datetime.fromisoformat(event["event_time"]).astimezone(UTC),
        resource_type=kind,
        resource_id=ad_resource_id((adgroup_of[object_id], object_id)) if kind == "AD_GROUP_AD" else object_id,
        operation=operation,
        changed_fields=(changed,),
        client_type=str(event.get("application_name") or "META"),
        actor_hash=hash_name(str(event.get("actor_name") or event.get("actor_id") or "").lower() or None),
        amount_before_micros=amounts[0],
        amount_after_micros=amounts[1],
        status_before=statuses[0],
        status_after=statuses[1],
    )


def _event_id(event: Mapping[str, Any]) -> str:
    """Activities have no id of their own: one that is the same whenever the event is read."""
    parts = [str(event.get(name)) for name in ("event_time", "event_type", "object_id", "extra_data", "actor_id")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _extra(event: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(event.get("extra_data") or "{}")
    except json.JSONDecodeError:
        raise JobError(
            f"the event {event['event_type']} of {event['object_id']} at {event['event_time']} holds no JSON, so what changed is "
            "unknown; look at the account's activity history"
        ) from None
    return found if isinstance(found, dict) else {}


def _amounts(extra: Mapping[str, Any], currency: str) -> tuple[int | None, int | None]:
    """Micros before and after. An amount is a number, or an object that holds it once more under its own key."""
    found: list[int | None] = []
    for key in ("old_value", "new_value"):
        cell = extra.get(key)
        inner = cell.get(key) if isinstance(cell, dict) else cell
        own = str(cell.get("currency") or currency) if isinstance(cell, dict) else currency
        found.append(micros_of(int(inner), own) if inner not in (None, "") else None)
    return found[0], found[1]


def _statuses(extra: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Status before and after; both None where only Meta's review went on."""
    numbers = extra.get("run_status") or {}
    found = []
    for key in ("old_value", "new_value"):
        number = numbers.get(key) if isinstance(numbers, dict) else None
        by_number = None if number is None else _STATUS_NUMBERS.get(int(number))
        found.append(by_number or _STATUS_WORDS.get(str(extra.get(key) or "").lower()))
    return (None, None) if found[0] == found[1] else (found[0], found[1])
