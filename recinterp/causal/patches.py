"""Patches: activations of one run put into another, and the token that the model then writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recinterp.causal.pairs import Pair, Step
from recinterp.causal.results import AT_POINTER, OTHERS_THAN, Patch
from recinterp.perturb.plan import Interchange, Unit
from recinterp.perturb.positions import (
    INPUTS,
    OUTPUTS,
    PREDICTION,
    SEP,
    At,
    PromptBatch,
    build_batch,
)
from recinterp.perturb.runner import next_tokens
from recinterp.stats import Rate

if TYPE_CHECKING:
    from torch import Tensor

    from recinterp.models import Adapter
    from recinterp.tasks import Task


@dataclass(frozen=True)
class PatchSpec:
    """A patch, and how much of the source's activation replaces the base's.

    Attributes:
        patch: the places.
        control_seed: seed of a random direction that is put in instead, with the norm of the
        difference
            between source and base; None for the source itself.
        bases: one orthonormal basis per place, Float[Tensor, "d_model dims"], if only the part of
            the source inside these subspaces is put in; None for all of it.
    """

    patch: Patch
    control_seed: int | None = None
    bases: Sequence[Tensor] | None = None


def build_interchanges(spec: PatchSpec, pairs: Sequence[Pair]) -> list[Interchange]:
    """Build the plan that puts the sources' values at a patch's places into the bases."""
    sources = tuple(p.source.tokens for p in pairs)
    prefixes = tuple(p.source.prefix for p in pairs)
    return [
        Interchange(
            (Unit(place.hook, place.head, _positions(place.position, pairs, base=True)),),
            sources,
            prefixes,
            _positions(place.position, pairs, base=False),
            spec.control_seed,
            None if spec.bases is None else (spec.bases[number],),
        )
        for number, place in enumerate(spec.patch)
    ]


def _positions(position: str, pairs: Sequence[Pair], *, base: bool) -> At:
    match position:
        case "prediction":
            return PREDICTION
        case "sep":
            return SEP
        case "inputs":
            return INPUTS
        case "outputs":
            return OUTPUTS
        case "changed":
            return At("some", tuple(p.changed_positions for p in pairs))
    # A pair in which either side reads nothing has no such position on either side.
    both = [(_index(p.base, position), _index(p.source, position)) for p in pairs]
    index = tuple(None if None in ends else ends[0 if base else 1] for ends in both)
    return At("others" if position.startswith("others") else "input", index)


def _index(step: Step, position: str) -> int | None:
    for front in (AT_POINTER, OTHERS_THAN):
        if position.startswith(front):
            return step.position_of(position.removeprefix(front))
    return step.read_position


def build_base_batch(task: Task, pairs: Sequence[Pair]) -> PromptBatch:
    """Build the prompts of the base steps of some pairs."""
    return build_batch(task, [p.base.tokens for p in pairs], [p.base.prefix for p in pairs])


def predict_patched(
    adapter: Adapter, task: Task, pairs: Sequence[Pair], spec: PatchSpec
) -> list[str]:
    """The token that the model writes at each base with the source's values put in."""
    return next_tokens(
        adapter, task, build_base_batch(task, pairs), build_interchanges(spec, pairs)
    )


def interchange_accuracy(
    adapter: Adapter, task: Task, pairs: Sequence[Pair], spec: PatchSpec
) -> Rate:
    """How often the model then writes what the machine writes with the variable set.

    Args:
        adapter: the model.
        task: the task it was trained on.
        pairs: base and source steps.
        spec: what is put in, and where.

    Reference:
        Geiger et al., Causal abstractions of neural networks (2021).
    """
    if not pairs:
        return Rate(0, 0)
    tokens = predict_patched(adapter, task, pairs, spec)
    return Rate.of(token == p.counterfactual for token, p in zip(tokens, pairs, strict=True))
