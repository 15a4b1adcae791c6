"""What each kind of block attends to, and how an encoder-decoder's rows are split.

A block's kind is the first letter of its name (models/backends/block_names.py); L are the blocks of
a decoder-only model.

    kind   computes at        attends to
    L      every position     positions up to its own
    E      the input          the input
    D      the output         output positions up to its own
    X      the output         the input

Input and output share a row, so a block computes a span of positions that contains its own of every
row; where rows are split at different positions, the span also contains positions of the other
half, which are masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Int
from torch import Tensor

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, eq=False)
class EncoderDecoderSplit:
    """Where the output begins in the rows of an encoder-decoder.

    Attributes:
        begins: Position of the first output token of each row.
        first: The smallest of them in the whole batch.
        last: The largest of them in the whole batch.
    """

    begins: Int[Tensor, " row"]
    first: int
    last: int

    @classmethod
    def of(cls, begins: Int[Tensor, " row"]) -> EncoderDecoderSplit:
        """The split of a batch."""
        return cls(begins, int(begins.min()), int(begins.max()))

    def select(self, rows: Int[Tensor, " row"] | slice) -> EncoderDecoderSplit:
        """The split of some rows; spans remain those of the whole batch."""
        return EncoderDecoderSplit(self.begins[rows], self.first, self.last)

    @property
    def even(self) -> bool:
        """Whether all rows are split at one position."""
        return self.first == self.last


def query_span(kind: str, width: int, split: EncoderDecoderSplit | None) -> Span:
    """The positions at which a block computes something, [start, stop)."""
    if split is None:
        return 0, width
    return (0, split.last) if kind == "E" else (split.first, width)


def key_span(kind: str, width: int, split: EncoderDecoderSplit | None) -> Span:
    """The positions that a block has keys and values of, [start, stop)."""
    if split is None:
        return 0, width
    return (split.first, width) if kind == "D" else (0, split.last)


def is_own_position(
    kind: str, pos: Int[Tensor, "..."], begins: Int[Tensor, "..."]
) -> Bool[Tensor, "..."]:
    """Whether a block computes at these positions; the keys of X are those of E."""
    return pos < begins if kind == "E" else pos >= begins


def attention_mask(
    kind: str, at: Int[Tensor, "..."], width: int, split: EncoderDecoderSplit | None
) -> Bool[Tensor, "... key"] | None:
    """Which keys queries attend to; None for all.

    Args:
        kind: Kind of the block.
        at: Positions of the queries, (query,) or (row, 1).
        width: Positions of a row.
        split: The split of the rows; None for a decoder-only model.
    """
    key = torch.arange(*key_span(kind, width, split), device=at.device)
    own = key == at[..., None]
    before = key <= at[..., None] if kind in "LD" else None
    if split is None or split.even:
        return before
    begins = split.begins[:, None, None]
    if before is None:
        return key < begins
    # A query at a position of the other half attends to itself: its result is dropped, but finite.
    return (before & (key >= begins)) | own
