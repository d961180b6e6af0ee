"""The adapter against a sandbox that speaks Google Ads' own protocol, with every fault it can have."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tasks.core.contracts import load_contract
from tasks.lab.process import RunningSandbox
from tasks.platforms.base import Account, BudgetAmount, BudgetState, RowOutcome

pytestmark = pytest.mark.slow

ACCOUNT_ID = "2000000001"
DAY = timedelta(days=1)
CAMPAIGNS = "ads.ads_campaign_performance"
AS_NOW = {"ads.campaign_budgets", "ads.ad_statuses", "ads.ads_entities", "ads.ads_change_events"}
CRITERIA = "ads.ads_criterion_performance"
BREAKDOWNS = "ads.ads_breakdown_performance"
TABLES = {CAMPAIGNS, "ads.ads_ad_performance", CRITERIA, BREAKDOWNS, "ads.ads_conversion_action_stats"} | AS_NOW
Reports = Callable[..., Any]


def today_of(sandbox: RunningSandbox) -> date:
    return date.fromisoformat(sandbox.admin.state()["today"])


@pytest.fixture
def account(adapter: Any) -> Account:
    (found,) = adapter.accounts().value
    return found  # type: ignore[no-any-return]


@pytest.fixture
def reports(adapter: Any, account: Account, sandbox: RunningSandbox) -> Reports:
    def run(days: int = 30, **options: Any) -> Any:
        today = today_of(sandbox)
        return adapter.reports(account, today - days * DAY, today - DAY, run_date=today, **options)

    return run


def test_accounts_are_the_clients_below_the_manager(account: Account) -> None:
    """The manager itself is none; currency and zone are the account's own; the name is a hash."""
    assert (account.account_id, account.currency_code, account.timezone, account.status) == (
        ACCOUNT_ID,
        "USD",
        "America/New_York",
        "ENABLED",
    )
    assert len(account.name_hash) == 64


def test_frames_meet_their_contracts(reports: Reports) -> None:
    """All tables come, and pandera finds nothing wrong with any of them."""
    got = reports().value
    assert set(got.frames) == TABLES
    for table, frame in got.frames.items():
        load_contract(table).pandera_schema().validate(frame)
    assert (got.duplicates, got.rejected) == (0, ())


def test_windows_say_which_days_a_frame_covers(reports: Reports, sandbox: RunningSandbox) -> None:
    """Days for the reports, the run date for budgets, 30 days up to the run date for the change log."""
    today, got = today_of(sandbox), reports(days=7).value
    assert got.windows[CAMPAIGNS] == (today - 7 * DAY, today - DAY)
    assert got.windows["ads.campaign_budgets"] == (today, today)
    assert got.windows["ads.ads_change_events"] == (today - 29 * DAY, today)


def test_an_old_chunk_brings_no_present_state(adapter: Any, account: Account, sandbox: RunningSandbox) -> None:
    """A backfill asks for budgets and the change log once, not with every chunk."""
    today = today_of(sandbox)
    got = adapter.reports(account, today - 60 * DAY, today - 40 * DAY, run_date=today).value
    assert set(got.frames) == TABLES - AS_NOW


def test_the_three_reports_agree(reports: Reports) -> None:
    """Conversions by lag bucket add up to those by campaign; ads add up to the campaigns that have ads."""
    frames = reports().value.frames
    campaigns = frames[CAMPAIGNS]
    by_campaign = campaigns.group_by("campaign_id").agg(pl.col("conversions", "clicks").sum()).sort("campaign_id")
    by_lag = frames["ads.ads_conversion_action_stats"].group_by("campaign_id").agg(pl.col("conversions").sum())
    both = by_campaign.join(by_lag, on="campaign_id", suffix="_lag")
    assert both["conversions"].to_list() == pytest.approx(both["conversions_lag"].to_list())
    by_ad = frames["ads.ads_ad_performance"].group_by("campaign_id").agg(pl.col("clicks").sum())
    both = by_campaign.join(by_ad, on="campaign_id", suffix="_ad")
    assert (both["clicks"] == both["clicks_ad"]).all()
    pmax = set(campaigns.filter(pl.col("channel") == "PMAX")["campaign_id"])
    assert set(by_campaign["campaign_id"]) - set(by_ad["campaign_id"]) == pmax != set()


def test_keywords_and_audiences_come_as_one_table(reports: Reports) -> None:
    """Search ad groups have keywords with a match type, the others audiences without one; each kind adds up to the ads of its ad
    groups in every number; text and names are hashes that tell them apart."""
    numbers = ["impressions", "clicks", "cost_micros", "conversions", "revenue_micros"]
    frames = reports().value.frames
    criteria, group = frames[CRITERIA], ["date", "adgroup_id"]
    is_search = pl.col("channel").str.starts_with("SEARCH")
    assert criteria.filter(is_search)["criterion_kind"].unique().to_list() == ["keyword"]
    assert criteria.filter(~is_search)["criterion_kind"].unique().to_list() == ["audience"]
    matches = dict(criteria.select("criterion_kind", "match_type").unique().group_by("criterion_kind").all().iter_rows())
    assert (sorted(matches["keyword"]), matches["audience"]) == (["BROAD", "EXACT", "PHRASE"], [None])
    of_criteria = criteria.group_by(group).agg(pl.col(numbers).sum()).sort(group)
    of_ads = frames["ads.ads_ad_performance"].group_by(group).agg(pl.col(numbers).sum()).sort(group)
    assert of_criteria.select(group + numbers[:4]).equals(of_ads.select(group + numbers[:4]))
    assert of_criteria["revenue_micros"].to_list() == pytest.approx(of_ads["revenue_micros"].to_list(), abs=10)
    hashes = criteria.select("adgroup_id", "criterion_id", "name_hash", "criterion_status").unique()
    assert hashes["name_hash"].str.len_chars().unique().to_list() == [64]
    assert hashes["name_hash"].n_unique() == hashes.height == 9 * 2 * 3
    assert hashes["criterion_status"].unique().to_list() == ["ENABLED"]


def test_channels_and_brand_are_known_before_names_are_hashed(reports: Reports) -> None:
    """Each campaign has its channel, brand search is told from the rest, and no name is readable."""
    frame = reports().value.frames[CAMPAIGNS].select("campaign_id", "channel", "is_brand", "name_hash").unique()
    labels = {row["campaign_id"]: (row["channel"], row["is_brand"]) for row in frame.iter_rows(named=True)}
    assert labels["9001"] == labels["9002"] == ("SEARCH_BRAND", True)
    assert {labels[c] for c in ("9003", "9004", "9005", "9006")} == {("SEARCH_NONBRAND", False)}
    assert (labels["9007"], labels["9009"], labels["9010"]) == (("YOUTUBE", False), ("DEMAND_GEN", False), ("PMAX", False))
    assert frame["name_hash"].str.len_chars().to_list() == [64] * frame.height


def test_impression_shares_are_null_outside_search(reports: Reports) -> None:
    """Absent is not zero: only search campaigns have shares."""
    frame = reports().value.frames[CAMPAIGNS]
    shares = [c for c in frame.columns if c.endswith("impression_share")]
    is_search = pl.col("channel").str.starts_with("SEARCH")
    assert sum(frame.filter(~is_search).select(shares).null_count().row(0)) == 3 * frame.filter(~is_search).height
    assert sum(frame.filter(is_search).select(shares).null_count().row(0)) == 0


def test_a_shared_budget_lists_all_its_campaigns(adapter: Any, reports: Reports, sandbox: RunningSandbox) -> None:
    """M6: both members count, in the live reading and in the table."""
    (state,) = adapter.read_budgets(ACCOUNT_ID, ["7005"]).value
    assert state == BudgetState("7005", 1_400_000_000, True, 2, ("9005", "9006"), ("9005", "9006"), "ENABLED", "USD")
    row = reports(days=1).value.frames["ads.campaign_budgets"].filter(pl.col("budget_id") == "7005").row(0, named=True)
    assert (row["member_campaign_ids"], row["enabled_campaign_ids"], row["channels"], row["date"]) == (
        ["9005", "9006"],
        ["9005", "9006"],
        ["SEARCH_NONBRAND"],
        today_of(sandbox),
    )


@pytest.mark.parametrize(("ids", "message"), [(["7001", "4711"], "no daily budget 4711"), (["7001; DROP"], "whole numbers")])
def test_a_budget_that_does_not_exist_is_an_error(adapter: Any, ids: list[str], message: str) -> None:
    """Silence about a missing budget would look like a budget that is fine."""
    got = adapter.read_budgets(ACCOUNT_ID, ids)
    assert (got.error, message in got.message) == ("JobError", True)


def test_a_quota_error_is_waited_out_as_told(reports: Reports, sandbox: RunningSandbox) -> None:
    """RESOURCE_EXHAUSTED with retryDelay 7 s: exactly 7 s are waited, then the report comes whole."""
    sandbox.admin.fault("quota", retry_delay_seconds=7, resource="campaign")
    got = reports()
    assert (got.error, got.waits, got.value.frames[CAMPAIGNS].height > 0) == (None, [7.0], True)


def test_a_quota_error_for_hours_gives_the_slot_back(reports: Reports, sandbox: RunningSandbox) -> None:
    """A delay of hours is not slept: TryAgain says when to come back."""
    sandbox.admin.fault("quota", retry_delay_seconds=40_591, resource="campaign")
    got = reports()
    came_back = datetime.fromisoformat(f"{today_of(sandbox)}T06:00:00+00:00") + timedelta(seconds=40_591)
    assert (got.error, got.waits) == ("TryAgain", [])
    assert f"at {came_back.isoformat()} or later" in got.message


@pytest.mark.parametrize("kind", ["unavailable", "deadline", "internal", "broken_stream"])
def test_passing_faults_are_retried(reports: Reports, sandbox: RunningSandbox, kind: str) -> None:
    """Two failures, then success: waits of 1 and 2 s (with full jitter below), and nothing counted twice."""
    whole = reports().value.frames[CAMPAIGNS].drop("loaded_at")
    sandbox.admin.fault(kind, times=2, resource="campaign", method="search_stream")
    got = reports()
    assert (got.error, got.waits, got.value.duplicates) == (None, [1.0, 2.0], 0)
    assert got.value.frames[CAMPAIGNS].drop("loaded_at").equals(whole)


def test_a_fault_that_stays_ends_as_try_again(reports: Reports, sandbox: RunningSandbox) -> None:
    """Five calls, four waits, then the job gives up and says so."""
    sandbox.admin.fault("unavailable", times=None, resource="campaign")
    got = reports()
    assert (got.error, got.waits) == ("TryAgain", [1.0, 2.0, 4.0, 8.0])


@pytest.mark.parametrize(
    ("kind", "message"), [("auth", "renew the credentials"), ("account_disabled", "reactivate it, or leave it out")]
)
def test_sign_in_errors_stop_at_once(reports: Reports, sandbox: RunningSandbox, kind: str, message: str) -> None:
    """No retry could help: one call, the code, the request id and the remedy."""
    sandbox.admin.fault(kind)
    got = reports()
    assert (got.error, got.waits) == ("CallError", [])
    assert message in got.message
    assert "request id sbx" in got.message


def test_a_sunset_version_names_the_constant(reports: Reports, sandbox: RunningSandbox) -> None:
    """The message says what to change and where."""
    sandbox.admin.fault("sunset_version")
    got = reports()
    assert got.error == "CallError"
    assert "UNSUPPORTED_VERSION" in got.message
    assert "set API_VERSION in tasks/platforms/google_ads/version.py" in got.message


def test_a_page_that_comes_twice_is_dropped_and_counted(reports: Reports, sandbox: RunningSandbox) -> None:
    """Every row of the repeated page is a duplicate; the totals stay right."""
    whole = reports().value.frames[CAMPAIGNS]
    sandbox.admin.fault("duplicate_page", resource="ad_group_ad")
    got = reports().value
    assert got.duplicates == got.frames["ads.ads_ad_performance"].height > 0
    assert got.frames[CAMPAIGNS]["cost_micros"].sum() == whole["cost_micros"].sum()


def test_validate_only_changes_nothing_and_is_retried(adapter: Any, sandbox: RunningSandbox) -> None:
    """M8: the check goes first; since it changes nothing it may be sent again."""
    sandbox.admin.fault("unavailable", method="mutate", include_validate_only=True)
    got = adapter.set_budgets(ACCOUNT_ID, [BudgetAmount("c1", "7006", 910_000_000)], validate_only=True)
    assert got.waits == [1.0]
    assert got.value.outcomes == (RowOutcome("c1", "7006"),)
    assert sandbox.admin.budgets()[7006] == 900_000_000


def test_set_budgets_sets_the_amount_and_keeps_the_request_id(adapter: Any, sandbox: RunningSandbox) -> None:
    """What was set is what is read back; the receipt carries the id under which the platform logged the call."""
    got = adapter.set_budgets(ACCOUNT_ID, [BudgetAmount("c1", "7006", 910_000_000)], validate_only=False)
    sent = [r for r in sandbox.admin.requests() if r["method"] == "MutateCampaignBudgets"][-1]
    assert (got.value.request_id, got.value.outcomes) == (sent["request_id"], (RowOutcome("c1", "7006"),))
    (state,) = adapter.read_budgets(ACCOUNT_ID, ["7006"]).value
    assert state.amount_micros == 910_000_000


def test_a_partial_failure_is_read_row_by_row(adapter: Any, sandbox: RunningSandbox) -> None:
    """The middle row fails with its code, its neighbours are set."""
    sandbox.admin.fault("partial_failure", budget_id=7007, error="database_error.CONCURRENT_MODIFICATION")
    rows = [BudgetAmount(f"c{n}", str(n), 500_000_000) for n in (7006, 7007, 7008)]
    outcomes = adapter.set_budgets(ACCOUNT_ID, rows, validate_only=False).value.outcomes
    assert [o.ok for o in outcomes] == [True, False, True]
    assert (outcomes[1].change_id, outcomes[1].resource_id) == ("c7007", "7007")
    assert outcomes[1].error.startswith("database_error.CONCURRENT_MODIFICATION: ")
    budgets = sandbox.admin.budgets()
    assert (budgets[7006], budgets[7007], budgets[7008]) == (500_000_000, 600_000_000, 500_000_000)


def test_a_lost_answer_is_ambiguous_and_never_sent_again(adapter: Any, sandbox: RunningSandbox) -> None:
    """The change was made, the answer never came: exactly one mutate was sent and the error says to read back."""
    before = len([r for r in sandbox.admin.requests() if r["method"] == "MutateCampaignBudgets"])
    sandbox.admin.fault("lost_response")
    got = adapter.set_budgets(ACCOUNT_ID, [BudgetAmount("c1", "7006", 910_000_000)], validate_only=False)
    assert (got.error, got.waits) == ("AmbiguousMutationError", [])
    assert "read it back" in got.message
    assert len([r for r in sandbox.admin.requests() if r["method"] == "MutateCampaignBudgets"]) == before + 1
    assert adapter.read_budgets(ACCOUNT_ID, ["7006"]).value[0].amount_micros == 910_000_000


@pytest.mark.parametrize("kind", ["unavailable", "deadline", "internal"])
def test_a_mutate_is_not_retried(adapter: Any, sandbox: RunningSandbox, kind: str) -> None:
    """Nobody can tell from these errors whether the change was made."""
    sandbox.admin.fault(kind, method="mutate")
    got = adapter.set_budgets(ACCOUNT_ID, [BudgetAmount("c1", "7006", 910_000_000)], validate_only=False)
    assert (got.error, got.waits) == ("AmbiguousMutationError", [])


def test_a_quota_error_of_a_mutate_is_not_waited_out(adapter: Any, sandbox: RunningSandbox) -> None:
    """Nothing was done; the guards must run again before the next attempt, so the job ends and says when to come back."""
    sandbox.admin.fault("quota", method="mutate", retry_delay_seconds=2)
    got = adapter.set_budgets(ACCOUNT_ID, [BudgetAmount("c1", "7006", 910_000_000)], validate_only=False)
    assert (got.error, got.waits) == ("TryAgain", [])
    assert sandbox.admin.budgets()[7006] == 900_000_000


def test_changes_of_others_and_of_ourselves_are_read(adapter: Any, sandbox: RunningSandbox) -> None:
    """Amount before and after, through what, and by whom as a hash that tells two people apart."""
    since = datetime.fromisoformat(f"{today_of(sandbox)}T00:00:00+00:00")
    known = {c.change_event_id for c in adapter.read_changes(ACCOUNT_ID, since).value}
    sandbox.admin.edit(7006, 950_000_000)
    adapter.set_budgets(ACCOUNT_ID, [BudgetAmount("c1", "7006", 930_000_000)], validate_only=False)
    edit, ours = [c for c in adapter.read_changes(ACCOUNT_ID, since).value if c.change_event_id not in known]
    assert (edit.resource_type, edit.resource_id, edit.client_type) == ("CAMPAIGN_BUDGET", "7006", "GOOGLE_ADS_WEB_CLIENT")
    assert (edit.amount_before_micros, edit.amount_after_micros) == (900_000_000, 950_000_000)
    assert (ours.client_type, ours.amount_before_micros, ours.amount_after_micros) == (
        "GOOGLE_ADS_API",
        950_000_000,
        930_000_000,
    )
    assert edit.changed_at < ours.changed_at
    assert edit.changed_at.tzinfo is UTC
    assert edit.actor_hash != ours.actor_hash


def test_a_change_log_older_than_the_platform_keeps_leaves_the_table_alone(
    adapter: Any, account: Account, sandbox: RunningSandbox
) -> None:
    """A run for a day two months back still brings the reports; the change log of then is gone and not replaced by nothing."""
    then = today_of(sandbox) - 60 * DAY
    got = adapter.reports(account, then - 3 * DAY, then - DAY, run_date=then)
    assert got.error is None
    assert set(got.value.frames) == TABLES - {"ads.ads_change_events"}
