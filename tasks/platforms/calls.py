"""Calls with retries by error class, for every platform. Reads are retried here; a mutate never is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

import structlog

from tasks.core.clock import utc_now
from tasks.core.errors import JobError, TryAgain
from tasks.platforms.base import AmbiguousMutationError

log = structlog.get_logger(source=__name__)

READ_TIMEOUT_SECONDS = 300.0
MUTATE_TIMEOUT_SECONDS = 60.0


class Kind(StrEnum):
    """Error classes, by what the caller does next."""

    QUOTA = "quota"  # wait as long as told
    PASSING = "passing"  # back off and try again; for a mutate: the outcome is unknown
    SIGN_IN = "sign-in"  # stop: the credentials are wrong
    EXPIRED = "expired"  # stop: the credentials were right and have run out
    PERMISSION = "permission"  # stop: the credentials are right and may not do this
    VERSION = "version"  # stop: the API version is gone
    REQUEST = "request"  # stop: the request itself is refused


class Failure(Protocol):
    """What an adapter makes of a failed call; its text names code, message and request id and holds no secret."""

    @property
    def kind(self) -> Kind:
        """What the caller does next."""

    @property
    def codes(self) -> set[str]:
        """The platform's own error codes."""

    @property
    def retry_seconds(self) -> float | None:
        """How long the platform asked to wait, None if it did not say."""

    @property
    def remedy(self) -> str:
        """What a person does about it."""


type Explain = Callable[[Exception], Failure]  # raises again what it does not know


@dataclass(frozen=True)
class RetryPolicy:
    """How long a read may wait before the job gives the slot back.

    Passing faults: at most ``attempts`` calls, between them ``base_seconds`` · 2^n with full jitter, never more than
    ``ceiling_seconds``. Quota: exactly as long as the platform says, as long as all such waits together stay within
    ``quota_wait_seconds``; delays of many hours have been seen.
    """

    attempts: int = 5
    base_seconds: float = 1.0
    ceiling_seconds: float = 30.0
    quota_wait_seconds: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


class CallError(JobError):
    """A call that ended for good; ``failure`` says how, so that a caller may treat one code apart."""

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


def read[T](what: str, call: Callable[[], T], policy: RetryPolicy, explain: Explain) -> T:
    """Result of ``call``, called again from the start after passing faults and quota waits.

    TryAgain when patience ends, with the time to come back; CallError for credentials, version or a refused request.
    """
    faults, waited = 0, 0.0
    while True:
        try:
            return call()
        except Exception as error:
            failure = explain(error)
        if failure.kind is Kind.QUOTA:
            delay = policy.ceiling_seconds if failure.retry_seconds is None else failure.retry_seconds
            if waited + delay > policy.quota_wait_seconds:
                raise _come_back(what, failure, delay)
            waited += delay
        elif failure.kind is Kind.PASSING:
            faults += 1
            if faults >= policy.attempts:
                raise TryAgain(f"{what}: {failure}, {faults} times in a row; run the same command again later")
            delay = min(policy.ceiling_seconds, policy.base_seconds * 2 ** (faults - 1)) * policy.jitter()
        else:
            raise CallError(f"{what}: {failure}; {failure.remedy}", failure)
        log.warning("platform call waits", call=what, because=str(failure), seconds=round(delay, 1))
        policy.sleep(delay)


def mutate[T](what: str, call: Callable[[], T], explain: Explain) -> T:
    """Result of ``call``, called once.

    TryAgain on quota: nothing was done, and the guards in front of a mutation must run again before the next attempt, so no
    waiting here. AmbiguousMutationError if the answer was lost. CallError if the platform refused.
    """
    try:
        return call()
    except Exception as error:
        failure = explain(error)
    if failure.kind is Kind.QUOTA:
        raise _come_back(what, failure, failure.retry_seconds or 0.0)
    if failure.kind is Kind.PASSING:
        raise AmbiguousMutationError(
            f"{what}: {failure}; the change may or may not have been made: read it back before anything else"
        )
    raise CallError(f"{what}: {failure}; nothing was changed; {failure.remedy}", failure)


def _come_back(what: str, failure: Failure, delay: float) -> TryAgain:
    at = (utc_now() + timedelta(seconds=delay)).isoformat(timespec="seconds")
    return TryAgain(f"{what}: {failure}; the platform asks to wait {delay:g} s: run the same command again at {at} or later")
