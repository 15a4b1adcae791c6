"""The import graph of the package, read from its source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "recinterp"


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
        target: dotted name of the imported module; the module that defines the name in
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


def room(module: str) -> str:
    """The room of a module: the first part below the package, or `__init__` for the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name and file of every module of the package."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def import_graph(root: Path = ROOT) -> list[Arrow]:
    """Every import of one module of the package by another, in the order of the source."""
    names = modules(root)
    return [arrow for name, path in names.items() for arrow in _arrows(root, names, name, path)]


def loaded_third_parties(path: Path) -> set[str]:
    """Top-level names of all packages that a file imports when it is loaded."""
    found = set()
    for node, when in _imports(ast.parse(path.read_text()), When.LOAD):
        if when is When.LOAD and isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif when is When.LOAD and isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def cycles(arrows: list[Arrow]) -> list[list[str]]:
    """Groups of modules that import each other in a circle, each group sorted."""
    targets: dict[str, set[str]] = {}
    for arrow in arrows:
        targets.setdefault(arrow.source, set()).add(arrow.target)
    reachable = {source: reach(source, targets) for source in targets}
    groups = {
        tuple(sorted(b for b in reachable[a] if a in reachable.get(b, ()))) for a in reachable
    }
    return [list(group) for group in sorted(groups) if group]


def reach(start: str, targets: dict[str, set[str]]) -> set[str]:
    """All modules at the end of a path of one arrow or more that begins at `start`."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = targets.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _arrows(root: Path, names: dict[str, Path], source: str, path: Path) -> Iterator[Arrow]:
    for node, when in _imports(ast.parse(path.read_text()), When.LOAD):
        for target in _targets(node, names):
            if target != source:
                yield Arrow(
                    file=str(path.relative_to(root)),
                    line=node.lineno,
                    source=source,
                    target=target,
                    when=when,
                )


def _imports(node: ast.AST, when: When) -> Iterator[tuple[ast.Import | ast.ImportFrom, When]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, when
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child, When.TYPING)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(child, When.LATE if when is When.LOAD else when)
        else:
            yield from _imports(child, when)


def _targets(node: ast.Import | ast.ImportFrom, names: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in names)
        return
    for alias in node.names:
        full = f"{node.module}.{alias.name}"
        if full in names:
            yield full
        elif node.module in names:
            yield str(node.module)
