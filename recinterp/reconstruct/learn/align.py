"""Logs as steps: what is read at each, with what is known of the tokens ahead, and what is written.

One view of successor in natural order (align "last", nothing known ahead), as (read, written):

    X1 X1 01 -> X0 X0 X0 01     (X1, X0) (X1, X0) (01, X0 01)

A machine that goes from left to right can only be what a view shows where equal pasts write alike:
`conflicts` counts the steps that do not. None is the test that a view suffices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from recinterp.machine.syntax import END

Word: TypeAlias = "tuple[str, ...]"
# A token; the next one; whether the rest is all of a class; whether a bound is reached.
Symbol: TypeAlias = "tuple[str, str | None, bool | None, bool | None]"
Row: TypeAlias = "tuple[tuple[Symbol, Word], ...]"
Pair: TypeAlias = "tuple[Word, Word]"

# Which tokens of the output a step writes: one each, and those beyond the input's length at the
# last token, behind it, or at the first; or as many as `counts` has for the token read.
LAST, TAIL, FRONT, COUNTED = "last", "tail", "front", "counted"
EXACT = 0.9  # of the logs: so many lengths have to be right for counts to be used
INDEX, LENGTH = "index", "length"  # what a bound is on: tokens read before, tokens in all


@dataclass(frozen=True)
class View:
    """A way to read logs.

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
            turned = (x[::-1] if self.backwards else x), (y[::-1] if self.mirrored else y)
            found.append(tuple(zip(self._symbols(turned[0]), self._words(*turned), strict=True)))
        return found

    def last(self, pairs: Iterable[Pair]) -> frozenset[str]:
        """The tokens that are read last."""
        if self.align != LAST:
            return frozenset([END])
        return frozenset(x[0 if self.backwards else -1] for x, _ in pairs)

    def _symbols(self, x: Word) -> list[Symbol]:
        found: list[Symbol] = []
        filled = True
        for i in range(len(x) - 1, -1, -1):
            after = x[i + 1] if i + 1 < len(x) else END
            found.append((x[i], after if self.ahead else None, filled if self.rest else None,
                          self._reached(i, len(x))))  # fmt: skip
            filled = filled and x[i] in self.rest
        end = (END, None, None, self._reached(len(x), len(x)))
        return found[::-1] if self.align == LAST else [*found[::-1], end]

    def _reached(self, index: int, length: int) -> bool | None:
        if self.bound is None:
            return None
        kind, k = self.bound
        return (index if kind == INDEX else length) >= k

    def _words(self, x: Word, y: Word) -> list[Word]:
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


def views(pairs: Sequence[Pair]) -> Iterator[View]:
    """The grid: directions x alignments x what is known ahead, its class found by `suited`."""
    for backwards, mirrored in ((False, False), (True, True), (True, False)):
        counts = counted(pairs)
        for align in (LAST, TAIL, FRONT, COUNTED):
            if align == LAST and not _ends_alone(pairs, backwards):
                continue
            if align == COUNTED and not counts:
                continue
            plain = View(backwards, align, mirrored, counts=counts if align == COUNTED else ())
            yield plain
            yield replace(plain, ahead=True)
            rest = suited(pairs, plain)
            if rest:
                yield replace(plain, rest=rest)
                yield replace(plain, ahead=True, rest=rest)


def bounds(pairs: Sequence[Pair], view: View) -> list[View]:
    """The same view with each bound on length or index that the logs can show."""
    longest = max((len(x) for x, _ in pairs), default=0)
    return [replace(view, bound=(kind, k)) for kind in (LENGTH, INDEX) for k in range(2, longest)]


def counted(pairs: Sequence[Pair]) -> tuple[tuple[str, int], ...]:
    """How many tokens each token read stands for in the output; empty where lengths do not say."""
    tokens = sorted({t for x, _ in pairs for t in x})
    table = np.array([[x.count(t) for t in tokens] for x, _ in pairs], dtype=float)
    lengths = np.array([len(y) for _, y in pairs], dtype=float)
    written = {t for _, y in pairs for t in y}
    ways = [np.array([float(t in written) for t in tokens])]  # each writes itself, if it is written
    ways += [np.rint(np.linalg.lstsq(table, lengths - more, rcond=None)[0]) for more in (0, 1)]
    for whole in ways:
        over = lengths - table @ whole
        if (whole >= 0).all() and ((over == over[0]) & (over >= 0)).mean() >= EXACT:
            found = tuple((t, int(k)) for t, k in zip(tokens, whole, strict=True))
            return () if all(k == 1 for _, k in found) else found
    return ()


def suited(pairs: Sequence[Pair], plain: View) -> Word:
    """The class of tokens of which "the rest is all of these" leaves the fewest conflicts."""
    tokens = sorted({t for x, _ in pairs for t in x})
    ones = [(t,) for t in tokens]
    others = [tuple(t for t in tokens if t != u) for u in tokens] if len(tokens) > 2 else []
    best: Word = ()
    least = conflicts(plain.rows(pairs))
    for rest in (*ones, *others):
        found = conflicts(replace(plain, rest=rest).rows(pairs))
        if found < least:
            best, least = rest, found
    return best


def _ends_alone(pairs: Sequence[Pair], backwards: bool) -> bool:
    """Whether the token that is read last tells by itself that it is."""
    turned = [x[::-1] if backwards else x for x, _ in pairs]
    last = {x[-1] for x in turned if x}
    return all(turned) and not any(t in last for x in turned for t in x[:-1])


def conflicts(rows: Sequence[Row]) -> int:
    """How many steps write something else than most steps with the same past do."""
    seen: dict[tuple[int, Symbol], Counter[Word]] = {}
    nodes: dict[tuple[int, Symbol], int] = {}
    for row in rows:
        node = 0
        for symbol, word in row:
            key = (node, symbol)
            seen.setdefault(key, Counter())[word] += 1
            node = nodes.setdefault(key, len(nodes) + 1)
    return sum(c.total() - max(c.values()) for c in seen.values() if len(c) > 1)
