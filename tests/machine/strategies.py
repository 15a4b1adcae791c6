"""Random machines that use every node of the syntax, well formed by construction."""

from __future__ import annotations

from hypothesis import strategies as st

from recinterp.machine import (
    Add,
    AtLeast,
    Cmp,
    Const,
    Copy,
    Emit,
    Find,
    In,
    Lost,
    Machine,
    Out,
    Pop,
    Push,
    Reg,
    Rule,
    Set,
    Span,
    TopIs,
)
from recinterp.machine.nodes import add_constant
from recinterp.machine.validate import negate_atom
from recinterp.tokens import END_OF_INPUT

VOCAB = ("X0", "01", "a b", "emit", ",")
MODES = ("m0", "m1", "m2")
FRAMES = ("F", "G.2")
REGISTERS = ("p", "q'")

tokens = st.sampled_from(VOCAB)
some_tokens = st.lists(
    st.sampled_from((*VOCAB, END_OF_INPUT)), min_size=1, max_size=4, unique=True
).map(tuple)
words = st.lists(tokens, max_size=7)
leaves = st.one_of(
    st.integers(-2, 4).map(Const),
    st.sampled_from([*REGISTERS, "n", "t", "top", "height"]).map(Reg),
)


def _grown(inner: st.SearchStrategy) -> st.SearchStrategy:
    skip = st.lists(tokens, max_size=3, unique=True).map(tuple)
    return st.one_of(
        st.builds(add_constant, inner, st.integers(-2, 2)),
        st.builds(_sum, inner, inner, st.sampled_from([1, -1])),
        st.builds(Find, inner, st.sampled_from([1, -1]), skip),
        st.builds(Span, inner, st.sampled_from([1, -1])),
    )


def _sum(a: object, b: object, sign: int) -> object:
    return add_constant(a, sign * b.k) if isinstance(b, Const) else Add(a, b, sign)


expressions = st.recursive(leaves, _grown, max_leaves=3)
plain_atoms = st.one_of(
    st.builds(In, expressions, some_tokens),
    st.builds(Out, st.integers(1, 3), some_tokens),
    st.builds(Cmp, expressions, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), expressions),
)


@st.composite
def votes(draw: st.DrawFn) -> AtLeast:
    """So many of a few atoms, never none of them."""
    among = draw(st.lists(plain_atoms, min_size=1, max_size=4))
    return AtLeast(draw(st.integers(1, len(among))), tuple(among))


atoms = st.one_of(plain_atoms, st.builds(TopIs, st.sampled_from([*FRAMES, None])), votes())
pieces = st.one_of(tokens, st.builds(Copy, expressions))
bounds = st.builds(
    Cmp,
    st.sampled_from([Reg("n"), Reg("p")]),
    st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
    st.one_of(st.integers(0, 3).map(Const), st.just(Reg("n"))),
)
reads = st.builds(In, st.sampled_from([Const(0), Reg("p")]), some_tokens)
guards = st.lists(st.one_of(bounds, reads, atoms), max_size=6).flatmap(
    lambda some: st.lists(st.sampled_from(some), max_size=8) if some else st.just([])
)


@st.composite
def updates(draw: st.DrawFn) -> tuple:
    found: list = []
    if draw(st.booleans()):
        found.append(Emit(tuple(draw(st.lists(pieces, min_size=1, max_size=2)))))
    for name in draw(st.lists(st.sampled_from(REGISTERS), unique=True, max_size=2)):
        found.append(Set(name, draw(expressions)))
    found += [Pop()] * draw(st.integers(0, 2))
    found += draw(st.lists(st.builds(Push, st.sampled_from(FRAMES), expressions), max_size=2))
    if draw(st.integers(0, 9)) == 0:
        found.append(Lost(draw(st.booleans())))
    return tuple(draw(st.permutations(found)))


@st.composite
def splits(draw: st.DrawFn) -> list:
    """Guard atoms of which at most one can hold."""
    kind = draw(st.integers(0, 4))
    if kind == 0:
        e = draw(expressions)
        k = draw(st.integers(0, 3))
        return [Cmp(e, "<", Const(k)), Cmp(e, ">=", Const(k))]
    if kind == 1:
        return [TopIs(x) for x in (*FRAMES, None)]
    if kind == 4:
        vote = draw(votes())
        return [vote, negate_atom(vote, VOCAB)]
    everything = draw(st.permutations((*VOCAB, END_OF_INPUT)))
    cut = draw(st.integers(1, len(everything) - 1))
    parts = (tuple(everything[:cut]), tuple(everything[cut:]))
    if kind == 2:
        return [Out(1, x) for x in parts]
    at = draw(expressions)
    return [In(at, x) for x in parts]


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    rules = []
    for mode in MODES:
        for i, first in enumerate(draw(splits())):
            if i and draw(st.integers(0, 5)) == 0:
                continue
            guard = (first, *draw(st.lists(atoms, max_size=1)))
            goto = draw(st.sampled_from([*MODES, *MODES, None]))
            origin = draw(st.sampled_from([None, 'ι f "X"', "1 of 2"]))
            rules.append(Rule(f"{mode}-r{i}", mode, guard, draw(updates()), goto, origin))
    return Machine(
        VOCAB,
        "m0",
        (("p", Const(0)), ("q'", draw(leaves.filter(lambda e: e not in map(Reg, REGISTERS))))),
        FRAMES,
        tuple(rules),
        tuple(draw(st.lists(atoms, max_size=1))),
        limit=40,
        arity=(1, 0, 2, 0, 0),
    )
