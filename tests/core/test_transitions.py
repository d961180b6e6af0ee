"""Which event may follow which: the whole table, checked from both ends (M11)."""

import itertools

import pytest

from tasks.core.transitions import CHANGE_NEXT, FINAL, SET_NEXT, SET_STATES_FOR, forbidden


def test_the_usual_way_is_allowed() -> None:
    """Proposed to promoted, and each change from its intent to its check."""
    way = ["", "proposed", "approved", "snapshot", "validated", "applied", "verified", "promoted"]
    for before, after in itertools.pairwise(way):
        assert forbidden(after, before, None) is None
    for before, after in itertools.pairwise(["", "mutate_intended", "applied", "verified"]):
        assert forbidden(after, "validated", before) is None


def paths(start: str, end: str) -> list[list[str]]:
    """Every way of set events from ``start`` to ``end`` without coming through a state twice."""
    found: list[list[str]] = []

    def walk(way: list[str]) -> None:
        if way[-1] == end:
            found.append(way)
            return
        for following in SET_NEXT[way[-1]]:
            if following not in way:
                walk([*way, following])

    walk([start])
    return found


@pytest.mark.parametrize("state", ["validated", "applied", "verified", "promoted", "breached"])
def test_no_way_leads_round_the_approval(state: str) -> None:
    """M1, M11: whatever is validated, applied or closed as kept was approved before; what is applied was validated (M8)."""
    ways = paths("", state)
    assert ways
    for way in ways:
        assert "approved" in way
        if state in ("applied", "verified"):
            assert "validated" in way


def test_final_is_final() -> None:
    """Nothing comes back from rejected, expired, promoted and rolled back, for the set and for its changes (M12)."""
    assert frozenset({"rejected", "expired", "promoted", "rolled_back"}) == FINAL
    events = set().union(*SET_NEXT.values())
    assert all(forbidden(event, state, None) for event in events for state in FINAL)
    for event, final in itertools.product(SET_STATES_FOR, ("failed", "rolled_back")):
        assert forbidden(event, "validated", final)
    assert all(forbidden(event, state, "") for event in SET_STATES_FOR for state in FINAL)


def test_a_change_begins_only_in_a_validated_set() -> None:
    """M8: no intent to mutate before the platform checked the rows, none after the set was closed, failed or blocked."""
    assert [s for s in SET_NEXT if forbidden("mutate_intended", s, "") is None] == ["validated"]


def test_a_change_begins_once() -> None:
    """M12: an intent follows nothing but the beginning; a restoring follows only what was applied (or looked at by a person)."""
    assert [s for s in CHANGE_NEXT if forbidden("mutate_intended", "validated", s) is None] == [""]
    begun = {s for s in CHANGE_NEXT if forbidden("rollback_intended", "applied", s) is None}
    assert begun == {"applied", "verified", "blocked"}


def test_every_event_has_a_place() -> None:
    """Each state that can be reached can be left or is final; each event of a change says which sets it may stand in."""
    assert set().union(*SET_NEXT.values()) == set(SET_NEXT) - {""}
    assert set().union(*CHANGE_NEXT.values()) == set(CHANGE_NEXT) - {""} == set(SET_STATES_FOR)
    assert set().union(*SET_STATES_FOR.values()) <= set(SET_NEXT)


@pytest.mark.parametrize(
    ("event", "state", "change"), [("approved", "nonsense", None), ("nonsense", "", None), ("applied", "x", "y")]
)
def test_what_does_not_exist_is_forbidden_with_words(event: str, state: str, change: str | None) -> None:
    """A tampered row may hold any word; it is named, and nothing crashes."""
    assert repr(event) in (forbidden(event, state, change) or "")
