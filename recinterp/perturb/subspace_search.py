"""Subspaces of activations whose interchange makes a model predict given tokens (DAS).

    bases = learn_subspaces(adapter, task, rows, plan, goals, dims=16)
    [replace(step, within=(basis,)) for step, basis in zip(plan, bases)]

An activation stores many things at one position; interchanging all of it changes all of them. Here
an orthonormal basis per patch is learned by gradient descent: interchanging the part of the
activation in its span makes the model predict the goals. Whether the basis generalises to other
rows is for the caller to test. Reference: Geiger et al., Finding Alignments Between Interpretable
Causal Variables and Distributed Neural Representations (2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from recinterp.errors import InterventionError, UnknownNameError
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

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

MAX_ROWS = 64  # rows of one gradient step


def learn_subspaces(
    adapter: Adapter,
    task: Task,
    rows: PromptBatch,
    plan: Sequence[Interchange],
    goals: Sequence[str],
    *,
    dims: int,
    steps: int = 150,
    seed: int = 0,
) -> tuple[Float[Tensor, "features dims"], ...]:
    """Learn one subspace per interchange in which the sources make a model predict the goals (DAS).

    Adam minimises the cross entropy of the goals; its learning rate falls linearly to a tenth.

    Args:
        adapter: The model.
        task: Its task.
        rows: The base prompts.
        plan: Interchanges of one unit each, at one layer's residual stream.
        goals: The token to predict, one per row; "EOS" for the end.
        dims: Dimensions of each subspace.
        steps: Gradient steps, of up to 64 rows each.
        seed: Draws the order of the rows and the initial bases.

    Returns:
        One orthonormal basis per interchange.

    Raises:
        InterventionError: If the model or a hook point needs hooks, which give no gradients here.
        InactiveHookError: If an edit does not reach the logits.
        UnknownNameError: If the task has no such token; EOS is none where it has no EOS.

    Reference:
        Geiger et al., Finding Alignments Between Interpretable Causal Variables and Distributed
        Neural Representations (2024).
    """
    why = hooks_needed(adapter, plan)
    if unknown := next((goal for goal in goals if goal not in task.ids), None):
        raise UnknownNameError("learn subspaces that predict the goals", unknown, task.ids)
    if why:
        hint = "choose a model and hook points that the fast backend supports"
        raise InterventionError("learn subspaces", why, hint)
    for hook in sorted({step.units[0].hook for step in plan}):
        assert_live(adapter, task, hook)
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows), generator=draw).tolist()
    some = [order[i : i + MAX_ROWS] for i in range(0, len(order), MAX_ROWS)]
    batches = [
        make_subspace_batch(adapter, task, rows, plan, goals, chosen)
        for chosen in some
        if len(chosen) >= MAX_ROWS // 2 or chosen is some[0]
    ]
    free = [
        torch.randn(features, min(dims, features), generator=draw).to(adapter.device)
        for features in batches[0].features
    ]
    for one in free:
        one.requires_grad_()
    final_rate = 0.1  # of the initial learning rate
    descent = torch.optim.Adam(free, lr=0.1)
    fading = torch.optim.lr_scheduler.LambdaLR(
        descent, lambda step: 1 - (1 - final_rate) * step / steps
    )
    for step in range(steps):
        descent.zero_grad()
        loss = batches[step % len(batches)].loss([orthonormal(one) for one in free])
        torch.autograd.backward(loss)
        descent.step()
        fading.step()
    return tuple(orthonormal(one).detach() for one in free)


def orthonormal(basis: Float[Tensor, "features dims"]) -> Float[Tensor, "features dims"]:
    """An orthonormal basis of the same span."""
    return torch.linalg.qr(basis)[0]


def random_subspaces(
    bases: Sequence[Float[Tensor, "features dims"]], seed: int
) -> tuple[Float[Tensor, "features dims"], ...]:
    """Random orthonormal bases of the same shapes: the control."""
    draw = torch.Generator().manual_seed(seed)
    return tuple(orthonormal(torch.randn(b.shape, generator=draw)).to(b) for b in bases)


@dataclass(frozen=True, eq=False)
class SubspaceBatch:
    """Rows of one gradient step, with the activations of their sites in base and source runs."""

    backend: FastBackend
    clean: Clean
    writes: list[Write]
    old: list[Tensor]
    goals: Tensor

    @property
    def features(self) -> list[int]:
        """Number of features of each patched activation."""
        return [old.shape[1:].numel() for old in self.old]

    def loss(self, bases: Sequence[Float[Tensor, "features dims"]]) -> Float[Tensor, ""]:
        """Cross entropy of the goals under the interchange within some bases."""
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
    """The batch of one gradient step, from the chosen rows."""
    rows, plan = select_rows(task, rows, chosen), [step.select(chosen) for step in plan]
    backend = fast_backend_for(adapter)
    assert isinstance(backend, FastBackend)
    with torch.no_grad():
        writes = [w for w in lower(adapter, task, rows, plan) if isinstance(w, Write)]
        old = [
            read_unit(adapter, rows, step.units[0], read_sources(adapter, rows, [w.hook])[w.hook])
            for step, w in zip(plan, writes, strict=True)
        ]
    ids = [task.ids[goals[i]] for i in chosen]  # EOS is named in the ids as well
    return SubspaceBatch(
        backend, backend.clean(rows), writes, old, torch.tensor(ids, device=adapter.device)
    )
