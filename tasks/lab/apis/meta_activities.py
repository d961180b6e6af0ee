"""The activity log of Meta's sandbox API: what was set by whom, newest first, as the platform words it."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tasks.lab.apis.meta_errors import GraphError
from tasks.lab.apis.view import AccountView
from tasks.lab.sandbox import API_USER, ChangeEvent

if TYPE_CHECKING:
    from tasks.lab.apis.meta import Call

FIELDS = (
    *("event_time", "event_type", "translated_event_type", "object_id", "object_name", "object_type", "extra_data"),
    *("actor_id", "actor_name", "application_id", "application_name", "date_time_in_timezone"),
)
_STATUS = {1: ("Active", 1), 0: ("Inactive", 15)}
# Meta's log still calls campaigns CAMPAIGN_GROUP, ad sets CAMPAIGN and ads ADGROUP.
_KINDS = {
    "ad": ("update_ad_run_status", "ADGROUP"),
    "campaign": ("update_campaign_run_status", "CAMPAIGN_GROUP"),
    "budget": ("update_campaign_budget", "CAMPAIGN_GROUP"),
}


def activities(call: "Call", view: AccountView) -> list[dict[str, Any]]:
    """Events of ``since`` ≤ time < ``until`` with the fields asked for; without ``since`` those of the last week."""
    asked = [name for name in call.params.get("fields", "event_time,event_type").split(",") if name]
    if unknown := sorted(set(asked) - set(FIELDS)):
        raise GraphError(100, f"(#100) Tried accessing nonexisting field ({unknown[0]}) on node type (AdActivity)")
    now = view.sandbox.now
    try:
        since = float(call.params.get("since", (now - timedelta(days=7)).timestamp()))
        until = float(call.params.get("until", (now + timedelta(days=1)).timestamp()))
    except ValueError:
        raise GraphError(100, "(#100) since and until must be Unix timestamps") from None
    found = []
    for event in (*view.sandbox.past_events(), *view.sandbox.events):
        if since <= datetime.fromisoformat(event.at).timestamp() < until:
            found += [_row(event, node, view) for node in _objects(event, view)]
    found.sort(key=lambda row: str(row["event_time"]), reverse=True)
    return [{name: row[name] for name in asked} for row in found]


def _objects(event: ChangeEvent, view: AccountView) -> list[str]:
    """Ids of this account's objects that the event is about: none if it is of another account."""
    if event.kind == "budget":
        return [str(c.id) for c in view.account.campaigns if c.budget == event.entity]
    nodes = view.ads() if event.kind == "ad" else view.campaigns()
    return [node.id for node in nodes if node.id == str(event.entity)]


def _row(event: ChangeEvent, node_id: str, view: AccountView) -> dict[str, Any]:
    kind, object_type = _KINDS[event.kind]
    at = datetime.fromisoformat(event.at)
    is_api = event.user_email == API_USER
    return {
        "event_time": at.strftime("%Y-%m-%dT%H:%M:%S+0000"),
        "event_type": kind,
        "translated_event_type": kind.replace("_", " "),
        "object_id": node_id,
        "object_name": f"Object {node_id}",
        "object_type": object_type,
        "extra_data": json.dumps(_extra(event, view.account.currency)),
        "actor_id": str(int(hashlib.sha256(event.user_email.encode()).hexdigest()[:12], 16)),
        "actor_name": event.user_email.partition("@")[0],
        "application_id": "900000000000001" if is_api else "119211728144504",
        "application_name": "AELP2" if is_api else "Ads Manager",
        "date_time_in_timezone": at.strftime("%d/%m/%Y at %H:%M"),
    }


def _extra(event: ChangeEvent, currency: str) -> dict[str, Any]:
    if event.kind == "budget":
        common = {
            "type": "payment_amount",
            "currency": currency,
            "additional_type": "status_string",
            "additional_value": "Per day",
        }
        return {
            "old_value": common | {"old_value": event.old // 10_000},
            "new_value": common | {"new_value": event.new // 10_000},
            "type": "composite_data",
        }
    old, new = _STATUS[event.old], _STATUS[event.new]
    return {
        "old_value": old[0],
        "new_value": new[0],
        "run_status": {"old_value": old[1], "new_value": new[1]},
        "type": "run_status",
    }
