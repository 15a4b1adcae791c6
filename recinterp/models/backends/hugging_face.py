"""Hugging Face models: GPT-2 and its like, T5 and BART, from memory or from a local folder.

    wrap_model(GPT2LMHeadModel(config), split, operation="run a model")   # a TransformerBridge
    wrap_model(t5, split, operation="run a model")    # both halves in one row (split_rows.py)
    load_folder("models/mine")                        # config.json and model.safetensors

Hooks come from TransformerLens's bridge, which takes its model apart, so it is given a copy;
predictions are the original's own. Of T5 and BART the bridge discards edits of attention patterns
and scores; what it does take is found by proof of liveness, never assumed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from weakref import WeakKeyDictionary

from jaxtyping import Float, Int
from torch import Tensor, nn

from recinterp.errors import CheckpointError, IncompatibleModelError
from recinterp.models.backends import transformer_lens as backend
from recinterp.models.backends.split_rows import RowSplit, SplitRows

Edit = Callable[[Tensor, object], Tensor | None]


def is_hugging_face(model: object) -> bool:
    """Whether an object is a Hugging Face model; found without importing the library."""
    return any(c.__name__ == "PreTrainedModel" for c in type(model).__mro__)


def is_bridged_encoder_decoder(model: nn.Module) -> bool:
    """Whether a model is a TransformerBridge around an encoder-decoder."""
    return "encoder_blocks.0.hook_resid_pre" in getattr(model, "hook_dict", {})


def load_folder(path: Path) -> nn.Module:
    """Load the model in a local folder, without a network connection and without unpickling.

    Raises:
        CheckpointError: The folder holds no safetensors file, or no model of the library.
    """
    operation = f"load {path}"
    names = ("model.safetensors", "model.safetensors.index.json")
    if not any((path / name).exists() for name in names):
        hint = "model.save_pretrained(folder) writes one"
        raise CheckpointError(operation, f"{path.name} holds no {names[0]}", hint)
    try:
        import transformers

        settings = transformers.AutoConfig.from_pretrained(path, local_files_only=True)
        kind = getattr(transformers, (settings.architectures or [""])[0], None)
        if kind is None:
            raise ValueError(f"its config.json names the architecture {settings.architectures}")
        with _without_progress_bar():
            model = kind.from_pretrained(path, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        problem = f"it holds no Hugging Face model ({' '.join(str(error).split())[:160]})"
        hint = "use a folder with config.json and weights"
        raise CheckpointError(operation, problem, hint) from error
    return cast(nn.Module, model.eval())


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar on stderr for each load."""
    from transformers.utils import logging as untyped

    logging = cast(Any, untyped)
    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


@dataclass(frozen=True)
class _CachedBridge:
    state: tuple[tuple[int, int], ...]
    bridge: nn.Module


_cached_bridges: WeakKeyDictionary[nn.Module, _CachedBridge] = WeakKeyDictionary()


def wrap_model(model: nn.Module, split: RowSplit, *, operation: str) -> nn.Module:
    """Build a hooked model around a copy of a Hugging Face model.

    Args:
        model: The Hugging Face model. The hooked model is cached until its weights change.
        split: Where the rows of an encoder-decoder divide.
        operation: What the caller does, for the error.

    Raises:
        IncompatibleModelError: No hooked model can be built.
    """
    state = tuple((p.data_ptr(), p._version) for p in model.parameters())
    cached = _cached_bridges.get(model)
    if cached is None or cached.state != state:
        cached = _CachedBridge(state, _build_bridge(model, operation))
        _cached_bridges[model] = cached
    return join_halves(cached.bridge, split, original=model)


def _build_bridge(model: nn.Module, operation: str) -> nn.Module:
    if not backend.has_bridge():
        raise IncompatibleModelError(
            operation,
            f"{backend.describe_version()} wraps no Hugging Face model",
            "install transformer-lens 4 or later, or pass a function from inputs to outputs",
        )
    try:
        return backend.build_bridge(copy.deepcopy(model).eval())
    except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:120]
        problem = f"no bridge fits a {type(model).__name__} ({reason})"
        hint = "pass GPT-2, T5, BART and the like, or a function from inputs to outputs"
        raise IncompatibleModelError(operation, problem, hint) from error


def join_halves(bridge: nn.Module, split: RowSplit, original: nn.Module | None = None) -> nn.Module:
    """Return a bridge as it is; one of an encoder-decoder with both halves in one row."""
    if not is_bridged_encoder_decoder(bridge):
        return bridge
    cached: dict[RowSplit, BridgedEncoderDecoder] = bridge.__dict__.setdefault(
        "_recinterp_pairs", {}
    )
    if split not in cached:
        cached[split] = BridgedEncoderDecoder(bridge, split)
    cached[split].__dict__["original"] = original
    return cached[split]


def rewrap_model(model: nn.Module, original: nn.Module) -> nn.Module:
    """Build a hooked model around `original`, with rows that divide as those of `model`."""
    return wrap_model(original, cast(BridgedEncoderDecoder, model).split, operation="hook a model")


class BridgedEncoderDecoder(nn.Module):
    """A bridge's encoder-decoder that takes each input and output as one row.

    Hook points have the names that our own has: `encoder.0.attn.hook_z`, `decoder.0.cross_attn.…`.
    """

    def __init__(self, bridge: nn.Module, split: RowSplit) -> None:
        super().__init__()
        # Not a submodule: a bridge answers for attributes that it does not have.
        self.__dict__["bridge"], self.split = bridge, split
        self.weights = nn.ParameterList(bridge.parameters())
        self.cfg = _read_config(bridge)
        points = cast(Mapping[str, object], bridge.hook_dict)
        names = _match_hook_names(points, self.cfg.layer_counts)
        self.bridge_names = {ours: theirs for ours, theirs in names.items() if theirs in points}
        self.hook_dict = {ours: points[theirs] for ours, theirs in self.bridge_names.items()}

    def forward(self, ids: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos vocab"]:
        """Logits of the output; zero at the positions of the input."""
        return self.run_with_hooks(ids, ())

    def run_with_hooks(
        self, ids: Int[Tensor, "batch pos"], fwd_hooks: Sequence[tuple[str, Edit]]
    ) -> Float[Tensor, "batch pos vocab"]:
        """Logits under edits, which see activations in the places of the row."""
        rows = SplitRows(ids, self.split.find_starts(ids))
        hooks = [
            (self.bridge_names[name], _move_to_half(rows, name, edit)) for name, edit in fwd_hooks
        ]
        run = cast(Callable[..., Tensor], self.__dict__["bridge"].run_with_hooks)
        logits = run(
            rows.encoder_ids,
            decoder_input=rows.decoder_ids,
            attention_mask=rows.encoder_mask.long(),
            fwd_hooks=hooks,
        )
        return rows.to_row(logits, "decoder")


def _move_to_half(rows: SplitRows, name: str, edit: Edit) -> Edit:
    """Turn an edit of a row into an edit of one half."""
    reads = name.startswith("encoder") or name.endswith(("cross_attn.hook_k", "cross_attn.hook_v"))
    keys = "encoder" if reads or ".cross_attn." in name else "decoder"
    own = "encoder" if reads else "decoder"
    axes = [(2, own), (3, keys)] if name.endswith("hook_pattern") else [(1, own)]

    def edited(value: Tensor, hook: object) -> Tensor | None:
        shown = [value]
        for dim, half in axes:
            shown.append(rows.to_row(shown[-1], half, dim))
        new = edit(shown[-1], hook)
        if new is None:
            return None
        for (dim, half), old in zip(reversed(axes), reversed(shown[:-1]), strict=True):
            new = rows.to_half(new, old, half, dim)
        return new

    return edited


def _read_config(bridge: nn.Module) -> SimpleNamespace:
    cfg: Any = backend.get_config(bridge)
    settings = cast(Any, bridge).original_model.config
    decoder = getattr(settings, "decoder_layers", None) or settings.num_decoder_layers
    encoder = getattr(settings, "encoder_layers", None) or settings.num_layers
    max_positions = getattr(settings, "max_position_embeddings", None) or settings.n_positions
    return SimpleNamespace(
        n_layers=encoder + decoder,
        n_heads=cfg.n_heads,
        d_model=cfg.d_model,
        d_head=cfg.d_head,
        n_ctx=2 * max_positions,
        max_positions=max_positions,
        d_vocab=cfg.d_vocab,
        layer_counts=(encoder, decoder),
        is_encoder_decoder=True,
        decoder_start=settings.decoder_start_token_id,
    )


def _match_hook_names(points: Mapping[str, object], layers: tuple[int, int]) -> dict[str, str]:
    """Map our names of hook points to the bridge's."""
    heads = [f"attn.hook_{part}" for part in ("q", "k", "v", "pattern", "z")]
    shared = ["hook_resid_pre", "hook_attn_out", "hook_mlp_out", "hook_resid_post"]
    # The stream after attention and after cross-attention, where a layer norms first (T5) and where
    # it norms last (BART).
    if "decoder_blocks.0.hook_resid_mid2" in points:
        after_attention, after_crossing = "hook_resid_mid", "hook_resid_mid2"
    else:
        after_attention, after_crossing = "ln1.hook_out", "ln2.hook_out"
    found: dict[str, str] = {}
    for layer in range(layers[0]):
        ours, theirs = f"encoder.{layer}", f"encoder_blocks.{layer}"
        found |= {f"{ours}.{end}": f"{theirs}.{end}" for end in (*heads, *shared)}
        found[f"{ours}.hook_resid_mid"] = f"{theirs}.{after_attention}"
    for layer in range(layers[1]):
        ours, theirs = f"decoder.{layer}", f"decoder_blocks.{layer}"
        found |= {f"{ours}.{end}": f"{theirs}.self_{end}" for end in heads}
        found |= {f"{ours}.cross_{end}": f"{theirs}.cross_{end}" for end in heads}
        found |= {f"{ours}.{end}": f"{theirs}.{end}" for end in shared}
        found[f"{ours}.hook_attn_out"] = f"{theirs}.self_attn.hook_out"
        found[f"{ours}.hook_cross_attn_out"] = f"{theirs}.cross_attn.hook_out"
        found[f"{ours}.hook_resid_mid"] = f"{theirs}.{after_attention}"
        found[f"{ours}.hook_resid_mid_cross"] = f"{theirs}.{after_crossing}"
    return found
