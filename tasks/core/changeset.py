"""Change sets: the exact bytes a person approves.

The SHA-256 of their canonical form (canonical.py) is what an approval binds to. Nothing that changes between two runs over the
same inputs (a time stamp, a random id) is inside, so planning twice gives the same bytes. A set has one kind: budgets, here,
or the status of ads, in ad_changes.py.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from tasks.core.ad_changes import AdChange, AdStatusSet, parse_ad_set
from tasks.core.canonical import (
    AD_STATUS,
    BUDGETS,
    KINDS,
    SCHEMA_VERSION,
    Sealed,
    amount,
    exactly,
    read_changes,
    read_common,
    read_object,
    sealed,
    token,
)
from tasks.core.errors import JobError
from tasks.core.settings import Mode

PPM = 1_000_000


@dataclass(frozen=True)
class Change:
    """One budget change with all facts that the caps M2 to M6 are checked against before it is applied.

    ``p_cac_le_target_ppm`` is P(marginal CAC ≤ target) at the new amount in parts per million, rounded down.
    ``highest_daily_spend_micros`` is the highest total of the member campaigns on one day.
    """

    change_id: str
    budget_id: str
    channel: str
    campaign_ids: tuple[str, ...]
    is_shared: bool
    amount_before_micros: int
    amount_after_micros: int
    highest_daily_spend_micros: int
    is_extrapolated: bool
    p_cac_le_target_ppm: int

    unit: ClassVar[str] = " micros"  # what stands after an amount when it is told

    @property
    def key(self) -> str:
        """What is changed."""
        return self.budget_id

    @property
    def what(self) -> str:
        """The same in words."""
        return f"budget {self.budget_id}"

    @property
    def before(self) -> int:
        """Amount that it is changed from."""
        return self.amount_before_micros

    @property
    def after(self) -> int:
        """Amount that it is changed to."""
        return self.amount_after_micros

    def ledger_fields(self, values: tuple[int, int] | None) -> dict[str, str | int | None]:
        """What a row of the changefeed says of it; ``values`` are the amounts before and after the step."""
        before, after = values or (None, None)
        return {"budget_id": self.budget_id, "amount_before_micros": before, "amount_after_micros": after}

    @property
    def delta_micros(self) -> int:
        """Signed change of the daily amount."""
        return self.amount_after_micros - self.amount_before_micros


@dataclass(frozen=True)
class ChangeSet(Sealed):
    """The changes of one account and run date. Make it with :func:`make_change_set`, read it back with :func:`parse`."""

    platform: str
    account_id: str
    currency_code: str
    run_date: date
    author: str
    mode: Mode
    mmm_run_id: str
    policy_sha256: str
    target_cac_micros: int
    account_daily_budget_micros: int
    data_through_date: date
    changes: tuple[Change, ...]

    kind: ClassVar[str] = BUDGETS


AnyChange = Change | AdChange
AnySet = ChangeSet | AdStatusSet
Value = int | str  # micros of a budget, status of an ad


def change_id(platform: str, account_id: str, run_date: date, budget_id: str) -> str:
    """Id of a change: derived from what it changes on which day, so that it can stand inside the hashed bytes."""
    return f"{platform}-{account_id}-{run_date.isoformat()}-{budget_id}"


def probability_ppm(probability: float) -> int:
    """A probability in whole parts per million, rounded down: the safe side of M4."""
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"{probability} is not a probability")
    return int(probability * PPM)


def make_change_set(change_set: ChangeSet) -> ChangeSet:
    """``change_set`` with changes in the order of budget ids and sorted campaigns; JobError names what is wrong with it."""
    tidy = [dataclasses.replace(c, campaign_ids=tuple(sorted(c.campaign_ids))) for c in change_set.changes]
    tidied = dataclasses.replace(change_set, changes=tuple(sorted(tidy, key=lambda c: c.budget_id)))
    data = tidied.canonical()
    return _parse_budgets(read_object(data), data)


def parse(canonical: bytes | str) -> AnySet:
    """The change set in canonical bytes. JobError on unknown or missing keys, wrong types, or bytes that are not canonical."""
    data = canonical.encode("utf-8") if isinstance(canonical, str) else canonical
    raw = read_object(data)
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if isinstance(raw, dict) and "schema_version" in raw and version != SCHEMA_VERSION:
        raise JobError(f"change set has schema_version {version!r}; this program reads {SCHEMA_VERSION}")
    if isinstance(raw, dict) and "kind" in raw:
        if raw["kind"] != AD_STATUS:
            raise JobError(f"change set is of kind {raw['kind']!r}; this program reads {', '.join(KINDS)} (budgets name none)")
        return parse_ad_set(raw, data)
    return _parse_budgets(raw, data)


def _parse_budgets(raw: Any, data: bytes) -> ChangeSet:
    fields = exactly(raw, ChangeSet, "change set", extra=("schema_version",))
    del fields["schema_version"]
    changes = read_changes(fields, _parse_change)
    read_common(fields)
    token("mmm_run_id", fields["mmm_run_id"])
    for name in ("target_cac_micros", "account_daily_budget_micros"):
        amount(name, fields[name])
    result = ChangeSet(changes=changes, **fields)
    _check_consistent(result)
    return sealed(result, data)


def _check_consistent(change_set: ChangeSet) -> None:
    budgets = [c.budget_id for c in change_set.changes]
    if budgets != sorted(set(budgets)):
        raise JobError(f"change set names budgets twice or out of order: {budgets}")
    for change in change_set.changes:
        expected = change_id(change_set.platform, change_set.account_id, change_set.run_date, change.budget_id)
        if change.change_id != expected:
            raise JobError(f"change id {change.change_id!r} of budget {change.budget_id} should be {expected!r}")
        if change.delta_micros == 0:
            raise JobError(f"change {change.change_id} changes nothing ({change.amount_before_micros} micros before and after)")


def _parse_change(raw: Any, index: int) -> Change:
    where = f"change {index}"
    fields = exactly(raw, Change, where)
    for name in ("change_id", "budget_id", "channel"):
        token(f"{where} {name}", fields[name])
    campaigns = fields["campaign_ids"]
    if not isinstance(campaigns, list) or not campaigns:
        raise JobError(f"{where} ({fields['budget_id']}): campaign_ids is {campaigns!r}; all member campaigns must be listed")
    for campaign in campaigns:
        token(f"{where} campaign id", campaign)
    if campaigns != sorted(set(campaigns)):
        raise JobError(f"{where} ({fields['budget_id']}): campaign_ids are repeated or not sorted: {campaigns}")
    fields["campaign_ids"] = tuple(campaigns)
    for name in ("is_shared", "is_extrapolated"):
        if not isinstance(fields[name], bool):
            raise JobError(f"{where} {name}: {fields[name]!r} is not true or false")
    for name in ("amount_before_micros", "amount_after_micros", "highest_daily_spend_micros", "p_cac_le_target_ppm"):
        amount(f"{where} {name}", fields[name])
    if fields["p_cac_le_target_ppm"] > PPM:
        raise JobError(f"{where} p_cac_le_target_ppm: {fields['p_cac_le_target_ppm']} is more than {PPM}")
    return Change(**fields)
