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
ROTARY_BASE = 10_000.0


@dataclass(frozen=True)
class Shape:
    """Sizes of a transformer; `norm` is LN, LNPre (no gain and bias) or none.

    positions: learned and added, rotary (all of a head, neighbouring features turned), or none.
    kind: decoder-only, or encoder-decoder with n_layers each; start: the id that its decoder's part
    of a row begins with.
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

    def to_json(self) -> dict[str, object]:
        """Plain values, for a checkpoint's JSON; later fields only where they say something."""
        plain = {"positions": "learned", "start": None}
        said = {"kind": self.kind} | asdict(self)
        return {k: v for k, v in said.items() if k not in plain or v != plain[k]}
