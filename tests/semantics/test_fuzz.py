"""Any text is read, or refused by an error of the project's own; nothing hangs."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recinterp.errors import SourceError
from recinterp.semantics.elaborate import elaborate_program
from tests.semantics.generate import program

WORDS = """
Inductive Fixpoint Definition match with end let in if then else as struct fun forall Set Type
Arguments Require Import x y n T F S O nil cons bool nat list _ ( ) { } [ ] | => := : :: , ; . ->
(* *) * + 0 12 ' @ # " é
""".split()  # noqa: SIM905 (a list of these is longer than the file)
SETTINGS = {"deadline": 2_000, "suppress_health_check": [HealthCheck.too_slow]}


def reads_or_refuses(source: str) -> None:
    try:
        elaborate_program(source)
    except SourceError as error:
        refused = error
    else:
        return
    assert str(refused)
    assert refused.line >= 1


def mutated(seed: int, edits: int) -> str:
    """A generated program with characters or words cut out, put in or moved."""
    rng = Random(seed)
    g = program(seed % 50)
    assert g is not None
    words = g.source.split(" ")
    for _ in range(edits):
        at = rng.randrange(len(words))
        match rng.randrange(4):
            case 0:
                del words[at]
            case 1:
                words.insert(at, rng.choice(WORDS))
            case 2:
                words[at] = rng.choice(words)
            case _:
                words[at] = words[at][: rng.randrange(len(words[at]) + 1)]
    return " ".join(words)


words = st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)
sources = st.one_of(
    st.text(max_size=200), words, st.builds(mutated, st.integers(0, 10**6), st.integers(1, 4))
)


@pytest.mark.slow
@settings(max_examples=500, **SETTINGS)
@given(sources)
def test_mutated_source_raises_only_source_errors(source: str) -> None:
    reads_or_refuses(source)


@pytest.mark.long
@settings(max_examples=10_000, **SETTINGS)
@given(sources)
def test_heavily_mutated_source_raises_only_source_errors(source: str) -> None:
    reads_or_refuses(source)
