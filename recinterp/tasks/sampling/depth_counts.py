"""Counting and drawing inputs of an exact length and depth, from recursion cases.

`upto[state][d][n]` counts the ways to fill a state's variables with n tokens in all so that it
recurses at most d levels; exact depths are differences. A draw walks down from the root, choosing
each case, length and depth with the probability its count gives, so that inputs of one length and
depth are equally likely and none is ever rejected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias

from recinterp.semantics.terms import Value
from recinterp.tasks.sampling.draw_plans import (
    Build,
    CaseDraw,
    DrawPlan,
    PartDraw,
    compile_builder,
    draw_from_plan,
)
from recinterp.tasks.sampling.length_counts import Counts, LengthGrammar, TermKind, convolve_counts
from recinterp.tasks.sampling.recursion_cases import (
    CallState,
    PartialTerm,
    RecursionCase,
    RecursionStates,
)
from recinterp.tasks.sampling.uniform import TermDrawer, WeightedChoice

Part: TypeAlias = "CallState | TermKind"  # of an input: what has a depth, and what is free


FREE = -1  # the level of a part that has none


@dataclass
class DepthCounts:
    """Exact counts and draws for one task."""

    shapes: RecursionStates
    grammar: LengthGrammar
    drawer: TermDrawer
    longest: int = -1
    upto: dict[CallState, list[Counts]] = field(default_factory=dict)
    _choices: dict[Any, WeightedChoice] = field(default_factory=dict)
    _products: dict[Any, Counts] = field(default_factory=dict)
    _plans: dict[tuple[CallState, int, int], DrawPlan] = field(default_factory=dict)
    _steps: dict[Any, WeightedChoice] = field(default_factory=dict)
    _builders: dict[RecursionCase, Build] = field(default_factory=dict)

    def extend_tables(self, longest: int) -> None:
        """Fill the tables for lengths up to `longest`."""
        if longest <= self.longest:
            return
        self.longest = max(longest, 20)
        for table in (self._choices, self._products, self._plans, self._steps):
            table.clear()
        states = list(self.shapes.cases)
        self.upto = {s: [[0] * (self.longest + 1)] for s in states}
        depth = 0
        while True:
            depth += 1
            rows = {s: self._count_row(s, depth) for s in states if s.own}
            for state in states:
                if state.own:
                    self.upto[state].append(rows[state])
            # A state that is no level itself looks at its groups at the same depth.
            for state in states:
                if not state.own:
                    self.upto[state].append(self._count_row(state, depth))
            if all(self.upto[s][-1] == self.upto[s][-2] for s in states):
                return

    def _count_row(self, state: CallState, depth: int) -> Counts:
        out = [0] * (self.longest + 1)
        for case in self.shapes.cases[state]:
            for n, ways in enumerate(self._count_case(state, case, depth)):
                out[n] += ways
        return out

    def _count_case(self, state: CallState, case: RecursionCase, depth: int) -> Counts:
        """Ways to fill a case within a depth, for each length."""
        if depth < 1:
            return [0] * (self.longest + 1)
        inner = depth - 1 if state.own else depth
        return _shift_counts(
            self._count_product(self._case_parts(case), inner), case.cost, self.longest
        )

    def _case_parts(self, case: RecursionCase) -> tuple[Part, ...]:
        return (*(g.state for g in case.groups), *(kind for _, kind in case.free))

    def _count_product(self, parts: tuple[Part, ...], depth: int) -> Counts:
        """Ways to fill all the parts within a depth, for each total length."""
        if not parts:
            return [int(depth >= 0)] + [0] * self.longest
        key = (parts, depth)
        if key not in self._products:
            first = self._count_part(parts[0], depth)
            rest = self._count_product(parts[1:], depth)
            self._products[key] = (
                first if len(parts) == 1 else convolve_counts(first, rest, self.longest)
            )
        return self._products[key]

    def _count_part(self, part: Part, depth: int) -> Counts:
        if isinstance(part, TermKind):
            return self.grammar.counts_up_to(part, self.longest)
        rows = self.upto[part]
        return [0] * (self.longest + 1) if depth < 0 else rows[min(depth, len(rows) - 1)]

    def count_fillings(self, state: CallState, depth: int, length: int) -> int:
        """Fillings of a state with exactly that depth and total length."""
        if depth < 1:
            return 0
        return self._count_part(state, depth)[length] - self._count_part(state, depth - 1)[length]

    def max_depth(self, length: int) -> int | None:
        """The largest depth of the root at a length; None where there is no input."""
        self.extend_tables(length)
        rows = self.upto[self.shapes.root]
        return next(
            (
                d
                for d in range(len(rows) - 1, 0, -1)
                if self.count_fillings(self.shapes.root, d, length)
            ),
            None,
        )

    # drawing
    def draw_arguments(self, rng: Random, depth: int, length: int) -> list[Any]:
        """The arguments of one input of exactly that depth and length."""
        return draw_from_plan(self._plan_for(self.shapes.root, depth, length), rng, self.drawer)

    def _plan_for(self, state: CallState, depth: int, length: int) -> DrawPlan:
        key = (state, depth, length)
        if key not in self._plans:
            self._plans[key] = DrawPlan(self, state, depth, length)
        return self._plans[key]

    def choose_case(self, state: CallState, depth: int, length: int) -> WeightedChoice:
        """The cases of a state, each with how its parts share length and depth."""
        inner = depth - 1 if state.own else depth
        cases = self._case_choice(state, depth, length)
        ways = [self._case_draw(c, inner, length - c.cost) for c in cases.items]
        return WeightedChoice(ways, cases.sums)

    def _case_draw(self, case: RecursionCase, depth: int, length: int) -> CaseDraw:
        if case not in self._builders:
            self._builders[case] = compile_builder(case)
        first = self._choose_shares(self._case_parts(case), depth, length)
        return CaseDraw(self._builders[case], tuple(kind for _, kind in case.free), first)

    def _choose_shares(
        self, parts: tuple[Part, ...], depth: int, length: int, due: bool | None = None
    ) -> WeightedChoice | None:
        """A length and a depth for each part in turn, so that the deepest is at exactly `depth`."""
        if not parts:
            return None
        due = any(isinstance(p, CallState) for p in parts) if due is None else due
        key = (parts, depth, length, due)
        if key not in self._steps:
            choice = self._share_choice(parts, depth, length, due)
            shares = [
                self._part_share(parts, depth, length, due, size, level)
                for size, level in choice.items
            ]
            self._steps[key] = WeightedChoice(shares, choice.sums)
        return self._steps[key]

    def _part_share(
        self, parts: tuple[Part, ...], depth: int, length: int, due: bool, size: int, level: int
    ) -> PartDraw:
        first, rest = parts[0], parts[1:]
        later = self._choose_shares(rest, depth, length - size, due and level != depth)
        if isinstance(first, CallState):
            return PartDraw(size, later, self._plan_for(first, level, size))
        return PartDraw(size, later, None, self.drawer.list_if_small(first, size))

    def _case_choice(self, state: CallState, depth: int, length: int) -> WeightedChoice:
        key = (state, depth, length)
        if key not in self._choices:
            options = [
                (
                    c,
                    self._count_case(state, c, depth)[length]
                    - self._count_case(state, c, depth - 1)[length],
                )
                for c in self.shapes.cases[state]
            ]
            self._choices[key] = WeightedChoice.of(options)
        return self._choices[key]

    def _share_choice(
        self, parts: tuple[Part, ...], depth: int, length: int, due: bool
    ) -> WeightedChoice:
        """(length, depth) of the first part; `due`: some part must still reach `depth`."""
        key = (parts, depth, length, due)
        if key not in self._choices:
            options = []
            for size in [length] if len(parts) == 1 else range(length + 1):
                for level, ways in self._part_levels(parts[0], depth, size):
                    reached = not due or level == depth
                    rest = self._count_product(parts[1:], depth)[length - size]
                    if not reached:
                        rest -= self._count_product(parts[1:], depth - 1)[length - size]
                    options.append(((size, level), ways * rest))
            self._choices[key] = WeightedChoice.of(options)
        return self._choices[key]

    def _part_levels(self, part: Part, depth: int, size: int) -> list[tuple[int, int]]:
        if isinstance(part, TermKind):
            return [(FREE, self.grammar.counts_up_to(part, size)[size])]
        return [(d, n) for d in range(1, depth + 1) if (n := self.count_fillings(part, d, size))]

    # listing
    def list_if_small(
        self, state: CallState, depth: int, length: int
    ) -> list[tuple[Value, ...]] | None:
        """Every filling of a state, where they fit in a list; None for more."""
        is_small = (
            self.count_fillings(state, depth, length) <= self.drawer.max_listed
            and depth < self.drawer.max_listed
        )
        return self.list_fillings(state, depth, length) if is_small else None

    def list_fillings(self, state: CallState, depth: int, length: int) -> list[tuple[Value, ...]]:
        """Every filling of a state of exactly that depth and length."""
        found: list[tuple[Value, ...]] = []
        for case in self._case_choice(state, depth, length).items:
            inner = depth - 1 if state.own else depth
            parts = self._case_parts(case)
            due = any(isinstance(p, CallState) for p in parts)
            for filling in self._list_fillings(parts, inner, length - case.cost, due):
                places = dict(zip(_variable_order(case), filling, strict=True))
                found.append(tuple(_fill_skeleton(s, places) for s in case.skeletons))
        return found

    def _list_fillings(
        self, parts: tuple[Part, ...], depth: int, length: int, due: bool
    ) -> list[tuple[Value, ...]]:
        if not parts:
            return [()]
        found: list[tuple[Value, ...]] = []
        for size, level in self._share_choice(parts, depth, length, due).items:
            rest = self._list_fillings(parts[1:], depth, length - size, due and level != depth)
            first = parts[0]
            heads = (
                [(t,) for t in self.grammar.list_terms(first, size)]
                if isinstance(first, TermKind)
                else self.list_fillings(first, level, size)
            )
            found += [(*head, *tail) for head in heads for tail in rest]
        return found


def _variable_order(case: RecursionCase) -> list[int]:
    return [*(v for g in case.groups for v in g.variables), *(v for v, _ in case.free)]


def _shift_counts(counts: Counts, by: int, longest: int) -> Counts:
    return ([0] * by + counts)[: longest + 1] if by else counts


def _fill_skeleton(known: PartialTerm, places: dict[int, Value]) -> Value:
    if isinstance(known, int):
        return places[known]
    assert known is not None
    return (known[0], *(_fill_skeleton(a, places) for a in known[1:]))
