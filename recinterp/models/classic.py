"""Parts of a transformer under TransformerLens's classic names and layouts, and back.

attention_to(shape, {"qkv.weight": …})     # {"W_Q": (head, d_model, d_head), "b_Q": …, …}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from recinterp.models.plain import Shape

Named = Mapping[str, Tensor]


def under(start: str, named: Named) -> dict[str, Tensor]:
    """Those whose name begins so, without the beginning."""
    return {k[len(start) :]: v for k, v in named.items() if k.startswith(start)}


def attention_to(shape: Shape, mine: Named) -> dict[str, Tensor]:
    """One matrix for queries, keys and values and one out -> one per head and kind."""
    heads, width = shape.n_heads, shape.d_head
    w = mine["qkv.weight"].view(3, heads, width, shape.d_model).transpose(2, 3)
    b = mine["qkv.bias"].view(3, heads, width)
    out = {f"W_{name}": w[i] for i, name in enumerate("QKV")}
    out |= {f"b_{name}": b[i] for i, name in enumerate("QKV")}
    out["W_O"] = mine["out.weight"].T.reshape(heads, width, shape.d_model)
    return out | {"b_O": mine["out.bias"]}


def attention_from(shape: Shape, theirs: Named) -> dict[str, Tensor]:
    """The inverse; KeyError or RuntimeError where something does not fit."""
    w = torch.stack([theirs[f"W_{name}"] for name in "QKV"])  # (3, head, d_model, d_head)
    b = torch.stack([theirs[f"b_{name}"] for name in "QKV"])
    out = {"qkv.weight": w.transpose(2, 3).reshape(-1, shape.d_model), "qkv.bias": b.reshape(-1)}
    out |= {"out.weight": theirs["W_O"].reshape(-1, shape.d_model).T}
    return out | {"out.bias": theirs["b_O"]}


def mlp_to(mine: Named) -> dict[str, Tensor]:
    """Two linear layers -> W_in, W_out and their biases."""
    out = {"W_in": mine["up.weight"].T, "b_in": mine["up.bias"]}
    return out | {"W_out": mine["down.weight"].T, "b_out": mine["down.bias"]}


def mlp_from(theirs: Named) -> dict[str, Tensor]:
    """The inverse."""
    out = {"up.weight": theirs["W_in"].T, "up.bias": theirs["b_in"]}
    return out | {"down.weight": theirs["W_out"].T, "down.bias": theirs["b_out"]}
