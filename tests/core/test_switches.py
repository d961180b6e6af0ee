"""Kill switch and freezes: the last switching counts, and nothing keeps the switch from being thrown (M10)."""

import threading
from datetime import datetime

import polars as pl
import pytest
from memory_warehouse import MemoryWarehouse

from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.switches import TABLE, account_scope, flip, read_switches
from tasks.core.warehouse.duckdb import DuckDBWarehouse

ACCOUNT = account_scope("google_ads", "1234567890")


def test_the_last_switching_of_a_scope_counts(store: MemoryWarehouse, clock: datetime) -> None:
    """On, off, on; another scope is not touched; who and why are kept (M10)."""
    assert read_switches(store) == {}
    for is_on in (True, False, True):
        flip(store, scope="all", is_on=is_on, why=f" now {is_on} ", actor="maria")
    flip(store, scope=ACCOUNT, is_on=True, why="breach", actor="watch-canary")
    flip(store, scope=ACCOUNT, is_on=False, why="looked into", actor="maria")
    switches = read_switches(store)
    assert {k: v.is_on for k, v in switches.items()} == {"all": True, ACCOUNT: False}
    assert (switches["all"].why, switches["all"].actor, switches["all"].switched_at) == ("now True", "maria", clock)


def test_a_clock_that_goes_back_brings_no_old_switching_back(store: MemoryWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order is by number: a machine whose clock is behind can still stop everything (M10)."""
    monkeypatch.setenv("AELP2_NOW", "2026-03-02T08:00:00+00:00")
    flip(store, scope="all", is_on=False, why="fine", actor="a")
    monkeypatch.setenv("AELP2_NOW", "2020-01-01T00:00:00+00:00")
    flip(store, scope="all", is_on=True, why="stop", actor="b")
    assert read_switches(store)["all"].is_on


def row(event_id: str, scope: str, is_on: bool, at: datetime) -> pl.DataFrame:
    record = {"event_id": event_id, "scope": scope, "is_on": is_on, "why": "x", "actor": "x", "switched_at": at}
    return pl.DataFrame([record], schema=load_contract(TABLE).polars_schema())


def test_a_missing_row_does_not_jam_the_switch(store: MemoryWarehouse, clock: datetime) -> None:
    """Numbers go on from the highest: with row 1 gone, number 3 is next and not taken (M10)."""
    store.insert_new(TABLE, row("0000000002", "all", False, clock))
    assert flip(store, scope="all", is_on=True, why="stop", actor="maria").event_id == "0000000003"
    assert read_switches(store)["all"].is_on


def test_a_row_that_would_outrank_the_switch_is_an_error(store: MemoryWarehouse, clock: datetime) -> None:
    """A hand-made row sorts after every number and would keep the system running; reading fails, so nothing moves (M10)."""
    flip(store, scope="all", is_on=True, why="stop", actor="maria")
    store.insert_new(TABLE, row("zzz", "all", False, clock))
    for action in (lambda: read_switches(store), lambda: flip(store, scope="all", is_on=True, why="stop", actor="maria")):
        with pytest.raises(JobError, match="'zzz' that `aelp2 kill` did not write"):
            action()


@pytest.mark.parametrize(
    "scope",
    ["", "All", "all ", "all\n", "google_ads", "google_ads:", ":1", "google_ads:1\n", "google_ads:1;meta:2", "*", "google ads:1"],
)
def test_an_unknown_scope_is_refused(store: MemoryWarehouse, clock: datetime, scope: str) -> None:
    """A switch that nobody reads must not look as if it were thrown (M10)."""
    with pytest.raises(JobError, match="is neither `all` nor"):
        flip(store, scope=scope, is_on=True, why="stop", actor="maria")
    assert read_switches(store) == {}


@pytest.mark.parametrize("why", ["", "  ", "\n"])
def test_a_switching_needs_a_reason(store: MemoryWarehouse, clock: datetime, why: str) -> None:
    """Whoever finds the system stopped must know why."""
    with pytest.raises(JobError, match="needs a reason"):
        flip(store, scope="all", is_on=True, why=why, actor="maria")


def test_switchings_at_once_all_count(shared_store: DuckDBWarehouse, clock: datetime) -> None:
    """Two people at once: both are written, each with a number of its own, and the last one holds."""
    start = threading.Barrier(4)

    def throw(name: str) -> None:
        start.wait()
        flip(shared_store, scope="all", is_on=True, why="stop", actor=name)

    threads = [threading.Thread(target=throw, args=(f"p{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = shared_store.query("SELECT event_id, actor FROM control.kill_switch ORDER BY event_id")
    assert list(rows["event_id"]) == [f"{n:010d}" for n in range(1, 5)]
    assert sorted(rows["actor"]) == ["p0", "p1", "p2", "p3"]
