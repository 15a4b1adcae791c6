"""Statements: what is returned, assigned, unpacked, and chosen by a condition."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

from recinterp.tasks.from_python.annotations import read_annotation
from recinterp.tasks.from_python.conditions import build_branch
from recinterp.tasks.from_python.gallina import OPEN, Code, Env, build_clause, build_match
from recinterp.tasks.from_python.matches import translate_match
from recinterp.tasks.from_python.translator import Translator
from recinterp.tasks.from_python.types import PyType

Rest: TypeAlias = Sequence[ast.stmt]  # the statements after the one that is translated
StatementHandler: TypeAlias = Callable[[Translator, Any, Rest, Env, PyType, int], Code]

_REFUSED: Mapping[type[ast.stmt], tuple[str, str]] = {
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


def refuse_statement(
    translator: Translator, node: ast.stmt, rest: Rest, env: Env, wanted: PyType, indent: int
) -> NoReturn:
    """Raise PythonTranslationError for a statement that has no counterpart in Gallina."""
    what, hint = _REFUSED.get(
        type(node), ("this statement", "use match, if, assignments and return")
    )
    translator.refuse(node, f"{what} cannot be translated", hint)


def translate_return(
    translator: Translator, node: ast.Return, rest: Rest, env: Env, wanted: PyType, indent: int
) -> Code:
    """The value that is returned."""
    if node.value is None:
        translator.refuse(node, "nothing is returned", "return a value")
    return translator.translate_expression(node.value, env, wanted, indent)


def skip_pass(
    translator: Translator, node: ast.Pass, rest: Rest, env: Env, wanted: PyType, indent: int
) -> Code:
    """What comes after `pass`."""
    return translator.translate_block(rest, env, wanted, indent)


def skip_docstring(
    translator: Translator, node: ast.Expr, rest: Rest, env: Env, wanted: PyType, indent: int
) -> Code:
    """What comes after a docstring, or another constant that stands by itself."""
    if not isinstance(node.value, ast.Constant):
        refuse_statement(translator, node, rest, env, wanted, indent)
    return translator.translate_block(rest, env, wanted, indent)


def translate_assignment(
    translator: Translator, node: ast.Assign, rest: Rest, env: Env, wanted: PyType, indent: int
) -> Code:
    """`x = value` or `x, y = value`, and what comes after."""
    match node.targets:
        case [ast.Name(id=name)]:
            value = translator.translate_expression(node.value, env, None, indent)
            return _build_let(translator, name, value, rest, env, wanted, indent)
        case [ast.Tuple() as target]:
            return _unpack_tuple(translator, target, node.value, rest, env, wanted, indent)
    refuse_statement(translator, node, rest, env, wanted, indent)


def translate_annotated_assignment(
    translator: Translator, node: ast.AnnAssign, rest: Rest, env: Env, wanted: PyType, indent: int
) -> Code:
    """`x: T = value`, and what comes after."""
    if not isinstance(node.target, ast.Name) or node.value is None:
        refuse_statement(translator, node, rest, env, wanted, indent)
    type_ = read_annotation(translator.table, node.annotation, translator.source)
    value = translator.translate_expression(node.value, env, type_, indent)
    return _build_let(translator, node.target.id, value, rest, env, wanted, indent)


def translate_if(
    translator: Translator, node: ast.If, rest: Rest, env: Env, wanted: PyType, indent: int
) -> Code:
    """An if statement; what comes after it belongs to each branch."""
    yes, no = [*node.body, *rest], [*node.orelse, *rest]
    return build_branch(translator, node, node.test, yes, no, env, wanted, indent)


STATEMENT_HANDLERS: Mapping[type[ast.stmt], StatementHandler] = {
    ast.Return: translate_return,
    ast.Pass: skip_pass,
    ast.Expr: skip_docstring,
    ast.Assign: translate_assignment,
    ast.AnnAssign: translate_annotated_assignment,
    ast.If: translate_if,
    ast.Match: translate_match,
}


def _build_let(
    translator: Translator, name: str, value: Code, rest: Rest, env: Env, wanted: PyType,
    indent: int,
) -> Code:  # fmt: skip
    own = translator.rename(name)
    body = translator.translate_block(rest, env.bind({name: (own, value.type)}), wanted, indent)
    head = f"let {own} : {translator.table.gallina(value.type)} := "
    gap = " in\n" + " " * indent
    return Code(((head, None), *value.pieces, (gap, None), *body.pieces), body.type, OPEN)


def _unpack_tuple(
    translator: Translator, target: ast.Tuple, value: ast.expr, rest: Rest, env: Env,
    wanted: PyType, indent: int,
) -> Code:  # fmt: skip
    parts: list[ast.pattern] = []
    for element in target.elts:
        if not isinstance(element, ast.Name):
            translator.refuse(element, "this target cannot be translated", "unpack into names")
        parts.append(ast.MatchAs(name=None if element.id == "_" else element.id))
    pattern = ast.copy_location(ast.MatchSequence(patterns=parts), target)
    scrutinee = translator.translate_expression(value, env, None, indent)
    found = translator.patterns.read(pattern, scrutinee.type)
    body = translator.translate_block(rest, env.bind(found.bound), wanted, indent + 4)
    place = translator.source.place(target)
    clause = build_clause(place, found.text, body, indent)
    return build_match(place, [scrutinee], [clause], body.type, indent)
