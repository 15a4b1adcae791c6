"""Tests of an input before the run: a machine abstains where it is ill-formed."""

from __future__ import annotations

from recinterp.derivation.grammar import InputGrammar
from recinterp.derivation.terms import Mark
from recinterp.machine.nodes import Atom, Cmp, Const, Expr, Find, In, Reg, Span, add_constant
from recinterp.tokens import ARG_SEP


def well_formedness_atoms(grammar: InputGrammar) -> tuple[Atom, ...]:
    """Domain atoms: each argument ends where the next begins, the last at the end of the input.

    The test of numbers and lists is exact. That of trees counts subtrees, and leaves it to the run
    to find one of the wrong type: a leaf where a label belongs, which is only copied, is not found.
    It goes from the left where that is enough, and else in the direction of reading.
    """
    if grammar.reverse:
        forwards = _argument_atoms(grammar, 1)
        return _argument_atoms(grammar, -1) or () if forwards is None else forwards
    return _argument_atoms(grammar, 1) or ()


def _argument_atoms(grammar: InputGrammar, step: int) -> tuple[Atom, ...] | None:
    """The atoms, going through the input by `step`; None where they cannot say it."""
    types = [p.type for p in grammar.function.params][::step]
    start: Expr = Const(0) if step > 0 else add_constant(Reg("n"), -1)
    beyond: Expr = Reg("n") if step > 0 else Const(-1)
    atoms: list[Atom] = []
    for i, type_ in enumerate(types):
        found = _one_argument(grammar, type_, start, step)
        if found is None:
            return None
        more, end = found
        atoms += more
        atoms.append(Cmp(end, "=", beyond) if i == len(types) - 1 else In(end, (ARG_SEP,)))
        start = add_constant(end, step)
    return tuple(atoms)


def _one_argument(
    grammar: InputGrammar, type_: str, start: Expr, step: int
) -> tuple[list[Atom], Expr] | None:
    """The atoms of the argument that starts there, and where it ends."""
    if grammar.encoding.is_bare(type_):
        _, cons = grammar.forms_of(type_ + Mark.BARE + ARG_SEP)
        return [], Find(start, step, cons.reads[0][1])
    if grammar.encoding.brackets:
        return None
    cases = grammar.forms_of(type_)
    if grammar.fixed_width(type_) == 1:
        return [In(start, tuple(c.reads[0][1][0] for c in cases))], add_constant(start, step)
    outwards = grammar.reverse and step > 0  # from the end of the term to its beginning
    if all(c.children in ((), (type_,)) for c in cases):
        inner = tuple(c.reads[0][1][0] for c in cases if c.children)
        last = tuple(c.reads[0][1][0] for c in cases if not c.children)
        if outwards:
            return [In(start, last)], Find(add_constant(start, step), step, inner)
        base = Find(start, step, inner)
        return [In(base, last)], add_constant(base, step)
    return None if outwards else ([], Span(start, step))
