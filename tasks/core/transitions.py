"""Which event of the changefeed may follow which (M11). Pure: one table for sets, one for changes."""

from __future__ import annotations

# An event of the whole set → the events that may come next. "" is the set before its first event.
SET_NEXT: dict[str, frozenset[str]] = {
    "": frozenset({"proposed"}),
    "proposed": frozenset({"approved", "rejected", "expired"}),
    "approved": frozenset({"snapshot", "blocked"}),
    "snapshot": frozenset({"validated", "failed", "blocked"}),
    "validated": frozenset({"applied", "failed", "blocked", "rolled_back"}),
    "applied": frozenset({"verified", "breached", "blocked", "rolled_back"}),
    "verified": frozenset({"promoted", "breached", "blocked", "rolled_back"}),
    "breached": frozenset({"blocked", "rolled_back"}),
    "failed": frozenset({"blocked", "rolled_back"}),
    "blocked": frozenset({"breached", "promoted", "rolled_back"}),
    "rejected": frozenset(),
    "expired": frozenset(),
    "promoted": frozenset(),
    "rolled_back": frozenset(),
}
# The same for one change of a set.
CHANGE_NEXT: dict[str, frozenset[str]] = {
    "": frozenset({"mutate_intended"}),
    "mutate_intended": frozenset({"applied", "failed", "blocked"}),
    "applied": frozenset({"verified", "blocked", "rollback_intended"}),
    "verified": frozenset({"blocked", "rollback_intended"}),
    # A person has looked at a blocked change; what was ours before may be restored then.
    "blocked": frozenset({"rollback_intended", "rolled_back", "applied", "failed"}),
    "rollback_intended": frozenset({"rolled_back", "blocked"}),
    "failed": frozenset(),
    "rolled_back": frozenset(),
}
# An event of a change → the states its set must be in.
SET_STATES_FOR: dict[str, frozenset[str]] = {
    "mutate_intended": frozenset({"validated"}),
    "applied": frozenset({"validated", "failed", "blocked"}),
    "verified": frozenset({"validated"}),
    "failed": frozenset({"validated", "failed", "blocked"}),
    "blocked": frozenset({"validated", "failed", "blocked", "applied", "verified", "breached"}),
    "rollback_intended": frozenset({"validated", "failed", "blocked", "applied", "verified", "breached"}),
    "rolled_back": frozenset({"validated", "failed", "blocked", "applied", "verified", "breached"}),
}
FINAL = frozenset(state for state, following in SET_NEXT.items() if not following)


def forbidden(event: str, set_state: str, change_state: str | None) -> str | None:
    """Why ``event`` may not come now, or None if it may. ``change_state`` is None for an event of the whole set."""
    if change_state is None:
        following = SET_NEXT.get(set_state, frozenset())  # a tampered row may hold a state that does not exist
        return (
            None if event in following else f"{event!r} may not follow {set_state or 'nothing'!r}; allowed: {sorted(following)}"
        )
    following = CHANGE_NEXT.get(change_state, frozenset())
    if event not in following:
        return f"{event!r} of a change may not follow {change_state or 'nothing'!r}; allowed: {sorted(following)}"
    if set_state not in SET_STATES_FOR[event]:
        return f"{event!r} of a change needs its set in {sorted(SET_STATES_FOR[event])}; it is {set_state or 'unknown'!r}"
    return None
