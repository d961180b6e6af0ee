"""Reddit Ads API v3 as far as the product uses it: accounts, entities, reports, status of ads; OAuth 2 by refresh token.

Amounts are microcurrency. A report's window is UTC instants that must fall on midnights of the time zone it names, the end
excluded: a day of 25 hours is one day here, and a window that slips by an hour is refused, as on the platform.
"""

import base64
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tasks.lab.apis.server import Context, Request, Response, page
from tasks.lab.apis.tokens import Standing, Tokens
from tasks.lab.apis.view import AccountView, Fact, Level, Node
from tasks.lab.sandbox import API_USER

SCOPES: dict[Standing, str] = {"good": "adsread adsedit", "limited": "adsread", "expired": ""}
COUNTRIES = (("US", 0.78), ("CA", 0.14), ("GB", 0.08))
CLICK_WINDOW, VIEW_WINDOW = "28d_click", "1d_view"
_BREAKDOWNS: dict[str, Level] = {"CAMPAIGN_ID": "campaign", "AD_GROUP_ID": "adgroup", "AD_ID": "ad"}
_LISTS = ("campaigns", "ad_groups", "ads")


class RedditApi:
    """See the module."""

    platform = "reddit"

    def credentials(self, tokens: Tokens, standing: Standing) -> dict[str, str]:
        """An application and a refresh token."""
        named = {"client_id": "client-id", "client_secret": "client-secret", "refresh_token": f"refresh-{standing}"}
        return {field: tokens.secret(self.platform, purpose) for field, purpose in named.items()}

    def throttled(self, seconds: float) -> Response:
        """429 with the seconds until the window ends."""
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{seconds:g}"}
        return _error(429, "Too many requests", headers)

    def expired(self) -> Response:
        """401 of a token that has run out."""
        return _error(401, "Access token is expired", {"WWW-Authenticate": 'Bearer error="invalid_token"'})

    def answer(self, request: Request, context: Context) -> Response:
        """One call."""
        if request.path == "/api/v1/access_token":
            return _token(request, context)
        if not request.path.startswith("/api/v3/"):
            return _error(410, "This API version is gone; use /api/v3")
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        standing = context.tokens.standing(self.platform, token)
        if standing is None:
            return _error(401, "Invalid access token")
        if standing == "expired":
            return self.expired()
        parts = request.path.removeprefix("/api/v3/").strip("/").split("/")
        if parts == ["me", "businesses"]:
            return Response(200, {"data": [{"id": "b_acme", "name": "Acme"}], "pagination": {"next_url": None}})
        if parts == ["businesses", "b_acme", "ad_accounts"]:
            return _paged(request, [_account(view) for view in context.views(self.platform)])
        if request.method == "PATCH" and parts[0] == "ads" and len(parts) == 2:
            return _set_status(request, context, parts[1], may_edit=standing == "good")
        view = context.view(parts[1], self.platform) if parts[0] == "ad_accounts" and len(parts) == 3 else None
        if view is None:
            return _error(404, f"Not found: {request.path}")
        if request.method == "POST" and parts[2] in _LISTS:
            return _create(request, context, view, parts[2], may_edit=standing == "good")
        if parts[2] == "reports" and request.method == "POST":
            return _report(request, view)
        if parts[2] in _LISTS:
            return _paged(request, list(_entities(view, parts[2])))
        return _error(404, f"Not found: {request.path}")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response(status, {"error": {"code": status, "message": message, "fields": []}}, headers or {})


def _token(request: Request, context: Context) -> Response:
    """RFC 6749 §6 with HTTP basic authentication of the app."""
    tokens, platform = context.tokens, RedditApi.platform
    wanted = f"{tokens.secret(platform, 'client-id')}:{tokens.secret(platform, 'client-secret')}"
    given = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ") or b"").decode()
    if given != wanted:
        return Response(401, {"error": "invalid_client"})
    form = request.form()
    for standing, scope in SCOPES.items():
        if form.get("grant_type") == "refresh_token" and form.get("refresh_token") == tokens.secret(
            platform, f"refresh-{standing}"
        ):
            if standing == "expired":
                return Response(400, {"error": "invalid_grant", "error_description": "the refresh token was revoked"})
            token = tokens.access_token(platform, standing)
            return Response(200, {"access_token": token, "token_type": "bearer", "expires_in": 86400, "scope": scope})
    return Response(
        400, {"error": "unsupported_grant_type" if form.get("grant_type") != "refresh_token" else "bad_refresh_token"}
    )


def _account(view: AccountView) -> dict[str, Any]:
    account = view.account
    return {
        "id": account.id,
        "name": account.name,
        "currency": account.currency,
        "time_zone_id": account.time_zone,
        "admin_approval": "VALID",
    }


def _status(node: Node) -> str:
    return "ACTIVE" if node.is_enabled else "PAUSED"


def _entities(view: AccountView, kind: str) -> Iterator[dict[str, Any]]:
    clicks = {str(m.id): m.fields["click_url"] for m in view.sandbox.created(RedditApi.platform, view.account.id, "ad")}
    nodes = {"campaigns": view.campaigns, "ad_groups": view.ad_groups, "ads": view.ads}[kind]()
    for node in nodes:
        entity: dict[str, Any] = {"id": node.id, "ad_account_id": view.account.id, "name": node.name}
        entity |= {"configured_status": _status(node), "effective_status": _status(node)}
        if kind == "campaigns":
            entity |= {
                "objective": "CONVERSIONS",
                "spend_cap": None,
                "goal_type": "DAILY_SPEND",
                "goal_value": view.budget_micros(node.id),
            }
        else:
            entity["campaign_id"] = node.campaign_id
        if kind == "ads":
            entity |= {"ad_group_id": node.parent_id, "post_id": f"t3_{node.id}", "click_url": clicks.get(node.id)}
        yield entity


def _create(request: Request, context: Context, view: AccountView, path: str, *, may_edit: bool) -> Response:
    """A campaign, ad group or ad. It starts as it is told to; what the product makes is paused."""
    if not may_edit:
        return _error(403, "Insufficient scope: adsedit is required")
    asked = request.json().get("data", {})
    kind, parent = {"campaigns": ("campaign", None), "ad_groups": ("adgroup", "campaign_id"), "ads": ("ad", "ad_group_id")}[path]
    needed = {
        "campaign": ("name", "objective", "goal_value"),
        "adgroup": ("name", "campaign_id"),
        "ad": ("name", "ad_group_id", "click_url"),
    }
    missing = [name for name in (*needed[kind], "configured_status") if not asked.get(name)]
    if missing:
        return _error(400, f"Missing fields: {', '.join(missing)}")
    if asked["configured_status"] != "PAUSED":
        return _error(400, "This sandbox makes paused entities only")
    above = {"adgroup": view.campaigns, "ad": view.ad_groups}.get(kind, list)()
    if parent and asked[parent] not in {node.id for node in above}:
        return _error(400, f"{parent} {asked[parent]} not found")
    fields = asked | ({"budget_micros": asked["goal_value"]} if kind == "campaign" else {})
    made = context.sandbox.create(RedditApi.platform, view.account.id, kind, asked[parent] if parent else "", fields)
    return Response(201, {"data": asked | {"id": str(made)}}, mutated=True)


def _paged(request: Request, rows: list[dict[str, Any]]) -> Response:
    """A page; ``next_url`` leads on, as a whole address."""
    size, start = int(request.query.get("page.size", 100)), int(request.query.get("page.token", 0))
    part, following = page(rows, start, size, request, lambda row: row | {"configured_status": "SHADOWED"})
    head = request.url.partition("?")[0]
    next_url = None if following is None else f"{head}?page.size={size}&page.token={following}"
    return Response(200, {"data": part, "pagination": {"next_url": next_url}}, {"X-RateLimit-Remaining": "59"})


def _instant(text: str, zone: ZoneInfo) -> date:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(zone)
    if moment.timetz().replace(tzinfo=None) != time():
        raise ValueError(f"{text} is {moment:%H:%M} in {zone.key}; starts_at and ends_at are midnights of time_zone_id")
    return moment.date()


def _report(request: Request, view: AccountView) -> Response:
    asked = request.json().get("data", {})
    zone_name = asked.get("time_zone_id", "GMT")
    try:
        zone = ZoneInfo(zone_name)
        first, end = _instant(asked["starts_at"], zone), _instant(asked["ends_at"], zone)
        levels = [_BREAKDOWNS[name] for name in asked["breakdowns"] if name in _BREAKDOWNS]
    except (KeyError, ValueError) as error:
        return _error(400, f"Invalid report request: {error}")
    if zone_name != view.account.time_zone:
        return _error(400, f"time_zone_id {zone_name} is not that of the account")
    parts = COUNTRIES if "COUNTRY" in asked["breakdowns"] else (("all", 1.0),)
    facts = view.facts(levels[0] if levels else "account", first, end - timedelta(days=1), parts)
    rows = [_metrics(fact, asked) for fact in facts]
    size, start = int(request.query.get("page.size", 100)), int(request.query.get("page.token", 0))
    part, following = page(rows, start, size, request, lambda row: row)
    head = request.url.partition("?")[0]
    next_url = None if following is None else f"{head}?page.size={size}&page.token={following}"
    body = {"data": {"metrics": part, "metrics_updated_at": view.sandbox.now.isoformat()}, "pagination": {"next_url": next_url}}
    return Response(200, body, {"X-RateLimit-Remaining": "59"})


def _metrics(fact: Fact, asked: dict[str, Any]) -> dict[str, Any]:
    clicked, viewed = (fact.result("purchase", window) for window in (CLICK_WINDOW, VIEW_WINDOW))
    leads = [fact.result("lead", window)[0] for window in (CLICK_WINDOW, VIEW_WINDOW)]
    everything = {
        "date": fact.date.isoformat(),
        "campaign_id": fact.campaign_id,
        "ad_group_id": fact.adgroup_id,
        "ad_id": fact.ad_id,
        "country": fact.segment,
        "impressions": fact.impressions,
        "clicks": fact.clicks,
        "spend": fact.cost_micros,
        "video_started": fact.video_views,
        "video_watched_100_percent": fact.video_completions,
        "conversion_purchase_clicks": clicked[0],
        "conversion_purchase_views": viewed[0],
        "conversion_purchase_total_value": clicked[1] + viewed[1],
        "conversion_lead_clicks": leads[0],
        "conversion_lead_views": leads[1],
    }
    names = [name.lower() for name in (*asked["breakdowns"], *asked["fields"])]
    return {name: everything[name] for name in names}


def _set_status(request: Request, context: Context, ad_id: str, *, may_edit: bool) -> Response:
    if not may_edit:
        return _error(403, "Insufficient scope: adsedit is required")
    found = next((n for v in context.views(RedditApi.platform) for n in v.ads() if n.id == ad_id), None)
    wanted = request.json().get("data", {}).get("configured_status")
    if found is None:
        return _error(404, f"Ad {ad_id} not found")
    if wanted not in ("ACTIVE", "PAUSED"):
        return _error(400, f"configured_status {wanted!r} is invalid")
    context.sandbox.commit([("ad", int(ad_id), int(wanted == "ACTIVE"))], client_type="REDDIT_ADS_API", user=API_USER)
    return Response(200, {"data": {"id": ad_id, "configured_status": wanted}}, mutated=True)
