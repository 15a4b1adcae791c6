"""What each kind of block sees, and where the halves of an encoder-decoder's rows part.

A block's kind is the letter of its name (models/stack.py); L are those of a decoder-only model.

    kind   asks at            sees
    L      every position     those up to its own
    E      what is read       what is read
    D      what is written    what is written, up to its own
    X      what is written    what is read

Both halves share a row, so a block computes a span of positions that holds its own of every row;
where rows part at different places, the span holds some of the other half too, which is masked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class EncoderDecoderSplit:
    """begins: (row,) positions at which writing begins, between `first` and `last`."""

    begins: Tensor
    first: int
    last: int

    @classmethod
    def of(cls, begins: Tensor) -> EncoderDecoderSplit:
        """The border of a batch."""
        return cls(begins, int(begins.min()), int(begins.max()))

    def select(self, rows: Tensor | slice) -> EncoderDecoderSplit:
        """The same of some rows; spans stay those of the whole batch."""
        return EncoderDecoderSplit(self.begins[rows], self.first, self.last)

    @property
    def even(self) -> bool:
        """Whether all rows part at one place."""
        return self.first == self.last


def query_span(kind: str, width: int, split: EncoderDecoderSplit | None) -> Span:
    """The positions at which a block computes something."""
    if split is None:
        return 0, width
    return (0, split.last) if kind == "E" else (split.first, width)


def key_span(kind: str, width: int, split: EncoderDecoderSplit | None) -> Span:
    """The positions that it has keys and values of."""
    if split is None:
        return 0, width
    return (split.first, width) if kind == "D" else (0, split.last)


def is_own_position(kind: str, pos: Tensor, begins: Tensor) -> Tensor:
    """Whether positions are a block's own; keys of X are what E owns."""
    return pos < begins if kind == "E" else pos >= begins


def attention_mask(
    kind: str, at: Tensor, width: int, split: EncoderDecoderSplit | None
) -> Tensor | None:
    """Which keys queries may see, (lane or 1, query, key); None: all. at: (query,) or (lane, 1)."""
    key = torch.arange(*key_span(kind, width, split), device=at.device)
    own = key == at[..., None]
    before = key <= at[..., None] if kind in "LD" else None
    if split is None or split.even:
        return before
    begins = split.begins[:, None, None]
    if before is None:
        return key < begins
    # A query that is none of the block's own sees itself: its result is dropped, and is a number.
    return (before & (key >= begins)) | own
