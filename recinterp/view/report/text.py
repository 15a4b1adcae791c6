"""The report in a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from recinterp.view.diagram.graph import MachineGraph, RuleStatus
from recinterp.view.report.data import (
    Case,
    FidelityRow,
    HeadRow,
    OverrideRow,
    Report,
    Share,
    ShortcutView,
    SiteRow,
    kind_text,
    shortest_apart,
)
from recinterp.view.report.heatmap import heat_text
from recinterp.view.report.sentences.summary import FORCED, SUBSPACES, VERDICTS, departure

if TYPE_CHECKING:
    from recinterp.compare import Comparison

LISTED, STACKED = 8, 3  # inputs that no rule tells, as shown in a terminal; the page lists more
BESIDE = 88  # letters of such a row that fit on a line
LINES = 40  # of a long tree
STYLES = {"exact": "green", "shortcut": "red", "sporadic": "yellow", "undetermined": "magenta"}
MARKS = {"changed": "yellow", "added": "red", "missing": "blue", RuleStatus.SAME: ""}


def to_text(found: Report, width: int = 100) -> str:
    """The report as plain text, without colours."""
    return plain_text(report_text(found), width)


def plain_text(what: RenderableType, width: int) -> str:
    """Anything rich can print as plain text, without colours or trailing blanks."""
    stream = io.StringIO()
    # A notebook's kernel asks for colours, and rich would display there instead of writing.
    console = Console(
        file=stream, width=width, color_system=None, highlight=False,
        force_jupyter=False, force_terminal=False,
    )  # fmt: skip
    console.print(what)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def report_text(found: Report) -> RenderableType:
    """The whole report for rich's Console.print."""
    parts: list[RenderableType] = [_head(found)]
    if shortest_apart(found) and found.counterexample is not None:
        parts += _section("Shortest counterexample", case_text(found.counterexample))
    first = "A departure" if shortest_apart(found) else "Shortest counterexample"
    parts += [_shortcut(s, first) for s in found.shortcuts[:1]]
    parts += _section("Other departures", _others(found.shortcuts[1:]))
    parts += _section("The two machines", machines_text(found))
    parts += _section("When each rule of the learned machine fires", _cut(found.outline))
    parts += _section(
        "Where it departs: % of the inputs of each length and depth",
        Text(heat_text(found.errors if found.divergent else ())),
    )
    parts += _section(
        "What the machine does not tell", _listed(found.unexplained, found.unexplained_total)
    )
    parts += _section("Fidelity on held-out inputs", fidelity_table(found.fidelity))
    parts += _section("Heads", heads_table(found.heads), *map(Text, found.layers))
    parts += _section("Where the machine's variables live", sites_table(found.sites))
    parts += _section(
        "Behind outputs it would not write", overrides_table(found.forced_prefix_rules)
    )
    parts += _section(
        "Machines that nothing here tells from this one", *map(Text, found.equivalent_machines)
    )
    parts += _section("Other machines that were considered", *map(Text, found.rejected_hypotheses))
    parts += _section("How far to trust this", *(Text(f"• {x}") for x in found.trust))
    return Group(*parts)


def diff_text(found: Comparison, names: tuple[str, str]) -> RenderableType:
    """Where two machines part: how often, and the shortest inputs on which they do."""
    scope = "every input of the domain" if found.exhaustive else "the shortest inputs"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("input", *names):
        table.add_column(name)
    for d in found.shortest:
        outputs = ("no claim" if y is None else " ".join(y) for y in (d.a, d.b))
        table.add_row(*(escape(x) for x in (" ".join(d.input), *outputs)))
    said = [
        Text(f"They agree on {found.agree} ({scope}).", style="bold"),
        Text(f"Where both make a claim, they agree on {found.both_claim}."),
    ]
    title = "Shortest inputs on which they part"
    return Group(*said, *(_section(title, table) if found.shortest else ()))


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
        Text.assemble(verdict, "  ", (found.sentence, "bold")),
        Text(found.headline),
        Text(
            f"({VERDICTS.get(found.verdict, '')}; {compared}, {scope} of the domain)", style="dim"
        ),
        Text(),
        Text.assemble(("How it computes: ", "bold"), found.how),
    )


def _shortcut(s: ShortcutView, title: str) -> RenderableType:
    why = Text.assemble(("kind       ", "dim"), (kind_text(s), "bold"), f": {s.text}")
    rule = Text.assemble(
        ("rule       ", "dim"), s.rule, ("   where the truth does   ", "dim"), s.step
    )
    hits = Text.assemble(("hits       ", "dim"), f"{s.hits:,} of {s.total:,} inputs")
    return Group(*_section(title, case_text(s.case), why, rule, hits))


def _others(found: Sequence[ShortcutView]) -> Table | None:
    return _table(
        ("kind", "hits", "rule", "shortest input", "model"),
        (
            (kind_text(s), f"{s.hits:,}", s.rule, " ".join(s.case.input), " ".join(s.case.output))
            for s in found
        ),
    )


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
    """The first cases side by side, or above each other where outputs are too long for that."""
    if not total:
        return None
    rows = [
        {
            "input": " ".join(c.input),
            "model": " ".join(c.output),
            "truth": " ".join(c.expected),
            "machine": "no claim" if c.claimed is None else " ".join(c.claimed),
        }
        for c in cases[:LISTED]
    ]
    if max(sum(map(len, row.values())) for row in rows) > BESIDE:
        rows = rows[:STACKED]
        shown: RenderableType = Text("\n\n").join(map(_stacked, rows))
    else:
        shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for name in rows[0]:
            shown.add_column(name)
        for row in rows:
            shown.add_row(*map(escape, row.values()))
    left = total - len(rows)
    return Group(shown, *([Text(f"… and {left:,} more")] if left else []))


def _stacked(row: Mapping[str, str]) -> Text:
    lines = (Text.assemble((f"{name:<11}", "dim"), said) for name, said in row.items())
    return Text("\n").join(lines)


def machines_text(found: Report) -> RenderableType:
    """Learned and true machine, beside each other where the terminal is wide enough."""
    learned, truth = found.drawn
    tables = [machine_table(learned, "learned"), machine_table(truth, "truth")]
    notes = [Text(note, style="dim") for note in dict.fromkeys((*learned.notes, *truth.notes))]
    return Group(Columns(tables, padding=(0, 3)), *notes)


def machine_table(graph: MachineGraph, title: str) -> Table:
    """One line a rule, broken where the terminal is narrow; differences in colour and in words."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name, breaks in (("mode", False), ("guard / written", True), ("then", False)):
        table.add_column(name, no_wrap=not breaks, header_style="dim")
    for edge in graph.edges:
        for label in edge.labels:
            style = MARKS[label.status]
            halts = edge.target.endswith(" halt")
            table.add_row(edge.source, label.text, "halt" if halts else edge.target, style=style)
            if label.tag:
                table.add_row("", f"▲ {label.tag}", "", style=style)
    return table


def _cut(text: str) -> Text:
    """A long text's beginning, and how much more there is."""
    lines = text.split("\n")
    more = [f"… and {len(lines) - LINES} lines more: print(ex.machine)"] * (len(lines) > LINES)
    return Text("\n".join([*lines[:LINES], *more]), no_wrap=True, overflow="ellipsis")


SHORT = {
    "failure recall": "recall",
    "failure precision": "precise",
    "flagged recall": "flagged",
    "flagged precision": "precise",
    "coverage": "claims",
    "model is right": "“right”",
    "wrong beyond trained depth": "“deeper”",
    "nearest neighbour": "“nearest”",
}


def fidelity_table(rows: Sequence[FidelityRow]) -> RenderableType | None:
    """One line a stratum: match, failures told exactly, failures flagged, baselines (quoted)."""
    if not rows:
        return None
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("held-out inputs", no_wrap=True)
    columns = list(rows[0].columns)[1:]
    for name in ("n", "match", "95 %", "fails", *columns, *rows[0].baselines):
        table.add_column(SHORT.get(name, name), justify="right", no_wrap=True)
    for row in rows:
        match, *others = row.columns.values()
        fails = row.columns["failure recall"].total
        counts = f"{row.n}", _percent(match), _interval(match), f"{fails or '·'}"
        shares = (*others, *row.baselines.values())
        last = row is rows[-1] and len(rows) > 1
        table.add_row(row.stratum, *counts, *map(_percent, shares), style="bold" if last else "")
    note = "Percent. Quoted: the match of a baseline that says only that. Counts: on the page."
    return Group(table, Text(note, style="dim"))


def _interval(share: Share) -> Text:
    return Text(f"{100 * share.low:.0f}–{100 * share.high:.0f}" if share.total else "", "dim")


def _percent(share: Share) -> str:
    return "·" if share.value is None else f"{100 * share.value:.1f}"


def heads_table(rows: Sequence[HeadRow]) -> RenderableType | None:
    """Every head, those that carry the recursion marked; beside each score its control."""

    def beside(value: float, control: float | None) -> str:
        return f"{value:.2f}" + (f" ({control:.2f})" if control is not None else "")

    table = _table(
        ("", "head", "role", "follows", "effect", "note"),
        (
            (
                "●" if h.recursion else "",
                h.name,
                h.role,
                beside(h.score, h.controls.get("untrained attention")),
                beside(h.effect, h.controls.get("random direction")),
                h.note,
            )
            for h in rows
        ),
    )
    said = "● carries the recursion. In brackets: an untrained twin's, a random direction's."
    return None if table is None else Group(table, Text(said, style="dim"))


def sites_table(rows: Sequence[SiteRow]) -> RenderableType | None:
    """Every variable with the activations that hold it."""
    table = _table(
        ("variable", "held", "interchange", "control", "pairs", ""),
        (
            (
                s.variable,
                f"{s.directions} {' + '.join(s.where)}".strip(),
                f"{s.accuracy:.2f} [{s.interval[0]:.2f}–{s.interval[1]:.2f}]",
                f"{s.control:.2f}",
                str(s.pairs),
                "accepted" if s.accepted else "rejected",
            )
            for s in rows
        ),
    )
    parted = any(s.dims for s in rows)
    return Group(table, Text(SUBSPACES, style="dim")) if table and parted else table


def overrides_table(rows: Sequence[OverrideRow]) -> RenderableType | None:
    """What the model does behind outputs that were forced on it."""
    table = _table(
        ("behind a forced output", "the model", "%", "machine alone", "n"),
        (
            (o.condition, o.effect, _percent(o.held), _percent(o.alone), str(o.held.total))
            for o in rows
        ),
    )
    return None if table is None else Group(table, Text(FORCED, style="dim"))


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table | None:
    table = Table(*names, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for row in rows:
        table.add_row(*map(escape, row))
    return table if table.row_count else None
