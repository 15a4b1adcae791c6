"""Terms and programs as Gallina text.

Refolded, an anonymous fix is shown by its function's name, for people; exact, it is written out and
type arguments are explicit, so that coqc reads back the very same term. Nothing recurses on values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from recinterp.semantics.ast import Call, Construct, Function, Let, Match, Param, Program, Var
from recinterp.semantics.reduce import Closed, Lambda, TermNode, Unfolded

Piece: TypeAlias = (
    "str | tuple[TermNode, bool]"  # text, or a node and whether it stands as an argument
)


def show_term(
    node: TermNode, program: Program, *, exact: bool = False, limit: int | None = None
) -> str:
    """The term as text; cut with … after `limit` characters."""
    return TermPrinter(program, exact, limit).join_pieces([(node, False)])


@dataclass(frozen=True)
class TermPrinter:
    """Writes terms of a program.

    Attributes:
        program: The program whose types and functions the terms use.
        exact: Whether to write what coqc reads back: anonymous fixes, explicit type arguments.
        limit: Number of characters after which the text is cut with …; None for no limit.
    """

    program: Program
    exact: bool
    limit: int | None

    def join_pieces(self, pieces: Sequence[Piece]) -> str:
        out: list[str] = []
        size = 0
        work = list(reversed(pieces))
        while work:
            piece = work.pop()
            if isinstance(piece, str):
                out.append(piece)
                size += len(piece)
            else:
                work.extend(reversed(self.node_pieces(*piece)))
            if self.limit is not None and size > self.limit:
                return "".join(out)[: self.limit] + "…"
        return "".join(out)

    def node_pieces(self, node: TermNode, inner: bool) -> list[Piece]:
        match node:
            case Closed(term=term):
                return [(term, inner)]
            case Var(name=name):
                return [name]
            case Construct(type=type_, args=args):
                return self.application_pieces(
                    [self.constructor_text(node.constructor, type_)], args, inner
                )
            case Call(function=name, args=args):
                return self.application_pieces([name], args, inner)
            case Unfolded(function=name, args=args):
                head = self.fix_pieces(self.program.function(name)) if self.exact else [name]
                return self.application_pieces(head, args, inner)
            case Lambda(params=params, body=body, args=args):
                head = ["(fun ", *self.parameter_pieces(params), " => ", (body, False), ")"]
                return self.application_pieces(head, args, inner)
            case Match():
                return self.match_pieces(node)
            case Let(name=name, value=value, body=body):
                whole: list[Piece] = [f"let {name} := ", (value, False), " in ", (body, False)]
                return ["(", *whole, ")"] if inner else whole

    def application_pieces(
        self, head: Sequence[Piece], args: Iterable[TermNode], inner: bool
    ) -> list[Piece]:
        whole = [*head]
        for arg in args:
            whole += [" ", (arg, True)]
        needs = inner and (len(whole) > len(head) or " " in str(head[0]))
        return ["(", *whole, ")"] if needs else whole

    def constructor_text(self, name: str, type_: str) -> str:
        """The constructor with the type arguments that text must write, or all of them if exact."""
        ind = self.program.type(type_)
        given = ind.args if self.exact else ind.constructor(name).written
        text = f"@{name}" if self.exact and given else name
        return " ".join([text, *(f"({g})" if " " in g else g for g in given)])

    def match_pieces(self, node: Match) -> list[Piece]:
        # Gallina wants brackets around a let there, and nowhere else.
        bracket = isinstance(node.scrutinee, Let)
        pieces: list[Piece] = ["match ", (node.scrutinee, bracket), " with"]
        ind = self.program.type(node.type)
        for arm in node.arms:
            blanks = len(ind.args if self.exact else ind.constructor(arm.constructor).written)
            name = f"@{arm.constructor}" if self.exact and blanks else arm.constructor
            pattern = " ".join([name, *("_" for _ in range(blanks)), *arm.names])
            pieces += [f" | {pattern} => ", (arm.body, False)]
        return [*pieces, " end"]

    def parameter_pieces(self, params: Sequence[Param]) -> list[Piece]:
        return [" ".join(f"({p.name} : {p.type})" for p in params)]

    def fix_pieces(self, function: Function) -> list[Piece]:
        pieces: list[Piece] = ["(fix "]
        for i, name in enumerate(function.block):
            each = self.program.function(name)
            assert each.struct is not None
            struct = each.params[each.struct].name
            pieces += [" with "] if i else []
            pieces += [
                f"{name} ",
                *self.parameter_pieces(each.params),
                f" {{struct {struct}}} : {each.result} := ",
            ]
            pieces.append((each.body, False))
        return [*pieces, f" for {function.name})" if len(function.block) > 1 else ")"]
