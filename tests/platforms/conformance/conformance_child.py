"""Runs in the child process: one adapter call, its result or how it failed, and how long it would have waited."""

import os
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from tasks.core.errors import JobError
from tasks.core.settings import load_settings
from tasks.platforms.calls import CallError, RetryPolicy


@dataclass
class Answer:
    """``error`` is the name of the exception's class, ``kind`` that of a CallError's failure; ``waits`` are seconds slept."""

    value: Any = None
    error: str | None = None
    kind: str | None = None
    message: str = ""
    waits: list[float] = field(default_factory=list)


def set_environment(variables: dict[str, str]) -> None:
    """Point the child at its sandbox before gRPC reads anything."""
    os.environ.update(variables)


def call(adapter: str, env: dict[str, str], method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answer:
    """Call ``method`` of a fresh ``module:Class``; waits are noted instead of slept."""
    answer = Answer()
    policy = RetryPolicy(quota_wait_seconds=300, sleep=answer.waits.append, jitter=lambda: 1.0)
    module, _, name = adapter.partition(":")
    platform = getattr(import_module(module), name)(load_settings({**os.environ, **env}), retries=policy)
    try:
        answer.value = getattr(platform, method)(*args, **kwargs)
    except JobError as error:
        answer.error, answer.message = type(error).__name__, str(error)
        answer.kind = error.failure.kind.name if isinstance(error, CallError) else None
    return answer
