"""The syntax tree of a text, before names are resolved; every node knows its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Pos:
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class SType:
    """A type as written: a head and its arguments."""

    pos: Pos
    name: str
    args: tuple[SType, ...] = ()

    def __str__(self) -> str:
        parts = [f"({a})" if a.args else str(a) for a in self.args]
        return " ".join([self.name, *parts])


@dataclass(frozen=True)
class SBinder:
    """`(name : type)`."""

    pos: Pos
    name: str
    type: SType


@dataclass(frozen=True)
class SName:
    """An identifier in a term."""

    pos: Pos
    name: str


@dataclass(frozen=True)
class SHole:
    """`_` in a term."""

    pos: Pos


@dataclass(frozen=True)
class SApply:
    """`head arg …`."""

    pos: Pos
    head: STerm
    args: tuple[STerm, ...]


@dataclass(frozen=True)
class SLet:
    """`let name [: type] := value in body`."""

    pos: Pos
    name: str
    type: SType | None
    value: STerm
    body: STerm


@dataclass(frozen=True)
class SIf:
    """`if scrutinee then yes else no`."""

    pos: Pos
    scrutinee: STerm
    yes: STerm
    no: STerm


@dataclass(frozen=True)
class SNumeral:
    """A numeral of type nat."""

    pos: Pos
    value: int


@dataclass(frozen=True)
class SRecord:
    """`{| field := term; … |}`."""

    pos: Pos
    fields: tuple[tuple[SName, STerm], ...]


@dataclass(frozen=True)
class SClause:
    """Alternative rows of patterns (`p, q | r, s`) and their right-hand side."""

    pos: Pos
    rows: tuple[tuple[SPattern, ...], ...]
    body: STerm


@dataclass(frozen=True)
class SMatch:
    """`match scrutinee, … with clause … end`."""

    pos: Pos
    scrutinees: tuple[STerm, ...]
    clauses: tuple[SClause, ...]


@dataclass(frozen=True)
class PAny:
    """`_`."""

    pos: Pos


@dataclass(frozen=True)
class PName:
    """A name by itself: a constant constructor, or a variable."""

    pos: Pos
    name: str


@dataclass(frozen=True)
class PApply:
    """A constructor with argument patterns."""

    pos: Pos
    name: str
    args: tuple[SPattern, ...]


@dataclass(frozen=True)
class PAs:
    """`pattern as name`."""

    pos: Pos
    pattern: SPattern
    name: str


@dataclass(frozen=True)
class POr:
    """`(p | q)`."""

    pos: Pos
    choices: tuple[SPattern, ...]


@dataclass(frozen=True)
class PNumeral:
    """A numeral of type nat."""

    pos: Pos
    value: int


@dataclass(frozen=True)
class PRecord:
    """`{| field := pattern; … |}`; fields left out match anything."""

    pos: Pos
    fields: tuple[tuple[SName, SPattern], ...]


STerm: TypeAlias = SName | SHole | SApply | SLet | SIf | SMatch | SNumeral | SRecord
SPattern: TypeAlias = PAny | PName | PApply | PAs | POr | PNumeral | PRecord


@dataclass(frozen=True)
class SConstructor:
    """A constructor and its argument types; `result` is given where the arrow form is used."""

    pos: Pos
    name: str
    args: tuple[SType, ...]
    result: SType | None


@dataclass(frozen=True)
class SInductive:
    """One type of an Inductive sentence, with its parameters; `fields` names those of a record."""

    pos: Pos
    name: str
    params: tuple[str, ...]
    constructors: tuple[SConstructor, ...]
    fields: tuple[SName, ...] = ()


@dataclass(frozen=True)
class SFunction:
    """A definition, or one function of a Fixpoint sentence; `struct` as written, if it is."""

    pos: Pos
    name: str
    binders: tuple[SBinder, ...]
    struct: str | None
    result: SType | None
    body: STerm
    recursive: bool


@dataclass(frozen=True)
class SArguments:
    """`Arguments name {A} [B] …`: whether each leading argument is implicit.

    `before_others`: whether it is in square brackets, implicit only in front of another argument.
    """

    pos: Pos
    name: str
    implicit: tuple[bool, ...]
    before_others: tuple[bool, ...]


@dataclass(frozen=True)
class SPragma:
    """`Require Import …` and the like; `words` as written."""

    pos: Pos
    words: tuple[str, ...]


@dataclass(frozen=True)
class SBlock:
    """The types, or the functions, of one sentence (joined by `with`)."""

    pos: Pos
    members: tuple[SInductive, ...] | tuple[SFunction, ...]


Sentence: TypeAlias = SBlock | SArguments | SPragma
