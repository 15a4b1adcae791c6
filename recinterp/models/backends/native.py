"""Hooked models with given weights: built, and their shapes and weights read back.

    model = build_hooked(shape, weights)     # TransformerLens's own, or a HookedEncoderDecoder
    read_shape(model) == shape
    read_weights(model, shape)           # the weights, under the classic names

Plain torch runs the weights of every model built or read here; `logits_agree` checks that it
computes the model's logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from recinterp.errors import CheckpointError, NonFiniteWeightsError
from recinterp.models.architectures.decoder_only import DecoderOnly, decoder_with_weights
from recinterp.models.architectures.encoder_decoder import (
    EncoderDecoder,
    encoder_decoder_with_weights,
)
from recinterp.models.architectures.shape import ACTIVATIONS, NORMS, Shape
from recinterp.models.backends import hooked_encoder_decoder
from recinterp.models.backends import transformer_lens as backend

PARAMETERS = {
    "attn": ("W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O", "b_O"),
    "mlp": ("W_in", "b_in", "W_out", "b_out"),
}


def build_hooked(shape: Shape, weights: Mapping[str, Tensor]) -> nn.Module:
    """Build a hooked model, in evaluation mode, and check its logits against plain torch.

    Args:
        shape: Sizes and architecture.
        weights: Weights under the classic names.

    Raises:
        CheckpointError: The installed TransformerLens computes other logits, or has no place for
            one of the weights.
    """
    if shape.kind == "encoder-decoder":
        model = hooked_encoder_decoder.build_hooked_encoder_decoder(shape, weights)
    else:
        model = backend.build_empty(shape)
        _load_weights(model, shape, weights)
    model.eval()
    if not logits_agree(model, build_plain(shape, weights)):
        raise CheckpointError(
            "build a hooked model",
            f"the model that {backend.describe_version()} builds computes other logits",
            "install another version of transformer-lens",
        )
    return model


def _load_weights(model: nn.Module, shape: Shape, weights: Mapping[str, Tensor]) -> None:
    named = dict(weights)
    if shape.positions == "none":  # neither backend knows it; positions that add nothing are none
        named["pos_embed.W_pos"] = torch.zeros(shape.n_ctx, shape.d_model)
    if backend.has_bridge():
        named = to_bridge_weights(named)
        if bool(weights["unembed.b_U"].any()):
            raise CheckpointError(
                "build a hooked model",
                "the checkpoint has an unembedding bias and a TransformerBridge has none",
                "install transformer-lens 3.9",
            )
    state = model.state_dict()  # with the buffers that no checkpoint holds, such as masks
    model.load_state_dict(state | {k: v for k, v in named.items() if k in state}, strict=True)


def to_bridge_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights from the classic names to a native bridge's names and layouts."""
    out = {"embed.weight": weights["embed.W_E"], "unembed.weight": weights["unembed.W_U"].T}
    if "pos_embed.W_pos" in weights:
        out["pos_embed.weight"] = weights["pos_embed.W_pos"]
    for name, tensor in weights.items():
        place, _, kind = name.rpartition(".")
        long = "weight" if kind[0] in "Ww" else "bias"
        if kind in ("w", "b"):
            out[f"{place}.{long}"] = tensor
        elif kind[2:] in ("Q", "K", "V"):  # (head, d_model, d_head) -> (head * d_head, d_model)
            flat = tensor.transpose(1, 2).flatten(0, 1) if long == "weight" else tensor.flatten()
            out[f"{place}.{kind[2:].lower()}.{long}"] = flat
        elif kind[2:] in ("O", "in", "out"):  # (..., d_out) -> (d_out, ...)
            flat = tensor.flatten(0, -2).T if long == "weight" else tensor
            out[f"{place}.{kind[2:].lower()}.{long}"] = flat
    return out


def read_shape(model: nn.Module) -> Shape | None:
    """Read the sizes off a hooked model's `cfg`; None where plain torch cannot compute the same."""
    known = getattr(getattr(model, "cfg", None), "shape", None)
    if isinstance(known, Shape):
        return known
    cfg = getattr(model, "cfg", None)
    if hasattr(cfg, "layer_counts") or hasattr(cfg, "is_own_module"):
        return None
    settings = vars(model.cfg) if hasattr(model, "cfg") else {}
    norm = settings.get("normalization_type") or "none"
    act = settings.get("act_fn") or "relu"
    positions = _read_positions(model, settings)
    if not settings or norm not in NORMS or act not in ACTIVATIONS or positions is None:
        return None
    cfg = backend.get_config(model)
    if settings.get("n_key_value_heads") not in (None, cfg.n_heads):
        return None
    d_mlp = settings.get("d_mlp") or 4 * cfg.d_model
    return Shape(
        n_layers=cfg.n_layers,
        n_heads=cfg.n_heads,
        d_model=cfg.d_model,
        d_head=cfg.d_head,
        d_mlp=d_mlp,
        n_ctx=cfg.n_ctx,
        d_vocab=cfg.d_vocab,
        act=act,
        norm=norm,
        eps=settings.get("eps", 1e-5),
        attn_only=bool(settings.get("attn_only")),
        positions=positions,
    )


def _read_positions(model: nn.Module, settings: Mapping[str, object]) -> str | None:
    """Name the positions of a model's `cfg` as Shape does; None for any other kind."""
    match settings.get("positional_embedding_type") or "standard":
        case "standard":
            table = getattr(model, "W_pos", None)
            empty = isinstance(table, Tensor) and not bool(table.any())
            return "none" if empty else "learned"
        case "rotary":
            # Features are paired, and turned, in several ways: `logits_agree` finds ours.
            whole = settings.get("rotary_dim") in (None, settings.get("d_head"))
            return "rotary" if whole else None
    return None


def read_weights(model: nn.Module, shape: Shape) -> dict[str, Tensor]:
    """Read a hooked model's weights under the classic names.

    Raises:
        AttributeError: A part is missing.
    """
    if shape.kind == "encoder-decoder":
        return {name: parameter.detach() for name, parameter in model.named_parameters()}
    places = {"embed": ("W_E",), "unembed": ("W_U", "b_U")}
    if shape.positions == "learned":
        places["pos_embed"] = ("W_pos",)
    norms = ["ln_final"]
    for layer in range(shape.n_layers):
        norms += [f"blocks.{layer}.ln1"] + [f"blocks.{layer}.ln2"] * (not shape.attn_only)
        places[f"blocks.{layer}.attn"] = PARAMETERS["attn"]
        if not shape.attn_only:
            places[f"blocks.{layer}.mlp"] = PARAMETERS["mlp"]
    if shape.norm == "LN":
        places |= dict.fromkeys(norms, ("w", "b"))
    # Some bridges answer only on the model for the embeddings, so those are read there.
    return {
        f"{place}.{name}": cast(
            Tensor, getattr(model if "embed" in place else model.get_submodule(place), name)
        ).detach()
        for place, names in places.items()
        for name in names
    }


def build_plain(shape: Shape, weights: Mapping[str, Tensor]) -> DecoderOnly | EncoderDecoder:
    """Build a plain torch model with given weights under the classic names."""
    if shape.kind == "encoder-decoder":
        return encoder_decoder_with_weights(shape, weights)
    return decoder_with_weights(shape, weights)


@torch.no_grad()
def logits_agree(
    model: nn.Module, plain: DecoderOnly | EncoderDecoder, *, tolerance: float = 1e-4
) -> bool:
    """Whether plain torch gives the model's own logits, on a fixed batch of random ids.

    Args:
        model: The hooked model.
        plain: The plain torch model.
        tolerance: Largest difference, as a share of the largest logit (at least 1). Two float32
            forwards of one model differ by about 1e-6.
    """
    shape = plain.shape
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(0, shape.d_vocab, (4, min(shape.n_ctx, 48)), generator=draw)
    if shape.start is not None:  # the decoders' parts begin at different places
        ids[ids == shape.start] = (shape.start + 1) % shape.d_vocab
        ids[torch.arange(4), torch.arange(4) * (ids.shape[1] - 1) // 3] = shape.start
    ids = ids.to(next(model.parameters()).device)
    theirs, ours = model(ids), plain(ids)
    if theirs.shape != ours.shape:
        return False
    scale = max(1.0, float(theirs.abs().max()))
    return bool((theirs - ours).abs().max() <= tolerance * scale)


def check_finite(tensors: Mapping[str, Tensor], *, operation: str) -> None:
    """Raise NonFiniteWeightsError, naming the first weight that is NaN or infinite."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise NonFiniteWeightsError(
                operation, f"{name} holds NaN or infinite numbers", "use finite weights"
            )
