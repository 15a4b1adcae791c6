"""Terms as token sequences: prefix order or reversed, bracketed or not, lists as their bare data.

One argument, natural order: `X1 (X0 One)` is `X1 X0 01` (One shown as 01); reversed, `01 X0 X1`.
Bracketed, `Node a Leaf Leaf` is `( Node a Leaf Leaf )`. A list of labels, where it is a whole
argument or the whole output, is its labels: `cons a (cons b nil)` is `a b`. Arguments are joined
by `,`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from recinterp.errors import InvalidInputError, TaskError
from recinterp.semantics.ast import Inductive, Program
from recinterp.semantics.limits import RUN_LIMITS
from recinterp.semantics.terms import Term, Value, value_from
from recinterp.tokens import ARG_SEP, END_OF_INPUT, TRUNCATED

OPEN, CLOSE = "(", ")"


@dataclass(frozen=True)
class Encoding:
    """How the terms of one program are written; `shown` maps constructors to other tokens."""

    program: Program
    shown: tuple[tuple[str, str], ...]
    reverse: bool
    brackets: bool
    bare_lists: bool

    @cached_property
    def tokens_by_constructor(self) -> Mapping[str, str]:
        """Constructor -> token."""
        return {c.name: c.name for t in self.program.types for c in t.constructors} | dict(
            self.shown
        )

    @cached_property
    def token_of_id(self) -> tuple[str, ...]:
        """The token for each number of `program.ids`."""
        return tuple(self.tokens_by_constructor[name] for name in self.program.symbols)

    def is_bare(self, type_: str) -> bool:
        """Whether a whole argument, or the result, of this type is written as its data only."""
        if type_ not in self._bare:
            self._bare[type_] = self.bare_lists and list_shape(self.program, type_) is not None
        return self._bare[type_]

    @cached_property
    def _bare(self) -> dict[str, bool]:
        return {}

    def tokens_of_types(self, types: Sequence[str]) -> tuple[str, ...]:
        """Every token that terms of these types, as arguments or output, are written with."""
        found: dict[str, None] = {}
        for type_ in types:
            shape = list_shape(self.program, type_)
            if self.bare_lists and shape is not None:
                reach = [self.program.type(shape[2])]
            else:
                reach = reachable_types(self.program, type_)
            for ind in reach:
                found |= dict.fromkeys(self.tokens_by_constructor[c.name] for c in ind.constructors)
            if self.brackets and any(c.args for ind in reach for c in ind.constructors):
                found |= {OPEN: None, CLOSE: None}
        return tuple(found)

    def check_tokens(self, types: Sequence[str], specials: Sequence[str]) -> None:
        """TaskError where two constructors share a token, or a token is a special one."""
        names = dict.fromkeys(
            c.name for t in types for i in reachable_types(self.program, t) for c in i.constructors
        )
        for name, token in self.shown:
            if name not in self.tokens_by_constructor or name not in set(self.program.symbols):
                raise TaskError(
                    "show constructors as other tokens",
                    f"{name!r} is no constructor",
                    f"name one of {', '.join(names)}",
                )
            if not token or any(ch.isspace() for ch in token):
                raise TaskError(
                    "show constructors as other tokens",
                    f"{token!r} is no token",
                    "write text without blanks",
                )
        seen: dict[str, str] = {}
        for name in names:
            token = self.tokens_by_constructor[name]
            if token in seen or token in (*specials, OPEN, CLOSE, ARG_SEP, END_OF_INPUT, TRUNCATED):
                raise TaskError(
                    "show constructors as other tokens",
                    f"{name!r} is shown as {token!r}, which is taken",
                    "choose another token",
                )
            seen[token] = name

    def write_value(self, value: Value, type_: str) -> list[str]:
        """The tokens of a value of a type."""
        return self.writer_of(type_)(value)

    def writer_of(self, type_: str) -> Callable[[Value], list[str]]:
        """The function that writes the values of a type."""
        if type_ not in self._writer_cache:
            self._writer_cache[type_] = self._make_writer(type_)
        return self._writer_cache[type_]

    def _make_writer(self, type_: str) -> Callable[[Value], list[str]]:
        if self.is_bare(type_):
            write = self._write_bare
        elif self.brackets:
            write = self._write_bracketed
        elif self._chain_tables(type_) is not None:
            write = self._write_chain
        else:
            write = self._write_plain
        return (lambda value: write(value)[::-1]) if self.reverse else write

    def _write_chain(self, value: Value) -> list[str]:
        names, out = self.token_of_id, []
        while len(value) > 1:
            out.append(names[value[0]])
            value = value[1]
        out.append(names[value[0]])
        return out

    def _write_plain(self, value: Value) -> list[str]:
        names, out = self.token_of_id, []
        pending: list[Value] = []
        here = value
        while True:
            out.append(names[here[0]])
            arity = len(here)
            if arity == 2:
                here = here[1]
                continue
            if arity > 2:
                pending.extend(here[:0:-1])
            elif not pending:
                return out
            elif len(out) > RUN_LIMITS.max_tokens:
                raise _long_output_error()
            here = pending.pop()

    def _write_bracketed(self, value: Value) -> list[str]:
        names, out = self.token_of_id, list[str]()
        pending: list[Value | None] = [value]
        while pending:
            here = pending.pop()
            if len(out) > RUN_LIMITS.max_tokens:
                raise _long_output_error()
            if here is None:
                out.append(CLOSE)
            elif len(here) == 1:
                out.append(names[here[0]])
            else:
                out += [OPEN, names[here[0]]]
                pending.append(None)
                pending.extend(here[:0:-1])
        return out

    def _write_bare(self, value: Value) -> list[str]:
        names, out = self.token_of_id, []
        while len(value) > 1:
            out.append(names[value[1][0]])
            value = value[2]
        return out

    def read_value(self, tokens: Sequence[str], type_: str, offset: int = 0) -> Value:
        """The value of a type that tokens write. InvalidInputError(position) otherwise.

        `offset` is where these tokens stand in the whole input; positions count from its start.
        """
        chain = self._chain_tables(type_)
        if chain is not None:
            value = _read_chain(tokens, *chain, self.reverse)
            if value is not None:
                return value
        parser = _Reader(self, type_, offset)
        if not self.reverse:
            return parser.read(list(tokens))
        try:
            return parser.read(list(tokens)[::-1])
        except InvalidInputError as error:
            position = offset + len(tokens) - 1 - (error.position - offset)
            raise InvalidInputError(
                error.operation, error.problem, error.hint, position=max(offset, position)
            ) from None

    def _chain_tables(self, type_: str) -> tuple[Mapping[str, Value], Mapping[str, int]] | None:
        """(ends, links) where terms of a type are chains of one-argument constructors, as numbers
        are.
        """
        if type_ not in self._chain_cache:
            args = [c.args for c in self.program.type(type_).constructors]
            fits = not self.brackets and not self.is_bare(type_) and set(args) <= {(), (type_,)}
            table = self.constructor_tables[type_]
            ends = {token: (i,) for token, (i, arity) in table.items() if not arity}
            links = {token: i for token, (i, arity) in table.items() if arity}
            self._chain_cache[type_] = (ends, links) if fits else None
        return self._chain_cache[type_]

    @cached_property
    def _chain_cache(self) -> dict[str, tuple[Mapping[str, Value], Mapping[str, int]] | None]:
        return {}

    @cached_property
    def _writer_cache(self) -> dict[str, Callable[[Value], list[str]]]:
        return {}

    @cached_property
    def constructor_tables(self) -> dict[str, Mapping[str, tuple[int, tuple[str, ...]]]]:
        """Type -> token -> (constructor's number, argument types)."""
        return {
            t.name: {
                self.tokens_by_constructor[c.name]: (self.program.ids[t.name, c.name], c.args)
                for c in t.constructors
            }
            for t in self.program.types
        }

    @cached_property
    def constructor_by_token(self) -> Mapping[str, tuple[int, tuple[str, ...], str]]:
        """Token -> (constructor's number, argument types, type)."""
        return {x: (i, args, t) for t, found in self.constructor_tables.items()
                for x, (i, args) in found.items()}  # fmt: skip

    def shape_of(self, type_: str) -> tuple[str, str, str]:
        """`list_shape` of a type that is written bare."""
        if type_ not in self._shape_cache:
            shape = list_shape(self.program, type_)
            assert shape is not None
            self._shape_cache[type_] = shape
        return self._shape_cache[type_]

    @cached_property
    def _shape_cache(self) -> dict[str, tuple[str, str, str]]:
        return {}


def _long_output_error() -> TaskError:
    return TaskError(
        "write an output",
        f"it has more than {RUN_LIMITS.max_tokens:,} tokens",
        "pass shorter inputs, or write a function whose outputs grow less",
    )


@dataclass(frozen=True)
class _Reader:
    encoding: Encoding
    type: str
    offset: int

    def read(self, tokens: list[str]) -> Value:
        if self.encoding.is_bare(self.type):
            return self._bare(tokens)
        if not self.encoding.brackets:
            value = _read_quickly(tokens, self.encoding.constructor_by_token, self.type)
            if value is not None:
                return value
        return self._read_typed(tokens)

    def _bare(self, tokens: list[str]) -> Value:
        shape = self.encoding.shape_of(self.type)
        ids, labels = self.encoding.program.ids, self.encoding.constructor_tables[shape[2]]
        for i, token in enumerate(tokens):
            if token not in labels:
                self._refuse_token(i, f"{token!r} is no {shape[2]}", labels)
        value: Value = (ids[self.type, shape[0]],)
        cons = ids[self.type, shape[1]]
        for token in reversed(tokens):
            value = (cons, (labels[token][0],), value)
        return value

    def _read_typed(self, tokens: list[str]) -> Value:
        """Top down, so that the first token that cannot stand where it does is named."""
        pending, numbered, brackets = [self.type], [], self.encoding.brackets
        opened = False
        for i, token in enumerate(tokens):
            if not pending:
                self._refuse_token(i, f"{token!r} follows a complete term", ())
            wanted = pending.pop()
            if wanted == CLOSE:
                if token != CLOSE:
                    self._refuse_token(i, f"{token!r} where {CLOSE!r} is due", (CLOSE,))
                continue
            if brackets and token == OPEN and not opened:
                pending.append(wanted)
                opened = True
                continue
            table = self.encoding.constructor_tables[wanted]
            if token not in table or (brackets and opened != bool(table[token][1])):
                self._refuse_token(i, f"{token!r} cannot begin a {wanted} here", table)
            index, args = table[token]
            numbered.append((index, len(args)))
            pending += [CLOSE] if opened else []
            pending.extend(reversed(args))
            opened = False
        if pending:
            self._refuse_token(len(tokens), f"the tokens end where a {pending[-1]} is due", ())
        return value_from(numbered)

    def _refuse_token(
        self, i: int, problem: str, expected: Sequence[str] | Mapping[str, object]
    ) -> None:
        hint = f"write one of {', '.join(expected)}" if expected else ""
        raise InvalidInputError("read tokens as a term", problem, hint, position=self.offset + i)


def _read_chain(
    tokens: Sequence[str], ends: Mapping[str, Value], links: Mapping[str, int], reverse: bool
) -> Value | None:
    """The value, or None where the tokens are ill-formed (the slow reader then finds where)."""
    inwards = iter(tokens) if reverse else reversed(tokens)
    try:
        value = ends[next(inwards)]
        for token in inwards:
            value = (links[token], value)
    except (KeyError, StopIteration):
        return None
    return value


def _read_quickly(
    tokens: list[str], table: Mapping[str, tuple[int, tuple[str, ...], str]], type_: str
) -> Value | None:
    """The value, or None where the tokens are ill-formed (the slow reader then finds where)."""
    values: list[Value] = []
    types: list[str] = []
    try:
        for token in reversed(tokens):
            index, args, made = table[token]
            arity = len(args)
            if not arity:
                values.append((index,))
                types.append(made)
                continue
            if tuple(types[: -arity - 1 : -1]) != args:
                return None
            if arity == 1:
                values[-1], types[-1] = (index, values[-1]), made
            else:
                below = values[: -arity - 1 : -1]
                del values[-arity:], types[-arity:]
                values.append((index, *below))
                types.append(made)
    except (KeyError, IndexError):
        return None
    return values[0] if types == [type_] else None


def reachable_types(program: Program, type_: str) -> list[Inductive]:
    """The types that occur in terms of a type, itself first."""
    found: dict[str, Inductive] = {}
    work = [type_]
    while work:
        name = work.pop(0)
        if name not in found:
            found[name] = program.type(name)
            work += [a for c in found[name].constructors for a in c.args]
    return list(found.values())


def list_shape(program: Program, type_: str) -> tuple[str, str, str] | None:
    """(empty, cons, label type) of a type with one constant and one of finite data and the tail."""
    constructors = sorted(program.type(type_).constructors, key=lambda c: len(c.args))
    if [len(c.args) for c in constructors] != [0, 2]:
        return None
    empty, cons = constructors
    label, tail = cons.args
    if tail != type_ or label == type_ or not program.type(label).is_enumeration:
        return None
    return empty.name, cons.name, label


def term_from(value: Value, type_: str, program: Program) -> Term:
    """A value as a Term."""
    from recinterp.semantics.terms import symbols_of

    return Term(type_, symbols_of(value, program), program)


def split_arguments(tokens: Sequence[str], arity: int) -> list[list[str]]:
    """Each argument's tokens, parted at the commas.

    InvalidInputError where their number is another.
    """
    parts, rest = list[list[str]](), list(tokens)
    while ARG_SEP in rest:
        at = rest.index(ARG_SEP)
        parts.append(rest[:at])
        rest = rest[at + 1 :]
    parts.append(rest)
    if len(parts) != arity:
        raise InvalidInputError(
            "read an input",
            f"it has {len(parts)} arguments, not {arity}",
            f"join the arguments by {ARG_SEP!r}",
            position=len(tokens),
        )
    return parts
