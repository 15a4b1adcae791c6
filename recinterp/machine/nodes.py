"""The abstract state machine as plain data: expressions, guard atoms, updates, rules, machines.

A control-state ASM in the sense of Börger: static `in` (the input) and `n` (its length); dynamic
`mode`, registers, a stack of frames, `out`. In each step the one enabled rule fires; its updates
read the old state and happen together. No rule enabled: the machine abstains.

    Rule("carry-X1", "carry", (In(Reg("p"), ("X1",)),),
         (Emit(("X0",)), Set("p", Add(Reg("p"), Const(1)))), "carry")

is written  `carry-X1: in(p) = X1 -> emit X0, p := p + 1, goto carry`  (see `formats/writer.py`).

Source: E. Börger, R. Stärk, Abstract State Machines (2003), control-state ASMs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

READ_ONLY = ("n", "t", "top", "height")  # input length, output length, top pointer, stack height


@dataclass(frozen=True)
class Const:
    """A number.

    Attributes:
        k: The number.
    """

    k: int


@dataclass(frozen=True)
class Reg:
    """A register, or a read-only quantity.

    Attributes:
        name: Name of the register; read-only are `n` (length of the input), `t` (length of the
            output), `top` (pointer of the frame on top) and `height` (of the stack).
    """

    name: str


@dataclass(frozen=True)
class Add:
    """base + sign * of + k.

    Attributes:
        base: The first summand.
        of: The second summand.
        sign: 1 to add it, -1 to subtract it.
        k: A number added to both.
    """

    base: Expr
    of: Expr
    sign: int = 1
    k: int = 0


@dataclass(frozen=True)
class Find:
    """First position from `start`, going by `step`, whose token is not in `skip`.

    `n` if there is none to the right, -1 if there is none to the left.

    Attributes:
        start: The position where the search begins.
        step: 1 to go to the right, -1 to go to the left.
        skip: The tokens that are passed over.
    """

    start: Expr
    step: int
    skip: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """The position just after the subtree that starts at `at` and goes on by `step`.

    It hides a recursion of its own. A subtree that the input ends in reaches beyond it: n + 1, -2.

    Attributes:
        at: The position of the subtree's first token.
        step: 1 where the subtree goes on to the right, -1 to the left.
    """

    at: Expr
    step: int = 1


Expr: TypeAlias = Const | Reg | Add | Find | Span


@dataclass(frozen=True)
class In:
    """The input token at `at` is one of `tokens`.

    Attributes:
        at: The position that is read.
        tokens: The tokens that hold; `$` stands for a position outside the input.
    """

    at: Expr
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Out:
    """A token that was written is one of `tokens`.

    Attributes:
        back: Which token, counted from the end of the output: 1 for the last.
        tokens: The tokens that hold; `$` stands for a position before the output.
    """

    back: int
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Cmp:
    """A comparison of two expressions.

    Attributes:
        a: The left expression.
        op: One of = != < <= > >=.
        b: The right expression.
    """

    a: Expr
    op: str
    b: Expr


@dataclass(frozen=True)
class TopIs:
    """The frame on top of the stack has this label.

    Attributes:
        frame: The label; None where the stack is to be empty.
    """

    frame: str | None


@dataclass(frozen=True)
class AtLeast:
    """A vote: at least so many of some atoms hold.

    Attributes:
        least: How many have to hold.
        atoms: The atoms that are counted.
    """

    least: int
    atoms: tuple[Atom, ...]


Atom: TypeAlias = In | Out | Cmp | TopIs | AtLeast


@dataclass(frozen=True)
class Copy:
    """Whatever token stands at `at` in the input.

    Attributes:
        at: The position that is copied from.
    """

    at: Expr


@dataclass(frozen=True)
class Emit:
    """Append a word, token by token, to the output.

    Attributes:
        word: The tokens, some of them copied from the input.
    """

    word: tuple[str | Copy, ...]


@dataclass(frozen=True)
class Set:
    """Give a register a new value.

    Attributes:
        reg: Name of the register.
        to: The value, which reads the old state.
    """

    reg: str
    to: Expr


@dataclass(frozen=True)
class Push:
    """Push a frame with a label and a pointer.

    Attributes:
        frame: The label.
        at: The pointer, which reads the old state.
    """

    frame: str
    at: Expr


@dataclass(frozen=True)
class Pop:
    """Drop the top frame."""


@dataclass(frozen=True)
class Lost:
    """The machine does not know the rest of this output.

    Attributes:
        wrong: Whether it claims that the output is not the true one.
    """

    wrong: bool = False


Update: TypeAlias = Emit | Set | Push | Pop | Lost
Node: TypeAlias = Expr | Atom | Update | Copy


@dataclass(frozen=True)
class Rule:
    """mode, guard -> updates, goto.

    Attributes:
        name: Name of the rule.
        mode: The control state in which it can fire.
        guard: Atoms that all have to hold.
        updates: What it changes; all read the old state and happen together.
        goto: The next control state; None halts.
        origin: The ι-step of the program that the rule carries out, if one is known.
        evidence: What speaks for a learned rule, if it is recorded.
    """

    name: str
    mode: str
    guard: tuple[Atom, ...]
    updates: tuple[Update, ...]
    goto: str | None
    origin: str | None = None
    evidence: str | None = None

    @property
    def word(self) -> tuple[str | Copy, ...]:
        """The word that the rule emits."""
        return tuple(x for u in self.updates if isinstance(u, Emit) for x in u.word)

    @property
    def lost(self) -> Lost | None:
        """The rule's claim that the rest is unknown, if it makes one."""
        return next((u for u in self.updates if isinstance(u, Lost)), None)


Guarded: TypeAlias = "tuple[Rule, tuple[int, ...]]"


def walk(node: Node) -> Iterator[Node]:
    """A node and everything below it, outermost first."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Node) -> tuple[Node, ...]:
    """The expressions directly below a node."""
    match node:
        case Add(base, of):
            return (base, of)
        case Find(start=start):
            return (start,)
        case Span(at=at) | Copy(at) | In(at=at) | Push(at=at):
            return (at,)
        case Cmp(a, _, b):
            return (a, b)
        case AtLeast(atoms=atoms):
            return atoms
        case Set(to=to):
            return (to,)
        case Emit(word):
            return tuple(x for x in word if isinstance(x, Copy))
        case _:
            return ()


def add_constant(e: Expr, k: int) -> Expr:
    """e + k, folded so that equal expressions are equal values."""
    match e:
        case Const(c):
            return Const(c + k)
        case Add(base, Const(c), sign, j):
            total = sign * c + j + k
            return base if total == 0 else Add(base, Const(abs(total)), 1 if total > 0 else -1)
        case Add(base, of, sign, j):
            return Add(base, of, sign, j + k)
    return e if k == 0 else Add(e, Const(abs(k)), 1 if k > 0 else -1)


def subtract(a: Expr, b: Expr, k: int = 0) -> Expr:
    """a - b + k, folded."""
    return add_constant(a, k - b.k) if isinstance(b, Const) else Add(a, b, -1, k)


@dataclass(frozen=True)
class MachineState:
    """Where a run stands before a rule fires.

    Attributes:
        mode: The control state.
        registers: The value of each register.
        stack: Label and pointer of each frame, the bottom first.
        out: The tokens written so far.
        rule: The rule that fires now; None where the machine abstains.
    """

    mode: str
    registers: Mapping[str, int]
    stack: tuple[tuple[str, int], ...]
    out: tuple[str, ...]
    rule: Rule | None
