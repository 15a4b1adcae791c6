"""The fast road: a decoder-only model in plain tensors, restarted where an edit first touches it.

    clean = forward(weights, ids, query)           # every layer's state, kept
    resume(weights, clean, lanes, table)           # (lane, vocab): logits at each lane's query

A lane is one row under one plan; many plans share a call. Three things are left out that a hooked
forward does: the layers before the first edit, the positions before it (their keys and values are
the clean run's), and all but the query in the last layer. Equal to the hooks' road to 1e-5; tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from recinterp.perturb.edits import write
from recinterp.perturb.weights import Block, Weights

POINTS = {
    "hook_resid_pre": "pre",
    "attn.hook_q": "q",
    "attn.hook_k": "k",
    "attn.hook_v": "v",
    "attn.hook_pattern": "look",
    "attn.hook_z": "z",
    "hook_attn_out": "attn_out",
    "hook_resid_mid": "mid",
    "mlp.hook_pre": "mlp_pre",
    "mlp.hook_post": "mlp_post",
    "hook_mlp_out": "mlp_out",
    "hook_resid_post": "post",
}
# At these an edit leaves every other position of the layer as it was.
LOCAL = ("q", "look", "z", "attn_out", "mid", "mlp_pre", "mlp_post", "mlp_out", "post")


def point_of(hook: str) -> tuple[int, str] | None:
    """(layer, point) of a hook name, or None where the fast road has no such point."""
    start, _, rest = hook.partition(".")
    layer, _, name = rest.partition(".")
    if start != "blocks" or name not in POINTS:
        return None
    return int(layer), POINTS[name]


@dataclass(frozen=True, eq=False)
class Group:
    """Writes of one kind at one point, over all lanes of a call: lane, pos, head: (sites,).

    look: value is a pattern, (sites, head or 1, key); frozen: (lane, head, query, key).
    """

    op: str
    lane: Tensor
    pos: Tensor
    head: Tensor | None
    value: Tensor
    noise: Tensor | None = None


Table: TypeAlias = dict[tuple[int, str], list[Group]]
Tap: TypeAlias = Callable[[int, str, Tensor], None]


@dataclass(frozen=True, eq=False)
class Clean:
    """A run without edits: states of each layer, (row, pos, ...); logits at the query."""

    query: Tensor
    pre: list[Tensor]
    z: list[Tensor]
    kv: list[Tensor]
    logits: Tensor
    full: bool = False

    @property
    def width(self) -> int:
        """Positions of a row."""
        return self.pre[0].shape[1]


@dataclass(frozen=True, eq=False)
class Suffix:
    """Tensors that hold the positions from `start` on: (lane, pos - start, ...)."""

    start: int

    def place(self, group: Group) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Where a group's sites are, and which of them (None: all) are here."""
        return (group.lane, group.pos - self.start), None


@dataclass(frozen=True, eq=False)
class Queries:
    """Tensors that hold each lane's query alone: (lane, ...)."""

    query: Tensor

    def place(self, group: Group) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Where a group's sites are, and which of them (None: all) are here."""
        here = group.pos == self.query[group.lane]
        return (group.lane[here],), here


@dataclass(frozen=True, eq=False)
class Touched:
    """Tensors that hold the touched tokens alone: (token, ...), by sorted lane * width + pos."""

    keys: Tensor
    width: int

    def place(self, group: Group) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Where a group's sites are, and which of them (None: all) are here."""
        return (torch.searchsorted(self.keys, group.lane * self.width + group.pos),), None


Frame = Suffix | Queries | Touched


@dataclass(eq=False)
class Pass:
    """What all layers of one call share."""

    weights: Weights
    query: Tensor
    width: int
    table: Table = field(default_factory=dict)
    tap: Tap | None = None
    full: bool = False  # every query is the last position: no mask is needed there

    def edit(self, layer: int, point: str, value: Tensor, frame: Frame) -> Tensor:
        """Carry out the writes at a point, in place; `value` is this call's own."""
        for group in self.table.get((layer, point), ()):
            site, here = frame.place(group)
            if group.head is not None:
                site = (*site, group.head if here is None else group.head[here])
            new, noise = group.value, group.noise
            if here is not None:
                new, noise = new[here], None if noise is None else noise[here]
            value[site] = write(group.op, value[site], new, noise)
        if self.tap is not None:
            self.tap(layer, point, value)
        return value

    def look(self, layer: int, z: Tensor, v: Tensor, frame: Frame, lane: Tensor | None) -> Tensor:
        """Overwrite what heads read at queries with forced attention; v: (lane or row, pos, ...).

        lane: the row of `v` that belongs to each lane, where they are not one and the same.
        """
        for group in self.table.get((layer, "look"), ()):
            site, here = frame.place(group)
            pattern, of = group.value, group.lane
            heads = group.head
            if here is not None:
                pattern, of = pattern[here], of[here]
                heads = None if heads is None else heads[here]
            of = of if lane is None else lane[of]
            if heads is None:
                z[site] = torch.einsum("mhk,mkhd->mhd", pattern.expand(-1, z.shape[-2], -1), v[of])
            else:
                rows = torch.arange(v.shape[1], device=v.device)
                read = v[of[:, None], rows, heads[:, None]]
                z[(*site, heads)] = (pattern[:, 0, :, None] * read).sum(1)
        return z

    def after(self, layer: int, x: Tensor, z: Tensor, frame: Frame) -> Tensor:
        """The rest of a layer once its heads have read: x, z as the frame has them."""
        block = self.weights.blocks[layer]
        z = self.edit(layer, "z", z, frame)
        out = F.linear(z.flatten(-2), block.out, block.out_bias)
        out = self.edit(layer, "attn_out", out, frame)
        return self.mlp(layer, self.edit(layer, "mid", out.add_(x), frame), frame)

    def mlp(self, layer: int, x: Tensor, frame: Frame) -> Tensor:
        """A layer's MLP, added to the stream."""
        block = self.weights.blocks[layer]
        if block.norm2 is not None and block.up is not None and block.down is not None:
            h = block.norm2(x)
            up = F.linear(h, block.up, block.up_bias)
            if block.gate is None:
                hidden = self.weights.act(self.edit(layer, "mlp_pre", up, frame))
            else:
                hidden = self.weights.act(F.linear(h, block.gate)) * up
            hidden = self.edit(layer, "mlp_post", hidden, frame)
            out = F.linear(hidden, block.down, block.down_bias)
            x = self.edit(layer, "mlp_out", out, frame).add_(x)
        return self.edit(layer, "post", x, frame)

    def layer(
        self, layer: int, x: Tensor, start: int, before: Tensor | None, last: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A whole layer from `start` on; gives the stream after it, z, and keys with values.

        before: keys and values of all positions, (lane, pos, 2, head, d_head), whose first `start`
        hold good; it is written to. last: only the query is asked for, (lane, d).
        """
        block, w, suffix = self.weights.blocks[layer], self.weights, Suffix(start)
        x = self.edit(layer, "pre", x, suffix)
        q, kv = self._qkv(layer, block, x, suffix)
        if before is not None:
            before[:, start:] = kv
            kv = before
        frame: Frame = suffix
        if last:
            lanes = torch.arange(len(x), device=x.device)
            here = (self.query - start).clamp_min(0)  # before it: `resume` knows the answer
            x, q, frame = x[lanes, here], q[lanes, here], Queries(self.query)
            q = q[:, None]
        q = self.edit(layer, "q", q[:, 0] if last else q, frame)
        if w.rotary is not None:
            pos = torch.arange(start, self.width, device=x.device)
            q = w.rotary(q[:, None], self.query[:, None])[:, 0] if last else w.rotary(q, pos)
        z = self.attend(q, kv, start, last)
        if self.table:
            z = self._frozen(layer, z, kv[:, :, 1], start, last)
            z = self.look(layer, z, kv[:, :, 1], frame, None)
        return self.after(layer, x, z, frame), z, kv

    def _qkv(self, layer: int, block: Block, x: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
        w = self.weights
        qkv = F.linear(block.norm1(x), block.qkv, block.qkv_bias)
        qkv = qkv.view(*x.shape[:-1], 3, w.n_heads, w.d_head)
        q, k, v = qkv.unbind(-3)
        self.edit(layer, "k", k, frame)
        self.edit(layer, "v", v, frame)
        if w.rotary is not None:
            pos = torch.arange(self.width - x.shape[1], self.width, device=x.device)
            k.copy_(w.rotary(k, pos))
        return q, qkv[..., 1:, :, :]

    def attend(self, q: Tensor, kv: Tensor, start: int, last: bool) -> Tensor:
        """What each head reads: q (lane, pos, head, d_head), or (lane, head, d_head) if last."""
        k, v = (t.transpose(1, 2) for t in kv.unbind(2))
        scale = self.weights.scale
        if last:
            mask = None
            if not self.full:
                mask = torch.arange(self.width, device=q.device) <= self.query[:, None]
                mask = mask[:, None, None]
            return F.scaled_dot_product_attention(q[:, :, None], k, v, mask, scale=scale)[:, :, 0]
        q = q.transpose(1, 2)
        if not start:
            z = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        else:
            pos = torch.arange(self.width, device=q.device)
            seen = pos <= pos[start:, None]
            z = F.scaled_dot_product_attention(q, k, v, seen, scale=scale)
        return z.transpose(1, 2)

    def _frozen(self, layer: int, z: Tensor, v: Tensor, start: int, last: bool) -> Tensor:
        for group in self.table.get((layer, "frozen"), ()):
            values = v[group.lane].transpose(1, 2)
            if last:
                lanes = torch.arange(len(group.lane), device=v.device)
                pattern = group.value[lanes, :, self.query[group.lane]][:, :, None]
                z[group.lane] = (pattern @ values)[:, :, 0]
            else:
                z[group.lane] = (group.value[:, :, start:] @ values).transpose(1, 2)
        return z

    def logits(self, x: Tensor) -> Tensor:
        """Next-token logits of (..., d)."""
        w = self.weights
        return F.linear(w.final(x), w.unembed, w.unembed_bias)


def embed(weights: Weights, ids: Tensor, start: int = 0) -> Tensor:
    """What the embeddings write, (row, pos, d); `start`: the position of the first id."""
    x = weights.embed[ids]
    if weights.positions is not None:
        x = x + weights.positions[start : start + ids.shape[1]]
    return x


@torch.no_grad()
def forward(
    weights: Weights, ids: Tensor, query: Tensor, table: Table | None = None, tap: Tap | None = None
) -> Clean:
    """All layers of a batch, every layer's state kept; with edits, if a table is given."""
    run = Pass(weights, query, ids.shape[1], table or {}, tap)
    x = embed(weights, ids)
    pre, z, kv = [x], [], []
    for layer in range(len(weights.blocks)):
        x, read, keys = run.layer(layer, x, 0, None, last=False)
        pre.append(x)
        z.append(read)
        kv.append(keys)
    rows = torch.arange(len(ids), device=ids.device)
    full = bool((query == ids.shape[1] - 1).all())
    return Clean(query, pre, z, kv, run.logits(x[rows, query]), full)


@torch.no_grad()
def resume(weights: Weights, clean: Clean, lanes: Tensor, table: Table, start: int) -> Tensor:
    """Logits (lane, vocab) at the queries, under edits; lanes: the clean run's row of each.

    start: no edit is at a position before it.
    """
    query = clean.query[lanes]
    run = Pass(weights, query, clean.width, table, None, clean.full)
    first, n = min(layer for layer, _ in table), len(weights.blocks)
    local = all(point in LOCAL for layer, point in table if layer == first)
    if local and first == n - 1:
        keys = torch.arange(len(lanes), device=lanes.device)
        x = _local(run, clean, lanes, first, lanes, query, Queries(query), keys)
        return run.logits(x)
    if local:
        x, first = _enter(run, clean, lanes, first, start), first + 1
    else:
        x = clean.pre[first][lanes, start:]
    for layer in range(first, n):
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
    lane, pos = keys // width, keys % width
    new = _local(run, clean, lanes, layer, lanes[lane], pos, Touched(keys, width), lane)
    if len(keys) == len(lanes) * keep:
        return new.view(len(lanes), keep, -1)
    x = clean.pre[layer + 1][lanes, start:]
    x[lane, pos - start] = new
    return x


def _local(
    run: Pass,
    clean: Clean,
    lanes: Tensor,
    layer: int,
    row: Tensor,
    pos: Tensor,
    frame: Frame,
    lane: Tensor,
) -> Tensor:
    """A layer at single tokens whose keys and values are the clean run's: (token, d)."""
    x, z = clean.pre[layer][row, pos], clean.z[layer][row, pos]
    if (layer, "q") in run.table:
        z = _asked(run, clean, layer, x, row, pos, frame)
    z = run.look(layer, z, clean.kv[layer][:, :, 1], frame, lanes)
    return run.after(layer, x, z, frame)


def _asked(
    run: Pass, clean: Clean, layer: int, x: Tensor, row: Tensor, pos: Tensor, frame: Frame
) -> Tensor:
    """What heads read at single tokens whose queries are edited."""
    w, block = run.weights, run.weights.blocks[layer]
    size = w.n_heads * w.d_head
    q = F.linear(block.norm1(x), block.qkv[:size], block.qkv_bias[:size])
    q = run.edit(layer, "q", q.view(-1, w.n_heads, w.d_head), frame)
    if w.rotary is not None:
        q = w.rotary(q[:, None], pos[:, None])[:, 0]
    k, v = clean.kv[layer][row].unbind(2)
    scores = torch.einsum("mhd,mkhd->mhk", q, k) * w.scale
    unseen = torch.arange(clean.width, device=x.device) > pos[:, None]
    scores = scores.masked_fill(unseen[:, None], float("-inf"))
    return torch.einsum("mhk,mkhd->mhd", scores.softmax(-1), v)
