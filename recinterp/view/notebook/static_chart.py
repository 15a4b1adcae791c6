"""A small chart as static SVG, where no plotly renderer is: series over the rows of a table.

Drawn in mid-tones on no background, so that it reads in light and in dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BELOW = 580.0, 250.0, 80.0, 12.0, 190.0, 74.0
COLOURS = ("#4a90d9", "#e0526a", "#3aa76d", "#c98a2b", "#9a7bd0", "#8a97a5")
GREY = "#8a97a5"
Row = Sequence[str | float]


def chart_svg(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Columns after the first over the rows, joined where the rows are numbers themselves.

    What is no number is left out.
    """
    joined = all(str(row[0]).replace(".", "", 1).isdigit() for row in rows)
    series = [
        [(i, v) for i, row in enumerate(rows) if isinstance(v := row[k], int | float)]
        for k in range(1, len(columns))
    ]
    top = max([1.0, *(v for line in series for _, v in line)])
    parts = [_axis(top), *(_label(i, str(row[0]), len(rows)) for i, row in enumerate(rows))]
    for k, line in enumerate(series):
        parts.append(_legend(columns[k + 1], k))
        parts.append(_line(line, k, len(rows), top, columns[k + 1], joined=joined))
    words = escape(f"{', '.join(columns[1:])} by {columns[0]}", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + RIGHT:.0f} {HEIGHT:.0f}" '
        f'width="{WIDTH + RIGHT:.0f}" role="img" aria-label="{words}" '
        f'font-family="sans-serif" font-size="11" fill="{GREY}">{"".join(parts)}'
        f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 4:.0f}" text-anchor="middle">'
        f"{escape(columns[0])}</text></svg>"
    )


def _x(i: int, count: int) -> float:
    return LEFT + 10 + (WIDTH - LEFT - 30) * i / max(count - 1, 1)


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BELOW) * (1 - value / top)


def _axis(top: float) -> str:
    marks = (0.0, top / 2, top)
    return "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{_y(m, top):.1f}" y2="{_y(m, top):.1f}" '
        f'stroke="{GREY}" stroke-opacity=".35"/><text x="{LEFT - 6}" y="{_y(m, top) + 4:.1f}" '
        f'text-anchor="end">{m:g}</text>'
        for m in marks
    )


def _label(i: int, text: str, count: int) -> str:
    if count > 20 and i % 2:
        return ""
    x, y = _x(i, count), HEIGHT - BELOW + 15
    turn = f' transform="rotate(-28 {x:.1f} {y:.1f})"' if len(text) > 4 else ""
    anchor = "end" if turn else "middle"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{escape(text[:22])}</text>'


def _line(
    line: Sequence[tuple[int, float]], k: int, count: int, top: float, name: str, *, joined: bool
) -> str:
    colour = COLOURS[k % len(COLOURS)]
    aside = 0.0 if joined else 5.0 * k - 10  # dots of one row stand side by side
    points = [(_x(i, count) + aside, _y(v, top), v) for i, v in line]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
        f"<title>{escape(name)}: {v:.3g}</title></circle>"
        for x, y, v in points
    )
    if not joined:
        return dots
    dash = ' stroke-dasharray="5 3"' if k % 2 else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    stroke = f'fill="none" stroke="{colour}" stroke-width="2"{dash}'
    return f'<polyline points="{path}" {stroke}/>{dots}'


def _legend(name: str, k: int) -> str:
    y, colour = TOP + 8 + 17 * k, COLOURS[k % len(COLOURS)]
    return (
        f'<rect x="{WIDTH + 4}" y="{y - 8}" width="11" height="11" rx="2" fill="{colour}"/>'
        f'<text x="{WIDTH + 20}" y="{y + 2}">{escape(name)}</text>'
    )
