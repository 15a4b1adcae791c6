"""From ASM text to the fields of a Machine: the builder has one method per grammar rule."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, VisitError

from recinterp.errors import MachineError, MachineSyntaxError, RecinterpError
from recinterp.machine.continuation import Preference
from recinterp.machine.nodes import Add as Sum
from recinterp.machine.nodes import (
    AtLeast,
    Cmp,
    Const,
    Copy,
    Emit,
    Expr,
    Find,
    In,
    Lost,
    Out,
    Pop,
    Push,
    Reg,
    Rule,
    Set,
    Span,
    TopIs,
    add_constant,
    subtract,
)

Items = list[Any]
Fields = dict[str, Any]


def _token_text(x: Token) -> str:
    return str(json.loads(x)) if x.type == "STRING" else str(x)


class Builder(Transformer[Token, Fields]):
    """Headers become keyword arguments, blocks become rules."""

    def start(self, items: Items) -> Fields:
        fields: Fields = {"registers": (), "frames": ()}
        rules: list[Rule] = []
        for kind, value in items:
            if kind == "rules":
                rules += value
            else:
                fields |= value if kind == "fields" else {kind: value}
        for needed in ("vocab", "start"):
            if needed not in fields:
                raise MachineError(
                    "read machine text", f"it has no `{needed}` line", f"add a line `{needed} …`"
                )
        return fields | {"rules": tuple(rules)}

    def vocab(self, items: Items) -> tuple[str, Any]:
        arities = tuple(a for _, a in items)
        known = arities if all(a is not None for a in arities) else ()
        return "fields", {"vocab": tuple(x for x, _ in items), "arity": known}

    def symbol(self, items: Items) -> tuple[str, int | None]:
        name, arity = items
        return _token_text(name), None if arity is None else int(arity)

    def start_mode(self, items: Items) -> tuple[str, Any]:
        return "start", str(items[0])

    def registers(self, items: Items) -> tuple[str, Any]:
        return "registers", tuple(items)

    def assign(self, items: Items) -> tuple[str, Expr]:
        return str(items[0]), items[1]

    def frames(self, items: Items) -> tuple[str, Any]:
        return "frames", tuple(map(str, items))

    def domain(self, items: Items) -> tuple[str, Any]:
        return "domain", items[0]

    def limit(self, items: Items) -> tuple[str, Any]:
        return "limit", int(items[0])

    def continuation(self, items: Items) -> tuple[str, Any]:
        return "fields", {"continuation": tuple(Preference(str(x)) for x in items)}

    def block(self, items: Items) -> tuple[str, Any]:
        mode, *rules = items
        return "rules", [Rule(n, str(mode), g, u, to, o, e) for n, g, u, to, o, e in rules]

    def rule(self, items: Items) -> tuple[Any, ...]:
        name, premise, *rest = items
        notes = {k: v for k, v in rest if k in ("origin", "evidence")}
        ends = [v for k, v in rest if k == "goto"]
        if len(ends) != 1:
            raise MachineError(
                f"read rule {name}",
                "it does not end in one `goto MODE` or `halt`",
                "end it with one of them",
            )
        updates = tuple(v for k, v in rest if k == "update")
        return (
            str(name),
            premise or (),
            updates,
            ends[0],
            notes.get("origin"),
            notes.get("evidence"),
        )

    def guard(self, items: Items) -> tuple[Any, ...]:
        return tuple(items)

    def origin(self, items: Items) -> tuple[str, str]:
        return "origin", _token_text(items[0])

    def evidence(self, items: Items) -> tuple[str, str]:
        return "evidence", _token_text(items[0])

    def tokens(self, items: Items) -> tuple[str, ...]:
        return tuple(_token_text(x) for x in items if x is not None)

    def reads(self, items: Items) -> In:
        return In(items[0], items[1])

    def wrote(self, items: Items) -> Out:
        return Out(int(items[0]), items[1])

    def top_is(self, items: Items) -> TopIs:
        return TopIs(str(items[0]))

    def empty(self, _: Items) -> TopIs:
        return TopIs(None)

    def at_least(self, items: Items) -> AtLeast:
        least, *atoms = items
        return AtLeast(int(least), tuple(a for a in atoms if a is not None))

    def compare(self, items: Items) -> Cmp:
        return Cmp(items[0], str(items[1]), items[2])

    def emit(self, items: Items) -> tuple[str, Emit]:
        return "update", Emit(tuple(items))

    def set(self, items: Items) -> tuple[str, Set]:
        return "update", Set(str(items[0]), items[1])

    def push(self, items: Items) -> tuple[str, Push]:
        return "update", Push(str(items[0]), items[1])

    def pop(self, _: Items) -> tuple[str, Pop]:
        return "update", Pop()

    def lost(self, _: Items) -> tuple[str, Lost]:
        return "update", Lost()

    def lost_wrong(self, _: Items) -> tuple[str, Lost]:
        return "update", Lost(wrong=True)

    def goto(self, items: Items) -> tuple[str, str]:
        return "goto", str(items[0])

    def halt(self, _: Items) -> tuple[str, None]:
        return "goto", None

    def literal(self, items: Items) -> str:
        return _token_text(items[0])

    def copy(self, items: Items) -> Copy:
        return Copy(items[0])

    def add(self, items: Items) -> Expr:
        a, b = items
        return add_constant(a, b.k) if isinstance(b, Const) else Sum(a, b)

    def sub(self, items: Items) -> Expr:
        return subtract(items[0], items[1])

    def negative(self, items: Items) -> Const:
        return Const(-int(items[0]))

    def number(self, items: Items) -> Const:
        return Const(int(items[0]))

    def find(self, items: Items) -> Find:
        start, direction, *skip = items
        return Find(start, int(direction), tuple(_token_text(x) for x in skip if x is not None))

    def span(self, items: Items) -> Span:
        at, direction = items
        return Span(at, int(direction or 1))

    def top(self, _: Items) -> Reg:
        return Reg("top")

    def reg(self, items: Items) -> Reg:
        return Reg(str(items[0]))


def parse_fields(text: str) -> Fields:
    """The arguments of `Machine` from its text. Errors: MachineSyntaxError, with a caret."""
    operation = "machine text"
    try:
        return Builder().transform(_build_parser().parse(text.strip() + "\n"))
    except UnexpectedInput as e:
        wanted = sorted(
            getattr(e, "accepts", None)
            or getattr(e, "expected", None)
            or getattr(e, "allowed", None)
            or ()
        )
        line, column = max(e.line, 1), max(e.column, 1)
        raise MachineSyntaxError(
            operation,
            "the text does not parse here",
            f"write one of {', '.join(wanted)} here" if wanted else "",
            source=text.strip(),
            line=line,
            column=column,
        ) from None
    except VisitError as e:
        if isinstance(e.orig_exc, RecinterpError):
            raise e.orig_exc from None
        raise MachineError(operation, str(e.orig_exc)) from None


@cache
def _build_parser() -> Lark:
    grammar = files("recinterp.machine.formats").joinpath("asm.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=True)
