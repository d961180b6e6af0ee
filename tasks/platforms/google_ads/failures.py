"""What a failed Google Ads call means: its class decides between waiting, stopping and reading back.

The client raises two kinds of exception: ``GoogleAdsException`` with the parsed failure, and, for the statuses INTERNAL and
RESOURCE_EXHAUSTED and for bare transport errors, google-api-core's ``GoogleAPICallError``, whose trailing metadata still hold
the failure. Both end as one ``CallFailure`` here.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from tasks.core.log import redact
from tasks.platforms.calls import Kind
from tasks.platforms.google_ads.version import API_VERSION, REMEDY

FAILURE_KEY = f"google.ads.googleads.{API_VERSION}.errors.googleadsfailure-bin"


_PASSING_STATUSES = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "ABORTED", "CANCELLED"}
_QUOTA_CODES = {
    "RESOURCE_EXHAUSTED",
    "RESOURCE_TEMPORARILY_EXHAUSTED",
    "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION",
    "EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION",
}
_EXPIRED_CODES = {"OAUTH_TOKEN_EXPIRED", "OAUTH_TOKEN_REVOKED"}
_REFUSED_GRANTS = ("invalid_grant", "invalid_client", "unauthorized_client")  # RFC 6749 §5.2
_SIGN_IN_REMEDIES = {
    "CUSTOMER_NOT_ENABLED": "the account is closed or was never activated: reactivate it, or leave it out of --account",
    "USER_PERMISSION_DENIED": (
        "give the signed-in user access to the account, or set login_customer_id to the manager account above it"
    ),
    "DEVELOPER_TOKEN_NOT_APPROVED": "this developer token may only reach test accounts: apply for basic access",
    "DEVELOPER_TOKEN_INVALID": "copy developer_token again from the manager account's API Center",
    "CUSTOMER_NOT_FOUND": "there is no such account: check the id",
}
_SIGN_IN_REMEDY = (
    "renew the credentials with `aelp2 onboard google_ads`, or in the file that AELP2_GOOGLE_ADS_CONFIG names "
    "(docs/how-to/connect-google-ads.md)"
)


@dataclass(frozen=True)
class Problem:
    """One error of a failure: its code as ``family.CODE``, its text, and the operation it is about (None: the whole call)."""

    code: str
    message: str
    operation: int | None


@dataclass(frozen=True)
class CallFailure:
    """A failed call. ``retry_seconds`` is how long the platform asked to wait, None if it did not say."""

    kind: Kind
    status: str
    problems: tuple[Problem, ...]
    request_id: str
    detail: str
    retry_seconds: float | None

    @property
    def codes(self) -> set[str]:
        """Error codes without their family, e.g. ``USER_PERMISSION_DENIED``."""
        return {problem.code.partition(".")[2] for problem in self.problems}

    def __str__(self) -> str:
        said = "; ".join(f"{p.code}: {p.message}" for p in self.problems) or self.detail or "no message"
        return f"{self.status}, {redact(said)} (request id {self.request_id or 'none'})"

    @property
    def remedy(self) -> str:
        """What a person does about it."""
        if self.kind is Kind.VERSION:
            return f"API_VERSION is {API_VERSION}: {REMEDY}"
        if self.kind in (Kind.SIGN_IN, Kind.EXPIRED, Kind.PERMISSION):
            return next((_SIGN_IN_REMEDIES[code] for code in sorted(self.codes) if code in _SIGN_IN_REMEDIES), _SIGN_IN_REMEDY)
        return "look the code up in Google's list of API errors; quote the request id to Google's support"


def problems_of(failure: Any) -> tuple[Problem, ...]:
    """The errors of a protobuf ``GoogleAdsFailure``, in its order."""
    found = []
    for error in failure.errors:
        family = error.error_code.WhichOneof("error_code")
        if family is None:
            code = f"unpublished.{error.details.unpublished_error_code or 'UNKNOWN'}"
        else:
            field = error.error_code.DESCRIPTOR.fields_by_name[family]
            value = field.enum_type.values_by_number.get(getattr(error.error_code, family))
            code = f"{family}.{value.name if value else getattr(error.error_code, family)}"
        places = [e for e in error.location.field_path_elements if e.field_name == "operations" and e.HasField("index")]
        found.append(Problem(code, error.message, places[0].index if places else None))
    return tuple(found)


def parse_failure(data: bytes) -> Any:
    """A serialised ``GoogleAdsFailure`` of API_VERSION as protobuf."""
    errors = importlib.import_module(f"google.ads.googleads.{API_VERSION}.errors.types.errors")
    return errors.GoogleAdsFailure.pb().FromString(data)


def explain(error: Exception) -> CallFailure:
    """The failure behind an exception of the client; any other exception is raised again as it is."""
    from google.ads.googleads.errors import GoogleAdsException
    from google.api_core.exceptions import GoogleAPICallError

    failure, delays, request_id = None, [], ""
    if isinstance(error, GoogleAdsException):
        call, request_id = error.error, error.request_id or ""
        failure = type(error.failure).pb(error.failure) if hasattr(type(error.failure), "pb") else error.failure
    elif isinstance(error, GoogleAPICallError) and error.response is not None:
        call = error.response
        delays = [d.retry_delay.ToTimedelta().total_seconds() for d in error.details if type(d).__name__ == "RetryInfo"]
        for key, value in call.trailing_metadata() or ():
            if key == FAILURE_KEY:
                failure = parse_failure(value)
            elif key == "request-id":
                request_id = value
    else:
        raise error
    problems = problems_of(failure) if failure is not None else ()
    for one in failure.errors if failure is not None else ():
        if one.details.quota_error_details.HasField("retry_delay"):
            delays.append(one.details.quota_error_details.retry_delay.ToTimedelta().total_seconds())
    status, detail = call.code().name, call.details() or ""
    return CallFailure(
        _kind(status, problems, detail), status, problems, request_id, detail[:500], max(delays) if delays else None
    )


def _kind(status: str, problems: tuple[Problem, ...], detail: str) -> Kind:
    pairs = [problem.code.split(".", 1) for problem in problems]
    families, codes = {family for family, _ in pairs}, {code for _, code in pairs}
    if "UNSUPPORTED_VERSION" in codes or (status == "UNIMPLEMENTED" and not problems):
        return Kind.VERSION
    if codes & _EXPIRED_CODES:
        return Kind.EXPIRED
    if "authentication_error" in families or status == "UNAUTHENTICATED":
        return Kind.SIGN_IN
    if "authorization_error" in families or status == "PERMISSION_DENIED":
        return Kind.PERMISSION
    # A token that cannot be refreshed surfaces as UNAVAILABLE from the transport's own plug-in, before anything is sent.
    if "metadata from plugin failed" in detail and any(said in detail for said in _REFUSED_GRANTS):
        return Kind.EXPIRED if "expired or revoked" in detail else Kind.SIGN_IN
    if codes & _QUOTA_CODES or (status == "RESOURCE_EXHAUSTED" and not problems):
        return Kind.QUOTA
    if status in _PASSING_STATUSES or "internal_error" in families:
        return Kind.PASSING
    return Kind.REQUEST
