"""fit-bandits and choose-arms day after day on a simulated account: what is explored, what is dropped, what a kill leaves."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from bandit_world import DAY, FIRST, BanditWorld

from tasks.core.errors import GateStop, NothingToDo
from tasks.core.policy import Policy
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.decide.choose_arms import EXPLORED_DAYS, Ask, choose, replay
from tasks.measure.fit_bandits import fit_all

CAP = 80.0
POLICY = Policy(target_cac_micros=round(CAP * 1e6))
WARM_DAYS = 3  # before the first decision: the platform serves evenly


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "w.duckdb")


def decide(warehouse: Any, run_date: date, policy: Policy = POLICY, name: str = "thompson") -> None:
    fit_all(warehouse, run_date, 90, policy.bandit_reward)
    choose(warehouse, policy, Ask(run_date, name, 1))


def shares(warehouse: DuckDBWarehouse, run_date: date) -> dict[str, float]:
    rows = warehouse.query("SELECT arm_id, split_share_ppm FROM models.bandit_decisions WHERE run_date = @day", {"day": run_date})
    return {arm: ppm / 1e6 for arm, ppm in rows.iter_rows()}


def live(world: BanditWorld, days: int, policy: Policy = POLICY) -> date:
    """Serve evenly for some days, then by the bandit for ``days``; returns the day after."""
    for n in range(WARM_DAYS):
        world.serve(FIRST + n * DAY)
    for n in range(WARM_DAYS, WARM_DAYS + days):
        today = FIRST + n * DAY
        if (n - WARM_DAYS) % 7 == 0:
            world.curve(today)
        world.load(today)
        decide(world.warehouse, today, policy)
        world.serve(today, shares(world.warehouse, today))
    end = FIRST + (WARM_DAYS + days) * DAY
    world.load(end)
    return end


def explored(warehouse: DuckDBWarehouse, run_date: date) -> tuple[float, float]:
    """Spend on others than the leaders over all spend, and the shares that were meant for them."""
    params = {"run_date": run_date, "start_date": run_date - timedelta(days=EXPLORED_DAYS)}
    (row,) = warehouse.query_file("models/bandit_exploration/query.sql", params).iter_rows(named=True)
    return row["explore_spend_micros"] / row["spend_micros"], row["decided_days"]


@pytest.mark.slow
def test_sixty_days_explore_a_tenth_of_spend_and_drop_what_is_too_dear(warehouse: DuckDBWarehouse) -> None:
    """Exploration is 10 % ± 1 point of spend, counted in spend although the platform pulls towards the leader; ads that cost
    over three times the cap per conversion get no more than their minimum sample; the best ad of each group leads."""
    # In c and d all that is explored would go to the dear ad, day after day: 60 days of it are seven times the sample.
    cac = {"a": [40, 50, 260, 60, 300], "b": [60, 45, 70, 280], "c": [45, 280], "d": [45, 280]}
    world = BanditWorld(warehouse, cac, pull=0.15)
    world.warm_shares = {"d": [0.9, 0.1]}  # hardly served before the first decision: its whole sample lies ahead
    end = live(world, EXPLORED_DAYS)
    share, days = explored(warehouse, end)
    assert days == EXPLORED_DAYS
    assert share == pytest.approx(0.10, abs=0.01)
    sample = POLICY.bandit_min_sample * CAP
    for dear in ("a2", "a4", "b3", "c1", "d1"):
        before = world.spent(dear) - world.spent(dear, FIRST + WARM_DAYS * DAY)  # by the platform alone
        assert world.spent(dear) < max(sample, before) * 1.05, dear  # delivery is not exact
        assert shares(warehouse, end - DAY)[dear] < 0.01, dear
    leaders = warehouse.query(
        "SELECT arm_id FROM models.bandit_decisions WHERE is_leader AND run_date = @day ORDER BY arm_id", {"day": end - DAY}
    )
    assert leaders["arm_id"].to_list() == ["a0", "b1", "c0", "d0"]


@pytest.mark.slow
def test_what_is_explored_follows_the_policy(warehouse: DuckDBWarehouse) -> None:
    """A policy of 20 % explores 20 %: the share comes from the rules and not from how the arms happen to lie."""
    policy = dataclasses.replace(Policy(), exploration_pct=POLICY.exploration_pct * 2)
    world = BanditWorld(warehouse, {"a": [40, 50, 70]}, pull=0.1)
    end = live(world, 40, policy)
    assert explored(warehouse, end)[0] == pytest.approx(0.20, abs=0.01)


def ready(warehouse: DuckDBWarehouse, **changes: Any) -> date:
    """An account with two weeks of even days; returns the run date."""
    world = BanditWorld(warehouse, **({"cac": {"a": [40, 50, 60], "b": [70, 45]}} | changes))
    for n in range(14):
        world.serve(FIRST + n * DAY)
    today = FIRST + 14 * DAY
    world.curve(today)
    world.load(today)
    return today


def table(warehouse: DuckDBWarehouse, name: str) -> list[tuple[Any, ...]]:
    times = {"loaded_at", "decided_at"}
    from tasks.core.contracts import load_contract

    columns = ", ".join(column for column in load_contract(name).columns if column not in times)
    return sorted(warehouse.query(f"SELECT {columns} FROM {name}").rows(), key=str)


@pytest.mark.parametrize("policy", ["thompson", "ucb", "lin_ts", "lin_ucb"])
def test_every_logged_decision_can_be_decided_again(warehouse: DuckDBWarehouse, policy: str) -> None:
    """From seed, rules and state in the tables each decision comes out the same; propensities of a group sum to one."""
    today = ready(warehouse)
    decide(warehouse, today, name=policy)
    assert replay(warehouse, today) == 2
    sums = warehouse.query(
        "SELECT SUM(propensity) AS p, SUM(split_share_ppm) AS ppm, COUNTIF(is_chosen) AS chosen FROM models.bandit_decisions "
        "GROUP BY campaign_id"
    )
    assert sums["p"].to_list() == pytest.approx([1.0, 1.0])
    assert sums.select("ppm", "chosen").rows() == [(1_000_000, 1)] * 2


def test_a_decision_that_the_log_does_not_explain_is_found(warehouse: DuckDBWarehouse) -> None:
    """A share that was changed after the fact, or another seed, does not pass the replay."""
    today = ready(warehouse)
    decide(warehouse, today)
    rows = warehouse.query_file("models/bandit_logged_decisions/query.sql", {"run_date": today})
    from tasks.decide.bandit_log import decide_again, differences

    logged = [row for row in rows.iter_rows(named=True) if row["campaign_id"] == "a"]
    state = warehouse.query_file("models/bandit_logged_posteriors/query.sql", {"run_date": today})
    arms = [row for row in state.iter_rows(named=True) if row["campaign_id"] == "a"]
    assert differences(logged, decide_again(logged, arms)) == []
    other_seed = [{**row, "seed": row["seed"] + 1} for row in logged]
    assert differences(other_seed, decide_again(other_seed, arms))
    warehouse.delete("models.bandit_posteriors", column="campaign_id", values=["a"])
    with pytest.raises(GateStop, match="its posteriors are gone"):
        replay(warehouse, today)


def test_restated_data_make_a_new_version_and_leave_the_log_as_it_is(warehouse: DuckDBWarehouse) -> None:
    """The day was decided; posteriors of restated data stand beside the old ones, and the old decision can still be repeated."""
    today = ready(warehouse)
    decide(warehouse, today)
    before = table(warehouse, "models.bandit_decisions")
    ready(warehouse, cac={"a": [60, 50, 40], "b": [70, 45]}, seed=2)
    decide(warehouse, today)
    assert before == table(warehouse, "models.bandit_decisions")
    versions = warehouse.query("SELECT COUNT(DISTINCT posterior_version) AS n FROM models.bandit_posteriors GROUP BY campaign_id")
    assert versions["n"].to_list() == [2, 2]
    assert replay(warehouse, today) == 2


class Killed(BaseException):
    """The process ends here."""


class Dying:
    """A warehouse that dies before (or right after) its ``at``-th write."""

    def __init__(self, warehouse: DuckDBWarehouse, at: int, after: bool) -> None:
        self.warehouse, self.left, self.after = warehouse, at, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.warehouse, name)

    def insert_new(self, table: str, frame: pl.DataFrame) -> int:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        written = self.warehouse.insert_new(table, frame)
        if self.left == 0:
            raise Killed
        return written


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_kill_at_any_write_counts_no_reward_twice(tmp_path: Path, at: int, after: bool) -> None:
    """Rewards, posteriors and decisions of a run that was killed and run again are those of a run that was not."""
    tables = ("models.bandit_rewards", "models.bandit_posteriors", "models.bandit_decisions")
    found = []
    for kill in (False, True):
        warehouse = DuckDBWarehouse(tmp_path / f"{kill}.duckdb")
        today = ready(warehouse)
        decide(warehouse, today)
        world = BanditWorld(warehouse, {"a": [40, 50, 60], "b": [70, 45]}, seed=5)
        world.serve(today, shares(warehouse, today))
        later = today + 31 * DAY
        world.load(later)
        world.curve(later)
        if kill:
            with pytest.raises(Killed):
                decide(Dying(warehouse, at, after), later)
        decide(warehouse, later)
        decide(warehouse, later)
        found.append([table(warehouse, name) for name in tables])
    assert found[0] == found[1]
    assert [len(rows) for rows in found[0]] == [5, 30, 10]


def test_a_person_s_pause_stays(warehouse: DuckDBWarehouse) -> None:
    """An ad that a person paused is no arm; one that the bandit had paused is, and may be taken up again."""
    today = ready(warehouse, statuses={"a1": "PAUSED"})
    decide(warehouse, today)
    assert sorted(shares(warehouse, today)) == ["a0", "a2", "b0", "b1"]
    ready(warehouse, statuses={"a1": "PAUSED"})
    rows = warehouse.query_file("models/bandit_last_actions/query.sql", {"run_date": today + DAY})
    assert rows.height == 4
    warehouse.delete("models.bandit_decisions", column="arm_id", values=["a0", "a2", "b0", "b1"])
    logged = pl.DataFrame(
        [{"run_date": today - DAY, "platform": "google_ads", "account_id": "1", "campaign_id": "a", "adgroup_id": "ga",
          "arm_kind": "ad", "arm_id": "a1", "action": "pause", "split_share_ppm": 0, "explore_share_ppm": 0, "reserve_ppm": 0,
          "propensity": 0.0, "is_chosen": False, "is_leader": False, "p_best": 0.0, "reason": "too dear", "policy": "thompson",
          "context": "{}", "action_set": "[]", "seed": 1, "posterior_version": "x", "currency_code": "USD",
          "decided_at": np.datetime64("2026-01-18T06:00:00").astype(object)}]
    ).with_columns(pl.col("decided_at").dt.replace_time_zone("UTC"))  # fmt: skip
    warehouse.append("models.bandit_decisions", logged)
    choose(warehouse, POLICY, Ask(today, "thompson", 1))
    row = warehouse.query("SELECT action FROM models.bandit_decisions WHERE arm_id = 'a1' AND run_date = @day", {"day": today})
    assert row["action"].to_list() == ["enable"]


def test_one_cap_is_converted_for_accounts_of_two_currencies(warehouse: DuckDBWarehouse) -> None:
    """80 dollars are not 80 yen: every ad of the account in yen would be dropped for good.

    Without a rate nothing is decided; without a cap, or with the day's rate, each account goes on, its cap in its own money.
    """
    today = ready(warehouse)
    other = {"account_id": "2", "currency_code": "JPY"}
    for name in ("ads.ads_ad_performance", "ga4.conversion_maturity"):
        rows = warehouse.query(f"SELECT * FROM {name}")
        changed = [pl.lit(value).alias(column) for column, value in other.items() if column in rows.columns]
        warehouse.merge(name, rows.with_columns(changed))
    with pytest.raises(GateStop, match="one number, but arms are paid in JPY, USD"):
        decide(warehouse, today)
    assert table(warehouse, "models.bandit_decisions") == []
    rates = [
        {
            "date": today,
            "currency_code": code,
            "reporting_currency_code": "USD",
            "rate": rate,
            "quoted_date": today,
            "loaded_at": datetime.combine(today, time(6), UTC),
        }
        for code, rate in (("USD", 1.0), ("JPY", 0.0064))
    ]
    warehouse.append("ads.fx_rates_daily", pl.DataFrame(rates))
    decide(warehouse, today)
    caps = warehouse.query("SELECT DISTINCT account_id, cac_cap_micros FROM models.bandit_decisions ORDER BY account_id").rows()
    (_, dollars), (_, yen) = caps
    assert yen == round(dollars / 0.0064)


def test_nothing_to_learn_from_is_nothing_to_do(warehouse: DuckDBWarehouse) -> None:
    """Without ads, and without posteriors, the jobs end quietly."""
    with pytest.raises(NothingToDo, match="run ingest-ads"):
        fit_all(warehouse, FIRST, 90, "conversions")
    with pytest.raises(NothingToDo, match="run fit-bandits"):
        choose(warehouse, POLICY, Ask(FIRST, "thompson", 1))
    with pytest.raises(NothingToDo, match="has no rows"):
        replay(warehouse, FIRST)
