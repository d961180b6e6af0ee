"""What somebody does in the account by hand, through the platform: found, counted in the caps, shown in the report."""

import re
from collections.abc import Callable

from loop_world import ACCOUNT, Stage

from tasks.core.switches import read_switches

At = Callable[[str], Stage]


def test_an_edit_by_hand_is_found_counted_and_shown(stage_at: At) -> None:
    """Of a budget that our set leaves alone, and of an ad: both are told as others'; the day's cap is used and apply refuses."""
    stage = stage_at("validated")
    ours = {int(change.budget_id) for change in stage.change_set().changes}
    amounts = {int(budget): amount for budget, amount in stage.amounts().items()}
    other = next(budget for budget in amounts if budget not in ours)
    stage.sandbox.admin.edit(other, amounts[other] + sum(amounts.values()) // 10)
    ad = next(ad for ad, is_enabled in stage.sandbox.admin.ads().items() if is_enabled)
    stage.sandbox.admin.edit_status("ad", ad, "PAUSED")

    refused = stage.run("apply-changes", "--live")
    assert (refused.code, "M3 daily_cap" in refused.err) == (4, True), refused.err
    assert stage.mutates() == []

    stage.must("ingest-ads", "--history-days", "3")
    said = stage.must("reconcile-changes")
    assert "0 ours" in said
    found = stage.warehouse.query(
        "SELECT resource_id, origin, is_fighting, status_after FROM control.change_reconciliation ORDER BY changed_at"
    ).rows()
    assert (str(other), "out_of_band", False, None) in found
    assert any(row[0].endswith(f"~{ad}") and row[1:] == ("out_of_band", False, "PAUSED") for row in found)

    stage.must("report", "--out", "page.html")
    page = (stage.folder / "page.html").read_text(encoding="utf-8")
    section = re.search(r"<h2>Changes by others</h2>.*?</section>", page, re.DOTALL)
    assert section, "the report has no section of changes by others"
    assert f"Budget {other}" in section[0]
    assert f"~{ad}" in section[0]


def test_who_undoes_our_change_freezes_the_account(stage_at: At) -> None:
    """Our budget put back by hand after the apply: the account is frozen, and the report says so."""
    stage = stage_at("validated")
    stage.must("apply-changes", "--live")
    change = stage.change_set().changes[0]
    stage.sandbox.admin.edit(int(change.budget_id), change.amount_before_micros)
    stage.must("ingest-ads", "--history-days", "3")
    assert "(1 against ours)" in stage.must("reconcile-changes")
    assert read_switches(stage.warehouse)[f"google_ads:{ACCOUNT}"].is_on
    stage.must("report", "--out", "page.html")
    page = (stage.folder / "page.html").read_text(encoding="utf-8")
    assert f"Undid our change <code>{change.change_id}</code>" in page
    assert "is still frozen" in page
