"""Hugging Face models: GPT-2 and its like, T5 and BART, from memory or from a local folder.

    wrap_model(GPT2LMHeadModel(config), split)     # a TransformerBridge around a copy
    wrap_model(t5, split)                          # with both halves in one row (split_rows.py)
    load_folder("models/mine")                 # config.json and model.safetensors; no network

Hooks come from TransformerLens's bridge, which takes its model apart, so it is given a copy;
predictions are the original's own. Of T5 and BART the bridge discards edits of attention patterns
and scores; what it does take is found by proof of liveness, never assumed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from recinterp.errors import CheckpointError, IncompatibleModelError
from recinterp.models.backends import transformer_lens as backend
from recinterp.models.backends.split_rows import RowSplit, SplitRows

Edit = Callable[[Tensor, object], Tensor | None]
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PARTS = ("attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_pattern", "attn.hook_z")
SHARED = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out", "hook_resid_post")
# What the stream is called after attention, and after cross-attention, where a layer norms first
# (T5) and where it norms last (BART).
MIDDLES = {
    "encoder": {True: "hook_resid_mid", False: "ln1.hook_out"},
    "decoder": {True: "hook_resid_mid", False: "ln1.hook_out"},
    "crossed": {True: "hook_resid_mid2", False: "ln2.hook_out"},
}


def is_hugging_face(model: object) -> bool:
    """Whether it is a Hugging Face model, known without importing their library."""
    return any(c.__name__ == "PreTrainedModel" for c in type(model).__mro__)


def is_bridged_encoder_decoder(model: nn.Module) -> bool:
    """Whether it is a bridge around an encoder-decoder."""
    return "encoder_blocks.0.hook_resid_pre" in getattr(model, "hook_dict", {})


def load_folder(path: Path) -> nn.Module:
    """The model in a local folder. Raises CheckpointError; never opens a network or a pickle."""
    asked = f"load {path}"
    if not any((path / name).exists() for name in WEIGHTS):
        wrong = f"{path.name} holds no {WEIGHTS[0]}"
        raise CheckpointError(asked, wrong, "model.save_pretrained(folder), which writes one")
    try:
        import transformers

        settings = transformers.AutoConfig.from_pretrained(path, local_files_only=True)
        kind = getattr(transformers, (settings.architectures or [""])[0], None)
        if kind is None:
            raise ValueError(f"its config.json names the architecture {settings.architectures}")
        model = kind.from_pretrained(path, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        wrong = f"it is no model of theirs ({' '.join(str(error).split())[:160]})"
        raise CheckpointError(asked, wrong, "a folder with config.json and weights") from error
    return cast(nn.Module, model.eval())


@dataclass(frozen=True)
class _CachedBridge:
    state: tuple[tuple[int, int], ...]
    bridge: nn.Module


_cached_bridges: WeakKeyDictionary[nn.Module, _CachedBridge] = WeakKeyDictionary()


def wrap_model(model: nn.Module, split: RowSplit, *, asked: str) -> nn.Module:
    """A hooked model around a copy of theirs.

    Raises IncompatibleModelError where none can be built.
    """
    state = tuple((p.data_ptr(), p._version) for p in model.parameters())
    held = _cached_bridges.get(model)
    if held is None or held.state != state:
        held = _CachedBridge(state, _build_bridge(model, asked))
        _cached_bridges[model] = held
    return join_halves(held.bridge, split, original=model)


def _build_bridge(model: nn.Module, asked: str) -> nn.Module:
    if not backend.has_bridge():
        wrong = f"{backend.describe_version()} wraps no Hugging Face model"
        raise IncompatibleModelError(
            asked, wrong, "transformer-lens 4 or later, or a function of its outputs"
        )
    try:
        return backend.build_bridge(copy.deepcopy(model).eval())
    except (ValueError, KeyError, AttributeError, NotImplementedError) as error:
        wrong = f"no bridge fits a {type(model).__name__} ({' '.join(str(error).split())[:120]})"
        accepted = "GPT-2, T5, BART and the like, or a function from inputs to outputs"
        raise IncompatibleModelError(asked, wrong, accepted) from error


def join_halves(bridge: nn.Module, split: RowSplit, original: nn.Module | None = None) -> nn.Module:
    """A bridge as it is, or, of an encoder-decoder, with both halves in one row."""
    if not is_bridged_encoder_decoder(bridge):
        return bridge
    held: dict[RowSplit, BridgedEncoderDecoder] = bridge.__dict__.setdefault("_recinterp_pairs", {})
    if split not in held:
        held[split] = BridgedEncoderDecoder(bridge, split)
    held[split].__dict__["original"] = original
    return held[split]


def rewrap_model(model: nn.Module, original: nn.Module) -> nn.Module:
    """A pair of another model's weights, hooked as `model` is."""
    return wrap_model(original, cast(BridgedEncoderDecoder, model).split, asked="hook a model")


class BridgedEncoderDecoder(nn.Module):
    """A bridge's encoder-decoder that takes and shows rows as one line.

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

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (batch, pos, vocab) of what is written; zero at the positions of what is read."""
        return self.run_with_hooks(ids, ())

    def run_with_hooks(self, ids: Tensor, fwd_hooks: Sequence[tuple[str, Edit]]) -> Tensor:
        """The same under edits, which see activations in the places of the row."""
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
    """An edit of a row, as an edit of a half."""
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
    theirs: Any = backend.get_config(bridge)
    settings = cast(Any, bridge).original_model.config
    decoder = getattr(settings, "decoder_layers", None) or settings.num_decoder_layers
    encoder = getattr(settings, "encoder_layers", None) or settings.num_layers
    max_positions = getattr(settings, "max_position_embeddings", None) or settings.n_positions
    return SimpleNamespace(
        n_layers=encoder + decoder,
        n_heads=theirs.n_heads,
        d_model=theirs.d_model,
        d_head=theirs.d_head,
        n_ctx=2 * max_positions,
        max_positions=max_positions,
        d_vocab=theirs.d_vocab,
        layer_counts=(encoder, decoder),
        is_encoder_decoder=True,
        decoder_start=settings.decoder_start_token_id,
    )


def _match_hook_names(points: Mapping[str, object], layers: tuple[int, int]) -> dict[str, str]:
    """Our names of hook points -> the bridge's."""
    found: dict[str, str] = {}
    first = "decoder_blocks.0.hook_resid_mid2" in points  # norms come first
    for layer in range(layers[0]):
        ours, theirs = f"encoder.{layer}", f"encoder_blocks.{layer}"
        found |= {f"{ours}.{end}": f"{theirs}.{end}" for end in (*PARTS, *SHARED)}
        found[f"{ours}.hook_resid_mid"] = f"{theirs}.{MIDDLES['encoder'][first]}"
    for layer in range(layers[1]):
        ours, theirs = f"decoder.{layer}", f"decoder_blocks.{layer}"
        found |= {f"{ours}.{end}": f"{theirs}.self_{end}" for end in PARTS}
        found |= {f"{ours}.cross_{end}": f"{theirs}.cross_{end}" for end in PARTS}
        found |= {f"{ours}.{end}": f"{theirs}.{end}" for end in SHARED}
        found |= {f"{ours}.hook_attn_out": f"{theirs}.self_attn.hook_out"}
        found |= {f"{ours}.hook_cross_attn_out": f"{theirs}.cross_attn.hook_out"}
        found[f"{ours}.hook_resid_mid"] = f"{theirs}.{MIDDLES['decoder'][first]}"
        found[f"{ours}.hook_resid_mid_cross"] = f"{theirs}.{MIDDLES['crossed'][first]}"
    return found
