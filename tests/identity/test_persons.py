"""Person ids stay the same from day to day; who joined or fell apart is written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from tasks.identity.persons import name_persons, new_person_id

START = datetime(2026, 1, 1, tzinfo=UTC)
SALT = b"s" * 64
NODES = {"id_kind": pl.String, "id": pl.String, "node": pl.Int64, "group": pl.Int64, "excluded_reason": pl.String}
BEFORE = {"id_kind": pl.String, "id": pl.String, "person_id": pl.String, "first_seen_at": pl.Datetime("us", "UTC")}


def nodes(*groups: str, reasons: dict[str, str] | None = None) -> pl.DataFrame:
    """``"ab"`` is a person with the cookies a and b; ``"-c"`` a shared one. The alphabet is the order of age."""
    letters = sorted(letter for group in groups for letter in group.strip("-"))
    number = {letter: n for n, letter in enumerate(letters)}
    rows = [
        ("user_pseudo_id", letter, number[letter], None if group[0] == "-" else number[min(group)], (reasons or {}).get(letter))
        for group in groups
        for letter in group.strip("-")
    ]
    return pl.DataFrame(rows, schema=NODES, orient="row")


def after(named: pl.DataFrame) -> pl.DataFrame:
    """What the table holds after these nodes were written."""
    aged = [START + timedelta(days=ord(letter)) for letter in named["id"]]
    return named.select("id_kind", "id", "person_id", pl.Series("first_seen_at", aged, dtype=BEFORE["first_seen_at"]))


def ids(named: pl.DataFrame) -> dict[str, Any]:
    return dict(named.select("id", "person_id").iter_rows())


NOTHING = pl.DataFrame(schema=BEFORE)


def run(*days: pl.DataFrame) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
    """(person by cookie after each day, changes of the last)."""
    held, found = NOTHING, []
    for day in days:
        named, changes = name_persons(day, held, SALT)
        held = after(named)
        found.append(ids(named))
    return found, changes.rows()


def test_a_second_run_changes_nothing() -> None:
    """The same nodes keep their persons and no change is written down."""
    (first, second), changes = run(nodes("ab", "c", "-d"), nodes("ab", "c", "-d"))
    assert (first, changes) == (second, [])
    assert first["a"] == first["b"] != first["c"]
    assert first["d"] is None


def test_who_joins_takes_the_id_of_the_oldest() -> None:
    """b was a person and turns out to be a: a's id stays, b's ends, and that is written down once per id that ends."""
    (first, second), changes = run(nodes("a", "bc", "d"), nodes("abc", "d"))
    assert second == dict.fromkeys("abc", first["a"]) | {"d": first["d"]}
    assert changes == [("merged", first["a"], first["b"], 2)]


def test_an_older_id_that_comes_late_does_not_rename_the_person() -> None:
    """Late data puts an older cookie into the person: the person id stays."""
    (first, second), changes = run(nodes("bc"), nodes("abc"))
    assert second == dict.fromkeys("abc", first["b"])
    assert changes == []


def test_the_part_with_the_oldest_id_keeps_the_person() -> None:
    """One person turns out to be two: the older part keeps the id, the other gets a new one."""
    (first, second), changes = run(nodes("abcd"), nodes("ab", "cd"))
    assert (second["a"], second["b"]) == (first["a"], first["a"])
    assert second["c"] == second["d"] != first["a"]
    assert changes == [("split", first["a"], second["c"], 2)]


def test_who_falls_apart_again_gets_the_own_id_back() -> None:
    """Joined by mistake and parted: b is who b was before."""
    (first, _, third), changes = run(nodes("a", "b"), nodes("ab"), nodes("a", "b"))
    assert first == third
    assert changes == [("split", first["a"], first["b"], 1)]


def test_the_oldest_id_may_go_without_taking_the_person_along() -> None:
    """The oldest cookie is shared, or gone: the rest keep the person; a cookie that refuses leaves rather than the rest."""
    (first, second), _ = run(nodes("abc"), nodes("-a", "bc"))
    assert second == {"a": None, "b": first["a"], "c": first["a"]}
    (first, second), _ = run(nodes("abc"), nodes("bc"))
    assert second == dict.fromkeys("bc", first["a"])
    (first, second), changes = run(nodes("abc"), nodes("a", "bc", reasons={"a": "no_consent"}))
    assert (second["b"], second["c"]) == (first["a"], first["a"])
    assert second["a"] != first["a"]
    assert changes == [("split", first["a"], second["a"], 1)]


def test_no_two_persons_share_an_id() -> None:
    """The id that a's own person would get is in use by those who kept it: a gets another one, and keeps that."""
    (first, _, third, fourth), _ = run(nodes("ab"), nodes("-a", "b"), nodes("a", "b"), nodes("a", "b"))
    assert third["b"] == first["a"] != third["a"]
    assert third == fourth
    taken: set[str] = set()
    assert len({new_person_id("gclid", "x", taken, SALT) for _ in range(5)}) == 5


def test_person_ids_cannot_be_worked_out_without_the_salt() -> None:
    """Two installations give one cookie different persons."""
    assert new_person_id("gclid", "x", set(), SALT) != new_person_id("gclid", "x", set(), b"t" * 64)
