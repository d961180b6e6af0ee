"""The GA4 events of a day's sessions, as flat columns and long-form parameters; ``ga4_export`` nests them as Google does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tasks.lab.people import COUNTRIES, DEVICES, DOORS, Ints, Sessions
from tasks.lab.world import Campaign

if TYPE_CHECKING:
    import polars as pl

SITE = "https://www.acme.example"
PAGES = ("/", "/collection", "/product/12", "/product/34", "/about", "/cart")
# How late a session's events reach the export, in days; GA4 takes them for 72 hours.
LATE_SHARE = (0.975, 0.015, 0.007, 0.003)
BOUNCE_SHARE = 0.38
KIOSK_COOKIE = "1000000001.1600000000"
# Source and medium of each door: utm tags, or what GA4 reads from the referrer.
DOOR_SOURCE = {
    "google_organic": ("google", "organic"),
    "bing_organic": ("bing", "organic"),
    "direct": (None, None),
    "newsletter": ("newsletter", "email"),
    "referral": ("partner.example", "referral"),
    "facebook": ("facebook.com", "referral"),
}
# How the advertiser tags its campaigns: source, medium and the campaign's name.
TAGS = {
    "SEARCH_BRAND": ("google", "cpc", "{name}"),
    "SEARCH_NONBRAND": ("google", "cpc", "{name}"),
    "YOUTUBE": ("youtube", "cpv", "{name}"),
    "DEMAND_GEN": ("google", "display", "{name}"),
    "PMAX": ("google", "cpc", "{name} | cross-network"),
    "META": ("facebook", "paid_social", "{name}"),
    "LINKEDIN": ("linkedin", "paid_social", "{name}"),
    "TIKTOK": ("tiktok", "paid_social", "{name}"),
    "REDDIT": ("reddit", "paid_social", "{name}"),
    "X": ("twitter", "paid_social", "{name}"),
}


@dataclass(frozen=True)
class DayEvents:
    """``events``: one row an event, in the order of the export. ``params``: columns ev (row of events), key, s, i, d."""

    events: pl.DataFrame
    params: pl.DataFrame


def day_bounds(day: date, time_zone: str) -> tuple[int, int]:
    """Microseconds since 1970 at which ``day`` begins and ends in ``time_zone``: 23 to 25 hours apart."""
    zone = ZoneInfo(time_zone)
    first, last = (datetime.combine(d, time(), tzinfo=zone).timestamp() for d in (day, day + timedelta(days=1)))
    return round(first * 1e6), round(last * 1e6)


def mix(values: NDArray[np.generic], salt: int) -> NDArray[np.uint64]:
    """splitmix64: numbers that look random and are the same on every machine."""
    with np.errstate(over="ignore"):
        x = values.astype(np.int64).view(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) & (2**64 - 1))
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def cookie_ids(cookies: Ints, seed: int) -> pl.Series:
    """``user_pseudo_id`` of each cookie, in the form of Google's own: ten digits, a point, ten digits."""
    import polars as pl

    left = 1_000_000_000 + (mix(cookies, 2 * seed + 1) % np.uint64(1_147_483_647)).astype(np.int64)
    right = 1_600_000_000 + (mix(cookies, 2 * seed + 2) % np.uint64(99_999_999)).astype(np.int64)
    ids = pl.DataFrame({"l": left, "r": right, "c": cookies})
    joined = pl.concat_str(pl.col("l").cast(pl.String), pl.lit("."), pl.col("r").cast(pl.String))
    return ids.select(pl.when(pl.col("c") == -1).then(pl.lit(KIOSK_COOKIE)).otherwise(joined).alias("user_pseudo_id"))[
        "user_pseudo_id"
    ]


def customer_numbers(persons: Ints, seed: int) -> pl.Series:
    """The shop's own customer number of each person, the ``user_id`` of a signed-in visit."""
    import polars as pl

    numbers = (mix(persons, 2 * seed + 3) % np.uint64(10**12)).astype(np.int64)
    return pl.Series("user_id", numbers).cast(pl.String).str.zfill(12).str.replace("^", "C")


def session_frame(sessions: Sessions, campaigns: list[Campaign], day: date, time_zone: str, seed: int) -> pl.DataFrame:
    """What all events of a session share, one row a session of ``day`` in the order of ``sessions``."""
    import polars as pl

    rng = np.random.default_rng([seed, 13, day.toordinal()])
    start, end = day_bounds(day, time_zone)
    n = len(sessions.person)
    is_bot = sessions.person < 0
    begin = start + np.sort(rng.random(n)) * (end - start - 1_900_000_000)  # half an hour before midnight at the latest
    doors = [DOOR_SOURCE[door] for door in DOORS]
    tags = [TAGS[c.channel] for c in campaigns]
    none = [None] * len(doors)
    entries = pl.DataFrame(
        {
            "source": [s for s, _ in doors] + [s for s, _, _ in tags],
            "medium": [m for _, m in doors] + [m for _, m, _ in tags],
            "campaign": none + [t.format(name=c.name) for (_, _, t), c in zip(tags, campaigns, strict=True)],
            "campaign_id": none + [str(c.id) for c in campaigns],
        }
    )
    entry = np.where(sessions.campaign >= 0, len(doors) + sessions.campaign, sessions.door)
    pages = np.where(rng.random(n) < BOUNCE_SHARE, 1, 1 + rng.geometric(0.45, n))
    pages = np.where(sessions.is_purchase, np.maximum(pages, 4), np.where(is_bot, 20, np.minimum(pages, 12)))
    clicked = mix(np.arange(n) + start // 1000, 2 * seed + 4)
    order = [f"A{number:016x}" for number in mix(64 * sessions.person + sessions.lag, 2 * seed + 5).tolist()]
    gclid = [f"Cj0K{c:016x}" if k >= 0 else None for c, k in zip(clicked.tolist(), sessions.campaign.tolist(), strict=True)]
    frame = pl.DataFrame(
        {
            "begin": begin.astype(np.int64),
            "session_number": sessions.number,
            "pages": pages,
            "late": np.where(is_bot, 0, rng.choice(len(LATE_SHARE), n, p=LATE_SHARE)),
            "is_engaged": ((pages > 1) | (rng.random(n) < 0.2)) & ~is_bot,
            "is_new": sessions.is_new_cookie,
            "views_item": (pages > 2) | sessions.is_purchase,
            "checks_out": sessions.is_purchase | ((pages > 4) & (rng.random(n) < 0.4) & ~is_bot),
            "is_purchase": sessions.is_purchase,
            "value": sessions.value_micros / 1e6,
            "ads_consent": sessions.ads_consent,
            "analytics_consent": sessions.analytics_consent,
            "first_touch": (begin - sessions.lag * 86_400_000_000).astype(np.int64),
        }
    )
    return frame.with_columns(
        cookie_ids(sessions.cookie, seed),
        pl.when(pl.Series(sessions.is_signed_in)).then(customer_numbers(sessions.person, seed)).alias("user_id"),
        *entries[entry],
        pl.Series("gclid", gclid, dtype=pl.String),
        pl.Series("transaction_id", order),
        pl.Series("device", list(DEVICES)).gather(sessions.device),
        pl.Series("country", list(COUNTRIES)).gather(sessions.country),
    ).with_row_index("session")


def make_events(sessions: Sessions, campaigns: list[Campaign], day: date, time_zone: str, currency: str, seed: int) -> DayEvents:
    """All events of ``sessions`` on ``day``, however late they arrive (column ``late``, in days)."""
    import polars as pl

    frame = session_frame(sessions, campaigns, day, time_zone, seed)
    page_rows = frame.select("session", pl.int_ranges(0, pl.col("pages")).alias("step")).explode("step")
    steps = [
        _step(frame, pl.lit(True), "session_start", 0, 0),
        _step(frame, pl.col("is_new"), "first_visit", 0, 1),
        page_rows.select("session", pl.lit("page_view").alias("event_name"), "step", pl.lit(2).alias("rank")),
        _step(frame, pl.col("is_engaged"), "user_engagement", 0, 3),
        _step(frame, pl.col("views_item"), "view_item", 1, 4),
        _step(frame, pl.col("checks_out"), "begin_checkout", 2, 5),
        _step(frame, pl.col("is_purchase"), "purchase", 3, 6),
    ]
    schema = {"session": pl.UInt32, "event_name": pl.String, "step": pl.Int64, "rank": pl.Int32}
    events = pl.concat([step.cast(schema) for step in steps]).sort("session", "step", "rank")  # type: ignore[arg-type]
    events = events.join(frame, on="session", how="left", maintain_order="left").with_columns(
        # A pixel's batch carries the time of its first event: events of one page share a microsecond, as in a real export.
        (pl.col("begin") + pl.col("step") * 24_000_000 + (pl.col("rank") >= 3) * 9_000_000).alias("event_timestamp"),
        pl.int_range(1, pl.len() + 1).over("session").alias("batch_event_index"),
        (pl.col("begin") // 1_000_000).alias("session_id"),
        pl.when("analytics_consent").then("user_pseudo_id").alias("user_pseudo_id"),
        pl.when("analytics_consent").then("user_id").alias("user_id"),
        pl.lit(currency).alias("currency"),
    )
    events = events.with_row_index("ev")
    return DayEvents(events, _params(events))


def _step(frame: pl.DataFrame, mask: pl.Expr, name: str, step: int, rank: int) -> pl.DataFrame:
    import polars as pl

    rows = frame.filter(mask).select("session")
    return rows.with_columns(event_name=pl.lit(name), step=pl.lit(step, dtype=pl.Int64), rank=pl.lit(rank))


def _params(events: pl.DataFrame) -> pl.DataFrame:
    """Long-form parameters, sorted by event: what GA4 writes for each kind of event."""
    import polars as pl

    name = pl.col("event_name")
    opens = name.is_in(["session_start", "first_visit"]) | ((name == "page_view") & (pl.col("step") == 0))
    shown = pl.col("step").replace_strict(list(range(len(PAGES))), list(PAGES), default="/collection", return_dtype=pl.String)
    landing = pl.when(opens & pl.col("gclid").is_not_null()).then(pl.concat_str(pl.lit("?gclid="), "gclid")).otherwise(pl.lit(""))
    known = pl.col("user_pseudo_id").is_not_null()
    sells = name == "purchase"

    def block(
        key: str, when: pl.Expr, *, s: pl.Expr | None = None, i: pl.Expr | None = None, d: pl.Expr | None = None
    ) -> pl.DataFrame:
        none = {"s": pl.lit(None, dtype=pl.String), "i": pl.lit(None, dtype=pl.Int64), "d": pl.lit(None, dtype=pl.Float64)}
        given = {"s": s, "i": i, "d": d}
        values = [(given[k] if given[k] is not None else none[k]).alias(k) for k in none]  # type: ignore[union-attr]
        kinds = {"s": pl.String, "i": pl.Int64, "d": pl.Float64}
        return events.filter(when).select("ev", pl.lit(key).alias("key"), *values).cast(kinds)  # type: ignore[arg-type]

    blocks = [
        block("ga_session_id", known, i=pl.col("session_id")),
        block("ga_session_number", known, i=pl.col("session_number")),
        block("page_location", pl.lit(True), s=pl.concat_str(pl.lit(SITE), shown, landing)),
        block("page_title", pl.lit(True), s=pl.concat_str(pl.lit("Acme "), shown)),
        block(
            "session_engaged", known & (pl.col("step") + pl.col("rank") > 0), s=pl.col("is_engaged").cast(pl.Int8).cast(pl.String)
        ),
        block("engagement_time_msec", name.is_in(["user_engagement", "view_item"]), i=9_000 + 137 * pl.col("step")),
        block("source", opens & pl.col("source").is_not_null(), s=pl.col("source")),
        block("medium", opens & pl.col("medium").is_not_null(), s=pl.col("medium")),
        block("campaign", opens & pl.col("campaign").is_not_null(), s=pl.col("campaign")),
        block("transaction_id", sells, s=pl.col("transaction_id")),
        block("value", sells, d=pl.col("value")),
        block("currency", sells, s=pl.col("currency")),
    ]
    return pl.concat(blocks).sort("ev", maintain_order=True)
