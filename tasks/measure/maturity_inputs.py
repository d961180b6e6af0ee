"""Triangles of click day and lag: from GA4's conversions, and from the ad platforms' lag buckets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tasks.core.channel_groups import channel_group
from tasks.core.maturity import Floats, Ints

if TYPE_CHECKING:
    import polars as pl

DAY = timedelta(days=1)
# Google's lag buckets up to its 30-day window as days [first, last]; later buckets lie outside of the window that is loaded.
_WORDS = [
    "ONE",
    "TWO",
    "THREE",
    "FOUR",
    "FIVE",
    "SIX",
    "SEVEN",
    "EIGHT",
    "NINE",
    "TEN",
    "ELEVEN",
    "TWELVE",
    "THIRTEEN",
    "FOURTEEN",
]
BUCKETS: dict[str, tuple[int, int]] = {
    "LESS_THAN_ONE_DAY": (0, 0),
    **{f"{a}_TO_{b}_DAYS": (n, n) for n, (a, b) in enumerate(pairwise(_WORDS), 1)},
    "FOURTEEN_TO_TWENTY_ONE_DAYS": (14, 20),
    "TWENTY_ONE_TO_THIRTY_DAYS": (21, 29),
}
LAST_LAG = 29


@dataclass(frozen=True)
class Triangle:
    """Conversions by click day (rows) and lag (columns), with the largest lag fully seen of each click day.

    ``last_days``: the last day of each lag column; columns of a platform's buckets are wider than a day.
    """

    counts: Floats
    ages: Ints
    last_days: Ints

    def by_day(self, draws: Floats) -> Floats:
        """Draws of the share at the end of each column as draws of the share at the end of each day, linear in between."""
        days = np.arange(self.last_days[-1] + 1)
        return np.stack([np.interp(days, self.last_days, row) for row in draws])


def with_channels(lags: pl.DataFrame) -> pl.DataFrame:
    """Rows of the click_lags query with channel_group; without a click the day of the conversion stands for that of the click."""
    import polars as pl

    no_click = pl.col("click_date").is_null()
    return lags.with_columns(
        pl.when(no_click).then(pl.lit("Direct")).otherwise(channel_group()).alias("channel_group"),
        pl.when(no_click).then("conversion_date").otherwise("click_date").alias("click_date"),
        (~no_click).alias("has_click"),
    ).with_columns((pl.col("conversion_date") - pl.col("click_date")).dt.total_days().alias("lag_days"))


def ga4_triangle(rows: pl.DataFrame, final_day: date) -> Triangle:
    """Triangle of conversions that had a click; ``final_day`` is the last day to which no late event can be added any more."""
    import polars as pl

    clicked = rows.filter(pl.col("has_click") & (pl.col("conversion_date") <= final_day) & (pl.col("click_date") <= final_day))
    if clicked.height == 0:
        return Triangle(np.zeros((0, LAST_LAG + 1)), np.zeros(0, dtype=np.int64), np.arange(LAST_LAG + 1))
    first = clicked["click_date"].min()
    assert isinstance(first, date)
    days = (final_day - first).days + 1
    counts = np.zeros((days, LAST_LAG + 1))
    row = (clicked["click_date"] - first).dt.total_days().to_numpy()
    np.add.at(counts, (row, clicked["lag_days"].to_numpy()), clicked["conversions"].to_numpy())
    ages = np.array([(final_day - (first + n * DAY)).days for n in range(days)])
    return Triangle(counts, ages, np.arange(LAST_LAG + 1))


def bucket_triangle(rows: pl.DataFrame) -> Triangle:
    """Triangle of one action's lag buckets; a bucket counts as seen once its last day had passed when the day was loaded."""
    import polars as pl

    known = rows.filter(pl.col("lag_bucket").is_in(list(BUCKETS)))
    names = list(BUCKETS)
    days = sorted(known["click_date"].unique())
    place = {day: n for n, day in enumerate(days)}
    counts = np.zeros((len(days), len(names)))
    loaded = np.zeros(len(days), dtype=np.int64)
    for day, bucket, conversions, at in known.select("click_date", "lag_bucket", "conversions", "loaded_at").iter_rows():
        counts[place[day], names.index(bucket)] += conversions
        loaded[place[day]] = max(loaded[place[day]], (at.date() - day).days - 1)
    last_days = np.array([last for _, last in BUCKETS.values()])
    ages = np.searchsorted(last_days, loaded, side="right") - 1  # the last column whose days had all passed
    return Triangle(counts, ages.astype(np.int64), last_days)
