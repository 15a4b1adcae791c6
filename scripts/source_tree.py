"""Facts about a Python package that are read from its source, without importing it.

The import graph, what a package exports, and which parameters and fields its docstrings leave out:
for the tests of the package's order, and for scripts/measure_house.py, which compares two trees.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "recinterp"

# The rooms from the bottom to the top; a room imports those before it.
ORDER = (
    "errors", "tokens", "stats", "splits", "io", "semantics", "machine", "tasks", "derivation",
    "models", "perturb", "probe", "judge", "synthesis", "causal", "divergence", "config",
    "explanation", "pipeline", "compare", "view", "__init__", "cli", "__main__",
)  # fmt: skip
# The order that CONTRIBUTING.md gave before the rooms were divided; unlisted files by their use.
FORMER_ORDER = (
    "errors", "rate", "semantics", "machine", "tasks", "models", "perturb", "probe", "reconstruct",
    "network", "judge", "diff", "saved", "explain", "session", "view", "__init__", "cli",
    "__main__",
)  # fmt: skip
# Rooms whose exports are public, in either order.
EXPORTING = (
    "errors", "machine", "tasks", "models", "perturb", "probe", "judge", "synthesis", "causal",
    "divergence", "reconstruct", "diff",
)  # fmt: skip
# Beginnings of docstrings that say nothing without the docstring before.
RELATIVE = (
    "The same", "Those", "Some of them", "All of them", "The inverse", "What it", "Its ",
)  # fmt: skip

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = ast.ClassDef | Function


class When(StrEnum):
    """When an import statement is executed."""

    LOAD = "at load"
    LATE = "late, inside a function"
    TYPING = "for type checkers only"


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """One import of one module by another.

    Attributes:
        file: path of the importing file, relative to the repository.
        line: line of the import statement.
        source: dotted name of the importing module.
        target: dotted name of the imported module; the module that holds the name in
            `from module import name`, unless the name is itself a module.
        when: when the statement is executed.
    """

    file: str
    line: int
    source: str
    target: str
    when: When

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.source} imports {self.target} {self.when}"


@dataclass(frozen=True, kw_only=True)
class Public:
    """A class or function that a package exports.

    Attributes:
        name: dotted name under which it is exported.
        module: dotted name of the module that defines it.
        node: its definition.
    """

    name: str
    module: str
    node: Definition


class SourceTree:
    """The package below a folder.

    Args:
        root: the repository, which holds the package's folder.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Dotted name and file of every module of the package."""
        found = {}
        for path in sorted((self.root / PACKAGE).rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return found

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """Dotted name and syntax tree of every module of the package."""
        return {name: ast.parse(path.read_text("utf-8")) for name, path in self.modules.items()}

    @cached_property
    def arrows(self) -> list[Arrow]:
        """Every import of one module of the package by another, in the order of the source."""
        return [
            Arrow(file=self._file(name), line=node.lineno, source=name, target=target, when=when)
            for name, tree in self.trees.items()
            for node, when in _imports(tree, When.LOAD)
            for target in self._targets(node)
            if target != name
        ]

    def loaded_third_parties(self, module: str) -> set[str]:
        """Top-level names of all packages that a module imports when it is loaded."""
        found = set()
        for node, when in _imports(self.trees[module], When.LOAD):
            if when is When.LOAD and isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif when is When.LOAD and isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
        return found

    def docstrings(self) -> Iterator[tuple[str, int, str]]:
        """File, line and text of every docstring."""
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        for name, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                    yield self._file(name), node.body[0].lineno, text

    def classes(self) -> Iterator[tuple[str, ast.ClassDef]]:
        """Module and definition of every class, those inside of others included."""
        for name, tree in self.trees.items():
            yield from ((name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))

    def exported(self, module: str) -> list[str]:
        """The names of a module's `__all__`; of a module without one, its public classes."""
        for node in self.trees[module].body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                return [str(name) for name in ast.literal_eval(node.value)]
        own = (n.name for n in self.trees[module].body if isinstance(n, ast.ClassDef))
        return [name for name in own if not name.startswith("_")]

    def public(self, module: str) -> list[Public]:
        """The classes and functions that a module exports."""
        return [p for name in self.exported(module) if (p := self.find(module, name))]

    def reference(self) -> list[tuple[str, str]]:
        """Module and name of each class and function that docs/api.md lists."""
        text = (self.root / "docs" / "api.md").read_text("utf-8")
        return re.findall(r"auto(?:class|function):: (\S+)\.(\w+)", text)

    def public_face(self) -> dict[str, Public]:
        """Every exported class and function and those of docs/api.md, by where they are defined."""
        rooms = [PACKAGE, *(f"{PACKAGE}.{name}" for name in EXPORTING)]
        listed = self.reference()
        listed += [(m, name) for m in rooms if m in self.modules for name in self.exported(m)]
        found = [self.find(module, name) for module, name in listed if module in self.modules]
        return {f"{p.module}.{p.node.name}": p for p in found if p is not None}

    def find(self, module: str, name: str) -> Public | None:
        """The class or function that `module.name` is, wherever it is defined."""
        home = self._resolve(module, name)
        return home and Public(name=f"{module}.{name}", module=home[0], node=home[1])

    def undocumented(self, public: Public) -> list[str]:
        """Parameters and fields of a class or function that no docstring of it mentions.

        A missing docstring counts as one more. Parameters of public methods are counted with
        their class; a base class of the package may document what it passes on.
        """
        if isinstance(public.node, ast.ClassDef):
            return self._undocumented_in_class(public.module, public.node)
        return _undocumented_parameters(public.node, ast.get_docstring(public.node) or "")

    def _undocumented_in_class(self, module: str, node: ast.ClassDef) -> list[str]:
        made_by = [f for f in _functions(node) if f.name == "__init__"]
        texts = [text for _, base in self._lineage(module, node) if (text := _docs_of(base))]
        document = "\n".join(texts)
        wanted = _fields(node) or [name for f in made_by for name in _parameters(f)]
        missing = ["(docstring)"] if not ast.get_docstring(node) else []
        missing += [name for name in wanted if not _mentions(document, name)]
        for method in _functions(node):
            if not method.name.startswith("_") and not _is_setter_or_overload(method):
                text = ast.get_docstring(method) or self._inherited_doc(module, node, method.name)
                missing += [f"{method.name}: {x}" for x in _undocumented_parameters(method, text)]
        return missing

    def _inherited_doc(self, module: str, node: ast.ClassDef, name: str) -> str:
        for _, base in self._lineage(module, node):
            for method in _functions(base):
                if method.name == name and (text := ast.get_docstring(method)):
                    return text
        return ""

    def _lineage(self, module: str, node: ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef]]:
        yield module, node
        for base in node.bases:
            home = self._resolve(module, ast.unparse(base))
            if home and isinstance(home[1], ast.ClassDef):
                yield from self._lineage(home[0], home[1])

    def _resolve(self, module: str, name: str) -> tuple[str, Definition] | None:
        kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        for node in _top_level(self.trees[module]):
            if isinstance(node, kinds) and node.name == name:
                return module, node
            if isinstance(node, ast.ImportFrom) and node.module in self.modules:
                names = {alias.asname or alias.name: alias.name for alias in node.names}
                if name in names and node.module != module:
                    return self._resolve(node.module, names[name])
        return None

    def _targets(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in self.modules)
            return
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            if full in self.modules:
                yield full
            elif node.module in self.modules:
                yield str(node.module)

    def _file(self, module: str) -> str:
        return self.modules[module].relative_to(self.root).as_posix()


def room(module: str) -> str:
    """The room of a module: the first part below the package, or `__init__` for the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def cycles(arrows: list[Arrow]) -> list[list[str]]:
    """Groups of modules that import each other in a circle, each group sorted."""
    reachable = {a.source: reach(a.source, arrows) for a in arrows}
    groups = {
        tuple(sorted(b for b in reachable[a] if a in reachable.get(b, ()))) for a in reachable
    }
    return [list(group) for group in sorted(groups) if group]


def reach(start: str, arrows: list[Arrow]) -> set[str]:
    """All modules at the end of a path of one arrow or more that begins at `start`."""
    targets: dict[str, set[str]] = {}
    for arrow in arrows:
        targets.setdefault(arrow.source, set()).add(arrow.target)
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = targets.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def dataclass_decorator(node: ast.ClassDef) -> str | None:
    """The text of a class's dataclass decorator, None where it has none."""
    texts = [ast.unparse(d) for d in node.decorator_list]
    return next((t for t in texts if t.split("(")[0].split(".")[-1] == "dataclass"), None)


def _imports(node: ast.AST, when: When) -> Iterator[tuple[ast.Import | ast.ImportFrom, When]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):  # holds no statement
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, when
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child, When.TYPING)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(child, When.LATE if when is When.LOAD else when)
        else:
            yield from _imports(child, when)


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in tree.body:
        yield node
        if isinstance(node, ast.If):
            yield from node.body


def _functions(node: ast.ClassDef) -> list[Function]:
    return [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def _fields(node: ast.ClassDef) -> list[str]:
    """The public fields of a dataclass or named tuple."""
    named_tuple = any(ast.unparse(b) == "NamedTuple" for b in node.bases)
    if not named_tuple and dataclass_decorator(node) is None:
        return []
    names = [
        n.target.id
        for n in node.body
        if isinstance(n, ast.AnnAssign)
        and isinstance(n.target, ast.Name)
        and "ClassVar" not in ast.unparse(n.annotation)
    ]
    return [name for name in names if not name.startswith("_")]


def _parameters(function: Function) -> list[str]:
    a = function.args
    names = [arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    names += [arg.arg for arg in (a.vararg, a.kwarg) if arg]
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


def _undocumented_parameters(function: Function, text: str) -> list[str]:
    missing = [] if text else ["(docstring)"]
    return missing + [name for name in _parameters(function) if not _mentions(text, name)]


def _docs_of(node: ast.ClassDef) -> str:
    made_by = (ast.get_docstring(f) for f in _functions(node) if f.name == "__init__")
    return "\n".join(text for text in (ast.get_docstring(node), *made_by) if text)


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){name}(?!\w)", text) is not None


def _is_setter_or_overload(function: Function) -> bool:
    texts = [ast.unparse(d) for d in function.decorator_list]
    return any(t.split(".")[-1] in ("overload", "setter") for t in texts)
