"""Flat GA4 events in, rows of ga4.ga4_events and every refused row with its reason out. No event is counted twice or lost."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tasks.core.channel_groups import campaign_label
from tasks.core.contracts import load_contract
from tasks.core.redaction import hash_name
from tasks.ingest.ga4_source import ExportTable

if TYPE_CHECKING:
    import polars as pl

TABLE = "ga4.ga4_events"
# GA4 takes events up to 72 hours late and dates them by the property's time zone: a day of margin on either side.
DAYS_BEFORE, DAYS_AFTER = 4, 2
ID_LENGTH, TEXT_LENGTH, PAGE_LENGTH = 128, 512, 4096  # GA4's own limits are 100, 100 and 1,000 characters
LARGEST_VALUE = 1e9  # of one event, in whole units; far above any order, far below what micros can hold
_NAME = r"^[\p{L}_][\p{L}\p{N}_]{0,99}$"
_PERSONAL = r"[^\s@]+@[^\s@]+\.[^\s@]+|\+?\d[\d ()./-]{7,}\d"  # an e-mail address, a phone number
_PAGE_CLICK_IDS = ("gbraid", "wbraid", "fbclid", "ttclid", "li_fat_id")
REDACTED = "(redacted)"
# What of a refused row is kept: enough to find it in the export, nothing that could name a person.
_KEPT = (
    "event_id",
    "event_date",
    "event_timestamp",
    "event_name",
    "session_id",
    "session_number",
    "engagement_msec",
    "value",
    "currency",
)


@dataclass(frozen=True)
class Refused:
    """A row that is set aside: the rule it broke, why in words, what is kept of it, and its ids, which are not kept."""

    check: str
    reason: str
    row: dict[str, object]
    ids: dict[str, str]


@dataclass(frozen=True)
class Judged:
    """What became of one export table's rows: read = len(rows) + len(refused) + duplicates."""

    read: int
    rows: pl.DataFrame
    refused: list[Refused]
    duplicates: int


def _too_long(column: str, limit: int) -> pl.Expr:
    import polars as pl

    return pl.col(column).str.len_chars() > limit


def _rules(table: ExportTable, names: pl.Series) -> list[tuple[str, str, pl.Expr]]:
    """(check, what is wrong, expression that is true for a bad row), the first that fits is the reason.

    ``names`` are the distinct event names: a few dozen texts are matched against the pattern instead of millions.
    """
    import polars as pl

    day = datetime.combine(table.day, datetime.min.time(), tzinfo=UTC)
    first, last = (round((day + timedelta(days=n)).timestamp() * 1e6) for n in (-DAYS_BEFORE, DAYS_AFTER))
    stamp, value, currency = pl.col("event_timestamp"), pl.col("value"), pl.col("currency")
    denied = pl.col("analytics_storage").fill_null("") == "No"
    is_name = pl.col("event_name").is_in(names.filter(names.str.contains(_NAME)).implode())
    long_texts = [_too_long(c, TEXT_LENGTH) for c in ("user_id", "source", "medium", "campaign", "gclid", "transaction_id")]
    user = pl.col("user_pseudo_id")
    table_day = f"{table.day:%Y%m%d}"
    user_is_bad = _too_long("user_pseudo_id", ID_LENGTH) | user.str.contains("@", literal=True) | (user == "")
    no_usd = pl.col("event_value_in_usd").is_null()
    return [
        ("no_time", "event_timestamp is missing", stamp.is_null()),
        ("no_name", "event_name is missing", pl.col("event_name").is_null()),
        ("no_user", "user_pseudo_id is missing although analytics storage was not refused", user.is_null() & ~denied),
        ("event_name", "event_name is no name of letters, digits and _ (at most 100)", ~is_name),
        ("user_form", f"user_pseudo_id is empty, longer than {ID_LENGTH} or holds an e-mail address", user_is_bad),
        ("event_date", f"event_date is not the table's day {table_day}", pl.col("event_date").fill_null("") != table_day),
        (
            "event_time",
            f"event_timestamp is more than {DAYS_BEFORE} days before or {DAYS_AFTER} after the table's day",
            (stamp < first) | (stamp >= last),
        ),
        ("text_length", f"a text is longer than {TEXT_LENGTH} characters", pl.any_horizontal(long_texts)),
        ("page_length", f"page_location is longer than {PAGE_LENGTH} characters", _too_long("page_location", PAGE_LENGTH)),
        ("session_number", "ga_session_number is negative", pl.col("session_number") < 0),
        ("engagement", "engagement_time_msec is negative", pl.col("engagement_msec") < 0),
        ("value_number", "value is no finite number", value.is_nan() | value.is_infinite()),
        ("value_negative", "value is negative", value < 0),
        ("value_large", f"value is above {LARGEST_VALUE:g}", value > LARGEST_VALUE),
        ("currency", "currency is no ISO 4217 code", ~currency.str.contains("^[A-Za-z]{3}$")),
        ("value_currency", "value has no currency, and GA4 gave no value in USD", (value > 0) & currency.is_null() & no_usd),
        (
            "value_in_usd",
            "event_value_in_usd is no finite number of at least 0",
            (currency.is_null() | value.is_null()) & ~_is_amount("event_value_in_usd"),
        ),
    ]


def _is_amount(column: str) -> pl.Expr:
    import polars as pl

    number = pl.col(column)
    return number.is_null() | (number.is_finite() & (number >= 0) & (number <= LARGEST_VALUE))


def _without_duplicates(flat: pl.DataFrame) -> pl.DataFrame:
    """Rows that are alike in everything once; different rows that share an event_id get a number behind it."""
    import polars as pl

    shared = flat["event_id"].is_duplicated()
    if not shared.any():
        return flat
    contents = [name for name in flat.columns if name != "event_id"]
    # NaN equals NaN here, as it must: the same broken row twice is one row.
    twins = flat.filter(shared).unique(maintain_order=True).sort("event_id", *contents, nulls_last=True)
    number = pl.int_range(pl.len()).over("event_id")
    renamed = pl.when(number > 0).then(pl.concat_str("event_id", pl.lit("-"), number.cast(pl.String))).otherwise("event_id")
    return pl.concat([flat.filter(~shared), twins.with_columns(renamed.alias("event_id"))])


def judge(flat: pl.DataFrame, table: ExportTable, salt: bytes, loaded_at: datetime) -> Judged:
    """Sort the rows of one export table into good, refused and duplicates."""
    import polars as pl

    once = _without_duplicates(flat)
    verdict: pl.Expr = pl.lit(None, dtype=pl.UInt8)
    rules = _rules(table, once["event_name"].drop_nulls().unique())
    for number, (_, _, is_bad) in reversed(list(enumerate(rules))):
        verdict = pl.when(is_bad.fill_null(value=False)).then(pl.lit(number, dtype=pl.UInt8)).otherwise(verdict)
    judged = once.with_columns(verdict.alias("verdict"))
    bad = judged.filter(pl.col("verdict").is_not_null())
    refused = [_refused(rules, row, salt, table) for row in bad.iter_rows(named=True)]
    good = judged.filter(pl.col("verdict").is_null()).drop("verdict")
    return Judged(flat.height, _rows(good, table, salt, loaded_at), refused, flat.height - once.height)


def _refused(rules: list[tuple[str, str, pl.Expr]], row: dict[str, object], salt: bytes, table: ExportTable) -> Refused:
    check, what, _ = rules[int(str(row["verdict"]))]
    kept = {name: value[:TEXT_LENGTH] if isinstance(value := row[name], str) else value for name in _KEPT}
    for name in ("user_pseudo_id", "user_id", "transaction_id", "campaign"):
        text = row[name]
        kept[f"{name}_hash"] = hash_name(text, salt) if isinstance(text, str) else None
    ids = {"user_pseudo_id": row["user_pseudo_id"], "user_id_hash": kept["user_id_hash"], "gclid": row["gclid"]}
    page = re.findall(rf"[?&]({'|'.join(_PAGE_CLICK_IDS)})=([A-Za-z0-9._~-]{{1,500}})", str(row["page_location"]))
    known = {kind: str(value) for kind, value in ids.items() if value is not None} | dict(page)
    return Refused(check, what, {"property_id": table.property_id, "export_table": table.table_id, **kept}, known)


def _hashed(frame: pl.DataFrame, column: str, name: str, salt: bytes) -> pl.Series:
    """HMAC of each text of ``column``: each distinct text is hashed once."""
    import polars as pl

    texts = frame[column].drop_nulls().unique()
    hashes = pl.DataFrame(
        {column: texts, name: [hash_name(text, salt) for text in texts]}, schema={column: pl.String, name: pl.String}
    )
    return frame.select(column).join(hashes, on=column, how="left", maintain_order="left")[name]


def _click_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """Click ids that GA4 leaves in the page's address; the address itself goes no further."""
    import polars as pl

    page = pl.col("page_location")
    found = frame.select(page).with_row_index("row").filter(page.str.contains_any([f"{name}=" for name in _PAGE_CLICK_IDS]))
    ids = [page.str.extract(rf"[?&]{name}=([A-Za-z0-9._~-]{{1,500}})").alias(name) for name in _PAGE_CLICK_IDS]
    extracted = found.select("row", *ids)
    rows = frame.select(pl.int_range(pl.len(), dtype=pl.get_index_type()).alias("row"))
    return rows.join(extracted, on="row", how="left", maintain_order="left").drop("row")


def _cleaned(frame: pl.DataFrame, column: str) -> pl.Series:
    """Lower case; a text that holds an e-mail address or a phone number is not kept. Each distinct text is looked at once."""
    import polars as pl

    texts = frame[column].drop_nulls().unique()
    text = pl.col(column).str.strip_chars().str.to_lowercase()
    clean = pl.when(text == "").then(None).when(text.str.contains(_PERSONAL)).then(pl.lit(REDACTED)).otherwise(text)
    known = pl.DataFrame({column: texts}, schema={column: pl.String}).with_columns(clean.alias("clean"))
    return frame.select(column).join(known, on=column, how="left", maintain_order="left")["clean"].alias(column)


def _rows(good: pl.DataFrame, table: ExportTable, salt: bytes, loaded_at: datetime) -> pl.DataFrame:
    """Rows of ga4.ga4_events from judged rows."""
    import polars as pl

    has_value = pl.col("value").is_not_null() & pl.col("currency").is_not_null()
    amount = pl.when(has_value).then("value").otherwise("event_value_in_usd")
    hashes = [
        _hashed(good, column, name, salt)
        for column, name in (
            ("campaign", "campaign_hash"),
            ("user_id", "user_id_hash"),
            ("transaction_id", "transaction_id_hash"),
        )
    ]
    frame = pl.concat([good, _click_ids(good)], how="horizontal").with_columns(hashes)
    rows = frame.select(
        pl.lit(table.property_id).alias("property_id"),
        pl.lit(table.day).alias("event_date"),
        "event_id",
        pl.from_epoch("event_timestamp", time_unit="us").dt.replace_time_zone("UTC").alias("event_at"),
        "event_name",
        "user_pseudo_id",
        "user_id_hash",
        pl.col("session_id").cast(pl.String),
        "session_number",
        (pl.col("session_engaged").fill_null("0") == "1").alias("is_session_engaged"),
        (pl.col("engagement_msec").fill_null(0) / 1000).alias("engagement_seconds"),
        _cleaned(good, "source"),
        _cleaned(good, "medium"),
        "campaign_hash",
        campaign_label(pl.col("campaign")).alias("campaign_label"),
        "campaign_id",
        "gclid",
        *_PAGE_CLICK_IDS,
        "transaction_id_hash",
        (amount * 1_000_000).round().cast(pl.Int64).alias("value_micros"),
        pl.when(has_value)
        .then(pl.col("currency").str.to_uppercase())
        .when(amount.is_not_null())
        .then(pl.lit("USD"))
        .alias("currency_code"),
        "device_category",
        "country",
        (pl.col("ads_storage").fill_null("Yes") != "No").alias("is_ads_consented"),
        (pl.col("analytics_storage").fill_null("Yes") != "No").alias("is_analytics_consented"),
        pl.lit(table.is_intraday).alias("is_intraday"),
        pl.lit(loaded_at).alias("loaded_at"),
    )
    return rows.cast(load_contract(TABLE).polars_schema())  # type: ignore[arg-type]  # a dict of dtypes
