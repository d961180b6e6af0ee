"""The cases every adapter has to pass. Each takes a Bench and raises AssertionError where the adapter is wrong."""

from collections.abc import Callable
from datetime import date

import polars as pl
from conformance_bench import ADS, CAMPAIGNS, DAY, ENTITIES, Bench, daily
from polars.testing import assert_frame_equal

from tasks.core.contracts import load_contract
from tasks.platforms.base import AdStatus, Skeleton

Case = Callable[[Bench], None]
CASES: dict[str, Case] = {}
AUTUMN = date(2025, 11, 2)  # 25 hours in New York; 26 October in Berlin
AUTUMN_BERLIN = date(2025, 10, 26)


def case(function: Case) -> Case:
    """Add a case under its name."""
    CASES[function.__name__] = function
    return function


def _equal(bench: Bench, frame: pl.DataFrame, place: int, first: date, last: date) -> None:
    truth = bench.truth(place, first, last).filter(pl.sum_horizontal("impressions", "cost_micros", "conversions") > 0)
    assert_frame_equal(daily(frame), truth, check_dtypes=False)


@case
def accounts_come_with_currency_zone_and_hashed_name(bench: Bench) -> None:
    """Two accounts, two currencies; the zone is the one the platform counts days in."""
    own = [a for a in bench.oracle.world.accounts if a.platform == bench.platform]
    found = {a.account_id: a for a in bench.good("accounts")}
    assert set(found) == {a.id for a in own}
    for account in own:
        got = found[account.id]
        assert (got.platform, got.currency_code, got.timezone) == (bench.platform, account.currency, account.time_zone)
        assert got.status == "ENABLED"
        assert len(got.name_hash) == 64
        assert got.name_hash != account.name


@case
def frames_meet_their_contracts(bench: Bench) -> None:
    """pandera finds nothing wrong with any table, and no row was dropped or set aside."""
    got = bench.load()
    assert {CAMPAIGNS, ADS, "ads.ad_statuses"} <= set(got.frames)
    for table, frame in got.frames.items():
        load_contract(table).pandera_schema().validate(frame)
        assert set(frame["platform"].unique()) <= {bench.platform}
    assert (got.duplicates, got.rejected) == (0, ())


@case
def windows_say_which_days_a_frame_covers(bench: Bench) -> None:
    """Delivery covers what was asked; what stands now is dated the run date, and only asked for with the newest days."""
    got = bench.load(days=7)
    assert got.windows[CAMPAIGNS] == got.windows[ADS] == (bench.today - 7 * DAY, bench.today - DAY)
    assert got.windows["ads.ad_statuses"] == (bench.today, bench.today)
    old = bench.load(days=7, until=bench.today - 40 * DAY)
    assert "ads.ad_statuses" not in old.frames


@case
def units_are_exact(bench: Bench) -> None:
    """Impressions, clicks, cost, conversions and value equal the market's, day by day, by campaign and by ad."""
    first, last = bench.today - 60 * DAY, bench.today - DAY
    got = bench.load(days=60)
    for table in (CAMPAIGNS, ADS):
        _equal(bench, got.frames[table], 0, first, last)


@case
def two_accounts_keep_their_currencies(bench: Bench) -> None:
    """Amounts stay in the account's own currency, and nothing of one account stands in the other."""
    for place, currency in ((0, "USD"), (1, "EUR")):
        got = bench.load(place, days=20)
        account = bench.account(place)
        for table in (CAMPAIGNS, ADS):
            frame = got.frames[table]
            assert frame["currency_code"].unique().to_list() == [currency]
            assert frame["account_id"].unique().to_list() == [account.account_id]
            assert frame["timezone"].unique().to_list() == [account.timezone]
            _equal(bench, frame, place, bench.today - 20 * DAY, bench.today - DAY)


@case
def every_page_is_read(bench: Bench) -> None:
    """A platform that cuts its answers small is read to the end."""
    with bench.fault("small_pages", times=None):
        got = bench.load(days=40)
    for table in (CAMPAIGNS, ADS):
        _equal(bench, got.frames[table], 0, bench.today - 40 * DAY, bench.today - DAY)


@case
def an_empty_day_is_no_error(bench: Bench) -> None:
    """Days before the first delivery: empty frames in the right shape."""
    got = bench.load(days=5, until=bench.oracle.market.start - 10 * DAY)
    for table in (CAMPAIGNS, ADS):
        frame = got.frames[table]
        assert frame.is_empty()
        assert dict(frame.schema) == load_contract(table).polars_schema()


@case
def a_day_of_25_hours_is_one_day(bench: Bench) -> None:
    """Around the end of summer time each day comes once, whole, and on its date."""
    for place, night in ((0, AUTUMN), (1, AUTUMN_BERLIN)):
        got = bench.good("reports", bench.account(place), night - DAY, night + DAY, run_date=bench.today)
        assert got.rejected == ()
        for table in (CAMPAIGNS, ADS):
            _equal(bench, got.frames[table], place, night - DAY, night + DAY)
        alone = bench.good("reports", bench.account(place), night, night, run_date=bench.today)
        _equal(bench, alone.frames[ADS], place, night, night)


@case
def duplicate_rows_are_dropped_and_counted(bench: Bench) -> None:
    """A row that a page holds twice counts once."""
    with bench.fault("duplicate_page", times=None):
        got = bench.load(days=30)
    assert got.duplicates > 0
    for table in (CAMPAIGNS, ADS):
        _equal(bench, got.frames[table], 0, bench.today - 30 * DAY, bench.today - DAY)


@case
def throttling_is_waited_out_as_long_as_told(bench: Bench) -> None:
    """The platform's own seconds are waited, no more and no fewer."""
    account = bench.account()
    with bench.fault("throttle", times=2, retry_delay_seconds=7):
        answer = bench.reports(account, bench.today - 5 * DAY, bench.today - DAY, run_date=bench.today)
    assert answer.error is None, answer.message
    assert answer.waits == [7.0, 7.0]
    _equal(bench, answer.value.frames[ADS], 0, bench.today - 5 * DAY, bench.today - DAY)


@case
def a_long_throttle_gives_the_slot_back(bench: Bench) -> None:
    """Hours are not waited in the job: it ends with `try again`."""
    account = bench.account()
    with bench.fault("throttle", times=None, retry_delay_seconds=40_000):
        answer = bench.reports(account, bench.today - 5 * DAY, bench.today - DAY, run_date=bench.today)
    assert answer.error == "TryAgain"
    assert sum(answer.waits) <= 300


@case
def a_server_error_passes(bench: Bench) -> None:
    """Two failures are retried; what does not pass ends with `try again`."""
    account = bench.account()
    with bench.fault("unavailable", times=2):
        answer = bench.reports(account, bench.today - 5 * DAY, bench.today - DAY, run_date=bench.today)
    assert answer.error is None, answer.message
    with bench.fault("unavailable", times=None):
        answer = bench.reports(account, bench.today - 5 * DAY, bench.today - DAY, run_date=bench.today)
    assert answer.error == "TryAgain"


@case
def a_half_sent_page_is_read_again(bench: Bench) -> None:
    """Half an answer is none: the page is read again and nothing is missing or twice."""
    account = bench.account()
    with bench.fault("half_page", times=1, skip=1):
        answer = bench.reports(account, bench.today - 30 * DAY, bench.today - DAY, run_date=bench.today)
    assert answer.error is None, answer.message
    for table in (CAMPAIGNS, ADS):
        _equal(bench, answer.value.frames[table], 0, bench.today - 30 * DAY, bench.today - DAY)


@case
def an_expired_token_stops_with_a_remedy(bench: Bench) -> None:
    """A token that stays expired is a JobError that says what to do; it is not retried and shows no secret."""
    account = bench.account()
    with bench.fault("expired_token", times=None):
        answer = bench.reports(account, bench.today - 5 * DAY, bench.today - DAY, run_date=bench.today)
    assert answer.error == "CallError"
    assert answer.kind in ("EXPIRED", "SIGN_IN")
    assert answer.waits == []
    assert "onboard" in answer.message or "credentials" in answer.message
    for secret in bench.secrets():
        assert secret not in answer.message


@case
def an_unknown_enum_is_set_aside(bench: Bench) -> None:
    """A status nobody knows: its rows wait in quarantine with the reason, the others land."""
    with bench.fault("unknown_enum", times=None):
        got = bench.load(days=10)
    assert {row.check for row in got.rejected} == {"known_enum"}
    assert all("UNRECOGNISED_" in row.reason for row in got.rejected)
    rejected = sum(row.row["cost_micros"] for row in got.rejected if row.table == ADS)
    whole = bench.truth(0, bench.today - 10 * DAY, bench.today - DAY)["cost_micros"].sum()
    assert got.frames[ADS]["cost_micros"].sum() + rejected == whole


@case
def restated_history_is_taken_over(bench: Bench) -> None:
    """The platform counts more conversions of past days later on: the next load has them, and the same cost."""
    before = daily(bench.load(days=20).frames[ADS])
    bench.restate(days=8, factor=1.5)
    after = bench.load(days=20).frames[ADS]
    _equal(bench, after, 0, bench.today - 20 * DAY, bench.today - DAY)
    assert daily(after)["conversions"].sum() > before["conversions"].sum()
    assert daily(after)["cost_micros"].to_list() == before["cost_micros"].to_list()


@case
def what_an_account_holds_has_parents_and_no_names(bench: Bench) -> None:
    """Every campaign, ad group and ad once, with its parent; names are hashes wherever they stand."""
    got = bench.load(days=5)
    entities = got.frames[ENTITIES]
    own = {a.id: a for a in bench.oracle.world.accounts}[bench.account().account_id]
    units = [u for u in bench.oracle.market.layout.units if u.campaign.id in {c.id for c in own.campaigns}]
    held = {kind: set(entities.filter(entity_kind=kind)["entity_id"]) for kind in ("campaign", "adgroup", "ad")}
    assert held["campaign"] >= {str(c.id) for c in own.campaigns}
    assert held["adgroup"] >= {str(u.ad_group_id) for u in units}
    assert held["ad"] >= {str(u.ad_id) for u in units}
    parents = dict(entities.filter(entity_kind="ad").select("entity_id", "parent_id").iter_rows())
    assert all(parents[str(u.ad_id)] == str(u.ad_group_id) for u in units)
    for frame in got.frames.values():
        text = frame.write_csv(None) if not any(t.is_nested() for t in frame.dtypes) else str(frame.to_dicts())
        assert own.name not in text
        assert "of group" not in text


@case
def the_status_of_ads_is_read_and_set(bench: Bench) -> None:
    """Validating changes nothing; setting does, and is read back; an ad that is not there fails alone."""
    account, ads = bench.account(), _ads(bench)
    group, ad = ads[0]
    before = {a.ad_id: a.status for a in bench.good("read_ads", account.account_id, [group])}
    assert before[ad] == "ENABLED"
    wish = [AdStatus("c1", group, ad, "PAUSED")]
    checked = bench.good("set_ad_statuses", account.account_id, wish, validate_only=True)
    assert [o.error for o in checked.outcomes] == [None]
    assert {a.ad_id: a.status for a in bench.good("read_ads", account.account_id, [group])} == before
    set_ = bench.good(
        "set_ad_statuses", account.account_id, [*wish, AdStatus("c2", group, "999999999", "PAUSED")], validate_only=False
    )
    assert [(o.change_id, o.ok) for o in set_.outcomes] == [("c1", True), ("c2", False)]
    assert {a.ad_id: a.status for a in bench.good("read_ads", account.account_id, [group])} == before | {ad: "PAUSED"}
    bench.good("set_ad_statuses", account.account_id, [AdStatus("c3", group, ad, "ENABLED")], validate_only=False)
    assert {a.ad_id: a.status for a in bench.good("read_ads", account.account_id, [group])} == before


@case
def a_lost_answer_of_a_mutation_is_ambiguous(bench: Bench) -> None:
    """It may have been made: the caller must read before anything else; it is not sent again."""
    account, (group, ad) = bench.account(), _ads(bench)[1]
    with bench.fault("lost_response", times=1, **({"method": "mutate"} if bench.platform == "google_ads" else {})):
        answer = bench.set_ad_statuses(account.account_id, [AdStatus("c1", group, ad, "PAUSED")], validate_only=False)
    assert answer.error == "AmbiguousMutationError"
    assert {a.ad_id: a.status for a in bench.good("read_ads", account.account_id, [group])}[ad] == "PAUSED"
    bench.good("set_ad_statuses", account.account_id, [AdStatus("c2", group, ad, "ENABLED")], validate_only=False)


@case
def credentials_are_told_apart(bench: Bench) -> None:
    """None, wrong, expired, under-privileged and right: five answers."""
    right = bench.good("check_access")
    assert (len(right.accounts), right.missing) == (2, ())
    assert right.granted
    kinds = {}
    for standing in ("none", "wrong", "expired", "limited"):
        env = bench.credentials(standing)
        if env is None:
            continue
        answer = bench.check_access(env=env)
        if answer.error is None:
            assert answer.value.missing, standing
        kinds[standing] = answer.kind or answer.error or "MISSING"
        assert all(secret not in answer.message for secret in bench.secrets())
    assert kinds["none"] == "JobError"
    assert kinds["wrong"] == "SIGN_IN"
    assert kinds.get("expired", "EXPIRED") == "EXPIRED"
    assert kinds["limited"] in ("PERMISSION", "MISSING")


@case
def a_skeleton_is_made_once_and_paused(bench: Bench) -> None:
    """Validating makes nothing; a second call finds what the first made; all of it is paused and leads where it should."""
    account = bench.account(1)
    wish = Skeleton("aelp2-conformance-1", "https://shop.example.test/?utm_source=x&utm_campaign=aelp2-conformance-1", 20_000_000)
    known = {kind: bench.created(account.account_id, kind) for kind in ("campaign", "adgroup", "ad")}
    checked = bench.good("create_skeleton", account.account_id, wish, validate_only=True)
    assert checked.campaign_id is None
    assert {kind: bench.created(account.account_id, kind) for kind in known} == known
    first = bench.good("create_skeleton", account.account_id, wish, validate_only=False)
    assert set(first.created) == {"campaign", "adgroup", "ad"}
    second = bench.good("create_skeleton", account.account_id, wish, validate_only=False)
    assert (second.campaign_id, second.adgroup_id, second.ad_id) == (first.campaign_id, first.adgroup_id, first.ad_id)
    assert second.created == ()
    for kind, made in known.items():
        now = bench.created(account.account_id, kind)
        (new,) = [one for one in now if one not in made]
        assert new["is_enabled"] is False
    assert wish.landing_url in str(bench.created(account.account_id, "ad"))
    read = bench.load(1, days=3)
    assert first.campaign_id in set(read.frames[ENTITIES].filter(entity_kind="campaign", status="PAUSED")["entity_id"])


def _ads(bench: Bench) -> list[tuple[str, str]]:
    """(ad group, ad) of the first account."""
    own = {a.id: a for a in bench.oracle.world.accounts}[bench.account().account_id]
    ids = {c.id for c in own.campaigns}
    return [(str(u.ad_group_id), str(u.ad_id)) for u in bench.oracle.market.layout.units if u.campaign.id in ids]
