"""From a machine to a plain picture of it: Graph(nodes, edges), which every renderer reads.

    carry --[X1 / X0]--> carry          an edge is one or more rules: guard / what is written
    carry --[01 / X0 01]--> halt

What nearly every rule does to a register (`p := p + 1`) is said once, in the caption, and an
edge only shows what differs from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from recinterp.machine import Machine
from recinterp.machine import nodes as asm
from recinterp.machine.formats.writer import token_text
from recinterp.machine.transform.simplify_votes import simplify_votes_given
from recinterp.tokens import END_OF_INPUT
from recinterp.view.diagram.labels import atom_text, expr_text, focus_of, piece_text

HALT = "halt"
SAME = "same"
EMPTY = "ε"
DRAWN, LONG = 30, 400  # rules of a machine that is drawn, and its size, at most
SHOWN = 5  # words shown where rules are counted


@dataclass(frozen=True)
class Node:
    """A control state; kind is mode, start or halt. Each mode that halts has its own halt."""

    name: str
    kind: str = "mode"


@dataclass(frozen=True)
class Line:
    """One rule on an edge: its text, its status (a colour) and a tag (the same in words)."""

    text: str
    status: str = SAME
    tag: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Edge:
    """Rules between two nodes."""

    source: str
    target: str
    lines: tuple[Line, ...]

    @property
    def status(self) -> str:
        """The lines' common status, that of an ordinary edge where they differ."""
        found = {line.status for line in self.lines}
        return found.pop() if len(found) == 1 else SAME


@dataclass(frozen=True)
class Graph:
    """A drawing before layout; `notes` is the caption, one sentence each."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    title: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mark:
    """How a rule differs from the other machine's: a status (a colour) and a tag (words)."""

    status: str
    tag: str


@dataclass(frozen=True)
class Habits:
    """What a machine does by default: where it reads, how each register moves."""

    focus: asm.Expr | None
    moves: Mapping[str, asm.Expr] = field(default_factory=dict)


def habits(machine: Machine) -> Habits:
    """The pointer most guards read and the move most rules make."""
    seen: dict[str, Counter[asm.Expr]] = {}
    for rule in machine.rules:
        for update in rule.updates:
            if isinstance(update, asm.Set):
                seen.setdefault(update.reg, Counter())[update.to] += 1
    moves = {reg: to for reg, counts in seen.items() for to, n in counts.most_common(1) if n > 1}
    return Habits(focus_of(machine), moves)


def extract(machine: Machine, marks: Mapping[str, Mark] | None = None, *, title: str = "") -> Graph:
    """The picture of a machine; `marks` says by rule name how it differs from another's."""
    usual = habits(machine)
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for rule in machine.rules:
        mark = (marks or {}).get(rule.name, Mark(SAME, ""))
        line = Line(rule_text(rule, usual), mark.status, mark.tag, rule.name)
        target = f"{rule.mode} {HALT}" if rule.goto is None else rule.goto
        apart = (
            "" if target == rule.mode else mark.status
        )  # a loop is drawn once, whatever it holds
        groups.setdefault((rule.mode, target, apart), []).append(line)
    edges = tuple(Edge(a, b, tuple(lines)) for (a, b, _), lines in groups.items())
    graph = Graph(_nodes(machine), edges, title, _notes(machine, usual))
    return graph if drawable(machine) else _counted(graph, machine, usual)


def drawable(machine: Machine) -> bool:
    """Whether the rules of a machine can be taken in one by one."""
    return len(machine.rules) <= DRAWN and machine.size <= LONG


def _counted(graph: Graph, machine: Machine, usual: Habits) -> Graph:
    """The picture of a machine of very many rules: how many an edge holds, and what they write."""
    written = {r.name: _written(r, usual) or EMPTY for r in machine.rules}
    edges = []
    for edge in graph.edges:
        words = Counter(written[line.rule] for line in edge.lines).most_common(SHOWN + 1)
        more = ", …" if len(words) > SHOWN else ""
        said = ", ".join(word for word, _ in words[:SHOWN]) + more
        first = max(edge.lines, key=lambda line: line.status != SAME)
        many = f"{len(edge.lines)} rules" if len(edge.lines) > 1 else "1 rule"
        edges.append(replace(edge, lines=(replace(first, text=f"{many} / {said}", rule=many),)))
    note = "Rules are counted, not drawn; the tree says when each fires."
    return replace(graph, edges=tuple(edges), notes=(note, *graph.notes))


def _nodes(machine: Machine) -> tuple[Node, ...]:
    modes = [Node(m, "start" if m == machine.start else "mode") for m in machine.modes]
    halting = dict.fromkeys(rule.mode for rule in machine.rules if rule.goto is None)
    return (*modes, *(Node(f"{m} {HALT}", HALT) for m in halting))


def rule_text(rule: asm.Rule, usual: Habits) -> str:
    """`guard / emission, what else differs from habit`, as an edge shows it."""
    guard = (
        " and ".join(atom_text(a, usual.focus) for a in simplify_votes_given(rule.guard))
        or "always"
    )
    parts = [_written(rule, usual), *_extras(rule, usual)]
    return f"{guard} / {', '.join(p for p in parts if p) or EMPTY}"


def _written(rule: asm.Rule, usual: Habits) -> str:
    known = {a.at: a.tokens for a in rule.guard if isinstance(a, asm.In)}
    word = " ".join(piece_text(x, usual.focus, known) for x in rule.word)
    if rule.lost is not None:
        claim = "wrong, form unknown" if rule.lost.wrong else "unknown from here"
        return f"{word} {claim}".strip()
    return word


def _extras(rule: asm.Rule, usual: Habits) -> list[str]:
    said, moved = [], set()
    for update in rule.updates:
        match update:
            case asm.Set(reg, to):
                moved.add(reg)
                if usual.moves.get(reg) != to:
                    said.append(f"{reg} := {expr_text(to)}")
            case asm.Push(frame, at):
                said.append(f"push {frame}({expr_text(at)})")
            case asm.Pop():
                said.append("pop")
            case _:
                pass
    if rule.goto is not None and rule.lost is None:
        said += [f"{reg} stays" for reg in usual.moves if reg not in moved]
    return said


def _notes(machine: Machine, usual: Habits) -> tuple[str, ...]:
    notes = []
    if usual.focus is not None:
        notes.append(f"A token before the slash is read at {expr_text(usual.focus)}.")
    if usual.moves:
        moves = ", ".join(f"{reg} := {expr_text(to)}" for reg, to in usual.moves.items())
        notes.append(f"Unless an edge says otherwise: {moves}.")
    if any("end(" in rule_text(r, usual) for r in machine.rules):
        notes.append("end(x* from p): the first position from p on where no x stands.")
    if any("rest " in atom_text(a, usual.focus) for r in machine.rules for a in r.guard):
        notes.append("rest: the tokens behind the one read; x*: only x, any number of them.")
    starts = ", ".join(f"{reg} := {expr_text(e)}" for reg, e in machine.registers)
    if starts:
        notes.append(f"At the start: {starts}.")
    if any(rule_text(r, usual).endswith(f" {EMPTY}") for r in machine.rules):
        notes.append(f"{EMPTY}: nothing is written.")
    reads = (a for r in machine.rules for a in r.guard if isinstance(a, asm.In))
    if any(END_OF_INPUT in a.tokens for a in reads):
        notes.append(f"{token_text(END_OF_INPUT)}: the end of the input.")
    return tuple(notes)


def with_title(graph: Graph, title: str) -> Graph:
    """The same graph under another title."""
    return replace(graph, title=title)
