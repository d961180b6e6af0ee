"""What the platforms reached over HTTP have in common: from an adapter's raw columns and entities to frames of the tables.

An adapter says what its platform calls things; how rows get their names hashed, their status, their partitions, is here once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.core.ad_changes import AdState
from tasks.core.clock import utc_now
from tasks.core.errors import JobError
from tasks.core.redaction import hash_name, load_salt
from tasks.core.settings import Settings
from tasks.platforms.base import Account, AccountChange, AdStatus, CredentialField, Reports, RowOutcome
from tasks.platforms.calls import RetryPolicy
from tasks.platforms.normalise import UNKNOWN_ENUM, raw_rows, shape, status_frame

if TYPE_CHECKING:
    import polars as pl

CAMPAIGNS, ADS = "ads.ads_campaign_performance", "ads.ads_ad_performance"
ACTIONS, BREAKDOWNS = "ads.ads_action_performance", "ads.ads_breakdown_performance"
ENTITIES, STATUSES = "ads.ads_entities", "ads.ad_statuses"
REMOVED = "REMOVED"  # of an entity that reports still name and lists no longer hold


@dataclass(frozen=True)
class Entity:
    """A thing of an account as it stands now; ``status`` is ENABLED, PAUSED, REMOVED or what :func:`status_of` made of it."""

    kind: str  # as in ads.ads_entities
    id: str
    parent_kind: str | None
    parent_id: str | None
    name: str | None
    status: str
    creative_id: str | None = None
    detail: str | None = None


def status_of(word: str, known: Mapping[str, str]) -> str:
    """The platform's word for a status in ours; one that ``known`` lacks is marked, so that its rows are set aside."""
    return known.get(word) or f"{UNKNOWN_ENUM}_{word}"


class HttpPlatform(ABC):
    """The shared half of an adapter. Nothing is dialled before the first call.

    Args:
        settings: endpoints, credentials folder, salt.
        brand_terms: taken for the Protocol's sake; only search ads capture a brand, and these platforms have none.
        retries: patience with passing faults and throttling.
    """

    name: ClassVar[str]
    api_version: ClassVar[str]
    restatement_days: ClassVar[int]
    switches_ads: ClassVar[bool] = True
    keeps_change_log: ClassVar[bool] = False
    channel: ClassVar[str]
    attribution_window: ClassVar[str]  # what conversions of the delivery tables count, e.g. 7d_click_1d_view
    credential_fields: ClassVar[tuple[CredentialField, ...]]

    def __init__(
        self,
        settings: Settings,
        *,
        brand_terms: Sequence[str] = (),  # noqa: ARG002 - see above
        retries: RetryPolicy | None = None,
    ) -> None:
        self._settings = settings
        self._retries = retries or RetryPolicy()
        self._salt_read: bytes | None = None
        self._hashes: dict[str | None, str | None] = {}

    # What an adapter supplies.

    @abstractmethod
    def accounts(self) -> list[Account]:
        """See :class:`tasks.platforms.base.Platform`."""

    @abstractmethod
    def _entities(self, account_id: str) -> list[Entity]:
        """Everything the account holds: campaigns, ad groups, ads, creatives. Removed ones may be left out."""

    @abstractmethod
    def _delivery(self, account: Account, level: str, start: date, end: date) -> pl.DataFrame:
        """Days of ``level`` (campaign or ad): date, campaign_id, for ads also adgroup_id, ad_id, and the numbers.

        Numbers: impressions, clicks, cost_micros, conversions, revenue_micros, video_views, video_completions. Parents that the
        report does not name may be left out: they are looked up in the entities.
        """

    @abstractmethod
    def _actions(self, account: Account, start: date, end: date) -> pl.DataFrame:
        """Rows of ads.ads_action_performance as far as the platform tells them."""

    @abstractmethod
    def _breakdowns(self, account: Account, start: date, end: date) -> pl.DataFrame:
        """Rows of ads.ads_breakdown_performance: one breakdown or several, whatever the API allows."""

    # What they share.

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        """See :class:`tasks.platforms.base.Platform`."""
        entities = self._entities(account.account_id)
        window, loaded_at = (start, end), utc_now()
        raw = {
            CAMPAIGNS: self._described(self._delivery(account, "campaign", start, end), entities, "campaign"),
            ADS: self._described(self._delivery(account, "ad", start, end), entities, "ad"),
            ACTIONS: self._actions(account, start, end),
            BREAKDOWNS: self._breakdowns(account, start, end),
        }
        windows = dict.fromkeys(raw, window)
        if end >= run_date - timedelta(days=2):
            raw |= {ENTITIES: self._entity_frame(entities, run_date), STATUSES: status_frame(_states(entities), run_date)}
            windows |= {ENTITIES: (run_date, run_date), STATUSES: (run_date, run_date)}
        shaped = {table: shape(table, frame, account, windows[table], loaded_at) for table, frame in raw.items()}
        return Reports(
            frames={table: one.frame for table, one in shaped.items()},
            duplicates=sum(one.duplicates for one in shaped.values()),
            windows=windows,
            rejected=tuple(row for one in shaped.values() for row in one.rejected),
        )

    def read_ads(self, account_id: str, adgroup_ids: Sequence[str]) -> list[AdState]:
        """See :class:`tasks.platforms.base.Platform`."""
        wanted = set(adgroup_ids)
        return [ad for ad in _states(self._entities(account_id)) if ad.adgroup_id in wanted and ad.status != REMOVED]

    def read_changes(self, account_id: str, since: datetime) -> list[AccountChange]:  # noqa: ARG002 - see the Protocol
        """See :class:`tasks.platforms.base.Platform`. Most of these platforms tell no API user who changed what."""
        return []

    def no_rows(self, table: str) -> pl.DataFrame:
        """An empty raw frame of ``table``, for what a platform does not tell."""
        return raw_rows(table, [])

    def hash(self, name: str | None) -> str | None:
        """Salted hash of a name. Each is worked out once: every piece of a history names the same entities."""
        if name not in self._hashes:
            if self._salt_read is None:
                self._salt_read = load_salt(self._settings.name_salt_file, may_create=self._settings.backend == "duckdb")
            self._hashes[name] = hash_name(name, self._salt_read)
        return self._hashes[name]

    def _described(self, numbers: pl.DataFrame, entities: Sequence[Entity], kind: str) -> pl.DataFrame:
        """``numbers`` with channel, brand, attribution window, and from the entities name, status, creative and parents."""
        import polars as pl

        own = [e for e in entities if e.kind == kind]
        columns: dict[str, list[Any]] = {
            f"{kind}_id": [e.id for e in own],
            f"{kind}_status": [e.status for e in own],
            "name_hash": [self.hash(e.name) for e in own],
        }
        if kind == "ad":
            campaign_of = {e.id: e.parent_id for e in entities if e.kind == "adgroup"}
            parents = {
                "adgroup_id": [e.parent_id for e in own],
                "campaign_id": [campaign_of.get(e.parent_id or "") for e in own],
            }
            columns |= {"creative_id": [e.creative_id for e in own]} | {
                name: values for name, values in parents.items() if name not in numbers.columns
            }
        known = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        joined = numbers.join(known, on=f"{kind}_id", how="left", maintain_order="left")
        lost = [name for name in ("adgroup_id", "campaign_id") if name in joined.columns and joined[name].null_count()]
        if lost:
            example = joined.filter(pl.col(lost[0]).is_null())[f"{kind}_id"][0]
            raise JobError(
                f"{self.name} reports numbers of {kind} {example}, which its lists do not hold, so its {lost[0]} is unknown; "
                "load the day again, and if it stays, tell the platform's support"
            )
        if "attribution_window" not in joined.columns:  # a platform may tell an account's own
            joined = joined.with_columns(pl.lit(self.attribution_window).alias("attribution_window"))
        return joined.with_columns(
            pl.col(f"{kind}_status").fill_null(REMOVED),
            pl.lit(self.channel).alias("channel"),
            pl.lit(value=False).alias("is_brand"),
        )

    def _entity_frame(self, entities: Iterable[Entity], run_date: date) -> pl.DataFrame:
        rows = [
            {
                "date": run_date,
                "entity_kind": e.kind,
                "entity_id": e.id,
                "parent_kind": e.parent_kind,
                "parent_id": e.parent_id,
                "creative_id": e.creative_id,
                "name_hash": self.hash(e.name),
                "status": e.status,
                "detail": e.detail,
            }
            for e in entities
        ]
        return raw_rows(ENTITIES, rows)


def _states(entities: Sequence[Entity]) -> list[AdState]:
    """Ads with the status of what stands above them, by ad group and ad."""
    by_key = {(e.kind, e.id): e for e in entities}
    found = []
    for ad in (e for e in entities if e.kind == "ad"):
        group = by_key["adgroup", ad.parent_id or ""]
        campaign = by_key["campaign", group.parent_id or ""]
        found.append(AdState(campaign.id, group.id, ad.id, ad.status, group.status, campaign.status))
    return sorted(found, key=lambda ad: (ad.adgroup_id, ad.ad_id))


def actions_of_ads(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Raw rows of ads.ads_action_performance that are of single ads and days, whole; what nobody did is left out."""
    import polars as pl

    whole = {"level": "ad", "breakdown": "none", "segment_id": "all"}
    constants = [pl.lit(value).alias(name) for name, value in whole.items()]
    return pl.concat(parts).filter(pl.col("actions") > 0).with_columns(*constants, pl.lit(1, dtype=pl.Int64).alias("period_days"))


def set_one_by_one(
    statuses: Sequence[AdStatus], wrong: Mapping[str, str], set_one: Callable[[AdStatus], str | None], *, validate_only: bool
) -> tuple[RowOutcome, ...]:
    """An outcome for each row: ``wrong`` of :func:`check_statuses`, else what ``set_one`` says of it (None: it was set)."""

    def error_of(row: AdStatus) -> str | None:
        return wrong.get(row.change_id) or (None if validate_only else set_one(row))

    return tuple(RowOutcome(row.change_id, row.resource_id, error_of(row)) for row in statuses)


def check_statuses(statuses: Sequence[AdStatus], states: Sequence[AdState]) -> dict[str, str]:
    """Change id → why its ad cannot be set so, by what is there now; for platforms whose API cannot validate only.

    JobError on no rows, an ad named twice or a status that is neither ENABLED nor PAUSED.
    """
    if not statuses:
        raise JobError("there is no ad to set")
    if len({s.resource_id for s in statuses}) != len(statuses):
        raise JobError(f"an ad is named twice: {sorted(s.resource_id for s in statuses)}")
    there = {ad.key: ad for ad in states}
    wrong = {}
    for wanted in statuses:
        if wanted.status not in ("ENABLED", "PAUSED"):
            raise JobError(f"{wanted.change_id}: ad {wanted.resource_id!r} to {wanted.status!r} makes no sense")
        found = there.get((wanted.adgroup_id, wanted.ad_id))
        if found is None:
            wrong[wanted.change_id] = f"NOT_FOUND: ad {wanted.resource_id} is not there"
        elif found.status not in ("ENABLED", "PAUSED"):
            wrong[wanted.change_id] = f"NOT_SETTABLE: ad {wanted.resource_id} is {found.status}"
    return wrong
