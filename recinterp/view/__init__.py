"""Results as text, SVG, HTML, JSON and widgets; all sentences are written here.

The functions are pure: they read a result, and change nothing but the files they are given.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from recinterp.io import to_plain, write_text

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
    """The report as one HTML page that needs no network.

    Args:
        ex: An explanation.
        path: A file that the page is also written to.

    Returns:
        The page's text.

    Raises:
        UnwritableFileError: If the file cannot be written.
    """
    from recinterp.view.report.data import build_report
    from recinterp.view.report.html import to_html

    page = to_html(build_report(ex))
    if path is not None:
        write_text(path, page)
    return page


def explanation_json(ex: Explanation) -> dict[str, object]:
    """Every number and sentence that the page shows, and the thresholds it was made with.

    Args:
        ex: An explanation.

    Returns:
        Plain data, for `json.dumps`.
    """
    from recinterp.view.report.data import build_report

    return build_report(ex).to_json() | {"config": to_plain(ex.config)}


def explanation_mimebundle(ex: Explanation) -> dict[str, str]:
    """The report for a notebook.

    Args:
        ex: An explanation.

    Returns:
        By MIME type, plain text, and static HTML in the notebook's own theme.
    """
    from recinterp.view.report.data import build_report
    from recinterp.view.report.html import to_cell

    return {"text/plain": explanation_text(ex), "text/html": to_cell(build_report(ex))}


def explanation_pages(
    ex: Explanation, ablate: Path | None = None, step: Path | None = None, plots: Path | None = None
) -> list[Path]:
    """Write an explanation's views as pages that need no kernel.

    Args:
        ex: An explanation with its model.
        ablate: The file for the page of heads to switch off.
        step: The file for the page that steps through the counterexample, or through a drawn input
            where there is none.
        plots: The folder for the figures, a page each; it is created if it is missing.

    Returns:
        The files that were written.

    Raises:
        ModelNotLoadedError: If the explanation has no hooked model.
        UnwritableFileError: If a file cannot be written.
    """
    written: list[Path] = []
    if ablate:
        written.append(ex.ablate().static().save(ablate))
    if step:
        counterexample = ex.diff.counterexample
        tokens = counterexample.input if counterexample else ex.domain.sample(ex.task, 1)[0]
        written.append(ex.step(list(tokens)).static().save(step))
    if plots:
        plots.mkdir(parents=True, exist_ok=True)
        names = ("heads", "fidelity", "depth") if ex.heads else ("fidelity", "depth")
        written += [getattr(ex.plot, name)().save(plots / f"{name}.html") for name in names]
    return written


def explanation_rich(ex: Explanation) -> RenderableType:
    """The report for the `print` of a rich Console.

    Args:
        ex: An explanation.
    """
    from recinterp.view.report.data import build_report
    from recinterp.view.report.text import report_text

    return report_text(build_report(ex))


def explanation_text(ex: Explanation, width: int = 100) -> str:
    """The report as plain text.

    Args:
        ex: An explanation.
        width: Characters of a line, at most; the report is made for 80 and more.

    Returns:
        The text.
    """
    from recinterp.view.report.data import build_report
    from recinterp.view.report.text import to_text

    return to_text(build_report(ex), width)


def machine_svg(machine: Machine, path: str | Path | None = None) -> str:
    """A machine as a state diagram.

    Args:
        machine: The machine.
        path: A file that the SVG is also written to.

    Returns:
        SVG text.

    Raises:
        UnwritableFileError: If the file cannot be written.
    """
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
    """A machine in one of several formats, with what differs from another machine marked.

    Args:
        machine: The machine.
        format: "svg", "dot" (Graphviz), "mermaid", or "table" (plain text).
        truth: The machine that it is compared with; by default nothing is marked.
        erring: Names of rules that are known to lead to errors, and are marked as such.

    Returns:
        The drawing as text of that format.

    Raises:
        UnknownNameError: If there is no such format.
    """
    from recinterp.view.diagram.formats import render_graph
    from recinterp.view.diagram.graph import extract_graph
    from recinterp.view.diagram.side_by_side import align_machines

    graph = extract_graph(machine) if truth is None else align_machines(machine, truth, erring)[0]
    return render_graph(graph, format)
