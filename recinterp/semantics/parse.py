"""Gallina text to surface syntax, with a line, a column and a caret for every refusal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import VisitError
from lark.tree import Meta

from recinterp.errors import GallinaSyntaxError, OutsideSubsetError, TaskError
from recinterp.semantics import surface_syntax as s
from recinterp.semantics.limits import LIMITS
from recinterp.semantics.unsupported import advise_on_word, explain_misplaced_token

BYTE_ORDER_MARK = "\ufeff"


@cache
def _build_parser() -> Lark:
    text = files("recinterp.semantics").joinpath("gallina.lark").read_text(encoding="utf-8")
    return Lark(
        text, parser="lalr", lexer="basic", propagate_positions=True, maybe_placeholders=False
    )


def _position(meta: Meta | Token) -> s.Pos:
    return s.Pos(getattr(meta, "line", 1) or 1, getattr(meta, "column", 1) or 1)


@v_args(meta=True)
class _SyntaxBuilder(Transformer[Token, Any]):
    """Parse tree to dataclasses; method names are the grammar's."""

    def start(self, meta: Meta, items: list[Any]) -> tuple[s.Sentence, ...]:
        return tuple(items)

    def outside(self, meta: Meta, items: list[Token]) -> None:
        raise _Outside(items[0], *advise_on_word(str(items[0])))

    # sentences
    def inductive(self, meta: Meta, items: list[Any]) -> s.SBlock:
        return s.SBlock(_position(meta), tuple(i for i in items if isinstance(i, s.SInductive)))

    def ind_body(self, meta: Meta, items: list[Any]) -> s.SInductive:
        params = tuple(name for i in items if isinstance(i, list) for name in i)
        constructors = tuple(i for i in items if isinstance(i, s.SConstructor))
        return s.SInductive(_position(items[0]), str(items[0]), params, constructors)

    def ind_param(self, meta: Meta, items: list[Any]) -> list[str]:
        return [str(i) for i in items if isinstance(i, Token)]

    def implicit_param(self, meta: Meta, items: list[Any]) -> None:
        raise _Outside(
            items[0], "an implicit parameter of a type", f"write ({items[0]} : Type), not in braces"
        )

    def sort(self, meta: Meta, items: list[Any]) -> None:
        return None

    def record(self, meta: Meta, items: list[Any]) -> s.SBlock:
        name, *rest = [i for i in items if not (isinstance(i, Token) and i.type == "DOT")]
        params = tuple(p for i in rest if isinstance(i, list) for p in i)
        fields: tuple[tuple[s.SName, s.SType], ...] = next(
            (i for i in rest if isinstance(i, tuple)), ()
        )
        given = next((i for i in rest if isinstance(i, Token)), Token("NAME", f"Build_{name}"))
        pos = _position(name)
        constructor = s.SConstructor(pos, str(given), tuple(t for _, t in fields), None)
        names = tuple(n for n, _ in fields)
        return s.SBlock(pos, (s.SInductive(pos, str(name), params, (constructor,), names),))

    def fields(self, meta: Meta, items: list[Any]) -> tuple[tuple[s.SName, s.SType], ...]:
        return tuple(items)

    def field(self, meta: Meta, items: list[Any]) -> tuple[s.SName, s.SType]:
        return s.SName(_position(items[0]), str(items[0])), items[1]

    def constructor(self, meta: Meta, items: list[Any]) -> s.SConstructor:
        args = [b.type for group in items[1:] if group and isinstance(group, list) for b in group]
        result: s.SType | None = None
        if isinstance(items[-1], tuple):
            *more, result = items[-1]
            args += more
        return s.SConstructor(_position(items[0]), str(items[0]), tuple(args), result)

    def arrow(self, meta: Meta, items: list[s.SType]) -> tuple[s.SType, ...]:
        return tuple(items)

    def fixpoint(self, meta: Meta, items: list[Any]) -> s.SBlock:
        return s.SBlock(_position(meta), tuple(i for i in items if isinstance(i, s.SFunction)))

    def fix_body(self, meta: Meta, items: list[Any]) -> s.SFunction:
        struct = next((i[1] for i in items if isinstance(i, tuple)), None)
        return _build_function(items, struct, recursive=True)

    def struct(self, meta: Meta, items: list[Token]) -> tuple[str, str]:
        return ("struct", str(items[0]))

    def definition(self, meta: Meta, items: list[Any]) -> s.SBlock:
        body = [i for i in items if not (isinstance(i, Token) and i.type == "DOT")]
        return s.SBlock(_position(meta), (_build_function(body, None, recursive=False),))

    def binder(self, meta: Meta, items: list[Any]) -> list[s.SBinder]:
        *names, type_ = items
        return [s.SBinder(_position(name), str(name), type_) for name in names]

    def untyped(self, meta: Meta, items: list[Token]) -> None:
        raise _Outside(items[0], "a parameter without a type", f"write ({items[0]} : T)")

    def polymorphic(self, meta: Meta, items: list[Token]) -> None:
        raise _Outside(items[0], *_TYPE_PARAMETER)

    def implicit_name(self, meta: Meta, items: list[Token]) -> None:
        raise _Outside(items[0], *_TYPE_PARAMETER)

    def implicit_binder(self, meta: Meta, items: list[Token]) -> None:
        instead = f"write ({items[0]} : T), and give it at each call"
        raise _Outside(items[0], "an implicit parameter", instead)

    def implicit(self, meta: Meta, items: list[Token]) -> list[tuple[bool, bool]]:
        return [(True, False) for _ in items]

    def implicit_before_others(self, meta: Meta, items: list[Token]) -> list[tuple[bool, bool]]:
        return [(True, True) for _ in items]

    def plain(self, meta: Meta, items: list[Token]) -> list[tuple[bool, bool]]:
        return [(False, False)]

    def arguments(self, meta: Meta, items: list[Any]) -> s.SArguments:
        flags = [flag for i in items[1:] if isinstance(i, list) for flag in i]
        implicit, before_others = (tuple(f[i] for f in flags) for i in range(2))
        return s.SArguments(_position(meta), str(items[0]), implicit, before_others)

    def pragma(self, meta: Meta, items: list[Token]) -> s.SPragma:
        return s.SPragma(_position(meta), tuple(str(i) for i in items if i.type == "NAME"))

    # types
    def type_name(self, meta: Meta, items: list[Token]) -> s.SType:
        return s.SType(_position(items[0]), str(items[0]))

    def type(self, meta: Meta, items: list[s.SType]) -> s.SType:
        head, *args = items
        return s.SType(head.pos, head.name, (*head.args, *args))

    # terms
    def name(self, meta: Meta, items: list[Token]) -> s.SName:
        return s.SName(_position(items[0]), str(items[0]))

    def hole(self, meta: Meta, items: list[Any]) -> s.SHole:
        return s.SHole(_position(meta))

    def parens(self, meta: Meta, items: list[s.STerm]) -> s.STerm:
        return items[0]

    def apply(self, meta: Meta, items: list[s.STerm]) -> s.SApply:
        head, *args = items
        if isinstance(head, s.SApply):
            return s.SApply(head.pos, head.head, (*head.args, *args))
        return s.SApply(head.pos, head, tuple(args))

    def cons_term(self, meta: Meta, items: list[s.STerm]) -> s.SApply:
        return s.SApply(_position(meta), s.SName(_position(meta), "::"), tuple(items))

    def list_term(self, meta: Meta, items: list[s.STerm]) -> s.STerm:
        whole: s.STerm = s.SName(_position(meta), "[]")
        for item in reversed(items):
            whole = s.SApply(item.pos, s.SName(item.pos, "::"), (item, whole))
        return whole

    def let(self, meta: Meta, items: list[Any]) -> s.SLet:
        type_ = items[1] if isinstance(items[1], s.SType) else None
        return s.SLet(_position(meta), str(items[0]), type_, items[-2], items[-1])

    def if_(self, meta: Meta, items: list[s.STerm]) -> s.SIf:
        return s.SIf(_position(meta), *items)

    def if_is(self, meta: Meta, items: list[Any]) -> s.SMatch:
        scrutinee, _is, pattern, yes, no = items
        clauses = (
            s.SClause(pattern.pos, ((pattern,),), yes),
            s.SClause(no.pos, ((s.PAny(no.pos),),), no),
        )
        return s.SMatch(_position(meta), (scrutinee,), clauses)

    def numeral(self, meta: Meta, items: list[Token]) -> s.SNumeral:
        return s.SNumeral(_position(items[0]), _read_numeral(items[0]))

    def projection(self, meta: Meta, items: list[Any]) -> s.SApply:
        record, name = items
        return s.SApply(record.pos, s.SName(_position(name), str(name)), (record,))

    def term_field(self, meta: Meta, items: list[Any]) -> tuple[s.SName, s.STerm]:
        return s.SName(_position(items[0]), str(items[0])), items[1]

    def record_term(self, meta: Meta, items: list[Any]) -> s.SRecord:
        return s.SRecord(_position(meta), tuple(items))

    def match(self, meta: Meta, items: list[Any]) -> s.SMatch:
        clauses = tuple(i for i in items if isinstance(i, s.SClause))
        scrutinees = tuple(i for i in items if not isinstance(i, s.SClause))
        return s.SMatch(_position(meta), scrutinees, clauses)

    def clause(self, meta: Meta, items: list[Any]) -> s.SClause:
        *rows, body = items
        return s.SClause(_position(meta), tuple(rows), body)

    def patterns(self, meta: Meta, items: list[s.SPattern]) -> tuple[s.SPattern, ...]:
        return tuple(items)

    # patterns
    def pat_name(self, meta: Meta, items: list[Token]) -> s.PName:
        return s.PName(_position(items[0]), str(items[0]))

    def pat_any(self, meta: Meta, items: list[Any]) -> s.PAny:
        return s.PAny(_position(meta))

    def pat_as(self, meta: Meta, items: list[Any]) -> s.PAs:
        return s.PAs(_position(meta), items[0], str(items[1]))

    def pat_apply(self, meta: Meta, items: list[Any]) -> s.PApply:
        return s.PApply(_position(items[0]), str(items[0]), tuple(items[1:]))

    def pat_or(self, meta: Meta, items: list[s.SPattern]) -> s.SPattern:
        return items[0] if len(items) == 1 else s.POr(_position(meta), tuple(items))

    def pat_numeral(self, meta: Meta, items: list[Token]) -> s.PNumeral:
        return s.PNumeral(_position(items[0]), _read_numeral(items[0]))

    def pattern_field(self, meta: Meta, items: list[Any]) -> tuple[s.SName, s.SPattern]:
        return s.SName(_position(items[0]), str(items[0])), items[1]

    def pat_record(self, meta: Meta, items: list[Any]) -> s.PRecord:
        return s.PRecord(_position(meta), tuple(items))

    def pat_list_cons(self, meta: Meta, items: list[s.SPattern]) -> s.PApply:
        return s.PApply(_position(meta), "::", tuple(items))

    def pat_list(self, meta: Meta, items: list[s.SPattern]) -> s.SPattern:
        whole: s.SPattern = s.PName(_position(meta), "[]")
        for item in reversed(items):
            whole = s.PApply(item.pos, "::", (item, whole))
        return whole


_TYPE_PARAMETER = (
    "a function with a type parameter",
    "leave it out, and write the function at one concrete type: (l : list bool) for (l : list A)",
)


def _read_numeral(token: Token) -> int:
    if len(token) > len(str(LIMITS.max_numeral)) or int(token) > LIMITS.max_numeral:
        what = f"a numeral above {LIMITS.max_numeral}"
        raise _Outside(token, what, "write a function that computes it")
    return int(token)


def _build_function(items: Sequence[Any], struct: str | None, *, recursive: bool) -> s.SFunction:
    name, *_ = items
    binders = tuple(b for group in items if isinstance(group, list) for b in group)
    result = items[-2] if isinstance(items[-2], s.SType) else None
    return s.SFunction(_position(name), str(name), binders, struct, result, items[-1], recursive)


class _Outside(Exception):
    def __init__(self, token: Token, what: str, instead: str) -> None:
        self.token, self.what, self.instead = token, what, instead


def blank_comments(source: str) -> str:
    """The text with (nested) comments turned into spaces, so that positions stay; newlines stay.

    As coqc reads them: `(*)` opens one, and a string inside one hides what looks like its end.
    GallinaSyntaxError where a comment is not closed.
    """
    out, opened, i = list(source), list[int](), 0
    for found in re.finditer(r'\(\*|\*\)|"', source):
        if found.start() < i:
            continue
        if found[0] == "(*":
            opened.append(found.start())
            i = found.end()
        elif opened and found[0] == "*)":
            start, i = opened.pop(), found.end()
            out[start:i] = (c if c == "\n" else " " for c in source[start:i])
        elif opened and found[0] == '"':
            i = source.find('"', found.end()) + 1 or len(source)
    if opened:
        before = source[: opened[0]]
        at = (before.count("\n") + 1, opened[0] - before.rfind("\n"))
        raise _syntax_error(
            source, *at, "a comment is opened and never closed", "write *) at its end"
        )
    return "".join(out)


def parse_sentences(source: str) -> tuple[s.Sentence, ...]:
    """Sentences of a Gallina text. GallinaSyntaxError or OutsideSubsetError, with the place."""
    source = source.removeprefix(BYTE_ORDER_MARK)
    if len(source) > LIMITS.max_characters:
        raise GallinaSyntaxError(
            "parse a program",
            f"it is longer than {LIMITS.max_characters} characters",
            "split it",
        )
    clean = blank_comments(source)
    _check_nesting(source, clean)
    try:
        sentences: tuple[s.Sentence, ...] = _SyntaxBuilder().transform(_build_parser().parse(clean))
    except VisitError as error:
        if isinstance(error.orig_exc, _Outside):
            raise _outside_error(source, error.orig_exc) from None
        if isinstance(error.orig_exc, RecursionError):
            raise nesting_error(source) from None
        raise
    except UnexpectedInput as error:
        raise _unexpected_error(source, clean, error) from None
    except RecursionError:
        raise nesting_error(source) from None
    return sentences


def nesting_error(source: str, line: int = 1, column: int = 1) -> OutsideSubsetError:
    """The refusal of a text that nests deeper than this reader can follow."""
    problem = "nesting this deep is outside the subset that is read"
    return OutsideSubsetError(
        "parse a program",
        problem,
        "give parts of it names",
        source=source,
        line=line,
        column=column,
    )


def _check_nesting(source: str, clean: str) -> None:
    depth, line, column = 0, 1, 0
    for char in clean:
        line, column = (line + 1, 0) if char == "\n" else (line, column + 1)
        depth += (char in "([{") - (char in ")]}")
        if depth > LIMITS.max_nesting:
            raise nesting_error(source, line, column)


def _syntax_error(
    source: str, line: int, column: int, problem: str, hint: str
) -> GallinaSyntaxError:
    return GallinaSyntaxError(
        "parse a program", problem, hint, source=source, line=line, column=column
    )


def _outside_error(source: str, found: _Outside) -> OutsideSubsetError:
    return OutsideSubsetError(
        "parse a program",
        f"{found.what} is outside the subset that is read",
        found.instead,
        source=source,
        line=found.token.line or 0,
        column=found.token.column or 0,
    )


def _unexpected_error(
    source: str, clean: str, error: UnexpectedInput
) -> GallinaSyntaxError | OutsideSubsetError:
    if not isinstance(error, UnexpectedToken):
        here = clean[error.pos_in_stream or 0]
        known = advise_on_word(here) if here == "'" else None
        token = Token("OUTSIDE", here, line=error.line, column=error.column)
        if known:
            return _outside_error(source, _Outside(token, *known))
        return _syntax_error(
            source, error.line, error.column, f"the character {here!r} is not read", ""
        )
    token = error.token
    if token.type == "$END":
        lines = source.splitlines() or [""]
        problem, instead = "the text ends inside a sentence", "close it with 'end' or '.'"
        return _syntax_error(source, len(lines), len(lines[-1]) + 1, problem, instead)
    before = clean[: token.start_pos or 0]
    known = (
        advise_on_word(str(token))
        if token.type == "OUTSIDE"
        else explain_misplaced_token(before, str(token), error.expected)
    )
    if known:
        return _outside_error(source, _Outside(token, *known))
    wanted = ", ".join(sorted(_terminal_text(t) for t in error.expected - {"OUTSIDE"})[:12])
    problem = f"{str(token)!r} cannot stand here"
    return _syntax_error(
        source, token.line or 0, token.column or 0, problem, f"write one of {wanted}"
    )


def _terminal_text(name: str) -> str:
    if name == "NAME":
        return "a name"
    if name == "UNDERSCORE":
        return "'_'"
    if name == "DOT":
        return "'.'"
    pattern = _build_parser().get_terminal(name).pattern.value
    shown = {"SORT": "Set, Type", "NUMBER": "a numeral", "IS": "'is'"}
    return shown.get(name, f"'{pattern}'")


def read_source(source: str | Path) -> str:
    """Gallina text, read from a .v file where a path is given. TaskError where that fails."""
    is_path = isinstance(source, Path) or (source.endswith(".v") and "\n" not in source)
    if not is_path:
        return str(source).removeprefix(BYTE_ORDER_MARK)
    try:
        return Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(
            "read a program", f"{source} cannot be read ({error})", "pass a .v file in UTF-8"
        ) from None
