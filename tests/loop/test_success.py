"""The success metrics of a change set that went the whole way, and of a ledger somebody laid hands on."""

from collections.abc import Callable
from datetime import UTC, datetime, time

import polars as pl
import pytest
from loop_world import ACCOUNT, RUN_DATE, Stage, sql

from tasks.core.contracts import load_contract

ROW = "SELECT value, observations, detail FROM control.success_metrics_daily WHERE run_date = @run_date AND metric = @id"


def metric(stage: Stage, name: str) -> dict[str, object]:
    """The row of RUN_DATE of the one account, or of the advertiser."""
    (row,) = stage.warehouse.query(ROW, {"run_date": RUN_DATE, "id": name}).to_dicts()
    return row


@pytest.fixture
def kept(stage_at: Callable[[str], Stage]) -> Stage:
    """Planned, approved two hours later, applied, verified, promoted; the account's log is loaded and reconciled."""
    stage = stage_at("planned")
    stage.hours = 2
    decided = stage.decide()
    assert decided.code == 0, decided.err
    for command in (("snapshot-budgets",), ("validate-changes",), ("apply-changes", "--live"), ("verify-changes",)):
        stage.must(*command)
    verdict = {"change_set_id": stage.change_set().change_set_id, "run_date": RUN_DATE, "guardrail": "verdict", "value": 3.0}
    verdict |= {"threshold": 3.0, "result": "promote", "detail": "its days are over, for tests"}
    verdict |= {"watched_at": datetime.combine(RUN_DATE, time(9), UTC)}
    table = "control.canary_watch"
    stage.warehouse.merge(table, pl.DataFrame([verdict], schema=load_contract(table).polars_schema()))
    stage.must("promote-changes")
    stage.must("ingest-ads", "--history-days", "3")
    stage.must("reconcile-changes")
    return stage


def test_a_set_that_was_kept_is_measured(kept: Stage) -> None:
    """All changes approved and in both logs, two hours to the answer, and customers and costs of the advertiser."""
    count = len(kept.change_set().changes)
    said = kept.must("measure-success")
    assert kept.state() == "promoted"
    approved, complete = metric(kept, "changes_without_approval"), metric(kept, "changefeed_completeness")
    assert (approved["value"], approved["observations"]) == (0, count)
    origins = kept.warehouse.query("SELECT origin FROM control.change_reconciliation")["origin"].to_list()
    assert (origins.count("ours"), origins.count("not_in_log")) == (count, 0)
    assert (complete["value"], complete["observations"]) == (count / len(origins), len(origins)), "others changed budgets before"
    assert metric(kept, "time_to_decision")["value"] == pytest.approx(2)
    assert metric(kept, "rollback_time")["value"] is None
    customers, cac, more = (metric(kept, name)["value"] for name in ("new_customers", "blended_cac", "marginal_cac"))
    assert isinstance(customers, float)
    assert isinstance(cac, float)
    assert isinstance(more, float)
    assert customers > 0
    assert more > cac > 0, "curves are concave: one more costs more than the average"
    assert "published no optimum" in str(metric(kept, "frontier_share")["detail"]), "this world has draws only"
    assert f"google_ads:{ACCOUNT} changes_without_approval: 0 changes" in said
    before = kept.warehouse.query("SELECT * EXCEPT (measured_at) FROM control.success_metrics_daily ORDER BY platform, metric")
    kept.must("measure-success")
    again = kept.warehouse.query("SELECT * EXCEPT (measured_at) FROM control.success_metrics_daily ORDER BY platform, metric")
    assert before.rows() == again.rows()


def test_a_forged_or_lost_row_of_the_ledger_shows(kept: Stage) -> None:
    """A change on another hash than the approved one is one without approval; without the approval's row all are; without any
    row of them nobody can tell."""
    count = len(kept.change_set().changes)
    sql(
        kept,
        "UPDATE control.canary_changes SET sha256 = repeat('0', 64) WHERE change_id = ?",
        kept.change_set().changes[0].change_id,
    )
    kept.must("measure-success")
    assert metric(kept, "changes_without_approval")["value"] == 1
    sql(kept, "DELETE FROM control.canary_changes WHERE event = 'approved'")
    kept.must("measure-success")
    assert metric(kept, "changes_without_approval")["value"] == count
    sql(kept, "DELETE FROM control.canary_changes WHERE change_id != ''")
    kept.must("measure-success")
    row = metric(kept, "changes_without_approval")
    assert (row["value"], "does not verify" in str(row["detail"])) == (None, True)
    report = kept.must("report", "--out", "page.html")
    assert "page.html" in report
    assert 'Live changes without approval: <span class="bad">cannot be told</span>' in (kept.folder / "page.html").read_text()
