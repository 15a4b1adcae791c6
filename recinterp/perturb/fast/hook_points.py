"""Where edits land in the fast backend: its points, edits gathered over lanes, and frames.

A frame says which positions of which lanes a tensor holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

POINTS = {
    "hook_resid_pre": "pre",
    "attn.hook_q": "q",
    "attn.hook_k": "k",
    "attn.hook_v": "v",
    "attn.hook_pattern": "pattern",
    "attn.hook_z": "z",
    "hook_attn_out": "attn_out",
    "hook_resid_mid": "mid",
    "mlp.hook_pre": "mlp_pre",
    "mlp.hook_post": "mlp_post",
    "hook_mlp_out": "mlp_out",
    "hook_resid_post": "post",
}
# At these an edit leaves every other position of the layer as it was.
LOCAL = ("q", "pattern", "z", "attn_out", "mid", "mlp_pre", "mlp_post", "mlp_out", "post")
# At these the stream itself is held, of both halves of an encoder-decoder.
STREAM = ("pre", "mid", "post")


def point_of(hook: str) -> tuple[int, str] | None:
    """(layer, point) of a hook name, or None where the fast backend has no such point."""
    start, _, rest = hook.partition(".")
    layer, _, name = rest.partition(".")
    if start != "blocks" or name not in POINTS:
        return None
    return int(layer), POINTS[name]


@dataclass(frozen=True, eq=False)
class EditGroup:
    """Writes of one kind at one point, over all lanes of a call: lane, pos, head: (sites,).

    look: value is a pattern, (sites, head or 1, key); frozen: (lane, head, query, key).
    """

    op: str
    plan_row: Tensor
    pos: Tensor
    head: Tensor | None
    value: Tensor
    noise: Tensor | None = None


Table: TypeAlias = dict[tuple[int, str], list[EditGroup]]


@dataclass(frozen=True, eq=False)
class SuffixFrame:
    """Tensors that hold the positions from `start` on, up to `stop`: (lane, pos - start, ...)."""

    start: int
    stop: int | None = None

    def place(self, group: EditGroup) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Where a group's sites are, and which of them (None: all) are here."""
        if self.stop is None:
            return (group.plan_row, group.pos - self.start), None
        here = (group.pos >= self.start) & (group.pos < self.stop)
        return (group.plan_row[here], group.pos[here] - self.start), here


@dataclass(frozen=True, eq=False)
class PredictionFrame:
    """Tensors that hold each lane's query alone: (lane, ...)."""

    prediction: Tensor

    def place(self, group: EditGroup) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Where a group's sites are, and which of them (None: all) are here."""
        here = group.pos == self.prediction[group.plan_row]
        return (group.plan_row[here],), here


@dataclass(frozen=True, eq=False)
class EditedTokens:
    """Tensors that hold the touched tokens alone: (token, ...), by sorted lane * width + pos."""

    keys: Tensor
    width: int

    def place(self, group: EditGroup) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Where a group's sites are, and which of them (None: all) are here."""
        return (torch.searchsorted(self.keys, group.plan_row * self.width + group.pos),), None


Frame: TypeAlias = SuffixFrame | PredictionFrame | EditedTokens
OnActivation: TypeAlias = Callable[[int, str, Tensor, Frame], None]
