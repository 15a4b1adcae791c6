"""Closed expressions over places in the input: what a control state of a machine stands for.

A place is a register, an offset, and the subtrees to be skipped from there on; a configuration is
what is still to be written, as a sequence of items, with the place where reading must stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from recinterp.semantics.ast import Arm, Call, Construct, Expr, Let, Match, Var

Skips: TypeAlias = tuple[tuple[str, int], ...]


class Mark(StrEnum):
    """Names that derivations make up; none can be a name of a program.

    Attributes:
        BELOW: Begins the register of a place whose pointer is in a frame below the top.
        SAVED: The register that stands for the pointer of the frame on top of the stack.
        BARE: Joins the type of an argument that is written as its bare data to what ends it.
        END_OF: Begins the constructor that ends a list without being written.
        STRIP: Begins the function that replaces a list's last constructor by that.
    """

    BELOW = "%"
    SAVED = "top"
    BARE = " bare, ends at "
    END_OF = "the end of "
    STRIP = "strip "


@dataclass(frozen=True)
class InputPlace:
    """reg + k, then behind each of `skips`: a subtree of a type, and a number of tokens more."""

    reg: str
    k: int
    skips: Skips = ()

    def shift(self, k: int) -> InputPlace:
        """k tokens further on."""
        if not self.skips:
            return replace(self, k=self.k + k)
        *front, (type_, j) = self.skips
        return replace(self, skips=(*front, (type_, j + k)))

    def skip_subtree(self, type_: str, fixed: int | None) -> InputPlace:
        """Behind a subtree of a type, which may have a fixed number of tokens."""
        if fixed is not None:
            return self.shift(fixed)
        return replace(self, skips=(*self.skips, (type_, 0)))

    def shift_and_skip(self, j: int, skips: Skips) -> InputPlace:
        """j further, then more skips."""
        here = self.shift(j)
        return replace(here, skips=(*here.skips, *skips))


@dataclass(frozen=True)
class InputSubterm(Var):
    """The subterm of a type that starts at a place of the input: a leaf, as a variable is."""

    name: str = field(default="", init=False)
    place: InputPlace
    type: str


@dataclass(frozen=True)
class Hole(Var):
    """Where a returned value goes."""

    name: str = field(default="hole", init=False)


@dataclass(frozen=True)
class Opaque(Var):
    """A value about which nothing is known."""

    name: str = field(default="", init=False)
    index: int


@dataclass(frozen=True)
class Owned(Match):
    """A match that knows whose body it stands in: its ι-steps are that function's."""

    owner: str = ""


@dataclass(frozen=True)
class WriteToken:
    """Write this token."""

    token: str


@dataclass(frozen=True)
class Evaluate:
    """Evaluate to a term of constructors only, and return it."""

    expr: Expr


@dataclass(frozen=True)
class Seek:
    """Find out where a place is."""

    place: InputPlace


@dataclass(frozen=True)
class Take:
    """Take a place from the frame on top of the stack."""

    place: InputPlace


Item: TypeAlias = Expr | WriteToken | Evaluate | Seek | Take


@dataclass(frozen=True)
class Configuration:
    """Items to be written in turn; `stop`: where the input pointer must stand afterwards."""

    items: tuple[Item, ...]
    stop: InputPlace | None = None


@dataclass(frozen=True)
class Return:
    """The end of a configuration; `value`: the term of constructors it evaluates to, if it does."""

    value: Construct | None = None


def rewrite_places(e: Item, on: Callable[[InputPlace], InputPlace]) -> Item:
    """An item with its places changed."""

    def go(x: Expr) -> Expr:
        return _map_leaves(
            x,
            lambda leaf: (
                InputSubterm(on(leaf.place), leaf.type) if isinstance(leaf, InputSubterm) else leaf
            ),
        )

    match e:
        case WriteToken():
            return e
        case Evaluate(expr):
            return Evaluate(go(expr))
        case Seek(place):
            return Seek(on(place))
        case Take(place):
            return Take(on(place))
        case _:
            return go(e)


def rewrite_config(c: Configuration, on: Callable[[InputPlace], InputPlace]) -> Configuration:
    """A configuration with its places changed."""
    return Configuration(
        tuple(rewrite_places(i, on) for i in c.items), None if c.stop is None else on(c.stop)
    )


def substitute(e: Expr, env: Mapping[str, Expr]) -> Expr:
    """e with variables replaced by closed expressions."""
    return _map_leaves(e, lambda leaf: env.get(leaf.name, leaf) if type(leaf) is Var else leaf)


def fill_hole(e: Expr, value: Expr) -> Expr:
    """e with its hole filled."""
    return _map_leaves(e, lambda leaf: value if isinstance(leaf, Hole) else leaf)


def replace_at(e: Item, at: InputSubterm, value: Expr) -> Item:
    """e with a subterm of the input replaced by what it is known to be."""

    def leaf(x: Expr) -> Expr:
        return value if x == at else x

    match e:
        case WriteToken() | Seek() | Take():
            return e
        case Evaluate(expr):
            return Evaluate(_map_leaves(expr, leaf))
        case _:
            return _map_leaves(e, leaf)


def _map_leaves(e: Expr, leaf: Callable[[Expr], Expr]) -> Expr:
    match e:
        case Construct(name, type_, args):
            return Construct(name, type_, tuple(_map_leaves(a, leaf) for a in args)) if args else e
        case Call(name, args):
            return Call(name, tuple(_map_leaves(a, leaf) for a in args))
        case Match():
            arms = tuple(Arm(a.constructor, a.names, _map_leaves(a.body, leaf)) for a in e.arms)
            return replace(e, scrutinee=_map_leaves(e.scrutinee, leaf), arms=arms)
        case Let(name, type_, value, body):
            return Let(name, type_, _map_leaves(value, leaf), _map_leaves(body, leaf))
        case _:
            return leaf(e)


def subexpressions(e: Item) -> Iterator[Expr]:
    """Every subexpression of an item, outermost first, left to right."""
    match e:
        case WriteToken() | Seek() | Take():
            return
        case Evaluate(expr):
            yield from subexpressions(expr)
        case Construct(_, _, args) | Call(_, args):
            yield e
            for a in args:
                yield from subexpressions(a)
        case Match():
            yield e
            yield from subexpressions(e.scrutinee)
            for arm in e.arms:
                yield from subexpressions(arm.body)
        case Let(_, _, value, body):
            yield e
            yield from subexpressions(value)
            yield from subexpressions(body)
        case _:
            yield e


def places_of(c: Configuration) -> Iterator[InputPlace]:
    """Every place a configuration mentions, in the order of its items."""
    for item in c.items:
        if isinstance(item, Seek | Take):
            yield item.place
        yield from (x.place for x in subexpressions(item) if isinstance(x, InputSubterm))
    if c.stop is not None:
        yield c.stop


def is_closed(e: Expr) -> bool:
    """Whether nothing of an expression has to be read."""
    return all(type(x) is not InputSubterm and type(x) is not Hole for x in subexpressions(e))


def is_value(e: Expr) -> bool:
    """Whether an expression is made of constructors only."""
    return all(isinstance(x, Construct) for x in subexpressions(e))


def configuration_size(c: Configuration) -> int:
    """How large a configuration is: one that grows without end needs a stack."""
    return (
        len(c.items)
        + sum(1 for i in c.items for _ in subexpressions(i))
        + sum(len(p.skips) for p in places_of(c))
    )
