"""Plan → a person's approval → snapshot → check only → apply → read back, by the real CLI on a running sandbox."""

from collections.abc import Callable

from loop_world import AUTHOR, PERSON, Stage, after, before, steps


def test_the_whole_way(stage_at: Callable[[str], Stage]) -> None:
    """The platform holds what was approved; each change was made once, after all were checked; a second apply does nothing."""
    stage = stage_at("planned")
    planned, amounts = stage.change_set(), stage.amounts()
    assert before(planned).items() <= amounts.items()
    assert len(planned.changes) >= 2, "the world has channels on both sides of their best"

    page = stage.must("request-approval")
    assert planned.sha256 in page
    assert AUTHOR in page
    assert f"approved by {PERSON}" in stage.decide().out
    stage.must("snapshot-budgets")
    stage.must("validate-changes")
    assert amounts == stage.amounts()
    assert stage.mutates() == ["validate"]

    dry = stage.must("apply-changes")
    assert "would apply" in dry
    assert amounts == stage.amounts()

    stage.must("apply-changes", "--live")
    stage.must("verify-changes")
    assert amounts | after(planned) == stage.amounts()
    assert steps(planned) == stage.made()
    assert ["validate", *["mutate"] * len(planned.changes)] == stage.mutates()
    each = [
        e
        for c in planned.changes
        for e in ((c.change_id, "mutate_intended"), (c.change_id, "applied"), (c.change_id, "verified"))
    ]
    whole = [("", event) for event in ("proposed", "approved", "snapshot", "validated")]
    assert [*whole, *each, ("", "applied"), ("", "verified")] == stage.events()
    receipts = [row.request_id for row in stage.ledger.rows() if row.event == "applied" and row.change_id]
    sent = [
        r["request_id"] for r in stage.sandbox.admin.requests() if r["method"].startswith("Mutate") and not r["validate_only"]
    ]
    assert sent == receipts, "each receipt names the platform's own request id"

    again = stage.run("apply-changes", "--live")
    assert (again.code, "applied already" in again.err) == (4, True)
    assert steps(planned) == stage.made()
    assert len(planned.changes) + 1 == len(stage.mutates())
    assert "the ledger verifies" in stage.must("verify-ledger")
