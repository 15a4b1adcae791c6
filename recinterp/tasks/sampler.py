"""Inputs of a task: all of them in order, and samples by length and depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as forever
from random import Random
from typing import TYPE_CHECKING, Any

from recinterp.errors import DomainError, UnknownName
from recinterp.semantics.ast import Program
from recinterp.tasks.cells import Cells, Exact, Measured
from recinterp.tasks.depths import Depths
from recinterp.tasks.domain import Exclude
from recinterp.tasks.draw import Choice, Drawer
from recinterp.tasks.encoding import Encoding
from recinterp.tasks.grammar import Grammar, convolve_at
from recinterp.tasks.shapes import Shapes, Unsupported

if TYPE_CHECKING:
    from recinterp.tasks.task import Task

DISTRIBUTIONS = ("balanced", "uniform", "natural")
TRIES = 500


@dataclass(frozen=True)
class Wanted:
    """What a sample asks for."""

    depth: int | None
    length: int | None
    distribution: str
    max_length: int
    max_depth: int | None
    exclude: Exclude | None

    @property
    def by_depth(self) -> bool:
        """Whether the depth matters to the draw."""
        return (
            self.distribution == "balanced" or self.depth is not None or self.max_depth is not None
        )

    def permits(self, depth: int) -> bool:
        """Whether a depth is asked for."""
        return (self.depth is None or depth == self.depth) and (
            self.max_depth is None or depth <= self.max_depth
        )


class Sampler:
    """Lists and samples the inputs of one task."""

    def __init__(
        self, task: Task, program: Program, encoding: Encoding, own: frozenset[str]
    ) -> None:
        self.task = task
        self.grammar = Grammar(encoding)
        self.drawer = Drawer(self.grammar)
        params = program.function(task.function).params
        self.kinds = tuple(self.grammar.kind(p.type) for p in params)
        self._cells: Cells
        try:
            shapes = Shapes(program, self.grammar, own, task.function)
            self._cells = Exact(task, Depths(shapes, self.grammar, self.drawer))
        except Unsupported:
            self._cells = Measured(task, self)
        self._accepted: dict[Any, list[list[str]] | None] = {}

    def inputs(self, max_length: int | None) -> Iterator[list[str]]:
        """Every input, shortest first."""
        for length in forever() if max_length is None else range(max_length + 1):
            yield from self.of_length(length)

    def of_length(self, length: int) -> Iterator[list[str]]:
        """Every input of exactly a length."""
        for values in self.grammar.products(self.kinds, length):
            yield self.task.write(values)

    def count(self, length: int) -> int:
        """The number of inputs of exactly a length."""
        if length < 0:
            return 0
        return convolve_at([self.grammar.counts(k, length) for k in self.kinds], length)

    def depths_at(self, length: int) -> dict[int, int]:
        """Depth -> the number of inputs of a length that have it."""
        return self._cells.depths(length)

    def deepest(self, length: int) -> int | None:
        """The largest depth at a length; None where there is no input of that length."""
        return max(self._cells.depths(length), default=None)

    def count_at(self, length: int, depth: int) -> int:
        """The number of inputs of a length and depth."""
        return self._cells.depths(length).get(depth, 0)

    def sample(self, n: int, seed: int, wanted: Wanted) -> list[list[str]]:
        """`n` inputs as asked for. DomainError where none fits, UnknownName for the distribution."""
        if wanted.distribution not in DISTRIBUTIONS:
            raise UnknownName("distribution", wanted.distribution, DISTRIBUTIONS)
        rng, dead = Random(seed), set[tuple[int, int | None]]()
        plan = self._plan(wanted, dead)
        out: list[list[str]] = []
        while len(out) < n:
            if not plan:
                raise DomainError("sample", f"no input fits {_words(wanted)}", "ask for less")
            length = plan[0].draw(rng)
            depth = plan[1][length].draw(rng) if plan[1] else None
            tokens = self._draw(rng, length, depth, wanted.exclude)
            if tokens is None:
                dead.add((length, depth))
                plan = self._plan(wanted, dead)
            else:
                out.append(tokens)
        return out

    def _plan(
        self, wanted: Wanted, dead: set[tuple[int, int | None]]
    ) -> tuple[Choice, dict[int, Choice]] | None:
        """How to choose a length, and then a depth: None where nothing is left to choose."""
        fixed = wanted.length is not None
        lengths = [wanted.length] if wanted.length is not None else range(wanted.max_length + 1)
        cells: dict[int, dict[int | None, int]] = {}
        for length in lengths:
            found: dict[int | None, int] = (
                {d: c for d, c in self._cells.depths(length).items() if wanted.permits(d)}
                if wanted.by_depth
                else {None: self.count(length)}
            )
            alive = {d: c for d, c in found.items() if c and (length, d) not in dead}
            if alive:
                cells[length] = alive
        if not cells:
            return None
        natural = wanted.distribution == "natural" and not fixed
        by_length = Choice.of([(n, sum(c.values()) if natural else 1) for n, c in cells.items()])
        if not wanted.by_depth:
            return by_length, {}
        even = wanted.distribution == "balanced"
        return by_length, {
            n: Choice.of([(d, 1 if even else w) for d, w in c.items()]) for n, c in cells.items()
        }

    def _draw(
        self, rng: Random, length: int, depth: int | None, exclude: Exclude | None
    ) -> list[str] | None:
        """One input of a cell that is not excluded; None where there seems to be none."""
        if exclude is None:
            return self.draw(rng, length, depth)
        key = (length, depth, exclude)
        if key not in self._accepted:
            cell = self._cells.listed(length, depth) if depth is not None else None
            kept = None if cell is None else [tokens for tokens in cell if not exclude(tokens)]
            self._accepted[key] = kept
        accepted = self._accepted[key]
        if accepted is not None:
            return list(rng.choice(accepted)) if accepted else None
        tries = (self.draw(rng, length, depth) for _ in range(TRIES))
        return next((tokens for tokens in tries if not exclude(tokens)), None)

    def draw(self, rng: Random, length: int, depth: int | None) -> list[str]:
        """One input of a length, and of a depth unless that is None."""
        if depth is not None:
            return self._cells.draw(rng, length, depth)
        return self.task.write(self.drawer.draw(rng, self.kinds, length))


def _words(wanted: Wanted) -> str:
    asked = {
        "length": wanted.length,
        "depth": wanted.depth,
        "max_length": wanted.max_length if wanted.length is None else None,
        "max_depth": wanted.max_depth,
        "exclude": wanted.exclude,
    }
    return ", ".join(f"{k}={v!r}" for k, v in asked.items() if v is not None)
