"""The fast backend: a model in plain tensors, restarted where an edit first changes it.

    clean = forward(weights, ids, prediction)     # every layer's state is stored
    resume(weights, clean, rows, table, start)    # logits at the prediction positions

A plan row is one row of the batch under one plan; many plans share a call. Three things that a
hooked forward pass computes are left out: the layers before the first edit, the positions before it
(their keys and values are those of the clean run), and in the last layer all positions but the
prediction position. An encoder-decoder is one stack of blocks over rows that hold input and output
(`masks.py`): an edit of the output leaves the encoder, and what the decoder reads from it, as they
were. Results equal those of hooks to 1e-5, which the tests check.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from recinterp.perturb.fast.blocks import Pass
from recinterp.perturb.fast.hook_points import (
    LOCAL,
    EditedTokens,
    Frame,
    OnActivation,
    PredictionFrame,
    SuffixFrame,
    Table,
)
from recinterp.perturb.fast.masks import EncoderDecoderSplit, is_own_position, query_span
from recinterp.perturb.fast.weights import FastWeights


@dataclass(frozen=True, eq=False)
class Clean:
    """A run without edits.

    Attributes:
        prediction: Prediction position of each row.
        pre: The residual stream before each layer, and after the last one.
        z: The output of the heads of each layer.
        kv: Keys and values of each layer, at the keys that it has.
        logits: Logits at the prediction position.
        full: Whether every prediction position is the last one.
        split: Where outputs begin, in an encoder-decoder.
    """

    prediction: Int[Tensor, " row"]
    pre: list[Float[Tensor, "row pos d_model"]]
    z: list[Float[Tensor, "row pos head d_head"]]
    kv: list[Float[Tensor, "row key 2 head d_head"]]
    logits: Float[Tensor, "row vocab"]
    full: bool = False
    split: EncoderDecoderSplit | None = None

    @property
    def width(self) -> int:
        """Positions of a row."""
        return self.pre[0].shape[1]


def embed(
    weights: FastWeights,
    ids: Int[Tensor, "row ..."],
    pos: Int[Tensor, "..."],
    split: EncoderDecoderSplit | None = None,
) -> Float[Tensor, "row ... d_model"]:
    """What the embeddings write for ids at some positions of each row."""
    if split is None:
        x = weights.embed[ids]
        return x if weights.positions is None else x + weights.positions[pos]
    assert weights.start is not None
    place = pos - split.begins.view(-1, *[1] * (ids.dim() - 1))
    x = weights.embed[ids.masked_fill(place == 0, weights.start)]
    if weights.positions is None or weights.written is None:
        return x
    reads = weights.positions[pos].expand_as(x)
    return x + torch.where((place >= 0)[..., None], weights.written[place.clamp_min(0)], reads)


@torch.no_grad()
def forward(
    weights: FastWeights,
    ids: Int[Tensor, "row pos"],
    prediction: Int[Tensor, " row"],
    table: Table | None = None,
    on_activation: OnActivation | None = None,
    split: EncoderDecoderSplit | None = None,
) -> Clean:
    """Run all layers on a batch and store the state of each; with edits, if a table is given."""
    width = ids.shape[1]
    run = Pass(weights, prediction, width, table or {}, on_activation, split=split)
    x = embed(weights, ids, torch.arange(width, device=ids.device), split)
    pre, z, kv = [x.clone()], [], []
    for layer, block in enumerate(weights.blocks):
        x, read, made = run.run_layer(layer, x, 0, None, last=False)
        lo, hi = query_span(block.kind, width, split)
        pre.append(x.clone())  # the next layer goes on in place
        z.append(read if hi - lo == width else F.pad(read, (0, 0, 0, 0, lo, width - hi)))
        kv.append(made)
    rows = torch.arange(len(ids), device=ids.device)
    full = bool((prediction == width - 1).all())
    return Clean(prediction, pre, z, kv, run.logits(x[rows, prediction]), full, split)


@torch.no_grad()
def resume(
    weights: FastWeights,
    clean: Clean,
    plan_rows: Int[Tensor, " plan_row"],
    table: Table,
    start: int,
) -> Float[Tensor, "plan_row vocab"]:
    """Logits at the prediction positions of plan rows, under edits.

    Args:
        weights: The model.
        clean: The run without edits.
        plan_rows: The clean run's row of each plan row.
        table: The edits.
        start: No edit is at a position before it; 0 if one is at a position that an encoder reads.
    """
    return _resume(weights, clean, plan_rows, table, start, None)


def differentiable(
    weights: FastWeights, clean: Clean, table: Table, start: int
) -> Float[Tensor, "row vocab"]:
    """Logits under one plan on the rows of the clean run, with gradients to the written values."""
    plan_rows = torch.arange(len(clean.prediction), device=clean.prediction.device)
    return _resume(weights, clean, plan_rows, table, start, _untouched)


def _untouched(layer: int, point: str, value: Tensor, frame: Frame) -> None:
    """Does nothing, but while activations are observed no layer overwrites what it has read."""


def _resume(
    weights: FastWeights,
    clean: Clean,
    plan_rows: Int[Tensor, " plan_row"],
    table: Table,
    start: int,
    on_activation: OnActivation | None,
) -> Float[Tensor, "plan_row vocab"]:
    prediction, split = clean.prediction[plan_rows], clean.split and clean.split.select(plan_rows)
    run = Pass(weights, prediction, clean.width, table, on_activation, clean.full, split)
    first, n = min(layer for layer, _ in table), len(weights.blocks)
    local = all(point in LOCAL for layer, point in table if layer == first)
    if local and first == n - 1:
        x = _run_tokens(
            run, clean, plan_rows, first, plan_rows, prediction, PredictionFrame(prediction)
        )
        return run.logits(x)
    if local:
        x, first = _enter_edited_layer(run, clean, plan_rows, first, start), first + 1
    else:
        x = clean.pre[first][plan_rows, start:]
    for layer in range(first, n):
        if layer == n - 1 and run.can_skip_kv(layer, start):
            x = run.last_layer_at_prediction(layer, x, start, clean.pre[layer][plan_rows, :start])
            break
        # Where nothing precedes the suffix, its own keys and values are all there are.
        before = clean.kv[layer][plan_rows] if start else None
        x, _, _ = run.run_layer(layer, x, start, before, last=layer == n - 1)
    logits = run.logits(x)
    if clean.full:
        return logits
    return torch.where((prediction < start)[:, None], clean.logits[plan_rows], logits)


def _enter_edited_layer(
    run: Pass, clean: Clean, plan_rows: Int[Tensor, " plan_row"], layer: int, start: int
) -> Float[Tensor, "plan_row pos d_model"]:
    """The residual stream after the first edited layer, recomputed at the edited tokens only."""
    groups = [group for (at, _), found in run.table.items() if at == layer for group in found]
    width, keep = clean.width, clean.width - start
    keys = torch.unique(torch.cat([group.plan_row * width + group.pos for group in groups]))
    if len(keys) == len(plan_rows) * keep and (layer, "q") not in run.table:
        x, z = clean.pre[layer][plan_rows, start:], clean.z[layer][plan_rows, start:]
        pos = torch.arange(start, width, device=plan_rows.device).expand(len(plan_rows), -1)
        return _finish_at(
            run, clean, plan_rows, layer, x, z, plan_rows[:, None], pos, SuffixFrame(start)
        )
    plan_row, pos = keys // width, keys % width
    new = _run_tokens(
        run, clean, plan_rows, layer, plan_rows[plan_row], pos, EditedTokens(keys, width)
    )
    x = clean.pre[layer + 1][plan_rows, start:]
    x[plan_row, pos - start] = new
    return x


def _run_tokens(
    run: Pass,
    clean: Clean,
    plan_rows: Int[Tensor, " plan_row"],
    layer: int,
    row: Int[Tensor, " token"],
    pos: Int[Tensor, " token"],
    frame: Frame,
) -> Float[Tensor, "token d_model"]:
    """A layer at single tokens whose keys and values are those of the clean run."""
    x, z = clean.pre[layer][row, pos], clean.z[layer][row, pos]
    if (layer, "q") in run.table:
        z = _read_with_edited_queries(run, clean, layer, x, row, pos, frame)
    return _finish_at(run, clean, plan_rows, layer, x, z, row, pos, frame)


def _finish_at(
    run: Pass,
    clean: Clean,
    plan_rows: Int[Tensor, " plan_row"],
    layer: int,
    x: Float[Tensor, "*frame d_model"],
    z: Float[Tensor, "*frame head d_head"],
    row: Int[Tensor, "..."],
    pos: Int[Tensor, "..."],
    frame: Frame,
) -> Float[Tensor, "*frame d_model"]:
    """A layer after its heads have read, at some positions of some rows."""
    z = run.force_patterns(layer, z, clean.kv[layer][:, :, 1], frame, plan_rows)
    own = None
    if clean.split is not None:
        kind = run.weights.blocks[layer].kind
        own = is_own_position(kind, pos, clean.split.begins[row])[..., None].to(x)
    return run.finish_block(layer, x, z, frame, own)


def _read_with_edited_queries(
    run: Pass,
    clean: Clean,
    layer: int,
    x: Float[Tensor, "token d_model"],
    row: Int[Tensor, " token"],
    pos: Int[Tensor, " token"],
    frame: Frame,
) -> Float[Tensor, "token head d_head"]:
    """What heads read at single tokens whose queries are edited."""
    block = run.weights.blocks[layer]
    q = block.part(block.norm1, x, 0, 1, run.weights.d_head)[:, 0]
    q = run.edit(layer, "q", q, frame)
    split = clean.split and clean.split.select(row)
    q = run.apply_rotary(q[:, None], pos[:, None])
    at = Pass(run.weights, pos, clean.width, split=split)
    return at.attend(block.kind, q, clean.kv[layer][row], pos[:, None])[:, 0]
