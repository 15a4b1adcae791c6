"""Inputs of a task: all of them in order, and samples by length and depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import count as forever
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

from recinterp.errors import DomainError, UnknownNameError
from recinterp.semantics.ast import Program
from recinterp.tasks.domain import Exclude
from recinterp.tasks.encoding import Encoding
from recinterp.tasks.sampling.depth_counts import DepthCounts
from recinterp.tasks.sampling.length_counts import LengthGrammar, convolution_at
from recinterp.tasks.sampling.recursion_cases import ComputedDepth, RecursionStates
from recinterp.tasks.sampling.strata import CountedStrata, DepthStrata, MeasuredStrata
from recinterp.tasks.sampling.uniform import TermDrawer, WeightedChoice

if TYPE_CHECKING:
    from recinterp.tasks.task import Task

DISTRIBUTIONS = ("balanced", "uniform", "natural")
Cell: TypeAlias = "tuple[int, int | None]"  # length and depth
SamplePlan: TypeAlias = (
    "tuple[WeightedChoice, dict[int, WeightedChoice]]"  # of a length; and of a depth, by length
)


@dataclass(frozen=True)
class SampleRequest:
    """Which inputs a sample is drawn from; `Task.sample` explains each field.

    Attributes:
        depth: Recursion depth of every input; None for any.
        length: Length of every input in tokens; None for any.
        distribution: One of DISTRIBUTIONS.
        max_length: Length of the longest inputs in tokens.
        max_depth: Recursion depth of the deepest inputs; None for any.
        exclude: Predicate on tokens that holds of what is not drawn; None to draw from all.
        min_length: Length of the shortest inputs in tokens.
    """

    depth: int | None
    length: int | None
    distribution: str
    max_length: int
    max_depth: int | None
    exclude: Exclude | None
    min_length: int = 0

    @property
    def by_depth(self) -> bool:
        """Whether the depth matters to the draw."""
        return (
            self.distribution == "balanced" or self.depth is not None or self.max_depth is not None
        )

    def depth_choice(self, found: Mapping[int | None, int]) -> WeightedChoice:
        """How to choose a depth: evenly if balanced, by how many inputs have it otherwise."""
        even = self.distribution == "balanced"
        return WeightedChoice.of([(depth, 1 if even else n) for depth, n in found.items()])

    def permits(self, depth: int) -> bool:
        """Whether inputs of a depth may be drawn."""
        return (self.depth is None or depth == self.depth) and (
            self.max_depth is None or depth <= self.max_depth
        )


class Sampler:
    """Lists and samples the inputs of one task.

    Attributes:
        max_draws: Draws from a large cell after which it is taken to hold no input that is not
            excluded.
    """

    max_draws = 500

    def __init__(
        self, task: Task, program: Program, encoding: Encoding, own: frozenset[str]
    ) -> None:
        self.task = task
        self.grammar = LengthGrammar(encoding)
        self.drawer = TermDrawer(self.grammar)
        params = program.function(task.function).params
        self.kinds = tuple(self.grammar.kind_of(p.type) for p in params)
        self._cells: DepthStrata
        try:
            shapes = RecursionStates(program, self.grammar, own, task.function)
            self._cells = CountedStrata(task, DepthCounts(shapes, self.grammar, self.drawer))
        except ComputedDepth:
            self._cells = MeasuredStrata(task, self)
        self._plans: dict[SampleRequest, SamplePlan | None] = {}
        self._allowed: dict[Any, list[list[str]] | None] = {}

    def iterate_inputs(self, max_length: int | None) -> Iterator[list[str]]:
        """Every input, shortest first."""
        for length in forever() if max_length is None else range(max_length + 1):
            yield from self.inputs_of_length(length)

    def inputs_of_length(self, length: int) -> Iterator[list[str]]:
        """Every input of exactly a length."""
        for values in self.grammar.list_tuples(self.kinds, length):
            yield self.task.write(values)

    def count_inputs(self, length: int) -> int:
        """The number of inputs of exactly a length."""
        if length < 0:
            return 0
        return convolution_at([self.grammar.counts_up_to(k, length) for k in self.kinds], length)

    def depths_at(self, length: int) -> dict[int, int]:
        """Depth -> the number of inputs of a length that have it."""
        return self._cells.count_by_depth(length)

    def max_depth(self, length: int) -> int | None:
        """The largest depth at a length; None where there is no input of that length."""
        return max(self._cells.count_by_depth(length), default=None)

    def draw_sample(self, n: int, seed: int, wanted: SampleRequest) -> list[list[str]]:
        """`n` inputs that fit the request. Raises DomainError where none fits, UnknownNameError."""
        if wanted.distribution not in DISTRIBUTIONS:
            raise UnknownNameError(
                "sample from this distribution", wanted.distribution, DISTRIBUTIONS
            )
        rng, dead = Random(seed), set[Cell]()
        if wanted not in self._plans:
            self._plans[wanted] = self._plan_sample(wanted, dead)
        plan = self._plans[wanted]
        out: list[list[str]] = []
        while len(out) < n:
            if plan is None:
                raise DomainError(
                    "sample inputs",
                    f"no input fits {_request_text(wanted)}",
                    "widen the depth, the length or what is excluded",
                )
            length = plan[0].draw_item(rng)
            depth = plan[1][length].draw_item(rng) if plan[1] else None
            tokens = self._draw_allowed(rng, length, depth, wanted.exclude)
            if tokens is None:
                dead.add((length, depth))
                plan = self._drop_cell(plan, wanted, dead, length)
            else:
                out.append(tokens)
        return out

    def _plan_sample(self, wanted: SampleRequest, dead: Set[Cell]) -> SamplePlan | None:
        """How to choose a length, and then a depth: None where nothing is left to choose."""
        every = range(wanted.min_length, wanted.max_length + 1)
        lengths = every if wanted.length is None else [wanted.length]
        cells = {n: found for n in lengths if (found := self._live_cells(wanted, n, dead))}
        if not cells:
            return None
        natural = wanted.distribution == "natural" and wanted.length is None
        by_length = WeightedChoice.of(
            [(n, sum(c.values()) if natural else 1) for n, c in cells.items()]
        )
        if not wanted.by_depth:
            return by_length, {}
        return by_length, {n: wanted.depth_choice(found) for n, found in cells.items()}

    def _drop_cell(
        self, plan: SamplePlan, wanted: SampleRequest, dead: Set[Cell], length: int
    ) -> SamplePlan | None:
        """The plan once a cell of a length has turned out empty."""
        found = self._live_cells(wanted, length, dead)
        if not found or wanted.distribution == "natural":
            return self._plan_sample(wanted, dead)
        return plan[0], {**plan[1], length: wanted.depth_choice(found)}

    def _live_cells(
        self, wanted: SampleRequest, length: int, dead: Set[Cell]
    ) -> dict[int | None, int]:
        """Depth (None where it does not matter) -> count."""
        found: Mapping[int | None, int] = {None: self.count_inputs(length)}
        if wanted.by_depth:
            found = {
                d: c for d, c in self._cells.count_by_depth(length).items() if wanted.permits(d)
            }
        return {d: c for d, c in found.items() if c and (length, d) not in dead}

    def _draw_allowed(
        self, rng: Random, length: int, depth: int | None, exclude: Exclude | None
    ) -> list[str] | None:
        """One input of a cell that is not excluded; None where there seems to be none."""
        if exclude is None:
            return self.draw_input(rng, length, depth)
        accepted = self._list_allowed(length, depth, exclude) if depth is not None else None
        if accepted is not None:
            return list(rng.choice(accepted)) if accepted else None
        tries = (self.draw_input(rng, length, depth) for _ in range(self.max_draws))
        return next((tokens for tokens in tries if not exclude(tokens)), None)

    def _list_allowed(self, length: int, depth: int, exclude: Exclude) -> list[list[str]] | None:
        """The inputs of a small cell that are not excluded; None for a large cell."""
        key = (length, depth, exclude)
        if key not in self._allowed:
            cell = self._cells.list_if_small(length, depth)
            self._allowed[key] = None if cell is None else [x for x in cell if not exclude(x)]
        return self._allowed[key]

    def draw_input(self, rng: Random, length: int, depth: int | None) -> list[str]:
        """One input of a length, and of a depth unless that is None."""
        if depth is not None:
            return self._cells.draw_input(rng, length, depth)
        return self.task.write(self.drawer.draw_terms(rng, self.kinds, length))


def _request_text(wanted: SampleRequest) -> str:
    bounds = {
        "length": wanted.length,
        "depth": wanted.depth,
        "max_length": wanted.max_length if wanted.length is None else None,
        "min_length": wanted.min_length or None,
        "max_depth": wanted.max_depth,
        "exclude": wanted.exclude,
    }
    return ", ".join(f"{k}={v!r}" for k, v in bounds.items() if v is not None)
