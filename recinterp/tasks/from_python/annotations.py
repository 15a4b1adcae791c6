"""Annotations to inductive types: unions of dataclasses, enums, lists, tuples, bool."""

# ruff: noqa: RET503 (what refuses never returns)

from __future__ import annotations

import ast
import dataclasses
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NoReturn

from recinterp.tasks.from_python.python_source import (
    MISSING,
    Place,
    PythonFunction,
    find_field,
)
from recinterp.tasks.from_python.types import (
    BOOL,
    ListOf,
    Named,
    PyType,
    TupleOf,
    TypeCase,
    TypeTable,
)


def read_annotation(table: TypeTable, node: ast.expr | None, source: PythonFunction) -> PyType:
    """The type that an annotation of a function writes; types that are new are declared."""
    if node is None:
        source.refuse(source.tree, "a parameter or the result has no type", "annotate it")
    return AnnotationReader(table, source.names, source.place(node)).read(node)


@dataclass(frozen=True)
class AnnotationReader:
    """Reads an annotation, and declares the types it uses.

    Attributes:
        table: Where types are declared.
        names: What global names stand for.
        place: Where the annotation stands.
    """

    table: TypeTable
    names: Mapping[str, Any]
    place: Place

    def read(self, written: Any) -> PyType:
        """The type of an annotation: a syntax tree, text, or an object."""
        if isinstance(written, typing.ForwardRef):
            written = written.__forward_arg__
        if isinstance(written, str):
            try:
                written = ast.parse(written.strip(), mode="eval").body
            except SyntaxError:
                problem = f"the annotation {written!r} cannot be read"
                self.place.refuse(problem, "write a type")
        if isinstance(written, ast.expr):
            return self._read_tree(written)
        origin, args = typing.get_origin(written), typing.get_args(written)
        if written is bool:
            return BOOL
        if origin in (types.UnionType, typing.Union):
            return self._read_union([self._find_object(a) for a in args])
        if origin in (list, tuple):
            return self._read_generic(origin, args)
        if isinstance(written, type) and issubclass(written, Enum):
            return self._declare_enum(written)
        if dataclasses.is_dataclass(written) and isinstance(written, type):
            return self._read_class(written)
        return self._refuse_type(written)

    def _refuse_type(self, written: Any) -> NoReturn:
        shown = getattr(written, "__name__", str(written))
        hints = {
            int: "write a union of dataclasses, Zero | Succ, or an Enum",
            str: "write an Enum of the letters, and list[Letter] for text",
            list: "write list[T]",
            tuple: "write tuple[T, U]",
            type(None): "write a frozen dataclass for the case without a value",
        }
        default = "use frozen dataclasses, unions of them, enums, list, tuple and bool"
        self.place.refuse(
            f"{shown} is no type of finite data that can be translated",
            hints.get(written, default) if isinstance(written, type) else default,
        )

    def _read_tree(self, node: ast.expr) -> PyType:
        match node:
            case ast.Constant(value=str(text)):
                return self.read(text)
            case ast.BinOp(op=ast.BitOr()):
                return self._read_union([self._find_object(part) for part in _union_parts(node)])
            case ast.Subscript():
                return self._read_subscript(node)
            case ast.Constant(value=None):
                return self._refuse_type(type(None))
        return self.read(self._find_object(node))

    def _read_subscript(self, node: ast.Subscript) -> PyType:
        origin = self._find_object(node.value)
        origin = typing.get_origin(origin) or origin
        args = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if origin in (list, tuple):
            return self._read_generic(origin, args)
        if origin is typing.Optional:
            hint = "write a frozen dataclass for the case without a value"
            self.place.refuse("None is no dataclass", hint)
        if origin is typing.Union:
            return self._read_union([self._find_object(a) for a in args])
        return self._refuse_type(ast.unparse(node))

    def _find_object(self, node: Any) -> Any:
        """What a name in an annotation stands for."""
        if isinstance(node, typing.ForwardRef):
            node = ast.parse(node.__forward_arg__, mode="eval").body
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        if not isinstance(node, ast.expr):
            return node
        if isinstance(node, ast.Constant) and node.value is None:
            return type(None)
        found = PythonFunction(None, None, "", self.names).find_object(node)  # type: ignore[arg-type]
        if found is MISSING:
            problem = f"{ast.unparse(node)!r} stands for nothing at the top level of the module"
            self.place.refuse(problem, "define it there")
        return found

    def _read_generic(self, origin: type, args: Sequence[Any]) -> PyType:
        if any(a is Ellipsis or (isinstance(a, ast.Constant) and a.value is ...) for a in args):
            self.place.refuse("a tuple of any length cannot be translated", "write list[T]")
        parts = [self.read(a) for a in args]
        if origin is list and len(parts) == 1:
            return ListOf(parts[0])
        if origin is tuple and len(parts) >= 2:
            whole: PyType = parts[0]
            for part in parts[1:]:
                whole = TupleOf(whole, part)
            return whole
        return self._refuse_type(origin)

    def _declare_enum(self, enum: type[Enum]) -> Named:
        table = self.table
        first = next(iter(enum), None)
        if first in table.of_class:
            return table.of_class[first][0]
        type_ = Named(table.make_name(enum.__name__), enum.__name__)
        table.declared[type_.name] = []
        for i, member in enumerate(enum):
            name = table.make_name(member.name)
            shown = f"{enum.__name__}.{member.name}"
            table.declared[type_.name].append(TypeCase(name, (), (), shown))
            table.of_class[member] = (type_, i)
        return type_

    # unions of dataclasses
    def _read_class(self, cls: type) -> Named:
        """The type of a dataclass: the union it is a case of, or one with it as its only case."""
        if cls in self.table.of_class:
            return self.table.of_class[cls][0]
        for union in self._find_unions(cls):
            members = [self._find_object(m) for m in typing.get_args(union)]
            if cls in members:
                return self._read_union(members)
        return self._declare_union(_lower_first(cls.__name__), [cls])

    def _find_unions(self, cls: type) -> Iterator[Any]:
        for value in [*self.names.values(), *_module_names(cls).values()]:
            if cls.__name__ in _case_names(value):
                yield value

    def _read_union(self, members: Sequence[Any]) -> Named:
        classes = self._flatten_union(members)
        of_class = self.table.of_class
        if classes[0] in of_class:
            found = of_class[classes[0]][0]
            if self.table.cases[found.name] == set(classes):
                return found
        if any(m in of_class for m in classes):
            hint = "give each union its own cases"
            self.place.refuse("a dataclass is a case of two unions", hint)
        return self._declare_union(self._find_union_name(classes), classes)

    def _flatten_union(self, members: Sequence[Any]) -> list[type]:
        """The cases, those of unions within included; each is a dataclass."""
        flat: list[Any] = []
        for member in members:
            flat += typing.get_args(member) if isinstance(member, types.UnionType) else [member]
        for member in flat:
            if not (isinstance(member, type) and dataclasses.is_dataclass(member)):
                shown = "None" if member is type(None) else getattr(member, "__name__", str(member))
                self.place.refuse(
                    f"the union has {shown}, which is no dataclass",
                    "write a frozen dataclass for each case",
                )
        return flat

    def _find_union_name(self, classes: Sequence[type]) -> str:
        """The name that the user gives a union, where its function or its first case is."""
        wanted = {cls.__name__ for cls in classes}
        for space in (self.names, _module_names(classes[0])):
            for name, value in space.items():
                if _case_names(value) == wanted:
                    return name
        listed = " | ".join(cls.__name__ for cls in classes)
        self.place.refuse("the union has no name", f"write Name = {listed} at the top level")

    def _declare_union(self, shown: str, classes: list[type]) -> Named:
        table = self.table
        for cls in classes:
            if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
                problem = f"the dataclass {cls.__name__} is not frozen"
                self.place.refuse(problem, "write @dataclass(frozen=True)")
        made_names = [table.make_name(cls.__name__) for cls in classes]
        shown_type = classes[0].__name__ if len(classes) == 1 else shown
        type_ = Named(table.make_name(shown), shown_type)
        table.declared[type_.name] = []
        table.cases[type_.name] = set(classes)
        for i, cls in enumerate(classes):
            table.of_class[cls] = (type_, i)
        for name, cls in zip(made_names, classes, strict=True):
            table.declared[type_.name].append(self._read_case(name, cls))
        return type_

    def _read_case(self, name: str, cls: Any) -> TypeCase:
        """A dataclass as a constructor, with the types of its fields."""
        fields = dataclasses.fields(cls)
        inner = replace(self, names={**self.names, **_module_names(cls)})  # its own module first
        known = tuple(
            replace(inner, place=find_field(cls, f.name, self.place)).read(f.type) for f in fields
        )
        return TypeCase(name, tuple(f.name for f in fields), known, cls.__name__)


def _module_names(cls: type) -> Mapping[str, Any]:
    """What names stand for at the top level of the module of a class."""
    return vars(sys.modules.get(cls.__module__, types.ModuleType("nowhere")))


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


def _lower_first(name: str) -> str:
    return name[0].lower() + name[1:]
