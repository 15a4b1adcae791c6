"""An encoder-decoder whose every attention pattern can be edited, on TransformerLens's hooks.

    model(ids)     # ids: input, BOS, output in one row -> logits (batch, pos, vocab)

TransformerLens 3.9 builds encoder-decoders without initial weights, 4.x wraps others' and discards
edits of their patterns; so this one is our own. Names are those of `HookedEncoderDecoder`:
`encoder.0.attn.hook_pattern`, `decoder.1.cross_attn.hook_z`, …

Both halves share one layout, that of a decoder-only model: a row is what the encoder reads, then
what the decoder writes, which begins at the first BOS. An activation of either has a place for
every position of the row; at those that are not its own it is zero and an edit there means nothing.
So a row of 3 input tokens has its decoder's query after two outputs at position 5, and its
cross-attention's pattern is (batch, head, pos, pos) with weight at keys 0 to 2 only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recinterp.models.architectures.shape import ACTIVATIONS, Shape
from recinterp.models.backends.transformer_lens import get_hook_classes


def build_hook_point() -> nn.Module:
    """A new hook point of TransformerLens: the identity, with hooks."""
    return get_hook_classes()[1]()


@dataclass
class EncoderDecoderConfig:
    """The `cfg` of a hooked encoder-decoder: the sizes of its shape, layers of both halves added.

    Attributes:
        shape: Sizes and choices of the model.
        is_encoder_decoder: Always true.
        device: Name of the device that the model is built on.
    """

    shape: Shape
    is_encoder_decoder: bool = True
    device: str = "cpu"

    @property
    def layer_counts(self) -> tuple[int, int]:
        """Encoder layers and decoder layers."""
        return self.shape.n_layers, self.shape.n_layers

    @property
    def n_layers(self) -> int:
        """Layers of both halves."""
        return sum(self.layer_counts)

    def __getattr__(self, name: str) -> object:
        if name.startswith("_") or name == "shape":  # while it is being unpickled it has no shape
            raise AttributeError(name)
        return getattr(self.shape, name)


class HookedWeights(nn.Module):
    """Parameters under their classic names, filled from a checkpoint."""

    W_E: Tensor
    W_pos: Tensor
    W_U: Tensor

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, size in shapes.items():
            setattr(self, name, nn.Parameter(torch.zeros(size)))


class HookedNorm(HookedWeights):
    """LayerNorm with or without gain and bias, or nothing."""

    w: Tensor
    b: Tensor

    def __init__(self, shape: Shape) -> None:
        width = (shape.d_model,)
        super().__init__(**({"w": width, "b": width} if shape.norm == "LN" else {}))
        self.kind, self.eps = shape.norm, shape.eps
        if self.kind != "none":
            self.hook_scale, self.hook_normalized = build_hook_point(), build_hook_point()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Norm the residual stream."""
        if self.kind == "none":
            return x
        x = x - x.mean(-1, keepdim=True)
        x = x / self.hook_scale((x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt())
        return self.hook_normalized(x * self.w + self.b if self.kind == "LN" else x)


class HookedAttention(HookedWeights):
    """Attention of any queries to any keys: `mask` is true where a query may attend to a key."""

    W_Q: Tensor
    b_Q: Tensor
    W_K: Tensor
    b_K: Tensor
    W_V: Tensor
    b_V: Tensor
    W_O: Tensor
    b_O: Tensor

    def __init__(self, shape: Shape) -> None:
        heads, d_model, d_head = shape.n_heads, shape.d_model, shape.d_head
        into, bias = (heads, d_model, d_head), (heads, d_head)
        sizes = {"W_Q": into, "W_K": into, "W_V": into, "b_Q": bias, "b_K": bias, "b_V": bias}
        super().__init__(**sizes, W_O=(heads, d_head, d_model), b_O=(d_model,))
        self.hook_q, self.hook_k = build_hook_point(), build_hook_point()
        self.hook_v = build_hook_point()
        self.hook_attn_scores, self.hook_pattern = build_hook_point(), build_hook_point()
        self.hook_z = build_hook_point()

    def forward(
        self,
        queried_from: Float[Tensor, "batch pos d_model"],
        attended_to: Float[Tensor, "batch pos d_model"],
        mask: Bool[Tensor, "batch pos pos"],
    ) -> Float[Tensor, "batch pos d_model"]:
        """What the heads write; zero where a query may attend to nothing."""
        q = self.hook_q(torch.einsum("bpd,hde->bphe", queried_from, self.W_Q) + self.b_Q)
        k = self.hook_k(torch.einsum("bpd,hde->bphe", attended_to, self.W_K) + self.b_K)
        v = self.hook_v(torch.einsum("bpd,hde->bphe", attended_to, self.W_V) + self.b_V)
        v = v * mask.any(1)[:, :, None, None]  # a forced pattern finds nothing where nothing is
        scores = torch.einsum("bqhe,bkhe->bhqk", q, k) / q.shape[-1] ** 0.5
        scores = self.hook_attn_scores(scores.masked_fill(~mask[:, None], -torch.inf))
        pattern = self.hook_pattern(scores.softmax(-1).masked_fill(~mask[:, None], 0.0))
        z = self.hook_z(torch.einsum("bhqk,bkhe->bqhe", pattern, v))
        return torch.einsum("bphe,hed->bpd", z, self.W_O) + self.b_O


class HookedMLP(HookedWeights):
    """Two linear layers with an activation function in between."""

    W_in: Tensor
    b_in: Tensor
    W_out: Tensor
    b_out: Tensor

    def __init__(self, shape: Shape) -> None:
        d_model, d_mlp = shape.d_model, shape.d_mlp
        super().__init__(
            W_in=(d_model, d_mlp), b_in=(d_mlp,), W_out=(d_mlp, d_model), b_out=(d_model,)
        )
        self.hook_pre, self.hook_post = build_hook_point(), build_hook_point()
        self.act = ACTIVATIONS[shape.act]

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """What the MLP adds to the residual stream."""
        hidden = self.hook_post(self.act(self.hook_pre(x @ self.W_in + self.b_in)))
        return hidden @ self.W_out + self.b_out


class HalfMasks:
    """Which positions of a row belong to the encoder and which to the decoder."""

    def __init__(self, ids: Int[Tensor, "batch pos"], start: int) -> None:
        place = torch.arange(ids.shape[1], device=ids.device)
        self.starts = (ids == start).long().argmax(1, keepdim=True)
        self.in_decoder = ((ids == start).cumsum(1) > 0)[..., None]
        self.in_encoder = ~self.in_decoder
        # Each half counts its own positions from 0.
        self.positions = torch.where(self.in_decoder[..., 0], place - self.starts, place)
        causal = place[:, None] >= place
        self.encoder_mask = self.in_encoder & self.in_encoder.mT
        self.decoder_mask = self.in_decoder & self.in_decoder.mT & causal
        self.cross_mask = self.in_decoder & self.in_encoder.mT


class HookedEncoderLayer(nn.Module):
    """Attention both ways over the input, then the MLP."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.ln1, self.attn = HookedNorm(shape), HookedAttention(shape)
        self.hook_resid_pre, self.hook_attn_out = build_hook_point(), build_hook_point()
        self.hook_resid_post = build_hook_point()
        self.attn_only = shape.attn_only
        if not shape.attn_only:
            self.ln2, self.mlp = HookedNorm(shape), HookedMLP(shape)
            self.hook_resid_mid, self.hook_mlp_out = build_hook_point(), build_hook_point()

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], masks: HalfMasks
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the layer; the decoder's positions stay as they are."""
        x, own = self.hook_resid_pre(x), masks.in_encoder
        normed = self.ln1(x)
        x = x + own * self.hook_attn_out(own * self.attn(normed, normed, masks.encoder_mask))
        if not self.attn_only:
            x = self.hook_resid_mid(x)
            x = x + own * self.hook_mlp_out(own * self.mlp(self.ln2(x)))
        return self.hook_resid_post(x)


class HookedDecoderLayer(nn.Module):
    """Causal attention over the output, attention to the encoder's output, then the MLP."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.ln1, self.attn = HookedNorm(shape), HookedAttention(shape)
        self.ln2, self.cross_attn = HookedNorm(shape), HookedAttention(shape)
        self.hook_resid_pre, self.hook_attn_out = build_hook_point(), build_hook_point()
        self.hook_resid_mid, self.hook_cross_attn_out = build_hook_point(), build_hook_point()
        self.hook_resid_post = build_hook_point()
        self.attn_only = shape.attn_only
        if not shape.attn_only:
            self.ln3, self.mlp = HookedNorm(shape), HookedMLP(shape)
            self.hook_resid_mid_cross, self.hook_mlp_out = build_hook_point(), build_hook_point()

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], masks: HalfMasks, final: HookedNorm
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after the layer; `final` norms the encoder's output."""
        x, own = self.hook_resid_pre(x), masks.in_decoder
        normed = self.ln1(x)
        x = x + own * self.hook_attn_out(own * self.attn(normed, normed, masks.decoder_mask))
        x = self.hook_resid_mid(x)
        crossed = self.cross_attn(self.ln2(x), final(x), masks.cross_mask)
        x = x + own * self.hook_cross_attn_out(own * crossed)
        if not self.attn_only:
            x = self.hook_resid_mid_cross(x)
            x = x + own * self.hook_mlp_out(own * self.mlp(self.ln3(x)))
        return self.hook_resid_post(x)


class EncoderDecoderNetwork(nn.Module):
    """Encoder and decoder of `shape.n_layers` each; weights as in a checkpoint."""

    def __init__(self, shape: Shape, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.cfg = EncoderDecoderConfig(shape)
        self.embed = HookedWeights(W_E=(shape.d_vocab, shape.d_model))
        self.hook_embed, self.hook_pos_embed = build_hook_point(), build_hook_point()
        if shape.positions == "learned":
            self.encoder_pos_embed = HookedWeights(W_pos=(shape.n_ctx, shape.d_model))
            self.decoder_pos_embed = HookedWeights(W_pos=(shape.n_ctx, shape.d_model))
        self.encoder = nn.ModuleList(HookedEncoderLayer(shape) for _ in range(shape.n_layers))
        self.encoder_final_ln = HookedNorm(shape)
        self.decoder = nn.ModuleList(HookedDecoderLayer(shape) for _ in range(shape.n_layers))
        self.decoder_final_ln = HookedNorm(shape)
        self.unembed = HookedWeights(W_U=(shape.d_model, shape.d_vocab))
        self.load_state_dict(dict(weights), strict=True)

    def forward(self, ids: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos vocab"]:
        """Logits of the decoder's next token; zero at the positions of the input."""
        assert self.cfg.shape.start is not None
        masks = HalfMasks(ids, self.cfg.shape.start)
        x = self.hook_embed(self.embed.W_E[ids])
        if self.cfg.shape.positions == "learned":
            x = x + self.hook_pos_embed(self._embed_positions(masks))
        for layer in self.encoder:
            x = layer(x, masks)
        for layer in self.decoder:
            x = layer(x, masks, self.encoder_final_ln)
        return (masks.in_decoder * self.decoder_final_ln(x)) @ self.unembed.W_U

    def _embed_positions(self, masks: HalfMasks) -> Float[Tensor, "batch pos d_model"]:
        read, written = self.encoder_pos_embed.W_pos, self.decoder_pos_embed.W_pos
        return torch.where(masks.in_decoder, written[masks.positions], read[masks.positions])


@cache
def get_hooked_class() -> type[nn.Module]:
    """`HookedEncoderDecoder`: the network with the methods of TransformerLens's HookedRootModule.

    Built at first use, because the base class is TransformerLens's and importing this library
    does not load it.
    """
    bases = (EncoderDecoderNetwork, get_hook_classes()[0])
    members = {"__module__": __name__, "__doc__": EncoderDecoderNetwork.__doc__}
    return type("HookedEncoderDecoder", bases, members)


def __getattr__(name: str) -> type[nn.Module]:
    """Let pickle find the class by its name."""
    if name == "HookedEncoderDecoder":
        return get_hooked_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def build_hooked_encoder_decoder(shape: Shape, weights: Mapping[str, Tensor]) -> nn.Module:
    """Build a HookedEncoderDecoder with given weights."""
    model = get_hooked_class()(shape, weights)
    cast(Callable[[], None], model.setup)()
    return model
