"""What every ad platform adapter offers to the stages. Amounts are integer micros of the account's currency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from tasks.core.ad_changes import AdState, ad_resource_id
from tasks.core.errors import JobError

if TYPE_CHECKING:
    import polars as pl


class AmbiguousMutationError(JobError):
    """A mutate was sent and its answer was lost: it may or may not have happened.

    Read back what it was about before anything else; never send it again unread.
    """


@dataclass(frozen=True)
class Account:
    """An ad account; ``timezone`` is the IANA zone in which it counts its days."""

    platform: str
    account_id: str
    name_hash: str
    currency_code: str
    timezone: str
    status: str


@dataclass(frozen=True)
class CredentialField:
    """What an adapter must be told to sign in: ``help`` says where a person finds it, ``env`` which variable may hold it."""

    name: str
    help: str
    is_secret: bool
    required: bool
    env: str


@dataclass(frozen=True)
class Access:
    """What the credentials may do, as the platform's own API says it.

    ``missing`` names in the platform's words what this system needs and the credentials do not grant; empty: all is there.
    ``expires_at`` is None where the credentials do not run out or the platform does not say.
    """

    accounts: tuple[Account, ...]
    granted: tuple[str, ...]
    missing: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Skeleton:
    """A paused campaign with one ad group and one ad, to be filled by people.

    Args:
        label: stands in the name of everything made, so that a second call finds it. Letters, digits and dashes.
        landing_url: where the ad leads, UTM parameters included.
        daily_budget_micros: of the campaign, account currency.
    """

    label: str
    landing_url: str
    daily_budget_micros: int


@dataclass(frozen=True)
class SkeletonReceipt:
    """Ids of a skeleton; ``created`` names the kinds (campaign, adgroup, ad) this call made, empty if all were there.

    Ids are None where nothing was made because the call only validated.
    """

    campaign_id: str | None
    adgroup_id: str | None
    ad_id: str | None
    created: tuple[str, ...]
    request_id: str


@dataclass(frozen=True)
class BudgetState:
    """A campaign budget as the platform holds it at the moment of reading."""

    budget_id: str
    amount_micros: int
    is_explicitly_shared: bool
    reference_count: int
    member_campaign_ids: tuple[str, ...]
    enabled_campaign_ids: tuple[str, ...]
    status: str
    currency_code: str


@dataclass(frozen=True)
class BudgetAmount:
    """One wanted amount: ``change_id`` comes back in the outcome of its row."""

    change_id: str
    budget_id: str
    amount_micros: int

    @property
    def resource_id(self) -> str:
        """What it is about."""
        return self.budget_id


@dataclass(frozen=True)
class AdStatus:
    """One wanted status, ENABLED or PAUSED: ``change_id`` comes back in the outcome of its row."""

    change_id: str
    adgroup_id: str
    ad_id: str
    status: str

    @property
    def resource_id(self) -> str:
        """What it is about, as the platform's change log names it."""
        return ad_resource_id((self.adgroup_id, self.ad_id))


@dataclass(frozen=True)
class RowOutcome:
    """How one row of a mutate ended; ``error`` holds the platform's code and message of a failed row."""

    change_id: str
    resource_id: str
    error: str | None = None

    @property
    def ok(self) -> bool:
        """True if the platform took the row."""
        return self.error is None


@dataclass(frozen=True)
class Receipt:
    """What the platform answered to one mutate call: its request id and one outcome per row, in order."""

    request_id: str
    outcomes: tuple[RowOutcome, ...]


@dataclass(frozen=True)
class AccountChange:
    """A change somebody made, from the platform's own log.

    Amounts are None where no budget amount changed, statuses where no status did. The id of an ad is ``ad group~ad``.
    """

    change_event_id: str
    changed_at: datetime
    resource_type: str
    resource_id: str
    operation: str
    changed_fields: tuple[str, ...]
    client_type: str
    actor_hash: str | None
    amount_before_micros: int | None
    amount_after_micros: int | None
    status_before: str | None = None
    status_after: str | None = None


@dataclass(frozen=True)
class RejectedRow:
    """A row the platform sent that its table must not take; ``row`` has the table's columns, names already hashed."""

    table: str
    row: dict[str, object]
    check: str
    reason: str


@dataclass(frozen=True)
class Reports:
    """Frames of one account, each in the shape of its table contract, and how many identical rows came twice.

    ``windows`` gives per table the first and last day (both included) that its frame covers in full: a load replaces exactly
    these partitions.
    """

    frames: dict[str, pl.DataFrame]
    duplicates: int
    windows: dict[str, tuple[date, date]] = field(default_factory=dict)
    rejected: tuple[RejectedRow, ...] = ()


class Platform(Protocol):
    """One ad platform. Passing faults are retried inside by error class; what is left is raised.

    TryAgain: quota or time-out that outlasted the retries. JobError: credentials, permissions, bad request, sunset version.
    """

    name: str
    api_version: str
    restatement_days: int
    credential_fields: tuple[CredentialField, ...]
    switches_ads: bool  # False: its API enables and pauses no single ad; what bandits say of them is advice
    keeps_change_log: bool  # False: read_changes tells nothing, and edits by others are seen in daily snapshots alone

    def check_access(self) -> Access:
        """What the credentials may do. CallError if they are wrong (kind SIGN_IN) or have run out (EXPIRED)."""

    def accounts(self) -> list[Account]:
        """Client accounts (no managers) below the login account."""

    def reports(self, account: Account, start: date, end: date, *, run_date: date) -> Reports:
        """Standard-schema frames for the account days ``start`` to ``end`` (both included), keyed by table name.

        If ``end`` is one of the last two days before ``run_date``, or later, also what is only known as it stands now: budgets
        and the status of ads, dated ``run_date``, and the change log of the 30 days up to ``run_date``.
        """

    def read_ads(self, account_id: str, adgroup_ids: Sequence[str]) -> list[AdState]:
        """Every ad of these ad groups as it stands now; removed ads are left out."""

    def set_ad_statuses(self, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Receipt:
        """Enable and pause ads in one call with partial failure; ``validate_only`` checks and changes nothing."""

    def read_changes(self, account_id: str, since: datetime) -> list[AccountChange]:
        """Changes of budgets, campaigns, ad groups and ads since ``since`` (at most 30 days back), oldest first.

        Empty where the platform keeps no log.
        """

    def create_skeleton(self, account_id: str, skeleton: Skeleton, *, validate_only: bool) -> SkeletonReceipt:
        """Make what is missing of a paused campaign, ad group and ad; what bears the label already is left as it is.

        With ``validate_only`` nothing is made: the platform checks it where its API can, the adapter where it cannot.
        """


class BudgetPlatform(Platform, Protocol):
    """A platform whose budgets AELP2 moves. Why not all: docs/decisions/0015-platforms.md."""

    def read_budgets(self, account_id: str, budget_ids: Sequence[str] | None = None) -> list[BudgetState]:
        """Budgets as they stand now, with all member campaigns; JobError if a named one does not exist."""

    def set_budgets(self, account_id: str, amounts: Sequence[BudgetAmount], *, validate_only: bool) -> Receipt:
        """Set daily amounts in one call with partial failure; ``validate_only`` checks and changes nothing."""


def with_budgets(platform: Platform) -> BudgetPlatform:
    """``platform`` as one whose budgets are moved; JobError for any other."""
    if not hasattr(platform, "set_budgets"):
        raise JobError(
            f"budgets of {platform.name} are not moved by this system (docs/decisions/0015-platforms.md); move them by hand"
        )
    return platform  # type: ignore[return-value]  # its one distinguishing method is there
