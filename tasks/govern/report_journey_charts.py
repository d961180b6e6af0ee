"""The report's pictures of journeys: shares with intervals, maturity, uplift. Drawn as those of ``report_charts``."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl
from markupsafe import Markup

from tasks.core.log import redact
from tasks.govern import report_charts as charts
from tasks.govern import report_words as words

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
            color=alt.Color("by:N", scale=colour, sort=names, legend=alt.Legend(columns=1 if width < 400 else len(names))),
        )
        title = f"share of {of_what}" if width > 400 else "share"
        x = alt.X("share_p05:Q", title=title, axis=alt.Axis(format="%", tickCount=width // 80))
        interval = base.mark_rule(strokeWidth=2).encode(x=x, x2="share_p95:Q")
        point = base.mark_point(filled=True, size=60, opacity=1).encode(
            x="share:Q", shape=alt.Shape("by:N", scale=shape, sort=names)
        )
        return (interval + point).properties(width=width - 70, height=alt.Step(14))

    return charts.both(draw, f"Share of {of_what} by channel and method")
