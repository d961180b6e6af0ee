"""TikTok API for Business v1.3 behind the ``Platform`` protocol.

| | |
| --- | --- |
| sign-in | an access token that lasts until it is revoked, and app id and secret for the list of accounts |
| amounts | units of the account's currency, as text |
| days | the account's zone; reports by day take 30 days a call (reporting.py) |
| windows of conversions | fixed at each ad group, by default clicks 7 days and views 1 day; values are told only together |
| limits | code 40100 without seconds: waits are our own |
| 20,000 ads | beyond them a report leaves ads out and says so in a header only: such a report is refused |
| no validate-only, no partial failure for ads | see ``set_ad_statuses`` |
| change log | a task API (changelog/task/create) exists; it is not read: docs/decisions/0015-platforms.md |

What the official client does well and what not: client.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import batched
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from tasks.core.clock import utc_now
from tasks.platforms.base import Access, Account, AdStatus, CredentialField, Receipt, RowOutcome, Skeleton, SkeletonReceipt
from tasks.platforms.calls import CallError, Kind
from tasks.platforms.columns import frame_of
from tasks.platforms.credentials import read_credentials
from tasks.platforms.http import FailedCallError, HttpFailure, JsonApi
from tasks.platforms.http_platform import REMOVED, Entity, HttpPlatform, actions_of_ads, check_statuses, status_of
from tasks.platforms.tiktok import skeleton as make
from tasks.platforms.tiktok.failures import decode
from tasks.platforms.tiktok.reporting import (
    ACTIONS,
    AD,
    AD_PARENTS,
    BASIC_NUMBERS,
    BREAKDOWNS,
    CAMPAIGN,
    CONVERSIONS,
    DAY,
    VALUES,
    VIDEO,
    Query,
    action_query,
    breakdown,
    windows,
)

if TYPE_CHECKING:
    import polars as pl
    import requests

    from tasks.platforms.tiktok.client import TikTokClient

log = structlog.get_logger(source=__name__)

API = "https://business-api.tiktok.com"
PAGE_ROWS = 1000
IDS_PER_CALL = {"accounts": 100, "ads": 20}
SCOPES = ("Ad Account Management", "Ads Management", "Reporting")
_STATUSES = {"ENABLE": "ENABLED", "DISABLE": "PAUSED", "FROZEN": "PAUSED", "DELETE": REMOVED}
_WORDS = {"ENABLED": "ENABLE", "PAUSED": "DISABLE"}
_ACCOUNT_STATUSES = {"STATUS_ENABLE": "ENABLED"}
_ACCOUNT_FIELDS = ("advertiser_id", "name", "currency", "timezone", "display_timezone", "status")
_FIELDS = {
    "campaign": ("objective_type",),
    "adgroup": ("campaign_id", "optimization_goal", "click_attribution_window", "view_attribution_window"),
    "ad": ("adgroup_id", "campaign_id", "ad_format", "video_id", "image_ids", "tiktok_item_id"),
}
_PARENTS = {"campaign": None, "adgroup": "campaign", "ad": "adgroup"}
_DETAILS = {"campaign": "objective_type", "adgroup": "optimization_goal", "ad": "ad_format"}
_DEFAULT_WINDOWS = {"click_attribution_window": (None, "", "SEVEN_DAYS"), "view_attribution_window": (None, "", "ONE_DAY")}


class TikTokPlatform(HttpPlatform):
    """TikTok as the settings name it."""

    name = "tiktok"
    api_version = "v1.3"
    restatement_days = 28
    channel = "TIKTOK"
    attribution_window = "7d_click_1d_view"
    credential_fields: ClassVar = (
        CredentialField("app_id", "App ID, on the app's page under My Apps", False, True, "AELP2_TIKTOK_APP_ID"),
        CredentialField("app_secret", "Secret, beside the App ID", True, True, "AELP2_TIKTOK_APP_SECRET"),
        CredentialField(
            "access_token",
            "long-term token: the app page's advertiser authorization, then oauth2/access_token",
            True,
            True,
            "AELP2_TIKTOK_ACCESS_TOKEN",
        ),
        CredentialField(
            "location_id",
            "only to make skeletons: where their ad group shows, from tool/region, e.g. 6252001 for the US",
            False,
            False,
            "AELP2_TIKTOK_LOCATION_ID",
        ),
        CredentialField(
            "identity_id",
            "only to make skeletons: who their ad speaks as, Ads Manager → Assets → Identity",
            False,
            False,
            "AELP2_TIKTOK_IDENTITY_ID",
        ),
        CredentialField(
            "identity_type", "kind of that identity; CUSTOMIZED_USER if left out", False, False, "AELP2_TIKTOK_IDENTITY_TYPE"
        ),
        CredentialField(
            "video_id",
            "only to make skeletons: any video of the account, Ads Manager → Assets → Creative",
            False,
            False,
            "AELP2_TIKTOK_VIDEO_ID",
        ),
        CredentialField(
            "cover_image_id",
            "only to make skeletons: an image in that video's format, from the same page",
            False,
            False,
            "AELP2_TIKTOK_COVER_IMAGE_ID",
        ),
    )

    _connected: TikTokClient | None = None

    @property
    def _api(self) -> TikTokClient:
        if self._connected is None:
            from tasks.platforms.tiktok.client import TikTokClient  # the official client takes most of a second to import

            self._connected = TikTokClient(self._base(), self._secrets()["access_token"], self._retries)
        return self._connected

    def _base(self) -> str:
        return self._settings.platform_endpoints.get(self.name) or API

    def _secrets(self) -> dict[str, str]:
        return read_credentials(self._settings, self.name, self.credential_fields)

    def _pages(self, what: str, call: str, **arguments: Any) -> Iterator[list[dict[str, Any]]]:
        """Every page's rows."""
        page = pages = 1
        while page <= pages:
            data = self._api.read(what, call, page=page, page_size=PAGE_ROWS, **arguments)
            yield data["list"]
            pages = int(data["page_info"]["total_page"])
            page += 1

    def check_access(self) -> Access:
        """See :class:`tasks.platforms.base.Platform`.

        TikTok tells scopes only as it gives a token out, so one call of each is tried on the first account. What may be written
        cannot be tried without writing.
        """
        accounts = tuple(self.accounts())
        missing = [scope for scope in SCOPES[1:] if accounts and not self._may(scope, accounts[0])]
        return Access(accounts, tuple(scope for scope in SCOPES if scope not in missing), tuple(missing))

    def _may(self, scope: str, account: Account) -> bool:
        today = utc_now().date()
        what, own = f"account {account.account_id}, permission {scope}", {"advertiser_id": account.account_id, "page_size": 1}
        try:
            if scope == "Reporting":
                asked = Query("campaign", (DAY, CAMPAIGN, *BASIC_NUMBERS)).arguments(today, today)
                self._api.read(what, "report_integrated_get", **own, **asked)
            else:
                self._api.read(what, "campaign_get", **own)
        except CallError as error:
            if error.failure.kind is not Kind.PERMISSION:
                raise
            return False
        return True

    def accounts(self) -> list[Account]:
        """See :class:`tasks.platforms.base.Platform`."""
        secrets = self._secrets()
        signed = {"Access-Token": secrets["access_token"]}
        # Built first: it keeps urllib3 from writing down addresses, and this one holds the app secret.
        client, plain = self._api, JsonApi(self.name, self._base(), _judge, policy=self._retries, headers=signed)
        app = {"app_id": secrets["app_id"], "secret": secrets["app_secret"]}
        listed = plain.read("list of accounts", "GET", "/open_api/v1.3/oauth2/advertiser/get/", params=app)["data"]["list"]
        found = [
            row
            for some in batched((str(row["advertiser_id"]) for row in listed), IDS_PER_CALL["accounts"])
            for row in client.read("accounts", "advertiser_info", advertiser_ids=list(some), fields=list(_ACCOUNT_FIELDS))["list"]
        ]
        made = [
            Account(
                platform=self.name,
                account_id=str(row["advertiser_id"]),
                name_hash=self.hash(row["name"]) or "",
                currency_code=row["currency"],
                timezone=row.get("display_timezone") or row["timezone"],
                status=_ACCOUNT_STATUSES.get(row["status"], row["status"]),
            )
            for row in found
        ]
        return sorted(made, key=lambda account: account.account_id)

    def _entities(self, account_id: str) -> list[Entity]:
        entities: list[Entity] = []
        for kind, parent in _PARENTS.items():
            rows = self._list(account_id, kind)
            if kind == "adgroup":
                _tell_other_windows(account_id, rows)
            entities += [
                Entity(
                    kind=kind,
                    id=str(row[f"{kind}_id"]),
                    parent_kind=parent,
                    parent_id=str(row[f"{parent}_id"]) if parent else None,
                    name=row[f"{kind}_name"],
                    status=_status(row),
                    creative_id=_creative(row),
                    detail=row.get(_DETAILS[kind]),
                )
                for row in rows
            ]
        creatives = dict.fromkeys(e.creative_id for e in entities if e.creative_id)
        return entities + [Entity("creative", one, None, None, None, "UNKNOWN") for one in creatives]

    def _list(self, account_id: str, kind: str) -> list[dict[str, Any]]:
        fields = [f"{kind}_id", f"{kind}_name", "operation_status", "secondary_status", *_FIELDS[kind]]
        pages = self._pages(
            f"account {account_id}, list of {kind}s",
            f"{kind}_get",
            advertiser_id=account_id,
            fields=fields,
            filtering={"primary_status": "STATUS_ALL"},  # reports still name what was deleted
        )
        return [row for page in pages for row in page]

    def _report(self, account: Account, query: Query, start: date, end: date) -> pl.DataFrame:
        """Days ``start`` to ``end``, both included, as the query's columns."""
        import polars as pl

        what = f"account {account.account_id}, {query.report_type} report by {', '.join((query.level, *query.parts))}"
        parts = [
            frame_of(rows, query.columns, what)
            for first, last in windows(start, end)
            for rows in self._pages(
                what, "report_integrated_get", advertiser_id=account.account_id, **query.arguments(first, last)
            )
        ]
        return pl.concat(parts)

    def _delivery(self, account: Account, level: str, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        own = {"campaign": (CAMPAIGN,), "ad": (AD, *AD_PARENTS)}[level]
        values = [column.name for column in VALUES]
        query = Query(level, (DAY, *own, *BASIC_NUMBERS, CONVERSIONS, *VALUES, *VIDEO))
        found = self._report(account, query, start, end)
        return found.with_columns(pl.sum_horizontal(values).alias("revenue_micros")).drop(values)

    def _actions(self, account: Account, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        wide = self._report(account, action_query(), start, end)
        parts = [
            wide.select(
                "date",
                pl.col("ad_id").alias("entity_id"),
                pl.lit(action).alias("action_type"),
                pl.lit(window).alias("attribution_window"),
                pl.col(f"{action} {window}").alias("actions"),
                (pl.col(value) if value else pl.lit(None, dtype=pl.Int64)).alias("revenue_micros"),
            )
            for (action, window), (_, value) in ACTIONS.items()
        ]
        return actions_of_ads(parts)

    def _breakdowns(self, account: Account, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        return pl.concat(
            self._report(account, breakdown(parts), start, end).select(
                "date",
                pl.lit("campaign").alias("level"),
                pl.col("campaign_id").alias("entity_id"),
                pl.lit(name).alias("breakdown"),
                pl.concat_str(parts, separator=":").alias("segment_id"),
                pl.lit(1, dtype=pl.Int64).alias("period_days"),
                *(column.name for column in (*BASIC_NUMBERS, CONVERSIONS)),
            )
            for name, parts in BREAKDOWNS.items()
        )

    def set_ad_statuses(self, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Receipt:
        """See :class:`tasks.platforms.base.Platform`.

        The API cannot validate only: each ad is checked against what is there. It takes 20 ads of one wanted status a call and
        refuses all for one; a refused batch is asked again ad by ad, so that each has its own answer. Setting twice is harmless.
        """
        errors: dict[str, str | None] = dict(
            check_statuses(statuses, self.read_ads(account_id, sorted({s.adgroup_id for s in statuses})))
        )
        if not validate_only:
            for word in _WORDS:
                good = [s for s in statuses if s.status == word and s.change_id not in errors]
                for some in batched(good, IDS_PER_CALL["ads"]):
                    errors |= self._set_statuses(account_id, some, _WORDS[word])
        outcomes = tuple(RowOutcome(s.change_id, s.resource_id, errors.get(s.change_id)) for s in statuses)
        return Receipt(self._api.request_id, outcomes)

    def _set_statuses(self, account_id: str, some: Sequence[AdStatus], word: str) -> dict[str, str | None]:
        """Change id → None, or the platform's refusal. What concerns every ad is raised."""
        asked = {"advertiser_id": account_id, "ad_ids": [s.ad_id for s in some], "operation_status": word}
        try:
            data = self._api.mutate(f"account {account_id}, {word} {len(some)} ads", "ad_status_update", asked)
        except CallError as error:
            if error.failure.kind is not Kind.REQUEST:
                raise
            if len(some) == 1:
                return {some[0].change_id: str(error)}
            return {key: told for one in some for key, told in self._set_statuses(account_id, [one], word).items()}
        done = {str(ad) for ad in data["ad_ids"]}
        silent = "NOT_CONFIRMED: TikTok took the call and does not name this ad among those it set; read it back"
        return {s.change_id: None if s.ad_id in done else silent for s in some}

    def create_skeleton(self, account_id: str, skeleton: Skeleton, *, validate_only: bool) -> SkeletonReceipt:
        """See :class:`tasks.platforms.base.Platform`. The API cannot validate only: it is looked up what is there."""
        secrets = self._secrets()
        there = {e.kind: e.id for e in self._entities(account_id) if e.name == skeleton.label and e.status != REMOVED}
        made: dict[str, str | None] = {kind: there.get(kind) for kind in make.KINDS}
        absent = [kind for kind in make.KINDS if made[kind] is None]
        make.refuse_incomplete(secrets, absent)
        if validate_only:
            return SkeletonReceipt(made["campaign"], made["adgroup"], made["ad"], (), self._api.request_id)
        for kind in absent:
            parent = _PARENTS[kind]
            body = make.body(skeleton, kind, made[parent] if parent else None, secrets)
            data = self._api.mutate(f"account {account_id}, new {kind}", f"{kind}_create", {"advertiser_id": account_id, **body})
            made[kind] = str(data["ad_ids"][0] if kind == "ad" else data[f"{kind}_id"])
        return SkeletonReceipt(made["campaign"], made["adgroup"], made["ad"], tuple(absent), self._api.request_id)


def _status(row: dict[str, Any]) -> str:
    """The switch, and whether it or what it stands in was deleted: only the second status tells that."""
    if str(row.get("secondary_status") or "").endswith("_DELETE"):
        return REMOVED
    return status_of(row["operation_status"], _STATUSES)


def _creative(row: dict[str, Any]) -> str | None:
    """What an ad shows: an organic post, a video, or the first of its images."""
    images = row.get("image_ids") or [None]
    found = row.get("tiktok_item_id") or row.get("video_id") or images[0]
    return str(found) if found else None


def _tell_other_windows(account_id: str, groups: Sequence[dict[str, Any]]) -> None:
    """A warning if ad groups count by windows of their own: their rows bear the default windows' name all the same."""
    other = [row["adgroup_id"] for row in groups if any(row.get(name) not in ok for name, ok in _DEFAULT_WINDOWS.items())]
    if other:
        log.warning("ad groups count conversions by other windows than the default", account_id=account_id, ad_groups=other[:10])


def _judge(response: requests.Response) -> HttpFailure | None:
    try:
        decode(response.status_code, response.headers, response.content)
    except FailedCallError as error:
        return error.failure
    return None
