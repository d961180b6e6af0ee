"""verify-ledger: the chain, and whether change sets and approvals agree with it (M11)."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner, Result

from tasks.core.contracts import load_contract
from tasks.core.errors import GateStop
from tasks.core.ledger import Event, Ledger
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.govern.verify_ledger import command

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
SETS = {"s1": '{"set":1}', "s2": '{"set":2}'}
SHA = {k: hashlib.sha256(v.encode()).hexdigest() for k, v in SETS.items()}


def write(store: DuckDBWarehouse, table: str, rows: list[dict[str, Any]]) -> None:
    store.insert_new(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two change sets, one approved by maria, one turned down by mario, as the jobs write them."""
    file = tmp_path_factory.mktemp("ledger") / "w.duckdb"
    store = DuckDBWarehouse(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AELP2_NOW", NOW.isoformat())
        for name, text in SETS.items():
            row = {"change_set_id": name, "sha256": SHA[name], "canonical_json": text, "run_date": NOW.date(), "created_at": NOW}
            rest = {
                "platform": "google_ads",
                "account_id": "1",
                "author": "plan",
                "mode": "live",
                "expires_at": NOW + timedelta(1),
            }
            write(store, "control.change_sets", [row | rest])
            Ledger(store).append(Event(name, "google_ads", "1", "proposed", SHA[name], "plan"))
        for name, decision, who in (("s1", "approved", "maria"), ("s2", "rejected", "mario")):
            row = {"change_set_id": name, "sha256": SHA[name], "decision": decision, "approver": who, "approval_ref": "r"}
            write(store, "control.approvals", [row | {"decided_at": NOW, "expires_at": NOW + timedelta(1)}])
            Ledger(store).append(Event(name, "google_ads", "1", decision, SHA[name], who, detail={"approver": who}))
    return file


@pytest.fixture
def run(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command on a copy of the warehouse, after an intruder's ``sql``."""
    copy = tmp_path / "w.duckdb"
    copy.write_bytes(original.read_bytes())
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(copy))
    monkeypatch.setenv("AELP2_BACKEND", "duckdb")

    def invoke(*arguments: str, sql: str | None = None) -> Result:
        if sql:
            with duckdb.connect(str(copy)) as connection:
                connection.execute(sql)
        return CliRunner().invoke(command, list(arguments))

    return invoke


def test_an_untouched_ledger_verifies(run: Callable[..., Result]) -> None:
    """Rows counted and the head printed, to be kept elsewhere; with it the next run verifies too."""
    result = run()
    assert result.exit_code == 0, result.exception
    assert "the ledger verifies: 4 rows; head 4:" in result.output
    head = result.output.strip().rsplit(" ", 1)[1]
    assert run("--head", head, "--run-date", "2026-03-02").exit_code == 0


def test_an_empty_ledger_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was ever proposed."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_BACKEND", "duckdb")
    assert CliRunner().invoke(command, []).output == "the ledger verifies: 0 rows\n"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE control.canary_changes SET actor = 'x' WHERE seq = 2", "row seq=2 .* it was edited"),
        ("DELETE FROM control.canary_changes WHERE seq = 4", "row seq=4: is missing: the chain was cut off"),
        ("DELETE FROM control.canary_changes WHERE seq = 1", "row seq=2 .* seq 1 was expected"),
        ("UPDATE control.ledger_anchors SET row_hash = repeat('0', 64) WHERE seq = 3", "row seq=3: has another hash now"),
        (
            "UPDATE control.change_sets SET canonical_json = '{}' WHERE change_set_id = 's1'",
            "change set s1: its bytes do not match",
        ),
        ("DELETE FROM control.change_sets WHERE change_set_id = 's2'", "row seq=2 .* its change set is missing"),
        (
            "UPDATE control.approvals SET approver = 'mallory' WHERE change_set_id = 's1'",
            "approval of s1: decision, hash or approver",
        ),
        (
            "UPDATE control.approvals SET decision = 'approved' WHERE change_set_id = 's2'",
            "approval of s2: decision, hash or approver",
        ),
        ("UPDATE control.approvals SET sha256 = repeat('0', 64) WHERE change_set_id = 's1'", "approval of s1: decision, hash"),
        ("DELETE FROM control.approvals WHERE change_set_id = 's2'", r"row seq=4 .* its decision is missing"),
        (
            "INSERT INTO control.approvals BY NAME SELECT * REPLACE ('s9' AS change_set_id) FROM control.approvals LIMIT 1",
            "approval of s9: not in the ledger",
        ),
    ],
)
def test_what_was_touched_is_named(run: Callable[..., Result], sql: str, words: str) -> None:
    """Exit code 3, the first broken thing by name, and what to do (M11)."""
    error = run(sql=sql).exception
    assert isinstance(error, GateStop)
    assert error.exit_code == 3
    with pytest.raises(GateStop, match=f"the ledger does not verify: {words}"):
        raise error
    assert "aelp2 kill" in str(error)


def test_bytes_and_hash_changed_together_are_found(run: Callable[..., Result]) -> None:
    """A change set rewritten with its own right hash no longer agrees with the chain, which holds the old one (M1, M11)."""
    forged = '{"set":7}'
    sha256 = hashlib.sha256(forged.encode()).hexdigest()
    error = run(
        sql=f"UPDATE control.change_sets SET canonical_json = '{forged}', sha256 = '{sha256}' WHERE change_set_id = 's1'"
    ).exception
    assert isinstance(error, GateStop)
    assert "row seq=1 (s1/set/proposed): hash differs from the one in control.change_sets" in str(error)


def test_a_chain_and_its_anchors_cut_together_are_found_by_the_head(run: Callable[..., Result]) -> None:
    """Everything about the last rows removed: only the head kept elsewhere tells (M11)."""
    head = run().output.strip().rsplit(" ", 1)[1]
    cut = (
        "DELETE FROM control.canary_changes WHERE seq > 2; DELETE FROM control.ledger_anchors WHERE seq > 2; "
        "DELETE FROM control.approvals"
    )
    assert run(sql=cut).exit_code == 0
    error = run("--head", head).exception
    assert isinstance(error, GateStop)
    assert "row seq=4: is missing: the chain was cut off" in str(error)


@pytest.mark.parametrize("head", ["4", "x:" + "0" * 64, "4:abc", ":" + "0" * 64, "-1:" + "0" * 64])
def test_a_head_that_is_none_is_wrong_usage(run: Callable[..., Result], head: str) -> None:
    """A misread head must not pass as one that matches."""
    assert run("--head", head).exit_code == 2
