"""Results -> text, SVG, HTML, JSON. Pure functions; nothing here is imported by what it shows."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from recinterp.io import write_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from recinterp.explanation import Explanation
    from recinterp.machine import Machine

__all__ = [
    "draw",
    "explanation_html",
    "explanation_json",
    "explanation_mimebundle",
    "explanation_pages",
    "explanation_rich",
    "explanation_text",
    "machine_svg",
]


def explanation_html(ex: Explanation, path: str | Path | None = None) -> str:
    """The report as one offline HTML page, also written to `path` if given."""
    from recinterp.view.report.data import build_report
    from recinterp.view.report.html import to_html

    page = to_html(build_report(ex))
    if path is not None:
        write_text(path, page)
    return page


def explanation_json(ex: Explanation) -> dict[str, object]:
    """Every number and sentence the page shows, as plain data."""
    from recinterp.view.report.data import build_report

    return build_report(ex).to_json()


def explanation_mimebundle(ex: Explanation) -> dict[str, str]:
    """The report for a notebook: plain text, and static HTML in the notebook's own theme."""
    from recinterp.view.report.data import build_report
    from recinterp.view.report.html import to_cell

    return {"text/plain": explanation_text(ex), "text/html": to_cell(build_report(ex))}


def explanation_pages(
    ex: Explanation, ablate: Path | None = None, step: Path | None = None, plots: Path | None = None
) -> list[Path]:
    """Write pages: heads to switch off, the counterexample step by step, a folder of figures.

    Errors: ModelNotLoadedError, UnwritableFileError. Gives the files written.
    """
    made: list[Path] = []
    if ablate:
        made.append(ex.ablate().static().save(ablate))
    if step:
        case = ex.diff.counterexample
        tokens = case.input if case else ex.domain.sample(ex.task, 1)[0]
        made.append(ex.step(list(tokens)).static().save(step))
    if plots:
        plots.mkdir(parents=True, exist_ok=True)
        names = ("heads", "fidelity", "depth") if ex.heads else ("fidelity", "depth")
        made += [getattr(ex.plot, name)().save(plots / f"{name}.html") for name in names]
    return made


def explanation_rich(ex: Explanation) -> RenderableType:
    """The report for rich's Console.print."""
    from recinterp.view.report.data import build_report
    from recinterp.view.report.text import report_text

    return report_text(build_report(ex))


def explanation_text(ex: Explanation, width: int = 100) -> str:
    """The report as plain text of a width."""
    from recinterp.view.report.data import build_report
    from recinterp.view.report.text import to_text

    return to_text(build_report(ex), width)


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
    erring: Collection[str] = (),
) -> str:
    """The machine as svg, dot, mermaid or table; against `truth`, with what differs marked.

    erring: names of rules that are known to lead to errors. Errors: UnknownNameError.
    """
    from recinterp.view.diagram.formats import render_graph
    from recinterp.view.diagram.graph import extract_graph
    from recinterp.view.diagram.side_by_side import align_machines

    graph = extract_graph(machine) if truth is None else align_machines(machine, truth, erring)[0]
    return render_graph(graph, format)
