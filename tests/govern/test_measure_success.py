"""Success metrics: each number from the rows it rests on, and no number where it cannot be known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pytest
from click.testing import CliRunner
from report_world import ACCOUNT, CHANNELS, PLANNED, RUN_DATE, RUN_ID, SET_ID, SHA, STEPS, ReportWorld

from tasks.core.ledger import Ledger, SetHistory
from tasks.core.policy import Policy
from tasks.core.response import ResponseDraws, marginal_response
from tasks.govern import measure_success, success_ledger, success_metrics, success_model
from tasks.govern.success_metrics import ALL, Metric
from tasks.govern.success_model import Mix

EVERYBODY, OURS = (ALL, ALL), ("google_ads", ACCOUNT)
NO_WINDOW = (None, None)
FORGED = (
    "INSERT INTO control.canary_changes BY NAME SELECT * REPLACE (seq + 90 AS seq, 's-x' AS change_set_id, 'x' AS change_id) "
    f"FROM control.canary_changes WHERE event = 'applied' AND change_id = '{SET_ID}-7003'"
)
LIVE = {"run_id": RUN_ID, "run_date": PLANNED, "period_days": 7, "currency_code": "USD"}
MIX = Mix({"YOUTUBE": 20_000_000, "PMAX": 10_000_000}, 14, "USD", NO_WINDOW)


def measured(world: ReportWorld, run_date: date = RUN_DATE) -> dict[tuple[str, str], dict[str, Metric]]:
    """(platform, account) → metric by name."""
    found = measure_success.measure(world.warehouse, Policy(), run_date)
    return {key: {metric.name: metric for metric in metrics} for key, metrics in found.items()}


def tamper(world: ReportWorld, statement: str) -> None:
    """Change a table behind everybody's back."""
    with duckdb.connect(str(world.warehouse._path)) as connection:
        connection.execute(statement)


def draws_of(lam: list[float], beta: float = 100.0) -> ResponseDraws:
    shape = (len(lam), 1)
    ones = np.ones(shape)
    return ResponseDraws("logistic", ones * 0.5, np.array(lam).reshape(shape), ones * beta, ones * 1000.0, ones)


# --- the business


def day_rows(count: int, end: date, **changes: Any) -> list[dict[str, Any]]:
    row = {"cost_micros": 2_000_000_000, "currency_code": "USD", "currencies": 1, "new_customers": 40.0} | changes
    return [row | {"date": end - timedelta(days=back)} for back in range(count)]


def test_new_customers_and_blended_cac_are_those_of_the_newest_four_weeks() -> None:
    """28 days of 2,000 USD and 40 customers: 1,120 customers at 50 USD; what lies before the window is not counted."""
    end = RUN_DATE - timedelta(days=1)
    customers, cac = success_metrics.of_business(success_metrics.business_of(day_rows(40, end), RUN_DATE))
    assert (customers.value, customers.unit, customers.window) == (1120.0, "customers", (end - timedelta(days=27), end))
    assert (cac.value, cac.numerator, cac.denominator, cac.currency) == (50.0, 56_000.0, 1120.0, "USD")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no day has both"),
        (day_rows(40, RUN_DATE - timedelta(days=1), new_customers=None), "no day has both"),
        (day_rows(40, RUN_DATE - timedelta(days=8)), f"known until {RUN_DATE - timedelta(days=8)} only"),
        (day_rows(27, RUN_DATE - timedelta(days=1)), "1 of the 28 days"),
        (
            day_rows(3, RUN_DATE - timedelta(days=1))
            + day_rows(1, RUN_DATE - timedelta(days=4), new_customers=None)
            + day_rows(30, RUN_DATE - timedelta(days=5)),
            f"1 of the 28 days up to {RUN_DATE - timedelta(days=1)} lack spend or new customers: {RUN_DATE - timedelta(days=4)}",
        ),
    ],
    ids=["nothing", "no outcomes", "stale", "too short", "a hole"],
)
def test_a_gap_is_no_zero(rows: list[dict[str, Any]], why: str) -> None:
    """Missing, stale or holed data give no value and say which day is to blame."""
    for metric in success_metrics.of_business(success_metrics.business_of(rows, RUN_DATE)):
        assert metric.value is None
        assert why in metric.detail


def test_a_cac_needs_one_currency_and_a_customer() -> None:
    """New customers stay known."""
    end = RUN_DATE - timedelta(days=1)
    for changes, why in (({"currencies": 2}, "several currencies"), ({"new_customers": 0.0}, "no new customer")):
        customers, cac = success_metrics.of_business(success_metrics.business_of(day_rows(28, end, **changes), RUN_DATE))
        assert customers.value is not None
        assert (cac.value, why in cac.detail) == (None, True)
    mixed = day_rows(14, end) + day_rows(14, end - timedelta(days=14), currency_code="EUR")
    assert success_metrics.of_business(success_metrics.business_of(mixed, RUN_DATE))[1].value is None


# --- the model


def test_marginal_cac_is_the_cost_at_the_present_mix_over_joint_draws() -> None:
    """Channels weigh by their spend a period of the model; low, value and high are quantiles of one over the slope."""
    draws = {"YOUTUBE": draws_of([1.0, 2.0, 3.0]), "PMAX": draws_of([3.0, 2.0, 1.0])}
    slope = marginal_response(10.0, draws["YOUTUBE"]) * 2 / 3 + marginal_response(5.0, draws["PMAX"]) / 3
    low, value, high = sorted(1 / slope)
    found = success_model.marginal_cac(MIX, LIVE, draws, RUN_DATE)
    assert (found.low, found.value, found.high) == pytest.approx((low, value, high))
    assert (found.currency, found.observations) == ("USD", 3)
    assert "3 days old" in found.detail


def test_a_channel_the_model_does_not_know_is_named() -> None:
    """It is left out of the mix, not counted as if it brought nothing."""
    found = success_model.marginal_cac(MIX, LIVE, {"YOUTUBE": draws_of([2.0])}, RUN_DATE)
    assert found.value == pytest.approx(float(1 / marginal_response(10.0, draws_of([2.0]))[0]))
    assert "without PMAX" in found.detail


@pytest.mark.parametrize(
    ("mix", "live", "lam", "why"),
    [
        (MIX, None, [1.0], "no marketing-mix run"),
        (replace(MIX, currency="EUR"), LIVE, [1.0], "spend is in EUR"),
        (replace(MIX, problem="nothing was spent"), LIVE, [1.0], "nothing was spent"),
        (MIX, LIVE, [0.0, 0.0, 1.0], "more spend brings nothing"),
        (Mix({"RADIO": 5}, 14, "USD", NO_WINDOW), LIVE, [1.0], "no draws of a channel"),
    ],
)
def test_no_model_no_marginal_cac(mix: Mix, live: dict[str, Any] | None, lam: list[float], why: str) -> None:
    """Each reason is told; nothing is taken for 0."""
    found = success_model.marginal_cac(mix, live, {c: draws_of(lam) for c in ("YOUTUBE", "PMAX")}, RUN_DATE)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert why in found.detail


def test_an_unbounded_cost_has_no_upper_end() -> None:
    """One draw in ten in which spend brings nothing: the interval is open above."""
    draws = {c: draws_of([0.0] + [1.0] * 9) for c in ("YOUTUBE", "PMAX")}
    found = success_model.marginal_cac(MIX, LIVE, draws, RUN_DATE)
    assert found.value is not None
    assert found.high is None


def best(**optimal: int) -> list[dict[str, Any]]:
    return [{"channel": channel, "optimal_spend_micros": amount} for channel, amount in optimal.items()]


def test_frontier_share_counts_the_spend_of_channels_near_their_optimum() -> None:
    """20 + 10 a fortnight are 10 + 5 a week; 10 % off is near, more is not."""
    near = success_model.frontier_share(MIX, LIVE, best(YOUTUBE=10_500_000, PMAX=4_500_000))
    assert near.value == pytest.approx(20 / 30), "PMAX is 11 % above its optimum"
    assert "farthest PMAX, +11%" in near.detail
    assert success_model.frontier_share(MIX, LIVE, best(YOUTUBE=10_000_000, PMAX=5_000_000)).value == 1
    assert success_model.frontier_share(MIX, LIVE, best(YOUTUBE=5_000_000, PMAX=10_000_000)).value == 0


def test_the_optimum_of_another_total_is_scaled_or_refused() -> None:
    """A fifth less spend keeps the proportions; half of it says too little."""
    assert success_model.frontier_share(MIX, LIVE, best(YOUTUBE=12_000_000, PMAX=6_000_000)).value == 1
    found = success_model.frontier_share(MIX, LIVE, best(YOUTUBE=20_000_000, PMAX=10_000_000))
    assert (found.value, "-50% against the total" in found.detail) == (None, True)
    assert success_model.frontier_share(MIX, LIVE, []).value is None
    assert success_model.frontier_share(MIX, None, []).value is None


def test_spend_outside_the_model_is_not_on_the_frontier() -> None:
    """It counts below the line, for nobody knows where it should be."""
    mix = replace(MIX, spend_micros={**MIX.spend_micros, "RADIO": 10_000_000})
    found = success_model.frontier_share(mix, LIVE, best(YOUTUBE=10_000_000, PMAX=5_000_000))
    assert found.value == 0.75
    assert "25% of spend is in channels the model does not know" in found.detail


def test_experiments_measure_what_one_more_customer_cost() -> None:
    """Steps and gains add up: 3,000 over 40, with σ 3 and 4 together 5; a gain below its error leaves the top open."""
    tests = [
        {"experiment_id": "a", "delta_x": 1000.0, "delta_y": 10.0, "sigma": 3.0, "currency_code": "USD"},
        {"experiment_id": "b", "delta_x": 2000.0, "delta_y": 30.0, "sigma": 4.0, "currency_code": "USD"},
    ]
    found = success_model.measured(tests, NO_WINDOW)
    half = success_metrics.Z90 * 5
    assert (found.value, found.low, found.high) == pytest.approx((75.0, 3000 / (40 + half), 3000 / (40 - half)))
    assert success_model.measured([tests[0] | {"sigma": 30.0}], NO_WINDOW).high is None
    assert success_model.measured([tests[0] | {"delta_y": -1.0}], NO_WINDOW).value is None
    assert success_model.measured([tests[0], tests[1] | {"currency_code": "EUR"}], NO_WINDOW).value is None
    assert success_model.measured([], NO_WINDOW).value is None


# --- exploration


def explored(spend: int, revenue: int, conversions: float = 1.0, code: str = "USD") -> dict[str, Any]:
    row = {"explore_spend_micros": spend * 10**6, "explore_revenue_micros": revenue * 10**6, "explore_conversions": conversions}
    return row | {"other_spend_micros": 100 * 10**6, "other_revenue_micros": 300 * 10**6, "currency_code": code}


def test_exploration_roi_is_value_over_cost_less_one() -> None:
    """Days of 10 that bring 15 or 25: twice what they cost, ROI 1, with the interval of a ratio of sums."""
    days = [explored(10, 15 if number % 2 else 25) for number in range(10)]
    found = success_metrics.exploration_roi(days, NO_WINDOW)
    half = success_metrics.Z90 * np.sqrt(10 * 25 * 10 / 9) / 100
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1 - half, 1 + half))
    assert "on the leaders of the same days 3.00" in found.detail
    few = success_metrics.exploration_roi(days[:4], NO_WINDOW)
    assert (few.value, few.low) == (1.0, None)


@pytest.mark.parametrize(
    ("days", "why"),
    [
        ([], "still arrive"),
        ([explored(10, 0)], "no value"),
        ([explored(10, 5), explored(10, 5, code="EUR")], "several currencies"),
    ],
)
def test_an_exploration_whose_return_cannot_be_known_has_none(days: list[dict[str, Any]], why: str) -> None:
    """A platform that gives no value to conversions did not earn nothing."""
    found = success_metrics.exploration_roi(days, NO_WINDOW)
    assert (found.value, why in found.detail) == (None, True)
    assert success_metrics.exploration_roi([explored(10, 0, conversions=0.0)], NO_WINDOW).value == -1, "no conversion: all lost"


def test_exploration_used_is_a_share_of_spend() -> None:
    """Measured in what was spent; nothing decided is not 0 % explored."""
    row = {"spend_micros": 500 * 10**6, "explore_spend_micros": 52 * 10**6, "decided_days": 12}
    found = success_metrics.exploration_used(row, 10.0, NO_WINDOW)
    assert (found.value, found.numerator, found.denominator) == (0.104, 52.0, 500.0)
    assert "the policy reserves 10 %" in found.detail
    assert success_metrics.exploration_used(None, 10.0, NO_WINDOW).value is None


def test_rewards_of_groups_that_explored_are_summed_by_day(world: ReportWorld) -> None:
    """The query: explored arms on one side, leaders of the same groups on the other, immature and idle groups left out."""
    about = {"platform": "google_ads", "account_id": ACCOUNT, "campaign_id": "1", "arm_kind": "ad", "posterior_version": "v"}
    about |= {"propensity": 0.5, "currency_code": "USD", "matured_date": RUN_DATE, "loaded_at": world.at(RUN_DATE, 6)}

    def arm(group: str, arm_id: str, spend: int, explore: int, revenue: int, day: date = PLANNED, **rest: Any) -> dict[str, Any]:
        row = about | {"run_date": day, "adgroup_id": group, "arm_id": arm_id, "spend_micros": spend * 10**6, "conversions": 1.0}
        return row | {"explore_spend_micros": explore * 10**6, "revenue_micros": revenue * 10**6} | rest

    late = {"matured_date": RUN_DATE + timedelta(days=1)}
    world.put(
        "models.bandit_rewards",
        arm("g1", "leader", 90, 0, 270),
        arm("g1", "other", 10, 10, 20),
        arm("g2", "only", 50, 0, 500),
        arm("g1", "other", 10, 10, 99, PLANNED - timedelta(days=1), **late),
    )
    found = measured(world)[OURS]["exploration_roi"]
    assert (found.value, found.numerator, found.denominator, found.observations) == (1.0, 20.0, 10.0, 1)
    assert "on the leaders of the same days 3.00" in found.detail


# --- predictions


def test_hit_rate_is_that_of_the_newest_evaluation(world: ReportWorld) -> None:
    """Pairs of evaluate-fidelity: two of three weeks inside, one unknown week beside; the customers' verdict before revenue's."""
    for day, realised in ((RUN_DATE - timedelta(days=1), (200.0,)), (RUN_DATE, (90.0, 110.0, 111.0, None))):
        about = {"run_date": day, "platform": "all", "account_id": "all", "basis": "model"}
        row = {"metric": "verdict", "result": "pass", "periods": 3, "thresholds_version": 1, "detail": "d"}
        for target in ("new_customers", "revenue"):
            world.put("control.fidelity_evaluations", about | row | {"target": target, "evaluated_at": world.at(day, 6)})
        for number, came in enumerate(realised):
            week = {"period_start_date": PLANNED + timedelta(weeks=number), "period_days": 7, "prediction_ref": RUN_ID}
            week |= {"predicted_mean": 100.0, "predicted_p05": 90.0, "predicted_p95": 110.0, "realised": came, "kind": "one_step"}
            week |= {"spend_micros": 5_000 * 10**6, "currency_code": "USD", "target": "new_customers"}
            world.put("control.fidelity_periods", about | week)
    found = measured(world)[EVERYBODY]["interval_hit_rate"]
    assert (found.value, found.numerator, found.observations) == (pytest.approx(2 / 3), 2.0, 3)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 2 / 3 < found.high
    assert "1 more have no known outcome" in found.detail
    assert "a customer cost 48.23 USD, predicted 50.00" in found.detail
    assert measured(world, RUN_DATE + timedelta(days=8))[EVERYBODY]["interval_hit_rate"].value is None, "too old"


def test_wilson_interval() -> None:
    """7 of 10 at 90 %: 0.442 to 0.873 (Wilson 1927); all of few are no certainty."""
    found = success_metrics.proportion("x", 7, 10, "")
    assert (found.low, found.high) == pytest.approx((0.4423, 0.8734), abs=1e-3)
    assert success_metrics.proportion("x", 3, 3, "").low == pytest.approx(0.5258, abs=1e-3)


# --- the ledger


def promoted(world: ReportWorld) -> None:
    world.plan()
    world.decide("approved")
    world.apply()
    world.promote()


def test_a_set_that_went_its_way(world: ReportWorld) -> None:
    """Three hours to the answer, both changes approved before, none rolled back, nothing reconciled yet."""
    promoted(world)
    found = measured(world)[OURS]
    assert (found["time_to_decision"].value, found["time_to_decision"].observations) == (3.0, 1)
    assert (found["changes_without_approval"].value, found["changes_without_approval"].observations) == (0.0, 2)
    assert found["rollback_time"].value is None
    assert found["changefeed_completeness"].value is None
    assert "2 changes of ours were not reconciled" in found["changefeed_completeness"].detail


@pytest.mark.parametrize(
    ("what", "count"),
    [
        ("DELETE FROM control.canary_changes WHERE event = 'approved'", 2.0),
        (f"UPDATE control.canary_changes SET sha256 = repeat('0', 64) WHERE change_id = '{SET_ID}-7003'", 1.0),
        ("DELETE FROM control.approvals", 2.0),
        ("UPDATE control.approvals SET sha256 = repeat('0', 64)", 2.0),
        ("UPDATE control.approvals SET expires_at = decided_at", 2.0),
        ("UPDATE control.canary_changes SET seq = 99 WHERE event = 'approved'", 2.0),
        (FORGED, 1.0),
    ],
    ids=["no row", "another hash", "no answer", "answer on another hash", "expired", "approved afterwards", "forged change"],
)
def test_a_change_without_its_approval_is_counted(world: ReportWorld, what: str, count: float) -> None:
    """An approval is a person's answer on the hash in both tables, before the change and not expired."""
    promoted(world)
    tamper(world, what)
    found = measured(world)[OURS]["changes_without_approval"]
    assert found.value == count
    assert "without an approval" in found.detail


def test_a_ledger_that_does_not_verify_proves_no_zero(world: ReportWorld) -> None:
    """Whoever deletes the change and its approval leaves no 0 behind, but a reason."""
    promoted(world)
    tamper(world, "DELETE FROM control.canary_changes WHERE change_id != '' OR event = 'approved'")
    found = measured(world)[OURS]["changes_without_approval"]
    assert (found.value, "does not verify" in found.detail) == (None, True)


def test_a_change_that_was_only_sent_counts(world: ReportWorld) -> None:
    """An intent without its receipt may have moved money."""
    promoted(world)
    tamper(world, "DELETE FROM control.canary_changes WHERE event = 'applied' OR event = 'approved'")
    assert measured(world)[OURS]["changes_without_approval"].value == 2


def test_rollback_time_runs_from_the_first_sign_of_trouble(world: ReportWorld) -> None:
    """Breached at seven, back at half past eight: 90 minutes. An open one is named and has no time yet."""
    world.plan()
    world.decide("approved")
    world.apply()
    world.roll_back()
    tamper(world, 'UPDATE control.canary_changes SET "at" = "at" + INTERVAL 90 MINUTE WHERE event = \'rolled_back\'')
    rows = Ledger(world.warehouse).rows()
    (history,) = success_ledger.histories_of(rows, datetime(2026, 3, 2, tzinfo=UTC))[OURS]
    since = datetime(2026, 2, 1, tzinfo=UTC)
    median, longest = success_ledger.rollback_times([history], since, NO_WINDOW)
    assert (median.value, longest.value) == (90.0, 90.0)
    cut = SetHistory(SET_ID, tuple(row for row in history.rows if row.event != "rolled_back"))
    median, _ = success_ledger.rollback_times([cut], since, NO_WINDOW)
    assert (median.value, f"still open: {SET_ID}" in median.detail) == (None, True)
    assert success_ledger.rollback_times([history], datetime(2026, 3, 1, tzinfo=UTC), NO_WINDOW)[0].value is None, "long ago"


def test_silence_is_no_answer(world: ReportWorld) -> None:
    """An expired set has no time to decision, and is counted beside."""
    world.plan()
    world.at(PLANNED, 20)
    world.event("expired")
    found = measured(world)[OURS]["time_to_decision"]
    assert (found.value, "1 expired unanswered" in found.detail) == (None, True)


def test_what_happened_after_the_day_is_not_seen(world: ReportWorld) -> None:
    """A past day can be measured again and gives the same: the ledger is read up to its end."""
    promoted(world)
    before = measured(world, PLANNED - timedelta(days=1))
    assert OURS not in before
    assert measured(world, PLANNED)[OURS]["changes_without_approval"].observations == 2


def reconciled(world: ReportWorld, key: str, origin: str, day: date = PLANNED) -> None:
    row = {"platform": "google_ads", "account_id": ACCOUNT, "event_key": key, "date": day, "origin": origin}
    row |= {"resource_type": "CAMPAIGN_BUDGET", "resource_id": "7003", "is_fighting": False}
    world.put("control.change_reconciliation", row | {"changed_at": world.at(day, 9), "reconciled_at": world.at(RUN_DATE, 9)})


def test_completeness_is_matched_over_all(world: ReportWorld) -> None:
    """One of four matched; what is older than the platforms' logs is not counted; nothing changed is no 100 %."""
    for key, origin in (("1", "ours"), ("2", "out_of_band"), ("3", "out_of_band"), ("4", "not_in_log")):
        reconciled(world, key, origin)
    reconciled(world, "old", "ours", RUN_DATE - timedelta(days=30))
    found = measured(world)[OURS]["changefeed_completeness"]
    assert (found.value, found.numerator, found.denominator) == (0.25, 1.0, 4.0)
    assert "2 by others; 1 of ours missing" in found.detail
    none = success_ledger.completeness(None, 0, NO_WINDOW)
    assert (none.value, none.detail) == (None, "nobody changed anything")


# --- the job


def write_all(world: ReportWorld) -> None:
    world.model()
    world.daily()
    promoted(world)
    draws = {"run_id": RUN_ID, "geo": "national", "form": "logistic", "adstock_alpha": 0.5, "spend_share": 1.0}
    world.put(
        "models.mmm_draws",
        *(
            draws | {"channel": channel, "draw": draw, "saturation_lam": 1.0 + draw / 10, "outcome_beta": 300.0}
            | {"spend_scale": 14_000.0}
            for channel in CHANNELS
            for draw in range(10)
        ),
    )  # fmt: skip


def run(world: ReportWorld, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(world.warehouse._path))
    done = CliRunner().invoke(measure_success.command, ["--run-date", RUN_DATE.isoformat()])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_job_writes_one_row_a_metric_and_twice_the_same(world: ReportWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every metric has its row, known or not; a second run replaces the day; unknown ones have a reason."""
    write_all(world)
    run(world, monkeypatch)
    columns = "platform, metric, value, low, high, unit, currency_code, detail"
    rows = world.warehouse.query(f"SELECT {columns} FROM control.success_metrics_daily ORDER BY platform, metric")
    by_name = {(row["platform"], row["metric"]): row for row in rows.iter_rows(named=True)}
    assert len(by_name) == rows.height == 6 + 7
    assert by_name["all", "blended_cac"]["currency_code"] == "USD"
    marginal = by_name["all", "marginal_cac"]
    assert marginal["low"] < marginal["value"] < marginal["high"]
    assert all(row["detail"] for row in by_name.values())
    assert by_name["google_ads", "changes_without_approval"]["value"] == 0
    text = run(world, monkeypatch)
    again = world.warehouse.query(f"SELECT {columns} FROM control.success_metrics_daily ORDER BY platform, metric")
    assert again.rows() == rows.rows()
    assert f"google_ads:{ACCOUNT} changes_without_approval: 0 changes (2 live changes, each approved before)" in text
    assert "all:all interval_hit_rate: unknown (no prediction was held" in text


def test_an_empty_warehouse_gives_reasons_and_no_numbers(world: ReportWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first load the advertiser's metrics are there, all unknown."""
    run(world, monkeypatch)
    rows = world.warehouse.query("SELECT metric, value, detail FROM control.success_metrics_daily")
    assert rows.height == 6
    assert rows["value"].null_count() == 6


def test_remarketing_parts_are_channels_of_their_own(world: ReportWorld) -> None:
    """The mix follows the split that the live run was fitted with."""
    write_all(world)
    live = LIVE | {"split_channels": ["YOUTUBE"], "remarketing_campaign_ids": ["9003"]}
    mix = measure_success._mix(world.warehouse, RUN_DATE - timedelta(days=1), live)
    assert mix.spend_micros == {"YOUTUBE_REMARKETING": 14 * 2_000_000_000}
    whole = measure_success._mix(world.warehouse, RUN_DATE - timedelta(days=1), live | {"split_channels": None})
    assert set(whole.spend_micros) == {"YOUTUBE"}


def test_the_steps_are_those_of_the_world() -> None:
    """The counts above rest on two changes under one hash."""
    assert (len(STEPS), len(SHA)) == (2, 64)
