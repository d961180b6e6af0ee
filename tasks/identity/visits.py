"""Visits with their person, their channel and what they bought. Pure Polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_SESSION = ["property_id", "user_pseudo_id", "session_id"]
_TAG = ["source", "medium", "campaign_label", "click_kind"]


def to_sessions(parts: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``gaelp_users.journey_sessions`` from the rows of ``journey_visits`` and ``journey_purchases``.

    A visit belongs to who signed in during it, else to the person its cookie or its click is known to be of. Its channel is that
    of its first tagged event; a visit without one is direct. An order counts once, where it was first seen, however often and on
    however many days its page was loaded again.
    """
    import polars as pl

    from tasks.core.clock import utc_now
    from tasks.core.identifiers import COOKIE_PERSON

    named = parts.with_columns(
        person_id=pl.coalesce("signed_in_person_id", "other_person_id", pl.concat_str(pl.lit(COOKIE_PERSON), "user_pseudo_id")),
        session_key=pl.concat_str("user_pseudo_id", pl.lit("."), "session_id"),
    )
    visits, places = one_person_each(named)
    return (
        _with_channels(visits)
        .join(_bought(orders, places), on=["property_id", "session_key"], how="left")
        .select(
            "property_id",
            "session_start_date",
            "session_key",
            "person_id",
            "user_pseudo_id",
            "session_start_at",
            "session_number",
            "channel_group",
            "source",
            "medium",
            "device_category",
            "country",
            "events",
            "engagement_seconds",
            "is_engaged",
            "is_ads_consented",
            pl.col("conversions").fill_null(0.0),
            pl.col("value_micros").fill_null(0),
            "currency_code",
            pl.lit(utc_now()).alias("loaded_at"),
        )
    )


def one_person_each(parts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(visits, where the parts went).

    What happened in a session before somebody signed in is theirs too. If several people signed in on one device within a
    session, each has a visit; the first keeps the session's key, the key of the next ends in ``.2``. The second frame says for
    each part of such a session (``signed_in_hash``) which ``session_key`` it went to.
    """
    import polars as pl

    # Few sessions have several parts: those whose hash is there twice, unless that is chance.
    keys = parts.select(*_SESSION, row=pl.int_range(pl.len())).filter(pl.struct(_SESSION).hash().is_duplicated())
    rows = keys.filter(pl.len().over(_SESSION) > 1)["row"].sort()
    several = parts[rows]
    if several.is_empty():
        return parts, several.select(*_SESSION, "signed_in_hash", "session_key")
    first = pl.col("signed_in_person_id").drop_nulls().first().over(_SESSION)
    several = several.sort(*_SESSION, "session_start_at", "signed_in_hash").with_columns(
        person_id=pl.coalesce("signed_in_person_id", first, "person_id")
    )
    number = pl.col("person_id").rle_id().over(_SESSION)
    several = several.sort(*_SESSION, pl.col("session_start_at").min().over(*_SESSION, "person_id"), "person_id").with_columns(
        session_key=pl.when(number > 0)
        .then(pl.concat_str("session_key", pl.lit("."), (number + 1).cast(pl.String)))
        .otherwise("session_key")
    )
    by_tag = {name: pl.col(name).sort_by("tagged_at", "signed_in_hash", nulls_last=True).first() for name in _TAG}
    merged = several.group_by("property_id", "session_key").agg(
        pl.col("user_pseudo_id", "session_id", "person_id").first(),
        pl.col("session_start_date", "session_start_at").min(),
        pl.col("session_number", "device_category", "country").max(),
        pl.col("events", "engagement_seconds").sum(),
        pl.col("is_engaged").any(),
        pl.col("is_ads_consented").all(),
        **by_tag,
    )
    is_part = pl.Series([False]).new_from_index(0, parts.height).scatter(rows, True)
    alone = parts.select(merged.columns).filter(~is_part)
    return pl.concat([alone, merged]), several.select(*_SESSION, "signed_in_hash", "session_key")


def _with_channels(visits: pl.DataFrame) -> pl.DataFrame:
    """Visits with channel_group, source and medium by the rule table, which looks at each distinct tag once."""
    import polars as pl

    from tasks.core.channel_groups import CLICK_IDS, channel_group, source_and_medium

    source, medium = source_and_medium()
    clicked = [pl.when(pl.col("click_kind") == kind).then("click_kind").alias(kind) for kind in CLICK_IDS]
    tags = visits.select(_TAG).unique().with_columns(clicked)
    known = tags.select(*_TAG, channel_group().alias("channel_group"), source.alias("_source"), medium.alias("_medium"))
    found = visits.join(known, on=_TAG, how="left", nulls_equal=True, maintain_order="left")
    return found.drop("source", "medium").rename({"_source": "source", "_medium": "medium"})


def _bought(orders: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """property_id, session_key → conversions, value_micros, currency_code; each order in the first visit that has it."""
    import polars as pl

    return (
        orders.sort("event_at", "order_key")
        .unique(["property_id", "order_key"], keep="first", maintain_order=True)
        .join(places, on=[*_SESSION, "signed_in_hash"], how="left", nulls_equal=True, maintain_order="left")
        .with_columns(session_key=pl.coalesce("session_key", pl.concat_str("user_pseudo_id", pl.lit("."), "session_id")))
        .group_by("property_id", "session_key")
        .agg(
            conversions=pl.len().cast(pl.Float64),
            value_micros=pl.col("value_micros").sum(),
            currency_code=pl.col("currency_code").drop_nulls().first(),
        )
    )
