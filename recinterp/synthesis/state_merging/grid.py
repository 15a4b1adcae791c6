"""Which views of dataset are tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from recinterp.synthesis.state_merging.conflicts import Table
from recinterp.synthesis.state_merging.views import (
    COUNTED,
    FRONT,
    INDEX,
    LAST,
    LENGTH,
    TAIL,
    Pair,
    View,
    Word,
)

EXACT = 0.9  # of the dataset: so many lengths have to be right for counts to be used


def views(table: Table) -> Iterator[View]:
    """Directions x alignments x what is known ahead, its class found by `best_rest_class`."""
    pairs = table.pairs
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
            rest = best_rest_class(table, plain)
            if rest:
                yield replace(plain, rest=rest)
                yield replace(plain, ahead=True, rest=rest)


def bounds(pairs: Sequence[Pair], view: View) -> list[View]:
    """The same view with each bound on length or index that the dataset can show."""
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


def best_rest_class(table: Table, plain: View) -> Word:
    """The class of tokens of which "the rest is all of these" leaves the fewest conflicts."""
    tokens = list(table.number)
    ones = [(t,) for t in tokens]
    others = [tuple(t for t in tokens if t != u) for u in tokens] if len(tokens) > 2 else []
    best: Word = ()
    least = table.conflicts(plain)
    for rest in (*ones, *others):
        found = table.conflicts(replace(plain, rest=rest))
        if found < least:
            best, least = rest, found
    return best


def _ends_alone(pairs: Sequence[Pair], backwards: bool) -> bool:
    """Whether the token that is read last tells by itself that it is."""
    turned = [x[::-1] if backwards else x for x, _ in pairs]
    last = {x[-1] for x in turned if x}
    return all(turned) and not any(t in last for x in turned for t in x[:-1])
