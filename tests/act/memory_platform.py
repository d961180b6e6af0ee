"""An ad platform in memory (or in a JSON file that processes share) behind the real Protocol; every mutation is recorded."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from tasks.core.clock import utc_now
from tasks.core.errors import JobError, TryAgain
from tasks.platforms.base import AccountChange, AmbiguousMutationError, BudgetAmount, BudgetState, Receipt, RowOutcome


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
class MemoryPlatform:
    """``faults`` holds names for the next real mutates: refuse, quota, lost_before, lost_after, ok."""

    budgets: dict[str, Budget]
    file: Path | None = None
    mutations: list[Mutation] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
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

    def _save(self) -> None:
        if self.file is not None:
            state = {"budgets": {k: asdict(v) for k, v in self.budgets.items()}, "mutations": [asdict(m) for m in self.mutations]}
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
            refused = self.refuse_validation
            rows = [RowOutcome(a.change_id, a.budget_id, "TOO_LOW" if a.budget_id in refused else None) for a in amounts]
            return Receipt(f"req-{len(self.calls)}", tuple(rows))
        fault = self.faults.pop(0) if self.faults else "ok"
        if fault == "quota":
            raise TryAgain("quota: nothing was done")
        if fault == "lost_before":
            raise AmbiguousMutationError("the answer was lost")
        if fault == "refuse":
            return Receipt("req", tuple(RowOutcome(a.change_id, a.budget_id, "CONCURRENT_MODIFICATION") for a in amounts))
        for amount in amounts:
            self._set(amount.budget_id, amount.amount_micros, "aelp2")
        if fault == "lost_after":
            raise AmbiguousMutationError("the answer was lost")
        return Receipt(f"req-{len(self.calls)}", tuple(RowOutcome(a.change_id, a.budget_id) for a in amounts))

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
        ]
