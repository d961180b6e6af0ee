"""What is asked of TikTok's synchronous reports, and in what pieces.

The asynchronous tasks (report/task/create, check, download) know no longest window, but TikTok opens them only to apps on a list;
913 days in pieces of 30 are 31 calls a report, well below the ten calls a second of any app.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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
# Of the event that each ad group optimises for, by all of its windows: what Ads Manager calls conversions.
CONVERSIONS = Column("conversions", "metrics.conversion", "number", 0.0)
# Value of purchases on the website and in the app. The first name is TikTok's own slip: it is an amount, no rate.
VALUES = (
    Column("website_micros", "metrics.total_complete_payment_rate", "money", 0),
    Column("app_micros", "metrics.total_purchase_value", "money", 0),
)
# Told beside the numbers of ads: what lists may not hold (creatives of Smart+ campaigns) has its place all the same.
AD_PARENTS = (Column("campaign_id", "metrics.campaign_id"), Column("adgroup_id", "metrics.adgroup_id"))
VIDEO = (
    Column("video_views", "metrics.video_play_actions", "count", None),
    Column("video_completions", "metrics.video_views_p100", "count", None),
)
# (action, window) → metric, column of its value. Only the event optimised for is told apart by click and view, without value.
ACTIONS: dict[tuple[str, str], tuple[str, str | None]] = {
    ("conversion", "7d_click"): ("cta_conversion", None),
    ("conversion", "1d_view"): ("vta_conversion", None),
    ("complete_payment", "default"): ("complete_payment", "website_micros"),
    ("total_purchase", "default"): ("total_purchase", "app_micros"),
    ("form", "default"): ("form", None),
}
# Breakdown as in ads.ads_breakdown_performance → dimensions of the audience report. No report tells values by part.
BREAKDOWNS = {"country": ("country_code",), "age_gender": ("age", "gender"), "placement": ("placement",)}


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


def breakdown(parts: tuple[str, ...]) -> Query:
    """Campaigns by these dimensions."""
    columns = (DAY, CAMPAIGN, *(Column(part, f"dimensions.{part}") for part in parts), *BASIC_NUMBERS, CONVERSIONS)
    return Query("campaign", columns, "AUDIENCE", parts)


def windows(start: date, end: date, longest: int = LONGEST_DAYS) -> Iterator[tuple[date, date]]:
    """``start`` to ``end``, both included, in pieces of at most ``longest`` days.

    >>> [last.isoformat() for _, last in windows(date(2026, 1, 1), date(2026, 2, 1))]
    ['2026-01-30', '2026-02-01']
    """
    while start <= end:
        last = min(end, start + timedelta(days=longest - 1))
        yield start, last
        start = last + timedelta(days=1)


def action_query() -> Query:
    """A column per action and window, named ``action window``, and the values."""
    counts = [
        Column(f"{action} {window}", f"metrics.{metric}", "number", 0.0) for (action, window), (metric, _) in ACTIONS.items()
    ]
    return Query("ad", (DAY, AD, *counts, *VALUES))
