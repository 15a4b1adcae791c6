"""A graph in other people's formats: Graphviz dot, Mermaid, a plain table; and the registry."""

from __future__ import annotations

import json
from collections.abc import Callable

from recinterp.errors import UnknownNameError
from recinterp.view.diagram.graph import Edge, MachineGraph, NodeKind, RuleStatus
from recinterp.view.diagram.svg import LIGHT, render_svg


def render_dot(graph: MachineGraph) -> str:
    """Graphviz source."""
    lines = ["digraph machine {", "  node [shape=box, style=rounded];"]
    for node in graph.nodes:
        shape = " [shape=doublecircle]" if node.kind is NodeKind.HALT else ""
        lines.append(f"  {json.dumps(node.name, ensure_ascii=False)}{shape};")
    for edge in graph.edges:
        label = "".join(_escape_dot(text) + "\\l" for text in _label_texts(edge))
        colour = ""
        if edge.status is not RuleStatus.SAME:
            colour = f', color="{LIGHT[edge.status]}", fontcolor="{LIGHT[edge.status]}"'
        ends = f"{json.dumps(edge.source)} -> {json.dumps(edge.target)}"
        lines.append(f'  {ends} [label="{label}"{colour}];')
    return "\n".join([*lines, "}"]) + "\n"


def _label_texts(edge: Edge) -> list[str]:
    return [label.text + (f" ({label.tag})" if label.tag else "") for label in edge.labels]


def _escape_dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def render_mermaid(graph: MachineGraph) -> str:
    """A Mermaid state diagram."""
    names = {
        node.name: "[*]" if node.kind is NodeKind.HALT else f"s{i}"
        for i, node in enumerate(graph.nodes)
    }
    states = [node for node in graph.nodes if node.kind is not NodeKind.HALT]
    lines = ["stateDiagram-v2"]
    lines += [f'  state "{node.name}" as {names[node.name]}' for node in states]
    lines += [f"  [*] --> {names[node.name]}" for node in states if node.kind is NodeKind.START]
    for edge in graph.edges:
        label = "<br/>".join(_label_texts(edge))
        safe = label.replace(":", "꞉").replace(";", ",")  # both end a Mermaid label
        lines.append(f"  {names[edge.source]} --> {names[edge.target]} : {safe}")
    return "\n".join(lines) + "\n"


def render_table(graph: MachineGraph) -> str:
    """One line for each rule: from, rule, to, and how it differs."""
    halts = {node.name for node in graph.nodes if node.kind is NodeKind.HALT}
    rows = [("from", "guard / written", "to", "")]
    rows += [
        (edge.source, label.text, "halt" if edge.target in halts else edge.target, label.tag)
        for edge in graph.edges
        for label in edge.labels
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    body = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
    return "\n".join([body[0], "  ".join("─" * w for w in widths), *body[1:], *graph.notes]) + "\n"


FORMATS: dict[str, Callable[[MachineGraph], str]] = {
    "svg": render_svg,
    "dot": render_dot,
    "mermaid": render_mermaid,
    "table": render_table,
}


def render_graph(graph: MachineGraph, format: str) -> str:
    """A graph in one of FORMATS.

    Raises:
        UnknownNameError: for another format; it lists the nearest names.
    """
    if format not in FORMATS:
        raise UnknownNameError("draw a machine", format, FORMATS)
    return FORMATS[format](graph)
