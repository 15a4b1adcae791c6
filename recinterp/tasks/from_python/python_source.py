"""The text of a Python function, what its names stand for, and errors that point into it."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, NoReturn

from recinterp.errors import PythonTranslationError, TaskError

MISSING = object()


@dataclass(frozen=True)
class Place:
    """A place in a file: what an error points at."""

    operation: str
    text: str
    line: int
    column: int

    def refuse(self, problem: str, hint: str) -> NoReturn:
        """Raise PythonTranslationError here."""
        raise PythonTranslationError(
            self.operation, problem, hint, source=self.text, line=self.line, column=self.column
        )


def find_place(operation: str, text: str, node: ast.AST) -> Place:
    """Where a node of a text's tree stands; a tree counts columns in bytes."""
    line, offset = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    written = text.splitlines()[line - 1].encode()[:offset].decode(errors="replace")
    return Place(operation, text, line, len(written) + 1)


@dataclass(frozen=True)
class PythonFunction:
    """A function of the user's: its syntax tree, the text around it, and its names.

    Attributes:
        function: The function object; it is never called.
        tree: Its definition; lines and columns are those of `text`.
        text: The whole text of the file or notebook cell.
        names: What its global and enclosing names stand for.
    """

    function: FunctionType
    tree: ast.FunctionDef
    text: str
    names: Mapping[str, Any]

    def place(self, node: ast.AST) -> Place:
        """Where a node of the tree stands."""
        return find_place(f"translate {self.tree.name!r}", self.text, node)

    def refuse(self, node: ast.AST, problem: str, hint: str) -> NoReturn:
        """Raise PythonTranslationError at a node."""
        self.place(node).refuse(problem, hint)

    def find_object(self, node: ast.expr) -> Any:
        """What a name, or a dotted name of modules and classes, stands for; MISSING if nothing."""
        match node:
            case ast.Name(id=name):
                return self.names.get(name, getattr(builtins, name, MISSING))
            case ast.Attribute(value=value, attr=attr):
                owner = self.find_object(value)
                if isinstance(owner, ModuleType | type):
                    return (
                        inspect.getattr_static(owner, attr, MISSING)
                        if isinstance(owner, ModuleType)
                        else _find_member(owner, attr)
                    )
        return MISSING


def _find_member(owner: type, attr: str) -> Any:
    members = getattr(owner, "__members__", {})
    return members.get(attr, owner.__dict__.get(attr, MISSING))


def read_function(function: Callable[..., Any]) -> PythonFunction:
    """The syntax tree and the names of a function. TaskError where it has no readable source."""
    plain = _unwrap_cached(function)
    try:
        lines, _ = inspect.findsource(plain)
        text = "".join(lines)
        tree = _find_definition(ast.parse(text), plain)
    except (OSError, SyntaxError, TypeError):
        tree, text = None, ""
    if tree is None:
        raise TaskError(
            f"translate {plain.__name__!r}",
            "its source cannot be read",
            "define it with def in a file or in a notebook cell; lambdas and exec have no source",
        )
    names = {**plain.__globals__, **_read_closure(plain)}
    found = PythonFunction(plain, tree, text, names)
    for decorator in tree.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if getattr(found.find_object(target), "__module__", "") != "functools":
            found.refuse(decorator, "a decorator may change what the function does", "remove it")
    return found


def _unwrap_cached(function: Callable[..., Any]) -> FunctionType:
    inner = getattr(function, "__wrapped__", function)
    if not isinstance(inner, FunctionType):
        raise TaskError(
            "translate a function",
            f"{function!r} is no Python function",
            "pass a function defined with def",
        )
    return inner


def _read_closure(function: FunctionType) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found = {}
    for name, cell in cells:
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _find_definition(module: ast.Module, function: FunctionType) -> ast.FunctionDef | None:
    first = function.__code__.co_firstlineno
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if start == first:
                return node
    return None


def called_functions(source: PythonFunction) -> Iterator[Callable[..., Any]]:
    """The functions of the user's that a function calls, in the order of the text."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            found = source.find_object(node.func)
            is_users = getattr(found, "__module__", "") not in ("typing", "typing_extensions")
            if is_users and isinstance(getattr(found, "__wrapped__", found), FunctionType):
                yield found


def find_field(cls: type, name: str, default: Place) -> Place:
    """The place of a field's annotation in the text of its class; `default` where it has none."""
    try:
        text = "".join(inspect.findsource(cls)[0])
        module = ast.parse(text)
    except (OSError, SyntaxError, TypeError):
        return default
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            for part in node.body:
                match part:
                    case ast.AnnAssign(target=ast.Name(id=found), annotation=written):
                        if found == name:
                            return find_place(default.operation, text, written)
    return default
