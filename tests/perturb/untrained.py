"""Prompts, shapes and untrained models that the tests of interventions share."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import nn

import recinterp as ri
from recinterp.models import Adapter
from recinterp.models.architectures.decoder_only import DecoderOnly
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends.native import build_hooked
from recinterp.models.backends.transformer_lens import has_bridge
from recinterp.perturb.lowering.lower import lower_to_hooks
from recinterp.perturb.plan import Plan
from recinterp.perturb.positions import PromptBatch
from tests.models.tiny import random_weights

TASK = ri.task("binary-successor", order="natural")
SHORT, LONG = TASK.sample(4, seed=1, length=5), TASK.sample(4, seed=2, length=9)
INPUT = tuple(map(tuple, SHORT + LONG))
SOURCE = tuple(map(tuple, SHORT[::-1] + LONG[::-1]))
PREFIX = ((), ("X0",)) * 4
DECODER_SHAPES = {
    "LN, gelu": Shape(3, 4, 32, 8, 64, 24, 8, act="gelu", norm="LN"),
    "LNPre, no MLP": Shape(3, 4, 32, 8, 64, 24, 8, act="relu", norm="LNPre", attn_only=True),
    "rotary": Shape(3, 4, 32, 8, 64, 24, 8, act="gelu_new", norm="LNPre", positions="rotary"),
    "no positions": Shape(3, 4, 32, 8, 64, 24, 8, act="silu", norm="LN", positions="none"),
}
ENCODER_DECODER = Shape(
    2, 4, 32, 8, 64, 24, 7, act="gelu", kind="encoder-decoder", start=TASK.ids["BOS"]
)
ENCODER_DECODER_SHAPES = {
    "LN, gelu": ENCODER_DECODER,
    "LNPre, no MLP": replace(ENCODER_DECODER, norm="LNPre", attn_only=True),
    "no norm, no positions": replace(ENCODER_DECODER, norm="none", positions="none", act="relu"),
}


def random_model(shape: Shape) -> nn.Module:
    """A decoder-only hooked model with the random weights of one fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build_hooked(shape, DecoderOnly(shape).export_weights())


def through_hooks(adapter: Adapter, rows: PromptBatch, plan: Plan) -> torch.Tensor:
    """Logits at the prediction position under a plan, by hooks: Float[Tensor, "batch d_vocab"]."""
    hooks = lower_to_hooks(adapter, TASK, rows, plan)
    return adapter.run_with_hooks(rows.ids, hooks)[torch.arange(len(rows)), rows.prediction]


def rotary(*, gated: bool, turned: int) -> nn.Module:
    """Settings that no checkpoint of ours has, as the installed TransformerLens takes them."""
    settings: dict[str, Any] = {
        "n_layers": 2, "n_heads": 4, "d_model": 32, "d_head": 8, "d_mlp": 64, "n_ctx": 24,
        "d_vocab": 8, "act_fn": "silu", "normalization_type": "RMS", "gated_mlp": gated,
        "positional_embedding_type": "rotary", "rotary_dim": turned,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _built(settings)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0.2, 0.3)
        return model.eval()


def _built(settings: dict[str, Any]) -> nn.Module:
    if has_bridge():
        import transformer_lens.model_bridge.sources  # noqa: F401
        from transformer_lens.config import TransformerBridgeConfig
        from transformer_lens.model_bridge import TransformerBridge

        return TransformerBridge.boot_native(TransformerBridgeConfig(**settings))
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return HookedTransformer(HookedTransformerConfig(**settings))


def random_pair(shape: Shape) -> Adapter:
    """An encoder-decoder with random weights and the task."""
    return Adapter(build_hooked(shape, random_weights(shape)), TASK)
