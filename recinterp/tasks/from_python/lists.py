"""Lists and tuples: `[x, *rest]`, `xs + ys`, `(x, y)`."""

# ruff: noqa: RET503 (what refuses never returns)

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from recinterp.tasks.from_python.gallina import Code, Env, build_application
from recinterp.tasks.from_python.translator import Translator
from recinterp.tasks.from_python.types import ListOf, PyType, TupleOf


def build_list(
    translator: Translator, node: ast.expr, elts: Sequence[ast.expr], env: Env,
    wanted: PyType | None, indent: int,
) -> Code:  # fmt: skip
    """Items and starred lists in any order; what follows a starred list is appended to it."""
    for i, item in enumerate(elts[:-1]):
        if isinstance(item, ast.Starred):
            return _append_rest(translator, node, elts, i, item, env, wanted, indent)
    items, rest = list(elts), None
    if items and isinstance(items[-1], ast.Starred):
        rest = items.pop().value  # type: ignore[attr-defined]
    type_ = wanted if isinstance(wanted, ListOf) else None
    item_type = type_ and type_.item
    codes = [translator.translate_expression(i, env, item_type, indent) for i in items]
    tail = None if rest is None else translator.translate_expression(rest, env, type_, indent)
    type_ = type_ or _infer_list_type(translator, node, codes, tail)
    _check_types(translator, node, type_, zip(items, codes, strict=True), tail)
    nil, cons = translator.table.constructors(type_)
    place = translator.source.place
    whole = tail or build_application(place(node), nil.name, (), type_)
    for item, code in zip(reversed(items), reversed(codes), strict=True):
        whole = build_application(place(item), cons.name, (code, whole), type_)
    return whole


def _append_rest(
    translator: Translator, node: ast.expr, elts: Sequence[ast.expr], at: int, item: ast.Starred,
    env: Env, wanted: PyType | None, indent: int,
) -> Code:  # fmt: skip
    """A list whose starred item is not the last, as `item + [the rest]`."""
    after = ast.copy_location(ast.List(elts=list(elts[at + 1 :])), item)
    if not at:
        return build_append(translator, node, item.value, after, env, wanted, indent)
    both = ast.copy_location(ast.BinOp(left=item.value, op=ast.Add(), right=after), item)
    starred = ast.copy_location(ast.Starred(value=both), item)
    return build_list(translator, node, [*elts[:at], starred], env, wanted, indent)


def _infer_list_type(
    translator: Translator, node: ast.expr, codes: Sequence[Code], tail: Code | None
) -> ListOf:
    """The type of a list by its first item, else by its rest."""
    if codes:
        return ListOf(codes[0].type)
    if tail is not None and isinstance(tail.type, ListOf):
        return tail.type
    translator.refuse(node, "the type of this list is open", "write name: list[T] = []")


def _check_types(
    translator: Translator, node: ast.expr, type_: ListOf,
    items: Iterable[tuple[ast.expr, Code]], tail: Code | None,
) -> None:  # fmt: skip
    """PythonTranslationError where the rest or an item, given with its term, does not fit."""
    if tail is not None and tail.type != type_:
        problem = f"the rest is of type {tail.type}"
        translator.refuse(node, problem, f"a {type_} is needed")
    for item, code in items:
        if code.type != type_.item:
            problem = f"this is of type {code.type}"
            translator.refuse(item, problem, f"an item of {type_} is needed")


def build_append(
    translator: Translator, node: ast.expr, left: ast.expr, right: ast.expr, env: Env,
    wanted: PyType | None, indent: int,
) -> Code:  # fmt: skip
    """`xs + ys`, by a function that appends lists of the type."""
    is_open = isinstance(left, ast.List) and not left.elts and wanted is None
    two = translator.translate_expression(right, env, None, indent) if is_open else None
    one = translator.translate_expression(left, env, two.type if two else wanted, indent)
    type_ = one.type
    if not isinstance(type_, ListOf):
        hint = "write a function; + appends lists only"
        translator.refuse(node, f"an operator on {type_} cannot be translated", hint)
    two = two or translator.translate_expression(right, env, type_, indent)
    name = _find_append(translator, type_)
    return build_application(translator.source.place(node), name, (one, two), type_)


def _find_append(translator: Translator, type_: ListOf) -> str:
    """The name of the function that appends lists of a type, written where it is new."""
    shown = translator.table.gallina(type_)
    key = f"(xs ys : {shown}) : {shown} :="
    for name, text in translator.helpers.items():
        if key in text:
            return name
    name = translator.table.make_name("append")
    nil, cons = (c.name for c in translator.table.constructors(type_))
    translator.helpers[name] = (
        f"Fixpoint {name} {key}\n  match xs with {nil} => ys"
        f" | {cons} x rest => {cons} x ({name} rest ys) end."
    )
    return name


def build_tuple(
    translator: Translator, node: ast.expr, elts: Sequence[ast.expr], env: Env,
    wanted: PyType | None, indent: int,
) -> Code:  # fmt: skip
    """Pairs that nest to the left, as Gallina's do."""
    *before, last = elts
    first_wanted = wanted.first if isinstance(wanted, TupleOf) else None
    second_wanted = wanted.second if isinstance(wanted, TupleOf) else None
    first = (
        translator.translate_expression(before[0], env, first_wanted, indent)
        if len(before) == 1
        else build_tuple(translator, node, before, env, first_wanted, indent)
    )
    second = translator.translate_expression(last, env, second_wanted, indent)
    place = translator.source.place(node)
    return build_application(place, "pair", (first, second), TupleOf(first.type, second.type))
