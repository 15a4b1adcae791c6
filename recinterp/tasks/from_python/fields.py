"""Fields of dataclasses, `x.name`: Gallina matches on the value instead."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace

from recinterp.tasks.from_python.gallina import (
    APPLICATION,
    OPEN,
    Code,
    Env,
    build_clause,
    build_match,
)
from recinterp.tasks.from_python.patterns import Bindings
from recinterp.tasks.from_python.translator import Translator
from recinterp.tasks.from_python.types import Named


def match_fields(
    translator: Translator, bound: Bindings, nodes: Sequence[ast.AST], env: Env, indent: int,
    build: Callable[[Env, int], Code],
) -> Code:  # fmt: skip
    """Code inside a match on each new variable of one case whose fields the nodes read.

    So written, the fields are parts of the variable that a recursive call may be on.
    """
    read = _find_owners(nodes)
    for name, (own, type_) in bound.items():
        if name not in read or not isinstance(type_, Named):
            continue
        if len(translator.table.constructors(type_)) != 1 or (name, "") in env.fields:
            continue
        (made,) = translator.table.constructors(type_)
        if not made.fields:
            continue
        names = [translator.rename(f"{name}.{f}") for f in made.fields]
        known = {(name, ""): (own, type_)} | {
            (name, f): (n, t) for f, n, t in zip(made.fields, names, made.types, strict=True)
        }
        inner = replace(env, fields={**env.fields, **known})
        body = match_fields(translator, bound, nodes, inner, indent + 4, build)
        place = translator.source.place(nodes[0])
        clause = build_clause(place, " ".join([made.name, *names]), body, indent)
        return build_match(place, [Code(((own, None),), type_)], [clause], body.type, indent)
    return build(env, indent)


def _find_owners(nodes: Sequence[ast.AST]) -> set[str]:
    """The names of variables of which the nodes read a field."""
    return {
        n.value.id
        for node in nodes
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
    }


def build_field(translator: Translator, node: ast.Attribute, owner: Code) -> Code:
    """The field of a value, by a match on it. PythonTranslationError where not each case has it."""
    table = translator.table
    constructors = table.constructors(owner.type) if isinstance(owner.type, Named) else []
    if len(constructors) != 1 or node.attr not in constructors[0].fields:
        hint = "match on the value, or test it by isinstance before"
        translator.refuse(node, f"{owner.type} has no field {node.attr!r} in each case", hint)
    (made,) = constructors
    at = made.fields.index(node.attr)
    name = translator.rename(node.attr)
    parts = [name if i == at else "_" for i in range(len(made.fields))]
    head = (("match ", translator.source.place(node)), *owner.within(APPLICATION))
    tail = f" with {' '.join([made.name, *parts])} => {name} end"
    return Code((*head, (tail, None)), made.types[at], OPEN)
