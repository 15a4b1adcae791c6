"""Parts of a transformer under TransformerLens's classic names and layouts, and back.

export_attention(shape, {"qkv.weight": …})     # {"W_Q": (head, d_model, d_head), "b_Q": …, …}
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from recinterp.models.architectures.shape import Shape

Named = Mapping[str, Tensor]


def strip_prefix(start: str, named: Named) -> dict[str, Tensor]:
    """Those whose name begins so, without the beginning."""
    return {k[len(start) :]: v for k, v in named.items() if k.startswith(start)}


def export_attention(shape: Shape, mine: Named) -> dict[str, Tensor]:
    """One matrix for queries, keys and values and one out -> one per head and kind."""
    heads = shape.n_heads
    w = rearrange(mine["qkv.weight"], "(qkv head d) model -> qkv head model d", qkv=3, head=heads)
    b = rearrange(mine["qkv.bias"], "(qkv head d) -> qkv head d", qkv=3, head=heads)
    out = {f"W_{name}": w[i] for i, name in enumerate("QKV")}
    out |= {f"b_{name}": b[i] for i, name in enumerate("QKV")}
    out["W_O"] = rearrange(mine["out.weight"], "model (head d) -> head d model", head=heads)
    return out | {"b_O": mine["out.bias"]}


def import_attention(shape: Shape, theirs: Named) -> dict[str, Tensor]:
    """The inverse; KeyError or RuntimeError where something does not fit."""
    w = torch.stack([theirs[f"W_{name}"] for name in "QKV"])
    b = torch.stack([theirs[f"b_{name}"] for name in "QKV"])
    out = {
        "qkv.weight": rearrange(w, "qkv head model d -> (qkv head d) model"),
        "qkv.bias": rearrange(b, "qkv head d -> (qkv head d)"),
        "out.weight": rearrange(theirs["W_O"], "head d model -> model (head d)"),
    }
    return out | {"out.bias": theirs["b_O"]}


def export_mlp(mine: Named) -> dict[str, Tensor]:
    """Two linear layers -> W_in, W_out and their biases."""
    out = {"W_in": mine["up.weight"].T, "b_in": mine["up.bias"]}
    return out | {"W_out": mine["down.weight"].T, "b_out": mine["down.bias"]}


def import_mlp(theirs: Named) -> dict[str, Tensor]:
    """The inverse."""
    out = {"up.weight": theirs["W_in"].T, "up.bias": theirs["b_in"]}
    return out | {"down.weight": theirs["W_out"].T, "down.bias": theirs["b_out"]}
