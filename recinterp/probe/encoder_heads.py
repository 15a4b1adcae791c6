"""Heads of an encoder: all of them have written before the first query, so none is a reader.

Their attention is looked at from each input position p, and their effect is what ablation changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from recinterp.perturb.positions import INPUTS, PromptBatch
from recinterp.probe.landmarks import Landmark, best
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.models import Adapter


def is_encoders(adapter: Adapter, layer: int) -> bool:
    """Whether a block is an encoder's."""
    return adapter.block_names[layer].startswith("E")


def attention_while_reading(
    layer: int, pattern: Tensor, rows: PromptBatch, places: Sequence[Landmark]
) -> dict[tuple[int, int], tuple[Landmark, Rate] | None]:
    """(layer, head) -> the place its peak follows best; a landmark's t is the asking position."""
    local = [place for place in places if place.local and place.argument is None]
    row, pos = rows.mask(INPUTS).nonzero(as_tuple=True)
    start = rows.start[row]
    asked = [(rows.inputs[i], t) for i, t in zip(row.tolist(), (pos - start).tolist(), strict=True)]
    peak = pattern[row, :, pos].argmax(-1).cpu() - start[:, None]
    return {(layer, h): best(local, asked, peak[:, h].tolist()) for h in range(peak.shape[1])}


def told_of_encoders(
    said: tuple[str, str], follows: bool, score: float, place: str
) -> tuple[str, str]:
    """An encoder's head: where each input position p looks, and what its ablation changes."""
    role, note = said
    looks = f"from position p it looks at {place} in {score:.0%}; " if follows else ""
    return role, looks + note.replace("; 0% of the effect", "")
