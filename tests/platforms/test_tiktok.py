"""What is particular to TikTok: its codes, its silence on waiting, windows of days, deleted ads, the official client's habits."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from structlog.testing import capture_logs

from tasks.core.errors import JobError, TryAgain
from tasks.core.settings import load_settings
from tasks.lab.apis.server import PlatformServer, write_platform_credentials
from tasks.lab.apis.tiktok import TikTokApi
from tasks.lab.apis.tokens import Tokens
from tasks.lab.credentials import Credentials
from tasks.lab.sandbox import Sandbox
from tasks.lab.world import load_world
from tasks.platforms.base import AdStatus, AmbiguousMutationError, Skeleton
from tasks.platforms.calls import CallError, Kind, RetryPolicy
from tasks.platforms.http import FailedCallError, HttpFailure
from tasks.platforms.http_platform import ACTIONS, ADS, BREAKDOWNS, CAMPAIGNS, ENTITIES
from tasks.platforms.tiktok import TikTokPlatform, adapter
from tasks.platforms.tiktok.failures import decode, kind_of
from tasks.platforms.tiktok.reporting import AD, CAMPAIGN, Query, windows
from tasks.platforms.tiktok.reporting import DAY as DAY_COLUMN

DAY = timedelta(days=1)
GONE = "http://127.0.0.1:1/tiktok"  # nobody listens there


class Bench:
    """The world `everywhere` behind the real adapter; ``waits`` are the seconds it would have slept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sandbox = Sandbox(folder, load_world("everywhere"), 7, date(2025, 7, 14), 40)
        self.server = PlatformServer(self.sandbox, Tokens(Credentials(folder)), [TikTokApi()])
        write_platform_credentials(folder, self.server)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.waits: list[float] = []

    @property
    def last(self) -> date:
        return self.sandbox.today - DAY

    def platform(self, standing: str = "credentials", endpoint: str | None = None) -> TikTokPlatform:
        self.waits.clear()
        env = {
            "AELP2_CREDENTIALS_DIR": str(self.folder / standing),
            "AELP2_TIKTOK_ENDPOINT": endpoint or f"{self.server.url}/tiktok",
            "AELP2_NAME_SALT_FILE": str(self.folder / "salt"),
        }
        policy = RetryPolicy(sleep=self.waits.append, jitter=lambda: 1.0)
        return TikTokPlatform(load_settings(env), retries=policy)

    def fault(self, kind: str, **fields: Any) -> None:
        self.sandbox.add_fault({"kind": kind, "platform": "tiktok", **fields})

    def load(self, days: int = 10) -> dict[str, pl.DataFrame]:
        platform = self.platform()
        (account,) = platform.accounts()
        first = self.last - (days - 1) * DAY
        return platform.reports(account, first, self.last, run_date=self.sandbox.today).frames

    def secrets(self) -> list[str]:
        held = yaml.safe_load((self.folder / "credentials" / "tiktok.yaml").read_text())
        return [held["access_token"], held["app_secret"]]


@pytest.fixture(scope="module")
def _bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("tiktok"))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def bench(_bench: Bench) -> Iterator[Bench]:
    """The module's bench, with no fault on afterwards."""
    yield _bench
    _bench.sandbox.faults.clear()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (40001, Kind.PERMISSION),
        (40002, Kind.REQUEST),
        (40006, Kind.VERSION),
        (40016, Kind.QUOTA),
        (40051, Kind.VERSION),
        (40100, Kind.QUOTA),
        (40102, Kind.EXPIRED),
        (40104, Kind.SIGN_IN),
        (40105, Kind.SIGN_IN),
        (40132, Kind.QUOTA),
        (40202, Kind.REQUEST),
        (41001, Kind.VERSION),
        (50000, Kind.PASSING),
        (51010, Kind.PASSING),
        (60001, Kind.PASSING),
        (61000, Kind.QUOTA),
    ],
)
def test_each_code_has_its_class(code: int, kind: Kind) -> None:
    """The class decides whether the job waits, comes back, or stops with a remedy."""
    assert kind_of(code) is kind


def test_every_known_code_is_one_of_the_official_clients() -> None:
    """A number mistyped here would never be met. 40133 is a limit that connectors have seen and the client has no name for."""
    from business_api_client.tiktok_business.tiktok_code import NumericErrorCodes

    from tasks.platforms.tiktok.failures import _BY_CODE

    theirs = {value for name, value in vars(NumericErrorCodes).items() if name.startswith("ERROR_CODE")}
    assert set(_BY_CODE) - theirs == {40133}


def _failure(status: int, body: object, headers: dict[str, str] | None = None) -> HttpFailure:
    with pytest.raises(FailedCallError) as raised:
        decode(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode())
    return raised.value.failure


def test_an_answer_that_is_no_envelope_is_told_by_its_status() -> None:
    """A page of a gateway passes; 401 and 429 mean what they mean everywhere."""
    page = b"<html>busy</html>"
    kinds = {status: _failure(status, page).kind for status in (200, 401, 403, 404, 429, 502)}
    assert kinds == {
        200: Kind.PASSING,
        401: Kind.SIGN_IN,
        403: Kind.PERMISSION,
        404: Kind.REQUEST,
        429: Kind.QUOTA,
        502: Kind.PASSING,
    }


def test_seconds_are_kept_where_a_gateway_names_them() -> None:
    """TikTok itself names none; Retry-After of a gateway is obeyed, a date in it is not guessed at."""
    body = {"code": 40100, "message": "Too many requests.", "request_id": "R1"}
    assert _failure(200, body).retry_seconds is None
    assert _failure(429, body, {"Retry-After": "12"}).retry_seconds == 12.0
    assert _failure(429, body, {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}).retry_seconds is None
    assert "40100: Too many requests. (request id R1)" in str(_failure(200, body))


def test_throttling_without_seconds_waits_half_a_minute_each_time(bench: Bench) -> None:
    """Two throttled calls: two waits of the policy's ceiling, and the numbers are whole."""
    whole = bench.load()[ADS]["cost_micros"].sum()
    bench.fault("throttle", times=2)
    assert bench.load()[ADS]["cost_micros"].sum() == whole
    assert bench.waits == [30.0, 30.0]


def test_throttling_that_does_not_end_gives_the_slot_back(bench: Bench) -> None:
    """After five minutes of waiting the job ends with `try again`."""
    bench.fault("throttle", times=None)
    with pytest.raises(TryAgain, match="40100"):
        bench.load()
    assert sum(bench.waits) == 300.0


def test_a_broken_answer_is_retried_here_and_not_inside_the_client(bench: Bench) -> None:
    """The official client would try three times more without a pause or a word; one break is one logged wait."""
    bench.fault("half_page", times=1, resource="/open_api/v1.3/ad/get/")
    with capture_logs() as logs:
        bench.load()
    assert [entry["seconds"] for entry in logs if entry["event"] == "platform call waits"] == bench.waits == [1.0]


@pytest.mark.parametrize(("days", "pieces"), [(1, 1), (30, 1), (31, 2), (913, 31)])
def test_long_histories_are_asked_in_pieces_the_api_takes(days: int, pieces: int) -> None:
    """No piece is longer than 30 days, together they are every day once."""
    start = date(2024, 1, 1)
    made = list(windows(start, start + (days - 1) * DAY))
    covered = [first + n * DAY for first, last in made for n in range((last - first).days + 1)]
    assert len(made) == pieces
    assert all((last - first).days + 1 <= 30 for first, last in made)
    assert covered == [start + n * DAY for n in range(days)]


def test_deleted_ads_and_campaigns_are_asked_for() -> None:
    """They spent money too; left to itself the API leaves them out, and the day's sum with them."""
    for level, key in (("ad", AD), ("campaign", CAMPAIGN)):
        (told,) = Query(level, (DAY_COLUMN, key)).arguments(date(2026, 1, 1), date(2026, 1, 2))["filtering"]
        assert told == {"field_name": f"{level}_status", "filter_type": "IN", "filter_value": '["STATUS_ALL"]'}


def test_a_mutation_that_takes_too_long_is_ambiguous(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The official client drops a time-out that is not whole seconds, and would wait for ever."""
    monkeypatch.setattr("tasks.platforms.calls.MUTATE_TIMEOUT_SECONDS", 1.0)
    platform = bench.platform()
    (account,) = platform.accounts()
    group, ad = (bench.load()[ADS].select("adgroup_id", "ad_id")).row(0)
    bench.fault("delay", seconds=600, resource="/open_api/v1.3/ad/status/update/")
    with pytest.raises(AmbiguousMutationError, match="read it back"):
        platform.set_ad_statuses(account.account_id, [AdStatus("c1", group, ad, "ENABLED")], validate_only=False)


def test_actions_tell_clicks_and_views_apart_and_values_once(bench: Bench) -> None:
    """Click and view conversions add up to the delivery's; the value stands at the purchases, all windows together."""
    frames = bench.load(20)
    actions, ads = frames[ACTIONS], frames[ADS]
    by_window = dict(
        actions.group_by("action_type", "attribution_window")
        .agg(pl.col("actions").sum())
        .select(pl.concat_str("action_type", "attribution_window", separator=" "), "actions")
        .iter_rows()
    )
    assert set(by_window) == {"conversion 7d_click", "conversion 1d_view", "complete_payment default", "form default"}
    assert by_window["conversion 7d_click"] + by_window["conversion 1d_view"] == ads["conversions"].sum() > 0
    assert by_window["conversion 1d_view"] > 0
    purchases = actions.filter(action_type="complete_payment")
    assert purchases["revenue_micros"].sum() == ads["revenue_micros"].sum() > 0
    assert actions.filter(pl.col("action_type") != "complete_payment")["revenue_micros"].null_count() == len(actions) - len(
        purchases
    )


def test_each_breakdown_splits_the_same_spend(bench: Bench) -> None:
    """Country, age and gender, placement: each sums to the campaigns' day by day, and none claims to know values."""
    frames = bench.load()
    numbers = ["cost_micros", "impressions", "clicks", "conversions"]
    daily = frames[CAMPAIGNS].group_by("date").agg(pl.col(numbers).sum()).sort("date")
    parts = frames[BREAKDOWNS]
    assert set(parts["breakdown"]) == {"country", "age_gender", "placement"}
    for name in set(parts["breakdown"]):
        assert parts.filter(breakdown=name).group_by("date").agg(pl.col(numbers).sum()).sort("date").equals(daily), name
    assert "AGE_25_34:FEMALE" in set(parts["segment_id"])
    assert parts["revenue_micros"].null_count() == len(parts)


def test_what_ads_show_is_an_entity_of_its_own(bench: Bench) -> None:
    """Each ad names its video, and each video stands once among the entities."""
    frames = bench.load()
    creatives = frames[ENTITIES].filter(entity_kind="creative")["entity_id"].to_list()
    assert set(frames[ADS]["creative_id"]) == set(creatives)
    assert len(set(creatives)) == len(creatives)


def test_an_ad_that_no_list_holds_keeps_its_place(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports may name creatives of Smart+ campaigns that ad/get does not: their spend lands under its ad group and campaign."""
    known = bench.load()[ADS]
    monkeypatch.setattr(TikTokPlatform, "_entities", lambda _platform, _account: [])
    found = bench.load()[ADS]
    columns = ["date", "ad_id", "adgroup_id", "campaign_id", "cost_micros"]
    assert found.select(columns).equals(known.select(columns))
    assert set(found["ad_status"]) == {"REMOVED"}


@pytest.mark.parametrize(
    ("operation", "secondary", "status"),
    [
        ("ENABLE", "AD_STATUS_DELIVERY_OK", "ENABLED"),
        ("ENABLE", "AD_STATUS_CAMPAIGN_DISABLE", "ENABLED"),
        ("DISABLE", "AD_STATUS_DISABLE", "PAUSED"),
        ("FROZEN", None, "PAUSED"),
        ("DISABLE", "AD_STATUS_DELETE", "REMOVED"),
        ("ENABLE", "AD_STATUS_ADGROUP_DELETE", "REMOVED"),
        ("SHADOWED", "AD_STATUS_AUDIT", "UNRECOGNISED_SHADOWED"),
    ],
)
def test_a_status_is_the_own_switch_unless_it_was_deleted(operation: str, secondary: str | None, status: str) -> None:
    """Being paused from above does not change the own switch; being deleted from above does."""
    assert adapter._status({"operation_status": operation, "secondary_status": secondary}) == status


def test_a_creative_is_a_post_a_video_or_an_image() -> None:
    """Spark ads show a post; an ad without any of the three has no creative."""
    assert adapter._creative({"tiktok_item_id": "71", "video_id": "v1", "image_ids": ["i1"]}) == "71"
    assert adapter._creative({"video_id": "v1", "image_ids": ["i1"]}) == "v1"
    assert adapter._creative({"video_id": None, "image_ids": ["i1", "i2"]}) == "i1"
    assert adapter._creative({"image_ids": []}) is None


def test_ad_groups_with_other_windows_are_told() -> None:
    """Rows bear the default windows' name: an ad group that counts otherwise is a warning, one without a word is not."""
    groups = [
        {"adgroup_id": "1", "click_attribution_window": "SEVEN_DAYS", "view_attribution_window": "ONE_DAY"},
        {"adgroup_id": "2"},
        {"adgroup_id": "3", "click_attribution_window": "ONE_DAY", "view_attribution_window": "OFF"},
    ]
    with capture_logs() as logs:
        adapter._tell_other_windows("71", groups)
    assert [entry["ad_groups"] for entry in logs] == [["3"]]


def test_a_truncated_report_is_refused(tmp_path: Path, bench: Bench) -> None:
    """With too many ads TikTok leaves some out, and only a header says so: no day may land with part of its spend."""
    server = PlatformServer(bench.sandbox, bench.server.context.tokens, [TikTokApi(most_ads=2)])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    platform = bench.platform(endpoint=f"{server.url}/tiktok")
    (account,) = platform.accounts()
    with pytest.raises(CallError, match=r"TRUNCATED.*fewer than 20,000"):
        platform.reports(account, bench.last, bench.last, run_date=bench.sandbox.today)
    server.shutdown()
    server.server_close()


class Recorder:
    """In place of the client: 45 ads of one group; refuses every call that names ``bad``, forgets to confirm ``silent``."""

    request_id = "R"

    def __init__(self, bad: str = "", silent: str = "", broken: str = "") -> None:
        self.bad, self.silent, self.broken, self.sent = bad, silent, broken, []  # type: ignore[var-annotated]  # lists of ids

    def read(self, what: str, call: str, **_arguments: Any) -> Any:
        kind = call.removesuffix("_get")
        ids = [str(n) for n in range(45)] if kind == "ad" else ["1"]
        own = [
            {f"{kind}_id": one, f"{kind}_name": one, "campaign_id": "1", "adgroup_id": "1", "operation_status": "ENABLE"}
            for one in ids
        ]
        rows = [row | {f"{kind}_id": one} for row, one in zip(own, ids, strict=True)]
        return {"list": rows, "page_info": {"total_page": 1}}

    def mutate(self, what: str, _call: str, body: dict[str, Any]) -> Any:
        ids = body["ad_ids"]
        self.sent.append(ids)
        if self.broken in ids:
            raise AmbiguousMutationError("no answer")
        if self.bad in ids:
            raise CallError(f"{what}: 40002", HttpFailure("tiktok", Kind.REQUEST, 200, "40002", "does not exist"))
        return {"ad_ids": [one for one in ids if one != self.silent], "status": body["operation_status"]}


def _pause(platform: TikTokPlatform, client: Recorder) -> dict[str, str | None]:
    platform._connected = client  # type: ignore[assignment]  # the calls it makes are what is looked at
    wish = [AdStatus(f"c{n}", "1", str(n), "PAUSED") for n in range(45)]
    return {o.change_id: o.error for o in platform.set_ad_statuses("71", wish, validate_only=False).outcomes}


def test_ads_are_set_twenty_at_a_time(bench: Bench) -> None:
    """45 ads are three calls."""
    client = Recorder()
    assert set(_pause(bench.platform(), client).values()) == {None}
    assert [len(ids) for ids in client.sent] == [20, 20, 5]


def test_one_bad_ad_does_not_hold_back_its_batch(bench: Bench) -> None:
    """TikTok refuses the twenty for one: they are asked one by one, and the one alone fails."""
    client = Recorder(bad="3")
    errors = _pause(bench.platform(), client)
    assert [key for key, error in errors.items() if error] == ["c3"]
    assert "40002" in str(errors["c3"])
    assert [len(ids) for ids in client.sent] == [20, *[1] * 20, 20, 5]


def test_an_ad_that_the_answer_does_not_name_is_no_success(bench: Bench) -> None:
    """Only ids in the answer count as set."""
    errors = _pause(bench.platform(), Recorder(silent="44"))
    assert {key: error[:13] for key, error in errors.items() if error} == {"c44": "NOT_CONFIRMED"}


def test_a_lost_answer_stops_the_rest(bench: Bench) -> None:
    """What may or may not have happened is read back before the next call."""
    client = Recorder(broken="20")
    with pytest.raises(AmbiguousMutationError):
        _pause(bench.platform(), client)
    assert [len(ids) for ids in client.sent] == [20, 20]


def test_a_token_without_reporting_is_told_by_name(bench: Bench) -> None:
    """TikTok's own name of the permission, as its app page has it; what is granted is named too."""
    access = bench.platform("credentials_limited").check_access()
    assert (access.granted, access.missing) == (("Ad Account Management", "Ads Management"), ("Reporting",))


def test_a_skeleton_without_its_parts_is_refused_before_anything_is_made(bench: Bench) -> None:
    """The message names the fields and the page; no campaign is left behind half made."""
    folder = bench.folder / "bare"
    folder.mkdir(mode=0o700, exist_ok=True)
    held = yaml.safe_load((bench.folder / "credentials" / "tiktok.yaml").read_text())
    file = folder / "tiktok.yaml"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump({k: v for k, v in held.items() if k not in ("video_id", "location_id")}))
    platform = bench.platform("bare")
    (account,) = platform.accounts()
    wish = Skeleton("aelp2-x-1", "https://shop.example.test/", 50_000_000)
    with pytest.raises(JobError, match=r"without location_id, video_id: run `aelp2 onboard tiktok`.*connect-tiktok"):
        platform.create_skeleton(account.account_id, wish, validate_only=False)
    assert bench.sandbox.created("tiktok", account.account_id, "campaign") == []


def _log_all(caplog: pytest.LogCaptureFixture) -> None:
    for name in (None, "urllib3", "business_api_client"):
        caplog.set_level(logging.DEBUG, logger=name)


@pytest.mark.parametrize("kind", ["half_page", "unavailable", "expired_token"])
def test_no_secret_is_logged_or_raised(bench: Bench, kind: str, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    """Not by us, not by urllib3, not by the official client's own handlers, whatever level logging is at."""
    _log_all(caplog)
    bench.fault(kind, times=None)
    with pytest.raises(JobError) as raised:
        bench.platform().accounts()
    out, err = capfd.readouterr()
    for secret in bench.secrets():
        assert secret not in "".join((str(raised.value), caplog.text, out, err))


def test_no_secret_is_told_where_nobody_listens(bench: Bench, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    """A refused connection is retried and told without its address, in the plain call and in the client's."""
    _log_all(caplog)
    platform = bench.platform(endpoint=GONE)
    with pytest.raises(TryAgain, match="the connection broke"):
        platform.accounts()
    with pytest.raises(TryAgain, match="the connection broke"):
        platform.read_ads("71", ["1"])
    out, err = capfd.readouterr()
    for secret in bench.secrets():
        assert secret not in "".join((caplog.text, out, err))
    assert bench.waits == [1.0, 2.0, 4.0, 8.0] * 2


def test_the_official_client_hangs_no_handlers_on_loggers(bench: Bench) -> None:
    """Left alone it prints to stderr for the whole process, urllib3's lines too."""
    bench.platform().accounts()
    kinds = [type(h) for name in ("urllib3", "business_api_client") for h in logging.getLogger(name).handlers]
    assert logging.StreamHandler not in kinds


def test_the_official_client_is_loaded_by_the_first_call_alone() -> None:
    """It takes most of a second to import; `aelp2 --help` and the jobs of others must not pay for it."""
    asked = (
        "import sys; from tasks.platforms import adapter_of; adapter_of('tiktok'); print('business_api_client' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
