"""A small chart as static SVG, where no plotly renderer is: series over the rows of a table.

Drawn in mid-tones on no background, so that it reads in light and in dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, kw_only=True)
class ChartStyle:
    """Sizes, in SVG units, and colours.

    Attributes:
        width: of the plot with the axis left of it.
        height: of the whole chart.
        left: the space for the axis.
        top: the space above the plot.
        right: the space for the legend, beyond `width`.
        below: the space for the rows' names.
        grey: axis and text.
        series: one colour after the other, for the series.
    """

    width: float = 580.0
    height: float = 250.0
    left: float = 80.0
    top: float = 12.0
    right: float = 190.0
    below: float = 74.0
    grey: str = "#8a97a5"
    series: tuple[str, ...] = ("#4a90d9", "#e0526a", "#3aa76d", "#c98a2b", "#9a7bd0", "#8a97a5")


STYLE = ChartStyle()


def render_chart(columns: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """SVG text of a chart: a series for every column after the first, over the rows.

    Args:
        columns: the names of the columns; the first one is that of the rows.
        rows: a row's name, then its values; what is not a number is left out. The points of a
            series are joined where all rows' names are numbers.
    """
    joined = all(str(row[0]).replace(".", "", 1).isdigit() for row in rows)
    series = [
        [(i, v) for i, row in enumerate(rows) if isinstance(v := row[k], int | float)]
        for k in range(1, len(columns))
    ]
    top = max([1.0, *(v for line in series for _, v in line)])
    parts = [
        _render_axis(top),
        *(_render_label(i, str(row[0]), len(rows)) for i, row in enumerate(rows)),
    ]
    for k, line in enumerate(series):
        parts.append(_render_legend(columns[k + 1], k))
        parts.append(_render_line(line, k, len(rows), top, columns[k + 1], joined=joined))
    words = escape(f"{', '.join(columns[1:])} by {columns[0]}", quote=True)
    width, middle = STYLE.width + STYLE.right, (STYLE.left + STYLE.width) / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {STYLE.height:.0f}" '
        f'width="{width:.0f}" role="img" aria-label="{words}" '
        f'font-family="sans-serif" font-size="11" fill="{STYLE.grey}">{"".join(parts)}'
        f'<text x="{middle:.0f}" y="{STYLE.height - 4:.0f}" text-anchor="middle">'
        f"{escape(columns[0])}</text></svg>"
    )


def _x_of(i: int, count: int) -> float:
    return STYLE.left + 10 + (STYLE.width - STYLE.left - 30) * i / max(count - 1, 1)


def _y_of(value: float, top: float) -> float:
    return STYLE.top + (STYLE.height - STYLE.top - STYLE.below) * (1 - value / top)


def _render_axis(top: float) -> str:
    right = STYLE.width - 10
    marks = [(mark, _y_of(mark, top)) for mark in (0.0, top / 2, top)]
    return "".join(
        f'<line x1="{STYLE.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{STYLE.grey}" '
        f'stroke-opacity=".35"/><text x="{STYLE.left - 6}" y="{y + 4:.1f}" text-anchor="end">'
        f"{mark:g}</text>"
        for mark, y in marks
    )


def _render_label(i: int, text: str, count: int) -> str:
    if count > 20 and i % 2:
        return ""
    x, y = _x_of(i, count), STYLE.height - STYLE.below + 15
    turn = f' transform="rotate(-28 {x:.1f} {y:.1f})"' if len(text) > 4 else ""
    anchor = "end" if turn else "middle"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{escape(text[:22])}</text>'


def _render_line(
    line: Sequence[tuple[int, float]], k: int, count: int, top: float, name: str, *, joined: bool
) -> str:
    colour = STYLE.series[k % len(STYLE.series)]
    offset = 0.0 if joined else 5.0 * k - 10  # dots of one row stand side by side
    points = [(_x_of(i, count) + offset, _y_of(v, top), v) for i, v in line]
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


def _render_legend(name: str, k: int) -> str:
    y, colour = STYLE.top + 8 + 17 * k, STYLE.series[k % len(STYLE.series)]
    return (
        f'<rect x="{STYLE.width + 4}" y="{y - 8}" width="11" height="11" rx="2" fill="{colour}"/>'
        f'<text x="{STYLE.width + 20}" y="{y + 2}">{escape(name)}</text>'
    )
