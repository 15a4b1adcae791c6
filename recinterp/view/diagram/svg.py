"""A placed graph as SVG: control states, and rules as arrows labelled `guard / emission`."""

from __future__ import annotations

from html import escape

from recinterp.view.diagram.graph import MachineGraph, NodeKind, RuleStatus
from recinterp.view.diagram.layout import (
    METRICS,
    TAG,
    PlacedEdge,
    PlacedGraph,
    PlacedNode,
    Point,
    label_rows,
    place_graph,
)

# Marked by colour and by words, so that nobody has to distinguish colours.
# Plain values before variables: not every SVG reader knows those.
LIGHT = {
    "ink": "#1d2733", "dim": "#5b6875", "line": "#8a97a5", "paper": "#ffffff", "node": "#eef3f8",
    "changed": "#b25a00", "added": "#c01f3c", "missing": "#1f5fbf",
}  # fmt: skip
DARK = {
    "ink": "#e6ebf0", "dim": "#9aa7b4", "line": "#6d7a87", "paper": "#12171d", "node": "#202a34",
    "changed": "#f0a04b", "added": "#ff6b81", "missing": "#6fa8ff",
}  # fmt: skip
MONO = "'DejaVu Sans Mono','SF Mono',Menlo,Consolas,monospace"
SANS = "'DejaVu Sans','Helvetica Neue',Arial,sans-serif"


def rules_for(colours: dict[str, str]) -> str:
    """The style rules of a diagram in one set of colours."""
    c = colours
    statuses = "".join(
        f".ri-{s} .ri-path{{stroke:{c[s]};stroke-width:2.2}}.ri-{s} .ri-head{{fill:{c[s]}}}"
        f".ri-{s} .ri-rule{{fill:{c[s]};font-weight:600}}.ri-{s} .ri-tag{{fill:{c[s]}}}"
        for s in ("changed", "added", "missing")
    )
    return (
        f".ri-node{{fill:{c['node']};stroke:{c['dim']};stroke-width:1.3}}"
        f".ri-halt{{fill:{c['paper']};stroke:{c['dim']};stroke-width:1.3}}.ri-dot{{fill:{c['dim']}}}"
        f".ri-name{{fill:{c['ink']};font:600 12.5px {MONO}}}"
        f".ri-path{{fill:none;stroke:{c['line']};stroke-width:1.3}}.ri-head{{fill:{c['line']}}}"
        f".ri-rule{{fill:{c['ink']};font:11px {MONO}}}"
        f".ri-tag{{fill:{c['dim']};font:italic 600 10.5px {SANS}}}"
        f".ri-back{{fill:{c['paper']};fill-opacity:.88}}" + statuses
    )


def default_style() -> str:
    """The style sheet of a diagram by itself, in light or dark as the reader has set."""
    return (
        rules_for(LIGHT)
        + ".ri-missing .ri-path{stroke-dasharray:6 4}"
        + f"@media (prefers-color-scheme:dark){{{rules_for(DARK)}}}"
    )


def render_svg(graph: MachineGraph, *, style: bool = True, direction: str = "TB") -> str:
    """SVG text of a graph. style=False leaves the style sheet to the page that embeds it."""
    return render_placed(place_graph(graph, direction), style=style)


def render_placed(placed: PlacedGraph, *, style: bool = True) -> str:
    """SVG text of a graph that has been laid out."""
    width, height = placed.width, placed.height
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(alt_text(placed.graph), quote=True)}">'
    )
    sheet = f"<style>{default_style()}</style>" if style else ""
    lines = "".join(map(_render_edge, placed.edges))
    labels = "".join(map(_render_label, placed.edges))
    return f"{head}{sheet}{lines}{labels}{''.join(map(_render_node, placed.nodes))}</svg>"


def alt_text(graph: MachineGraph) -> str:
    """The drawing in words, for whoever does not see it."""
    rules = [
        f"{edge.source} to {edge.target}: {label.text}" + (f" ({label.tag})" if label.tag else "")
        for edge in graph.edges
        for label in edge.labels
    ]
    return f"state machine{' ' + graph.title if graph.title else ''}. " + ". ".join(rules)


def _status_class(status: RuleStatus) -> str:
    return "" if status is RuleStatus.SAME else f" ri-{status}"


def _render_node(placed: PlacedNode) -> str:
    x, y, w, h = placed.x, placed.y, placed.width, placed.height
    if placed.node.kind is NodeKind.HALT:
        return (
            '<g class="ri-n"><title>halt</title>'
            f'<circle class="ri-halt" cx="{x:.1f}" cy="{y:.1f}" r="{w / 2:.1f}"/>'
            f'<circle class="ri-dot" cx="{x:.1f}" cy="{y:.1f}" r="{w / 4:.1f}"/></g>'
        )
    left, top = x - w / 2, y - h / 2
    begin = ""
    if placed.node.kind is NodeKind.START:
        dot = f"{left - 9:.1f}", f"{top - 7:.1f}"
        begin = (
            f'<circle class="ri-dot" cx="{dot[0]}" cy="{dot[1]}" r="3"/>'
            f'<path class="ri-path" d="M{dot[0]},{dot[1]} L{left + 1:.1f},{top + 2:.1f}"/>'
        )
    return (
        f'<g class="ri-n">{begin}<rect class="ri-node" x="{left:.1f}" y="{top:.1f}" '
        f'width="{w:.1f}" height="{h:.1f}" rx="9"/>'
        f'<text class="ri-name" x="{x:.1f}" y="{y + 4.3:.1f}" text-anchor="middle">'
        f"{escape(placed.node.name)}</text></g>"
    )


def _render_edge(placed: PlacedEdge) -> str:
    start, *rest = placed.points
    curve = " ".join(f"{x:.1f},{y:.1f}" for x, y in rest)
    return (
        f'<g class="ri-e{_status_class(placed.edge.status)}"><path class="ri-path" '
        f'd="M{start[0]:.1f},{start[1]:.1f} C{curve}"/>'
        f"{_render_arrowhead(placed.points[-1], placed.tip)}</g>"
    )


def _render_arrowhead(neck: Point, tip: Point) -> str:
    dx, dy = tip[0] - neck[0], tip[1] - neck[1]
    size = max((dx * dx + dy * dy) ** 0.5, 0.1)
    sx, sy = -dy / size * 4, dx / size * 4
    corners = [(tip[0], tip[1]), (neck[0] + sx, neck[1] + sy), (neck[0] - sx, neck[1] - sy)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return f'<polygon class="ri-head" points="{points}"/>'


def _render_label(placed: PlacedEdge) -> str:
    rows, (x, y) = label_rows(placed.edge), placed.label
    top = y - len(rows) * METRICS.line / 2
    left = x - max(len(text) for text, _ in rows) * METRICS.character / 2
    back = (
        f'<rect class="ri-back" x="{left - 2:.1f}" y="{top - 1:.1f}" '
        f'width="{placed.width - 6:.1f}" height="{placed.height - 4:.1f}" rx="4"/>'
    )
    texts = "".join(
        f'<g class="ri-l{_status_class(label.status)}"><title>{escape(label.rule)}</title>'
        f'<text class="{"ri-tag" if text.startswith(TAG) else "ri-rule"}" xml:space="preserve" '
        f'x="{left:.1f}" y="{top + i * METRICS.line + 11:.1f}">{escape(text)}</text></g>'
        for i, (text, label) in enumerate(rows)
    )
    return back + texts
