"""A machine as a causal model: its variables, and what it writes when one of them is set.

The state that *owns* output t is the one whose rule writes it. Its variables are the mode, the
pointers it reads through, the tokens they read, lookaheads, the frame on top, and the outputs it
looks back at. Setting one leaves all others as they are, and gives the counterfactual token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from recinterp.causal.traces import copied
from recinterp.machine.execution.interpreter import MachineRun
from recinterp.machine.formats.writer import expression_text
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Atom,
    Const,
    Copy,
    Expr,
    Find,
    In,
    Node,
    Out,
    Reg,
    Rule,
    Set,
    Span,
    TopIs,
    add_constant,
    walk,
)
from recinterp.machine.transform.compose import in_atom, in_update
from recinterp.tokens import END_OF_INPUT, EOS

Kind = Literal["mode", "content", "lookahead", "pointer", "frame", "previous output"]
Value = int | str | None
MOST = 10  # variables that are looked for in the network
MOST_SILENT = 64  # steps without output after which a counterfactual is given up


@dataclass(frozen=True)
class Variable:
    """One variable: `node` is the expression, or the guard atom, that reads it (None: the mode)."""

    name: str
    kind: Kind
    node: Expr | Out | None = None


def variables(machine: Machine) -> tuple[Variable, ...]:
    """The variables a machine's rules read, the mode first.

    Grown guards read all over the input. Where they are many, those stay that hold a state: the
    mode, the stack, registers, and what is read at them.
    """
    found: list[Variable] = []
    if len(machine.modes) > 1:
        found.append(Variable("mode", "mode"))
    for node in dict.fromkeys(_read(machine)):
        found += _of_node(node)
    distinct = tuple(dict.fromkeys(found))
    if len(distinct) <= MOST:
        return distinct
    registers = [Reg(name) for name, _ in machine.registers] + [Reg("top")]
    state = [v for v in distinct if v.node is None or v.node in registers]
    at = [v for v in distinct if v.kind == "content" and v.node in registers]
    return tuple(dict.fromkeys([*state, *at]))[:MOST]


def by_pointer(machine: Machine) -> Machine:
    """The machine with `t` read off a register that always stands so far from it, if one does.

    A pointer that moves on by as much as is written cannot be told from the output's index on any
    run; a network has one of them, and setting the pointer has to move the guards on both.
    """
    for name, first in machine.registers:
        if isinstance(first, Const) and all(_goes_with_t(r, name) for r in machine.rules):
            env = {"t": add_constant(Reg(name), -first.k)}
            return machine.with_rules(
                [
                    replace(
                        rule,
                        guard=tuple(in_atom(a, env) for a in rule.guard),
                        updates=tuple(in_update(u, env) for u in rule.updates),
                    )
                    for rule in machine.rules
                ]
            )
    return machine


def _goes_with_t(rule: Rule, name: str) -> bool:
    to = next((u.to for u in rule.updates if isinstance(u, Set) and u.reg == name), Reg(name))
    return rule.goto is None or to == add_constant(Reg(name), len(rule.word))


def _read(machine: Machine) -> Iterator[Node]:
    for rule in machine.rules:
        for part in (*rule.guard, *(x for x in rule.word if isinstance(x, Copy))):
            yield from walk(part)


def _of_node(node: Node) -> list[Variable]:
    match node:
        case In(at) | Copy(at):
            searched = any(isinstance(x, Find | Span) for x in walk(at))
            name = f"in({expression_text(at)})"
            return [Variable(name, "lookahead" if searched else "content", at)] + [
                Variable(x.name, "pointer", x)
                for x in walk(at)
                if _points(x) and isinstance(x, Reg)
            ]
        case Find() | Span():
            return [Variable(expression_text(node), "lookahead", node)]
        case Out(back):
            return [Variable(f"out({back})", "previous output", node)]
        case TopIs():
            return [Variable("top frame", "frame")]
    return []


def _points(node: Node) -> bool:
    return isinstance(node, Reg) and node.name not in ("n", "height")


def follows(variable: Variable, other: Variable) -> bool:
    """Whether a variable is computed from another: what is read through a pointer, from it."""
    if other.kind not in ("pointer", "lookahead") or other.name.startswith("in("):
        return False
    node = variable.node
    return isinstance(node, Expr) and any(x == other.node for x in walk(node))


@dataclass
class Forced(MachineRun):
    """A run in which one variable has been set."""

    variable: Variable | None = None
    to: Value = None
    place: int | None = None

    def value(self, e: Expr) -> int:
        """What an expression denotes, the forced one included."""
        v = self.variable
        if v and v.kind in ("pointer", "lookahead") and not self._content() and e == v.node:
            return int(self.to or 0)
        return super().value(e)

    def _content(self) -> bool:
        """Whether what is set is the token read, not the place."""
        return isinstance(self.to, str)

    def read(self, at: int) -> str:
        """The input token at a position, the forced one included."""
        if self._content() and self.variable and at == self.place:
            return str(self.to)
        return super().read(at)

    def holds(self, atom: Atom) -> bool:
        """Whether a guard atom holds, the forced frame included."""
        if isinstance(atom, TopIs) and self.variable and self.variable.kind == "frame":
            return atom.frame == self.to
        return super().holds(atom)


def value(run: MachineRun, variable: Variable) -> Value:
    """A variable's value in a state."""
    match variable:
        case Variable(kind="mode"):
            return run.mode
        case Variable(kind="frame"):
            return run.stack[-1][0] if run.stack else None
        case Variable(node=Out(back)):
            return run.out[-back] if back <= len(run.out) else END_OF_INPUT
        case Variable(kind="content", node=node):
            return run.read(run.value(_expr(node)))
        case Variable(kind="lookahead", node=node, name=name) if name.startswith("in("):
            return run.read(run.value(_expr(node)))
        case Variable(node=node):
            return run.value(_expr(node))


def _expr(node: Expr | Out | None) -> Expr:
    assert node is not None
    assert not isinstance(node, Out)
    return node


def forced(run: MachineRun, variable: Variable, to: Value, t: int) -> str | None:
    """Output t of a machine from a state in which one variable is set; None: it has none."""
    now = Forced(
        run.machine,
        run.tokens,
        run.mode,
        dict(run.registers),
        list(run.stack),
        list(run.out),
        variable=variable,
        to=to,
    )
    if variable.kind == "mode":
        now.mode, now.to = str(to), None
    elif isinstance(variable.node, Out):
        if variable.node.back > len(now.out):
            return None
        now.out[-variable.node.back], now.to = str(to), None
    elif isinstance(to, str) and variable.kind != "frame":
        now.place = run.value(_expr(variable.node))
    return go_on(now, t)


def pointed(run: MachineRun, other: MachineRun, t: int) -> str | None:
    """Output t from a state whose pointers all stand where those of another state do."""
    if bool(run.stack) != bool(other.stack):
        return None
    stack = list(run.stack)
    if stack:
        stack[-1] = (stack[-1][0], other.stack[-1][1])
    return go_on(replace(copied(run), registers=dict(other.registers), stack=stack), t)


def go_on(now: MachineRun, t: int) -> str | None:
    """Output token t of a run under way; EOS where it halts first, None if it gets nowhere."""
    for _ in range(MOST_SILENT):
        if len(now.out) > t:
            return now.out[t]
        if now.status == "halted":
            return EOS if len(now.out) == t else None
        rule = now.enabled() if now.status == "running" else None
        if rule is None:
            return None
        now.fire(rule)
    return None


def from_state(state: MachineRun, tokens: Sequence[str], t: int, out: Sequence[str]) -> str | None:
    """Output t on an input, from a state of some run and behind an output put there."""
    return go_on(replace(copied(state), tokens=tuple(tokens), out=list(out)), t)


def pointer(run: MachineRun) -> int | None:
    """The input position that a state's rule reads: what it copies, else its first plain `in`."""
    rule = run.enabled()
    if rule is None:
        return None
    reads = [x.at for x in rule.word if isinstance(x, Copy)]
    reads += [a.at for a in rule.guard if isinstance(a, In)]
    plain = [at for at in reads if not any(isinstance(x, Find | Span) for x in walk(at))]
    for at in (*plain, *reads):
        place = run.value(at)
        if 0 <= place < len(run.tokens):
            return place
    return None
