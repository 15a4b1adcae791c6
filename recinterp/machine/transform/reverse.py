"""Turn a machine around: `reverse_machine(m)` does to reversed words what `m` does to words.

It reads from the right end, pushes what it would have written, and at last pops it all:
last written, first out. A position e of the word is n - 1 - e of the reversed word; registers that
are used as positions count down instead of up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from recinterp.errors import MachineError
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Add,
    AtLeast,
    Atom,
    Cmp,
    Const,
    Copy,
    Emit,
    Expr,
    Find,
    In,
    Lost,
    Node,
    Pop,
    Push,
    Reg,
    Rule,
    Set,
    Span,
    TopIs,
    Update,
    add_constant,
    walk,
)

FLUSH = "flush-out"  # no function of a program is called so
LABEL = re.compile(r"\w[\w'.\-]*")


def reverse_machine(machine: Machine) -> Machine:
    """The machine for reversed words. Errors: MachineError for one with a stack."""
    if machine.frames:
        raise MachineError("reverse a machine", "it has a stack", "reverse a finite-state one")
    turn = _Reversal(machine)
    rules = tuple(turn.reverse_rule(r) for r in machine.rules)
    start = (*((name, turn.reverse_register(name, e)) for name, e in machine.registers),)
    return Machine(
        machine.vocab,
        machine.start,
        start,
        tuple(turn.frames),
        (*rules, *_flush_rules(turn.frames)),
        tuple(turn.reverse_atom(a) for a in machine.domain),
        _step_limit(machine),
        machine.arity,
    )


def _step_limit(machine: Machine) -> int:
    """As many as the machine takes, one for each token that is then popped, and the last."""
    longest = max((len(r.word) for r in machine.rules), default=0)
    return machine.limit * (1 + longest) + 1


def _flush_rules(frames: dict[str, str | Copy]) -> list[Rule]:
    pops = [
        Rule(f"write-{frame}", FLUSH, (TopIs(frame),), (Emit((piece,)), Pop()), FLUSH)
        for frame, piece in frames.items()
    ]
    return [*pops, Rule("end", FLUSH, (TopIs(None),), (), None)]


class _Reversal:
    """Rewrites expressions, atoms and rules for the reversed word."""

    def __init__(self, machine: Machine) -> None:
        self.frames: dict[str, str | Copy] = {}
        self.vocab = machine.vocab
        self.odd = {token: i for i, token in enumerate(machine.vocab)}
        self.copied = _unused_name("copied", machine.vocab)
        self.pointers = _position_registers(machine)

    def reverse_value(self, e: Expr) -> Expr:
        """An expression about the word, in terms of the reversed word."""
        match e:
            case Reg("t"):
                return Reg("height")
            case Reg("height"):
                return Const(0)
            case Reg("top"):
                return Const(-1)
            case Reg(name) if name in self.pointers:
                return mirror_position(e)
            case Add(base, of, sign, k):
                return collect_terms(
                    [(1, self.reverse_value(base)), (sign, self.reverse_value(of))], k
                )
            case Find(start, step, skip):
                return mirror_position(
                    Find(mirror_position(self.reverse_value(start)), -step, skip)
                )
            case Span(at, step):
                return mirror_position(Span(mirror_position(self.reverse_value(at)), -step))
        return e

    def reverse_position(self, e: Expr) -> Expr:
        """A position of the word as a position of the reversed word."""
        return mirror_position(self.reverse_value(e))

    def reverse_register(self, register: str, e: Expr) -> Expr:
        """The value of a register: positions are mirrored, other numbers are not."""
        return self.reverse_position(e) if register in self.pointers else self.reverse_value(e)

    def reverse_atom(self, atom: Atom) -> Atom:
        match atom:
            case In(at, tokens):
                return In(self.reverse_position(at), tokens)
            case Cmp(a, op, b):
                return _compare_linear(self.reverse_value(a), op, self.reverse_value(b))
            case AtLeast(least, atoms):
                return AtLeast(least, tuple(map(self.reverse_atom, atoms)))
        raise MachineError(
            "reverse a machine",
            "a guard reads the output or the stack",
            "reverse a machine that reads its input only",
        )

    def reverse_rule(self, rule: Rule) -> Rule:
        updates = tuple(new for u in rule.updates for new in self.reverse_update(u))
        goto = FLUSH if rule.goto is None and rule.lost is None else rule.goto
        return replace(
            rule, guard=tuple(map(self.reverse_atom, rule.guard)), updates=updates, goto=goto
        )

    def reverse_update(self, update: Update) -> Iterable[Update]:
        match update:
            case Emit(word):
                return [self.push_frame(piece) for piece in word]
            case Set(reg, to):
                return [Set(reg, self.reverse_register(reg, to))]
            case Lost():
                return [update]
        raise MachineError("reverse a machine", "it has a stack", "reverse a finite-state one")

    def push_frame(self, piece: str | Copy) -> Push:
        """The frame that stands for a token to be written at the end."""
        if isinstance(piece, Copy):
            self.frames[self.copied] = Copy(Reg("top"))
            return Push(self.copied, self.reverse_position(piece.at))
        label = (
            piece
            if LABEL.fullmatch(piece)
            else _unused_name(f"token-{self.odd[piece]}", self.vocab)
        )
        self.frames[label] = piece
        return Push(label, Const(0))


def _unused_name(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "'"
    return name


def _position_registers(machine: Machine) -> frozenset[str]:
    """Registers that some rule uses as a position of the input."""

    def positions(node: Node) -> Iterable[Expr]:
        return (
            [node.at]
            if isinstance(node, In | Copy)
            else [node.start]
            if isinstance(node, Find)
            else []
        )

    parts = [p for r in machine.rules for p in (*r.guard, *r.updates)]
    inside = [e for part in parts for node in walk(part) for e in positions(node)]
    names = {name for name, _ in machine.registers}
    return frozenset(
        x.name for e in inside for x in walk(e) if isinstance(x, Reg) and x.name in names
    )


def mirror_position(e: Expr) -> Expr:
    """n - 1 - e, simplified."""
    return collect_terms([(1, Reg("n")), (-1, e)], -1)


def collect_terms(terms: list[tuple[int, Expr]], k: int = 0) -> Expr:
    """A sum of expressions, with equal terms gathered."""
    coefficients: dict[Expr, int] = {}

    def gather(sign: int, e: Expr) -> int:
        if isinstance(e, Const):
            return sign * e.k
        if isinstance(e, Add):
            return gather(sign, e.base) + gather(sign * e.sign, e.of) + sign * e.k
        coefficients[e] = coefficients.get(e, 0) + sign
        return 0

    k += sum(gather(sign, e) for sign, e in terms)
    signed = [(c > 0, e) for e, c in coefficients.items() for _ in range(abs(c))]
    signed.sort(key=lambda pair: not pair[0])
    if not signed:
        return Const(k)
    up, first = signed[0]
    total: Expr = first if up else Add(Const(0), first, -1)
    for positive, e in signed[1:]:
        total = Add(total, e, 1 if positive else -1)
    return add_constant(total, k)


def _compare_linear(a: Expr, op: str, b: Expr) -> Cmp:
    """a op b with what stands on both sides taken away, a constant on the right."""
    difference = collect_terms([(1, a), (-1, b)])
    negated = collect_terms([(-1, a), (1, b)])
    turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    if _count_negatives(negated) < _count_negatives(difference):
        difference, op = negated, turned.get(op, op)
    return _isolate_constant(difference, op)


def _count_negatives(e: Expr) -> int:
    return sum(isinstance(x, Add) and x.sign < 0 and not isinstance(x.of, Const) for x in walk(e))


def _isolate_constant(difference: Expr, op: str) -> Cmp:
    match difference:
        case Const(c):
            return Cmp(Const(c), op, Const(0))
        case Add(base, Const(c), sign, j):
            return Cmp(base, op, Const(-(sign * c + j)))
        case Add(base, of, sign, j):
            return Cmp(Add(base, of, sign), op, Const(-j))
    return Cmp(difference, op, Const(0))
