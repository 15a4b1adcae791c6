"""Which road a model takes: the fast one where its numbers prove to be understood, else hooks.

Proof: logits and every edit point's activation, computed from the weights that were read, are the
model's own on a fixed batch. Asked once per model, and again when its weights have changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from recinterp.perturb.edits import Edit
from recinterp.perturb.fast import POINTS, Clean, forward, point_of
from recinterp.perturb.fold import run_many
from recinterp.perturb.rows import Rows, hook_names
from recinterp.perturb.weights import Weights, read

if TYPE_CHECKING:
    from recinterp.models import Adapter

TOLERANCE = 1e-5  # of the largest number compared: the two sum in another order
KEPT = 6  # clean runs held for whoever asks about the same rows again
KEPT_BYTES = 256 * 2**20


@dataclass(eq=False)
class Road:
    """A model's fast road, and the hooks whose activations it was seen to reproduce."""

    weights: Weights
    hooks: frozenset[str]
    _clean: OrderedDict[object, Clean] = field(default_factory=OrderedDict)

    def lacks(self, hook: str) -> str:
        """What keeps an edit at a hook point from the fast road; empty where nothing does."""
        if hook.endswith("hook_pattern") or hook in self.hooks:
            return ""
        return f"{hook} is no point of the fast road"

    def clean(self, rows: Rows) -> Clean:
        """The run without edits on these rows; kept, as most rows are asked about again."""
        if rows.mark in self._clean:
            self._clean.move_to_end(rows.mark)
            return self._clean[rows.mark]
        device = self.weights.embed.device
        made = _forward(self.weights, rows.ids.to(device), rows.query.to(device))
        if _bytes(made) * KEPT <= KEPT_BYTES:
            self._clean[rows.mark] = made
            if len(self._clean) > KEPT:
                self._clean.popitem(last=False)
        return made

    def read(self, rows: Rows, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Activations of the run without edits, (row, pos, ...), of those hooks it holds."""
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
                case "v":
                    found[hook] = clean.kv[layer][:, :, 1]
        return found

    def run(self, rows: Rows, plans: Sequence[Sequence[Edit]], tokens: int | None = None) -> Tensor:
        """Logits at the queries, (plan, row, vocab)."""
        return run_many(self.weights, self.clean(rows), plans, tokens)


def _bytes(clean: Clean) -> int:
    kept = (*clean.pre, *clean.z, *clean.kv)
    return sum(t.numel() * t.element_size() for t in kept)


def _forward(weights: Weights, ids: Tensor, query: Tensor) -> Clean:
    """Some rows at a time, for the same reason as everywhere: what fits the caches is faster."""
    step = max(1, 2048 // ids.shape[1]) if ids.device.type == "cpu" else len(ids)
    parts = [
        forward(weights, ids[i : i + step], query[i : i + step]) for i in range(0, len(ids), step)
    ]
    if len(parts) == 1:
        return parts[0]
    return Clean(
        query,
        [torch.cat(layers) for layers in zip(*(p.pre for p in parts), strict=True)],
        [torch.cat(layers) for layers in zip(*(p.z for p in parts), strict=True)],
        [torch.cat(layers) for layers in zip(*(p.kv for p in parts), strict=True)],
        torch.cat([p.logits for p in parts]),
        all(p.full for p in parts),
    )


@dataclass(frozen=True)
class _Known:
    state: tuple[tuple[int, int], ...]
    road: Road | str


def road_of(adapter: Adapter) -> Road | str:
    """The fast road of a model, or why it has to take the hooks."""
    model = adapter.model
    points = cast(Mapping[str, object], model.hook_dict)
    if any(getattr(point, "fwd_hooks", ()) for point in points.values()):
        return "the model has hooks of its own"
    state = tuple((p.data_ptr(), p._version) for p in model.parameters())
    held = model.__dict__.get("_recinterp_road")
    if held is None or held.state != state:  # first use, or the weights have been edited since
        held = _Known(state, _proven(adapter))
        model.__dict__["_recinterp_road"] = held
    road: Road | str = held.road
    return road


def _proven(adapter: Adapter) -> Road | str:
    if adapter.architecture != "decoder-only":
        return f"it is an {adapter.architecture}"
    readings = read(adapter)
    if isinstance(readings, str):
        return readings
    why = ""
    for weights in readings:
        try:
            hooks, why = _compare(adapter, weights)
        except (RuntimeError, IndexError) as error:
            why = f"its weights have another layout ({error})"
        if not why:
            return Road(weights, hooks)
    return why


@torch.no_grad()
def _compare(adapter: Adapter, weights: Weights) -> tuple[frozenset[str], str]:
    """The hooks whose activations are reproduced, and what speaks against the whole."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(0, adapter.d_vocab, (2, min(adapter.n_ctx, 24)), generator=draw)
    ids = ids.to(adapter.device)
    ours: dict[str, Tensor] = {}
    names = {point: name for name, point in POINTS.items()}

    def tap(layer: int, point: str, value: Tensor) -> None:
        ours[f"blocks.{layer}.{names[point]}"] = value.clone()

    last = torch.full((len(ids),), ids.shape[1] - 1, device=ids.device)
    logits = forward(weights, ids, last, tap=tap).logits
    wanted = [name for name in hook_names(adapter) if point_of(name) and name in ours]
    theirs = adapter.cache(ids, wanted)
    own = adapter.logits(ids)
    if own.dtype != torch.float32:
        return frozenset(), f"its numbers are {own.dtype}"
    if not _same(own[:, -1], logits):
        away = float((own[:, -1] - logits).abs().max())
        return frozenset(), f"its logits come out different by {away:.1e}"
    agree = [name for name in wanted if name in theirs and _same(theirs[name], ours[name])]
    return frozenset(agree), ""


def _same(theirs: Tensor, ours: Tensor) -> bool:
    if theirs.shape != ours.shape:
        return False
    scale = max(1.0, float(theirs.abs().max()))
    return float((theirs - ours).abs().max()) <= TOLERANCE * scale
