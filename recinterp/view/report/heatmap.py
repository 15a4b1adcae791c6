"""How many inputs depart, by length and depth: a small grid as SVG, and as text."""

from __future__ import annotations

from collections.abc import Sequence

from recinterp.view.diagram.svg import DARK, LIGHT, MONO, SANS
from recinterp.view.report.data import Cell

SIDE, LEFT, TOP = 26, 46, 24


def rules_for(colours: dict[str, str]) -> str:
    """The style rules of a grid in one set of colours."""
    return (
        f".ri-cell{{fill:{colours['node']}}}.ri-hot{{fill:{colours['added']}}}"
        f".ri-axis{{fill:{colours['dim']};font:10.5px {SANS}}}"
        f".ri-pct{{fill:{colours['ink']};font:9.5px {MONO}}}"
    )


STYLE = rules_for(LIGHT) + f"@media (prefers-color-scheme:dark){{{rules_for(DARK)}}}"


def heat_svg(cells: Sequence[Cell], *, style: bool = True) -> str:
    """Rows: recursion depth; columns: input length; in a cell the share that departs, in %."""
    if not cells:
        return ""
    lengths = range(min(c.length for c in cells), max(c.length for c in cells) + 1)
    depths = range(min(c.depth for c in cells), max(c.depth for c in cells) + 1)
    width, height = LEFT + len(lengths) * SIDE + 8, TOP + len(depths) * SIDE + 26
    said = f"share of inputs that depart from the truth, by length and depth: {spoken(cells)}"
    body = "".join(_cell(c, lengths[0], depths[0]) for c in cells if c.total)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{said}">'
        + (f"<style>{STYLE}</style>" if style else "")
        + body
        + _axes(lengths, depths, height)
        + "</svg>"
    )


def spoken(cells: Sequence[Cell]) -> str:
    """The grid in words: what departs, cell by cell."""
    hot = [f"length {c.length} depth {c.depth} {c.hits} of {c.total}" for c in cells if c.hits]
    return "; ".join(hot) or "none"


def percent(hits: int, total: int) -> str:
    """A share as a whole percentage that never rounds something to nothing, or most to all."""
    if not total:
        return ""
    value = 100 * hits / total
    if 0 < value < 1:
        return "<1"
    return ">99" if 99 < value < 100 else f"{value:.0f}"


def _cell(c: Cell, first_length: int, first_depth: int) -> str:
    x, y = LEFT + (c.length - first_length) * SIDE, TOP + (c.depth - first_depth) * SIDE
    box = f'x="{x + 1}" y="{y + 1}" width="{SIDE - 2}" height="{SIDE - 2}" rx="3"'
    share = c.hits / c.total
    hot = f'<rect class="ri-hot" fill-opacity="{0.12 + 0.6 * share:.2f}" {box}/>' if c.hits else ""
    text = (
        f'<text class="ri-pct" x="{x + SIDE / 2}" y="{y + SIDE / 2 + 3.4}" text-anchor="middle">'
        f"{percent(c.hits, c.total).replace('<', '&lt;').replace('>', '&gt;')}</text>"
        if c.hits
        else ""
    )
    title = f"length {c.length}, depth {c.depth}: {c.hits} of {c.total} depart"
    return f'<g><title>{title}</title><rect class="ri-cell" {box}/>{hot}{text}</g>'


def _axes(lengths: range, depths: range, height: int) -> str:
    columns = "".join(
        f'<text class="ri-axis" x="{LEFT + (i + 0.5) * SIDE}" y="{TOP - 7}" text-anchor="middle">'
        f"{n}</text>"
        for i, n in enumerate(lengths)
    )
    rows = "".join(
        f'<text class="ri-axis" x="{LEFT - 7}" y="{TOP + (i + 0.5) * SIDE + 4}" text-anchor="end">'
        f"{d}</text>"
        for i, d in enumerate(depths)
    )
    names = (
        f'<text class="ri-axis" x="2" y="{TOP - 7}">depth</text>'
        f'<text class="ri-axis" x="{LEFT}" y="{height - 8}">columns: length of the input</text>'
    )
    return columns + rows + names


def heat_text(cells: Sequence[Cell]) -> str:
    """The same grid for a terminal: percent per cell, `·` for none, blank where no input is."""
    if not cells:
        return ""
    lengths = sorted({c.length for c in cells})
    found = {(c.length, c.depth): c for c in cells}
    rows = ["length " + "".join(f"{n:>4}" for n in lengths)]
    for depth in sorted({c.depth for c in cells}):
        row = [found.get((n, depth)) for n in lengths]
        shown = [
            "" if c is None or not c.total else percent(c.hits, c.total) if c.hits else "·"
            for c in row
        ]
        rows.append((f"depth {depth:<2}" + "".join(f"{x:>4}" for x in shown)).rstrip())
    return "\n".join(rows)
