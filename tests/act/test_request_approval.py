"""request-approval: which sets are laid out, and that a person reads the numbers that were hashed."""

import dataclasses
import json
from pathlib import Path

import polars as pl
import pytest
from act_world import ACCOUNT, MICROS, NOW, RUN_DATE, World
from page_world import decide_nothing, proposal, store_proposals, write_proposals

from tasks.act.request_approval import XCOM_BYTES, request_approval, undecided, used_so_far
from tasks.core import xcom
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError, NothingToDo, Refused, TryAgain

WORDS = "one more new customer costs about 50.00 USD, below the target of 60.00 USD; it does so in 97 % of the model's draws."


def test_what_airflow_gets(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Subject, page, and the id and hash of the set, all plain JSON; the verdict of the model's review is on the page."""
    stored = world.propose()
    write_proposals(world, stored)
    assert "health verdict **not reviewed**" in str(request_approval(world.context, [stored])["body"])
    table = "models.mmm_reviews"
    review = {"run_id": "run1", "check": "verdict", "result": "REVIEW", "detail": "x", "run_date": RUN_DATE, "reviewed_at": NOW}
    world.warehouse.insert_new(table, pl.DataFrame([review], schema=load_contract(table).polars_schema()))
    asked = request_approval(world.context, [stored])
    assert asked["sets"] == [{"change_set_id": stored.change_set_id, "sha256": stored.sha256}]
    assert set(asked) == {"subject", "body", "sets"}
    assert "health verdict **REVIEW**" in str(asked["body"])
    monkeypatch.setenv("AELP2_XCOM_FILE", str(tmp_path / "x.json"))
    xcom.push(asked)
    assert json.loads((tmp_path / "x.json").read_text()) == asked


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("amount_after_micros", 419 * MICROS),
        ("amount_before_micros", 399 * MICROS),
        ("campaign_ids", ["c1", "c9"]),
        ("budget_id", "b9"),
        ("channel", "SEARCH_BRAND"),
        ("p_cac_le_target", 0.99),
        ("is_extrapolated", False),
    ],
)
def test_a_page_of_other_numbers_is_not_shown(world: World, column: str, value: object) -> None:
    """M1: amount, budget, channel, campaigns, probability or flag edited after hashing: a person would approve something else."""
    stored = world.propose()
    write_proposals(world, stored, **{column: value})
    with pytest.raises(JobError, match="differ from the hashed bytes"):
        request_approval(world.context, [stored])


def test_a_missing_or_additional_proposal_is_not_shown(world: World) -> None:
    """M1: a change that is applied but not on the page, or on the page and not applied."""
    stored = world.propose()
    write_proposals(world, stored)
    world.warehouse.tamper("DELETE FROM control.budget_proposals WHERE budget_id = 'b2'")
    with pytest.raises(JobError, match="differ from the hashed bytes"):
        request_approval(world.context, [stored])
    write_proposals(world, stored)
    world.warehouse.tamper("INSERT INTO control.budget_proposals SELECT * FROM control.budget_proposals WHERE budget_id = 'b1'")
    with pytest.raises(JobError, match="differ from the hashed bytes"):
        request_approval(world.context, [stored])


def test_tampered_bytes_are_not_shown(world: World) -> None:
    """M1: hashed again before they are laid out."""
    stored = world.propose()
    write_proposals(world, stored)
    world.warehouse.tamper("UPDATE control.change_sets SET canonical_json = replace(canonical_json, 'USD', 'EUR')")
    (found,) = undecided(world.context, RUN_DATE, None)
    with pytest.raises(Refused, match="changed after it was proposed"):
        request_approval(world.context, [found])


def test_the_newest_set_of_the_account_is_laid_out(world: World) -> None:
    """A second plan of the day takes the place of the first; a named set is taken as named."""
    first = world.propose()
    world.at(1)
    second = world.propose(world.change("b1", 10))
    assert [s.change_set_id for s in undecided(world.context, RUN_DATE, None)] == [second.change_set_id]
    assert [s.change_set_id for s in undecided(world.context, RUN_DATE, first.change_set_id)] == [first.change_set_id]


def test_every_account_is_on_the_page_and_each_set_is_handed_on(world: World) -> None:
    """One question for the day: the sets of all accounts that wait, by account; those decided already are not asked again."""
    stored = [world.propose(account_id=account) for account in ("2000000003", "2000000001", "2000000002")]
    for one in stored:
        write_proposals(world, one)
    world.decide(stored[2], "rejected")
    found = undecided(world.context, RUN_DATE, None)
    asked = request_approval(world.context, found)
    assert asked["sets"] == [{"change_set_id": s.change_set_id, "sha256": s.sha256} for s in (stored[1], stored[0])]
    assert str(asked["body"]).count("**Why**") == 2
    assert [stored[n].sha256 in str(asked["body"]) for n in range(3)] == [True, True, False]


def test_an_account_can_be_asked_about_by_itself(world: World) -> None:
    """`--account`: its set alone; an account that was not planned is a mistake, one without a change is no work."""
    decide_nothing(world, ACCOUNT, "2000000002", "2000000003")
    world.propose()
    second = world.propose(account_id="2000000002")
    assert [s.change_set_id for s in undecided(world.context, RUN_DATE, None, "2000000002")] == [second.change_set_id]
    with pytest.raises(NothingToDo, match="proposed no change for account 2000000003"):
        undecided(world.context, RUN_DATE, None, "2000000003")
    with pytest.raises(JobError, match="'2000000009' is not in the plan of 2026-03-02; planned were 2000000001, ") as wrong:
        undecided(world.context, RUN_DATE, None, "2000000009")
    assert wrong.value.exit_code == 1


def test_a_set_that_cannot_be_shown_keeps_the_page_back(world: World) -> None:
    """M1: an answer to a page without it would still be an answer about the day; the error names the set."""
    good, bad = world.propose(), world.propose(account_id="2000000002")
    write_proposals(world, good)
    write_proposals(world, bad, amount_after_micros=419 * MICROS)
    with pytest.raises(JobError, match=f"{bad.change_set_id} differ from the hashed bytes"):
        request_approval(world.context, undecided(world.context, RUN_DATE, None))
    assert request_approval(world.context, undecided(world.context, RUN_DATE, None, ACCOUNT))["sets"]


def test_ten_accounts_of_twenty_budgets_fit_into_one_page(world: World) -> None:
    """What is handed on stays within Airflow's limit; reasons go first, no amount and no hash ever."""
    changes = [
        dataclasses.replace(
            world.change("b1", 20),
            budget_id=f"150000000{number:02d}",
            campaign_ids=(f"2200000000{number:02d}",),
            amount_before_micros=(1234 + number) * MICROS,
            amount_after_micros=(1295 + number) * MICROS,
        )
        for number in range(20)
    ]
    stored = [world.propose(*changes, account_id=f"30000000{number:02d}") for number in range(10)]
    for one in stored:
        store_proposals(world, [proposal(one, c, reason=f"As for {c.budget_id}: {WORDS}") for c in one.verified().changes])
    asked = request_approval(world.context, undecided(world.context, RUN_DATE, None))
    size, text = len(json.dumps(asked)), str(asked["body"])
    assert size <= XCOM_BYTES, size
    assert text.count("\n| SEARCH") == 200
    assert all(one.sha256 in text for one in stored)
    assert ("**Why**" in text, "Why each change is made is left out" in text) == (False, True)
    few = request_approval(world.context, undecided(world.context, RUN_DATE, None)[:3])
    assert "**Why**" in str(few["body"])


def test_before_the_plan_the_job_asks_to_be_run_again(world: World) -> None:
    """75, so that Airflow tries later and alerts in the end; brought numbers planned that day are not the plan it waits for."""
    decide_nothing(world, "my_sheet", platform="imported")
    with pytest.raises(TryAgain, match="no plan of 2026-03-02 yet: budget_plan_daily has not ended") as early:
        undecided(world.context, RUN_DATE, None)
    assert early.value.exit_code == 75


def test_a_plan_that_changes_nothing_is_nothing_to_do(world: World) -> None:
    """99: the day's tasks are skipped, not failed."""
    decide_nothing(world, ACCOUNT)
    with pytest.raises(NothingToDo, match="the plan of 2026-03-02 proposed no change"):
        undecided(world.context, RUN_DATE, None)


def test_shadow_sets_are_never_laid_out(world: World) -> None:
    """Nobody is asked about what is never applied."""
    world.propose(mode="shadow")
    with pytest.raises(NothingToDo, match="shadow mode"):
        undecided(world.context, RUN_DATE, None)


@pytest.mark.parametrize(("decision", "words"), [("approved", "is approved"), ("rejected", "is rejected"), (None, "has expired")])
def test_a_decided_or_void_set_is_not_laid_out_again(world: World, decision: str | None, words: str) -> None:
    """One question, one answer; after its time it is void."""
    stored = world.propose()
    if decision:
        world.decide(stored, decision)
    else:
        world.at(24)
    with pytest.raises(NothingToDo, match=words):
        undecided(world.context, RUN_DATE, None)


def test_the_page_counts_what_moved_already(world: World) -> None:
    """M3 as far as it is loaded: ours by the ledger, others' by the log, none twice, old ones not at all."""
    first = world.ready(world.change("b1", 20))
    world.apply(first)
    table = "ads.ads_change_events"
    schema = load_contract(table).polars_schema()
    moves = [("b1", 0, 400, 420), ("b4", 0, 100, 145), ("b4", 0, 145, 100), ("b2", 25, 300, 400)]
    rows = [
        {
            "platform": "google_ads",
            "account_id": ACCOUNT,
            "date": RUN_DATE,
            "change_event_id": f"e{number}",
            "changed_at": NOW.replace(day=1 if hours > 24 else 2, hour=7 if hours > 24 else 8),
            "resource_type": "CAMPAIGN_BUDGET",
            "resource_id": budget,
            "operation": "UPDATE",
            "changed_fields": ["amount_micros"],
            "client_type": "OTHER",
            "amount_before_micros": before * MICROS,
            "amount_after_micros": after * MICROS,
            "loaded_at": NOW,
        }
        for number, (budget, hours, before, after) in enumerate(moves)
    ]
    world.warehouse.insert_new(table, pl.DataFrame(rows, schema=schema))
    second = world.propose(world.change("b2", -15), author="other")
    assert used_so_far(world.context, second) == (20 + 90) * MICROS
