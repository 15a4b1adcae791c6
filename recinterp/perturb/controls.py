"""What an effect has to beat: a random direction, a random head, the same model untrained."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from recinterp.perturb.plan import Interchange, Plan, Transplant

if TYPE_CHECKING:
    from torch import nn

    from recinterp.models import Adapter
    from recinterp.perturb.plan import Intervention


def random_direction(plan: Plan, seed: int = 0) -> list[Intervention]:
    """The plan with each interchanged difference turned to a random direction of the same norm."""
    return [
        replace(step, scramble=seed) if isinstance(step, Interchange | Transplant) else step
        for step in plan
    ]


def random_heads(
    adapter: Adapter, heads: tuple[tuple[int, int], ...], seed: int = 0
) -> tuple[tuple[int, int], ...]:
    """As many other heads of the model, drawn at random (fewer where there are not as many)."""
    others = [(layer, h) for layer in range(adapter.n_layers) for h in range(adapter.n_heads)]
    others = [pair for pair in others if pair not in heads]
    return tuple(sorted(random.Random(seed).sample(others, min(len(heads), len(others)))))


def untrained_twin(model: nn.Module, seed: int = 0) -> nn.Module:
    """The same architecture, each matrix drawn anew at its own mean and spread."""
    ours = [v for k, v in vars(model).items() if k == "checkpoint" or k.startswith("_recinterp")]
    twin = copy.deepcopy(model, {id(v): v for v in ours})  # those are records, not the model
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in twin.parameters():
            if parameter.dim() > 1:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise * parameter.std().cpu() + parameter.mean().cpu())
    return twin
