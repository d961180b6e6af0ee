"""Restore the exact earlier budgets and ads of failed or breached canaries, by their receipts (M9).

Only what is still ours is taken back; each budget and each ad on its own, so that somebody's edit of one does not leave the
others at what has to be undone. The caps do not hold a rollback up (what they allow next counts it), nor does the account's
freeze: a breach freezes the account and must be undone. The kill switch for `all` does hold it up: a person asked for
stillness; and so does M13: no rollback pauses the last ad of a group, or enables one under a campaign that a person paused.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.ad_changes import REMOVED
from tasks.core.canonical import KINDS
from tasks.core.cli_options import run_date_option
from tasks.core.errors import JobError, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tasks.act.context import Context
    from tasks.act.mutation import Mutation
    from tasks.act.stored import StoredSet
    from tasks.core.changeset import AnyChange
    from tasks.core.ledger import SetHistory

# A pod that was killed while it applied leaves its lease behind, on BigQuery for 900 s (bigquery_lease.TTL_SECONDS). Airflow
# starts no rollback a second time, so it waits for longer than that.
LEASE_WAIT_SECONDS = 1000.0
_LEASE_POLL_SECONDS = 10.0
# Nothing of the set was ever sent, or it has come to its end.
_CLOSED = ("", "proposed", "approved", "snapshot", "rejected", "expired", "promoted", "rolled_back")


def is_due(history: SetHistory, verdict: str | None) -> bool:
    """True if the set must be rolled back without anybody asking: its apply did not end well, its watch says so, or somebody
    began it: half a rollback is brought to its end.
    """
    if history.state in _CLOSED or not history.has_intents:
        return False
    finished = history.find("applied") is not None
    return not finished or verdict == "roll_back" or history.rollback_began


def newest_verdicts(context: Context) -> dict[str, str]:
    """Change set → result of its newest watch."""
    frame = context.warehouse.query(
        "SELECT change_set_id, result FROM control.canary_watch WHERE guardrail = 'verdict' ORDER BY run_date, change_set_id"
    )
    return dict(frame.iter_rows())


def _guard(context: Context, stored: StoredSet) -> None:
    from tasks.act.guard import live_reasons, switch_reasons

    stored.verified()
    reasons = live_reasons(context, stored) + switch_reasons(context, stored, freeze_counts=False)
    if reasons:
        raise Refused(f"rollback of {stored.change_set_id} refused: {'; '.join(reasons)}")


def _validate(mutation: Mutation, change: AnyChange) -> None:
    from tasks.core.errors import GateStop

    wanted = [(change, change.before)]
    receipt = mutation.kind.check_values(mutation.platform, mutation.stored.account_id, wanted)
    problems = [o.error for o in receipt.outcomes if not o.ok]
    if problems:
        raise GateStop(f"the platform would refuse to restore {change.what}: {problems}; restore it by hand")


def _restore(context: Context, mutation: Mutation, change: AnyChange) -> str:
    """Bring one change back; what was done, in words."""
    from tasks.act.mutation import Step

    state = mutation.state(change)
    if state in ("", "failed", "rolled_back"):
        return "nothing to restore" if state != "rolled_back" else "restored already"
    if state == "blocked" and mutation.read(change) == REMOVED:
        # A person was asked when it was found. Nobody can bring the ad back, so the set must not stay open for it.
        context.append(mutation.stored, "failed", change, detail={"error": "removed by somebody"})
        return "removed by somebody, nothing to restore"
    applied, restored = Step.apply(change), Step.roll_back(change)
    was_applied = context.ledger.history(mutation.stored.change_set_id).find("applied", change.change_id) is not None
    if not was_applied and not mutation.recover(applied):
        context.append(mutation.stored, "failed", change, detail={"error": "intended, but never made"})
        return "never made"
    if mutation.state(change) != "rollback_intended":
        _check_ours(mutation, change)
    _guard(context, mutation.stored)
    _validate(mutation, change)
    mutation.carry_out(restored, lambda: _guard_ours(context, mutation, change))
    mutation.read_back(restored)
    return f"{change.after} -> {change.before}{change.unit}"


def _guard_ours(context: Context, mutation: Mutation, change: AnyChange) -> None:
    from tasks.core.clock import utc_now

    _guard(context, mutation.stored)
    _check_ours(mutation, change)
    live = mutation.kind.read_live(mutation.platform, mutation.change_set, utc_now())
    violations = mutation.kind.restore_violations(change, live)
    if violations:
        raise Refused(f"{change.what} is not restored: {'; '.join(map(str, violations))}; a person must look")


def _check_ours(mutation: Mutation, change: AnyChange) -> None:
    """Refused, and the set blocked, if somebody else has it now."""
    now = mutation.read(change)
    if now != change.after:
        mutation.block(change, f"{now}{change.unit}, ours is {change.after}")


@contextmanager
def _lease(context: Context, wait_seconds: float) -> Iterator[None]:
    """Hold the lease of all mutations; Refused if another run still holds it after ``wait_seconds``."""
    from tasks.act.context import LEASE
    from tasks.core.log import get_logger

    deadline = time.monotonic() + wait_seconds
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(context.warehouse.exclusive(LEASE))
                break
            except Refused as refused:
                if time.monotonic() >= deadline:
                    raise
                get_logger(__name__).warning("waiting for the lease", at_most_seconds=wait_seconds, why=str(refused))
                time.sleep(_LEASE_POLL_SECONDS)
        yield


def roll_back_changes(context: Context, stored: StoredSet, run_date: date, why: str, *, wait_seconds: float = 0.0) -> str:
    """Undo what was applied of ``stored``, last change first. Running it again finishes or finds everything done.

    A lease that another run holds is waited for, up to ``wait_seconds``. Refused if something is somebody else's now or a switch
    forbids it; the others are restored before that is raised.
    """
    from tasks.act.context import type_of
    from tasks.act.mutation import Mutation

    with _lease(context, wait_seconds):
        change_set = stored.verified()
        state = context.ledger.history(stored.change_set_id).state
        if state in _CLOSED:
            return f"{stored.change_set_id}: nothing to roll back (it is {state or 'not proposed'})"
        mutation = Mutation(context, stored, change_set, run_date)
        lines: list[str] = []
        errors: list[JobError] = []
        changes: Sequence[AnyChange] = change_set.changes
        for change in reversed(changes):
            try:
                lines.append(f"  {change.what}: {_restore(context, mutation, change)}")
            except JobError as error:
                errors.append(error)
        for line in lines:
            click.echo(line)
        if errors:
            worst = next((e for e in errors if isinstance(e, Refused)), errors[0])
            raise type_of(worst)("; ".join(dict.fromkeys(str(e) for e in errors)))
        _record(context, stored, run_date, mutation.kind.noun, why)  # first: once the set is closed no later run would write it
        context.append(stored, "rolled_back", detail={"why": why, "changes": len(lines)})
    return f"{stored.change_set_id}: rolled back and read back ({why})"


def _record(context: Context, stored: StoredSet, run_date: date, noun: str, why: str) -> None:
    from tasks.core import safety

    safety.record(
        context.warehouse,
        run_date=run_date,
        platform=stored.platform,
        account_id=stored.account_id,
        kind="rolled_back",
        severity="warning",
        detail=f"change set {stored.change_set_id}: all {noun} are as they were before ({why})",
    )


def due_sets(context: Context, kind: str | None = None) -> list[StoredSet]:
    """The sets (of ``kind``, or of all) that must be rolled back now; empty on a good day. In shadow mode there are none."""
    from tasks.act.stored import load_set

    verdicts = newest_verdicts(context)
    due = [h for h in context.ledger.histories() if is_due(h, verdicts.get(h.change_set_id))]
    sets = [load_set(context.warehouse, h.change_set_id) for h in due]
    return [stored for stored in sets if kind in (None, stored.kind)]


@click.command("roll-back-changes")
@run_date_option
@click.option("--kind", type=click.Choice(KINDS), help="Only sets of this kind. Default: all of them.")
@click.option("--change-set-id", help="Roll this set back by a person's wish; needs --why.")
@click.option("--why", help="Reason, kept in the ledger; needed with --change-set-id.")
@click.option("--live/--dry-run", default=False, help="Mutate the account, or only print.  [default: --dry-run]")
def command(run_date: date, kind: str | None, change_set_id: str | None, why: str | None, live: bool) -> None:
    """Restore the exact earlier budgets and ads of failed or breached canaries, by their receipts.

    Acts on sets whose apply did not finish and on sets whose newest watch says roll_back; without any it does nothing and ends
    well. What somebody else edited is left alone: exit code 4, a person decides.

    \b
    aelp2 roll-back-changes --run-date 2026-03-03
    aelp2 roll-back-changes --run-date 2026-03-03 --change-set-id ID --why "wrong prices" --live
    """
    from tasks.act.context import Context, for_each
    from tasks.act.stored import load_set

    if change_set_id and not (why and why.strip()):
        raise click.UsageError("--change-set-id needs --why: the reason is kept in the ledger")
    context = Context.from_environment()
    sets = [load_set(context.warehouse, change_set_id)] if change_set_id else due_sets(context, kind)
    if not sets:
        click.echo("no canary has to be rolled back")
        return
    reason = why or "its apply did not finish, or its watch found a breach"
    if not live:
        for stored in sets:
            click.echo(f"{stored.change_set_id}: would be rolled back (dry run; --live does it): {reason}")
        return
    for_each(sets, lambda stored: roll_back_changes(context, stored, run_date, reason, wait_seconds=LEASE_WAIT_SECONDS))
