"""Greedy outputs of T5: relative positions, RMS norms, an encoder that is run once.

    continue_t5(model, ids, steps)       # (row, pos) -> (row, steps): what the decoder writes

`model` is Hugging Face's or TransformerLens's bridge around one. Its logits are compared with what
is computed here before a single token is believed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recinterp.errors import IncompatibleModelError
from recinterp.perturb.fast.weights import ACTIVATIONS

TOLERANCE = 1e-5  # of the largest logit


@dataclass(frozen=True, eq=False)
class T5Weights:
    """T5's numbers under Hugging Face's names, and its sizes."""

    named: dict[str, Tensor]
    layers: dict[str, int]
    heads: int
    buckets: int
    reach: int
    eps: float
    out_scale: float
    act: Callable[[Tensor], Tensor]
    gated: bool
    start: int

    def norm(self, x: Tensor, name: str) -> Tensor:
        """T5's norm: no mean is taken, nothing is added."""
        return F.rms_norm(x, x.shape[-1:], self.named[f"{name}.weight"], self.eps)

    def linear(self, x: Tensor, name: str) -> Tensor:
        """A matrix without bias."""
        return F.linear(x, self.named[f"{name}.weight"])

    def heads_of(self, x: Tensor, name: str) -> Tensor:
        """(row, pos, d) -> (row, head, pos, d_head)."""
        return self.linear(x, name).view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def feed(self, x: Tensor, name: str) -> Tensor:
        """The MLP, added to the stream."""
        h, place = self.norm(x, f"{name}.layer_norm"), f"{name}.DenseReluDense"
        if self.gated:
            h = self.act(self.linear(h, f"{place}.wi_0")) * self.linear(h, f"{place}.wi_1")
        else:
            h = self.act(self.linear(h, f"{place}.wi"))
        return x + self.linear(h, f"{place}.wo")

    def attend(self, x: Tensor, name: str, q: Tensor, kv: Tensor, bias: Tensor | None) -> Tensor:
        """What heads read, through the output matrix, added to the stream; no scale in T5."""
        z = F.scaled_dot_product_attention(q, kv[0], kv[1], bias, scale=1.0)
        return x + self.linear(z.transpose(1, 2).flatten(2), f"{name}.o")

    def bias(self, side: str, query: Tensor, keys: int) -> Tensor:
        """The bias of a stack's attention, (1, head, query, key)."""
        away = torch.arange(keys, device=query.device) - query[:, None]
        bucket, n = torch.zeros_like(away), self.buckets
        if side == "encoder":
            n //= 2
            bucket, away = (away > 0).long() * n, away.abs()
        else:
            away = -away.clamp_max(0)
        exact = n // 2
        far = torch.log(away.float().clamp_min(1) / exact) / math.log(self.reach / exact)
        far = (exact + (far * (n - exact)).long()).clamp_max(n - 1)
        table = self.named[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        return table[bucket + torch.where(away < exact, away, far)].permute(2, 0, 1)[None]

    def encode(self, ids: Tensor) -> Tensor:
        """What the decoder attends to, (row, pos, d)."""
        x = self.named["shared.weight"][ids]
        bias = self.bias("encoder", torch.arange(ids.shape[1], device=ids.device), ids.shape[1])
        for layer in range(self.layers["encoder"]):
            place = f"encoder.block.{layer}.layer"
            at, h = f"{place}.0.SelfAttention", self.norm(x, f"{place}.0.layer_norm")
            q, k, v = (self.heads_of(h, f"{at}.{part}") for part in "qkv")
            x = self.feed(self.attend(x, at, q, torch.stack((k, v)), bias), f"{place}.1")
        return self.norm(x, "encoder.final_layer_norm")

    def crossed(self, read: Tensor) -> list[Tensor]:
        """Keys and values of what was read, per decoder layer."""
        places = [
            f"decoder.block.{i}.layer.1.EncDecAttention" for i in range(self.layers["decoder"])
        ]
        return [torch.stack([self.heads_of(read, f"{at}.{p}") for p in "kv"]) for at in places]

    def step(self, token: Tensor, t: int, own_kv: list[Tensor], crossed: list[Tensor]) -> Tensor:
        """Logits (row, vocab) after the decoder's token number t; kept: (2, row, head, room, …)."""
        x = self.named["shared.weight"][token][:, None]
        bias = self.bias("decoder", torch.tensor([t], device=token.device), t + 1)
        for layer, (own, other) in enumerate(zip(own_kv, crossed, strict=True)):
            place = f"decoder.block.{layer}.layer"
            at, h = f"{place}.0.SelfAttention", self.norm(x, f"{place}.0.layer_norm")
            q, k, v = (self.heads_of(h, f"{at}.{part}") for part in "qkv")
            own[0, :, :, t], own[1, :, :, t] = k[:, :, 0], v[:, :, 0]
            x = self.attend(x, at, q, own[:, :, :, : t + 1], bias)
            at, h = f"{place}.1.EncDecAttention", self.norm(x, f"{place}.1.layer_norm")
            x = self.attend(x, at, self.heads_of(h, f"{at}.q"), other, None)
            x = self.feed(x, f"{place}.2")
        x = self.norm(x[:, 0], "decoder.final_layer_norm") * self.out_scale
        return self.linear(x, "lm_head")


@torch.no_grad()
def continue_t5(model: nn.Module, ids: Tensor, steps: int, rows: int = 256) -> Tensor:
    """Greedy ids a T5 writes, (row, pos) -> (row, steps); nothing stops it.

    Errors: IncompatibleModelError.
    """
    stack = _proven(model)
    parts = [_continue(stack, ids[i : i + rows], steps) for i in range(0, len(ids), rows)]
    return torch.cat(parts)


def _continue(stack: T5Weights, ids: Tensor, steps: int) -> Tensor:
    crossed = stack.crossed(stack.encode(ids))
    room = (*crossed[0].shape[:3], steps, crossed[0].shape[-1])
    own_kv = [part.new_empty(room) for part in crossed]
    token, tokens = torch.full((len(ids),), stack.start, device=ids.device), []
    for t in range(steps):
        token = stack.step(token, t, own_kv, crossed).argmax(-1)
        tokens.append(token)
    return torch.stack(tokens, 1)


def _proven(model: nn.Module) -> T5Weights:
    """A T5's numbers, seen to give its own logits on a fixed batch."""
    theirs = cast(Any, getattr(model, "original_model", model))
    stack = _read(theirs)
    draw = torch.Generator().manual_seed(0)
    ids, forced = (
        torch.randint(0, theirs.config.vocab_size, (2, n), generator=draw) for n in (7, 5)
    )
    device = stack.named["shared.weight"].device
    ids, forced = ids.to(device), forced.to(device)
    own = theirs(input_ids=ids, decoder_input_ids=forced).logits
    crossed = stack.crossed(stack.encode(ids))
    own_kv = [part.new_empty((*part.shape[:3], 5, part.shape[-1])) for part in crossed]
    tokens = torch.stack([stack.step(forced[:, t], t, own_kv, crossed) for t in range(5)], 1)
    if float((own - tokens).abs().max()) > TOLERANCE * max(1.0, float(own.abs().max())):
        raise IncompatibleModelError(
            f"continue with {type(theirs).__name__}",
            "its logits differ from those computed from its weights",
            "use a T5 of transformers as it is",
        )
    return stack


def _read(theirs: Any) -> T5Weights:
    config = theirs.config
    if getattr(config, "model_type", "") != "t5":
        raise IncompatibleModelError(
            f"continue with {type(theirs).__name__}",
            "it is no T5",
            "use T5ForConditionalGeneration",
        )
    named: dict[str, Tensor] = {}
    for name, value in theirs.state_dict().items():
        # A bridge holds every part twice, behind wrappers of its own.
        named.setdefault(name.replace("_original_component.", ""), value)
    # Older releases scale what is read out where embeddings are tied, newer ones say so.
    tied = getattr(config, "tie_word_embeddings", True)
    scaled = getattr(config, "scale_decoder_outputs", tied)
    return T5Weights(
        named,
        {"encoder": config.num_layers, "decoder": config.num_decoder_layers or config.num_layers},
        config.num_heads,
        config.relative_attention_num_buckets,
        config.relative_attention_max_distance,
        config.layer_norm_epsilon,
        config.d_model**-0.5 if scaled else 1.0,
        ACTIVATIONS[config.dense_act_fn],
        config.is_gated_act,
        config.decoder_start_token_id,
    )
