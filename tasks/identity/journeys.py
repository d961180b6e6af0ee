"""Visits become journeys: what led up to a conversion, and what came to nothing. Pure Polars, whole columns at once.

A **converted journey** is a conversion and the visits of the same person before it, at most ``lookback`` old and after the
person's conversion before. Other visits form journeys **without a conversion**: a silence longer than ``lookback`` or a
conversion in between begins a new one. Such a journey is *open* while a visit now could still lead to its conversion; it counts
as one that came to nothing until then, and the day is written anew when that turns out wrong.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

LOOKBACK_DAYS = 30  # GA4's own default for acquisition is 30, for other conversions 90


def to_touchpoints(sessions: pl.DataFrame, run_date: date, lookback_days: int = LOOKBACK_DAYS) -> pl.DataFrame:
    """Touches of all journeys of ``sessions``.

    Args:
        sessions: property_id, person_id, session_key, session_start_at, session_start_date, channel_group, conversions,
            value_micros, currency_code; one row a visit, any order.
        run_date: the day the journeys are looked at.
        lookback_days: how far back a visit may lie before the conversion it is credited with.

    Returns:
        The columns of ``gaelp_users.persistent_touchpoints`` without ``loaded_at``.
    """
    import polars as pl

    lookback = pl.duration(days=lookback_days)
    person = ["property_id", "person_id"]
    at = pl.col("session_start_at")
    converts_at = pl.when(pl.col("conversions") > 0).then(at)
    visits = sessions.sort(*person, "session_start_at", "session_key").with_columns(
        # Of the visit itself or the next one that converts; and of the last one that did before it.
        next_at=converts_at.backward_fill().over(person),
        before_at=converts_at.shift(1).forward_fill().over(person),
    )
    leads_there = (pl.col("next_at").is_not_null() & (pl.col("next_at") - at <= lookback)).alias("is_converted")
    visits = visits.with_columns(leads_there)
    # Of the visits that lead nowhere, one begins a journey if the visit before it was another kind, or too long ago.
    begins = (
        (pl.col("is_converted") != pl.col("is_converted").shift(1))
        | (pl.col("next_at").is_not_null() & pl.col("is_converted") & pl.col("next_at").ne_missing(pl.col("next_at").shift(1)))
        | pl.col("before_at").ne_missing(pl.col("before_at").shift(1))
        | (~pl.col("is_converted") & (at - at.shift(1) > lookback))
    ).over(person)
    visits = visits.with_columns(number=begins.fill_null(True).cum_sum().over(person))
    journey = [*person, "number"]
    ends_at = at.last().over(journey)
    return visits.with_columns(
        journey_id=pl.concat_str("person_id", pl.lit("@"), at.first().over(journey).dt.epoch("us").cast(pl.String)),
        touch_number=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(journey),
        is_first_touch=pl.int_range(pl.len()).over(journey) == 0,
        is_last_touch=(pl.int_range(pl.len()) == pl.len() - 1).over(journey),
        journey_end_date=pl.col("session_start_date").last().over(journey),
        conversions=pl.col("conversions").last().over(journey),
        value_micros=pl.col("value_micros").last().over(journey),
        currency_code=pl.col("currency_code").last().over(journey),
        is_open=~pl.col("is_converted") & (ends_at.dt.date() + lookback >= pl.lit(run_date)),
    ).select(
        "property_id",
        pl.col("session_start_date").alias("touch_date"),
        "journey_id",
        "touch_number",
        "person_id",
        "session_key",
        at.alias("touch_at"),
        "channel_group",
        "is_first_touch",
        "is_last_touch",
        "is_converted",
        "is_open",
        "journey_end_date",
        "conversions",
        "value_micros",
        "currency_code",
    )


def first_day_to_read(start: date, lookback_days: int = LOOKBACK_DAYS) -> date:
    """First day of visits that journeys ending on ``start`` or later need."""
    return start - timedelta(days=2 * lookback_days)
