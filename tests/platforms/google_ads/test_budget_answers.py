"""A mutate's answer is read row by row, whatever shape the failure has."""

from typing import Any

import pytest

from tasks.core.errors import JobError
from tasks.platforms.base import BudgetAmount
from tasks.platforms.google_ads.answers import read_answer
from tasks.platforms.google_ads.budgets import build_request

ROWS = [BudgetAmount(f"c{n}", str(n), 5_000_000) for n in (1, 2, 3)]


def answer(errors: list[tuple[int | None, str]], results: list[str]) -> Any:
    """A response with one failure: (operation index or None, message) each, and the resource names of the results."""
    from google.ads.googleads.v26.errors.types.errors import GoogleAdsFailure
    from google.ads.googleads.v26.services.types.campaign_budget_service import MutateCampaignBudgetsResponse

    response = MutateCampaignBudgetsResponse.pb()()
    for name in results:
        response.results.add().resource_name = name
    if errors:
        failure = GoogleAdsFailure.pb()()
        failure.request_id = "from-failure"
        for index, message in errors:
            error = failure.errors.add()
            error.error_code.campaign_budget_error = 9
            error.message = message
            if index is not None:
                place = error.location.field_path_elements.add()
                place.field_name, place.index = "operations", index
        response.partial_failure_error.code = 3
        response.partial_failure_error.details.add().Pack(failure)
    return response


def errors_of(response: Any, *, validate_only: bool = False) -> list[str | None]:
    return [o.error for o in read_answer(response, ROWS, "id", validate_only=validate_only).outcomes]


def test_all_rows_taken() -> None:
    """Three results, no failure: three rows are fine."""
    assert errors_of(answer([], ["a", "b", "c"])) == [None, None, None]


def test_several_errors_of_one_row_are_all_kept() -> None:
    """One failure carries the errors of many rows; index says whose."""
    got = errors_of(answer([(2, "too small"), (0, "gone"), (2, "odd")], ["", "b", ""]))
    code = "campaign_budget_error.CANNOT_UPDATE_CAMPAIGN_BUDGET_TO_EXPLICITLY_SHARED"
    assert got == [f"{code}: gone", None, f"{code}: too small; {code}: odd"]


def test_an_error_without_an_index_fails_every_row() -> None:
    """It concerns the call as a whole; taking any row for done would be a guess."""
    assert [e is not None for e in errors_of(answer([(None, "broken")], ["", "", ""]))] == [True, True, True]


def test_a_row_with_neither_result_nor_error_is_failed() -> None:
    """An answer shorter than the request leaves rows whose fate is unknown."""
    got = errors_of(answer([], ["a"]))
    assert (got[0], got[1] == got[2] == "the platform returned neither a result nor an error for this row") == (None, True)


def test_a_validate_only_answer_has_no_results() -> None:
    """Empty results are what a successful check looks like."""
    assert errors_of(answer([], []), validate_only=True) == [None, None, None]


def test_the_failure_names_the_request_if_the_call_did_not() -> None:
    """The receipt never lacks an id that was sent somewhere."""
    assert read_answer(answer([(0, "x")], ["", "b", "c"]), ROWS, "", validate_only=False).request_id == "from-failure"


class Client:
    """What build_request needs of the client: an empty request message."""

    def get_type(self, _name: str) -> Any:
        from google.ads.googleads.v26.services.types.campaign_budget_service import MutateCampaignBudgetsRequest

        return MutateCampaignBudgetsRequest.pb()()


def test_a_request_sets_the_amount_and_nothing_else() -> None:
    """The mask names amount_micros only, so no other field of the budget can be reset by accident."""
    request = build_request(Client(), "42", ROWS, validate_only=False)
    assert (request.customer_id, request.partial_failure, request.validate_only) == ("42", True, False)
    assert [list(o.update_mask.paths) for o in request.operations] == [["amount_micros"]] * 3
    assert request.operations[1].update.resource_name == "customers/42/campaignBudgets/2"
    assert request.operations[1].update.amount_micros == 5_000_000


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "got 0 rows"),
        ([ROWS[0], ROWS[0]], r"twice: \['1'\]"),
        ([BudgetAmount("c", "1/../2", 5)], "makes no sense"),
        ([BudgetAmount("c", "1", 0)], "to 0 micros makes no sense"),
        ([BudgetAmount("c", "1", -5)], "makes no sense"),
    ],
)
def test_a_request_that_makes_no_sense_is_not_built(rows: list[BudgetAmount], message: str) -> None:
    """Nothing, a budget twice, an id that is no number, an amount of nothing."""
    with pytest.raises(JobError, match=message):
        build_request(Client(), "42", rows, validate_only=True)
