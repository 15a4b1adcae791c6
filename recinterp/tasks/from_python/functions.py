"""The body of a Python function as a term of Gallina; every piece of text knows its place."""

# ruff: noqa: RET503 (what refuses never returns)

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import FunctionType
from typing import Any, NoReturn, TypeAlias

from recinterp.tasks.from_python.patterns import (
    Bindings,
    Pattern,
    PatternCoverage,
    PatternReader,
    Shape,
)
from recinterp.tasks.from_python.python_source import MISSING, Place, PythonFunction
from recinterp.tasks.from_python.types import (
    BOOL,
    LOCAL_NAMES,
    ListOf,
    Named,
    PyType,
    TupleOf,
    TypeCase,
    TypeTable,
)

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


_STATEMENTS: Mapping[type[ast.stmt], tuple[str, str]] = {
    ast.For: ("a loop", "write a function that calls itself on the rest"),
    ast.While: ("a loop", "write a function that calls itself on the rest"),
    ast.AugAssign: ("a changed variable", "write a new value: x = ..."),
    ast.FunctionDef: ("a function inside a function", "define it at the top level"),
    ast.Raise: ("an error that is raised", "return a value: a task's function is total"),
    ast.Assert: ("an assertion", "remove it: a task's function is total"),
    ast.Try: ("an error that is caught", "remove it: a task's function is total"),
    ast.Expr: ("a statement without a value", "remove it, or return what it computes"),
    ast.Import: ("an import inside a function", "import at the top level"),
    ast.ImportFrom: ("an import inside a function", "import at the top level"),
}
_EXPRESSIONS: Mapping[type[ast.expr], tuple[str, str]] = {
    ast.Lambda: ("a function as a value", "define it at the top level, and call it by its name"),
    ast.ListComp: ("a comprehension", "write a function that calls itself on the rest"),
    ast.GeneratorExp: ("a comprehension", "write a function that calls itself on the rest"),
    ast.BinOp: ("this operator", "write a function; + appends lists"),
    ast.Subscript: ("indexing", "match on the value"),
    ast.NamedExpr: ("an assignment inside an expression", "write it as a statement before"),
    ast.Set: ("a set", "write a list"),
    ast.Dict: ("a dictionary", "write a match statement"),
    ast.JoinedStr: ("text", "write an Enum of the letters"),
}


@dataclass
class FunctionTranslator:
    """Translates one function."""

    source: PythonFunction
    table: TypeTable
    signatures: Mapping[FunctionType, Signature]
    helpers: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)

    def rename(self, name: str) -> str:
        """A variable's name in Gallina: as in Python, unless that stands for something there."""
        if name not in self.names:
            wanted = name.replace(".", "_")
            taken = LOCAL_NAMES | self.table.taken | set(self.names.values())
            while wanted in taken:
                wanted += "_"
            self.names[name] = wanted
        return self.names[name]

    @property
    def patterns(self) -> PatternReader:
        """Reads this function's patterns."""
        return PatternReader(self.source, self.table, self.rename)

    def refuse(self, node: ast.AST, problem: str, hint: str) -> NoReturn:
        """Raise PythonTranslationError at a node."""
        self.source.refuse(node, problem, hint)

    def translate(self) -> tuple[Piece, ...]:
        """`name (x : T) … : R :=` and the body."""
        tree, signature = self.source.tree, self.signatures[self.source.function]
        bound: Bindings = {}
        head: list[Piece] = [(signature.name, self.source.place(tree))]
        for name, type_ in signature.params:
            bound[name] = (self.rename(name), type_)
            head.append((f" ({bound[name][0]} : {self.table.gallina(type_)})", None))
        head.append((f" : {self.table.gallina(signature.result)} :=\n  ", None))
        body = self._with_fields(
            bound,
            tree.body,
            Env(bound),
            2,
            lambda e, at: self._block(tree.body, e, signature.result, at),
        )
        return (*head, *body.pieces)

    def _with_fields(
        self, bound: Bindings, nodes: Sequence[ast.AST], env: Env, indent: int,
        build: Callable[[Env, int], Code],
    ) -> Code:  # fmt: skip
        """Code inside a match on each new variable of one case whose fields the nodes read.

        So written, the fields are parts of the variable that a recursive call may be on.
        """
        read = {
            n.value.id
            for node in nodes
            for n in ast.walk(node)
            if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
        }
        for name, (own, type_) in bound.items():
            if name not in read or not isinstance(type_, Named):
                continue
            if len(self.table.constructors(type_)) != 1 or (name, "") in env.fields:
                continue
            (made,) = self.table.constructors(type_)
            if not made.fields:
                continue
            known = {(name, ""): (own, type_)} | {
                (name, f): (self.rename(f"{name}.{f}"), t)
                for f, t in zip(made.fields, made.types, strict=True)
            }
            inner = replace(env, fields={**env.fields, **known})
            body = self._with_fields(bound, nodes, inner, indent + 4, build)
            text = " ".join([made.name, *(self.rename(f"{name}.{f}") for f in made.fields)])
            clause = self._clause(nodes[0], text, body, indent)
            return self._match_code(
                [Code(((own, None),), type_)], [clause], body.type, indent, nodes[0]
            )
        return build(env, indent)

    # statements
    def _block(self, statements: Sequence[ast.stmt], env: Env, wanted: PyType, indent: int) -> Code:
        """The value that statements return."""
        if not statements:
            self.refuse(self.source.tree, "a path ends without a value", "return one on each path")
        first, *rest = statements
        match first:
            case ast.Return(value=None):
                self.refuse(first, "nothing is returned", "return a value")
            case ast.Return(value=ast.expr() as value):
                return self._expression(value, env, wanted, indent)
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return self._block(rest, env, wanted, indent)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return self._let(
                    name, self._expression(value, env, None, indent), rest, env, wanted, indent
                )
            case ast.AnnAssign(
                target=ast.Name(id=name), annotation=written, value=ast.expr() as value
            ):
                type_ = self.table.read_annotation(written, self.source)
                return self._let(
                    name, self._expression(value, env, type_, indent), rest, env, wanted, indent
                )
            case ast.Assign(targets=[ast.Tuple() as target], value=value):
                return self._unpack(target, value, rest, env, wanted, indent)
            case ast.If(test=test, body=body, orelse=orelse):
                return self._branch(
                    first, test, [*body, *rest], [*orelse, *rest], env, wanted, indent
                )
            case ast.Match():
                return self._match(first, rest, env, wanted, indent)
        what, hint = _STATEMENTS.get(
            type(first), ("this statement", "use match, if, assignments and return")
        )
        self.refuse(first, f"{what} cannot be translated", hint)

    def _let(
        self,
        name: str,
        value: Code,
        rest: Sequence[ast.stmt],
        env: Env,
        wanted: PyType,
        indent: int,
    ) -> Code:
        own = self.rename(name)
        body = self._block(rest, env.bind({name: (own, value.type)}), wanted, indent)
        head = f"let {own} : {self.table.gallina(value.type)} := "
        gap = " in\n" + " " * indent
        return Code(((head, None), *value.pieces, (gap, None), *body.pieces), body.type, OPEN)

    def _unpack(
        self, target: ast.Tuple, value: ast.expr, rest: Sequence[ast.stmt], env: Env,
        wanted: PyType, indent: int,
    ) -> Code:  # fmt: skip
        parts: list[ast.pattern] = []
        for element in target.elts:
            if not isinstance(element, ast.Name):
                self.refuse(element, "this target cannot be translated", "unpack into names")
            parts.append(ast.MatchAs(name=None if element.id == "_" else element.id))
        pattern = ast.copy_location(ast.MatchSequence(patterns=parts), target)
        scrutinee = self._expression(value, env, None, indent)
        found = self.patterns.read(pattern, scrutinee.type)
        body = self._block(rest, env.bind(found.bound), wanted, indent + 4)
        clause = self._clause(target, found.text, body, indent)
        return self._match_code([scrutinee], [clause], body.type, indent, target)

    def _match_code(
        self, on: Sequence[Code], clauses: Sequence[tuple[Piece, ...]], type_: PyType, indent: int,
        node: ast.AST,
    ) -> Code:  # fmt: skip
        pieces: list[Piece] = [("match ", self.source.place(node))]
        for i, code in enumerate(on):
            pieces += [(", ", None)] if i else []
            pieces += code.within(APPLICATION)
        pieces.append((" with", None))
        for clause in clauses:
            pieces += clause
        pieces.append((f"\n{' ' * indent}end", None))
        return Code(tuple(pieces), type_)

    def _clause(self, node: ast.AST, pattern: str, body: Code, indent: int) -> tuple[Piece, ...]:
        head = f"\n{' ' * indent}| {pattern} =>"
        gap = f"\n{' ' * (indent + 4)}" if any("\n" in text for text, _ in body.pieces) else " "
        return ((head, self.source.place(node)), (gap, None), *body.pieces)

    def _match(
        self, node: ast.Match, rest: Sequence[ast.stmt], env: Env, wanted: PyType, indent: int
    ) -> Code:
        first = node.cases[0].pattern if node.cases else None
        is_columns = isinstance(node.subject, ast.Tuple) and isinstance(
            first, ast.MatchSequence | ast.MatchOr | ast.MatchAs
        )
        subjects = node.subject.elts if is_columns else [node.subject]  # type: ignore[attr-defined]
        on = [self._expression(s, env, None, indent) for s in subjects]
        return self._cases(node, node.cases, on, rest, env, wanted, indent)

    def _cases(
        self, node: ast.Match, cases: Sequence[ast.match_case], on: Sequence[Code],
        rest: Sequence[ast.stmt], env: Env, wanted: PyType, indent: int,
    ) -> Code:  # fmt: skip
        types = [code.type for code in on]
        coverage, rows = PatternCoverage(self.table), list[tuple[Shape, ...]]()
        clauses, raises = list[tuple[Piece, ...]](), False
        for i, case in enumerate(cases):
            if self._only_raises(case.body):
                raises = True
                continue
            found = self._columns(case.pattern, types)
            shapes = [row for columns in found for row in _rows(columns)]
            if not any(coverage.is_useful(rows, row, types) for row in shapes):
                self.refuse(case.pattern, "this case is never reached", "delete it")
            text = " | ".join(", ".join(p.outermost for p in columns) for columns in found)
            bound = {k: v for p in found[0] for k, v in p.bound.items()}
            inner = env.bind(bound)
            if case.guard is None:
                rows += shapes
                statements = [*case.body, *rest]
                if not clauses and not bound and shapes == [tuple(None for _ in types)]:
                    return self._block(statements, inner, wanted, indent)

                def build(known: Env, at: int, statements: Sequence[ast.stmt] = statements) -> Code:
                    return self._block(statements, known, wanted, at)

                body = self._with_fields(bound, statements, inner, indent + 4, build)
                clauses.append(self._clause(case.pattern, text, body, indent))
                continue
            words = {w for code in on for text_, _ in code.pieces for w in _words(text_)}
            if words & {own for own, _ in bound.values()}:
                problem = "a case with a condition gives a name of the subject to its parts"
                self.refuse(case.pattern, problem, "choose another name")
            later = cases[i + 1 :]

            def go_on(known: Env, at: int, later: Sequence[ast.match_case] = later) -> Code:
                if not later:
                    return self._block(rest, known, wanted, at)
                return self._cases(node, later, on, rest, known, wanted, at)

            yes = self._block([*case.body, *rest], inner, wanted, indent + 6)
            guard = self._expression(case.guard, inner, BOOL, indent + 4)
            body = self._if_code(case.guard, guard, yes, go_on(inner, indent + 6), indent + 4)
            clauses.append(self._clause(case.pattern, text, body, indent))
            everything = tuple(None for _ in types)
            if coverage.is_useful([*rows, *shapes], everything, types):
                wild = ", ".join("_" for _ in types)
                clauses.append(self._clause(case.pattern, wild, go_on(env, indent + 4), indent))
            return self._match_code(on, clauses, wanted, indent, node)
        missing = coverage.find_missing(rows, types)
        if missing is not None:
            shown = ", ".join(missing)
            if not rest or raises:
                problem = f"{'an error is raised for' if raises else 'no case matches'} {shown}"
                self.refuse(node, problem, "write a case for it that returns a value")
            wild = ", ".join("_" for _ in types)
            clauses.append(
                self._clause(node, wild, self._block(rest, env, wanted, indent + 4), indent)
            )
        return self._match_code(on, clauses, wanted, indent, node)

    def _columns(self, pattern: ast.pattern, types: Sequence[PyType]) -> list[tuple[Pattern, ...]]:
        """The rows of a case, a pattern for each column."""
        if len(types) == 1:
            return [(self.patterns.read(pattern, types[0]),)]
        match pattern:
            case ast.MatchAs(pattern=None, name=None):
                return [tuple(Pattern("_") for _ in types)]
            case ast.MatchOr(patterns=choices):
                rows = [row for c in choices for row in self._columns(c, types)]
                if any(p.bound for row in rows for p in row):
                    self.refuse(pattern, "alternatives of several columns bind names", "write _")
                return rows
            case ast.MatchSequence(patterns=parts) if len(parts) == len(types):
                return [tuple(self.patterns.read(p, t) for p, t in zip(parts, types, strict=True))]
        hint = f"write {len(types)} patterns, separated by commas"
        self.refuse(pattern, "this pattern does not match each of the values", hint)

    def _only_raises(self, body: Sequence[ast.stmt]) -> bool:
        last = body[-1]
        is_raise = isinstance(last, ast.Raise)
        value = last.value if isinstance(last, ast.Expr | ast.Return) else None
        is_never = isinstance(value, ast.Call) and ast.unparse(value.func).endswith("assert_never")
        return len(body) == 1 and (is_raise or is_never)

    # conditions
    def _branch(
        self, node: ast.AST, test: ast.expr, yes: Sequence[ast.stmt] | ast.expr,
        no: Sequence[ast.stmt] | ast.expr, env: Env, wanted: PyType | None, indent: int,
    ) -> Code:  # fmt: skip
        """An if statement or a conditional expression; a chain of isinstance is one match."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self._branch(node, test.operand, no, yes, env, wanted, indent)
        if self._instance_test(test, env) is not None:
            return self._instance_chain(node, test, yes, no, env, wanted, indent)
        condition = self._expression(test, env, BOOL, indent)
        one = self._part(yes, env, wanted, indent + 2)
        two = self._part(no, env, wanted or one.type, indent + 2)
        return self._if_code(node, condition, one, two, indent)

    def _part(
        self, part: Sequence[ast.stmt] | ast.expr, env: Env, wanted: PyType | None, indent: int
    ) -> Code:
        if isinstance(part, ast.expr):
            return self._expression(part, env, wanted, indent)
        assert wanted is not None
        return self._block(part, env, wanted, indent)

    def _if_code(self, node: ast.AST, test: Code, yes: Code, no: Code, indent: int) -> Code:
        pad = f"\n{' ' * indent}"
        pieces: tuple[Piece, ...] = (
            ("if ", self.source.place(node)), *test.within(APPLICATION), (f"{pad}then ", None),
            *yes.pieces, (f"{pad}else ", None), *no.pieces,
        )  # fmt: skip
        return Code(pieces, yes.type, OPEN)

    def _instance_test(self, test: ast.expr, env: Env) -> tuple[str, list[Any]] | None:
        """(variable, classes) of `isinstance(variable, classes)`."""
        match test:
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), classes]):
                if name not in env.variables:
                    return None
                nodes = classes.elts if isinstance(classes, ast.Tuple) else [classes]
                if isinstance(classes, ast.BinOp):
                    nodes = [classes.left, classes.right]
                return name, [(n, self.source.find_object(n)) for n in nodes]
        return None

    def _instance_chain(
        self, node: ast.AST, test: ast.expr, yes: Sequence[ast.stmt] | ast.expr,
        no: Sequence[ast.stmt] | ast.expr, env: Env, wanted: PyType | None, indent: int,
    ) -> Code:  # fmt: skip
        found = self._instance_test(test, env)
        assert found is not None
        name = found[0]
        own, type_ = env.variables[name]
        left = [*self.table.constructors(type_)]
        clauses: list[tuple[Piece, ...]] = []
        result = wanted
        rest: Sequence[ast.stmt] | ast.expr | None = no
        while True:
            chosen = [self._case_of(n, cls, type_) for n, cls in found[1]]
            for made in [m for m in left if m in chosen]:
                code, text = self._known_case(name, made, yes, env, result, indent)
                result = result or code.type
                clauses.append(self._clause(test, text, code, indent))
            left = [m for m in left if m not in chosen]
            if not left or rest is None:
                break
            step = _next_test(rest)
            again = None if step is None else self._instance_test(step[0], env)
            if step is None or again is None or again[0] != name:
                if len(left) == 1:
                    code, text = self._known_case(name, left[0], rest, env, result, indent)
                else:
                    code, text = self._part(rest, env, result, indent + 4), "_"
                result = result or code.type
                clauses.append(self._clause(node, text, code, indent))
                break
            found = again
            test, yes, rest = step
        assert result is not None
        return self._match_code([Code(((own, None),), type_)], clauses, result, indent, node)

    def _case_of(self, node: ast.expr, cls: Any, type_: PyType) -> TypeCase:
        if self.table.of_class.get(cls, (None,))[0] != type_:
            cases = " or ".join(c.shown for c in self.table.constructors(type_))
            self.refuse(node, f"{ast.unparse(node)} is no case of {type_}", f"write {cases}")
        return self.table.constructors(type_)[self.table.of_class[cls][1]]

    def _known_case(
        self, name: str, made: TypeCase, part: Sequence[ast.stmt] | ast.expr, env: Env,
        wanted: PyType | None, indent: int,
    ) -> tuple[Code, str]:  # fmt: skip
        """A branch in which a variable's case is known, and the pattern of that case."""
        names = [self.rename(f"{name}.{f}") for f in made.fields]
        known = {
            (name, f): (own, t) for f, own, t in zip(made.fields, names, made.types, strict=True)
        }
        inner = replace(env, fields={**env.fields, **known})
        code = self._part(part, inner, wanted, indent + 4)
        words = {w for text, _ in code.pieces for w in _words(text)}
        shown = [n if n in words else "_" for n in names]
        return code, " ".join([made.name, *shown])

    # expressions
    def _expression(self, node: ast.expr, env: Env, wanted: PyType | None, indent: int) -> Code:
        code = self._infer(node, env, wanted, indent)
        if wanted is not None and code.type != wanted:
            hint = f"a value of {wanted} is needed here"
            if wanted == BOOL and isinstance(code.type, ListOf):
                hint = "match on the list: case [] and case [x, *rest]"
            self.refuse(node, f"this is of type {code.type}", hint)
        return code

    def _infer(self, node: ast.expr, env: Env, wanted: PyType | None, indent: int) -> Code:
        match node:
            case ast.Name(id=name) if name in env.variables:
                own, type_ = env.variables[name]
                return Code(((own, self.source.place(node)),), type_)
            case ast.Constant(value=bool(value)):
                return self._constant(value, node)
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if (name, attr) in env.fields:
                own, type_ = env.fields[name, attr]
                return Code(((own, self.source.place(node)),), type_)
            case ast.Attribute(value=value) if self.source.find_object(node) is MISSING:
                return self._field(node, self._expression(value, env, None, indent))
            case ast.Name() | ast.Attribute():
                return self._constant(self.source.find_object(node), node)
            case ast.Call():
                return self._call(node, env, wanted, indent)
            case ast.List(elts=elts):
                return self._list(node, elts, env, wanted, indent)
            case ast.Tuple(elts=elts) if len(elts) >= 2:
                return self._tuple(node, elts, env, wanted, indent)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._append(node, left, right, env, wanted, indent)
            case ast.IfExp():
                return self._branch(node, node.test, node.body, node.orelse, env, wanted, indent)
            case ast.BoolOp(op=op, values=values):
                return self._boolean(node, isinstance(op, ast.And), values, env, indent)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                negated = self._expression(operand, env, BOOL, indent)
                return self._if_code(
                    node, negated, self._constant(False, node), self._constant(True, node), indent
                )
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._compare(node, left, op, right, env, indent)
            case ast.Constant(value=value):
                shown = "None" if value is None else type(value).__name__
                hint = "write a dataclass or a member of an Enum"
                self.refuse(node, f"a constant of type {shown} cannot be translated", hint)
        what, hint = _EXPRESSIONS.get(
            type(node), ("this expression", "use constructors, calls, lists, tuples and conditions")
        )
        self.refuse(node, f"{what} cannot be translated", hint)

    def _apply(self, node: ast.AST, head: str, args: Sequence[Code], type_: PyType) -> Code:
        pieces: list[Piece] = [(head, self.source.place(node))]
        for arg in args:
            pieces += [(" ", None), *arg.within(ATOM)]
        return Code(tuple(pieces), type_, APPLICATION if args else ATOM)

    def _constant(self, value: Any, node: ast.expr) -> Code:
        """A value that a global name stands for, as a term."""
        if isinstance(value, bool):
            return self._apply(node, "true" if value else "false", (), BOOL)
        if isinstance(value, Enum) and value in self.table.of_class:
            type_, index = self.table.of_class[value]
            return self._apply(node, self.table.constructors(type_)[index].name, (), type_)
        if type(value) in self.table.of_class:
            type_, index = self.table.of_class[type(value)]
            made = self.table.constructors(type_)[index]
            args = [self._constant(getattr(value, f.name), node) for f in dataclasses.fields(value)]
            for arg, wanted in zip(args, made.types, strict=True):
                if arg.type != wanted:
                    self.refuse(node, f"its part is of type {arg.type}", f"give it a {wanted}")
            return self._apply(node, made.name, args, type_)
        name = ast.unparse(node)
        if value is MISSING:
            self.refuse(node, f"{name!r} stands for nothing here", "define it, or correct the name")
        if isinstance(value, type):
            self.refuse(node, f"the class {name!r} is no value", f"write {name}(...)")
        if callable(value):
            self.refuse(node, f"the function {name!r} as a value", "call it")
        self.refuse(node, f"{name!r} stands for no value that can be translated", "write a term")

    def _field(self, node: ast.Attribute, owner: Code) -> Code:
        constructors = self.table.constructors(owner.type) if isinstance(owner.type, Named) else []
        if len(constructors) != 1 or node.attr not in constructors[0].fields:
            hint = "match on the value, or test it by isinstance before"
            self.refuse(node, f"{owner.type} has no field {node.attr!r} in each case", hint)
        (made,) = constructors
        at = made.fields.index(node.attr)
        name = self.rename(node.attr)
        parts = [name if i == at else "_" for i in range(len(made.fields))]
        head = (("match ", self.source.place(node)), *owner.within(APPLICATION))
        tail = f" with {' '.join([made.name, *parts])} => {name} end"
        return Code((*head, (tail, None)), made.types[at], OPEN)

    def _call(self, node: ast.Call, env: Env, wanted: PyType | None, indent: int) -> Code:
        found = self.source.find_object(node.func)
        plain = getattr(found, "__wrapped__", found)
        if found is isinstance:
            return self._instance_value(node, env, indent)
        if isinstance(plain, FunctionType) and plain in self.signatures:
            signature = self.signatures[plain]
            args = self._arguments(node, signature.params, env, indent)
            return self._apply(node, signature.name, args, signature.result)
        if isinstance(found, type) and found in self.table.of_class:
            type_, index = self.table.of_class[found]
            made = self.table.constructors(type_)[index]
            params = tuple(zip(made.fields, made.types, strict=True))
            return self._apply(node, made.name, self._arguments(node, params, env, indent), type_)
        name = ast.unparse(node.func)
        if isinstance(node.func, ast.Attribute) and found is MISSING:
            self.refuse(node, f"the method {name!r} cannot be translated", "write a function")
        self.refuse(
            node.func,
            f"{name!r} cannot be translated",
            "call dataclasses and functions that are defined with def; write a helper for it",
        )

    def _arguments(
        self, node: ast.Call, params: Sequence[tuple[str, PyType]], env: Env, indent: int
    ) -> list[Code]:
        given: dict[str, ast.expr] = {}
        names = [name for name, _ in params]
        for arg, name in zip(node.args, names, strict=False):
            given[name] = arg
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg in given or keyword.arg not in names:
                self.refuse(keyword, "this argument does not fit", "give each argument once")
            given[keyword.arg] = keyword.value
        if len(given) != len(names) or len(node.args) > len(names):
            count = len(node.args) + len(node.keywords)
            self.refuse(
                node,
                f"{ast.unparse(node.func)!r} gets {count} arguments",
                f"it takes {len(names)}: {', '.join(names) or 'none'}",
            )
        return [self._expression(given[name], env, type_, indent) for name, type_ in params]

    def _list(
        self, node: ast.expr, elts: Sequence[ast.expr], env: Env, wanted: PyType | None, indent: int
    ) -> Code:
        for i, item in enumerate(elts[:-1]):
            if isinstance(item, ast.Starred):  # as `item + [the rest]`
                after = ast.copy_location(ast.List(elts=list(elts[i + 1 :])), item)
                both = ast.BinOp(left=item.value, op=ast.Add(), right=after)
                whole_rest = ast.copy_location(both, item)
                if not i:
                    return self._append(node, item.value, after, env, wanted, indent)
                starred = ast.copy_location(ast.Starred(value=whole_rest), item)
                return self._list(node, [*elts[:i], starred], env, wanted, indent)
        items, rest = list(elts), None
        if items and isinstance(items[-1], ast.Starred):
            rest = items.pop().value  # type: ignore[attr-defined]
        type_ = wanted if isinstance(wanted, ListOf) else None
        codes = [self._expression(i, env, type_ and type_.item, indent) for i in items]
        tail = None if rest is None else self._expression(rest, env, type_, indent)
        if type_ is None and codes:
            type_ = ListOf(codes[0].type)
        if type_ is None and tail is not None and isinstance(tail.type, ListOf):
            type_ = tail.type
        if type_ is None:
            self.refuse(node, "the type of this list is open", "write name: list[T] = []")
        if tail is not None and tail.type != type_:
            self.refuse(node, f"the rest is of type {tail.type}", f"a {type_} is needed")
        for item, code in zip(items, codes, strict=True):
            if code.type != type_.item:
                self.refuse(item, f"this is of type {code.type}", f"an item of {type_} is needed")
        nil, cons = self.table.constructors(type_)
        whole = tail or self._apply(node, nil.name, (), type_)
        for item, code in zip(reversed(items), reversed(codes), strict=True):
            whole = self._apply(item, cons.name, (code, whole), type_)
        return whole

    def _append(
        self, node: ast.expr, left: ast.expr, right: ast.expr, env: Env, wanted: PyType | None,
        indent: int,
    ) -> Code:  # fmt: skip
        """`xs + ys`, by a function that appends lists of the type, written where it is new."""
        is_open = isinstance(left, ast.List) and not left.elts and wanted is None
        two = self._expression(right, env, None, indent) if is_open else None
        one = self._expression(left, env, two.type if two else wanted, indent)
        type_ = one.type
        if not isinstance(type_, ListOf):
            hint = "write a function; + appends lists only"
            self.refuse(node, f"an operator on {type_} cannot be translated", hint)
        two = two or self._expression(right, env, type_, indent)
        shown = self.table.gallina(type_)
        key = f"(xs ys : {shown}) : {shown} :="
        name = next((n for n, text in self.helpers.items() if key in text), None)
        if name is None:
            name = self.table.make_name("append")
            nil, cons = (c.name for c in self.table.constructors(type_))
            self.helpers[name] = (
                f"Fixpoint {name} {key}\n  match xs with {nil} => ys"
                f" | {cons} x rest => {cons} x ({name} rest ys) end."
            )
        return self._apply(node, name, (one, two), type_)

    def _tuple(
        self, node: ast.expr, elts: Sequence[ast.expr], env: Env, wanted: PyType | None, indent: int
    ) -> Code:
        *before, last = elts
        first_wanted = wanted.first if isinstance(wanted, TupleOf) else None
        second_wanted = wanted.second if isinstance(wanted, TupleOf) else None
        first = (
            self._expression(before[0], env, first_wanted, indent)
            if len(before) == 1
            else self._tuple(node, before, env, first_wanted, indent)
        )
        second = self._expression(last, env, second_wanted, indent)
        return self._apply(node, "pair", (first, second), TupleOf(first.type, second.type))

    # truth values
    def _boolean(
        self, node: ast.expr, is_and: bool, values: Sequence[ast.expr], env: Env, indent: int
    ) -> Code:
        *before, last = values
        whole = self._expression(last, env, BOOL, indent)
        for value in reversed(before):
            test = self._expression(value, env, BOOL, indent)
            other = self._constant(not is_and, node)
            one, two = (whole, other) if is_and else (other, whole)
            whole = self._if_code(node, test, one, two, indent)
        return whole

    def _instance_value(self, node: ast.Call, env: Env, indent: int) -> Code:
        if len(node.args) != 2:
            self.refuse(node, "isinstance takes two arguments", "write isinstance(x, Case)")
        owner = self._expression(node.args[0], env, None, indent)
        classes = node.args[1]
        nodes = classes.elts if isinstance(classes, ast.Tuple) else [classes]
        chosen = [self._case_of(n, self.source.find_object(n), owner.type) for n in nodes]
        return self._test_cases(node, owner, [c.name for c in chosen])

    def _test_cases(self, node: ast.AST, owner: Code, chosen: Sequence[str]) -> Code:
        constructors = self.table.constructors(owner.type)
        text = "".join(
            f" | {' '.join([c.name, *('_' for _ in c.types)])} =>"
            f" {'true' if c.name in chosen else 'false'}"
            for c in constructors
        )
        head = (("match ", self.source.place(node)), *owner.within(APPLICATION))
        return Code((*head, (f" with{text} end", None)), BOOL, OPEN)

    def _compare(
        self, node: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr, env: Env, indent: int
    ) -> Code:
        if not isinstance(op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
            self.refuse(node, "an order cannot be translated", "write a function that compares")
        one = self._expression(left, env, None, indent)
        two = self._expression(right, env, one.type, indent)
        if not self.table.is_enumeration(one.type):
            hint = "write a function that compares them case by case"
            self.refuse(node, f"== on {one.type} cannot be translated", hint)
        constants = {c.name for c in self.table.constructors(one.type)}
        if two.pieces[0][0] in constants:
            same = self._test_cases(node, one, [two.pieces[0][0]])
        else:
            same = self._apply(node, self._equality(one.type), (one, two), BOOL)
        if isinstance(op, ast.Eq | ast.Is):
            return same
        return self._if_code(
            node, same, self._constant(False, node), self._constant(True, node), indent
        )

    def _equality(self, type_: PyType) -> str:
        """The name of the function that compares two constants of a type, written where new."""
        shown = self.table.gallina(type_)
        key = f"(x y : {shown}) : bool :="
        for name, text in self.helpers.items():
            if key in text:
                return name
        name = self.table.make_name(f"equal_{shown}")
        names = [c.name for c in self.table.constructors(type_)]
        rows = "".join(f" | {n}, {n} => true" for n in names)
        rest = " | _, _ => false" if len(names) > 1 else ""
        self.helpers[name] = f"Definition {name} {key}\n  match x, y with{rows}{rest} end."
        return name


def _rows(columns: Sequence[Pattern]) -> list[tuple[Shape, ...]]:
    whole: list[tuple[Shape, ...]] = [()]
    for column in columns:
        whole = [(*before, shape) for before in whole for shape in column.shapes]
    return whole


def _next_test(
    part: Sequence[ast.stmt] | ast.expr,
) -> tuple[ast.expr, Sequence[ast.stmt] | ast.expr, Sequence[ast.stmt] | ast.expr] | None:
    """(test, yes, no) where a branch is itself a condition."""
    if isinstance(part, ast.IfExp):
        return part.test, part.body, part.orelse
    if isinstance(part, ast.expr) or not part:
        return None
    first, *rest = part
    if isinstance(first, ast.If):
        return first.test, [*first.body, *rest], [*first.orelse, *rest]
    return None


def _words(text: str) -> list[str]:
    for mark in "()|,:=":
        text = text.replace(mark, " ")
    return text.split()
