"""Whether a view suffices: the steps where equal pasts write differently are conflicts.

Many views of one dataset are compared, so tokens are numbers here, and a step is one column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from recinterp.synthesis.state_merging.views import BoundOn, OutputAlignment, Pair, View, Word

Rows: TypeAlias = "Int[np.ndarray, 'pairs']"
Steps: TypeAlias = "Int[np.ndarray, 'pairs steps']"


class ConflictTable:
    """Inputs and outputs as numbers, for the conflicts of many views of them."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        self.number = {t: i for i, t in enumerate(sorted({t for x, _ in pairs for t in x}), 1)}
        self._n = np.array([len(x) for x, _ in pairs], dtype=np.int64)
        self._tokens = {back: self._token_numbers(back) for back in (False, True)}
        self._words: dict[View, Steps] = {}

    def _token_numbers(self, backwards: bool) -> Steps:
        """The tokens in the direction of reading, and 0 after them."""
        table = np.zeros((len(self.pairs), int(self._n.max(initial=0)) + 2), dtype=np.int64)
        for row, (x, _) in zip(table, self.pairs, strict=True):
            row[: len(x)] = [self.number[t] for t in (x[::-1] if backwards else x)]
        return table

    def conflicts(self, view: View) -> int:
        """How many steps write something else than most steps with the same past do."""
        symbols, words = self._symbols(view), self._word_numbers(view)
        steps = self._n + (view.align != OutputAlignment.LAST)
        past, found = np.zeros(len(self.pairs), dtype=np.int64), 0
        for i in range(int(steps.max(initial=0))):
            here = np.flatnonzero(steps > i)
            past[here] = _numbered(past[here], symbols[here, i])
            alike = _numbered(past[here], words[here, i])
            commonest = np.zeros(int(past[here].max()) + 1, dtype=np.int64)
            np.maximum.at(commonest, past[here], np.bincount(alike)[alike])
            found += len(here) - int(commonest.sum())
        return found

    def _symbols(self, view: View) -> Steps:
        tokens = self._tokens[view.backwards]
        here, after = tokens[:, :-1], tokens[:, 1:]
        parts = [here]
        if view.ahead:
            parts.append(after)
        if view.rest:
            fills = np.isin(after, [0, *(self.number[t] for t in view.rest)])
            parts.append(np.logical_and.accumulate(fills[:, ::-1], axis=1)[:, ::-1])
        if view.bound:
            kind, k = view.bound
            count = np.arange(here.shape[1]) if kind == BoundOn.INDEX else self._n[:, None]
            parts.append(np.broadcast_to(count >= k, here.shape))
        codes = np.zeros_like(here)
        for part in parts:
            codes = codes * (len(self.number) + 2) + part
        return codes

    def _word_numbers(self, view: View) -> Steps:
        """The words of each step as numbers; what is known of the input makes no difference."""
        plain = replace(view, ahead=False, rest=(), bound=None)
        if plain not in self._words:
            number = dict[Word, int]()
            table = np.zeros_like(self._tokens[False])
            for row, pair in zip(table, self.pairs, strict=True):
                words_of_row = [number.setdefault(w, len(number)) for w in plain.words(*pair)]
                row[: len(words_of_row)] = words_of_row
            self._words[plain] = table
        return self._words[plain]


def _numbered(one: Rows, other: Rows) -> Rows:
    """Equal numbers, from 0, for equal pairs of numbers."""
    both = one * (int(other.max(initial=0)) + 1) + other
    return np.unique(both, return_inverse=True)[1]
