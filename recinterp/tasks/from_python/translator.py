"""What every part of the translation of one function shares: its names, types and helpers."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, NoReturn, TypeAlias

from recinterp.tasks.from_python.gallina import Code, Env, Signature
from recinterp.tasks.from_python.patterns import PatternReader
from recinterp.tasks.from_python.python_source import PythonFunction
from recinterp.tasks.from_python.types import LOCAL_NAMES, PyType, TypeCase, TypeTable

Branch: TypeAlias = Sequence[ast.stmt] | ast.expr  # of an if statement, of a conditional expression


@dataclass
class Translator(ABC):
    """Translates one function.

    The files beside this one translate what their names say. They reach each other through the
    methods here, because statements, conditions and expressions contain each other.

    Attributes:
        source: The function.
        table: The types of the program.
        signatures: The functions that can be called.
        helpers: The text of functions that translations need beside the user's, by their names.
        names: What variables, and fields as `variable.field`, are called in Gallina.
    """

    source: PythonFunction
    table: TypeTable
    signatures: Mapping[FunctionType, Signature]
    helpers: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)

    @abstractmethod
    def translate_block(
        self, statements: Sequence[ast.stmt], env: Env, wanted: PyType, indent: int
    ) -> Code:
        """The value that statements return."""

    @abstractmethod
    def translate_expression(
        self, node: ast.expr, env: Env, wanted: PyType | None, indent: int
    ) -> Code:
        """The value of an expression. PythonTranslationError where it is not of a wanted type."""

    def translate_part(self, part: Branch, env: Env, wanted: PyType | None, indent: int) -> Code:
        """The value of a branch; that of statements has a wanted type."""
        if isinstance(part, ast.expr):
            return self.translate_expression(part, env, wanted, indent)
        assert wanted is not None
        return self.translate_block(part, env, wanted, indent)

    def rename(self, name: str) -> str:
        """A variable's name in Gallina: as in Python, unless that stands for something there."""
        if name not in self.names:
            wanted = name.replace(".", "_")
            taken = LOCAL_NAMES | self.table.taken | set(self.names.values())
            while wanted in taken:
                wanted += "_"
            self.names[name] = wanted
        return self.names[name]

    @property
    def patterns(self) -> PatternReader:
        """Reads this function's patterns."""
        return PatternReader(self.source, self.table, self.rename)

    def find_case(self, node: ast.expr, cls: Any, type_: PyType) -> TypeCase:
        """The case of a type that a class stands for."""
        if self.table.of_class.get(cls, (None,))[0] != type_:
            cases = " or ".join(c.shown for c in self.table.constructors(type_))
            self.refuse(node, f"{ast.unparse(node)} is no case of {type_}", f"write {cases}")
        return self.table.constructors(type_)[self.table.of_class[cls][1]]

    def refuse(self, node: ast.AST, problem: str, hint: str) -> NoReturn:
        """Raise PythonTranslationError at a node."""
        self.source.refuse(node, problem, hint)
