"""Run by benchmarks/engine.py in a peer's own environment: zero ablation of heads, timed.

    python benchmarks/peer.py nnsight|pyvene FILE      # FILE: what engine.py wrote with torch.save

Prints one line of JSON: seconds per patch and each patch's metric, per batch.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel


def nnsight_side(model: nn.Module) -> Callable[[Tensor, int, int, int], Tensor]:
    """One head's z set to zero in a trace."""
    from nnsight import NNsight

    traced = NNsight(model)

    def run(ids: Tensor, layer: int, head: int, width: int) -> Tensor:
        with torch.no_grad(), traced.trace(ids):
            z = traced.transformer.h[layer].attn.c_proj.input
            z[:, :, head * width : (head + 1) * width] = 0
            logits = traced.lm_head.output.save()
        return logits  # noqa: RET504 (it has a value only after the trace)

    return run


def pyvene_side(model: nn.Module) -> Callable[[Tensor, int, int, int], Tensor]:
    """One head's z set to zero by a function on the output matrix's input."""
    import pyvene

    built: dict[tuple[int, int], object] = {}

    def make(layer: int, head: int, width: int) -> object:
        def zero(base: Tensor, source: Tensor) -> Tensor:
            base[:, :, head * width : (head + 1) * width] = 0
            return base

        site = {"component": f"transformer.h[{layer}].attn.c_proj.input", "intervention": zero}
        return pyvene.IntervenableModel([site], model=model)

    def run(ids: Tensor, layer: int, head: int, width: int) -> Tensor:
        at = built.setdefault((layer, head), make(layer, head, width))
        with torch.no_grad():
            return at({"input_ids": ids})[1].logits

    return run


def main() -> None:
    """Time the peer named on the command line."""
    peer, path = sys.argv[1:]
    asked = torch.load(path)
    torch.set_num_threads(asked["threads"])
    model = GPT2LMHeadModel(GPT2Config(**asked["config"])).eval()
    model.load_state_dict(asked["state"])
    run = {"nnsight": nnsight_side, "pyvene": pyvene_side}[peer](model)
    found = {}
    for batch, ids in asked["ids"].items():
        times, metrics = [], []
        for layer, head in [asked["heads"][0], *asked["heads"]]:  # the first one warms up
            start = time.perf_counter()
            logits = run(ids, layer, head, asked["width"])[:, -1]
            times.append(time.perf_counter() - start)
            metrics.append(float((logits[:, 3] - logits[:, 4]).mean()))
        found[batch] = {"seconds": statistics.median(times[1:]), "metrics": metrics[1:]}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
