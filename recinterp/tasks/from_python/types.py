"""Annotations to inductive types: unions of dataclasses, enums, lists, tuples, bool."""

from __future__ import annotations

import ast
import dataclasses
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from recinterp.semantics.scope import KEYWORDS, LIBRARY_CONSTRUCTORS
from recinterp.tasks.from_python.python_source import (
    MISSING,
    Place,
    PythonFunction,
    find_field,
)

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

    # annotations
    def read_annotation(self, node: ast.expr | None, source: PythonFunction) -> PyType:
        """The type that an annotation of a function writes."""
        if node is None:
            source.refuse(source.tree, "a parameter or the result has no type", "annotate it")
        return self._read(node, source.names, source.place(node))

    def _read(self, written: Any, names: Mapping[str, Any], place: Place) -> PyType:
        """The type of an annotation: a syntax tree, text, or an object."""
        if isinstance(written, typing.ForwardRef):
            written = written.__forward_arg__
        if isinstance(written, str):
            try:
                written = ast.parse(written.strip(), mode="eval").body
            except SyntaxError:
                place.refuse(f"the annotation {written!r} cannot be read", "write a type")
        if isinstance(written, ast.expr):
            return self._read_tree(written, names, place)
        origin, args = typing.get_origin(written), typing.get_args(written)
        if written is bool:
            return BOOL
        if origin in (types.UnionType, typing.Union):
            return self._read_union([self._find(a, names, place) for a in args], names, place)
        if origin in (list, tuple):
            return self._read_generic(origin, args, names, place)
        if isinstance(written, type) and issubclass(written, Enum):
            return self._declare_enum(written)
        if dataclasses.is_dataclass(written) and isinstance(written, type):
            return self.read_class(written, names, place)
        return self._refuse_type(written, place)

    def _refuse_type(self, written: Any, place: Place) -> typing.NoReturn:
        shown = getattr(written, "__name__", str(written))
        hints = {
            int: "write a union of dataclasses, Zero | Succ, or an Enum",
            str: "write an Enum of the letters, and list[Letter] for text",
            list: "write list[T]",
            tuple: "write tuple[T, U]",
            type(None): "write a frozen dataclass for the case without a value",
        }
        default = "use frozen dataclasses, unions of them, enums, list, tuple and bool"
        place.refuse(
            f"{shown} is no type of finite data that can be translated",
            hints.get(written, default) if isinstance(written, type) else default,
        )

    def _read_tree(self, node: ast.expr, names: Mapping[str, Any], place: Place) -> PyType:
        match node:
            case ast.Constant(value=str(text)):
                return self._read(text, names, place)
            case ast.BinOp(op=ast.BitOr()):
                members = [self._find(part, names, place) for part in _union_parts(node)]
                return self._read_union(members, names, place)
            case ast.Subscript(value=value, slice=inner):
                origin = self._find(value, names, place)
                origin = typing.get_origin(origin) or origin
                args = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                if origin in (list, tuple):
                    return self._read_generic(origin, args, names, place)
                if origin is typing.Optional:
                    place.refuse(
                        "None is no dataclass",
                        "write a frozen dataclass for the case without a value",
                    )
                if origin is typing.Union:
                    members = [self._find(a, names, place) for a in args]
                    return self._read_union(members, names, place)
                return self._refuse_type(ast.unparse(node), place)
            case ast.Constant(value=None):
                return self._refuse_type(type(None), place)
        return self._read(self._find(node, names, place), names, place)

    def _find(self, node: Any, names: Mapping[str, Any], place: Place) -> Any:
        """What a name in an annotation stands for."""
        if isinstance(node, typing.ForwardRef):
            node = ast.parse(node.__forward_arg__, mode="eval").body
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        if not isinstance(node, ast.expr):
            return node
        if isinstance(node, ast.Constant) and node.value is None:
            return type(None)
        found = PythonFunction(None, None, "", names).find_object(node)  # type: ignore[arg-type]
        if found is MISSING:
            place.refuse(
                f"{ast.unparse(node)!r} stands for nothing at the top level of the module",
                "define it there",
            )
        return found

    def _read_generic(
        self, origin: type, args: typing.Sequence[Any], names: Mapping[str, Any], place: Place
    ) -> PyType:
        if any(a is Ellipsis or (isinstance(a, ast.Constant) and a.value is ...) for a in args):
            place.refuse("a tuple of any length cannot be translated", "write list[T]")
        parts = [self._read(a, names, place) for a in args]
        if origin is list and len(parts) == 1:
            return ListOf(parts[0])
        if origin is tuple and len(parts) >= 2:
            whole: PyType = parts[0]
            for part in parts[1:]:
                whole = TupleOf(whole, part)
            return whole
        return self._refuse_type(origin, place)

    # declarations
    def _declare_enum(self, enum: type[Enum]) -> Named:
        first = next(iter(enum), None)
        if first in self.of_class:
            return self.of_class[first][0]
        type_ = Named(self.make_name(enum.__name__), enum.__name__)
        self.declared[type_.name] = []
        for i, member in enumerate(enum):
            name = self.make_name(member.name)
            shown = f"{enum.__name__}.{member.name}"
            self.declared[type_.name].append(TypeCase(name, (), (), shown))
            self.of_class[member] = (type_, i)
        return type_

    def read_class(self, cls: type, names: Mapping[str, Any], place: Place) -> Named:
        """The type of a dataclass: the union it is a case of, or one with it as its only case."""
        if cls in self.of_class:
            return self.of_class[cls][0]
        for union in self._unions_with(cls, names):
            members = [self._find(m, names, place) for m in typing.get_args(union)]
            if cls in members:
                return self._read_union(members, names, place)
        return self._declare_union(_lower(cls.__name__), [cls], names, place)

    def _unions_with(self, cls: type, names: Mapping[str, Any]) -> Iterator[Any]:
        there = vars(sys.modules.get(cls.__module__, types.ModuleType("nowhere")))
        for value in [*names.values(), *there.values()]:
            if cls.__name__ in _case_names(value):
                yield value

    def _read_union(self, members: list[Any], names: Mapping[str, Any], place: Place) -> Named:
        flat: list[Any] = []
        for member in members:
            if isinstance(member, types.UnionType):
                flat += typing.get_args(member)
            else:
                flat.append(member)
        for member in flat:
            if not (isinstance(member, type) and dataclasses.is_dataclass(member)):
                shown = "None" if member is type(None) else getattr(member, "__name__", str(member))
                place.refuse(
                    f"the union has {shown}, which is no dataclass",
                    "write a frozen dataclass for each case",
                )
        if flat[0] in self.of_class:
            found = self.of_class[flat[0]][0]
            if self.cases[found.name] == set(flat):
                return found
        if any(m in self.of_class for m in flat):
            place.refuse("a dataclass is a case of two unions", "give each union its own cases")
        there = vars(sys.modules.get(flat[0].__module__, types.ModuleType("nowhere")))
        shown = next(
            (
                name
                for space in (names, there)
                for name, value in space.items()
                if _case_names(value) == {m.__name__ for m in flat}
            ),
            None,
        )
        if shown is None:
            listed = " | ".join(m.__name__ for m in flat)
            place.refuse("the union has no name", f"write Name = {listed} at the top level")
        return self._declare_union(shown, flat, names, place)

    def _declare_union(
        self, shown: str, classes: list[type], names: Mapping[str, Any], place: Place
    ) -> Named:
        for cls in classes:
            if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
                place.refuse(
                    f"the dataclass {cls.__name__} is not frozen", "write @dataclass(frozen=True)"
                )
        made_names = [self.make_name(cls.__name__) for cls in classes]
        shown_type = classes[0].__name__ if len(classes) == 1 else shown
        type_ = Named(self.make_name(shown), shown_type)
        self.declared[type_.name] = []
        self.cases[type_.name] = set(classes)
        for i, cls in enumerate(classes):
            self.of_class[cls] = (type_, i)
        for name, cls in zip(made_names, classes, strict=True):
            fields = dataclasses.fields(cls)
            module = sys.modules.get(cls.__module__, types.ModuleType("nowhere"))
            space = {**names, **vars(module)}  # the class's own module comes first
            known = tuple(self._read(f.type, space, find_field(cls, f.name, place)) for f in fields)
            made = TypeCase(name, tuple(f.name for f in fields), known, cls.__name__)
            self.declared[type_.name].append(made)
        return type_

    # what is declared
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


def _union_parts(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_union_parts(node.left), *_union_parts(node.right)]
    return [node]


def _case_names(value: Any) -> set[str]:
    """The names of the cases of a union; classes not defined yet are given by their names."""
    if typing.get_origin(value) not in (types.UnionType, typing.Union):
        return set()
    return {
        a.__forward_arg__ if isinstance(a, typing.ForwardRef) else getattr(a, "__name__", "")
        for a in typing.get_args(value)
    }


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]
