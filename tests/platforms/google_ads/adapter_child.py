"""Runs in the child process: one adapter call, its result or how it failed, and how long it would have waited."""

import os
from dataclasses import dataclass, field
from typing import Any

from tasks.core.errors import JobError
from tasks.core.settings import load_settings
from tasks.platforms.google_ads import GoogleAdsPlatform
from tasks.platforms.google_ads.calls import RetryPolicy


@dataclass
class Answer:
    """``error`` is the name of the exception's class; ``waits`` are the seconds slept, in order."""

    value: Any = None
    error: str | None = None
    message: str = ""
    waits: list[float] = field(default_factory=list)


def set_environment(variables: dict[str, str]) -> None:
    """Point the child at its sandbox before gRPC reads anything."""
    os.environ.update(variables)


def call(method: str, args: tuple[Any, ...], kwargs: dict[str, Any], quota_wait_seconds: float) -> Answer:
    """Call ``method`` of a fresh GoogleAdsPlatform; waits are noted instead of slept."""
    answer = Answer()
    policy = RetryPolicy(quota_wait_seconds=quota_wait_seconds, sleep=answer.waits.append, jitter=lambda: 1.0)
    platform = GoogleAdsPlatform(load_settings(), retries=policy)
    try:
        answer.value = getattr(platform, method)(*args, **kwargs)
    except JobError as error:
        answer.error, answer.message = type(error).__name__, str(error)
    return answer
