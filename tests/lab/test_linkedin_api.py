"""What LinkedIn's API refuses, its sandbox refuses."""

from collections.abc import Iterator
from typing import Any

import pytest
from api_lab import ApiLab, api_lab

from tasks.lab.apis.linkedin import LinkedInApi
from tasks.lab.apis.tokens import Standing

ACCOUNT = "508000001"
URN = f"urn%3Ali%3AsponsoredAccount%3A{ACCOUNT}"
DAYS = "(start:(year:2026,month:1,day:20),end:(year:2026,month:1,day:21))"
GOOD = (
    f"q=analytics&pivot=CREATIVE&timeGranularity=DAILY&dateRange={DAYS}&accounts=List({URN})&fields=dateRange,pivotValues,clicks"
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiLab]:
    """One market for the file."""
    with api_lab(LinkedInApi(), tmp_path_factory.mktemp("linkedin")) as made:
        yield made


def _headers(lab: ApiLab, standing: Standing = "good", **changed: str | None) -> dict[str, str]:
    token = lab.server.context.tokens.access_token("linkedin", standing)
    headers = {"LinkedIn-Version": "202606", "X-Restli-Protocol-Version": "2.0.0", "Authorization": f"Bearer {token}"}
    return {name: value for name, value in (headers | changed).items() if value is not None}


def _get(lab: ApiLab, path: str, **headers: str | None) -> tuple[int, Any]:
    answer = lab.ask("GET", path, headers=_headers(lab, **headers))
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"LinkedIn-Version": None}, 400, "VERSION_MISSING"),
        ({"LinkedIn-Version": "202306"}, 426, "NONEXISTENT_VERSION"),
        ({"LinkedIn-Version": "202613"}, 426, "NONEXISTENT_VERSION"),
        ({"X-Restli-Protocol-Version": "1.0.0"}, 400, "ILLEGAL_ARGUMENT"),
        ({"Authorization": "Bearer nonsense"}, 401, "INVALID_ACCESS_TOKEN"),
    ],
)
def test_headers_are_needed(lab: ApiLab, changed: dict[str, str | None], status: int, code: str) -> None:
    """Version, protocol and token, each with LinkedIn's own code."""
    got, body = _get(lab, "/rest/adAccounts?q=search", **changed)
    assert (got, body["code"]) == (status, code)


def test_a_report_is_served(lab: ApiLab) -> None:
    """The query that the refusals below are cut from is good."""
    status, body = _get(lab, f"/rest/adAnalytics?{GOOD}")
    assert status == 200
    (first, *_) = body["elements"]
    assert set(first) == {"dateRange", "pivotValues", "clicks"}
    assert first["pivotValues"][0].startswith("urn:li:sponsoredCreative:")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (DAYS, DAYS.replace("(", "%28").replace(")", "%29")),
        (DAYS, "2026-01-20"),
        ("day:21", "day:19"),
        (URN, URN.replace("%3A", ":")),
        (f"List({URN})", URN),
        (f"&accounts=List({URN})", ""),
        ("clicks", "clicks,spend"),
        ("clicks", "clicks," * 20 + "clicks"),
        ("pivot=CREATIVE", "pivot=KEYWORD"),
        ("DAILY", "HOURLY"),
        ("q=analytics", "q=search"),
    ],
)
def test_a_report_is_refused(lab: ApiLab, was: str, becomes: str) -> None:
    """Escaped parentheses, bare colons in a list, another date form, unknown or too many metrics, no facet."""
    assert was in GOOD
    status, body = _get(lab, f"/rest/adAnalytics?{GOOD.replace(was, becomes)}")
    assert status == 400, body


def test_an_answer_is_cut_without_a_word(lab: ApiLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is above the limit is missing and nothing says so."""
    monkeypatch.setattr("tasks.lab.apis.linkedin_analytics.MAX_ELEMENTS", 3)
    status, body = _get(lab, f"/rest/adAnalytics?{GOOD}")
    assert (status, len(body["elements"])) == (200, 3)
    assert body["paging"]["links"] == []


def test_pages_have_a_largest_size(lab: ApiLab) -> None:
    """A thousand accounts or campaigns, a hundred creatives."""
    for path, finder, most in (("adCampaigns", "search", 1000), ("creatives", "criteria", 100)):
        target = f"/rest/adAccounts/{ACCOUNT}/{path}?q={finder}&pageSize="
        assert _get(lab, f"{target}{most}")[0] == 200
        assert _get(lab, f"{target}{most + 1}")[0] == 400


def test_pages_lead_on(lab: ApiLab) -> None:
    """The token of a page leads to the next; the last has none."""
    target = f"/rest/adAccounts/{ACCOUNT}/creatives?q=criteria&pageSize=1"
    seen, token = [], ""
    while token is not None:
        _, body = _get(lab, target + (f"&pageToken={token}" if token else ""))
        seen += [row["id"] for row in body["elements"]]
        token = body["metadata"].get("nextPageToken")
    assert len(seen) == len(set(seen)) > 1


def test_only_rw_ads_may_write(lab: ApiLab) -> None:
    """The message names what was missing."""
    answer = lab.ask("POST", f"/rest/adAccounts/{ACCOUNT}/adCampaignGroups", headers=_headers(lab, "limited"), json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "ACCESS_DENIED")
    assert "CREATE" in answer.json()["message"]


@pytest.mark.parametrize(
    "content",
    [
        {"reference": "https://example.test/post"},
        {"textAd": {"headline": "x" * 26, "description": "x", "landingPage": "https://x.test"}},
        {"textAd": {"headline": "x", "description": "x"}},
    ],
)
def test_a_creative_needs_content(lab: ApiLab, content: dict[str, Any]) -> None:
    """A post's URN, or a text ad within the lengths."""
    groups = lab.server.context.view(ACCOUNT, "linkedin").ad_groups()
    body = {"campaign": f"urn:li:sponsoredCampaign:{groups[0].id}", "intendedStatus": "DRAFT", "content": content}
    answer = lab.ask("POST", f"/rest/adAccounts/{ACCOUNT}/creatives", headers=_headers(lab), json=body)
    assert answer.status_code == 400


def test_a_budget_is_in_the_currency_of_the_account(lab: ApiLab) -> None:
    """As on the platform."""
    group = lab.server.context.view(ACCOUNT, "linkedin").campaigns()[0].id
    money = {"amount": "20", "currencyCode": "EUR"}
    named = ("account", "name", "type", "costType", "locale", "runSchedule", "unitCost", "politicalIntent")
    texts = dict.fromkeys(named, "x")
    body = texts | {"status": "DRAFT", "dailyBudget": money, "campaignGroup": f"urn:li:sponsoredCampaignGroup:{group}"}
    answer = lab.ask("POST", f"/rest/adAccounts/{ACCOUNT}/adCampaigns", headers=_headers(lab), json=body)
    assert answer.status_code == 400
    assert "EUR" in answer.json()["message"]


def test_an_update_is_partial(lab: ApiLab) -> None:
    """Without the Rest.li method a POST on a creative is refused; a creative that is not there is 404."""
    ad = lab.server.context.view(ACCOUNT, "linkedin").ads()[0].id
    body = {"patch": {"$set": {"intendedStatus": "PAUSED"}}}
    target = f"/rest/adAccounts/{ACCOUNT}/creatives/urn%3Ali%3AsponsoredCreative%3A"
    assert lab.ask("POST", f"{target}{ad}", headers=_headers(lab), json=body).status_code == 400
    partial = _headers(lab) | {"X-RestLi-Method": "PARTIAL_UPDATE"}
    assert lab.ask("POST", f"{target}1", headers=partial, json=body).status_code == 404


def test_members_in_small_numbers_are_left_out(lab: ApiLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a country with fewer than three members nothing is told."""
    query = GOOD.replace("CREATIVE", "MEMBER_COUNTRY_V2")
    whole = _get(lab, f"/rest/adAnalytics?{query}")[1]["elements"]
    monkeypatch.setattr("tasks.lab.apis.linkedin_analytics.FEWEST_MEMBERS", 10**9)
    assert len(whole) == 6
    assert _get(lab, f"/rest/adAnalytics?{query}")[1]["elements"] == []
