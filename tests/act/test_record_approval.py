"""record-approval: one decision, on one hash, by somebody else, in time."""

from collections.abc import Callable

import pytest
from act_world import AUTHOR, NOW, PERSON, World
from click.testing import CliRunner, Result

from tasks.act.context import Context
from tasks.act.record_approval import command
from tasks.act.stored import StoredSet, load_approval
from tasks.core.errors import JobError, Refused


def decisions(world: World) -> list[tuple[str, str]]:
    return list(world.warehouse.query("SELECT decision, approver FROM control.approvals").iter_rows())


def events(world: World) -> list[str]:
    return [r.event for r in world.context.ledger.rows()]


def test_a_decision_is_kept_in_table_and_chain(world: World) -> None:
    """M1, M11: who, what, on which hash, until when, and where it was decided."""
    stored = world.propose()
    assert (
        world.decide(stored, approver=f" {PERSON} ") == f"{stored.change_set_id}: approved by maria (hash {stored.sha256[:12]}…)"
    )
    approval = load_approval(world.warehouse, stored.change_set_id)
    assert approval is not None
    assert (approval.decision, approval.sha256, approval.approver) == ("approved", stored.sha256, PERSON)
    assert (approval.decided_at, approval.expires_at, approval.approval_ref) == (NOW, stored.expires_at, "run1/review")
    row = world.context.ledger.rows()[-1]
    assert (row.event, row.actor, row.sha256) == ("approved", PERSON, stored.sha256)
    assert row.detail() == {"approval_ref": "run1/review", "approver": PERSON, "expires_at": "2026-03-03T08:00:00+00:00"}


@pytest.mark.parametrize("name", [AUTHOR, "Plan-Budgets", f"{AUTHOR}\u200b", " ", "", "\u200b"])
def test_an_own_or_nameless_approval_leaves_no_row(world: World, name: str) -> None:
    """M1: the author, however written, and nobody: refused before anything is kept."""
    stored = world.propose()
    with pytest.raises(Refused, match=r"somebody else has to approve it|needs the name"):
        world.decide(stored, approver=name)
    assert (decisions(world), events(world)) == ([], ["proposed"])


def test_the_author_may_turn_the_own_proposal_down(world: World) -> None:
    """No needs no second person."""
    world.decide(world.propose(), "rejected", approver=AUTHOR)
    assert events(world) == ["proposed", "rejected"]


def test_another_hash_is_refused(world: World) -> None:
    """M1: the decision is about the bytes that were shown."""
    stored = world.propose()
    last_digit = "0" if stored.sha256[-1] != "0" else "1"
    for wrong in ("f" * 64, "x", stored.sha256.upper(), stored.sha256[:12], stored.sha256[:-1] + last_digit):
        with pytest.raises(Refused, match="the decision is about"):
            world.decide(stored, sha256=wrong)
    assert decisions(world) == []


def test_an_unknown_set_is_refused(world: World) -> None:
    """By name."""
    stored = world.propose()
    world.warehouse.tamper("DELETE FROM control.change_sets")
    with pytest.raises(Refused, match=r"is in control\.change_sets 0 times"):
        world.decide(stored)


def test_tampered_bytes_are_refused(world: World) -> None:
    """M1: the set is hashed again before anybody's decision on it is kept."""
    stored = world.propose()
    world.warehouse.tamper("UPDATE control.change_sets SET canonical_json = replace(canonical_json, '420000000', '419000000')")
    with pytest.raises(Refused, match="changed after it was proposed"):
        world.decide(stored)
    assert decisions(world) == []


@pytest.mark.parametrize(
    "column",
    ["author = 'other'", "mode = 'live '", "account_id = '2000000002'", "run_date = DATE '2026-03-03'", "platform = 'meta'"],
)
def test_columns_that_contradict_the_bytes_are_refused(world: World, column: str) -> None:
    """M1: another author in the column would let the author approve; the bytes are what counts."""
    stored = world.propose()
    world.warehouse.tamper(f"UPDATE control.change_sets SET {column}")
    with pytest.raises(Refused, match="differ from the hashed bytes"):
        world.decide(stored)


def test_an_expired_set_is_refused_to_the_second(world: World) -> None:
    """M1: a moment before it counts, at the hour it does not; turning down is possible at any time."""
    stored = world.propose()
    world.at(24)
    with pytest.raises(Refused, match="expired at 2026-03-03 08:00 UTC; plan again"):
        world.decide(stored)
    world.decide(stored, "rejected")
    world.at(0)
    other = world.propose(world.change("b1", 10))
    world.at(23.9997)
    world.decide(other)
    assert [d for d, _ in decisions(world)] == ["rejected", "approved"]


def test_a_shadow_set_cannot_be_decided_on(world: World) -> None:
    """Shadow sets are logged, never approved."""
    stored = world.propose(mode="shadow")
    with pytest.raises(Refused, match="shadow mode"):
        world.decide(stored)


@pytest.mark.parametrize(("first", "second"), [("rejected", "approved"), ("approved", "rejected"), ("expired", "approved")])
def test_a_decision_is_not_changed(world: World, first: str, second: str) -> None:
    """M1: rejected stays rejected, though another run says approved; so does the reverse."""
    stored = world.propose()
    world.decide(stored, first)
    with pytest.raises(Refused, match=f"is decided already: {first} by maria"):
        world.decide(stored, second)
    assert (decisions(world), events(world)) == ([(first, PERSON)], ["proposed", first])


def test_the_same_decision_by_somebody_else_is_another_one(world: World) -> None:
    """Who approved is part of it."""
    stored = world.propose()
    world.decide(stored)
    with pytest.raises(Refused, match="decided already"):
        world.decide(stored, approver="mario")


def test_the_same_decision_again_changes_nothing(world: World) -> None:
    """M12: a retry of the task, later and with the name written otherwise."""
    stored = world.propose()
    world.decide(stored)
    world.at(1)
    world.decide(stored, approver="Maria")
    assert (decisions(world), events(world)) == ([("approved", PERSON)], ["proposed", "approved"])


def test_a_crash_between_table_and_chain_is_mended_by_the_retry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M12: the row is in the table, the chain lacks it; nothing is applied until the same decision is recorded again."""
    stored = world.propose()
    real = world.context.append

    def die(*_args: object, **_facts: object) -> None:
        raise ConnectionError("warehouse away")

    monkeypatch.setattr(world.context, "append", die)
    with pytest.raises(ConnectionError):
        world.decide(stored)
    monkeypatch.setattr(world.context, "append", real)
    with pytest.raises(Refused, match="the ledger holds no approval of it; run record-approval again"):
        world.snapshot(stored)
    world.decide(stored)
    assert events(world) == ["proposed", "approved"]
    world.snapshot(stored)


def test_of_two_decisions_at_once_the_faster_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M1: approved was read as undecided, rejected was written in between: it stays rejected."""
    stored = world.propose()
    real = world.warehouse.insert_new

    def overtaken(table: str, frame: object) -> int:
        monkeypatch.setattr(world.warehouse, "insert_new", real)
        world.decide(stored, "rejected", approver="mario")
        return real(table, frame)  # type: ignore[arg-type]

    monkeypatch.setattr(world.warehouse, "insert_new", overtaken)
    with pytest.raises(Refused, match="decided already: rejected by mario"):
        world.decide(stored)
    assert decisions(world) == [("rejected", "mario")]


def test_a_set_that_was_never_proposed_cannot_be_approved(world: World) -> None:
    """M11: no decision without the chain's first row."""
    stored = world.propose()
    world.warehouse.tamper("DELETE FROM control.canary_changes")
    with pytest.raises(JobError, match="never proposed"):
        world.decide(stored)
    assert decisions(world) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--decision", "expired", "--approver", "maria"], "nobody answered"),
        (["--decision", "maybe", "--approver", "maria"], "'maybe' is not one of"),
        (["--decision", "approved"], "Missing option '--approver'"),
    ],
)
def test_the_command_takes_nothing_half(arguments: list[str], words: str) -> None:
    """Wrong usage ends before anything is opened."""
    base = ["--run-date", "2026-03-02", "--set", f"x={'0' * 64}", "--approval-ref", "r"]
    result = CliRunner().invoke(command, [*base, *arguments])
    assert result.exit_code == 2
    assert words in result.output


Record = Callable[..., Result]


@pytest.fixture
def record(world: World, monkeypatch: pytest.MonkeyPatch) -> Record:
    """The command on the world's warehouse: sets as Airflow hands them over, in one argument."""
    monkeypatch.setattr(Context, "from_environment", lambda: world.context)

    def run(*pairs: str, decision: str = "approved", approver: str = PERSON) -> Result:
        known = ["--run-date", "2026-03-02", "--decision", decision, "--approver", approver, "--approval-ref", "run1/review"]
        return CliRunner().invoke(command, [*known, "--set", ",".join(pairs)])

    return run


def three(world: World) -> list[StoredSet]:
    return [
        world.propose(account_id="2000000001"),
        world.propose(account_id="2000000002", author=PERSON),
        world.propose(account_id="2000000003"),
    ]


def test_one_answer_is_recorded_for_each_set_by_itself(world: World, record: Record) -> None:
    """M1: a row and a ledger row a set, each with its own hash; a retry of the task changes nothing."""
    stored = [world.propose(account_id=account) for account in ("2000000001", "2000000002")]
    pairs = [f"{s.change_set_id}={s.sha256}" for s in stored]
    for _ in range(2):
        done = record(*pairs, pairs[0])
        assert (done.exit_code, done.stdout.splitlines()) == (
            0,
            [f"{s.change_set_id}: approved by maria (hash {s.sha256[:12]}…)" for s in stored],
        )
        kept = world.warehouse.query("SELECT change_set_id, sha256 FROM control.approvals ORDER BY change_set_id")
        assert [f"{row[0]}={row[1]}" for row in kept.iter_rows()] == pairs
        assert events(world) == ["proposed", "proposed", "approved", "approved"]


def test_a_refused_set_does_not_keep_the_others_from_being_recorded(world: World, record: Record) -> None:
    """An own proposal and another hash in the middle of the page: exit code 4 names both, the third is approved all the same."""
    first, own, third = three(world)
    ended = record(
        f"{first.change_set_id}={'f' * 64}", f"{own.change_set_id}={own.sha256}", f"{third.change_set_id}={third.sha256}"
    )
    assert isinstance(ended.exception, Refused)
    assert ended.exception.exit_code == 4
    assert "the decision is about ffff" in str(ended.exception)
    assert f"'maria' proposed change set {own.change_set_id}; somebody else has to approve it" in str(ended.exception)
    assert list(world.warehouse.query("SELECT change_set_id FROM control.approvals")["change_set_id"]) == [third.change_set_id]


def test_a_set_decided_before_leaves_the_others_to_the_new_answer(world: World, record: Record) -> None:
    """Rejected by an earlier run, then approved on a page with another one: it stays rejected."""
    first, _, third = three(world)
    world.decide(first, "rejected")
    ended = record(f"{first.change_set_id}={first.sha256}", f"{third.change_set_id}={third.sha256}")
    assert "is decided already: rejected by maria" in str(ended.exception)
    assert [d for d, _ in decisions(world)] == ["rejected", "approved"]


@pytest.mark.parametrize("text", ["", "x", "=aa", "x=", "x=aa,", "x=aa,,y=bb"])
def test_half_a_pair_is_wrong_usage(record: Record, text: str) -> None:
    """Also the empty text that a run hands over in which nothing was laid out."""
    assert record(text).exit_code == 2
