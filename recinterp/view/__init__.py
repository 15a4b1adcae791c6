"""Results -> text, SVG, HTML, JSON. Pure functions; nothing here is imported by what it shows."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from recinterp.view.files import write_text

if TYPE_CHECKING:
    from recinterp.machine import Machine

__all__ = ["draw", "machine_svg", "write_text"]


def machine_svg(machine: Machine, path: str | Path | None = None) -> str:
    """The machine as a state diagram: SVG text, also written to `path` if given."""
    svg = draw(machine, "svg")
    if path is not None:
        write_text(path, svg)
    return svg


def draw(
    machine: Machine,
    format: str = "svg",
    *,
    truth: Machine | None = None,
    departs: Collection[str] = (),
) -> str:
    """The machine as svg, dot, mermaid or table; against `truth`, with what differs marked.

    departs: names of rules that are known to leave the truth. Errors: UnknownName.
    """
    from recinterp.view.compare import compare
    from recinterp.view.formats import render
    from recinterp.view.graph import extract

    graph = extract(machine) if truth is None else compare(machine, truth, departs)[0]
    return render(graph, format)
