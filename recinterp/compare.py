"""`ri.diff(a, b)`: where two machines, or two explanations, differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, cast

from recinterp.errors import DomainError
from recinterp.machine import Machine
from recinterp.machine.execution.batch import accepts_inputs
from recinterp.stats import Rate
from recinterp.tasks.arguments import check_domain_argument, check_kind
from recinterp.tokens import ARG_SEP

if TYPE_CHECKING:
    from recinterp.explanation import Explanation
    from recinterp.tasks import Domain


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """One input on which two machines differ.

    Attributes:
        input: The input's tokens.
        a: The output of the first machine; None where it abstains.
        b: The output of the second machine; None where it abstains.
    """

    input: tuple[str, ...]
    a: tuple[str, ...] | None
    b: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How often two machines agree, and the shortest inputs on which they do not.

    Attributes:
        agree: The inputs with equal outputs, or on which both machines abstain, of all inputs.
        both_claim: The inputs with equal outputs, of those on which neither machine abstains.
        shortest: The shortest inputs on which the machines differ, the shortest first.
        exhaustive: Whether every input of the domain was compared.
    """

    agree: Rate
    both_claim: Rate
    shortest: tuple[OutputDifference, ...]
    exhaustive: bool

    def __str__(self) -> str:
        if not self.shortest:
            return f"no difference on {self.agree.total} inputs"
        first = self.shortest[0]
        outputs = [" ".join(y) if y is not None else "no claim" for y in (first.a, first.b)]
        where = f"{' '.join(first.input)} -> {outputs[0]} | {outputs[1]}"
        return f"agree on {self.agree}; shortest difference: {where}"


_DIFF = "compare two machines"


def diff(
    a: Machine | Explanation,
    b: Machine | Explanation,
    *,
    domain: Domain | None = None,
    max_inputs: int = 200_000,
    max_listed: int = 10,
) -> Comparison:
    """Compare two machines, or the machines of two explanations, input by input.

    Args:
        a: A machine or an explanation.
        b: Another one.
        domain: The inputs to compare on, shortest first; by default the first explanation's.
        max_inputs: How many inputs are compared, at most.
        max_listed: How many of the inputs on which they differ are listed, at most.

    Returns:
        How often they agree, and the shortest inputs on which they do not.

    Raises:
        DomainError: If two machines are compared without a domain that has a `max_length`.
    """
    check_domain_argument(domain, "compare two machines")
    one, other = _machine_of(a), _machine_of(b)
    inputs = list(islice(_shared_inputs(a, b, domain), max_inputs + 1))
    compared = inputs[:max_inputs]
    rows = list(zip(compared, one.run_many(compared), other.run_many(compared), strict=True))
    differences = [
        OutputDifference(input=tuple(x), a=_as_tuple(y), b=_as_tuple(z))
        for x, y, z in rows
        if y != z
    ]
    return Comparison(
        agree=Rate(len(rows) - len(differences), len(rows)),
        both_claim=Rate.of(y == z for _, y, z in rows if y is not None and z is not None),
        shortest=tuple(sorted(differences, key=lambda d: len(d.input))[:max_listed]),
        exhaustive=len(inputs) <= max_inputs and not _is_sampled(a, b, domain),
    )


def _as_tuple(tokens: list[str] | None) -> tuple[str, ...] | None:
    return None if tokens is None else tuple(tokens)


def _machine_of(x: Machine | Explanation) -> Machine:
    explained = getattr(x, "machine", None) if hasattr(x, "task") else None
    machine = x if isinstance(x, Machine) else explained
    hint = "pass two machines or explanations: ri.diff(ex.machine, task.machine)"
    check_kind(x, object if isinstance(machine, Machine) else Machine, _DIFF, "a side", hint)
    return cast(Machine, machine)


def _shared_inputs(
    a: Machine | Explanation, b: Machine | Explanation, domain: Domain | None
) -> Iterator[list[str]]:
    explained = next((x for x in (a, b) if not isinstance(x, Machine)), None)
    if explained is not None:
        return (domain or explained.domain).inputs(explained.task)
    if domain is None or domain.max_length is None:
        raise DomainError(
            "compare two machines", "no domain was given", "pass domain=ri.Domain(max_length=…)"
        )
    if domain.max_depth is not None:
        raise DomainError(
            "compare two machines",
            "the domain has a max_depth, and without a task inputs have no depth",
            "pass a domain with only a max_length",
        )
    if domain.is_sampled:
        raise DomainError(
            "compare two machines",
            "the domain has a sampler, and without a task its inputs cannot be read",
            "pass a domain of lengths, or compare explanations",
        )
    inputs = _accepted_inputs(_machine_of(a), _machine_of(b), domain.max_length)
    shortest = domain.min_length or 0
    return (
        x
        for x in inputs
        if len(x) - x.count(ARG_SEP) >= shortest
        and (domain.exclude is None or not domain.exclude(x))
    )


def _is_sampled(a: Machine | Explanation, b: Machine | Explanation, domain: Domain | None) -> bool:
    """Whether the inputs that are compared are drawn by a sampler, and never all there are."""
    explained = next((x for x in (a, b) if not isinstance(x, Machine)), None)
    used = domain or (None if explained is None else explained.domain)
    return used is not None and used.is_sampled


def _accepted_inputs(a: Machine, b: Machine, longest: int) -> Iterator[list[str]]:
    """Every sequence over the vocabulary that both machines accept as an input.

    A comma between two arguments does not count as a token of the length.
    """
    vocab = tuple(dict.fromkeys((*a.vocab, *b.vocab)))
    for length in range(longest + 1 + (ARG_SEP in vocab)):
        every = product(vocab, repeat=length)
        words = (w for w in every if length - w.count(ARG_SEP) <= longest)
        while chunk := [list(w) for w in islice(words, 20_000)]:
            accepted = accepts_inputs(a, chunk) & accepts_inputs(b, chunk)
            yield from (w for w, both in zip(chunk, accepted, strict=True) if both)
