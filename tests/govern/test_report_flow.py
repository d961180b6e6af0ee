"""The Sankey picture: journeys are conserved, ribbons end where nodes are, no label covers another."""

import itertools
import random
import re

import pytest

from tasks.govern.report_flow import BOUGHT, NOTHING, Flow, Stop, Way, layout, picture, wrapped

WAYS = (
    Way(("Paid Search",), 60, 1940),
    Way(("Paid Search", "Direct"), 30, 470),
    Way(("Paid Video", "Paid Search", "Direct"), 17, 103),
    Way(("Direct",), 9, 0),
)
_CHANNELS = ["Paid Search", "Organic Search", "Cross-network", "Direct", "Mobile Push Notifications", "Email", "Paid Video"]


def made_up(seed: int) -> list[Way]:
    """Twelve ways of one to three touches, with journeys between one and ten thousand."""
    rng = random.Random(seed)
    names = [tuple(rng.choices(_CHANNELS, k=rng.randint(1, 3))) for _ in range(12)]
    return [Way(way, rng.choice([0, 1, 50]), rng.randint(1, 10_000)) for way in dict.fromkeys(names)]


FLOWS = [layout(made_up(seed), width) for seed in range(20) for width in (320.0, 900.0)] + [layout(WAYS, 900.0)]


def flows(flow: Flow, column: int) -> dict[Stop, float]:
    return {node.stop: node.flow for node in flow.nodes if node.column == column}


def test_the_numbers_of_a_small_flow() -> None:
    """By hand: 2,500 of the 2,629 journeys begin with paid search; 116 end converted, the nine of Direct straight away."""
    flow = layout(WAYS, 900.0)
    search, direct, end = Stop("Paid Search", False), Stop("Direct", False), Stop(BOUGHT, True)
    assert flows(flow, 0) == {search: 2500, Stop("Paid Video", False): 120, direct: 9}
    assert flows(flow, 1) == {end: 69, search: 120, direct: 500, Stop(NOTHING, True): 1940}
    assert flows(flow, 3) == {end: 116, Stop(NOTHING, True): 2513}
    (ribbon,) = [r for r in flow.ribbons if (r.source, r.target, r.end) == (search, direct, BOUGHT) and r.column == 0]
    assert ribbon.flow == 30
    assert ribbon.thick == pytest.approx(30 / 2629 * 240)


@pytest.mark.parametrize("flow", FLOWS)
def test_flows_are_conserved(flow: Flow) -> None:
    """What comes into a stop is what the stop holds and what leaves it; every column holds all journeys."""
    last = max(node.column for node in flow.nodes)
    totals = [sum(flows(flow, column).values()) for column in range(last + 1)]
    assert totals == [totals[0]] * (last + 1)
    for node in flow.nodes:
        out = [r for r in flow.ribbons if (r.column, r.source) == (node.column, node.stop)]
        into = [r for r in flow.ribbons if (r.column + 1, r.target) == (node.column, node.stop)]
        assert node.column == last or sum(r.flow for r in out) == node.flow
        assert node.column == 0 or sum(r.flow for r in into) == node.flow


@pytest.mark.parametrize("flow", FLOWS)
def test_ribbons_fill_their_nodes_without_a_gap(flow: Flow) -> None:
    """At a node the edges of the ribbons follow on each other from its top to its foot, on both sides."""
    for node in flow.nodes:
        out = [(r.y0, r.thick) for r in flow.ribbons if (r.column, r.source) == (node.column, node.stop)]
        into = [(r.y1, r.thick) for r in flow.ribbons if (r.column + 1, r.target) == (node.column, node.stop)]
        for side in (sorted(out), sorted(into)):
            edge = node.y
            for top, thick in side:
                assert top == pytest.approx(edge, abs=1e-6)
                edge += thick
            assert not side or edge == pytest.approx(node.y + node.height, abs=1e-6)


@pytest.mark.parametrize("flow", FLOWS)
def test_no_node_and_no_label_covers_another(flow: Flow) -> None:
    """All boxes of labels and bars are apart and lie inside the picture."""
    bars = [(n.x, n.y, n.x + 9, n.y + n.height) for n in flow.nodes]
    labels = [(b.x, b.y, b.x + b.width, b.y + 14 * len(b.lines)) for n in flow.nodes if (b := n.label)]
    for a, b in itertools.combinations(bars + labels, 2):
        assert a[2] <= b[0] + 1e-9 or b[2] <= a[0] + 1e-9 or a[3] <= b[1] + 1e-9 or b[3] <= a[1] + 1e-9
    assert min(min(x, y) for x, y, _, _ in bars + labels) >= 0
    assert max(x for _, _, x, _ in bars + labels) <= flow.width + 1e-9
    assert max(y for _, _, _, y in bars + labels) <= flow.height + 1e-9


def test_the_end_stands_where_it_is_looked_for() -> None:
    """Converted on top, nothing at the foot, in every column; channels between them, the largest first."""
    flow = layout(WAYS, 900.0)
    order = [[n.stop.name for n in sorted(flow.nodes, key=lambda n: n.y) if n.column == column] for column in range(4)]
    assert order[0] == ["Paid Search", "Direct", "Paid Video"]
    assert order[1] == [BOUGHT, "Paid Search", "Direct", NOTHING]
    assert order[3] == [BOUGHT, NOTHING]


def test_without_a_journey_there_is_no_picture() -> None:
    """An empty picture would be a claim."""
    with pytest.raises(ValueError, match="no journey"):
        layout([Way(("Direct",), 0, 0)], 320.0)


@pytest.mark.parametrize(
    ("name", "room", "lines"),
    [
        ("Direct", 80, ("Direct",)),
        ("Organic Search", 80, ("Organic", "Search")),
        ("Cross-network", 80, ("Cross-", "network")),
        ("Cross-network", 120, ("Cross-network",)),
        ("Mobile Push Notifications", 80, ("Mobile", "Push Noti…")),
        ("Supercalifragilistic", 80, ("Supercali…",)),
    ],
)
def test_names_are_broken_at_spaces_and_hyphens(name: str, room: float, lines: tuple[str, ...]) -> None:
    """Two lines at most; what is longer than the room ends in an ellipsis."""
    assert wrapped(name, room) == lines


def test_the_picture_takes_its_colours_from_the_page_and_escapes_names() -> None:
    """Only CSS variables, once for the desktop and once for a phone; a name cannot become markup."""
    svg = picture([Way(("<b>Paid</b>",), 1, 2)], 'Ways "people" take')
    assert set(re.findall(r'fill="([^"]*)"', svg)) == {"var(--accent)", "var(--good)", "var(--muted)", "var(--ink)"}
    assert "<b>" not in svg
    assert svg.count('aria-label="Ways &#34;people&#34; take"') == 2
    assert svg.count("<div class=") == 2
