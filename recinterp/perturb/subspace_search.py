"""Subspaces of sites: the directions in which a source makes a model say what it should.

    bases = subspaces(adapter, task, rows, plan, goals, dims=16)
    [replace(step, within=(basis,)) for step, basis in zip(plan, bases)]

An activation holds many things at one position; interchanging all of it moves all of them. Here an
orthonormal basis per patch is learned by gradient descent, so that what lies in it, put in from the
source, makes the model say the goal. Whether it holds on rows it was not learned on is for the
caller to see. Source: Geiger et al., Finding alignments between interpretable causal variables and
distributed neural representations (2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from recinterp.errors import InterventionError
from recinterp.perturb.fast.batching import start_of, table_of
from recinterp.perturb.fast.forward import Clean, differentiable
from recinterp.perturb.fast.support import FastBackend, fast_backend_for
from recinterp.perturb.liveness import assert_live
from recinterp.perturb.lowering.edits import Write
from recinterp.perturb.lowering.lower import interchange_within, lower, read_unit
from recinterp.perturb.lowering.sources import read_sources
from recinterp.perturb.plan import Interchange
from recinterp.perturb.positions import PromptBatch
from recinterp.perturb.runner import hooks_needed, select_rows
from recinterp.tokens import EOS

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

BATCH, STEPS = 64, 150  # rows a step, and steps
RATE, SLOWER = 0.1, 0.1  # learning rate, and what is left of it at the end


def learn_subspaces(
    adapter: Adapter,
    task: Task,
    rows: PromptBatch,
    plan: Sequence[Interchange],
    goals: Sequence[str],
    *,
    dims: int,
    steps: int = STEPS,
    seed: int = 0,
) -> tuple[Tensor, ...]:
    """One basis per interchange, (features, dims), that makes the model say the goals, one a row.

    plan: interchanges of one unit each, of one layer's output. Errors: InterventionError where the
    model needs hooks, which have no gradients here.
    """
    why = hooks_needed(adapter, plan)
    if why:
        raise InterventionError("subspaces", why, "a model that the fast backend understands")
    for hook in sorted({step.units[0].hook for step in plan}):
        assert_live(adapter, task, hook)
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows), generator=draw).tolist()
    some = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    batches = [
        make_subspace_batch(adapter, task, rows, plan, goals, chosen)
        for chosen in some
        if len(chosen) >= BATCH // 2 or chosen is some[0]
    ]
    free = [
        torch.randn(features, min(dims, features), generator=draw).to(adapter.device)
        for features in batches[0].features
    ]
    for one in free:
        one.requires_grad_()
    descent = torch.optim.Adam(free, lr=RATE)
    fading = torch.optim.lr_scheduler.LambdaLR(
        descent, lambda step: 1 - (1 - SLOWER) * step / steps
    )
    for step in range(steps):
        descent.zero_grad()
        loss = batches[step % len(batches)].loss([orthonormal(one) for one in free])
        torch.autograd.backward(loss)
        descent.step()
        fading.step()
    return tuple(orthonormal(one).detach() for one in free)


def orthonormal(basis: Tensor) -> Tensor:
    """Directions as long as 1 that span the same."""
    return torch.linalg.qr(basis)[0]


def random_subspaces(bases: Sequence[Tensor], seed: int) -> tuple[Tensor, ...]:
    """As many random subspaces of the same size: the control."""
    draw = torch.Generator().manual_seed(seed)
    return tuple(orthonormal(torch.randn(b.shape, generator=draw)).to(b) for b in bases)


@dataclass(frozen=True, eq=False)
class SubspaceBatch:
    """Some rows as they are learned from: what stands at the sites, here and in the sources."""

    backend: FastBackend
    clean: Clean
    writes: list[Write]
    old: list[Tensor]
    goals: Tensor

    @property
    def features(self) -> list[int]:
        """Of each patch's activations."""
        return [old.shape[1:].numel() for old in self.old]

    def loss(self, bases: Sequence[Tensor]) -> Tensor:
        """Cross entropy of the goals."""
        edits = [
            replace(write, value=interchange_within(old, write.value, basis))
            for write, old, basis in zip(self.writes, self.old, bases, strict=True)
        ]
        rows, shape = len(self.goals), start_of(edits, self.clean.split)
        assert shape is not None
        table = table_of([edits], range(rows), rows, self.clean.prediction.device)
        logits = differentiable(self.backend.weights, self.clean, table, shape.start)
        return F.cross_entropy(logits, self.goals)


def make_subspace_batch(
    adapter: Adapter,
    task: Task,
    rows: PromptBatch,
    plan: Sequence[Interchange],
    goals: Sequence[str],
    chosen: Sequence[int],
) -> SubspaceBatch:
    """Some of the rows with what stands at their sites, ready to be learned from."""
    rows, plan = select_rows(task, rows, chosen), [step.select(chosen) for step in plan]
    backend = fast_backend_for(adapter)
    assert isinstance(backend, FastBackend)
    with torch.no_grad():
        writes = [w for w in lower(adapter, task, rows, plan) if isinstance(w, Write)]
        old = [
            read_unit(adapter, rows, step.units[0], read_sources(adapter, rows, [w.hook])[w.hook])
            for step, w in zip(plan, writes, strict=True)
        ]
    ids = [task.eos if goals[i] == EOS else task.ids[goals[i]] for i in chosen]
    return SubspaceBatch(
        backend, backend.clean(rows), writes, old, torch.tensor(ids, device=adapter.device)
    )
