"""Interventions as values: what is edited, where, and into what. A plan is a list of them.

    [Ablate(head(1, 0)), ForcePrefix((("X0", "X0"),))]

Those that carry one datum per row (sources, prefixes, tokens) name it row by row, in the order of
the inputs the plan is run on. Nothing here computes; `engine.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from torch import Tensor

from recinterp.errors import InterventionError
from recinterp.perturb.positions import ALL, PREDICTION, Tokens, Where

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task


@dataclass(frozen=True)
class Unit:
    """What is edited: a hook point, one head of it or all of it, at some positions."""

    hook: str
    head: int | None = None
    at: Where = ALL

    def select(self, indices: Sequence[int]) -> Unit:
        """The same unit for some of the rows."""
        return replace(self, at=_select_where(self.at, indices))

    def __str__(self) -> str:
        classes = self.at if isinstance(self.at, tuple) else (self.at,)
        which = "" if self.head is None else f"[head {self.head}]"
        return f"{self.hook}{which} at {'+'.join(at.kind for at in classes)}"


def _select_where(where: Where, indices: Sequence[int]) -> Where:
    return (
        tuple(at.select(indices) for at in where)
        if isinstance(where, tuple)
        else where.select(indices)
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
class Reference:
    """A named set of rows that ablations take their values from, such as one stratum's.

    prefixes: output tokens already written, one per input; None: the model's own whole outputs.
    """

    name: str
    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...] | None = None

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InterventionError(f"reference {self.name!r}", "the set is empty", "give inputs")
        if self.prefixes is not None and len(self.prefixes) != len(self.inputs):
            wrong = f"{len(self.inputs)} inputs, {len(self.prefixes)} prefixes"
            raise InterventionError(f"reference {self.name!r}", wrong, "as many of each")


def stratum(
    task: Task, n: int = 64, *, depth: int | None = None, length: int | None = None, seed: int = 0
) -> Reference:
    """Inputs of one recursion depth or one length as a named reference. Errors: DomainError."""
    asked = {"depth": depth, "length": length}
    name = ", ".join(f"{key} {value}" for key, value in asked.items() if value is not None)
    inputs = task.sample(n, seed=seed, depth=depth, length=length)
    return Reference(name or "any input", tuple(map(tuple, inputs)))


@dataclass(frozen=True)
class Ablate:
    """Take out a component, or a set of them: to zero, its mean over `reference`, or a row's value.

    unit: one or several; resampled heads of a set take their values from the same rows. reference:
    where the mean or the resampled value is read: a named set, or inputs; None: the
    batch itself.
    """

    unit: Unit | tuple[Unit, ...]
    kind: Literal["zero", "mean", "resample"] = "zero"
    reference: tuple[Tokens, ...] | Reference | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("zero", "mean", "resample"):
            raise InterventionError(
                f"ablation {self.kind!r}", "no such kind", "zero, mean or resample"
            )
        if not self.units:
            raise InterventionError("ablation of nothing", "the set is empty", "one unit or more")
        if self.reference is not None and not self.reference:  # a Reference is never empty
            named = " and ".join(map(str, self.units))
            raise InterventionError(
                f"ablation of {named}", "the reference set is empty", "give inputs, or None"
            )

    @property
    def units(self) -> tuple[Unit, ...]:
        """All of them."""
        return (self.unit,) if isinstance(self.unit, Unit) else self.unit

    def select(self, indices: Sequence[int]) -> Ablate:
        """The same for some of the rows."""
        return replace(self, unit=tuple(unit.select(indices) for unit in self.units))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this step writes to."""
        return self.units


@dataclass(frozen=True)
class Mixture:
    """Attention divided over classes of positions: ((class, weight), …), weights made to add to 1.

    Where a row has no position of a class, the others share its weight.
    """

    parts: tuple[tuple[Where, float], ...]

    def __post_init__(self) -> None:
        weights = [weight for _, weight in self.parts]
        if not weights or min(weights) < 0 or sum(weights) <= 0:
            raise InterventionError(
                f"a mixture of weights {weights}", "no attention", "weights >= 0, not all 0"
            )

    def select(self, indices: Sequence[int]) -> Mixture:
        """The same for some of the rows."""
        return Mixture(
            tuple((_select_where(where, indices), weight) for where, weight in self.parts)
        )


@dataclass(frozen=True)
class Redirect:
    """Force a head (None: a layer) to attend from the query to a class of positions, or a mixture.

    A machine's pointer is such a class: `pointer(machine, "p", inputs, prefixes)`.
    """

    layer: int
    head: int | None
    to: Where | Mixture

    def select(self, indices: Sequence[int]) -> Redirect:
        """The same for some of the rows."""
        to = (
            self.to.select(indices)
            if isinstance(self.to, Mixture)
            else _select_where(self.to, indices)
        )
        return replace(self, to=to)

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this step writes to."""
        return (Unit(f"blocks.{self.layer}.attn.hook_pattern", self.head, PREDICTION),)


@dataclass(frozen=True)
class PathPatch:
    """Patch what one head hands another directly, through its queries, keys or values.

    sender, receiver: (layer, head). What the sender writes in a run on the sources reaches the
    receiver alone: every other head between them stays as it was, and so do MLPs unless `mlps`.
    Source: Wang et al., Interpretability in the wild (2022).
    """

    sender: tuple[int, int]
    receiver: tuple[int, int]
    through: Literal["q", "k", "v"]
    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...]
    at: Where = ALL
    mlps: bool = False

    def __post_init__(self) -> None:
        if self.through not in ("q", "k", "v"):
            raise InterventionError(f"a path through {self.through!r}", "no such way", "q, k or v")
        if self.sender[0] >= self.receiver[0]:
            raise InterventionError(
                f"a path from layer {self.sender[0]} to layer {self.receiver[0]}",
                "a head is read by later layers only",
                "a receiver in a later layer",
            )

    def select(self, indices: Sequence[int]) -> PathPatch:
        """The same for some of the rows."""
        xs, ys = (tuple(v[i] for i in indices) for v in (self.inputs, self.prefixes))
        return replace(self, inputs=xs, prefixes=ys, at=_select_where(self.at, indices))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this step writes to."""
        (low, sender), (high, receiver) = self.sender, self.receiver
        into = Unit(f"blocks.{high}.attn.hook_{self.through}", receiver)
        return head(low, sender, self.at), into


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
    control_seed: int | None = None

    def select(self, indices: Sequence[int]) -> Transplant:
        """The same for some of the rows."""
        xs, ys = (tuple(v[i] for i in indices) for v in (self.inputs, self.prefixes))
        return replace(self, inputs=xs, prefixes=ys)

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this step writes to."""
        return tuple(
            Unit(f"blocks.{layer}.attn.hook_{self.through}", h, PREDICTION)
            for layer, h in self.heads
        )


@dataclass(frozen=True)
class FreezePatterns:
    """Keep the attention patterns of the clean run, in some layers (None: all)."""

    layers: tuple[int, ...] | None = None

    def select(self, indices: Sequence[int]) -> FreezePatterns:
        """The same for some of the rows."""
        return self

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this step writes to."""
        layers = range(adapter.n_layers) if self.layers is None else self.layers
        return tuple(Unit(f"blocks.{layer}.attn.hook_pattern") for layer in layers)


@dataclass(frozen=True)
class Swap:
    """Put other tokens at input positions, everything else held: one (position, token) per row."""

    tokens: tuple[tuple[int, str], ...]

    def select(self, indices: Sequence[int]) -> Swap:
        """The same for some of the rows."""
        return Swap(tuple(self.tokens[i] for i in indices))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """No unit: only the prompt is edited."""
        return ()


@dataclass(frozen=True)
class ForcePrefix:
    """Make the model go on from these output prefixes, one per row."""

    prefixes: tuple[Tokens, ...]

    def select(self, indices: Sequence[int]) -> ForcePrefix:
        """The same for some of the rows."""
        return ForcePrefix(tuple(self.prefixes[i] for i in indices))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """No unit: only the prompt is edited."""
        return ()


@dataclass(frozen=True)
class Interchange:
    """Patch a set of sites at once with their values in a run on other rows (the sources).

    at: where the sources' values are read, if not at the same classes of positions. scramble: a
    seed; each difference is replaced by a random direction of the same norm (the control). within:
    a basis per unit, (features, dims), orthonormal: what of the difference, from the run without
    edits, lies in it is put in (`subspaces` finds them).
    Source: Geiger et al., Causal abstractions of neural networks (2021).
    """

    units: tuple[Unit, ...]
    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...]
    at: Where | None = None
    control_seed: int | None = None
    within: tuple[Tensor, ...] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.within is not None and len(self.within) != len(self.units):
            wrong = f"{len(self.within)} bases, {len(self.units)} units"
            raise InterventionError("an interchange within subspaces", wrong, "as many of each")

    def select(self, indices: Sequence[int]) -> Interchange:
        """The same for some of the rows."""
        return replace(
            self,
            units=tuple(unit.select(indices) for unit in self.units),
            inputs=tuple(self.inputs[i] for i in indices),
            prefixes=tuple(self.prefixes[i] for i in indices),
            at=None if self.at is None else _select_where(self.at, indices),
        )

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this step writes to."""
        return self.units


@dataclass(frozen=True, eq=False)
class Steer:
    """Add `scale` times a direction (of the unit's last axis) at some positions."""

    unit: Unit
    direction: Tensor
    scale: float = 1.0

    def select(self, indices: Sequence[int]) -> Steer:
        """The same for some of the rows."""
        return replace(self, unit=self.unit.select(indices))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this step writes to."""
        return (self.unit,)


Intervention: TypeAlias = (
    Ablate
    | Redirect
    | Transplant
    | PathPatch
    | FreezePatterns
    | Swap
    | ForcePrefix
    | Interchange
    | Steer
)
Plan: TypeAlias = Sequence[Intervention]


def edited_units(adapter: Adapter, plan: Plan) -> list[Unit]:
    """Every unit that a plan writes to, step by step."""
    return [unit for step in plan for unit in step.edited_units(adapter)]
