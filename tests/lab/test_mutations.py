"""Mutations through the official client: what is set, what is refused, what the next day spends."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lab_client import client_of, refusal

from tasks.lab.process import RunningSandbox, sandbox_process

pytestmark = pytest.mark.slow
SetBudgets = Callable[..., Any]


def failures(client: Any, status: Any) -> dict[int, str]:
    """Row index → error code of a ``partial_failure_error``."""
    failure_type = type(client.get_type("GoogleAdsFailure"))
    found = {}
    for detail in status.details:
        for error in failure_type.deserialize(detail.value).errors:
            code = error.error_code
            index = next(e.index for e in error.location.field_path_elements if e.field_name == "operations")
            found[index] = getattr(code, code._pb.WhichOneof("error_code")).name
    return found


def test_validate_only_changes_nothing(set_budgets: SetBudgets, sandbox: RunningSandbox) -> None:
    before = sandbox.admin.budgets()
    response = set_budgets({7006: 945_000_000}, validate_only=True)
    assert (len(response.results), sandbox.admin.budgets()) == (0, before)


def test_a_budget_is_set_and_read_back(set_budgets: SetBudgets, query: Any, sandbox: RunningSandbox) -> None:
    response = set_budgets({7006: 945_000_000}, response_content_type=2)
    row = query("SELECT campaign_budget.amount_micros FROM campaign_budget WHERE campaign_budget.id = 7006")[0]
    assert response.results[0].resource_name == "customers/2000000001/campaignBudgets/7006"
    assert response.results[0].campaign_budget.amount_micros == row.campaign_budget.amount_micros == 945_000_000


@pytest.mark.parametrize(
    ("amounts", "code"),
    [
        ({7006: 945_000_001}, "NON_MULTIPLE_OF_MINIMUM_CURRENCY_UNIT"),
        ({7006: -10_000}, "NEGATIVE_MONEY_AMOUNT"),
        ({7006: 0}, "MONEY_AMOUNT_LESS_THAN_CURRENCY_MINIMUM_CPC"),
        ({7006: 2 * 10**15}, "MONEY_AMOUNT_TOO_LARGE"),
        ({4711: 10_000_000}, "RESOURCE_NOT_FOUND"),
        ({}, "OPERATION_REQUIRED"),
    ],
)
def test_a_wrong_amount_is_refused(set_budgets: SetBudgets, sandbox: RunningSandbox, amounts: dict[int, int], code: str) -> None:
    before = sandbox.admin.budgets()
    assert refusal(lambda: set_budgets(amounts)) == ("INVALID_ARGUMENT", code)
    assert sandbox.admin.budgets() == before


def test_without_partial_failure_one_bad_row_stops_all(set_budgets: SetBudgets, sandbox: RunningSandbox) -> None:
    before = sandbox.admin.budgets()
    assert refusal(lambda: set_budgets({7006: 945_000_000, 7007: 1}))[0] == "INVALID_ARGUMENT"
    assert sandbox.admin.budgets() == before


def test_partial_failure_sets_the_good_rows_and_names_the_bad_ones(
    client: Any, set_budgets: SetBudgets, sandbox: RunningSandbox
) -> None:
    before = sandbox.admin.budgets()
    response = set_budgets({7006: 945_000_000, 7007: 1, 7008: 1_140_000_000, 4711: 10_000}, partial_failure=True)
    assert failures(client, response.partial_failure_error) == {
        1: "MONEY_AMOUNT_LESS_THAN_CURRENCY_MINIMUM_CPC",
        3: "RESOURCE_NOT_FOUND",
    }
    assert [bool(r.resource_name) for r in response.results] == [True, False, True, False]
    assert sandbox.admin.budgets() == before | {7006: 945_000_000, 7008: 1_140_000_000}


def _budget_operation(client: Any, **update: Any) -> Any:
    operation = client.get_type("CampaignBudgetOperation")
    for name, value in update.items():
        setattr(operation.update, name, value)
    return operation


def test_field_masks_are_needed_and_checked(client: Any, customer: str) -> None:
    service = client.get_service("CampaignBudgetService")
    name = service.campaign_budget_path(customer, "7006")

    def mutate(*paths: str, **update: Any) -> tuple[str, str]:
        operation = _budget_operation(client, resource_name=name, **update)
        operation.update_mask.paths.extend(paths)
        return refusal(lambda: service.mutate_campaign_budgets(customer_id=customer, operations=[operation]))

    assert mutate(amount_micros=10_000)[1] == "FIELD_MASK_MISSING"
    assert mutate("colour")[1] == "FIELD_NOT_FOUND"
    assert mutate("name", name="x")[1] == "IMMUTABLE_FIELD"


def test_one_budget_twice_in_a_request_is_refused(client: Any, customer: str) -> None:
    service = client.get_service("CampaignBudgetService")
    operations = []
    for amount in (910_000_000, 920_000_000):
        operation = _budget_operation(client, resource_name=service.campaign_budget_path(customer, "7006"), amount_micros=amount)
        operation.update_mask.paths.append("amount_micros")
        operations.append(operation)
    call = lambda: service.mutate_campaign_budgets(customer_id=customer, operations=operations)  # noqa: E731
    assert refusal(call)[1] == "ID_EXISTS_IN_MULTIPLE_MUTATES"


def test_create_and_remove_are_refused(client: Any, customer: str) -> None:
    service = client.get_service("CampaignBudgetService")
    create, remove = client.get_type("CampaignBudgetOperation"), client.get_type("CampaignBudgetOperation")
    create.create.name = "new"
    remove.remove = service.campaign_budget_path(customer, "7006")
    codes = []
    for operation in (create, remove):
        call = partial(service.mutate_campaign_budgets, customer_id=customer, operations=[operation])
        codes.append(refusal(call)[1])
    assert codes == ["MUTATE_NOT_ALLOWED", "CAMPAIGN_BUDGET_IN_USE"]


def test_the_manager_account_cannot_be_mutated(client: Any, sandbox: RunningSandbox) -> None:
    service = client.get_service("CampaignBudgetService")
    manager = sandbox.endpoint["login_customer_id"]
    operation = _budget_operation(client, resource_name=service.campaign_budget_path(manager, "7006"))
    call = lambda: service.mutate_campaign_budgets(customer_id=manager, operations=[operation])  # noqa: E731
    assert refusal(call)[1] == "CANNOT_BE_EXECUTED_BY_MANAGER_ACCOUNT"


def test_changes_show_in_change_event_with_who_what_and_how(set_budgets: SetBudgets, query: Any, sandbox: RunningSandbox) -> None:
    set_budgets({7009: 1_550_000_000})
    sandbox.admin.edit(7009, 1_600_000_000)
    today = sandbox.admin.state()["today"]
    rows = query(
        "SELECT change_event.change_date_time, change_event.change_resource_name, change_event.client_type, "
        "change_event.user_email, change_event.old_resource, change_event.new_resource, change_event.changed_fields "
        f"FROM change_event WHERE change_event.change_date_time BETWEEN '{today}' AND '{today} 23:59:59' "
        "AND change_event.change_resource_name = 'customers/2000000001/campaignBudgets/7009' "
        "ORDER BY change_event.change_date_time LIMIT 100"
    )
    events = [r.change_event for r in rows][-2:]
    amounts = [(e.old_resource.campaign_budget.amount_micros, e.new_resource.campaign_budget.amount_micros) for e in events]
    assert amounts == [(1_500_000_000, 1_550_000_000), (1_550_000_000, 1_600_000_000)]
    assert [(e.client_type.name, e.user_email) for e in events] == [
        ("GOOGLE_ADS_API", "aelp2@example.test"),
        ("GOOGLE_ADS_WEB_CLIENT", "media.buyer@example.test"),
    ]
    assert [list(e.changed_fields.paths) for e in events] == [["amount_micros"]] * 2


def test_calls_at_the_same_time_lose_no_change(set_budgets: SetBudgets, query: Any, sandbox: RunningSandbox) -> None:
    wanted = {budget: amount + 10_000_000 for budget, amount in sandbox.admin.budgets().items()}
    with ThreadPoolExecutor(8) as pool:
        sets = [pool.submit(set_budgets, {budget: amount}) for budget, amount in wanted.items()]
        reads = [pool.submit(query, "SELECT campaign_budget.id FROM campaign_budget") for _ in range(10)]
        assert {len(future.result()) for future in reads} == {10}
        assert {len(future.result().results) for future in sets} == {1}
    assert sandbox.admin.budgets() == wanted


def test_google_ads_service_mutates_budgets_campaigns_and_ads_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox_process(state_dir=tmp_path, history_days=90) as own:
        for name, value in own.env.items():
            monkeypatch.setenv(name, value)
        client = client_of(own)
        service = client.get_service("GoogleAdsService")
        operations = [client.get_type("MutateOperation") for _ in range(3)]
        budget = operations[0].campaign_budget_operation
        budget.update.resource_name = "customers/2000000001/campaignBudgets/7006"
        budget.update.amount_micros = 1_350_000_000
        budget.update_mask.paths.append("amount_micros")
        campaign = operations[1].campaign_operation
        campaign.update.resource_name = "customers/2000000001/campaigns/9008"
        campaign.update.status = client.enums.CampaignStatusEnum.PAUSED
        campaign.update_mask.paths.append("status")
        ad = operations[2].ad_group_ad_operation
        ad.update.resource_name = "customers/2000000001/adGroupAds/900701~90070101"
        ad.update.status = client.enums.AdGroupAdStatusEnum.PAUSED
        ad.update_mask.paths.append("status")
        response = service.mutate(customer_id="2000000001", mutate_operations=operations)
        assert [r._pb.WhichOneof("response") for r in response.mutate_operation_responses] == [
            "campaign_budget_result",
            "campaign_result",
            "ad_group_ad_result",
        ]
        own.admin.advance(5)
        stream = service.search_stream(
            customer_id="2000000001",
            query="SELECT campaign.id, metrics.cost_micros FROM campaign WHERE segments.date DURING LAST_7_DAYS AND "
            f"segments.date >= '{own.endpoint['today']}' AND campaign.id IN (9007, 9008)",
        )
        cost = {r.campaign.id: r.metrics.cost_micros for batch in stream for r in batch.results}
        assert cost[9008] == 0
        assert cost[9007] / 5 == pytest.approx(1_350_000_000, rel=0.12)


def test_a_paused_ad_hands_its_traffic_to_the_others_of_its_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The campaign goes on spending its budget; the paused ad gets nothing of it from the day of the pause on."""
    with sandbox_process(state_dir=tmp_path, history_days=90) as own:
        for name, value in own.env.items():
            monkeypatch.setenv(name, value)
        own.admin.edit_status("ad", 90070101, "PAUSED")
        own.admin.advance(2)
        window = f"segments.date >= '{own.endpoint['today']}' AND segments.date < '{own.admin.state()['today']}'"
        service = client_of(own).get_service("GoogleAdsService")

        def query(what: str, resource: str) -> list[Any]:
            text = f"SELECT {what}, metrics.cost_micros FROM {resource} WHERE {window} AND campaign.id = 9007"
            return [row for batch in service.search_stream(customer_id="2000000001", query=text) for row in batch.results]

        cost = {row.ad_group_ad.ad.id: row.metrics.cost_micros for row in query("ad_group_ad.ad.id", "ad_group_ad")}
        (campaign,) = query("campaign.id", "campaign")
        assert cost.get(90070101, 0) == 0 < cost[90070102]
        assert sum(cost.values()) == pytest.approx(campaign.metrics.cost_micros, rel=1e-6)
        own.admin.edit_status("ad", 90070101, "ENABLED")
        assert own.admin.ads()[90070101]
