"""Access, statuses, skeletons and settings of the Meta adapter, over its sandbox API."""

import logging
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from meta_lab import DAY, EU, US, Lab

from tasks.core.errors import JobError, TryAgain
from tasks.lab.apis.server import Response
from tasks.platforms import ADAPTERS
from tasks.platforms.base import AdStatus, AmbiguousMutationError, Skeleton
from tasks.platforms.calls import CallError, Kind
from tasks.platforms.meta.failures import failure_of
from tasks.platforms.meta.graph import API_VERSION, GraphApi
from tasks.platforms.meta.money import micros_of, minor_of

WISH = Skeleton("aelp2-meta-1", "https://shop.example.test/?utm_source=meta&utm_campaign=aelp2-meta-1", 20_000_000)


def _debug_token(lab: Lab, monkeypatch: pytest.MonkeyPatch, **data: Any) -> None:
    """Make the sandbox tell this of the token."""
    answer = lab.api._route

    def route(call: Any, context: Any) -> Any:
        found = answer(call, context)
        if call.path == ("debug_token",):
            found.body["data"].update(data)
        return found

    monkeypatch.setattr(lab.api, "_route", route)


def test_the_api_version_is_the_sdks() -> None:
    """A newer SDK brings a newer version: whoever raises one raises the other."""
    from facebook_business.apiconfig import ads_api_config

    assert ads_api_config["API_VERSION"] == API_VERSION


def test_nothing_of_the_sdk_is_loaded_before_the_first_call() -> None:
    """Other jobs must not pay for it."""
    heavy = "facebook_business", "requests", "polars"
    code = f"import sys, tasks.platforms.meta; print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_two_adapters_with_different_endpoints_do_not_disturb_each_other(lab: Lab) -> None:
    """Endpoint and token belong to an adapter's own session; the SDK's class attributes and default API stay as they were."""
    from facebook_business.api import FacebookAdsApi
    from facebook_business.session import FacebookSession

    first = lab.platform()
    first.accounts()
    elsewhere = GraphApi("http://127.0.0.1:9", "0" * 40, "1" * 40, lab.platform()._retries)
    with pytest.raises(TryAgain):
        elsewhere.read("x", ("me",), {})
    assert len(first.accounts()) == 2
    assert FacebookSession.GRAPH == "https://graph.facebook.com"
    assert FacebookAdsApi.get_default_api() is None


def test_right_credentials_tell_scopes_and_expiry(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that never ends has none; of two ends the earlier counts."""
    assert lab.platform().check_access().expires_at is None
    _debug_token(lab, monkeypatch, expires_at=1_800_000_000, data_access_expires_at=1_790_000_000)
    access = lab.platform().check_access()
    assert access.granted == ("ads_read", "ads_management")
    assert access.missing == ()
    assert access.expires_at == datetime.fromtimestamp(1_790_000_000, UTC)


def test_without_ads_read_the_missing_permission_is_told_instead_of_an_error(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounts cannot be asked for then."""
    _debug_token(lab, monkeypatch, scopes=["public_profile"])
    access = lab.platform().check_access()
    assert access.accounts == ()
    assert access.missing == ("ads_read", "ads_management")


@pytest.mark.parametrize(
    ("changes", "standing", "kind"),
    [
        ({"access_token": "0" * 40}, "", Kind.SIGN_IN),
        ({"app_secret": "0" * 40}, "", Kind.SIGN_IN),
        ({}, "expired", Kind.EXPIRED),
    ],
)
def test_wrong_and_expired_credentials_are_told_apart(lab: Lab, changes: dict[str, str], standing: str, kind: Kind) -> None:
    """A wrong app secret too: Meta checks the proof made with it."""
    with pytest.raises(CallError) as caught:
        lab.platform(standing=standing, **changes).check_access()
    assert caught.value.failure.kind is kind
    assert "aelp2 onboard meta" in str(caught.value)


def test_no_secret_stands_in_an_error(lab: Lab) -> None:
    """Meta quotes a malformed token, the SDK's error prints the request, and a broken connection's text holds the address."""
    wrong = "EAAB" + "x" * 40
    secrets = [*lab.secrets(), wrong]
    told = []
    for platform in (lab.platform(access_token=wrong), lab.platform(standing="expired"), lab.platform(app_secret="0" * 40)):
        with pytest.raises(CallError) as caught:
            platform.accounts()
        told.append(str(caught.value))
        assert caught.value.__context__ is None
    lab.sandbox.add_fault({"kind": "half_page", "platform": "meta", "times": None})
    with pytest.raises(TryAgain) as broken:
        lab.platform().accounts()
    told.append(str(broken.value))
    assert broken.value.__context__ is None
    for text in told:
        assert [s for s in secrets if s in text] == []
    assert "[redacted]" in told[0]


def test_no_secret_is_logged_whatever_is_switched_on(
    lab: Lab, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """With all logging at DEBUG, urllib3's and the SDK's too, addresses come out without the token and its proof."""
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        lab.sandbox.add_fault({"kind": "unavailable", "platform": "meta", "times": 1})
        lab.platform().reports(lab.account(), lab.today - DAY, lab.today - DAY, run_date=lab.today)
        lab.platform().check_access()
        with pytest.raises(CallError):
            lab.platform(standing="expired").check_access()
    out, err = capfd.readouterr()
    text = caplog.text + out + err
    assert "platform call waits" in text, "the test must see our log"
    assert "debug_token?access_token=[redacted]" in text, "and urllib3's"
    assert [s for s in lab.secrets() if s in text] == []


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"<html>An error, success unlikely</html>"])
@pytest.mark.parametrize("status", [200, 502])
def test_a_page_of_html_is_a_passing_fault(lab: Lab, monkeypatch: pytest.MonkeyPatch, body: bytes, status: int) -> None:
    """The SDK alone would take the one for a good answer and break on the other."""
    answer, pages = lab.api.answer, [Response(status, body, {"Content-Type": "text/html"})]
    monkeypatch.setattr(lab.api, "answer", lambda *call: pages.pop() if pages else answer(*call))
    assert len(lab.platform().accounts()) == 2
    assert lab.waits == [1.0]


def test_a_sunset_version_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody retries that."""
    monkeypatch.setattr("tasks.platforms.meta.graph.API_VERSION", "v19.0")
    with pytest.raises(CallError) as caught:
        lab.platform().accounts()
    assert caught.value.failure.kind is Kind.VERSION


def test_a_minutes_throttle_is_waited_out(lab: Lab) -> None:
    """X-Business-Use-Case-Usage counts minutes."""
    lab.sandbox.add_fault({"kind": "throttle", "platform": "meta", "times": 1, "retry_delay_seconds": 120})
    lab.platform().accounts()
    assert lab.waits == [120.0]


def test_several_ads_are_set_in_one_call(lab: Lab) -> None:
    """One batch, an outcome for each; validating makes none of it."""
    ads = lab.ads()
    wish = [AdStatus(f"c{n}", group, ad, "PAUSED") for n, (group, ad) in enumerate(ads)]
    assert len(wish) > 1
    for validate_only in (True, False):
        got = lab.platform().set_ad_statuses(US, wish, validate_only=validate_only)
        assert [o.error for o in got.outcomes] == [None] * len(wish)
        assert got.request_id
        now = {a.ad_id: a.status for a in lab.platform().read_ads(US, [group for group, _ in ads])}
        assert set(now.values()) == ({"ENABLED"} if validate_only else {"PAUSED"})
    assert lab.paths().count("POST /v26.0/") == 2


def test_an_ad_of_another_account_is_never_touched(lab: Lab) -> None:
    """Meta's API would take it: the id alone names the ad."""
    group, ad = lab.ads(EU)[0]
    (outcome,) = lab.platform().set_ad_statuses(US, [AdStatus("c1", group, ad, "PAUSED")], validate_only=False).outcomes
    assert "NOT_FOUND" in str(outcome.error)
    assert {a.status for a in lab.platform().read_ads(EU, [group])} == {"ENABLED"}


def _batch(monkeypatch: pytest.MonkeyPatch, *rows: dict[str, Any] | None) -> None:
    """Make the batch call of the next adapter answer with these failures, without a call."""
    found = [None if row is None else failure_of(row, 400, {}) for row in rows]
    monkeypatch.setattr(GraphApi, "batch", lambda *_, **__: found)


def test_a_refused_row_fails_alone(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are made, and the refusal is told in the platform's words."""
    wish = [AdStatus(f"c{n}", *key, "PAUSED") for n, key in enumerate(lab.ads()[:2])]
    _batch(monkeypatch, None, {"code": 100, "error_subcode": 1815107, "type": "OAuthException", "message": "Ad is under review"})
    got = lab.platform().set_ad_statuses(US, wish, validate_only=False)
    assert [o.ok for o in got.outcomes] == [True, False]
    assert "100/1815107: OAuthException: Ad is under review" in str(got.outcomes[1].error)


def test_a_row_that_may_have_been_made_is_ambiguous(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown error of one row, in a batch that is otherwise good: read back first."""
    wish = [AdStatus(f"c{n}", *key, "PAUSED") for n, key in enumerate(lab.ads()[:2])]
    _batch(monkeypatch, None, {"code": 1, "message": "An unknown error occurred"})
    with pytest.raises(AmbiguousMutationError):
        lab.platform().set_ad_statuses(US, wish, validate_only=False)


def test_a_row_that_the_batch_left_unanswered_is_ambiguous(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch API answers null for what it had no time for, done or not."""
    wish = [AdStatus(f"c{n}", *key, "PAUSED") for n, key in enumerate(lab.ads()[:2])]
    answer = lab.api._batch

    def cut(call: Any, context: Any) -> Any:
        found = answer(call, context)
        found.body[1] = None
        return found

    monkeypatch.setattr(lab.api, "_batch", cut)
    with pytest.raises(AmbiguousMutationError, match="1 of 2 calls of the batch were not answered"):
        lab.platform().set_ad_statuses(US, wish, validate_only=False)


def test_what_all_rows_met_alike_is_raised(lab: Lab) -> None:
    """A token that may only read: not one refusal for each ad, but one error with what to do."""
    wish = [AdStatus(f"c{n}", *key, "PAUSED") for n, key in enumerate(lab.ads()[:2])]
    for validate_only in (True, False):
        with pytest.raises(CallError, match=r"Requires ads_management .*nothing was changed.*missing permission") as caught:
            lab.platform(standing="limited").set_ad_statuses(US, wish, validate_only=validate_only)
        assert caught.value.failure.kind is Kind.PERMISSION


def test_more_than_fifty_ads_go_in_several_calls_and_keep_what_was_made(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call is throttled: its rows fail, those of the first stay told as made."""
    sizes: list[int] = []

    def batch(_self: GraphApi, what: str, rows: list[Any], **_: Any) -> list[None]:
        sizes.append(len(rows))
        if len(sizes) > 1:
            raise TryAgain(f"{what}: throttled")
        return [None] * len(rows)

    platform = lab.platform()
    monkeypatch.setattr(GraphApi, "batch", batch)
    monkeypatch.setattr("tasks.platforms.meta.adapter.check_statuses", lambda *_: {})
    wish = [AdStatus(f"c{n}", "1", str(n), "PAUSED") for n in range(70)]
    got = platform.set_ad_statuses(US, wish, validate_only=False)
    assert sizes == [50, 20]
    assert [o.ok for o in got.outcomes] == [True] * 50 + [False] * 20


def test_a_skeleton_needs_a_page(lab: Lab) -> None:
    """The credentials may lack it; whoever asks for an ad is told where to find it."""
    platform = lab.platform(page_id=None)
    assert len(platform.accounts()) == 2
    with pytest.raises(JobError, match="page_id with `aelp2 onboard meta`"):
        platform.create_skeleton(US, WISH, validate_only=False)


def test_a_skeleton_is_made_as_meta_wants_it(lab: Lab) -> None:
    """The budget stands on the campaign in cents, all of it is paused, and the link keeps its UTM parameters."""
    made = lab.platform().create_skeleton(US, WISH, validate_only=False)
    fields = {kind: lab.sandbox.created("meta", US, kind)[-1].fields for kind in ("campaign", "adgroup", "ad")}
    assert made.created == ("campaign", "adgroup", "ad")
    assert (fields["campaign"]["daily_budget"], fields["campaign"]["special_ad_categories"]) == ("2000", [])
    assert "daily_budget" not in fields["adgroup"]
    assert fields["ad"]["creative"]["object_story_spec"]["link_data"]["link"] == WISH.landing_url
    assert {f["status"] for f in fields.values()} == {"PAUSED"}


def test_a_half_made_skeleton_is_completed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call makes what is missing and nothing twice; what has no parent yet is not validated."""
    wish = Skeleton("aelp2-meta-2", WISH.landing_url, 20_000_000)
    checked = lab.platform().create_skeleton(US, wish, validate_only=True)
    assert (checked.campaign_id, checked.created) == (None, ())
    bad = lab.platform(page_id="1")
    with pytest.raises(CallError, match="page does not exist"):
        bad.create_skeleton(US, wish, validate_only=False)
    got = lab.platform().create_skeleton(US, wish, validate_only=False)
    assert got.created == ("ad",)
    named = [
        m
        for kind in ("campaign", "adgroup", "ad")
        for m in lab.sandbox.created("meta", US, kind)
        if m.fields["name"] == wish.label
    ]
    assert len(named) == 3


@pytest.mark.parametrize(
    ("micros", "currency", "minor"),
    [(20_000_000, "USD", 2000), (10_000, "EUR", 1), (500_000_000, "JPY", 500), (7_000_000, "HUF", 7)],
)
def test_budgets_are_in_minor_units(micros: int, currency: str, minor: int) -> None:
    """Hundredths, and whole units where Meta counts in those."""
    assert minor_of(micros, currency) == minor
    assert micros_of(minor, currency) == micros


def test_a_budget_of_broken_minor_units_is_refused() -> None:
    """It is not rounded in silence."""
    with pytest.raises(JobError, match=r"0\.5 JPY is no multiple of 1 JPY"):
        minor_of(500_000, "JPY")


def test_what_an_account_holds_has_creatives_and_their_ads(lab: Lab) -> None:
    """Each ad names its creative, which is an entity of its own, in the reports as well."""
    found = lab.platform().reports(lab.account(), lab.today - 3 * DAY, lab.today - DAY, run_date=lab.today).frames
    entities = found["ads.ads_entities"]
    creatives = set(entities.filter(entity_kind="creative")["entity_id"])
    assert set(entities.filter(entity_kind="ad")["creative_id"]) == creatives != set()
    assert set(found["ads.ads_ad_performance"]["creative_id"]) <= creatives
    assert entities.filter(entity_kind="campaign")["detail"].unique().to_list() == ["OUTCOME_SALES"]


def test_a_status_is_the_one_that_was_set(lab: Lab) -> None:
    """An ad that is on below a campaign that is off is ENABLED: that is what switching it changes."""
    own = next(a for a in lab.sandbox.world.accounts if a.id == US)
    campaign = own.campaigns[0].id
    lab.sandbox.commit([("campaign", campaign, 0)], client_type="TEST", user="x@example.test")
    try:
        found = lab.platform().reports(lab.account(), lab.today - DAY, lab.today - DAY, run_date=lab.today).frames
    finally:
        lab.sandbox.commit([("campaign", campaign, 1)], client_type="TEST", user="x@example.test")
    statuses = found["ads.ad_statuses"].filter(campaign_id=str(campaign))
    assert statuses.select("ad_status", "campaign_status").unique().rows() == [("ENABLED", "PAUSED")]
    ads = found["ads.ads_entities"].filter(pl.col("entity_kind") == "ad")
    assert set(ads.filter(pl.col("entity_id").is_in(statuses["ad_id"].to_list()))["detail"]) == {"CAMPAIGN_PAUSED"}


def test_it_is_among_the_adapters() -> None:
    """Its name opens it."""
    assert ADAPTERS["meta"] == "tasks.platforms.meta:MetaPlatform"
