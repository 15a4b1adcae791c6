"""The report in a terminal: no number is cut at 80 columns."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from recinterp.divergence.results import ErrorCell, Verdict
from recinterp.view.report.data import (
    CaseView,
    FidelityRow,
    ForcedPrefixRow,
    HeadRow,
    RateView,
    Report,
    RuleRow,
    ShortcutView,
    SiteRow,
    shown_strata,
    shows_ways,
    split_case,
)
from recinterp.view.report.heatmap import heat_text
from recinterp.view.report.sentences.notes import Note, Title
from recinterp.view.report.sentences.numbers import counts_text, interval_text, percent_text
from recinterp.view.report.sentences.summary import (
    claim_text,
    first_error_text,
    same_machine_text,
)

if TYPE_CHECKING:
    from recinterp.compare import Comparison


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
    parts += _section(Title.COUNTEREXAMPLE, *_counterexample(found))
    parts += _section(Title.MACHINES, *machines_text(found))
    parts += _section(Title.WAYS, _ways(found))
    parts += _section(Title.WHERE, *_where(found))
    parts += _section(Title.UNEXPLAINED, _listed(found.unexplained, found.unexplained_total))
    parts += _section(Title.HEADS, heads_table(found.heads), *map(Text, found.layers))
    parts += _section(Title.SITES, sites_table(found.sites))
    parts += _section(
        Title.FORCED, forced_prefix_table(found.forced_prefix_rules), pulls_text(found.pulls)
    )
    parts += _section(Title.FIDELITY, fidelity_tables(shown_strata(found.fidelity)))
    parts += _section(Title.EQUIVALENT, *map(Text, found.equivalent_machines))
    parts += _section(Title.REJECTED, *map(Text, found.rejected_hypotheses))
    return Group(*parts)


def diff_text(found: Comparison, names: tuple[str, str]) -> RenderableType:
    """Where two machines differ: how often, and the shortest inputs on which they do."""
    scope = "every input of the domain" if found.exhaustive else "the shortest inputs"
    rows = (
        (" ".join(d.input), *("no claim" if y is None else " ".join(y) for y in (d.a, d.b)))
        for d in found.shortest
    )
    counts = [
        Text(f"They agree on {found.agree} ({scope}).", style="bold"),
        Text(f"Where both make a claim, they agree on {found.both_claim}."),
    ]
    table = _table(("input", *names), rows)
    return Group(*counts, *_section("Shortest inputs on which they differ", table))


def _section(title: str, *body: RenderableType | None) -> list[RenderableType]:
    shown = [b for b in body if b is not None and not (isinstance(b, Text) and not b.plain)]
    if not shown:
        return []
    return [
        Text(),
        Text(str(title), style="bold underline"),
        Padding(Group(*shown), (0, 0, 0, 2)),
    ]


def _head(found: Report) -> RenderableType:
    name = f"{found.model} on {found.task} ({found.order} order), {found.domain}"
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for line in found.summary:
        text = Text(line.text)
        if line.label == "Verdict":
            badge = Text(found.verdict.upper(), style=f"bold reverse {_verdict_style(found)}")
            text = Text.assemble(badge, " ", line.text)
        table.add_row(line.label.upper(), text)
    return Group(Text(name, style="dim"), Text(), table)


def _verdict_style(found: Report) -> str:
    styles = {Verdict.EXACT: "green", Verdict.SHORTCUT: "red", Verdict.SPORADIC: "yellow"}
    return styles.get(found.verdict, "magenta")


def _counterexample(found: Report) -> list[RenderableType]:
    case = found.counterexample
    if case is None:
        return []
    return [CaseText(case), Text(claim_text(case), style="dim")]


class CaseText:
    """Input, expected and model's output above each other, the first difference marked.

    Tokens that do not fit the width continue in a further block.
    """

    def __init__(self, case: CaseView) -> None:
        self.case = case

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One block of lines for each stretch of tokens that fits."""
        case = self.case
        for at, end in split_case(case, max(options.max_width - 11, 12)):
            yield self._row("input", case.input[at:end], at, "")
            yield self._row("expected", case.expected[at:end], at, "bold green")
            yield self._row("model", case.output[at:end], at, "bold red")
            if at <= case.first < end or (case.first >= end and end - at == 0):
                blank = " " * (11 + (case.first - at) * (self._wide + 1))
                yield Text(f"{blank}{'^' * self._wide}", style="red")
        text = first_error_text(case)
        yield Text(f"{text[:1].upper()}{text[1:]}.", style="red")

    @property
    def _wide(self) -> int:
        case = self.case
        return max((len(t) for t in (*case.input, *case.expected, *case.output)), default=1)

    def _row(self, name: str, tokens: Sequence[str], at: int, style: str) -> Text:
        line = Text(f"{name:<11}", style="dim", no_wrap=True)
        for i, token in enumerate(tokens, at):
            line.append(f"{token:<{self._wide}} ", style=style if i == self.case.first else "")
        return line


def machines_text(found: Report, max_lines: int = 40) -> list[RenderableType]:
    """Both machines as one table, or the learned one as a tree where it has too many rules."""
    learned, truth = found.drawn
    notes = [Text(note, style="dim") for note in dict.fromkeys((*learned.notes, *truth.notes))]
    if found.same_machine:
        equal = Text(same_machine_text(found.continuation))
        return [equal, *_rule_tables(found), *notes]
    if found.rules:
        return [*_rule_tables(found), *notes]
    size = f"{found.learned_modes} modes, size {found.learned_size:,}"
    tree = Text(f"The learned machine has too many rules for a table ({size}). As a tree:")
    return [tree, _first_lines(found.outline, max_lines), *notes]


def _rule_tables(found: Report) -> list[RenderableType]:
    """One line a rule; what differs from the ground truth in colour and in words."""
    if found.same_machine or not found.comparable:
        rows = [row for row in found.rules if row.status != "missing"]
        table = _rule_table(rows, compared=False)
        if found.same_machine:
            return [table]
        apart = Text("Too few rules agree to compare it with the ground truth rule by rule.")
        return [table, apart]
    return [_rule_table(found.rules, compared=True)]


def _rule_table(rows: Sequence[RuleRow], *, compared: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("mode", overflow="fold")
    table.add_column("guard / written", overflow="fold")
    table.add_column("then", overflow="fold")
    if compared:
        table.add_column("ground truth", overflow="fold")
    marks = {"changed": "yellow", "added": "red", "missing": "blue"}
    for row in rows:
        note = row.note or "same"
        cells = (row.mode, row.rule, row.next, note if compared else row.note)
        shown = cells if compared else cells[:3]
        table.add_row(*map(escape, shown), style=marks.get(row.status, ""))
    return table


def _first_lines(text: str, count: int) -> Text:
    """A long text's beginning, and how much more there is."""
    lines = text.split("\n")
    more = [f"({len(lines) - count} more lines: print(ex.machine))"] * (len(lines) > count)
    return Text("\n".join([*lines[:count], *more]), overflow="fold")


def _ways(found: Report) -> RenderableType | None:
    if not shows_ways(found):
        return None
    names = ("kind", "inputs", "rule", "shortest input", "model", "expected")
    return _table(names, map(_way, found.shortcuts), numbers=("inputs",))


def _way(s: ShortcutView) -> tuple[str, ...]:
    tokens = (" ".join(x) or "ε" for x in (s.input, s.output, s.expected))
    return (s.kinds[0], f"{s.inputs.hits:,}", s.rule, *tokens)


def _where(found: Report) -> list[RenderableType]:
    if not found.errors:
        return []
    if found.error_pattern:
        return [Text(found.error_pattern)]
    return [HeatText(found.errors), Text(Note.WHERE, style="dim")]


class HeatText:
    """The grid of errors by depth and length, in blocks of columns that fit the width."""

    def __init__(self, cells: Sequence[ErrorCell]) -> None:
        self.cells = cells

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As many lengths side by side as fit."""
        lengths = sorted({c.length for c in self.cells})
        each = max(1, (options.max_width - 8) // 4)
        for at in range(0, len(lengths), each):
            here = lengths[at : at + each]
            yield Text(heat_text([c for c in self.cells if c.length in here]))


def _listed(
    cases: Sequence[CaseView], total: int, max_listed: int = 8, max_stacked: int = 3
) -> RenderableType | None:
    """The first cases side by side, or above each other where outputs are too long for that."""
    if not total:
        return None
    rows = [
        {
            "input": " ".join(c.input),
            "model": " ".join(c.output) or "ε",
            "expected": " ".join(c.expected) or "ε",
            "machine": "abstains" if c.claimed is None else " ".join(c.claimed) or "ε",
        }
        for c in cases[:max_listed]
    ]
    if max(sum(map(len, row.values())) for row in rows) > 68:
        rows = rows[:max_stacked]
        shown: RenderableType = Group(*map(_stacked, rows))
    else:
        shown = _table(tuple(rows[0]), (tuple(row.values()) for row in rows)) or Text()
    left = total - len(rows)
    return Group(shown, *([Text(f"and {left:,} more")] if left else []))


def _stacked(row: Mapping[str, str]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, text in row.items():
        table.add_row(name, escape(text))
    return Padding(table, (0, 0, 1, 0))


def fidelity_tables(rows: Sequence[FidelityRow]) -> RenderableType | None:
    """Two tables, one line a stratum: match beside its baselines, and failure prediction."""
    if not rows:
        return None
    tables: list[RenderableType] = [_match_table(rows), Text(Note.MATCH, style="dim")]
    if any(row.failures["exact recall"].total for row in rows):
        tables += [Text(), _failure_table(rows), Text(Note.FAILURES, style="dim")]
    return Group(*tables)


def _match_table(rows: Sequence[FidelityRow]) -> Table:
    headings = {
        "model is right": "“right”",
        "wrong beyond trained depth": "“deeper”",
        "nearest neighbour": "“nearest”",
    }
    table = _stratum_table("Match")
    for name in ("match", "", "coverage", *(headings.get(b, b) for b in rows[0].baselines)):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        match = row.match.rate
        where = f"{counts_text(match)} {interval_text(match)}".strip()
        rest = (percent_text(r.rate) for r in (row.coverage, *row.baselines.values()))
        table.add_row(row.stratum, percent_text(match), where, *rest, style=_row_style(row, rows))
    return table


def _failure_table(rows: Sequence[FidelityRow]) -> Table:
    table = _stratum_table("Failure prediction")
    table.add_column("errors", justify="right", no_wrap=True)
    for name in rows[0].failures:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        errors = row.failures["exact recall"].total
        cells = (_two_lines(rate) for rate in row.failures.values())
        table.add_row(row.stratum, f"{errors:,}", *cells, style=_row_style(row, rows))
    return table


def _stratum_table(title: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0),
        header_style="dim", pad_edge=False,
    )  # fmt: skip
    table.add_column("held-out inputs", overflow="fold", min_width=12)
    return table


def _row_style(row: FidelityRow, rows: Sequence[FidelityRow]) -> str:
    return "bold" if row is rows[-1] and len(rows) > 1 else ""


def _two_lines(view: RateView) -> str:
    """A percentage with its counts, and its interval below."""
    rate = view.rate
    if not rate.total:
        return "–"
    return f"{percent_text(rate)}\n{counts_text(rate)}\n{interval_text(rate)}"


def heads_table(rows: Sequence[HeadRow]) -> RenderableType | None:
    """Every head, recursion heads marked; beside each score its control."""
    table = _table(
        ("", "head", "role", "follows", "effect", "note"),
        (
            (
                "●" if h.recursion else "",
                h.name,
                h.role,
                _beside(h.score, h.controls.get("untrained attention")),
                _beside(h.effect, h.controls.get("random direction")),
                h.note,
            )
            for h in rows
        ),
        numbers=("follows", "effect"),
    )
    return None if table is None else Group(table, Text(Note.HEADS, style="dim"))


def _beside(value: float, control: float | None) -> str:
    return f"{value:.2f}" + (f" ({control:.2f})" if control is not None else "")


def sites_table(rows: Sequence[SiteRow]) -> RenderableType | None:
    """Every variable with the activations that store it."""
    table = _table(
        ("variable", "stored at", "interchange", "control", "pairs", ""),
        (
            (
                s.variable,
                f"{s.directions} {' + '.join(s.where)}".strip(),
                f"{_two_digits(s.accuracy)} [{s.interval[0]:.2f}–{s.interval[1]:.2f}]",
                _two_digits(s.control),
                str(s.pairs),
                "accepted" if s.accepted else "rejected",
            )
            for s in rows
        ),
        numbers=("interchange", "control", "pairs"),
    )
    subspaces = any(s.dims for s in rows)
    return Group(table, Text(Note.SUBSPACES, style="dim")) if table and subspaces else table


def _two_digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def forced_prefix_table(rows: Sequence[ForcedPrefixRow]) -> RenderableType | None:
    """What the model does after forced output prefixes."""
    table = _table(
        ("prefix condition", "the model", "rate", "without the rule"),
        (
            (o.condition, o.effect, _two_lines(o.with_rule), _two_lines(o.without_rule))
            for o in rows
        ),
        numbers=("rate", "without the rule"),
    )
    return None if table is None else Group(table, Text(Note.FORCED, style="dim"))


def pulls_text(pulls: Sequence[tuple[str, float]], max_shown: int = 8) -> RenderableType | None:
    """What draws the next token after a forced output, the strongest first."""
    strongest = sorted(pulls, key=lambda pull: -abs(pull[1]))[:max_shown]
    rows = ((name, f"{weight:+.1f}") for name, weight in strongest)
    table = _table(("drawn to", "logits"), rows, numbers=("logits",))
    return None if table is None else Group(table, Text(Note.PULLS, style="dim"))


def _table(
    names: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()
) -> Table | None:
    """A table whose text wraps and whose columns of numbers never do."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        short = name in ("", "head", "kind")
        table.add_column(name, overflow="fold", no_wrap=short or name in numbers)
    for row in rows:
        table.add_row(*map(escape, row))
    return table if table.row_count else None
