"""A machine as a causal model: its variables, and what it writes when one of them is set.

The state that emits output t is the one whose rule writes it. Its variables are the mode, the
pointers it reads through, the tokens they read, lookaheads, the frame on top, and the outputs it
looks back at. Setting one leaves all others as they are, and gives the counterfactual token.
Reference: Geiger et al., Causal abstractions of neural networks (2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from recinterp.causal.traces import copy_run
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
from recinterp.machine.transform.compose import substitute_in_atom, substitute_in_update
from recinterp.tokens import END_OF_INPUT, EOS

Value: TypeAlias = int | str | None


class VariableKind(StrEnum):
    """What a variable of a machine is.

    MODE: the control state. CONTENT: the token read at a pointer. LOOKAHEAD: the position that a
    search over the input ends at, or the token read there. POINTER: the input position that a
    register stores. FRAME: the label on top of the stack. PREVIOUS_OUTPUT: an output token that a
    rule looks back at.
    """

    MODE = "mode"
    CONTENT = "content"
    LOOKAHEAD = "lookahead"
    POINTER = "pointer"
    FRAME = "frame"
    PREVIOUS_OUTPUT = "previous output"


@dataclass(frozen=True)
class Variable:
    """One variable of a machine.

    Attributes:
        name: `mode`, `top frame`, or the expression as machines write it, such as `in(p)`.
        kind: what it is.
        node: the expression, or the guard atom, that reads it; None for the mode and the frame.
    """

    name: str
    kind: VariableKind
    node: Expr | Out | None = None


def list_variables(machine: Machine, limit: int) -> tuple[Variable, ...]:
    """List the variables that a machine's rules read, the mode first.

    Guards that were learned as trees read all over the input. Where there are more than `limit`
    variables, only those that store a state are listed: the mode, the stack, the registers, and
    the tokens read at them.

    Args:
        machine: the machine.
        limit: how many variables to list at most.
    """
    found: list[Variable] = []
    if len(machine.modes) > 1:
        found.append(Variable("mode", VariableKind.MODE))
    for node in dict.fromkeys(_read(machine)):
        found += _of_node(node)
    distinct = tuple(dict.fromkeys(found))
    if len(distinct) <= limit:
        return distinct
    registers = [Reg(name) for name, _ in machine.registers] + [Reg("top")]
    state = [v for v in distinct if v.node is None or v.node in registers]
    at = [v for v in distinct if v.kind is VariableKind.CONTENT and v.node in registers]
    return tuple(dict.fromkeys([*state, *at]))[:limit]


def tie_output_index_to_pointer(machine: Machine) -> Machine:
    """Replace the output index `t` by a register that always has a constant distance from it.

    A pointer that advances by as many positions as tokens are written cannot be distinguished from
    the output index on any run. A network stores one of the two, and setting the pointer has to
    change the guards on both. A machine without such a register is returned unchanged.
    """
    for name, first in machine.registers:
        if isinstance(first, Const) and all(_goes_with_t(r, name) for r in machine.rules):
            env = {"t": add_constant(Reg(name), -first.k)}
            return machine.with_rules(
                [
                    replace(
                        rule,
                        guard=tuple(substitute_in_atom(a, env) for a in rule.guard),
                        updates=tuple(substitute_in_update(u, env) for u in rule.updates),
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
            kind = VariableKind.LOOKAHEAD if searched else VariableKind.CONTENT
            return [Variable(name, kind, at)] + [
                Variable(x.name, VariableKind.POINTER, x)
                for x in walk(at)
                if _points(x) and isinstance(x, Reg)
            ]
        case Find() | Span():
            return [Variable(expression_text(node), VariableKind.LOOKAHEAD, node)]
        case Out(back):
            return [Variable(f"out({back})", VariableKind.PREVIOUS_OUTPUT, node)]
        case TopIs():
            return [Variable("top frame", VariableKind.FRAME)]
    return []


def _points(node: Node) -> bool:
    return isinstance(node, Reg) and node.name not in ("n", "height")


def follows(variable: Variable, other: Variable) -> bool:
    """Whether a variable is computed from another, as a token read is from the pointer to it."""
    if other.kind not in (VariableKind.POINTER, VariableKind.LOOKAHEAD):
        return False
    if other.name.startswith("in("):
        return False
    node = variable.node
    return isinstance(node, Expr) and any(x == other.node for x in walk(node))


@dataclass
class CounterfactualRun(MachineRun):
    """A run in which one variable has been set.

    Attributes:
        variable: the variable that is set; None for modes and previous outputs, which are set in
            the state itself.
        to: its value.
        place: the input position whose token is set, where the variable is the token read.
    """

    variable: Variable | None = None
    to: Value = None
    place: int | None = None

    def evaluate(self, e: Expr) -> int:
        """The number that an expression denotes, with the variable set."""
        v = self.variable
        if (
            v
            and v.kind in (VariableKind.POINTER, VariableKind.LOOKAHEAD)
            and not self._sets_token()
            and e == v.node
        ):
            return int(self.to or 0)
        return super().evaluate(e)

    def _sets_token(self) -> bool:
        """Whether the token read is set, rather than the position."""
        return isinstance(self.to, str)

    def read_token(self, at: int) -> str:
        """The input token at a position, with the variable set."""
        if self._sets_token() and self.variable and at == self.place:
            return str(self.to)
        return super().read_token(at)

    def holds(self, atom: Atom) -> bool:
        """Whether a guard atom holds, with the variable set."""
        if isinstance(atom, TopIs) and self.variable and self.variable.kind is VariableKind.FRAME:
            return atom.frame == self.to
        return super().holds(atom)


def evaluate_variable(run: MachineRun, variable: Variable) -> Value:
    """A variable's value in a state."""
    match variable:
        case Variable(kind=VariableKind.MODE):
            return run.mode
        case Variable(kind=VariableKind.FRAME):
            return run.stack[-1][0] if run.stack else None
        case Variable(node=Out(back)):
            return run.out[-back] if back <= len(run.out) else END_OF_INPUT
        case Variable(kind=VariableKind.CONTENT, node=node):
            return run.read_token(run.evaluate(_expression(node)))
        case Variable(kind=VariableKind.LOOKAHEAD, node=node, name=name) if name.startswith("in("):
            return run.read_token(run.evaluate(_expression(node)))
        case Variable(node=node):
            return run.evaluate(_expression(node))


def _expression(node: Expr | Out | None) -> Expr:
    assert node is not None
    assert not isinstance(node, Out)
    return node


def counterfactual_output(run: MachineRun, variable: Variable, to: Value, t: int) -> str | None:
    """Output token t of a machine that continues from a state in which one variable is set.

    Args:
        run: the state; it is left as it is.
        variable: the variable to set.
        to: its value.
        t: index of the output token.

    Returns:
        The token, EOS where the output ends there, or None where there is no such token.
    """
    changed = CounterfactualRun(
        run.machine,
        run.tokens,
        run.mode,
        dict(run.registers),
        list(run.stack),
        list(run.out),
        variable=variable,
        to=to,
    )
    if variable.kind is VariableKind.MODE:
        changed.mode, changed.to = str(to), None
    elif isinstance(variable.node, Out):
        if variable.node.back > len(changed.out):
            return None
        changed.out[-variable.node.back], changed.to = str(to), None
    elif isinstance(to, str) and variable.kind is not VariableKind.FRAME:
        changed.place = run.evaluate(_expression(variable.node))
    return resume_until(changed, t)


def with_pointers_of(run: MachineRun, other: MachineRun) -> MachineRun | None:
    """A copy of a state with all pointers where they are in another state of the same machine.

    None where only one of the two has a stack, so that the pointers cannot be exchanged.
    """
    if bool(run.stack) != bool(other.stack):
        return None
    stack = list(run.stack)
    if stack:
        stack[-1] = (stack[-1][0], other.stack[-1][1])
    return replace(copy_run(run), registers=dict(other.registers), stack=stack)


def resume_until(run: MachineRun, t: int, *, max_silent_steps: int = 64) -> str | None:
    """Continue a run, in place, until output token t is written, and return that token.

    Args:
        run: a run under way.
        t: index of the output token.
        max_silent_steps: rule applications after which the token is given up.

    Returns:
        The token, EOS where the output ends there, or None where there is no such token.
    """
    for _ in range(max_silent_steps):
        if len(run.out) > t:
            return run.out[t]
        if run.status == "halted":
            return EOS if len(run.out) == t else None
        rule = run.enabled_rule() if run.status == "running" else None
        if rule is None:
            return None
        run.fire_rule(rule)
    return None


def resume_from(state: MachineRun, tokens: Sequence[str], t: int, out: Sequence[str]) -> str | None:
    """Output token t from a state of some run, with another input and another output so far.

    Args:
        state: the state; it is left as it is.
        tokens: the input from here on.
        t: index of the output token.
        out: the output so far.

    Returns:
        The token, EOS where the output ends there, or None where there is no such token.
    """
    return resume_until(replace(copy_run(state), tokens=tuple(tokens), out=list(out)), t)


def find_read_position(run: MachineRun) -> int | None:
    """The input position that a state's rule reads: what it copies, else its first plain `in`."""
    rule = run.enabled_rule()
    if rule is None:
        return None
    reads = [x.at for x in rule.word if isinstance(x, Copy)]
    reads += [a.at for a in rule.guard if isinstance(a, In)]
    plain = [at for at in reads if not any(isinstance(x, Find | Span) for x in walk(at))]
    for at in (*plain, *reads):
        place = run.evaluate(at)
        if 0 <= place < len(run.tokens):
            return place
    return None
