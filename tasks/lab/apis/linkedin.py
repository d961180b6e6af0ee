"""LinkedIn Marketing API, versioned REST, as far as the product uses it: OAuth 2, accounts, entities, status of creatives.

Modelled: the version header (an inactive one is 426), cursor paging, conversion rules with windows of their own, creation that
tells the new id in a header. Reports are in ``linkedin_analytics``.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from tasks.lab.apis.linkedin_analytics import CLICK_DAYS, RULE_ID, VIEW_DAYS, BadRequestError, analytics, decimal, raw_query
from tasks.lab.apis.server import Context, Request, Response, page
from tasks.lab.apis.tokens import Standing, Tokens
from tasks.lab.apis.view import AccountView, Node
from tasks.lab.sandbox import API_USER

OLDEST, NEWEST = "202512", "202611"  # versions that are active
SCOPES: dict[Standing, str] = {"good": "r_ads,r_ads_reporting,rw_ads", "limited": "r_ads,r_ads_reporting", "expired": ""}
ACCESS_SECONDS, REFRESH_SECONDS = 60 * 86_400, 365 * 86_400
_LISTS = {"adCampaignGroups": ("search", 1000), "adCampaigns": ("search", 1000), "creatives": ("criteria", 100)}
_KINDS = {"adCampaignGroups": "campaign", "adCampaigns": "adgroup", "creatives": "ad"}
_NEEDED = {
    "adCampaignGroups": ("account", "name", "status", "runSchedule"),
    "adCampaigns": (
        "account", "campaignGroup", "name", "status", "type", "costType", "locale", "runSchedule", "unitCost", "dailyBudget",
        "politicalIntent",
    ),
    "creatives": ("campaign", "content", "intendedStatus"),
}  # fmt: skip


class LinkedInApi:
    """See the module."""

    platform = "linkedin"

    def credentials(self, tokens: Tokens, standing: Standing) -> dict[str, str]:
        """An application and a refresh token."""
        named = {"client_id": "client-id", "client_secret": "client-secret", "refresh_token": f"refresh-{standing}"}
        return {field: tokens.secret(self.platform, purpose) for field, purpose in named.items()}

    def throttled(self, seconds: float) -> Response:
        """429; how long to wait stands in the header."""
        message = "Resource level throttle APPLICATION DAY limit for calls to this resource is reached."
        return _error(429, "TOO_MANY_REQUESTS", message, 101, {"Retry-After": f"{seconds:g}"})

    def expired(self) -> Response:
        """401 of a token that has run out."""
        return _error(401, "EXPIRED_ACCESS_TOKEN", "The token used in the request has expired", 65602)

    def answer(self, request: Request, context: Context) -> Response:
        """One call."""
        if request.path in ("/oauth/v2/accessToken", "/oauth/v2/introspectToken"):
            return _oauth(request, context)
        if not request.path.startswith("/rest/"):
            return _error(404, "RESOURCE_NOT_FOUND", f"No virtual resource found for {request.path}")
        if refused := _headers(request):
            return refused
        standing = context.tokens.standing(self.platform, request.headers.get("authorization", "").removeprefix("Bearer "))
        if standing is None:
            return _error(401, "INVALID_ACCESS_TOKEN", "Invalid access token", 65600)
        if standing == "expired":
            return self.expired()
        if request.method != "GET" and standing != "good":
            method = request.headers.get("x-restli-method", "CREATE")
            return _error(403, "ACCESS_DENIED", f"Not enough permissions to access: {method} {request.path}", 100)
        try:
            response = _resource(request, context)
        except BadRequestError as error:
            response = _error(400, error.code, str(error))
        headers = {**response.headers, "X-LI-UUID": context.sandbox.next_request_id()}
        return Response(response.status, response.body, headers, response.mutated)


def _error(status: int, code: str, message: str, service: int | None = None, headers: dict[str, str] | None = None) -> Response:
    body: dict[str, Any] = {"status": status, "code": code, "message": message}
    return Response(status, body | ({"serviceErrorCode": service} if service is not None else {}), headers or {})


def _oauth(request: Request, context: Context) -> Response:
    """A new access token for a refresh token, or what a token is worth."""
    tokens, platform, form = context.tokens, LinkedInApi.platform, request.form()
    own = {name: tokens.secret(platform, name.replace("_", "-")) for name in ("client_id", "client_secret")}
    if any(form.get(name) != value for name, value in own.items()):
        return Response(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
    if request.path.endswith("introspectToken"):
        return _introspect(form.get("token"), context)
    if form.get("grant_type") != "refresh_token":
        return Response(400, {"error": "unsupported_grant_type", "error_description": "Only refresh_token is served here"})
    given = form.get("refresh_token")
    standing = next((s for s in SCOPES if given == tokens.secret(platform, f"refresh-{s}")), None)
    if standing is None:
        return Response(400, {"error": "invalid_request", "error_description": "The provided refresh token is invalid"})
    if standing == "expired":
        return Response(400, {"error": "invalid_grant", "error_description": "The provided refresh token has expired"})
    answer = {
        "access_token": tokens.access_token(platform, standing),
        "expires_in": ACCESS_SECONDS,
        "refresh_token": given,
        "refresh_token_expires_in": REFRESH_SECONDS - 86_400,  # it was given out a day ago
        "scope": SCOPES[standing],
    }
    return Response(200, answer)


def _introspect(token: str | None, context: Context) -> Response:
    standing = context.tokens.standing(LinkedInApi.platform, token)
    if standing is None:
        return Response(200, {"active": False})
    created = int((context.sandbox.now - timedelta(days=1)).timestamp())
    dates = {"created_at": created, "authorized_at": created, "expires_at": created + ACCESS_SECONDS}
    if standing == "expired":
        return Response(200, {"active": False, "status": "expired", "scope": SCOPES["good"], **dates})
    return Response(200, {"active": True, "status": "active", "auth_type": "3L", "scope": SCOPES[standing], **dates})


def _headers(request: Request) -> Response | None:
    version = request.headers.get("linkedin-version")
    if version is None:
        return _error(
            400, "VERSION_MISSING", "A version must be present. Please specify a version by adding the LinkedIn-Version header."
        )
    if not re.fullmatch(r"20\d\d(0[1-9]|1[0-2])", version) or not OLDEST <= version <= NEWEST:
        return _error(426, "NONEXISTENT_VERSION", f"Requested version {version} is not active")
    if request.headers.get("x-restli-protocol-version") != "2.0.0":
        return _error(400, "ILLEGAL_ARGUMENT", "Rest.li protocol 2.0.0 is needed: X-RestLi-Protocol-Version")
    return None


def _resource(request: Request, context: Context) -> Response:
    parts = request.path.removeprefix("/rest/").strip("/").split("/")
    query = raw_query(request)
    if parts == ["adAccounts"] and request.method == "GET":
        return _finder(request, query, [_account(v) for v in context.views(LinkedInApi.platform)], "search", 1000)
    if parts == ["adAnalytics"] and request.method == "GET":
        return analytics(request, query, {v.account.id: v for v in context.views(LinkedInApi.platform)})
    if parts == ["conversions"] and request.method == "GET":
        view = _view(unquote(query.get("account", "")).removeprefix("urn:li:sponsoredAccount:"), context)
        start, count = int(query.get("start", "0")), int(query.get("count", "10"))
        part, _ = page([_rule(view)], start, count, request, lambda row: row)
        return Response(200, {"elements": part, "paging": {"start": start, "count": count, "links": []}})
    if parts[0] == "adAccounts" and len(parts) == 3 and parts[2] in _LISTS:
        view = _view(parts[1], context)
        if request.method == "POST":
            return _create(request, context, view, parts[2])
        finder, size = _LISTS[parts[2]]
        if "search" in query and not re.fullmatch(r"\(status:\(values:List\([A-Z_,]+\)\)\)", query["search"]):
            raise BadRequestError(f"Invalid query parameters passed to request: search={query['search']}", "PARAM_INVALID")
        return _finder(request, query, list(_entities(view, parts[2])), finder, size)
    if parts[0] == "adAccounts" and len(parts) == 4 and parts[2] == "creatives" and request.method == "POST":
        return _update_creative(request, context, _view(parts[1], context), unquote(parts[3]))
    return _error(404, "RESOURCE_NOT_FOUND", f"No virtual resource found for {request.path}")


def _view(account_id: str, context: Context) -> AccountView:
    view = context.view(account_id, LinkedInApi.platform)
    if view is None:
        raise BadRequestError(f"Invalid account {account_id}", "INVALID_URN")
    return view


def _finder(request: Request, query: dict[str, str], rows: list[dict[str, Any]], finder: str, most: int) -> Response:
    """A page; ``nextPageToken`` leads on."""
    if query.get("q") != finder:
        raise BadRequestError(f"No finder {query.get('q')!r} on this resource; there is {finder!r}")
    size, start = int(query.get("pageSize", "100")), int(query.get("pageToken", "0"))
    if not 1 <= size <= most:
        raise BadRequestError(f"pageSize must be between 1 and {most}")
    field = "intendedStatus" if finder == "criteria" else "status"
    part, following = page(rows, start, size, request, lambda row: row | {field: "SHADOWED"})
    return Response(200, {"elements": part, "metadata": {} if following is None else {"nextPageToken": str(following)}})


def _account(view: AccountView) -> dict[str, Any]:
    account = view.account
    fixed = {"status": "ACTIVE", "type": "BUSINESS", "servingStatuses": ["RUNNABLE"], "test": False}
    return {"id": int(account.id), "name": account.name, "currency": account.currency, **fixed}


def _rule(view: AccountView) -> dict[str, Any]:
    return {
        "id": RULE_ID,
        "account": f"urn:li:sponsoredAccount:{view.account.id}",
        "name": "Order placed",
        "type": "PURCHASE",
        "enabled": True,
        "postClickAttributionWindowSize": CLICK_DAYS,
        "viewThroughAttributionWindowSize": VIEW_DAYS,
        "attributionType": "LAST_TOUCH_BY_CAMPAIGN",
    }


def _entities(view: AccountView, path: str) -> Iterator[dict[str, Any]]:
    nodes = {"adCampaignGroups": view.campaigns, "adCampaigns": view.ad_groups, "creatives": view.ads}[path]()
    made = {str(m.id): m.fields for m in view.sandbox.created(LinkedInApi.platform, view.account.id, _KINDS[path])}
    for node in nodes:
        told = made.get(node.id)
        status = "ACTIVE" if node.is_enabled or path == "adCampaigns" else "PAUSED"
        if told is not None and not node.is_enabled:
            status = told.get("intendedStatus") or told["status"]
        common = {"name": node.name, "account": f"urn:li:sponsoredAccount:{view.account.id}"}
        yield common | _own_fields(view, path, node, told or {}, status)


def _own_fields(view: AccountView, path: str, node: Node, told: dict[str, Any], status: str) -> dict[str, Any]:
    if path == "adCampaignGroups":
        return {"id": int(node.id), "status": status, "runSchedule": {"start": 0}}
    if path == "adCampaigns":
        budget = told.get("dailyBudget") or _amount(view, view.budget_micros(node.campaign_id))
        group = f"urn:li:sponsoredCampaignGroup:{node.parent_id}"
        return {"id": int(node.id), "status": status, "campaignGroup": group, "type": "SPONSORED_UPDATES", "dailyBudget": budget}
    return {
        "id": f"urn:li:sponsoredCreative:{node.id}",
        "campaign": f"urn:li:sponsoredCampaign:{node.parent_id}",
        "intendedStatus": status,
        "isServing": node.is_enabled,
        "content": told.get("content") or {"reference": f"urn:li:share:{node.id}"},
    }


def _amount(view: AccountView, micros: int) -> dict[str, str]:
    return {"amount": decimal(micros), "currencyCode": view.account.currency}


def _create(request: Request, context: Context, view: AccountView, path: str) -> Response:
    """A campaign group, campaign or creative that does not deliver; its id is told in a header and the body is empty."""
    asked = request.json()
    if missing := [name for name in _NEEDED[path] if name not in asked]:
        raise BadRequestError(
            f"ERROR :: /{missing[0]} :: field is required but not found and has no default value", "MISSING_FIELD"
        )
    status = asked["intendedStatus"] if path == "creatives" else asked["status"]
    if status not in ("DRAFT", "PAUSED"):
        raise BadRequestError("This sandbox makes paused entities and drafts only")
    kind, above = _KINDS[path], ""
    if path == "adCampaigns":
        above = _known(asked["campaignGroup"], "urn:li:sponsoredCampaignGroup:", view.campaigns())
    if path == "creatives":
        above = _known(asked["campaign"], "urn:li:sponsoredCampaign:", view.ad_groups())
        _check_content(asked["content"])
    if (budget := asked.get("dailyBudget")) and budget.get("currencyCode") != view.account.currency:
        raise BadRequestError(f"dailyBudget is in {budget.get('currencyCode')}, the account in {view.account.currency}")
    fields = {"name": "", **asked}
    made = context.sandbox.create(LinkedInApi.platform, view.account.id, kind, above, fields | {"budget_micros": 0})
    told = f"urn:li:sponsoredCreative:{made}" if path == "creatives" else str(made)
    return Response(201, b"", {"X-RestLi-Id": told}, mutated=True)


def _known(urn: str, prefix: str, nodes: list[Node]) -> str:
    found = urn.removeprefix(prefix)
    if not urn.startswith(prefix) or found not in {node.id for node in nodes}:
        raise BadRequestError(f"{urn} does not exist", "INVALID_URN")
    return found


def _check_content(content: dict[str, Any]) -> None:
    """A reference to a post, or a text advertisement of its own."""
    text = content.get("textAd")
    if text is None:
        if not str(content.get("reference", "")).startswith("urn:li:"):
            raise BadRequestError("content needs a reference to a post or a textAd")
        return
    for name, most in (("headline", 25), ("description", 75), ("landingPage", 500)):
        if not 1 <= len(str(text.get(name, ""))) <= most:
            raise BadRequestError(f"content/textAd/{name} must have 1 to {most} characters")


def _update_creative(request: Request, context: Context, view: AccountView, urn: str) -> Response:
    if request.headers.get("x-restli-method", "").upper() != "PARTIAL_UPDATE":
        raise BadRequestError("Rest.li method PARTIAL_UPDATE is needed in X-RestLi-Method")
    wanted = request.json().get("patch", {}).get("$set", {}).get("intendedStatus")
    found = urn.removeprefix("urn:li:sponsoredCreative:")
    if not urn.startswith("urn:li:sponsoredCreative:") or found not in {node.id for node in view.ads()}:
        return _error(404, "NOT_FOUND", f"Creative {urn} does not exist")
    if wanted not in ("ACTIVE", "PAUSED"):
        raise BadRequestError(f"intendedStatus {wanted!r} is invalid")
    context.sandbox.commit([("ad", int(found), int(wanted == "ACTIVE"))], client_type="LINKEDIN_MARKETING_API", user=API_USER)
    return Response(204, b"", mutated=True)
