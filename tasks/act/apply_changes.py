"""Apply the approved change set, at most once, change by change, each guarded at the moment of its mutation."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import kind_option, run_date_option
from tasks.core.errors import JobError, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.act.context import Context
    from tasks.act.mutation import Mutation
    from tasks.act.stored import StoredSet
    from tasks.core.changeset import AnyChange, AnySet


def _guard(context: Context, stored: StoredSet, change: AnyChange, mutation: Mutation) -> None:
    """Everything that must hold at the moment of one mutation."""
    from tasks.act.guard import check_authority
    from tasks.core.clock import utc_now

    now = utc_now()
    change_set = check_authority(context, stored, now, states=("validated",))
    kind = mutation.kind
    live = kind.read_live(mutation.platform, change_set, now)
    snapshot = kind.read_snapshot(context, stored.change_set_id).get(change.change_id)
    if snapshot != change.before:
        raise Refused(f"{change.what}: snapshot {snapshot}, approved from {change.before}{change.unit}")
    value = live.value(change)
    if value != snapshot:
        mutation.block(change, f"{value}{change.unit}, the snapshot says {snapshot}")
    violations = kind.change_violations(context, change_set, change, live, now)
    if violations:
        raise Refused(f"change {change.change_id} breaks caps: {'; '.join(map(str, violations))}")


def check_before(context: Context, stored: StoredSet) -> AnySet:
    """The set, if all of what is still to be done of it may be done now; Refused otherwise. Mutates nothing."""
    from tasks.act.guard import check_authority
    from tasks.act.kinds import kind_of
    from tasks.core.clock import utc_now

    now = utc_now()
    state = context.ledger.history(stored.change_set_id).state
    if state in ("applied", "verified", "promoted", "breached", "rolled_back"):
        raise Refused(f"change set {stored.change_set_id} was applied already (it is {state}); nothing is applied twice")
    change_set = check_authority(context, stored, now, states=("validated",))
    _refuse_ended(context, stored, change_set)
    broken = context.ledger.problems()
    if broken:
        raise Refused(f"the ledger does not verify ({broken[0]}); nothing is applied on its word. See `aelp2 verify-ledger`")
    kind = kind_of(change_set)
    live = kind.read_live(context.platform(stored.platform), change_set, now)
    violations = kind.set_violations(context, change_set, live, now)
    if violations:
        raise Refused(f"change set {stored.change_set_id} breaks caps: {'; '.join(map(str, violations))}")
    return change_set


def _refuse_ended(context: Context, stored: StoredSet, change_set: AnySet) -> None:
    """Refused if a change of the set failed, was blocked or is being restored, although the set was not closed for it yet.

    That is what a crash between the row of the change and the row of its set, or in the middle of a rollback, leaves behind.
    """
    history = context.ledger.history(stored.change_set_id)
    states = {c.what: history.change_state(c.change_id) for c in change_set.changes}
    ended = [f"{what} is {s}" for what, s in states.items() if s not in ("", "mutate_intended", "applied", "verified")]
    if ended:
        raise Refused(
            f"change set {stored.change_set_id} cannot go on: {', '.join(ended)}; nothing is applied twice. roll-back-changes "
            "restores the rest and closes it"
        )


def _apply_one(context: Context, stored: StoredSet, change: AnyChange, mutation: Mutation) -> None:
    from tasks.act.mutation import Step

    step = Step.apply(change)
    if mutation.state(change) not in ("applied", "verified"):
        mutation.carry_out(step, lambda: _guard(context, stored, change, mutation))
    if mutation.state(change) == "applied":
        mutation.read_back(step)
        context.append(stored, "verified", change, values=(change.after, change.after))


def apply_changes(context: Context, stored: StoredSet, run_date: date) -> str:
    """Apply ``stored``. Whoever holds the lease runs alone; a run after a crash goes on where the ledger says.

    Raises:
        Refused: a guard. What was applied before it stays until roll-back-changes restores it.
        GateStop: the platform refused a row or the amount read back differs.
        TryAgain: the platform is out of quota or did not answer.
    """
    from tasks.act.context import LEASE
    from tasks.act.mutation import Mutation

    with context.warehouse.exclusive(LEASE):
        try:
            change_set = check_before(context, stored)
            mutation = Mutation(context, stored, change_set, run_date)
            changes: Sequence[AnyChange] = change_set.changes
            for number, change in enumerate(changes, start=1):
                _apply_one(context, stored, change, mutation)
                click.echo(f"  {number}/{len(changes)} {change.what}: {change.before} -> {change.after}{change.unit}, read back")
        except Refused as error:
            _record_refusal(context, stored, run_date, error)
            raise
        context.append(stored, "applied", detail={"changes": len(change_set.changes)})
    return f"{stored.change_set_id}: {len(change_set.changes)} changes applied and read back"


def _record_refusal(context: Context, stored: StoredSet, run_date: date, error: JobError) -> None:
    from tasks.core import safety

    safety.record(
        context.warehouse,
        run_date=run_date,
        platform=stored.platform,
        account_id=stored.account_id,
        kind="apply_refused",
        severity="warning",
        detail=str(error),
    )


def describe(context: Context, stored: StoredSet) -> str:
    """What apply would do, after the same checks; changes nothing."""
    change_set = check_before(context, stored)
    lines = [f"  {c.what}: {c.before} -> {c.after}{c.unit}" for c in change_set.changes]
    return "\n".join([f"{stored.change_set_id}: would apply (dry run; --live applies)", *lines])


@click.command("apply-changes")
@run_date_option
@kind_option
@click.option("--change-set-id", help="One change set instead of the live sets of the run date.")
@click.option("--live/--dry-run", default=False, help="Mutate the account, or only check and print.  [default: --dry-run]")
def command(run_date: date, kind: str, change_set_id: str | None, live: bool) -> None:
    """Apply the approved change set, at most once, and read it back.

    Before every single mutation the kill switch, the account's freeze, the approval of exactly these bytes, the caps and the
    budget or ad itself are read again. Exit code 3: a row failed; 4: a guard refused; roll-back-changes restores what was made.

    \b
    aelp2 apply-changes --run-date 2026-03-02
    aelp2 apply-changes --run-date 2026-03-02 --live
    """
    from tasks.act.context import Context, for_each
    from tasks.act.stored import sets_to_act_on

    context = Context.from_environment()
    sets = sets_to_act_on(context.warehouse, context.ledger, run_date, change_set_id, ready=("validated",), kind=kind)
    for_each(sets, lambda s: apply_changes(context, s, run_date) if live else describe(context, s))
