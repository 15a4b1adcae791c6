"""Inputs as arrays of token numbers, with the tables that `Find` and `Span` read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int

from recinterp.tokens import END_OF_INPUT

if TYPE_CHECKING:
    from typing import TypeAlias

Ints: TypeAlias = "Int[np.ndarray, 'rows']"
Flags: TypeAlias = "Bool[np.ndarray, 'rows']"


class EncodedInputs:
    """Inputs as one padded array of token numbers, with the tables that `Find` and `Span` read."""

    def __init__(
        self, inputs: Sequence[Sequence[str]], vocab: Sequence[str], arity: Sequence[int]
    ) -> None:
        self.vocab = (*vocab, END_OF_INPUT)
        self.number = {x: i for i, x in enumerate(self.vocab)}
        self.end = len(vocab)
        self.n = np.array([len(x) for x in inputs], dtype=np.int64)
        width = int(self.n.max(initial=0)) + 1
        named = frozenset(vocab)
        self.known = np.array([named.issuperset(w) for w in inputs], dtype=bool)
        self.tokens = np.full((len(inputs), width), self.end, dtype=np.int64)
        for row, word in enumerate(inputs):
            self.tokens[row, : len(word)] = [self.number.get(x, self.end) for x in word]
        self.arity = np.array([*arity, *[0] * (len(self.vocab) - len(arity))], dtype=np.int64)
        self._find: dict[tuple[int, tuple[str, ...]], Int[np.ndarray, "rows pos"]] = {}
        self._span: dict[int, Int[np.ndarray, "rows pos"]] = {}

    def token_mask(self, tokens: Sequence[str]) -> Bool[np.ndarray, vocab]:
        """Which token numbers are among `tokens`."""
        table = np.zeros(len(self.vocab), dtype=bool)
        table[[self.number[x] for x in tokens if x in self.number]] = True
        return table

    def read_tokens(self, rows: Ints, at: Ints) -> Ints:
        """Token numbers at positions, the end token outside."""
        inside = (at >= 0) & (at < self.n[rows])
        return np.where(inside, self.tokens[rows, np.where(inside, at, 0)], self.end)

    def find_positions(self, rows: Ints, start: Ints, step: int, skip: tuple[str, ...]) -> Ints:
        """`Find` for each row."""
        table = self._find.get((step, skip))
        if table is None:
            table = self._find[step, skip] = self._find_table(step, skip)
        n = self.n[rows]
        if step > 0:
            at = np.maximum(start, 0)
            return np.where(at >= n, n, table[rows, np.minimum(at, table.shape[1] - 1)])
        at = np.minimum(start, n - 1)
        return np.where(at < 0, -1, table[rows, np.maximum(at, 0)])

    def _find_table(self, step: int, skip: tuple[str, ...]) -> Int[np.ndarray, "rows pos"]:
        skipped = self.token_mask(skip)[self.tokens]
        table = np.empty_like(self.tokens)
        width = table.shape[1]
        last = self.n.copy() if step > 0 else np.full(len(self.n), -1)
        for i in range(width - 1, -1, -1) if step > 0 else range(width):
            stops = ~skipped[:, i] & (i < self.n)
            last = np.where(stops, i, last)
            table[:, i] = last
        return table

    def subtree_ends(self, rows: Ints, at: Ints, step: int) -> Ints:
        """`Span` for each row."""
        table = self._span.get(step)
        if table is None:
            table = self._span[step] = self._span_table(step)
        n = self.n[rows]
        at = np.maximum(at, 0) if step > 0 else np.minimum(at, n - 1)
        inside = (at >= 0) & (at < n)
        return np.where(inside, table[rows, np.where(inside, at, 0) + 2], at + step)

    def _span_table(self, step: int) -> Int[np.ndarray, "rows pos"]:
        """For each position + 2, where its subtree ends; outside the input, beyond it."""
        width = self.tokens.shape[1]
        beyond = self.n + 1 if step > 0 else np.full(len(self.n), -2)
        table = np.tile(beyond[:, None], (1, width + 4))
        arity = self.arity[self.tokens]
        rows = np.arange(len(self.n))
        for i in range(width - 1, -1, -1) if step > 0 else range(width):
            at = np.full(len(self.n), i + step)
            for k in range(int(arity[:, i].max(initial=0))):
                at = np.where(k < arity[:, i], table[rows, at + 2], at)
            table[:, i + 2] = np.where(i < self.n, at, beyond)
        return table
