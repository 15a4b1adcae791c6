"""Inputs by length and depth: counted, or measured where the program does not tell depths."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Protocol

from recinterp.tasks.sampling.depth_counts import DepthCounts

if TYPE_CHECKING:
    from recinterp.tasks.task import Task


class DepthStrata(Protocol):
    """The inputs of a task, by length and depth."""

    def count_by_depth(self, length: int) -> dict[int, int]:
        """Depth -> how many inputs of that length have it; only depths that occur."""

    def draw_input(self, rng: Random, length: int, depth: int) -> list[str]:
        """One input of a cell, each as likely."""

    def list_if_small(self, length: int, depth: int) -> list[list[str]] | None:
        """All inputs of a small cell, None for a large one."""


class InputSource(Protocol):
    """What measuring needs of a sampler (`sampler.Sampler`)."""

    def count_inputs(self, length: int) -> int:
        """The number of inputs of exactly a length."""

    def inputs_of_length(self, length: int) -> Iterator[list[str]]:
        """Every input of exactly a length."""

    def draw_input(self, rng: Random, length: int, depth: int | None) -> list[str]:
        """One input of a length, and of a depth unless that is None."""


class CountedStrata:
    """Counted from the program's shapes; a depth is one less than the levels counted there."""

    def __init__(self, task: Task, levels: DepthCounts) -> None:
        self.task, self.levels = task, levels
        self._depths: dict[int, dict[int, int]] = {}

    def count_by_depth(self, length: int) -> dict[int, int]:
        if length < 0:
            return {}
        if length not in self._depths:
            self.levels.extend_tables(length)
            root = self.levels.shapes.root
            found = {
                d: self.levels.count_fillings(root, d + 1, length)
                for d in range(len(self.levels.upto[root]))
            }
            self._depths[length] = {d: n for d, n in found.items() if n}
        return self._depths[length]

    def draw_input(self, rng: Random, length: int, depth: int) -> list[str]:
        return self.task.write(self.levels.draw_arguments(rng, depth + 1, length))

    def list_if_small(self, length: int, depth: int) -> list[list[str]] | None:
        if self.count_by_depth(length)[depth] > self.levels.drawer.max_listed:
            return None
        root = self.levels.shapes.root
        return [self.task.write(v) for v in self.levels.list_fillings(root, depth + 1, length)]


class MeasuredStrata:
    """Every input of a length measured, or `max_measured` drawn ones where there are more."""

    def __init__(self, task: Task, source: InputSource, *, max_measured: int = 20_000) -> None:
        self.task, self.source, self.max_measured = task, source, max_measured
        self._cells: dict[int, dict[int, list[list[str]]]] = {}

    def _cells_of_length(self, length: int) -> dict[int, list[list[str]]]:
        if length not in self._cells:
            if self.source.count_inputs(length) <= self.max_measured:
                inputs = list(self.source.inputs_of_length(length))
            else:
                rng = Random(length)
                inputs = [
                    self.source.draw_input(rng, length, None) for _ in range(self.max_measured)
                ]
            cells: dict[int, list[list[str]]] = {}
            for tokens in inputs:
                cells.setdefault(self.task.depth(tokens), []).append(tokens)
            self._cells[length] = dict(sorted(cells.items()))
        return self._cells[length]

    def count_by_depth(self, length: int) -> dict[int, int]:
        return {d: len(cell) for d, cell in self._cells_of_length(length).items()}

    def draw_input(self, rng: Random, length: int, depth: int) -> list[str]:
        return list(rng.choice(self._cells_of_length(length)[depth]))

    def list_if_small(self, length: int, depth: int) -> list[list[str]] | None:
        return self._cells_of_length(length)[depth]
