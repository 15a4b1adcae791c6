"""Nested, several-column and or-patterns to one-level matches, column by column from the left, as
Coq compiles them (Cases.ml): a column is matched on where the first row has a constructor left,
and some row has one in that column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from recinterp.semantics import surface_syntax as s
from recinterp.semantics.ast import Arm, Call, Construct, Constructor, Expr, Let, Match, Var, walk
from recinterp.semantics.limits import LIMITS
from recinterp.semantics.scope import Scope

LIST_SUGAR = {"::": "cons", "[]": "nil"}


@dataclass(frozen=True)
class NamedTerm:
    """A surface name's meaning: a core expression and its type."""

    expr: Expr
    type: str


Env = Mapping[str, NamedTerm]


class BranchElaborator(Protocol):
    """The part of `elaborate.BodyElaborator` that compiling a match needs."""

    scope: Scope

    def fresh_name(self, base: str) -> str:
        """A variable name that nothing else in the function has."""

    def count_node(self, pos: s.Pos) -> None:
        """Count one more node of the function's body."""

    def check_term(self, term: s.STerm, env: Env, wanted: str) -> Expr:
        """A branch as a core expression of the wanted type."""

    def record_rebuilt_call(self, old: Call, new: Call) -> None:
        """Note that a rebuilt call stands in the text where the old one stood."""


@dataclass(frozen=True)
class AnyPattern:
    """Matches everything, binding `names`."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConstructorPattern:
    """A constructor over argument patterns, the whole bound to `names`."""

    constructor: str
    args: tuple[Pattern, ...]
    names: tuple[str, ...] = ()


Pattern = AnyPattern | ConstructorPattern


@dataclass(frozen=True)
class PatternRow:
    """Patterns still to be matched, what is bound so far, and the clause it belongs to."""

    patterns: tuple[Pattern, ...]
    clause: s.SClause
    bound: tuple[tuple[str, Expr, str], ...] = ()
    types: tuple[str, ...] = ()
    place: int = 0

    @classmethod
    def of(
        cls,
        body: BranchElaborator,
        row: Sequence[s.SPattern],
        types: Sequence[str],
        clause: s.SClause,
    ) -> PatternRow:
        """The first alternative of a written row, checked against the columns' types."""
        return expand_row(body, row, types, clause)[0]

    def bound_types(self, body: BranchElaborator) -> dict[str, str]:
        """Variable -> type, of everything this row will bind."""
        found: dict[str, str] = {}
        work = list(zip(self.patterns, self.types, strict=True))
        while work:
            pattern, type_ = work.pop()
            found |= dict.fromkeys(pattern.names, type_)
            if isinstance(pattern, ConstructorPattern):
                args = body.scope.instances[type_].constructor(pattern.constructor).args
                work += zip(pattern.args, args, strict=True)
        return found


@dataclass(frozen=True)
class PatternColumn:
    """The expression that a column of patterns is matched against.

    With `alias`, nothing is matched: the column's names stand for `expr`, a constructor applied to
    what a matched computed term was found to be made of.
    """

    expr: Expr
    type: str
    alias: bool = False


def expand_row(
    body: BranchElaborator, row: Sequence[s.SPattern], types: Sequence[str], clause: s.SClause
) -> list[PatternRow]:
    """A written row as rows without or-patterns."""
    if len(row) != len(types):
        body.scope.refuse(row[0].pos, f"{len(row)} patterns for {len(types)} terms")
    columns = [_resolve_pattern(body, p, t) for p, t in zip(row, types, strict=True)]
    whole: list[tuple[Pattern, ...]] = [()]
    for column in columns:
        whole = [(*before, pattern) for before in whole for pattern in column]
        if len(whole) > LIMITS.max_pattern_rows:
            body.scope.refuse_as_outside(
                clause.pos, "an or-pattern with this many cases", "split it"
            )
    return [PatternRow(patterns, clause, (), tuple(types)) for patterns in whole]


def _rows_of_clause(
    body: BranchElaborator, clause: s.SClause, types: Sequence[str]
) -> list[PatternRow]:
    rows = [r for row in clause.rows for r in expand_row(body, row, types, clause)]
    _check_linear(body, rows, clause)
    return rows


def _check_linear(body: BranchElaborator, rows: list[PatternRow], clause: s.SClause) -> None:
    for row in rows:
        names = [n for p in row.patterns for n in _bound_names(p)]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice:
            body.scope.refuse(
                clause.pos,
                f"{twice!r} is bound twice in one pattern",
                "give each part a name of its own",
            )
        if row.bound_types(body) != rows[0].bound_types(body):
            body.scope.refuse(clause.pos, "the alternatives bind different names")


def _bound_names(pattern: Pattern) -> list[str]:
    inner = (
        [n for a in pattern.args for n in _bound_names(a)]
        if isinstance(pattern, ConstructorPattern)
        else []
    )
    return [*pattern.names, *inner]


def _resolve_pattern(body: BranchElaborator, pattern: s.SPattern, type_: str) -> list[Pattern]:
    """The alternatives of a written pattern of a type; GallinaTypeError where it does not fit."""
    match pattern:
        case s.PAny():
            return [AnyPattern()]
        case s.PAs(pattern=inner, name=name):
            return [
                replace(p, names=(*p.names, name)) for p in _resolve_pattern(body, inner, type_)
            ]
        case s.POr(choices=choices):
            return [p for choice in choices for p in _resolve_pattern(body, choice, type_)]
        case s.PName(name=name):
            if LIST_SUGAR.get(name, name) not in body.scope.constructors:
                if "." in name:
                    body.scope.refuse_unknown(pattern.pos, name, ())
                body.scope.check_variable(pattern.pos, name)
                return [AnyPattern((name,))]
            return _resolve_constructor(body, pattern.pos, name, (), type_)
        case s.PApply(name=name, args=args):
            return _resolve_constructor(body, pattern.pos, name, args, type_)
        case s.PNumeral(pos=pos, value=value):
            body.scope.check_numerals(pos)
            if type_ != "nat":
                body.scope.refuse(pos, f"{value} is of type nat, not of {type_}")
            whole: Pattern = ConstructorPattern("O", ())
            for _ in range(value):
                whole = ConstructorPattern("S", (whole,))
            return [whole]
        case s.PRecord(pos=pos, fields=fields):
            name, args = body.scope.order_fields(pos, fields, s.PAny(pos))
            hidden = sum(not flag for flag in body.scope.implicit[name])
            given = (*(s.PAny(pos) for _ in range(hidden)), *args)
            return _resolve_constructor(body, pos, name, given, type_)


def _resolve_constructor(
    body: BranchElaborator, pos: s.Pos, name: str, args: tuple[s.SPattern, ...], type_: str
) -> list[Pattern]:
    name = LIST_SUGAR.get(name, name)
    ind = body.scope.instances[type_]
    if name not in body.scope.constructors:
        body.scope.refuse(pos, f"{name!r} is not a constructor")
    if name not in ind.index or body.scope.constructors[name][0] != body.scope.heads[type_][0]:
        body.scope.refuse(pos, f"{name!r} is not a constructor of {type_}")
    explicit = sum(not hidden for hidden in body.scope.implicit[name])
    types = ind.constructor(name).args
    if len(args) != explicit + len(types):
        body.scope.refuse(
            pos, f"{name!r} takes {explicit + len(types)} arguments in a pattern, not {len(args)}"
        )
    for arg in args[:explicit]:
        if not isinstance(arg, s.PAny):
            body.scope.refuse(arg.pos, "a type argument binds nothing in a pattern", "write _")
    whole: list[tuple[Pattern, ...]] = [()]
    for arg, arg_type in zip(args[explicit:], types, strict=True):
        inner = _resolve_pattern(body, arg, arg_type)
        whole = [(*before, p) for before in whole for p in inner]
        if len(whole) > LIMITS.max_pattern_rows:
            body.scope.refuse_as_outside(pos, "an or-pattern with this many cases", "split it")
    return [ConstructorPattern(name, parts) for parts in whole]


@dataclass
class _MatchCompiler:
    body: BranchElaborator
    term: s.SMatch
    env: Env
    result: str
    reached: set[int] = field(default_factory=set)

    def build_expression(
        self, columns: tuple[PatternColumn, ...], rows: list[PatternRow], path: tuple[str, ...]
    ) -> Expr:
        """The expression that tries the rows in order on the columns."""
        self.body.count_node(self.term.pos)
        if not rows:
            missing = ", ".join(path) or "any case"
            self.body.scope.refuse(self.term.pos, f"no clause covers {missing}", "add one")
        if not columns:
            return self._build_leaf(rows[0])
        if all(isinstance(pattern, AnyPattern) for pattern in rows[0].patterns):
            rows = rows[:1]  # whatever comes, the first row takes it
        if columns[0].alias:
            return self._build_alias(columns, rows, path)
        if all(isinstance(row.patterns[0], AnyPattern) for row in rows):
            return self.build_expression(
                columns[1:], [_bind_column(row, columns[0].expr) for row in rows], (*path, "_")
            )
        return self._build_match(columns, rows, path)

    def _build_leaf(self, row: PatternRow) -> Expr:
        self.reached.add(row.place)
        env = {**self.env, **{name: NamedTerm(expr, type_) for name, expr, type_ in row.bound}}
        return self.body.check_term(row.clause.body, env, self.result)

    def _build_alias(
        self, columns: tuple[PatternColumn, ...], rows: list[PatternRow], path: tuple[str, ...]
    ) -> Expr:
        """As Coq: a let where the name is used more than once, its value in place otherwise."""
        hint = next((n for row in rows for n in row.patterns[0].names), "x")
        name = self.body.fresh_name(hint)
        inner = self.build_expression(
            columns[1:], [_bind_column(row, Var(name)) for row in rows], path
        )
        used = sum(isinstance(e, Var) and e.name == name for e in walk(inner))
        if used <= 1:
            return replace_variable(inner, name, columns[0].expr, self.body.record_rebuilt_call)
        return Let(name, columns[0].type, columns[0].expr, inner)

    def _build_match(
        self, columns: tuple[PatternColumn, ...], rows: list[PatternRow], path: tuple[str, ...]
    ) -> Expr:
        column, *rest = columns
        arms = []
        for constructor in self.body.scope.instances[column.type].constructors:
            hints = _argument_hints(rows, constructor.name, len(constructor.args))
            names = tuple(self.body.fresh_name(hint) for hint in hints)
            whole = Construct(constructor.name, column.type, tuple(Var(n) for n in names))
            inner = [PatternColumn(Var(n), t) for n, t in zip(names, constructor.args, strict=True)]
            later = rest
            aliased = not isinstance(column.expr, Var)
            if isinstance(column.expr, Var):
                known = column.expr.name
                later = [
                    replace(
                        c,
                        expr=replace_variable(c.expr, known, whole, self.body.record_rebuilt_call),
                    )
                    if c.alias
                    else c
                    for c in rest
                ]
            else:
                inner.append(PatternColumn(whole, column.type, alias=True))
            remaining = _specialise_rows(rows, constructor, column, aliased)
            here = (*path, " ".join([constructor.name, *("_" for _ in names)]))
            arms.append(
                Arm(
                    constructor.name,
                    names,
                    self.build_expression((*inner, *later), remaining, here),
                )
            )
        return Match(column.expr, column.type, tuple(arms), self.result)


def replace_variable(
    expr: Expr, name: str, value: Expr, note: Callable[[Call, Call], None]
) -> Expr:
    """`expr` with a variable replaced; `note` gets each call and what it was rebuilt as."""

    def go(at: Expr) -> Expr:
        match at:
            case Var():
                return value if at.name == name else at
            case Construct() | Call():
                new = replace(at, args=tuple(go(a) for a in at.args))
                if isinstance(at, Call) and isinstance(new, Call):
                    note(at, new)
                return new
            case Match():
                arms = tuple(replace(a, body=go(a.body)) for a in at.arms)
                return replace(at, scrutinee=go(at.scrutinee), arms=arms)
            case Let():
                return replace(at, value=go(at.value), body=go(at.body))

    return go(expr)


def _bind_column(row: PatternRow, expr: Expr) -> PatternRow:
    names = row.patterns[0].names
    bound = tuple((name, expr, row.types[0]) for name in names)
    return replace(row, patterns=row.patterns[1:], types=row.types[1:], bound=row.bound + bound)


def _specialise_rows(
    rows: list[PatternRow], constructor: Constructor, column: PatternColumn, aliased: bool
) -> list[PatternRow]:
    """The rows that this constructor leaves, with a pattern for each of its arguments.

    `aliased`: a last one is added that takes the names given to the whole.
    """
    remaining = []
    for row in rows:
        first = row.patterns[0]
        if isinstance(first, ConstructorPattern) and first.constructor != constructor.name:
            continue
        parts = (
            first.args
            if isinstance(first, ConstructorPattern)
            else (AnyPattern(),) * len(constructor.args)
        )
        types = constructor.args
        if aliased:
            parts, types = (*parts, AnyPattern(first.names)), (*types, column.type)
            row = replace(row, patterns=row.patterns[1:], types=row.types[1:])
        else:
            row = _bind_column(row, column.expr)
        remaining.append(replace(row, patterns=(*parts, *row.patterns), types=(*types, *row.types)))
    return remaining


def _argument_hints(rows: list[PatternRow], constructor: str, arity: int) -> list[str]:
    """A name for each argument: the first that a row gives it."""
    hints = [""] * arity
    for row in rows:
        first = row.patterns[0]
        if isinstance(first, ConstructorPattern) and first.constructor == constructor:
            hints = [h or next(iter(a.names), "") for h, a in zip(hints, first.args, strict=True)]
    return [h or "x" for h in hints]


def compile_match(
    body: BranchElaborator,
    term: s.SMatch,
    scrutinees: Sequence[tuple[Expr, str]],
    env: Env,
    result: str,
) -> Expr:
    """A written match as one-level matches; GallinaTypeError where a case is missing or
    unreachable.
    """
    types = [t for _, t in scrutinees]
    found = [r for c in term.clauses for r in _rows_of_clause(body, c, types)]
    rows = [replace(row, place=i) for i, row in enumerate(found)]
    compiler = _MatchCompiler(body, term, env, result)
    whole = compiler.build_expression(tuple(PatternColumn(e, t) for e, t in scrutinees), rows, ())
    for row in rows:
        if row.place not in compiler.reached:
            body.scope.refuse(
                row.clause.pos, "this clause, or a choice in it, is never reached", "delete it"
            )
    return whole
