"""Campaigns, ad sets, ads and creatives of Meta's sandbox API: lists, statuses, and new ones."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.lab.apis.meta_errors import GraphError, not_found
from tasks.lab.apis.server import Context, Response
from tasks.lab.apis.view import AccountView, Node
from tasks.lab.sandbox import API_USER

if TYPE_CHECKING:
    from tasks.lab.apis.meta import Call

PLATFORM = "meta"
CENT_MICROS = 10_000
_COMMON = ("id", "name", "configured_status", "effective_status", "status")
_OBJECTIVES = (
    "OUTCOME_SALES",
    "OUTCOME_LEADS",
    "OUTCOME_TRAFFIC",
    "OUTCOME_AWARENESS",
    "OUTCOME_ENGAGEMENT",
    "OUTCOME_APP_PROMOTION",
)


class Edge(NamedTuple):
    """A list of an account: the type of its rows, their fields, and which of these is a status."""

    node: str
    fields: tuple[str, ...]
    status: str
    kind: str


EDGES = {
    "campaigns": Edge("Campaign", (*_COMMON, "objective", "daily_budget"), "configured_status", "campaign"),
    "adsets": Edge("AdSet", (*_COMMON, "campaign_id", "optimization_goal"), "configured_status", "adgroup"),
    "ads": Edge("Ad", (*_COMMON, "adset_id", "campaign_id", "creative"), "configured_status", "ad"),
    "adcreatives": Edge("AdCreative", ("id", "name", "status", "object_type"), "status", "creative"),
}


def entities(view: AccountView, edge: str) -> Iterator[dict[str, Any]]:
    """Rows of a list with every field."""
    if edge == "adcreatives":
        for node in view.ads():
            yield {"id": creative_id(node), "name": f"Creative of {node.name}", "status": "ACTIVE", "object_type": "SHARE"}
        return
    nodes = {"campaigns": view.campaigns, "adsets": view.ad_groups, "ads": view.ads}[edge]()
    off = {n.id for n in view.campaigns() if not n.is_enabled}
    for node in nodes:
        status = "ACTIVE" if node.is_enabled else "PAUSED"
        effective = "CAMPAIGN_PAUSED" if edge != "campaigns" and node.is_enabled and node.campaign_id in off else status
        row = {"id": node.id, "name": node.name, "configured_status": status, "status": status, "effective_status": effective}
        if edge == "campaigns":
            yield row | {"objective": "OUTCOME_SALES", "daily_budget": str(view.budget_micros(node.id) // CENT_MICROS)}
        elif edge == "adsets":
            yield row | {"campaign_id": node.campaign_id, "optimization_goal": "OFFSITE_CONVERSIONS"}
        else:
            yield row | {"adset_id": node.parent_id, "campaign_id": node.campaign_id, "creative": {"id": creative_id(node)}}


def creative_id(ad: Node) -> str:
    """Each ad has a creative of its own."""
    return f"61{ad.id}"


def set_status(call: "Call", context: Context, node_id: str) -> Response:
    """POST status to an ad."""
    found = next((n for v in context.views(PLATFORM) for n in v.ads() if n.id == node_id), None)
    if found is None:
        raise not_found("post", node_id)
    call.need_management()
    wanted = call.params.get("status")
    if wanted not in ("ACTIVE", "PAUSED"):
        raise GraphError(100, "(#100) status must be one of the following values: ACTIVE, PAUSED")
    if is_validation(call):
        return Response(200, {"success": True})
    context.sandbox.commit([("ad", int(node_id), int(wanted == "ACTIVE"))], client_type="META_MARKETING_API", user=API_USER)
    return Response(200, {"success": True}, mutated=True)


def is_validation(call: "Call") -> bool:
    """Whether the call only wants to know if it would be taken."""
    options = json.loads(call.params.get("execution_options", "[]"))
    if unknown := sorted(set(options) - {"validate_only", "include_recommendations"}):
        raise GraphError(100, f"(#100) execution_options: {unknown[0]} is unknown")
    return "validate_only" in options


def create(call: "Call", context: Context, view: AccountView, edge: str, page_id: str) -> Response:
    """A campaign, ad set or ad. It starts as it is told to; what the product makes is paused."""
    call.need_management()
    if edge == "adcreatives":
        raise GraphError(100, "(#100) creatives are made with their ad in this sandbox")
    asked = {name: _value(text) for name, text in call.params.items() if name not in ("access_token", "appsecret_proof")}
    if asked.get("status") != "PAUSED":
        raise GraphError(100, "(#100) This sandbox makes paused entities only")
    if not asked.get("name"):
        raise GraphError(100, "(#100) The parameter name is required.")
    parent = {"campaigns": _check_campaign, "adsets": _check_ad_set, "ads": _check_ad}[edge](asked, view, page_id)
    if is_validation(call):
        return Response(200, {"success": True})
    if edge == "campaigns":
        asked["budget_micros"] = int(asked["daily_budget"]) * CENT_MICROS
    made = context.sandbox.create(PLATFORM, view.account.id, EDGES[edge].kind, parent, asked)
    return Response(200, {"id": str(made)}, mutated=True)


def _value(text: str) -> Any:
    """Objects and lists come as JSON, everything else as it is."""
    return json.loads(text) if text[:1] in ("{", "[") else text


def _need(asked: dict[str, Any], *names: str) -> None:
    if missing := [name for name in names if name not in asked]:
        raise GraphError(100, f"(#100) The parameter {missing[0]} is required.")


def _check_campaign(asked: dict[str, Any], _view: AccountView, _page_id: str) -> str:
    _need(asked, "objective", "special_ad_categories", "daily_budget")
    if asked["objective"] not in _OBJECTIVES:
        raise GraphError(100, f"(#100) objective must be one of the following values: {', '.join(_OBJECTIVES)}")
    if not isinstance(asked["special_ad_categories"], list):
        raise GraphError(100, "(#100) special_ad_categories must be an array")
    if not str(asked["daily_budget"]).isdecimal() or int(asked["daily_budget"]) < 100:
        raise GraphError(100, "Your budget is too low", subcode=1885272)
    return ""


def _check_ad_set(asked: dict[str, Any], view: AccountView, _page_id: str) -> str:
    _need(asked, "campaign_id", "billing_event", "optimization_goal", "targeting")
    if "daily_budget" in asked:
        raise GraphError(100, "Budget is set at the campaign: it cannot stand on the ad set too", subcode=1885621)
    if not asked["targeting"].get("geo_locations", {}).get("countries"):
        raise GraphError(100, "Your ad set needs a location", subcode=1885364)
    if "advantage_audience" not in asked["targeting"].get("targeting_automation", {}):
        raise GraphError(100, "Advantage audience flag required: set it to 0 or 1", subcode=1870227)
    if asked["campaign_id"] not in {n.id for n in view.campaigns()}:
        raise GraphError(100, "(#100) campaign_id must be a valid campaign ID")
    return str(asked["campaign_id"])


def _check_ad(asked: dict[str, Any], view: AccountView, page_id: str) -> str:
    _need(asked, "adset_id", "creative")
    story = asked["creative"].get("object_story_spec", {})
    if story.get("page_id") != page_id:
        raise GraphError(100, "The page does not exist, or the token may not advertise for it", subcode=1815089)
    if not story.get("link_data", {}).get("link"):
        raise GraphError(100, "Your creative needs a destination", subcode=1815520)
    if asked["adset_id"] not in {n.id for n in view.ad_groups()}:
        raise GraphError(100, "(#100) adset_id must be a valid ad set ID")
    return str(asked["adset_id"])
