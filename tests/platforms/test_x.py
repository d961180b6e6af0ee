"""What is particular about X: jobs and their files, windows in hours, placements, signatures, limits told as an instant."""

import gzip
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_lab import DAY, ApiLab, api_lab, morning, processor_seconds

from tasks.core.errors import JobError, TryAgain
from tasks.lab.apis.server import Response
from tasks.lab.apis.x import XApi
from tasks.lab.apis.x_stats import error
from tasks.lab.files import write_private
from tasks.platforms.base import Account, AdStatus, AmbiguousMutationError, Skeleton
from tasks.platforms.calls import CallError, Kind
from tasks.platforms.x import XPlatform, adapter, stats

ACTIONS, CAMPAIGNS, ADS = "ads.ads_action_performance", "ads.ads_campaign_performance", "ads.ads_ad_performance"
BREAKDOWNS = "ads.ads_breakdown_performance"
KEYS = ("date", "campaign_id", "ad_id", "entity_id", "segment_id", "action_type", "attribution_window")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiLab]:
    """One market for the file."""
    with api_lab(XApi(), tmp_path_factory.mktemp("x")) as made:
        yield made


@pytest.fixture
def lab(served: ApiLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiLab]:
    """With nothing noted and nothing made, and the market's morning for a clock."""
    served.waits.clear()
    served.api.seen.clear()
    served.api.instead.clear()
    monkeypatch.setenv("AELP2_NOW", morning(served.today))
    yield served
    served.sandbox.clear_faults()
    served.sandbox.made.clear()
    served.api.stats.polls = served.api.stats.failing = 0


def _load(platform: Any, lab: ApiLab, days: int = 10) -> Any:
    account = platform.accounts()[0]
    return platform.reports(account, lab.today - days * DAY, lab.today - DAY, run_date=lab.today)


def _same(one: Any, other: Any) -> None:
    for table in (CAMPAIGNS, ADS, ACTIONS, BREAKDOWNS):
        own = [key for key in KEYS if key in one.frames[table].columns]
        left, right = (got.frames[table].drop("loaded_at").sort(own) for got in (one, other))
        assert left.height > 0
        assert left.equals(right), table


def test_a_job_is_waited_for(lab: ApiLab) -> None:
    """Looked at once, then after 2, 4 and 8 seconds; the numbers are those of a job that was done at once."""
    at_once = _load(lab.platform(XPlatform), lab)
    assert lab.waits == []
    lab.api.stats.polls = 3
    later = _load(lab.platform(XPlatform), lab)
    assert lab.waits == [2.0, 4.0, 8.0] * 4
    _same(at_once, later)


def test_a_job_that_does_not_end_gives_the_slot_back(lab: ApiLab) -> None:
    """After a quarter of an hour."""
    lab.api.stats.polls = 10_000
    with pytest.raises(TryAgain, match="do not end"):
        _load(lab.platform(XPlatform), lab)
    assert 900 <= sum(lab.waits) <= 960


def test_a_job_that_fails_is_made_anew_once(lab: ApiLab) -> None:
    """What fails again is left for another time, with the days it was for."""
    lab.api.stats.failing = 1
    _same(_load(lab.platform(XPlatform), lab), _load(lab.platform(XPlatform), lab))
    lab.api.stats.failing = 100
    with pytest.raises(TryAgain, match=rf"failed 2 times, the first for {lab.today - 10 * DAY}"):
        _load(lab.platform(XPlatform), lab)


def test_a_dead_link_is_asked_for_anew(lab: ApiLab) -> None:
    """The file of an expired job is gone; another job has another."""
    whole = _load(lab.platform(XPlatform), lab)
    lab.api.instead[".json.gz"] = [Response(404, b"<Error/>", {"Content-Type": "application/xml"})]
    lab.api.seen.clear()
    _same(whole, _load(lab.platform(XPlatform), lab))
    assert sum(method == "POST" for method, _ in lab.paths()) == 5


def test_files_are_fetched_without_credentials(lab: ApiLab) -> None:
    """The link is all it needs, and its host is not X's API."""
    _load(lab.platform(XPlatform), lab)
    fetched = [request for request in lab.api.seen if request.path.endswith(".json.gz")]
    assert len(fetched) == 4
    assert not any("authorization" in request.headers for request in fetched)


def test_twenty_entities_a_job(lab: ApiLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those that were active, in as many jobs as they need."""
    whole = _load(lab.platform(XPlatform), lab)
    monkeypatch.setattr(stats, "MAX_IDS", 1)
    monkeypatch.setattr("tasks.lab.apis.x_stats.MAX_IDS", 1)
    monkeypatch.setattr(stats, "MAX_JOBS", 2)
    lab.api.seen.clear()
    _same(whole, _load(lab.platform(XPlatform), lab))
    asked = [r.query for r in lab.api.seen if r.method == "POST"]
    assert {q["entity_ids"] for q in asked if q["entity"] == "PROMOTED_TWEET"} == set(whole.frames[ADS]["ad_id"])


def test_long_windows_are_split_so_that_no_hour_is_too_many(lab: ApiLab) -> None:
    """A hundred days over the end of summer time: X counts ninety days in hours, and refuses one more."""
    platform = lab.platform(XPlatform)
    account = next(a for a in platform.accounts() if a.timezone == "America/New_York")
    start, end = date(2025, 10, 1), date(2026, 1, 20)
    got = platform.reports(account, start, end, run_date=lab.today)
    assert got.frames[CAMPAIGNS]["date"].min() == lab.sandbox.market.start
    assert [(b - a).days + 1 for a, b in stats.spans(start, end, stats.WINDOW_DAYS)] == [89, 23]
    asked = [r.query for r in lab.api.seen if r.path.endswith("active_entities")]
    assert asked[0]["start_time"] == "2025-10-01T04:00:00Z"
    assert {q["end_time"] for q in asked} >= {"2026-01-21T05:00:00Z"}


def _packed(*entries: tuple[str, dict[str, Any]]) -> Response:
    data = [{"id": key, "id_data": [{"segment": None, "metrics": metrics}]} for key, metrics in entries]
    return Response(200, gzip.compress(json.dumps({"data": data}).encode()), {"Content-Type": "application/gzip"})


def _delivered(lab: ApiLab, placements: list[str], *files: Response) -> list[dict[str, Any]]:
    platform = lab.platform(XPlatform)
    account = platform.accounts()[0]
    lab.api.instead["active_entities"] = [Response(200, {"data": [{"entity_id": "9061", "placements": placements}]})]
    lab.api.instead[".json.gz"] = list(files)
    found: list[dict[str, Any]] = platform._delivery(account, "campaign", lab.today - 2 * DAY, lab.today - DAY).to_dicts()
    return found


def test_placements_are_added_up_and_repetitions_are_not(lab: ApiLab) -> None:
    """The timeline and a takeover are one campaign's; an entry that came twice in a file counts once."""
    timeline = ("9061", {"impressions": [10, 0], "billed_charge_local_micro": [1_000_001, 0]})
    takeover = ("9061", {"impressions": [10, 0], "billed_charge_local_micro": [1_000_001, 0], "clicks": [None, 3]})
    rows = _delivered(lab, ["ALL_ON_TWITTER", "SPOTLIGHT"], _packed(timeline, timeline), _packed(takeover))
    assert [(r["date"], r["impressions"], r["cost_micros"], r["clicks"]) for r in rows] == [
        (lab.today - 2 * DAY, 20, 2_000_002, 0),
        (lab.today - DAY, 0, 0, 3),
    ]


def test_days_of_nulls_are_no_rows(lab: ApiLab) -> None:
    """Null for a metric, null for all, null in an array: nothing happened."""
    assert _delivered(lab, ["ALL_ON_TWITTER"], _packed(("9061", {"impressions": None, "clicks": [None, 0]}))) == []


def test_conversions_are_purchases_and_custom_events(lab: ApiLab) -> None:
    """As connectors count them; a sign-up is an action of its own."""
    metrics = {
        "conversion_purchases": {"metric": [2, 0], "sale_amount": [5_000_001, 0]},
        "conversion_custom": {"metric": [1, None], "sale_amount": None},
        "conversion_sign_ups": {"metric": [7, 7]},
    }
    (row,) = _delivered(lab, ["ALL_ON_TWITTER"], _packed(("9061", metrics)))
    assert (row["conversions"], row["revenue_micros"]) == (3.0, 5_000_001)


def test_an_array_of_another_length_is_an_error(lab: ApiLab) -> None:
    """Which number belongs to which day cannot be guessed."""
    with pytest.raises(TryAgain, match="3 numbers for 2 days"):
        _delivered(lab, ["ALL_ON_TWITTER"], _packed(("9061", {"impressions": [1, 2, 3]})))


def test_engagements_and_views_keep_their_windows(lab: ApiLab) -> None:
    """Rows of their own, with the value told for neither; together they are the delivery's conversions."""
    got = _load(lab.platform(XPlatform), lab, 30)
    bought = got.frames[ACTIONS].filter(action_type="purchase")
    assert set(bought["attribution_window"]) == {"30d_click", "1d_view"}
    assert bought["revenue_micros"].null_count() == bought.height
    assert bought["actions"].sum() == got.frames[ADS]["conversions"].sum() > 0
    assert "sign_up" in set(got.frames[ACTIONS]["action_type"])
    assert set(got.frames[BREAKDOWNS]["breakdown"]) == {"device"}
    assert got.frames[BREAKDOWNS]["cost_micros"].sum() == got.frames[CAMPAIGNS]["cost_micros"].sum()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 89, Kind.EXPIRED),
        (401, 32, Kind.SIGN_IN),
        (401, 135, Kind.SIGN_IN),
        (401, "UNAUTHORIZED_ACCESS", Kind.SIGN_IN),
        (403, "UNAUTHORIZED_CLIENT_APPLICATION", Kind.PERMISSION),
        (403, "ACCOUNT_NOT_FOUND", Kind.PERMISSION),
        (400, "INVALID_PARAMETER", Kind.REQUEST),
        (404, "CAMPAIGN_NOT_FOUND", Kind.REQUEST),
    ],
)
def test_codes_are_told_apart(lab: ApiLab, status: int, code: str | int, kind: Kind) -> None:
    """Each with X's message and transaction id, none retried."""
    lab.api.instead["/12/accounts"] = [error(status, code, "because", **{"x-transaction-id": "t-1"})]
    with pytest.raises(CallError, match=rf"{code}: because \(request id t-1\)") as raised:
        lab.platform(XPlatform).accounts()
    assert raised.value.failure.kind is kind
    assert lab.waits == []


def test_a_version_that_is_gone_says_so(lab: ApiLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """X answers 404 then, as to any unknown path."""
    monkeypatch.setattr("tasks.platforms.x.connection.VERSION", "10")
    with pytest.raises(CallError, match="newer release") as raised:
        lab.platform(XPlatform).accounts()
    assert raised.value.failure.kind is Kind.VERSION


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "LOCK_ACQUISITION_TIMEOUT"])
def test_passing_faults_are_tried_again(lab: ApiLab, code: str) -> None:
    """After a second."""
    lab.api.instead["/12/accounts"] = [error(500 if code == "INTERNAL_ERROR" else 423, code, "later")]
    assert len(lab.platform(XPlatform).accounts()) == 2
    assert lab.waits == [1.0]


def test_the_end_of_a_limit_is_reckoned_by_the_clock_of_x(lab: ApiLab) -> None:
    """Ours may be off; an account's own limit comes before the user's."""
    stamp = {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    user, own = {"x-rate-limit-reset": "1767225612"}, {"x-account-rate-limit-reset": "1767225605"}
    spent = {"x-account-rate-limit-remaining": "0"}
    for headers, seconds in ((user, 12.0), (user | own, 12.0), (user | own | spent, 5.0)):
        lab.waits.clear()
        lab.api.instead["/12/accounts"] = [error(429, "TOO_MANY_REQUESTS", "too many", **stamp, **headers)]
        assert lab.platform(XPlatform).accounts()
        assert lab.waits == [seconds]


def test_ads_cannot_be_paused_and_nothing_is_tried(lab: ApiLab) -> None:
    """Each row is refused with what a person can do; one that is not there is told so."""
    platform = lab.platform(XPlatform)
    account = platform.accounts()[0].account_id
    ad = lab.server.context.view(account, "x").ads()[0]
    wish = [AdStatus("c1", ad.parent_id, ad.id, "PAUSED"), AdStatus("c2", ad.parent_id, "1", "PAUSED")]
    for validate_only in (True, False):
        receipt = platform.set_ad_statuses(account, wish, validate_only=validate_only)
        assert [str(o.error).partition(":")[0] for o in receipt.outcomes] == ["NOT_SUPPORTED", "NOT_FOUND"]
    assert {method for method, _ in lab.paths()} == {"GET"}


WISH = Skeleton("aelp2-x", "https://shop.example.test/?utm_source=x", 20_500_000)


def test_a_lost_answer_is_ambiguous_and_the_next_call_finds_what_was_made(lab: ApiLab) -> None:
    """At each of the four things that are made; in the end each is there once, paused, and the ad holds the link."""
    platform = lab.platform(XPlatform)
    account = platform.accounts()[1].account_id
    for _ in range(4):
        lab.sandbox.add_fault({"kind": "lost_response", "platform": "x", "times": 1})
        with pytest.raises(AmbiguousMutationError):
            platform.create_skeleton(account, WISH, validate_only=False)
    receipt = platform.create_skeleton(account, WISH, validate_only=False)
    assert receipt.created == ()
    assert [made.kind for made in lab.sandbox.made] == ["campaign", "adgroup", "tweet", "ad"]
    told = {made.kind: made.fields for made in lab.sandbox.made}
    assert (told["campaign"]["entity_status"], told["adgroup"]["entity_status"]) == ("PAUSED", "PAUSED")
    assert told["campaign"]["daily_budget_amount_local_micro"] == "20500000"
    assert told["ad"]["text"] == WISH.landing_url
    (ad,) = platform.read_ads(account, [receipt.adgroup_id])
    assert (ad.ad_id, ad.adgroup_status, ad.campaign_status) == (receipt.ad_id, "PAUSED", "PAUSED")


@pytest.mark.parametrize(
    ("path", "says"), [("promotable_users", "promotable user"), ("funding_instruments", "no funding instrument")]
)
def test_what_a_skeleton_lacks_is_named(lab: ApiLab, path: str, says: str) -> None:
    """Nobody to post for, nothing to pay with."""
    platform = lab.platform(XPlatform)
    account = platform.accounts()[0].account_id
    lab.api.instead[path] = [Response(200, {"data": [], "next_cursor": None})]
    with pytest.raises(JobError, match=says):
        platform.create_skeleton(account, WISH, validate_only=False)


def test_an_account_has_one_currency_or_is_no_account(lab: ApiLab) -> None:
    """Never funded: left out. Two currencies: an error, for its amounts could be either."""
    lab.api.instead["funding_instruments"] = [Response(200, {"data": [], "next_cursor": None})]
    assert [a.account_id for a in lab.platform(XPlatform).accounts()] == ["18ce5conf02"]
    two = [{"id": n, "currency": c, "deleted": False} for n, c in (("a", "USD"), ("b", "EUR"))]
    lab.api.instead["funding_instruments"] = [Response(200, {"data": two, "next_cursor": None})]
    with pytest.raises(JobError, match="EUR, USD"):
        lab.platform(XPlatform).accounts()


def test_deleted_and_drafts_have_their_status(lab: ApiLab) -> None:
    """Deleted is removed whatever its status says; a draft is paused. Both are asked for."""
    rows = [
        {"id": "a", "name": "x", "entity_status": "ACTIVE", "deleted": True},
        {"id": "b", "name": "y", "entity_status": "DRAFT", "deleted": False},
    ]
    platform = lab.platform(XPlatform)
    lab.api.instead["/campaigns"] = [Response(200, {"data": rows, "next_cursor": None})]
    held = {e.id: e.status for e in platform._entities("18ce5conf01") if e.kind == "campaign"}
    assert held == {"a": "REMOVED", "b": "PAUSED"}
    asked = next(r.query for r in lab.api.seen if r.path.endswith("/campaigns"))
    assert (asked["with_deleted"], asked["with_draft"]) == ("true", "true")


def test_a_role_must_hold_in_every_account(lab: ApiLab) -> None:
    """One account where the user may only look, and it is missing."""
    assert lab.platform(XPlatform).check_access().missing == ()
    lab.api.instead["authenticated_user_access"] = [Response(200, {"data": {"permissions": ["ANALYST"]}})]
    assert lab.platform(XPlatform).check_access().missing == ("AD_MANAGER",)


def test_no_secret_is_in_an_error_a_log_or_an_address(lab: ApiLab, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of X's refusal nor of a broken connection, nor what the signing libraries log."""
    caplog.set_level("DEBUG")
    keys = yaml.safe_load((lab.folder / "credentials" / "x.yaml").read_text())
    told = []
    for field in keys:
        home = tmp_path / field
        home.mkdir(mode=0o700)
        write_private(home / "x.yaml", yaml.safe_dump(keys | {field: "0" * 40}))
        with pytest.raises(CallError) as raised:
            lab.platform(XPlatform, home=home).accounts()
        told.append(str(raised.value))
    lab.api.instead["/12/accounts"] = [Response(503, b"")] * 9
    with pytest.raises(TryAgain) as lost:
        lab.platform(XPlatform).accounts()
    lab.platform(XPlatform).accounts()
    text = " ".join([*told, str(lost.value), caplog.text, *(request.url for request in lab.api.seen)])
    assert not any(value in text for value in keys.values())


def test_arrays_become_columns_fast(lab: ApiLab) -> None:
    """From a decoded file to a typed frame in no more time than its decoding took: row by row it would take many times that."""
    columns = (*adapter._NUMBERS, *adapter._VIDEO)
    start, days = date(2026, 1, 1), 89
    metrics: dict[str, Any] = {c.path: list(range(1, days + 1)) for c in columns if "." not in c.path}
    metrics |= {name: {"metric": [1] * days, "sale_amount": [5] * days} for name in ("conversion_purchases", "conversion_custom")}
    body = {"data": [{"id": str(n), "id_data": [{"segment": None, "metrics": metrics}]} for n in range(1500)]}
    ask = stats.Ask(Account("x", "1", "", "USD", "UTC", "ENABLED"), "CAMPAIGN", (), "ALL_ON_TWITTER", start, start + 88 * DAY, "")
    text = json.dumps(body)
    frame = adapter._counted(stats._frame(body, ask, columns))
    shaping = processor_seconds(lambda: adapter._counted(stats._frame(body, ask, columns)))
    ratio = shaping / processor_seconds(lambda: json.loads(text))
    assert frame.height == 1500 * days
    assert frame["revenue_micros"].unique().to_list() == [10]
    assert ratio <= 1, f"{ratio:.2f}"
