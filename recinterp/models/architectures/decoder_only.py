"""A transformer in plain torch: what is trained, and what decodes quickly with cached keys.

    plain = DecoderOnly(Shape(2, 2, d_model=64, d_head=32, d_mlp=256, n_ctx=40, d_vocab=7))
    plain(ids)                       # (batch, pos, vocab)
    plain.export_weights()           # the same numbers under TransformerLens's classic names

It has no hook points on purpose: a fused attention kernel is several times faster. Weights travel
between it and the hooked models under the classic names, and equality is checked, never assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recinterp.models.architectures.shape import ACTIVATIONS, ROTARY_BASE, Shape
from recinterp.models.architectures.weight_names import (
    export_attention,
    export_mlp,
    import_attention,
    import_mlp,
    strip_prefix,
)


class KeyValueCache:
    """Keys and values of the positions read so far, per layer: (batch, head, pos, d_head)."""

    def __init__(self, n_layers: int) -> None:
        self.length = 0
        self._layers: list[tuple[Tensor, Tensor] | None] = [None] * n_layers

    def extend(
        self,
        layer: int,
        k: Float[Tensor, "batch head new d_head"],
        v: Float[Tensor, "batch head new d_head"],
    ) -> tuple[Float[Tensor, "batch head pos d_head"], Float[Tensor, "batch head pos d_head"]]:
        """Append one layer's new keys and values; return all keys and all values."""
        end, stored = self.length + k.shape[2], self._layers[layer]
        if stored is None or stored[0].shape[2] < end:
            keys, values = stored or (None, None)
            stored = self._grow(keys, k, end), self._grow(values, v, end)
            self._layers[layer] = stored
        stored[0][:, :, self.length : end] = k
        stored[1][:, :, self.length : end] = v
        return stored[0][:, :, :end], stored[1][:, :, :end]

    def _grow(
        self,
        stored: Float[Tensor, "batch head old d_head"] | None,
        like: Float[Tensor, "batch head new d_head"],
        end: int,
    ) -> Float[Tensor, "batch head room d_head"]:
        batch, heads, _, width = like.shape
        new = like.new_empty((batch, heads, end + max(16, end // 2), width))
        if stored is not None:
            new[:, :, : self.length] = stored[:, :, : self.length]
        return new

    def select_rows(self, rows: Int[Tensor, "row"]) -> None:
        """Make `rows` the rows of the batch, in that order; copies are what decoding costs."""
        first = self._layers[0]
        if first is not None and torch.equal(rows, torch.arange(len(first[0]), device=rows.device)):
            return
        self._layers = [pair and (pair[0][rows], pair[1][rows]) for pair in self._layers]


class PackedRows:
    """Rows of unequal lengths, their padding left out wherever positions do not mix.

    Training batches are nearly half padding; only attention needs the rectangle.
    """

    def __init__(self, real: Bool[Tensor, "batch pos"]) -> None:
        self.size = tuple(real.shape)
        self._at = real.flatten().nonzero()[:, 0]

    def pack(self, x: Float[Tensor, "batch pos width"]) -> Float[Tensor, "1 token width"]:
        """Put the real positions of a rectangle into one row."""
        return x.flatten(0, 1)[self._at][None]

    def unpack(self, x: Float[Tensor, "1 token width"]) -> Float[Tensor, "batch pos width"]:
        """Put a row of real positions back into the rectangle, with zeros for the padding."""
        flat = x.new_zeros((self.size[0] * self.size[1], x.shape[-1]))
        return flat.index_copy(0, self._at, x[0]).view(*self.size, x.shape[-1])


def compute_rotary_tables(shape: Shape) -> Float[Tensor, "2 pos pair"]:
    """Cosines and sines that turn each pair of neighbouring features at each position."""
    powers = torch.arange(0, shape.d_head, 2).float() / shape.d_head
    angles = torch.outer(torch.arange(shape.n_ctx).float(), 1.0 / ROTARY_BASE**powers)
    return torch.stack([angles.cos(), angles.sin()])


def apply_rotary(
    x: Float[Tensor, "... pos d_head"], by: Float[Tensor, "2 pos pair"]
) -> Float[Tensor, "... pos d_head"]:
    """Queries or keys with rotary positions. Source: Su et al., RoFormer (2021)."""
    cos, sin = by
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)


class _Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        inner = shape.n_heads * shape.d_head
        self.ln1 = build_norm(shape)
        self.qkv = nn.Linear(shape.d_model, 3 * inner)
        self.out = nn.Linear(inner, shape.d_model)
        if shape.positions == "rotary":
            self.register_buffer("rotations", compute_rotary_tables(shape), persistent=False)
        if not shape.attn_only:
            self.ln2 = build_norm(shape)
            self.up = nn.Linear(shape.d_model, shape.d_mlp)
            self.down = nn.Linear(shape.d_mlp, shape.d_model)

    def forward(
        self,
        x: Float[Tensor, "batch pos d_model"],
        layer: int,
        cache: KeyValueCache | None,
        packed: PackedRows | None,
    ) -> Float[Tensor, "batch pos d_model"]:
        qkv = self.qkv(self.ln1(x))
        z = self._attend(packed.unpack(qkv) if packed else qkv, layer, cache)
        x = x + self.out(packed.pack(z) if packed else z)
        if self.shape.attn_only:
            return x
        hidden = ACTIVATIONS[self.shape.act](self.up(self.ln2(x)))
        return x + cast(Tensor, self.down(hidden))

    def _attend(
        self, qkv: Float[Tensor, "batch pos qkv"], layer: int, cache: KeyValueCache | None
    ) -> Float[Tensor, "batch pos inner"]:
        batch, pos, _ = qkv.shape
        split = qkv.view(batch, pos, 3, self.shape.n_heads, self.shape.d_head)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (batch, head, pos, d_head)
        if self.shape.positions == "rotary":
            start = cache.length if cache else 0
            by = self.get_buffer("rotations")[:, start : start + pos]
            q, k = apply_rotary(q, by), apply_rotary(k, by)
        if cache is not None:
            k, v = cache.extend(layer, k, v)
        z = F.scaled_dot_product_attention(q, k, v, is_causal=pos > 1)
        return z.transpose(1, 2).reshape(batch, pos, -1)


def build_norm(shape: Shape) -> nn.Module:
    """Build a shape's norm, untrained."""
    if shape.norm == "none":
        return nn.Identity()
    return nn.LayerNorm(shape.d_model, eps=shape.eps, elementwise_affine=shape.norm == "LN")


class DecoderOnly(nn.Module):
    """Pre-norm decoder; linear layers start as PyTorch starts them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.d_vocab, shape.d_model)
        if shape.positions == "learned":  # made before either is filled: recipes repeat their draws
            self.pos = nn.Embedding(shape.n_ctx, shape.d_model)
        # PyTorch's unit-variance embeddings drown what the blocks add: 73 % of outputs right after
        # 800 steps on binary successor, against 92 to 95 % from scales of 0.02 to 0.3.
        nn.init.normal_(self.embed.weight, std=shape.d_model**-0.5)
        if shape.positions == "learned":
            nn.init.normal_(self.pos.weight, std=shape.d_model**-0.5)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.n_layers))
        self.ln_final = build_norm(shape)
        self.unembed = nn.Linear(shape.d_model, shape.d_vocab, bias=False)
        self.register_buffer("b_U", torch.zeros(shape.d_vocab), persistent=False)

    def list_embeddings(self) -> list[nn.Embedding]:
        """The embeddings of tokens and of positions."""
        return [module for module in self.children() if isinstance(module, nn.Embedding)]

    def residual(
        self,
        ids: Int[Tensor, "batch pos"],
        cache: KeyValueCache | None = None,
        packed: PackedRows | None = None,
    ) -> Float[Tensor, "batch pos d_model"]:
        """The normed last residual stream; with a cache, `ids` continue what the cache has read."""
        start = cache.length if cache else 0
        x = self.embed(ids)
        if self.shape.positions == "learned":
            x = x + self.pos.weight[start : start + ids.shape[1]]
        x = packed.pack(x) if packed else x
        for layer, block in enumerate(self.blocks):
            x = block(x, layer, cache, packed)
        if cache is not None:
            cache.length += ids.shape[1]
        return cast(Tensor, self.ln_final(x))

    def select_required(self, predicted: Bool[Tensor, "batch pos"]) -> Bool[Tensor, "batch pos"]:
        """The positions that must be run to predict at some: those and all before them."""
        return predicted.flip(1).cumsum(1).flip(1) > 0

    def residual_at(
        self, ids: Int[Tensor, "batch pos"], real: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "token d_model"]:
        """The normed last stream at the real positions, row by row."""
        return self.residual(ids, packed=PackedRows(real))[0]

    def compute_logits(self, residual: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        """Unembed a normed residual stream."""
        return F.linear(residual, self.unembed.weight, self.get_buffer("b_U"))

    def forward(
        self, ids: Int[Tensor, "batch pos"], cache: KeyValueCache | None = None
    ) -> Float[Tensor, "batch pos vocab"]:
        """Logits of every position."""
        return self.compute_logits(self.residual(ids, cache))

    def export_weights(self) -> dict[str, Tensor]:
        """Copies of all weights under TransformerLens's classic names and layouts."""
        shape, state = self.shape, dict(self.named_parameters())
        out: dict[str, Tensor] = {
            "embed.W_E": state["embed.weight"],
            "unembed.W_U": state["unembed.weight"].T,
            "unembed.b_U": self.get_buffer("b_U"),
        }
        if shape.positions == "learned":
            out["pos_embed.W_pos"] = state["pos.weight"]
        for name in _norm_names(shape):
            out |= {f"{name}.w": state[f"{name}.weight"], f"{name}.b": state[f"{name}.bias"]}
        for layer in range(shape.n_layers):
            block, place = strip_prefix(f"blocks.{layer}.", state), f"blocks.{layer}"
            out |= {f"{place}.attn.{k}": v for k, v in export_attention(shape, block).items()}
            if not shape.attn_only:
                out |= {f"{place}.mlp.{k}": v for k, v in export_mlp(block).items()}
        return {name: tensor.detach().clone().contiguous() for name, tensor in out.items()}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> DecoderOnly:
        """Take over weights under the classic names.

        Raises:
            KeyError: A weight is missing.
            RuntimeError: A weight has another size.
        """
        state = {"embed.weight": weights["embed.W_E"]}
        state["unembed.weight"] = weights["unembed.W_U"].T
        if self.shape.positions == "learned":
            state["pos.weight"] = weights["pos_embed.W_pos"]
        for name in _norm_names(self.shape):
            state[f"{name}.weight"] = weights[f"{name}.w"]
            state[f"{name}.bias"] = weights[f"{name}.b"]
        for layer in range(self.shape.n_layers):
            block = import_attention(self.shape, strip_prefix(f"blocks.{layer}.attn.", weights))
            if not self.shape.attn_only:
                block |= import_mlp(strip_prefix(f"blocks.{layer}.mlp.", weights))
            state |= {f"blocks.{layer}.{k}": v for k, v in block.items()}
        self.load_state_dict(state, strict=True)
        if "unembed.b_U" in weights:
            self.get_buffer("b_U").copy_(weights["unembed.b_U"])
        return self


def _norm_names(shape: Shape) -> list[str]:
    if shape.norm != "LN":
        return []
    inner = ("ln1",) if shape.attn_only else ("ln1", "ln2")
    blocks = [f"blocks.{layer}.{name}" for layer in range(shape.n_layers) for name in inner]
    return [*blocks, "ln_final"]


def decoder_with_weights(shape: Shape, weights: Mapping[str, Tensor]) -> DecoderOnly:
    """Build a model with given weights; the caller's random generator stays untouched."""
    with torch.random.fork_rng(devices=[]):
        plain = DecoderOnly(shape)
    return plain.load_weights(weights).eval()
