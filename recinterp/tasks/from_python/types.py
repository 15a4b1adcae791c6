"""The inductive types of a program: their constructors, and how Gallina writes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from recinterp.semantics.scope import KEYWORDS, LIBRARY_CONSTRUCTORS
from recinterp.tasks.from_python.python_source import Place

# Names of Coq's that translations use, and constructors that a pattern's variable would be read as.
USED_NAMES = frozenset({"bool", "true", "false", "list", "nil", "cons", "prod", "pair"})
GLOBAL_NAMES = KEYWORDS | USED_NAMES | {"is", "Record", "Structure"}
LOCAL_NAMES = (
    GLOBAL_NAMES
    | LIBRARY_CONSTRUCTORS
    | {"O", "S", "tt", "Some", "None", "inl", "inr", "Eq", "Lt", "Gt"}
)


@dataclass(frozen=True)
class Named:
    """A declared type, or bool, by its name in Gallina; `shown` is its name in Python."""

    name: str
    shown: str = field(compare=False)

    def __str__(self) -> str:
        return self.shown


@dataclass(frozen=True)
class ListOf:
    """`list[item]`."""

    item: PyType

    def __str__(self) -> str:
        return f"list[{self.item}]"


@dataclass(frozen=True)
class TupleOf:
    """`tuple[first, second]`; longer tuples nest to the left, as Gallina's pairs do."""

    first: PyType
    second: PyType

    def __str__(self) -> str:
        return f"tuple[{self.first}, {self.second}]"


PyType: TypeAlias = Named | ListOf | TupleOf
BOOL = Named("bool", "bool")


@dataclass(frozen=True)
class TypeCase:
    """A constructor: its name in Gallina, the fields of its class, and the types of those."""

    name: str
    fields: tuple[str, ...]
    types: tuple[PyType, ...]
    shown: str


@dataclass
class TypeTable:
    """The types that a program uses.

    Attributes:
        declared: Type name -> its constructors.
        of_class: Dataclass or enum member -> (its type, the number of its constructor).
        own_lists: List types that are declared together with the type they are nested in.
        taken: Names of Gallina that stand for something already.
        cases: Type name -> the dataclasses that are its cases.
    """

    declared: dict[str, list[TypeCase]] = field(default_factory=dict)
    of_class: dict[Any, tuple[Named, int]] = field(default_factory=dict)
    own_lists: dict[ListOf, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    cases: dict[str, set[type]] = field(default_factory=dict)

    def make_name(self, wanted: str) -> str:
        """A global name that nothing else has."""
        name = wanted
        while name in self.taken or name in GLOBAL_NAMES:
            name += "_"
        self.taken.add(name)
        return name

    def nest_lists(self, place: Place) -> None:
        """Declare the lists that nest a type in itself: Gallina's `list` cannot hold those here."""
        for name, constructors in list(self.declared.items()):
            for part in [p for c in constructors for t in c.types for p in _parts(t)]:
                if isinstance(part, Named) or not self._reaches(part, name):
                    continue
                if isinstance(part, TupleOf):
                    hint = "write a frozen dataclass for the tuple"
                    place.refuse(f"the type {name} nests itself in {part}", hint)
                if part not in self.own_lists:
                    self._declare_list(part)

    def _declare_list(self, type_: ListOf) -> None:
        base = self.gallina(type_.item).replace(" ", "_").replace("(", "").replace(")", "")
        name = self.make_name(f"list_{base}")
        own = Named(name, str(type_))
        nil, cons = self.make_name(f"nil_{base}"), self.make_name(f"cons_{base}")
        self.own_lists[type_] = name
        self.declared[name] = [
            TypeCase(nil, (), (), "[]"),
            TypeCase(cons, ("x", "rest"), (type_.item, own), "[_, *_]"),
        ]

    def _reaches(self, type_: PyType, name: str) -> bool:
        seen: set[str] = set()
        work = [type_]
        while work:
            for part in _parts(work.pop()):
                if isinstance(part, Named) and part.name not in seen:
                    seen.add(part.name)
                    work += [t for c in self.declared.get(part.name, []) for t in c.types]
        return name in seen

    def constructors(self, type_: PyType) -> list[TypeCase]:
        """The constructors of a type, by which it is matched on."""
        if isinstance(type_, TupleOf):
            return [TypeCase("pair", ("", ""), (type_.first, type_.second), "(_, _)")]
        if isinstance(type_, ListOf):
            if type_ in self.own_lists:
                nil, cons = self.declared[self.own_lists[type_]]
            else:
                nil = TypeCase("nil", (), (), "[]")
                cons = TypeCase("cons", ("", ""), (), "[_, *_]")
            return [nil, dataclasses.replace(cons, types=(type_.item, type_))]
        if type_ == BOOL:
            names = (("true", "True"), ("false", "False"))
            return [TypeCase(name, (), (), shown) for name, shown in names]
        return self.declared[type_.name]

    def is_enumeration(self, type_: PyType) -> bool:
        """Whether all values of a type are constants."""
        return isinstance(type_, Named) and not any(c.types for c in self.constructors(type_))

    def gallina(self, type_: PyType) -> str:
        """A type as Gallina writes it."""
        match type_:
            case Named(name=name):
                return name
            case ListOf(item=item):
                return self.own_lists.get(type_) or f"list {self._argument(item)}"
            case TupleOf(first=first, second=second):
                return f"prod {self._argument(first)} {self._argument(second)}"

    def _argument(self, type_: PyType) -> str:
        text = self.gallina(type_)
        return f"({text})" if " " in text else text

    def declaration(self, name: str) -> str:
        """The declaration of a type, without its sentence's first word."""
        if not any(c.types for c in self.declared[name]):
            return f"{name} : Set := {' | '.join(c.name for c in self.declared[name])}"
        lines = [f"{name} : Set :="]
        for c in self.declared[name]:
            used: set[str] = set()
            binders = []
            for written, type_ in zip(c.fields, c.types, strict=True):
                binder = (
                    written if written not in LOCAL_NAMES | self.taken | used else f"{written}_"
                )
                used.add(binder)
                binders.append(f" ({binder} : {self.gallina(type_)})")
            lines.append(f"  | {c.name}{''.join(binders)}")
        return "\n".join(lines)

    def used_types(self, name: str) -> list[str]:
        """The declared types that a declaration mentions."""
        found = []
        for c in self.declared[name]:
            for type_ in c.types:
                for part in _parts(type_):
                    if isinstance(part, Named) and part.name in self.declared:
                        found.append(part.name)
                    elif isinstance(part, ListOf) and part in self.own_lists:
                        found.append(self.own_lists[part])
        return found


def _parts(type_: PyType) -> Iterator[PyType]:
    yield type_
    match type_:
        case ListOf(item=item):
            yield from _parts(item)
        case TupleOf(first=first, second=second):
            yield from _parts(first)
            yield from _parts(second)
