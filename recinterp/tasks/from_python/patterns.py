"""Python patterns as Gallina's, and what they match: what is never reached, what is missing."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from recinterp.tasks.from_python.python_source import PythonFunction
from recinterp.tasks.from_python.types import BOOL, ListOf, PyType, TupleOf, TypeCase, TypeTable

Shape: TypeAlias = "tuple[str, tuple[Shape, ...]] | None"  # None matches anything
Bindings: TypeAlias = "dict[str, tuple[str, PyType]]"


@dataclass(frozen=True)
class Pattern:
    """A pattern: its text, the shapes it matches (or-patterns give several), what it binds."""

    text: str
    shapes: tuple[Shape, ...] = (None,)
    bound: Bindings = field(default_factory=dict)

    @property
    def outermost(self) -> str:
        """The text where it stands for a whole column: without brackets around it."""
        is_bracketed = self.text.startswith("(") and " as " not in self.text
        return self.text[1:-1] if is_bracketed and " | " not in self.text else self.text


@dataclass(frozen=True)
class PatternReader:
    """Reads the patterns of one function; `rename` gives a variable its name in Gallina."""

    source: PythonFunction
    table: TypeTable
    rename: Callable[[str], str]

    def read(self, node: ast.pattern, type_: PyType) -> Pattern:
        """A pattern of a type. PythonTranslationError where it does not fit."""
        match node:
            case ast.MatchAs(pattern=None, name=None):
                return Pattern("_")
            case ast.MatchAs(pattern=None, name=str(name)):
                return self._capture(name, type_)
            case ast.MatchAs(pattern=ast.pattern() as inner, name=str(name)):
                found = self.read(inner, type_)
                alias = self.rename(name)
                text = f"({found.text} as {alias})"
                return Pattern(text, found.shapes, {**found.bound, name: (alias, type_)})
            case ast.MatchOr(patterns=choices):
                return self._read_choices(choices, type_)
            case ast.MatchSequence(patterns=parts):
                return self._read_sequence(node, parts, type_)
            case ast.MatchClass():
                return self._read_class(node, type_)
            case ast.MatchSingleton(value=bool(value)) if type_ == BOOL:
                return self._constructor(self.table.constructors(BOOL)[0 if value else 1], ())
            case ast.MatchValue(value=value):
                return self._read_value(node, value, type_)
        return self._refuse(node, "this pattern cannot be translated", "write class patterns")

    def _refuse(self, node: ast.AST, problem: str, hint: str) -> Pattern:
        self.source.refuse(node, problem, hint)

    def _capture(self, name: str, type_: PyType) -> Pattern:
        alias = self.rename(name)
        return Pattern(alias, (None,), {name: (alias, type_)})

    def _read_choices(self, choices: Sequence[ast.pattern], type_: PyType) -> Pattern:
        read = [self.read(choice, type_) for choice in choices]
        if any(p.bound.keys() != read[0].bound.keys() for p in read):
            self._refuse(choices[0], "the alternatives bind different names", "bind the same")
        text = " | ".join(p.outermost for p in read)
        shapes = tuple(s for p in read for s in p.shapes)
        return Pattern(f"({text})", shapes, read[0].bound)

    def _constructor(self, made: TypeCase, parts: Sequence[Pattern]) -> Pattern:
        text = " ".join([made.name, *(p.text for p in parts)])
        bound: Bindings = {}
        inner: list[tuple[Shape, ...]] = [()]
        for part in parts:
            bound |= part.bound
            inner = [(*before, shape) for before in inner for shape in part.shapes]
        shapes = tuple((made.name, parts_) for parts_ in inner)
        return Pattern(f"({text})" if parts else text, shapes, bound)

    def _read_class(self, node: ast.MatchClass, type_: PyType) -> Pattern:
        cls = self.source.find_object(node.cls)
        if cls not in self.table.of_class or self.table.of_class[cls][0] != type_:
            cases = " or ".join(c.shown for c in self.table.constructors(type_))
            self._refuse(node, f"{ast.unparse(node.cls)} is no case of {type_}", f"write {cases}")
        made = self.table.constructors(type_)[self.table.of_class[cls][1]]
        args: list[ast.pattern | None] = [*node.patterns]
        args += [None] * (len(made.fields) - len(args))
        if len(args) > len(made.fields):
            self._refuse(node, f"{made.shown} has {len(made.fields)} fields", "leave the rest out")
        for name, pattern in zip(node.kwd_attrs, node.kwd_patterns, strict=True):
            if name not in made.fields:
                self._refuse(node, f"{made.shown} has no field {name!r}", "name one it has")
            args[made.fields.index(name)] = pattern
        parts = [
            Pattern("_") if a is None else self.read(a, t)
            for a, t in zip(args, made.types, strict=True)
        ]
        return self._constructor(made, parts)

    def _read_value(self, node: ast.AST, value: ast.expr, type_: PyType) -> Pattern:
        member = self.source.find_object(value)
        if isinstance(member, Enum) and self.table.of_class.get(member, (None,))[0] == type_:
            return self._constructor(
                self.table.constructors(type_)[self.table.of_class[member][1]], ()
            )
        return self._refuse(node, f"{ast.unparse(value)} is no value of {type_}", "match a case")

    def _read_sequence(self, node: ast.AST, parts: Sequence[ast.pattern], type_: PyType) -> Pattern:
        if isinstance(type_, TupleOf):
            return self._read_pair(node, parts, type_)
        if not isinstance(type_, ListOf):
            self._refuse(node, f"a sequence pattern does not match {type_}", "match a case")
        assert isinstance(type_, ListOf)
        nil, cons = self.table.constructors(type_)
        whole = self._constructor(nil, ())
        items = list(parts)
        if items and isinstance(items[-1], ast.MatchStar):
            name = items.pop().name  # type: ignore[attr-defined]
            whole = Pattern("_") if name is None else self._capture(name, type_)
        for item in reversed(items):
            if isinstance(item, ast.MatchStar):
                self._refuse(item, "a starred name is not the last", "match the first items only")
            whole = self._constructor(cons, (self.read(item, type_.item), whole))
        return whole

    def _read_pair(self, node: ast.AST, parts: Sequence[ast.pattern], type_: PyType) -> Pattern:
        if any(isinstance(p, ast.MatchStar) for p in parts) or len(parts) < 2:
            self._refuse(
                node, f"this pattern does not match {type_}", "write a pattern for each item"
            )
        if not isinstance(type_, TupleOf):
            self._refuse(node, f"this pattern is too long for {type_}", "leave out the last")
        assert isinstance(type_, TupleOf)
        *before, last = parts
        first = (
            self.read(before[0], type_.first)
            if len(before) == 1
            else self._read_pair(node, before, type_.first)
        )
        pair = self.table.constructors(type_)[0]
        return self._constructor(pair, (first, self.read(last, type_.second)))


@dataclass(frozen=True)
class PatternCoverage:
    """What rows of shapes match, after Maranget, Warnings for pattern matching (2007)."""

    table: TypeTable

    def is_useful(
        self, rows: Sequence[tuple[Shape, ...]], row: tuple[Shape, ...], types: Sequence[PyType]
    ) -> bool:
        """Whether a row matches something that the rows before it do not."""
        if not rows or not row:
            return not rows
        first = row[0]
        if first is None and all(r[0] is None for r in rows):
            return self.is_useful([r[1:] for r in rows], row[1:], types[1:])
        for made in self.table.constructors(types[0]):
            if first is not None and first[0] != made.name:
                continue
            inner = [s for r in rows for s in _specialise(r, made)]
            (mine,) = _specialise(row, made)
            if self.is_useful(inner, mine, [*made.types, *types[1:]]):
                return True
        return False

    def find_missing(
        self, rows: Sequence[tuple[Shape, ...]], types: Sequence[PyType]
    ) -> list[str] | None:
        """A value for each column that no row matches, in Python; None if there is none."""
        if not types:
            return None if rows else []
        if all(r[0] is None for r in rows):
            rest = self.find_missing([r[1:] for r in rows], types[1:])
            return None if rest is None else ["_", *rest]
        for made in self.table.constructors(types[0]):
            inner = [s for r in rows for s in _specialise(r, made)]
            found = self.find_missing(inner, [*made.types, *types[1:]])
            if found is not None:
                count = len(made.types)
                return [_show_value(made, found[:count]), *found[count:]]
        return None


def _specialise(row: tuple[Shape, ...], made: TypeCase) -> list[tuple[Shape, ...]]:
    first, rest = row[0], row[1:]
    if first is None:
        return [((None,) * len(made.types)) + rest]
    return [(*first[1], *rest)] if first[0] == made.name else []


def _show_value(made: TypeCase, args: Sequence[str]) -> str:
    if made.shown == "[_, *_]":
        rest = args[1]
        inner = rest[1:-1] if rest.startswith("[") else f"*{rest}"
        return f"[{args[0]}, {inner}]" if inner else f"[{args[0]}]"
    if made.shown == "(_, _)":
        return f"({args[0]}, {args[1]})"
    is_class = bool(made.fields) or "." not in made.shown
    constant = made.shown in ("[]", "True", "False") or not is_class
    return made.shown if constant else f"{made.shown}({', '.join(args)})"
