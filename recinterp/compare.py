"""`ri.diff(a, b)`: where two machines, or two explanations, part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING

from recinterp.errors import DomainError
from recinterp.machine import Machine
from recinterp.machine.execution.batch import accepts_inputs
from recinterp.stats import Rate
from recinterp.tokens import ARG_SEP

if TYPE_CHECKING:
    from recinterp.explanation import Explanation
    from recinterp.tasks import Domain

MOST = 200_000  # inputs compared
SHOWN = 10  # differing inputs kept


@dataclass(frozen=True)
class Difference:
    """One input and the two outputs (None: no claim)."""

    input: tuple[str, ...]
    a: tuple[str, ...] | None
    b: tuple[str, ...] | None


@dataclass(frozen=True)
class Comparison:
    """How often two machines agree, and the shortest inputs on which they do not.

    agree: equal outputs, or no claim on both sides; both_claim: of the inputs on which both make a
    claim, those with equal outputs; exhaustive: whether every input of the domain was compared.
    """

    agree: Rate
    both_claim: Rate
    shortest: tuple[Difference, ...]
    exhaustive: bool

    def __str__(self) -> str:
        if not self.shortest:
            return f"no difference on {self.agree.total} inputs"
        first = self.shortest[0]
        shown = [" ".join(y) if y is not None else "no claim" for y in (first.a, first.b)]
        where = f"{' '.join(first.input)} -> {shown[0]} | {shown[1]}"
        return f"agree on {self.agree}; shortest difference: {where}"


def diff(
    a: Machine | Explanation, b: Machine | Explanation, *, domain: Domain | None = None
) -> Comparison:
    """Compare two machines or two explanations on every input of a domain, shortest first.

    Errors: DomainError where two machines are compared without a domain that has a max_length.
    """
    one, other = _machine(a), _machine(b)
    inputs = list(islice(_inputs(a, b, domain), MOST + 1))
    outs, others = one.run_many(inputs[:MOST]), other.run_many(inputs[:MOST])
    rows = list(zip(inputs, outs, others, strict=False))
    apart = [Difference(tuple(x), _frozen(y), _frozen(z)) for x, y, z in rows if y != z]
    return Comparison(
        Rate(len(rows) - len(apart), len(rows)),
        Rate.of(y == z for _, y, z in rows if y is not None and z is not None),
        tuple(sorted(apart, key=lambda d: len(d.input))[:SHOWN]),
        len(inputs) <= MOST,
    )


def _frozen(tokens: list[str] | None) -> tuple[str, ...] | None:
    return None if tokens is None else tuple(tokens)


def _machine(x: Machine | Explanation) -> Machine:
    return x if isinstance(x, Machine) else x.machine


def _inputs(
    a: Machine | Explanation, b: Machine | Explanation, domain: Domain | None
) -> Iterator[list[str]]:
    explained = next((x for x in (a, b) if not isinstance(x, Machine)), None)
    if explained is not None:
        return (domain or explained.domain).inputs(explained.task)
    if domain is None or domain.max_length is None:
        raise DomainError(
            "diff of two machines", "no domain was given", "domain=ri.Domain(max_length=…)"
        )
    if domain.max_depth is not None:
        raise DomainError(
            "diff of two machines", "without a task there is no depth", "a domain of lengths alone"
        )
    inputs = _words(_machine(a), _machine(b), domain.max_length)
    return (w for w in inputs if domain.exclude is None or not domain.exclude(w))


def _words(a: Machine, b: Machine, longest: int) -> Iterator[list[str]]:
    """Every word over the vocabulary that both machines take as an input.

    A comma between two arguments is none of the tokens that are counted.
    """
    vocab = tuple(dict.fromkeys((*a.vocab, *b.vocab)))
    for length in range(longest + 1 + (ARG_SEP in vocab)):
        every = product(vocab, repeat=length)
        words = (w for w in every if length - w.count(ARG_SEP) <= longest)
        while chunk := [list(w) for w in islice(words, 20_000)]:
            taken = accepts_inputs(a, chunk) & accepts_inputs(b, chunk)
            yield from (w for w, both in zip(chunk, taken, strict=True) if both)
