"""What is asked of TikTok's synchronous reports, and in what pieces.

The asynchronous tasks (report/task/create, check, download) know no longest window, but TikTok opens them only to apps on a list;
913 days in pieces of 30 are 31 calls a report, well below the ten calls a second of any app.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tasks.platforms.columns import Column

LONGEST_DAYS = 30  # of a report by day, both ends included
DAY = Column("date", "dimensions.stat_time_day", "day")
CAMPAIGN, AD = Column("campaign_id", "dimensions.campaign_id"), Column("ad_id", "dimensions.ad_id")
BASIC_NUMBERS = (
    Column("impressions", "metrics.impressions", "count"),
    Column("clicks", "metrics.clicks", "count"),
    Column("cost_micros", "metrics.spend", "money"),
)
# Purchases on the website by all of the ad group's windows. The value's name is TikTok's own slip: it is an amount, no rate.
PURCHASES = Column("conversions", "metrics.complete_payment", "number", 0.0)
VALUE = Column("revenue_micros", "metrics.total_complete_payment_rate", "money", 0)
VIDEO = (
    Column("video_views", "metrics.video_play_actions", "count", None),
    Column("video_completions", "metrics.video_views_p100", "count", None),
)
# (action, window) → metric. The event an ad group optimises for is the only one told apart by click and view.
ACTIONS = {
    ("conversion", "7d_click"): "cta_conversion",
    ("conversion", "1d_view"): "vta_conversion",
    ("complete_payment", "default"): "complete_payment",
    ("form", "default"): "form",
}


@dataclass(frozen=True)
class Query:
    """One report. ``level`` is campaign or ad; ``parts`` are further dimensions beside day and id."""

    level: str
    columns: tuple[Column, ...]
    report_type: str = "BASIC"
    parts: tuple[str, ...] = ()

    def arguments(self, first: date, last: date) -> dict[str, Any]:
        """As the call takes them; deleted campaigns and ads spent money too, and are left out unless asked for."""
        status = {"field_name": f"{self.level}_status", "filter_type": "IN", "filter_value": json.dumps(["STATUS_ALL"])}
        paths = dict.fromkeys(column.path for column in self.columns)
        return {
            "report_type": self.report_type,
            "data_level": f"AUCTION_{self.level.upper()}",
            "dimensions": ["stat_time_day", f"{self.level}_id", *self.parts],
            "metrics": [path.removeprefix("metrics.") for path in paths if path.startswith("metrics.")],
            "start_date": first.isoformat(),
            "end_date": last.isoformat(),
            "filtering": [status],
        }


@dataclass(frozen=True)
class Breakdown:
    """A split of campaigns; ``name`` as in ads.ads_breakdown_performance, ``counted`` the metric of its conversions."""

    name: str
    parts: tuple[str, ...]
    report_type: str
    counted: str

    def query(self) -> Query:
        """The report that tells it."""
        counted = Column("conversions", f"metrics.{self.counted}", "number", 0.0)
        parts = tuple(Column(part, f"dimensions.{part}") for part in self.parts)
        return Query("campaign", (DAY, CAMPAIGN, *parts, *BASIC_NUMBERS, counted), self.report_type, self.parts)


# Audience reports know no purchases, only the event each ad group optimises for; no report tells values by part.
BREAKDOWNS = (
    Breakdown("country", ("country_code",), "BASIC", "complete_payment"),
    Breakdown("age_gender", ("age", "gender"), "AUDIENCE", "conversion"),
    Breakdown("placement", ("placement",), "AUDIENCE", "conversion"),
)


def windows(start: date, end: date, longest: int = LONGEST_DAYS) -> Iterator[tuple[date, date]]:
    """``start`` to ``end``, both included, in pieces of at most ``longest`` days.

    >>> [last.isoformat() for _, last in windows(date(2026, 1, 1), date(2026, 2, 1))]
    ['2026-01-30', '2026-02-01']
    """
    while start <= end:
        last = min(end, start + timedelta(days=longest - 1))
        yield start, last
        start = last + timedelta(days=1)


def action_columns() -> Sequence[Column]:
    """A column per action and window, named ``action window``, and the value of purchases."""
    counts = [Column(f"{action} {window}", f"metrics.{metric}", "number", 0.0) for (action, window), metric in ACTIONS.items()]
    return [DAY, AD, *counts, VALUE]
