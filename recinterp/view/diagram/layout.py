"""Where everything stands: a Graph placed by Graphviz, with label sizes we decide ourselves.

Graphviz measures text with whatever fonts it finds, so labels go in as empty boxes of a known size
and come back as positions; the same drawing on every machine. Units: points, y downwards.
"""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass

from recinterp.view.diagram.graph import HALT, Edge, Graph, Line, Node

CHAR, LINE = 6.7, 15.0  # one character and one line of the 11-point monospace label
NODE_HEIGHT, HALT_SIZE = 30.0, 15.0
MARGIN = 14.0
TAG = "\N{BLACK UP-POINTING SMALL TRIANGLE} "
WIDEST = 34  # characters; a longer rule is broken before its written word

Point = tuple[float, float]


@dataclass(frozen=True)
class PlacedNode:
    """A node with its centre and size."""

    node: Node
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class PlacedEdge:
    """An edge with its Bézier points, its arrow's tip and its label's centre and size."""

    edge: Edge
    points: tuple[Point, ...]
    tip: Point
    label: Point
    width: float
    height: float


@dataclass(frozen=True)
class Placed:
    """A graph ready to be drawn."""

    graph: Graph
    width: float
    height: float
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]


def label_rows(edge: Edge) -> list[tuple[str, Line]]:
    """What stands beside an edge, row by row: rules, broken where long, each with its tag."""
    rows: list[tuple[str, Line]] = []
    for line in edge.lines:
        rows += [(text, line) for text in broken(line.text)]
        rows += [(TAG + text, line) for text in line.tag.split(": ") if text]
    return rows


def broken(text: str) -> list[str]:
    """A rule on as many rows as it needs: first broken before the slash, then after commas."""
    if len(text) <= WIDEST or " / " not in text:
        return [text]
    guard, written = text.split(" / ", 1)
    rows = [guard, "  / "]
    for i, part in enumerate(written.split(", ")):
        more = part if i == 0 else f", {part}"
        if len(rows[-1]) + len(more) > WIDEST and i:
            rows[-1] += ","
            rows.append(f"    {part}")
        else:
            rows[-1] += more
    return rows


def label_size(edge: Edge) -> tuple[float, float]:
    """Width and height of an edge's label, its tags included."""
    rows = [text for text, _ in label_rows(edge)]
    return max(map(len, rows)) * CHAR + 10, len(rows) * LINE + 6


def node_size(node: Node, graph: Graph) -> tuple[float, float]:
    """Width and height of a node; as high as its loop's label, which stands beside it."""
    if node.kind == HALT:
        return HALT_SIZE, HALT_SIZE
    loops = [label_size(e)[1] for e in graph.edges if e.source == e.target == node.name]
    return max(44.0, len(node.name) * 7.6 + 22), max(NODE_HEIGHT, *loops, 0)


def place(graph: Graph, direction: str = "TB") -> Placed:
    """Lay a graph out; direction TB (downwards) or LR."""
    import pygraphviz

    drawing = pygraphviz.AGraph(
        directed=True, strict=False, rankdir=direction, nodesep=0.3, ranksep=0.22
    )
    for node in graph.nodes:
        width, height = node_size(node, graph)
        shape = "circle" if node.kind == HALT else "box"
        drawing.add_node(
            node.name, label="", shape=shape, fixedsize=True, width=width / 72, height=height / 72,
            group="" if node.kind == HALT else "modes",
        )  # fmt: skip
    for i, edge in enumerate(graph.edges):
        drawing.add_edge(
            edge.source, edge.target, key=str(i), label=_blank(*label_size(edge)),
            headport=_port(graph, edge, edge.target, "n"),
            weight=_weight(graph, edge), tailport=_port(graph, edge, edge.source, "s"),
        )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Graphviz talks about fonts it does not need here
        drawing.layout(prog="dot")
    return _read(drawing, graph)


def _weight(graph: Graph, edge: Edge) -> int:
    """The step from each mode to the next one makes the drawing's straight spine."""
    names = [n.name for n in graph.nodes if n.kind != HALT]
    steps = itertools.pairwise(names)
    return 12 if (edge.source, edge.target) in set(steps) else 1


def _port(graph: Graph, edge: Edge, node: str, side: str) -> str:
    """Edges downwards use top and bottom of a node with a loop: its label is at the side."""
    names = [n.name for n in graph.nodes]
    loops = any(e.source == e.target == node for e in graph.edges)
    return side if loops and names.index(edge.source) < names.index(edge.target) else ""


def _blank(width: float, height: float) -> str:
    table = 'TABLE BORDER="0" CELLPADDING="0" CELLSPACING="0" FIXEDSIZE="TRUE"'
    size = f'WIDTH="{width:.0f}" HEIGHT="{height:.0f}"'
    return f"<<{table} {size}><TR><TD></TD></TR></TABLE>>"


def _read(drawing: object, graph: Graph) -> Placed:
    box = [float(x) for x in drawing.graph_attr["bb"].split(",")]  # type: ignore[attr-defined]
    top = box[3] + MARGIN

    def turn(text: str) -> Point:
        x, y = (float(part) for part in text.split(","))
        return x - box[0] + MARGIN, top - y

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
    width, height = box[2] - box[0] + 2 * MARGIN, box[3] - box[1] + 2 * MARGIN
    return Placed(graph, width, height, nodes, tuple(edges))
