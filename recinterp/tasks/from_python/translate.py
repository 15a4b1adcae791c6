"""A Python function and what it uses as one Gallina program."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import FunctionType
from typing import Any

from recinterp.errors import PythonTranslationError, SourceError, TaskError
from recinterp.semantics.elaborate import Elaborator
from recinterp.tasks.from_python.annotations import AnnotationReader, read_annotation
from recinterp.tasks.from_python.functions import FunctionTranslator
from recinterp.tasks.from_python.gallina import Piece, Signature
from recinterp.tasks.from_python.python_source import (
    MISSING,
    Place,
    PythonFunction,
    called_functions,
    read_function,
)
from recinterp.tasks.from_python.types import TypeTable


@dataclass(frozen=True)
class Translation:
    """A Gallina program, and the name of its last function: in it, and in Python."""

    source: str
    function: str
    python_name: str


def translate_function(function: Callable[..., Any]) -> Translation:
    """The program of a function: its types, its helpers, itself; checked to be a task's program."""
    sources = _collect_functions(function)
    table = TypeTable()
    signatures = _read_signatures(sources, table)
    _read_classes(sources, table)
    first = next(iter(sources.values()))
    table.nest_lists(first.place(first.tree))
    helpers: dict[str, str] = {}
    bodies = {
        plain: FunctionTranslator(source, table, signatures, helpers).translate()
        for plain, source in sources.items()
    }
    name = first.tree.name
    pieces: list[Piece] = [(f"(* Translated from the Python function {name}. *)\n", None)]
    used = {t: table.used_types(t) for t in table.declared}
    for block in _order_blocks(used):
        text = "\nwith ".join(table.declaration(t) for t in block)
        pieces.append((f"\nInductive {text}.\n", None))
    pieces += [(f"\n{text}\n", None) for text in helpers.values()]
    calls = {
        plain: [getattr(f, "__wrapped__", f) for f in called_functions(source)]
        for plain, source in sources.items()
    }
    for functions in _order_blocks(calls):
        is_recursive = len(functions) > 1 or functions[0] in calls[functions[0]]
        word = "Fixpoint" if is_recursive else "Definition"
        for i, plain in enumerate(functions):
            pieces += [(f"\n{'with' if i else word} ", None), *bodies[plain]]
        pieces.append((".\n", None))
    return _check_translation(pieces, signatures[first.function].name, first)


def _collect_functions(function: Callable[..., Any]) -> dict[FunctionType, PythonFunction]:
    found: dict[FunctionType, PythonFunction] = {}
    work: list[Callable[..., Any]] = [function]
    while work:
        plain = getattr(work[0], "__wrapped__", work[0])
        wanted = work.pop(0)
        if plain in found:
            continue
        source = read_function(wanted)
        found[source.function] = source
        work += called_functions(source)
    return found


def _read_signatures(
    sources: Mapping[FunctionType, PythonFunction], table: TypeTable
) -> dict[FunctionType, Signature]:
    found = {}
    for plain, source in sources.items():
        args = source.tree.args
        extra = [*args.posonlyargs, *args.kwonlyargs, args.vararg, args.kwarg, *args.defaults]
        for node in extra:
            if node is not None:
                source.refuse(
                    node, "a parameter of another kind cannot be translated", "write name: T"
                )
        if not args.args and plain is next(iter(sources)):
            source.refuse(source.tree, "the function takes no argument", "give it one")
        params = tuple((a.arg, _read_parameter(a, source, table)) for a in args.args)
        if source.tree.returns is None:
            source.refuse(source.tree, "the result has no type", "write -> T before the colon")
        result = read_annotation(table, source.tree.returns, source)
        found[plain] = Signature(source.tree.name, params, result)
    return {
        plain: dataclasses.replace(s, name=table.make_name(s.name)) for plain, s in found.items()
    }


def _read_parameter(arg: ast.arg, source: PythonFunction, table: TypeTable) -> Any:
    if arg.annotation is None:
        source.refuse(arg, f"the parameter {arg.arg!r} has no type", f"write {arg.arg}: T")
    return read_annotation(table, arg.annotation, source)


def _read_classes(sources: Mapping[FunctionType, PythonFunction], table: TypeTable) -> None:
    """Declare the types of what bodies mention: constructors, members, constants, annotations."""
    for source in sources.values():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.AnnAssign):
                read_annotation(table, node.annotation, source)
            if not isinstance(node, ast.Name | ast.Attribute):
                continue
            found = source.find_object(node)
            for value in _values_within(found):
                cls = value if isinstance(value, type) else type(value)
                if found is MISSING or dataclasses.is_dataclass(found) is None:
                    continue
                is_enum = issubclass(cls, Enum) and cls is not Enum and len(cls) > 0
                if is_enum or dataclasses.is_dataclass(cls):
                    AnnotationReader(table, source.names, source.place(node)).read(cls)


def _values_within(value: Any) -> list[Any]:
    """A value and, where it is a term, the values it is made of."""
    if isinstance(value, type) or not dataclasses.is_dataclass(value):
        return [value]
    inner = [getattr(value, f.name) for f in dataclasses.fields(value)]
    return [value, *(v for part in inner for v in _values_within(part))]


def _find_reachable(uses: Mapping[Any, Sequence[Any]], start: Any) -> set[Any]:
    """What something uses, and what that uses in turn."""
    reached: set[Any] = set()
    work = [*uses[start]]
    while work:
        here = work.pop()
        if here not in reached and here in uses:
            reached.add(here)
            work += uses[here]
    return reached


def _order_blocks(uses: Mapping[Any, Sequence[Any]]) -> list[list[Any]]:
    """Groups of what uses each other, each after those it uses."""
    reach = {start: _find_reachable(uses, start) for start in uses}
    blocks: list[list[Any]] = []
    done: set[Any] = set()
    while len(done) < len(uses):
        ready = next(
            x for x in uses if x not in done and all(y in done or x in reach[y] for y in reach[x])
        )
        block = [y for y in uses if y == ready or (y in reach[ready] and ready in reach[y])]
        blocks.append(block)
        done |= set(block)
    return blocks


def _check_translation(
    pieces: Sequence[Piece], function: str, first: PythonFunction
) -> Translation:
    """The text, once the program is accepted; refusals point into the Python."""
    source = "".join(text for text, _ in pieces)
    try:
        Elaborator(source)
    except SourceError as error:
        place = _find_place(pieces, source, error) or first.place(first.tree)
        raise PythonTranslationError(
            place.operation,
            error.problem,
            _translate_hint(error),
            source=place.text,
            line=place.line,
            column=place.column,
        ) from None
    except RecursionError:
        raise TaskError(
            f"translate {function!r}", "it is nested too deeply", "write helpers for its parts"
        ) from None
    return Translation(source, function, first.tree.name)


def _find_place(pieces: Sequence[Piece], source: str, error: SourceError) -> Place | None:
    lines = source.splitlines(keepends=True)
    wanted = sum(map(len, lines[: error.line - 1])) + error.column - 1
    at, found = 0, None
    for text, place in pieces:
        if at > wanted:
            break
        found = place or found
        at += len(text)
    return found


def _translate_hint(error: SourceError) -> str:
    from recinterp.errors import NotStructuralError

    if isinstance(error, NotStructuralError):
        return "call it on a part of its argument that a pattern names"
    return error.hint
