"""Creates through GoogleAdsService.Mutate: all or nothing, paused, shown, delivering nothing, kept over a restart."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from lab_client import client_of

from tasks.lab.catalog import entities
from tasks.lab.cube import build_cube
from tasks.lab.process import RunningSandbox, sandbox_process
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world
from tasks.platforms.base import Skeleton
from tasks.platforms.google_ads import queries, skeletons

pytestmark = pytest.mark.slow
CUSTOMER = "2000000001"
NUMBERS = "SELECT campaign.id, metrics.impressions, metrics.cost_micros FROM campaign WHERE campaign.id = {}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """A sandbox of this file alone: what is made stays, and other files count what there is."""
    with sandbox_process(state_dir=tmp_path_factory.mktemp("creating"), history_days=120) as sandbox:
        yield sandbox


class Account:
    """One client account of a sandbox: asks and makes."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.client = client_of(sandbox, use_proto_plus=False)
        self._service = self.client.get_service("GoogleAdsService")

    def ask(self, query: str) -> list[Any]:
        return [row for batch in self._service.search_stream(customer_id=CUSTOMER, query=query) for row in batch.results]

    def request(self, label: str, *, validate_only: bool = False) -> Any:
        wish = Skeleton(label, "https://shop.example.test/?utm_source=google_ads", 20_000_000)
        found = skeletons.find(self.ask, label)
        return skeletons.build_request(self.client, CUSTOMER, wish, found, validate_only=validate_only)

    def send(self, request: Any) -> Any:
        return self._service.mutate(request=request)


def codes(call: Callable[[], Any]) -> list[str]:
    """Error codes of the failure that ``call`` raises, in order."""
    from google.ads.googleads.errors import GoogleAdsException

    from tasks.platforms.google_ads.failures import explain

    with pytest.raises(GoogleAdsException) as error:
        call()
    return [problem.code for problem in explain(error.value).problems]


def test_what_is_made_is_paused_and_shown_and_delivers_nothing(sandbox: RunningSandbox) -> None:
    """Budget, campaign, ad group and ad come out of queries as they were made."""
    account = Account(sandbox)
    ids = skeletons.made_ids(account.send(account.request("aelp2-made-1")))
    assert skeletons.find(account.ask, "aelp2-made-1") == skeletons.Found(None, ids["campaign"], ids["adgroup"], ids["ad"])
    (state,) = account.ask(queries.ads([ids["adgroup"]]))
    assert {state.campaign.status, state.ad_group.status, state.ad_group_ad.status} == {3}  # PAUSED in all three
    (row,) = account.ask(NUMBERS.format(ids["campaign"]))
    assert (row.metrics.impressions, row.metrics.cost_micros) == (0, 0)
    (budget,) = account.ask(
        "SELECT campaign_budget.amount_micros, campaign_budget.reference_count FROM campaign_budget "
        "WHERE campaign_budget.name = 'aelp2-made-1'"
    )
    assert (budget.campaign_budget.amount_micros, budget.campaign_budget.reference_count) == (20_000_000, 1)
    assert not account.request("aelp2-made-1").mutate_operations


def test_what_was_made_is_there_after_a_restart_and_the_market_is_unmoved(sandbox: RunningSandbox, tmp_path: Path) -> None:
    """The state taken up again holds it, and the days that pass spend what they would have spent without it."""
    account = Account(sandbox)
    ids = skeletons.made_ids(account.send(account.request("aelp2-kept")))
    kept = json.loads(Path(sandbox.endpoint["config_file"]).with_name("state.json").read_text())
    dates = (kept["seed"], date.fromisoformat(kept["start_date"]), kept["history_days"])
    (tmp_path / "with").mkdir()
    (tmp_path / "with" / "state.json").write_text(json.dumps(kept))
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "state.json").write_text(json.dumps(kept | {"created": []}))
    again, bare = (Sandbox(tmp_path / name, load_world(kept["world"]), *dates) for name in ("with", "without"))
    statuses = {str(e.attributes["campaign.id"]): e.attributes["campaign.status"] for e in entities(again, CUSTOMER, "campaign")}
    assert statuses[ids["campaign"]] == "PAUSED"
    again.advance(2)
    bare.advance(2)
    assert (build_cube(again).cost_micros == build_cube(bare).cost_micros).all()


def test_validating_makes_nothing_and_so_does_a_request_with_one_wrong_operation(sandbox: RunningSandbox) -> None:
    """All or nothing: an ad without an address stops the campaign before it, and the failure names what is wrong."""
    account, before = Account(sandbox), sandbox.admin.state()["created"]
    account.send(account.request("aelp2-dry", validate_only=True))
    request = account.request("aelp2-wrong")
    del request.mutate_operations[3].ad_group_ad_operation.create.ad.final_urls[:]
    request.mutate_operations[1].campaign_operation.create.contains_eu_political_advertising = 0
    assert codes(lambda: account.send(request)) == ["field_error.REQUIRED"] * 2
    assert sandbox.admin.state()["created"] == before


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda ops: setattr(ops[1].campaign_operation.create, "status", 2), "mutate_error.MUTATE_NOT_ALLOWED"),
        (lambda ops: setattr(ops[1].campaign_operation.create, "name", ""), "field_error.REQUIRED"),
        (lambda ops: ops[1].campaign_operation.create.ClearField("manual_cpc"), "field_error.REQUIRED"),
        (
            lambda ops: setattr(ops[0].campaign_budget_operation.create, "amount_micros", 12_345),
            "campaign_budget_error.NON_MULTIPLE_OF_MINIMUM_CURRENCY_UNIT",
        ),
        (
            lambda ops: setattr(ops[2].ad_group_operation.create, "campaign", "customers/2000000001/campaigns/5"),
            "mutate_error.RESOURCE_NOT_FOUND",
        ),
        (
            lambda ops: ops[3].ad_group_ad_operation.create.ad.responsive_search_ad.ClearField("headlines"),
            "collection_size_error.TOO_FEW",
        ),
    ],
)
def test_a_wrong_create_is_refused_with_its_code(sandbox: RunningSandbox, spoil: Callable[[Any], Any], code: str) -> None:
    """Enabled, nameless, without a bid, off the currency's unit, below nothing, without words."""
    account = Account(sandbox)
    request = account.request("aelp2-wrong")
    spoil(request.mutate_operations)
    assert codes(lambda: account.send(request)) == [code]


def test_a_name_is_given_once(sandbox: RunningSandbox) -> None:
    """A second campaign of the same name is refused, and with it the budget of its request."""
    account = Account(sandbox)
    request = account.request("aelp2-twice")
    account.send(request)
    assert codes(lambda: account.send(request)) == [
        "campaign_budget_error.DUPLICATE_NAME",
        "campaign_error.DUPLICATE_CAMPAIGN_NAME",
    ]


def test_an_ad_that_was_made_is_switched_on_and_stands_in_the_change_log(sandbox: RunningSandbox) -> None:
    """A person fills and enables a skeleton: the platform's log knows it by its names."""
    account = Account(sandbox)
    ids = skeletons.made_ids(account.send(account.request("aelp2-enabled")))
    sandbox.admin.edit_status("ad", int(ids["ad"]), "ENABLED")
    (row,) = account.ask(queries.ads([ids["adgroup"]]))
    assert row.ad_group_ad.status == 2
    today = sandbox.endpoint["today"]
    events = account.ask(
        "SELECT change_event.change_resource_name FROM change_event WHERE change_event.change_date_time "
        f"BETWEEN '{today}' AND '{today} 23:59:59' LIMIT 100"
    )
    wanted = f"customers/{CUSTOMER}/adGroupAds/{ids['adgroup']}~{ids['ad']}"
    assert wanted in [event.change_event.change_resource_name for event in events]
