"""Where edits apply in the fast backend: its points, edits grouped over plan rows, and frames.

A *plan row* is one row under one plan. A frame says which positions of which plan rows a tensor
holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
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
# An edit at these leaves every other position of the layer unchanged.
LOCAL = ("q", "pattern", "z", "attn_out", "mid", "mlp_pre", "mlp_post", "mlp_out", "post")
# The residual stream, which has both halves of an encoder-decoder.
STREAM = ("pre", "mid", "post")


def point_of(hook: str) -> tuple[int, str] | None:
    """(layer, point) of a hook point; None if the fast backend has no such point."""
    start, _, rest = hook.partition(".")
    layer, _, name = rest.partition(".")
    if start != "blocks" or name not in POINTS:
        return None
    return int(layer), POINTS[name]


@dataclass(frozen=True, eq=False)
class EditGroup:
    """Edits of one kind at one point, over all plan rows of a call.

    Attributes:
        op: As in `Write`.
        plan_row: Plan row of each site.
        pos: Position of each site.
        head: Head of each site; None for all heads.
        value: What is written; at "pattern" (site, head or 1, key), at "frozen_pattern"
            (plan row, head, query, key).
        noise: The random directions, as in `Write`.
    """

    op: str
    plan_row: Int[Tensor, " site"]
    pos: Int[Tensor, " site"]
    head: Int[Tensor, " site"] | None
    value: Float[Tensor, "site ..."]
    noise: Float[Tensor, "site ..."] | None = None


Table: TypeAlias = dict[tuple[int, str], list[EditGroup]]
Index: TypeAlias = tuple[Int[Tensor, " site"], ...]


@dataclass(frozen=True, eq=False)
class SuffixFrame:
    """Tensors of shape (plan row, pos - start, ...) that hold the positions from start to stop."""

    start: int
    stop: int | None = None

    def place(self, group: EditGroup) -> tuple[Index, Bool[Tensor, " site"] | None]:
        """Index of a group's sites in such a tensor, and which of the sites (None: all) it has."""
        if self.stop is None:
            return (group.plan_row, group.pos - self.start), None
        here = (group.pos >= self.start) & (group.pos < self.stop)
        return (group.plan_row[here], group.pos[here] - self.start), here


@dataclass(frozen=True, eq=False)
class PredictionFrame:
    """Tensors of shape (plan row, ...) that hold the prediction position only."""

    prediction: Int[Tensor, " plan_row"]

    def place(self, group: EditGroup) -> tuple[Index, Bool[Tensor, " site"] | None]:
        """Index of a group's sites in such a tensor, and which of the sites it has."""
        here = group.pos == self.prediction[group.plan_row]
        return (group.plan_row[here],), here


@dataclass(frozen=True, eq=False)
class EditedTokens:
    """Tensors of shape (token, ...) that hold edited tokens only, by plan row * width + pos."""

    keys: Int[Tensor, " token"]
    width: int

    def place(self, group: EditGroup) -> tuple[Index, Bool[Tensor, " site"] | None]:
        """Index of a group's sites in such a tensor; it has all of them."""
        return (torch.searchsorted(self.keys, group.plan_row * self.width + group.pos),), None


Frame: TypeAlias = SuffixFrame | PredictionFrame | EditedTokens
OnActivation: TypeAlias = Callable[[int, str, Tensor, Frame], None]
