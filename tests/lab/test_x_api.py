"""What X's API refuses, its sandbox refuses."""

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from api_lab import ApiLab, api_lab
from requests_oauthlib import OAuth1

from tasks.lab.apis.tokens import Standing
from tasks.lab.apis.x import XApi

ACCOUNT = "18ce5conf01"  # New York: midnight is 05:00 UTC in winter
WINDOW = {"start_time": "2026-01-20T05:00:00Z", "end_time": "2026-01-23T05:00:00Z"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiLab]:
    """One market for the file."""
    with api_lab(XApi(), tmp_path_factory.mktemp("x")) as made:
        yield made


def _signer(lab: ApiLab, standing: Standing = "good", **changed: str) -> OAuth1:
    keys = XApi().credentials(lab.server.context.tokens, standing) | changed
    return OAuth1(keys["consumer_key"], keys["consumer_secret"], keys["access_token"], keys["access_token_secret"])


def _ask(lab: ApiLab, method: str, path: str, standing: Standing = "good", **params: str) -> tuple[int, Any]:
    answer = lab.ask(method, f"/12{path}", params=params, auth=_signer(lab, standing))
    return answer.status_code, answer.json()


def _refused(lab: ApiLab, method: str, path: str, standing: Standing = "good", **params: str) -> tuple[int, str]:
    status, body = _ask(lab, method, path, standing, **params)
    return status, body["errors"][0]["code"]


def _job(lab: ApiLab, **changed: str) -> dict[str, str]:
    ad = lab.server.context.view(ACCOUNT, "x").ads()[0].id
    good = {"entity": "PROMOTED_TWEET", "entity_ids": ad, "granularity": "DAY", "placement": "ALL_ON_TWITTER"}
    return good | {"metric_groups": "ENGAGEMENT,BILLING"} | WINDOW | changed


def test_a_call_needs_a_signature(lab: ApiLab) -> None:
    """None, a wrong secret, a wrong key, a token nobody gave out, one that was revoked."""
    assert lab.ask("GET", "/12/accounts").json()["errors"][0]["code"] == "UNAUTHORIZED_ACCESS"
    codes = {
        "consumer_secret": 32,
        "access_token_secret": 32,
        "consumer_key": 32,
        "access_token": 89,
    }
    for name, code in codes.items():
        answer = lab.ask("GET", "/12/accounts", auth=_signer(lab, **{name: "0" * 40}))
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, code), name
    assert lab.ask("GET", "/12/accounts", auth=_signer(lab, "expired")).json()["errors"][0]["code"] == 89
    assert lab.ask("GET", "/12/accounts", auth=_signer(lab)).status_code == 200


def test_a_signature_is_good_for_what_it_signed_and_once(lab: ApiLab) -> None:
    """Other parameters under it, or the same call again, are refused."""
    signed = requests.Request("GET", f"{lab.url}/12/accounts", params={"count": "1"}, auth=_signer(lab)).prepare()
    with requests.Session() as session:
        session.trust_env = False
        assert session.send(signed, timeout=300).status_code == 200
        assert session.send(signed, timeout=300).json()["errors"][0]["code"] == 32
        other = requests.Request("GET", f"{lab.url}/12/accounts", params={"count": "1"}, auth=_signer(lab)).prepare()
        other.url = str(other.url).replace("count=1", "count=2")
        assert session.send(other, timeout=300).json()["errors"][0]["code"] == 32


def test_an_old_signature_is_refused(lab: ApiLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than five minutes off."""
    signer = _signer(lab)
    monkeypatch.setattr("oauthlib.oauth1.rfc5849.generate_timestamp", lambda: "1700000000")
    assert lab.ask("GET", "/12/accounts", auth=signer).json()["errors"][0]["code"] == 135


def test_old_versions_are_gone(lab: ApiLab) -> None:
    """Ten has ended."""
    answer = lab.ask("GET", "/10/accounts", auth=_signer(lab))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "ROUTE_NOT_FOUND")


def test_pages_lead_on(lab: ApiLab) -> None:
    """By cursor, with at most a thousand rows."""
    path, seen, cursor = f"/accounts/{ACCOUNT}/promoted_tweets", [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        _, body = _ask(lab, "GET", path, count="1", **more)
        seen += [row["id"] for row in body["data"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) > 1
    assert _refused(lab, "GET", path, count="1001") == (400, "INVALID_PARAMETER")


def test_a_job_is_served(lab: ApiLab) -> None:
    """Made, looked at, and its file holds arrays of as many numbers as days."""
    _, made = _ask(lab, "POST", f"/stats/jobs/accounts/{ACCOUNT}", **_job(lab))
    _, state = _ask(lab, "GET", f"/stats/jobs/accounts/{ACCOUNT}", job_ids=made["data"]["id_str"])
    (job,) = state["data"]
    assert job["status"] == "SUCCESS"
    with requests.Session() as session:
        session.trust_env = False
        packed = session.get(job["url"], timeout=300)
        signed = session.get(job["url"], timeout=300, auth=_signer(lab))
    body = json.loads(gzip.decompress(packed.content))
    assert (body["time_series_length"], len(body["data"][0]["id_data"][0]["metrics"]["impressions"])) == (3, 3)
    assert signed.status_code == 400


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"entity_ids": ",".join(str(n) for n in range(21))}, "INVALID_PARAMETER"),
        ({"entity": "AD"}, "INVALID_PARAMETER"),
        ({"placement": "EVERYWHERE"}, "INVALID_PARAMETER"),
        ({"metric_groups": "SPEND"}, "INVALID_PARAMETER"),
        ({"metric_groups": ""}, "MISSING_PARAMETER"),
        ({"segmentation_type": "LOCATIONS"}, "INVALID_PARAMETER"),
        ({"segmentation_type": "AGE", "metric_groups": "WEB_CONVERSION"}, "INVALID_PARAMETER"),
        ({"segmentation_type": "METROS"}, "INVALID_PARAMETER"),
        ({"start_time": "2026-01-20T00:00:00Z"}, "INVALID_PARAMETER"),
        ({"end_time": "2026-01-23T06:00:00Z"}, "INVALID_PARAMETER"),
        ({"start_time": "yesterday"}, "INVALID_PARAMETER"),
        ({"end_time": "2026-01-20T05:00:00Z"}, "INVALID_TIME_WINDOW"),
        ({"start_time": "2025-10-23T04:00:00Z"}, "INVALID_TIME_WINDOW"),
        ({"start_time": "2025-12-08T05:00:00Z", "segmentation_type": "PLATFORMS"}, "INVALID_TIME_WINDOW"),
    ],
)
def test_a_job_is_refused(lab: ApiLab, changed: dict[str, str], code: str) -> None:
    """Too many entities, unknown words, a segment that is gone, an instant that is no midnight there, a window too long."""
    assert _refused(lab, "POST", f"/stats/jobs/accounts/{ACCOUNT}", **_job(lab, **changed)) == (400, code)


def test_ninety_days_are_counted_in_hours(lab: ApiLab) -> None:
    """Ninety days over the end of summer time are an hour too many; over its beginning they fit."""
    path = f"/stats/accounts/{ACCOUNT}/active_entities"
    autumn = {"start_time": "2025-10-01T04:00:00Z", "end_time": "2025-12-30T05:00:00Z"}
    assert _refused(lab, "GET", path, entity="CAMPAIGN", **autumn) == (400, "INVALID_TIME_WINDOW")
    spring = {"start_time": "2026-02-01T05:00:00Z", "end_time": "2026-05-02T04:00:00Z"}
    assert _ask(lab, "GET", path, entity="CAMPAIGN", **spring)[0] == 200


def test_a_hundred_jobs_at_a_time(lab: ApiLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is one too many while they are processed."""
    stats = lab.api.stats
    monkeypatch.setattr(stats, "polls", 1)
    monkeypatch.setattr("tasks.lab.apis.x_stats.MAX_JOBS", 2)
    answers = [_ask(lab, "POST", f"/stats/jobs/accounts/{ACCOUNT}", **_job(lab)) for _ in range(3)]
    assert [status for status, _ in answers] == [200, 200, 429]
    ids = ",".join(body["data"]["id_str"] for _, body in answers[:2])
    states = [_ask(lab, "GET", f"/stats/jobs/accounts/{ACCOUNT}", job_ids=ids)[1]["data"] for _ in range(2)]
    assert [{job["status"] for job in state} for state in states] == [{"PROCESSING"}, {"SUCCESS"}]


def test_a_file_expires(lab: ApiLab) -> None:
    """After two days, and one of no job never was."""
    _, made = _ask(lab, "POST", f"/stats/jobs/accounts/{ACCOUNT}", **_job(lab))
    job = lab.api.stats._made[made["data"]["id"]]
    path = f"/advertiser-api-async-analytics/stats_job_{job.id}.json.gz"
    assert lab.ask("GET", path).status_code == 200
    job.created_at -= timedelta(days=3)
    assert lab.ask("GET", path).status_code == 404
    assert lab.ask("GET", "/advertiser-api-async-analytics/stats_job_1.json.gz").status_code == 404


def test_a_promoted_tweet_cannot_be_updated(lab: ApiLab) -> None:
    """There is no such call."""
    ad = lab.server.context.view(ACCOUNT, "x").ads()[0].id
    path = f"/accounts/{ACCOUNT}/promoted_tweets/{ad}"
    assert _refused(lab, "PUT", path, entity_status="PAUSED") == (405, "METHOD_NOT_ALLOWED")


def test_creation_needs_a_role_and_its_fields(lab: ApiLab) -> None:
    """An analyst may not, a field is named that is missing, and what stands above must be there."""
    campaign = {
        "name": "x",
        "funding_instrument_id": f"f{ACCOUNT}",
        "daily_budget_amount_local_micro": "1",
        "entity_status": "PAUSED",
    }
    path = f"/accounts/{ACCOUNT}"
    assert _refused(lab, "POST", f"{path}/campaigns", "limited", **campaign) == (403, "ACTION_NOT_ALLOWED")
    assert _refused(lab, "POST", f"{path}/campaigns", **campaign | {"name": ""}) == (400, "MISSING_PARAMETER")
    wrong = campaign | {"funding_instrument_id": "f1"}
    assert _refused(lab, "POST", f"{path}/campaigns", **wrong) == (404, "FUNDING_INSTRUMENT_NOT_FOUND")
    item = {"campaign_id": "1", "objective": "WEBSITE_CLICKS", "placements": "ALL_ON_TWITTER", "product_type": "PROMOTED_TWEETS"}
    item |= {"start_time": "2026-03-01T00:00:00Z", "entity_status": "PAUSED"}
    assert _refused(lab, "POST", f"{path}/line_items", **item) == (404, "CAMPAIGN_NOT_FOUND")
    own = {"campaign_id": lab.server.context.view(ACCOUNT, "x").campaigns()[0].id, "objective": "FAME"}
    assert _refused(lab, "POST", f"{path}/line_items", **item | own) == (400, "INVALID_PARAMETER")
    group = lab.server.context.view(ACCOUNT, "x").ad_groups()[0].id
    assert _refused(lab, "POST", f"{path}/promoted_tweets", line_item_id=group, tweet_ids="1") == (404, "TWEET_NOT_FOUND")
