"""Logs as steps: what is read at each, with what is known of the tokens ahead, and what is written.

One view of successor in natural order (align "last", nothing known ahead), as (read, written):

    X1 X1 01 -> X0 X0 X0 01     (X1, X0) (X1, X0) (01, X0 01)

A machine that goes from left to right can only be what a view shows where equal pasts write alike
(`conflicts.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from recinterp.tokens import END_OF_INPUT

Word: TypeAlias = "tuple[str, ...]"
# A token; the next one; whether the rest is all of a class; whether a bound is reached.
Symbol: TypeAlias = "tuple[str, str | None, bool | None, bool | None]"
Row: TypeAlias = "tuple[tuple[Symbol, Word], ...]"
Pair: TypeAlias = "tuple[Word, Word]"

# Which tokens of the output a step writes: one each, and those beyond the input's length at the
# last token, behind it, or at the first; or as many as `counts` has for the token read.
LAST, TAIL, FRONT, COUNTED = "last", "tail", "front", "counted"
INDEX, LENGTH = "index", "length"  # what a bound is on: tokens read before, tokens in all


@dataclass(frozen=True)
class View:
    """A way to read dataset.

    backwards: the input is read from its right end; mirrored: and the output written from there;
    ahead: the next token is known; rest: a class that may fill all that follows, and whether it
    does is known; bound: (INDEX or LENGTH, k), and whether that is k or more is known.
    """

    backwards: bool
    align: str
    mirrored: bool = False
    ahead: bool = False
    rest: Word = ()
    bound: tuple[str, int] | None = None
    counts: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        known = ["the next token"] if self.ahead else []
        if self.rest:
            known.append(f"whether the rest is all {' or '.join(self.rest)}")
        if self.bound:
            known.append(f"whether the {self.bound[0]} is {self.bound[1]} or more")
        side = "right" if self.backwards else "left"
        order = " and written from there" if self.mirrored else ""
        return f"from the {side}{order}" + (f", knowing {' and '.join(known)}" if known else "")

    def rows(self, pairs: Iterable[Pair]) -> list[Row]:
        """Every log as steps, in the direction of reading."""
        found = []
        for x, y in pairs:
            read = x[::-1] if self.backwards else x
            found.append(tuple(zip(self._symbols(read), self.words(x, y), strict=True)))
        return found

    def last(self, pairs: Iterable[Pair]) -> frozenset[str]:
        """The tokens that are read last."""
        if self.align != LAST:
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
        return found[::-1] if self.align == LAST else [*found[::-1], end]

    def _reached(self, index: int, length: int) -> bool | None:
        if self.bound is None:
            return None
        kind, k = self.bound
        return (index if kind == INDEX else length) >= k

    def words(self, x: Word, y: Word) -> list[Word]:
        """What each step of a log writes, in the direction of reading."""
        x, y = (x[::-1] if self.backwards else x), (y[::-1] if self.mirrored else y)
        n, m = len(x), len(y)
        if self.align == COUNTED:
            counts, at = dict(self.counts), 0
            ends = [at := at + counts.get(t, 0) for t in x]
            return [*(y[a:b] for a, b in zip([0, *ends], ends, strict=False)), y[at:]]
        if self.align == FRONT:
            first = max(m - n + 1, 0)
            late = [y[max(i - n + m, 0) : max(i - n + m + 1, 0)] for i in range(1, n)]
            return [y[:first], *late, ()] if n else [y]
        inside = n - 1 if self.align == LAST else n
        return [*(y[i : i + 1] for i in range(inside)), y[inside:]]
