"""Truth values: and, or, not, isinstance as a value, and equality of constants."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from recinterp.tasks.from_python.gallina import (
    APPLICATION,
    OPEN,
    Code,
    Env,
    build_application,
    build_bool,
    build_if,
)
from recinterp.tasks.from_python.translator import Translator
from recinterp.tasks.from_python.types import BOOL, PyType


def build_connective(translator: Translator, node: ast.BoolOp, env: Env, indent: int) -> Code:
    """`x and y` as `if x then y else false`, `x or y` as `if x then true else y`."""
    is_and, place = isinstance(node.op, ast.And), translator.source.place(node)
    *before, last = node.values
    whole = translator.translate_expression(last, env, BOOL, indent)
    for value in reversed(before):
        test = translator.translate_expression(value, env, BOOL, indent)
        other = build_bool(place, not is_and)
        one, two = (whole, other) if is_and else (other, whole)
        whole = build_if(place, test, one, two, indent)
    return whole


def build_negation(translator: Translator, node: ast.expr, negated: Code, indent: int) -> Code:
    """`if negated then false else true`."""
    place = translator.source.place(node)
    return build_if(place, negated, build_bool(place, False), build_bool(place, True), indent)


def build_instance_test(translator: Translator, node: ast.Call, env: Env, indent: int) -> Code:
    """`isinstance(x, Case)` or `isinstance(x, (Case, Other))` as a value."""
    if len(node.args) != 2:
        translator.refuse(node, "isinstance takes two arguments", "write isinstance(x, Case)")
    owner = translator.translate_expression(node.args[0], env, None, indent)
    classes = node.args[1]
    nodes = classes.elts if isinstance(classes, ast.Tuple) else [classes]
    found = [translator.find_case(n, translator.source.find_object(n), owner.type) for n in nodes]
    return _build_case_test(translator, node, owner, [case.name for case in found])


def build_comparison(translator: Translator, node: ast.Compare, env: Env, indent: int) -> Code:
    """`x == y` or `x is y` of constants, and their negations."""
    (op,), (right,) = node.ops, node.comparators
    if not isinstance(op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
        hint = "write a function that compares"
        translator.refuse(node, "an order cannot be translated", hint)
    one = translator.translate_expression(node.left, env, None, indent)
    two = translator.translate_expression(right, env, one.type, indent)
    same = _build_equality(translator, node, one, two)
    if isinstance(op, ast.Eq | ast.Is):
        return same
    return build_negation(translator, node, same, indent)


def _build_equality(translator: Translator, node: ast.expr, one: Code, two: Code) -> Code:
    if not translator.table.is_enumeration(one.type):
        hint = "write a function that compares them case by case"
        translator.refuse(node, f"== on {one.type} cannot be translated", hint)
    constants = {c.name for c in translator.table.constructors(one.type)}
    if two.pieces[0][0] in constants:
        return _build_case_test(translator, node, one, [two.pieces[0][0]])
    name = _find_equality(translator, one.type)
    return build_application(translator.source.place(node), name, (one, two), BOOL)


def _build_case_test(
    translator: Translator, node: ast.AST, owner: Code, chosen: Sequence[str]
) -> Code:
    """A match that is true for the chosen constructors."""
    text = "".join(
        f" | {' '.join([c.name, *('_' for _ in c.types)])} =>"
        f" {'true' if c.name in chosen else 'false'}"
        for c in translator.table.constructors(owner.type)
    )
    head = (("match ", translator.source.place(node)), *owner.within(APPLICATION))
    return Code((*head, (f" with{text} end", None)), BOOL, OPEN)


def _find_equality(translator: Translator, type_: PyType) -> str:
    """The name of the function that compares two constants of a type, written where it is new."""
    shown = translator.table.gallina(type_)
    key = f"(x y : {shown}) : bool :="
    for name, text in translator.helpers.items():
        if key in text:
            return name
    name = translator.table.make_name(f"equal_{shown}")
    names = [c.name for c in translator.table.constructors(type_)]
    rows = "".join(f" | {n}, {n} => true" for n in names)
    rest = " | _, _ => false" if len(names) > 1 else ""
    translator.helpers[name] = f"Definition {name} {key}\n  match x, y with{rows}{rest} end."
    return name
