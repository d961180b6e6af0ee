"""The success metrics over four weeks, in the report: what is read, how it is written, and one small picture a metric."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl
from markupsafe import Markup

from tasks.govern.report_charts import ACCENT, svg

if TYPE_CHECKING:
    from tasks.core.warehouse import Warehouse

_WINDOW_DAYS = 28
SAFETY = "changes_without_approval"
# Metric → its name on the page; the order of the page.
NAMES = {
    "new_customers": "New customers in four weeks",
    "blended_cac": "Blended CAC",
    "marginal_cac": "Next customer, by the model",
    "marginal_cac_measured": "Next customer, by experiments",
    "interval_hit_rate": "Came inside the predicted interval",
    "frontier_share": "Spend where the model wants it",
    "exploration_used": "Spend that explored",
    "exploration_roi": "Return on exploration, less its cost",
    "time_to_decision": "Hours to a person's answer",
    "changefeed_completeness": "Changes that are ours and logged",
    "rollback_time": "Minutes to a rollback, median",
    "rollback_time_max": "Minutes to a rollback, longest",
}
_AXES = {"ratio": "~%", "hours": ",.1f", "minutes": ",.1f"}  # the others: 1.2k
_DIGITS = {"customers": 0, "currency": 2, "hours": 1, "minutes": 1, "changes": 0}


@dataclass(frozen=True)
class Series:
    """One metric of one account over the window: the newest row in words, and the picture where any day has a value."""

    name: str
    account: str  # empty for the advertiser, or where there is one account only
    value: str
    interval: str
    detail: str
    picture: Markup | None


@dataclass(frozen=True)
class Safety:
    """Live changes without approval on the newest day: the number, how bad it is, and the accounts behind it."""

    short: str
    mood: str
    lines: tuple[str, ...]


def read_metrics(warehouse: Warehouse, run_date: date) -> pl.DataFrame:
    """What measure-success wrote in four weeks up to ``run_date``; empty before it first ran."""
    window = {"start_date": run_date - timedelta(days=_WINDOW_DAYS - 1), "run_date": run_date}
    return warehouse.query_file("control/report_metrics/query.sql", window)


def written(value: float | None, unit: str, currency: str | None) -> str:
    """A value as a person reads it."""
    if value is None:
        return "not known"
    if unit == "ratio":
        return f"{value:.1%}"
    return f"{value:,.{_DIGITS[unit]}f}" + (f" {currency}" if unit == "currency" and currency else "")


def series(metrics: pl.DataFrame) -> list[Series]:
    """Every metric but the safety of changes, in the order of ``NAMES``."""
    found = []
    accounts = metrics.filter(pl.col("platform") != "all").select("platform", "account_id").unique().height
    for metric, name in NAMES.items():
        rows = metrics.filter(pl.col("metric") == metric)
        for (platform, account_id), days in rows.group_by(["platform", "account_id"], maintain_order=True):
            newest = days.sort("run_date").row(-1, named=True)
            ends = [
                written(newest[end], newest["unit"], newest["currency_code"])
                for end in ("low", "high")
                if newest[end] is not None
            ]
            found.append(
                Series(
                    name,
                    str(account_id) if platform != "all" and accounts > 1 else "",
                    written(newest["value"], newest["unit"], newest["currency_code"]),
                    " to ".join(ends) if len(ends) == 2 else f"from {ends[0]}" if newest["low"] is not None else "",
                    newest["detail"],
                    picture(days, name) if days["value"].null_count() < days.height else None,
                )
            )
    return found


def safety(metrics: pl.DataFrame) -> Safety | None:
    """The newest day's number over all accounts: red above 0 and where it cannot be told; None before the first."""
    rows = metrics.filter(pl.col("metric") == SAFETY)
    if rows.is_empty():
        return None
    newest = rows.filter(pl.col("run_date") == rows["run_date"].max())
    known = newest["value"].drop_nulls()
    total = int(known.sum())
    about = {
        f"{platform}:{account_id}": detail
        for platform, account_id, detail in newest.select("platform", "account_id", "detail").iter_rows()
    }
    bad = newest.filter(pl.col("value").is_null() | (pl.col("value") > 0))
    lines = tuple(f"{row['account_id']}: {row['detail']}" for row in bad.iter_rows(named=True)) or tuple(about.values())[:1]
    if total > 0:
        return Safety(f"{total:,}", "bad", lines)
    return Safety("cannot be told", "bad", lines) if bad.height else Safety("0", "good", lines)


def picture(days: pl.DataFrame, name: str) -> Markup:
    """Line of the values with a band of the intervals; a day without a value is a gap, a single day a dot."""
    every = days.select(pl.date_range(pl.col("run_date").min(), pl.col("run_date").max()))
    data = every.join(days.select("run_date", "value", "low", "high"), on="run_date", how="left").sort("run_date")
    ends = sorted({str(data["run_date"][0]), str(data["run_date"][-1])})
    x = alt.X("run_date:T", title=None, axis=alt.Axis(format="%d %b", values=ends))
    y = alt.Y(
        "value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format=_AXES.get(days["unit"][0], "~s"), tickCount=3)
    )
    base = alt.Chart(data)
    chart: Any = base.mark_line(color=ACCENT, strokeWidth=2).encode(x=x, y=y)
    chart += base.mark_circle(color=ACCENT, size=22).encode(x=x, y=y)
    banded = data.drop_nulls(["low", "high"])
    if banded.height:
        band = alt.Chart(banded)
        mark = band.mark_area(color=ACCENT, opacity=0.18) if banded.height > 1 else band.mark_rule(color=ACCENT, opacity=0.5)
        chart = mark.encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q") + chart
    return svg(chart.properties(width=230, height=90), f"{name}, day by day")


def facts(metrics: pl.DataFrame) -> dict[str, Any]:
    """What the page's section takes; empty before measure-success first ran."""
    return {} if metrics.is_empty() else {"series": series(metrics), "safety": safety(metrics)}
