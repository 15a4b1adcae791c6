"""The sizes and choices that fix a transformer's computation, and the tables they name.

Shape(2, 2, d_model=64, d_head=32, d_mlp=256, n_ctx=40, d_vocab=7)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}
NORMS = ("LN", "LNPre", "none")
POSITIONS = ("learned", "rotary", "none")
ROTARY_BASE = 10_000.0  # of RoFormer; a model trained with another base is run by its own forward


@dataclass(frozen=True)
class Shape:
    """Sizes and choices of a transformer.

    Attributes:
        n_layers: Layers; of an encoder-decoder, those of each half.
        n_heads: Heads per layer.
        d_model: Width of the residual stream.
        d_head: Width of a head.
        d_mlp: Width of the hidden layer of an MLP.
        n_ctx: Most positions of a row; of an encoder-decoder, of each half.
        d_vocab: Number of token ids.
        act: Activation function of the MLPs, a key of ACTIVATIONS.
        norm: "LN", "LNPre" (without gain and bias) or "none".
        eps: What LayerNorm adds to the variance.
        attn_only: Whether the layers have no MLP.
        positions: "learned" (added to the embedding), "rotary" (all of a head, neighbouring
            features rotated together), or "none".
        kind: "decoder-only" or "encoder-decoder".
        start: The id that the decoder's part of a row begins with; None of a decoder-only model.
    """

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    n_ctx: int
    d_vocab: int
    act: str = "relu"
    norm: str = "LN"
    eps: float = 1e-5
    attn_only: bool = False
    positions: str = "learned"
    kind: str = "decoder-only"
    start: int | None = None

    def describe(self) -> str:
        """Architecture and sizes, on one line."""
        return (
            f"{self.kind}, {self.n_layers} layers, {self.n_heads} heads, d_model {self.d_model}, "
            f"{self.n_ctx} positions, {self.d_vocab} tokens"
        )

    def to_json(self) -> dict[str, object]:
        """Plain values for a checkpoint's JSON; fields that format 1 began without only if set."""
        added_later = {"positions": "learned", "start": None}
        values = {"kind": self.kind} | asdict(self)
        return {k: v for k, v in values.items() if k not in added_later or v != added_later[k]}
