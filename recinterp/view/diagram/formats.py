"""A graph in other people's formats: Graphviz dot, Mermaid, a plain table; and the registry."""

from __future__ import annotations

import json
from collections.abc import Callable

from recinterp.errors import UnknownNameError
from recinterp.view.diagram.graph import HALT, SAME, Edge, Graph
from recinterp.view.diagram.svg import LIGHT, graph_svg


def dot(graph: Graph) -> str:
    """Graphviz source."""
    lines = ["digraph machine {", "  node [shape=box, style=rounded];"]
    lines += [
        f"  {json.dumps(n.name, ensure_ascii=False)}"
        + (" [shape=doublecircle];" if n.kind == HALT else ";")
        for n in graph.nodes
    ]
    for e in graph.edges:
        label = "".join(_plain(text) + "\\l" for text in _said(e))
        colour = (
            ""
            if e.status == SAME
            else f', color="{LIGHT[e.status]}", fontcolor="{LIGHT[e.status]}"'
        )
        lines.append(
            f'  {json.dumps(e.source)} -> {json.dumps(e.target)} [label="{label}"{colour}];'
        )
    return "\n".join([*lines, "}"]) + "\n"


def _said(edge: Edge) -> list[str]:
    return [x.text + (f" ({x.tag})" if x.tag else "") for x in edge.lines]


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def mermaid(graph: Graph) -> str:
    """A Mermaid state diagram."""
    names = {n.name: "[*]" if n.kind == HALT else f"s{i}" for i, n in enumerate(graph.nodes)}
    lines = ["stateDiagram-v2"]
    lines += [f'  state "{n.name}" as {names[n.name]}' for n in graph.nodes if n.kind != HALT]
    lines += [f"  [*] --> {names[n.name]}" for n in graph.nodes if n.kind == "start"]
    for e in graph.edges:
        label = "<br/>".join(_said(e))
        safe = label.replace(":", "꞉").replace(";", ",")  # both end a Mermaid label
        lines.append(f"  {names[e.source]} --> {names[e.target]} : {safe}")
    return "\n".join(lines) + "\n"


def table(graph: Graph) -> str:
    """One line a rule: from, rule, to, and how it differs."""
    rows = [("from", "guard / written", "to", "")]
    rows += [
        (e.source, x.text, HALT if e.target.endswith(f" {HALT}") else e.target, x.tag)
        for e in graph.edges
        for x in e.lines
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    body = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
    return "\n".join([body[0], "  ".join("─" * w for w in widths), *body[1:], *graph.notes]) + "\n"


FORMATS: dict[str, Callable[[Graph], str]] = {
    "svg": graph_svg,
    "dot": dot,
    "mermaid": mermaid,
    "table": table,
}


def render(graph: Graph, format: str) -> str:
    """A graph in one of FORMATS. Errors: UnknownNameError, with the nearest names."""
    if format not in FORMATS:
        raise UnknownNameError("draw a machine", format, FORMATS)
    return FORMATS[format](graph)
