"""What can be asked of an input before the run: a machine abstains where it is ill-formed."""

from __future__ import annotations

from recinterp.machine.derive.grammar import BARE, Grammar
from recinterp.machine.syntax import Atom, Cmp, Const, Expr, Find, In, Reg, Span, plus
from recinterp.tasks.encoding import COMMA


def written_well(grammar: Grammar) -> tuple[Atom, ...]:
    """Domain atoms: each argument ends where the next begins, the last at the end of the input.

    The test of numbers and lists is exact; of trees it finds what is too long, the run the rest.
    """
    types = [p.type for p in grammar.function.params]
    start: Expr = Const(0)
    atoms: list[Atom] = []
    for i, type_ in enumerate(types):
        found = _argument(grammar, type_, start)
        if found is None:
            return ()
        more, end = found
        atoms += more
        atoms.append(Cmp(end, "=", Reg("n")) if i == len(types) - 1 else In(end, (COMMA,)))
        start = plus(end, 1)
    return tuple(atoms)


def _argument(grammar: Grammar, type_: str, start: Expr) -> tuple[list[Atom], Expr] | None:
    """What must hold of the argument that starts there, and where it ends."""
    if grammar.encoding.is_bare(type_):
        _, cons = grammar.cases(type_ + BARE + COMMA)
        return [], Find(start, 1, cons.reads[0][1])
    if grammar.encoding.brackets:
        return None
    cases = grammar.cases(type_)
    if grammar.fixed(type_) == 1:
        return [In(start, tuple(c.reads[0][1][0] for c in cases))], plus(start, 1)
    if all(c.children in ((), (type_,)) for c in cases):
        inner = tuple(c.reads[0][1][0] for c in cases if c.children)
        last = tuple(c.reads[0][1][0] for c in cases if not c.children)
        if grammar.reverse:
            return [In(start, last)], Find(plus(start, 1), 1, inner)
        base = Find(start, 1, inner)
        return [In(base, last)], plus(base, 1)
    return None if grammar.reverse else ([], Span(start))
