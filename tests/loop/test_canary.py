"""After the apply: a breach is found, the account freezes by itself, exact budgets come back, somebody's edit is left alone."""

import re
import shlex
from collections.abc import Callable

import duckdb
import pytest
from loop_world import ACCOUNT, Stage, after, before, sql, steps

At = Callable[[str], Stage]
EDIT = 990_000_000  # what somebody sets in the web page; no plan of this world comes near


def undone(made: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The way back, last change first."""
    return [(budget, new, old) for budget, old, new in reversed(made)]


def test_a_breach_freezes_the_account_and_the_budgets_come_back(stage_at: At) -> None:
    """Demand collapses after the apply: the verdict is roll_back, mutations stop by themselves, the exact budgets return."""
    stage = stage_at("breached")
    planned, amounts = stage.change_set(), stage.amounts()
    assert after(planned).items() <= amounts.items()
    assert stage.state() == "breached"
    assert "cac_breach" in stage.safety_kinds()
    assert f"google_ads:{ACCOUNT}: ON" in stage.must("kill", "--status", day=None)

    frozen = stage.run("plan-budgets", day=stage.today)
    assert (frozen.code, "frozen, no proposals" in frozen.err) == (3, True)
    assert "would be rolled back" in stage.must("roll-back-changes", day=stage.today)
    assert amounts == stage.amounts(), "a dry run changes nothing"

    stage.must("roll-back-changes", "--live", day=stage.today)
    assert amounts | before(planned) == stage.amounts()
    assert [*steps(planned), *undone(steps(planned))] == stage.made()
    assert stage.state() == "rolled_back"
    stage.must("roll-back-changes", "--live", day=stage.today)
    assert 2 * len(planned.changes) == len(stage.made()), "a second rollback finds nothing to do"
    assert "the ledger verifies" in stage.must("verify-ledger")


@pytest.mark.parametrize("column", ["amount_after_micros", "event", "actor"])
def test_a_ledger_row_that_was_edited_is_found(untouched: At, column: str) -> None:
    """One field of one row, and verify-ledger names the row and ends with exit code 3; so does a row that is gone."""
    stage = untouched("breached")
    assert stage.run("verify-ledger").code == 0
    value = {"amount_after_micros": "amount_after_micros + 1", "event": "'verified'", "actor": "'somebody'"}[column]
    with duckdb.connect(str(stage.folder / "w.duckdb")) as connection:
        (seq,) = connection.execute(
            "SELECT seq FROM control.canary_changes WHERE event = 'applied' AND change_id != ''"
        ).fetchall()[0]
        connection.execute(f"UPDATE control.canary_changes SET {column} = {value} WHERE seq = ?", [seq])
    ran = stage.run("verify-ledger")
    assert (ran.code, f"row seq={seq} " in ran.err) == (3, True), ran
    sql(stage, "DELETE FROM control.canary_changes WHERE seq = ?", seq)
    assert stage.run("verify-ledger").code == 3


def test_the_freeze_of_a_breach_stops_an_approved_plan(untouched: At) -> None:
    """The very row that watch-canary wrote, in a warehouse where a set is approved and checked: its apply is refused."""
    frozen, stage = untouched("breached"), untouched("validated")
    stage.warehouse.merge("control.kill_switch", frozen.warehouse.query("SELECT * FROM control.kill_switch"))
    ran = stage.run("apply-changes", "--live")
    assert (ran.code, f"switch 'google_ads:{ACCOUNT}' is on" in ran.err) == (4, True)
    assert stage.state() == "validated"


def test_an_edit_during_the_canary_stands_and_the_rest_is_restored(stage_at: At) -> None:
    """The rollback stops for the edited budget (exit code 4) and asks for a person; the other budgets come back."""
    stage = stage_at("breached")
    planned, amounts = stage.change_set(), stage.amounts()
    edited = planned.changes[0]
    stage.sandbox.admin.edit(int(edited.budget_id), EDIT)

    ran = stage.run("roll-back-changes", "--live", day=stage.today)
    assert ran.code == 4
    assert f"budget {edited.budget_id} holds {EDIT} micros" in ran.err
    assert "decide" in ran.err
    assert amounts | before(planned) | {edited.budget_id: EDIT} == stage.amounts()
    assert (stage.state(), "out_of_band_edit" in stage.safety_kinds()) == ("blocked", True)

    again = stage.run("roll-back-changes", "--live", day=stage.today)
    assert again.code == 4
    assert amounts | before(planned) | {edited.budget_id: EDIT} == stage.amounts()
    (told,) = re.findall(r"`aelp2 (promote-changes [^`]+)`", again.err.split("error: ")[-1])
    stage.must(*shlex.split(told.replace("…", "the buyer's amount is right")), day=None)
    assert (stage.state(), stage.ledger.problems()) == ("promoted", [])


@pytest.mark.parametrize("position", [0, -1])
def test_an_edit_between_snapshot_and_apply_blocks(stage_at: At, position: int) -> None:
    """Compare-and-set: an edited budget is never overwritten; what was set before it comes back, the edit stands."""
    stage = stage_at("validated")
    planned, amounts = stage.change_set(), stage.amounts()
    edited = planned.changes[position]
    held = edited.amount_before_micros + 10_000
    stage.sandbox.admin.edit(int(edited.budget_id), held)

    ran = stage.run("apply-changes", "--live")
    assert ran.code == 4
    assert f"budget {edited.budget_id} holds {held} micros" in ran.err
    assert edited.budget_id not in {budget for budget, _, _ in stage.made()}
    assert stage.state() == "blocked"
    stage.run("roll-back-changes", "--live")
    assert amounts | {edited.budget_id: held} == stage.amounts()
    assert stage.run("apply-changes", "--live").code == 4
    assert amounts | {edited.budget_id: held} == stage.amounts()
