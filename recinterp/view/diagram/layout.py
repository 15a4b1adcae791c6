"""Where everything stands: a Graph placed by Graphviz, with label sizes we decide ourselves.

Graphviz measures text with whatever fonts it finds, so labels go in as empty boxes of a known size
and come back as positions; the same drawing on every machine. Units: points, y downwards.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass

from recinterp.view.diagram.graph import Edge, MachineGraph, NodeKind, RuleLabel, StateNode

TAG = "\N{BLACK UP-POINTING SMALL TRIANGLE} "
Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Sizes, in points.

    Attributes:
        character: width of one character of the 11-point monospace label.
        line: height of one line of a label.
        node_height: height of a mode's box, at least.
        node_width: width of a mode's box, at least.
        name_character: width of one character of a mode's name.
        halt: diameter of a halt.
        margin: space around the drawing.
        max_label: characters; a longer rule is broken before its written word.
        spine_weight: how strongly Graphviz keeps successive modes in one line (other edges: 1).
    """

    character: float = 6.7
    line: float = 15.0
    node_height: float = 30.0
    node_width: float = 44.0
    name_character: float = 7.6
    halt: float = 15.0
    margin: float = 14.0
    max_label: int = 34
    spine_weight: int = 12


METRICS = Metrics()


@dataclass(frozen=True)
class PlacedNode:
    """A node with its place.

    Attributes:
        node: the node.
        x: its centre from the left, in points.
        y: its centre from the top, in points.
        width: in points.
        height: in points.
    """

    node: StateNode
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class PlacedEdge:
    """An edge with its curve and the place of its label.

    Attributes:
        edge: the edge.
        points: the start of the Bézier curve, then its control points, in points.
        tip: the tip of the arrow.
        label: the centre of the label.
        width: of the label, in points.
        height: of the label, in points.
    """

    edge: Edge
    points: tuple[Point, ...]
    tip: Point
    label: Point
    width: float
    height: float


@dataclass(frozen=True)
class PlacedGraph:
    """A graph ready to be drawn.

    Attributes:
        graph: the graph.
        width: of the whole drawing, in points.
        height: of the whole drawing, in points.
        nodes: the graph's nodes, with their places.
        edges: the graph's edges, with their curves.
    """

    graph: MachineGraph
    width: float
    height: float
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]


def label_rows(edge: Edge) -> list[tuple[str, RuleLabel]]:
    """What stands beside an edge, row by row: rules, broken where long, each with its tag."""
    rows: list[tuple[str, RuleLabel]] = []
    for label in edge.labels:
        rows += [(text, label) for text in break_rule(label.text)]
        rows += [(TAG + text, label) for text in label.tag.split(": ") if text]
    return rows


def break_rule(text: str) -> list[str]:
    """A rule on as many rows as it needs: first broken before the slash, then after commas."""
    if len(text) <= METRICS.max_label or " / " not in text:
        return [text]
    guard, written = text.split(" / ", 1)
    rows = [guard, "  / "]
    for i, part in enumerate(written.split(", ")):
        more = part if i == 0 else f", {part}"
        if len(rows[-1]) + len(more) > METRICS.max_label and i:
            rows[-1] += ","
            rows.append(f"    {part}")
        else:
            rows[-1] += more
    return rows


def label_size(edge: Edge) -> tuple[float, float]:
    """Width and height of an edge's label, its tags included."""
    rows = [text for text, _ in label_rows(edge)]
    return max(map(len, rows)) * METRICS.character + 10, len(rows) * METRICS.line + 6


def node_size(node: StateNode, graph: MachineGraph) -> tuple[float, float]:
    """Width and height of a node; as high as its loop's label, which stands beside it."""
    if node.kind == NodeKind.HALT:
        return METRICS.halt, METRICS.halt
    loops = [label_size(e)[1] for e in graph.edges if e.source == e.target == node.name]
    width = max(METRICS.node_width, len(node.name) * METRICS.name_character + 22)
    return width, max(METRICS.node_height, *loops, 0)


def place_graph(graph: MachineGraph, direction: str = "TB") -> PlacedGraph:
    """Lay a graph out; direction is "TB" (downwards) or "LR" (to the right)."""
    import pygraphviz

    drawing = pygraphviz.AGraph(
        directed=True, strict=False, rankdir=direction, nodesep=0.3, ranksep=0.22
    )
    for node in graph.nodes:
        width, height = node_size(node, graph)
        shape = "circle" if node.kind == NodeKind.HALT else "box"
        drawing.add_node(
            node.name, label="", shape=shape, fixedsize=True, width=width / 72, height=height / 72,
            group="" if node.kind == NodeKind.HALT else "modes",
        )  # fmt: skip
    for i, edge in enumerate(graph.edges):
        drawing.add_edge(
            edge.source, edge.target, key=str(i), label=_blank_label(*label_size(edge)),
            headport=_port(graph, edge, edge.target, "n"),
            weight=_edge_weight(graph, edge), tailport=_port(graph, edge, edge.source, "s"),
        )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Graphviz warns about fonts that it does not need here
        drawing.layout(prog="dot")
    return _read_layout(drawing, graph)


def _edge_weight(graph: MachineGraph, edge: Edge) -> int:
    """The step from each mode to the next one makes the drawing's straight spine."""
    names = [n.name for n in graph.nodes if n.kind != NodeKind.HALT]
    steps = itertools.pairwise(names)
    return METRICS.spine_weight if (edge.source, edge.target) in set(steps) else 1


def _port(graph: MachineGraph, edge: Edge, node: str, side: str) -> str:
    """Edges downwards use top and bottom of a node with a loop: its label is at the side."""
    names = [n.name for n in graph.nodes]
    loops = any(e.source == e.target == node for e in graph.edges)
    return side if loops and names.index(edge.source) < names.index(edge.target) else ""


def _blank_label(width: float, height: float) -> str:
    table = 'TABLE BORDER="0" CELLPADDING="0" CELLSPACING="0" FIXEDSIZE="TRUE"'
    size = f'WIDTH="{width:.0f}" HEIGHT="{height:.0f}"'
    return f"<<{table} {size}><TR><TD></TD></TR></TABLE>>"


def _read_layout(drawing: object, graph: MachineGraph) -> PlacedGraph:
    box = [float(x) for x in drawing.graph_attr["bb"].split(",")]  # type: ignore[attr-defined]
    top = box[3] + METRICS.margin

    def turn(text: str) -> Point:
        x, y = (float(part) for part in text.split(","))
        return x - box[0] + METRICS.margin, top - y

    nodes = tuple(
        PlacedNode(n, *turn(drawing.get_node(n.name).attr["pos"]), *node_size(n, graph))  # type: ignore[attr-defined]
        for n in graph.nodes
    )
    edges = []
    for i, edge in enumerate(graph.edges):
        found = drawing.get_edge(edge.source, edge.target, key=str(i)).attr  # type: ignore[attr-defined]
        end, *rest = found["pos"].replace("\\\n", "").split()
        tip = turn(end.removeprefix("e,"))
        edges.append(
            PlacedEdge(edge, tuple(map(turn, rest)), tip, turn(found["lp"]), *label_size(edge))
        )
    width, height = box[2] - box[0] + 2 * METRICS.margin, box[3] - box[1] + 2 * METRICS.margin
    return PlacedGraph(graph, width, height, nodes, tuple(edges))
