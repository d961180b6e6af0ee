"""TikTok's own codes, read into what the caller does next. HTTP says 200 to nearly everything; ``code`` in the body decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.platforms.calls import Kind
from tasks.platforms.http import FailedCallError, HttpFailure

OK = 0
TRUNCATED = "X-Tt-Ads-Throttle"  # header: the report left ads out, and the body looks whole
_KINDS = {
    Kind.QUOTA: (40016, 40100, 40132, 40133, 61000),
    Kind.EXPIRED: (40102, 40103, 40115),
    Kind.SIGN_IN: (40104, 40105, 40106, 40107, 40108, 40110, 40112, 40309),
    Kind.PERMISSION: (40001, 40003, 40113, 40114, 40117, 40118, 40124, 40125, 40130, 40131, 40300, 40301, 40302),
    Kind.VERSION: (40006, 40051, 41001),
    Kind.PASSING: (60001,),
}
_BY_CODE = {code: kind for kind, codes in _KINDS.items() for code in codes}
_SERVER_CODES = range(50_000, 60_000)
_BY_STATUS = {401: Kind.SIGN_IN, 403: Kind.PERMISSION, 429: Kind.QUOTA}


def kind_of(code: int) -> Kind:
    """What to do about ``code``; the numbers are those of the official client's ``NumericErrorCodes``."""
    if code in _SERVER_CODES:
        return Kind.PASSING
    return _BY_CODE.get(code, Kind.REQUEST)


def decode(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The envelope of a good answer; FailedCallError for any other.

    TikTok names no seconds with its limit codes; where a gateway in front of it sends ``Retry-After``, that is kept.
    """
    try:
        envelope = json.loads(body)
    except ValueError:
        envelope = None
    if not isinstance(envelope, dict) or "code" not in envelope:
        kind = _BY_STATUS.get(status, Kind.PASSING if status == 200 or status >= 500 else Kind.REQUEST)
        raise FailedCallError(_failure(kind, status, str(status), "the answer is not one of the API's", headers))
    code, request_id = int(envelope["code"]), str(envelope.get("request_id") or "")
    if code != OK:
        raise FailedCallError(_failure(kind_of(code), status, str(code), str(envelope.get("message", "")), headers, request_id))
    if warning := headers.get(TRUNCATED):
        raise FailedCallError(
            _failure(
                Kind.REQUEST,
                status,
                "TRUNCATED",
                f"{warning} Numbers are missing from this report; delete old ads, so that the account holds fewer than 20,000",
                headers,
                request_id,
            )
        )
    return envelope


def _failure(kind: Kind, status: int, code: str, message: str, headers: Mapping[str, str], request_id: str = "") -> HttpFailure:
    told = headers.get("Retry-After", "")
    return HttpFailure(
        platform="tiktok",
        kind=kind,
        status=status,
        code=code,
        message=message,
        request_id=request_id,
        retry_seconds=float(told) if kind is Kind.QUOTA and told.isdecimal() else None,
    )
