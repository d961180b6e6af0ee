"""From what was seen together to edges: every pair of ids of an event, and every id with itself."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from tasks.core.identifiers import COOKIE_KIND, KINDS

if TYPE_CHECKING:
    import polars as pl

GRAIN = ("event_date", "left_id_kind", "left_id", "right_id_kind", "right_id")


def edges_of(sightings: pl.DataFrame) -> pl.DataFrame:
    """Edges per day.

    Args:
        sightings: event_date, is_analytics_consented, first_seen_at, last_seen_at, event_count and any columns named like a
            kind of id. Where consent is missing only the cookie counts, with nothing beside it.

    Returns:
        The columns of ``gaelp_users.identity_edges`` without ``loaded_at``. Left and right stand in the order of KINDS.
    """
    import polars as pl

    consented = pl.col("is_analytics_consented")
    present = [kind for kind in KINDS if kind in sightings.columns]
    parts = []
    for left, right in [*((kind, kind) for kind in present), *combinations(present, 2)]:
        is_cookie = left == right == COOKIE_KIND
        rows = sightings.filter(pl.col(left).is_not_null() & pl.col(right).is_not_null() & (consented | is_cookie))
        parts.append(
            rows.select(
                "event_date",
                pl.lit(left).alias("left_id_kind"),
                pl.col(left).alias("left_id"),
                pl.lit(right).alias("right_id_kind"),
                pl.col(right).alias("right_id"),
                "first_seen_at",
                "last_seen_at",
                "event_count",
                pl.when(~consented).then("last_seen_at").alias("denied_at"),
            )
        )
    return (
        pl.concat(parts)
        .group_by(GRAIN)
        .agg(
            pl.col("first_seen_at").min(),
            pl.col("last_seen_at").max(),
            pl.col("event_count").sum(),
            pl.col("denied_at").max(),
        )
    )
