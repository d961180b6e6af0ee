"""From a bandit's decisions about ads to the changes that are proposed. Pure: rows and statuses in, a choice for each row out.

Only what differs from what is there is proposed, and only what every rule allows (tasks/core/ad_rules.py). What is left out keeps
its reason. Enabling is chosen before pausing, as it is carried out: an ad that takes over may be what lets another one rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from tasks.core import ad_rules
from tasks.core.ad_changes import ENABLED, LONGEST_REASON, PAUSED, AdChange, AdKey, AdState, ad_change_id
from tasks.core.canonical import canonical_json

_WANTED = {"enable": ENABLED, "pause": PAUSED}
# Where the day has no room for all, an ad that is to serve goes before one that is to stop.
_ORDER = {"enable": 0, "pause": 1, "keep": 2}


@dataclass(frozen=True)
class Decision:
    """A row of ``models.bandit_decisions`` about an ad."""

    campaign_id: str
    adgroup_id: str
    ad_id: str
    action: str
    reason: str

    @property
    def key(self) -> AdKey:
        """The ad."""
        return self.adgroup_id, self.ad_id


@dataclass(frozen=True)
class Choice:
    """What becomes of a decision: ``change`` if it is proposed, else the ``constraint`` that held it, and the words for both."""

    decision: Decision
    constraint: str
    detail: str
    change: AdChange | None = None

    @property
    def outcome(self) -> Literal["enable", "pause", "hold"]:
        """The word of ``control.ad_decisions``."""
        if self.change is None:
            return "hold"
        return "enable" if self.change.status_after == ENABLED else "pause"


@dataclass(frozen=True)
class Account:
    """What the plan knows of an account.

    ``held`` is ad group → open change set; ``paused_by_us`` are the ads whose last switch in the ledger is our pause; ``room`` is
    how many ads may still be switched in the 24 h; ``frozen_why`` is empty unless a switch or a flag holds the account;
    ``resting`` is ad → the day its switch was taken back, where that is not long ago; ``drift_why`` is the account's critical
    drift of the day that nobody has acknowledged; ``is_by_hand``: the platform's API switches no single ad.
    """

    platform: str
    account_id: str
    ads: Sequence[AdState]
    held: Mapping[str, str]
    paused_by_us: Collection[AdKey]
    room: int
    frozen_why: str = ""
    resting: Mapping[AdKey, date] = field(default_factory=dict)
    drift_why: str = ""
    is_by_hand: bool = False


def decisions_sha256(decisions: Sequence[Decision]) -> str:
    """Hash of the decisions that a set rests on, in whatever order they come."""
    rows = sorted((d.adgroup_id, d.ad_id, d.campaign_id, d.action, d.reason) for d in decisions)
    return hashlib.sha256(canonical_json(rows)).hexdigest()


def plan_ads(decisions: Sequence[Decision], account: Account, run_date: date) -> list[Choice]:
    """A choice for each decision, in the order of ad groups and ads."""
    chosen: dict[AdKey, Choice] = {}
    switches: list[AdChange] = []
    for decision in sorted(decisions, key=lambda d: (_ORDER[d.action], d.key)):
        choice = _choose(decision, account, run_date, switches)
        if choice.change is not None:
            switches.append(choice.change)
        chosen[decision.key] = choice
    return [chosen[key] for key in sorted(chosen)]


def _choose(decision: Decision, account: Account, run_date: date, switches: Sequence[AdChange]) -> Choice:
    """``switches`` are what is proposed already."""
    ad = next((ad for ad in account.ads if ad.key == decision.key), None)
    if decision.action == "keep":
        return Choice(decision, "kept", decision.reason)
    if ad is None:
        return Choice(decision, "ad_gone", "the ad is not among those that were loaded for the run date")
    wanted = _WANTED[decision.action]
    if ad.status == wanted:
        return Choice(decision, "already", f"the ad is {wanted} already")
    if ad.status not in _WANTED.values():
        return Choice(decision, "status", f"the ad is {ad.status}")
    above = next(
        (f"{name} is {s}" for name, s in (("campaign", ad.campaign_status), ("ad group", ad.adgroup_status)) if s != ENABLED), ""
    )
    if wanted == PAUSED and above:
        # It serves nothing, and the platform takes no change of it once what stands above is removed: one row would fail the set.
        return Choice(decision, "not_serving", f"its {above}, so there is nothing to stop")
    if account.is_by_hand:
        detail = f"the API of {account.platform} switches no single ad: a person does it there, or nobody"
        return Choice(decision, "by_hand", detail)
    if account.frozen_why:
        return Choice(decision, "account_frozen", account.frozen_why)
    if account.drift_why:
        return Choice(decision, "critical_drift", account.drift_why)
    if decision.adgroup_id in account.held:
        return Choice(decision, "other_set", f"its ad group is in the open change set {account.held[decision.adgroup_id]}")
    if decision.key in account.resting:
        detail = f"its switch was taken back on {account.resting[decision.key]}; nobody is asked the same again so soon"
        return Choice(decision, "resting", detail)
    if wanted == ENABLED and decision.key not in account.paused_by_us:
        return Choice(decision, "paused_by_a_person", "it was not AELP2 that paused the ad, so a person enables it or nobody")
    change = AdChange(
        change_id=ad_change_id(account.platform, account.account_id, run_date, decision.key),
        campaign_id=decision.campaign_id,
        adgroup_id=decision.adgroup_id,
        ad_id=decision.ad_id,
        status_before=ad.status,
        status_after=wanted,
        reason=" ".join(decision.reason.split())[:LONGEST_REASON] or "no reason given",
    )
    broken = ad_rules.change_violations(change, account.ads, [*switches, change])
    if broken:
        return Choice(decision, broken[0].name, "; ".join(map(str, broken)))
    if len(switches) >= account.room:
        return Choice(decision, "ad_changes_per_day", f"{account.room} more ads may be switched today, and others go first")
    return Choice(decision, "none", decision.reason, change)
