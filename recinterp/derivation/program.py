"""Properties of a program's functions, found before any machine is made of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from recinterp.derivation.terms import Mark, Owned
from recinterp.semantics.ast import (
    Arm,
    Call,
    Construct,
    Expr,
    Function,
    Inductive,
    Let,
    Match,
    Param,
    Program,
    Var,
    children,
    walk,
)


class ProgramFacts:
    """A program with its matches owned, and the properties of functions that compiling needs.

    by_value: whether every intermediate result of a recursive function is worked out before what
    waits for it goes on.
    """

    def __init__(self, program: Program, *, by_value: bool = False) -> None:
        self.program, self.by_value = program, by_value
        self.functions = {
            f.name: replace(f, body=_own_matches(f.body, f.name)) for f in program.functions
        }
        for ind in program.types:
            if self.is_linear(ind.name):
                strip = self._make_strip_function(ind)
                self.functions[strip.name] = strip

    def is_spine(self, type_: str) -> bool:
        """Whether constructors are constants, or have one argument of the type, at the end."""
        return all(
            not c.args or (c.args[-1] == type_ and type_ not in c.args[:-1])
            for c in self.program.type(type_).constructors
        )

    def is_linear(self, type_: str) -> bool:
        """Whether terms are lists: such a type with one constant, and more than that."""
        constructors = self.program.type(type_).constructors
        constants = sum(not c.args for c in constructors)
        return self.is_spine(type_) and constants == 1 and len(constructors) > 1

    def constant_of(self, type_: str) -> str:
        """The constant of a linear type."""
        return next(c.name for c in self.program.type(type_).constructors if not c.args)

    def _make_strip_function(self, ind: Inductive) -> Function:
        arms = []
        for c in ind.constructors:
            names = tuple(f"x{i}" for i in range(len(c.args)))
            body: Expr = Construct(Mark.END_OF + ind.name, ind.name)
            if names:
                tail = Call(Mark.STRIP + ind.name, (Var(names[-1]),))
                body = Construct(c.name, ind.name, (*map(Var, names[:-1]), tail))
            arms.append(Arm(c.name, names, body))
        arms.append(Arm(Mark.END_OF + ind.name, (), Construct(Mark.END_OF + ind.name, ind.name)))
        body = Owned(Var("l"), ind.name, tuple(arms), ind.name, owner="")
        name = Mark.STRIP + ind.name
        return Function(name, (Param("l", ind.name),), ind.name, body, 0, (name,))

    @cached_property
    def callees(self) -> dict[str, frozenset[str]]:
        """Function -> every function its body may come to call."""
        calls = {n: {e.function for e in walk(f.body) if isinstance(e, Call)}
                 for n, f in self.functions.items()}  # fmt: skip
        closed = {n: set(c) for n, c in calls.items()}
        changed = True
        while changed:
            changed = False
            for found in closed.values():
                more = set().union(*(closed[g] for g in found)) - found if found else set()
                found |= more
                changed = changed or bool(more)
        return {n: frozenset(c) for n, c in closed.items()}

    def is_recursive(self, name: str) -> bool:
        """Whether a function may come to call itself."""
        return name in self.callees[name]

    def mutual_block(self, name: str) -> frozenset[str]:
        """The functions that call each other with this one."""
        return frozenset(g for g in self.callees[name] if name in self.callees[g])

    def is_deep(self, name: str) -> bool:
        """Whether it returns a constant and calls itself other than in tail position.

        By value: any recursive function.
        """
        if self.by_value and self.is_recursive(name):
            return True
        if not self.program.type(self.functions[name].result).is_enumeration:
            return False
        group = self.mutual_block(name)
        return any(_inner_call(self.functions[g].body, group) for g in group)

    @cached_property
    def accumulators(self) -> frozenset[tuple[str, int]]:
        """Parameters that end up, whole and once, as the tail of a linear result."""
        found = {
            (f.name, i)
            for f in self.functions.values()
            for i, p in enumerate(f.params)
            if p.type == f.result and self.is_spine(p.type)
        }
        while True:
            wrong = {
                (name, i)
                for name, i in found
                if not _ends_in(
                    self.functions[name].body, self.functions[name].params[i].name, found
                )
            }
            if not wrong:
                return frozenset(found)
            found -= wrong


def _own_matches(e: Expr, owner: str) -> Expr:
    match e:
        case Construct(name, type_, args):
            return Construct(name, type_, tuple(_own_matches(a, owner) for a in args))
        case Call(name, args):
            return Call(name, tuple(_own_matches(a, owner) for a in args))
        case Match(scrutinee, type_, arms, result):
            owned = tuple(Arm(a.constructor, a.names, _own_matches(a.body, owner)) for a in arms)
            return Owned(_own_matches(scrutinee, owner), type_, owned, result, owner=owner)
        case Let(name, type_, value, body):
            return Let(name, type_, _own_matches(value, owner), _own_matches(body, owner))
        case _:
            return e


def _inner_call(e: Expr, group: frozenset[str], tail: bool = True) -> bool:
    match e:
        case Call(name, args):
            return (name in group and not tail) or any(_inner_call(a, group, False) for a in args)
        case Match(scrutinee, _, arms):
            return _inner_call(scrutinee, group, False) or any(
                _inner_call(a.body, group, tail) for a in arms
            )
        case Let(_, _, value, body):
            return _inner_call(value, group, False) or _inner_call(body, group, tail)
        case _:
            return any(_inner_call(c, group, False) for c in children(e))


def _mentions_variable(e: Expr, name: str) -> bool:
    return any(isinstance(x, Var) and x.name == name for x in walk(e))


def _ends_in(e: Expr, name: str, accumulators: set[tuple[str, int]]) -> bool:
    match e:
        case Var(v):
            return v == name
        case Construct(args=args) if args:
            return _ends_in(args[-1], name, accumulators) and not any(
                _mentions_variable(a, name) for a in args[:-1]
            )
        case Call(f, args):
            holding = [i for i, a in enumerate(args) if _mentions_variable(a, name)]
            return (
                len(holding) == 1
                and (f, holding[0]) in accumulators
                and _ends_in(args[holding[0]], name, accumulators)
            )
        case Match(scrutinee, _, arms):
            return not _mentions_variable(scrutinee, name) and all(
                _ends_in(a.body, name, accumulators) for a in arms
            )
        case Let(_, _, value, body):
            return not _mentions_variable(value, name) and _ends_in(body, name, accumulators)
        case _:
            return False
