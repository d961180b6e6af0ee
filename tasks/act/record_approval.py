"""Record a person's decision on the exact hashes of change sets. A decision is written once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option
from tasks.core.errors import Refused

if TYPE_CHECKING:
    from tasks.act.context import Context

TABLE = "control.approvals"
NOBODY = "nobody"


def record_approval(context: Context, *, change_set_id: str, sha256: str, decision: str, approver: str, approval_ref: str) -> str:
    """Write the decision into ``control.approvals`` and the ledger. The same decision again changes nothing.

    Refused: unknown set, another hash, an expired or shadow set, another decision on record, an own or nameless approval.
    """
    import polars as pl

    from tasks.act.guard import expiry
    from tasks.act.stored import load_approval, load_set
    from tasks.core.clock import utc_now
    from tasks.core.contracts import load_contract
    from tasks.core.money import same_person

    stored, now = load_set(context.warehouse, change_set_id), utc_now()
    change_set = stored.verified()
    if sha256 != stored.sha256:
        raise Refused(f"change set {change_set_id} has hash {stored.sha256[:12]}…, the decision is about {sha256[:12]}…")
    if same_person(approver, ""):
        raise Refused("a decision needs the name of who took it; --approver is empty")
    if stored.mode != "live":
        raise Refused(f"change set {change_set_id} was proposed in shadow mode and is never applied; there is nothing to decide")
    earlier = load_approval(context.warehouse, change_set_id)
    if earlier is None:
        if decision == "approved" and same_person(approver, change_set.author):
            raise Refused(f"{approver!r} proposed change set {change_set_id}; somebody else has to approve it")
        until = expiry(context, stored)
        if decision == "approved" and now >= until:
            raise Refused(f"change set {change_set_id} expired at {until:%Y-%m-%d %H:%M} UTC; plan again")
        row = {
            "change_set_id": change_set_id,
            "sha256": sha256,
            "decision": decision,
            "approver": approver.strip(),
            "approval_ref": approval_ref,
            "decided_at": now,
            "expires_at": until,
        }
        context.warehouse.insert_new(TABLE, pl.DataFrame([row], schema=load_contract(TABLE).polars_schema()))
        # Read again: if another decision was faster, it is the one that counts.
        earlier = load_approval(context.warehouse, change_set_id)
    if earlier is None or (earlier.decision, earlier.sha256) != (decision, sha256) or not same_person(earlier.approver, approver):
        known = (
            "unreadable"
            if earlier is None
            else f"{earlier.decision} by {earlier.approver} at {earlier.decided_at:%Y-%m-%d %H:%M} UTC"
        )
        raise Refused(f"change set {change_set_id} is decided already: {known}; a decision is not changed, plan again instead")
    detail = {"approver": earlier.approver, "approval_ref": earlier.approval_ref, "expires_at": earlier.expires_at.isoformat()}
    context.append(stored, decision, detail=detail, actor=earlier.approver)
    return f"{change_set_id}: {decision} by {earlier.approver} (hash {sha256[:12]}…)"


def _pairs(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> list[tuple[str, str]]:
    """(id, hash) of every set, each once."""
    pairs: dict[tuple[str, str], None] = {}
    for text in ",".join(values).split(","):
        change_set_id, _, sha256 = text.strip().rpartition("=")
        if not change_set_id or not sha256:
            raise click.BadParameter(f"{text!r} is not of the form ID=SHA256")
        pairs[change_set_id, sha256] = None
    return list(pairs)


@click.command("record-approval")
@run_date_option
@click.option(
    "--set",
    "sets",
    required=True,
    multiple=True,
    metavar="ID=SHA256",
    callback=_pairs,
    help="Set that was decided on and the hash that the person was shown; repeated, or separated by commas.",
)
@click.option("--decision", required=True, type=click.Choice(["approved", "rejected", "expired"]), help="What was decided.")
@click.option("--approver", required=True, help="Who decided; `nobody` if nobody answered in time.")
@click.option("--approval-ref", required=True, help="Where it was decided, for example the Airflow run id.")
def command(run_date: date, sets: list[tuple[str, str]], decision: str, approver: str, approval_ref: str) -> None:  # noqa: ARG001 - every job takes a run date; a set has its own
    """Record a person's decision on the exact hashes of change sets, each by itself.

    Refused (exit code 4): an unknown set, another hash, an expired set, a set decided otherwise, an approval by its author. A set
    that is refused does not keep the others from being recorded.

    \b
    aelp2 record-approval --run-date 2026-03-02 --set ID=SHA256
        --decision approved --approver ana --approval-ref REF
    """
    from tasks.act.context import Context, for_each

    if decision == "expired" and approver != NOBODY:
        raise click.UsageError(f"--decision expired means that nobody answered; use --approver {NOBODY}")
    context = Context.from_environment()

    def record(pair: tuple[str, str]) -> str:
        return record_approval(
            context, change_set_id=pair[0], sha256=pair[1], decision=decision, approver=approver, approval_ref=approval_ref
        )

    for_each(sets, record)
