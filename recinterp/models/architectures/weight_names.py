"""Parts of a transformer under TransformerLens's classic names and layouts, and back.

export_attention(shape, {"qkv.weight": …})     # {"W_Q": (head, d_model, d_head), "b_Q": …, …}
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from recinterp.models.architectures.shape import Shape

Weights = Mapping[str, Float[Tensor, "..."]]


def strip_prefix(prefix: str, weights: Weights) -> dict[str, Tensor]:
    """The weights whose names begin with `prefix`, under the rest of their names."""
    return {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}


def export_attention(shape: Shape, plain: Weights) -> dict[str, Tensor]:
    """Split one matrix for queries, keys and values, and one for the output, by head and kind."""
    heads = shape.n_heads
    w = rearrange(plain["qkv.weight"], "(qkv head d) model -> qkv head model d", qkv=3, head=heads)
    b = rearrange(plain["qkv.bias"], "(qkv head d) -> qkv head d", qkv=3, head=heads)
    out = {f"W_{name}": w[i] for i, name in enumerate("QKV")}
    out |= {f"b_{name}": b[i] for i, name in enumerate("QKV")}
    out["W_O"] = rearrange(plain["out.weight"], "model (head d) -> head d model", head=heads)
    return out | {"b_O": plain["out.bias"]}


def import_attention(shape: Shape, classic: Weights) -> dict[str, Tensor]:
    """Join matrices by head and kind into one for queries, keys, values and one for the output.

    Raises:
        KeyError: A weight is missing.
        RuntimeError: Sizes do not fit together.
    """
    w = torch.stack([classic[f"W_{name}"] for name in "QKV"])
    b = torch.stack([classic[f"b_{name}"] for name in "QKV"])
    out = {
        "qkv.weight": rearrange(w, "qkv head model d -> (qkv head d) model"),
        "qkv.bias": rearrange(b, "qkv head d -> (qkv head d)"),
        "out.weight": rearrange(classic["W_O"], "head d model -> model (head d)"),
    }
    return out | {"out.bias": classic["b_O"]}


def export_mlp(plain: Weights) -> dict[str, Tensor]:
    """Name the weights of two linear layers W_in, b_in, W_out and b_out."""
    out = {"W_in": plain["up.weight"].T, "b_in": plain["up.bias"]}
    return out | {"W_out": plain["down.weight"].T, "b_out": plain["down.bias"]}


def import_mlp(classic: Weights) -> dict[str, Tensor]:
    """Name W_in, b_in, W_out and b_out as the weights of two linear layers."""
    out = {"up.weight": classic["W_in"].T, "up.bias": classic["b_in"]}
    return out | {"down.weight": classic["W_out"].T, "down.bias": classic["b_out"]}
