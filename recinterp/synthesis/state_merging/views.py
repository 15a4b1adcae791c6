"""Inputs and outputs as steps: what is read at each, what is known ahead, and what is written.

One view of successor in natural order (aligned at the last token, nothing known ahead), as
(read, written):

    X1 X1 01 -> X0 X0 X0 01     (X1, X0) (X1, X0) (01, X0 01)

A machine that goes from left to right can only be what a view shows where equal pasts write alike
(`conflicts.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from recinterp.tokens import END_OF_INPUT

Word: TypeAlias = tuple[str, ...]
# A token; the next one; whether the rest is all of a class; whether a bound is reached.
Symbol: TypeAlias = "tuple[str, str | None, bool | None, bool | None]"
Row: TypeAlias = "tuple[tuple[Symbol, Word], ...]"
Pair: TypeAlias = "tuple[Word, Word]"


class OutputAlignment(StrEnum):
    """Which tokens of the output each step writes.

    One each; those beyond the input's length at the last token (LAST), after it (TAIL) or at the
    first (FRONT); or as many as `counts` has for the token read (COUNTED).
    """

    LAST = "last"
    TAIL = "tail"
    FRONT = "front"
    COUNTED = "counted"


class BoundOn(StrEnum):
    """What a bound is on: tokens read before, or tokens of the whole input."""

    INDEX = "index"
    LENGTH = "length"


@dataclass(frozen=True)
class Reading:
    """In which direction a machine reads and writes, and what it knows ahead.

    Attributes:
        backwards: the input is read from its right end.
        mirrored: the output is written from its right end, too.
        ahead: the next token is known.
        rest: a class of tokens; whether all that follows is of it is known. Empty for none.
        bound: what a bound is on, and the bound; whether it is reached is known.
    """

    backwards: bool
    mirrored: bool = False
    ahead: bool = False
    rest: Word = ()
    bound: tuple[BoundOn, int] | None = None

    @property
    def facts(self) -> int:
        """How many kinds of facts are known ahead."""
        return self.ahead + bool(self.rest) + bool(self.bound)


@dataclass(frozen=True)
class View(Reading):
    """A reading, with the tokens of the output that each step writes.

    Attributes:
        align: which tokens each step writes.
        counts: for each token read, the tokens written, where `align` is COUNTED.
    """

    align: OutputAlignment = OutputAlignment.LAST
    counts: tuple[tuple[str, int], ...] = ()

    @property
    def reading(self) -> Reading:
        """The view without its alignment."""
        return Reading(self.backwards, self.mirrored, self.ahead, self.rest, self.bound)

    def rows(self, pairs: Iterable[Pair]) -> list[Row]:
        """Every pair as steps, in the direction of reading."""
        found = []
        for x, y in pairs:
            read = x[::-1] if self.backwards else x
            found.append(tuple(zip(self._symbols(read), self.words(x, y), strict=True)))
        return found

    def last(self, pairs: Iterable[Pair]) -> frozenset[str]:
        """The tokens that are read last."""
        if self.align != OutputAlignment.LAST:
            return frozenset([END_OF_INPUT])
        return frozenset(x[0 if self.backwards else -1] for x, _ in pairs)

    def _symbols(self, x: Word) -> list[Symbol]:
        found: list[Symbol] = []
        filled = True
        for i in range(len(x) - 1, -1, -1):
            after = x[i + 1] if i + 1 < len(x) else END_OF_INPUT
            found.append((x[i], after if self.ahead else None, filled if self.rest else None,
                          self._reached(i, len(x))))  # fmt: skip
            filled = filled and x[i] in self.rest
        end = (END_OF_INPUT, None, None, self._reached(len(x), len(x)))
        return found[::-1] if self.align == OutputAlignment.LAST else [*found[::-1], end]

    def _reached(self, index: int, length: int) -> bool | None:
        if self.bound is None:
            return None
        kind, k = self.bound
        return (index if kind == BoundOn.INDEX else length) >= k

    def words(self, x: Word, y: Word) -> list[Word]:
        """What each step of a pair writes, in the direction of reading."""
        x, y = (x[::-1] if self.backwards else x), (y[::-1] if self.mirrored else y)
        n, m = len(x), len(y)
        if self.align == OutputAlignment.COUNTED:
            counts, at = dict(self.counts), 0
            ends = [at := at + counts.get(t, 0) for t in x]
            return [*(y[a:b] for a, b in zip([0, *ends], ends, strict=False)), y[at:]]
        if self.align == OutputAlignment.FRONT:
            first = max(m - n + 1, 0)
            late = [y[max(i - n + m, 0) : max(i - n + m + 1, 0)] for i in range(1, n)]
            return [y[:first], *late, ()] if n else [y]
        inside = n - 1 if self.align == OutputAlignment.LAST else n
        return [*(y[i : i + 1] for i in range(inside)), y[inside:]]
