"""Expressions: names, constants, calls, and the table of what translates each other kind."""

# ruff: noqa: RET503 (what refuses never returns)

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import FunctionType
from typing import Any, NoReturn, TypeAlias

from recinterp.tasks.from_python.conditions import build_branch
from recinterp.tasks.from_python.fields import build_field
from recinterp.tasks.from_python.gallina import Code, Env, build_application, build_bool
from recinterp.tasks.from_python.lists import build_append, build_list, build_tuple
from recinterp.tasks.from_python.python_source import MISSING
from recinterp.tasks.from_python.translator import Translator
from recinterp.tasks.from_python.truth_values import (
    build_comparison,
    build_connective,
    build_instance_test,
    build_negation,
)
from recinterp.tasks.from_python.types import BOOL, PyType

ExpressionHandler: TypeAlias = Callable[[Translator, Any, Env, PyType | None, int], Code]

_REFUSED: Mapping[type[ast.expr], tuple[str, str]] = {
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


def refuse_expression(
    translator: Translator, node: ast.expr, env: Env, wanted: PyType | None, indent: int
) -> NoReturn:
    """Raise PythonTranslationError for an expression that has no counterpart in Gallina."""
    what, hint = _REFUSED.get(
        type(node), ("this expression", "use constructors, calls, lists, tuples and conditions")
    )
    translator.refuse(node, f"{what} cannot be translated", hint)


# names and constants
def translate_name(
    translator: Translator, node: ast.Name, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """A variable, or what a global name stands for."""
    if node.id in env.variables:
        own, type_ = env.variables[node.id]
        return Code(((own, translator.source.place(node)),), type_)
    return _build_constant(translator, translator.source.find_object(node), node)


def translate_attribute(
    translator: Translator, node: ast.Attribute, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """A field of a variable whose case is known, of another value, or a member of an Enum."""
    if isinstance(node.value, ast.Name) and (node.value.id, node.attr) in env.fields:
        own, type_ = env.fields[node.value.id, node.attr]
        return Code(((own, translator.source.place(node)),), type_)
    found = translator.source.find_object(node)
    if found is MISSING:
        owner = translator.translate_expression(node.value, env, None, indent)
        return build_field(translator, node, owner)
    return _build_constant(translator, found, node)


def translate_constant(
    translator: Translator, node: ast.Constant, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """`True` or `False`."""
    if isinstance(node.value, bool):
        return _build_constant(translator, node.value, node)
    shown = "None" if node.value is None else type(node.value).__name__
    hint = "write a dataclass or a member of an Enum"
    translator.refuse(node, f"a constant of type {shown} cannot be translated", hint)


def _build_constant(translator: Translator, value: Any, node: ast.expr) -> Code:
    """A value that a global name stands for, as a term."""
    place, table = translator.source.place(node), translator.table
    if isinstance(value, bool):
        return build_bool(place, value)
    if isinstance(value, Enum) and value in table.of_class:
        type_, index = table.of_class[value]
        return build_application(place, table.constructors(type_)[index].name, (), type_)
    if type(value) in table.of_class:
        type_, index = table.of_class[type(value)]
        made = table.constructors(type_)[index]
        fields = [getattr(value, f.name) for f in dataclasses.fields(value)]
        args = [_build_constant(translator, part, node) for part in fields]
        for arg, wanted in zip(args, made.types, strict=True):
            if arg.type != wanted:
                problem = f"its part is of type {arg.type}"
                translator.refuse(node, problem, f"give it a {wanted}")
        return build_application(place, made.name, args, type_)
    _refuse_constant(translator, value, node)


def _refuse_constant(translator: Translator, value: Any, node: ast.expr) -> NoReturn:
    name = ast.unparse(node)
    if value is MISSING:
        problem = f"{name!r} stands for nothing here"
        translator.refuse(node, problem, "define it, or correct the name")
    if isinstance(value, type):
        translator.refuse(node, f"the class {name!r} is no value", f"write {name}(...)")
    if callable(value):
        translator.refuse(node, f"the function {name!r} as a value", "call it")
    problem = f"{name!r} stands for no value that can be translated"
    translator.refuse(node, problem, "write a term")


# calls
def translate_call(
    translator: Translator, node: ast.Call, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """A call of a function that is translated too, of a dataclass, or of isinstance."""
    found, table = translator.source.find_object(node.func), translator.table
    place = translator.source.place(node)
    plain = getattr(found, "__wrapped__", found)
    if found is isinstance:
        return build_instance_test(translator, node, env, indent)
    if isinstance(plain, FunctionType) and plain in translator.signatures:
        signature = translator.signatures[plain]
        args = _translate_arguments(translator, node, signature.params, env, indent)
        return build_application(place, signature.name, args, signature.result)
    if isinstance(found, type) and found in table.of_class:
        type_, index = table.of_class[found]
        made = table.constructors(type_)[index]
        params = tuple(zip(made.fields, made.types, strict=True))
        args = _translate_arguments(translator, node, params, env, indent)
        return build_application(place, made.name, args, type_)
    name = ast.unparse(node.func)
    if isinstance(node.func, ast.Attribute) and found is MISSING:
        problem = f"the method {name!r} cannot be translated"
        translator.refuse(node, problem, "write a function")
    hint = "call dataclasses and functions that are defined with def; write a helper for it"
    translator.refuse(node.func, f"{name!r} cannot be translated", hint)


def _translate_arguments(
    translator: Translator, node: ast.Call, params: Sequence[tuple[str, PyType]], env: Env,
    indent: int,
) -> list[Code]:  # fmt: skip
    given: dict[str, ast.expr] = {}
    names = [name for name, _ in params]
    for arg, name in zip(node.args, names, strict=False):
        given[name] = arg
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in given or keyword.arg not in names:
            translator.refuse(keyword, "this argument does not fit", "give each argument once")
        given[keyword.arg] = keyword.value
    if len(given) != len(names) or len(node.args) > len(names):
        count = len(node.args) + len(node.keywords)
        problem = f"{ast.unparse(node.func)!r} gets {count} arguments"
        translator.refuse(node, problem, f"it takes {len(names)}: {', '.join(names) or 'none'}")
    return [
        translator.translate_expression(given[name], env, type_, indent) for name, type_ in params
    ]


# what other files translate
def translate_list(
    translator: Translator, node: ast.List, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """`[x, y, *rest]`."""
    return build_list(translator, node, node.elts, env, wanted, indent)


def translate_tuple(
    translator: Translator, node: ast.Tuple, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """`(x, y)`, or a longer tuple."""
    if len(node.elts) < 2:
        refuse_expression(translator, node, env, wanted, indent)
    return build_tuple(translator, node, node.elts, env, wanted, indent)


def translate_operator(
    translator: Translator, node: ast.BinOp, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """`xs + ys`."""
    if not isinstance(node.op, ast.Add):
        refuse_expression(translator, node, env, wanted, indent)
    return build_append(translator, node, node.left, node.right, env, wanted, indent)


def translate_conditional(
    translator: Translator, node: ast.IfExp, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """`x if test else y`."""
    return build_branch(translator, node, node.test, node.body, node.orelse, env, wanted, indent)


def translate_connective(
    translator: Translator, node: ast.BoolOp, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """`x and y` or `x or y`."""
    return build_connective(translator, node, env, indent)


def translate_negation(
    translator: Translator, node: ast.UnaryOp, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """`not x`."""
    if not isinstance(node.op, ast.Not):
        refuse_expression(translator, node, env, wanted, indent)
    negated = translator.translate_expression(node.operand, env, BOOL, indent)
    return build_negation(translator, node, negated, indent)


def translate_comparison(
    translator: Translator, node: ast.Compare, env: Env, wanted: PyType | None, indent: int
) -> Code:
    """`x == y` or `x != y`."""
    if len(node.ops) != 1:
        refuse_expression(translator, node, env, wanted, indent)
    return build_comparison(translator, node, env, indent)


EXPRESSION_HANDLERS: Mapping[type[ast.expr], ExpressionHandler] = {
    ast.Name: translate_name,
    ast.Attribute: translate_attribute,
    ast.Constant: translate_constant,
    ast.Call: translate_call,
    ast.List: translate_list,
    ast.Tuple: translate_tuple,
    ast.BinOp: translate_operator,
    ast.IfExp: translate_conditional,
    ast.BoolOp: translate_connective,
    ast.UnaryOp: translate_negation,
    ast.Compare: translate_comparison,
}
