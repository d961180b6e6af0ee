"""The adapter: accounts, reports, ads and their statuses, activities, skeletons. One token sees every account it was given.

| | |
| --- | --- |
| sign-in | a token that lasts as its kind does, and the app's secret as proof with each call; nothing to refresh |
| amounts | spend and values as decimals of the currency; budgets in minor units, see money.py |
| days | the account's zone; at most 37 months back |
| windows of conversions | clicks 1, 7 and 28 days, views 1 day; the delivery tables count clicks of 7 days and views of 1 |
| statuses | the configured one, which is what is set; what Meta makes of it stands in the detail of the ad |
| limits | codes 4, 17, 32, 613, 80000-80014, with the wait in the usage headers |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError, TryAgain
from tasks.platforms.base import (
    Access,
    Account,
    AccountChange,
    AdStatus,
    AmbiguousMutationError,
    CredentialField,
    Receipt,
    Reports,
    RowOutcome,
    Skeleton,
    SkeletonReceipt,
)
from tasks.platforms.calls import CallError, Kind
from tasks.platforms.columns import Column
from tasks.platforms.credentials import read_credentials
from tasks.platforms.http import HttpFailure
from tasks.platforms.http_platform import Entity, HttpPlatform, check_statuses, status_of
from tasks.platforms.meta import change_log, insights, skeletons
from tasks.platforms.meta.graph import API_VERSION, BATCH_ROWS, GraphApi
from tasks.platforms.normalise import shape

if TYPE_CHECKING:
    import polars as pl

PAGE_ROWS = 500
SCOPES = ("ads_read", "ads_management")
CHANGES = "ads.ads_change_events"
# 9 is in its period of grace and delivers; 201 and 202 are filters, no account's status.
_ACCOUNT_STATUSES = {
    1: "ENABLED",
    2: "DISABLED",
    3: "UNSETTLED",
    7: "PENDING_RISK_REVIEW",
    8: "PENDING_SETTLEMENT",
    9: "ENABLED",
    100: "PENDING_CLOSURE",
    101: "CLOSED",
}
_STATUSES = {"ACTIVE": "ENABLED", "PAUSED": "PAUSED", "ARCHIVED": "REMOVED", "DELETED": "REMOVED"}
_CREATIVE_STATUSES = {"ACTIVE": "ENABLED", "IN_PROCESS": "IN_PROCESS", "WITH_ISSUES": "WITH_ISSUES", "DELETED": "REMOVED"}
_VALIDATE = {"execution_options": ["validate_only"]}
_CAMPAIGN = Column("campaign_id", "campaign_id")
_AD_IDS = (_CAMPAIGN, Column("adgroup_id", "adset_id"), Column("ad_id", "ad_id"))
_ENTITY = Column("entity_id", "campaign_id")


class _Edge(NamedTuple):
    """A list of the account; the columns name what the row calls its parent and its detail."""

    kind: str
    path: str
    parent_kind: str | None
    parent: str | None
    detail: str


_EDGES = (
    _Edge("campaign", "campaigns", None, None, "objective"),
    _Edge("adgroup", "adsets", "campaign", "campaign_id", "optimization_goal"),
    _Edge("ad", "ads", "adgroup", "adset_id", "effective_status"),
    _Edge("creative", "adcreatives", None, None, "object_type"),
)
# Breakdown of ads.ads_breakdown_performance → Meta's columns, joined by a colon.
_BREAKDOWNS = {
    "placement": ("publisher_platform", "platform_position"),
    "country": ("country",),
    "age_gender": ("age", "gender"),
}


class MetaPlatform(HttpPlatform):
    """Meta as the settings name it."""

    name = "meta"
    api_version = API_VERSION
    restatement_days = 28
    keeps_change_log = True
    channel = "META"
    attribution_window = "7d_click_1d_view"
    credential_fields: ClassVar = (
        CredentialField(
            "access_token",
            "Business settings, System users, Generate token, with ads_read and ads_management",
            True,
            True,
            "AELP2_META_ACCESS_TOKEN",
        ),
        CredentialField("app_secret", "of the same app: App dashboard, App settings, Basic", True, True, "AELP2_META_APP_SECRET"),
        CredentialField(
            "page_id",
            "Facebook page that new ads speak for: Page settings, Page transparency",
            False,
            False,
            "AELP2_META_PAGE_ID",
        ),
    )

    _ad_pages: tuple[tuple[str, date, date], list[insights.Decoded]] | None = None

    @cached_property
    def _credentials(self) -> dict[str, str]:
        return read_credentials(self._settings, self.name, self.credential_fields)

    @cached_property
    def _api(self) -> GraphApi:
        endpoint = self._settings.platform_endpoints.get(self.name)
        own = self._credentials
        return GraphApi(endpoint, own["access_token"], own["app_secret"], self._retries)

    def check_access(self) -> Access:
        """See :class:`tasks.platforms.base.Platform`. Without ads_read the accounts cannot be asked for."""
        token = self._api.read("token", ("debug_token",), {"input_token": self._api.access_token})["data"]
        granted = tuple(token.get("scopes", ()))
        missing = tuple(scope for scope in SCOPES if scope not in granted)
        # A token's reach into data may end before the token does; 0 stands for never.
        ends = [token.get(name) for name in ("expires_at", "data_access_expires_at")]
        first = min((int(end) for end in ends if end), default=None)
        return Access(
            accounts=() if "ads_read" in missing else tuple(self.accounts()),
            granted=granted,
            missing=missing,
            expires_at=None if first is None else datetime.fromtimestamp(first, UTC),
        )

    def accounts(self) -> list[Account]:
        """See :class:`tasks.platforms.base.Platform`."""
        fields = {"fields": "account_id,name,account_status,currency,timezone_name"}
        made = [
            Account(
                platform=self.name,
                account_id=row["account_id"],
                name_hash=self.hash(row["name"]) or "",
                currency_code=row["currency"],
                timezone=row["timezone_name"],
                status=_ACCOUNT_STATUSES.get(row["account_status"], f"STATUS_{row['account_status']}"),
            )
            for rows in self._api.pages("list of accounts", ("me", "adaccounts"), fields, PAGE_ROWS)
            for row in rows
        ]
        return sorted({a.account_id: a for a in made}.values(), key=lambda a: a.account_id)

    def _entities(self, account_id: str) -> list[Entity]:
        return [entity for edge in _EDGES for entity in self._listed(account_id, edge)]

    def _listed(self, account_id: str, edge: _Edge) -> list[Entity]:
        status, known = ("status", _CREATIVE_STATUSES) if edge.kind == "creative" else ("configured_status", _STATUSES)
        names = [
            "id",
            "name",
            status,
            edge.detail,
            *([edge.parent] if edge.parent else ()),
            *(["creative"] if edge.kind == "ad" else ()),
        ]
        what = f"account {account_id}, {edge.path}"
        return [
            Entity(
                kind=edge.kind,
                id=row["id"],
                parent_kind=edge.parent_kind,
                parent_id=row[edge.parent] if edge.parent else None,
                name=row.get("name"),
                status=status_of(row[status], known),
                creative_id=(row.get("creative") or {}).get("id"),
                detail=row.get(edge.detail),
            )
            for rows in self._api.pages(what, (f"act_{account_id}", edge.path), {"fields": ",".join(names)}, PAGE_ROWS)
            for row in rows
        ]

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        """See :class:`tasks.platforms.base.Platform`."""
        found = super().reports(account, start, end, run_date=run_date)
        if end < run_date - timedelta(days=2):
            return found
        window = (run_date - timedelta(days=change_log.DAYS - 1), run_date)
        shaped = shape(CHANGES, self._change_frame(account, window), account, window, utc_now())
        return replace(
            found,
            frames=found.frames | {CHANGES: shaped.frame},
            windows=found.windows | {CHANGES: window},
            rejected=(*found.rejected, *shaped.rejected),
        )

    def _report(
        self,
        account: Account,
        level: str,
        days: tuple[date, date],
        ids: Sequence[Column],
        breakdowns: Sequence[str] = (),
    ) -> list[insights.Decoded]:
        has_video = not breakdowns
        fields = [c.path for c in ids if c.path not in breakdowns]
        fields += [*insights.FIELDS, *(insights.VIDEO_FIELDS if has_video else ())]
        params: dict[str, Any] = {"level": level, "fields": ",".join(fields), "action_breakdowns": ["action_type"]}
        if breakdowns:
            params["breakdowns"] = list(breakdowns)
        what = f"account {account.account_id}, insights by {', '.join((level, *breakdowns))}"
        read = partial(insights.decode, ids=ids, what=what, has_video=has_video)
        return insights.Insights(self._api, self._retries).read(account.account_id, params, days, read)

    def _delivery(self, account: Account, level: str, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        pages = self._report(account, level, (start, end), (_CAMPAIGN,) if level == "campaign" else _AD_IDS)
        if level == "ad":
            # The same job tells the actions: kept until they are asked for, so that both come from one state of the account.
            self._ad_pages = ((account.account_id, start, end), pages)
        return pl.concat(page.delivery for page in pages)

    def _actions(self, account: Account, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        held, self._ad_pages = self._ad_pages, None
        is_held = held is not None and held[0] == (account.account_id, start, end)
        pages = held[1] if held and is_held else self._report(account, "ad", (start, end), _AD_IDS)
        whole = {"level": "ad", "breakdown": "none", "segment_id": "all"}
        return (
            pl.concat(page.results() for page in pages)
            .rename({"ad_id": "entity_id"})
            .drop("campaign_id", "adgroup_id")
            .with_columns(*(pl.lit(value).alias(name) for name, value in whole.items()), pl.lit(1, pl.Int64).alias("period_days"))
        )

    def _breakdowns(self, account: Account, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        parts = []
        for breakdown, columns in _BREAKDOWNS.items():
            ids = (_ENTITY, *(Column(name, name) for name in columns))
            pages = self._report(account, "campaign", (start, end), ids, columns)
            parts.append(
                pl.concat(page.delivery for page in pages)
                .with_columns(
                    pl.concat_str(columns, separator=":").alias("segment_id"),
                    pl.lit("campaign").alias("level"),
                    pl.lit(breakdown).alias("breakdown"),
                    pl.lit(1, pl.Int64).alias("period_days"),
                )
                .drop(columns)
            )
        return pl.concat(parts)

    def set_ad_statuses(self, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Receipt:
        """See :class:`tasks.platforms.base.Platform`. Fifty ads a call; Meta would also take an ad of another account.

        So each is looked up in this one first.
        """
        wrong = check_statuses(statuses, self.read_ads(account_id, sorted({s.adgroup_id for s in statuses})))
        good = [s for s in statuses if s.change_id not in wrong]
        errors: dict[str, str | None] = dict(wrong)
        for first in range(0, len(good), BATCH_ROWS):
            rows = good[first : first + BATCH_ROWS]
            try:
                errors |= self._set_statuses(account_id, rows, validate_only=validate_only)
            except AmbiguousMutationError:
                raise
            except JobError as error:
                if first == 0 or validate_only:
                    raise
                errors |= {s.change_id: str(error) for s in rows}  # the calls before this one have been made
        outcomes = [RowOutcome(s.change_id, s.resource_id, errors[s.change_id]) for s in statuses]
        return Receipt(self._api.request_id, tuple(outcomes))

    def _set_statuses(self, account_id: str, rows: Sequence[AdStatus], *, validate_only: bool) -> dict[str, str | None]:
        """Change id → the refusal of its row, None if it was taken.

        What a row met that may have been done all the same is ambiguous. What all rows met alike concerns the token, not the ad.
        """
        what = f"account {account_id}, {'check' if validate_only else 'set'} {len(rows)} ads"
        asked = [
            (s.ad_id, {"status": "ACTIVE" if s.status == "ENABLED" else "PAUSED", **(_VALIDATE if validate_only else {})})
            for s in rows
        ]
        failures = self._api.batch(what, asked, changes=not validate_only)
        unclear = [f for f in failures if f is not None and f.kind is Kind.PASSING]
        if unclear and not validate_only:
            raise AmbiguousMutationError(f"{what}: {unclear[0]}; read the ads back before anything else")
        told: list[HttpFailure] = [f for f in failures if f is not None]
        if len(told) == len(rows) and len({f.kind for f in told}) == 1 and told[0].kind is not Kind.REQUEST:
            if told[0].kind in (Kind.QUOTA, Kind.PASSING):
                raise TryAgain(f"{what}: {told[0]}; run the same command again later")
            raise CallError(f"{what}: {told[0]}; nothing was changed; {told[0].remedy}", told[0])
        return {s.change_id: None if f is None else str(f) for s, f in zip(rows, failures, strict=True)}

    def read_changes(self, account_id: str, since: datetime) -> list[AccountChange]:
        """See :class:`tasks.platforms.base.Platform`. Up to a day past now, so that no clock difference hides a change."""
        if since.tzinfo is None:
            raise JobError(f"read_changes needs a time with an offset, not {since}")
        found = self._changes(account_id, self._currency(account_id), since, utc_now() + timedelta(days=1))
        return [c for c in found if c.changed_at >= since]

    def _changes(self, account_id: str, currency: str, since: datetime, until: datetime) -> list[AccountChange]:
        asked = {"fields": change_log.FIELDS, "since": int(since.timestamp()), "until": int(until.timestamp())}
        pages = self._api.pages(
            f"account {account_id}, activities", (f"act_{account_id}", "activities"), asked, change_log.PAGE_ROWS
        )
        events = [event for rows in pages for event in rows]
        return change_log.to_changes(events, self._ad_sets(change_log.ads_of(events)), currency, self.hash)

    def _ad_sets(self, ad_ids: Sequence[str]) -> dict[str, str]:
        """Ad → its ad set, of removed ads too, which the lists leave out."""
        found: dict[str, str] = {}
        for first in range(0, len(ad_ids), BATCH_ROWS):
            asked = {"ids": ",".join(ad_ids[first : first + BATCH_ROWS]), "fields": "adset_id"}
            answer: Mapping[str, Mapping[str, str]] = self._api.read("ad sets of changed ads", ("",), asked)
            found |= {ad: row["adset_id"] for ad, row in answer.items()}
        return found

    def _currency(self, account_id: str) -> str:
        return str(self._api.read(f"account {account_id}", (f"act_{account_id}",), {"fields": "currency"})["currency"])

    def _change_frame(self, account: Account, window: tuple[date, date]) -> pl.DataFrame:
        import polars as pl

        zone = ZoneInfo(account.timezone)
        first, end = (datetime.combine(day, time(), zone) for day in (window[0], window[1] + timedelta(days=1)))
        changes = self._changes(account.account_id, account.currency_code, first, end)
        rows = [
            {**vars(c), "changed_fields": list(c.changed_fields), "date": c.changed_at.astimezone(zone).date()} for c in changes
        ]
        absent = ("platform", "account_id", "loaded_at")
        schema = {name: kind for name, kind in load_contract(CHANGES).polars_schema().items() if name not in absent}
        return pl.DataFrame(rows, schema=schema)

    def create_skeleton(self, account_id: str, skeleton: Skeleton, *, validate_only: bool) -> SkeletonReceipt:
        """See :class:`tasks.platforms.base.Platform`. Meta validates what its parent is there for."""
        page_id, currency = skeletons.page_of(self._credentials), self._currency(account_id)
        there = {e.kind: e.id for e in self._entities(account_id) if e.name == skeleton.label}
        made: dict[str, str | None] = {kind: there.get(kind) for kind in skeletons.EDGES}
        created = []
        for kind, edge in skeletons.EDGES.items():
            above, key = skeletons.PARENTS.get(kind, (None, ""))
            if made[kind] is not None or (above is not None and made[above] is None):
                continue
            params = skeletons.parameters(skeleton, kind, currency, page_id) | ({key: made[above]} if above else {})
            what, path = f"account {account_id}, new {kind}", (f"act_{account_id}", edge)
            if validate_only:
                self._api.read(what, path, params | _VALIDATE, method="POST")
                continue
            made[kind] = str(self._api.mutate(what, path, params)["id"])
            created.append(kind)
        return SkeletonReceipt(made["campaign"], made["adgroup"], made["ad"], tuple(created), self._api.request_id)
