"""The sandbox's TikTok refuses what TikTok refuses."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from tasks.lab.apis.server import Context, Request
from tasks.lab.apis.tiktok import APP_ID, TikTokApi
from tasks.lab.apis.tokens import Standing, Tokens
from tasks.lab.credentials import Credentials
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world

ACCOUNT, OTHER = "7100000000000000001", "7199999999999999999"
REPORT = {
    "advertiser_id": ACCOUNT,
    "report_type": "BASIC",
    "data_level": "AUCTION_AD",
    "dimensions": ["stat_time_day", "ad_id"],
    "metrics": ["spend", "impressions"],
    "start_date": "2025-07-14",
    "end_date": "2025-07-23",
    "page_size": 1000,
}
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """World `everywhere` with 20 days of history."""
    folder = tmp_path_factory.mktemp("tiktok")
    return Context(Sandbox(folder, load_world("everywhere"), 7, date(2025, 7, 14), 20), Tokens(Credentials(folder)))


@pytest.fixture
def ask(context: Context) -> Ask:
    """Body of the answer to a call; HTTP is 200 throughout."""

    def run(
        path: str,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        *,
        standing: Standing = "good",
        token: str | None = None,
        version: str = "v1.3",
    ) -> dict[str, Any]:
        text = {k: v if isinstance(v, str) else json.dumps(v) for k, v in (query or {}).items()}
        sent = context.tokens.access_token("tiktok", standing) if token is None else token
        headers = {"access-token": sent, "content-type": "application/json"}
        whole = f"/open_api/{version}/{path}/"
        request = Request("GET" if body is None else "POST", whole, whole, text, headers, json.dumps(body or {}).encode())
        answer = TikTokApi().answer(request, context)
        assert answer.status == 200
        assert set(answer.body) == {"code", "message", "request_id", "data"}
        found: dict[str, Any] = answer.body
        return found

    return run


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"end_date": "2025-08-13"}, "30 days"),
        ({"end_date": "2025-07-13"}, "30 days"),
        ({"start_date": "2025-7-14"}, "YYYY-MM-DD"),
        ({"start_date": "20250714"}, "YYYY-MM-DD"),
        ({"start_date": ""}, "YYYY-MM-DD"),
        ({"page_size": 1001}, "page_size"),
        ({"page": 0}, "page"),
        ({"metrics": ["spend", "cta_purchase_value"]}, "cta_purchase_value"),
        ({"metrics": "spend"}, "JSON list"),
        ({"dimensions": ["stat_time_day", "campaign_id"]}, "Conflict"),
        ({"dimensions": ["ad_id"]}, "Conflict"),
        ({"dimensions": ["stat_time_day", "ad_id", "age"]}, "Conflict"),
        ({"data_level": "AD"}, "data_level"),
        ({"report_type": "DAILY"}, "report_type"),
        ({"filtering": [{"field_name": "ad_status", "filter_value": '["STATUS_ALL"]'}]}, "required together"),
        ({"filtering": [{"field_name": "ad_status", "filter_type": "IN", "filter_value": ["STATUS_ALL"]}]}, "as a string"),
        ({"filtering": [{"field_name": "campaign_status", "filter_type": "IN", "filter_value": "[]"}]}, "campaign_status"),
        (
            {
                "report_type": "AUDIENCE",
                "data_level": "AUCTION_CAMPAIGN",
                "dimensions": ["stat_time_day", "campaign_id", "gender"],
                "metrics": ["complete_payment"],
            },
            "complete_payment",
        ),
    ],
)
def test_a_report_is_refused(ask: Ask, change: dict[str, Any], word: str) -> None:
    """Code 40002, and the message names what is wrong."""
    answer = ask("report/integrated/get", REPORT | change)
    assert (answer["code"], word in answer["message"]) == (40002, True), answer["message"]


def test_thirty_days_are_taken_and_amounts_are_text(ask: Ask) -> None:
    """Both ends count; ids and numbers are text, amounts with two places, days stamped midnight."""
    answer = ask("report/integrated/get", REPORT | {"end_date": "2025-08-12"})
    assert answer["code"] == 0
    row = answer["data"]["list"][0]
    assert row["dimensions"]["stat_time_day"].endswith(" 00:00:00")
    assert isinstance(row["dimensions"]["ad_id"], str)
    assert row["metrics"]["spend"].partition(".")[2].isdecimal()
    assert len(row["metrics"]["spend"].partition(".")[2]) == 2


def test_pages_are_ten_rows_unless_asked(ask: Ask) -> None:
    """Every row comes once over the pages that page_info tells; the page behind the last is empty."""
    query = {k: v for k, v in REPORT.items() if k != "page_size"}
    first = ask("report/integrated/get", query)["data"]
    pages = first["page_info"]["total_page"]
    rows = [row for n in range(1, pages + 1) for row in ask("report/integrated/get", query | {"page": n})["data"]["list"]]
    assert len(first["list"]) == first["page_info"]["page_size"] == 10
    assert rows == ask("report/integrated/get", REPORT)["data"]["list"]
    assert ask("report/integrated/get", query | {"page": pages + 1})["data"]["list"] == []


def test_tokens_are_told_apart(ask: Ask) -> None:
    """Empty, unknown, run out, and one without the permission."""
    assert ask("campaign/get", {"advertiser_id": ACCOUNT}, token="")["code"] == 40104
    assert ask("campaign/get", {"advertiser_id": ACCOUNT}, token="0" * 40)["code"] == 40105
    assert ask("campaign/get", {"advertiser_id": ACCOUNT}, standing="expired")["code"] == 40102
    assert ask("campaign/get", {"advertiser_id": ACCOUNT}, standing="limited")["code"] == 0
    assert ask("report/integrated/get", REPORT, standing="limited")["code"] == 40001
    wish = {"advertiser_id": ACCOUNT, "ad_ids": ["1"], "operation_status": "DISABLE"}
    assert ask("ad/status/update", body=wish, standing="limited")["code"] == 40001


def test_a_limit_names_no_seconds() -> None:
    """As on the platform: neither the body nor a header says how long."""
    answer = TikTokApi().throttled(7)
    assert (answer.status, answer.body["code"], dict(answer.headers)) == (200, 40100, {})
    assert "7" not in answer.body["message"]


def test_other_versions_paths_and_accounts_are_refused(ask: Ask) -> None:
    """Each with its own code."""
    assert ask("campaign/get", {"advertiser_id": ACCOUNT}, version="v1.2")["code"] == 40051
    assert ask("campaigns/get", {"advertiser_id": ACCOUNT})["code"] == 40400
    assert ask("campaign/get", {"advertiser_id": OTHER})["code"] == 40001
    assert ask("campaign/get")["code"] == 40002
    assert ask("campaign/get", {"advertiser_id": ACCOUNT, "fields": ["opt_status"]})["code"] == 40002
    assert ask("ad/get", {"advertiser_id": ACCOUNT, "filtering": {"status": "STATUS_ALL"}})["code"] == 40002


def test_the_app_must_be_right_for_the_list_of_accounts(ask: Ask, context: Context) -> None:
    """A good token with a wrong app secret lists nothing."""
    secret = context.tokens.secret("tiktok", "app-secret")
    assert ask("oauth2/advertiser/get", {"app_id": APP_ID, "secret": "0" * 40})["code"] == 40105
    listed = ask("oauth2/advertiser/get", {"app_id": APP_ID, "secret": secret})["data"]["list"]
    assert [row["advertiser_id"] for row in listed] == [ACCOUNT]
    assert ask("advertiser/info", {"advertiser_ids": [ACCOUNT] * 101})["code"] == 40002
    assert ask("advertiser/info", {"advertiser_ids": [OTHER]})["code"] == 40001


def test_a_status_update_sets_all_or_none(ask: Ask) -> None:
    """An ad that is not there refuses the call; 21 ads are too many; ids are text."""
    ads = [row["ad_id"] for row in ask("ad/get", {"advertiser_id": ACCOUNT})["data"]["list"]]

    def states() -> list[str]:
        return [row["operation_status"] for row in ask("ad/get", {"advertiser_id": ACCOUNT})["data"]["list"]]

    def update(ids: list[Any], word: str = "DISABLE") -> dict[str, Any]:
        return ask("ad/status/update", body={"advertiser_id": ACCOUNT, "ad_ids": ids, "operation_status": word})

    for ids in ([*ads, "999"], [], [str(n) for n in range(21)], [int(ads[0])]):
        assert update(ids)["code"] == 40002
    assert update(ads, "PAUSED")["code"] == 40002
    assert set(states()) == {"ENABLE"}
    assert update(ads[:2])["data"] == {"ad_ids": ads[:2], "status": "DISABLE"}
    assert states()[:3] == ["DISABLE", "DISABLE", "ENABLE"]
    assert update(ads, "ENABLE")["code"] == 0


def test_creation_wants_its_fields_and_a_parent_and_starts_disabled(ask: Ask, context: Context) -> None:
    """Each refusal leaves nothing behind."""
    campaign = {
        "advertiser_id": ACCOUNT,
        "campaign_name": "x",
        "objective_type": "TRAFFIC",
        "budget_mode": "BUDGET_MODE_DAY",
        "budget": 50,
        "operation_status": "DISABLE",
    }
    for wrong in ({"objective_type": None}, {"operation_status": "ENABLE"}, {"budget": None}):
        assert ask("campaign/create", body=campaign | wrong)["code"] == 40002
    group = {"advertiser_id": ACCOUNT, "campaign_id": "999", "adgroup_name": "x", "operation_status": "DISABLE"}
    assert ask("adgroup/create", body=group)["code"] == 40002
    ad = {"ad_name": "x", "ad_format": "SINGLE_VIDEO", "operation_status": "DISABLE"}
    assert ask("ad/create", body={"advertiser_id": ACCOUNT, "adgroup_id": "999", "creatives": [ad]})["code"] == 40002
    assert all(context.sandbox.created("tiktok", ACCOUNT, kind) == [] for kind in ("campaign", "adgroup", "ad"))


def test_credentials_of_each_standing_differ_in_the_token_alone(context: Context) -> None:
    """So that a case about an expired token is about nothing else."""
    api = TikTokApi()
    good, expired = (api.credentials(context.tokens, standing) for standing in ("good", "expired"))
    assert {key for key in good if good[key] != expired[key]} == {"access_token"}
