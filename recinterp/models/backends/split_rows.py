"""Rows of an encoder-decoder, as one row of ids and as two halves.

A row is laid out as a decoder-only model's: what the encoder reads, then what the decoder writes.
Libraries that keep the halves apart are shown activations of each half in the places that these
positions have in the row, and edits are taken back from there:

    row       X1 X0 01 SEP X0         the decoder's part starts at 3
    encoder   X1 X0 01                positions 0 1 2
    decoder            SEP X0         positions       0 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recinterp.tasks import Task


@dataclass(frozen=True)
class RowSplit:
    """Where rows divide: at the first `sep` from `input_start` on, plus `sep_offset`.

    Attributes:
        input_start: Position of the first token of an input.
        sep: Token id that is searched for.
        sep_offset: Positions from the first such id to the one that the decoder begins with.
    """

    input_start: int
    sep: int
    sep_offset: int

    @classmethod
    def from_task(cls, task: Task) -> RowSplit:
        """Read a task's template: the encoder reads what is before {sep}, the decoder begins there.

        Other specials may share its id, so the place is counted, not searched.
        """
        tokens = next(x for x in task.inputs(None) if x)
        prompt, ids = task.prompt(tokens), [task.ids[token] for token in tokens]
        input_start = next(i for i in range(len(prompt)) if prompt[i : i + len(ids)] == ids)
        after = prompt[input_start + len(ids) :]
        return cls(input_start, task.sep, len(after) - 1 - after.index(task.sep))

    def find_start(self, row: Sequence[int]) -> int:
        """The position at which the decoder's part of a row begins."""
        return list(row).index(self.sep, self.input_start) + self.sep_offset

    def find_starts(self, ids: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch"]:
        """The position at which the decoder's part of each row begins."""
        seps = (ids[:, self.input_start :] == self.sep).long().argmax(1)
        return seps + self.input_start + self.sep_offset


class SplitRows:
    """A batch of rows and its two halves.

    Attributes:
        encoder_ids: What the encoder reads, (batch, encoder_pos), padded.
        encoder_mask: Where that is not padding, (batch, encoder_pos).
        decoder_ids: What the decoder reads, (batch, decoder_pos), padded.
    """

    def __init__(self, ids: Int[Tensor, "batch pos"], begins: Int[Tensor, "batch"]) -> None:
        at, width = begins[:, None], ids.shape[1]
        place = torch.arange(width, device=ids.device)
        self.encoder_mask = place[: int(begins.max())] < at
        self.encoder_ids = ids[:, : self.encoder_mask.shape[1]]
        written = at + torch.arange(int((width - begins).max()), device=ids.device)
        self._decoder_positions, self._in_row = written.clamp(max=width - 1), written < width
        self.decoder_ids = ids.gather(1, self._decoder_positions)
        # For each position of a row: its place in its half, and whether it is of that half.
        self._places = {
            "encoder": (place.expand_as(ids).clamp(max=self.encoder_mask.shape[1] - 1), place < at),
            "decoder": ((place - at).clamp(min=0), place >= at),
        }

    def to_row(
        self, value: Float[Tensor, "batch ..."], half: str, dim: int = 1
    ) -> Float[Tensor, "batch ..."]:
        """Move one axis from a half's positions to the row's; zero at those of the other half."""
        place, own = self._places[half]
        return self._gather_along(value, place, dim) * _expand_mask(own, value, dim)

    def to_half(
        self,
        value: Float[Tensor, "batch ..."],
        old: Float[Tensor, "batch ..."],
        half: str,
        dim: int = 1,
    ) -> Float[Tensor, "batch ..."]:
        """Move one axis from the row's positions to a half's; `old` at padding outside the row."""
        if half == "encoder":
            width = self.encoder_mask.shape[1]
            mask = _expand_mask(self.encoder_mask, value, dim)
            return torch.where(mask, value.narrow(dim, 0, width), old)
        new = self._gather_along(value, self._decoder_positions, dim)
        return torch.where(_expand_mask(self._in_row, value, dim), new, old)

    @staticmethod
    def _gather_along(
        value: Float[Tensor, "batch ..."], place: Int[Tensor, "batch pos"], dim: int
    ) -> Float[Tensor, "batch ..."]:
        row = torch.arange(len(value), device=value.device)[:, None]
        return value.movedim(dim, 1)[row, place].movedim(1, dim)


def _expand_mask(
    mask: Bool[Tensor, "batch pos"], value: Float[Tensor, "batch ..."], dim: int
) -> Bool[Tensor, "batch ..."]:
    """Shape a mask to fit a value whose positions are on another axis."""
    size = [1] * value.dim()
    size[0], size[dim] = mask.shape
    return mask.reshape(size)
