"""What differs between budgets and ads. Everything else on the way of a change is one code path, whatever it changes.

A kind reads what is there, sends what is wanted, and knows the rules. It decides nothing about authority, order, intents,
receipts or crashes: those are guard.py, mutation.py and the jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from tasks.act import ad_guard, guard
from tasks.core.ad_changes import REMOVED, AdChange, AdStatusSet, ad_resource_id
from tasks.core.changeset import AnySet, Change, ChangeSet, Value
from tasks.core.errors import Refused
from tasks.core.money import format_micros
from tasks.platforms.base import AdStatus, BudgetAmount, with_budgets

if TYPE_CHECKING:
    import polars as pl

    from tasks.act.context import Context
    from tasks.act.stored import StoredSet
    from tasks.core.caps import Violation
    from tasks.platforms.base import AccountChange, Platform, Receipt


type Wanted[C] = Sequence[tuple[C, Value]]  # each change with the value it shall have


class View[C](Protocol):
    """What the platform holds at a moment."""

    def value(self, change: C) -> Value:
        """Amount or status of what ``change`` is about; Refused if it is gone."""


class Kind[S, C](Protocol):
    """One kind of change set ``S`` with changes ``C``."""

    noun: str  # of several

    def read_live(self, platform: Platform, change_set: S, now: datetime) -> Any:
        """A :class:`View` of everything that the rules of this set look at."""

    def read(self, platform: Platform, account_id: str, change: C) -> Value:
        """What ``change`` is about, now."""

    def check_values(self, platform: Platform, account_id: str, wanted: Wanted[C]) -> Receipt:
        """Have the platform check every change to its value, in one call; nothing is changed."""

    def set_values(self, platform: Platform, account_id: str, wanted: Wanted[C]) -> Receipt:
        """Set every change to its value in one call."""

    def logged_values(self, event: AccountChange, change: C) -> tuple[Value | None, Value | None] | None:
        """Before and after in an event of the account's log if it is about the same thing as ``change``."""

    def set_violations(self, context: Context, change_set: S, live: Any, now: datetime) -> list[Violation]:
        """The rules for what is still to be done of the set."""

    def change_violations(self, context: Context, change_set: S, change: C, live: Any, now: datetime) -> list[Violation]:
        """The rules for one change at the moment of its mutation."""

    def restore_violations(self, change: C, live: Any) -> list[Violation]:
        """The rules that bind even the undoing of a change."""

    def read_snapshot(self, context: Context, change_set_id: str) -> Mapping[str, Value]:
        """Change id → value in the set's snapshot; empty before it was taken."""

    def write_snapshot(self, context: Context, stored: StoredSet, change_set: S, live: Any, now: datetime) -> None:
        """Keep what ``live`` holds of the set; written once."""

    def show(self, value: Value, change_set: S) -> str:
        """A value for people."""


class Budgets:
    """Daily amounts, M2 to M6."""

    noun = "budgets"

    def read_live(self, platform: Platform, change_set: ChangeSet, now: datetime) -> guard.LiveView:
        """All budgets of the account, and what moved in 24 h."""
        return guard.read_live(platform, change_set.account_id, now)

    def read(self, platform: Platform, account_id: str, change: Change) -> int:
        """The budget's amount now."""
        (budget,) = with_budgets(platform).read_budgets(account_id, [change.budget_id])
        return budget.amount_micros

    def check_values(self, platform: Platform, account_id: str, wanted: Wanted[Change]) -> Receipt:
        """Check daily amounts."""
        return with_budgets(platform).set_budgets(account_id, self._amounts(wanted), validate_only=True)

    def set_values(self, platform: Platform, account_id: str, wanted: Wanted[Change]) -> Receipt:
        """Set daily amounts."""
        return with_budgets(platform).set_budgets(account_id, self._amounts(wanted), validate_only=False)

    def _amounts(self, wanted: Wanted[Change]) -> list[BudgetAmount]:
        return [BudgetAmount(c.change_id, c.budget_id, int(value)) for c, value in wanted]

    def logged_values(self, event: AccountChange, change: Change) -> tuple[int | None, int | None] | None:
        """Amounts of an event of the same budget."""
        is_same = event.resource_id == change.budget_id
        return (event.amount_before_micros, event.amount_after_micros) if is_same else None

    def set_violations(self, context: Context, change_set: ChangeSet, live: guard.LiveView, now: datetime) -> list[Violation]:
        """M2 to M6 for the whole set."""
        return guard.set_violations(context, change_set, live, now)

    def change_violations(
        self, context: Context, change_set: ChangeSet, change: Change, live: guard.LiveView, now: datetime
    ) -> list[Violation]:
        """M2 to M6 for one change."""
        return guard.change_violations(context, change_set, change, live, now)

    def restore_violations(self, change: Change, live: guard.LiveView) -> list[Violation]:  # noqa: ARG002 - see Kind
        """None: the earlier amount was there before, and the caps do not hold a rollback up."""
        return []

    def read_snapshot(self, context: Context, change_set_id: str) -> Mapping[str, int]:
        """Amounts as they were read."""
        frame = context.warehouse.query(
            "SELECT change_id, amount_micros FROM control.canary_budgets_snapshot WHERE change_set_id = @id",
            {"id": change_set_id},
        )
        return dict(frame.iter_rows())

    def write_snapshot(
        self, context: Context, stored: StoredSet, change_set: ChangeSet, live: guard.LiveView, now: datetime
    ) -> None:
        """Amounts with their members."""
        rows = []
        for change in change_set.changes:
            budget = live.budgets[change.budget_id]
            rows.append(
                {
                    "change_id": change.change_id,
                    "budget_id": budget.budget_id,
                    "amount_micros": budget.amount_micros,
                    "is_explicitly_shared": budget.is_explicitly_shared,
                    "member_campaign_ids": list(budget.member_campaign_ids),
                    "status": budget.status,
                }
            )
        table = "control.canary_budgets_snapshot"
        context.warehouse.insert_new(table, _snapshot(table, stored, now, rows))

    def show(self, value: Value, change_set: ChangeSet) -> str:
        """Money."""
        return format_micros(int(value), change_set.currency_code)


class AdStatuses:
    """Enabled or paused, M13."""

    noun = "ads"

    def read_live(self, platform: Platform, change_set: AdStatusSet, now: datetime) -> ad_guard.LiveAds:
        """Every ad of the set's ad groups, and how many were switched in 24 h."""
        return ad_guard.read_live(platform, change_set, now)

    def read(self, platform: Platform, account_id: str, change: AdChange) -> str:
        """The ad's status now; REMOVED if it is gone, which is somebody's edit like any other."""
        ads = platform.read_ads(account_id, [change.adgroup_id])
        return next((ad.status for ad in ads if ad.key == change.key), REMOVED)

    def check_values(self, platform: Platform, account_id: str, wanted: Wanted[AdChange]) -> Receipt:
        """Check enabling and pausing."""
        return platform.set_ad_statuses(account_id, self._statuses(wanted), validate_only=True)

    def set_values(self, platform: Platform, account_id: str, wanted: Wanted[AdChange]) -> Receipt:
        """Enable and pause."""
        return platform.set_ad_statuses(account_id, self._statuses(wanted), validate_only=False)

    def _statuses(self, wanted: Wanted[AdChange]) -> list[AdStatus]:
        return [AdStatus(c.change_id, c.adgroup_id, c.ad_id, str(value)) for c, value in wanted]

    def logged_values(self, event: AccountChange, change: AdChange) -> tuple[str | None, str | None] | None:
        """Statuses of an event of the same ad."""
        return (event.status_before, event.status_after) if event.resource_id == ad_resource_id(change.key) else None

    def set_violations(self, context: Context, change_set: AdStatusSet, live: ad_guard.LiveAds, now: datetime) -> list[Violation]:
        """M13 for the whole set, as it will have left the ad groups."""
        return ad_guard.set_violations(context, change_set, live, now)

    def change_violations(
        self, context: Context, change_set: AdStatusSet, change: AdChange, live: ad_guard.LiveAds, now: datetime
    ) -> list[Violation]:
        """M13 by what is there at this moment alone."""
        return ad_guard.change_violations(context, change_set, change, live, now)

    def restore_violations(self, change: AdChange, live: ad_guard.LiveAds) -> list[Violation]:
        """M13 binds a rollback too: taking back an enable is a pause, taking back a pause is an enable."""
        return ad_guard.restore_violations(change, live)

    def read_snapshot(self, context: Context, change_set_id: str) -> Mapping[str, str]:
        """Statuses as they were read."""
        frame = context.warehouse.query(
            "SELECT change_id, ad_status FROM control.canary_ads_snapshot WHERE change_set_id = @id", {"id": change_set_id}
        )
        return dict(frame.iter_rows())

    def write_snapshot(
        self, context: Context, stored: StoredSet, change_set: AdStatusSet, live: ad_guard.LiveAds, now: datetime
    ) -> None:
        """Statuses with those of what stands above."""
        rows = []
        for change in change_set.changes:
            ad = live.ads[change.key]
            names = {"campaign_id": ad.campaign_id, "adgroup_id": ad.adgroup_id, "ad_id": ad.ad_id}
            statuses = {"ad_status": ad.status, "adgroup_status": ad.adgroup_status, "campaign_status": ad.campaign_status}
            rows.append({"change_id": change.change_id, **names, **statuses})
        table = "control.canary_ads_snapshot"
        context.warehouse.insert_new(table, _snapshot(table, stored, now, rows))

    def show(self, value: Value, change_set: AdStatusSet) -> str:  # noqa: ARG002 - see Kind
        """The platform's own word."""
        return str(value)


def _snapshot(table: str, stored: StoredSet, now: datetime, rows: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """``rows`` of a snapshot in the shape of ``table``, each with the set it is of."""
    import polars as pl

    from tasks.core.contracts import load_contract

    about = {"change_set_id": stored.change_set_id, "platform": stored.platform, "account_id": stored.account_id}
    return pl.DataFrame([{**about, "snapshot_at": now, **row} for row in rows], schema=load_contract(table).polars_schema())


def kind_of(change_set: AnySet) -> Kind[Any, Any]:
    """The kind of ``change_set``."""
    if isinstance(change_set, ChangeSet):
        return Budgets()
    if isinstance(change_set, AdStatusSet):
        return AdStatuses()
    raise Refused(f"no kind of change set is called {type(change_set).__name__}")
