"""If statements and conditional expressions; a chain of isinstance tests is one match."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from recinterp.tasks.from_python.gallina import (
    Code,
    Env,
    Piece,
    build_clause,
    build_if,
    build_match,
)
from recinterp.tasks.from_python.translator import Branch, Translator
from recinterp.tasks.from_python.types import BOOL, PyType, TypeCase


@dataclass(frozen=True)
class InstanceTest:
    """A test `isinstance(variable, classes)`: each class with its node, and the branch it opens."""

    node: ast.expr
    variable: str
    classes: Sequence[tuple[ast.expr, Any]]
    yes: Branch


def build_branch(
    translator: Translator, node: ast.AST, test: ast.expr, yes: Branch, no: Branch, env: Env,
    wanted: PyType | None, indent: int,
) -> Code:  # fmt: skip
    """An if statement or a conditional expression; a chain of isinstance is one match."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return build_branch(translator, node, test.operand, no, yes, env, wanted, indent)
    first = _read_instance_test(translator, test, yes, env)
    if first is not None:
        return _build_instance_chain(translator, node, first, no, env, wanted, indent)
    condition = translator.translate_expression(test, env, BOOL, indent)
    one = translator.translate_part(yes, env, wanted, indent + 2)
    two = translator.translate_part(no, env, wanted or one.type, indent + 2)
    return build_if(translator.source.place(node), condition, one, two, indent)


def _read_instance_test(
    translator: Translator, test: ast.expr, yes: Branch, env: Env
) -> InstanceTest | None:
    match test:
        case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), classes]):
            if name not in env.variables:
                return None
            nodes = classes.elts if isinstance(classes, ast.Tuple) else [classes]
            if isinstance(classes, ast.BinOp):
                nodes = [classes.left, classes.right]
            found = [(n, translator.source.find_object(n)) for n in nodes]
            return InstanceTest(test, name, found, yes)
    return None


def _read_instance_chain(
    translator: Translator, first: InstanceTest, no: Branch, env: Env
) -> tuple[list[InstanceTest], Branch]:
    """The tests of one variable that follow each other, and the branch where all fail."""
    chain, rest = [first], no
    while (step := _find_next_test(rest)) is not None:
        test, yes, otherwise = step
        following = _read_instance_test(translator, test, yes, env)
        if following is None or following.variable != first.variable:
            break
        chain.append(following)
        rest = otherwise
    return chain, rest


def _find_next_test(part: Branch) -> tuple[ast.expr, Branch, Branch] | None:
    """(test, yes, no) where a branch is itself a condition."""
    if isinstance(part, ast.IfExp):
        return part.test, part.body, part.orelse
    if isinstance(part, ast.expr) or not part:
        return None
    first, *rest = part
    if isinstance(first, ast.If):
        return first.test, [*first.body, *rest], [*first.orelse, *rest]
    return None


def _build_instance_chain(
    translator: Translator, node: ast.AST, first: InstanceTest, no: Branch, env: Env,
    wanted: PyType | None, indent: int,
) -> Code:  # fmt: skip
    """A match on the variable: a clause for each case that is tested, one for all others."""
    chain, rest = _read_instance_chain(translator, first, no, env)
    own, type_ = env.variables[first.variable]
    left = [*translator.table.constructors(type_)]
    clauses: list[tuple[Piece, ...]] = []
    result = wanted
    for test in chain:
        chosen = [translator.find_case(n, cls, type_) for n, cls in test.classes]
        place = translator.source.place(test.node)
        for made in [m for m in left if m in chosen]:
            code, text = _build_known_case(
                translator, first.variable, made, test.yes, env, result, indent
            )
            result = result or code.type
            clauses.append(build_clause(place, text, code, indent))
        left = [m for m in left if m not in chosen]
        if not left:
            break
    place = translator.source.place(node)
    if left:
        code, text = _build_other_cases(translator, first.variable, left, rest, env, result, indent)
        result = result or code.type
        clauses.append(build_clause(place, text, code, indent))
    assert result is not None
    return build_match(place, [Code(((own, None),), type_)], clauses, result, indent)


def _build_other_cases(
    translator: Translator, variable: str, left: Sequence[TypeCase], part: Branch, env: Env,
    wanted: PyType | None, indent: int,
) -> tuple[Code, str]:  # fmt: skip
    """The branch where all tests fail, and the pattern of the cases that are left."""
    if len(left) == 1:
        return _build_known_case(translator, variable, left[0], part, env, wanted, indent)
    return translator.translate_part(part, env, wanted, indent + 4), "_"


def _build_known_case(
    translator: Translator, variable: str, made: TypeCase, part: Branch, env: Env,
    wanted: PyType | None, indent: int,
) -> tuple[Code, str]:  # fmt: skip
    """A branch in which a variable's case is known, and the pattern of that case."""
    names = [translator.rename(f"{variable}.{f}") for f in made.fields]
    known = {
        (variable, f): (own, t) for f, own, t in zip(made.fields, names, made.types, strict=True)
    }
    inner = replace(env, fields={**env.fields, **known})
    code = translator.translate_part(part, inner, wanted, indent + 4)
    words = code.split_words()
    shown = [n if n in words else "_" for n in names]
    return code, " ".join([made.name, *shown])
