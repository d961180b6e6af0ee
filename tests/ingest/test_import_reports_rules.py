"""import-reports on small files: what is refused, what is set aside, which of two rows counts, and that nothing else is lost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from tasks.cli import cli
from tasks.core.errors import JobError
from tasks.core.settings import load_settings
from tasks.core.warehouse import Warehouse, open_warehouse

REDDIT = "account_id,campaign_id,date,_fivetran_synced,clicks,impressions,spend,ecpm,region"
ACCOUNT = "id,_fivetran_synced,attribution_type,click_attribution_window,currency,status,time_zone_id"
BERLIN = f"{ACCOUNT}\n7,2026-03-01 02:00:00,ALL,MONTH,EUR,ACTIVE,Europe/Berlin\n"
GOOGLE = (
    "_fivetran_id,_fivetran_synced,customer_id,id,base_campaign,date,ad_network_type,device,clicks,conversions,conversions_value,"
    "cost_micros,impressions"
)
TOLD = ("--currency", "EUR", "--timezone", "Europe/Berlin")
CAMPAIGNS, ACTIONS = "ads.ads_campaign_performance", "ads.ads_action_performance"


def day(campaign: str, on: str, clicks: object = 1, spend: object = 2_000_000, synced: str = "2026-03-01 02:00:00") -> str:
    return f"7,{campaign},{on},{synced},{clicks},100,{spend},1.5,"


def csv(header: str, *rows: str) -> str:
    return "\n".join([header, *rows]) + "\n"


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    (tmp_path / "salt").write_text("s" * 64)
    (tmp_path / "salt").chmod(0o600)
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("AELP2_NAME_SALT_FILE", str(tmp_path / "salt"))
    monkeypatch.setenv("AELP2_NOW", "2026-03-02T06:00:00+00:00")
    return open_warehouse(load_settings())


Load = Callable[..., Result]


@pytest.fixture
def load(warehouse: Warehouse, tmp_path: Path) -> Load:
    """The job on files of these contents, alone in their folder."""

    def call(files: dict[str, str | bytes], *options: str) -> Result:
        folder = tmp_path / "exports"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return CliRunner().invoke(cli, ["import-reports", str(folder), "--run-date", "2026-03-02", *options])

    return call


def spend(warehouse: Warehouse, table: str = CAMPAIGNS) -> dict[tuple[str, date], int]:
    rows = warehouse.query(f"SELECT campaign_id, date, cost_micros FROM {table}")
    return {(campaign, on): cost for campaign, on, cost in rows.iter_rows()}


def set_aside(warehouse: Warehouse) -> list[tuple[str, str]]:
    return warehouse.query("SELECT `check`, reason FROM control.quarantine ORDER BY reason").rows()


def refused(result: Result) -> str:
    assert isinstance(result.exception, JobError), result.output + repr(result.exception)
    return str(result.exception)


# --- what stops


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("orders.csv", "order,price\n1,2\n", ["orders.csv: no known report has these columns: order, price", "The nearest is"]),
        (
            "reddit_ads_campaign_report.csv",
            csv(REDDIT.replace(",spend", ""), "7,1,2026-02-28,2026-03-01 02:00:00,1,100,1.5,"),
            ["reddit_ads_campaign_report.csv", "The nearest is reddit campaign_report", "it lacks spend"],
        ),
        ("empty.csv", "", ["empty.csv is empty"]),
        ("bare.csv", REDDIT + "\n", ["bare.csv has a header and no rows"]),
        ("short.csv", csv(REDDIT, "7,1,2026-02-28"), ["short.csv", "the row has 3 fields, the header 9"]),
        (
            "twice.csv",
            csv(f"{REDDIT},Clicks", day("1", "2026-02-28") + ",1"),
            ["twice.csv: the header names clicks more than once"],
        ),
        ("words.csv", csv(REDDIT, day("1", "2026-02-28", clicks="many")), ["words.csv", "clicks is 'many', which is no count"]),
        ("when.csv", csv(REDDIT, day("1", "28/02/2026")), ["when.csv", "date is '28/02/2026', which is no day"]),
        ("exact.csv", csv(REDDIT, day("1", "2026-02-28", clicks="1.5")), ["exact.csv", "clicks is '1.5', which is no count"]),
        ("page.parquet", b"PAR1 this is none", ["page.parquet cannot be read as Parquet"]),
    ],
)
def test_a_broken_file_stops_all_with_its_name_and_what_is_wrong(
    warehouse: Warehouse, load: Load, name: str, content: str | bytes, said: list[str]
) -> None:
    """Nothing is written, of the whole files beside it neither; mended, the same command loads both."""
    whole = {"whole.csv": csv(REDDIT, day("2", "2026-02-28"))}
    message = refused(load(whole | {name: content}, *TOLD))
    for words in said:
        assert words in message
    assert "whole.csv:" not in message
    assert spend(warehouse) == {}
    assert load(whole, *TOLD).exit_code == 0
    assert spend(warehouse) == {("2", date(2026, 2, 28)): 2_000_000}


def test_all_unreadable_files_are_told_at_once(load: Load) -> None:
    """A person mends them in one go."""
    message = refused(load({"a.csv": "x,y\n1,2\n", "b.csv": "", "c.csv": csv(REDDIT, day("1", "2026-02-28"))}, *TOLD))
    assert message.startswith("2 of 3 files cannot be read; nothing was written")
    assert "a.csv: no known report" in message
    assert "b.csv is empty" in message


def test_columns_of_two_reports_are_told_apart_by_the_name_or_refused(load: Load) -> None:
    """A line item report with the columns of a campaign's too fits both; guessing would double its spend."""
    header = "account_id,line_item_id,promoted_tweet_id,date,placement,billed_charge_local_micro,clicks,impressions"
    row = "7,1,2,2026-02-27 23:00:00,ALL,5,1,9"
    both = csv(f"{header},conversion_purchases_metric", f"{row},0")
    message = refused(load({"export.csv": both}, *TOLD))
    assert "export.csv: its columns fit x line_item_report, x promoted_tweet_report; name the file after one" in message
    named = load({"twitter_promoted_tweet_report.csv": both}, *TOLD)
    assert "x promoted_tweet_report, 1 rows" in named.output


def test_amounts_of_another_currency_never_join_a_history(warehouse: Warehouse, load: Load) -> None:
    """The account's stored rows are in euros, the new ones would be in dollars."""
    report = {"a.csv": csv(REDDIT, day("1", "2026-02-28"))}
    assert load(report, *TOLD).exit_code == 0
    message = refused(load(report, "--currency", "USD", "--timezone", "Europe/Berlin"))
    assert "reddit account 7: these reports are in USD, its stored history is in EUR" in message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "reddit account 7: give --currency 7=… and --timezone 7=…"),
        (("--currency", "EUR"), "reddit account 7: give --timezone 7=…"),
        (("--currency", "euro", "--timezone", "UTC"), "'euro' is no ISO 4217 code"),
        (("--currency", "EUR", "--timezone", "Berlin"), "'Berlin' is no IANA time zone"),
        (("--currency", "EUR", "--currency", "USD"), "--currency says both EUR and USD"),
        ((*TOLD, "--account", "orkut=1"), "--account 'orkut=1' is no PLATFORM=ACCOUNT; the platforms are"),
    ],
)
def test_what_nobody_tells_is_asked_for(load: Load, options: tuple[str, ...], said: str) -> None:
    """An amount without a currency or a day without a zone is not stored."""
    assert said in refused(load({"a.csv": csv(REDDIT, day("1", "2026-02-28"))}, *options))


# --- what is set aside


def test_rows_that_the_contract_refuses_are_set_aside_and_the_rest_lands(warehouse: Warehouse, load: Load) -> None:
    """A negative amount, no day, no campaign, and a day that is not over: each has its reason in quarantine."""
    rows = [
        day("1", "2026-02-26", spend=-5),
        day("1", ""),
        day("", "2026-02-27"),
        day("1", "2026-03-02"),
        day("1", "2026-02-28"),
    ]
    result = load({"a.csv": csv(REDDIT, *rows)}, *TOLD)
    assert result.exit_code == 0, result.exception
    assert "4 rows fit no table; control.quarantine tells why" in result.output
    assert "impressions 100; clicks 1; cost 2;" in result.output  # what is set aside is in no total
    assert spend(warehouse) == {("1", date(2026, 2, 28)): 2_000_000}
    assert set_aside(warehouse) == [
        ("campaign_id_needed", "campaign_id is empty, which campaign_id needs"),
        ("cost_micros_min", "cost_micros is -5, outside the contract"),
        ("date_in_window", "date is 2026-03-02, after the last complete day 2026-03-01"),
        ("date_needed", "date is empty, which date needs"),
    ]


def test_a_negative_part_is_not_hidden_in_the_sum_of_its_day(warehouse: Warehouse, load: Load) -> None:
    """Mobile −1 and desktop +5 make 5 and a row in quarantine, not 4."""
    parts = [
        "a,2026-03-01,3,9,c/9,2026-02-28,SEARCH,MOBILE,1,0,0,-1000000,10",
        "b,2026-03-01,3,9,c/9,2026-02-28,SEARCH,DESKTOP,1,0,0,5000000,10",
    ]
    assert load({"a.csv": csv(GOOGLE, *parts)}, *TOLD).exit_code == 0
    assert spend(warehouse) == {("9", date(2026, 2, 28)): 5_000_000}
    assert [check for check, _ in set_aside(warehouse)] == ["cost_micros_min"]


def test_a_row_set_aside_keeps_ids_and_numbers_and_no_name(warehouse: Warehouse, load: Load) -> None:
    """A campaign of which the account is empty is a row for a person to look at; its clear name is nobody's business."""
    header = "id,account_id,configured_status,effective_status,objective,funding_instrument_id,name"
    assert load({"c.csv": csv(header, "11,,ACTIVE,ACTIVE,CLICKS,,Summer of Bob"), "a.csv": BERLIN}).exit_code == 0
    (row,) = warehouse.query("SELECT row_json FROM control.quarantine")["row_json"]
    assert json.loads(row)["id"] == "11"
    assert "Bob" not in row


# --- which rows count


def test_parts_of_a_day_are_added_and_identical_rows_count_once(warehouse: Warehouse, load: Load) -> None:
    """Device and network split a campaign's day finer than the table."""
    mobile = "a,2026-03-01,3,9,c/9,2026-02-28,SEARCH,MOBILE,1,0.5,2.25,1000000,10"
    desktop = "b,2026-03-01,3,9,c/9,2026-02-28,SEARCH,DESKTOP,2,1,0,5000000,20"
    result = load({"a.csv": csv(GOOGLE, mobile, desktop, mobile)}, *TOLD)
    assert "1 identical rows dropped, 0 replaced" in result.output
    (row,) = warehouse.query(f"SELECT impressions, clicks, cost_micros, conversions, revenue_micros FROM {CAMPAIGNS}").rows()
    assert row == (30, 3, 6_000_000, 1.5, 2_250_000)


def test_of_a_key_told_twice_the_row_synced_last_counts(warehouse: Warehouse, load: Load) -> None:
    """A restated day, in one file or in two: never the sum of both, whatever their order."""
    old = day("1", "2026-02-28", spend=1_000_000, synced="2026-03-01 2:00:00")  # an hour of one digit sorts as text after "10"
    new = day("1", "2026-02-28", spend=3_000_000, synced="2026-03-01T10:00:00.5Z")
    other = day("2", "2026-02-28")
    assert load({"a.csv": csv(REDDIT, new, old)}, *TOLD).exit_code == 0
    assert spend(warehouse) == {("1", date(2026, 2, 28)): 3_000_000}
    result = load({"a.csv": csv(REDDIT, new, other), "b.csv": csv(REDDIT, old, other)}, *TOLD)
    assert "a.csv, b.csv: 1 identical rows dropped, 1 replaced by a later row of the same key" in result.output
    assert spend(warehouse) == {("1", date(2026, 2, 28)): 3_000_000, ("2", date(2026, 2, 28)): 2_000_000}


def test_regions_of_a_day_are_parts_of_it_where_the_sync_splits_by_them(warehouse: Warehouse, load: Load) -> None:
    """Two rows of one campaign and day that name two regions are added, not taken for a restatement."""
    rows = [
        day("1", "2026-02-28", synced="2026-03-01 02:00:00") + "north",
        day("1", "2026-02-28", synced="2026-03-01 03:00:00") + "south",
    ]
    assert load({"a.csv": csv(REDDIT, *rows)}, *TOLD).exit_code == 0
    assert spend(warehouse) == {("1", date(2026, 2, 28)): 4_000_000}


def test_a_sync_that_is_no_instant_ranks_nothing(load: Load) -> None:
    """A spreadsheet that rewrote the stamps has lost which row is newer."""
    rows = [day("1", "2026-02-28", spend=1, synced="3/1/26 2:00"), day("1", "2026-02-28", spend=2, synced="3/1/26 10:00")]
    message = refused(load({"a.csv": csv(REDDIT, *rows)}, *TOLD))
    assert "a.csv: _fivetran_synced is '3/1/26 2:00', which is no instant" in message


def test_of_two_rows_that_nothing_ranks_neither_is_believed(warehouse: Warehouse, load: Load) -> None:
    """Same key, same sync, other numbers: the file is refused rather than a row chosen."""
    message = refused(load({"a.csv": csv(REDDIT, day("1", "2026-02-28", spend=1), day("1", "2026-02-28", spend=2))}, *TOLD))
    assert "a.csv: 2 rows of reddit campaign_report share a key and differ" in message
    assert spend(warehouse) == {}


def test_the_error_about_two_rows_names_ids_and_no_search_term(load: Load) -> None:
    """Logs are read by more people than the export."""
    header = (
        "_fivetran_id,_fivetran_synced,customer_id,date,search_term,ad_group_id,campaign_id,clicks,conversions,conversions_value,"
        "cost_micros,impressions"
    )
    rows = [f"a,2026-03-01,3,2026-02-28,doctor bob smith,4,9,{clicks},0,0,1,10" for clicks in (1, 2)]
    message = refused(load({"s.csv": csv(header, *rows)}, *TOLD))
    assert "'ad_group_id': '4'" in message
    assert "bob" not in message


def test_a_later_file_adds_its_days_and_leaves_the_others(warehouse: Warehouse, load: Load) -> None:
    """Rows are merged by grain: a day or campaign that the new file leaves out is not gone."""
    assert load({"a.csv": csv(REDDIT, day("1", "2026-02-27"), day("2", "2026-02-28"))}, *TOLD).exit_code == 0
    assert load({"a.csv": csv(REDDIT, day("1", "2026-02-28"))}, *TOLD).exit_code == 0
    assert set(spend(warehouse)) == {("1", date(2026, 2, 27)), ("2", date(2026, 2, 28)), ("1", date(2026, 2, 28))}


def test_counts_and_values_of_an_action_meet_in_one_row(warehouse: Warehouse, load: Load) -> None:
    """They come in two files, perhaps on two days and in any order; neither wipes out the other."""
    key = "5,2026-02-28,h,0,lead"
    counts = csv("ad_id,date,_fivetran_id,index,action_type,value,_7_d_click,inline,_fivetran_synced", f"{key},3,2,,2026-03-01")
    values = csv("ad_id,date,_fivetran_id,index,action_type,value,_7_d_click,_fivetran_synced", f"{key},30.5,20,2026-03-01")
    both = [("7d_click", 2.0, 20_000_000), ("default", 3.0, 30_500_000)]
    for files in ({"counts.csv": counts}, {"values.csv": values}, {"counts.csv": counts, "values.csv": values}):
        assert load(files, *TOLD).exit_code == 0
        rows = warehouse.query(f"SELECT attribution_window, actions, revenue_micros FROM {ACTIONS} ORDER BY attribution_window")
    assert rows.rows() == both
    assert load({"values.csv": values}, *TOLD).exit_code == 0
    assert warehouse.query(f"SELECT actions FROM {ACTIONS} ORDER BY attribution_window")["actions"].to_list() == [2.0, 3.0]


# --- days, accounts, names


def test_the_hours_of_a_day_are_added(warehouse: Warehouse, load: Load) -> None:
    """TikTok's hours count in the advertiser's zone: the date that stands there is the day."""
    header = "CAMPAIGN_ID,STAT_TIME_HOUR,IMPRESSIONS,CLICKS,SPEND,CONVERSION,_FIVETRAN_SYNCED"
    rows = [
        "1,2026-02-27 23:00:00,5,1,0.10,0,2026-03-01",
        "1,2026-02-28 0:00:00,5,1,0.2,1,2026-03-01",
        "1,2026-02-28 23:00:00,5,1,1.15,1,2026-03-01",
    ]
    assert load({"t.csv": csv(header, *rows)}, *TOLD).exit_code == 0
    assert spend(warehouse) == {("1", date(2026, 2, 27)): 100_000, ("1", date(2026, 2, 28)): 1_350_000}


@pytest.mark.parametrize(
    ("zone", "instant"),
    [
        ("Europe/Berlin", "2026-02-27 23:00:00"),
        ("America/Los_Angeles", "2026-02-28 08:00:00"),
        ("Asia/Tokyo", "2026-02-27T15:00:00Z"),
    ],
)
def test_the_day_of_x_is_that_of_the_account_not_of_utc(warehouse: Warehouse, load: Load, zone: str, instant: str) -> None:
    """X gives the instant at which the account's day began; east of Greenwich that is the day before in UTC."""
    header = "account_id,campaign_id,date,placement,billed_charge_local_micro,clicks,impressions,conversion_purchases_metric"
    row = f"7,1,{instant},ALL,5,1,9,0"
    assert load({"x.csv": csv(header, row)}, "--currency", "EUR", "--timezone", zone).exit_code == 0
    assert spend(warehouse) == {("1", date(2026, 2, 28)): 5}


def test_a_month_is_told_as_its_first_day_and_length(warehouse: Warehouse, load: Load) -> None:
    """LinkedIn's months: February has 28 days in 2026 and 29 in 2024."""
    header = (
        "campaign_id,month,member_country,clicks,impressions,cost_in_local_currency,external_website_post_click_conversions,"
        "conversion_value_in_local_currency"
    )
    assert load({"m.csv": csv(header, "1,2024-02,101,1,2,3,4,5", "1,2026-02,101,1,2,3,4,5")}, *TOLD).exit_code == 0
    rows = warehouse.query("SELECT date, period_days FROM ads.ads_breakdown_performance ORDER BY date").rows()
    assert rows == [(date(2024, 2, 1), 29), (date(2026, 2, 1), 28)]


def test_the_history_tells_currency_and_zone_and_a_person_outranks_it(warehouse: Warehouse, load: Load) -> None:
    """An option for all accounts only fills what is open; one that names the account corrects the file."""
    report = {"a.csv": csv(REDDIT, day("1", "2026-02-28")), "reddit_ads_account_data.csv": BERLIN}
    assert load(report, "--currency", "USD", "--timezone", "UTC").exit_code == 0
    held = warehouse.query("SELECT currency_code, timezone FROM ads.ads_accounts")
    assert held.rows() == [("EUR", "Europe/Berlin")]
    assert load(report, "--timezone", "7=Europe/Paris").exit_code == 0
    assert warehouse.query("SELECT timezone FROM ads.ads_accounts")["timezone"].to_list() == ["Europe/Paris"]


def test_two_campaigns_that_differ_tell_no_currency(load: Load) -> None:
    """X names the currency with the campaigns: where they disagree a person is asked, no row is picked."""
    history = "id,account_id,currency,entity_status,funding_instrument_id,name,updated_at"
    report = "account_id,campaign_id,date,placement,billed_charge_local_micro,clicks,impressions,conversion_purchases_metric"
    row = "7,1,2026-02-27 23:00:00,ALL,5,1,9,0"
    same = {"h.csv": csv(history, "1,7,EUR,ACTIVE,f,a,2026-01-01", "2,7,EUR,ACTIVE,f,b,2026-01-01"), "x.csv": csv(report, row)}
    assert load(same, "--timezone", "Europe/Berlin").exit_code == 0
    other = same | {"h.csv": csv(history, "1,7,EUR,ACTIVE,f,a,2026-01-01", "2,7,USD,ACTIVE,f,b,2026-01-01")}
    assert "x account 7: give --currency 7=…" in refused(load(other, "--timezone", "Europe/Berlin"))


def test_rows_without_an_account_take_the_one_that_is_named(warehouse: Warehouse, load: Load) -> None:
    """LinkedIn's reports name a campaign only; without its history the account is `unknown`, or the one of --account."""
    header = (
        "campaign_id,day,clicks,impressions,cost_in_local_currency,external_website_conversions,"
        "conversion_value_in_local_currency"
    )
    report = {"l.csv": csv(header, "1,2026-02-28 00:00:00,1,2,3,4,5")}
    result = load(report, "--currency", "EUR")
    assert (
        "linkedin ad_analytics_by_campaign: 1 rows name no account that a history file knows: account `unknown`" in result.output
    )
    assert load(report, "--currency", "EUR", "--account", "linkedin=88").exit_code == 0
    held = warehouse.query(f"SELECT account_id FROM {CAMPAIGNS} ORDER BY account_id")
    assert held["account_id"].to_list() == ["88", "unknown"]


def test_brand_is_told_from_the_clear_name_which_is_then_hashed(warehouse: Warehouse, load: Load) -> None:
    """Google search campaigns: by the word brand and by the advertiser's own terms; of an unknown one nothing is told."""
    history = "id,customer_id,name,advertising_channel_type,advertising_channel_subtype,status,updated_at"
    names = [
        "1,3,US | Brand,SEARCH,,ENABLED,2026-01-01",
        "2,3,Acme shoes,SEARCH,,ENABLED,2026-01-01",
        "4,3,Shoes,SEARCH,,PAUSED,2026-01-01",
    ]
    rows = [f"r{i},2026-03-01,3,{i},c/{i},2026-02-28,SEARCH,MOBILE,1,0,0,1,10" for i in (1, 2, 4, 5)]
    files = {"h.csv": csv(history, *names), "s.csv": csv(GOOGLE, *rows)}
    assert load(files, *TOLD, "--brand-terms", "acme, acme corp").exit_code == 0
    held = warehouse.query(
        f"SELECT campaign_id, channel, is_brand, campaign_status, name_hash FROM {CAMPAIGNS} ORDER BY campaign_id"
    )
    assert held.drop("name_hash").rows() == [
        ("1", "SEARCH_BRAND", True, "ENABLED"),
        ("2", "SEARCH_BRAND", True, "ENABLED"),
        ("4", "SEARCH_NONBRAND", False, "PAUSED"),
        ("5", "UNKNOWN", False, "UNKNOWN"),
    ]
    assert held["name_hash"].str.len_chars().to_list() == [64, 64, 64, None]


def test_a_name_of_an_older_row_is_not_the_campaign_s_name(warehouse: Warehouse, load: Load) -> None:
    """Of a history the newest row tells: a campaign that was renamed out of brand is not brand."""
    history = "id,customer_id,name,advertising_channel_type,advertising_channel_subtype,status,updated_at"
    names = ["1,3,Shoes,SEARCH,,ENABLED,2026-02-01T00:00:00", "1,3,Brand,SEARCH,,ENABLED,2026-01-01T00:00:00"]
    files = {"h.csv": csv(history, *names), "s.csv": csv(GOOGLE, "r,2026-03-01,3,1,c/1,2026-02-28,SEARCH,MOBILE,1,0,0,1,10")}
    assert load(files, *TOLD).exit_code == 0
    assert warehouse.query(f"SELECT channel FROM {CAMPAIGNS}")["channel"].to_list() == ["SEARCH_NONBRAND"]


# --- the command


def test_a_dry_run_tells_all_and_writes_nothing(warehouse: Warehouse, load: Load) -> None:
    """Per file: what it is, rows, totals, where they go, and what the report lacks."""
    report = {"a.csv.gz": gzip.compress(csv(REDDIT, day("1", "2026-02-28"), day("1", "2026-02-27")).encode())}
    result = load(report, *TOLD, "--dry-run")
    assert result.exit_code == 0
    assert (
        "a.csv.gz: reddit campaign_report, 2 rows → ads.ads_campaign_performance: impressions 200; clicks 2; cost 4; "
        "not in this report, stored as 0: conversions, revenue_micros"
    ) in result.output
    assert "nothing was written (--dry-run)" in result.output
    assert spend(warehouse) == {}


def test_paths_may_be_files_and_what_is_no_report_in_a_folder_is_left_alone(
    warehouse: Warehouse, load: Load, tmp_path: Path
) -> None:
    """A licence or a script beside the exports is none of the job's business; a path that is not there is."""
    result = load({"LICENSE": "do as you like", "a.csv": csv(REDDIT, day("1", "2026-02-28"))}, *TOLD)
    assert "imported 1 files" in result.output
    line = ["import-reports", str(tmp_path / "none.csv"), "--run-date", "2026-03-02"]
    assert "no file or folder 'none.csv'" in refused(CliRunner().invoke(cli, line))
    (tmp_path / "hollow").mkdir()
    line = ["import-reports", str(tmp_path / "hollow"), "--run-date", "2026-03-02"]
    assert "the folder 'hollow' holds no file" in refused(CliRunner().invoke(cli, line))


def test_typed_parquet_gives_the_same_day_and_amount(warehouse: Warehouse, load: Load, tmp_path: Path) -> None:
    """Integers, doubles, dates and timestamps of a warehouse export."""
    frame = pl.DataFrame(
        {
            "account_id": [7],
            "campaign_id": [1],
            "date": [date(2026, 2, 28)],
            "clicks": [3],
            "impressions": [100],
            "spend": [2_500_000.0],
            "ecpm": [1.5],
        }
    )
    frame.write_parquet(tmp_path / "p.parquet")
    assert load({"p.parquet": (tmp_path / "p.parquet").read_bytes()}, *TOLD).exit_code == 0
    assert spend(warehouse) == {("1", date(2026, 2, 28)): 2_500_000}
