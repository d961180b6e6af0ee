"""X Ads API 12 as far as the product uses it: accounts, entities, creation, access; every call signed by OAuth 1.0a.

Modelled: HMAC-SHA1 signatures, each used once and within five minutes; cursors, at most 1000 rows a page; amounts in micros;
creation by query parameters; limits told as an instant in ``x-rate-limit-reset``. A promoted tweet cannot be updated: the API has
no such call. Analytics is in ``x_stats``.
"""

import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from tasks.lab.apis.server import Context, Request, Response, page
from tasks.lab.apis.tokens import Standing, Tokens
from tasks.lab.apis.view import AccountView, Node
from tasks.lab.apis.x_stats import FILES, Refusal, Stats, error

MAX_ROWS = 1000
SKEW_SECONDS = 300
PERMISSIONS: dict[Standing, list[str]] = {
    "good": ["AD_MANAGER", "TWEET_COMPOSER"],
    "limited": ["CAMPAIGN_ANALYST"],
    "expired": [],
}
_LISTS = {"campaigns": "campaign", "line_items": "adgroup", "promoted_tweets": "ad"}
_NEEDED = {
    "campaigns": ("funding_instrument_id", "name", "daily_budget_amount_local_micro"),
    "line_items": ("campaign_id", "objective", "placements", "product_type", "start_time"),
    "promoted_tweets": ("line_item_id", "tweet_ids"),
    "tweet": ("as_user_id", "text"),
}
_OBJECTIVES = {
    "APP_ENGAGEMENTS",
    "APP_INSTALLS",
    "ENGAGEMENTS",
    "FOLLOWERS",
    "PREROLL_VIEWS",
    "REACH",
    "VIDEO_VIEWS",
    "WEBSITE_CLICKS",
}
USER = "756201191646691328"


class XApi:
    """See the module."""

    platform = "x"

    def __init__(self) -> None:
        self._nonces: deque[str] = deque(maxlen=10_000)
        self.stats = Stats()

    def credentials(self, tokens: Tokens, standing: Standing) -> dict[str, str]:
        """An app's keys and a user's token."""
        return {
            "consumer_key": tokens.secret(self.platform, "consumer-key"),
            "consumer_secret": tokens.secret(self.platform, "consumer-secret"),
            "access_token": tokens.access_token(self.platform, standing),
            "access_token_secret": _token_secret(tokens, standing),
        }

    def throttled(self, seconds: float) -> Response:
        """429; the instant at which the window ends stands in a header, by the server's own clock."""
        now = datetime.fromtimestamp(int(time.time()), UTC)
        limits = {"x-rate-limit-limit": "450", "x-rate-limit-remaining": "0"}
        reset = {"x-rate-limit-reset": str(int(now.timestamp()) + int(seconds)), "Date": format_datetime(now, usegmt=True)}
        return error(429, "TOO_MANY_REQUESTS", "Request limit exceeded", **limits, **reset)

    def expired(self) -> Response:
        """401 of a token that was revoked; X's tokens do not run out by themselves."""
        return error(401, 89, "Invalid or expired token.")

    def answer(self, request: Request, context: Context) -> Response:
        """One call."""
        if request.path.startswith(FILES):
            return self.stats.file(request, context.sandbox.now)
        standing = self._signed_by(request, context.tokens)
        if not isinstance(standing, str):
            return standing
        if standing == "expired":
            return self.expired()
        version, _, rest = request.path.lstrip("/").partition("/")
        if version not in ("11", "12"):
            return error(404, "ROUTE_NOT_FOUND", f"The requested version {version} does not exist")
        try:
            response = self._route(request, context, rest.strip("/").split("/"), standing)
        except Refusal as refusal:
            response = error(refusal.status, refusal.code, str(refusal))
        return Response(
            response.status,
            response.body,
            {**response.headers, "x-current-api-version": "12", "x-transaction-id": context.sandbox.next_request_id()},
            response.mutated,
        )

    def _signed_by(self, request: Request, tokens: Tokens) -> Standing | Response:
        """RFC 5849 §3.2: the standing of the token that signed, or the refusal."""
        from oauthlib.common import Request as Signed  # type: ignore[import-untyped]  # it ships no types
        from oauthlib.oauth1.rfc5849 import signature  # type: ignore[import-untyped]  # it ships no types

        header = {"Authorization": request.headers.get("authorization", "")}
        if not header["Authorization"].startswith("OAuth "):
            return error(401, "UNAUTHORIZED_ACCESS", "This request is not properly authenticated")
        given = dict(signature.collect_parameters(headers=header, exclude_oauth_signature=False))
        standing = tokens.standing(self.platform, given.get("oauth_token"))
        if given.get("oauth_consumer_key") != tokens.secret(self.platform, "consumer-key"):
            return error(401, 32, "Could not authenticate you.")
        if standing is None:
            return self.expired()
        if abs(time.time() - int(given.get("oauth_timestamp", "0"))) > SKEW_SECONDS:
            return error(401, 135, "Timestamp out of bounds.")
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        body = request.body.decode() if is_form else ""
        signed = Signed(request.url, request.method)
        query = urlsplit(request.url).query
        signed.params = signature.collect_parameters(uri_query=query, body=body, headers=header)
        signed.signature = given.get("oauth_signature", "")
        secrets = tokens.secret(self.platform, "consumer-secret"), _token_secret(tokens, standing)
        if given["oauth_nonce"] in self._nonces or not signature.verify_hmac_sha1(signed, *secrets):
            return error(401, 32, "Could not authenticate you.")
        self._nonces.append(given["oauth_nonce"])
        return standing

    def _route(self, request: Request, context: Context, parts: list[str], standing: Standing) -> Response:
        if parts == ["accounts"] and request.method == "GET":
            return _paged(request, [_account(v) for v in context.views(self.platform)])
        if parts[:3] == ["stats", "jobs", "accounts"] and len(parts) == 4:
            return self.stats.jobs(request, _view(parts[3], context))
        if parts[:2] == ["stats", "accounts"] and parts[3:] == ["active_entities"]:
            return self.stats.active_entities(request, _view(parts[2], context))
        if parts[0] != "accounts" or len(parts) < 3:
            raise Refusal(404, "ROUTE_NOT_FOUND", "The requested route does not exist")
        view, name = _view(parts[1], context), parts[2]
        if request.method == "GET" and len(parts) == 3:
            return _get(request, view, name, standing)
        if request.method == "PUT" and name == "promoted_tweets":
            raise Refusal(405, "METHOD_NOT_ALLOWED", "Promoted Tweets cannot be updated")
        if request.method == "POST" and name in _NEEDED and len(parts) == 3:
            if standing != "good":
                raise Refusal(403, "ACTION_NOT_ALLOWED", f"The user may not create {name}; it needs AD_MANAGER or ACCOUNT_ADMIN")
            return _create(request, context, view, name)
        raise Refusal(404, "ROUTE_NOT_FOUND", "The requested route does not exist")


def _token_secret(tokens: Tokens, standing: Standing) -> str:
    return tokens.secret(XApi.platform, f"token-secret-{standing}")


def _view(account_id: str, context: Context) -> AccountView:
    view = context.view(account_id, XApi.platform)
    if view is None:
        raise Refusal(403, "ACCOUNT_NOT_FOUND", f"Account {account_id} was not found")
    return view


def _account(view: AccountView) -> dict[str, Any]:
    account = view.account
    fixed = {"approval_status": "ACCEPTED", "deleted": False, "timezone_switch_at": "2013-05-22T07:00:00Z"}
    return {"id": account.id, "name": account.name, "timezone": account.time_zone, **fixed}


def _get(request: Request, view: AccountView, name: str, standing: Standing) -> Response:
    if name == "authenticated_user_access":
        return Response(200, {"data": {"user_id": USER, "permissions": PERMISSIONS[standing]}})
    if name == "funding_instruments":
        money = {"id": f"f{view.account.id}", "currency": view.account.currency, "type": "CREDIT_CARD"}
        return _paged(request, [money | {"able_to_fund": True, "cancelled": False, "deleted": False}])
    if name == "promotable_users":
        return _paged(request, [{"id": "l310s", "user_id": USER, "promotable_user_type": "FULL", "deleted": False}])
    if name == "tweets":
        if request.query.get("tweet_type") != "PUBLISHED":
            raise Refusal(400, "MISSING_PARAMETER", "tweet_type is required")
        return _paged(request, _tweets(view))
    if name in _LISTS:
        return _paged(request, list(_entities(view, name)))
    raise Refusal(404, "ROUTE_NOT_FOUND", "The requested route does not exist")


def _entities(view: AccountView, name: str) -> Iterator[dict[str, Any]]:
    made = {str(m.id): m.fields for m in view.sandbox.created(XApi.platform, view.account.id, _LISTS[name])}
    nodes = {"campaigns": view.campaigns, "line_items": view.ad_groups, "promoted_tweets": view.ads}[name]()
    for node in nodes:
        told = made.get(node.id, {})
        # What was promoted by a call is ACTIVE from the start; a paused line item keeps it from being shown.
        on = node.is_enabled or name == "promoted_tweets" if told else node.is_enabled
        common = {"id": node.id, "entity_status": "ACTIVE" if on else "PAUSED", "deleted": False}
        yield common | _own_fields(view, name, node, told)


def _own_fields(view: AccountView, name: str, node: Node, told: dict[str, Any]) -> dict[str, Any]:
    if name == "promoted_tweets":
        tweet = told.get("tweet_id") or f"8802907906{node.id}"
        return {"line_item_id": node.parent_id, "tweet_id": tweet, "approval_status": "ACCEPTED"}
    if name == "line_items":
        own = {"campaign_id": node.parent_id, "objective": "WEBSITE_CLICKS", "product_type": "PROMOTED_TWEETS"}
        return own | {"name": node.name, "currency": view.account.currency, "placements": ["ALL_ON_TWITTER"]}
    budget = {"daily_budget_amount_local_micro": view.budget_micros(node.id), "currency": view.account.currency}
    return {"name": node.name, "funding_instrument_id": f"f{view.account.id}", **budget}


def _tweets(view: AccountView) -> list[dict[str, Any]]:
    made = view.sandbox.created(XApi.platform, view.account.id, "tweet")
    return [{"tweet_id": str(m.id), "id_str": str(m.id), "nullcast": True, **m.fields} for m in made]


def _paged(request: Request, rows: list[dict[str, Any]]) -> Response:
    """A page; ``next_cursor`` leads on."""
    size, start = int(request.query.get("count", "200")), int(request.query.get("cursor", "0"))
    if not 1 <= size <= MAX_ROWS:
        raise Refusal(400, "INVALID_PARAMETER", f"Expected Integer in 1..{MAX_ROWS}, got {size} for count")
    part, following = page(rows, start, size, request, lambda row: row | {"entity_status": "SHADOWED"})
    params = {name: value for name, value in request.query.items() if name != "cursor"}
    return Response(
        200, {"request": {"params": params}, "data": part, "next_cursor": None if following is None else str(following)}
    )


def _create(request: Request, context: Context, view: AccountView, name: str) -> Response:
    """A paused campaign or line item, a promoted-only tweet, or a tweet's promotion."""
    asked = dict(request.query)
    if missing := [field for field in _NEEDED[name] if not asked.get(field)]:
        raise Refusal(400, "MISSING_PARAMETER", f"{', '.join(missing)} is required")
    if name in ("campaigns", "line_items") and asked.get("entity_status") != "PAUSED":
        raise Refusal(400, "INVALID_PARAMETER", "This sandbox makes paused entities only")
    sandbox, account = context.sandbox, view.account.id
    if name == "tweet":
        if asked["as_user_id"] != USER or asked.get("nullcast", "true") != "true":
            raise Refusal(403, "USER_NOT_FOUND", "This sandbox posts promoted-only tweets of its one promotable user")
        made = sandbox.create(XApi.platform, account, "tweet", "", {"name": asked.get("name"), "text": asked["text"]})
        return Response(201, {"data": {"id": made, "id_str": str(made), "tweet_id": str(made), "nullcast": True}}, mutated=True)
    if name == "promoted_tweets":
        return _promote(asked, context, view)
    if name == "campaigns":
        if asked["funding_instrument_id"] != f"f{account}":
            raise Refusal(404, "FUNDING_INSTRUMENT_NOT_FOUND", f"{asked['funding_instrument_id']} was not found")
        fields: dict[str, Any] = asked | {"budget_micros": int(asked["daily_budget_amount_local_micro"])}
        made = sandbox.create(XApi.platform, account, "campaign", "", fields)
    else:
        if asked["campaign_id"] not in {node.id for node in view.campaigns()}:
            raise Refusal(404, "CAMPAIGN_NOT_FOUND", f"Campaign {asked['campaign_id']} was not found")
        if asked["objective"] not in _OBJECTIVES:
            raise Refusal(400, "INVALID_PARAMETER", f"objective {asked['objective']} is unknown")
        made = sandbox.create(XApi.platform, account, "adgroup", asked["campaign_id"], {"name": "Untitled", **asked})
    return Response(201, {"data": asked | {"id": str(made)}}, mutated=True)


def _promote(asked: dict[str, str], context: Context, view: AccountView) -> Response:
    """At most fifty tweets of one line item."""
    if asked["line_item_id"] not in {node.id for node in view.ad_groups()}:
        raise Refusal(404, "LINE_ITEM_NOT_FOUND", f"Line item {asked['line_item_id']} was not found")
    tweets = {tweet["tweet_id"]: tweet for tweet in _tweets(view)}
    wanted = asked["tweet_ids"].split(",")
    if len(wanted) > 50 or set(wanted) - set(tweets):
        raise Refusal(404, "TWEET_NOT_FOUND", f"No more than 50 tweets, and each must be there: {asked['tweet_ids']}")
    made = []
    for tweet in wanted:
        fields = {"name": "", "tweet_id": tweet, "text": tweets[tweet]["text"]}
        number = context.sandbox.create(XApi.platform, view.account.id, "ad", asked["line_item_id"], fields)
        made.append({"id": str(number), "line_item_id": asked["line_item_id"], "tweet_id": tweet, "entity_status": "ACTIVE"})
    return Response(201, {"data": made}, mutated=True)
