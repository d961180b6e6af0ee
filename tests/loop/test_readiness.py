"""The verdict on an account goes red for each of its reasons, and the canary then refuses and says why."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from loop_world import ACCOUNT, RUN_DATE, Stage, sql

from tasks.core.ledger import Event

DAY = f"DATE '{RUN_DATE}'"
# Reason → what happened, as SQL or as a command of a person.
SPOILED: dict[str, tuple[str, str | tuple[str, ...]]] = {
    "freshness: newest delivery": (
        "freshness",
        f"DELETE FROM ads.ads_campaign_performance WHERE date >= {DAY} - INTERVAL 4 DAY",
    ),
    "freshness: new customers are known until": (
        "freshness",
        f"DELETE FROM ads.business_outcomes WHERE period_start_date >= {DAY} - INTERVAL 9 DAY",
    ),
    "gates: gate before plan-budgets": (
        "gates",
        "UPDATE control.validation_results SET failures = 3, severity = 'critical'",
    ),
    "gates: the gate before plan-budgets did not run": ("gates", "DELETE FROM control.validation_results"),
    "model: no MMM run has passed": ("model", "DELETE FROM models.mmm_reviews"),
    "model: run mmm-truth is 20 days old": ("model", f"UPDATE models.mmm_runs SET run_date = {DAY} - INTERVAL 20 DAY"),
    "drift: the account's data of 2026-02-26 was not compared": ("drift", "DELETE FROM control.drift_reports"),
    "drift: 1 critical, first all cost": (
        "drift",
        (
            "UPDATE control.drift_reports SET verdict = 'critical' WHERE platform = 'google_ads' AND segment = 'all' "
            "AND column_name = 'cost' AND method = 'level'"
        ),
    ),
    "fidelity: nobody compared": ("fidelity", "DELETE FROM control.fidelity_evaluations"),
    "fidelity: the model's predictions: blocked": ("fidelity", "UPDATE control.fidelity_evaluations SET result = 'blocked'"),
    "fidelity: what change sets promised": (
        "fidelity",
        (
            "INSERT INTO control.fidelity_evaluations BY NAME SELECT * REPLACE ('google_ads' AS platform, "
            f"'{ACCOUNT}' AS account_id, 'plan' AS basis, 'fail' AS result) FROM control.fidelity_evaluations"
        ),
    ),
    "switches: switch 'all' is on": ("switches", ("kill", "--why", "prices are wrong")),
    f"switches: switch 'google_ads:{ACCOUNT}' is on": (
        "switches",
        ("kill", "--why", "CAC breach", "--scope", f"google_ads:{ACCOUNT}"),
    ),
    "ledger: the ledger does not verify": ("ledger", "UPDATE control.canary_changes SET actor = 'x' WHERE seq = 1"),
    "incidents: change set s-old is blocked": ("incidents", ""),
    "approvals: change set s-old of an earlier day": ("approvals", ""),
}


def _old_set(stage: Stage, *events: str) -> None:
    """A change set of the day before that went so far."""
    sha256 = "a" * 64
    sql(
        stage,
        "INSERT INTO control.change_sets BY NAME SELECT * REPLACE ('s-old' AS change_set_id, ? AS sha256, "
        "run_date - INTERVAL 1 DAY AS run_date) FROM control.change_sets",
        sha256,
    )
    for event in events:
        stage.ledger.append(Event("s-old", "google_ads", ACCOUNT, event, sha256, "planner"))


@pytest.mark.parametrize("why", SPOILED)
def test_each_reason_stops_the_canary(untouched: Callable[[str], Stage], why: str) -> None:
    """Red by that check and no other, and apply-changes ends with exit code 4 and the reason."""
    stage = untouched("validated")
    assert "ready (all" in stage.must("assess-readiness")
    check, what = SPOILED[why]
    if check == "incidents":
        _old_set(stage, "proposed", "approved", "blocked")
    elif check == "approvals":
        _old_set(stage, "proposed")
    elif isinstance(what, tuple):
        stage.must(*what)
    else:
        sql(stage, what)
    said = stage.must("assess-readiness")
    assert f"NOT READY ({why}" in said
    red = stage.warehouse.query("SELECT `check` FROM control.readiness WHERE NOT is_ready ORDER BY 1")["check"].to_list()
    assert red == sorted([check, "verdict"])
    ran = stage.run("apply-changes", "--live")
    assert ran.code == 4
    assert f"is not ready: {why}" in ran.err


def test_no_verdict_and_an_old_one_stop_the_canary(untouched: Callable[[str], Stage]) -> None:
    """A verdict that nobody made, or of yesterday's state, is none."""
    stage = untouched("validated")
    sql(stage, "UPDATE control.readiness SET assessed_at = assessed_at - INTERVAL 25 HOUR")
    assert "too long ago" in stage.run("apply-changes", "--live").err
    sql(stage, f"UPDATE control.readiness SET run_date = DATE '{RUN_DATE - timedelta(days=1)}'")
    ran = stage.run("apply-changes", "--live")
    assert (ran.code, "no readiness verdict" in ran.err) == (4, True)
