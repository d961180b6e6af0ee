"""The report's pictures as inline SVG, drawn by Altair and rendered by vl-convert without a browser.

Colours go in as markers and come out as CSS variables, so that one picture serves light and dark. Wide pictures are drawn twice,
for desktop and phone: shrunk to a phone's width their text could not be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import altair as alt
import polars as pl
from markupsafe import Markup, escape

from tasks.core.money import MICROS

_WIDTHS = (("desk", 860), ("phone", 250))  # CSS class, width of the plot in pixels
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
KINDS = ["current", "proposed", "optimal"]
_KIND_COLOURS = [MUTED, WARN, GOOD]
_KIND_SHAPES = ["circle", "triangle-right", "diamond"]
_RGB = {f"rgb({int(token[1:3], 16)}, {int(token[3:5], 16)}, {int(token[5:7], 16)})": css for token, css in _TOKENS.items()}


def svg(chart: Any, title: str) -> Markup:
    """SVG text of ``chart`` that never grows beyond its own size; ``title`` is read out by screen readers."""
    import vl_convert

    themed = chart.configure(
        background="transparent",
        font="system-ui, sans-serif",
        axis=alt.AxisConfig(
            labelColor=MUTED,
            titleColor=MUTED,
            gridColor=LINE,
            domainColor=LINE,
            tickColor=LINE,
            titleFontWeight="normal",
            labelFontSize=12,
            titleFontSize=12,
            titlePadding=10,
            labelOverlap="greedy",
            labelSeparation=10,
        ),
        view=alt.ViewConfig(stroke=None),
        legend=alt.LegendConfig(labelColor=INK, orient="top", title=None, labelFontSize=12, symbolSize=80),
    )
    text: str = vl_convert.vegalite_to_svg(themed.to_dict())
    # Inside HTML no namespace is needed; one label for the whole picture serves better than one for each of a thousand marks.
    text = re.sub(r' (?:aria-[a-z]+|role|pointer-events|xmlns(?::xlink)?)="[^"]*"', "", text)
    for token, css in (*_TOKENS.items(), *_RGB.items()):
        text = text.replace(token, css)
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', text)
    if size is None:
        raise ValueError(f"the renderer gave no size for the picture {title!r}")
    head = f'style="max-width:{size[1]}px" role="img" aria-label="{escape(title)}"'
    return Markup(text.replace(size[0], head, 1))  # noqa: S704 - Vega escapes the texts inside


def both(draw: Callable[[int], Any], title: str) -> Markup:
    """The picture at both widths; the style sheet shows one of them."""
    parts = [Markup('<div class="{}">{}</div>').format(css, svg(draw(width), title)) for css, width in _WIDTHS]
    return Markup("").join(parts)


def response_curve(
    curve: pl.DataFrame, marks: Sequence[tuple[str, float, float]], *, name: str, currency: str, outcome: str, period: str
) -> Markup:
    """One channel: mean and 90 % band over spend per ``period``; dashed where spend was never seen; marks for now and plan.

    ``curve``: rows of ``models.mmm_curves`` of one channel. ``marks``: (current, optimal or proposed; spend in currency units;
    outcome).
    """
    data = curve.with_columns(spend=pl.col("spend_micros") / MICROS)
    seen = data.filter(~pl.col("is_extrapolated"))
    beyond = data.filter(pl.col("is_extrapolated") | (pl.col("spend") == seen["spend"].max()))
    x = alt.X("spend:Q", title=f"spend a {period}, {currency}", axis=alt.Axis(format="~s", tickCount=4))
    y = alt.Y("outcome_mean:Q", title=f"{outcome} a {period}", axis=alt.Axis(format="~s", tickCount=5))
    band = alt.Chart(data).mark_area(color=ACCENT, opacity=0.18).encode(x=x, y=alt.Y("outcome_p05:Q"), y2="outcome_p95:Q")
    line = alt.Chart(seen).mark_line(color=ACCENT, strokeWidth=2).encode(x=x, y=y)
    dashed = alt.Chart(beyond).mark_line(color=ACCENT, strokeWidth=2, strokeDash=[4, 4]).encode(x=x, y=y)
    points = (
        alt.Chart(pl.DataFrame(marks, schema=["label", "spend", "outcome"], orient="row"))
        .mark_point(filled=True, size=110, opacity=1, stroke=PANEL, strokeWidth=1)
        .encode(
            x=alt.X("spend:Q"),
            y=alt.Y("outcome:Q"),
            color=alt.Color("label:N", scale=alt.Scale(domain=KINDS, range=_KIND_COLOURS), legend=None),
            shape=alt.Shape("label:N", scale=alt.Scale(domain=KINDS, range=_KIND_SHAPES), legend=None),
        )
    )
    chart = (band + line + dashed + points).properties(width=250, height=170)
    return svg(chart, f"Response curve of {name}: {outcome} a {period} by spend")


def fit(periods: pl.DataFrame, *, outcome: str) -> Markup:
    """Observed against predicted outcome per period with the 90 % predictive band; the held-out periods stand apart."""
    kinds = ["observed", "observed, held out"]
    data = periods.with_columns(kind=pl.when(pl.col("is_holdout")).then(pl.lit(kinds[1])).otherwise(pl.lit(kinds[0])))
    colour = alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[INK, WARN]), legend=alt.Legend(title=None))

    def draw(width: int) -> Any:
        x = alt.X("period_start_date:T", title=None, axis=alt.Axis(format="%b %Y", tickCount=max(3, width // 120)))
        y = alt.Y("p05:Q", title=outcome, scale=alt.Scale(zero=False), axis=alt.Axis(format="~s"))
        base = alt.Chart(data)
        band = base.mark_area(color=ACCENT, opacity=0.18).encode(x=x, y=y, y2="p95:Q")
        line = base.mark_line(color=ACCENT, strokeWidth=1.5).encode(x=x, y="mean:Q")
        dots = base.mark_circle(size=26, opacity=0.9).encode(x=x, y="observed:Q", color=colour)
        return (band + line + dots).properties(width=width, height=220)

    return both(draw, "Observed and predicted outcome by period")


def spend_bars(rows: Sequence[tuple[str, str, float]], *, currency: str, period: str) -> Markup:
    """Spend per channel. ``rows``: (name of the channel; current, proposed or optimal; spend in currency units)."""
    data = pl.DataFrame(rows, schema=["channel", "kind", "spend"], orient="row")
    kinds = [kind for kind in KINDS if kind in data["kind"]]
    colours = alt.Scale(domain=kinds, range=[_KIND_COLOURS[KINDS.index(kind)] for kind in kinds])

    def draw(width: int) -> Any:
        bars = alt.Chart(data).encode(
            y=alt.Y("channel:N", title=None, sort=None, axis=alt.Axis(labelColor=INK, labelLimit=110)),
            yOffset=alt.YOffset("kind:N", sort=kinds),
            x=alt.X("spend:Q", title=f"spend a {period}, {currency}", axis=alt.Axis(format="~s", tickCount=width // 80)),
        )
        filled = bars.mark_bar().encode(color=alt.Color("kind:N", scale=colours, sort=kinds))
        labels = bars.mark_text(align="left", dx=4, color=MUTED, fontSize=11).encode(text=alt.Text("spend:Q", format=",.0f"))
        return (filled + labels).properties(width=width - 70, height=alt.Step(15))

    return both(draw, "Current, proposed and optimal spend by channel")


def daily_cac(
    daily: pl.DataFrame, *, currency: str, changed: date | None, undone: date | None, lines: Sequence[tuple[str, float]]
) -> Markup:
    """Blended CAC per day and its 7-day mean; uprights at the change and its rollback; dashed ``lines`` of (label, CAC)."""
    data = daily.filter(pl.col("new_customers") > 0).with_columns(
        cac=pl.col("cost_micros") / MICROS / pl.col("new_customers"),
        week=(pl.col("cost_micros").rolling_sum(7) / MICROS / pl.col("new_customers").rolling_sum(7)),
    )
    days = [(label, day) for label, day in (("changed", changed), ("undone", undone)) if day]

    def draw(width: int) -> Any:
        x = alt.X("date:T", title=None, axis=alt.Axis(format="%d %b", tickCount=max(3, width // 110)))
        y = alt.Y("cac:Q", title=f"blended CAC, {currency}", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5))
        layers = alt.Chart(data).mark_circle(color=MUTED, size=20, opacity=0.7).encode(x=x, y=y)
        layers += alt.Chart(data.drop_nulls("week")).mark_line(color=ACCENT, strokeWidth=2).encode(x=x, y="week:Q")
        for number, (label, value) in enumerate(lines):
            level = alt.Chart(pl.DataFrame({"y": [value], "label": [label], "date": [data["date"][0]]}))
            colour = (GOOD, BAD)[number % 2]
            layers += level.mark_rule(color=colour, strokeDash=[4, 4]).encode(y="y:Q")
            layers += level.mark_text(color=colour, align="left", dy=-6, fontSize=11).encode(x="date:T", y="y:Q", text="label:N")
        for number, (label, day) in enumerate(days):
            upright = alt.Chart(pl.DataFrame({"date": [day], "label": [label]}))
            layers += upright.mark_rule(color=WARN, strokeWidth=2).encode(x="date:T")
            text = upright.mark_text(color=WARN, align="right", dx=-5, dy=8 + 14 * number, fontSize=11)
            layers += text.encode(x="date:T", y=alt.value(0), text="label:N")
        return layers.properties(width=width, height=200)

    return both(draw, "Blended CAC by day")
