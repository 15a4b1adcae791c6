"""Closed expressions over places in the input: what a control state of a machine stands for.

A place is a register, an offset, and the subtrees to be skipped from there on; a configuration is
what is still to be written, as a sequence of items, with the place where reading must stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from recinterp.semantics.ast import Arm, Call, Construct, Expr, Let, Match, Var

Skips: TypeAlias = tuple[tuple[str, int], ...]
BELOW = "%"  # marks a place whose pointer is in a frame below that
SAVED = "top"  # the register that stands for the pointer of the frame on top of the stack


@dataclass(frozen=True)
class Place:
    """reg + k, then behind each of `skips`: a subtree of a type, and a number of tokens more."""

    reg: str
    k: int
    skips: Skips = ()

    def plus(self, k: int) -> Place:
        """k tokens further on."""
        if not self.skips:
            return replace(self, k=self.k + k)
        *front, (type_, j) = self.skips
        return replace(self, skips=(*front, (type_, j + k)))

    def behind(self, type_: str, fixed: int | None) -> Place:
        """Behind a subtree of a type, which may have a fixed number of tokens."""
        if fixed is not None:
            return self.plus(fixed)
        return replace(self, skips=(*self.skips, (type_, 0)))

    def then(self, j: int, skips: Skips) -> Place:
        """j further, then more skips."""
        here = self.plus(j)
        return replace(here, skips=(*here.skips, *skips))


@dataclass(frozen=True)
class At(Var):
    """The subterm of a type that starts at a place of the input: a leaf, as a variable is."""

    name: str = field(default="", init=False)
    place: Place
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
class Tok:
    """Write this token."""

    token: str


@dataclass(frozen=True)
class Val:
    """Evaluate to a term of constructors alone, and return it."""

    expr: Expr


@dataclass(frozen=True)
class Seek:
    """Find out where a place is."""

    place: Place


@dataclass(frozen=True)
class Take:
    """Take a place from the frame on top of the stack."""

    place: Place


Item: TypeAlias = Expr | Tok | Val | Seek | Take


@dataclass(frozen=True)
class Config:
    """Items to be written in turn; `stop`: where the input pointer must stand afterwards."""

    items: tuple[Item, ...]
    stop: Place | None = None


@dataclass(frozen=True)
class Ret:
    """Done with what was asked; `value`: the term of constructors that came out, if one was."""

    value: Construct | None = None


def rewrite(e: Item, on: Callable[[Place], Place]) -> Item:
    """The same item with its places changed."""

    def go(x: Expr) -> Expr:
        return _map_leaves(
            x, lambda leaf: At(on(leaf.place), leaf.type) if isinstance(leaf, At) else leaf
        )

    match e:
        case Tok():
            return e
        case Val(expr):
            return Val(go(expr))
        case Seek(place):
            return Seek(on(place))
        case Take(place):
            return Take(on(place))
        case _:
            return go(e)


def rewrite_config(c: Config, on: Callable[[Place], Place]) -> Config:
    """The same configuration with its places changed."""
    return Config(tuple(rewrite(i, on) for i in c.items), None if c.stop is None else on(c.stop))


def substitute(e: Expr, env: Mapping[str, Expr]) -> Expr:
    """e with variables replaced by closed expressions."""
    return _map_leaves(e, lambda leaf: env.get(leaf.name, leaf) if type(leaf) is Var else leaf)


def fill(e: Expr, value: Expr) -> Expr:
    """e with its hole filled."""
    return _map_leaves(e, lambda leaf: value if isinstance(leaf, Hole) else leaf)


def replace_at(e: Item, at: At, value: Expr) -> Item:
    """e with a subterm of the input replaced by what it is known to be."""

    def leaf(x: Expr) -> Expr:
        return value if x == at else x

    match e:
        case Tok() | Seek() | Take():
            return e
        case Val(expr):
            return Val(_map_leaves(expr, leaf))
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


def nodes(e: Item) -> Iterator[Expr]:
    """Every subexpression of an item, outermost first, left to right."""
    match e:
        case Tok() | Seek() | Take():
            return
        case Val(expr):
            yield from nodes(expr)
        case Construct(_, _, args) | Call(_, args):
            yield e
            for a in args:
                yield from nodes(a)
        case Match():
            yield e
            yield from nodes(e.scrutinee)
            for arm in e.arms:
                yield from nodes(arm.body)
        case Let(_, _, value, body):
            yield e
            yield from nodes(value)
            yield from nodes(body)
        case _:
            yield e


def places(c: Config) -> Iterator[Place]:
    """Every place a configuration mentions, in the order of its items."""
    for item in c.items:
        if isinstance(item, Seek | Take):
            yield item.place
        yield from (x.place for x in nodes(item) if isinstance(x, At))
    if c.stop is not None:
        yield c.stop


def is_closed(e: Expr) -> bool:
    """Whether nothing of an expression has to be read."""
    return all(type(x) is not At and type(x) is not Hole for x in nodes(e))


def is_value(e: Expr) -> bool:
    """Whether an expression is made of constructors alone."""
    return all(isinstance(x, Construct) for x in nodes(e))


def size(c: Config) -> int:
    """How large a configuration is: one that grows without end needs a stack."""
    return (
        len(c.items)
        + sum(1 for i in c.items for _ in nodes(i))
        + sum(len(p.skips) for p in places(c))
    )
