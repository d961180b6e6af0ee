"""Graph API errors as failures: by code and subcode, with the wait that Meta's own headers name, and without the request.

The SDK's exception prints the whole request, whose parameters and address may hold tokens: only code, subcode, type, message
and trace id are taken from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.platforms.calls import Kind
from tasks.platforms.http import HttpFailure

TOO_MUCH_DATA = "TOO_MUCH_DATA"  # our code for a report that must be asked for in smaller parts
GONE = "100/33"  # the object is not there, or not for this token
_TOO_MUCH_SUBCODES = {1487534}
_QUOTA = {4, 17, 32, 613, *range(80000, 80015)}
_EXPIRED_SUBCODES = {458, 460, 463, 467}  # app removed, password changed, expired, invalidated
_SIGN_IN = {101, 190}
_PERMISSION = {3, 10, *range(200, 300)}
_VERSION = {2635}
_PASSING = {1, 2, 960}  # 960: a batch that ran out of time


def failure_of(error: Mapping[str, Any], status: int | None, headers: Mapping[str, str]) -> HttpFailure:
    """The failure that the ``error`` object of an answer tells."""
    code, subcode = int(error.get("code") or 0), int(error.get("error_subcode") or 0)
    message = str(error.get("message") or "")
    kind = _kind(code, subcode, message, status, is_transient=bool(error.get("is_transient")))
    told = f"{code}/{subcode}" if subcode else str(code or status)
    is_too_much = _is_too_much(subcode, message)
    return HttpFailure(
        platform="meta",
        kind=kind,
        status=status,
        code=TOO_MUCH_DATA if is_too_much else told,
        message=f"{error.get('type') or 'error'}{f' {told}' if is_too_much else ''}: {message}",
        request_id=str(error.get("fbtrace_id") or ""),
        retry_seconds=retry_seconds(headers) if kind is Kind.QUOTA else None,
    )


def _is_too_much(subcode: int, message: str) -> bool:
    """It comes under several codes, 1 (unknown error) among them, so the words count: asked again unchanged it fails again."""
    return subcode in _TOO_MUCH_SUBCODES or "reduce the amount of data" in message


def _kind(code: int, subcode: int, message: str, status: int | None, *, is_transient: bool) -> Kind:
    if _is_too_much(subcode, message):
        return Kind.REQUEST
    if code in _QUOTA:
        return Kind.QUOTA
    if code == 190 and subcode in _EXPIRED_SUBCODES:
        return Kind.EXPIRED
    if code in _SIGN_IN or "appsecret_proof" in message:
        return Kind.SIGN_IN
    if code in _PERMISSION:
        return Kind.PERMISSION
    if code in _VERSION:
        return Kind.VERSION
    if code in _PASSING or is_transient or (status or 0) >= 500:
        return Kind.PASSING
    return Kind.REQUEST


def retry_seconds(headers: Mapping[str, str]) -> float | None:
    """The longest wait that the usage headers name; None if they name none.

    ``X-Business-Use-Case-Usage`` counts minutes, ``X-Ad-Account-Usage`` seconds. https://developers.facebook.com/docs/graph-api/
    overview/rate-limiting
    """
    by_name = {name.lower(): value for name, value in headers.items()}
    waits = [
        60.0 * float(use.get("estimated_time_to_regain_access") or 0)
        for uses in _decoded(by_name.get("x-business-use-case-usage")).values()
        for use in uses
    ]
    waits.append(float(_decoded(by_name.get("x-ad-account-usage")).get("reset_time_duration") or 0))
    return max(waits) or None


def _decoded(header: str | None) -> dict[str, Any]:
    """A header's JSON object; an absent or broken header says nothing."""
    try:
        found = json.loads(header or "{}")
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
