"""Greedy continuation of prompts of one length with cached keys and values, for benchmarks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recinterp.perturb.fast.decode import step
from recinterp.perturb.fast.forward import forward
from recinterp.perturb.fast.weights import FastWeights


@torch.no_grad()
def continue_ids(weights: FastWeights, ids: Tensor, steps: int, rows: int = 256) -> Tensor:
    """Greedy ids that follow prompts of one length, (row, pos) -> (row, steps); nothing stops it.

    rows: how many share a call.
    """
    out = [_continue(weights, ids[i : i + rows], steps) for i in range(0, len(ids), rows)]
    return torch.cat(out)


def _continue(weights: FastWeights, ids: Tensor, steps: int) -> Tensor:
    tokens, start = [], ids.shape[1]
    last = torch.full((len(ids),), start - 1, device=ids.device)
    clean = forward(weights, ids, last)
    kv = [F.pad(layer_kv, (0, 0, 0, 0, 0, 0, 0, steps)) for layer_kv in clean.kv]
    token = clean.logits.argmax(-1)
    for t in range(start, start + steps):
        tokens.append(token)
        if t == start + steps - 1:
            break
        seen = [layer_kv[:, : t + 1] for layer_kv in kv]
        token = step(weights, seen, token, torch.full_like(last, t), {}, t + 1).argmax(-1)
    return torch.stack(tokens, 1)
