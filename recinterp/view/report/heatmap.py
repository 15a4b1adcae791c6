"""How many outputs are wrong, by length and depth: a small grid as SVG, and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from recinterp.divergence.results import ErrorCell
from recinterp.view.diagram.svg import DARK, LIGHT, MONO, SANS


@dataclass(frozen=True)
class _Measures:
    """Pixels: a cell's side, the margin left of the grid and the one above it."""

    side: int = 26
    left: int = 46
    top: int = 24


def rules_for(colours: dict[str, str]) -> str:
    """The style rules of a grid in one set of colours."""
    return (
        f".ri-cell{{fill:{colours['node']}}}.ri-hot{{fill:{colours['added']}}}"
        f".ri-axis{{fill:{colours['dim']};font:10.5px {SANS}}}"
        f".ri-pct{{fill:{colours['ink']};font:9.5px {MONO}}}"
    )


def heat_svg(cells: Sequence[ErrorCell], *, style: bool = True) -> str:
    """Rows: recursion depth; columns: input length; in a cell the share of wrong outputs, in %."""
    if not cells:
        return ""
    m = _Measures()
    lengths = range(min(c.length for c in cells), max(c.length for c in cells) + 1)
    depths = range(min(c.depth for c in cells), max(c.depth for c in cells) + 1)
    width = m.left + len(lengths) * m.side + 8
    height = m.top + len(depths) * m.side + 26
    label = f"share of wrong outputs by length and depth: {alt_text(cells)}"
    body = "".join(_cell(c, lengths[0], depths[0], m) for c in cells if c.errors.total)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{label}">'
        + (_style_element() if style else "")
        + body
        + _axes(lengths, depths, height, m)
        + "</svg>"
    )


def _style_element() -> str:
    dark = f"@media (prefers-color-scheme:dark){{{rules_for(DARK)}}}"
    return f"<style>{rules_for(LIGHT)}{dark}</style>"


def alt_text(cells: Sequence[ErrorCell]) -> str:
    """The grid in words: the wrong outputs, cell by cell."""
    hot = [
        f"length {c.length} depth {c.depth} {c.errors.hits} of {c.errors.total}"
        for c in cells
        if c.errors.hits
    ]
    return "; ".join(hot) or "none"


def percent(hits: int, total: int) -> str:
    """A share as a whole percentage that never rounds something to nothing, or most to all."""
    if not total:
        return ""
    value = 100 * hits / total
    if 0 < value < 1:
        return "<1"
    return ">99" if 99 < value < 100 else f"{value:.0f}"


def _cell(c: ErrorCell, first_length: int, first_depth: int, m: _Measures) -> str:
    x, y = m.left + (c.length - first_length) * m.side, m.top + (c.depth - first_depth) * m.side
    box = f'x="{x + 1}" y="{y + 1}" width="{m.side - 2}" height="{m.side - 2}" rx="3"'
    hits, total = c.errors.hits, c.errors.total
    title = f"length {c.length}, depth {c.depth}: {hits} of {total} wrong"
    marks = ""
    if hits:
        shade = 0.12 + 0.6 * c.errors.value
        middle = f'x="{x + m.side / 2}" y="{y + m.side / 2 + 3.4}" text-anchor="middle"'
        marks = (
            f'<rect class="ri-hot" fill-opacity="{shade:.2f}" {box}/>'
            f'<text class="ri-pct" {middle}>{escape(percent(hits, total))}</text>'
        )
    return f'<g><title>{title}</title><rect class="ri-cell" {box}/>{marks}</g>'


def _axes(lengths: range, depths: range, height: int, m: _Measures) -> str:
    columns = (
        _axis_text(m.left + (i + 0.5) * m.side, m.top - 7, "middle", f"{n}")
        for i, n in enumerate(lengths)
    )
    rows = (
        _axis_text(m.left - 7, m.top + (i + 0.5) * m.side + 4, "end", f"{d}")
        for i, d in enumerate(depths)
    )
    names = (
        _axis_text(2, m.top - 7, "start", "depth"),
        _axis_text(m.left, height - 8, "start", "columns: length of the input"),
    )
    return "".join((*columns, *rows, *names))


def _axis_text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="ri-axis" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'


def heat_text(cells: Sequence[ErrorCell]) -> str:
    """The grid for a terminal: percent per cell, `·` for none, blank where no input is."""
    if not cells:
        return ""
    lengths = sorted({c.length for c in cells})
    found = {(c.length, c.depth): c for c in cells}
    rows = ["length " + "".join(f"{n:>4}" for n in lengths)]
    for depth in sorted({c.depth for c in cells}):
        row = [found.get((n, depth)) for n in lengths]
        shown = [_percent_text(c) for c in row]
        rows.append((f"depth {depth:<2}" + "".join(f"{x:>4}" for x in shown)).rstrip())
    return "\n".join(rows)


def _percent_text(c: ErrorCell | None) -> str:
    if c is None or not c.errors.total:
        return ""
    return percent(c.errors.hits, c.errors.total) if c.errors.hits else "·"
