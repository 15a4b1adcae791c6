"""From a machine to a plain picture of it: MachineGraph(nodes, edges), which renderers read.

    carry --[X1 / X0]--> carry          an edge is one or more rules: guard / what is written
    carry --[01 / X0 01]--> halt

What nearly every rule does to a register (`p := p + 1`) stands once, in the caption, and an edge
only shows what differs from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from recinterp.machine import Machine
from recinterp.machine import nodes as asm
from recinterp.machine.formats.writer import token_text
from recinterp.machine.transform.simplify_votes import simplify_votes_given
from recinterp.tokens import END_OF_INPUT
from recinterp.view.diagram.labels import (
    atom_text,
    continuation_text,
    expr_text,
    find_reading_head,
    piece_text,
)

EMPTY = "ε"


class NodeKind(StrEnum):
    """What a node stands for. Each mode that halts has a halt of its own."""

    MODE = "mode"
    START = "start"
    HALT = "halt"


class RuleStatus(StrEnum):
    """How a rule differs from the other machine's; each has a colour."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class DrawingLimits:
    """How large a machine may be to be drawn rule by rule.

    Attributes:
        max_rules: rules. With more, the labels no longer fit on a screen.
        max_size: nodes of the machine's syntax tree: long guards cannot be read on an edge either.
        max_words: words that are written on an edge whose rules are only counted.
    """

    max_rules: int = 30
    max_size: int = 400
    max_words: int = 5


LIMITS = DrawingLimits()


@dataclass(frozen=True)
class StateNode:
    """A control state, or a halt.

    Attributes:
        name: the mode's name; "MODE halt" for the halt of a mode.
        kind: what the node stands for.
    """

    name: str
    kind: NodeKind = NodeKind.MODE


@dataclass(frozen=True)
class RuleLabel:
    """One rule on an edge.

    Attributes:
        text: guard / what is written.
        status: how the rule differs from the other machine's, shown as a colour.
        tag: the difference in words; empty for none.
        rule: the rule's name.
    """

    text: str
    status: RuleStatus = RuleStatus.SAME
    tag: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Edge:
    """Rules between two nodes.

    Attributes:
        source: the name of the node it leaves.
        target: the name of the node it enters.
        labels: the rules.
    """

    source: str
    target: str
    labels: tuple[RuleLabel, ...]

    @property
    def status(self) -> RuleStatus:
        """The labels' common status, that of an ordinary edge where they differ."""
        statuses = {label.status for label in self.labels}
        return statuses.pop() if len(statuses) == 1 else RuleStatus.SAME


@dataclass(frozen=True)
class MachineGraph:
    """A drawing before layout.

    Attributes:
        nodes: the modes in the machine's order, then the halts.
        edges: the rules, grouped by the nodes they connect.
        title: which machine it is; may be empty.
        notes: the caption, one sentence each.
    """

    nodes: tuple[StateNode, ...]
    edges: tuple[Edge, ...]
    title: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuleMark:
    """How a rule differs from the other machine's.

    Attributes:
        status: the difference as a colour.
        tag: the difference in words.
    """

    status: RuleStatus
    tag: str


@dataclass(frozen=True)
class MachineDefaults:
    """What a machine's rules do unless a label shows something else.

    Attributes:
        reading_head: the position that most guards read; None where no guard reads the input.
        updates: by register, the value that most rules set it to.
    """

    reading_head: asm.Expr | None
    updates: Mapping[str, asm.Expr] = field(default_factory=dict)


def find_defaults(machine: Machine) -> MachineDefaults:
    """The position most guards read, and the update most rules make to each register."""
    counted: dict[str, Counter[asm.Expr]] = {}
    for rule in machine.rules:
        for update in rule.updates:
            if isinstance(update, asm.Set):
                counted.setdefault(update.reg, Counter())[update.to] += 1
    updates = {
        reg: to for reg, counts in counted.items() for to, n in counts.most_common(1) if n > 1
    }
    return MachineDefaults(find_reading_head(machine), updates)


def extract_graph(
    machine: Machine, marks: Mapping[str, RuleMark] | None = None, *, title: str = ""
) -> MachineGraph:
    """The graph of a machine.

    Args:
        machine: the machine.
        marks: by rule name, how a rule differs from another machine's.
        title: which machine it is.

    Returns:
        One label for each rule; one for each edge where the machine is too large to be drawn.
    """
    defaults = find_defaults(machine)
    groups: dict[tuple[str, str, str], list[RuleLabel]] = {}
    for rule in machine.rules:
        mark = (marks or {}).get(rule.name, RuleMark(RuleStatus.SAME, ""))
        label = RuleLabel(rule_text(rule, defaults), mark.status, mark.tag, rule.name)
        target = halt_name(rule.mode) if rule.goto is None else rule.goto
        # A loop is drawn once, whatever it holds.
        colour = "" if target == rule.mode else mark.status
        groups.setdefault((rule.mode, target, colour), []).append(label)
    edges = tuple(Edge(a, b, tuple(labels)) for (a, b, _), labels in groups.items())
    graph = MachineGraph(_extract_nodes(machine), edges, title, _write_notes(machine, defaults))
    return graph if is_drawable(machine) else _count_rules(graph, machine, defaults)


def halt_name(mode: str) -> str:
    """The name of the node in which a mode's run ends."""
    return f"{mode} {NodeKind.HALT}"


def is_drawable(machine: Machine) -> bool:
    """Whether a machine is small enough for its rules to be read one by one."""
    return len(machine.rules) <= LIMITS.max_rules and machine.size <= LIMITS.max_size


def _count_rules(graph: MachineGraph, machine: Machine, defaults: MachineDefaults) -> MachineGraph:
    """The graph of a large machine: how many rules an edge holds, and what they write."""
    written = {r.name: _written_text(r, defaults) or EMPTY for r in machine.rules}
    limit = LIMITS.max_words
    edges = []
    for edge in graph.edges:
        words = Counter(written[label.rule] for label in edge.labels).most_common(limit + 1)
        more = ", …" if len(words) > limit else ""
        text = ", ".join(word for word, _ in words[:limit]) + more
        first = max(edge.labels, key=lambda label: label.status != RuleStatus.SAME)
        count = f"{len(edge.labels)} rules" if len(edge.labels) > 1 else "1 rule"
        label = replace(first, text=f"{count} / {text}", rule=count)
        edges.append(replace(edge, labels=(label,)))
    note = "Rules are counted, not drawn; the tree shows when each of them fires."
    return replace(graph, edges=tuple(edges), notes=(note, *graph.notes))


def _extract_nodes(machine: Machine) -> tuple[StateNode, ...]:
    modes = [
        StateNode(m, NodeKind.START if m == machine.start else NodeKind.MODE) for m in machine.modes
    ]
    halting = dict.fromkeys(rule.mode for rule in machine.rules if rule.goto is None)
    return (*modes, *(StateNode(halt_name(m), NodeKind.HALT) for m in halting))


def rule_text(rule: asm.Rule, defaults: MachineDefaults) -> str:
    """`guard / what is written, what else is not by default`, as an edge shows it."""
    atoms = simplify_votes_given(rule.guard)
    guard = " and ".join(atom_text(a, defaults.reading_head) for a in atoms) or "always"
    parts = [_written_text(rule, defaults), *_other_updates(rule, defaults)]
    return f"{guard} / {', '.join(p for p in parts if p) or EMPTY}"


def _written_text(rule: asm.Rule, defaults: MachineDefaults) -> str:
    known = {a.at: a.tokens for a in rule.guard if isinstance(a, asm.In)}
    word = " ".join(piece_text(x, defaults.reading_head, known) for x in rule.word)
    if rule.lost is not None:
        claim = "wrong, form unknown" if rule.lost.wrong else "unknown from here"
        return f"{word} {claim}".strip()
    return word


def _other_updates(rule: asm.Rule, defaults: MachineDefaults) -> list[str]:
    texts, updated = [], set()
    for update in rule.updates:
        match update:
            case asm.Set(reg, to):
                updated.add(reg)
                if defaults.updates.get(reg) != to:
                    texts.append(f"{reg} := {expr_text(to)}")
            case asm.Push(frame, at):
                texts.append(f"push {frame}({expr_text(at)})")
            case asm.Pop():
                texts.append("pop")
            case _:
                pass
    if rule.goto is not None and rule.lost is None:
        texts += [f"{reg} stays" for reg in defaults.updates if reg not in updated]
    return texts


def _write_notes(machine: Machine, defaults: MachineDefaults) -> tuple[str, ...]:
    """The caption: what the labels leave out, and the signs that they use."""
    return (*_default_notes(machine, defaults), *_sign_notes(machine, defaults))


def _default_notes(machine: Machine, defaults: MachineDefaults) -> Iterator[str]:
    """What holds on every edge unless it says otherwise."""
    if machine.continuation:
        yield f"It goes on with {continuation_text(machine.continuation)}."
    if defaults.reading_head is not None:
        yield f"A token before the slash is read at {expr_text(defaults.reading_head)}."
    updates = ", ".join(f"{reg} := {expr_text(to)}" for reg, to in defaults.updates.items())
    if updates:
        yield f"Unless an edge says otherwise: {updates}."
    starts = ", ".join(f"{reg} := {expr_text(e)}" for reg, e in machine.registers)
    if starts:
        yield f"At the start: {starts}."


def _sign_notes(machine: Machine, defaults: MachineDefaults) -> Iterator[str]:
    """The signs that the labels use."""
    texts = [rule_text(rule, defaults) for rule in machine.rules]
    atoms = [atom for rule in machine.rules for atom in rule.guard]
    if any("end(" in text for text in texts):
        yield "end(x* from p): the first position from p on where no x stands."
    if any("rest " in atom_text(atom, defaults.reading_head) for atom in atoms):
        yield "rest: the tokens after the one read; x*: only x, any number of them."
    if any(text.endswith(f" {EMPTY}") for text in texts):
        yield f"{EMPTY}: nothing is written."
    if any(isinstance(atom, asm.In) and END_OF_INPUT in atom.tokens for atom in atoms):
        yield f"{token_text(END_OF_INPUT)}: the end of the input."
