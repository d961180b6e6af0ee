"""GA4's day per channel from its sessions."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from tasks.core.channel_groups import channel_group, source_and_medium
from tasks.core.contracts import load_contract

if TYPE_CHECKING:
    import polars as pl

    from tasks.core.warehouse.base import Warehouse

TABLE = "ga4.ga4_daily"
DAY = timedelta(days=1)


def daily_rows(sessions: pl.DataFrame, property_id: str, loaded_at: datetime) -> pl.DataFrame:
    """Rows of ga4.ga4_daily from rows of the sessions query."""
    import polars as pl

    source, medium = source_and_medium()
    first = pl.struct("user_pseudo_id", "session_id").is_first_distinct()
    counted = sessions.sort("user_pseudo_id", "session_id", "currency_code").with_columns(
        channel_group().alias("channel_group"), source.alias("source"), medium.alias("medium"), first.alias("is_first")
    )
    grouped = counted.group_by("date", "channel_group", "source", "medium", "currency_code").agg(
        pl.col("is_first").sum().alias("sessions"),
        (pl.col("is_first") & pl.col("is_engaged")).sum().alias("engaged_sessions"),
        pl.col("user_pseudo_id").n_unique().alias("visitors"),
        (pl.col("is_first") & (pl.col("session_number") == 1)).sum().alias("new_visitors"),
        pl.col("conversions").sum(),
        pl.col("value_micros").sum(),
        pl.col("is_intraday").any(),
    )
    schema = load_contract(TABLE).polars_schema()
    full = grouped.with_columns(property_id=pl.lit(property_id), loaded_at=pl.lit(loaded_at))
    return full.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def write_days(warehouse: Warehouse, property_id: str, start: date, end: date, loaded_at: datetime) -> int:
    """Rewrite the days ``start`` to ``end``, and the day before, whose last sessions may go on into ``start``."""
    import polars as pl

    sessions = warehouse.query_file(
        "ga4/ga4_daily/sessions.sql",
        {"property_id": property_id, "start_date": start - 2 * DAY, "end_date": end},
    )
    days = [start - DAY + n * DAY for n in range((end - start).days + 2)]
    frame = daily_rows(sessions.filter(pl.col("date") >= days[0]), property_id, loaded_at)
    return warehouse.replace_partitions("ga4.ga4_daily", frame, partitions=days, where={"property_id": property_id})
