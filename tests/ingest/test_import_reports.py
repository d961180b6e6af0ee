"""import-reports on the 67 real reports of ../shared/data/fivetran_ads: every number and every id of each file arrives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from fivetran_files import HISTORIES, NUMBERS, newest_of, rows_of, sums_of
from shared_data import shared_file

from tasks.cli import cli
from tasks.core.contracts import load_contract
from tasks.core.errors import JobError
from tasks.core.settings import load_settings
from tasks.core.warehouse import Warehouse, open_warehouse
from tasks.ingest.report_load import TABLES
from tasks.ingest.report_read import read_files
from tasks.ingest.report_spec import connectors, recognise

EXPECTED = json.loads((Path(__file__).parent / "fivetran_totals.json").read_text(encoding="utf-8"))
# What the files leave open: Meta's currency and zone, the zone of the Google account (its row is shifted by a column) …
TOLD = ("--run-date", "2025-05-01", "--currency", "USD", "--timezone", "America/Los_Angeles")
NAME_ALONE_TELLS = {  # too few columns, or those of another report
    "facebook_ads_account_history_data",
    "linkedin_geo_data",
    "reddit_ads_business_account_data",
}


def folder() -> Path:
    return shared_file("fivetran_ads")


def load(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["import-reports", *arguments])


def stored(warehouse: Warehouse, table: str) -> pl.DataFrame:
    columns = ", ".join(name for name in load_contract(table).columns if name != "loaded_at")
    return warehouse.query(f"SELECT {columns} FROM {table} ORDER BY {', '.join(load_contract(table).grain)}")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, Result]]:
    """A warehouse with all files, and what the job said."""
    home = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as env:
        env.setenv("AELP2_DUCKDB_PATH", str(home / "warehouse.duckdb"))
        env.setenv("AELP2_NAME_SALT_FILE", str(home / "salt"))
        result = load(str(folder()), *TOLD)
        assert result.exit_code == 0, result.output + repr(result.exception)
        yield open_warehouse(load_settings()), result


def test_the_67_files_are_those_that_the_tests_know() -> None:
    """No file is left out of the tables below, and none is in both."""
    names = {path.stem for path in folder().glob("*.csv")}
    assert len(names) == 67
    assert set(NUMBERS) | set(HISTORIES) == names == set(EXPECTED)
    assert not set(NUMBERS) & set(HISTORIES)


def test_only_one_file_repeats_rows_to_the_letter() -> None:
    """So that "without its identical rows" says what it leaves out: 34 rows of LinkedIn's creatives, no number anywhere."""
    assert {name: e["identical"] for name, e in EXPECTED.items() if e["identical"]} == {"linkedin_ad_creative_history_data": 34}


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_totals_equal_a_plain_sum_over_the_file(loaded: tuple[Warehouse, Result], name: str) -> None:
    """Tables, file and the totals written down say the same, to the last micro."""
    numbers = NUMBERS[name]
    plain = sums_of(folder() / f"{name}.csv", numbers)
    assert {k: Decimal(v) for k, v in EXPECTED[name]["totals"].items()} == plain.totals
    assert EXPECTED[name]["rows"] == plain.rows
    rows = stored(loaded[0], numbers.table).filter(pl.col(k) == v for k, v in numbers.where.items())
    assert not rows.is_empty()
    found = {}
    for total in numbers.totals:
        column, _, window = total.partition("@")
        part = rows.filter(pl.col("attribution_window") == window) if window else rows
        if column.endswith("_micros"):
            found[total] = Decimal(int(part[column].sum() or 0)) / 1_000_000
        else:
            found[total] = sum((Decimal(str(v)) for v in part[column].drop_nulls()), Decimal(0))
    # Google's shares of a conversion have six decimals in the file; a double holds sums of them to the ninth.
    assert {k: round(v, 9) for k, v in found.items()} == plain.totals


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_what_a_report_does_not_carry_is_open_or_nothing(loaded: tuple[Warehouse, Result], name: str) -> None:
    """Null where the contract allows it, 0 where it asks for a number; never a number of another report."""
    numbers = NUMBERS[name]
    rows = stored(loaded[0], numbers.table).filter(pl.col(k) == v for k, v in numbers.where.items())
    required = {f.name for f in load_contract(numbers.table).fields if f.required}
    carried = {total.split("@")[0] for total in numbers.totals}
    if numbers.table == "ads.ads_action_performance":
        return  # counts and values of one action come in two files
    for column in {"clicks", "cost_micros", "conversions", "revenue_micros"} - carried:
        assert set(rows[column]) == ({0} if column in required else {None}), column


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_every_entity_arrives_once_with_parent_and_status(loaded: tuple[Warehouse, Result], name: str) -> None:
    """The newest row of each id is the entity; where the file tells no status it is UNKNOWN."""
    history = HISTORIES[name]
    newest = newest_of(folder() / f"{name}.csv", history)
    assert len(newest) == EXPECTED[name]["entities"]
    entities = stored(loaded[0], "ads.ads_entities").filter(
        pl.col("platform") == history.platform, pl.col("entity_kind") == history.kind, pl.col("entity_id").is_in(list(newest))
    )
    expected = {
        entity: (row[history.parent] if history.parent else None, (history.status and row[history.status]) or "UNKNOWN")
        for entity, row in newest.items()
    }
    got = entities.select("entity_id", "parent_id", "status").rows()
    assert sorted(got) == sorted((entity, *rest) for entity, rest in expected.items())


def test_entities_are_those_of_the_files_and_no_more(loaded: tuple[Warehouse, Result]) -> None:
    """Two files may tell of one entity (TikTok's second ad history); nothing else is in the table."""
    told = {
        (history.platform, history.kind, entity)
        for name, history in HISTORIES.items()
        for entity in newest_of(folder() / f"{name}.csv", history)
    }
    rows = stored(loaded[0], "ads.ads_entities").select("platform", "entity_kind", "entity_id").rows()
    assert sorted(rows) == sorted(told)


def test_every_file_has_its_line_and_nothing_was_set_aside(loaded: tuple[Warehouse, Result]) -> None:
    """The job says of each file what it is; the contract refuses no row of them, not even clicks above impressions."""
    lines = loaded[1].output.splitlines()
    assert {name for name in EXPECTED if any(line.startswith(f"{name}.csv: ") for line in lines)} == set(EXPECTED)
    assert loaded[0].query("SELECT quarantine_id FROM control.quarantine").is_empty()
    tweets = stored(loaded[0], "ads.ads_ad_performance").filter(pl.col("platform") == "x")
    assert tweets["ctr"].max() > 1


@pytest.mark.parametrize("table", [*TABLES, "ads.ads_accounts"])
def test_every_stored_row_fits_its_contract(loaded: tuple[Warehouse, Result], table: str) -> None:
    """Enums, patterns and ranges too: levels and breakdowns stand in the specs as plain words."""
    rows = loaded[0].query(f"SELECT {', '.join(load_contract(table).columns)} FROM {table}")
    assert not rows.is_empty()
    load_contract(table).pandera_schema().validate(rows)


def test_rows_find_parents_currency_and_zone_in_the_histories(loaded: tuple[Warehouse, Result]) -> None:
    """Meta's ads know their ad set, TikTok's their advertiser's zone, X's campaigns the currency; others are `unknown`."""
    warehouse, _ = loaded
    ads = stored(warehouse, "ads.ads_ad_performance")
    meta = ads.filter(pl.col("platform") == "meta", pl.col("ad_id") == "6215293456071").row(0, named=True)
    assert (meta["campaign_id"], meta["adgroup_id"], meta["creative_id"]) == ("6215293444271", "6215293450671", "6215293445471")
    tiktok = ads.filter(pl.col("platform") == "tiktok", pl.col("ad_id") == "1").row(0, named=True)
    assert (tiktok["account_id"], tiktok["timezone"], tiktok["currency_code"]) == ("1", "Etc/GMT+5", "USD")
    assert set(ads.filter(pl.col("platform") == "reddit")["campaign_id"]) == {"unknown"}
    accounts = {(r["platform"], r["account_id"]): r for r in stored(warehouse, "ads.ads_accounts").iter_rows(named=True)}
    assert accounts["x", "18ce54lbsn8"]["timezone"] == "America/Los_Angeles"
    assert accounts["reddit", "1234"]["timezone"] == "GMT"
    assert accounts["linkedin", "507515057"]["timezone"] == "UTC"
    assert not any(account == "unknown" for _, account in accounts)


def test_no_text_that_people_wrote_is_stored(loaded: tuple[Warehouse, Result]) -> None:
    """Names, search terms, keywords, tweets, links, addresses and e-mails of the files stand in no table."""
    written = {
        "search term",
        "+search +term",
        "ETL",
        "hubspot",
        "Q422-content",
        "ad name one",
        "louis@vuitton.com",
        "White House",
    }
    written |= {row["full_text"] for row in rows_of(folder() / "twitter_tweet_data.csv")}
    written |= {row["expanded_url"] for row in rows_of(folder() / "twitter_tweet_url_data.csv")}
    cells = {
        value
        for table in (*TABLES, "ads.ads_accounts", "control.quarantine")
        for column in stored(loaded[0], table)
        if column.dtype == pl.String
        for value in column.drop_nulls().unique()
    }
    assert not written & cells


def test_running_twice_changes_nothing(loaded: tuple[Warehouse, Result]) -> None:
    """The second run finds every row by its grain, with the same numbers."""
    tables = (*TABLES, "ads.ads_accounts")
    before = {table: stored(loaded[0], table) for table in tables}
    assert load(str(folder()), *TOLD).exit_code == 0
    for table in tables:
        assert before[table].equals(stored(loaded[0], table)), table


def test_columns_tell_a_report_whatever_its_file_is_called() -> None:
    """All but three are known by their columns alone; a renamed one of those is asked for its name."""
    unnamed = set()
    for path in sorted(folder().glob("*.csv")):
        columns = list(rows_of(path)[0])
        named = recognise(path.name, columns)
        if named.is_named:
            unnamed.add(path.stem)
        else:
            assert recognise("export.csv", columns) is named
    assert unnamed == NAME_ALONE_TELLS
    with pytest.raises(JobError, match=r"The nearest is linkedin geo.*its name must say so"):
        recognise("export.csv", ["_fivetran_synced", "id", "value"])


def test_a_report_that_its_name_misnames_is_read_as_what_it_is(loaded: tuple[Warehouse, Result]) -> None:
    """TikTok's campaign history holds the columns and rows of the ad history: the job says so and stores ads."""
    assert "its name says campaign_history, its columns are those of ad_history" in loaded[1].output
    kinds = stored(loaded[0], "ads.ads_entities").filter(pl.col("platform") == "tiktok")["entity_kind"]
    assert set(kinds) == {"account", "adgroup", "ad"}


def test_what_the_files_leave_open_is_asked_for_by_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options the error names every account, of all platforms at once, and nothing is written."""
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(tmp_path / "warehouse.duckdb"))
    monkeypatch.setenv("AELP2_NAME_SALT_FILE", str(tmp_path / "salt"))
    result = load(str(folder()), "--run-date", "2025-05-01")
    assert isinstance(result.exception, JobError)
    said = str(result.exception)
    assert "meta account 1700252260223815: give --currency 1700252260223815=… and --timezone 1700252260223815=…" in said
    assert "google_ads account 2121450128: give --timezone 2121450128=…" in said
    assert not (tmp_path / "warehouse.duckdb").exists()


def test_the_same_rows_as_parquet_are_the_same_numbers(tmp_path: Path) -> None:
    """A connector that lands Parquet with real types gives the texts that its CSV has."""
    name = "google_ads_ad_group_stats_data"
    typed = pl.read_csv(folder() / f"{name}.csv", try_parse_dates=True)
    assert typed.schema["date"] == pl.Date
    typed.write_parquet(tmp_path / f"{name}.parquet")
    shutil.copy(folder() / f"{name}.csv", tmp_path / f"{name}.csv")
    from_parquet, from_csv = (read_files([tmp_path / f"{name}.{suffix}"])[0] for suffix in ("parquet", "csv"))
    assert from_parquet.report is from_csv.report is connectors()["google_ads"].reports["ad_group_stats"]
    for column in ("date", "id", "clicks", "cost_micros", "impressions"):
        assert from_parquet.rows[column].to_list() == from_csv.rows[column].to_list()
