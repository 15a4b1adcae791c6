"""Terms of Gallina as pieces of text, each of which knows its place in the Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from recinterp.tasks.from_python.patterns import Bindings
from recinterp.tasks.from_python.python_source import Place
from recinterp.tasks.from_python.types import BOOL, PyType

Piece: TypeAlias = tuple[str, Place | None]
ATOM, APPLICATION, OPEN = range(3)  # how much of Gallina's grammar a term needs around it


@dataclass(frozen=True)
class Code:
    """A term: its pieces of text, its type, and which brackets it needs."""

    pieces: tuple[Piece, ...]
    type: PyType
    level: int = ATOM

    def within(self, level: int) -> tuple[Piece, ...]:
        """The pieces, in brackets where the place takes no more than `level`."""
        if self.level <= level:
            return self.pieces
        return (("(", None), *self.pieces, (")", None))

    def split_words(self) -> set[str]:
        """The words of the text: names, keywords and arrows."""
        return {word for text, _ in self.pieces for word in _split_words(text)}


@dataclass(frozen=True)
class Signature:
    """A function that can be called: its name in Gallina, its parameters, its result."""

    name: str
    params: tuple[tuple[str, PyType], ...]
    result: PyType


@dataclass(frozen=True)
class Env:
    """What names stand for: variables, and fields of variables whose case is known."""

    variables: Bindings = field(default_factory=dict)
    fields: Mapping[tuple[str, str], tuple[str, PyType]] = field(default_factory=dict)

    def bind(self, bound: Bindings) -> Env:
        """With more variables; what was known of older ones of the same names is dropped."""
        fields = {k: v for k, v in self.fields.items() if k[0] not in bound}
        return Env({**self.variables, **bound}, fields)


def build_application(place: Place, head: str, args: Sequence[Code], type_: PyType) -> Code:
    """`head arg …`."""
    pieces: list[Piece] = [(head, place)]
    for arg in args:
        pieces += [(" ", None), *arg.within(ATOM)]
    return Code(tuple(pieces), type_, APPLICATION if args else ATOM)


def build_bool(place: Place, value: bool) -> Code:
    """`true` or `false`."""
    return build_application(place, "true" if value else "false", (), BOOL)


def build_if(place: Place, test: Code, yes: Code, no: Code, indent: int) -> Code:
    """`if test then yes else no`, each branch on a line of its own."""
    pad = f"\n{' ' * indent}"
    pieces: tuple[Piece, ...] = (
        ("if ", place), *test.within(APPLICATION), (f"{pad}then ", None),
        *yes.pieces, (f"{pad}else ", None), *no.pieces,
    )  # fmt: skip
    return Code(pieces, yes.type, OPEN)


def build_match(
    place: Place, on: Sequence[Code], clauses: Sequence[tuple[Piece, ...]], type_: PyType,
    indent: int,
) -> Code:  # fmt: skip
    """`match on with … end`, each clause on a line of its own."""
    pieces: list[Piece] = [("match ", place)]
    for i, code in enumerate(on):
        pieces += [(", ", None)] if i else []
        pieces += code.within(APPLICATION)
    pieces.append((" with", None))
    for clause in clauses:
        pieces += clause
    pieces.append((f"\n{' ' * indent}end", None))
    return Code(tuple(pieces), type_)


def build_clause(place: Place, pattern: str, body: Code, indent: int) -> tuple[Piece, ...]:
    """`| pattern => body`, the body on a line of its own if it has several."""
    head = f"\n{' ' * indent}| {pattern} =>"
    gap = f"\n{' ' * (indent + 4)}" if any("\n" in text for text, _ in body.pieces) else " "
    return ((head, place), (gap, None), *body.pieces)


def _split_words(text: str) -> list[str]:
    for mark in "()|,:=":
        text = text.replace(mark, " ")
    return text.split()
