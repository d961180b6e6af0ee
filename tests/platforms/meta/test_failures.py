"""Meta's error codes and usage headers: what the caller does next, and how long it waits."""

import json

import pytest

from tasks.platforms.calls import Kind
from tasks.platforms.meta.failures import TOO_MUCH_DATA, failure_of, retry_seconds


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        ({"code": 4}, 400, Kind.QUOTA),
        ({"code": 4, "error_subcode": 1504022}, 400, Kind.QUOTA),
        ({"code": 17, "error_subcode": 2446079}, 400, Kind.QUOTA),
        ({"code": 32}, 400, Kind.QUOTA),
        ({"code": 613}, 400, Kind.QUOTA),
        ({"code": 80000}, 400, Kind.QUOTA),
        ({"code": 80004, "is_transient": True}, 400, Kind.QUOTA),
        ({"code": 80014}, 400, Kind.QUOTA),
        ({"code": 190}, 401, Kind.SIGN_IN),
        ({"code": 190, "error_subcode": 463}, 401, Kind.EXPIRED),
        ({"code": 190, "error_subcode": 467}, 401, Kind.EXPIRED),
        ({"code": 190, "error_subcode": 460}, 401, Kind.EXPIRED),
        ({"code": 100, "message": "Invalid appsecret_proof provided in the API argument"}, 400, Kind.SIGN_IN),
        ({"code": 10}, 403, Kind.PERMISSION),
        ({"code": 200}, 403, Kind.PERMISSION),
        ({"code": 294}, 403, Kind.PERMISSION),
        ({"code": 2635}, 400, Kind.VERSION),
        ({"code": 1}, 500, Kind.PASSING),
        ({"code": 2, "is_transient": True}, 500, Kind.PASSING),
        ({"code": 368, "is_transient": True}, 400, Kind.PASSING),
        ({}, 502, Kind.PASSING),
        ({"code": 100}, 400, Kind.REQUEST),
        ({"code": 3018}, 400, Kind.REQUEST),
        (
            {"code": 1, "message": "Please reduce the amount of data you're asking for, then retry your request"},
            500,
            Kind.REQUEST,
        ),
    ],
)
def test_each_code_is_of_its_kind(error: dict[str, object], status: int, kind: Kind) -> None:
    """The platform's own codes decide, subcodes before codes and codes before the HTTP status."""
    assert failure_of(error, status, {}).kind is kind


def test_too_much_data_has_a_code_of_its_own_and_tells_metas() -> None:
    """It comes as `unknown error`, and asked again unchanged it would fail again: the caller asks for less."""
    failure = failure_of({"code": 1, "error_subcode": 1487534, "type": "OAuthException", "message": "x"}, 500, {})
    assert failure.codes == {TOO_MUCH_DATA}
    assert "1/1487534" in str(failure)


def test_an_error_tells_code_subcode_type_message_and_trace_and_nothing_else() -> None:
    """Other parts of the error may hold anything, request parameters among them."""
    error = {"code": 100, "error_subcode": 33, "type": "GraphMethodException", "message": "gone", "fbtrace_id": "Az9"}
    text = str(failure_of({**error, "error_data": "private", "error_user_msg": "private"}, 400, {}))
    assert text == "HTTP 400, 100/33: GraphMethodException: gone (request id Az9)"


def test_the_business_header_counts_minutes_and_the_accounts_seconds() -> None:
    """The longest of them all is waited."""
    business = {"1": [{"type": "ads_insights", "estimated_time_to_regain_access": 3}, {"estimated_time_to_regain_access": 1}]}
    account = {"acc_id_util_pct": 100.0, "reset_time_duration": 90}
    assert retry_seconds({"X-Business-Use-Case-Usage": json.dumps(business)}) == 180.0
    assert retry_seconds({"x-ad-account-usage": json.dumps(account)}) == 90.0
    assert retry_seconds({"X-Business-Use-Case-Usage": json.dumps(business), "X-Ad-Account-Usage": json.dumps(account)}) == 180.0


@pytest.mark.parametrize("headers", [{}, {"X-Business-Use-Case-Usage": "{"}, {"X-Ad-Account-Usage": "[]"}])
def test_headers_that_name_no_wait_name_none(headers: dict[str, str]) -> None:
    """Then the caller's own patience holds."""
    assert retry_seconds(headers) is None
