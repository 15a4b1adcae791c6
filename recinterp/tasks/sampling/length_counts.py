"""How many terms there are of each length: a type as a grammar whose constructors cost tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

from recinterp.semantics.terms import Value
from recinterp.tasks.encoding import Encoding, list_shape

Counts = list[int]  # how many, for each length from 0


@dataclass(frozen=True)
class TermKind:
    """A type, and whether its terms are written as bare lists."""

    type: str
    bare: bool = False

    @cached_property
    def _hash(self) -> int:
        return hash((self.type, self.bare))

    def __hash__(self) -> int:  # looked up with every term that is drawn: made once
        return self._hash


@dataclass(frozen=True)
class Production:
    """A constructor: its number, the tokens it costs itself, and its arguments."""

    number: int
    cost: int
    args: tuple[TermKind, ...]


@dataclass
class LengthGrammar:
    """Productions and counts for every kind; the counts are extended as longer lengths come."""

    encoding: Encoding
    _productions: dict[TermKind, tuple[Production, ...]] = field(default_factory=dict)
    _counts: dict[TermKind, Counts] = field(default_factory=dict)
    _listed: dict[tuple[TermKind, int], list[Value]] = field(default_factory=dict)

    def kind_of(self, type_: str) -> TermKind:
        """The kind of a whole argument of a type."""
        return TermKind(type_, self.encoding.is_bare(type_))

    def productions_of(self, kind: TermKind) -> tuple[Production, ...]:
        """The ways to build a term of a kind."""
        if kind not in self._productions:
            make = self._bare_productions if kind.bare else self._plain_productions
            self._productions[kind] = make(kind)
        return self._productions[kind]

    def _plain_productions(self, kind: TermKind) -> tuple[Production, ...]:
        program, brackets = self.encoding.program, self.encoding.brackets
        return tuple(
            Production(
                program.ids[kind.type, c.name],
                3 if brackets and c.args else 1,
                tuple(TermKind(a) for a in c.args),
            )
            for c in program.type(kind.type).constructors
        )

    def _bare_productions(self, kind: TermKind) -> tuple[Production, ...]:
        program = self.encoding.program
        shape = list_shape(program, kind.type)
        assert shape is not None
        empty, cons, label = shape
        ids = program.ids
        return (
            Production(ids[kind.type, empty], 0, ()),
            Production(ids[kind.type, cons], 0, (TermKind(label), kind)),
        )

    def counts_up_to(self, kind: TermKind, longest: int) -> Counts:
        """How many terms of the kind have each length from 0 to `longest`."""
        if len(self._counts.get(kind, ())) <= longest:
            self._fill_counts(max(longest, 32, 2 * len(self._counts.get(kind, ()))))
        return self._counts[kind][: longest + 1]

    def count_terms(self, kind: TermKind, length: int) -> int:
        """How many terms of the kind have exactly that length."""
        table = self._counts.get(kind, ())
        return table[length] if length < len(table) else self.counts_up_to(kind, length)[length]

    def _fill_counts(self, longest: int) -> None:
        """Count all kinds length by length: every argument of a cost-free production has a cost."""
        kinds = self._reachable_kinds()
        table = {k: [0] * (longest + 1) for k in kinds}
        for length in range(longest + 1):
            for kind in sorted(kinds, key=lambda k: k.bare):
                table[kind][length] = sum(
                    convolution_at([table[a] for a in p.args], length - p.cost)
                    for p in self.productions_of(kind)
                )
        self._counts = table

    def _reachable_kinds(self) -> list[TermKind]:
        found: dict[TermKind, None] = {}
        work = [self.kind_of(t.name) for t in self.encoding.program.types]
        work += [TermKind(t.name) for t in self.encoding.program.types]
        while work:
            kind = work.pop()
            if kind not in found:
                found[kind] = None
                work += [a for p in self.productions_of(kind) for a in p.args]
        return list(found)

    def list_terms(self, kind: TermKind, length: int) -> list[Value]:
        """Every term of the kind with exactly that length; shared, not to be changed."""
        key = (kind, length)
        if key not in self._listed:
            for shorter in range(length):
                if (kind, shorter) not in self._listed and self.counts_up_to(kind, length)[shorter]:
                    self.list_terms(kind, shorter)
            self._listed[key] = [
                (p.number, *parts)
                for p in self.productions_of(kind)
                for parts in self.list_tuples(p.args, length - p.cost)
            ]
        return self._listed[key]

    def list_tuples(self, kinds: Sequence[TermKind], length: int) -> Iterator[tuple[Value, ...]]:
        """Every tuple of terms of these kinds with that total length."""
        if length < 0:
            return
        for lengths in self.split_length(kinds, length):
            yield from product(
                *(self.list_terms(k, n) for k, n in zip(kinds, lengths, strict=True))
            )

    def split_length(self, kinds: Sequence[TermKind], length: int) -> Iterator[tuple[int, ...]]:
        """The ways to share a length among kinds so that each has a term."""
        if length < 0:
            return
        if not kinds:
            if length == 0:
                yield ()
            return
        first, *rest = kinds
        for n in [length] if not rest else range(length + 1):
            if self.count_terms(first, n):
                for others in self.split_length(rest, length - n):
                    yield (n, *others)


def convolution_at(factors: Sequence[Counts], at: int) -> int:
    """The coefficient at `at` of a product of counts."""
    if at < 0:
        return 0
    if not factors:
        return int(at == 0)
    if len(factors) == 1:
        return factors[0][at]
    whole = factors[0]
    for factor in factors[1:-1]:
        whole = convolve_counts(whole, factor, at)
    last = factors[-1]
    return sum(whole[i] * last[at - i] for i in range(at + 1) if whole[i])


def convolve_counts(a: Counts, b: Counts, longest: int) -> Counts:
    """The product of two counts, up to a length."""
    out = [0] * (longest + 1)
    for i, x in enumerate(a[: longest + 1]):
        if x:
            for j in range(min(len(b), longest + 1 - i)):
                if b[j]:
                    out[i + j] += x * b[j]
    return out
