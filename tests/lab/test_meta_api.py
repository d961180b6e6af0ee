"""Meta's sandbox API refuses what the platform refuses, and answers in its shapes."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tasks.lab.apis.meta import KEPT_RUNS, MetaApi
from tasks.lab.apis.meta_insights import decimal
from tasks.lab.apis.server import PlatformServer
from tasks.lab.apis.tokens import Standing, Tokens
from tasks.lab.credentials import Credentials
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world

WORLD = Path(__file__).parents[1] / "platforms" / "conformance" / "world.yaml"
ACT = "act_1400000001"
DAYS = json.dumps({"since": "2026-01-20", "until": "2026-01-29"})
REPORT = {"level": "campaign", "fields": "campaign_id,impressions,spend,actions", "time_range": DAYS, "time_increment": "1"}


class Client:
    """Calls as the official SDK makes them: token and proof in the query, parameters of a POST as a form."""

    def __init__(self, server: PlatformServer, tokens: Tokens) -> None:
        self.server, self.tokens = server, tokens

    def signed(self, standing: Standing = "good") -> dict[str, str]:
        """Query of a call."""
        token, secret = self.tokens.access_token("meta", standing), self.tokens.secret("meta", "app-secret")
        return {"access_token": token, "appsecret_proof": hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()}

    def get(self, path: str, standing: Standing = "good", version: str = "v26.0", **params: Any) -> requests.Response:
        """A GET."""
        return requests.get(f"{self.server.url}/meta/{version}/{path}", params={**self.signed(standing), **params}, timeout=60)

    def post(self, path: str, standing: Standing = "good", **form: Any) -> requests.Response:
        """A POST."""
        return requests.post(f"{self.server.url}/meta/v26.0/{path}", params=self.signed(standing), data=form, timeout=60)

    def run(self, **changes: str) -> str:
        """A started report's id."""
        return str(self.post(f"{ACT}/insights", **{**REPORT, **changes}).json()["report_run_id"])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Forty days of the conformance world."""
    folder = tmp_path_factory.mktemp("meta")
    sandbox, tokens = Sandbox(folder, load_world(str(WORLD)), 7, date(2026, 1, 10), 40), Tokens(Credentials(folder))
    server = PlatformServer(sandbox, tokens, [MetaApi()])
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield Client(server, tokens)
    server.shutdown()
    server.server_close()


def _error(response: requests.Response) -> tuple[int, int, str]:
    error = response.json()["error"]
    assert error["fbtrace_id"]
    return error["code"], error.get("error_subcode", 0), error["message"]


def test_a_call_needs_token_proof_and_a_version_that_is_served(client: Client) -> None:
    """Each is refused with the platform's own code."""
    url = f"{client.server.url}/meta/v26.0/me/adaccounts"
    good = client.signed()
    assert _error(requests.get(url, timeout=60))[0] == 190
    assert _error(requests.get(url, params={**good, "access_token": "EAABnone"}, timeout=60))[:2] == (190, 0)
    assert "require an appsecret_proof" in _error(requests.get(url, params={"access_token": good["access_token"]}, timeout=60))[2]
    assert "Invalid appsecret_proof" in _error(requests.get(url, params={**good, "appsecret_proof": "0" * 64}, timeout=60))[2]
    assert _error(client.get("me/adaccounts", "expired"))[:2] == (190, 463)
    assert _error(client.get("me/adaccounts", version="v19.0"))[0] == 2635


def test_an_unknown_field_is_refused(client: Client) -> None:
    """On lists, nodes, reports and activities."""
    assert _error(client.get("me/adaccounts", fields="account_id,colour"))[0] == 100
    assert "(colour)" in _error(client.get(f"{ACT}/ads", fields="colour"))[2]
    assert "(colour)" in _error(client.get(f"{ACT}/activities", fields="colour"))[2]
    assert "colour" in _error(client.post(f"{ACT}/insights", **{**REPORT, "fields": "colour"}))[2]


def test_what_is_not_there_is_told_as_metas_one_answer_for_it(client: Client) -> None:
    """Code 100, subcode 33, whether it is gone or not for this token."""
    for response in (client.get("act_1"), client.get("123"), client.get(f"{ACT}/nothing"), client.post("123", status="PAUSED")):
        assert _error(response)[:2] == (100, 33)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"time_range": json.dumps({"since": "20260120", "until": "2026-1-29"})}, "YYYY-MM-DD"),
        ({"time_range": json.dumps({"since": "2026-01-29", "until": "2026-01-20"})}, "since must be before until"),
        ({"time_range": json.dumps({"since": "2022-12-01", "until": "2023-01-01"})}, "37 months"),
        ({"time_range": "2026-01-20"}, "time_range must be an object"),
        ({"level": "creative"}, "level must be one of"),
        ({"time_increment": "7"}, "time_increment=1"),
        ({"breakdowns": '["country","age"]'}, "combination of data breakdown columns"),
        ({"breakdowns": "country"}, "must be an array"),
        ({"action_attribution_windows": '["7d_click","28d_view"]'}, "28d_view is no longer available"),
        ({"fields": ""}, "not valid for fields"),
    ],
)
def test_a_report_that_the_platform_refuses_is_refused(client: Client, changes: dict[str, str], told: str) -> None:
    """At its start, before there is a job."""
    code, _, message = _error(client.post(f"{ACT}/insights", **{**REPORT, **changes}))
    assert code in (100, 3018)
    assert told in message


def test_37_months_back_is_still_told(client: Client) -> None:
    """The boundary itself."""
    window = json.dumps({"since": "2023-01-20", "until": "2023-01-21"})
    assert "report_run_id" in client.post(f"{ACT}/insights", **{**REPORT, "time_range": window}).json()
    early = json.dumps({"since": "2023-01-19", "until": "2023-01-21"})
    assert _error(client.post(f"{ACT}/insights", **{**REPORT, "time_range": early}))[0] == 3018


def test_a_report_is_a_job(client: Client) -> None:
    """Its rows are not there before it is looked at; then they come with string numbers and lists of actions."""
    run = client.run()
    assert "not completed" in _error(client.get(f"{run}/insights"))[2]
    state = client.get(run, fields="async_status,async_percent_completion").json()
    assert (state["async_status"], state["async_percent_completion"]) == ("Job Completed", 100)
    rows = client.get(f"{run}/insights").json()["data"]
    assert len(rows) == 10
    assert rows[0]["date_start"] == rows[0]["date_stop"] == "2026-01-20"
    assert isinstance(rows[0]["impressions"], str)
    (purchase,) = [a for a in rows[0]["actions"] if a["action_type"] == "purchase"]
    assert int(purchase["value"]) == int(purchase.get("7d_click", 0)) + int(purchase.get("1d_view", 0))


def test_a_large_report_takes_a_while(client: Client) -> None:
    """It is running at the first look."""
    run = client.run(
        level="campaign", breakdowns='["age","gender"]', time_range=json.dumps({"since": "2025-01-01", "until": "2026-02-18"})
    )
    small = [client.get(run, fields="async_status").json()["async_status"] for _ in range(2)]
    assert small == ["Job Completed", "Job Completed"], "forty days of one campaign in eighteen parts are few"
    many = json.dumps({"since": "2026-01-10", "until": "2026-02-18"})
    run = client.run(level="ad", breakdowns='["age","gender"]', time_range=many)
    assert [client.get(run, fields="async_status").json()["async_status"] for _ in range(2)] == ["Job Running", "Job Completed"]


def test_a_report_is_forgotten_after_many_others(client: Client) -> None:
    """Then it answers as one that was never there."""
    run = client.run()
    for _ in range(KEPT_RUNS):
        client.run()
    assert _error(client.get(run, fields="async_status"))[:2] == (100, 33)


def test_pages_go_on_by_cursor_and_the_next_address_holds_the_token(client: Client) -> None:
    """As on the platform: whoever logs that address logs the token."""
    run = client.run()
    client.get(run)
    first = client.get(f"{run}/insights", limit=4).json()
    assert len(first["data"]) == 4
    assert "access_token" in parse_qs(urlsplit(first["paging"]["next"]).query)
    after = first["paging"]["cursors"]["after"]
    last = client.get(f"{run}/insights", limit=6, after=after).json()
    assert len(last["data"]) == 6
    assert "next" not in last["paging"]
    assert base64.b64decode(after) == b"4"
    assert _error(client.get(f"{run}/insights", limit=5001))[0] == 100


def test_a_token_that_may_only_read_changes_nothing(client: Client) -> None:
    """Code 200; in a batch each call is refused by itself, and the batch is good."""
    ad = client.get(f"{ACT}/ads").json()["data"][0]["id"]
    assert _error(client.post(ad, "limited", status="PAUSED"))[0] == 200
    calls = [
        {"method": "POST", "relative_url": ad, "body": "status=PAUSED"},
        {"method": "GET", "relative_url": f"{ad}?fields=name"},
    ]
    answers = client.post("", "limited", batch=json.dumps(calls)).json()
    assert [a["code"] for a in answers] == [403, 200]
    assert client.get(ad, fields="configured_status").json()["configured_status"] == "ACTIVE"


def test_a_batch_has_fifty_calls_at_most(client: Client) -> None:
    """One more is refused as a whole."""
    calls = [{"method": "GET", "relative_url": ACT}] * 51
    assert "Maximum batch size is 50" in _error(client.post("", batch=json.dumps(calls)))[2]


def test_validating_makes_nothing(client: Client) -> None:
    """And refuses what would be refused."""
    ad = client.get(f"{ACT}/ads").json()["data"][0]["id"]
    only = {"execution_options": '["validate_only"]'}
    assert client.post(ad, status="PAUSED", **only).json() == {"success": True}
    assert client.get(ad, fields="configured_status").json()["configured_status"] == "ACTIVE"
    assert _error(client.post(ad, status="SLEEPING", **only))[0] == 100


@pytest.mark.parametrize(
    ("edge", "form", "told"),
    [
        ("campaigns", {"objective": "OUTCOME_SALES", "daily_budget": "2000"}, "special_ad_categories is required"),
        (
            "campaigns",
            {"objective": "CONVERSIONS", "daily_budget": "2000", "special_ad_categories": "[]"},
            "objective must be one of",
        ),
        ("campaigns", {"objective": "OUTCOME_SALES", "daily_budget": "20.5", "special_ad_categories": "[]"}, "budget is too low"),
        (
            "campaigns",
            {"objective": "OUTCOME_SALES", "special_ad_categories": "[]", "daily_budget": "2000", "status": "ACTIVE"},
            "paused",
        ),
        (
            "adsets",
            {"campaign_id": "1", "billing_event": "IMPRESSIONS", "optimization_goal": "LINK_CLICKS"},
            "targeting is required",
        ),
        (
            "adsets",
            {"campaign_id": "1", "billing_event": "IMPRESSIONS", "optimization_goal": "LINK_CLICKS", "targeting": "{}"},
            "needs a location",
        ),
        (
            "adsets",
            {
                "campaign_id": "1",
                "billing_event": "IMPRESSIONS",
                "optimization_goal": "LINK_CLICKS",
                "targeting": '{"geo_locations":{"countries":["US"]}}',
            },
            "Advantage audience flag required",
        ),
        ("ads", {"adset_id": "1", "creative": '{"object_story_spec":{"page_id":"5"}}'}, "page does not exist"),
        ("ads", {"adset_id": "1", "creative": '{"object_story_spec":{"page_id":"104000000000001"}}'}, "needs a destination"),
    ],
)
def test_a_new_entity_must_be_whole(client: Client, edge: str, form: dict[str, str], told: str) -> None:
    """What Meta asks of each kind."""
    assert told in _error(client.post(f"{ACT}/{edge}", **{"name": "x", "status": "PAUSED", **form}))[2]


def test_throttling_names_its_wait_in_minutes_or_seconds() -> None:
    """Whole minutes in the business header, anything else in the account's."""
    minutes, seconds = MetaApi().throttled(180), MetaApi().throttled(7)
    assert json.loads(minutes.headers["X-Business-Use-Case-Usage"])["1"][0]["estimated_time_to_regain_access"] == 3
    assert json.loads(seconds.headers["X-Ad-Account-Usage"])["reset_time_duration"] == 7


@pytest.mark.parametrize(("micros", "text"), [(0, "0"), (1_070_000, "1.07"), (12_000_000, "12"), (1, "0.000001")])
def test_amounts_are_written_exactly(micros: int, text: str) -> None:
    """No float on the way."""
    assert decimal(micros) == text
