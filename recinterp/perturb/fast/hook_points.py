"""Where edits land in the fast road: its points, edits gathered over lanes, and frames.

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
    "attn.hook_pattern": "look",
    "attn.hook_z": "z",
    "hook_attn_out": "attn_out",
    "hook_resid_mid": "mid",
    "mlp.hook_pre": "mlp_pre",
    "mlp.hook_post": "mlp_post",
    "hook_mlp_out": "mlp_out",
    "hook_resid_post": "post",
}
# At these an edit leaves every other position of the layer as it was.
LOCAL = ("q", "look", "z", "attn_out", "mid", "mlp_pre", "mlp_post", "mlp_out", "post")
# At these the stream itself is held, of both halves of an encoder-decoder.
STREAM = ("pre", "mid", "post")


def point_of(hook: str) -> tuple[int, str] | None:
    """(layer, point) of a hook name, or None where the fast road has no such point."""
    start, _, rest = hook.partition(".")
    layer, _, name = rest.partition(".")
    if start != "blocks" or name not in POINTS:
        return None
    return int(layer), POINTS[name]


@dataclass(frozen=True, eq=False)
class Group:
    """Writes of one kind at one point, over all lanes of a call: lane, pos, head: (sites,).

    look: value is a pattern, (sites, head or 1, key); frozen: (lane, head, query, key).
    """

    op: str
    lane: Tensor
    pos: Tensor
    head: Tensor | None
    value: Tensor
    noise: Tensor | None = None


Table: TypeAlias = dict[tuple[int, str], list[Group]]


@dataclass(frozen=True, eq=False)
class Suffix:
    """Tensors that hold the positions from `start` on, up to `stop`: (lane, pos - start, ...)."""

    start: int
    stop: int | None = None

    def place(self, group: Group) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Where a group's sites are, and which of them (None: all) are here."""
        if self.stop is None:
            return (group.lane, group.pos - self.start), None
        here = (group.pos >= self.start) & (group.pos < self.stop)
        return (group.lane[here], group.pos[here] - self.start), here


@dataclass(frozen=True, eq=False)
class Queries:
    """Tensors that hold each lane's query alone: (lane, ...)."""

    query: Tensor

    def place(self, group: Group) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Where a group's sites are, and which of them (None: all) are here."""
        here = group.pos == self.query[group.lane]
        return (group.lane[here],), here


@dataclass(frozen=True, eq=False)
class Touched:
    """Tensors that hold the touched tokens alone: (token, ...), by sorted lane * width + pos."""

    keys: Tensor
    width: int

    def place(self, group: Group) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Where a group's sites are, and which of them (None: all) are here."""
        return (torch.searchsorted(self.keys, group.lane * self.width + group.pos),), None


Frame: TypeAlias = Suffix | Queries | Touched
Tap: TypeAlias = Callable[[int, str, Tensor, Frame], None]
