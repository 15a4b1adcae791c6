"""Where heads attend: for each head, the landmark that the peak of its attention follows best.

A decoder's head is observed at the prediction position of each step. The heads of an encoder have
run before the first output token, so their attention is observed at each input position p.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from recinterp.perturb.lowering.forward_pass import run_edits
from recinterp.perturb.positions import INPUTS, PromptBatch, build_batch
from recinterp.probe.landmarks import Landmark, Step, best, landmarks
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

HeadIndex: TypeAlias = tuple[int, int]  # layer, head
Followed: TypeAlias = Mapping[HeadIndex, tuple[Landmark, Rate] | None]


def is_in_encoder(adapter: Adapter, layer: int) -> bool:
    """Whether a block is one of an encoder."""
    return adapter.block_names[layer].startswith("E")


def measure_attention(
    adapter: Adapter, task: Task, steps: Sequence[tuple[Step, tuple[str, ...]]]
) -> Followed:
    """For each head, the landmark its attention follows best, and how often.

    Args:
        adapter: The model.
        task: Its task, which names the landmarks.
        steps: Pairs of a step (input, output index) and the whole output written on that input.

    Returns:
        By (layer, head): the landmark and its rate, None where no landmark is present often enough.
    """
    rows = build_batch(task, [x for (x, _), _ in steps], [y[:t] for (_, t), y in steps])
    hooks = [f"blocks.{layer}.attn.hook_pattern" for layer in range(adapter.n_layers)]
    _, cache = run_edits(adapter, rows, read=hooks)
    found: dict[HeadIndex, tuple[Landmark, Rate] | None] = {}
    candidates = landmarks(task)
    at_steps = [step for step, _ in steps]
    for layer, hook in enumerate(hooks):
        if is_in_encoder(adapter, layer):
            found |= _follow_while_reading(layer, cache[hook], rows, candidates)
            continue
        peak = cache[hook][torch.arange(len(rows)), :, rows.prediction].argmax(-1).cpu()
        for h in range(adapter.n_heads):
            places = (peak[:, h] - rows.start).tolist()
            found[layer, h] = best(candidates, at_steps, places)
    return found


def _follow_while_reading(
    layer: int,
    pattern: Float[Tensor, "row head query key"],
    rows: PromptBatch,
    candidates: Sequence[Landmark],
) -> dict[HeadIndex, tuple[Landmark, Rate] | None]:
    """The landmark each encoder head follows; its t is the input position that attends."""
    local = [place for place in candidates if place.local and place.argument is None]
    row, pos = rows.mask(INPUTS).nonzero(as_tuple=True)
    start = rows.start[row]
    at_steps = [
        (rows.inputs[i], t) for i, t in zip(row.tolist(), (pos - start).tolist(), strict=True)
    ]
    peak = pattern[row, :, pos].argmax(-1).cpu() - start[:, None]
    heads = range(peak.shape[1])
    return {(layer, h): best(local, at_steps, peak[:, h].tolist()) for h in heads}
