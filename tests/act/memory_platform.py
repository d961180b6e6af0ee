"""An ad platform in memory (or in a JSON file that processes share) behind the real Protocol; every mutation is recorded."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from tasks.core.ad_changes import AdState
from tasks.core.clock import utc_now
from tasks.core.errors import JobError, TryAgain
from tasks.platforms.base import (
    AccountChange,
    AdStatus,
    AmbiguousMutationError,
    BudgetAmount,
    BudgetState,
    Receipt,
    RowOutcome,
)


@dataclass
class Budget:
    """A budget of the account."""

    amount_micros: int
    members: list[str]
    is_shared: bool = False
    status: str = "ENABLED"
    reference_count: int | None = None
    enabled: list[str] | None = None


@dataclass
class Mutation:
    """A budget that was really set, by whom and when."""

    budget_id: str
    before: int
    after: int
    by: str
    at: str


@dataclass
class Switch:
    """An ad that was really enabled or paused, by whom and when."""

    adgroup_id: str
    ad_id: str
    before: str
    after: str
    by: str
    at: str


@dataclass
class MemoryPlatform:
    """``ads`` are ``[campaign, ad group, ad, status]``.

    ``faults`` holds names for the next real mutates: refuse, quota, lost_before, lost_after, ok."""

    budgets: dict[str, Budget]
    file: Path | None = None
    mutations: list[Mutation] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    ads: list[list[str]] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)  # ids of campaigns and ad groups that a person paused
    refuse_validation: set[str] = field(default_factory=set)
    name: str = "google_ads"
    api_version: str = "memory"
    restatement_days: int = 30

    def __post_init__(self) -> None:
        if self.file is not None and not self.file.exists():
            self._save()

    def _load(self) -> None:
        if self.file is not None:
            raw = json.loads(self.file.read_text())
            self.budgets = {k: Budget(**v) for k, v in raw["budgets"].items()}
            self.mutations = [Mutation(**m) for m in raw["mutations"]]
            self.ads, self.switches = raw["ads"], [Switch(**s) for s in raw["switches"]]

    def _save(self) -> None:
        if self.file is not None:
            state = {"budgets": {k: asdict(v) for k, v in self.budgets.items()}, "mutations": [asdict(m) for m in self.mutations]}
            state |= {"ads": self.ads, "switches": [asdict(s) for s in self.switches]}
            draft = self.file.with_suffix(".new")
            draft.write_text(json.dumps(state))
            draft.replace(self.file)

    def _set(self, budget_id: str, micros: int, by: str) -> None:
        budget = self.budgets[budget_id]
        self.mutations.append(Mutation(budget_id, budget.amount_micros, micros, by, utc_now().isoformat()))
        budget.amount_micros = micros
        self._save()

    def edit(self, budget_id: str, micros: int) -> None:
        """Somebody else changes the budget."""
        self._load()
        self._set(budget_id, micros, "somebody")

    def amounts(self) -> dict[str, int]:
        """Budget id → amount now."""
        self._load()
        return {k: v.amount_micros for k, v in self.budgets.items()}

    def _switch(self, adgroup_id: str, ad_id: str, status: str, by: str) -> None:
        ad = next(a for a in self.ads if a[1:3] == [adgroup_id, ad_id])
        if ad[3] != status:
            self.switches.append(Switch(adgroup_id, ad_id, ad[3], status, by, utc_now().isoformat()))
        ad[3] = status
        self._save()

    def edit_ad(self, adgroup_id: str, ad_id: str, status: str) -> None:
        """Somebody else enables or pauses the ad."""
        self._load()
        self._switch(adgroup_id, ad_id, status, "somebody")

    def statuses(self) -> dict[str, str]:
        """Ad → status now."""
        self._load()
        return {ad: status for _, _, ad, status in self.ads}

    def our_switches(self) -> list[tuple[str, str, str]]:
        """(ad, before, after) of what we really switched."""
        self._load()
        return [(s.ad_id, s.before, s.after) for s in self.switches if s.by == "aelp2"]

    def ours(self) -> list[Mutation]:
        """What we really set."""
        self._load()
        return [m for m in self.mutations if m.by == "aelp2"]

    def read_budgets(self, account_id: str, budget_ids: Sequence[str] | None = None) -> list[BudgetState]:
        self.calls.append("read_budgets")
        self._load()
        missing = set(budget_ids or ()) - set(self.budgets)
        if missing:
            raise JobError(f"account {account_id} has no budget {sorted(missing)}")
        return [
            BudgetState(
                budget_id=key,
                amount_micros=b.amount_micros,
                is_explicitly_shared=b.is_shared,
                reference_count=len(b.members) if b.reference_count is None else b.reference_count,
                member_campaign_ids=tuple(b.members),
                enabled_campaign_ids=tuple(b.members if b.enabled is None else b.enabled),
                status=b.status,
                currency_code="USD",
            )
            for key, b in self.budgets.items()
            if budget_ids is None or key in budget_ids
        ]

    def set_budgets(self, account_id: str, amounts: Sequence[BudgetAmount], *, validate_only: bool) -> Receipt:
        self.calls.append("validate" if validate_only else "mutate")
        self._load()
        if validate_only:
            return self._checked(amounts)
        return self._mutate(amounts, lambda a: self._set(a.budget_id, a.amount_micros, "aelp2"))

    def _checked(self, rows: Sequence[BudgetAmount | AdStatus]) -> Receipt:
        refused = self.refuse_validation
        outcomes = [RowOutcome(r.change_id, r.resource_id, "TOO_LOW" if r.resource_id in refused else None) for r in rows]
        return Receipt(f"req-{len(self.calls)}", tuple(outcomes))

    def _mutate[R: (BudgetAmount, AdStatus)](self, rows: Sequence[R], make: Callable[[R], None]) -> Receipt:
        fault = self.faults.pop(0) if self.faults else "ok"
        if fault == "quota":
            raise TryAgain("quota: nothing was done")
        if fault == "lost_before":
            raise AmbiguousMutationError("the answer was lost")
        if fault == "refuse":
            return Receipt("req", tuple(RowOutcome(r.change_id, r.resource_id, "CONCURRENT_MODIFICATION") for r in rows))
        for row in rows:
            make(row)
        if fault == "lost_after":
            raise AmbiguousMutationError("the answer was lost")
        return Receipt(f"req-{len(self.calls)}", tuple(RowOutcome(r.change_id, r.resource_id) for r in rows))

    def read_ads(self, account_id: str, adgroup_ids: Sequence[str]) -> list[AdState]:
        self.calls.append("read_ads")
        self._load()

        def shown(name: str) -> str:
            return "PAUSED" if name in self.paused else "ENABLED"

        return [AdState(c, g, a, s, shown(g), shown(c)) for c, g, a, s in self.ads if g in adgroup_ids]

    def set_ad_statuses(self, account_id: str, statuses: Sequence[AdStatus], *, validate_only: bool) -> Receipt:
        self.calls.append("validate" if validate_only else "mutate")
        self._load()
        if validate_only:
            return self._checked(statuses)
        return self._mutate(statuses, lambda s: self._switch(s.adgroup_id, s.ad_id, s.status, "aelp2"))

    def read_changes(self, account_id: str, since: datetime) -> list[AccountChange]:
        self.calls.append("read_changes")
        self._load()
        return [
            AccountChange(
                change_event_id=f"event-{number}",
                changed_at=datetime.fromisoformat(m.at),
                resource_type="CAMPAIGN_BUDGET",
                resource_id=m.budget_id,
                operation="UPDATE",
                changed_fields=("amount_micros",),
                client_type="GOOGLE_ADS_API" if m.by == "aelp2" else "GOOGLE_ADS_WEB_CLIENT",
                actor_hash=None,
                amount_before_micros=m.before,
                amount_after_micros=m.after,
            )
            for number, m in enumerate(self.mutations)
            if datetime.fromisoformat(m.at) >= since
        ] + [
            AccountChange(
                change_event_id=f"switch-{number}",
                changed_at=datetime.fromisoformat(s.at),
                resource_type="AD_GROUP_AD",
                resource_id=f"{s.adgroup_id}~{s.ad_id}",
                operation="UPDATE",
                changed_fields=("status",),
                client_type="GOOGLE_ADS_API" if s.by == "aelp2" else "GOOGLE_ADS_WEB_CLIENT",
                actor_hash=None,
                amount_before_micros=None,
                amount_after_micros=None,
                status_before=s.before,
                status_after=s.after,
            )
            for number, s in enumerate(self.switches)
            if datetime.fromisoformat(s.at) >= since
        ]
