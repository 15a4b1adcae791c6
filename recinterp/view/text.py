"""The report in a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from recinterp.view.graph import HALT, SAME, Graph
from recinterp.view.heat import heat_text
from recinterp.view.phrases import VERDICTS, departure
from recinterp.view.report import (
    Case,
    FidelityRow,
    HeadRow,
    Report,
    Share,
    ShortcutView,
    SiteRow,
    merged_cells,
    shortcuts_of,
    unexplained_of,
)

if TYPE_CHECKING:
    from recinterp.diff import Diff

STYLES = {"exact": "green", "shortcut": "red", "sporadic": "yellow", "undetermined": "magenta"}
MARKS = {"changed": "yellow", "added": "red", "missing": "blue", SAME: ""}


def to_text(found: Report, width: int = 100) -> str:
    """The report as plain text, without colours."""
    stream = io.StringIO()
    Console(file=stream, width=width, no_color=True, highlight=False).print(report_text(found))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def report_text(found: Report) -> RenderableType:
    """The whole report for rich's Console.print."""
    parts: list[RenderableType] = [_head(found)]
    parts += [_shortcut(s, i) for i, s in enumerate(found.shortcuts)]
    parts += _section(
        "Also wrong, and explained by no rule", _listed(found.unexplained, found.unexplained_total)
    )
    parts += _section("The two machines", machines_text(found))
    parts += _section(
        "Where it departs: % of the inputs of each length and depth",
        Text(heat_text(merged_cells(found.shortcuts))),
    )
    parts += _section("Fidelity on held-out inputs", fidelity_table(found.fidelity))
    parts += _section("Heads", heads_table(found.heads), *map(Text, found.layers))
    parts += _section("Where the machine's variables live", sites_table(found.sites))
    parts += _section("Other machines that were considered", *map(Text, found.runners_up))
    parts += _section("How far to trust this", *(Text(f"• {x}") for x in found.trust))
    return Group(*parts)


def diff_text(found: Diff, names: tuple[str, str]) -> RenderableType:
    """Where two machines part; names: the first is shown as the model, the second as expected."""
    counted = f"{found.divergent:,} of {found.total:,} inputs"
    same = "the same on" if not found.divergent else "different on"
    said = Text.assemble((found.headline, "bold"), f"\n{names[0]} and {names[1]}: {same} {counted}")
    parts: list[RenderableType] = [said]
    parts += [_shortcut(s, i) for i, s in enumerate(shortcuts_of(found))]
    rest = _listed(unexplained_of(found), len(found.unexplained))
    return Group(*parts, *_section("Departures that no rule explains", rest))


def _section(title: str, *body: RenderableType | None) -> list[RenderableType]:
    shown = [b for b in body if b is not None and not (isinstance(b, Text) and not b.plain)]
    if not shown:
        return []
    return [Text(), Text(title, style="bold underline"), Padding(Group(*shown), (0, 0, 0, 2))]


def _head(found: Report) -> RenderableType:
    style = STYLES.get(found.verdict, "bold")
    verdict = Text.assemble((f" {found.verdict.upper()} ", f"bold reverse {style}"))
    compared = f"{found.divergent:,} of {found.inputs:,} inputs differ from the truth"
    scope = "every input" if found.exhaustive else "a sample"
    return Group(
        Text(f"{found.model} on {found.task} ({found.order} order), {found.domain}", style="dim"),
        Text(),
        Text.assemble(verdict, "  ", (found.headline, "bold")),
        Text(
            f"({VERDICTS.get(found.verdict, '')}; {compared}, {scope} of the domain)", style="dim"
        ),
        Text(),
        Text.assemble(("How it computes: ", "bold"), found.how),
    )


def _shortcut(s: ShortcutView, index: int) -> RenderableType:
    title = "Shortest counterexample" if index == 0 else f"Another departure ({index + 1})"
    kinds = " = ".join(s.kinds) + (f", bound {s.bound}" if s.bound is not None else "")
    why = Text.assemble(("kind       ", "dim"), kinds, (f"   ({s.meanings[0]})", "dim"))
    rule = Text.assemble(
        ("rule       ", "dim"), s.rule, ("   where the truth does   ", "dim"), s.step
    )
    hits = Text.assemble(("hits       ", "dim"), f"{s.hits:,} inputs; {s.text}")
    return Group(*_section(title, case_text(s.case), why, rule, hits))


def case_text(case: Case) -> RenderableType:
    """Input, expected and model's output above each other, the first difference marked."""
    wide = max((len(t) for t in (*case.expected, *case.output)), default=1)

    def row(name: str, tokens: Sequence[str], style: str) -> Text:
        line = Text(f"{name:<11}", style="dim")
        for i, token in enumerate(tokens):
            line.append(f"{token:<{wide}} ", style=style if i == case.first else "")
        return line

    mark = " " * (11 + case.first * (wide + 1)) + "^" * wide
    return Group(
        row("input", case.input, ""),
        row("expected", case.expected, "bold green"),
        row("model", case.output, "bold red"),
        Text(f"{mark} {departure(case)}", style="red"),
    )


def _listed(cases: Sequence[Case], total: int) -> RenderableType | None:
    if not total:
        return None
    lines = [
        Text(f"{' '.join(c.input)} → {' '.join(c.output)}  (true: {' '.join(c.expected)})")
        for c in cases
    ]
    left = total - len(lines)
    return Group(*lines, *([Text(f"… and {left:,} more")] if left else []))


def machines_text(found: Report) -> RenderableType:
    """Learned and true machine, beside each other where the terminal is wide enough."""
    learned, truth = found.drawn
    tables = [machine_table(learned, "learned"), machine_table(truth, "truth")]
    notes = [Text(note, style="dim") for note in dict.fromkeys((*learned.notes, *truth.notes))]
    return Group(Columns(tables, padding=(0, 3)), *notes)


def machine_table(graph: Graph, title: str) -> Table:
    """One line a rule; what differs in colour and in words."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("mode", "guard / written", "then"):
        table.add_column(name, no_wrap=True, header_style="dim")
    for edge in graph.edges:
        for line in edge.lines:
            style = MARKS[line.status]
            halts = edge.target.endswith(f" {HALT}")
            table.add_row(edge.source, line.text, HALT if halts else edge.target, style=style)
            if line.tag:
                table.add_row("", f"▲ {line.tag}", "", style=style)
    return table


SHORT = {
    "failure recall": "failure\nrecall",
    "failure precision": "failure\nprecision",
    "flagged recall": "flagged\nrecall",
    "flagged precision": "flagged\nprecision",
    "model is right": "“model\nis right”",
    "wrong beyond trained depth": "“wrong if\ndeeper”",
    "nearest neighbour": "“nearest\nknown”",
}


def fidelity_table(rows: Sequence[FidelityRow]) -> Table | None:
    """Match and failure columns with their counts, beside the baselines' match (quoted)."""
    if not rows:
        return None
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("held-out inputs", overflow="fold")
    for name in ("match", "95 %", *list(rows[0].columns)[1:], *rows[0].baselines):
        table.add_column(SHORT.get(name, name), justify="right", no_wrap=True)
    for row in rows:
        first, *others = row.columns.values()
        cells = [_stacked(first), _interval(first), *map(_stacked, others)]
        table.add_row(row.stratum, *cells, *map(_stacked, row.baselines.values()))
    return table


def _interval(share: Share) -> Text:
    return Text(f"{100 * share.low:.0f}–{100 * share.high:.0f}" if share.total else "", "dim")


def _stacked(share: Share) -> Text:
    if share.value is None:
        return Text("–", style="dim")
    return Text.assemble(f"{100 * share.value:.1f}%", (f"\n{share.hits}/{share.total}", "dim"))


def heads_table(rows: Sequence[HeadRow]) -> Table | None:
    """Every head, those that carry the recursion first marked."""
    return _table(
        ("", "head", "role", "follows", "effect", "controls", "note"),
        (
            (
                "●" if h.recursion else "",
                h.name,
                h.role,
                f"{h.score:.2f}",
                f"{h.effect:.2f}",
                ", ".join(f"{k} {v:.2f}" for k, v in h.controls.items()),
                h.note,
            )
            for h in rows
        ),
    )


def sites_table(rows: Sequence[SiteRow]) -> Table | None:
    """Every variable with the activations that hold it."""
    return _table(
        ("variable", "held at", "interchange", "control", "pairs", "", "note"),
        (
            (
                s.variable,
                " + ".join(s.where),
                f"{s.accuracy:.2f} [{s.interval[0]:.2f}–{s.interval[1]:.2f}]",
                f"{s.control:.2f}",
                str(s.pairs),
                "accepted" if s.accepted else "rejected",
                s.note,
            )
            for s in rows
        ),
    )


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table | None:
    table = Table(*names, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for row in rows:
        table.add_row(*map(escape, row))
    return table if table.row_count else None
