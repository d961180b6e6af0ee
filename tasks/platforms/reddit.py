"""Reddit Ads API v3 behind the ``Platform`` protocol, over plain HTTP: there is no official client for Python.

| | |
| --- | --- |
| sign-in | OAuth 2: a refresh token that lasts until it is revoked, access tokens of a day |
| amounts | microcurrency of the account |
| days | the account's zone; report windows are UTC instants at its midnights, the end excluded |
| windows of conversions | clicks 28 days, views 1 day, the accounts' default; their values are told only together |
| limits | 429 with ``X-RateLimit-Reset`` seconds |
| no change log, no validate-only | see docs/decisions/0015-platforms.md |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

from tasks.platforms.base import Access, Account, AdStatus, CredentialField, Receipt, Skeleton, SkeletonReceipt
from tasks.platforms.calls import CallError, Kind
from tasks.platforms.columns import Column, frame_of
from tasks.platforms.credentials import read_credentials
from tasks.platforms.http import Bearer, HttpFailure, JsonApi, basic
from tasks.platforms.http_platform import Entity, HttpPlatform, actions_of_ads, check_statuses, set_one_by_one, status_of

if TYPE_CHECKING:
    import polars as pl
    import requests

API, TOKENS = "https://ads-api.reddit.com", "https://www.reddit.com"
PAGE_ROWS = 1000
SCOPES = ("adsread", "adsedit")
_STATUSES = {"ACTIVE": "ENABLED", "PAUSED": "PAUSED", "ARCHIVED": "REMOVED", "DELETED": "REMOVED"}
_ACCOUNT_STATUSES = {"VALID": "ENABLED", "TRUSTED": "ENABLED", "ADMIN": "ENABLED"}
_LISTS = (("campaigns", "campaign", None), ("ad_groups", "adgroup", "campaign"), ("ads", "ad", "adgroup"))
_PARENT_KEYS = {"campaign": "campaign_id", "adgroup": "ad_group_id"}

_DAY = Column("date", "date", "day")
_CAMPAIGN, _AD = Column("campaign_id", "campaign_id"), Column("ad_id", "ad_id")
_NUMBERS = (
    Column("impressions", "impressions", "count"),
    Column("clicks", "clicks", "count"),
    Column("cost_micros", "spend", "micros"),
    Column("clicked", "conversion_purchase_clicks", "count", 0),
    Column("viewed", "conversion_purchase_views", "count", 0),
    Column("revenue_micros", "conversion_purchase_total_value", "micros", 0),
)
_VIDEO = (
    Column("video_views", "video_started", "count", None),
    Column("video_completions", "video_watched_100_percent", "count", None),
)
_ACTIONS = {
    ("purchase", "28d_click"): "conversion_purchase_clicks",
    ("purchase", "1d_view"): "conversion_purchase_views",
    ("lead", "28d_click"): "conversion_lead_clicks",
    ("lead", "1d_view"): "conversion_lead_views",
}


class RedditPlatform(HttpPlatform):
    """Reddit as the settings name it."""

    name = "reddit"
    api_version = "v3"
    restatement_days = 28
    channel = "REDDIT"
    attribution_window = "28d_click_1d_view"
    credential_fields: ClassVar = (
        CredentialField(
            "client_id", "id of the developer application in Business Manager", False, True, "AELP2_REDDIT_CLIENT_ID"
        ),
        CredentialField("client_secret", "secret of the same application", True, True, "AELP2_REDDIT_CLIENT_SECRET"),
        CredentialField(
            "refresh_token", "from the consent page with scopes adsread and adsedit", True, True, "AELP2_REDDIT_REFRESH_TOKEN"
        ),
    )

    _connected: JsonApi | None = None
    _scopes: tuple[str, ...] = ()

    @property
    def _api(self) -> JsonApi:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def _connect(self) -> JsonApi:
        endpoint = self._settings.platform_endpoints.get(self.name)
        secrets = read_credentials(self._settings, self.name, self.credential_fields)
        agent = {"User-Agent": "aelp2 (advertiser's own reporting)"}
        sign_in = JsonApi(
            self.name,
            f"{endpoint or TOKENS}/api/v1",
            _judge_token,
            auth=basic(secrets["client_id"], secrets["client_secret"]),
            policy=self._retries,
            headers=agent,
        )
        bearer = Bearer()

        def renew() -> None:
            form = {"grant_type": "refresh_token", "refresh_token": secrets["refresh_token"]}
            answer = sign_in.read("sign-in at Reddit", "POST", "/access_token", data=form)
            bearer.token, self._scopes = answer["access_token"], tuple(answer["scope"].split())

        renew()
        return JsonApi(
            self.name,
            f"{endpoint or API}/api/v3",
            _judge,
            auth=bearer,
            policy=self._retries,
            refresh=renew,
            headers=agent,
        )

    def _pages(self, what: str, method: str, path: str, **request: Any) -> Iterator[Any]:
        """Every page's ``data``; the next page's address comes with each."""
        target: str | None = path
        request["params"] = {"page.size": PAGE_ROWS}
        while target:
            answer = self._api.read(what, method, target, **request)
            yield answer["data"]
            target = answer["pagination"]["next_url"]
            request.pop("params", None)  # they stand in that address

    def check_access(self) -> Access:
        """See :class:`tasks.platforms.base.Platform`."""
        accounts = tuple(self.accounts())
        return Access(accounts, self._scopes, tuple(scope for scope in SCOPES if scope not in self._scopes))

    def accounts(self) -> list[Account]:
        """See :class:`tasks.platforms.base.Platform`."""
        businesses = [b for data in self._pages("list of businesses", "GET", "/me/businesses") for b in data]
        found = [
            a
            for business in businesses
            for data in self._pages("list of accounts", "GET", f"/businesses/{business['id']}/ad_accounts")
            for a in data
        ]
        made = [
            Account(
                platform=self.name,
                account_id=a["id"],
                name_hash=self.hash(a["name"]) or "",
                currency_code=a["currency"],
                timezone=a["time_zone_id"],
                status=_ACCOUNT_STATUSES.get(a["admin_approval"], a["admin_approval"]),
            )
            for a in found
        ]
        return sorted(made, key=lambda a: a.account_id)

    def _entities(self, account_id: str) -> list[Entity]:
        return [
            Entity(
                kind=kind,
                id=row["id"],
                parent_kind=parent,
                parent_id=row[_PARENT_KEYS[parent]] if parent else None,
                name=row["name"],
                status=status_of(row["configured_status"], _STATUSES),
                creative_id=row.get("post_id"),
                detail=row.get("objective"),
            )
            for path, kind, parent in _LISTS
            for data in self._pages(f"account {account_id}, {path}", "GET", f"/ad_accounts/{account_id}/{path}")
            for row in data
        ]

    def _report(
        self, account: Account, start: date, end: date, breakdowns: Sequence[str], columns: Sequence[Column]
    ) -> pl.DataFrame:
        """The report's rows with ``columns``; days ``start`` to ``end``, both included."""
        import polars as pl

        zone = ZoneInfo(account.timezone)
        own = [name.lower() for name in breakdowns]
        asked = {
            "breakdowns": list(breakdowns),
            "fields": sorted({c.path.upper() for c in columns if c.path not in own}),
            "starts_at": _midnight(start, zone),
            "ends_at": _midnight(end + timedelta(days=1), zone),
            "time_zone_id": account.timezone,
        }
        what = f"account {account.account_id}, report by {', '.join(own)}"
        pages = self._pages(what, "POST", f"/ad_accounts/{account.account_id}/reports", json={"data": asked})
        return pl.concat([frame_of(data["metrics"], columns, what) for data in pages])

    def _delivery(self, account: Account, level: str, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        own = {"campaign": ("CAMPAIGN_ID", _CAMPAIGN), "ad": ("AD_ID", _AD)}[level]
        columns = (_DAY, own[1], *_NUMBERS, *_VIDEO)
        return (
            self._report(account, start, end, ("DATE", own[0]), columns)
            .with_columns((pl.col("clicked") + pl.col("viewed")).cast(pl.Float64).alias("conversions"))
            .drop("clicked", "viewed")
        )

    def _actions(self, account: Account, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        counts = {key: Column(f"{key[0]} {key[1]}", path, "number", 0) for key, path in _ACTIONS.items()}
        wide = self._report(account, start, end, ("DATE", "AD_ID"), (_DAY, _AD, *counts.values()))
        parts = [
            wide.select(
                "date",
                pl.col("ad_id").alias("entity_id"),
                pl.lit(action).alias("action_type"),
                pl.lit(window).alias("attribution_window"),
                pl.col(column.name).alias("actions"),
            )
            for (action, window), column in counts.items()
        ]
        return actions_of_ads(parts)

    def _breakdowns(self, account: Account, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        columns = (_DAY, Column("entity_id", "campaign_id"), Column("segment_id", "country"), *_NUMBERS)
        return (
            self._report(account, start, end, ("DATE", "CAMPAIGN_ID", "COUNTRY"), columns)
            .with_columns(
                (pl.col("clicked") + pl.col("viewed")).cast(pl.Float64).alias("conversions"),
                pl.lit("campaign").alias("level"),
                pl.lit("country").alias("breakdown"),
                pl.lit(1, dtype=pl.Int64).alias("period_days"),
            )
            .drop("clicked", "viewed")
        )

    def set_ad_statuses(self, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Receipt:
        """See :class:`tasks.platforms.base.Platform`. The API cannot validate only: each ad is checked against what is there."""
        wrong = check_statuses(statuses, self.read_ads(account_id, sorted({s.adgroup_id for s in statuses})))
        outcomes = set_one_by_one(statuses, wrong, self._set_status, validate_only=validate_only)
        return Receipt(self._api.request_id, outcomes)

    def _set_status(self, wanted: AdStatus) -> str | None:
        """None, or the platform's refusal of this one ad. What concerns every ad is raised."""
        body = {"data": {"configured_status": "ACTIVE" if wanted.status == "ENABLED" else "PAUSED"}}
        try:
            self._api.mutate(f"status of ad {wanted.ad_id}", "PATCH", f"/ads/{wanted.ad_id}", json=body)
        except CallError as error:
            if error.failure.kind is not Kind.REQUEST:
                raise
            return str(error)
        return None

    def create_skeleton(self, account_id: str, skeleton: Skeleton, *, validate_only: bool) -> SkeletonReceipt:
        """See :class:`tasks.platforms.base.Platform`. The API cannot validate only: it is looked up what is there."""
        there = {e.kind: e.id for e in self._entities(account_id) if e.name == skeleton.label}
        made: dict[str, str | None] = {kind: there.get(kind) for _, kind, _ in _LISTS}
        created = []
        for path, kind, parent in _LISTS:
            if made[kind] is None and not validate_only:
                body = self._skeleton_fields(skeleton, kind) | ({_PARENT_KEYS[parent]: made[parent]} if parent else {})
                target = f"/ad_accounts/{account_id}/{path}"
                answer = self._api.mutate(f"account {account_id}, new {kind}", "POST", target, json={"data": body})
                made[kind] = answer["data"]["id"]
                created.append(kind)
        return SkeletonReceipt(made["campaign"], made["adgroup"], made["ad"], tuple(created), self._api.request_id)

    def _skeleton_fields(self, skeleton: Skeleton, kind: str) -> dict[str, object]:
        common: dict[str, object] = {"name": skeleton.label, "configured_status": "PAUSED"}
        if kind == "campaign":
            goal = {"goal_type": "DAILY_SPEND", "goal_value": skeleton.daily_budget_micros}
            return common | {"objective": "CONVERSIONS"} | goal
        if kind == "adgroup":
            return common | {"bid_strategy": "BIDLESS", "goal_type": "DAILY_SPEND", "optimization_goal": "PAGE_VISIT"}
        return common | {"click_url": skeleton.landing_url}


def _midnight(day: date, zone: ZoneInfo) -> str:
    """The instant at which ``day`` begins in ``zone``, in UTC: days of 23 and 25 hours come out right."""
    return datetime.combine(day, time(), zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _judge(response: requests.Response) -> HttpFailure | None:
    if response.status_code < 400:
        return None
    error, status = response.json().get("error", {}), response.status_code
    message = str(error.get("message", ""))
    kind = {401: Kind.SIGN_IN, 403: Kind.PERMISSION, 410: Kind.VERSION, 429: Kind.QUOTA}.get(status, Kind.REQUEST)
    if status == 401 and "expired" in message:
        kind = Kind.EXPIRED
    if status >= 500:
        kind = Kind.PASSING
    return _failure(response, kind, str(error.get("code", status)), message)


def _judge_token(response: requests.Response) -> HttpFailure | None:
    """Answers of the token endpoint, RFC 6749 §5.2; its limits are told as everywhere."""
    if response.status_code < 400 or response.status_code == 429:
        return None if response.status_code < 400 else _failure(response, Kind.QUOTA, "429", "too many sign-ins")
    code = str(response.json().get("error", response.status_code))
    kind = Kind.EXPIRED if code == "invalid_grant" else Kind.SIGN_IN
    return _failure(response, kind, code, str(response.json().get("error_description", "sign-in refused")))


def _failure(response: requests.Response, kind: Kind, code: str, message: str) -> HttpFailure:
    reset = response.headers.get("X-RateLimit-Reset")
    return HttpFailure(
        platform="reddit",
        kind=kind,
        status=response.status_code,
        code=code,
        message=message,
        request_id=response.headers.get("X-Request-Id", ""),
        retry_seconds=float(reset) if kind is Kind.QUOTA and reset else None,
    )
