"""What the jobs of this stage share: settings, policy, warehouse, ledger, and the platform once it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from tasks.core.errors import JobError, NothingToDo
from tasks.core.ledger import Event, Ledger, Row

if TYPE_CHECKING:
    from tasks.act.stored import StoredSet
    from tasks.core.changeset import AnyChange, AnySet
    from tasks.core.flags import AccountFlags, Tightened
    from tasks.core.policy import Policy
    from tasks.core.settings import Settings
    from tasks.core.warehouse import Warehouse
    from tasks.platforms.base import Platform

# Applying and rolling back never run side by side, whatever started them.
LEASE = "mutations"


@dataclass
class Context:
    """Everything a job of this stage works with. The platform is opened on first use: shadow mode never needs credentials."""

    settings: Settings
    policy: Policy
    warehouse: Warehouse
    open_platform: Callable[[str], Platform]
    _platforms: dict[str, Platform] = field(default_factory=dict)

    @classmethod
    def from_environment(cls) -> Context:
        """The context that the environment describes."""
        from tasks.core.policy import load_policy
        from tasks.core.settings import load_settings
        from tasks.core.warehouse import open_warehouse
        from tasks.platforms import open_platform

        settings = load_settings()
        return cls(settings, load_policy(settings), open_warehouse(settings), lambda name: open_platform(name, settings))

    @property
    def ledger(self) -> Ledger:
        """The changefeed in the warehouse."""
        return Ledger(self.warehouse)

    @cached_property
    def _flags(self) -> AccountFlags:
        from tasks.core.flags import AccountFlags

        return AccountFlags(self.settings, self.warehouse)

    def tightened(self, of: StoredSet | AnySet) -> Tightened:
        """The policy as feature flags tighten it for the account of the set. The flags are read once a job."""
        return self._flags.tightened(self.policy, of.platform, of.account_id, of.run_date)

    def platform(self, name: str) -> Platform:
        """The adapter of platform ``name``, opened once."""
        if name not in self._platforms:
            self._platforms[name] = self.open_platform(name)
        return self._platforms[name]

    def append(
        self,
        stored: StoredSet,
        event: str,
        change: AnyChange | None = None,
        *,
        values: tuple[Any, Any] | None = None,
        request_id: str | None = None,
        detail: Mapping[str, Any] | None = None,
        actor: str | None = None,
    ) -> Row:
        """Append a transition of ``stored`` (or of one ``change`` of it, from ``values`` before to after) to the ledger."""
        return self.ledger.append(
            Event(
                change_set_id=stored.change_set_id,
                platform=stored.platform,
                account_id=stored.account_id,
                event=event,
                sha256=stored.sha256,
                actor=actor or self.settings.actor,
                change_id=change.change_id if change else "",
                request_id=request_id,
                detail=detail or {},
                **(change.ledger_fields(values) if change else {}),
            )
        )


def for_each[T](items: Iterable[T], work: Callable[[T], str]) -> None:
    """Do ``work`` for every item and print what it says; one that fails does not keep the others from being done.

    Afterwards the gravest error is raised, with all messages. NothingToDo only counts if there was nothing to do for any.
    """
    errors: list[JobError] = []
    done = 0
    for item in items:
        try:
            click.echo(work(item))
            done += 1
        except JobError as error:
            errors.append(error)
    if done:
        errors = [e for e in errors if not isinstance(e, NothingToDo)]
    if not errors:
        return
    gravest = min(errors, key=lambda e: (4, 3, 1, 75, 99).index(e.exit_code) if e.exit_code in (4, 3, 1, 75, 99) else 2)
    if len(errors) == 1:
        raise gravest
    raise type_of(gravest)("; ".join(str(e) for e in errors)) from gravest


def type_of(error: JobError) -> type[JobError]:
    """The plain error class with the exit code of ``error``; subclasses may want other arguments than a message."""
    from tasks.core.errors import GateStop, Refused, TryAgain

    plain = (Refused, GateStop, TryAgain, NothingToDo)
    return next((kind for kind in plain if isinstance(error, kind)), JobError)
