"""The fast road: a model in plain tensors, restarted where an edit first touches it.

    clean = forward(weights, ids, query)           # every layer's state, kept
    resume(weights, clean, lanes, table)           # (lane, vocab): logits at each lane's query

A lane is one row under one plan; many plans share a call. Three things are left out that a hooked
forward does: the layers before the first edit, the positions before it (their keys and values are
the clean run's), and all but the query in the last layer. An encoder-decoder is one stack of blocks
over rows that hold both halves (models/stack.py, border.py): an edit of what is written leaves the
encoder, and what the decoder attends to, as they were. Equal to the hooks' road to 1e-5; tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recinterp.perturb.fast.blocks import Pass
from recinterp.perturb.fast.hook_points import LOCAL, Frame, Queries, Suffix, Table, Tap, Touched
from recinterp.perturb.fast.masks import Border, asks, owns
from recinterp.perturb.fast.weights import Weights


@dataclass(frozen=True, eq=False)
class Clean:
    """A run without edits: states of each layer, (row, pos, ...); logits at the query.

    kv: (row, key, 2, head, d_head), of the keys that a layer has.
    """

    query: Tensor
    pre: list[Tensor]
    z: list[Tensor]
    kv: list[Tensor]
    logits: Tensor
    full: bool = False
    border: Border | None = None

    @property
    def width(self) -> int:
        """Positions of a row."""
        return self.pre[0].shape[1]


def embed(weights: Weights, ids: Tensor, pos: Tensor, border: Border | None = None) -> Tensor:
    """What the embeddings write, (row, ..., d); ids: (row, ...) at those positions of a row."""
    if border is None:
        x = weights.embed[ids]
        return x if weights.positions is None else x + weights.positions[pos]
    assert weights.start is not None
    place = pos - border.begins.view(-1, *[1] * (ids.dim() - 1))
    x = weights.embed[ids.masked_fill(place == 0, weights.start)]
    if weights.positions is None or weights.written is None:
        return x
    reads = weights.positions[pos].expand_as(x)
    return x + torch.where((place >= 0)[..., None], weights.written[place.clamp_min(0)], reads)


@torch.no_grad()
def forward(
    weights: Weights,
    ids: Tensor,
    query: Tensor,
    table: Table | None = None,
    tap: Tap | None = None,
    border: Border | None = None,
) -> Clean:
    """All layers of a batch, every layer's state kept; with edits, if a table is given."""
    width = ids.shape[1]
    run = Pass(weights, query, width, table or {}, tap, border=border)
    x = embed(weights, ids, torch.arange(width, device=ids.device), border)
    pre, z, kv = [x.clone()], [], []
    for layer, block in enumerate(weights.blocks):
        x, read, made = run.layer(layer, x, 0, None, last=False)
        lo, hi = asks(block.kind, width, border)
        pre.append(x.clone())  # the next layer goes on in place
        z.append(read if hi - lo == width else F.pad(read, (0, 0, 0, 0, lo, width - hi)))
        kv.append(made)
    rows = torch.arange(len(ids), device=ids.device)
    full = bool((query == width - 1).all())
    return Clean(query, pre, z, kv, run.logits(x[rows, query]), full, border)


@torch.no_grad()
def resume(weights: Weights, clean: Clean, lanes: Tensor, table: Table, start: int) -> Tensor:
    """Logits (lane, vocab) at the queries, under edits; lanes: the clean run's row of each.

    start: no edit is at a position before it; 0 where one is at what an encoder reads.
    """
    return _resume(weights, clean, lanes, table, start, None)


def differentiable(weights: Weights, clean: Clean, table: Table, start: int) -> Tensor:
    """The same on the clean run's own rows, with gradients back to what the edits write."""
    lanes = torch.arange(len(clean.query), device=clean.query.device)
    return _resume(weights, clean, lanes, table, start, _untouched)


def _untouched(layer: int, point: str, value: Tensor, frame: Frame) -> None:
    """Looks at nothing: where a run is looked at, no layer writes over what it has read."""


def _resume(
    weights: Weights, clean: Clean, lanes: Tensor, table: Table, start: int, tap: Tap | None
) -> Tensor:
    query, border = clean.query[lanes], clean.border and clean.border.take(lanes)
    run = Pass(weights, query, clean.width, table, tap, clean.full, border)
    first, n = min(layer for layer, _ in table), len(weights.blocks)
    local = all(point in LOCAL for layer, point in table if layer == first)
    if local and first == n - 1:
        x = _local(run, clean, lanes, first, lanes, query, Queries(query))
        return run.logits(x)
    if local:
        x, first = _enter(run, clean, lanes, first, start), first + 1
    else:
        x = clean.pre[first][lanes, start:]
    for layer in range(first, n):
        if layer == n - 1 and run.absorbs(layer, start):
            x = run.answer(layer, x, start, clean.pre[layer][lanes, :start])
            break
        # Where nothing precedes the suffix, its own keys and values are all there are.
        before = clean.kv[layer][lanes] if start else None
        x, _, _ = run.layer(layer, x, start, before, last=layer == n - 1)
    logits = run.logits(x)
    if clean.full:
        return logits
    return torch.where((query < start)[:, None], clean.logits[lanes], logits)


def _enter(run: Pass, clean: Clean, lanes: Tensor, layer: int, start: int) -> Tensor:
    """The stream after the first edited layer, computed anew at the touched tokens only."""
    groups = [group for (at, _), found in run.table.items() if at == layer for group in found]
    width, keep = clean.width, clean.width - start
    keys = torch.unique(torch.cat([group.lane * width + group.pos for group in groups]))
    if len(keys) == len(lanes) * keep and (layer, "q") not in run.table:
        x, z = clean.pre[layer][lanes, start:], clean.z[layer][lanes, start:]
        pos = torch.arange(start, width, device=lanes.device).expand(len(lanes), -1)
        return _on(run, clean, lanes, layer, x, z, lanes[:, None], pos, Suffix(start))
    lane, pos = keys // width, keys % width
    new = _local(run, clean, lanes, layer, lanes[lane], pos, Touched(keys, width))
    x = clean.pre[layer + 1][lanes, start:]
    x[lane, pos - start] = new
    return x


def _local(
    run: Pass, clean: Clean, lanes: Tensor, layer: int, row: Tensor, pos: Tensor, frame: Frame
) -> Tensor:
    """A layer at single tokens whose keys and values are the clean run's: (token, d)."""
    x, z = clean.pre[layer][row, pos], clean.z[layer][row, pos]
    if (layer, "q") in run.table:
        z = _asked(run, clean, layer, x, row, pos, frame)
    return _on(run, clean, lanes, layer, x, z, row, pos, frame)


def _on(
    run: Pass,
    clean: Clean,
    lanes: Tensor,
    layer: int,
    x: Tensor,
    z: Tensor,
    row: Tensor,
    pos: Tensor,
    frame: Frame,
) -> Tensor:
    """A layer from what its heads have read on, at those rows' positions."""
    z = run.look(layer, z, clean.kv[layer][:, :, 1], frame, lanes)
    own = None
    if clean.border is not None:
        kind = run.weights.blocks[layer].kind
        own = owns(kind, pos, clean.border.begins[row])[..., None].to(x)
    return run.after(layer, x, z, frame, own)


def _asked(
    run: Pass, clean: Clean, layer: int, x: Tensor, row: Tensor, pos: Tensor, frame: Frame
) -> Tensor:
    """What heads read at single tokens whose queries are edited."""
    block = run.weights.blocks[layer]
    q = block.part(block.norm1, x, 0, 1, run.weights.d_head)[:, 0]
    q = run.edit(layer, "q", q, frame)
    border = clean.border and clean.border.take(row)
    q = run.turned(q[:, None], pos[:, None])
    at = Pass(run.weights, pos, clean.width, border=border)
    return at.attend(block.kind, q, clean.kv[layer][row], pos[:, None])[:, 0]
