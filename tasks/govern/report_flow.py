"""A Sankey picture of journeys, touch by touch to their end, as inline SVG. Pure: Vega has no such mark.

Every way runs through all columns: after its last touch it follows the lane of its end, so that flows are conserved from column
to column and no ribbon runs behind a channel. Colours are the CSS variables of the page, as in ``report_charts``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

BOUGHT, NOTHING = "converted", "nothing"
_HEIGHT = 240.0  # of all journeys together, without gaps
_NODE = 9.0
_GAP = 7.0
_PAD = 4.0  # between a node and its label, and between a label and the next column
_FONT = 12.0
_LINE = 14.0
_GLYPH = 0.62  # mean width of a glyph in em, in the widest of the page's fonts
_MOST_LINES = 2
_LAST_LABEL = 84.0
_SIZES = (("desk", 900.0), ("phone", 320.0))  # CSS class, width of the picture
_COLOURS = {BOUGHT: "good", NOTHING: "muted"}
_OPACITY = {BOUGHT: 0.6, NOTHING: 0.22}


class Way(NamedTuple):
    """The touches of a way, in order, and its journeys by how they ended."""

    touches: tuple[str, ...]
    bought: float
    nothing: float


class Stop(NamedTuple):
    """Where a way is in a column: at a channel, or (``is_end``) in the lane of its end."""

    name: str
    is_end: bool


@dataclass(frozen=True)
class Label:
    """A node's name beside it; ``x``, ``y`` is its upper left corner, lines are ``_LINE`` high."""

    x: float
    y: float
    width: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Node:
    """All journeys that pass one stop of a column; ``label`` is None in a lane that only passes through."""

    column: int
    stop: Stop
    flow: float
    x: float
    y: float
    height: float
    label: Label | None


@dataclass(frozen=True)
class Ribbon:
    """Journeys of one end from a stop to a stop of the next column. ``y0``, ``y1``: upper edges; ``thick``: height."""

    column: int
    source: Stop
    target: Stop
    end: str
    flow: float
    x0: float
    y0: float
    x1: float
    y1: float
    thick: float


@dataclass(frozen=True)
class Flow:
    """The picture's parts in pixels."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    ribbons: tuple[Ribbon, ...]


def layout(ways: Sequence[Way], width: float) -> Flow:
    """Nodes, ribbons and labels of ``ways`` in a picture ``width`` pixels wide.

    ValueError without a journey: there is nothing to draw.
    """
    total = sum(way.bought + way.nothing for way in ways)
    if total <= 0:
        raise ValueError("no journey to draw")
    steps, rank = _steps(ways), _Rank(ways)
    columns = max(len(way.touches) for way in ways) + 1
    pitch = (width - _NODE - _LAST_LABEL) / (columns - 1)
    nodes: dict[tuple[int, Stop], Node] = {}
    for column, flows in enumerate(_flows(steps, columns)):
        room = (_LAST_LABEL if column == columns - 1 else pitch - _NODE) - 2 * _PAD
        top = 0.0
        for stop in sorted(flows, key=rank):
            lines = () if stop.is_end and column < columns - 1 else wrapped(stop.name, room)
            height = flows[stop] / total * _HEIGHT
            slot = max(height, len(lines) * _LINE)
            x = column * pitch
            label = Label(x + _NODE + _PAD, top + (slot - len(lines) * _LINE) / 2, room, lines) if lines else None
            nodes[column, stop] = Node(column, stop, flows[stop], x, top + (slot - height) / 2, height, label)
            top += slot + _GAP
    below = max(max(n.y + n.height, n.label.y + len(n.label.lines) * _LINE if n.label else 0) for n in nodes.values())
    return Flow(width, below, tuple(nodes.values()), _ribbons(steps, nodes, _HEIGHT / total, rank))


def _steps(ways: Sequence[Way]) -> dict[tuple[int, Stop, Stop, str], float]:
    """(column, stop, stop of the next column, end) → journeys."""
    longest = max(len(way.touches) for way in ways)
    steps: dict[tuple[int, Stop, Stop, str], float] = defaultdict(float)
    for way in ways:
        for end, journeys in ((BOUGHT, way.bought), (NOTHING, way.nothing)):
            touches = [Stop(name, is_end=False) for name in way.touches]
            stops = touches + [Stop(end, is_end=True)] * (longest + 1 - len(touches))
            for column, (source, target) in enumerate(pairwise(stops)):
                if journeys > 0:
                    steps[column, source, target, end] += journeys
    return steps


def _flows(steps: dict[tuple[int, Stop, Stop, str], float], columns: int) -> list[dict[Stop, float]]:
    """Journeys by stop, column by column."""
    flows: list[dict[Stop, float]] = [defaultdict(float) for _ in range(columns)]
    for (column, source, target, _), journeys in steps.items():
        flows[column][source] += journeys
        if column == columns - 2:
            flows[column + 1][target] += journeys
    return flows


class _Rank:
    """Order of stops from top to bottom, the same in every column: converted, channels by size, nothing."""

    def __init__(self, ways: Sequence[Way]) -> None:
        self._size: dict[str, float] = defaultdict(float)
        for way in ways:
            for name in way.touches:
                self._size[name] += way.bought + way.nothing

    def __call__(self, stop: Stop) -> tuple[int, float, str]:
        if stop.is_end:
            return (0 if stop.name == BOUGHT else 2, 0.0, stop.name)
        return (1, -self._size[stop.name], stop.name)


def _ribbons(
    steps: dict[tuple[int, Stop, Stop, str], float], nodes: dict[tuple[int, Stop], Node], scale: float, rank: _Rank
) -> tuple[Ribbon, ...]:
    """One ribbon a step. At a node they are stacked by end and by where they come from or go to, so that few cross."""
    leave: dict[tuple[int, Stop], float] = defaultdict(float)
    arrive: dict[tuple[int, Stop], float] = defaultdict(float)
    starts, stops = {}, {}
    for key in sorted(steps, key=lambda k: (k[0], rank(k[1]), k[3], rank(k[2]))):
        starts[key] = leave[key[0], key[1]]
        leave[key[0], key[1]] += steps[key] * scale
    for key in sorted(steps, key=lambda k: (k[0], rank(k[2]), k[3], rank(k[1]))):
        stops[key] = arrive[key[0], key[2]]
        arrive[key[0], key[2]] += steps[key] * scale
    return tuple(
        Ribbon(
            column=key[0],
            source=key[1],
            target=key[2],
            end=key[3],
            flow=journeys,
            x0=nodes[key[0], key[1]].x + _NODE,
            y0=nodes[key[0], key[1]].y + starts[key],
            x1=nodes[key[0] + 1, key[2]].x,
            y1=nodes[key[0] + 1, key[2]].y + stops[key],
            thick=journeys * scale,
        )
        for key, journeys in steps.items()
    )


def wrapped(name: str, room: float) -> tuple[str, ...]:
    """``name`` in at most two lines of ``room`` pixels, broken at spaces and hyphens; what does not fit ends in an ellipsis."""
    most = max(2, int(room / (_FONT * _GLYPH)))
    lines = [""]
    for part in name.replace("-", "- ").split(" "):
        word = part if part.endswith("-") else f"{part} "
        if lines[-1] and len((lines[-1] + word).rstrip()) > most:
            lines.append("")
        lines[-1] += word
    lines = [line.rstrip() for line in lines]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], " ".join(lines[_MOST_LINES - 1 :])]
    return tuple(line if len(line) <= most else f"{line[: most - 1].rstrip()}…" for line in lines)


def picture(ways: Sequence[Way], title: str) -> Markup:
    """The flow for desktop and phone; the style sheet shows one of them. ``title`` is read out by screen readers."""
    parts = [Markup('<div class="{}">{}</div>').format(css, _svg(layout(ways, width), title)) for css, width in _SIZES]
    return Markup("").join(parts)


def _svg(flow: Flow, title: str) -> Markup:
    parts = [
        Markup(
            '<svg class="flow" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}" style="max-width:{0:.0f}px" '
            'role="img" aria-label="{2}" font-family="system-ui, sans-serif" font-size="{3:.0f}">'
        ).format(flow.width, flow.height + 1, title, _FONT)
    ]
    parts += [_ribbon(ribbon) for ribbon in sorted(flow.ribbons, key=lambda r: r.end == BOUGHT)]
    parts += [_node(node) for node in flow.nodes]
    parts += [_label(node.label) for node in flow.nodes if node.label]
    return Markup("").join([*parts, Markup("</svg>")])


def _ribbon(r: Ribbon) -> Markup:
    middle = (r.x0 + r.x1) / 2
    upper = f"M{r.x0:.1f} {r.y0:.2f}C{middle:.1f} {r.y0:.2f} {middle:.1f} {r.y1:.2f} {r.x1:.1f} {r.y1:.2f}"
    low0, low1 = r.y0 + r.thick, r.y1 + r.thick
    lower = f"L{r.x1:.1f} {low1:.2f}C{middle:.1f} {low1:.2f} {middle:.1f} {low0:.2f} {r.x0:.1f} {low0:.2f}Z"
    return Markup('<path d="{}" fill="var(--{})" fill-opacity="{}"><title>{} → {}: {:,.0f} {}</title></path>').format(
        upper + lower, _COLOURS[r.end], _OPACITY[r.end], r.source.name, r.target.name, r.flow, r.end
    )


def _node(n: Node) -> Markup:
    """A bar; a lane that passes through goes on as its ribbons do."""
    colour = _COLOURS[n.stop.name] if n.stop.is_end else "accent"
    opacity = 1 if n.label else _OPACITY[n.stop.name]
    box = Markup('<rect x="{:.1f}" y="{:.2f}" width="{:.0f}" height="{:.2f}" fill="var(--{})" fill-opacity="{}">')
    return box.format(n.x, n.y, _NODE, n.height, colour, opacity) + Markup("<title>{}: {:,.0f}</title></rect>").format(
        n.stop.name, n.flow
    )


def _label(label: Label) -> Markup:
    lines = [
        Markup('<text x="{:.1f}" y="{:.1f}" fill="var(--ink)">{}</text>').format(label.x, label.y + (i + 0.8) * _LINE, line)
        for i, line in enumerate(label.lines)
    ]
    return Markup('<g class="flow-label">{}</g>').format(Markup("").join(lines))
