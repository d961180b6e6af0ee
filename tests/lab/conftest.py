"""A sandbox for the whole session, reset between tests, and the official client on it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `from lab_client import …` works under importlib mode
from lab_client import client_of

from tasks.lab.process import RunningSandbox, sandbox_process

Query = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """World acme with 120 days of history."""
    with sandbox_process(state_dir=tmp_path_factory.mktemp("sandbox"), history_days=120) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    """The session's sandbox with no fault on and every budget as at its start."""
    for name, value in running.env.items():
        monkeypatch.setenv(name, value)
    before = running.admin.budgets()
    yield running
    running.admin.clear_faults()
    for budget, amount in running.admin.budgets().items():
        if before[budget] != amount:
            running.admin.edit(budget, before[budget])


def query_of(client: Any, customer_id: str) -> Query:
    """A function that runs a query by SearchStream and returns its rows."""

    # The channel lives as long as the service object: without this name the stream is cut ("Channel deallocated").
    service = client.get_service("GoogleAdsService")

    def run(text: str, customer: str = customer_id) -> list[Any]:
        stream = service.search_stream(customer_id=customer, query=text)
        return [row for batch in stream for row in batch.results]

    return run


@pytest.fixture
def make_client(sandbox: RunningSandbox) -> Callable[..., Any]:
    """Builds a client with some settings overridden."""
    return lambda **overrides: client_of(sandbox, **overrides)


@pytest.fixture
def client(make_client: Callable[..., Any]) -> Any:
    return make_client()


@pytest.fixture
def customer(sandbox: RunningSandbox) -> str:
    return str(sandbox.endpoint["customer_ids"][0])


@pytest.fixture
def query(client: Any, customer: str) -> Query:
    return query_of(client, customer)


@pytest.fixture
def set_budgets(client: Any, customer: str) -> Callable[..., Any]:
    """Set budgets through CampaignBudgetService; returns the response."""
    service = client.get_service("CampaignBudgetService")

    def run(amounts: dict[int, int], **fields: Any) -> Any:
        request = client.get_type("MutateCampaignBudgetsRequest")
        request.customer_id = customer
        for name, value in fields.items():
            setattr(request, name, value)
        for budget, amount in amounts.items():
            operation = client.get_type("CampaignBudgetOperation")
            operation.update.resource_name = service.campaign_budget_path(customer, str(budget))
            operation.update.amount_micros = amount
            operation.update_mask.paths.append("amount_micros")
            request.operations.append(operation)
        return service.mutate_campaign_budgets(request=request)

    return run
