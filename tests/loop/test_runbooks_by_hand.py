"""The commands of two runbooks in their order, as a person types them, on an account with an open canary that breaches."""

import re
import shlex
from collections.abc import Callable

from loop_world import ACCOUNT, ROOT, Stage, after, before

At = Callable[[str], Stage]
PUT_IN = {"google_ads:<account>": f"google_ads:{ACCOUNT}", "google_ads:1234567890": f"google_ads:{ACCOUNT}"}


def typed(stage: Stage, page: str, begin: str, end: str) -> list[list[str]]:
    """The commands between two words of a page, with their blanks filled in."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").split(begin, 1)[1].split(end, 1)[0]
    planned = stage.change_set().change_set_id
    blanks = PUT_IN | {"<day>": f"{stage.today}", "--run-date 2026-03-02": f"--run-date {stage.today}", "<id>": planned}
    blanks |= {"--change-set-id …": f"--change-set-id {planned}", '"…"': '"as the page says"'}
    commands = []
    for command in re.findall(r"`aelp2 ([^`]+)`", text):
        for blank, value in blanks.items():
            command = command.replace(blank, value)
        commands.append(shlex.split(command))
    return commands


def test_the_day_is_done_by_hand_where_airflow_is_down(stage_at: At) -> None:
    """environment_unhealthy: the account is frozen, the day loaded, the breach seen, and the rollback is not held up."""
    stage = stage_at("applied")
    planned, applied = stage.change_set(), stage.amounts()
    stage.sandbox.admin.advance(2)
    for name, *arguments in typed(stage, "runbooks/environment_unhealthy.md", "1. Is a canary open", "2. Console"):
        stage.must(name, *arguments, day=None)
    assert (stage.state(), stage.amounts()) == ("rolled_back", applied | before(planned))
    assert "ON" in stage.must("kill", "--status", day=None)


def test_the_way_back_down_undoes_what_is_open(stage_at: At) -> None:
    """go-live: the account's freeze first, then the open canary; the switch for all, thrown before, would refuse it."""
    stage = stage_at("applied")
    planned, applied = stage.change_set(), stage.amounts()
    assert after(planned).items() <= applied.items()
    freeze, everything, undo = typed(stage, "how-to/go-live.md", "## Back down", "3. Only then")
    stage.must(*freeze, day=None)
    stage.must(*everything, day=None)
    assert stage.run(*undo, day=None).code == 4
    assert stage.amounts() == applied
    stage.must("kill", "--off", "--why", "the open canary goes first", day=None)
    stage.must(*undo, day=None)
    assert (stage.state(), stage.amounts()) == ("rolled_back", applied | before(planned))


def test_a_half_applied_set_whose_budget_somebody_edited_is_closed(stage_at: At) -> None:
    """budget_canary_daily, step 3: never fully applied, it cannot be kept; once the budget holds ours again it is rolled back."""
    stage = stage_at("validated")
    planned, amounts = stage.change_set(), stage.amounts()
    first, last = planned.changes[0], planned.changes[-1]
    stage.sandbox.admin.fault("partial_failure", budget_id=int(last.budget_id))
    assert stage.run("apply-changes", "--live").code == 3
    stage.sandbox.admin.edit(int(first.budget_id), 990_000_000)
    assert stage.run("roll-back-changes", "--live").code == 4

    (keep,) = typed(stage, "runbooks/budget_canary_daily.md", "3. Rollback stopped", "4. Do not")
    kept = stage.run(*keep, day=None)
    assert (kept.code, "never fully applied" in kept.err) == (4, True)
    query = "SELECT amount_after_micros FROM control.canary_changes WHERE event = 'applied' AND budget_id = @budget"
    (ours,) = stage.warehouse.query(query, {"budget": first.budget_id})["amount_after_micros"]
    stage.sandbox.admin.edit(int(first.budget_id), ours)
    stage.must("roll-back-changes", "--live")
    assert (stage.state(), stage.amounts()) == ("rolled_back", amounts)
