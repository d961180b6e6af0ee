"""Recompute the hash chain of the changefeed; check every transition and every approval against it."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.errors import GateStop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.ledger import Row
    from tasks.core.warehouse import Warehouse


def set_problems(warehouse: Warehouse, rows: Sequence[Row]) -> list[str]:
    """Where the stored change sets and approvals disagree with the ledger."""
    sets = warehouse.query("SELECT change_set_id, sha256, canonical_json FROM control.change_sets ORDER BY change_set_id")
    approvals = warehouse.query(
        "SELECT change_set_id, sha256, decision, approver FROM control.approvals ORDER BY change_set_id"
    ).to_dicts()
    found: list[str] = []
    hashes: dict[str, str] = {}
    for change_set_id, sha256, canonical in sets.iter_rows():
        hashes[change_set_id] = sha256
        if hashlib.sha256(canonical.encode("utf-8")).hexdigest() != sha256:
            found.append(f"change set {change_set_id}: its bytes do not match its hash; it was edited")
    decided: dict[str, Row] = {}
    for row in rows:
        if row.change_set_id in hashes and row.sha256 != hashes[row.change_set_id]:
            found.append(f"row seq={row.seq} ({row.event_id}): hash differs from the one in control.change_sets")
        elif row.change_set_id and row.change_set_id not in hashes:
            found.append(f"row seq={row.seq} ({row.event_id}): its change set is missing in control.change_sets")
        if row.event in ("approved", "rejected", "expired") and not row.change_id:
            decided[row.change_set_id] = row
    for approval in approvals:
        written = decided.pop(approval["change_set_id"], None)
        name = f"approval of {approval['change_set_id']}"
        if written is None:
            found.append(f"{name}: not in the ledger; run record-approval again with the same arguments, or look who wrote it")
        elif (written.event, written.sha256, written.detail().get("approver")) != (
            approval["decision"],
            approval["sha256"],
            approval["approver"],
        ):
            found.append(f"{name}: decision, hash or approver differ from the ledger (seq={written.seq})")
    found += [f"row seq={r.seq} ({r.event_id}): its decision is missing in control.approvals" for r in decided.values()]
    return found


def _head(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, str] | None:
    if value is None:
        return None
    seq, _, row_hash = value.partition(":")
    if not seq.isdecimal() or len(row_hash) != 64:
        raise click.BadParameter("write SEQ:HASH as an earlier verify-ledger printed it")
    return int(seq), row_hash


@click.command("verify-ledger")
@click.option("--run-date", type=click.DateTime(["%Y-%m-%d"]), help="Accepted for uniformity; the whole chain is checked.")
@click.option("--head", "expected_head", callback=_head, help="SEQ:HASH of an earlier run: must still be there.")
def command(run_date: date | None, expected_head: tuple[int, str] | None) -> None:  # noqa: ARG001 - see its help
    """Recompute the hash chain of the changefeed and check every transition.

    Finds edited, missing, exchanged and moved rows, a cut-off end, transitions that may not be, and approvals or change sets that
    disagree with the chain. Exit code 3 names the first broken row. Keep the printed head somewhere else: it proves later
    that the chain was not rewritten as a whole.

    \b
    aelp2 verify-ledger
    """
    from tasks.core.ledger import Ledger
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse

    warehouse = open_warehouse(load_settings())
    ledger = Ledger(warehouse)
    rows = ledger.rows()
    problems = ledger.problems(expected_head=expected_head) + set_problems(warehouse, rows)
    if problems:
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        raise GateStop(f"the ledger does not verify: {problems[0]}{more}. Stop mutations with `aelp2 kill` and find out why")
    head = f"; head {rows[-1].seq}:{rows[-1].row_hash}" if rows else ""
    click.echo(f"the ledger verifies: {len(rows)} rows{head}")
