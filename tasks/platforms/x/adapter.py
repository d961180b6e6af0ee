"""X Ads API 12 behind the ``Platform`` protocol, over plain HTTP: X's client was last released in 2022.

| | |
| --- | --- |
| levels | line item → ad group, promoted tweet → ad, tweet → its creative |
| sign-in | OAuth 1.0a of a user; tokens do not run out, they are revoked (code 89) |
| amounts | micros of the account's currency, which its funding instruments tell |
| days | the account's zone; windows are instants at its midnights, the end excluded |
| windows of conversions | 30 days after an engagement, 1 day after a view, X's default; a value is told only for both together |
| reports | asynchronous jobs of 20 entities and 90 days (45 by device), results in a gzipped file |
| clicks | ``clicks``, as connectors take them: X counts likes and other engagements among them |
| limits | 429 with an instant in ``x-rate-limit-reset``, by X's own clock |
| status of an ad | cannot be set: the API has no update of a promoted tweet, see ``set_ad_statuses`` |
| breakdown | by device; X tells no countries since 2026 |
| no change log, no validate-only | see docs/decisions/0015-platforms.md |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from tasks.core.clock import utc_now
from tasks.core.errors import JobError
from tasks.platforms.base import Access, Account, AdStatus, Receipt, RowOutcome, Skeleton, SkeletonReceipt
from tasks.platforms.columns import Column
from tasks.platforms.http import JsonApi
from tasks.platforms.http_platform import REMOVED, Entity, HttpPlatform, actions_of_ads, check_statuses, status_of
from tasks.platforms.x.connection import CREDENTIAL_FIELDS, VERSION, connect, pages
from tasks.platforms.x.stats import report

if TYPE_CHECKING:
    import polars as pl

log = structlog.get_logger(source=__name__)

MAY_EDIT = ("ACCOUNT_ADMIN", "AD_MANAGER")
CANNOT_PAUSE = (
    "NOT_SUPPORTED: X's API has no update of a promoted tweet: pause its line item at ads.x.com, or the tweet there, "
    "which takes it off the line item"
)
_STATUSES = {"ACTIVE": "ENABLED", "PAUSED": "PAUSED", "DRAFT": "PAUSED"}
_ACCOUNT_STATUSES = {"ACCEPTED": "ENABLED"}
# (list, kind, kind above, field of its id)
_LISTS = (
    ("campaigns", "campaign", None, ""),
    ("line_items", "adgroup", "campaign", "campaign_id"),
    ("promoted_tweets", "ad", "adgroup", "line_item_id"),
)
_ENTITIES = {"campaign": "CAMPAIGN", "ad": "PROMOTED_TWEET"}
_DELIVERED = "ENGAGEMENT,BILLING,WEB_CONVERSION"
_NUMBERS = (
    Column("impressions", "impressions", "count", 0),
    Column("clicks", "clicks", "count", 0),
    Column("cost_micros", "billed_charge_local_micro", "micros", 0),
    Column("purchases", "conversion_purchases.metric", "number", 0),
    Column("custom", "conversion_custom.metric", "number", 0),
    Column("purchase_micros", "conversion_purchases.sale_amount", "micros", 0),
    Column("custom_micros", "conversion_custom.sale_amount", "micros", 0),
)
_VIDEO = (
    Column("video_views", "video_total_views", "count", 0),
    Column("video_completions", "video_views_100", "count", 0),
)
_ACTIONS = {
    (action, attribution): Column(f"{action} {attribution}", f"{metric}.{told}", "number", 0)
    for action, metric in (
        ("purchase", "conversion_purchases"),
        ("sign_up", "conversion_sign_ups"),
        ("custom", "conversion_custom"),
    )
    for attribution, told in (("30d_click", "post_engagement"), ("1d_view", "post_view"))
}


class XPlatform(HttpPlatform):
    """X as the settings name it."""

    name = "x"
    switches_ads = False
    api_version = VERSION
    restatement_days = 30
    channel = "X"
    attribution_window = "30d_click_1d_view"
    credential_fields: ClassVar = CREDENTIAL_FIELDS

    _connected: JsonApi | None = None

    @property
    def _api(self) -> JsonApi:
        if self._connected is None:
            self._connected = connect(self._settings, self._retries)
        return self._connected

    def check_access(self) -> Access:
        """See :class:`tasks.platforms.base.Platform`. Granted is what the user may do in every account."""
        accounts = self.accounts()
        told = [
            self._api.read(
                f"account {a.account_id}, the user's role", "GET", f"/accounts/{a.account_id}/authenticated_user_access"
            )
            for a in accounts
        ]
        granted = set.intersection(*(set(one["data"]["permissions"]) for one in told)) if told else set()
        missing = () if granted & set(MAY_EDIT) else (MAY_EDIT[1],)
        return Access(tuple(accounts), tuple(sorted(granted)), missing)

    def accounts(self) -> list[Account]:
        """See :class:`tasks.platforms.base.Platform`. One that was never funded has no currency, and is left out."""
        made = []
        for row in pages(self._api, "list of accounts", "/accounts"):
            currency = self._currency(row["id"])
            if currency is None:
                log.warning("account left out", account=row["id"], because="it has no funding instrument")
                continue
            made.append(
                Account(
                    platform=self.name,
                    account_id=row["id"],
                    name_hash=self.hash(row["name"]) or "",
                    currency_code=currency,
                    timezone=row["timezone"],
                    status=_ACCOUNT_STATUSES.get(row["approval_status"], row["approval_status"]),
                )
            )
        return sorted(made, key=lambda a: a.account_id)

    def _funding(self, account_id: str) -> list[Mapping[str, Any]]:
        what, path = f"account {account_id}, funding instruments", f"/accounts/{account_id}/funding_instruments"
        return list(pages(self._api, what, path, with_deleted="true"))

    def _currency(self, account_id: str) -> str | None:
        found = sorted({str(row["currency"]) for row in self._funding(account_id)})
        if len(found) > 1:
            raise JobError(
                f"account {account_id} is funded in {', '.join(found)}: amounts of one account must not mix currencies"
            )
        return found[0] if found else None

    def _entities(self, account_id: str) -> list[Entity]:
        return [
            Entity(
                kind=kind,
                id=row["id"],
                parent_kind=parent,
                parent_id=row[key] if parent else None,
                name=row.get("name"),
                status=REMOVED if row["deleted"] else status_of(row["entity_status"], _STATUSES),
                creative_id=row.get("tweet_id"),
                detail=row.get("objective"),
            )
            for path, kind, parent, key in _LISTS
            for row in self._listed(account_id, path)
        ]

    def _listed(self, account_id: str, path: str) -> Iterator[Mapping[str, Any]]:
        """All of a list: deleted entities have numbers too, and drafts may be a skeleton's."""
        drafts = {} if path == "promoted_tweets" else {"with_draft": "true"}
        return pages(self._api, f"account {account_id}, {path}", f"/accounts/{account_id}/{path}", with_deleted="true", **drafts)

    def _report(
        self,
        account: Account,
        entity: str,
        days: tuple[date, date],
        columns: Sequence[Column],
        groups: str,
        segment: str | None = None,
    ) -> pl.DataFrame:
        """``columns`` by date, entity_id and segment; placements added up."""
        found = report(self._api, account, entity, days, columns, groups, self._retries.sleep, segment)
        if found["placement"].n_unique() <= 1:
            return found.drop("placement")
        import polars as pl

        # A row that came twice must not be added to itself.
        keys = ["date", "entity_id", "segment"]
        added = found.unique(maintain_order=True).group_by(keys, maintain_order=True)
        return added.agg(pl.col(c.name).sum() for c in columns)

    def _delivery(self, account: Account, level: str, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        found = self._report(account, _ENTITIES[level], (start, end), (*_NUMBERS, *_VIDEO), f"{_DELIVERED},VIDEO")
        return _counted(found.drop("segment").with_columns(pl.col("entity_id").alias(f"{level}_id")).drop("entity_id"))

    def _actions(self, account: Account, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        columns = tuple(_ACTIONS.values())
        wide = self._report(account, _ENTITIES["ad"], (start, end), columns, "WEB_CONVERSION")
        parts = [
            wide.select(
                "date",
                "entity_id",
                pl.lit(action).alias("action_type"),
                pl.lit(attribution).alias("attribution_window"),
                pl.col(column.name).alias("actions"),
            )
            for (action, attribution), column in _ACTIONS.items()
        ]
        return actions_of_ads(parts)

    def _breakdowns(self, account: Account, start: date, end: date) -> pl.DataFrame:
        import polars as pl

        found = self._report(account, _ENTITIES["campaign"], (start, end), _NUMBERS, _DELIVERED, "PLATFORMS")
        return _counted(found.rename({"segment": "segment_id"})).with_columns(
            pl.lit("campaign").alias("level"),
            pl.lit("device").alias("breakdown"),
            pl.lit(1, dtype=pl.Int64).alias("period_days"),
        )

    def set_ad_statuses(self, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Receipt:  # noqa: ARG002
        """Refuses each row: X's API cannot update a promoted tweet.

        It can take one off its line item (DELETE, which ads.x.com shows as paused) and promote the tweet again. Whether the same
        id comes back is documented nowhere, and an ad that comes back as another breaks the ledger of changes.
        """
        wrong = check_statuses(statuses, self.read_ads(account_id, sorted({s.adgroup_id for s in statuses})))
        return Receipt("", tuple(RowOutcome(s.change_id, s.resource_id, wrong.get(s.change_id, CANNOT_PAUSE)) for s in statuses))

    def create_skeleton(self, account_id: str, skeleton: Skeleton, *, validate_only: bool) -> SkeletonReceipt:
        """See :class:`tasks.platforms.base.Platform`. The API cannot validate only: it is looked up what is there.

        The ad is a promoted-only tweet, on no timeline, that holds the link alone; a person puts their own in its place.
        A promoted tweet has no name: the one in the line item that bears the label is it.
        """
        entities = self._entities(account_id)
        there = {e.kind: e.id for e in entities if e.name == skeleton.label and e.status != REMOVED}
        own = [e.id for e in entities if e.kind == "ad" and e.parent_id == there.get("adgroup") and e.status != REMOVED]
        made: dict[str, str | None] = {"campaign": there.get("campaign"), "adgroup": there.get("adgroup")}
        made["ad"] = own[0] if own and made["adgroup"] else None
        created = []
        for path, kind, _, _ in _LISTS:
            if made[kind] is None and not validate_only:
                asked = self._skeleton_fields(account_id, skeleton, kind, made)
                data = self._made(account_id, path, asked)
                made[kind] = str((data[0] if isinstance(data, list) else data)["id"])
                created.append(kind)
        return SkeletonReceipt(made["campaign"], made["adgroup"], made["ad"], tuple(created), self._api.request_id)

    def _made(self, account_id: str, path: str, asked: Mapping[str, str]) -> Any:
        what = f"account {account_id}, new entry in {path}"
        return self._api.mutate(what, "POST", f"/accounts/{account_id}/{path}", params=asked)["data"]

    def _skeleton_fields(self, account_id: str, skeleton: Skeleton, kind: str, made: Mapping[str, str | None]) -> dict[str, str]:
        if kind == "campaign":
            able = [row["id"] for row in self._funding(account_id) if row.get("able_to_fund") and not row["deleted"]]
            if not able:
                raise JobError(f"account {account_id} has no funding instrument that can pay; add one at ads.x.com")
            budget = {"daily_budget_amount_local_micro": str(skeleton.daily_budget_micros)}
            return {"name": skeleton.label, "entity_status": "PAUSED", "funding_instrument_id": able[0]} | budget
        if kind == "adgroup":
            begins = (utc_now() + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
            goal = {"objective": "WEBSITE_CLICKS", "product_type": "PROMOTED_TWEETS", "placements": "ALL_ON_TWITTER"}
            bid = {"bid_strategy": "AUTO", "goal": "LINK_CLICKS", "start_time": begins}
            return {"name": skeleton.label, "entity_status": "PAUSED", "campaign_id": str(made["campaign"])} | goal | bid
        return {"line_item_id": str(made["adgroup"]), "tweet_ids": self._tweet(account_id, skeleton)}

    def _tweet(self, account_id: str, skeleton: Skeleton) -> str:
        """The promoted-only tweet that bears the label; made if there is none."""
        listed = {"tweet_type": "PUBLISHED", "timeline_type": "NULLCAST"}
        for row in pages(self._api, f"account {account_id}, tweets", f"/accounts/{account_id}/tweets", **listed):
            if row.get("name") == skeleton.label:
                return str(row["tweet_id"])
        users = pages(self._api, f"account {account_id}, promotable users", f"/accounts/{account_id}/promotable_users")
        full = next((row["user_id"] for row in users if row["promotable_user_type"] == "FULL"), None)
        if full is None:
            raise JobError(f"account {account_id} may post for no user; give it a promotable user at ads.x.com")
        asked = {"as_user_id": str(full), "text": skeleton.landing_url, "name": skeleton.label, "nullcast": "true"}
        return str(self._made(account_id, "tweet", asked)["id_str"])


def _counted(frame: pl.DataFrame) -> pl.DataFrame:
    """Conversions and their value: purchases and custom events, as connectors count them."""
    import polars as pl

    return frame.with_columns(
        (pl.col("purchases") + pl.col("custom")).alias("conversions"),
        (pl.col("purchase_micros") + pl.col("custom_micros")).alias("revenue_micros"),
    ).drop("purchases", "custom", "purchase_micros", "custom_micros")
