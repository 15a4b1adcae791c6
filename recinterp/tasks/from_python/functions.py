"""A Python function as a definition in Gallina: its head, and what translates its body."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from recinterp.tasks.from_python.expressions import EXPRESSION_HANDLERS, refuse_expression
from recinterp.tasks.from_python.fields import match_fields
from recinterp.tasks.from_python.gallina import Code, Env, Piece
from recinterp.tasks.from_python.patterns import Bindings
from recinterp.tasks.from_python.statements import STATEMENT_HANDLERS, refuse_statement
from recinterp.tasks.from_python.translator import Translator
from recinterp.tasks.from_python.types import BOOL, ListOf, PyType


class FunctionTranslator(Translator):
    """Translates one function, each statement and expression by the handler of its kind."""

    def translate(self) -> tuple[Piece, ...]:
        """`name (x : T) … : R :=` and the body."""
        tree, signature = self.source.tree, self.signatures[self.source.function]
        bound: Bindings = {}
        head: list[Piece] = [(signature.name, self.source.place(tree))]
        for name, type_ in signature.params:
            bound[name] = (self.rename(name), type_)
            head.append((f" ({bound[name][0]} : {self.table.gallina(type_)})", None))
        head.append((f" : {self.table.gallina(signature.result)} :=\n  ", None))
        body = match_fields(
            self,
            bound,
            tree.body,
            Env(bound),
            2,
            lambda env, indent: self.translate_block(tree.body, env, signature.result, indent),
        )
        return (*head, *body.pieces)

    def translate_block(
        self, statements: Sequence[ast.stmt], env: Env, wanted: PyType, indent: int
    ) -> Code:
        """The value that statements return."""
        if not statements:
            self.refuse(self.source.tree, "a path ends without a value", "return one on each path")
        first, *rest = statements
        handler = STATEMENT_HANDLERS.get(type(first), refuse_statement)
        return handler(self, first, rest, env, wanted, indent)

    def translate_expression(
        self, node: ast.expr, env: Env, wanted: PyType | None, indent: int
    ) -> Code:
        """The value of an expression. PythonTranslationError where it is not of a wanted type."""
        code = EXPRESSION_HANDLERS.get(type(node), refuse_expression)(
            self, node, env, wanted, indent
        )
        if wanted is not None and code.type != wanted:
            hint = f"a value of {wanted} is needed here"
            if wanted == BOOL and isinstance(code.type, ListOf):
                hint = "match on the list: case [] and case [x, *rest]"
            self.refuse(node, f"this is of type {code.type}", hint)
        return code
