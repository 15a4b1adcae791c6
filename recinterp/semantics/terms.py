"""Values: closed terms of constructors, as flat prefix tuples in which a subterm is an offset.

`X1 (X0 One)` is the term with symbols ("X1", "X0", "One"); its subterm at offset 1 is `X0 One`.
Nothing here recurses, so a term may be a million constructors deep.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from recinterp.semantics.ast import Program

Value: TypeAlias = tuple[
    Any, ...
]  # (constructor's number, *argument values): what compiled code eats


@dataclass(frozen=True)
class Term:
    """A value of type `type`; `symbols` are its constructors in prefix order."""

    type: str
    symbols: tuple[str, ...]
    program: Program = field(repr=False, compare=False)

    def __len__(self) -> int:
        """The number of constructors."""
        return len(self.symbols)

    @property
    def subterm_ends(self) -> tuple[int, ...]:
        """For each offset, where the subterm there ends (exclusive)."""
        ends = [0] * len(self.symbols)
        open_: list[int] = []
        arity = _constructor_arities(self.program)
        for i in range(len(self.symbols) - 1, -1, -1):
            end = i + 1
            for _ in range(arity[self.symbols[i]]):
                end = open_.pop()
            ends[i] = end
            open_.append(end)
        return tuple(ends)

    def arguments(self) -> tuple[Term, ...]:
        """The arguments of the outermost constructor."""
        types = self.program.type(self.type).constructor(self.symbols[0]).args
        ends, at, found = self.subterm_ends, 1, []
        for type_ in types:
            found.append(Term(type_, self.symbols[at : ends[at]], self.program))
            at = ends[at]
        return tuple(found)

    def __str__(self) -> str:
        """Gallina text."""
        return gallina_text(self.type, self.symbols, self.program)


def _constructor_arities(program: Program) -> dict[str, int]:
    return {c.name: len(c.args) for t in program.types for c in t.constructors}


def gallina_text(type_: str, symbols: Sequence[str], program: Program) -> str:
    """The term as Gallina text, `X1 (X0 One)`."""
    out: list[str] = []
    pending: list[str] = [type_]  # types still to be written, ")" where a bracket closes
    for symbol in symbols:
        while pending[-1] == ")":
            out.append(pending.pop())
        constructor = program.type(pending.pop()).constructor(symbol)
        parts = [symbol, *(f"({w})" if " " in w else w for w in constructor.written)]
        bracket = bool(out) and bool(constructor.args or constructor.written)
        out.append((" (" if bracket else " " if out else "") + " ".join(parts))
        pending += [")"] if bracket else []
        pending += reversed(constructor.args)
    return "".join([*out, *(")" for p in pending if p == ")")])


def read_plain(text: str, type_: str, program: Program) -> Term | None:
    """The term that text of constructors and brackets writes, however deep; None for anything else.

    Text that gives None is read by the elaborator, or refused with a reason.
    """
    pieces = re.findall(r"[^\W\d][\w']*|\S", text)
    symbols: list[str] = []
    pending: list[str] = [type_]  # types still to be read, ")" where a bracket is open
    opened = True  # whether a constructor with arguments can stand here
    for piece in pieces:
        if not pending:
            return None
        if piece == "(" and pending[-1] != ")" and not (opened and symbols):
            pending.insert(len(pending) - 1, ")")
            opened = True
            continue
        wanted = pending.pop()
        if wanted == ")" or piece in "()":
            if wanted != piece:
                return None
            continue
        ind = program.type(wanted)
        if piece not in ind.index or ind.constructor(piece).written:
            return None
        args = ind.constructor(piece).args
        if args and not opened:
            return None
        symbols.append(piece)
        pending.extend(reversed(args))
        opened = False
    return None if pending else Term(type_, tuple(symbols), program)


def symbols_of(value: Value, program: Program) -> tuple[str, ...]:
    """The constructors of a value in prefix order."""
    names, out, stack = program.symbols, [], [value]
    while stack:
        here = stack.pop()
        out.append(names[here[0]])
        stack.extend(here[:0:-1])
    return tuple(out)


def value_of(term: Term) -> Value:
    """The value that compiled code eats; IndexError or KeyError where symbols are no term."""
    pending, numbered = [term.type], []
    ids = term.program.ids
    for symbol in term.symbols:
        type_ = pending.pop()
        args = term.program.type(type_).constructor(symbol).args
        numbered.append((ids[type_, symbol], len(args)))
        pending.extend(reversed(args))
    return value_from(numbered)


def value_from(numbered: Sequence[tuple[int, int]]) -> Value:
    """The value whose constructors, in prefix order, have these (number, arity)."""
    stack: list[Value] = []
    for index, arity in reversed(numbered):
        if arity:
            args = stack[: -arity - 1 : -1]
            del stack[-arity:]
            stack.append((index, *args))
        else:
            stack.append((index,))
    return stack[0]
