"""What an effect has to beat: a random direction, a random head, the same model untrained."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recinterp.errors import IncompatibleModelError
from recinterp.models.backends import hugging_face, native
from recinterp.models.backends import transformer_lens as backend
from recinterp.perturb.plan import Interchange, Plan, Transplant

if TYPE_CHECKING:
    from torch import nn

    from recinterp.models import Adapter
    from recinterp.perturb.plan import Intervention


def random_direction(plan: Plan, seed: int = 0) -> list[Intervention]:
    """A plan whose interchanged differences are random directions of the same norm."""
    return [
        replace(step, control_seed=seed) if isinstance(step, Interchange | Transplant) else step
        for step in plan
    ]


def random_heads(
    adapter: Adapter, heads: tuple[tuple[int, int], ...], seed: int = 0
) -> tuple[tuple[int, int], ...]:
    """As many other heads of the model, drawn at random; fewer if it has not as many."""
    others = [(layer, h) for layer in range(adapter.n_layers) for h in range(adapter.n_heads)]
    others = [pair for pair in others if pair not in heads]
    return tuple(sorted(random.Random(seed).sample(others, min(len(heads), len(others)))))


def untrained_twin(model: nn.Module, seed: int = 0) -> nn.Module:
    """A model of the same architecture whose matrices are redrawn at their own mean and spread.

    Raises:
        IncompatibleModelError: If the model can neither be rebuilt nor copied.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = native.read_shape(model)
    if shape is not None:
        weights = native.read_weights(model, shape)
        return native.build_hooked(shape, {k: _drawn(w, generator) for k, w in weights.items()})
    theirs = model.__dict__.get("original")
    if theirs is not None:
        return hugging_face.rewrap_model(model, _redrawn(copy.deepcopy(theirs), generator))
    if backend.has_bridge() and hasattr(model, "original_model"):
        # A copied bridge goes on writing into the model it was copied from.
        operation = f"build an untrained twin of {type(model).__name__}"
        problem = "a bridge of this kind cannot be rebuilt"
        raise IncompatibleModelError(operation, problem, "go without this control")
    twin = copy.deepcopy(model, {id(v): v for k, v in vars(model).items() if k == "checkpoint"})
    return _redrawn(twin, generator)


@torch.no_grad()
def _redrawn(model: nn.Module, generator: torch.Generator) -> nn.Module:
    for parameter in model.parameters():
        parameter.copy_(_drawn(parameter, generator))
    return model


def _drawn(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Normal numbers of a matrix's mean and spread."""
    if weight.dim() < 2:
        return weight.detach().clone()
    noise = torch.randn(weight.shape, generator=generator)
    return noise * weight.detach().std().cpu() + weight.detach().mean().cpu()
