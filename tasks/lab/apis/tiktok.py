"""TikTok API for Business v1.3 as far as the product uses it: accounts, entities, synchronous reports, status of ads, creation.

Every answer is HTTP 200 with ``{code, message, request_id, data}``. Amounts are units of the currency as text. Reports refuse
windows above 30 days, unknown metrics, dimensions that do not fit the level, and pages above 1000 rows, as on the platform; with
more than ``most_ads`` ads they leave the oldest out and say so in ``X-Tt-Ads-Throttle`` alone. Limits (40100) name no seconds.
A status update takes 20 ads of one account or changes none.

Not modelled: asynchronous reports (they need a place on TikTok's list), Smart+ ads, deletion, review of ads.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from tasks.lab.apis.server import Context, Request, Response
from tasks.lab.apis.tiktok_reports import report
from tasks.lab.apis.tiktok_words import BadRequestError, cut, listed, whole
from tasks.lab.apis.tokens import Standing, Tokens
from tasks.lab.apis.view import AccountView, Node
from tasks.lab.sandbox import API_USER

VERSION = "/open_api/v1.3/"
APP_ID = "7300000000000000001"
MAX_STATUS_IDS, MAX_ACCOUNTS = 20, 100
OK, PARAMETERS, NO_PERMISSION = 0, 40002, 40001
_NAMES = {"campaign": "campaign_name", "adgroup": "adgroup_name", "ad": "ad_name"}
_COMMON = {"advertiser_id", "operation_status", "secondary_status"}
_FIELDS = {
    "campaign": _COMMON | {"campaign_id", "campaign_name", "objective_type", "budget_mode", "budget"},
    "adgroup": _COMMON
    | {
        "adgroup_id",
        "adgroup_name",
        "campaign_id",
        "optimization_goal",
        "click_attribution_window",
        "view_attribution_window",
    },
    "ad": _COMMON
    | {
        "ad_id",
        "ad_name",
        "adgroup_id",
        "campaign_id",
        "ad_format",
        "video_id",
        "image_ids",
        "tiktok_item_id",
        "landing_page_url",
    },
}
_NEEDED = {
    "campaign": ("campaign_name", "objective_type", "budget_mode", "budget"),
    "adgroup": (
        "campaign_id",
        "adgroup_name",
        "budget_mode",
        "budget",
        "billing_event",
        "optimization_goal",
        "pacing",
        "schedule_type",
        "schedule_start_time",
        "location_ids",
    ),
    "ad": ("ad_name", "ad_format", "identity_type", "identity_id", "video_id", "image_ids", "landing_page_url", "ad_text"),
}


class TikTokApi:
    """See the module."""

    platform = "tiktok"

    def __init__(self, most_ads: int = 20_000) -> None:
        self._most_ads = most_ads

    def credentials(self, tokens: Tokens, standing: Standing) -> dict[str, str]:
        """An app, a token, and what a skeleton's ad is made of."""
        return {
            "app_id": APP_ID,
            "app_secret": tokens.secret(self.platform, "app-secret"),
            "access_token": tokens.access_token(self.platform, standing),
            "location_id": "6252001",
            "identity_id": "7010000000000000001",
            "video_id": "v10033g50000placeholder",
            "cover_image_id": "ad-site-i18n/placeholder",
        }

    def throttled(self, seconds: float) -> Response:  # noqa: ARG002 - TikTok names none
        """40100, whatever the time left."""
        return _answer(40100, "Too many requests. Please retry in some time.")

    def expired(self) -> Response:
        """40102 of a token that has run out."""
        return _answer(40102, "Access token is expired.")

    def answer(self, request: Request, context: Context) -> Response:
        """One call."""
        if not request.path.startswith(VERSION):
            return _answer(40051, "The API version is not supported; use v1.3.")
        token = request.headers.get("access-token")
        standing = context.tokens.standing(self.platform, token)
        if not token:
            return _answer(40104, "Access token is empty.")
        if standing is None:
            return _answer(40105, "Access token is incorrect or has been revoked.")
        if standing == "expired":
            return self.expired()
        call = (request.method, request.path.removeprefix(VERSION).strip("/"))
        try:
            return self._routed(call, request, context, is_limited=standing == "limited")
        except BadRequestError as error:
            return _answer(error.code, str(error))

    def _routed(self, call: tuple[str, str], request: Request, context: Context, *, is_limited: bool) -> Response:
        if call == ("GET", "oauth2/advertiser/get"):
            return _advertisers(request, context)
        if call == ("GET", "advertiser/info"):
            return _info(request, context)
        reads: dict[str, Callable[[AccountView], Response]] = {
            "campaign/get": lambda view: _list(request, view, "campaign"),
            "adgroup/get": lambda view: _list(request, view, "adgroup"),
            "ad/get": lambda view: _list(request, view, "ad"),
            "report/integrated/get": lambda view: self._report(request, view),
        }
        writes: dict[str, Callable[[AccountView, Mapping[str, Any]], Response]] = {
            "campaign/create": lambda view, asked: _create(context, view, "campaign", asked),
            "adgroup/create": lambda view, asked: _create(context, view, "adgroup", asked),
            "ad/create": lambda view, asked: _create_ads(context, view, asked),
            "ad/status/update": lambda view, asked: _set_status(context, view, asked),
        }
        method, path = call
        if method == "GET" and path in reads:
            if is_limited and path.startswith("report/"):
                return _answer(NO_PERMISSION, "The app has no permission for Reporting.")
            return reads[path](_view(request.query.get("advertiser_id"), context))
        if method == "POST" and path in writes:
            if not request.headers.get("content-type", "").startswith("application/json"):
                return _answer(PARAMETERS, "Content-Type must be application/json.")
            if is_limited:
                return _answer(NO_PERMISSION, "The app has no permission for Ads Management.")
            asked = request.json()
            return writes[path](_view(asked.get("advertiser_id"), context), asked)
        return _answer(40400, f"{method} {request.path} is not found.")

    def _report(self, request: Request, view: AccountView) -> Response:
        rows, is_cut = report(request, view, self._most_ads)
        warning = "Number of ad ids is equal or more than 20k, only return the top 20k id's results."
        return _answer(OK, "OK", cut(request, rows, lambda row: row), {"X-Tt-Ads-Throttle": warning} if is_cut else {})


def _answer(
    code: int, message: str, data: Any = None, headers: Mapping[str, str] | None = None, *, mutated: bool = False
) -> Response:
    body = {"code": code, "message": message, "request_id": uuid4().hex.upper(), "data": {} if data is None else data}
    return Response(200, body, headers or {}, mutated)


def _view(advertiser_id: Any, context: Context) -> AccountView:
    if not isinstance(advertiser_id, str):
        raise BadRequestError(PARAMETERS, "advertiser_id: is required and must be a string.")
    found = context.view(advertiser_id, TikTokApi.platform)
    if found is None:
        raise BadRequestError(NO_PERMISSION, f"No permission to operate advertiser {advertiser_id}.")
    return found


def _advertisers(request: Request, context: Context) -> Response:
    wanted = {"app_id": APP_ID, "secret": context.tokens.secret(TikTokApi.platform, "app-secret")}
    if {name: request.query.get(name) for name in wanted} != wanted:
        return _answer(40105, "The app_id or secret is incorrect.")
    rows = [
        {"advertiser_id": view.account.id, "advertiser_name": view.account.name} for view in context.views(TikTokApi.platform)
    ]
    return _answer(OK, "OK", {"list": rows})


def _info(request: Request, context: Context) -> Response:
    known = {"advertiser_id", "name", "currency", "timezone", "display_timezone", "status", "company", "country"}
    fields = listed(request, "fields", known) or sorted(known)
    ids = listed(request, "advertiser_ids")
    if not 1 <= len(ids) <= MAX_ACCOUNTS:
        raise BadRequestError(PARAMETERS, f"advertiser_ids: size must be 1 to {MAX_ACCOUNTS}.")
    rows = []
    for account in (_view(one, context).account for one in ids):
        everything = {
            "advertiser_id": account.id,
            "name": account.name,
            "currency": account.currency,
            "timezone": account.time_zone,
            "display_timezone": account.time_zone,
            "status": "STATUS_ENABLE",
            "company": "Acme",
            "country": "US",
        }
        rows.append({name: everything[name] for name in fields})
    return _answer(OK, "OK", {"list": rows})


def _list(request: Request, view: AccountView, kind: str) -> Response:
    fields = listed(request, "fields", _FIELDS[kind]) or sorted(_FIELDS[kind])
    filtering = json.loads(request.query.get("filtering", "{}"))
    if unknown := sorted(set(filtering) - {"primary_status"}):
        raise BadRequestError(PARAMETERS, f"filtering: {unknown[0]} is not supported.")
    if filtering.get("primary_status", "STATUS_ALL") not in ("STATUS_ALL", "STATUS_NOT_DELETE"):
        raise BadRequestError(PARAMETERS, "filtering.primary_status: is not a valid value.")
    rows = [{name: row.get(name) for name in fields} for row in _entities(view, kind)]
    return _answer(OK, "OK", cut(request, rows, lambda row: row | {"operation_status": "SHADOWED"}))


def _entities(view: AccountView, kind: str) -> Iterator[dict[str, Any]]:
    nodes: list[Node] = {"campaign": view.campaigns, "adgroup": view.ad_groups, "ad": view.ads}[kind]()
    made = {str(m.id): m.fields for m in view.sandbox.created(TikTokApi.platform, view.account.id, kind)}
    for node in nodes:
        status = "ENABLE" if node.is_enabled else "DISABLE"
        entity: dict[str, Any] = {
            "advertiser_id": view.account.id,
            f"{kind}_id": node.id,
            _NAMES[kind]: node.name,
            "operation_status": status,
            "secondary_status": f"{kind.upper()}_STATUS_{'DELIVERY_OK' if node.is_enabled else 'DISABLE'}",
        }
        if kind == "campaign":
            entity |= {"objective_type": "WEB_CONVERSIONS", "budget_mode": "BUDGET_MODE_DAY"}
            entity["budget"] = view.budget_micros(node.id) / 1_000_000
        else:
            entity["campaign_id"] = node.campaign_id
        if kind == "adgroup":
            entity |= {
                "optimization_goal": "CONVERT",
                "click_attribution_window": "SEVEN_DAYS",
                "view_attribution_window": "ONE_DAY",
            }
        if kind == "ad":
            entity |= {
                "adgroup_id": node.parent_id,
                "ad_format": "SINGLE_VIDEO",
                "video_id": f"v10033g5{node.id}",
                "image_ids": [],
            }
        own = made.get(node.id, {})
        yield entity | {name: own[name] for name in _FIELDS[kind] & own.keys() - _COMMON}


def _checked(kind: str, asked: Mapping[str, Any]) -> None:
    missing = [name for name in _NEEDED[kind] if not asked.get(name)]
    if missing:
        raise BadRequestError(PARAMETERS, f"{missing[0]}: Missing data for required field.")
    if asked.get("operation_status", "ENABLE") != "DISABLE":
        raise BadRequestError(PARAMETERS, "operation_status: this sandbox makes disabled entities only.")


def _create(context: Context, view: AccountView, kind: str, asked: Mapping[str, Any]) -> Response:
    _checked(kind, asked)
    parent = ""
    if kind == "adgroup":
        parent = _parent(asked["campaign_id"], {node.id for node in view.campaigns()}, "campaign_id")
    fields = dict(asked) | {"name": asked[_NAMES[kind]], "budget_micros": round(asked["budget"] * 1_000_000)}
    made = context.sandbox.create(TikTokApi.platform, view.account.id, kind, parent, fields)
    return _answer(OK, "OK", {f"{kind}_id": str(made)}, mutated=True)


def _create_ads(context: Context, view: AccountView, asked: Mapping[str, Any]) -> Response:
    creatives = asked.get("creatives") or []
    if not 1 <= len(creatives) <= MAX_STATUS_IDS:
        raise BadRequestError(PARAMETERS, f"creatives: size must be 1 to {MAX_STATUS_IDS}.")
    parent = _parent(asked.get("adgroup_id"), {node.id for node in view.ad_groups()}, "adgroup_id")
    for creative in creatives:
        _checked("ad", creative)
    made = [
        context.sandbox.create(TikTokApi.platform, view.account.id, "ad", parent, creative | {"name": creative["ad_name"]})
        for creative in creatives
    ]
    return _answer(OK, "OK", {"ad_ids": [str(one) for one in made]}, mutated=True)


def _parent(given: Any, known: set[str], name: str) -> str:
    if given not in known:
        raise BadRequestError(PARAMETERS, f"{name}: {given} does not exist.")
    return str(given)


def _set_status(context: Context, view: AccountView, asked: Mapping[str, Any]) -> Response:
    ids, word = whole(asked.get("ad_ids"), "ad_ids"), asked.get("operation_status")
    if not 1 <= len(ids) <= MAX_STATUS_IDS:
        raise BadRequestError(PARAMETERS, f"ad_ids: size must be 1 to {MAX_STATUS_IDS}.")
    if word not in ("ENABLE", "DISABLE"):
        raise BadRequestError(PARAMETERS, f"operation_status: {word!r} is not supported here.")
    if strange := sorted(set(ids) - {node.id for node in view.ads()}):
        raise BadRequestError(PARAMETERS, f"Ads do not exist or do not belong to the advertiser: {', '.join(strange)}.")
    edits = [("ad", int(one), int(word == "ENABLE")) for one in ids]
    context.sandbox.commit(edits, client_type="TIKTOK_BUSINESS_API", user=API_USER)  # type: ignore[arg-type]  # "ad" is a kind
    return _answer(OK, "OK", {"ad_ids": ids, "status": word}, mutated=True)
