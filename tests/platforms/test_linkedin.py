"""What is particular about LinkedIn: Rest.li, cut answers, conversion rules with windows of their own, tokens, retention."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from api_lab import DAY, ApiLab, api_lab, morning, processor_seconds

from tasks.core.errors import JobError, TryAgain
from tasks.lab.apis.linkedin import LinkedInApi
from tasks.lab.apis.server import Response
from tasks.lab.files import write_private
from tasks.platforms.base import Account, AdStatus, Skeleton
from tasks.platforms.calls import CallError, Kind
from tasks.platforms.linkedin import LinkedInPlatform, adapter

ACTIONS, CAMPAIGNS, ADS = "ads.ads_action_performance", "ads.ads_campaign_performance", "ads.ads_ad_performance"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiLab]:
    """One market for the file."""
    with api_lab(LinkedInApi(), tmp_path_factory.mktemp("linkedin")) as made:
        yield made


@pytest.fixture
def lab(served: ApiLab, monkeypatch: pytest.MonkeyPatch) -> ApiLab:
    """With nothing noted, and the market's morning for a clock."""
    served.waits.clear()
    served.api.seen.clear()
    served.api.instead.clear()
    monkeypatch.setenv("AELP2_NOW", morning(served.today))
    return served


def _load(platform: Any, lab: ApiLab, days: int = 10) -> tuple[Account, Any]:
    account = platform.accounts()[0]
    return account, platform.reports(account, lab.today - days * DAY, lab.today - DAY, run_date=lab.today)


def test_levels_are_those_of_connectors(lab: ApiLab) -> None:
    """Campaign group is campaign, campaign is ad group, creative is ad with the post as its creative."""
    platform = lab.platform(LinkedInPlatform)
    _, got = _load(platform, lab)
    ad = got.frames[ADS].row(0, named=True)
    view = lab.server.context.view(ad["account_id"], "linkedin")
    node = next(n for n in view.ads() if n.id == ad["ad_id"])
    assert (ad["adgroup_id"], ad["campaign_id"], ad["creative_id"]) == (
        node.parent_id,
        node.campaign_id,
        f"urn:li:share:{node.id}",
    )


def test_an_answer_that_is_full_is_asked_again_in_halves(lab: ApiLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are those of an answer that was not cut, and no day is asked for twice over."""
    whole = _load(lab.platform(LinkedInPlatform), lab, 16)[1]
    lab.api.seen.clear()
    monkeypatch.setattr("tasks.lab.apis.linkedin_analytics.MAX_ELEMENTS", 12)
    monkeypatch.setattr(adapter, "MAX_ELEMENTS", 12)
    split = _load(lab.platform(LinkedInPlatform), lab, 16)[1]
    for table in (CAMPAIGNS, ADS, ACTIONS):
        assert split.frames[table].drop("loaded_at").equals(whole.frames[table].drop("loaded_at"))
    assert sum(path.endswith("/adAnalytics") for _, path in lab.paths()) > 10


def test_a_day_that_is_full_by_itself_is_an_error(lab: ApiLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather no numbers than fewer than there are."""
    monkeypatch.setattr("tasks.lab.apis.linkedin_analytics.MAX_ELEMENTS", 2)
    monkeypatch.setattr(adapter, "MAX_ELEMENTS", 2)
    with pytest.raises(JobError, match="one day"):
        _load(lab.platform(LinkedInPlatform), lab)


def test_windows_are_those_of_the_conversion_rules(lab: ApiLab) -> None:
    """Clicks and views are rows of their own with the rule's days; delivery says both; the value is told only together."""
    _, got = _load(lab.platform(LinkedInPlatform), lab, 30)
    actions = got.frames[ACTIONS]
    assert set(actions.filter(action_type="purchase")["attribution_window"]) == {"30d_click", "1d_view"}
    assert set(actions.filter(action_type="lead_form")["attribution_window"]) == {"inline"}
    assert actions["revenue_micros"].null_count() == actions.height
    assert got.frames[ADS]["attribution_window"].unique().to_list() == ["30d_click_1d_view"]
    assert actions.filter(action_type="purchase")["actions"].sum() == got.frames[ADS]["conversions"].sum()


RULE = {"name": "x", "enabled": True, "postClickAttributionWindowSize": 30, "viewThroughAttributionWindowSize": 1}


def test_rules_of_two_windows_are_not_given_one_name(lab: ApiLab) -> None:
    """Delivery says that each rule has its own, and their actions keep theirs; a rule switched off does not matter."""
    rules = [
        RULE | {"id": 104_004, "type": "PURCHASE"},
        RULE | {"id": 3, "type": "LEAD", "enabled": False, "viewThroughAttributionWindowSize": 7},
    ]
    other = RULE | {"id": 2, "type": "PURCHASE", "postClickAttributionWindowSize": 90}
    for told, said in ((rules, "30d_click_1d_view"), ([*rules, other], "per_conversion_rule")):
        lab.api.instead["/conversions"] = [Response(200, {"elements": told}), Response(200, {"elements": []})]
        _, got = _load(lab.platform(LinkedInPlatform), lab)
        assert got.frames[CAMPAIGNS]["attribution_window"].unique().to_list() == [said]


def test_two_rules_of_one_type_and_window_are_counted_together(lab: ApiLab) -> None:
    """They are one action; with another window they are two. A row that came twice counts once."""
    platform = lab.platform(LinkedInPlatform)
    account, day = platform.accounts()[0], {"year": 2026, "month": 2, "day": 1}
    common = {"dateRange": {"start": day, "end": day}, "externalWebsitePostViewConversions": 0}
    rows = [
        common
        | {
            "pivotValues": ["urn:li:sponsoredCreative:7", f"urn:lla:llaPartnerConversion:{n}"],
            "externalWebsitePostClickConversions": 10**n,
        }
        for n in (0, 1, 1, 2)
    ]
    rules = [RULE | {"id": n, "type": "PURCHASE", "postClickAttributionWindowSize": [30, 30, 90][n]} for n in range(3)]
    lab.api.instead["/conversions"] = [Response(200, {"elements": rules}), Response(200, {"elements": []})]
    lab.api.instead["/adAnalytics"] = [Response(200, {"elements": rows}), Response(200, {"elements": []})]
    actions = platform._actions(account, lab.today, lab.today)
    assert actions.select("action_type", "attribution_window", "actions").rows() == [
        ("purchase", "30d_click", 11.0),
        ("purchase", "90d_click", 100.0),
    ]


def test_a_rule_that_is_gone_has_no_known_window(lab: ApiLab) -> None:
    """What it counted stays, click and view together, as `default`."""
    lab.api.instead["/conversions"] = [Response(200, {"elements": []})]
    _, got = _load(lab.platform(LinkedInPlatform), lab, 30)
    gone = got.frames[ACTIONS].filter(action_type="conversion")
    assert gone["attribution_window"].unique().to_list() == ["default"]
    assert gone["actions"].sum() == got.frames[ADS]["conversions"].sum() > 0


def test_days_that_linkedin_no_longer_tells_are_not_covered(lab: ApiLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load replaces the days it covers: days that came empty because they are too old must not wipe what is stored."""
    platform = lab.platform(LinkedInPlatform)
    account = platform.accounts()[0]
    start, end = lab.sandbox.market.start - 20 * DAY, lab.sandbox.market.start + 4 * DAY
    young = platform.reports(account, start, end, run_date=lab.today)
    assert young.windows[CAMPAIGNS] == (start, end)
    monkeypatch.setenv("AELP2_NOW", morning(end + 400 * DAY))
    old = platform.reports(account, start, end, run_date=lab.today)
    assert old.windows[CAMPAIGNS] == (lab.sandbox.market.start, end)
    assert old.frames[ADS].height == young.frames[ADS].height
    nothing = platform.reports(account, start, start + 5 * DAY, run_date=lab.today)
    assert (nothing.frames, nothing.windows) == ({}, {})


def test_a_row_of_more_than_a_day_is_refused(lab: ApiLab) -> None:
    """Old days may come back as months: their numbers belong to no day."""
    day = {"year": 2026, "month": 1, "day": 1}
    row = {"dateRange": {"start": day, "end": day | {"day": 31}}, "pivotValues": ["urn:li:sponsoredCampaignGroup:9031"]}
    lab.api.instead["/adAnalytics"] = [Response(200, {"elements": [row]})]
    with pytest.raises(JobError, match="more than a day"):
        _load(lab.platform(LinkedInPlatform), lab)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "EXPIRED_ACCESS_TOKEN", Kind.EXPIRED),
        (401, "REVOKED_ACCESS_TOKEN", Kind.EXPIRED),
        (401, "INVALID_ACCESS_TOKEN", Kind.SIGN_IN),
        (403, "ACCESS_DENIED", Kind.PERMISSION),
        (426, "NONEXISTENT_VERSION", Kind.VERSION),
        (400, "PARAM_INVALID", Kind.REQUEST),
        (404, "RESOURCE_NOT_FOUND", Kind.REQUEST),
    ],
)
def test_codes_are_told_apart(lab: ApiLab, status: int, code: str, kind: Kind) -> None:
    """Each with LinkedIn's message and request id, none retried."""
    refusal = Response(status, {"status": status, "code": code, "message": "because"}, {"X-LI-UUID": "u-1"})
    lab.api.instead["/rest/adAccounts"] = [refusal] * 2
    with pytest.raises(CallError, match=rf"{code}: because \(request id u-1\)") as raised:
        lab.platform(LinkedInPlatform).accounts()
    assert raised.value.failure.kind is kind
    assert lab.waits == []


def test_an_expired_access_token_is_renewed_once(lab: ApiLab) -> None:
    """The refresh token gets another, and the call is made again."""
    lab.api.instead["/rest/adAccounts"] = [LinkedInApi().expired()]
    assert len(lab.platform(LinkedInPlatform).accounts()) == 2
    assert [path for _, path in lab.paths()].count("/oauth/v2/accessToken") == 2


def test_a_spent_day_is_waited_for_until_midnight(lab: ApiLab) -> None:
    """Without Retry-After a quota is new at midnight UTC: 18 hours after six o'clock, too long for a job."""
    refusal = Response(429, {"status": 429, "code": "TOO_MANY_REQUESTS", "message": "DAY limit"})
    lab.api.instead["/rest/adAccounts"] = [refusal]
    with pytest.raises(TryAgain, match="64800 s"):
        lab.platform(LinkedInPlatform).accounts()
    lab.api.instead["/rest/adAccounts"] = [Response(refusal.status, refusal.body, {"Retry-After": "9"})]
    assert lab.platform(LinkedInPlatform).accounts()
    assert lab.waits == [9.0]


def _home(lab: ApiLab, folder: Path, **changes: str | None) -> Path:
    good = yaml.safe_load((lab.folder / "credentials" / "linkedin.yaml").read_text()) | changes
    folder.mkdir(mode=0o700)
    write_private(folder / "linkedin.yaml", yaml.safe_dump({k: v for k, v in good.items() if v is not None}))
    return folder


def test_an_app_without_refresh_signs_in_with_an_access_token(lab: ApiLab, tmp_path: Path) -> None:
    """Its own sixty days are told; when it runs out nothing is tried but to say so."""
    tokens = lab.server.context.tokens
    good = _home(lab, tmp_path / "good", refresh_token=None, access_token=tokens.access_token("linkedin"))
    access = lab.platform(LinkedInPlatform, home=good).check_access()
    assert 58 <= (access.expires_at.date() - lab.today).days <= 60
    old = _home(lab, tmp_path / "old", refresh_token=None, access_token=tokens.access_token("linkedin", "expired"))
    for call in ("check_access", "accounts"):
        with pytest.raises(CallError) as raised:
            getattr(lab.platform(LinkedInPlatform, home=old), call)()
        assert raised.value.failure.kind is Kind.EXPIRED


def test_a_refresh_token_tells_its_own_year(lab: ApiLab) -> None:
    """Not the sixty days of what it gets."""
    access = lab.platform(LinkedInPlatform).check_access()
    assert 360 <= (access.expires_at.date() - lab.today).days <= 365
    assert set(access.granted) == {"r_ads", "r_ads_reporting", "rw_ads"}


def test_no_token_at_all_is_said(lab: ApiLab, tmp_path: Path) -> None:
    """One of the two is needed."""
    with pytest.raises(JobError, match="neither refresh_token nor access_token"):
        lab.platform(LinkedInPlatform, home=_home(lab, tmp_path / "none", refresh_token=None)).accounts()


def test_a_missing_scope_is_named(lab: ApiLab) -> None:
    """Reading works without rw_ads; what is missing stands in LinkedIn's own word."""
    assert lab.platform(LinkedInPlatform, "limited").check_access().missing == ("rw_ads",)


def test_no_secret_is_in_an_error_or_a_log(lab: ApiLab, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of LinkedIn's refusal nor of a broken connection."""
    caplog.set_level("DEBUG")
    secrets = yaml.safe_load((lab.folder / "credentials" / "linkedin.yaml").read_text())
    told = []
    for change in ({"client_secret": "0" * 40}, {"refresh_token": "0" * 40}):
        with pytest.raises(CallError) as raised:
            lab.platform(LinkedInPlatform, home=_home(lab, tmp_path / next(iter(change)), **change)).accounts()
        told.append(str(raised.value))
    lab.api.instead["/accessToken"] = [Response(503, b"")] * 9
    with pytest.raises(TryAgain) as lost:
        lab.platform(LinkedInPlatform).accounts()
    text = " ".join([*told, str(lost.value), caplog.text])
    assert not any(value in text for value in [*secrets.values(), lab.server.context.tokens.access_token("linkedin")])


def test_a_refused_creative_fails_alone(lab: ApiLab) -> None:
    """The others are set; LinkedIn's reason stands in the row."""
    platform = lab.platform(LinkedInPlatform)
    account = platform.accounts()[0].account_id
    ads = lab.server.context.view(account, "linkedin").ads()[:2]
    refusal = Response(400, {"status": 400, "code": "CREATIVE_LOCKED", "message": "under review"})
    lab.api.instead[f"Creative%3A{ads[0].id}"] = [refusal]
    wish = [AdStatus(f"c{n}", ad.parent_id, ad.id, "PAUSED") for n, ad in enumerate(ads)]
    receipt = platform.set_ad_statuses(account, wish, validate_only=False)
    assert [o.ok for o in receipt.outcomes] == [False, True]
    assert "CREATIVE_LOCKED" in str(receipt.outcomes[0].error)
    assert receipt.request_id
    back = [AdStatus("c", ads[1].parent_id, ads[1].id, "ENABLED")]
    assert platform.set_ad_statuses(account, back, validate_only=False).outcomes[0].ok


def test_a_skeleton_is_a_text_ad_in_draft(lab: ApiLab) -> None:
    """Its creative holds the landing page; budget in the account's currency, exact."""
    platform = lab.platform(LinkedInPlatform)
    account = platform.accounts()[1]
    wish = Skeleton("aelp2-x", "https://shop.example.test/?utm_source=linkedin", 20_500_000)
    made = platform.create_skeleton(account.account_id, wish, validate_only=False)
    told = {m.kind: m.fields for m in lab.sandbox.made if m.account_id == account.account_id}
    assert (told["campaign"]["status"], told["adgroup"]["status"], told["ad"]["intendedStatus"]) == ("PAUSED", "DRAFT", "DRAFT")
    assert told["adgroup"]["dailyBudget"] == {"amount": "20.500000", "currencyCode": "EUR"}
    assert told["ad"]["content"]["textAd"]["landingPage"] == wish.landing_url
    (ad,) = platform.read_ads(account.account_id, [made.adgroup_id])
    assert (ad.ad_id, ad.status) == (made.ad_id, "PAUSED")


def test_rows_become_columns_fast(lab: ApiLab) -> None:
    """From decoded elements to a typed frame in no more than one and a half times what decoding their JSON takes."""
    day = {"year": 2026, "month": 1, "day": 5}
    numbers = {column.path: 12 for column in (*adapter._NUMBERS, *adapter._VIDEO)}
    money = {"costInLocalCurrency": "12.345678", "conversionValueInLocalCurrency": "0.000001"}
    rows = [
        {"dateRange": {"start": day, "end": day}, "pivotValues": [f"urn:li:sponsoredCreative:{n}"]} | numbers | money
        for n in range(60_000)
    ]
    platform = lab.platform(LinkedInPlatform)
    platform._elements = lambda *_: rows
    account = Account("linkedin", "1", "", "USD", "UTC", "ENABLED")
    platform._rules_read["1"] = {}
    text = json.dumps(rows)
    frame = platform._delivery(account, "ad", lab.today, lab.today)
    shaping = processor_seconds(lambda: platform._delivery(account, "ad", lab.today, lab.today))
    ratio = shaping / processor_seconds(lambda: json.loads(text))
    assert frame["cost_micros"].unique().to_list() == [12_345_678]
    assert frame["revenue_micros"].sum() == 60_000
    assert isinstance(frame, pl.DataFrame)
    assert ratio <= 1.5, f"{ratio:.2f}"
