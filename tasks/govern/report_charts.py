"""The report's pictures as inline SVG, drawn by Altair and rendered by vl-convert without a browser.

Colours go in as markers and come out as CSS variables, so that one picture serves light and dark.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import altair as alt
import polars as pl

_MICROS = 1_000_000
# Marker colour → CSS variable of report.html.j2.
_TOKENS = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--line)",
    "#040404": "var(--accent)",
    "#050505": "var(--good)",
    "#060606": "var(--warn)",
    "#070707": "var(--bad)",
    "#080808": "var(--panel)",
}
INK, MUTED, LINE, ACCENT, GOOD, WARN, BAD, PANEL = _TOKENS
_RGB = {f"rgb({int(token[1:3], 16)}, {int(token[3:5], 16)}, {int(token[5:7], 16)})": css for token, css in _TOKENS.items()}


def _svg(chart: Any, title: str) -> str:
    """SVG text of ``chart`` that scales with its column; ``title`` is read out by screen readers."""
    import vl_convert

    themed = chart.configure(
        background="transparent",
        font="system-ui, sans-serif",
        axis=alt.AxisConfig(
            labelColor=MUTED, titleColor=MUTED, gridColor=LINE, domainColor=LINE, tickColor=LINE, titleFontWeight="normal"
        ),
        view=alt.ViewConfig(stroke=None),
        legend=alt.LegendConfig(labelColor=INK, titleColor=MUTED, orient="top", title=None),
    )
    svg: str = vl_convert.vegalite_to_svg(themed.to_dict())
    for token, css in (*_TOKENS.items(), *_RGB.items()):
        svg = svg.replace(token, css)
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', svg)
    if size is None:
        raise ValueError(f"the renderer gave no size for the picture {title!r}")
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    head = f'style="max-width:{size[1]}px" role="img" aria-label="{label}"'
    return svg.replace(size[0], head, 1)


def response_curve(curve: pl.DataFrame, marks: list[dict[str, Any]], *, currency: str, outcome: str, period: str) -> str:
    """One channel: mean and 90 % band over spend per ``period``; dashed where spend was never seen; marks for now and plan.

    ``curve``: rows of ``models.mmm_curves`` of one channel. ``marks``: dicts of label, spend (currency units), outcome.
    """
    data = curve.with_columns(spend=pl.col("spend_micros") / _MICROS)
    seen = data.filter(~pl.col("is_extrapolated"))
    beyond = data.filter(pl.col("is_extrapolated") | (pl.col("spend") == seen["spend"].max()))
    x = alt.X("spend:Q", title=f"spend per {period}, {currency}", axis=alt.Axis(format="~s", tickCount=5))
    y = alt.Y("outcome_mean:Q", title=f"{outcome} per {period}", axis=alt.Axis(format="~s", tickCount=5))
    band = alt.Chart(data).mark_area(color=ACCENT, opacity=0.18).encode(x=x, y=alt.Y("outcome_p05:Q"), y2="outcome_p95:Q")
    line = alt.Chart(seen).mark_line(color=ACCENT, strokeWidth=2).encode(x=x, y=y)
    dashed = alt.Chart(beyond).mark_line(color=ACCENT, strokeWidth=2, strokeDash=[4, 4]).encode(x=x, y=y)
    colours = alt.Scale(domain=["current", "optimal", "proposed"], range=[MUTED, GOOD, WARN])
    shapes = alt.Scale(domain=["current", "optimal", "proposed"], range=["circle", "diamond", "triangle-right"])
    points = (
        alt.Chart(pl.DataFrame(marks))
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x=alt.X("spend:Q"),
            y=alt.Y("outcome:Q"),
            color=alt.Color("label:N", scale=colours, legend=None),
            shape=alt.Shape("label:N", scale=shapes, legend=None),
        )
    )
    return _svg((band + line + dashed + points).properties(width=280, height=180), f"response curve of {curve['channel'][0]}")


def fit(weekly: pl.DataFrame, *, outcome: str) -> str:
    """Observed against predicted outcome per period with the 90 % predictive band; the held-out periods stand apart."""
    total = weekly.filter(pl.col("component") == "total")
    x = alt.X("period_start_date:T", title=None, axis=alt.Axis(format="%b %Y", tickCount=6))
    base = alt.Chart(total)
    band = base.mark_area(color=ACCENT, opacity=0.18).encode(
        x=x, y=alt.Y("p05:Q", title=outcome, scale=alt.Scale(zero=False)), y2="p95:Q"
    )
    line = base.mark_line(color=ACCENT, strokeWidth=1.5).encode(x=x, y="mean:Q")
    colour = alt.Color(
        "kind:N", scale=alt.Scale(domain=["observed", "observed, held out"], range=[INK, WARN]), legend=alt.Legend(title=None)
    )
    kinds = total.with_columns(
        kind=pl.when(pl.col("is_holdout")).then(pl.lit("observed, held out")).otherwise(pl.lit("observed"))
    )
    dots = alt.Chart(kinds).mark_circle(size=22, opacity=0.9).encode(x=x, y="observed:Q", color=colour)
    return _svg((band + line + dots).properties(width=760, height=220), "observed and predicted outcome per period")


def spend_bars(rows: list[dict[str, Any]], *, currency: str, period: str) -> str:
    """Spend per channel: current, optimal, proposed. ``rows``: dicts of channel, kind, spend (currency units)."""
    colours = alt.Scale(domain=["current", "proposed", "optimal"], range=[MUTED, WARN, GOOD])
    chart = (
        alt.Chart(pl.DataFrame(rows))
        .mark_bar()
        .encode(
            y=alt.Y("channel:N", title=None, axis=alt.Axis(labelColor=INK)),
            yOffset=alt.YOffset("kind:N", sort=["current", "proposed", "optimal"]),
            x=alt.X("spend:Q", title=f"spend per {period}, {currency}", axis=alt.Axis(format="~s")),
            color=alt.Color("kind:N", scale=colours, legend=alt.Legend(title=None)),
        )
        .properties(width=600, height=alt.Step(14))
    )
    return _svg(chart, "current, proposed and optimal spend per channel")


def daily_cac(daily: pl.DataFrame, *, currency: str, applied: date | None, target: float | None) -> str:
    """Blended CAC per day and its 7-day mean; a rule where the canary was applied and one at the target."""
    data = daily.filter(pl.col("new_customers") > 0).with_columns(
        cac=pl.col("cost_micros") / _MICROS / pl.col("new_customers"),
        week=(pl.col("cost_micros").rolling_sum(7) / _MICROS / pl.col("new_customers").rolling_sum(7)),
    )
    x = alt.X("date:T", title=None, axis=alt.Axis(format="%d %b", tickCount=7))
    y_scale = alt.Scale(zero=False)
    dots = alt.Chart(data).mark_circle(color=MUTED, size=18, opacity=0.6)
    layers = dots.encode(x=x, y=alt.Y("cac:Q", title=f"blended CAC, {currency}", scale=y_scale))
    layers += alt.Chart(data.drop_nulls("week")).mark_line(color=ACCENT, strokeWidth=2).encode(x=x, y="week:Q")
    if target is not None:
        layers += alt.Chart(pl.DataFrame({"y": [target]})).mark_rule(color=GOOD, strokeDash=[4, 4]).encode(y="y:Q")
    if applied is not None:
        layers += alt.Chart(pl.DataFrame({"date": [applied]})).mark_rule(color=WARN, strokeWidth=2).encode(x="date:T")
    return _svg(layers.properties(width=760, height=200), "blended CAC per day")
