"""Match statements: cases in columns, conditions on cases, and cases that are missing."""

# ruff: noqa: RET503 (what refuses never returns)

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from recinterp.tasks.from_python.fields import match_fields
from recinterp.tasks.from_python.gallina import (
    Code,
    Env,
    Piece,
    build_clause,
    build_if,
    build_match,
)
from recinterp.tasks.from_python.patterns import Bindings, Pattern, PatternCoverage, Shape
from recinterp.tasks.from_python.translator import Translator
from recinterp.tasks.from_python.types import BOOL, PyType

Clause: TypeAlias = tuple[Piece, ...]
Row: TypeAlias = tuple[Shape, ...]


@dataclass(frozen=True)
class CasePattern:
    """The pattern of a case: its text, the rows of shapes it matches, what it binds."""

    text: str
    rows: list[Row]
    bound: Bindings

    @property
    def matches_anything(self) -> bool:
        """Whether it is `_`, in each column."""
        return not self.bound and len(self.rows) == 1 and not any(self.rows[0])


def translate_match(
    translator: Translator, node: ast.Match, rest: Sequence[ast.stmt], env: Env, wanted: PyType,
    indent: int,
) -> Code:  # fmt: skip
    """A match statement; what comes after it belongs to each case."""
    first = node.cases[0].pattern if node.cases else None
    is_columns = isinstance(node.subject, ast.Tuple) and isinstance(
        first, ast.MatchSequence | ast.MatchOr | ast.MatchAs
    )
    subjects = node.subject.elts if is_columns else [node.subject]  # type: ignore[attr-defined]
    on = [translator.translate_expression(s, env, None, indent) for s in subjects]
    return MatchTranslator(translator, node, on, rest, wanted).build_cases(node.cases, env, indent)


@dataclass(frozen=True)
class MatchTranslator:
    """Translates one match statement.

    Attributes:
        translator: Translates the statements and conditions of the cases.
        node: The match statement.
        on: The values that are matched on, one for each column.
        rest: The statements after it.
        wanted: The type of the result.
    """

    translator: Translator
    node: ast.Match
    on: Sequence[Code]
    rest: Sequence[ast.stmt]
    wanted: PyType

    @property
    def types(self) -> list[PyType]:
        """The types of the columns."""
        return [code.type for code in self.on]

    @property
    def coverage(self) -> PatternCoverage:
        """Finds what rows of shapes match."""
        return PatternCoverage(self.translator.table)

    def build_cases(self, cases: Sequence[ast.match_case], env: Env, indent: int) -> Code:
        """The match on the first cases to one with a condition, or on all."""
        rows, clauses, raises = list[Row](), list[Clause](), False
        for i, case in enumerate(cases):
            if _only_raises(case.body):
                raises = True
                continue
            pattern = self._read_case(case, rows)
            rows += pattern.rows
            if case.guard is not None:
                later = cases[i + 1 :]
                clauses += self._build_guarded_case(
                    case, case.guard, pattern, rows, later, env, indent
                )
                return self._build_match(clauses, indent)
            if not clauses and pattern.matches_anything:
                return self._build_rest(case.body, env, indent)
            clauses.append(self._build_case(case, pattern, env, indent))
        clauses += self._build_missing_case(rows, raises, env, indent)
        return self._build_match(clauses, indent)

    def _build_match(self, clauses: Sequence[Clause], indent: int) -> Code:
        place = self.translator.source.place(self.node)
        return build_match(place, self.on, clauses, self.wanted, indent)

    def _build_rest(self, body: Sequence[ast.stmt], env: Env, indent: int) -> Code:
        return self.translator.translate_block([*body, *self.rest], env, self.wanted, indent)

    def _build_wildcard(self, node: ast.AST, body: Code, indent: int) -> Clause:
        wild = ", ".join("_" for _ in self.on)
        return build_clause(self.translator.source.place(node), wild, body, indent)

    # kinds of cases
    def _build_case(
        self, case: ast.match_case, pattern: CasePattern, env: Env, indent: int
    ) -> Clause:
        """The clause of a case without a condition."""
        body = match_fields(
            self.translator,
            pattern.bound,
            [*case.body, *self.rest],
            env.bind(pattern.bound),
            indent + 4,
            lambda known, at: self._build_rest(case.body, known, at),
        )
        place = self.translator.source.place(case.pattern)
        return build_clause(place, pattern.text, body, indent)

    def _build_guarded_case(
        self, case: ast.match_case, guard: ast.expr, pattern: CasePattern, rows: Sequence[Row],
        later: Sequence[ast.match_case], env: Env, indent: int,
    ) -> list[Clause]:  # fmt: skip
        """The clause of a case with a condition, and one for what its pattern does not match.

        Both go on with the later cases. `rows` are those to this case, its own among them.
        """
        self._refuse_captured_subject(case, pattern.bound)
        inner = env.bind(pattern.bound)
        yes = self._build_rest(case.body, inner, indent + 6)
        test = self.translator.translate_expression(guard, inner, BOOL, indent + 4)
        no = self._build_later_cases(later, inner, indent + 6)
        body = build_if(self.translator.source.place(guard), test, yes, no, indent + 4)
        place = self.translator.source.place(case.pattern)
        clauses = [build_clause(place, pattern.text, body, indent)]
        if self.coverage.is_useful(rows, tuple(None for _ in self.on), self.types):
            others = self._build_later_cases(later, env, indent + 4)
            clauses.append(self._build_wildcard(case.pattern, others, indent))
        return clauses

    def _build_later_cases(self, later: Sequence[ast.match_case], env: Env, indent: int) -> Code:
        if not later:
            return self._build_rest((), env, indent)
        return self.build_cases(later, env, indent)

    def _refuse_captured_subject(self, case: ast.match_case, bound: Bindings) -> None:
        """Later cases match on the subject again: its names may not stand for its parts by then."""
        words = {word for code in self.on for word in code.split_words()}
        if words & {own for own, _ in bound.values()}:
            problem = "a case with a condition gives a name of the subject to its parts"
            self.translator.refuse(case.pattern, problem, "choose another name")

    def _build_missing_case(
        self, rows: Sequence[Row], raises: bool, env: Env, indent: int
    ) -> list[Clause]:
        """The clause of what no case matches: the statements after the match."""
        missing = self.coverage.find_missing(rows, self.types)
        if missing is None:
            return []
        if not self.rest or raises:
            shown = ", ".join(missing)
            problem = f"{'an error is raised for' if raises else 'no case matches'} {shown}"
            self.translator.refuse(self.node, problem, "write a case for it that returns a value")
        body = self._build_rest((), env, indent + 4)
        return [self._build_wildcard(self.node, body, indent)]

    # patterns of cases
    def _read_case(self, case: ast.match_case, rows: Sequence[Row]) -> CasePattern:
        """The pattern of a case. PythonTranslationError where the rows before it match it all."""
        found = self._read_columns(case.pattern)
        own = [row for columns in found for row in _combine_shapes(columns)]
        if not any(self.coverage.is_useful(rows, row, self.types) for row in own):
            self.translator.refuse(case.pattern, "this case is never reached", "delete it")
        text = " | ".join(", ".join(p.outermost for p in columns) for columns in found)
        return CasePattern(text, own, {k: v for p in found[0] for k, v in p.bound.items()})

    def _read_columns(self, pattern: ast.pattern) -> list[tuple[Pattern, ...]]:
        """The rows of a case, a pattern for each column."""
        reader, types = self.translator.patterns, self.types
        if len(types) == 1:
            return [(reader.read(pattern, types[0]),)]
        match pattern:
            case ast.MatchAs(pattern=None, name=None):
                return [tuple(Pattern("_") for _ in types)]
            case ast.MatchOr(patterns=choices):
                rows = [row for choice in choices for row in self._read_columns(choice)]
                if any(p.bound for row in rows for p in row):
                    problem = "alternatives of several columns bind names"
                    self.translator.refuse(pattern, problem, "write _")
                return rows
            case ast.MatchSequence(patterns=parts) if len(parts) == len(types):
                return [tuple(reader.read(p, t) for p, t in zip(parts, types, strict=True))]
        hint = f"write {len(types)} patterns, separated by commas"
        self.translator.refuse(pattern, "this pattern does not match each of the values", hint)


def _only_raises(body: Sequence[ast.stmt]) -> bool:
    last = body[-1]
    is_raise = isinstance(last, ast.Raise)
    value = last.value if isinstance(last, ast.Expr | ast.Return) else None
    is_never = isinstance(value, ast.Call) and ast.unparse(value.func).endswith("assert_never")
    return len(body) == 1 and (is_raise or is_never)


def _combine_shapes(columns: Sequence[Pattern]) -> list[Row]:
    """The rows that patterns of columns match: each shape of one with each of the others."""
    whole: list[Row] = [()]
    for column in columns:
        whole = [(*before, shape) for before in whole for shape in column.shapes]
    return whole
