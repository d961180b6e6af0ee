"""How a change set of any kind is stored: its bytes first, then its first row in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tasks.core.contracts import load_contract
from tasks.core.ledger import Event, Ledger

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.changeset import AnySet
    from tasks.core.warehouse import Warehouse


def frame(table: str, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """``rows`` with exactly the columns and types of the table's contract; a field that a row lacks is null."""
    import polars as pl

    return pl.DataFrame([dict(row) for row in rows], schema=load_contract(table).polars_schema())


def store(warehouse: Warehouse, made: AnySet, now: datetime, approval_hours: int) -> None:
    """The set, which lives for ``approval_hours``, then its ledger row: a crash in between leaves nothing to approve."""
    record = {
        "change_set_id": made.change_set_id,
        "sha256": made.sha256,
        "canonical_json": made.canonical().decode("utf-8"),
        "kind": made.kind,
        "run_date": made.run_date,
        "platform": made.platform,
        "account_id": made.account_id,
        "author": made.author,
        "mode": made.mode,
        "created_at": now,
        "expires_at": now + timedelta(hours=approval_hours),
    }
    warehouse.insert_new("control.change_sets", frame("control.change_sets", [record]))
    record_proposed(warehouse, made.change_set_id, made.sha256, made.platform, made.account_id, made.author)


def record_proposed(warehouse: Warehouse, change_set_id: str, sha256: str, platform: str, account_id: str, author: str) -> None:
    """The ledger's ``proposed`` row; a second call finds it there and changes nothing."""
    Ledger(warehouse).append(Event(change_set_id, platform, account_id, "proposed", sha256, author))
