"""Every fault, seen through the official client."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lab_client import refusal

from tasks.core.errors import JobError
from tasks.lab.process import RunningSandbox

pytestmark = pytest.mark.slow
CAMPAIGNS = "SELECT campaign.id FROM campaign"


def test_a_quota_error_says_how_long_to_wait_and_passes_after_its_count(client: Any, query: Any, sandbox: RunningSandbox) -> None:
    from google.api_core.exceptions import ResourceExhausted

    sandbox.admin.fault("quota", times=2, retry_delay_seconds=7.5)
    delays = []
    for _ in range(2):
        with pytest.raises(ResourceExhausted) as error:
            query(CAMPAIGNS)
        metadata = dict(error.value.errors[0].trailing_metadata())
        failure = type(client.get_type("GoogleAdsFailure")).deserialize(
            metadata["google.ads.googleads.v26.errors.googleadsfailure-bin"]
        )
        delays.append(failure.errors[0].details.quota_error_details.retry_delay.total_seconds())
        assert metadata["request-id"] == failure.request_id
    assert delays == [7.5, 7.5]
    assert len(query(CAMPAIGNS)) == 11


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("auth", {}, ("UNAUTHENTICATED", "OAUTH_TOKEN_REVOKED")),
        ("account_disabled", {"customer_id": "2000000001"}, ("PERMISSION_DENIED", "CUSTOMER_NOT_ENABLED")),
        ("sunset_version", {"version": "v26"}, ("INVALID_ARGUMENT", "UNSUPPORTED_VERSION")),
    ],
)
def test_a_refusal_comes_once_and_with_its_code(
    query: Any, sandbox: RunningSandbox, kind: str, fields: dict[str, Any], expected: tuple[str, str]
) -> None:
    sandbox.admin.fault(kind, **fields)
    assert refusal(lambda: query(CAMPAIGNS)) == expected
    assert len(query(CAMPAIGNS)) == 11


@pytest.mark.parametrize(
    ("kind", "exception"),
    [("unavailable", "ServiceUnavailable"), ("deadline", "DeadlineExceeded"), ("internal", "InternalServerError")],
)
def test_a_passing_fault_is_a_transport_error(query: Any, sandbox: RunningSandbox, kind: str, exception: str) -> None:
    from google.api_core import exceptions

    sandbox.admin.fault(kind)
    with pytest.raises(getattr(exceptions, exception)):
        query(CAMPAIGNS)
    assert len(query(CAMPAIGNS)) == 11


def test_filters_and_skip_choose_which_call_a_fault_hits(query: Any, sandbox: RunningSandbox) -> None:
    sandbox.admin.fault("auth", resource="campaign_budget", skip=1)
    budgets = "SELECT campaign_budget.id FROM campaign_budget"
    assert (len(query(CAMPAIGNS)), len(query(budgets))) == (11, 10)
    assert refusal(lambda: query(budgets))[1] == "OAUTH_TOKEN_REVOKED"
    assert (len(query(budgets)), sandbox.admin.faults()[0]["hits"]) == (10, 1)


def test_a_fault_without_a_count_lasts_until_it_is_cleared(query: Any, sandbox: RunningSandbox) -> None:
    sandbox.admin.fault("account_disabled", customer_id="2000000001", times=None)
    for _ in range(3):
        assert refusal(lambda: query(CAMPAIGNS))[1] == "CUSTOMER_NOT_ENABLED"
    sandbox.admin.clear_faults()
    assert len(query(CAMPAIGNS)) == 11


def test_clearing_lets_a_delayed_call_go(query: Any, sandbox: RunningSandbox) -> None:
    sandbox.admin.fault("delay", method="search_stream", seconds=250)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(query, CAMPAIGNS)
        deadline = time.monotonic() + 200
        while sandbox.admin.faults()[0]["hits"] == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not call.done()
        sandbox.admin.clear_faults()
        assert len(call.result(timeout=1200)) == 11


def test_some_faults_are_cleared_and_the_others_stay(sandbox: RunningSandbox) -> None:
    """By kind and method; a word that is neither is refused, so that no fault goes by mistake."""
    for kind, method in (("delay", "mutate"), ("delay", "search"), ("auth", "search")):
        sandbox.admin.fault(kind, method=method)
    with pytest.raises(JobError, match="not cleared by resource"):
        sandbox.admin.clear_faults(resource="campaign")
    left = []
    for chosen in ({"kind": "delay", "method": "mutate"}, {"method": "mutate"}, {"kind": "delay"}, {}):
        sandbox.admin.clear_faults(**chosen)
        left.append([(fault["kind"], fault["method"]) for fault in sandbox.admin.faults()])
    two, one = [("delay", "search"), ("auth", "search")], [("auth", "search")]
    assert left == [two, two, one, []]


def test_a_duplicated_page_repeats_its_rows(query: Any, sandbox: RunningSandbox) -> None:
    sandbox.admin.fault("duplicate_page")
    ids = [r.campaign.id for r in query(CAMPAIGNS)]
    assert ids == list(range(9001, 9012)) * 2


def test_a_broken_stream_gives_its_first_batch_and_fails(client: Any, customer: str, sandbox: RunningSandbox) -> None:
    from google.api_core.exceptions import ServiceUnavailable

    sandbox.admin.fault("broken_stream")
    service = client.get_service("GoogleAdsService")
    stream = service.search_stream(customer_id=customer, query=CAMPAIGNS)
    assert len(next(stream).results) == 11
    with pytest.raises(ServiceUnavailable):
        next(stream)


def test_a_lost_response_leaves_the_change_applied(set_budgets: Callable[..., Any], sandbox: RunningSandbox) -> None:
    from google.api_core.exceptions import ServiceUnavailable

    sandbox.admin.fault("lost_response")
    set_budgets({7006: 945_000_000}, validate_only=True)
    with pytest.raises(ServiceUnavailable):
        set_budgets({7006: 945_000_000})
    assert sandbox.admin.budgets()[7006] == 945_000_000
    real = [r for r in sandbox.admin.requests()[-2:] if r["method"] == "MutateCampaignBudgets" and not r["validate_only"]]
    assert [r["status"] for r in real] == ["UNAVAILABLE"]


def test_a_partial_failure_hits_one_budget_of_a_real_mutate(
    client: Any, set_budgets: Callable[..., Any], sandbox: RunningSandbox
) -> None:
    before = sandbox.admin.budgets()
    sandbox.admin.fault("partial_failure", budget_id=7007)
    set_budgets({7006: 945_000_000, 7007: 630_000_000}, validate_only=True, partial_failure=True)
    response = set_budgets({7006: 945_000_000, 7007: 630_000_000}, partial_failure=True)
    failure = type(client.get_type("GoogleAdsFailure")).deserialize(response.partial_failure_error.details[0].value)
    assert [e.error_code.database_error.name for e in failure.errors] == ["CONCURRENT_MODIFICATION"]
    assert [bool(r.resource_name) for r in response.results] == [True, False]
    assert sandbox.admin.budgets() == before | {7006: 945_000_000}


def test_a_partial_failure_of_a_request_that_does_not_allow_it_fails_the_request(
    set_budgets: Callable[..., Any], sandbox: RunningSandbox
) -> None:
    before = sandbox.admin.budgets()
    sandbox.admin.fault("partial_failure", budget_id=7007, error="campaign_budget_error.MONEY_AMOUNT_TOO_LARGE")
    assert refusal(lambda: set_budgets({7006: 945_000_000, 7007: 630_000_000}))[1] == "MONEY_AMOUNT_TOO_LARGE"
    assert sandbox.admin.budgets() == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kind": "earthquake"}, "no fault 'earthquake'; kinds are quota, auth"),
        ({"kind": "quota", "often": 3}, "a fault has no field 'often'"),
        ({"kind": "quota", "times": 0}, "times=0 never hits"),
        ({"kind": "quota", "method": "guess"}, "no method 'guess'"),
        ({"kind": "partial_failure"}, "partial_failure needs budget_id"),
        ({"kind": "partial_failure", "budget_id": 7006, "error": "budget_error.NO"}, "no error 'budget_error.NO'"),
        ({"kind": "restate", "days": 0}, "restate needs days >= 1"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(sandbox: RunningSandbox, body: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match="400") as error:
        sandbox.admin.fault(**body)
    assert message in str(error.value)
    assert sandbox.admin.faults() == []
