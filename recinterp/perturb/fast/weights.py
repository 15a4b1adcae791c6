"""The weights of a hooked model, read once in the layout that runs fastest, or why they cannot be.

    read_weights(adapter)  # FastWeights, or why the fast backend cannot run the model

What is understood: pre-norm decoders with learned, rotary or no positions, LN / RMS (with or
without gain) / none, a plain or gated MLP or none, grouped keys; and the encoder-decoders of
models/architectures/encoder_decoder.py. `support.py` measures whether they were read correctly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from recinterp.models.architectures import shape as architectures
from recinterp.models.backends import native

if TYPE_CHECKING:
    from recinterp.models import Adapter


def gelu_tanh(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """GELU by the tanh approximation, x sigmoid(2 y); on a CPU twice as fast as F.gelu."""
    if x.device.type != "cpu" or x.requires_grad:
        return F.gelu(x, approximate="tanh")
    slope = 2 * (2 / math.pi) ** 0.5
    return (
        torch.addcmul(x.new_tensor(slope), x, x, value=slope * 0.044715).mul_(x).sigmoid_().mul_(x)
    )


ACTIVATIONS = architectures.ACTIVATIONS | dict.fromkeys(
    ("gelu_new", "gelu_fast", "gelu_pytorch_tanh"), gelu_tanh
)


@dataclass(frozen=True, eq=False)
class NormLayer:
    """A norm over the last axis.

    Attributes:
        kind: "LN", "RMS" or "none".
        eps: Added to the variance.
        gain: Factor of the result; None for 1.
        bias: Added to the result; None for 0.
    """

    kind: str
    eps: float
    gain: Float[Tensor, " d_model"] | None = None
    bias: Float[Tensor, " d_model"] | None = None

    def __call__(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        if self.kind == "none":
            return x
        if self.kind == "LN":
            return F.layer_norm(x, x.shape[-1:], self.gain, self.bias, self.eps)
        return F.rms_norm(x, x.shape[-1:], self.gain, self.eps)


@dataclass(frozen=True, eq=False)
class Rotary:
    """Rotary positions: rotates queries and keys by their position.

    Attributes:
        cos: Cosine of the angles, over the rotated part of a head.
        sin: Sine of the angles.
        adjacent: Whether neighbouring numbers of a head rotate together; else its two halves do.
    """

    cos: Float[Tensor, "pos rotary"]
    sin: Float[Tensor, "pos rotary"]
    adjacent: bool

    def __call__(
        self, x: Float[Tensor, "... pos head d_head"], pos: Int[Tensor, "..."]
    ) -> Float[Tensor, "... pos head d_head"]:
        """Rotate heads at some absolute positions."""
        width = self.cos.shape[-1]
        turn, rest = x[..., :width], x[..., width:]
        if self.adjacent:
            half = torch.stack((-turn[..., 1::2], turn[..., 0::2]), -1).flatten(-2)
        else:
            half = torch.cat((-turn[..., width // 2 :], turn[..., : width // 2]), -1)
        cos, sin = self.cos[pos][..., None, :], self.sin[pos][..., None, :]
        return torch.cat((turn * cos + half * sin, rest), -1)


@dataclass(frozen=True, eq=False)
class Block:
    """One layer: matrices as (out, in), heads side by side.

    Attributes:
        kind: L, E, D or X; see `masks.py`.
        norm1: Norm before the attention.
        qkv: Query, key and value matrices.
        qkv_bias: Their biases.
        out: Output matrix of the heads.
        out_bias: Its bias.
        norm2: Norm before the MLP; None without an MLP.
        up: Input matrix of the MLP.
        up_bias: Its bias.
        gate: Gate matrix of a gated MLP.
        down: Output matrix of the MLP.
        down_bias: Its bias.
        cross_norm: Norm of what a cross-attention reads, which is not its own stream.
        gated_bias: Added after the gate.
    """

    kind: str
    norm1: NormLayer
    qkv: Float[Tensor, "3_d_z d_model"]
    qkv_bias: Float[Tensor, " 3_d_z"]
    out: Float[Tensor, "d_model d_z"]
    out_bias: Float[Tensor, " d_model"] | None
    norm2: NormLayer | None = None
    up: Float[Tensor, "d_mlp d_model"] | None = None
    up_bias: Float[Tensor, " d_mlp"] | None = None
    gate: Float[Tensor, "d_mlp d_model"] | None = None
    down: Float[Tensor, "d_model d_mlp"] | None = None
    down_bias: Float[Tensor, " d_model"] | None = None
    cross_norm: NormLayer | None = None
    gated_bias: Float[Tensor, " d_mlp"] | None = None

    def part(
        self,
        norm: NormLayer,
        x: Float[Tensor, "... d_model"],
        start: int,
        stop: int,
        d_head: int,
    ) -> Float[Tensor, "... part head d_head"]:
        """Queries (start 0, stop 1), keys and values (1, 3), or all (0, 3)."""
        size = len(self.qkv) // 3
        rows = slice(start * size, stop * size)
        matrix, bias, flat = self.qkv[rows].T, self.qkv_bias[rows], x.reshape(-1, x.shape[-1])
        if x.requires_grad:
            made = torch.addmm(bias, norm(flat), matrix)
            return made.view(*x.shape[:-1], stop - start, size // d_head, d_head)
        made = flat.new_empty(len(flat), matrix.shape[1])
        for source, target in zip(slices(flat), slices(made), strict=True):
            torch.addmm(bias, norm(source), matrix, out=target)
        return made.view(*x.shape[:-1], stop - start, size // d_head, d_head)

    def mlp_preactivation(
        self, x: Float[Tensor, "... d_model"]
    ) -> tuple[Float[Tensor, "... d_mlp"], Float[Tensor, "... d_mlp"] | None]:
        """The MLP before its activation function, and its gate if it has one."""
        assert self.norm2 is not None
        assert self.up is not None
        h = self.norm2(x)
        gate = None if self.gate is None else F.linear(h, self.gate)
        return F.linear(h, self.up, self.up_bias), gate

    def hidden(
        self,
        up: Float[Tensor, "... d_mlp"],
        gate: Float[Tensor, "... d_mlp"] | None,
        act: Callable[[Tensor], Tensor],
    ) -> Float[Tensor, "... d_mlp"]:
        """The MLP after its activation function."""
        if gate is None:
            return act(up)
        made = act(gate) * up if up.requires_grad else act(gate).mul_(up)
        return made if self.gated_bias is None else made.add_(self.gated_bias)


def slices(x: Float[Tensor, "token ..."]) -> Sequence[Float[Tensor, "some ..."]]:
    """Some tokens at a time: on a CPU, what is computed from them stays in its caches."""
    size = 512 * torch.get_num_threads() if x.device.type == "cpu" else max(1, len(x))
    return [x[start : start + size] for start in range(0, len(x), size)]


def add_to(
    x: Float[Tensor, "token d_model"],
    read: Float[Tensor, "token d_in"],
    matrix: Float[Tensor, "d_model d_in"],
    bias: Float[Tensor, " d_model"] | None,
    own: Float[Tensor, "token 1"] | None,
) -> None:
    """Add matrix @ read + bias to `x` in place, times `own` if it is given."""
    if own is not None:
        x.add_(F.linear(read, matrix, bias).mul_(own))
        return
    if bias is not None:
        x.add_(bias)
    x.addmm_(read, matrix.T)


@dataclass(frozen=True, eq=False)
class FastWeights:
    """A model in plain tensors.

    Attributes:
        n_heads: Heads per layer.
        d_head: Width of a head.
        scale: Factor of the attention scores.
        act: Activation function of the MLPs.
        embed: Token embedding.
        positions: Position embedding; of an encoder-decoder, the encoder's. None without one.
        rotary: Rotary positions, if it has them.
        blocks: The layers.
        final: Norm before the unembedding.
        unembed: Unembedding.
        unembed_bias: Its bias.
        start: Id that the output of an encoder-decoder begins with; None for a decoder-only model.
        written: Position embedding of the decoder of an encoder-decoder.
    """

    n_heads: int
    d_head: int
    scale: float
    act: Callable[[Tensor], Tensor]
    embed: Float[Tensor, "vocab d_model"]
    positions: Float[Tensor, "pos d_model"] | None
    rotary: Rotary | None
    blocks: tuple[Block, ...]
    final: NormLayer
    unembed: Float[Tensor, "vocab d_model"]
    unembed_bias: Float[Tensor, " vocab"] | None
    start: int | None = None
    written: Float[Tensor, "pos d_model"] | None = None

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.embed.shape[1]


def read_weights(adapter: Adapter) -> list[FastWeights] | str:
    """The weights of a model in each possible reading, where a convention is open; or why not."""
    settings = _settings(adapter)
    wrong = _unsupported(settings)
    if wrong:
        return wrong
    try:
        blocks = tuple(
            _block(adapter, settings, place) for place in map(_block_names, adapter.block_names)
        )
        unembed = _part(adapter.model, "unembed", "W_U")
        bias = _maybe(adapter.model, "unembed", "b_U")
        embed = _part(adapter.model, "embed", "W_E")
        tables = [
            _part(adapter.model, table, "W_pos") if settings["positions"] == "standard" else None
            for table in settings["tables"]
        ]
        final = _norm(adapter.model, settings["final"], settings, bool(settings.get("final_rms")))
    except (AttributeError, KeyError, RuntimeError, NotImplementedError, TypeError) as error:
        return f"its weights have another layout ({type(error).__name__}: {error})"
    scale = float(settings.get("attn_scale") or -1.0)
    return [
        FastWeights(
            adapter.n_heads,
            adapter.d_head,
            1.0 / (scale if scale > 0 else adapter.d_head**0.5),
            ACTIVATIONS[settings["act"]],
            embed,
            tables[0],
            rotary,
            read_as,
            final,
            unembed.T.contiguous(),
            bias,
            settings.get("start"),
            tables[-1] if len(tables) > 1 else None,
        )
        for rotary in _rotaries(adapter, settings)
        for read_as in _biased(blocks)
    ]


def _biased(blocks: tuple[Block, ...]) -> list[tuple[Block, ...]]:
    """TransformerLens adds a gated MLP's b_in after the gate, its bridges before."""
    if not any(block.gate is not None and block.up_bias is not None for block in blocks):
        return [blocks]
    late = tuple(replace(block, up_bias=None, gated_bias=block.up_bias) for block in blocks)
    return [blocks, late]


def _settings(adapter: Adapter) -> dict[str, Any]:
    shape = native.read_shape(adapter.model)
    if shape is not None and shape.kind == "encoder-decoder":
        settings = vars(shape) | {"act_fn": shape.act, "normalization_type": shape.norm}
        settings |= {
            "positional_embedding_type": {"learned": "standard"}.get(
                shape.positions, shape.positions
            )
        }
        settings |= {
            "tables": ("encoder_pos_embed", "decoder_pos_embed"),
            "final": "decoder_final_ln",
        }
    else:
        settings = vars(cast(Any, adapter.model).cfg) | {
            "tables": ("pos_embed",),
            "final": "ln_final",
        }
    settings["norm"] = (settings.get("normalization_type") or "none").removesuffix("Pre")
    settings["act"] = str(settings.get("act_fn") or "relu")
    settings["positions"] = settings.get("positional_embedding_type") or "standard"
    return settings


def _unsupported(settings: dict[str, Any]) -> str:
    if settings["norm"] not in ("LN", "RMS", "none"):
        return f"its norm is {settings['norm']}"
    if not settings.get("attn_only") and settings["act"] not in ACTIVATIONS:
        return f"its activation is {settings['act']}"
    if settings["positions"] not in ("standard", "rotary", "none"):
        return f"its positions are {settings['positions']}"
    for flag in ("attn_scores_soft_cap", "output_logits_soft_cap"):
        if (settings.get(flag) or 0) > 0:
            return f"it has {flag}"
    for flag in ("parallel_attn_mlp", "use_local_attn", "use_normalization_before_and_after"):
        if settings.get(flag):
            return f"it has {flag}"
    return ""


def _part(model: nn.Module, place: str, name: str) -> Tensor:
    # Some bridges answer only on the model for the embeddings, so those are read there.
    holder = model if "embed" in place and hasattr(model, name) else model.get_submodule(place)
    return cast(Tensor, getattr(holder, name)).detach()


def _maybe(model: nn.Module, place: str, name: str) -> Tensor | None:
    try:
        value = _part(model, place, name)
    except (AttributeError, NotImplementedError):
        return None
    return value if isinstance(value, Tensor) else None


def _norm(model: nn.Module, place: str, settings: dict[str, Any], rms: bool = False) -> NormLayer:
    kind = "RMS" if rms else settings["norm"]
    eps = float(settings.get("eps") or 1e-5)
    if kind == "none":
        return NormLayer("none", eps)
    gain, bias = (_first(model, place, names) for names in (("w", "weight"), ("b", "bias")))
    return NormLayer(kind, eps, gain, bias if kind == "LN" else None)


def _first(model: nn.Module, place: str, names: Sequence[str]) -> Tensor | None:
    found = (_maybe(model, place, name) for name in names)
    return next((value for value in found if value is not None), None)


@dataclass(frozen=True)
class _BlockNames:
    """Where a block's parts are: attention, its norm, the MLP and its norm; D has no MLP."""

    kind: str
    attention: str
    norm1: str
    norm2: str | None
    mlp: str


def _block_names(block: str) -> _BlockNames:
    """The place of a block by its name: L0, E0, D0, X0."""
    kind, layer = block[0], block[1:]
    half = {"L": "blocks", "E": "encoder"}.get(kind, "decoder") + f".{layer}"
    attention = f"{half}.{'cross_attn' if kind == 'X' else 'attn'}"
    norms = {"D": ("ln1", None), "X": ("ln2", "ln3")}.get(kind, ("ln1", "ln2"))
    norm2 = norms[1] and f"{half}.{norms[1]}"
    return _BlockNames(kind, attention, f"{half}.{norms[0]}", norm2, f"{half}.mlp")


def _block(adapter: Adapter, settings: dict[str, Any], place: _BlockNames) -> Block:
    model = adapter.model
    parts = [_heads(adapter, place.attention, f"W_{x}") for x in "QKV"]
    biases = [_bias(adapter, place.attention, f"b_{x}", parts[0]) for x in "QKV"]
    attention = Block(
        place.kind,
        _norm(model, place.norm1, settings),
        torch.cat([w.transpose(1, 2).flatten(0, 1) for w in parts]).contiguous(),
        torch.cat([b.flatten() for b in biases]).contiguous(),
        _part(model, place.attention, "W_O").flatten(0, -2).T.contiguous(),
        _maybe(model, place.attention, "b_O"),
        cross_norm=_norm(model, "encoder_final_ln", settings) if place.kind == "X" else None,
    )
    if settings.get("attn_only") or place.norm2 is None:
        return attention
    gate = _maybe(model, place.mlp, "W_gate") if settings.get("gated_mlp") else None
    if settings.get("gated_mlp") and gate is None:
        raise AttributeError("mlp.W_gate")
    return replace(
        attention,
        norm2=_norm(model, place.norm2, settings),
        up=_part(model, place.mlp, "W_in").T.contiguous(),
        up_bias=_maybe(model, place.mlp, "b_in"),
        gate=None if gate is None else gate.T.contiguous(),
        down=_part(model, place.mlp, "W_out").T.contiguous(),
        down_bias=_maybe(model, place.mlp, "b_out"),
    )


def _heads(adapter: Adapter, place: str, name: str) -> Float[Tensor, "head d_model d_head"]:
    """A matrix of the heads; grouped keys and values are repeated for the heads that share them."""
    value = _part(adapter.model, place, name)
    if value.shape[0] != adapter.n_heads:
        value = value.repeat_interleave(adapter.n_heads // value.shape[0], 0)
    return value


def _bias(adapter: Adapter, place: str, name: str, like: Tensor) -> Float[Tensor, "head d_head"]:
    value = _maybe(adapter.model, place, name)
    if value is None:
        return like.new_zeros(adapter.n_heads, adapter.d_head)
    value = value.reshape(-1, adapter.d_head)
    return value.repeat_interleave(adapter.n_heads // value.shape[0], 0)


def _rotaries(adapter: Adapter, settings: dict[str, Any]) -> list[Rotary | None]:
    if settings["positions"] != "rotary":
        return [None]
    width = int(settings.get("rotary_dim") or adapter.d_head)
    base = float(settings.get("rotary_base") or 10000.0)
    turn = 1.0 / base ** (torch.arange(0, width, 2, device=adapter.device).float() / width)
    angles = torch.arange(adapter.n_ctx, device=adapter.device).float()[:, None] * turn
    # Which numbers of a head turn together differs between libraries; the model itself decides.
    pairs, halves = angles.repeat_interleave(2, -1), torch.cat((angles, angles), -1)
    return [Rotary(pairs.cos(), pairs.sin(), True), Rotary(halves.cos(), halves.sin(), False)]
