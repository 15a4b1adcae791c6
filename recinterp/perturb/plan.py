"""Interventions as values: what is edited, where, and into what. A plan is a list of them.

    [Ablate(head(1, 0)), ForcePrefix((("X0", "X0"),))]

Those that carry one datum per row (sources, prefixes, tokens) name it row by row, in the order of
the inputs the plan is run on. Nothing here computes; `engine.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from torch import Tensor

from recinterp.errors import InterventionError
from recinterp.perturb.rows import ALL, QUERY, At, Tokens, Where


@dataclass(frozen=True)
class Unit:
    """What is edited: a hook point, one head of it or all of it, at some positions."""

    hook: str
    head: int | None = None
    at: Where = ALL

    def take(self, picked: Sequence[int]) -> Unit:
        """The same unit for some of the rows."""
        return replace(self, at=_take(self.at, picked))

    def __str__(self) -> str:
        classes = self.at if isinstance(self.at, tuple) else (self.at,)
        which = "" if self.head is None else f"[head {self.head}]"
        return f"{self.hook}{which} at {'+'.join(at.kind for at in classes)}"


def _take(where: Where, picked: Sequence[int]) -> Where:
    return (
        tuple(at.take(picked) for at in where) if isinstance(where, tuple) else where.take(picked)
    )


def head(layer: int, head: int | None = None, at: Where = ALL) -> Unit:
    """What a head (None: all of a layer) writes: `hook_z`, before the output matrix."""
    return Unit(f"blocks.{layer}.attn.hook_z", head, at)


def mlp(layer: int, at: Where = ALL) -> Unit:
    """What a layer's MLP writes."""
    return Unit(f"blocks.{layer}.hook_mlp_out", None, at)


def layer_output(layer: int, at: Where = ALL) -> Unit:
    """The residual stream after a layer; -1: what the embeddings write."""
    return Unit(
        f"blocks.{layer}.hook_resid_post" if layer >= 0 else "blocks.0.hook_resid_pre", None, at
    )


@dataclass(frozen=True)
class Ablate:
    """Take a component out: to zero, to its mean over `reference`, or to a reference row's value.

    reference: inputs the mean or the resampled value is read from; None: the batch itself.
    """

    unit: Unit
    kind: Literal["zero", "mean", "resample"] = "zero"
    reference: tuple[Tokens, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("zero", "mean", "resample"):
            raise InterventionError(
                f"ablation {self.kind!r}", "no such kind", "zero, mean or resample"
            )
        if self.reference is not None and not self.reference:
            raise InterventionError(
                f"ablation of {self.unit}", "the reference set is empty", "give inputs, or None"
            )

    def take(self, picked: Sequence[int]) -> Ablate:
        """The same for some of the rows."""
        return replace(self, unit=self.unit.take(picked))


@dataclass(frozen=True)
class Redirect:
    """Force a head (None: a layer) to attend from the query to one class of positions only."""

    layer: int
    head: int | None
    to: Where

    def take(self, picked: Sequence[int]) -> Redirect:
        """The same for some of the rows."""
        return replace(self, to=_take(self.to, picked))


@dataclass(frozen=True)
class Transplant:
    """Give heads at the query what they do at the query of another row: their z, or their pattern.

    heads: (layer, head) pairs; inputs, prefixes: the rows it is taken from. Content has moved by
    the time it is read, so a head's own row from the step that reads q redirects it, while a
    one-hot pattern onto q does not.
    """

    heads: tuple[tuple[int, int], ...]
    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...]
    through: Literal["z", "pattern"] = "z"
    scramble: int | None = None

    def take(self, picked: Sequence[int]) -> Transplant:
        """The same for some of the rows."""
        xs, ys = (tuple(v[i] for i in picked) for v in (self.inputs, self.prefixes))
        return replace(self, inputs=xs, prefixes=ys)


@dataclass(frozen=True)
class FreezePatterns:
    """Keep the attention patterns of the clean run, in some layers (None: all)."""

    layers: tuple[int, ...] | None = None

    def take(self, picked: Sequence[int]) -> FreezePatterns:
        """The same for some of the rows."""
        return self


@dataclass(frozen=True)
class Swap:
    """Put other tokens at input positions, everything else held: one (position, token) per row."""

    tokens: tuple[tuple[int, str], ...]

    def take(self, picked: Sequence[int]) -> Swap:
        """The same for some of the rows."""
        return Swap(tuple(self.tokens[i] for i in picked))


@dataclass(frozen=True)
class ForcePrefix:
    """Make the model go on from these output prefixes, one per row."""

    prefixes: tuple[Tokens, ...]

    def take(self, picked: Sequence[int]) -> ForcePrefix:
        """The same for some of the rows."""
        return ForcePrefix(tuple(self.prefixes[i] for i in picked))


@dataclass(frozen=True)
class Interchange:
    """Patch a set of sites at once with their values in a run on other rows (the sources).

    at: where the sources' values are read, if not at the same classes of positions. scramble: a
    seed; each difference is replaced by a random direction of the same norm (the control).
    Source: Geiger et al., Causal abstractions of neural networks (2021).
    """

    units: tuple[Unit, ...]
    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...]
    at: Where | None = None
    scramble: int | None = None

    def take(self, picked: Sequence[int]) -> Interchange:
        """The same for some of the rows."""
        return replace(
            self,
            units=tuple(unit.take(picked) for unit in self.units),
            inputs=tuple(self.inputs[i] for i in picked),
            prefixes=tuple(self.prefixes[i] for i in picked),
            at=None if self.at is None else _take(self.at, picked),
        )


@dataclass(frozen=True, eq=False)
class Steer:
    """Add `scale` times a direction (of the unit's last axis) at some positions."""

    unit: Unit
    direction: Tensor
    scale: float = 1.0

    def take(self, picked: Sequence[int]) -> Steer:
        """The same for some of the rows."""
        return replace(self, unit=self.unit.take(picked))


Intervention: TypeAlias = (
    Ablate | Redirect | Transplant | FreezePatterns | Swap | ForcePrefix | Interchange | Steer
)
Plan: TypeAlias = Sequence[Intervention]

__all__ = [
    "QUERY",
    "Ablate",
    "At",
    "ForcePrefix",
    "FreezePatterns",
    "Interchange",
    "Intervention",
    "Plan",
    "Redirect",
    "Steer",
    "Swap",
    "Transplant",
    "Unit",
    "head",
    "layer_output",
    "mlp",
]
