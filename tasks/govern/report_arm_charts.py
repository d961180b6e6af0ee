"""The report's picture of arms: what a conversion costs by each ad, with its interval, against the cap."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl
from markupsafe import Markup

from tasks.core.log import redact
from tasks.core.money import MICROS
from tasks.govern import report_charts as charts
from tasks.govern.report_arms import Group

_WIDEST = 3.0  # times the cap, or the cheapest ad if that is more: what lies beyond would press the rest together
_MARGIN = 1.05
_LABELS = 100  # pixels for the ids beside the plot
_ROW, _LEAST_HEIGHT, _PHONE_WIDTH = 24, 96, 210
_TOO_DEAR = (charts.BAD, "triangle-up")
_LOOKS = {"leads": (charts.GOOD, "diamond"), "dropped": (charts.BAD, "cross"), "dear": _TOO_DEAR, "kept_last": _TOO_DEAR}
_LOOK = (charts.ACCENT, "circle")


def cost_intervals(group: Group) -> Markup:
    """Median and 90 % interval of the cost per conversion of each arm of ``group``; dashed upright at the cap.

    An interval that goes on beyond the picture ends in an arrow; the table has its numbers.
    """
    cap = group.cap_micros
    reach = _WIDEST * max(cap or 0, min(arm["cac_p50_micros"] for arm in group.arms))
    edge = min(reach, _MARGIN * max([cap or 0, *(arm["cac_p95_micros"] for arm in group.arms)])) / MICROS
    rows = [
        {
            "arm": redact(arm["arm_id"]),
            "p05": min(arm["cac_p05_micros"] / MICROS, edge),
            "p50": arm["cac_p50_micros"] / MICROS,
            "p95": min(arm["cac_p95_micros"] / MICROS, edge),
            "beyond": arm["cac_p95_micros"] / MICROS > edge,
            "colour": _LOOKS.get(arm["role"], _LOOK)[0],
            "shape": _LOOKS.get(arm["role"], _LOOK)[1],
            "edge": edge,
        }
        for arm in group.arms
    ]
    data = pl.DataFrame(rows)
    height = max(_LEAST_HEIGHT, _ROW * len(rows))
    title = f"cost of a conversion, {group.first['currency_code']}"

    def draw(width: int) -> Any:
        plot = max(width - _LABELS, _PHONE_WIDTH)
        return _layers(data, edge, cap, title, ticks=plot // 60).properties(width=plot, height=height)

    return charts.both(draw, f"Cost of a conversion by ad in ad group {group.first['adgroup_id']}")


def _layers(data: pl.DataFrame, edge: float, cap: int | None, title: str, ticks: int) -> Any:
    """Interval, arrow, median and cap over each other."""
    y = alt.Y("arm:N", title=None, sort=data["arm"].to_list(), axis=alt.Axis(labelColor=charts.INK, labelLimit=96))
    scale = alt.Scale(domain=[0, edge], nice=False)
    x = alt.X("p05:Q", title=title, scale=scale, axis=alt.Axis(format="~s", tickCount=ticks))
    base = alt.Chart(data).encode(y=y, color=alt.Color("colour:N", scale=None, legend=None))
    chart: Any = base.mark_rule(strokeWidth=2).encode(x=x, x2="p95:Q")
    arrow = base.transform_filter(alt.datum.beyond).mark_point(shape="triangle-right", filled=True, size=60, opacity=1)
    chart += arrow.encode(x=alt.X("edge:Q", scale=scale))
    median = base.transform_filter(alt.datum.p50 <= alt.datum.edge).mark_point(filled=True, size=90, opacity=1)
    chart += median.encode(x=alt.X("p50:Q", scale=scale), shape=alt.Shape("shape:N", scale=None, legend=None))
    if cap is None:
        return chart
    upright = alt.Chart(pl.DataFrame({"cap": [cap / MICROS]}))
    return chart + upright.mark_rule(color=charts.WARN, strokeWidth=2, strokeDash=[4, 4]).encode(x=alt.X("cap:Q", scale=scale))
