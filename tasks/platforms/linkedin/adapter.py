"""LinkedIn Marketing API (versioned REST) behind the ``Platform`` protocol, over plain HTTP.

LinkedIn's own client, linkedin-api-client 0.3.0, is a beta under a proprietary licence; it is not used.

| | |
| --- | --- |
| levels | campaign group → campaign, campaign → ad group, creative → ad, as connectors map them too |
| sign-in | OAuth 2: a refresh token of 365 days gets access tokens of 60; an app without refresh has an access token alone |
| amounts | decimal strings in the account's currency |
| days | UTC |
| windows of conversions | each conversion rule has its own; a count is told for clicks and for views, a value only together |
| limits | 429 with ``Retry-After``, else a day's quota, which is new at midnight UTC |
| reports | no paging; an answer of 15,000 elements was cut, so its days are asked again in halves |
| retention | days are told for about six months; see ``reports`` |
| member pivots (country) | approximate, and without what fewer than three members did: they need not sum to the account |
| no change log, no validate-only | see docs/decisions/0015-platforms.md |

``conversions`` counts every conversion rule of the account, as Campaign Manager does; submitted lead forms are actions of their
own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from tasks.core.clock import utc_now
from tasks.core.errors import JobError
from tasks.platforms.base import Access, Account, AdStatus, Receipt, Reports, Skeleton, SkeletonReceipt
from tasks.platforms.calls import CallError, Kind
from tasks.platforms.columns import Column, frame_of
from tasks.platforms.http_platform import (
    CAMPAIGNS,
    Entity,
    HttpPlatform,
    actions_of_ads,
    check_statuses,
    set_one_by_one,
    status_of,
)
from tasks.platforms.linkedin.connection import CREDENTIAL_FIELDS, VERSION, Connection, account_urn, escaped, id_of
from tasks.platforms.linkedin.lists import CREATIVES, LISTS, STATUSES, List, skeleton_fields

if TYPE_CHECKING:
    import polars as pl

log = structlog.get_logger(source=__name__)

SCOPES = ("rw_ads", "r_ads_reporting")  # rw_ads reads as well
MAX_ELEMENTS = 15_000
DAILY_KEPT = timedelta(days=180)
NO_RULE = "default"  # the windows of a rule that is no longer there
_ACCOUNT_STATUSES = {"ACTIVE": "ENABLED"}


_PIVOTS = {"campaign": "CAMPAIGN_GROUP", "ad": "CREATIVE"}
_DAY_PARTS = tuple(Column(part, part, "count") for part in ("year", "month", "day"))
_CLICKED = Column("clicked", "externalWebsitePostClickConversions", "number", 0)
_VIEWED = Column("viewed", "externalWebsitePostViewConversions", "number", 0)
_NUMBERS = (
    Column("impressions", "impressions", "count", 0),
    Column("clicks", "clicks", "count", 0),
    Column("cost_micros", "costInLocalCurrency", "money", 0),
    _CLICKED,
    _VIEWED,
    Column("revenue_micros", "conversionValueInLocalCurrency", "money", 0),
)
_VIDEO = (
    Column("video_views", "videoViews", "count", None),
    Column("video_completions", "videoCompletions", "count", None),
)
_LEADS = Column("actions", "oneClickLeads", "number", 0)


class LinkedInPlatform(HttpPlatform):
    """LinkedIn as the settings name it."""

    name = "linkedin"
    api_version = VERSION
    restatement_days = 30
    channel = "LINKEDIN"
    attribution_window = "30d_click_7d_view"  # of new conversion rules; an account's own are read
    credential_fields: ClassVar = CREDENTIAL_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connected: Connection | None = None
        self._rules_read: dict[str, dict[str, Mapping[str, Any]]] = {}

    @property
    def _connection(self) -> Connection:
        if self._connected is None:
            self._connected = Connection(self._settings, self._retries)
        return self._connected

    def check_access(self) -> Access:
        """See :class:`tasks.platforms.base.Platform`. The date is that of the refresh token, else of the access token."""
        granted, expires_at = self._connection.scopes()
        accounts = tuple(self.accounts()) if {"rw_ads", "r_ads"} & set(granted) else ()
        return Access(accounts, granted, tuple(scope for scope in SCOPES if scope not in granted), expires_at)

    def accounts(self) -> list[Account]:
        """See :class:`tasks.platforms.base.Platform`."""
        made = [
            Account(
                platform=self.name,
                account_id=str(a["id"]),
                name_hash=self.hash(a["name"]) or "",
                currency_code=a["currency"],
                timezone="UTC",
                status=_ACCOUNT_STATUSES.get(a["status"], a["status"]),
            )
            for a in self._connection.pages("list of accounts", "/adAccounts", "q=search&pageSize=1000")
        ]
        return sorted(made, key=lambda a: a.account_id)

    def _entities(self, account_id: str) -> list[Entity]:
        return [
            Entity(
                kind=one.kind,
                id=id_of(str(row["id"])),
                parent_kind=one.parent_kind,
                parent_id=id_of(row[one.parent]) if one.parent else None,
                name=row.get("name"),
                status=status_of(row[one.status], STATUSES),
                creative_id=(row.get("content") or {}).get("reference"),
                detail=row.get("objectiveType") or row.get("type"),
            )
            for one in LISTS
            for row in self._listed(account_id, one)
        ]

    def _listed(self, account_id: str, one: List) -> Iterator[Mapping[str, Any]]:
        what, path = f"account {account_id}, {one.path}", f"/adAccounts/{account_id}/{one.path}"
        return self._connection.pages(what, path, one.query, headers={"X-RestLi-Method": "FINDER"})

    def _rules(self, account_id: str) -> dict[str, Mapping[str, Any]]:
        """The account's conversion rules by id, asked once."""
        if account_id not in self._rules_read:
            found: dict[str, Mapping[str, Any]] = {}
            query = f"/conversions?q=account&account={escaped(account_urn(account_id))}&count=500&start="
            while True:
                what = f"account {account_id}, conversion rules"
                rows = self._connection.api.read(what, "GET", f"{query}{len(found)}")["elements"]
                new = {str(row["id"]): row for row in rows if str(row["id"]) not in found}
                if not new:
                    break
                found |= new
            self._rules_read[account_id] = found
        return self._rules_read[account_id]

    def _window_of(self, account_id: str) -> str:
        """What the account's conversions count: the window of its rules, if they agree."""
        windows = {_windows(rule) for rule in self._rules(account_id).values() if rule.get("enabled", True)}
        if not windows:
            return self.attribution_window
        return "_".join(windows.pop()) if len(windows) == 1 else "per_conversion_rule"

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        """See :class:`tasks.platforms.base.Platform`.

        LinkedIn tells days for about six months. Older days that came without a row are not covered by the result: what was
        loaded of them while they were told stays as it is.
        """
        got = super().reports(account, start, end, run_date=run_date)
        edge = (utc_now() - DAILY_KEPT).date()
        told = got.frames[CAMPAIGNS]["date"].min()
        first = min(edge, told) if isinstance(told, date) else edge
        if start >= first:
            return got
        log.warning("LinkedIn keeps no days so old", account=account.account_id, asked_from=str(start), covered_from=str(first))
        windows = {table: (max(low, first), high) for table, (low, high) in got.windows.items() if high >= first}
        return replace(got, frames={table: got.frames[table] for table in windows}, windows=windows)

    def _elements(
        self, account: Account, finder: str, columns: Sequence[Column], start: date, end: date
    ) -> list[Mapping[str, Any]]:
        """Rows of ad analytics, ``start`` to ``end``. An answer that is full was cut: its halves are asked instead."""
        fields = ",".join(["dateRange", "pivotValues", *(c.path for c in columns)])
        accounts = f"List({escaped(account_urn(account.account_id))})"
        days = f"(start:{_day(start)},end:{_day(end)})"
        what = f"account {account.account_id}, analytics {finder}, {start} to {end}"
        query = f"{finder}&timeGranularity=DAILY&dateRange={days}&accounts={accounts}&fields={fields}"
        rows: list[Mapping[str, Any]] = self._connection.api.read(what, "GET", f"/adAnalytics?{query}")["elements"]
        if len(rows) < MAX_ELEMENTS:
            return rows
        if start == end:
            raise JobError(
                f"{what}: LinkedIn cuts an answer at {MAX_ELEMENTS} rows, and this one day has as many; split the account"
            )
        middle = start + (end - start) // 2
        earlier = self._elements(account, finder, columns, start, middle)
        return earlier + self._elements(account, finder, columns, middle + timedelta(days=1), end)

    def _report(
        self, account: Account, finder: str, pivots: Sequence[str], columns: Sequence[Column], start: date, end: date
    ) -> pl.DataFrame:
        """``columns`` with date and, under the names in ``pivots``, the ids of what the rows are about."""
        import polars as pl

        rows = self._elements(account, finder, columns, start, end)
        what = f"account {account.account_id}, analytics {finder}"
        ranges = [row["dateRange"] for row in rows]
        if any(one["start"] != one["end"] for one in ranges):
            raise JobError(f"{what}: a row of {start} to {end} covers more than a day; LinkedIn keeps days for about six months")
        names = [pl.Series(name, [row["pivotValues"][n] for row in rows], dtype=pl.String) for n, name in enumerate(pivots)]
        days = frame_of([one["start"] for one in ranges], _DAY_PARTS, what).select(pl.date("year", "month", "day").alias("date"))
        return days.hstack(frame_of(rows, columns, what)).with_columns(urns.str.split(":").list.last() for urns in names)

    def _delivery(self, account: Account, level: str, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        finder = f"q=analytics&pivot={_PIVOTS[level]}"
        return (
            self._report(account, finder, [f"{level}_id"], (*_NUMBERS, *_VIDEO), start, end)
            .with_columns(
                (pl.col("clicked") + pl.col("viewed")).alias("conversions"),
                pl.lit(self._window_of(account.account_id)).alias("attribution_window"),
            )
            .drop("clicked", "viewed")
        )

    def _actions(self, account: Account, start: date, end: date) -> pl.DataFrame:
        """By creative: what each conversion rule counted, by its own windows, and the lead forms submitted within the ad."""
        import polars as pl

        rules = self._rules(account.account_id)
        finder = "q=statistics&pivots=List(CREATIVE,CONVERSION)"
        wide = self._report(account, finder, ["entity_id", "rule"], (_CLICKED, _VIEWED), start, end).unique(maintain_order=True)
        types = {key: str(rule["type"]).lower() for key, rule in rules.items()}
        parts = [
            wide.select(
                "date",
                "entity_id",
                pl.col("rule").replace_strict(types, default="conversion", return_dtype=pl.String).alias("action_type"),
                pl.col("rule")
                .replace_strict({k: _windows(r)[n] for k, r in rules.items()}, default=NO_RULE, return_dtype=pl.String)
                .alias("attribution_window"),
                pl.col(name).alias("actions"),
            )
            for n, name in enumerate(("clicked", "viewed"))
        ]
        # Two rules may be of one type, and those that are gone are counted together.
        counted = pl.concat(parts).group_by(pl.exclude("actions"), maintain_order=True).agg(pl.col("actions").sum())
        leads = self._report(account, "q=analytics&pivot=CREATIVE", ["entity_id"], (_LEADS,), start, end).select(
            "date",
            "entity_id",
            pl.lit("lead_form").alias("action_type"),
            pl.lit("inline").alias("attribution_window"),
            "actions",
        )
        return actions_of_ads([counted, leads])

    def _breakdowns(self, account: Account, start: date, end: date) -> pl.DataFrame:
        """The account by country of the members; segments are ids of LinkedIn's places."""
        import polars as pl

        return (
            self._report(account, "q=analytics&pivot=MEMBER_COUNTRY_V2", ["segment_id"], _NUMBERS, start, end)
            .with_columns(
                (pl.col("clicked") + pl.col("viewed")).alias("conversions"),
                pl.lit("account").alias("level"),
                pl.lit(account.account_id).alias("entity_id"),
                pl.lit("country").alias("breakdown"),
                pl.lit(1, dtype=pl.Int64).alias("period_days"),
            )
            .drop("clicked", "viewed")
        )

    def set_ad_statuses(self, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Receipt:
        """See :class:`tasks.platforms.base.Platform`. The API cannot validate only: each ad is checked against what is there."""
        wrong = check_statuses(statuses, self.read_ads(account_id, sorted({s.adgroup_id for s in statuses})))
        set_one = partial(self._set_status, account_id)
        outcomes = set_one_by_one(statuses, wrong, set_one, validate_only=validate_only)
        return Receipt(self._connection.api.request_id, outcomes)

    def _set_status(self, account_id: str, wanted: AdStatus) -> str | None:
        """None, or LinkedIn's refusal of this one creative. What concerns every one is raised."""
        path = f"/adAccounts/{account_id}/creatives/{escaped(f'{CREATIVES.urn}:{wanted.ad_id}')}"
        patch = {"patch": {"$set": {"intendedStatus": "ACTIVE" if wanted.status == "ENABLED" else "PAUSED"}}}
        method = {"X-RestLi-Method": "PARTIAL_UPDATE"}
        try:
            self._connection.api.mutate(f"status of ad {wanted.ad_id}", "POST", path, json=patch, headers=method)
        except CallError as error:
            if error.failure.kind is not Kind.REQUEST:
                raise
            return str(error)
        return None

    def create_skeleton(self, account_id: str, skeleton: Skeleton, *, validate_only: bool) -> SkeletonReceipt:
        """See :class:`tasks.platforms.base.Platform`. The API cannot validate only: it is looked up what is there.

        What is made: :func:`tasks.platforms.linkedin.lists.skeleton_fields`.
        """
        (account,) = [a for a in self.accounts() if a.account_id == account_id]
        found = [e for e in self._entities(account_id) if e.name == skeleton.label]
        made: dict[str, str | None] = {one.kind: next((e.id for e in found if e.kind == one.kind), None) for one in LISTS}
        created = []
        for one in LISTS:
            if made[one.kind] is None and not validate_only:
                made[one.kind] = self._make(account_id, one, skeleton_fields(account, skeleton, one, made, utc_now()))
                created.append(one.kind)
        ids = (made["campaign"], made["adgroup"], made["ad"])
        return SkeletonReceipt(*ids, tuple(created), self._connection.api.request_id)

    def _make(self, account_id: str, one: List, fields: Mapping[str, object]) -> str:
        """The id of what was made: LinkedIn tells it in a header alone."""
        api = self._connection.api
        api.mutate(f"account {account_id}, new {one.kind}", "POST", f"/adAccounts/{account_id}/{one.path}", json=fields)
        return id_of(api.answer_headers["X-RestLi-Id"])


def _windows(rule: Mapping[str, Any]) -> tuple[str, str]:
    """Of a conversion rule: ``30d_click`` and ``7d_view``."""
    return f"{rule['postClickAttributionWindowSize']}d_click", f"{rule['viewThroughAttributionWindowSize']}d_view"


def _day(day: date) -> str:
    return f"(year:{day.year},month:{day.month},day:{day.day})"
