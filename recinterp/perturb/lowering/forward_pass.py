"""One forward pass over a batch under edits, in which no row attends to padding.

A causal model never attends to what is padded on the right. Other models do (BERT, prefix LMs, any
model whose positions depend on the width of a batch): of those, rows of one length run together,
without padding. Which kind a model is, is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recinterp.errors import UnknownHookError
from recinterp.perturb.lowering.edits import Edit, select_rows
from recinterp.perturb.lowering.hooks import Hook, compile_hook
from recinterp.perturb.positions import PromptBatch, build_batch

if TYPE_CHECKING:
    from recinterp.models import Adapter

_measured: WeakKeyDictionary[nn.Module, tuple[object, bool]] = WeakKeyDictionary()


@torch.no_grad()
def run_edits(
    adapter: Adapter,
    rows: PromptBatch,
    edits: Sequence[Edit] = (),
    *,
    read: Sequence[str] = (),
    after: bool = False,
) -> tuple[Float[Tensor, "row pos vocab"], dict[str, Float[Tensor, "row ..."]]]:
    """Run a batch under edits.

    Args:
        adapter: The model.
        rows: The batch.
        edits: The edits, in order.
        read: Hook points whose activations are returned.
        after: Whether they are read after the edits at the same point; by default before.

    Returns:
        Logits at every position, and the activations by hook point. Where rows ran without padding,
        both are 0 at the padding.

    Raises:
        UnknownHookError: No activation passes through a hook point that is read.
    """
    groups = list(_groups_of_one_length(rows, adapter)) if attends_to_padding(adapter) else []
    if len(groups) < 2:
        return _run(adapter, rows.ids, edits, read, after)
    logits: Tensor | None = None
    activations: dict[str, Tensor] = {}
    for some, width in groups:
        part = [select_rows(edit, some, width) for edit in edits]
        found, values = _run(adapter, rows.ids[some, :width], part, read, after)
        logits = _put(logits, found, some, rows.ids.shape, (1,))
        for name, value in values.items():
            axes = (2, 3) if name.endswith(("hook_pattern", "hook_attn_scores")) else (1,)
            activations[name] = _put(activations.get(name), value, some, rows.ids.shape, axes)
    assert logits is not None
    return logits, activations


def _run(
    adapter: Adapter,
    ids: Int[Tensor, "row pos"],
    edits: Sequence[Edit],
    read: Sequence[str],
    after: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    activations: dict[str, Tensor] = {}

    def capture(name: str) -> Callable[..., None]:
        def store(activation: Tensor, hook: object = None) -> None:
            activations[name] = activation.detach().clone()

        return store

    reads: list[Hook] = [(name, capture(name)) for name in read]
    writes = [compile_hook(edit) for edit in edits]
    hooks = [*writes, *reads] if after else [*reads, *writes]
    logits = adapter.run_with_hooks(ids, hooks) if hooks else adapter.logits(ids)
    missing = next((name for name in read if name not in activations), None)
    if missing is not None:
        problem = "no activation passes through this hook point"
        raise UnknownHookError(f"read {missing}", problem, "choose another hook point")
    return logits, activations


def _groups_of_one_length(
    rows: PromptBatch, adapter: Adapter
) -> Iterator[tuple[Int[Tensor, " some"], int]]:
    """Indices of rows with equally many positions, of an encoder-decoder in both halves."""
    lengths = rows.prediction + 1
    keys = lengths
    if adapter.architecture == "encoder-decoder":
        keys = lengths * rows.ids.shape[1] + rows.sep
    for key in sorted(set(keys.tolist())):
        some = (keys == key).nonzero()[:, 0]
        yield some, int(lengths[some[0]])


def _put(
    whole: Tensor | None,
    part: Tensor,
    rows: Int[Tensor, " some"],
    shape: torch.Size,
    axes: tuple[int, ...],
) -> Tensor:
    """Put the values of some rows into those of a batch of a shape (row, pos)."""
    if whole is None:
        size = [shape[1] if i in axes else n for i, n in enumerate(part.shape)]
        whole = part.new_zeros([shape[0], *size[1:]])
    width = part.shape[axes[0]]
    narrowed = whole
    for axis in axes:
        narrowed = narrowed.narrow(axis, 0, width)
    narrowed[rows.to(part.device)] = part
    return whole


def attends_to_padding(adapter: Adapter) -> bool:
    """Whether what stands to the right of a row, or a longer row beside it, changes its logits.

    Measured once per model, and again when its weights have changed.
    """
    state = tuple((p.data_ptr(), p._version) for p in adapter.model.parameters())
    known = _measured.get(adapter.model)
    if known is None or known[0] != state:
        known = state, _measure_padding(adapter)
        _measured[adapter.model] = known
    return known[1]


@torch.no_grad()
def _measure_padding(adapter: Adapter) -> bool:
    task = adapter.task
    inputs = list(islice((x for x in task.inputs(None) if x), 200))
    fitting = [x for x in inputs if len(task.prompt(x)) <= min(adapter.n_ctx, 24)] or inputs[:1]
    batch = build_batch(task, [fitting[0], fitting[-1]])
    length = int(batch.prediction[0]) + 1
    single = adapter.logits(batch.ids[:1, :length])[0]
    padding = torch.full((1, min(adapter.n_ctx, length + 6) - length), task.pad)
    other = torch.full_like(padding, task.ids[task.constructors[0]])
    # One shape, so that equal sums are taken in one order and equal results are equal bits.
    padded, filled = (
        adapter.logits(torch.cat([batch.ids[:1, :length], tail], 1))[0, :length]
        for tail in (padding, other)
    )
    beside = adapter.logits(batch.ids)[0, :length]
    scale = float(single.abs().max()) + 1e-9
    same_bits, same_numbers = 1e-6, 1e-4
    return (
        float((padded - filled).abs().max()) > same_bits * scale
        or float((padded - single).abs().max()) > same_numbers * scale
        or float((beside - single).abs().max()) > same_numbers * scale
    )
