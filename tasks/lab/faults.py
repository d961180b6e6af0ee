"""Faults that a test or a person switches on: what goes wrong, for which calls, how many times."""

import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tasks.core.errors import JobError
from tasks.lab.api_errors import ApiError, Problem

Kind = Literal[
    "quota",
    "auth",
    "account_disabled",
    "partial_failure",
    "unavailable",
    "deadline",
    "internal",
    "duplicate_page",
    "broken_stream",
    "sunset_version",
    "lost_response",
    "delay",
    "throttle",
    "expired_token",
    "half_page",
    "unknown_enum",
    "small_pages",
]
METHODS = ("search", "search_stream", "mutate")


@dataclass
class Fault:
    """One switched-on fault. Unset filters match every call."""

    kind: Kind
    times: int | None = 1  # calls it still hits; None = until cleared
    skip: int = 0  # matching calls to let pass first
    method: str | None = None  # one of METHODS
    customer_id: str | None = None
    platform: str | None = None  # only this one's API; unset: Google Ads alone
    budget_id: int | None = None  # partial_failure: the budget whose operation fails
    ad_id: int | None = None  # partial_failure: the ad whose operation fails, in place of a budget
    version: str | None = None  # sunset_version
    resource: str | None = None  # only queries FROM this resource, or this path of an HTTP API
    retry_delay_seconds: float = 5.0  # quota, throttle
    seconds: float = 1.0  # delay
    error: str = "database_error.CONCURRENT_MODIFICATION"  # partial_failure: <ErrorCode field>.<enum value>
    include_validate_only: bool = False  # whether validate-only mutates are hit too
    hits: int = 0

    def to_json(self) -> dict[str, object]:
        """Every field."""
        return asdict(self)


def fault_from_json(value: dict[str, Any]) -> Fault:
    """The fault that a request body describes.

    Raises:
        JobError: an unknown kind, method or field, or a count below one.
    """
    unknown = sorted(set(value) - set(Fault.__dataclass_fields__))
    if unknown:
        raise JobError(f"a fault has no field {unknown[0]!r}; it has {', '.join(Fault.__dataclass_fields__)}")
    if value.get("kind") not in get_args(Kind):
        raise JobError(f"no fault {value.get('kind')!r}; kinds are {', '.join(get_args(Kind))}, and restate")
    if value.get("method") not in (None, *METHODS):
        raise JobError(f"no method {value['method']!r}; methods are {', '.join(METHODS)}")
    if value.get("times", 1) is not None and int(value.get("times", 1)) < 1:
        raise JobError(f"times={value['times']} never hits; give 1 or more, or null for every call")
    if value["kind"] == "partial_failure" and value.get("budget_id") is None and value.get("ad_id") is None:
        raise JobError("partial_failure needs budget_id or ad_id: the budget or ad whose operation fails")
    return Fault(**value)


@dataclass(frozen=True)
class Call:
    """What a fault is matched against."""

    method: str
    customer_id: str
    version: str
    validate_only: bool = False
    resource: str | None = None
    platform: str = "google_ads"


def take(faults: list[Fault], kind: Kind, call: Call, *, budget_id: int | None = None, ad_id: int | None = None) -> Fault | None:
    """The first fault of this kind that hits the call, with its counters moved; None lets the call pass."""
    for fault in faults:
        if fault.kind != kind or fault.times == 0:
            continue
        if call.validate_only and not fault.include_validate_only and kind in ("partial_failure", "lost_response"):
            continue
        wanted = (
            (fault.method, call.method),
            (fault.customer_id, call.customer_id),
            (fault.version, call.version),
            (fault.platform or "google_ads", call.platform),
            (fault.resource, call.resource),
            (fault.budget_id, budget_id),
            (fault.ad_id, ad_id),
        )
        if any(filter_ is not None and filter_ != value for filter_, value in wanted):
            continue
        if fault.skip > 0:
            fault.skip -= 1
            continue
        fault.hits += 1
        if fault.times is not None:
            fault.times -= 1
        return fault
    return None


def hold(faults: list[Fault], delay: Fault) -> None:
    """Wait as long as ``delay`` says, or until it is cleared: so a test can let a held call go at the moment it wants."""
    deadline = time.monotonic() + delay.seconds
    while time.monotonic() < deadline and any(fault is delay for fault in list(faults)):
        time.sleep(min(0.02, delay.seconds))


def raise_before(faults: list[Fault], lock: AbstractContextManager[object], call: Call) -> None:
    """Raise the fault that ends this call before the platform does anything, if one is switched on."""

    def hit(kind: Kind) -> Fault | None:
        with lock:
            return take(faults, kind, call)

    if delay := hit("delay"):
        hold(faults, delay)
    if fault := hit("quota"):
        wait = fault.retry_delay_seconds
        message = f"Too many requests. Retry in {wait:g} seconds."
        raise ApiError("RESOURCE_EXHAUSTED", [Problem("quota_error", "RESOURCE_EXHAUSTED", message, retry_seconds=wait)])
    if hit("auth"):
        message = "The OAuth token has been revoked; sign in again."
        raise ApiError("UNAUTHENTICATED", [Problem("authentication_error", "OAUTH_TOKEN_REVOKED", message)])
    if hit("account_disabled"):
        message = "The customer account can't be accessed because it is not yet enabled or has been deactivated."
        raise ApiError("PERMISSION_DENIED", [Problem("authorization_error", "CUSTOMER_NOT_ENABLED", message)])
    if hit("unavailable"):
        raise ApiError("UNAVAILABLE", detail="The service is currently unavailable.")
    if hit("deadline"):
        raise ApiError("DEADLINE_EXCEEDED", detail="Deadline Exceeded")
    if hit("internal"):
        raise ApiError("INTERNAL", [Problem("internal_error", "INTERNAL_ERROR", "An internal error has occurred.")])
