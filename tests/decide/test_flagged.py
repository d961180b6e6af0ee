"""Feature flags in the plans: a frozen account holds, a lowered cap holds for its account, unreadable flags plan nothing."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from decide_world import Advertiser

from tasks.core import caps, changeset
from tasks.core.errors import GateStop, JobError
from tasks.core.policy import Policy
from tasks.core.warehouse.duckdb import DuckDBWarehouse

Job = Callable[..., str]
ACCOUNT, OTHER = "2000000001", "2000000002"


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the features file: values by flag for ACCOUNT; nobody else is frozen or lowered."""
    monkeypatch.setenv("AELP2_FLAGS", str(tmp_path / "features.json"))

    def write(**values: Any) -> None:
        features: dict[str, Any] = {"aelp2_freeze": {"defaultValue": False}}
        for name, value in values.items():
            rules = [{"condition": {"account": f"google_ads:{ACCOUNT}"}, "force": value}]
            features[f"aelp2_{name}"] = {"defaultValue": False if name == "freeze" else 100, "rules": rules}
        (tmp_path / "features.json").write_text(json.dumps({"features": features}))

    return write


def the_sets(warehouse: DuckDBWarehouse) -> dict[str, changeset.ChangeSet]:
    found = warehouse.query("SELECT canonical_json FROM control.change_sets ORDER BY account_id")["canonical_json"]
    parsed = [changeset.parse(text) for text in found]
    return {p.account_id: p for p in parsed if isinstance(p, changeset.ChangeSet)}


def two_accounts(advertiser: Advertiser) -> None:
    budgets = {"8001": ("SEARCH_NONBRAND", 900.0, ("9801",)), "8002": ("YOUTUBE", 900.0, ("9802",))}
    Advertiser(advertiser.warehouse, account_id=OTHER, budgets=budgets).write()
    advertiser.write()


def largest_step_pct(made: changeset.ChangeSet) -> float:
    return max(100 * abs(c.delta_micros) / c.amount_before_micros for c in made.changes)


def test_a_lowered_cap_holds_for_its_account_alone(advertiser: Advertiser, plan_job: Job, say: Callable[..., None]) -> None:
    """M2: steps of the flagged account are at most 2 %, those of the other still 5 %, and each set names its own rules."""
    two_accounts(advertiser)
    say(step_cap_pct=2)
    plan_job(policy="{target_cac_micros: 200000000}")
    sets = the_sets(advertiser.warehouse)
    assert 1.5 < largest_step_pct(sets[ACCOUNT]) <= 2
    assert 4 < largest_step_pct(sets[OTHER]) <= 5
    policy = Policy(target_cac_micros=200_000_000)
    lowered = Policy(target_cac_micros=200_000_000, step_cap_pct=Decimal(2))
    assert (sets[ACCOUNT].policy_sha256, sets[OTHER].policy_sha256) == (lowered.sha256(), policy.sha256())


def test_a_lowered_daily_cap_and_headroom_are_planned_with(
    advertiser: Advertiser, plan_job: Job, say: Callable[..., None]
) -> None:
    """M3, M5: the account's sum stays under the flag's share of it, so that apply has no reason to refuse."""
    two_accounts(advertiser)
    say(daily_cap_pct=1, headroom_pct=0)
    plan_job(policy="{target_cac_micros: 200000000}")
    made = the_sets(advertiser.warehouse)[ACCOUNT]
    moved = sum(abs(c.delta_micros) for c in made.changes)
    assert 0 < moved <= caps.daily_cap_micros(made.account_daily_budget_micros, Policy(daily_cap_pct=Decimal(1)))
    assert all(c.amount_after_micros <= max(c.highest_daily_spend_micros, c.amount_before_micros) for c in made.changes)


@pytest.mark.parametrize("value", [True, "yes"])
def test_a_flag_freezes_its_account_alone(advertiser: Advertiser, plan_job: Job, say: Callable[..., None], value: Any) -> None:
    """M10: its budgets are held with the flag as the reason, the other account is planned, and the job says so at its end."""
    two_accounts(advertiser)
    say(freeze=value)
    with pytest.raises(GateStop, match=rf"frozen, no proposals: google_ads:{ACCOUNT} \(flag aelp2_freeze is [^)]*GrowthBook\)$"):
        plan_job(policy="{target_cac_micros: 200000000}")
    assert set(the_sets(advertiser.warehouse)) == {OTHER}
    held = advertiser.warehouse.query("SELECT account_id, `constraint`, detail FROM control.plan_decisions")
    frozen = held.filter(held["constraint"] == "account_frozen")
    assert set(frozen["account_id"]) == {ACCOUNT}
    assert not any("aelp2 kill" in detail for detail in frozen["detail"])
    logged = advertiser.warehouse.query("SELECT account_id, flag, value_json, effect FROM control.flag_exposures")
    assert logged.rows() == [(ACCOUNT, "aelp2_freeze", json.dumps(value), "frozen")]


def test_flags_that_lower_nothing_leave_the_rules_as_they_are(
    advertiser: Advertiser, plan_job: Job, say: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags at or above the policy's caps are as no flags: the same hash of the rules, and the set of the day is the same set."""
    advertiser.write()
    say(step_cap_pct=5, daily_cap_pct=50)
    plan_job()
    (made,) = the_sets(advertiser.warehouse).values()
    assert made.policy_sha256 == Policy().sha256()
    monkeypatch.delenv("AELP2_FLAGS")
    assert f"already proposed as {made.change_set_id}" in plan_job()


def test_unreadable_flags_plan_nothing(advertiser: Advertiser, plan_job: Job, say: Callable[..., None], tmp_path: Path) -> None:
    """No row is written; once the flags can be read, the same command makes the plan."""
    advertiser.write()
    with pytest.raises(JobError, match="there is no such file"):
        plan_job()
    for table in ("control.change_sets", "control.plan_decisions"):
        assert advertiser.warehouse.query(f"SELECT COUNT(*) AS n FROM {table}")["n"][0] == 0
    say()
    plan_job()
    assert len(the_sets(advertiser.warehouse)) == 1
