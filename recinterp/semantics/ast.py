"""A checked program: what is left of Gallina text once it is parsed, typed and guarded.

How to read it (this is what machines are derived from):

- A `Program` has `types` and `functions`, looked up with `program.type(name)` and
  `program.function(name)`.
- An `Inductive` has a name (`bin`; a parameterised type at an argument is a type of its own, named
  as Gallina writes it: `list label`) and `constructors`, each with the types of its arguments.
- A `Function` has `params`, a `result` type, a `body`, and for a fixpoint `struct`, the index of
  its structural parameter, with `block`, the names it is mutually recursive with (itself included).
  A plain definition has `struct=None`.
- A body is one of five expressions: `Var`, `Construct`, `Call`, `Match`, `Let`. Every `Match` is
  one level deep: one scrutinee, one arm per constructor of `type` in the type's order, each arm
  binding all arguments by name. `if`, wildcards, nested and several-column matches are gone.
- Calls are saturated: there are no functions as values.
- Within one function all bound names differ, so a name means one thing throughout its body.

The successor, for instance: `Match(Var("n"), "bin", (Arm("One", (), Construct("X0", "bin",
(Construct("One", "bin", ()),))), Arm("X0", ("m",), ...), Arm("X1", ("m0",), ...)))`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias


@dataclass(frozen=True)
class Constructor:
    """One constructor: its name, and the types of its arguments (parameters instantiated).

    `written` holds the type arguments that Gallina text writes between the name and the arguments;
    it is empty where the type has no parameters, or where they are implicit.
    """

    name: str
    args: tuple[str, ...]
    written: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inductive:
    """A type without free parameters; `block` names the types it is declared together with.

    `args` are the types its parameters stand at: (`label`,) for `list label`.
    """

    name: str
    constructors: tuple[Constructor, ...]
    block: tuple[str, ...] = ()
    args: tuple[str, ...] = ()

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Constructor name -> its place in the declaration."""
        return {c.name: i for i, c in enumerate(self.constructors)}

    def constructor(self, name: str) -> Constructor:
        """The constructor of that name; KeyError if there is none."""
        return self.constructors[self.index[name]]

    @property
    def is_enumeration(self) -> bool:
        """Whether no constructor takes an argument: a finite type of labels."""
        return all(not c.args for c in self.constructors)


@dataclass(frozen=True)
class Var:
    """A parameter, or a name bound by a match arm or a let."""

    name: str


@dataclass(frozen=True)
class Construct:
    """A constructor applied to all its arguments."""

    constructor: str
    type: str
    args: tuple[Expr, ...] = ()


@dataclass(frozen=True)
class Call:
    """A function applied to all its arguments."""

    function: str
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class Arm:
    """One branch of a match: `names` are bound to the constructor's arguments."""

    constructor: str
    names: tuple[str, ...]
    body: Expr


@dataclass(frozen=True)
class Match:
    """A one-level match; `result` is the type of its branches."""

    scrutinee: Expr
    type: str
    arms: tuple[Arm, ...]
    result: str = ""

    def arm(self, constructor: str) -> Arm:
        """The branch of that constructor."""
        return next(arm for arm in self.arms if arm.constructor == constructor)


@dataclass(frozen=True)
class Let:
    """`let name : type := value in body`."""

    name: str
    type: str
    value: Expr
    body: Expr


Expr: TypeAlias = Var | Construct | Call | Match | Let


@dataclass(frozen=True)
class Param:
    """A parameter and its type."""

    name: str
    type: str


@dataclass(frozen=True)
class Function:
    """A definition (`struct` None) or one function of a fixpoint block."""

    name: str
    params: tuple[Param, ...]
    result: str
    body: Expr
    struct: int | None = None
    block: tuple[str, ...] = ()

    @property
    def is_recursive(self) -> bool:
        """Whether it was declared by Fixpoint."""
        return self.struct is not None


@dataclass(frozen=True)
class Program:
    """Types and functions in the order of the text."""

    types: tuple[Inductive, ...]
    functions: tuple[Function, ...]

    @cached_property
    def _types(self) -> Mapping[str, Inductive]:
        return {t.name: t for t in self.types}

    @cached_property
    def _functions(self) -> Mapping[str, Function]:
        return {f.name: f for f in self.functions}

    def type(self, name: str) -> Inductive:
        """The type of that name; KeyError if there is none."""
        return self._types[name]

    def function(self, name: str) -> Function:
        """The function of that name; KeyError if there is none."""
        return self._functions[name]

    @cached_property
    def ids(self) -> Mapping[tuple[str, str], int]:
        """(type, constructor) -> a number of its own; those of one type are consecutive."""
        pairs = [(t.name, c.name) for t in self.types for c in t.constructors]
        return {pair: i for i, pair in enumerate(pairs)}

    @cached_property
    def first_id(self) -> Mapping[str, int]:
        """Type -> the number of its first constructor."""
        return {
            t.name: self.ids[t.name, t.constructors[0].name] for t in self.types if t.constructors
        }

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The constructor's name for each number of `ids`."""
        return tuple(name for _, name in self.ids)

    @property
    def function_names(self) -> tuple[str, ...]:
        """Every function's name, in the order of the text."""
        return tuple(f.name for f in self.functions)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct subexpressions, left to right."""
    match expr:
        case Var():
            return ()
        case Construct(args=args) | Call(args=args):
            return args
        case Match():
            return (expr.scrutinee, *(arm.body for arm in expr.arms))
        case Let():
            return (expr.value, expr.body)


def walk(expr: Expr) -> Iterator[Expr]:
    """Every subexpression, itself first, left to right."""
    stack = [expr]
    while stack:
        here = stack.pop()
        yield here
        stack.extend(reversed(children(here)))
