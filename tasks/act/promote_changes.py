"""Close canaries whose watch ended well."""

from __future__ import annotations

from datetime import date

import click

from tasks.act.context import LEASE, Context
from tasks.act.stored import StoredSet
from tasks.core.cli_options import run_date_option
from tasks.core.errors import Refused


def promote(context: Context, stored: StoredSet, verdict: str | None, why: str | None) -> str:
    """Append ``promoted`` if the newest watch says so, or for a blocked set if a person says ``why``. Idempotent.

    Refused for a set that is blocked, breached, not applied or half restored, and while a rollback runs.
    """
    stored.verified()
    with context.warehouse.exclusive(LEASE):
        return _promote(context, stored, verdict, why)


def _promote(context: Context, stored: StoredSet, verdict: str | None, why: str | None) -> str:
    history = context.ledger.history(stored.change_set_id)
    state = history.state
    if state == "promoted":
        return f"{stored.change_set_id}: promoted already"
    if state == "blocked":
        if why is None:
            raise Refused(
                f"change set {stored.change_set_id} is blocked: somebody edited what it changed. A person decides: "
                "promote-changes --change-set-id … --why … keeps what is there, roll-back-changes with the same options restores "
                "what is ours"
            )
        if history.find("applied") is None:
            raise Refused(f"change set {stored.change_set_id} was never fully applied; roll-back-changes closes it")
    elif state == "verified" and history.rollback_began:
        raise Refused(f"the rollback of change set {stored.change_set_id} was begun; roll-back-changes brings it to its end")
    elif state != "verified" or verdict != "promote":
        raise Refused(f"change set {stored.change_set_id} is {state!r} and its watch says {verdict!r}; it cannot be promoted")
    context.append(stored, "promoted", detail={"why": why or "the watch ended well"})
    return f"{stored.change_set_id}: promoted ({why or 'its watch ended well'})"


@click.command("promote-changes")
@run_date_option
@click.option("--change-set-id", help="One change set instead of all that are due.")
@click.option("--why", help="With --change-set-id: a person keeps what is there although somebody edited it.")
def command(run_date: date, change_set_id: str | None, why: str | None) -> None:
    """Close canaries whose watch ended well: their changes stay.

    Ends well and says so if none is due. Exit code 4 if a canary is blocked by somebody's edit: a person decides then.

    \b
    aelp2 promote-changes --run-date 2026-03-05
    aelp2 promote-changes --run-date 2026-03-05 --change-set-id ID --why "looked into"
    """
    from tasks.act.context import for_each
    from tasks.act.roll_back_changes import newest_verdicts
    from tasks.act.stored import load_set

    if why is not None and not (change_set_id and why.strip()):
        raise click.UsageError("--why goes with --change-set-id and must say something")
    context = Context.from_environment()
    verdicts = newest_verdicts(context)
    if change_set_id:
        sets = [load_set(context.warehouse, change_set_id)]
    else:
        histories = context.ledger.histories()
        due = [h for h in histories if h.state == "verified" and verdicts.get(h.change_set_id) == "promote"]
        due += [h for h in histories if h.state == "blocked" and h.find("applied")]
        sets = [load_set(context.warehouse, h.change_set_id) for h in due]
    if not sets:
        click.echo(f"no canary is to be promoted on {run_date}")
        return
    for_each(sets, lambda stored: promote(context, stored, verdicts.get(stored.change_set_id), why))
