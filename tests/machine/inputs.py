"""Inputs of any task, made from its types alone: neither sampler nor machine is asked."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from random import Random

from recinterp.tasks import Task
from recinterp.tasks.encoding import list_shape


class Inputs:
    """Terms of a task's argument types as tokens: all up to a size, and random larger ones."""

    def __init__(self, task: Task) -> None:
        self.task, self.program = task, task.program
        self.types = [p.type for p in task.program.function(task.function).params]
        shown = dict(task.shown)
        self.token = lambda name: shown.get(name, name)
        self.of = cache(self._of)

    def _cases(self, type_: str) -> list[tuple[list[str], tuple[str, ...]]]:
        return [([self.token(c.name)], c.args) for c in self.program.type(type_).constructors]

    def _of(self, type_: str, size: int, bare: bool) -> list[list[str]]:
        """Every term of exactly that many tokens."""
        shape = list_shape(self.program, type_) if bare else None
        if shape is not None:
            if size == 0:
                return [[]]
            labels = self.of(shape[2], 1, False)
            return [[*x, *rest] for x in labels for rest in self.of(type_, size - 1, True)]
        if size == 0:
            return []
        return [[*head, *rest] for head, args in self._cases(type_)
                for rest in self._seq(args, size - 1)]  # fmt: skip

    def _seq(self, types: tuple[str, ...], size: int) -> Iterator[list[str]]:
        if not types:
            if size == 0:
                yield []
            return
        for first in range(1, size + 1):
            for x in self.of(types[0], first, False):
                for rest in self._seq(types[1:], size - first):
                    yield [*x, *rest]

    def _join(self, parts: list[list[str]]) -> list[str]:
        out: list[str] = []
        for i, part in enumerate(parts):
            out += [","] if i else []
            out += part[::-1] if self.task.order == "reverse" else part
        return out

    def every(self, size: int, limit: int = 20_000) -> list[list[str]]:
        """Every input whose arguments have at most `size` tokens in all, at most `limit`."""

        def parts(types: list[str], left: int) -> Iterator[list[list[str]]]:
            if not types:
                yield []
                return
            for k in range(left + 1):
                for x in self.of(types[0], k, self.task.bare_lists):
                    for rest in parts(types[1:], left - k):
                        yield [x, *rest]

        return [self._join(p) for p in islice(parts(self.types, size), limit)]

    def random(self, n: int, size: int, seed: int = 0) -> list[list[str]]:
        """n random inputs, of about `size` tokens an argument."""
        rng = Random(seed)
        return [
            self._join([self._draw(rng, t, rng.randint(1, size), self.task.bare_lists)
                        for t in self.types])
            for _ in range(n)
        ]  # fmt: skip

    def _draw(self, rng: Random, type_: str, size: int, bare: bool) -> list[str]:
        shape = list_shape(self.program, type_) if bare else None
        if shape is not None:
            labels = [self.token(c.name) for c in self.program.type(shape[2]).constructors]
            return rng.choices(labels, k=size)
        out: list[str] = []
        pending = [type_]
        while pending:
            cases = self._cases(pending.pop())
            least = min(len(args) for _, args in cases)
            large = [c for c in cases if len(c[1]) > least] or cases
            small = [c for c in cases if len(c[1]) == least]
            grow = len(out) + len(pending) < size and (rng.random() < 0.7 or not pending)
            head, args = rng.choice(large if grow else small)
            out += head
            pending += reversed(args)
        return out
