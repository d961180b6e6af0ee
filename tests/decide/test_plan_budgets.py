"""The job end to end on tables: what it writes, what it says, what stops it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from decide_world import NOW, RUN_DATE, TRUTH, Advertiser, frame

from tasks.core import changeset
from tasks.core.errors import GateStop
from tasks.core.ledger import Event, Ledger
from tasks.core.policy import parse_policy
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.decide.live_model import read_live_model
from tasks.decide.plan_inputs import read_platform_inputs
from tasks.decide.planner import plan_budgets

Job = Callable[..., str]
TABLES = ("control.change_sets", "control.budget_proposals", "control.plan_decisions", "control.canary_changes")


def rows(warehouse: DuckDBWarehouse, table: str) -> list[dict[str, Any]]:
    return warehouse.query(f"SELECT * FROM {table}").to_dicts()


def the_set(warehouse: DuckDBWarehouse) -> changeset.ChangeSet:
    (row,) = rows(warehouse, "control.change_sets")
    return changeset.parse(row["canonical_json"])


def decisions(warehouse: DuckDBWarehouse) -> dict[str, tuple[str, str]]:
    return {r["budget_id"]: (r["decision"], r["constraint"]) for r in rows(warehouse, "control.plan_decisions")}


def change_event(warehouse: DuckDBWarehouse, budget_id: str, before: float, after: float, at: datetime) -> None:
    row = {
        "platform": "google_ads",
        "account_id": "2000000001",
        "change_event_id": f"{budget_id}-{at.isoformat()}",
        "date": at.date(),
        "changed_at": at,
        "resource_type": "CAMPAIGN_BUDGET",
        "resource_id": budget_id,
        "operation": "UPDATE",
        "changed_fields": ["amount_micros"],
        "client_type": "GOOGLE_ADS_WEB_CLIENT",
        "amount_before_micros": round(before * 1e6),
        "amount_after_micros": round(after * 1e6),
        "loaded_at": NOW,
    }
    warehouse.merge("ads.ads_change_events", frame("ads.ads_change_events", [row]))


def switch(warehouse: DuckDBWarehouse, scope: str) -> None:
    row = {"event_id": f"s-{scope}", "scope": scope, "is_on": True, "why": "CAC breach", "actor": "watch", "switched_at": NOW}
    warehouse.merge("control.kill_switch", frame("control.kill_switch", [row]))


def test_a_plan_moves_money_to_the_cheaper_channel_at_a_constant_total(advertiser: Advertiser, plan_job: Job) -> None:
    """The channel with the lower marginal CAC gains what the other loses, at most 5 % a budget; each has a decision."""
    advertiser.write()
    said = plan_job()
    made = the_set(advertiser.warehouse)
    delta = {c.budget_id: c.delta_micros for c in made.changes}
    assert sum(delta.values()) == 0
    assert {b for b, d in delta.items() if d > 0} == {"7003", "7004"}
    assert {b for b, d in delta.items() if d < 0} <= {"7001", "7002"}
    assert all(abs(c.delta_micros) <= c.amount_before_micros // 20 for c in made.changes)
    assert set(decisions(advertiser.warehouse)) == {"7001", "7002", "7003", "7004"}
    proposals = rows(advertiser.warehouse, "control.budget_proposals")
    assert sum(p["expected_new_customers_mean"] for p in proposals) > 0
    assert {p["change_set_id"] for p in proposals} == {made.change_set_id}
    raised = next(p for p in proposals if p["budget_id"] == "7003")
    assert "In YOUTUBE one more new customer costs about" in raised["reason"]
    assert "the money comes from SEARCH_NONBRAND" in raised["reason"]
    assert raised["marginal_cac_p50_micros"] <= raised["marginal_cac_bound_micros"] <= raised["target_cac_micros"]
    ledger = Ledger(advertiser.warehouse)
    assert [(r.event, r.change_set_id, r.sha256, r.actor) for r in ledger.rows()] == [
        ("proposed", made.change_set_id, made.sha256, "planner")
    ]
    assert made.change_set_id in said
    assert made.author == "planner"


def test_planning_twice_changes_nothing(advertiser: Advertiser, plan_job: Job) -> None:
    """A second run of the same day writes no row and says as what the plan was proposed."""
    advertiser.write()
    plan_job()
    before = {table: rows(advertiser.warehouse, table) for table in TABLES}
    said = plan_job()
    assert said.startswith(f"already proposed as {before['control.change_sets'][0]['change_set_id']} (undecided)")
    assert {table: rows(advertiser.warehouse, table) for table in TABLES} == before


def test_a_missing_ledger_row_is_made_up_for(advertiser: Advertiser, plan_job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the change set and its ledger row is mended by running again."""
    advertiser.write()
    with monkeypatch.context() as crash:
        crash.setattr(Ledger, "append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(BaseException):  # noqa: B017, PT011  # the crash itself is not what is tested
            plan_job()
    assert Ledger(advertiser.warehouse).rows() == []
    plan_job()
    assert [r.event for r in Ledger(advertiser.warehouse).rows()] == ["proposed"]


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, plan_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two warehouses with the same rows, planned at different times of the day, give one change set id."""
    found = []
    for hour in ("06", "17"):
        path = tmp_path_factory.mktemp("w") / "w.duckdb"
        other = Advertiser(DuckDBWarehouse(path))
        other.write()
        monkeypatch.setenv("AELP2_DUCKDB_PATH", str(path))
        monkeypatch.setenv("AELP2_NOW", f"2026-02-26T{hour}:00:00+00:00")
        plan_job()
        found.append(rows(other.warehouse, "control.change_sets")[0]["canonical_json"])
    assert found[0] == found[1]


def test_a_shadow_plan_does_not_stand_in_the_way_of_a_live_one(advertiser: Advertiser, plan_job: Job) -> None:
    """The mode is part of what is approved: live is planned although shadow was."""
    advertiser.write()
    plan_job()
    plan_job(mode="live")
    modes = {r["mode"]: r["change_set_id"] for r in rows(advertiser.warehouse, "control.change_sets")}
    assert set(modes) == {"shadow", "live"}
    assert modes["shadow"] != modes["live"]


@pytest.mark.slow
def test_the_day_under_way_counts_nowhere(
    tmp_path_factory: pytest.TempPathFactory, plan_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial row of the run date changes neither means nor the highest day: the same bytes with and without it."""
    found = []
    for partial in (False, True):
        path = tmp_path_factory.mktemp("w") / "w.duckdb"
        other = Advertiser(DuckDBWarehouse(path))
        other.write()
        if partial:
            today = [other._day(RUN_DATE, c, "YOUTUBE", b, 50_000.0) for b, c in (("7003", "9003"), ("7004", "9004"))]
            other.warehouse.merge("ads.ads_campaign_performance", frame("ads.ads_campaign_performance", today))
            sold = (
                other._outcomes()
                .head(1)
                .with_columns(pl.lit(RUN_DATE).alias("period_start_date"), pl.lit(1.0).alias("new_customers"))
            )
            other.warehouse.merge("ads.business_outcomes", sold)
        monkeypatch.setenv("AELP2_DUCKDB_PATH", str(path))
        plan_job()
        found.append(rows(other.warehouse, "control.change_sets")[0]["canonical_json"])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("verdict", "FAIL", "no live MMM run of new_customers for source platforms"),
        ("fit_age_days", 15, "is 15 days old, 14 are allowed; run fit-mmm"),
        ("data_lag_days", 3, r"stale spend: account google_ads:2000000001 \(last day 2026-02-23\)"),
        ("outcome_lag_days", 3, "stale outcomes: ads.business_outcomes of source crm ends on 2026-02-23"),
        ("currency", "EUR", "mixed currencies: the MMM counts in USD, but there are budgets in EUR"),
        ("customers_per_day", 0.0, "counts 0 new_customers in the trailing window"),
    ],
)
def test_a_plan_without_sound_ground_stops_with_the_remedy(
    advertiser: Advertiser, plan_job: Job, field: str, value: object, message: str
) -> None:
    """Exit 3 and a message that names the thing and its value; no row is written."""
    setattr(advertiser, field, value)
    advertiser.write()
    with pytest.raises(GateStop, match=message):
        plan_job()
    assert {table: rows(advertiser.warehouse, table) for table in TABLES} == {table: [] for table in TABLES}


def test_no_budgets_of_the_day_stops(advertiser: Advertiser, plan_job: Job) -> None:
    """Yesterday's budget amounts are never taken for today's."""
    advertiser.write()
    advertiser.warehouse.replace_partitions("ads.campaign_budgets", advertiser._budgets().clear(), partitions=[RUN_DATE])
    with pytest.raises(GateStop, match="has no budgets of google_ads for 2026-02-26; run ingest-ads --run-date 2026-02-26"):
        plan_job()


def test_a_frozen_account_gets_no_proposals(advertiser: Advertiser, plan_job: Job) -> None:
    """All its budgets are held for that reason, and the job ends as a gate's stop with the way out."""
    advertiser.write()
    switch(advertiser.warehouse, "google_ads:2000000001")
    with pytest.raises(GateStop, match=r"frozen, no proposals: google_ads:2000000001 \(CAC breach\)"):
        plan_job()
    assert set(decisions(advertiser.warehouse).values()) == {("hold", "account_frozen")}
    assert rows(advertiser.warehouse, "control.change_sets") == []


def test_a_kill_switch_is_named_beside_the_plan(advertiser: Advertiser, plan_job: Job) -> None:
    """Planning moves no money, so it goes on, and says that nothing of it will be applied."""
    advertiser.write()
    switch(advertiser.warehouse, "all")
    assert "the kill switch is on (CAC breach, by watch)" in plan_job()


def test_an_infeasible_policy_names_the_constraint(advertiser: Advertiser, plan_job: Job) -> None:
    """Floors above the whole spend leave no plan: exit 3, no rows."""
    advertiser.write()
    floors = "budget_floor_micros: {'7001': 2500000000, '7002': 2000000000}"
    with pytest.raises(GateStop, match=r"floors of channel SEARCH_NONBRAND need 4,500\.00 a day"):
        plan_job(policy=floors)
    assert rows(advertiser.warehouse, "control.plan_decisions") == []


@pytest.mark.parametrize(("target", "raised"), [(60, True), (30, False)])
def test_m4_decides_on_both_sides_of_the_target(advertiser: Advertiser, plan_job: Job, target: int, raised: bool) -> None:
    """YouTube's marginal CAC is about 43: at a target of 60 it is raised, at 30 it is not, and the constraint is named."""
    advertiser.write()
    plan_job(policy=f"target_cac_micros: {target}000000")
    found = decisions(advertiser.warehouse)
    assert (found["7003"][0] == "increase") is raised
    if not raised:
        assert found["7003"] == ("hold", "cac_probability")
        assert {d for d, _ in found.values()} == {"hold"}


@pytest.mark.slow
def test_more_probability_asked_for_never_raises_more(
    tmp_path_factory: pytest.TempPathFactory, plan_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a target in the middle of the posterior the required probability decides."""
    found = []
    for probability in ("0.55", "0.99"):
        path = tmp_path_factory.mktemp("w") / "w.duckdb"
        other = Advertiser(DuckDBWarehouse(path), spread=0.3)
        other.write()
        monkeypatch.setenv("AELP2_DUCKDB_PATH", str(path))
        plan_job(policy=f"{{target_cac_micros: 50000000, min_probability: {probability}}}")
        found.append(decisions(other.warehouse)["7003"])
    assert found[0][0] == "increase"
    assert found[1] == ("hold", "cac_probability")


def test_a_budget_somebody_changed_rests(advertiser: Advertiser, plan_job: Job) -> None:
    """Three days after a change by hand the budget is in its learning phase; the others move."""
    advertiser.write()
    change_event(advertiser.warehouse, "7003", 590, 600, datetime(2026, 2, 23, 12, tzinfo=UTC))
    plan_job()
    found = decisions(advertiser.warehouse)
    assert found["7003"] == ("hold", "learning_phase")
    assert found["7004"][0] == "increase"


def test_what_others_changed_counts_into_the_rolling_cap(advertiser: Advertiser, plan_job: Job) -> None:
    """300 of 3,000 moved by hand on the day before are the whole 10 %: nothing is left to move."""
    advertiser.write()
    change_event(advertiser.warehouse, "7002", 650, 500, datetime(2026, 2, 25, 20, tzinfo=UTC))
    change_event(advertiser.warehouse, "7002", 650, 800, datetime(2026, 2, 25, 21, tzinfo=UTC))
    plan_job()
    assert rows(advertiser.warehouse, "control.change_sets") == []
    assert decisions(advertiser.warehouse)["7003"] == ("hold", "daily_cap_10_pct")


def test_a_budget_with_an_open_canary_is_left_alone(advertiser: Advertiser, plan_job: Job) -> None:
    """A change that was applied and not yet promoted or rolled back holds its budget, however old it is."""
    advertiser.write()
    ledger, earlier = Ledger(advertiser.warehouse), "google_ads-2000000001-2026-02-01-aaaaaaaaaaaa"
    common: dict[str, Any] = {"platform": "google_ads", "account_id": "2000000001", "sha256": "a" * 64, "actor": "job"}
    for event in ("proposed", "approved", "snapshot", "validated"):
        ledger.append(Event(change_set_id=earlier, event=event, **common))
    for event in ("mutate_intended", "applied"):
        change = "google_ads-2000000001-2026-02-01-7003"
        amounts = {"amount_before_micros": 590_000_000, "amount_after_micros": 600_000_000}
        ledger.append(Event(change_set_id=earlier, change_id=change, event=event, **amounts, **common))
    plan_job()
    assert decisions(advertiser.warehouse)["7003"] == ("hold", "open_canary")


def test_growth_needs_the_policy(advertiser: Advertiser, plan_job: Job) -> None:
    """A larger total is refused by default; a policy that allows it lets increases go beyond what decreases pay for."""
    advertiser.utilisation = {"7001": 0.5, "7002": 0.5}  # nobody can pay
    advertiser.write()
    with pytest.raises(GateStop, match="asks for a larger total, which the policy forbids"):
        plan_job("--budget-change-pct", "5")
    plan_job(policy="allow_total_growth: true")
    assert sum(c.delta_micros for c in the_set(advertiser.warehouse).changes) == 50_000_000


def test_a_smaller_total_is_cut_where_it_is_missed_least(advertiser: Advertiser, plan_job: Job) -> None:
    """With --budget-change-pct -5 today's steps take money away from the expensive channel only."""
    advertiser.write()
    plan_job("--budget-change-pct", "-5")
    delta = {c.budget_id: c.delta_micros for c in the_set(advertiser.warehouse).changes}
    assert sum(delta.values()) < 0
    assert {b for b, d in delta.items() if d < 0} == {"7001", "7002"}


def imported(warehouse: DuckDBWarehouse) -> None:
    Advertiser(warehouse).write()
    run = warehouse.query("SELECT * FROM models.mmm_runs").with_columns(pl.lit("sheet").alias("source"))
    warehouse.merge("models.mmm_runs", run)
    weeks = [date(2025, 11, 3) + timedelta(days=7 * i) for i in range(12)]
    spend = [
        {
            "source": "sheet",
            "geo": "national",
            "channel": channel,
            "period_start_date": week,
            "period_days": 7,
            "spend_micros": round(amount * (1.3 if i == 2 else 1.0) * 1e6),
            "currency_code": "USD",
            "loaded_at": NOW,
        }
        for i, week in enumerate(weeks)
        for channel, amount in (("SEARCH_NONBRAND", 14_000.0), ("YOUTUBE", 7_000.0))
    ]
    warehouse.merge("ads.imported_media", frame("ads.imported_media", spend))
    outcome = {"geo": "national", "period_days": 7, "new_customers": 280.0, "currency_code": "USD", "loaded_at": NOW}
    counted = [{"source": "sheet", "period_start_date": week, **outcome} for week in weeks]
    warehouse.merge("ads.business_outcomes", frame("ads.business_outcomes", counted))


def test_brought_numbers_are_planned_by_channel_and_never_live(warehouse: DuckDBWarehouse, plan_job: Job) -> None:
    """Spend a week becomes a daily amount of the channel; the set is shadow even in live mode; the age of the table is said."""
    imported(warehouse)
    said = plan_job("--source", "sheet", mode="live")
    made = the_set(warehouse)
    assert (made.platform, made.account_id, made.mode) == ("imported", "sheet", "shadow")
    amounts = {c.budget_id: (c.amount_before_micros, c.amount_after_micros) for c in made.changes}
    assert amounts == {"SEARCH_NONBRAND": (2_000_000_000, 1_950_000_000), "YOUTUBE": (1_000_000_000, 1_050_000_000)}
    assert "the table ends on 2026-01-25, 32 days before the run date" in said
    assert plan_job("--source", "sheet").startswith("already proposed as imported-sheet-2026-02-26-")


def test_a_last_day_that_is_not_over_yet_pulls_no_mean_down(advertiser: Advertiser, plan_job: Job) -> None:
    """West of UTC the newest complete day is two days back: a budget that spends 95 % of its amount still counts as limited."""
    advertiser.data_lag_days = 2
    advertiser.utilisation = dict.fromkeys(advertiser.budgets, 0.95)
    advertiser.write()
    plan_job()
    assert "not_limited_by_budget" not in {constraint for _, constraint in decisions(advertiser.warehouse).values()}


def _paused_account(advertiser: Advertiser, landed: date) -> Advertiser:
    """A second account that stopped spending nine days ago; its loads landed up to ``landed``."""
    paused = Advertiser(advertiser.warehouse, account_id="2000000002", data_lag_days=9)
    paused.budgets = {"8001": ("YOUTUBE", 500.0, ("9801",))}
    paused.statuses = {"9801": "PAUSED"}
    paused.write()
    load = {
        "platform": "google_ads",
        "account_id": "2000000002",
        "run_date": RUN_DATE,
        "start_date": RUN_DATE - timedelta(days=30),
        "end_date": landed,
        "status": "succeeded",
        "rows": 100,
        "duplicates": 0,
        "api_version": "v26",
        "finished_at": NOW,
    }
    advertiser.warehouse.merge("control.ingest_runs", frame("control.ingest_runs", [load]))
    return paused


def test_a_paused_account_does_not_stop_the_others(advertiser: Advertiser, plan_job: Job) -> None:
    """It sends no rows any more, but its loads landed: the plan of the other account is made, its own budget is held."""
    _paused_account(advertiser, RUN_DATE - timedelta(days=1))
    advertiser.write()
    plan_job()
    assert decisions(advertiser.warehouse)["8001"] == ("hold", "paused")
    assert the_set(advertiser.warehouse).account_id == advertiser.account_id


def test_an_account_whose_loads_stopped_is_stale(advertiser: Advertiser, plan_job: Job) -> None:
    """Silence without a load is not a pause: it may spend unseen."""
    _paused_account(advertiser, RUN_DATE - timedelta(days=9))
    advertiser.write()
    with pytest.raises(GateStop, match=r"stale spend: account google_ads:2000000002 \(last day 2026-02-17\)"):
        plan_job()


def test_a_reason_names_no_money_of_another_account(advertiser: Advertiser, plan_job: Job) -> None:
    """Each account's set is approved by itself: what a decrease in one account frees does not pay for another's increase."""
    other = Advertiser(advertiser.warehouse, account_id="2000000002", budgets={"8001": ("YOUTUBE", 500.0, ("9801",))})
    other.write()
    advertiser.write()
    plan_job(policy="{allow_total_growth: true, target_cac_micros: 200000000}")
    reasons = {p["budget_id"]: p["reason"] for p in rows(advertiser.warehouse, "control.budget_proposals")}
    assert "the money comes from SEARCH_NONBRAND" in reasons["7003"]
    assert "the policy lets the total grow" in reasons["8001"]


def test_spend_of_a_platform_without_budgets_counts_and_stays(advertiser: Advertiser, plan_job: Job) -> None:
    """YouTube's spend comes from a platform whose budgets are not planned: blended CAC counts it, the optimum leaves it, and a
    smaller total is asked of the planned channels alone."""
    advertiser.write()
    everything = advertiser.warehouse.query(
        "SELECT platform, account_id, date, campaign_id, name_hash, channel, is_brand, campaign_status, budget_id, impressions, "
        "clicks, cost_micros, conversions, revenue_micros, currency_code, timezone, attribution_window, loaded_at "
        "FROM ads.ads_campaign_performance WHERE channel = 'YOUTUBE'"
    )
    days = everything["date"].unique().to_list()
    warehouse = advertiser.warehouse
    search = {budget: facts for budget, facts in advertiser.budgets.items() if facts[0] != "YOUTUBE"}
    warehouse.replace_partitions(
        "ads.campaign_budgets", advertiser._budgets().filter(pl.col("budget_id").is_in(list(search))), partitions=[RUN_DATE]
    )
    nothing = everything.clear()
    for campaign in ("9003", "9004"):
        warehouse.replace_partitions(
            "ads.ads_campaign_performance", nothing, partitions=days, where={"campaign_id": campaign, "platform": "google_ads"}
        )
    warehouse.merge("ads.ads_campaign_performance", everything.with_columns(platform=pl.lit("x")))
    said = plan_job("--budget-change-pct", "-5")
    assert "YOUTUBE: no budget of google_ads pays for it" in said
    model = read_live_model(warehouse, "platforms", "new_customers", RUN_DATE)
    inputs = read_platform_inputs(warehouse, model, parse_policy({}, "the test"), "google_ads", RUN_DATE)
    assert inputs.blended_cac == pytest.approx(3000 / 40)
    plan = plan_budgets(
        model.curves, inputs.spend, inputs.budgets, parse_policy({}, "the test"), target_cac=75.0, blended_cac=75.0,
        used_micros={}, run_date=RUN_DATE, budget_change_pct=-5.0,
    )  # fmt: skip
    # 5 % of the 2,000 a day that can be moved; the 1,000 of YouTube stay what they are.
    assert dict(zip(plan.channels, plan.optimum.spend, strict=True)) == pytest.approx({"SEARCH_NONBRAND": 1900, "YOUTUBE": 1000})
    steps = {
        p["budget_id"]: p["amount_after_micros"] - p["amount_before_micros"] for p in rows(warehouse, "control.budget_proposals")
    }
    assert set(steps) <= {"7001", "7002"}
    assert -0.05 * 2000 * 1e6 - 1 <= sum(steps.values()) < 0


def test_the_gain_of_a_set_is_taken_over_joint_draws(advertiser: Advertiser, plan_job: Job) -> None:
    """Its mean is the sum of the changes' means; its ends are not: what one step may lose, another may win. Checked by hand from
    the draws, an account at a time."""
    other = Advertiser(advertiser.warehouse, account_id="2000000002", budgets={"8001": ("YOUTUBE", 500.0, ("9801",))})
    other.write()
    advertiser.write()
    plan_job(policy="{allow_total_growth: true, target_cac_micros: 200000000}")
    proposals = rows(advertiser.warehouse, "control.budget_proposals")
    model = read_live_model(advertiser.warehouse, "platforms", "new_customers", RUN_DATE)
    policy = parse_policy({"allow_total_growth": True, "target_cac_micros": 200_000_000}, "the test")
    before = read_platform_inputs(advertiser.warehouse, model, policy, "google_ads", RUN_DATE).spend.current
    curves = model.curves
    move = {c: sum(p["amount_after_micros"] - p["amount_before_micros"] for p in proposals if p["channel"] == c) for c in TRUTH}
    change = curves.outcome(before + np.array([move[c] / 1e6 for c in curves.channels])) - curves.outcome(before)
    for account in (advertiser.account_id, other.account_id):
        own = [p for p in proposals if p["account_id"] == account]
        steps = [p["amount_after_micros"] - p["amount_before_micros"] for p in own]
        parts = zip(own, steps, strict=True)
        draws = 7 * sum(change[:, curves.channels.index(p["channel"])] * step / move[p["channel"]] for p, step in parts)
        (stored,) = {tuple(p[f"set_new_customers_{name}"] for name in ("mean", "p05", "p95")) for p in own}
        assert stored == pytest.approx((draws.mean(), np.quantile(draws, 0.05), np.quantile(draws, 0.95)))
        assert stored[0] == pytest.approx(sum(p["expected_new_customers_mean"] for p in own))
    own = [p for p in proposals if p["account_id"] == advertiser.account_id]
    assert own[0]["set_new_customers_p05"] > sum(p["expected_new_customers_p05"] for p in own) + 0.05
    assert own[0]["set_new_customers_p95"] < sum(p["expected_new_customers_p95"] for p in own) - 0.05


def test_a_brought_table_is_planned_however_old_its_fit(warehouse: DuckDBWarehouse, plan_job: Job) -> None:
    """Fitting an unchanged table again gives the same run, so its age stops nothing; rows the model has not seen are said."""
    imported(warehouse)
    run = warehouse.query("SELECT * FROM models.mmm_runs")
    old = run.with_columns(pl.lit(date(2025, 6, 2)).alias("run_date"), pl.lit(date(2025, 6, 1)).alias("window_end_date"))
    warehouse.merge("models.mmm_runs", old)
    said = plan_job("--source", "sheet")
    assert "proposed imported-sheet-2026-02-26-" in said
    assert "the model has seen the table to 2025-06-01 only; run fit-mmm --source sheet again" in said
