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
_ROW, _LEAST_HEIGHT, _WIDTH = 24, 96, 210
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
    colour = alt.Color("colour:N", scale=None, legend=None)
    y = alt.Y("arm:N", title=None, sort=data["arm"].to_list(), axis=alt.Axis(labelColor=charts.INK, labelLimit=96))
    scale = alt.Scale(domain=[0, edge], nice=False)
    title = f"cost of a conversion, {group.first['currency_code']}"
    x = alt.X("p05:Q", title=title, scale=scale, axis=alt.Axis(format="~s", tickCount=4))
    base = alt.Chart(data).encode(y=y, color=colour)
    chart = base.mark_rule(strokeWidth=2).encode(x=x, x2="p95:Q")
    chart += (
        base.transform_filter(alt.datum.beyond)
        .mark_point(shape="triangle-right", filled=True, size=60, opacity=1)
        .encode(x=alt.X("edge:Q", scale=scale))
    )
    inside = base.transform_filter(alt.datum.p50 <= alt.datum.edge)
    chart += inside.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X("p50:Q", scale=scale), shape=alt.Shape("shape:N", scale=None, legend=None)
    )
    if cap is not None:
        upright: Any = alt.Chart(pl.DataFrame({"cap": [cap / MICROS]}))
        chart += upright.mark_rule(color=charts.WARN, strokeWidth=2, strokeDash=[4, 4]).encode(x=alt.X("cap:Q", scale=scale))
    height = max(_LEAST_HEIGHT, _ROW * len(rows))
    return charts.svg(
        chart.properties(width=_WIDTH, height=height), f"Cost of a conversion by ad in ad group {group.first['adgroup_id']}"
    )
