"""Which backend a model uses: the fast one if its weights prove to be read correctly, else hooks.

The proof: logits and the activation of every edit point, computed from the weights that were read,
equal the model's own on a fixed batch. It is made once per model, and again when weights change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recinterp.models.backends import native
from recinterp.models.backends import transformer_lens as backend
from recinterp.models.backends.transformer_lens import has_user_hooks
from recinterp.perturb.fast.batching import run_many
from recinterp.perturb.fast.forward import Clean, forward
from recinterp.perturb.fast.hook_points import POINTS, Frame, SuffixFrame, point_of
from recinterp.perturb.fast.masks import EncoderDecoderSplit, is_own_position
from recinterp.perturb.fast.weights import FastWeights, read_weights
from recinterp.perturb.lowering.edits import Edit
from recinterp.perturb.positions import PromptBatch

if TYPE_CHECKING:
    from recinterp.models import Adapter


@dataclass(eq=False)
class FastBackend:
    """The fast backend of a model.

    Attributes:
        weights: The model in plain tensors.
        hooks: The hook points whose activations it reproduces.
    """

    weights: FastWeights
    hooks: frozenset[str]
    _clean: OrderedDict[object, Clean] = field(default_factory=OrderedDict)

    def reason_unsupported(self, hook: str) -> str:
        """Why an edit at a hook point cannot run on the fast backend; empty if it can."""
        if hook.endswith("hook_pattern") or hook in self.hooks:
            return ""
        return f"the fast backend has no point {hook}"

    def clean(self, rows: PromptBatch) -> Clean:
        """The run without edits on a batch; the last few are cached."""
        if rows.fingerprint in self._clean:
            self._clean.move_to_end(rows.fingerprint)
            return self._clean[rows.fingerprint]
        device = self.weights.embed.device
        split = None if self.weights.start is None else EncoderDecoderSplit.of(rows.sep.to(device))
        made = _forward(self.weights, rows.ids.to(device), rows.prediction.to(device), split)
        max_runs, max_bytes = 6, 256 * 2**20
        if _bytes(made) * max_runs <= max_bytes:
            self._clean[rows.fingerprint] = made
            if len(self._clean) > max_runs:
                self._clean.popitem(last=False)
        return made

    def read(
        self, rows: PromptBatch, hooks: Sequence[str]
    ) -> dict[str, Float[Tensor, "row pos ..."]]:
        """Activations of the run without edits, of those hook points that it stores."""
        clean, found = self.clean(rows), {}
        for hook in hooks:
            layer, point = (point_of(hook) if hook in self.hooks else None) or (0, "")
            match point:
                case "pre":
                    found[hook] = clean.pre[layer]
                case "post":
                    found[hook] = clean.pre[layer + 1]
                case "z":
                    found[hook] = clean.z[layer]
                case "v" if clean.split is None:
                    found[hook] = clean.kv[layer][:, :, 1]
        return found

    def run(
        self, rows: PromptBatch, plans: Sequence[Sequence[Edit]], tokens: int | None = None
    ) -> Float[Tensor, "plan row vocab"]:
        """Logits at the prediction positions; arguments as for `run_many`."""
        return run_many(self.weights, self.clean(rows), plans, tokens)


def _bytes(clean: Clean) -> int:
    states = (*clean.pre, *clean.z, *clean.kv)
    return sum(t.numel() * t.element_size() for t in states)


def _forward(
    weights: FastWeights,
    ids: Int[Tensor, "row pos"],
    prediction: Int[Tensor, " row"],
    split: EncoderDecoderSplit | None,
) -> Clean:
    """The run without edits, some rows at a time: what fits the caches is faster."""
    step = max(1, 2048 // ids.shape[1]) if ids.device.type == "cpu" else len(ids)
    some = [slice(i, i + step) for i in range(0, len(ids), step)]
    parts = [forward(weights, ids[s], prediction[s], split=split and split.select(s)) for s in some]
    if len(parts) == 1:
        return parts[0]
    return Clean(
        prediction,
        [torch.cat(layers) for layers in zip(*(p.pre for p in parts), strict=True)],
        [torch.cat(layers) for layers in zip(*(p.z for p in parts), strict=True)],
        [torch.cat(layers) for layers in zip(*(p.kv for p in parts), strict=True)],
        torch.cat([p.logits for p in parts]),
        all(p.full for p in parts),
        split,
    )


class _ModelState:
    """What was found about a model, and the state of its weights and parts at that time."""

    def __init__(self, adapter: Adapter) -> None:
        modules = list(adapter.model.modules())
        self._weights = [module._parameters for module in modules if module._parameters]
        self._parts = [module._modules for module in modules if module._modules]
        self._points = list(cast(Mapping[str, object], adapter.model.hook_dict).values())
        self._state = self._now()
        self.backend: FastBackend | str | None = None

    def _now(self) -> tuple[object, ...]:
        weights = (p for held in self._weights for p in held.values() if p is not None)
        parts = (id(part) for held in self._parts for part in held.values())
        return *((p.data_ptr(), p._version) for p in weights), *parts

    def is_unchanged(self) -> bool:
        """Whether weights and parts are still the same."""
        return self._state == self._now()

    def has_hooks(self) -> bool:
        """Whether the model has hooks of its user's."""
        return has_user_hooks(self._points)


def fast_backend_for(adapter: Adapter) -> FastBackend | str:
    """The fast backend of a model, or why it needs hooks."""
    held: _ModelState | None = adapter.model.__dict__.get("_recinterp_backend")
    if held is None or not held.is_unchanged():  # first use, or the model has been edited since
        held = _ModelState(adapter)
        adapter.model.__dict__["_recinterp_backend"] = held
    if held.has_hooks():
        return "the model has hooks of its own"
    if held.backend is None:
        held.backend = _verify(adapter)
    return held.backend


def _verify(adapter: Adapter) -> FastBackend | str:
    shape = native.read_shape(adapter.model)
    if adapter.architecture != "decoder-only" and shape is None:
        return f"it is an {adapter.architecture} of another library"
    if hasattr(backend.get_config(adapter.model), "is_own_module"):
        return "it is a module of its user's own"
    readings = read_weights(adapter)
    if isinstance(readings, str):
        return readings
    why = ""
    for weights in readings:
        try:
            hooks, why = _compare(adapter, weights)
        except (RuntimeError, IndexError) as error:
            why = f"its weights have another layout ({error})"
        if not why:
            return FastBackend(weights, hooks)
    return why


@torch.no_grad()
def _compare(adapter: Adapter, weights: FastWeights) -> tuple[frozenset[str], str]:
    """The hook points whose activations are reproduced, and why the weights are wrong, if so."""
    ids, split = _random_batch(adapter, weights)
    names, width = {point: name for name, point in POINTS.items()}, ids.shape[1]
    ours: dict[str, tuple[Tensor, SuffixFrame]] = {}

    def on_activation(layer: int, point: str, value: Tensor, frame: Frame) -> None:
        assert isinstance(frame, SuffixFrame)
        ours[f"blocks.{layer}.{names[point]}"] = (value.clone(), frame)

    last = torch.full((len(ids),), width - 1, device=ids.device)

    def reproduced(name: str) -> bool:
        held, frame = ours[name]
        there = theirs[name][:, frame.start : frame.stop]
        if split is None or there.shape != held.shape:
            return _is_close(there, held)
        place = torch.arange(width, device=ids.device)[frame.start : frame.stop]
        own = is_own_position(_kind(weights, name), place, split.begins[:, None])
        return _is_close(there[own], held[own])

    logits = forward(weights, ids, last, on_activation=on_activation, split=split).logits
    wanted = [name for name in adapter.hook_names if point_of(name) and name in ours]
    theirs = adapter.cache(ids, wanted)
    own = adapter.logits(ids)
    if own.dtype != torch.float32:
        return frozenset(), f"its numbers are {own.dtype}"
    if not _is_close(own[:, -1], logits):
        away = float((own[:, -1] - logits).abs().max())
        return frozenset(), f"its logits differ by {away:.1e} from those computed from its weights"
    agree = [name for name in wanted if name in theirs and reproduced(name)]
    return frozenset(agree), ""


def _kind(weights: FastWeights, hook: str) -> str:
    """Kind of the block whose positions a hook point has: the keys of X are those of E."""
    layer, point = point_of(hook) or (0, "")
    kind = weights.blocks[layer].kind
    return "E" if kind == "X" and point in ("k", "v") else kind


def _random_batch(
    adapter: Adapter, weights: FastWeights
) -> tuple[Tensor, EncoderDecoderSplit | None]:
    """Two random rows; of an encoder-decoder, with outputs that begin at different positions."""
    draw = torch.Generator().manual_seed(0)
    width = min(adapter.n_ctx, 24)
    ids = torch.randint(0, adapter.d_vocab, (2, width), generator=draw)
    if weights.start is None:
        return ids.to(adapter.device), None
    marks = (weights.start, adapter.task.sep)
    other = next(i for i in range(adapter.d_vocab) if i not in marks)
    begins = torch.tensor([width // 3, width // 2])
    for fingerprint in marks:
        ids[ids == fingerprint] = other
    ids[torch.arange(2), begins] = weights.start
    return ids.to(adapter.device), EncoderDecoderSplit.of(begins.to(adapter.device))


def _is_close(theirs: Float[Tensor, "..."], ours: Float[Tensor, "..."]) -> bool:
    """Whether two results agree up to the order of their sums."""
    tolerance = 1e-5  # of the largest number compared
    if theirs.shape != ours.shape:
        return False
    scale = max(1.0, float(theirs.abs().max()))
    return float((theirs - ours).abs().max()) <= tolerance * scale
