"""Transplants and ablations of heads: what they change, measured on the model's own runs.

Content has moved by the time it is read, so a head is not redirected by pointing it at a token: it
is given its own z from another step of the same input.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from recinterp.perturb.liveness import is_live
from recinterp.perturb.plan import Ablate, FreezePatterns, Transplant, head
from recinterp.perturb.positions import (
    ALL,
    INPUTS,
    OUTPUTS,
    PREDICTION,
    SEP,
    PromptBatch,
    Where,
    build_batch,
)
from recinterp.perturb.runner import next_logits
from recinterp.probe.attention import HeadIndex, is_in_encoder
from recinterp.probe.landmarks import Step
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

HeadSet: TypeAlias = tuple[HeadIndex, ...]
StepPair: TypeAlias = tuple[tuple[str, ...], tuple[str, ...], int, int]


def draw_step_pairs(
    steps: Sequence[tuple[Step, tuple[str, ...]]], seed: int, max_pairs: int
) -> list[StepPair]:
    """(input, output, step, other step) where the two steps write different tokens."""
    rng, found = random.Random(seed), []
    for (x, t), y in steps:
        others = [u for u in range(len(y)) if y[u] != y[t]]
        if others:
            found.append((x, y, t, rng.choice(others)))
        if len(found) == max_pairs:
            break
    return found


class TransplantTrial:
    """Transplants over fixed pairs of steps: what changes when heads act as at the other step.

    Args:
        adapter: The model.
        task: Its task.
        pairs: The step pairs, at least one.
    """

    def __init__(self, adapter: Adapter, task: Task, pairs: Sequence[StepPair]) -> None:
        self.adapter, self.task = adapter, task
        self.inputs = tuple(x for x, _, _, _ in pairs)
        self.rows = build_batch(task, self.inputs, [y[:t] for _, y, t, _ in pairs])
        self.sources = tuple(y[:u] for _, y, _, u in pairs)
        self.old = torch.tensor([task.ids[y[t]] for _, y, t, _ in pairs])
        self.new = torch.tensor([task.ids[y[u]] for _, y, _, u in pairs])
        self.clean = next_logits(adapter, task, self.rows)
        self.goal = next_logits(adapter, task, build_batch(task, self.inputs, self.sources))
        self._logits: dict[tuple[HeadSet, int | None], Tensor] = {}

    def logits(
        self, heads: HeadSet, control_seed: int | None = None
    ) -> Float[Tensor, "pair vocab"]:
        """Logits at the steps with the heads' z from the other steps."""
        key = (heads, control_seed)
        if key not in self._logits:
            plan = [Transplant(heads, self.inputs, self.sources, control_seed=control_seed)]
            self._logits[key] = next_logits(self.adapter, self.task, self.rows, plan)
        return self._logits[key]

    def moved(self, heads: HeadSet) -> Rate:
        """How often the token becomes that of the other step."""
        return Rate.of((self.logits(heads).argmax(-1) == self.new).tolist())

    def share(self, heads: HeadSet, control_seed: int | None = None) -> float:
        """Share of the change of the logit difference (new - old token) between the two steps."""
        before, after = self._gap(self.clean), self._gap(self.logits(heads, control_seed))
        whole = (self._gap(self.goal) - before).sum()
        return float((after - before).sum() / whole) if float(whole) else 0.0

    def _gap(self, logits: Float[Tensor, "pair vocab"]) -> Float[Tensor, " pair"]:
        row = torch.arange(len(logits))
        return logits[row, self.new] - logits[row, self.old]


def measure_ablations(
    adapter: Adapter,
    task: Task,
    steps: Sequence[tuple[Step, tuple[str, ...]]],
    live: Sequence[HeadIndex],
) -> dict[HeadIndex, tuple[float, float]]:
    """Shares of next tokens that the mean ablation of each head changes.

    Args:
        adapter: The model.
        task: Its task.
        steps: Pairs of a step and the whole output on its input.
        live: (layer, head) of the heads whose hooks are live.

    Returns:
        By (layer, head): the share, and the share with the patterns of later layers frozen.
    """
    if not steps:
        return {}
    rows = build_batch(task, [x for (x, _), _ in steps], [y[:t] for (_, t), y in steps])
    clean = next_logits(adapter, task, rows).argmax(-1)
    blocks = sorted({layer for layer, _ in live})
    freezable = [i for i in blocks if is_live(adapter, task, f"blocks.{i}.attn.hook_pattern")]
    found = {}
    for layer, h in live:
        later = tuple(i for i in freezable if i > layer)
        ablation = Ablate(head(layer, h, _positions_of(adapter, layer)), "mean")
        free = frozen = _changed(adapter, task, rows, [ablation], clean)
        if later:
            frozen = _changed(adapter, task, rows, [ablation, FreezePatterns(later)], clean)
        found[layer, h] = (free, frozen)
    return found


def _positions_of(adapter: Adapter, layer: int) -> Where:
    """The positions at which the heads of a block compute something."""
    if is_in_encoder(adapter, layer):
        return INPUTS
    if adapter.architecture == "encoder-decoder":
        return (SEP, OUTPUTS, PREDICTION)
    return ALL


def _changed(
    adapter: Adapter,
    task: Task,
    rows: PromptBatch,
    plan: Sequence[Ablate | FreezePatterns],
    clean: Tensor,
) -> float:
    return float((next_logits(adapter, task, rows, plan).argmax(-1) != clean).float().mean())
