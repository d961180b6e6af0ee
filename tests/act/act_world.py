"""A small advertiser for the tests of this stage, and the loop's steps as one-liners."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from memory_platform import Budget, MemoryPlatform
from memory_warehouse import MemoryWarehouse

from tasks.act.apply_changes import apply_changes
from tasks.act.context import Context
from tasks.act.record_approval import record_approval
from tasks.act.roll_back_changes import roll_back_changes
from tasks.act.snapshot_budgets import snapshot_budgets
from tasks.act.stored import StoredSet, load_set
from tasks.act.validate_changes import validate_changes
from tasks.act.verify_changes import verify_changes
from tasks.core.changeset import AnySet, Change, ChangeSet, change_id, make_change_set
from tasks.core.clock import utc_now
from tasks.core.contracts import load_contract
from tasks.core.ledger import Event, Ledger
from tasks.core.policy import Policy
from tasks.core.settings import Settings, load_settings
from tasks.core.warehouse import Warehouse

RUN_DATE = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
ACCOUNT = "2000000001"
MICROS = 1_000_000
AUTHOR, PERSON = "plan-budgets", "maria"
# A simulated clock is only taken with an endpoint that is not the platform itself.
SANDBOX = {"AELP2_GOOGLE_ADS_ENDPOINT": "localhost:1"}


def account() -> dict[str, Budget]:
    """1000 a day: so M3 allows 100 in 24 h; b3 is shared."""
    return {
        "b1": Budget(400 * MICROS, ["c1"]),
        "b2": Budget(300 * MICROS, ["c2"]),
        "b3": Budget(200 * MICROS, ["c3", "c4"], is_shared=True),
        "b4": Budget(100 * MICROS, ["c5"]),
    }


def live_policy(**rules: Any) -> Policy:
    """The default policy, but the account may be mutated."""
    return Policy(allowed_accounts=(f"google_ads:{ACCOUNT}",), **rules)


def settings(tmp: Path = Path("unused"), mode: str = "live") -> Settings:
    """Settings of a job on a local warehouse."""
    return load_settings({"AELP2_MODE": mode, "AELP2_DUCKDB_PATH": str(tmp / "w.duckdb"), "AELP2_ACTOR": "airflow", **SANDBOX})


def change(budget_id: str, before: int, after: int, budgets: Mapping[str, Budget], **facts: Any) -> Change:
    """A change that breaks no cap unless ``facts`` say so."""
    base = Change(
        change_id=change_id("google_ads", ACCOUNT, facts.pop("run_date", RUN_DATE), budget_id),
        budget_id=budget_id,
        channel="SEARCH_NONBRAND",
        campaign_ids=tuple(budgets[budget_id].members),
        is_shared=budgets[budget_id].is_shared,
        amount_before_micros=before,
        amount_after_micros=after,
        highest_daily_spend_micros=before,
        is_extrapolated=after > before,
        p_cac_le_target_ppm=900_000,
    )
    return dataclasses.replace(base, **facts)


def propose(warehouse: Warehouse, changes: list[Change], *, base: int, run_date: date = RUN_DATE, **facts: Any) -> StoredSet:
    """Store a change set as plan-budgets does."""
    account_id = facts.pop("account_id", ACCOUNT)
    if account_id != ACCOUNT:
        names = {c.budget_id: change_id("google_ads", account_id, run_date, c.budget_id) for c in changes}
        changes = [dataclasses.replace(c, change_id=names[c.budget_id]) for c in changes]
    made = make_change_set(
        ChangeSet(
            platform="google_ads",
            account_id=account_id,
            currency_code="USD",
            run_date=run_date,
            author=facts.pop("author", AUTHOR),
            mode=facts.pop("mode", "live"),
            mmm_run_id="run1",
            policy_sha256="0" * 64,
            target_cac_micros=60 * MICROS,
            account_daily_budget_micros=base,
            data_through_date=run_date - timedelta(days=1),
            changes=tuple(changes),
        )
    )
    return store(warehouse, made)


def store(warehouse: Warehouse, made: AnySet, **more: str) -> StoredSet:
    """Store a set as the plans do: ``more`` goes into its row; its proposal is in the ledger, its account ready."""
    now = utc_now()
    record = {
        "change_set_id": made.change_set_id,
        "sha256": made.sha256,
        "canonical_json": made.canonical().decode(),
        **more,
        "run_date": made.run_date,
        "platform": made.platform,
        "account_id": made.account_id,
        "author": made.author,
        "mode": made.mode,
        "created_at": now,
        "expires_at": now + timedelta(hours=24),
    }
    table = "control.change_sets"
    warehouse.insert_new(table, pl.DataFrame([record], schema=load_contract(table).polars_schema()))
    Ledger(warehouse).append(Event(made.change_set_id, made.platform, made.account_id, "proposed", made.sha256, made.author))
    assess(warehouse, made.account_id, made.run_date)
    return load_set(warehouse, made.change_set_id)


def assess(warehouse: Warehouse, account_id: str = ACCOUNT, run_date: date = RUN_DATE, why_not: str = "") -> None:
    """Write the account's verdict as assess-readiness does: ready unless there is a reason."""
    verdict = {
        "platform": "google_ads",
        "account_id": account_id,
        "run_date": run_date,
        "check": "verdict",
        "is_ready": not why_not,
        "detail": why_not or "all 7 checks passed",
        "assessed_at": utc_now(),
    }
    table = "control.readiness"
    warehouse.merge(table, pl.DataFrame([verdict], schema=load_contract(table).polars_schema()))


class World:
    """The account, the warehouse and the jobs of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.warehouse = MemoryWarehouse()
        self.platform = MemoryPlatform(account())
        self.context = Context(settings(), live_policy(), self.warehouse, lambda _name: self.platform)

    def at(self, hours: float) -> None:
        """Set the clock to ``hours`` after NOW."""
        self._monkeypatch.setenv("AELP2_NOW", (NOW + timedelta(hours=hours)).isoformat())

    def use(self, **rules: Any) -> None:
        """Change rules of the policy."""
        self.context.policy = dataclasses.replace(self.context.policy, **rules)

    def change(self, budget_id: str, delta: int, **facts: Any) -> Change:
        """A change of the budget as it stands now by ``delta`` currency units."""
        before = self.platform.budgets[budget_id].amount_micros
        return change(budget_id, before, before + delta * MICROS, self.platform.budgets, **facts)

    def propose(self, *changes: Change, **facts: Any) -> StoredSet:
        """Propose; default: b1 +20, b2 −15, the shared b3 −5."""
        chosen = list(changes) or [self.change("b1", 20), self.change("b2", -15), self.change("b3", -5)]
        return propose(self.warehouse, chosen, base=sum(self.platform.amounts().values()), **facts)

    def decide(self, stored: StoredSet, decision: str = "approved", approver: str = PERSON, sha256: str | None = None) -> str:
        return record_approval(
            self.context,
            change_set_id=stored.change_set_id,
            sha256=sha256 or stored.sha256,
            decision=decision,
            approver=approver,
            approval_ref="run1/review",
        )

    def ready(self, *changes: Change, **facts: Any) -> StoredSet:
        """A set that is approved, snapshot and validated."""
        stored = self.propose(*changes, **facts)
        self.decide(stored)
        self.snapshot(stored)
        self.validate(stored)
        return stored

    def snapshot(self, stored: StoredSet) -> str:
        return snapshot_budgets(self.context, stored, RUN_DATE)

    def validate(self, stored: StoredSet) -> str:
        return validate_changes(self.context, stored, RUN_DATE)

    def apply(self, stored: StoredSet) -> str:
        return apply_changes(self.context, stored, RUN_DATE)

    def verify(self, stored: StoredSet) -> str:
        return verify_changes(self.context, stored, RUN_DATE)

    def roll_back(self, stored: StoredSet) -> str:
        return roll_back_changes(self.context, stored, RUN_DATE, "test")

    def state(self, stored: StoredSet) -> str:
        return self.context.ledger.history(stored.change_set_id).state

    def safety_kinds(self) -> list[str]:
        return list(self.warehouse.query("SELECT kind FROM control.safety_events ORDER BY happened_at, kind")["kind"])
