"""Reduction without reading: which subexpression comes next, and lists that end in other lists.

Weak head reduction, leftmost outermost, but for arguments of a type of constants: those are
evaluated first, so that what waits has no growing part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias, cast

from recinterp.derivation.grammar import InputGrammar
from recinterp.derivation.limits import LIMITS
from recinterp.derivation.program import ProgramFacts
from recinterp.derivation.terms import (
    Hole,
    InputSubterm,
    Item,
    Mark,
    Opaque,
    WriteToken,
    fill_hole,
    is_value,
    subexpressions,
    substitute,
)
from recinterp.errors import NotDerivableError
from recinterp.semantics.ast import Call, Construct, Expr, Let, Match, Var

Context: TypeAlias = Callable[[Expr], Expr]
Profile: TypeAlias = tuple[tuple[str, tuple[Expr, ...]], ...]


class SymbolicReducer:
    """Reduces closed expressions of one task's program."""

    def __init__(self, grammar: InputGrammar, known: ProgramFacts) -> None:
        self.grammar, self.known = grammar, known
        self.contexts: dict[tuple[str, Profile], Expr] = {}  # one for each profile

    def find_redex(self, e: Expr, *, whole: bool = False) -> tuple[Expr, Context, bool]:
        """The subexpression to reduce next, what stands around it, whether that is nothing.

        whole: go on below a constructor, until all that is left are constructors.
        """
        inner: Expr | None = None
        match e:
            case Construct(name, type_, args) if whole and not is_value(e):
                i = next(i for i, a in enumerate(args) if not is_value(a))
                redex, context, _ = self.find_redex(args[i], whole=True)

                def below(x: Expr) -> Expr:
                    return Construct(name, type_, (*args[:i], context(x), *args[i + 1 :]))

                return redex, below, False
            case Match(scrutinee=Call() | Match() | Let() as inner):
                redex, context, _ = self.find_redex(inner)
                return redex, lambda x: replace(e, scrutinee=context(x)), False
            case Match(scrutinee=Var() as inner):
                return inner, lambda x: replace(e, scrutinee=x), False
            case Let(name, type_, Call() | Match() | Let() as inner, body) if self._is_eager(type_):
                redex, context, _ = self.find_redex(inner)
                return redex, lambda x: Let(name, type_, context(x), body), False
            case Call(f, args):
                for i, (a, p) in enumerate(zip(args, self.known.functions[f].params, strict=True)):
                    if isinstance(a, Call | Match | Let) and self._is_eager(p.type):
                        redex, context, _ = self.find_redex(a)

                        def around(x: Expr, i: int = i, context: Context = context) -> Expr:
                            return Call(f, (*args[:i], context(x), *args[i + 1 :]))

                        return redex, around, False
        return e, lambda x: x, True

    def _is_eager(self, type_: str) -> bool:
        return self.known.by_value or self.grammar.is_enumeration(type_)

    def is_quick(self, item: Item) -> bool:
        """Whether it comes to a constant without recursion."""
        match item:
            case Call(f):
                type_ = self.known.functions[f].result
            case Match(result=str(type_)) if type_:
                pass
            case _:
                return False
        calls = [x.function for x in subexpressions(item) if isinstance(x, Call)]
        constant = self.grammar.is_enumeration(type_)
        return constant and not any(map(self.known.is_recursive, calls))

    def unfold_call(self, call: Call) -> Expr:
        """The body of a function with its arguments put in."""
        f = self.known.functions[call.function]
        return substitute(f.body, {p.name: a for p, a in zip(f.params, call.args, strict=True)})

    def reduce_to_head(self, e: Expr) -> Expr | None:
        """e reduced without reading until its constructor shows; None where it does not."""
        found = self.reduce_outermost(e)
        return found if isinstance(found, Construct | InputSubterm) else None

    def reduce_outermost(self, e: Expr) -> Expr:
        """e reduced, outermost first, until its constructor shows or it has to read."""
        for _ in range(LIMITS.max_unfoldings):
            redex, context, _ = self.find_redex(e)
            match redex:
                case Call():
                    e = context(self.unfold_call(redex))
                case Match(scrutinee=Construct() as made):
                    e = context(select_branch(redex, made))
                case Let(name, _, value, body):
                    e = context(substitute(body, {name: value}))
                case _:
                    break
        return e

    def evaluate_closed(self, e: Expr) -> Expr:
        """The value of an expression in which nothing has to be read."""
        while not is_value(e):
            redex, context, _ = self.find_redex(e, whole=True)
            match redex:
                case Call():
                    e = context(self.unfold_call(redex))
                case Match(scrutinee=made):
                    e = context(select_branch(redex, cast(Construct, made)))
                case Let(name, _, value, body):
                    e = context(substitute(body, {name: value}))
        return e

    # what is written
    def output_items(self, e: Construct) -> tuple[Item, ...]:
        if e.constructor.startswith(Mark.END_OF):
            return ()
        before, after = self.grammar.written_tokens(e.constructor, e.type)
        found: tuple[Item, ...] = (*map(WriteToken, before), *e.args, *map(WriteToken, after))
        return found[::-1] if self.grammar.reverse else found

    # lists that end in lists
    def list_end(self, type_: str) -> Construct:
        """The constructor that ends a list without being written."""
        if self.grammar.bare_output and type_ == self.grammar.function.result:
            return Construct(self.known.constant_of(type_), type_)
        return Construct(Mark.END_OF + type_, type_)

    def strip_end(self, e: Expr, type_: str) -> Expr:
        if self.grammar.bare_output and type_ == self.grammar.function.result:
            return e
        return Call(Mark.STRIP + type_, (e,))

    def split_accumulator(self, call: Call) -> tuple[Item, ...] | None:
        """f x (a list) as: f x (the end), then the list."""
        if self.grammar.encoding.brackets:
            return None
        for i, a in enumerate(call.args):
            type_ = self.known.functions[call.function].params[i].type
            if (call.function, i) in self.known.accumulators and a != self.list_end(type_):
                first = Call(
                    call.function, (*call.args[:i], self.list_end(type_), *call.args[i + 1 :])
                )
                return first, a
        return None

    def split_appended(self, call: Call, context: Expr) -> tuple[Item, ...] | None:
        """E[call] as: the call without its last constructor, then E[that constructor]."""
        type_ = self.known.functions[call.function].result
        if self.grammar.encoding.brackets or not self.known.is_linear(type_):
            return None
        strip = Call(Mark.STRIP + type_, (Hole(),))
        if context in (strip, self.reduce_outermost(strip)):
            return None
        for c in self.grammar.program.type(type_).constructors:
            unknown = tuple(Opaque(i) for i in range(len(c.args)))
            made = Construct(c.name, type_, unknown)
            if not c.args:
                exit_ = fill_hole(context, made)
                continue
            shown = self.reduce_to_head(fill_hole(context, made))
            if not isinstance(shown, Construct) or shown.constructor != c.name:
                return None
            *front, tail = shown.args
            onward = self.reduce_outermost(fill_hole(context, unknown[-1]))
            if tuple(front) != unknown[:-1] or self.reduce_outermost(tail) != onward:
                return None
        closing = self.reduce_to_head(exit_) or exit_
        if isinstance(closing, Construct) and not closing.args and not self.output_items(closing):
            return (self.strip_end(call, type_),)
        return self.strip_end(call, type_), closing

    # functions of lists, element by element
    def context_profile(self, context: Expr, type_: str) -> Profile | None:
        """What each constructor of a list becomes in a context that goes on as it began."""
        if self.grammar.encoding.brackets or not self.known.is_linear(type_):
            return None
        found: list[tuple[str, tuple[Expr, ...]]] = []
        for c in self.grammar.program.type(type_).constructors:
            unknown = tuple(Opaque(i) for i in range(len(c.args)))
            here = self.reduce_outermost(fill_hole(context, Construct(c.name, type_, unknown)))
            if not c.args:
                found.append((c.name, (here,)))
                continue
            onward = self.reduce_outermost(fill_hole(context, unknown[-1]))
            made: list[Expr] = []
            while here != onward:
                if (
                    not isinstance(here, Construct)
                    or not here.args
                    or len(made) == LIMITS.max_list_constructors
                ):
                    return None
                front = tuple(map(self.reduce_outermost, here.args[:-1]))
                if any(x == unknown[-1] for e in front for x in subexpressions(e)):
                    return None
                made.append(Construct(here.constructor, here.type, front))
                here = self.reduce_outermost(here.args[-1])
            found.append((c.name, tuple(made)))
        return tuple(found)

    def split_context(self, call: Call, context: Expr) -> tuple[Item, ...] | None:
        """A recursive call and what is made of the list it gives, as items."""
        parts = self.split_appended(call, context)
        if parts is not None:
            return parts
        function = self.known.functions[call.function]
        shape = self.context_profile(context, function.result)
        if shape is None:
            return None
        same = self.contexts.setdefault((function.result, shape), context)
        if same != context:
            return (fill_hole(same, call),)
        return self.distribute_context(call, context, self._context_type(context))

    def _context_type(self, context: Expr) -> str:
        """The type of an expression that is reduced at its scrutinee."""
        match context:
            case Match(result=str(result)) if result:
                return result
            case Call(f):
                return self.known.functions[f].result
        return ""

    def distribute_context(self, call: Call, context: Expr, result: str) -> tuple[Item, ...] | None:
        """E[f x (a list)] as: E[f x nil] without its last constructor, then E[the list]."""
        for i, a in enumerate(call.args):
            type_ = self.known.functions[call.function].params[i].type
            if (call.function, i) not in self.known.accumulators:
                continue
            shape = self.context_profile(context, type_)
            if shape is None or not self.known.is_linear(result):
                continue
            none = Construct(self.known.constant_of(type_), type_)
            first = fill_hole(
                context, Call(call.function, (*call.args[:i], none, *call.args[i + 1 :]))
            )
            end = dict(shape)[none.constructor]
            if a != none and end == (self.list_end(result),):
                return first, fill_hole(context, a)
            if a != none and end == (Construct(self.known.constant_of(result), result),):
                return self.strip_end(first, result), fill_hole(context, a)
        return None


def select_branch(match: Match, made: Construct) -> Expr:
    """The branch of a match on a constructor."""
    if made.constructor.startswith(Mark.END_OF) and all(
        a.constructor != made.constructor for a in match.arms
    ):
        raise NotDerivableError(
            "derive a machine",
            "a list is read again after another was put at its end",
            "read the list before it is extended",
        )
    arm = match.arm(made.constructor)
    return substitute(arm.body, dict(zip(arm.names, made.args, strict=True)))
