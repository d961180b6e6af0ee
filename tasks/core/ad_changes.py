"""Change sets that enable and pause ads: the second kind beside budgets (docs/decisions/0012-ad-status.md).

An ad is named by its ad group and its own id, as platforms do. The reason of each change is inside the hashed bytes: what a
person reads is what a person approves.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, ClassVar

from tasks.core.canonical import (
    AD_STATUS,
    SHA256,
    Sealed,
    exactly,
    match,
    read_changes,
    read_common,
    read_object,
    sealed,
    token,
)
from tasks.core.errors import JobError
from tasks.core.settings import Mode

ENABLED, PAUSED = "ENABLED", "PAUSED"
STATUSES = (ENABLED, PAUSED)
REMOVED = "REMOVED"  # an ad that is no longer there; no platform brings it back
LONGEST_REASON = 300

AdKey = tuple[str, str]  # ad group id, ad id


def ad_resource_id(key: AdKey) -> str:
    """What the platforms' change logs call an ad."""
    return "~".join(key)


@dataclass(frozen=True)
class AdState:
    """An ad as the platform holds it at the moment of reading, with what stands above it."""

    campaign_id: str
    adgroup_id: str
    ad_id: str
    status: str
    adgroup_status: str
    campaign_status: str

    @property
    def key(self) -> AdKey:
        """What it is."""
        return self.adgroup_id, self.ad_id


@dataclass(frozen=True)
class AdChange:
    """One ad to enable or to pause."""

    change_id: str
    campaign_id: str
    adgroup_id: str
    ad_id: str
    status_before: str
    status_after: str
    reason: str

    unit: ClassVar[str] = ""  # after a status there is nothing to add when it is told

    @property
    def key(self) -> AdKey:
        """What is changed."""
        return self.adgroup_id, self.ad_id

    @property
    def what(self) -> str:
        """The same in words."""
        return f"ad {self.ad_id} of ad group {self.adgroup_id}"

    @property
    def before(self) -> str:
        """Status that it is changed from."""
        return self.status_before

    @property
    def after(self) -> str:
        """Status that it is changed to."""
        return self.status_after

    def ledger_fields(self, values: tuple[str, str] | None) -> dict[str, str | None]:
        """What a row of the changefeed says of it; ``values`` are the statuses before and after the step."""
        before, after = values or (None, None)
        return {"adgroup_id": self.adgroup_id, "ad_id": self.ad_id, "status_before": before, "status_after": after}


@dataclass(frozen=True)
class AdStatusSet(Sealed):
    """The ads to enable and pause in one account on a run date. ``decisions_sha256`` binds it to the bandit's decisions."""

    platform: str
    account_id: str
    currency_code: str
    run_date: date
    author: str
    mode: Mode
    decisions_sha256: str
    policy_sha256: str
    data_through_date: date
    changes: tuple[AdChange, ...]

    kind: ClassVar[str] = AD_STATUS


def ad_change_id(platform: str, account_id: str, run_date: date, key: AdKey) -> str:
    """Id of a change: derived from what it changes on which day."""
    return f"{platform}-{account_id}-{run_date.isoformat()}-ad-{key[0]}-{key[1]}"


def _order(change: AdChange) -> tuple[str, str, str]:
    """Enabling comes first, so that a pause later in the same set finds the ad that takes over already on."""
    return change.status_after, *change.key


def make_ad_set(ad_set: AdStatusSet) -> AdStatusSet:
    """``ad_set`` with its changes in the order in which they are made; JobError names what is wrong with it."""
    tidy = replace(ad_set, changes=tuple(sorted(ad_set.changes, key=_order)))
    data = tidy.canonical()
    return parse_ad_set(read_object(data), data)


def parse_ad_set(raw: Any, data: bytes) -> AdStatusSet:
    """The set in canonical bytes whose JSON is ``raw``; its version and kind have been looked at."""
    fields = exactly(raw, AdStatusSet, "change set", extra=("schema_version", "kind"))
    del fields["schema_version"], fields["kind"]
    changes = read_changes(fields, _parse_change)
    read_common(fields)
    match("decisions_sha256", fields["decisions_sha256"], SHA256)
    made = AdStatusSet(changes=changes, **fields)
    orders = [_order(c) for c in changes]
    if orders != sorted(orders) or len({c.key for c in changes}) != len(changes):
        raise JobError(f"change set names ads twice or out of order: {[c.key for c in changes]}")
    for change in changes:
        expected = ad_change_id(made.platform, made.account_id, made.run_date, change.key)
        if change.change_id != expected:
            raise JobError(f"change id {change.change_id!r} of {change.what} should be {expected!r}")
    return sealed(made, data)


def _parse_change(raw: Any, index: int) -> AdChange:
    where = f"change {index}"
    fields = exactly(raw, AdChange, where)
    for name in ("change_id", "campaign_id", "adgroup_id", "ad_id"):
        token(f"{where} {name}", fields[name])
    before, after, reason = (fields[name] for name in ("status_before", "status_after", "reason"))
    if before not in STATUSES or after not in STATUSES or before == after:
        raise JobError(f"{where}: an ad goes from ENABLED to PAUSED or back, not from {before!r} to {after!r}")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > LONGEST_REASON:
        raise JobError(f"{where}: a reason has 1 to {LONGEST_REASON} characters, not {reason!r}")
    if any(unicodedata.category(c) in ("Cc", "Cf") for c in reason):
        raise JobError(f"{where}: the reason {reason!r} holds control characters")
    return AdChange(**fields)
