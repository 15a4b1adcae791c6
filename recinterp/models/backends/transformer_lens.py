"""Facts about the installed TransformerLens: the only file that imports it.

TransformerLens 4 has `TransformerBridge.boot_native`, 3.9 is the last with `HookedTransformer`.
Both are imported late, so that importing this library costs nothing and works with either.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import version as _version_of
from typing import Protocol, cast

import torch
from torch import nn

from recinterp.models.architectures.shape import ROTARY_BASE, Shape


class HookedConfig(Protocol):
    """The sizes that every hooked model's `cfg` holds."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    n_ctx: int
    d_vocab: int


def get_config(model: nn.Module) -> HookedConfig:
    """A hooked model's `cfg`. Raises AttributeError if it has none."""
    return cast(HookedConfig, model.cfg)


def get_hook_classes() -> tuple[type[nn.Module], type[nn.Module]]:
    """The base class of hooked modules and the class of hook points, which every version has."""
    from transformer_lens import HookedRootModule
    from transformer_lens.hook_points import HookPoint

    return HookedRootModule, HookPoint


def build_bridge(model: nn.Module) -> nn.Module:
    """A TransformerBridge around a Hugging Face model, which it takes apart. 4.x only."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    # Fused attention would never show its patterns.
    cast(Callable[[str], None], model.set_attn_implementation)("eager")
    built = build_bridge_from_module(model, type(model).__name__, hf_config=model.config)
    return cast(nn.Module, built)


def has_user_hooks(points: Iterable[object]) -> bool:
    """Whether hook points have hooks that TransformerLens has not put there itself.

    A bridge around OPT, BERT or Marian wires some of its points by permanent hooks of its own.
    """
    attached = (hook for point in points for hook in getattr(point, "fwd_hooks", ()))
    wired = (getattr(getattr(hook, "user_hook", None), "__module__", "") or "" for hook in attached)
    return not all(module.startswith("transformer_lens.") for module in wired)


def describe_version() -> str:
    """Name and version of the installed TransformerLens."""
    return f"transformer-lens {_version_of('transformer-lens')}"


def has_bridge() -> bool:
    """Whether the installed TransformerLens builds `TransformerBridge` models (4.x)."""
    return int(_version_of("transformer-lens").split(".")[0]) >= 4


def _settings(shape: Shape) -> dict[str, object]:
    names = ("n_layers", "n_heads", "d_model", "d_head", "d_mlp", "n_ctx", "d_vocab", "eps")
    settings: dict[str, object] = {name: getattr(shape, name) for name in names}
    norm = None if shape.norm == "none" else shape.norm
    settings |= {"act_fn": shape.act, "normalization_type": norm, "attn_only": shape.attn_only}
    if shape.positions == "rotary":
        settings |= {"positional_embedding_type": "rotary", "rotary_dim": shape.d_head}
        settings |= {"rotary_base": ROTARY_BASE, "rotary_adjacent_pairs": True}
    return settings | {"device": "cpu", "init_weights": False}


def build_empty(shape: Shape) -> nn.Module:
    """A TransformerLens model of a shape, before its weights are put in."""
    if has_bridge():
        # Importing `sources` is what attaches boot_native.
        import transformer_lens.model_bridge.sources  # noqa: F401
        from transformer_lens.config import TransformerBridgeConfig
        from transformer_lens.model_bridge import TransformerBridge

        with torch.random.fork_rng(devices=[]):  # construction draws from the caller's generator
            bridge = TransformerBridge.boot_native(TransformerBridgeConfig(**_settings(shape)))
        return cast(nn.Module, bridge)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.9 announces 4.0 every time
        from transformer_lens import HookedTransformer, HookedTransformerConfig

        return cast(nn.Module, HookedTransformer(HookedTransformerConfig(**_settings(shape))))
