"""Rows of an encoder-decoder, as one line and as two halves.

A row is laid out as a decoder-only model's: what the encoder reads, then what the decoder writes.
Libraries that keep the halves apart are shown activations of each half in the places that these
positions have in the row, and edits are taken back from there:

    row       X1 X0 01 SEP X0         begins = 3
    read      X1 X0 01                positions 0 1 2
    written            SEP X0         positions       0 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from recinterp.tasks import Task


@dataclass(frozen=True)
class RowSplit:
    """Where rows divide: at the first `sep` from `input_start` on, plus `sep_offset`."""

    input_start: int
    sep: int
    sep_offset: int

    @classmethod
    def from_task(cls, task: Task) -> RowSplit:
        """What a task's template says: all before {sep} is read, {sep} is what writing begins with.

        Other specials may share its id, so the place is counted, not searched.
        """
        tokens = next(x for x in task.inputs(None) if x)
        prompt, ids = task.prompt(tokens), [task.ids[token] for token in tokens]
        input_start = next(i for i in range(len(prompt)) if prompt[i : i + len(ids)] == ids)
        after = prompt[input_start + len(ids) :]
        return cls(input_start, task.sep, len(after) - 1 - after.index(task.sep))

    def find_start(self, row: Sequence[int]) -> int:
        """The position of a row at which writing begins."""
        return list(row).index(self.sep, self.input_start) + self.sep_offset

    def find_starts(self, ids: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch"]:
        """The same of every row."""
        return (
            (ids[:, self.input_start :] == self.sep).long().argmax(1)
            + self.input_start
            + self.sep_offset
        )


class SplitRows:
    """A batch of rows and its halves: ids read (batch, read) with their mask, ids written."""

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

    def to_row(self, value: Tensor, half: str, dim: int = 1) -> Tensor:
        """Along one axis, from a half's positions to the row's; zero at the other half's."""
        place, own = self._places[half]
        return self._gather_along(value, place, dim) * _expand_mask(own, value, dim)

    def to_half(self, value: Tensor, old: Tensor, half: str, dim: int = 1) -> Tensor:
        """The inverse; `old` where a half's padding has no place in the row."""
        if half == "encoder":
            width = self.encoder_mask.shape[1]
            return torch.where(
                _expand_mask(self.encoder_mask, value, dim), value.narrow(dim, 0, width), old
            )
        new = self._gather_along(value, self._decoder_positions, dim)
        return torch.where(_expand_mask(self._in_row, value, dim), new, old)

    @staticmethod
    def _gather_along(value: Tensor, place: Tensor, dim: int) -> Tensor:
        row = torch.arange(len(value), device=value.device)[:, None]
        return value.movedim(dim, 1)[row, place].movedim(1, dim)


def _expand_mask(mask: Tensor, value: Tensor, dim: int) -> Tensor:
    """A (batch, pos) mask against a value with its positions on another axis."""
    size = [1] * value.dim()
    size[0], size[dim] = mask.shape
    return mask.reshape(size)
