"""One call of the fast backend: each layer, with the edits of all lanes at its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from recinterp.perturb.fast.hook_points import (
    STREAM,
    Frame,
    OnActivation,
    PredictionFrame,
    SuffixFrame,
    Table,
)
from recinterp.perturb.fast.masks import (
    EncoderDecoderSplit,
    attention_mask,
    is_own_position,
    key_span,
    query_span,
)
from recinterp.perturb.fast.weights import FastWeights, add_to, slices
from recinterp.perturb.lowering.edits import write

INSIDE = ("attn_out", "mid", "mlp_pre", "mlp_post", "mlp_out")


@dataclass(eq=False)
class Pass:
    """What all layers of one call share."""

    weights: FastWeights
    prediction: Tensor
    width: int
    table: Table = field(default_factory=dict)
    on_activation: OnActivation | None = None
    full: bool = False  # every query is the last position: no mask is needed there
    split: EncoderDecoderSplit | None = None

    def edit(self, layer: int, point: str, value: Tensor, frame: Frame) -> Tensor:
        """Carry out the writes at a point, in place; `value` is this call's own."""
        value = self._apply_writes(layer, point, value, frame)
        if self.on_activation is not None:
            self.on_activation(layer, point, value, frame)
        return value

    def _apply_writes(self, layer: int, point: str, value: Tensor, frame: Frame) -> Tensor:
        for group in self.table.get((layer, point), ()):
            site, here = frame.place(group)
            if group.head is not None:
                site = (*site, group.head if here is None else group.head[here])
            new, noise = group.value, group.noise
            if here is not None:
                new, noise = new[here], None if noise is None else noise[here]
            value[site] = write(group.op, value[site], new, noise)
        return value

    def force_patterns(
        self, layer: int, z: Tensor, v: Tensor, frame: Frame, plan_row: Tensor | None
    ) -> Tensor:
        """Overwrite what heads read at queries with forced attention; v: (lane or row, pos, ...).

        lane: the row of `v` that belongs to each lane, where they are not one and the same.
        """
        seen = slice(*key_span(self.weights.blocks[layer].kind, self.width, self.split))
        for group in self.table.get((layer, "pattern"), ()):
            site, here = frame.place(group)
            pattern, of, heads = group.value[..., seen], group.plan_row, group.head
            if here is not None:
                pattern, of = pattern[here], of[here]
                heads = None if heads is None else heads[here]
            of = of if plan_row is None else plan_row[of]
            if heads is None:
                z[site] = torch.einsum("mhk,mkhd->mhd", pattern.expand(-1, z.shape[-2], -1), v[of])
            else:
                rows = torch.arange(v.shape[1], device=v.device)
                read = v[of[:, None], rows, heads[:, None]]
                z[(*site, heads)] = (pattern[:, 0, :, None] * read).sum(1)
        return z

    def finish_block(
        self, layer: int, x: Tensor, z: Tensor, frame: Frame, own: Tensor | None = None
    ) -> Tensor:
        """The rest of a layer once its heads have read: x, z as the frame has them.

        x: this call's own; it is written to. own: 0 at positions of the other half, where a layer
        adds nothing; None: there are none.
        """
        z = self.edit(layer, "z", z, frame).flatten(-2)
        seen = self.on_activation is not None or any(
            (layer, point) in self.table for point in INSIDE
        )
        run = self._finish_with_edits if seen else self._finish_fused
        return self.edit(layer, "post", run(layer, x, z, frame, own), frame)

    def _finish_fused(
        self, layer: int, x: Tensor, z: Tensor, frame: Frame, own: Tensor | None
    ) -> Tensor:
        """The same where nothing in between is edited or looked at."""
        block, x = self.weights.blocks[layer], x.contiguous()
        tokens, read = slices(x.view(-1, x.shape[-1])), slices(z.reshape(-1, z.shape[-1]))
        owned: Sequence[Tensor | None] = [None] * len(tokens)
        if own is not None:
            owned = slices(own.expand_as(x[..., :1]).reshape(-1, 1))
        for part, heads, held in zip(tokens, read, owned, strict=True):
            add_to(part, heads, block.out, block.out_bias, held)
            if block.down is not None:
                hidden = block.hidden(*block.mlp_preactivation(part), self.weights.act)
                add_to(part, hidden, block.down, block.down_bias, held)
        return x

    def _finish_with_edits(
        self, layer: int, x: Tensor, z: Tensor, frame: Frame, own: Tensor | None
    ) -> Tensor:
        """The same with the edits in between."""
        block = self.weights.blocks[layer]
        out = F.linear(z, block.out, block.out_bias)
        out = self.edit(layer, "attn_out", out if own is None else out.mul_(own), frame)
        x = self.edit(layer, "mid", out.add_(x), frame)
        if block.down is None:
            return x
        up, gate = block.mlp_preactivation(x)
        up = self.edit(layer, "mlp_pre", up, frame) if gate is None else up
        hidden = self.edit(layer, "mlp_post", block.hidden(up, gate, self.weights.act), frame)
        out = F.linear(hidden, block.down, block.down_bias)
        return self.edit(layer, "mlp_out", out if own is None else out.mul_(own), frame).add_(x)

    def run_layer(
        self, layer: int, x: Tensor, start: int, before: Tensor | None, last: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A whole layer from `start` on; gives the stream after it, z, and keys with values.

        before: keys and values of all its keys, (lane, key, 2, head, d_head), of which those before
        `start` hold good; it is written to. last: only the query is asked for, (lane, d).
        """
        block = self.weights.blocks[layer]
        x = self.edit(layer, "pre", x, SuffixFrame(start))
        lo, hi = query_span(block.kind, self.width, self.split)
        lo, hi = max(lo, start), max(hi, start)
        here = x[:, lo - start : hi - start]
        frame: Frame = SuffixFrame(lo, None if hi == self.width else hi)
        pos = torch.arange(lo, hi, device=x.device)
        asking = here
        if last:
            plan_rows = torch.arange(len(x), device=x.device)
            at = (self.prediction - lo).clamp_min(0)  # before it: `resume` knows the answer
            asking, frame = here[plan_rows, at], PredictionFrame(self.prediction)
        q, kv = self._qkv(layer, x, here, asking, pos, before)
        pos = self.prediction[:, None] if last else pos
        q = self.edit(layer, "q", q, frame)
        q = q[:, None] if last else q
        z = self.attend(block.kind, self.apply_rotary(q, pos), kv, pos)
        z = z[:, 0] if last else z
        if self.table:
            z = self._apply_frozen(layer, z, kv[:, :, 1], frame)
            z = self.force_patterns(layer, z, kv[:, :, 1], frame, None)
        out = self.finish_block(
            layer, asking, z, frame, None if last else self._own_mask(block.kind, pos)
        )
        if not last and hi - lo < x.shape[1]:
            out = self._merge_span(layer, x, out, lo, start)
        return out, z, kv

    def can_skip_kv(self, layer: int, start: int) -> bool:
        """Whether a last layer can be asked without keys and values: nothing touches those."""
        kind = self.weights.blocks[layer].kind
        touched = any(
            (layer, point) in self.table for point in ("k", "v", "pattern", "frozen_pattern")
        )
        return self.weights.rotary is None and not touched and (kind == "L" or not start)

    def last_layer_at_prediction(
        self, layer: int, x: Tensor, start: int, earlier: Tensor
    ) -> Tensor:
        """The last layer at the queries alone, (lane, d); earlier: the stream before `start`.

        A query meets h in q . (K h + b), which is (K' q) . h and as much again for every key; what
        is read is V applied to the mean of h: for one query that is far less than making keys.
        """
        block, heads = self.weights.blocks[layer], self.weights.n_heads
        x = self.edit(layer, "pre", x, SuffixFrame(start))
        at = (self.prediction - start).clamp_min(0)  # before it: `resume` knows the answer
        asking, frame = (
            x[torch.arange(len(x), device=x.device), at],
            PredictionFrame(self.prediction),
        )
        q = block.part(block.norm1, asking, 0, 1, self.weights.d_head)[:, 0]
        q = self.edit(layer, "q", q, frame) * self.weights.scale
        held = torch.cat((earlier, x), 1) if start else x
        held = held[:, slice(*key_span(block.kind, self.width, self.split))]
        h = (block.asked or block.norm1)(held)
        _, key, value = block.qkv.view(3, heads, -1, x.shape[-1]).unbind()
        scores = torch.einsum("lhe,hed->lhd", q, key) @ h.transpose(1, 2)
        mask = None
        if block.kind == "X" or not self.full:
            mask = attention_mask(block.kind, self.prediction[:, None], self.width, self.split)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        pattern = scores.softmax(-1).nan_to_num(0.0)  # nothing was read: nothing is seen
        z = torch.einsum("lhd,hed->lhe", pattern @ h, value)
        z += pattern.sum(-1, keepdim=True) * block.qkv_bias.view(3, heads, -1)[2]
        return self.finish_block(layer, asking, z, frame)

    def _own_mask(self, kind: str, pos: Tensor) -> Tensor | None:
        """Which of a span's positions are the block's own, (lane, pos, 1); None: all."""
        if self.split is None or self.split.even:
            return None
        return is_own_position(kind, pos, self.split.begins[:, None])[..., None].to(
            self.weights.embed
        )

    def _merge_span(self, layer: int, x: Tensor, out: Tensor, lo: int, start: int) -> Tensor:
        """The stream after a layer that has computed a span of it."""
        whole = x.clone()
        for point in ("mid", "post"):
            whole = self._apply_writes(layer, point, whole, SuffixFrame(start))
        whole[:, lo - start : lo - start + out.shape[1]] = out
        return whole

    def apply_rotary(self, x: Tensor, pos: Tensor) -> Tensor:
        """Queries or keys with rotary positions, if the model has them."""
        return x if self.weights.rotary is None else self.weights.rotary(x, pos)

    def _qkv(
        self,
        layer: int,
        x: Tensor,
        here: Tensor,
        asking: Tensor,
        pos: Tensor,
        before: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Queries of those asking, of a span, and all keys with values; see `run_layer`."""
        block, width = self.weights.blocks[layer], self.weights.d_head
        if block.asked is None and asking is here:
            parts = block.part(block.norm1, here, 0, 3, width)
            q, kv = parts[..., 0, :, :], parts[..., 1:, :, :]
        else:
            q = block.part(block.norm1, asking, 0, 1, width)[..., 0, :, :]
            if block.asked is None:
                kv = block.part(block.norm1, here, 1, 3, width)
            elif before is not None:  # nothing that was read has changed
                return q, before
            else:
                pos = torch.arange(*key_span("X", self.width, self.split), device=x.device)
                kv = block.part(block.asked, x[:, : len(pos)], 1, 3, width)
        kv = self._edited_kv(layer, kv, pos)
        if before is None:
            return q, kv
        before[:, before.shape[1] - len(pos) :] = kv
        return q, before

    def _edited_kv(self, layer: int, kv: Tensor, pos: Tensor) -> Tensor:
        """Keys and values of some positions, with edits; values of the other half's are 0."""
        kind, k, v = self.weights.blocks[layer].kind, kv.select(-3, 0), kv.select(-3, 1)
        hi = key_span(kind, self.width, self.split)[1]
        frame = SuffixFrame(hi - len(pos), None if hi == self.width else hi)
        self.edit(layer, "k", k, frame)
        self.edit(layer, "v", v, frame)
        own = self._own_mask("E" if kind == "X" else kind, pos)
        if own is not None:
            v.mul_(own[..., None])
        if self.weights.rotary is not None:
            k.copy_(self.weights.rotary(k, pos))
        return kv

    def attend(self, kind: str, q: Tensor, kv: Tensor, pos: Tensor) -> Tensor:
        """What each head reads: q (lane, query, head, d_head); pos: see `attention_mask`."""
        k, v = (t.transpose(1, 2) for t in kv.unbind(2))
        alike = kind in "LD" and (self.split is None or self.split.even)
        causal = alike and pos.dim() == 1 and len(pos) == kv.shape[1]
        mask = None
        if not (causal or (alike and self.full and pos.dim() == 2)):
            mask = attention_mask(kind, pos, self.width, self.split)
        if mask is not None and mask.dim() == 3:
            mask = mask[:, None]
        z = F.scaled_dot_product_attention(
            q.transpose(1, 2), k, v, mask, is_causal=causal, scale=self.weights.scale
        )
        return z.transpose(1, 2)

    def _apply_frozen(self, layer: int, z: Tensor, v: Tensor, frame: Frame) -> Tensor:
        seen = slice(*key_span(self.weights.blocks[layer].kind, self.width, self.split))
        for group in self.table.get((layer, "frozen_pattern"), ()):
            values, pattern = v[group.plan_row].transpose(1, 2), group.value[..., seen]
            if isinstance(frame, SuffixFrame):
                pattern = pattern[:, :, frame.start : frame.stop]
                z[group.plan_row] = (pattern @ values).transpose(1, 2)
            else:
                plan_rows = torch.arange(len(group.plan_row), device=v.device)
                pattern = pattern[plan_rows, :, self.prediction[group.plan_row]][:, :, None]
                z[group.plan_row] = (pattern @ values)[:, :, 0]
        return z

    def pass_through(self, layer: int, x: Tensor, frame: Frame) -> Tensor:
        """A layer at tokens that are none of its own, all of them: it adds nothing to them."""
        for point in STREAM:
            x = self.edit(layer, point, x, frame)
        return x

    def logits(self, x: Tensor) -> Tensor:
        """Next-token logits of (..., d)."""
        w = self.weights
        return F.linear(w.final(x), w.unembed, w.unembed_bias)
