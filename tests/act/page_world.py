"""Proposals beside a change set, as plan-budgets writes them, for the tests of what a person is shown."""

from typing import Any

import polars as pl
from act_world import MICROS, NOW, RUN_DATE, World

from tasks.act.stored import StoredSet
from tasks.core.changeset import Change
from tasks.core.contracts import load_contract


def proposal(stored: StoredSet, change: Change, **facts: Any) -> dict[str, Any]:
    """One row of ``control.budget_proposals`` that agrees with the hashed change unless ``facts`` say otherwise."""
    return {
        "change_set_id": stored.change_set_id,
        "change_id": change.change_id,
        "run_date": RUN_DATE,
        "platform": "google_ads",
        "account_id": stored.account_id,
        "budget_id": change.budget_id,
        "campaign_ids": list(change.campaign_ids),
        "channel": change.channel,
        "currency_code": "USD",
        "amount_before_micros": change.amount_before_micros,
        "amount_after_micros": change.amount_after_micros,
        "optimum_micros": change.amount_after_micros,
        "reason": "One more new customer costs about 50.00 USD, below the target.",
        "binding_constraint": "step_cap_5_pct",
        "expected_new_customers_mean": 1.25,
        "expected_new_customers_p05": -0.5,
        "expected_new_customers_p95": 3.0,
        "set_new_customers_mean": 3.75,
        "set_new_customers_p05": 0.5,
        "set_new_customers_p95": 6.75,
        "target_cac_micros": 60 * MICROS,
        "p_cac_le_target": change.p_cac_le_target_ppm / 1_000_000,
        "buffer_pct": 12.4,
        "is_extrapolated": change.is_extrapolated,
        "data_through_date": RUN_DATE,
        "mmm_run_id": "run1",
        "proposed_at": NOW,
    } | facts


def decide_nothing(world: World, *accounts: str, platform: str = "google_ads") -> None:
    """The plan of the day as it is kept for budgets that it leaves alone: one decision an account, no change set."""
    row = {"run_date": RUN_DATE, "platform": platform, "budget_id": "b1", "decision": "hold", "constraint": "at_optimum"}
    rows = [row | {"account_id": account, "detail": "as it is", "decided_at": NOW} for account in accounts]
    table = "control.plan_decisions"
    world.warehouse.merge(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))


def write_proposals(world: World, stored: StoredSet, **facts: Any) -> list[dict[str, Any]]:
    """Store the proposals of every change of ``stored``; ``facts`` replace columns of the first one."""
    changes = stored.verified().changes
    return store_proposals(world, [proposal(stored, c, **(facts if number == 0 else {})) for number, c in enumerate(changes)])


def store_proposals(world: World, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Store ``rows`` and give them back."""
    table = "control.budget_proposals"
    world.warehouse.merge(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))
    return rows
