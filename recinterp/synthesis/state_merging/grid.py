"""Which views of a dataset are tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from recinterp.synthesis.state_merging.conflicts import ConflictTable
from recinterp.synthesis.state_merging.views import (
    BoundOn,
    OutputAlignment,
    Pair,
    View,
    Word,
)

if TYPE_CHECKING:
    from recinterp.synthesis.config import MergeConfig


def enumerate_views(table: ConflictTable, config: MergeConfig) -> Iterator[View]:
    """Directions x alignments x what is known ahead, its class found by `best_rest_class`."""
    pairs = table.pairs
    for backwards, mirrored in ((False, False), (True, True), (True, False)):
        counts = infer_token_counts(pairs, config.min_count_match)
        for align in OutputAlignment:
            if align == OutputAlignment.LAST and not _marks_its_end(pairs, backwards):
                continue
            if align == OutputAlignment.COUNTED and not counts:
                continue
            plain = View(
                backwards,
                mirrored,
                align=align,
                counts=counts if align == OutputAlignment.COUNTED else (),
            )
            yield plain
            yield replace(plain, ahead=True)
            rest = best_rest_class(table, plain)
            if rest:
                yield replace(plain, rest=rest)
                yield replace(plain, ahead=True, rest=rest)


def enumerate_bounds(pairs: Sequence[Pair], view: View) -> list[View]:
    """A view with each bound on length or index that the inputs can show."""
    longest = max((len(x) for x, _ in pairs), default=0)
    return [
        replace(view, bound=(kind, k))
        for kind in (BoundOn.LENGTH, BoundOn.INDEX)
        for k in range(2, longest)
    ]


def infer_token_counts(pairs: Sequence[Pair], min_match: float) -> tuple[tuple[str, int], ...]:
    """How many output tokens each token read stands for; empty where lengths do not say."""
    tokens = sorted({t for x, _ in pairs for t in x})
    table = np.array([[x.count(t) for t in tokens] for x, _ in pairs], dtype=float)
    lengths = np.array([len(y) for _, y in pairs], dtype=float)
    written = {t for _, y in pairs for t in y}
    ways = [np.array([float(t in written) for t in tokens])]  # each writes itself, if it is written
    ways += [np.rint(np.linalg.lstsq(table, lengths - more, rcond=None)[0]) for more in (0, 1)]
    for whole in ways:
        over = lengths - table @ whole
        if (whole >= 0).all() and ((over == over[0]) & (over >= 0)).mean() >= min_match:
            found = tuple((t, int(k)) for t, k in zip(tokens, whole, strict=True))
            return () if all(k == 1 for _, k in found) else found
    return ()


def best_rest_class(table: ConflictTable, plain: View) -> Word:
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


def _marks_its_end(pairs: Sequence[Pair], backwards: bool) -> bool:
    """Whether the token that is read last occurs nowhere else."""
    turned = [x[::-1] if backwards else x for x, _ in pairs]
    last = {x[-1] for x in turned if x}
    return all(turned) and not any(t in last for x in turned for t in x[:-1])
