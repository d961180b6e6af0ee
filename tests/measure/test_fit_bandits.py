"""fit-bandits and judge-experiments on a warehouse: what is a reward, what late data do, what a second run does."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "loop"))

from bandit_world import DAY, FIRST, BanditWorld  # needs the line above

from tasks.core.contracts import load_contract
from tasks.core.errors import NothingToDo
from tasks.core.policy import Policy
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.decide.choose_arms import Ask, choose
from tasks.measure.bandit_inputs import LAST_LAG, read_accounts, read_channel_priors, share_of_days
from tasks.measure.fit_bandits import fit_all
from tasks.measure.judge_experiments import judge_all


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


def serve(warehouse: DuckDBWarehouse, days: int = 14, curve: bool = True, **changes: Any) -> date:
    """Even days of one group; returns the run date."""
    world = BanditWorld(warehouse, **({"cac": {"a": [40, 80]}} | changes))
    for n in range(days):
        world.serve(FIRST + n * DAY)
    today = FIRST + days * DAY
    if curve:
        world.curve(today)
    world.load(today)
    return today


def posteriors(warehouse: DuckDBWarehouse, segment: str = "all") -> dict[str, dict[str, Any]]:
    rows = warehouse.query(
        "SELECT arm_id, alpha, exposure_spend, cac_p50_micros, arrived_share, posterior_version, is_fatigued, fatigue_reason, "
        "prior_source, reward, reward_unit_micros FROM models.bandit_posteriors WHERE segment = @source",
        {"source": segment},
    )
    return {row["arm_id"]: row for row in rows.iter_rows(named=True)}


def rate(row: dict[str, Any]) -> float:
    return float(row["alpha"] / row["exposure_spend"])


def test_clicks_are_not_the_reward(warehouse: DuckDBWarehouse) -> None:
    """The ad that is clicked four times as often but sells half as much is not the better one, and does not lead."""
    today = serve(warehouse, 30, cac={"a": [40, 80]}, ctr={"a": [0.02, 0.08]})
    fit_all(warehouse, today, 90, "conversions")
    found = posteriors(warehouse)
    assert rate(found["a0"]) > 1.5 * rate(found["a1"])
    choose(warehouse, Policy(), Ask(today, "thompson", 1))
    leader = warehouse.query("SELECT arm_id FROM models.bandit_decisions WHERE is_leader")
    assert leader["arm_id"].to_list() == ["a0"]


def test_a_young_day_counts_by_the_share_that_has_arrived(warehouse: DuckDBWarehouse) -> None:
    """After four days half of the conversions are still to come; the cost of one is right nevertheless, and too high without."""
    today = serve(warehouse, 4, cac={"a": [40, 40]}, day_spend=40_000.0)
    fit_all(warehouse, today, 90, "conversions")
    for row in posteriors(warehouse).values():
        assert row["cac_p50_micros"] == pytest.approx(40e6, rel=0.1)
        assert 0.4 < row["arrived_share"] < 0.85


def test_without_a_curve_only_days_that_are_final_count(warehouse: DuckDBWarehouse) -> None:
    """The named fallback: days younger than the platform's window are left out, never counted as if they were whole."""
    today = serve(warehouse, LAST_LAG + 8, curve=False, cac={"a": [40, 40]}, day_spend=10_000.0)
    fit_all(warehouse, today, 90, "conversions")
    for row in posteriors(warehouse).values():
        assert row["cac_p50_micros"] == pytest.approx(40e6, rel=0.1)
        assert row["arrived_share"] == pytest.approx(8 / (LAST_LAG + 8), abs=0.05)
    ages = tuple(today - n * DAY for n in (1, LAST_LAG, LAST_LAG + 1))
    assert share_of_days(ages, today, None).tolist() == [0.0, 0.0, 1.0]


def test_value_is_a_reward_where_the_policy_says_so(warehouse: DuckDBWarehouse) -> None:
    """With value the unit is the mean order: equal orders give the order of conversions; CAC stays that of conversions."""
    today = serve(warehouse, 20)
    fit_all(warehouse, today, 90, "value")
    found = posteriors(warehouse)
    assert {(row["reward"], row["reward_unit_micros"]) for row in found.values()} == {("value", 50_000_000)}
    assert rate(found["a0"]) == pytest.approx(1 / 40, rel=0.25)
    assert found["a0"]["cac_p50_micros"] == pytest.approx(40e6, rel=0.2)


def test_a_second_run_adds_nothing_and_restated_data_a_version(warehouse: DuckDBWarehouse) -> None:
    """The same data make the same version; a restatement makes a second one beside it."""
    today = serve(warehouse)
    first, again = (fit_all(warehouse, today, 90, "conversions") for _ in range(2))
    assert (first["new_rows"], again["new_rows"]) == (6, 0)
    serve(warehouse, seed=9)
    assert fit_all(warehouse, today, 90, "conversions")["new_rows"] == 6


def test_a_reward_is_written_once_when_its_day_is_mature(warehouse: DuckDBWarehouse) -> None:
    """Not on day 28 after the click, but on day 30, with what the arm spent and won on that day; and never again."""
    today = serve(warehouse)
    fit_all(warehouse, today, 90, "conversions")
    choose(warehouse, Policy(), Ask(today, "thompson", 1))
    world = BanditWorld(warehouse, {"a": [40, 80]}, seed=3)
    for n in range(14):
        world.serve(FIRST + n * DAY)
    world.serve(today)
    world.load(today + LAST_LAG * DAY)
    assert fit_all(warehouse, today + LAST_LAG * DAY, 90, "conversions")["rewards"] == 0
    ripe = today + (LAST_LAG + 1) * DAY
    assert [fit_all(warehouse, ripe, 90, "conversions")["rewards"] for _ in range(2)] == [2, 0]
    rows = warehouse.query(
        "SELECT arm_id, spend_micros, conversions, explore_spend_micros FROM models.bandit_rewards ORDER BY arm_id"
    )
    served = {r["ad"]: r for r in world.days if r["day"] == today}
    assert rows["spend_micros"].to_list() == [round(served[ad]["spend"] * 1e6) for ad in ("a0", "a1")]
    assert rows["conversions"].to_list() == [float(served[ad]["lags"].sum()) for ad in ("a0", "a1")]
    assert rows["explore_spend_micros"].to_list() == [0, round(served["a1"]["spend"] * 1e6)]


def test_a_tired_ad_is_told(warehouse: DuckDBWarehouse) -> None:
    """An ad whose sales fall to a third while its group stays is fatigued, with the numbers as reason; nothing else is."""
    world = BanditWorld(warehouse, {"a": [40, 40, 40]}, day_spend=6000.0)
    for n in range(60):
        world.cac["a"][1] = 40 if n < 40 else 130
        world.serve(FIRST + n * DAY)
    today = FIRST + 60 * DAY
    for day in (today - 25 * DAY, today):
        world.load(day)
    world.curve(today)
    fit_all(warehouse, today, 90, "conversions")
    found = posteriors(warehouse)
    assert [found[ad]["is_fatigued"] for ad in ("a0", "a1", "a2")] == [False, True, False]
    assert "of its first 28 days" in found["a1"]["fatigue_reason"]


def test_the_live_mmm_stands_above_its_channels(warehouse: DuckDBWarehouse) -> None:
    """Channels keep the order the MMM gives them; the level is that of the platform's own conversions."""
    today = serve(warehouse)
    run = {
        "run_id": "r1", "run_date": today - DAY, "source": "platforms", "target": "new_customers", "currency_code": "USD",
    }  # fmt: skip
    fill("models.mmm_runs", warehouse, run)
    fill("models.mmm_reviews", warehouse, {"run_id": "r1", "check": "verdict", "result": "PASS", "run_date": today - DAY})
    for channel, roas in (("SEARCH_NONBRAND", 0.01), ("YOUTUBE", 0.02)):
        roases = {"roas_mean": roas, "roas_p03": roas * 0.6, "roas_p97": roas * 1.4}
        fill("models.mmm_allocations", warehouse, {"run_id": "r1", "channel": channel, **roases})
    (account,) = read_accounts(warehouse, today, 90)
    priors = read_channel_priors(warehouse, account, "new_customers", None)
    assert priors["YOUTUBE"].mean == pytest.approx(2 * priors["SEARCH_NONBRAND"].mean)
    days = account.arm_days(account.campaigns[0], None)
    assert priors["SEARCH_NONBRAND"].mean == pytest.approx(days.reward.sum() / days.exposure.sum())
    assert priors["YOUTUBE"].relative_sd == pytest.approx(0.8 / 3.762)
    fit_all(warehouse, today, 90, "conversions")
    assert {row["prior_source"] for row in posteriors(warehouse).values()} == {"mmm"}


def fill(table: str, warehouse: DuckDBWarehouse, row: dict[str, Any]) -> None:
    """One row of ``table`` with ``row`` and something of the right kind in every other required field."""
    kinds = {
        "STRING": "x",
        "INT64": 1,
        "FLOAT64": 0.5,
        "BOOL": False,
        "DATE": FIRST,
        "TIMESTAMP": datetime(2026, 1, 1, tzinfo=UTC),
    }
    contract = load_contract(table)
    values = {f.name: ([] if f.repeated else f.enum[0] if f.enum else kinds[f.type]) for f in contract.fields if f.required}
    warehouse.append(table, pl.DataFrame([values | row], schema=contract.polars_schema()))


def test_an_experiment_is_judged_with_its_split(warehouse: DuckDBWarehouse) -> None:
    """Exposures, the split's P and the verdict stand in a row for each variation; a second run changes nothing."""
    day, rng = date(2026, 1, 5), np.random.default_rng(1)
    assigned, sessions = [], []
    for n in range(4000):
        arm = "treatment" if rng.random() < 0.5 else "control"
        unit = {"experiment_id": "e", "unit_id_kind": "person_id", "unit_id": f"p{n}", "arm": arm, "assigned_date": day}
        assigned.append(
            unit | {"is_randomised": True, "propensity": 0.5, "source": "x", "loaded_at": datetime(2026, 1, 5, tzinfo=UTC)}
        )
        if rng.random() < (0.15 if arm == "treatment" else 0.05):
            sessions.append({"person_id": f"p{n}", "session_start_date": day + DAY, "conversions": 1})
    contract = load_contract("gaelp_users.experiment_assignments")
    warehouse.append(contract.name, pl.DataFrame(assigned, schema=contract.polars_schema()))
    for n, session in enumerate(sessions):
        session |= {"session_key": f"s{n}", "session_start_at": datetime(2026, 1, 6, 9, tzinfo=UTC)}
    contract = load_contract("gaelp_users.journey_sessions")
    kinds = {
        "STRING": "x",
        "INT64": 1,
        "FLOAT64": 0.5,
        "BOOL": False,
        "DATE": FIRST,
        "TIMESTAMP": datetime(2026, 1, 1, tzinfo=UTC),
    }
    blank = {f.name: ([] if f.repeated else f.enum[0] if f.enum else kinds[f.type]) for f in contract.fields if f.required}
    warehouse.append(contract.name, pl.DataFrame([blank | s for s in sessions], schema=contract.polars_schema()))
    with pytest.raises(NothingToDo, match="had its 28 days"):
        judge_all(warehouse, day + timedelta(days=27), 28)
    for _ in range(2):
        assert judge_all(warehouse, day + timedelta(days=28), 28)["e"].verdict == "better"
    rows = warehouse.query(
        "SELECT variation, exposures, converted, is_srm, verdict FROM models.ab_experiments ORDER BY variation"
    )
    assert rows["variation"].to_list() == ["control", "treatment"]
    assert rows["exposures"].sum() == 4000
    assert rows["converted"].sum() == len(sessions)
    assert rows.select("is_srm", "verdict").unique().rows() == [(False, "better")]
