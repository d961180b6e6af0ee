"""The changefeed: append-only, chained by hash, each touch is found; at most once, also for two writers (M11, M12)."""

import dataclasses
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_warehouse import MemoryWarehouse

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.ledger import ANCHORS, GENESIS, TABLE, Event, Ledger, Row, chain_problems, moves_of
from tasks.core.warehouse.duckdb import DuckDBWarehouse

SHA = "a" * 64
MICROS = 1_000_000


def event(name: str, change: str = "", *, in_set: str = "s1", amounts: tuple[int, int] | None = None, **facts: object) -> Event:
    base = Event(
        in_set,
        "google_ads",
        "1",
        name,
        SHA,
        "job",
        change_id=change and f"{in_set}-{change}",
        budget_id=change or None,
        amount_before_micros=amounts and amounts[0] * MICROS,
        amount_after_micros=amounts and amounts[1] * MICROS,
    )
    return dataclasses.replace(base, **facts)  # type: ignore[arg-type]


WAY = [
    event("proposed"),
    event("approved", detail={"approver": "maria"}),
    event("proposed", in_set="s2"),
    event("snapshot"),
    event("validated", request_id="r1"),
    event("mutate_intended", "b1", amounts=(100, 105)),
    event("applied", "b1", amounts=(100, 105), request_id="r2"),
    event("verified", "b1", amounts=(105, 105)),
    event("rejected", in_set="s2"),
    event("applied"),
]


Chain = tuple[list[Row], list[tuple[int, str]]]


@pytest.fixture(scope="module")
def chain() -> Chain:
    """A chain of ten rows and its anchors."""
    store = MemoryWarehouse()
    with pytest.MonkeyPatch.context() as patch:
        for minute, one in enumerate(WAY):
            patch.setenv("AELP2_NOW", f"2026-03-02T08:{minute:02d}:00.123456+00:00")
            Ledger(store).append(one)
    anchors = store.query("SELECT seq, row_hash FROM control.ledger_anchors ORDER BY seq")
    return Ledger(store).rows(), list(anchors.iter_rows())


def rehashed(rows: list[Row]) -> list[Row]:
    """What an intruder who knows the rule writes: numbers, links and hashes made anew."""
    made: list[Row] = []
    for seq, row in enumerate(rows, start=1):
        linked = dataclasses.replace(row, seq=seq, prev_hash=made[-1].row_hash if made else GENESIS)
        made.append(dataclasses.replace(linked, row_hash=linked.computed_hash()))
    return made


def test_an_untouched_chain_verifies(chain: Chain) -> None:
    """From the warehouse and from the rows; numbers without gaps, each row linked to the one before (M11)."""
    rows, anchors = chain
    assert chain_problems(rows, anchors) == []
    assert [r.seq for r in rows] == list(range(1, 11))
    assert [r.prev_hash for r in rows] == [GENESIS, *(r.row_hash for r in rows[:-1])]
    assert chain_problems([]) == []


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Row) if f.name not in ("seq", "event")])
def test_an_edit_of_any_field_is_found(chain: Chain, field: str) -> None:
    """One micro, one second, one letter, a null filled or a value emptied: the row is named (M11)."""
    rows, _ = chain
    old = getattr(rows[6], field)
    other = {"amount_before_micros": 1, "at": rows[6].at + timedelta(microseconds=1)}
    values = [other.get(field, f"{old}x")] + ([None] if field in ("request_id", "amount_after_micros", "budget_id") else [])
    for new in values:
        edited = dataclasses.replace(rows[6], **{field: new})
        assert chain_problems([*rows[:6], edited, *rows[7:]])[0].startswith("row seq=7 ")


def own_hash(row: Row, **facts: object) -> Row:
    """``row`` with other ``facts`` and a hash that fits them: only the link of the next row tells."""
    edited = dataclasses.replace(row, **facts)  # type: ignore[arg-type]
    return dataclasses.replace(edited, row_hash=edited.computed_hash())


TAMPERINGS: dict[str, Callable[[list[Row]], list[Row]]] = {
    "removed in the middle": lambda rows: rows[:4] + rows[5:],
    "removed at the beginning": lambda rows: rows[1:],
    "doubled": lambda rows: [*rows[:5], rows[4], *rows[5:]],
    "two exchanged": lambda rows: [*rows[:2], rows[3], rows[2], *rows[4:]],
    "two exchanged with their numbers": lambda rows: [
        *rows[:2],
        dataclasses.replace(rows[3], seq=3),
        dataclasses.replace(rows[2], seq=4),
        *rows[4:],
    ],
    "one rewritten with its own hash": lambda rows: [*rows[:6], own_hash(rows[6], amount_after_micros=1), *rows[7:]],
    "an event changed": lambda rows: [*rows[:1], dataclasses.replace(rows[1], event="rejected"), *rows[2:]],
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_touched_chain_is_found(chain: Chain, name: str) -> None:
    """Removed, doubled, moved or rewritten rows, without help of any anchor (M11)."""
    assert chain_problems(TAMPERINGS[name](chain[0]))


@pytest.mark.parametrize("kept", [0, 1, 9])
def test_a_cut_tail_is_found_by_the_anchors(chain: Chain, kept: int) -> None:
    """What is left of a shortened chain links up perfectly; the anchors still name the first row that is gone (M11)."""
    rows, anchors = chain
    assert chain_problems(rows[:kept]) == []
    assert chain_problems(rows[:kept], anchors) == [
        f"row seq={kept + 1}: is missing: the chain was cut off (it was written down as {rows[kept].row_hash[:12]}…)"
    ]


def test_a_chain_rewritten_as_a_whole_is_found_by_a_head_kept_elsewhere(
    chain: Chain,
) -> None:
    """Rows, hashes and anchors made anew verify by themselves; the head of an earlier run tells (M11)."""
    rows, anchors = chain
    forged = rehashed([dataclasses.replace(r, actor="somebody") for r in rows])
    assert chain_problems(forged, [(r.seq, r.row_hash) for r in forged]) == []
    assert "the chain was rewritten" in chain_problems(forged, anchors)[0]
    assert "the chain was rewritten" in chain_problems(forged, [anchors[-1]])[0]


def test_a_forged_chain_cannot_hold_a_forbidden_transition(chain: Chain) -> None:
    """Approval taken out and everything hashed anew: the order of events gives it away (M1, M11)."""
    forged = rehashed([r for r in chain[0] if r.event != "approved"])
    assert "'snapshot' may not follow 'proposed'" in chain_problems(forged)[0]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE control.canary_changes SET amount_after_micros = 106000000 WHERE seq = 7", "row seq=7 .* it was edited"),
        ('UPDATE control.canary_changes SET "at" = "at" - INTERVAL 1 DAY WHERE seq = 7', "row seq=7 .* it was edited"),
        ("DELETE FROM control.canary_changes WHERE seq = 7", "row seq=8 .* seq 7 was expected"),
        ("DELETE FROM control.canary_changes WHERE seq > 7", "row seq=8: is missing"),
        ("DELETE FROM control.canary_changes", "row seq=1: is missing"),
    ],
)
def test_tampering_in_the_warehouse_is_found(store: MemoryWarehouse, chain: Chain, sql: str, words: str) -> None:
    """The same through the stored tables, where the anchors lie too (M11)."""
    rows, anchors = chain
    store.insert_new(TABLE, pl.DataFrame([vars(r) for r in rows], schema=load_contract(TABLE).polars_schema()))
    marks = [{"seq": seq, "row_hash": row_hash, "anchored_at": rows[0].at} for seq, row_hash in anchors]
    store.insert_new(ANCHORS, pl.DataFrame(marks, schema=load_contract(ANCHORS).polars_schema()))
    assert Ledger(store).problems() == []
    store.tamper(sql)
    assert re.match(words, Ledger(store).problems()[0])


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        ([], event("approved")),
        (WAY[:1], event("snapshot")),
        (WAY[:1], event("applied")),
        (WAY[:2], event("mutate_intended", "b1", amounts=(100, 105))),
        (WAY[:2], event("rejected")),
        ([WAY[0], event("rejected")], event("approved")),
        (WAY[:6], event("verified", "b1", amounts=(105, 105))),
        (WAY, event("mutate_intended", "b2", amounts=(100, 105))),
    ],
)
def test_a_forbidden_transition_is_not_written(
    store: MemoryWarehouse, clock: datetime, before: list[Event], refused: Event
) -> None:
    """Nothing comes before its turn or after the end (M11)."""
    ledger = Ledger(store)
    for one in before:
        ledger.append(one)
    with pytest.raises(JobError, match=r"may not follow|needs its set"):
        ledger.append(refused)
    assert len(ledger.rows()) == len(before)


def test_the_same_event_is_written_once(store: MemoryWarehouse, clock: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry gets the row that is there, also later, by another actor and when the set has moved on (M12)."""
    ledger = Ledger(store)
    first = ledger.append(WAY[0])
    ledger.append(WAY[1])
    monkeypatch.setenv("AELP2_NOW", "2026-03-03T08:00:00+00:00")
    again = ledger.append(dataclasses.replace(WAY[0], actor="other", request_id="r9", detail={"x": 1}))
    assert again == first
    assert len(ledger.rows()) == 2


@pytest.mark.parametrize(
    "facts",
    [{"sha256": "b" * 64}, {"account_id": "2"}, {"platform": "meta"}, {"amount_after_micros": 106 * MICROS}, {"budget_id": "b9"}],
)
def test_the_same_step_with_other_content_is_an_error(store: MemoryWarehouse, clock: datetime, facts: dict[str, object]) -> None:
    """One step of one change is one fact; a second version of it is named, not taken for a retry (M12)."""
    ledger = Ledger(store)
    for one in WAY[:6]:
        ledger.append(one)
    with pytest.raises(JobError, match="with other content"):
        ledger.append(dataclasses.replace(WAY[5], **facts))  # type: ignore[arg-type]


def test_two_writers_at_once_make_one_chain(shared_store: DuckDBWarehouse, clock: datetime) -> None:
    """Each appends its own sets and both append one in common: no number twice, no row lost, the common one once (M11, M12)."""
    start = threading.Barrier(2)
    errors: list[BaseException] = []

    def write(name: str) -> None:
        start.wait()
        try:
            for number in range(2):
                Ledger(shared_store).append(event("proposed", in_set=f"{name}-{number}"))
                Ledger(shared_store).append(event("proposed", in_set=f"common-{number}"))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("x", "y")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Ledger(shared_store).problems() == []
    sets = [r.change_set_id for r in Ledger(shared_store).rows()]
    assert sorted(sets) == sorted([f"{who}-{n}" for who in ("x", "y", "common") for n in range(2)])


class Overtaken:
    """A warehouse in which another job appends first, right before our insert."""

    def __init__(self, inner: MemoryWarehouse, rival: list[Event]) -> None:
        self._inner, self._rival = inner, rival

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def insert_new(self, table: str, frame: object) -> int:
        if table == "control.canary_changes" and self._rival:
            Ledger(self._inner).append(self._rival.pop(0))
        return self._inner.insert_new(table, frame)  # type: ignore[arg-type]


def test_a_transition_is_checked_again_after_an_overtaking(store: MemoryWarehouse, clock: datetime) -> None:
    """Allowed when it was read, rejected by somebody in between: it is not written (M1, M11)."""
    Ledger(store).append(event("proposed"))
    ledger = Ledger(Overtaken(store, [event("rejected")]))  # type: ignore[arg-type]
    with pytest.raises(JobError, match="'approved' may not follow 'rejected'"):
        ledger.append(event("approved"))
    assert [r.event for r in Ledger(store).rows()] == ["proposed", "rejected"]


def test_the_same_step_by_somebody_faster_is_taken_over(store: MemoryWarehouse, clock: datetime) -> None:
    """Two runs of one job: the slower gets the row of the faster (M12)."""
    Ledger(store).append(event("proposed"))
    row = Ledger(Overtaken(store, [event("approved")])).append(event("approved"))  # type: ignore[arg-type]
    assert row.seq == 2
    assert len(Ledger(store).rows()) == 2


def test_histories_are_those_of_the_account(store: MemoryWarehouse, clock: datetime) -> None:
    """In the order of their first rows; the state is the last event of the set, not of one of its changes."""
    ledger = Ledger(store)
    for one in WAY[:7]:
        ledger.append(one)
    ledger.append(event("proposed", in_set="s3", account_id="2"))
    assert [(h.change_set_id, h.state) for h in ledger.histories()] == [
        ("s1", "validated"),
        ("s2", "proposed"),
        ("s3", "proposed"),
    ]
    assert [h.change_set_id for h in ledger.histories("google_ads", "1")] == ["s1", "s2"]
    assert [h.change_set_id for h in ledger.histories("meta")] == []
    one = ledger.history("s1")
    assert (one.change_state("s1-b1"), one.change_state("s1-b2"), one.has_intents, one.rollback_began) == (
        "applied",
        "",
        True,
        False,
    )
    assert ledger.history("unknown").state == ""


MOVING = {
    "an intent counts: it may have been sent": ([("mutate_intended", 100, 105)], 5),
    "its receipt takes its place": ([("mutate_intended", 100, 105), ("applied", 100, 105)], 5),
    "a check moves nothing": ([("mutate_intended", 100, 105), ("applied", 100, 105), ("verified", 105, 105)], 5),
    "a refused row moved nothing": ([("mutate_intended", 100, 105), ("failed", None, None)], 0),
    "the way back counts too": (
        [("mutate_intended", 100, 105), ("applied", 100, 105), ("rollback_intended", 105, 100), ("rolled_back", 105, 100)],
        10,
    ),
    "also when only intended": ([("mutate_intended", 100, 105), ("applied", 100, 105), ("rollback_intended", 105, 100)], 10),
}


@pytest.mark.parametrize("name", MOVING)
def test_what_was_moved_is_counted_without_its_sign(chain: Chain, name: str) -> None:
    """M3: our own moves of money by the ledger, rollbacks included, each once."""
    steps, expected = MOVING[name]
    rows = [
        dataclasses.replace(
            chain[0][5], event=what, amount_before_micros=before and before * MICROS, amount_after_micros=after and after * MICROS
        )
        for what, before, after in steps
    ]
    moves = moves_of(rows, rows[0].at)
    assert sum(m.absolute_micros for m in moves) == expected * MICROS
    assert moves_of(rows, rows[0].at + timedelta(microseconds=1)) == []


@given(st.integers(1, 9), st.randoms())
def test_no_reordering_verifies(cut: int, random: object) -> None:
    """Any rows of a chain in any other order are found (M11)."""
    at = datetime.fromisoformat("2026-03-02T08:00:00+00:00")
    rows = rehashed(
        [
            Row(0, f"e{n}", f"s{n}", "", None, "p", "a", "proposed", None, None, SHA, "x", None, "{}", at, "", "")
            for n in range(cut + 1)
        ]
    )
    assert chain_problems(rows) == []
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert bool(chain_problems(shuffled)) == (shuffled != rows)
    renumbered = [dataclasses.replace(r, seq=n) for n, r in enumerate(shuffled, start=1)]
    assert bool(chain_problems(renumbered)) == (shuffled != rows)
