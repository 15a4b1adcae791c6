"""Inputs of a task: all of them in order, and samples by length and depth."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as forever
from random import Random
from typing import TYPE_CHECKING

from recinterp.errors import DomainError, UnknownName
from recinterp.tasks.domain import Exclude

if TYPE_CHECKING:
    from recinterp.tasks.task import Task
DISTRIBUTIONS = ("balanced", "uniform", "natural")


class Sampler:
    """Lists and samples the inputs of one task."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._cells: dict[int, dict[int, list[list[str]]]] = {}

    def inputs(self, max_length: int | None) -> Iterator[list[str]]:
        """Every input, shortest first."""
        lengths = forever() if max_length is None else range(max_length + 1)
        for length in lengths:
            yield from self.of_length(length)

    def of_length(self, length: int) -> Iterator[list[str]]:
        """Every input of a length."""
        from itertools import product

        if length == 0:
            return
        for word in product(("X0", "X1"), repeat=length - 1):
            tokens = [*word, "01"]
            yield tokens[::-1] if self.task.order == "reverse" else tokens

    def count(self, length: int) -> int:
        return 2 ** (length - 1) if length > 0 else 0

    def deepest(self, length: int) -> int:
        return length - 1

    def sample(
        self,
        n: int,
        seed: int,
        depth: int | None,
        length: int | None,
        distribution: str,
        max_length: int,
        max_depth: int | None,
        exclude: Exclude | None,
    ) -> list[list[str]]:
        if distribution not in DISTRIBUTIONS:
            raise UnknownName("distribution", distribution, DISTRIBUTIONS)
        rng = Random(seed)
        lengths = [length] if length is not None else list(range(1, max_length + 1))
        out: list[list[str]] = []
        misses = 0
        while len(out) < n:
            if distribution == "natural" and length is None:
                number = rng.randrange(1, 2**max_length)
                word = ["X1" if b == "1" else "X0" for b in reversed(bin(number)[3:])] + ["01"]
            else:
                size = rng.choice(lengths)
                deepest = size - 1 if max_depth is None else min(max_depth, size - 1)
                if distribution == "balanced" or depth is not None:
                    d = rng.randint(0, deepest) if depth is None else depth
                    word = ["X1"] * min(d, size - 1)
                    if d < size - 1:
                        word += ["X0"] + [rng.choice(("X0", "X1")) for _ in range(size - d - 2)]
                    word += ["01"]
                else:
                    word = [rng.choice(("X0", "X1")) for _ in range(size - 1)] + ["01"]
            tokens = word[::-1] if self.task.order == "reverse" else word
            d = self.task.depth(tokens)
            if (depth is not None and d != depth) or (max_depth is not None and d > max_depth) or (
                exclude is not None and exclude(tokens)
            ):
                misses += 1
                if misses > 10000 * (len(out) + 1):
                    raise DomainError("sample", "no input fits", "")
                continue
            out.append(tokens)
        return out
