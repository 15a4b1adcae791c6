"""Edits: what a plan writes to the activations of given rows, the form that both backends run.

Write          vectors at some sites (row, position) of a hook point: set, added, or turned
               into a random direction
PatternEdit    attention rows of some queries
PatternFreeze  all attention of a layer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recinterp.errors import InterventionError


@dataclass(frozen=True, eq=False)
class Write:
    """Values at sites of a hook point.

    Attributes:
        hook: Name of the hook point.
        head: Index of one head; None for the whole activation.
        row: Row of each site, ascending.
        pos: Position of each site.
        op: "set", "add", or "random_direction": add the noise, scaled to the norm of value - old.
        value: (site, features) if `per_site`, else (features,) or a number; with a head axis before
            the features where `head` is None at a hook point with heads.
        per_site: Whether each site has a value of its own.
        noise: The random directions, in the shape of `value`.
    """

    hook: str
    head: int | None
    row: Int[Tensor, " site"]
    pos: Int[Tensor, " site"]
    op: Literal["set", "add", "random_direction"]
    value: Float[Tensor, "..."]
    per_site: bool = False
    noise: Float[Tensor, "site ..."] | None = None

    def apply(self, old: Float[Tensor, "site ..."]) -> Float[Tensor, "site ..."]:
        """The activations at the sites after the write."""
        return write(self.op, old, self.value, self.noise)


def write(
    op: str,
    old: Float[Tensor, "site ..."],
    value: Float[Tensor, "..."],
    noise: Float[Tensor, "site ..."] | None,
) -> Float[Tensor, "site ..."]:
    """The activations at some sites after a write; arguments as in `Write`."""
    value = value.to(old)
    if op == "set":
        return value.expand_as(old)
    if op == "add":
        return old + value
    assert noise is not None
    noise = noise.to(old)
    ratio = (value - old).flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
    return old + noise * ratio.reshape(-1, *[1] * (old.dim() - 1))


@dataclass(frozen=True, eq=False)
class PatternEdit:
    """Attention rows at some queries.

    Attributes:
        layer: Index of the layer.
        head: Index of the head; None for all heads.
        row: Row of each query.
        pos: Position of each query.
        pattern: The attention to write; one head stands for all where `head` is None.
    """

    layer: int
    head: int | None
    row: Int[Tensor, " site"]
    pos: Int[Tensor, " site"]
    pattern: Float[Tensor, "site head_or_1 key"]

    @property
    def hook(self) -> str:
        """Name of the hook point."""
        return f"blocks.{self.layer}.attn.hook_pattern"


@dataclass(frozen=True, eq=False)
class PatternFreeze:
    """All attention of a layer.

    Attributes:
        layer: Index of the layer.
        pattern: The attention to write.
    """

    layer: int
    pattern: Float[Tensor, "row head query key"]

    @property
    def hook(self) -> str:
        """Name of the hook point."""
        return f"blocks.{self.layer}.attn.hook_pattern"


Edit: TypeAlias = Write | PatternEdit | PatternFreeze


def select_rows(edit: Edit, rows: Int[Tensor, " some"], width: int) -> Edit:
    """The part of an edit that falls on some rows of a batch, for a batch of those rows only.

    Args:
        edit: The edit.
        rows: Indices of the rows, ascending.
        width: Positions of each of these rows; attention is cut to them.
    """
    if isinstance(edit, PatternFreeze):
        some = rows.to(edit.pattern.device)
        return replace(edit, pattern=edit.pattern[some][:, :, :width, :width])
    here = torch.isin(edit.row, rows)
    row, pos = torch.searchsorted(rows, edit.row[here]), edit.pos[here]
    if isinstance(edit, PatternEdit):
        pattern = edit.pattern[here.to(edit.pattern.device)][..., :width]
        return replace(edit, row=row, pos=pos, pattern=pattern)
    value = edit.value[here.to(edit.value.device)] if edit.per_site else edit.value
    noise = None if edit.noise is None else edit.noise[here]
    return replace(edit, row=row, pos=pos, value=value, noise=noise)


def check_no_overwrite(edits: Sequence[Edit], width: int) -> None:
    """Raise InterventionError if an edit overwrites an earlier one; width: positions per row."""
    for first, second in combinations(edits, 2):
        if _overwrites(first, second, width):
            raise InterventionError(
                f"combine {_name(first)} with {_name(second)}",
                "the second undoes the first at the same site",
                "keep one of them, or choose other positions",
            )


def _name(edit: Edit) -> str:
    which = "" if isinstance(edit, PatternFreeze) or edit.head is None else f" of head {edit.head}"
    return f"an edit of {edit.hook}{which}"


def _overwrites(first: Edit, second: Edit, width: int) -> bool:
    if isinstance(second, PatternFreeze):
        return isinstance(first, PatternEdit | PatternFreeze) and first.layer == second.layer
    if isinstance(first, PatternFreeze) or first is second:
        return False
    if isinstance(first, PatternEdit) and isinstance(second, Write):
        overwrites = second.hook == first.hook.replace("hook_pattern", "hook_z")
        return overwrites and second.op == "set" and _overlap(first, second, width) is not None
    if first.hook != second.hook or (isinstance(second, Write) and second.op == "add"):
        return False
    both = _overlap(first, second, width)
    return both is not None and not _agree(first, second, *both)


def _overlap(
    first: Write | PatternEdit, second: Write | PatternEdit, width: int
) -> tuple[Tensor, Tensor] | None:
    """Indices of the common sites within each of two edits; None if there are none."""
    if None not in (first.head, second.head) and first.head != second.head:
        return None
    here, there = first.row * width + first.pos, second.row * width + second.pos
    one, other = torch.isin(here, there), torch.isin(there, here)
    return (one.nonzero()[:, 0], other.nonzero()[:, 0]) if bool(one.any()) else None


def _agree(
    first: Write | PatternEdit, second: Write | PatternEdit, one: Tensor, other: Tensor
) -> bool:
    """Whether two edits write equal values at their common sites."""
    if not (isinstance(first, Write) and isinstance(second, Write)):
        return False
    if first.op != "set" or second.op != "set" or first.head != second.head:
        return False
    a, b = (
        w.value[at.to(w.value.device)] if w.per_site else w.value
        for w, at in ((first, one), (second, other))
    )
    return a.shape == b.shape and bool(torch.equal(a, b))
