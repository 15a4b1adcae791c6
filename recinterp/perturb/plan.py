"""Interventions as values: what is edited, where, and into what. A plan is a list of them.

    [Ablate(head(1, 0)), ForcePrefix((("X0", "X0"),))]

Interventions that carry one datum per row (sources, prefixes, tokens) list them in the order of the
inputs that the plan is run on. Nothing is computed here; see `runner.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from jaxtyping import Float
from torch import Tensor

from recinterp.errors import InterventionError, UnknownHookError
from recinterp.perturb.fields import (
    check_index,
    check_pair,
    check_rows,
    check_sequence,
    check_where,
)
from recinterp.perturb.positions import ALL, PREDICTION, Tokens, Where
from recinterp.tasks.arguments import check_kind, check_task, describe

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task


@dataclass(frozen=True)
class Unit:
    """What is edited: a hook point, or one head of it, at some positions.

    Attributes:
        hook: Name of the hook point, as in TransformerLens: `blocks.0.attn.hook_z`.
        head: Index of one head; None for the whole activation. At `hook_k` and `hook_v` it counts
            the heads of the keys and values, which may be fewer than those of the queries.
        at: One or several classes of positions.
    """

    hook: str
    head: int | None = None
    at: Where = ALL

    def __post_init__(self) -> None:
        if not isinstance(self.hook, str):
            hint = 'use a name such as "blocks.0.attn.hook_z"'  # type: ignore[unreachable]
            raise UnknownHookError("name a unit", f"its hook is {describe(self.hook)}", hint)
        if self.head is not None:
            check_index(self.head, "the head")
        check_where(self.at)

    def select(self, indices: Sequence[int]) -> Unit:
        """The unit for the rows at `indices`."""
        return replace(self, at=_select_where(self.at, indices))

    def __str__(self) -> str:
        classes = self.at if isinstance(self.at, tuple) else (self.at,)
        which = "" if self.head is None else f"[head {self.head}]"
        return f"{self.hook}{which} at {'+'.join(at.kind for at in classes)}"


def check_units(units: object) -> None:
    """Raise UnknownHookError where something else than units is given."""
    for unit in units if isinstance(units, tuple | list) else (units,):
        hint = "use head(1, 0), mlp(1), layer_output(1) or Unit(name)"
        check_kind(unit, Unit, "make an intervention", "a unit", hint, UnknownHookError)


def _select_where(where: Where, indices: Sequence[int]) -> Where:
    if isinstance(where, tuple):
        return tuple(at.select(indices) for at in where)
    return where.select(indices)


def head(layer: int, head: int | None = None, at: Where = ALL) -> Unit:
    """The output of a head before the output matrix (`hook_z`).

    Args:
        layer: Index of the layer; of an encoder-decoder, of the block.
        head: Index of the head; None for all heads of the layer.
        at: Classes of positions.

    Returns:
        The unit, for interventions.
    """
    return Unit(f"blocks.{layer}.attn.hook_z", head, at)


def mlp(layer: int, at: Where = ALL) -> Unit:
    """The output of a layer's MLP (`hook_mlp_out`).

    Args:
        layer: Index of the layer; of an encoder-decoder, of the block.
        at: Classes of positions.

    Returns:
        The unit, for interventions.
    """
    return Unit(f"blocks.{layer}.hook_mlp_out", None, at)


def layer_output(layer: int, at: Where = ALL) -> Unit:
    """The residual stream after a layer (`hook_resid_post`).

    Args:
        layer: Index of the layer; -1 for what the embeddings write, before layer 0.
        at: Classes of positions.

    Returns:
        The unit, for interventions.
    """
    check_index(layer, "the layer")
    if layer < 0:
        return Unit("blocks.0.hook_resid_pre", None, at)
    return Unit(f"blocks.{layer}.hook_resid_post", None, at)


@dataclass(frozen=True)
class Reference:
    """A named set of rows that ablations take their values from, such as one stratum's.

    Attributes:
        name: What it is called in results.
        inputs: Token tuples, at least one.
        prefixes: Output tokens already written, one tuple per input; None for the model's own
            outputs.

    Raises:
        InterventionError: If the set is empty, or inputs and prefixes differ in number.
    """

    name: str
    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", check_rows(self.inputs, "inputs"))
        if self.prefixes is not None:
            object.__setattr__(self, "prefixes", check_rows(self.prefixes, "prefixes"))
        operation = f"use the reference {self.name!r}"
        if not self.inputs:
            raise InterventionError(operation, "the set is empty", "give at least one input")
        if self.prefixes is not None and len(self.prefixes) != len(self.inputs):
            problem = f"there are {len(self.inputs)} inputs, but {len(self.prefixes)} prefixes"
            raise InterventionError(operation, problem, "give one prefix per input")


def stratum(
    task: Task, n: int = 64, *, depth: int | None = None, length: int | None = None, seed: int = 0
) -> Reference:
    """Draw inputs of one recursion depth or one length as a named reference.

    Args:
        task: The task.
        n: Number of inputs.
        depth: Recursion depth of every input; None for any.
        length: Tokens of every input; None for any.
        seed: Draws the inputs.

    Returns:
        A reference named by depth and length.

    Raises:
        DomainError: If no input has this depth and length.
    """
    check_task(task, "draw a stratum")
    wanted = {"depth": depth, "length": length}
    name = ", ".join(f"{key} {value}" for key, value in wanted.items() if value is not None)
    inputs = task.sample(n, seed=seed, depth=depth, length=length)
    return Reference(name or "any input", tuple(map(tuple, inputs)))


@dataclass(frozen=True)
class Ablate:
    """Replace units by zero, by their mean, or by their value on another row.

    Attributes:
        unit: One unit, or several that are ablated together; resampled units of a set take their
            values from the same rows.
        kind: "zero", "mean", or "resample" (the value on a random row of the reference).
        reference: The rows that means and resampled values are read from: a named set, or inputs;
            None for the batch itself.
        seed: Draws the resampled rows.

    Raises:
        InterventionError: If the kind is unknown, or there is no unit or no reference input.
    """

    unit: Unit | tuple[Unit, ...]
    kind: Literal["zero", "mean", "resample"] = "zero"
    reference: tuple[Tokens, ...] | Reference | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in ("zero", "mean", "resample"):
            hint = "use zero, mean or resample"
            raise InterventionError(f"ablate by {self.kind!r}", "there is no such kind", hint)
        check_units(self.units)
        check_index(self.seed, "the seed")
        if self.reference is not None and not isinstance(self.reference, Reference):
            reference = check_rows(self.reference, "reference inputs")
            object.__setattr__(self, "reference", reference)
        if not self.units:
            raise InterventionError("ablate", "the set of units is empty", "give one unit or more")
        if self.reference is not None and not self.reference:  # a Reference is never empty
            named = " and ".join(map(str, self.units))
            hint = "give inputs, or None for the batch itself"
            raise InterventionError(f"ablate {named}", "the reference set is empty", hint)

    @property
    def units(self) -> tuple[Unit, ...]:
        """All ablated units."""
        return self.unit if isinstance(self.unit, tuple) else (self.unit,)

    def select(self, indices: Sequence[int]) -> Ablate:
        """The intervention for the rows at `indices`."""
        return replace(self, unit=tuple(unit.select(indices) for unit in self.units))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this intervention writes to in the model of `adapter`."""
        return self.units


@dataclass(frozen=True)
class Mixture:
    """Attention divided over classes of positions.

    Attributes:
        parts: (positions, weight) pairs. Weights are scaled to sum to 1; where a row has no
            position of a class, the other classes share its weight.

    Raises:
        InterventionError: If a weight is negative, or all are 0.
    """

    parts: tuple[tuple[Where, float], ...]

    def __post_init__(self) -> None:
        hint = "give pairs of positions and a weight: ((SEP, 0.5), (INPUTS, 0.5))"
        for part in check_sequence(self.parts, "the parts", hint):
            if not (isinstance(part, tuple | list) and len(part) == 2):
                raise InterventionError("mix positions", f"a part is {describe(part)}", hint)
            check_where(part[0])
            if not isinstance(part[1], int | float):
                raise InterventionError("mix positions", f"a weight is {describe(part[1])}", hint)
        weights = [weight for _, weight in self.parts]
        if not weights or min(weights) < 0 or sum(weights) <= 0:
            hint = "give weights >= 0 that are not all 0"
            raise InterventionError(f"mix with weights {weights}", "no attention is left", hint)

    def select(self, indices: Sequence[int]) -> Mixture:
        """The mixture for the rows at `indices`."""
        parts = ((_select_where(where, indices), weight) for where, weight in self.parts)
        return Mixture(tuple(parts))


@dataclass(frozen=True)
class Redirect:
    """Force a head to attend from the prediction position to given positions.

    Attributes:
        layer: Index of the layer.
        head: Index of the head; None for all heads of the layer.
        to: Classes of positions, which share the attention evenly, or a mixture. A pointer of a
            machine is such a class: `pointer(machine, "p", inputs, prefixes)`.
    """

    layer: int
    head: int | None
    to: Where | Mixture

    def __post_init__(self) -> None:
        check_index(self.layer, "the layer")
        if self.head is not None:
            check_index(self.head, "the head")
        if not isinstance(self.to, Mixture):
            check_where(self.to)

    def select(self, indices: Sequence[int]) -> Redirect:
        """The intervention for the rows at `indices`."""
        if isinstance(self.to, Mixture):
            return replace(self, to=self.to.select(indices))
        return replace(self, to=_select_where(self.to, indices))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this intervention writes to in the model of `adapter`."""
        return (Unit(f"blocks.{self.layer}.attn.hook_pattern", self.head, PREDICTION),)


@dataclass(frozen=True)
class PathPatch:
    """Patch what one head passes directly to another, through its queries, keys or values.

    Every other head between them stays as in the clean run, and so do the MLPs unless `mlps` is
    set. Where several query heads share keys and values, only the receiver reads the patched ones.
    Reference: Wang et al., Interpretability in the Wild (2022).

    Attributes:
        sender: (layer, head) whose output is taken from the sources.
        receiver: (layer, head) that reads it, in a later layer.
        through: Which input of the receiver is patched: "q", "k" or "v".
        inputs: Source inputs, one token tuple per row.
        prefixes: Source output prefixes, one per row.
        at: Positions at which the sender's output is patched.
        mlps: Whether the MLPs between the heads also change.

    Raises:
        InterventionError: If `through` is unknown, or the receiver is not in a later layer.
    """

    sender: tuple[int, int]
    receiver: tuple[int, int]
    through: Literal["q", "k", "v"]
    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...]
    at: Where = ALL
    mlps: bool = False

    def __post_init__(self) -> None:
        check_pair(self.sender, "the sender")
        check_pair(self.receiver, "the receiver")
        check_rows(self.inputs, "inputs")
        check_rows(self.prefixes, "prefixes")
        check_where(self.at)
        if not isinstance(self.through, str) or self.through not in ("q", "k", "v"):
            problem = "a head has no such input"
            raise InterventionError(f"patch a path through {self.through!r}", problem, "q, k or v")
        if self.sender[0] >= self.receiver[0]:
            raise InterventionError(
                f"patch a path from layer {self.sender[0]} to layer {self.receiver[0]}",
                "the output of a head is read in later layers only",
                "choose a receiver in a later layer",
            )

    def select(self, indices: Sequence[int]) -> PathPatch:
        """The intervention for the rows at `indices`."""
        return replace(
            self,
            inputs=tuple(self.inputs[i] for i in indices),
            prefixes=tuple(self.prefixes[i] for i in indices),
            at=_select_where(self.at, indices),
        )

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this intervention writes to in the model of `adapter`."""
        sender, into = head(*self.sender, self.at), self.patched_unit(adapter)
        if self.shares_keys(adapter):
            return sender, head(*self.receiver), into
        return sender, into

    def shares_keys(self, adapter: Adapter) -> bool:
        """Whether in the model of `adapter` other query heads read the patched keys or values."""
        hook = f"blocks.{self.receiver[0]}.attn.hook_{self.through}"
        return 0 < adapter.count_heads(hook) < adapter.n_heads

    def patched_unit(self, adapter: Adapter) -> Unit:
        """What is patched in the model of `adapter`: its keys and values have their own number."""
        layer, receiver = self.receiver
        hook = f"blocks.{layer}.attn.hook_{self.through}"
        if self.shares_keys(adapter):
            receiver //= adapter.n_heads // adapter.count_heads(hook)
        return Unit(hook, receiver)


@dataclass(frozen=True)
class Transplant:
    """Give heads at the prediction position what they have at the prediction position of a source.

    Content has moved by the time it is read, so the pattern or z of a head from the step that reads
    position q redirects the head, while a one-hot pattern onto q does not.

    Attributes:
        heads: (layer, head) pairs.
        inputs: Source inputs, one token tuple per row.
        prefixes: Source output prefixes, one per row.
        through: What is taken: the output of the head ("z") or its attention ("pattern").
        control_seed: If given, each difference is replaced by a random direction of the same norm,
            drawn with this seed (the control); for "z" only.
    """

    heads: tuple[tuple[int, int], ...]
    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...]
    through: Literal["z", "pattern"] = "z"
    control_seed: int | None = None

    def __post_init__(self) -> None:
        hint = "give pairs of layer and head: ((1, 0), (1, 1))"
        for pair in check_sequence(self.heads, "the heads", hint):
            check_pair(pair, "a head")
        check_rows(self.inputs, "inputs")
        check_rows(self.prefixes, "prefixes")
        if not isinstance(self.through, str) or self.through not in ("z", "pattern"):
            problem = "a head has no such activation"
            raise InterventionError(f"transplant {self.through!r}", problem, "use z or pattern")

    def select(self, indices: Sequence[int]) -> Transplant:
        """The intervention for the rows at `indices`."""
        return replace(
            self,
            inputs=tuple(self.inputs[i] for i in indices),
            prefixes=tuple(self.prefixes[i] for i in indices),
        )

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this intervention writes to in the model of `adapter`."""
        hook = f"attn.hook_{self.through}"
        return tuple(Unit(f"blocks.{layer}.{hook}", h, PREDICTION) for layer, h in self.heads)


@dataclass(frozen=True)
class FreezePatterns:
    """Use the attention patterns of the clean run, so that only values change.

    Attributes:
        layers: Indices of the layers; None for all.
    """

    layers: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.layers is not None:
            for layer in check_sequence(self.layers, "the layers", "give indices: (0, 1)"):
                check_index(layer, "a layer")

    def select(self, indices: Sequence[int]) -> FreezePatterns:
        """The intervention for the rows at `indices`."""
        return self

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this intervention writes to in the model of `adapter`."""
        layers = range(adapter.n_layers) if self.layers is None else self.layers
        return tuple(Unit(f"blocks.{layer}.attn.hook_pattern") for layer in layers)


@dataclass(frozen=True)
class Swap:
    """Replace one input token per row, with everything else unchanged.

    Attributes:
        tokens: (position, token) per row; positions count from the first input token.
    """

    tokens: tuple[tuple[int, str], ...]

    def __post_init__(self) -> None:
        hint = 'give one pair for each row: ((0, "X1"), (2, "X0"))'
        for pair in check_sequence(self.tokens, "the tokens", hint):
            if not (isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[1], str)):
                raise InterventionError("swap tokens", f"a swap is {describe(pair)}", hint)
            check_index(pair[0], "a position")

    def select(self, indices: Sequence[int]) -> Swap:
        """The intervention for the rows at `indices`."""
        return Swap(tuple(self.tokens[i] for i in indices))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """No unit of the model of `adapter`: only the prompt is edited."""
        return ()


@dataclass(frozen=True)
class ForcePrefix:
    """Make the model continue from given output prefixes.

    Attributes:
        prefixes: Output tokens, one tuple per row.
    """

    prefixes: tuple[Tokens, ...]

    def __post_init__(self) -> None:
        check_rows(self.prefixes, "prefixes")

    def select(self, indices: Sequence[int]) -> ForcePrefix:
        """The intervention for the rows at `indices`."""
        return ForcePrefix(tuple(self.prefixes[i] for i in indices))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """No unit of the model of `adapter`: only the prompt is edited."""
        return ()


@dataclass(frozen=True)
class Interchange:
    """Replace activations by their values in a run on other inputs, the sources.

    Reference: Geiger et al., Causal Abstractions of Neural Networks (2021).

    Attributes:
        units: The units, patched together.
        inputs: Source inputs, one token tuple per row.
        prefixes: Source output prefixes, one per row.
        at: Positions at which the sources' values are read; None for the positions of each unit.
        control_seed: If given, each difference is replaced by a random direction of the same norm,
            drawn with this seed (the control).
        within: One basis per unit, orthonormal columns of shape (features, dims): only the part of
            the difference to the clean run that lies in its span is patched. `learn_subspaces`
            finds such bases.

    Raises:
        InterventionError: If there is not one basis per unit.
    """

    units: tuple[Unit, ...]
    inputs: tuple[Tokens, ...]
    prefixes: tuple[Tokens, ...]
    at: Where | None = None
    control_seed: int | None = None
    within: tuple[Float[Tensor, "features dims"], ...] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        hint = "give a tuple of units: (head(1, 0),)"
        check_units(check_sequence(self.units, "the units", hint))
        check_rows(self.inputs, "inputs")
        check_rows(self.prefixes, "prefixes")
        if self.at is not None:
            check_where(self.at)
        if self.within is not None and len(self.within) != len(self.units):
            problem = f"there are {len(self.within)} bases for {len(self.units)} units"
            hint = "give one basis per unit"
            raise InterventionError("interchange within subspaces", problem, hint)

    def select(self, indices: Sequence[int]) -> Interchange:
        """The intervention for the rows at `indices`."""
        return replace(
            self,
            units=tuple(unit.select(indices) for unit in self.units),
            inputs=tuple(self.inputs[i] for i in indices),
            prefixes=tuple(self.prefixes[i] for i in indices),
            at=None if self.at is None else _select_where(self.at, indices),
        )

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this intervention writes to in the model of `adapter`."""
        return self.units


@dataclass(frozen=True, eq=False)
class Steer:
    """Add a multiple of a direction to an activation.

    Attributes:
        unit: The unit.
        direction: Vector over the last axis of the unit.
        scale: Factor of the direction.
    """

    unit: Unit
    direction: Float[Tensor, " features"]
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_units((self.unit,))
        operation, hint = "steer an activation", "give a tensor and a number"
        check_kind(self.direction, Tensor, operation, "the direction", hint, InterventionError)
        check_kind(self.scale, (int, float), operation, "the scale", hint, InterventionError)

    def select(self, indices: Sequence[int]) -> Steer:
        """The intervention for the rows at `indices`."""
        return replace(self, unit=self.unit.select(indices))

    def edited_units(self, adapter: Adapter) -> tuple[Unit, ...]:
        """The units that this intervention writes to in the model of `adapter`."""
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
    """Every unit that a plan writes to, intervention by intervention."""
    return [unit for step in plan for unit in step.edited_units(adapter)]
