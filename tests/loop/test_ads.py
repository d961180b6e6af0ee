"""Ads are enabled and paused by the real CLI on the running sandbox, from the bandits' rows to the rollback."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from loop_world import ACCOUNT, PERSON, RUN_DATE, Ran, Stage

from tasks.core.ad_changes import AdStatusSet
from tasks.core.changeset import parse
from tasks.core.contracts import load_contract

At = Callable[[str], Stage]
KIND = ("--kind", "ad_status")
CAMPAIGN, GROUP, FIRST, SECOND = "9007", "900701", 90070101, 90070102
OTHER = {"campaign_id": "9003", "adgroup_id": "900301", "arm_id": "90030101"}


def decide(stage: Stage, *rows: dict[str, str]) -> None:
    """The bandits' rows of the day; what the plan does not read is filled in by type."""
    now = datetime.combine(RUN_DATE, datetime.min.time(), UTC)
    fixed: dict[str, Any] = {"run_date": RUN_DATE, "platform": "google_ads", "account_id": ACCOUNT, "arm_kind": "ad"}
    fixed |= {"currency_code": "USD", "decided_at": now, "reason": "P(best) is below 1 %."}
    fields = load_contract("models.bandit_decisions").fields
    blank = {"INT64": 0, "FLOAT64": 0.0, "BOOL": False}
    default = {f.name: f.enum[0] if f.enum else blank.get(f.type, "x") for f in fields if f.required}
    table = "models.bandit_decisions"
    frame = pl.DataFrame([default | fixed | row for row in rows], schema=load_contract(table).polars_schema())
    stage.warehouse.merge(table, frame)


def row(ad: int = FIRST, action: str = "pause") -> dict[str, str]:
    return {"campaign_id": CAMPAIGN, "adgroup_id": GROUP, "arm_id": str(ad), "action": action}


def ad_set(stage: Stage) -> AdStatusSet:
    (text,) = stage.warehouse.query("SELECT canonical_json FROM control.change_sets WHERE kind = 'ad_status'")["canonical_json"]
    made = parse(text)
    assert isinstance(made, AdStatusSet)
    return made


def approve(stage: Stage) -> Ran:
    made = ad_set(stage)
    names = ("--set", f"{made.change_set_id}={made.sha256}", "--approval-ref", "run1/review")
    return stage.run("record-approval", *names, "--decision", "approved", "--approver", PERSON)


def validated(stage: Stage, *rows: dict[str, str]) -> AdStatusSet:
    """Decided, planned, shown, approved, ready, snapshot, checked."""
    decide(stage, *rows)
    stage.must("plan-ads")
    stage.must("request-approval", *KIND)
    assert approve(stage).code == 0
    stage.must("assess-readiness")
    stage.must("snapshot-budgets", *KIND)
    stage.must("validate-changes", *KIND)
    return ad_set(stage)


def made(stage: Stage) -> list[tuple[int, int, int]]:
    """(ad, from, to) of every switch that came in through the API, in order; 1 is enabled."""
    changes = stage.sandbox.admin.state()["changes"]
    return [(c["entity"], c["old"], c["new"]) for c in changes if (c["kind"], c["client_type"]) == ("ad", "GOOGLE_ADS_API")]


def test_pause_read_back_roll_back(stage_at: At) -> None:
    """The whole way: each ad switched once, budgets untouched, the earlier statuses back; the ledger verifies (M8, M9, M11)."""
    stage = stage_at("loaded")
    budgets, ads = stage.amounts(), stage.sandbox.admin.ads()
    planned = validated(stage, row(), OTHER | {"action": "pause"}, row(SECOND, "keep"))
    assert {c.ad_id for c in planned.changes} == {str(FIRST), OTHER["arm_id"]}
    assert (made(stage), stage.sandbox.admin.ads()) == ([], ads)

    dry = stage.must("apply-changes", *KIND)
    assert f"ad {FIRST} of ad group {GROUP}: ENABLED -> PAUSED" in dry
    assert made(stage) == []
    stage.must("apply-changes", "--live", *KIND)
    stage.must("verify-changes", *KIND)
    paused = {FIRST: False, int(OTHER["arm_id"]): False}
    assert stage.sandbox.admin.ads() == ads | paused
    assert sorted(made(stage)) == sorted((ad, 1, 0) for ad in paused)
    again = stage.run("apply-changes", "--live", *KIND)
    assert (again.code, "nothing is applied twice" in again.err) == (4, True)

    stage.must("roll-back-changes", "--change-set-id", planned.change_set_id, "--why", "test", "--live")
    assert (stage.sandbox.admin.ads(), stage.amounts()) == (ads, budgets)
    assert len(made(stage)) == 4
    assert (stage.ledger.history(planned.change_set_id).state, stage.ledger.problems()) == ("rolled_back", [])


def test_the_watch_measures_a_canary_of_ads(stage_at: At) -> None:
    """Two days later the ad group still delivers through its other ad; the set is watched like one of budgets."""
    stage = stage_at("loaded")
    planned = validated(stage, row())
    stage.must("apply-changes", "--live", *KIND)
    stage.must("verify-changes", *KIND)
    stage.pass_days(2)
    stage.must("watch-canary", day=stage.today)
    found = stage.warehouse.query(
        "SELECT guardrail, result FROM control.canary_watch WHERE change_set_id = @id", {"id": planned.change_set_id}
    )
    results = dict(found.iter_rows())
    assert results[f"delivery:adgroup:{GROUP}"] == "promote"
    assert (results["out_of_band_edit"], "verdict" in results, "blended_cac" in results) == ("promote", True, True)


def test_an_edit_between_snapshot_and_apply_blocks(stage_at: At) -> None:
    """M7: somebody paused the ad themselves; we switch nothing, and a person decides."""
    stage = stage_at("loaded")
    planned = validated(stage, row(), OTHER | {"action": "pause"})
    stage.sandbox.admin.edit_status("ad", FIRST, "PAUSED")
    ran = stage.run("apply-changes", "--live", *KIND)
    assert ran.code == 4
    assert f"ad {FIRST} of ad group {GROUP} holds PAUSED, the snapshot says ENABLED: it was edited outside of AELP2" in ran.err
    assert stage.ledger.history(planned.change_set_id).state == "blocked"
    assert (FIRST, 1, 0) not in made(stage)


def test_an_ad_group_with_one_enabled_ad_keeps_it(stage_at: At) -> None:
    """M13: at the proposal by what was loaded, and right before the switch by what is there then."""
    stage = stage_at("loaded")
    planned = validated(stage, row())
    stage.sandbox.admin.edit_status("ad", SECOND, "PAUSED")
    ran = stage.run("apply-changes", "--live", *KIND)
    assert (ran.code, f"M13 last_enabled_ad: ad {FIRST}" in ran.err, made(stage)) == (4, True, [])

    stage.sandbox.admin.advance(1)
    stage.load()
    tomorrow = stage.today
    rows = stage.warehouse.query("SELECT * FROM models.bandit_decisions").with_columns(pl.lit(tomorrow).alias("run_date"))
    stage.warehouse.merge("models.bandit_decisions", rows)
    stage.must("roll-back-changes", "--change-set-id", planned.change_set_id, "--why", "too late", "--live")
    assert "no ad is switched today" in stage.must("plan-ads", day=tomorrow)
    why = stage.warehouse.query("SELECT `constraint` FROM control.ad_decisions WHERE run_date = @d", {"d": tomorrow})
    assert why["constraint"].to_list() == ["last_enabled_ad"]


@pytest.mark.parametrize("command", ["snapshot-budgets", "validate-changes", "apply-changes"])
def test_without_an_approval_each_step_refuses(stage_at: At, command: str) -> None:
    """M1: planned alone moves nothing."""
    stage = stage_at("loaded")
    decide(stage, row())
    stage.must("plan-ads")
    ran = stage.run(command, *KIND, *(("--live",) if command == "apply-changes" else ()))
    assert (ran.code, "nobody has decided on it" in ran.err, made(stage)) == (4, True, [])
