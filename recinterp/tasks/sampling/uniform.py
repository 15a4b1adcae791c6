"""Drawing terms of an exact length, each as likely as any other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from random import Random
from typing import Any, TypeAlias

from recinterp.semantics.terms import Value
from recinterp.tasks.sampling.length_counts import LengthGrammar, TermKind

Slot: TypeAlias = "tuple[list[Any], int]"  # where a term goes: a list, and an index in it


@dataclass(frozen=True)
class WeightedChoice:
    """Alternatives with their cumulated counts."""

    items: Sequence[Any]
    sums: Sequence[int]

    @classmethod
    def of(cls, weighted: Sequence[tuple[Any, int]]) -> WeightedChoice:
        """Alternatives with their counts; those that count 0 are left out."""
        counted = [(item, n) for item, n in weighted if n]
        return cls([item for item, _ in counted], list(accumulate(n for _, n in counted)))

    @cached_property
    def only_item(self) -> Any:
        """The one alternative, where there is just one."""
        return self.items[0] if len(self.items) == 1 else None

    def draw_item(self, rng: Random) -> Any:
        """One alternative, each with the probability that its count gives it."""
        if len(self.items) == 1:
            return self.items[0]
        total, exact_in_floats = self.sums[-1], 2**52
        at = int(rng.random() * total) if total < exact_in_floats else rng.randrange(total)
        return self.items[bisect_right(self.sums, at)]


@dataclass
class TermDrawer:
    """Draws terms; the choices at each length are computed once.

    Attributes:
        grammar: The productions of each kind, and how many terms they have.
        max_listed: Terms of one kind and length up to which they are listed, and drawn from the
            list: faster than building them, and small enough to hold for every length.
    """

    grammar: LengthGrammar
    max_listed: int = 256
    _terms: dict[tuple[TermKind, int], WeightedChoice] = field(default_factory=dict)
    _splits: dict[tuple[tuple[TermKind, ...], int], WeightedChoice] = field(default_factory=dict)
    _listed: dict[tuple[TermKind, int], list[Value] | None] = field(default_factory=dict)

    def draw_terms(self, rng: Random, kinds: tuple[TermKind, ...], length: int) -> list[Value]:
        """Terms of these kinds with that length in all, each tuple as likely."""
        holes: list[Any] = [None] * len(kinds)
        sizes = self._length_choice(kinds, length).draw_item(rng)
        for i, (kind, size) in enumerate(zip(kinds, sizes, strict=True)):
            self.draw_into(rng, kind, size, (holes, i))
        return holes

    def draw_into(self, rng: Random, kind: TermKind, length: int, slot: Slot) -> None:
        """Write a term of a kind and length into a slot."""
        work = [(kind, length, slot)]
        while work:
            kind, length, (parent, at) = work.pop()
            listed = self.list_if_small(kind, length)
            if listed is not None:
                parent[at] = listed[int(rng.random() * len(listed))]
                continue
            production, sizes = self._production_choice(kind, length).draw_item(rng)
            node = [production.number, *sizes]
            parent[at] = node
            for i, (arg, size) in enumerate(zip(production.args, sizes, strict=True), 1):
                work.append((arg, size, (node, i)))

    def list_if_small(self, kind: TermKind, length: int) -> list[Value] | None:
        """Every term of a kind and length, where they fit in a list; None for more."""
        key = (kind, length)
        if key not in self._listed:
            is_small = self.grammar.count_terms(kind, length) <= self.max_listed
            self._listed[key] = self.grammar.list_terms(kind, length) if is_small else None
        return self._listed[key]

    def _production_choice(self, kind: TermKind, length: int) -> WeightedChoice:
        key = (kind, length)
        if key not in self._terms:
            self._terms[key] = WeightedChoice.of(
                [
                    ((p, sizes), self._count_ways(p.args, sizes))
                    for p in self.grammar.productions_of(kind)
                    for sizes in self.grammar.split_length(p.args, length - p.cost)
                ]
            )
        return self._terms[key]

    def _length_choice(self, kinds: tuple[TermKind, ...], length: int) -> WeightedChoice:
        key = (kinds, length)
        if key not in self._splits:
            splits = self.grammar.split_length(kinds, length)
            self._splits[key] = WeightedChoice.of(
                [(sizes, self._count_ways(kinds, sizes)) for sizes in splits]
            )
        return self._splits[key]

    def _count_ways(self, kinds: Sequence[TermKind], sizes: Sequence[int]) -> int:
        ways = 1
        for kind, size in zip(kinds, sizes, strict=True):
            ways *= self.grammar.count_terms(kind, size)
        return ways
