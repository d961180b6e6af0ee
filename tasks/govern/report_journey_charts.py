"""The report's pictures of journeys: shares with intervals, maturity, uplift. Drawn as those of ``report_charts``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl
from markupsafe import Markup

from tasks.core.log import redact
from tasks.govern import report_charts as charts
from tasks.govern import report_words as words

# Class of the style sheet, for the names under the picture → colour of the curve.
CURVE_MOODS = {"warn": charts.WARN, "good": charts.GOOD, "wait": charts.MUTED}
_METHOD_COLOURS = {"last": charts.MUTED, "markov_1": charts.ACCENT, "shapley": charts.GOOD, "mmm": charts.WARN}
_METHOD_SHAPES = {"last": "circle", "markov_1": "square", "shapley": "triangle-up", "mmm": "diamond"}


def shares(rows: pl.DataFrame, *, of_what: str) -> Markup:
    """Share of each channel by each method with its 90 % interval.

    ``rows``: method, channel_group, share, share_p05, share_p95. The channel with the largest share stands first.
    """
    methods = [method for method in _METHOD_COLOURS if method in rows["method"]]
    names = [words.METHODS[method] for method in methods]
    data = rows.with_columns(
        channel=pl.col("channel_group").map_elements(redact, return_dtype=pl.String),
        by=pl.col("method").replace_strict(words.METHODS, return_dtype=pl.String),
    )
    order = data.group_by("channel").agg(pl.col("share").mean()).sort(["share", "channel"], descending=[True, False])
    colour = alt.Scale(domain=names, range=[_METHOD_COLOURS[method] for method in methods])
    shape = alt.Scale(domain=names, range=[_METHOD_SHAPES[method] for method in methods])

    def draw(width: int) -> Any:
        base = alt.Chart(data).encode(
            y=alt.Y(
                "channel:N", title=None, sort=order["channel"].to_list(), axis=alt.Axis(labelColor=charts.INK, labelLimit=110)
            ),
            yOffset=alt.YOffset("by:N", sort=names),
            color=alt.Color("by:N", scale=colour, sort=names, legend=alt.Legend(columns=1)),
        )
        title = f"share of {of_what}" if width > 400 else "share"
        x = alt.X("share_p05:Q", title=title, axis=alt.Axis(format="%", tickCount=width // 80))
        interval = base.mark_rule(strokeWidth=2).encode(x=x, x2="share_p95:Q")
        point = base.mark_point(filled=True, size=60, opacity=1).encode(
            x="share:Q", shape=alt.Shape("by:N", scale=shape, sort=names)
        )
        return (interval + point).properties(width=width - 70, height=alt.Step(14))

    return charts.both(draw, f"Share of {of_what} by channel and method")


def maturity(curves: Sequence[pl.DataFrame]) -> Markup:
    """Share of the final conversions that has arrived by day after the click, mean and 90 % band.

    ``curves``: lag_days, share_mean, share_p05, share_p95 of at most three; the n-th has the n-th colour of ``CURVE_MOODS``.
    """
    columns = ["lag_days", "share_mean", "share_p05", "share_p95"]
    data = pl.concat(rows.select(columns).with_columns(curve=pl.lit(number)) for number, rows in enumerate(curves))
    colour = alt.Color("curve:O", scale=alt.Scale(domain=list(range(3)), range=list(CURVE_MOODS.values())), legend=None)

    def draw(width: int) -> Any:
        x = alt.X("lag_days:Q", title="days after the click", axis=alt.Axis(format="d", tickCount=width // 60))
        y = alt.Y("share_p05:Q", title="share arrived", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%", tickCount=5))
        base = alt.Chart(data).encode(x=x, color=colour)
        band = base.mark_area(opacity=0.18).encode(y=y, y2="share_p95:Q")
        line = base.mark_line(strokeWidth=2).encode(y="share_mean:Q")
        return (band + line).properties(width=width, height=200)

    return charts.both(draw, "Share of conversions that has arrived by day after the click")


def qini(curve: pl.DataFrame, *, name: str) -> Markup:
    """Conversions won by the share of people treated, best first, with its 90 % band; dashed in a random order.

    ``curve``: share, gain, gain_p05, gain_p95, gain_random, gains per person.
    """
    data = curve.with_columns(pl.col("gain", "gain_p05", "gain_p95", "gain_random") * 1000)
    base = alt.Chart(data).encode(x=alt.X("share:Q", title="people treated, best first", axis=alt.Axis(format="%", tickCount=5)))
    y = alt.Y("gain_p05:Q", title="won of 1,000 people", axis=alt.Axis(tickCount=5))
    band = base.mark_area(color=charts.ACCENT, opacity=0.18).encode(y=y, y2="gain_p95:Q")
    line = base.mark_line(color=charts.ACCENT, strokeWidth=2).encode(y="gain:Q")
    chance = base.mark_line(color=charts.MUTED, strokeWidth=1.5, strokeDash=[4, 4]).encode(y="gain_random:Q")
    return charts.svg((band + line + chance).properties(width=250, height=170), f"Qini curve of {redact(name)}")
