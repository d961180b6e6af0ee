"""Signing in at X and reading its lists: OAuth 1.0a, cursors, error codes, limits told as an instant."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from tasks.core.clock import utc_now
from tasks.core.settings import Settings
from tasks.platforms.base import CredentialField
from tasks.platforms.calls import Kind, RetryPolicy
from tasks.platforms.credentials import read_credentials
from tasks.platforms.http import HttpFailure, JsonApi

if TYPE_CHECKING:
    import requests

NAME = "x"
API, VERSION = "https://ads-api.x.com", "12"
PAGE_ROWS = 1000
CREDENTIAL_FIELDS = (
    CredentialField(
        "consumer_key", "API key of the app at developer.x.com, which has Ads API access", True, True, "AELP2_X_CONSUMER_KEY"
    ),
    CredentialField("consumer_secret", "API key secret on the same page", True, True, "AELP2_X_CONSUMER_SECRET"),
    CredentialField(
        "access_token", "of the user with a role in the ad account: same page, Access Token", True, True, "AELP2_X_ACCESS_TOKEN"
    ),
    CredentialField("access_token_secret", "shown with the access token", True, True, "AELP2_X_ACCESS_TOKEN_SECRET"),
)
# Numbers are those of the platform below the Ads API, which checks signatures.
_KINDS = {
    "89": Kind.EXPIRED,  # invalid or expired; tokens do not run out, they are revoked
    "32": Kind.SIGN_IN,
    "135": Kind.SIGN_IN,  # the clock here is off by more than five minutes
    "215": Kind.SIGN_IN,
    "UNAUTHORIZED_ACCESS": Kind.SIGN_IN,
    "TOO_MANY_REQUESTS": Kind.QUOTA,
    "TWEET_RATE_LIMIT_EXCEEDED": Kind.QUOTA,
    "INTERNAL_ERROR": Kind.PASSING,
    "OVER_CAPACITY": Kind.PASSING,
    "SERVICE_UNAVAILABLE": Kind.PASSING,
    "CANCELLED_REQUEST": Kind.PASSING,
    "LOCK_ACQUISITION_TIMEOUT": Kind.PASSING,
    "UNAUTHORIZED_CLIENT_APPLICATION": Kind.PERMISSION,
    "ACTION_NOT_ALLOWED": Kind.PERMISSION,
    "ACCOUNT_NOT_FOUND": Kind.PERMISSION,  # 403: not there, or not for this user
}
_STATUS_KINDS = {401: Kind.SIGN_IN, 403: Kind.PERMISSION, 410: Kind.VERSION, 429: Kind.QUOTA}


def connect(settings: Settings, retries: RetryPolicy) -> JsonApi:
    """The API as the settings name it, each call signed."""
    from requests_oauthlib import OAuth1  # type: ignore[import-untyped]  # it ships no types

    for noisy in ("oauthlib", "requests_oauthlib"):  # at level DEBUG they print tokens
        logging.getLogger(noisy).setLevel(logging.WARNING)
    secrets = read_credentials(settings, NAME, CREDENTIAL_FIELDS)
    signer = OAuth1(*(secrets[field.name] for field in CREDENTIAL_FIELDS))
    base = settings.platform_endpoints.get(NAME) or API
    return JsonApi(NAME, f"{base}/{VERSION}", judge, auth=signer, policy=retries)


def pages(api: JsonApi, what: str, path: str, **params: str) -> Iterator[Mapping[str, Any]]:
    """The rows of every page of a list."""
    asked = {"count": str(PAGE_ROWS)} | params
    while True:
        answer = api.read(what, "GET", path, params=asked)
        yield from answer["data"]
        if not answer.get("next_cursor"):
            return
        asked["cursor"] = answer["next_cursor"]


def judge(response: requests.Response) -> HttpFailure | None:
    """What an answer failed by."""
    status = response.status_code
    if status < 400:
        return None
    errors = response.json().get("errors") or [{}]
    code, message = str(errors[0].get("code", status)), str(errors[0].get("message", ""))
    kind = _KINDS.get(code) or _STATUS_KINDS.get(status) or (Kind.PASSING if status >= 500 else Kind.REQUEST)
    if code == "ROUTE_NOT_FOUND" and "version" in message:
        kind = Kind.VERSION
    wait = _wait(response) if kind is Kind.QUOTA else None
    return HttpFailure(NAME, kind, status, code, message, response.headers.get("x-transaction-id", ""), wait)


def _wait(response: requests.Response) -> float | None:
    """Seconds until the window ends. An account's own limit comes before the user's; both are instants of X's clock, not ours."""
    headers = response.headers
    name = "x-account-rate-limit" if headers.get("x-account-rate-limit-remaining") == "0" else "x-rate-limit"
    reset = headers.get(f"{name}-reset")
    if reset is None:
        return None
    theirs = parsedate_to_datetime(headers["Date"]) if "Date" in headers else utc_now()
    return max(0.0, (datetime.fromtimestamp(int(reset), UTC) - theirs).total_seconds())
