"""Where two tables of outputs first differ, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from recinterp.machine.execution.encoded_inputs import Ints

if TYPE_CHECKING:
    from recinterp.machine.execution.batch import MachineBatch

NO_DIFFERENCE = 1 << 30  # greater than any output index, so that minima ignore it
PAST_END = -1


def written_tokens(batch: MachineBatch) -> Int[np.ndarray, "rows time"]:
    """The token numbers that each run wrote, PAST_END after its last one."""
    columns = np.arange(batch.out.shape[1])
    return np.where(columns[None, :] < batch.t[:, None], batch.out, PAST_END)


def first_difference(
    one: Int[np.ndarray, "rows time"],
    other: Int[np.ndarray, "rows time_2"],
    *,
    until: Ints | None = None,
) -> Int[np.ndarray, "rows"]:
    """The first output index at which two tables of token numbers differ, row by row.

    Args:
        one: token numbers, PAST_END after the end of each output.
        other: the same for the other outputs; the table may be wider or narrower.
        until: for each row, the output index from which on differences do not count.

    Returns:
        Indices from 0; NO_DIFFERENCE for rows that are equal.
    """
    width = 1 + max(one.shape[1], other.shape[1])
    differs = _padded(one, width) != _padded(other, width)
    if until is not None:
        differs &= np.arange(width)[None, :] < until[:, None]
    return np.where(differs.any(axis=1), differs.argmax(axis=1), NO_DIFFERENCE)


def _padded(table: Int[np.ndarray, "rows time"], width: int) -> Int[np.ndarray, "rows width"]:
    missing = width - table.shape[1]
    return np.pad(table, ((0, 0), (0, missing)), constant_values=PAST_END)
