"""Signing in at LinkedIn and reading its Rest.li resources: tokens, headers, cursor pages, error codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tasks.core.clock import utc_now
from tasks.core.errors import JobError
from tasks.core.settings import Settings
from tasks.platforms.base import CredentialField
from tasks.platforms.calls import Kind, RetryPolicy
from tasks.platforms.credentials import credentials_file, read_credentials
from tasks.platforms.http import Bearer, HttpFailure, JsonApi

if TYPE_CHECKING:
    import requests

NAME = "linkedin"
API, TOKENS = "https://api.linkedin.com", "https://www.linkedin.com"
VERSION = "202606"  # a version is served for about a year
CREDENTIAL_FIELDS = (
    CredentialField(
        "client_id", "of the app at linkedin.com/developers/apps, page Auth", False, True, "AELP2_LINKEDIN_CLIENT_ID"
    ),
    CredentialField("client_secret", "secret on the same page", True, True, "AELP2_LINKEDIN_CLIENT_SECRET"),
    CredentialField(
        "refresh_token",
        "from the app's OAuth token tools, with scopes rw_ads and r_ads_reporting; lasts 365 days",
        True,
        False,
        "AELP2_LINKEDIN_REFRESH_TOKEN",
    ),
    CredentialField(
        "access_token",
        "only for an app that gets no refresh token: from the same tools; lasts 60 days",
        True,
        False,
        "AELP2_LINKEDIN_ACCESS_TOKEN",
    ),
)
_TOKEN_CODES = {
    "EXPIRED_ACCESS_TOKEN": Kind.EXPIRED,
    "REVOKED_ACCESS_TOKEN": Kind.EXPIRED,  # it was good once; a new one helps
}


class Connection:
    """A signed-in connection; nothing is dialled before :meth:`__init__` has read the credentials.

    Raises:
        JobError: credentials are missing or hold no token.
        CallError: LinkedIn refuses them.
    """

    def __init__(self, settings: Settings, retries: RetryPolicy) -> None:
        endpoint = settings.platform_endpoints.get(NAME)
        self._secrets = read_credentials(settings, NAME, CREDENTIAL_FIELDS)
        self._can_renew = bool(self._secrets.get("refresh_token"))
        if not self._can_renew and not self._secrets.get("access_token"):
            file = credentials_file(settings, NAME)
            raise JobError(f"{file} has neither refresh_token nor access_token; run `aelp2 onboard {NAME}`")
        self._sign_in = JsonApi(NAME, f"{endpoint or TOKENS}/oauth/v2", judge_token, policy=retries)
        self._bearer = Bearer(self._secrets.get("access_token", ""))
        self._renewable_until: datetime | None = None
        if self._can_renew:
            self._renew()
        self.api = JsonApi(
            NAME,
            f"{endpoint or API}/rest",
            judge,
            auth=self._bearer,
            policy=retries,
            refresh=self._renew if self._can_renew else None,
            headers={"LinkedIn-Version": VERSION, "X-Restli-Protocol-Version": "2.0.0"},
        )

    def scopes(self) -> tuple[tuple[str, ...], datetime | None]:
        """What the token may do, and when a person has to make a new one."""
        form = self._app() | {"token": self._bearer.token}
        told = self._sign_in.read("what the token may do", "POST", "/introspectToken", data=form)
        ends = datetime.fromtimestamp(int(told["expires_at"]), UTC) if "expires_at" in told else None
        return tuple(told.get("scope", "").replace(",", " ").split()), self._renewable_until if self._can_renew else ends

    def pages(self, what: str, path: str, query: str, **request: Any) -> Iterator[Mapping[str, Any]]:
        """The elements of every page. The query is written out: ``requests`` would escape the parentheses of Rest.li."""
        token: str | None = None
        while True:
            more = f"&pageToken={quote(token, safe='')}" if token else ""
            answer = self.api.read(what, "GET", f"{path}?{query}{more}", **request)
            yield from answer["elements"]
            token = answer.get("metadata", {}).get("nextPageToken")
            if not token:
                return

    def _renew(self) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": self._secrets["refresh_token"]}
        answer = self._sign_in.read("sign-in at LinkedIn", "POST", "/accessToken", data=self._app() | form)
        self._bearer.token = answer["access_token"]
        if seconds := answer.get("refresh_token_expires_in"):
            self._renewable_until = utc_now() + timedelta(seconds=int(seconds))

    def _app(self) -> dict[str, str]:
        return {name: self._secrets[name] for name in ("client_id", "client_secret")}


def escaped(urn: str) -> str:
    """A URN as it stands in a path or a list: its colons escaped."""
    return quote(urn, safe="")


def account_urn(account_id: str) -> str:
    """The account as fields name it."""
    return f"urn:li:sponsoredAccount:{account_id}"


def id_of(urn: str) -> str:
    """The id at the end of a URN; a bare id stays."""
    return urn.rpartition(":")[2]


def judge(response: requests.Response) -> HttpFailure | None:
    """What an answer of the REST API failed by."""
    if response.status_code < 400:
        return None
    body, status = response.json(), response.status_code
    code, message = str(body.get("code", status)), str(body.get("message", ""))
    kinds = {401: Kind.SIGN_IN, 403: Kind.PERMISSION, 426: Kind.VERSION, 429: Kind.QUOTA}
    kind = _TOKEN_CODES.get(code) or kinds.get(status, Kind.PASSING if status >= 500 else Kind.REQUEST)
    return _failure(response, kind, code, message)


def judge_token(response: requests.Response) -> HttpFailure | None:
    """What an answer of the token endpoint failed by. A token that is no longer good is told there with status 200."""
    body, status = response.json(), response.status_code
    if status == 429:
        return _failure(response, Kind.QUOTA, "429", "too many sign-ins")
    if status < 400:
        if body.get("active", True):
            return None
        was_good = body.get("status") in ("expired", "revoked")
        state = str(body.get("status", "unknown"))
        return _failure(response, Kind.EXPIRED if was_good else Kind.SIGN_IN, "INACTIVE_TOKEN", f"the access token is {state}")
    code, message = str(body.get("error", status)), str(body.get("error_description", "sign-in refused"))
    has_run_out = "expired" in message or "revoked" in message
    return _failure(response, Kind.EXPIRED if has_run_out else Kind.SIGN_IN, code, message)


def _failure(response: requests.Response, kind: Kind, code: str, message: str) -> HttpFailure:
    wait = None
    if kind is Kind.QUOTA:
        told = response.headers.get("Retry-After")
        wait = float(told) if told else _until_midnight(utc_now())
    return HttpFailure(NAME, kind, response.status_code, code, message, response.headers.get("X-LI-UUID", ""), wait)


def _until_midnight(now: datetime) -> float:
    """Seconds until quotas are new."""
    return (datetime.combine(now.date() + timedelta(days=1), time(), UTC) - now).total_seconds()
