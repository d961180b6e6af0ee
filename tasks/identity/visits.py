"""Visits with their channel and what they bought. Pure Polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_SESSION = ["property_id", "user_pseudo_id", "session_id"]


def to_sessions(visits: pl.DataFrame, tags: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``gaelp_users.journey_sessions`` from the three ``journey_*`` queries.

    The channel is that of the visit's first tagged event; a visit without one is direct. An order counts once, where it was first
    seen, however often and on however many days its page was loaded again.
    """
    import polars as pl

    from tasks.core.channel_groups import channel_group, source_and_medium
    from tasks.core.clock import utc_now

    first_tag = tags.sort("event_at").unique(_SESSION, keep="first", maintain_order=True).drop("event_at")
    bought = (
        orders.sort("event_at", "order_key")
        .unique(["property_id", "order_key"], keep="first", maintain_order=True)
        .group_by(_SESSION)
        .agg(
            conversions=pl.len().cast(pl.Float64),
            value_micros=pl.col("value_micros").sum(),
            currency_code=pl.col("currency_code").drop_nulls().first(),
        )
    )
    source, medium = source_and_medium()
    return (
        visits.join(first_tag, on=_SESSION, how="left")
        .join(bought, on=_SESSION, how="left")
        .with_columns(channel_group=channel_group(), source=source, medium=medium)
        .select(
            "property_id",
            "session_start_date",
            pl.concat_str("user_pseudo_id", pl.lit("."), "session_id").alias("session_key"),
            pl.coalesce("person_id", pl.concat_str(pl.lit("cookie:"), "user_pseudo_id")).alias("person_id"),
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
