"""import-csv: right tables become contract rows, wrong ones become errors that name row, column, value and remedy."""

import gzip
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from shared_data import shared_file

from tasks import cli
from tasks.core.errors import JobError, Refused
from tasks.core.warehouse.duckdb import DuckDBWarehouse
from tasks.ingest import import_csv
from tasks.ingest.csv_map import load_map, parse_map, shipped_maps

RUN_DATE = "2026-01-01"
TABLES = import_csv.TABLES
WEEKS = [date(2024, 1, 1) + timedelta(weeks=week) for week in range(60)]

WIDE = """
source: sheet
period: weekly
date: {column: week, format: "%Y-%m-%d"}
media:
  shape: wide
  channels:
    tv: {spend: tv, impressions: tv_views}
    search: {spend: search}
outcome: {new_customers: customers, revenue: revenue}
controls: {price: price}
currency: EUR
"""
LONG = """
source: sheet
period: weekly
date: {column: week, format: "%Y-%m-%d"}
geo: region
media: {shape: long, channel: channel, spend: cost}
outcome: {new_customers: customers}
currency: {column: currency}
"""
WIDE_HEADER = "week,tv,tv_views,search,customers,revenue,price"
LONG_HEADER = "week,region,channel,cost,customers,currency"


def wide_lines() -> list[str]:
    """Header and 60 weeks; line n + 2 holds week n."""
    return [
        WIDE_HEADER,
        *(f"{week},{100 + n}.5,{5000 + n},{40 + n % 7},{20 + n % 5},{900 + n},{9.9 + n % 3}" for n, week in enumerate(WEEKS)),
    ]


def long_lines() -> list[str]:
    """Header and 60 weeks × 2 regions × 2 channels."""
    rows = [
        f"{week},{region},{channel},{10 + n},{7 + n},EUR"
        for n, week in enumerate(WEEKS)
        for region in ("north", "south")
        for channel in ("tv", "search")
    ]
    return [LONG_HEADER, *rows]


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DuckDBWarehouse:
    path = tmp_path / "warehouse.duckdb"
    monkeypatch.setenv("AELP2_DUCKDB_PATH", str(path))
    monkeypatch.setenv("AELP2_NOW", "2026-01-01T05:00:00+00:00")
    return DuckDBWarehouse(path)


@pytest.fixture
def bring(tmp_path: Path, warehouse: DuckDBWarehouse) -> Callable[..., int]:
    """Write a file and a map, run the real CLI on them, return its exit code."""

    def call(
        lines: list[str] | bytes, map_text: str = WIDE, *options: str, name: str = "sheet.csv", run_date: str = RUN_DATE
    ) -> int:
        file, map_file = tmp_path / name, tmp_path / "map.yaml"
        file.write_bytes(lines if isinstance(lines, bytes) else ("\n".join(lines) + "\n").encode())
        map_file.write_text(map_text)
        with pytest.raises(SystemExit) as stop:
            cli.main(["import-csv", str(file), "--map", str(map_file), "--run-date", run_date, *options])
        return int(stop.value.code or 0)

    return call


def rows(warehouse: DuckDBWarehouse) -> tuple[int, int, int]:
    """Rows in the three tables."""
    media, outcomes, controls = (warehouse.query(f"SELECT COUNT(*) AS n FROM {table}")["n"][0] for table in TABLES)
    return media, outcomes, controls


def rows_if_any(warehouse: DuckDBWarehouse) -> tuple[int, int, int]:
    """Rows in the three tables; zeros without opening a database that was never made."""
    return rows(warehouse) if warehouse._path.exists() else (0, 0, 0)


def test_a_wide_table_becomes_contract_rows(bring: Callable[..., int], warehouse: DuckDBWarehouse) -> None:
    """Every number arrives in the right table, row and unit."""
    assert bring(wide_lines()) == 0
    assert rows(warehouse) == (120, 60, 60)
    at = {"day": WEEKS[3]}
    media = warehouse.query(
        "SELECT source, geo, channel, period_days, spend_micros, impressions, currency_code FROM ads.imported_media "
        "WHERE period_start_date = @day ORDER BY channel",
        at,
    )
    assert media.rows() == [
        ("sheet", "national", "search", 7, 43_000_000, None, "EUR"),
        ("sheet", "national", "tv", 7, 103_500_000, 5003.0, "EUR"),
    ]
    outcome = warehouse.query(
        "SELECT new_customers, revenue_micros FROM ads.business_outcomes WHERE period_start_date = @day", at
    )
    assert outcome.rows() == [(23.0, 903_000_000)]
    control = warehouse.query("SELECT control, value FROM ads.business_controls WHERE period_start_date = @day", at)
    assert control.rows() == [("price", 9.9)]


def test_a_long_table_by_region_with_its_own_currency_column(bring: Callable[..., int], warehouse: DuckDBWarehouse) -> None:
    """One row per channel becomes one media row each and one outcome per week and region."""
    assert bring(long_lines(), LONG) == 0
    assert rows(warehouse) == (240, 120, 0)
    outcome = warehouse.query(
        "SELECT new_customers, revenue_micros, currency_code FROM ads.business_outcomes "
        "WHERE geo = 'south' AND period_start_date = @day",
        {"day": WEEKS[5]},
    )
    assert outcome.rows() == [(12.0, None, "EUR")]


def test_a_daily_table(bring: Callable[..., int], warehouse: DuckDBWarehouse) -> None:
    """Periods of one day."""
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(200)]
    lines = [WIDE_HEADER, *(f"{day},1,2,{n},4,5,{n}" for n, day in enumerate(days))]
    assert bring(lines, WIDE.replace("period: weekly", "period: daily")) == 0
    assert warehouse.query("SELECT DISTINCT period_days FROM ads.imported_media")["period_days"].to_list() == [1]
    assert rows(warehouse) == (400, 200, 200)


def test_scale_and_product_of_columns(bring: Callable[..., int], warehouse: DuckDBWarehouse) -> None:
    """Figures in thousands are scaled; revenue may be a count times a value."""
    changed = WIDE.replace("revenue: revenue}", "revenue: {multiply: [customers, revenue]}}") + "scale: {spend: 1000}\n"
    assert bring(wide_lines(), changed) == 0
    total = warehouse.query("SELECT spend_micros FROM ads.imported_media WHERE channel = 'tv' ORDER BY period_start_date LIMIT 1")
    assert total["spend_micros"][0] == 100_500_000_000
    revenue = warehouse.query("SELECT revenue_micros FROM ads.business_outcomes ORDER BY period_start_date LIMIT 1")
    assert revenue["revenue_micros"][0] == 20 * 900 * 1_000_000


def test_text_controls_become_indicators(bring: Callable[..., int], warehouse: DuckDBWarehouse) -> None:
    """Each event becomes a control of zeros and ones named control_event; the words for nothing become none."""
    lines = [
        line.rsplit(",", 1)[0] + "," + text
        for line, text in zip(wide_lines(), ["price", "Black Friday", "na", *[""] * 58], strict=True)
    ]
    changed = WIDE.replace("{price: price}", '{promo: {column: price, one_hot: {none: ["na", ""]}}}')
    assert bring(lines, changed) == 0
    found = warehouse.query(
        "SELECT control, SUM(value) AS total, COUNT(*) AS periods FROM ads.business_controls GROUP BY control"
    )
    assert found.rows() == [("promo_black_friday", 1.0, 60)]


def test_missing_zero_is_a_choice_of_the_map(bring: Callable[..., int], warehouse: DuckDBWarehouse) -> None:
    """Empty spend and absent channel rows count as no spend only if the map says so."""
    lines = [line for line in long_lines() if not line.startswith(f"{WEEKS[9]},north,tv")]
    assert bring(lines, LONG) == 1
    assert bring(lines, LONG.replace("spend: cost}", "spend: cost, missing: zero}")) == 0
    spend = warehouse.query(
        "SELECT spend_micros FROM ads.imported_media WHERE geo = 'north' AND channel = 'tv' AND period_start_date = @day",
        {"day": WEEKS[9]},
    )
    assert spend["spend_micros"].to_list() == [0]


@pytest.mark.parametrize("form", ["gz", "semicolon", "bom", "crlf", "parquet"])
def test_other_forms_of_the_same_table_give_the_same_rows(
    bring: Callable[..., int], warehouse: DuckDBWarehouse, tmp_path: Path, form: str
) -> None:
    """gzip, semicolon with decimal comma, byte-order mark, Windows line ends, Parquet."""
    text, map_text, name = "\n".join(wide_lines()) + "\n", WIDE, "sheet.csv"
    raw = text.encode()
    if form == "gz":
        raw, name = gzip.compress(raw), "sheet.csv.gz"
    elif form == "semicolon":
        raw = text.replace(",", ";").replace(".", ",").encode()
        map_text += 'file: {separator: ";", decimal: ","}\n'
    elif form == "bom":
        raw = b"\xef\xbb\xbf" + raw
    elif form == "crlf":
        raw = text.replace("\n", "\r\n").encode() + b"\r\n\r\n"
    else:
        pl.read_csv(raw, try_parse_dates=True).write_parquet(tmp_path / "made.parquet")
        raw, name = (tmp_path / "made.parquet").read_bytes(), "sheet.parquet"
    assert bring(raw, map_text, name=name) == 0
    total = warehouse.query("SELECT CAST(SUM(spend_micros) AS INT64) AS spend, COUNT(*) AS n FROM ads.imported_media")
    assert total.rows() == [(sum(100_500_000 + 1_000_000 * n + 1_000_000 * (40 + n % 7) for n in range(60)), 120)]


def test_a_second_import_replaces_the_source_whole_and_touches_no_other(
    bring: Callable[..., int], warehouse: DuckDBWarehouse
) -> None:
    """Fewer weeks, fewer channels, no controls: nothing of the first import stays; other sources keep theirs."""
    assert bring(wide_lines(), WIDE.replace("source: sheet", "source: other")) == 0
    assert bring(wide_lines()) == 0
    assert bring(wide_lines()) == 0
    assert rows(warehouse) == (240, 120, 120)
    short = ["week,tv,customers", *(f"{week},5,{n}" for n, week in enumerate(WEEKS[:55]))]
    only_tv = WIDE.replace(", impressions: tv_views", "").replace("    search: {spend: search}\n", "")
    only_tv = only_tv.replace(", revenue: revenue", "").replace("controls: {price: price}\n", "")
    assert bring(short, only_tv) == 0
    assert rows(warehouse) == (120 + 55, 60 + 55, 60)


def test_check_only_writes_nothing(
    bring: Callable[..., int], warehouse: DuckDBWarehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check-only says what it read and leaves the tables alone."""
    assert bring(wide_lines(), WIDE, "--check-only") == 0
    assert "60 weeks (2024-01-01 to 2025-02-23)" in capsys.readouterr().out
    assert rows(warehouse) == (0, 0, 0)


def test_a_crash_between_two_tables_is_mended_by_running_again(
    bring: Callable[..., int], warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the first table: the same command ends in the same state as an undisturbed one."""
    assert bring(wide_lines()) == 0
    whole = DuckDBWarehouse.replace_partitions

    def die(self: DuckDBWarehouse, table: str, *arguments: object, **options: object) -> int:
        if table == "ads.business_outcomes":
            raise KeyboardInterrupt
        return whole(self, table, *arguments, **options)  # type: ignore[arg-type]

    shorter = wide_lines()[:50]
    with monkeypatch.context() as patch:
        patch.setattr(DuckDBWarehouse, "replace_partitions", die)
        assert bring(shorter) == 130
    assert rows(warehouse) == (98, 60, 60)
    assert bring(shorter) == 0
    assert rows(warehouse) == (98, 49, 49)


def test_two_imports_of_one_source_at_once(bring: Callable[..., int], warehouse: DuckDBWarehouse) -> None:
    """The second is refused instead of mixing its rows with the first."""
    with warehouse.exclusive("import-csv-sheet"):
        assert bring(wide_lines()) == Refused.exit_code
    assert rows(warehouse) == (0, 0, 0)


def _cell(line: int, column: int, value: str) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        fields = lines[line - 1].split(",")
        fields[column] = value
        return [*lines[: line - 1], ",".join(fields), *lines[line:]]

    return change


WRONG: dict[str, tuple[Callable[[list[str]], list[str] | bytes], str, tuple[str, ...]]] = {
    "unmapped column": (_cell(1, 6, "prices"), WIDE, ("row 1", "'prices'", "does not say what", "ignore")),
    "missing column": (_cell(1, 6, "prices"), WIDE, ("row 1", "'price'", "the file lacks it", "prices")),
    "text in a number": (_cell(17, 1, "n/a"), WIDE, ("row 17", "column 'tv'", "text in a number", "'n/a'", "missing: zero")),
    "decimal comma": (lambda s: "\n".join(s).replace(",", ";").replace(".", ",").encode(),
                      WIDE + 'file: {separator: ";"}\n', ("row 2", "'100,5'", "decimal: ','")),
    "thousands": (lambda s: [s[0], s[1].replace("100.5", '"1,100.5"'), *s[2:]], WIDE,
                  ("row 2", "'1,100.5'", "thousands separators")),
    "money sign": (_cell(4, 3, "€40"), WIDE, ("row 4", "'€40'", "bare number")),
    "semicolons": (lambda s: "\n".join(s).replace(",", ";").encode(), WIDE, ("row 1", "a semicolon", "separator: ';'")),
    "a gap": (lambda s: s[:9] + s[11:], WIDE, ("row 10", "'week'", "2 weeks missing, from 2024-02-26", "'2024-03-11'")),
    "a row twice": (lambda s: [*s, s[5]], WIDE, ("row 62", "second row for the same period, see row 6", "2024-01-29")),
    "a channel row twice": (lambda s: [*s, s[5]], LONG,
                            ("row 242", "second row", "see row 6", "tv of north", "2024-01-08")),
    "negative spend": (_cell(8, 3, "-3"), WIDE, ("row 8", "'search'", "below zero", "'-3'")),
    "negative outcome": (_cell(8, 5, "-3"), WIDE, ("row 8", "'revenue'", "below zero", "'-3'")),
    "future": (_cell(61, 0, "2026-02-02"), WIDE, ("row 61", "on or after the run date 2026-01-01", "'2026-02-02'")),
    "open period": (lambda s: s, WIDE, ("row 61", "not over on the run date 2025-02-20", "Remove the last period")),
    "date format": (lambda s: [s[0], *(x.replace("-", "/", 2) for x in s[1:])], WIDE,
                    ("row 2", "'2024/01/01'", "set `date.format`", "%Y/%m/%d")),
    "one odd date": (_cell(7, 0, "soon"), WIDE, ("row 7", "'soon'", "does not fit the format")),
    "weekday shift": (_cell(30, 0, "2024-07-16"), WIDE, ("row 30", "8 days since", "Monday to Tuesday")),
    "monthly": (lambda s: [s[0], *(f"{2015 + n // 12}-{n % 12 + 1:02}-01,1,2,{n},4,5,{n}" for n in range(60))], WIDE,
                ("31 days apart, the map says weekly", "monthly tables cannot be used")),
    "region with fewer weeks": (lambda s: [x for x in s if not (x.startswith("2025-02") and ",south," in x)], LONG,
                                ("'region'", "'south'", "3 periods missing", "2025-02-03")),
    "channel with fewer rows": (lambda s: [x for x in s if not x.startswith("2024-01-15,south,tv")], LONG,
                                ("south / tv", "1 periods missing", "2024-01-15", "missing: zero")),
    "mixed currencies": (_cell(40, 5, "USD"), LONG, ("row 40", "mixed currencies, most rows are EUR", "'USD'")),
    "outcome differs within a period": (_cell(40, 4, "1"), LONG, ("new_customers differs between the channel rows",)),
    "channel spelled twice": (_cell(40, 2, "TV"), LONG, ("'channel'", "also spelled 'TV'")),
    "personal data": (_cell(2, 1, "ann@example.org"), LONG, ("row 2", "personal data as a geo", "[redacted]")),
    "nan": (_cell(5, 4, "NaN"), WIDE, ("row 5", "'customers'", "not a finite number", "'NaN'")),
    "infinite": (_cell(5, 4, "inf"), WIDE, ("row 5", "not a finite number")),
    "empty cell": (_cell(5, 4, ""), WIDE, ("row 5", "'customers'", "an empty cell")),
    "empty event": (_cell(5, 6, ""), WIDE.replace("{price: price}", '{e: {column: price, one_hot: {none: ["na"]}}}'),
                    ("row 5", "an empty cell", 'add "" to `one_hot.none`')),
    "notes instead of events": (lambda s: s, WIDE.replace("{price: price}", '{e: {column: tv, one_hot: {none: ["na"]}}}').replace(
        "tv: {spend: tv, impressions: tv_views}", "radio: {spend: tv_views}") + "ignore: [price]\n",
                                ("60 different texts", "'tv'")),
    "too large": (_cell(5, 5, "1e15"), WIDE, ("row 5", "too large", "'1e15'")),
    "empty file": (lambda s: b"", WIDE, ("is empty",)),
    "header only": (lambda s: s[:1], WIDE, ("a header and no rows",)),
    "a name twice": (_cell(1, 3, "tv"), WIDE, ("row 1", "'tv'", "2 times")),
    "a column without a name": (lambda s: [s[0] + ",", *(x + ",1" for x in s[1:])], WIDE, ("without a name", "#8")),
    "short row": (lambda s: [*s[:6], "2024-02-05,1", *s[7:]], WIDE, ("row 7", "2 fields, the header 7")),
    "long row": (lambda s: [*s[:6], s[6] + ",9,9", *s[7:]], WIDE, ("row 7", "9 fields, the header 7")),
    "binary": (lambda s: b"\x00\x01\x02week", WIDE, ("not UTF-8 text", "CSV (UTF-8)")),
    "utf-16": (lambda s: "\n".join(s).encode("utf-16"), WIDE, ("not UTF-8 text",)),
    "latin-1": (lambda s: "\n".join([*s[:3], s[3] + "é"]).encode("latin-1"), WIDE, ("row 4", "0xe9", "Windows-1252")),
    "workbook": (lambda s: b"PK\x03\x04rest", WIDE, ("is a workbook", "save the sheet as CSV")),
    "broken gzip": (lambda s: b"\x1f\x8bnot gzip", WIDE, ("does not unpack",)),
    "open quote": (lambda s: [*s[:5], '"' + s[5], *s[6:]], WIDE, ("row 6", "fields, the header 7")),
}  # fmt: skip  # one kind a line


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_input_is_named_and_leaves_the_tables_as_they_were(
    kind: str, bring: Callable[..., int], warehouse: DuckDBWarehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, a message with row, column, value and remedy, and no row of the wrong file anywhere."""
    spoil, map_text, expected = WRONG[kind]
    lines = long_lines() if "shape: long" in map_text else wide_lines()
    assert bring(spoil(lines), map_text, run_date="2025-02-20" if kind == "open period" else RUN_DATE) == 1
    message = capsys.readouterr().err
    missing = [part for part in expected if part not in message]
    assert missing == [], message
    assert rows_if_any(warehouse) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["a gap", "text in a number"])
def test_a_failed_import_leaves_the_one_before(kind: str, bring: Callable[..., int], warehouse: DuckDBWarehouse) -> None:
    """A wrong file of a source that exists changes none of its rows."""
    assert bring(wide_lines()) == 0
    before = [warehouse.query(f"SELECT * FROM {table}").sort(pl.all()) for table in TABLES]
    spoil, map_text, _ = WRONG[kind]
    assert bring(spoil(wide_lines()), map_text) == 1
    after = [warehouse.query(f"SELECT * FROM {table}").sort(pl.all()) for table in TABLES]
    assert all(one.equals(other) for one, other in zip(before, after, strict=True))


def test_all_problems_are_listed_and_like_ones_are_counted(bring: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """One run names every broken column; of 60 alike three are shown and the rest counted."""
    lines = wide_lines()
    lines = [lines[0], *(",".join([*line.split(",")[:1], "x", *line.split(",")[2:]]) for line in lines[1:])]
    lines = _cell(9, 3, "-1")(_cell(20, 5, "y")(lines))
    assert bring(lines) == 1
    message = capsys.readouterr().err
    assert "62 problems; nothing was written" in message
    assert message.count("'x'") == 3
    assert "57 more like these" in message
    assert "row 9, column 'search'" in message
    assert "row 20, column 'revenue'" in message


def test_a_channel_without_spend_a_constant_control_and_a_short_table_are_warnings(
    bring: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """What a model cannot use is said and imported all the same."""
    lines = [WIDE_HEADER, *(f"{week},0,0,5,{n},6,7" for n, week in enumerate(WEEKS[:30]))]
    assert bring(lines) == 0
    told = capsys.readouterr()
    for part in ("channel 'tv' never spends", "control 'price' never changes", "only 30 weeks"):
        assert part in told.err + told.out


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("source: sheet", "source: crm"), "source is 'crm'"),
        (("source: sheet", "source: My Sheet"), "source is 'My Sheet'"),
        (("period: weekly", "period: monthly"), "period is 'monthly'; it must be one of 'daily', 'weekly'"),
        (('format: "%Y-%m-%d"', "format: iso"), "date.format is 'iso'"),
        (("shape: wide", "shape: broad"), "media.shape is 'broad'"),
        (("search: {spend: search}", "search: {cost: search}"), "media.channels.search lacks the key 'spend'"),
        (("search: {spend: search}", "search: {spend: tv}"), "column 'tv' two meanings"),
        (("outcome: {new_customers: customers, revenue: revenue}", "outcome: {}"), "names neither new_customers nor revenue"),
        (("currency: EUR", "currency: euro"), "currency is 'euro'"),
        (("currency: EUR", "currency: EUR\nscale: {spend: 0}"), "factors above zero"),
        (("currency: EUR", "currency: EUR\nseparator: ';'"), "unknown key 'separator'"),
        (("controls: {price: price}", "controls: {price: {column: price}}"), "lacks the key 'one_hot'"),
        (("source: sheet", "source: [a"), "not valid YAML"),
        (("source: sheet", "source: yes"), "source is True, which is not text"),
    ],
)
def test_a_wrong_map_is_refused(
    bring: Callable[..., int], capsys: pytest.CaptureFixture[str], change: tuple[str, str], expected: str
) -> None:
    """Each mistake in the map is named with its key and what is allowed."""
    assert bring(wide_lines(), WIDE.replace(*change)) == 1
    assert expected in capsys.readouterr().err


def test_a_map_of_one_meaning_per_column_allows_a_count_as_factor() -> None:
    """conversions may be the KPI and a factor of revenue at once, but not both KPI and revenue."""
    import yaml

    raw = yaml.safe_load(WIDE)
    raw["outcome"] = {"new_customers": "customers", "revenue": "customers"}
    with pytest.raises(JobError, match="two meanings"):
        parse_map("map", raw)


def test_shipped_maps_are_listed_and_load(capsys: pytest.CaptureFixture[str]) -> None:
    """--list-maps names every shipped map; each of them is valid."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["import-csv", "--list-maps"])
    assert stop.value.code == 0
    listed = capsys.readouterr().out
    assert set(shipped_maps()) == {"robyn_weekly", "meridian_national", "meridian_geo", "small_business"}
    for name in shipped_maps():
        assert name in listed
        assert load_map(name).source == name


@pytest.mark.parametrize(
    ("name", "map_name", "expected"),
    [
        # weeks, geos, channels, controls, spend, new customers, revenue: column sums of the files, taken with awk
        ("robyn/dt_simulated_weekly.csv", "robyn_weekly", (208, 1, 5, 4, 14529098.51, None, 379005696.67)),
        ("meridian/national_media.csv", "meridian_national", (156, 1, 4, 2, 121740698.08, 32581243490, None)),
        ("meridian/geo_media.csv", "meridian_geo", (156, 20, 4, 2, 121740698.07, 32581243382, None)),
        ("mmm_recovery/small_business.csv", "small_business", (104, 1, 4, 2, 33113.21, None, 807449.73)),
    ],
)
def test_the_public_tables_import_with_their_shipped_maps(
    warehouse: DuckDBWarehouse, name: str, map_name: str, expected: tuple[float | None, ...]
) -> None:
    """Rows and column sums of the four public tables arrive unchanged."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["import-csv", str(shared_file(name)), "--map", map_name, "--run-date", RUN_DATE])
    assert not stop.value.code
    weeks, geos, channels, controls, spend, customers, revenue = expected
    media = warehouse.query(
        "SELECT COUNT(DISTINCT period_start_date) AS weeks, COUNT(DISTINCT geo) AS geos, COUNT(DISTINCT channel) AS channels, "
        "COUNT(*) AS n, CAST(SUM(spend_micros) AS INT64) AS spend FROM ads.imported_media"
    ).row(0, named=True)
    assert (media["weeks"], media["geos"], media["channels"]) == (weeks, geos, channels)
    assert media["n"] == weeks * geos * channels  # type: ignore[operator]
    assert media["spend"] / 1e6 == pytest.approx(spend, abs=0.01)
    outcome = warehouse.query(
        "SELECT ROUND(SUM(new_customers)) AS customers, CAST(SUM(revenue_micros) AS INT64) AS revenue FROM ads.business_outcomes"
    )
    assert outcome["customers"][0] == customers
    if revenue is not None:
        assert outcome["revenue"][0] / 1e6 == pytest.approx(revenue, abs=0.01)
    assert warehouse.query("SELECT DISTINCT control FROM ads.business_controls").height == controls


def test_help_needs_no_heavy_library() -> None:
    """--help stays fast."""
    import subprocess
    import sys

    code = "import sys, tasks.ingest.import_csv; print(sorted({'polars', 'duckdb', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
