"""What a plan comes down to, on given rows: values at sites, the form both roads carry out.

Write   a vector at some (row, position) sites of a hook point: set, added, or moved toward
Look    attention rows of some queries
Frozen  all attention of a layer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from recinterp.errors import InterventionError


@dataclass(frozen=True, eq=False)
class Write:
    """Values at sites of a hook point; row, pos: (sites,), row by row.

    value: (sites, features) if per_site, else (features,) or a number; with a head axis before the
    features where `head` is None at a per-head hook. toward: `old` plus noise as long as
    `value - old`.
    """

    hook: str
    head: int | None
    row: Tensor
    pos: Tensor
    op: Literal["set", "add", "random_direction"]
    value: Tensor
    per_site: bool = False
    noise: Tensor | None = None

    def apply(self, old: Tensor) -> Tensor:
        """The new values of (sites, features)."""
        return write(self.op, old, self.value, self.noise)


def write(op: str, old: Tensor, value: Tensor, noise: Tensor | None) -> Tensor:
    """What stands at a site after a write."""
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
    """Attention of a head (None: of all) at queries (row, pos): pattern (sites, head or 1, key)."""

    layer: int
    head: int | None
    row: Tensor
    pos: Tensor
    pattern: Tensor

    @property
    def hook(self) -> str:
        """Where it is written."""
        return f"blocks.{self.layer}.attn.hook_pattern"


@dataclass(frozen=True, eq=False)
class PatternFreeze:
    """All attention of a layer: pattern (row, head, query, key)."""

    layer: int
    pattern: Tensor

    @property
    def hook(self) -> str:
        """Where it is written."""
        return f"blocks.{self.layer}.attn.hook_pattern"


Edit: TypeAlias = Write | PatternEdit | PatternFreeze


def check_no_overwrite(edits: Sequence[Edit], width: int) -> None:
    """Raise InterventionError where one edit undoes another of the same plan; width: of a row."""
    for first, second in combinations(edits, 2):
        if _overwrites(first, second, width):
            raise InterventionError(
                f"{_name(first)} together with {_name(second)}",
                "the second undoes the first at the same site",
                "one of them, or other positions",
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
    """Indices of the sites that both write, in each of them; None where there are none."""
    if None not in (first.head, second.head) and first.head != second.head:
        return None
    here, there = first.row * width + first.pos, second.row * width + second.pos
    one, other = torch.isin(here, there), torch.isin(there, here)
    return (one.nonzero()[:, 0], other.nonzero()[:, 0]) if bool(one.any()) else None


def _agree(
    first: Write | PatternEdit, second: Write | PatternEdit, one: Tensor, other: Tensor
) -> bool:
    """Whether two edits write the same numbers where they overlap; then neither is undone."""
    if not (isinstance(first, Write) and isinstance(second, Write)):
        return False
    if first.op != "set" or second.op != "set" or first.head != second.head:
        return False
    a, b = (
        w.value[at.to(w.value.device)] if w.per_site else w.value
        for w, at in ((first, one), (second, other))
    )
    return a.shape == b.shape and bool(torch.equal(a, b))
