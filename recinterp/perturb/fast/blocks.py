"""One call of the fast backend: the layers, with the edits of all plan rows at their points.

A plan row is one row of the batch under one plan. Shapes that begin with `*frame` hold the
positions that a frame (`hook_points.py`) describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
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
    """What all layers of one call share.

    Attributes:
        weights: The model.
        prediction: Prediction position of each plan row.
        width: Positions of a row.
        table: The edits of the call, by layer and point.
        on_activation: Called with every activation; None for none.
        full: Whether every prediction position is the last one, so that no mask is needed there.
        split: Where outputs begin, in an encoder-decoder.
    """

    weights: FastWeights
    prediction: Int[Tensor, " plan_row"]
    width: int
    table: Table = field(default_factory=dict)
    on_activation: OnActivation | None = None
    full: bool = False
    split: EncoderDecoderSplit | None = None

    def edit(
        self, layer: int, point: str, value: Float[Tensor, "*frame ..."], frame: Frame
    ) -> Float[Tensor, "*frame ..."]:
        """Apply the writes at a point to an activation, in place, and report it."""
        value = self._apply_writes(layer, point, value, frame)
        if self.on_activation is not None:
            self.on_activation(layer, point, value, frame)
        return value

    def _apply_writes(
        self, layer: int, point: str, value: Float[Tensor, "*frame ..."], frame: Frame
    ) -> Float[Tensor, "*frame ..."]:
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
        self,
        layer: int,
        z: Float[Tensor, "*frame head d_head"],
        v: Float[Tensor, "plan_row key head d_head"],
        frame: Frame,
        plan_row: Int[Tensor, " plan_row"] | None,
    ) -> Float[Tensor, "*frame head d_head"]:
        """Overwrite what heads read at queries with the result of forced attention.

        Args:
            layer: Index of the layer.
            z: The output of the heads; it is written to.
            v: The values that the heads read.
            frame: The positions of `z`.
            plan_row: Row of `v` of each plan row; None if they are the same.
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
        self,
        layer: int,
        x: Float[Tensor, "*frame d_model"],
        z: Float[Tensor, "*frame head d_head"],
        frame: Frame,
        own: Float[Tensor, "*frame 1"] | None = None,
    ) -> Float[Tensor, "*frame d_model"]:
        """The rest of a layer after its heads have read.

        Args:
            layer: Index of the layer.
            x: The residual stream before it; it is written to.
            z: The output of the heads.
            frame: The positions of `x` and `z`.
            own: 0 at positions of the other half, where the layer adds nothing; None if there are
                none.

        Returns:
            The residual stream after the layer.
        """
        z = self.edit(layer, "z", z, frame).flatten(-2)
        seen = self.on_activation is not None or any(
            (layer, point) in self.table for point in INSIDE
        )
        run = self._finish_with_edits if seen else self._finish_fused
        return self.edit(layer, "post", run(layer, x, z, frame, own), frame)

    def _finish_fused(
        self,
        layer: int,
        x: Float[Tensor, "*frame d_model"],
        z: Float[Tensor, "*frame d_z"],
        frame: Frame,
        own: Float[Tensor, "*frame 1"] | None,
    ) -> Float[Tensor, "*frame d_model"]:
        """`finish_block` where nothing in between is edited or observed."""
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
        self,
        layer: int,
        x: Float[Tensor, "*frame d_model"],
        z: Float[Tensor, "*frame d_z"],
        frame: Frame,
        own: Float[Tensor, "*frame 1"] | None,
    ) -> Float[Tensor, "*frame d_model"]:
        """`finish_block` with the edits in between."""
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
        self,
        layer: int,
        x: Float[Tensor, "plan_row pos d_model"],
        start: int,
        before: Float[Tensor, "plan_row key 2 head d_head"] | None,
        last: bool,
    ) -> tuple[
        Float[Tensor, "plan_row ..."],
        Float[Tensor, "plan_row ..."],
        Float[Tensor, "plan_row key 2 head d_head"],
    ]:
        """A whole layer from position `start` on.

        Args:
            layer: Index of the layer.
            x: The residual stream from `start` on; it is written to.
            start: First position that differs from the clean run.
            before: Keys and values of the clean run, of which those before `start` remain valid; it
                is written to. None if `start` is 0.
            last: Whether only the prediction position is needed.

        Returns:
            The residual stream after the layer, z, and keys with values. With `last`, the first two
            hold the prediction position only.
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
            # Rows whose prediction position lies before `start` get the clean logits in `resume`.
            at = (self.prediction - lo).clamp_min(0)
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
        """Whether a last layer can run without making keys and values: nothing edits those."""
        kind = self.weights.blocks[layer].kind
        touched = any(
            (layer, point) in self.table for point in ("k", "v", "pattern", "frozen_pattern")
        )
        return self.weights.rotary is None and not touched and (kind == "L" or not start)

    def last_layer_at_prediction(
        self,
        layer: int,
        x: Float[Tensor, "plan_row pos d_model"],
        start: int,
        earlier: Float[Tensor, "plan_row earlier d_model"],
    ) -> Float[Tensor, "plan_row d_model"]:
        """The last layer at the prediction positions only.

        A query meets h in q . (K h + b), which is (K' q) . h plus a constant for all keys; what is
        read is V applied to the mean of h. For one query that is far less work than making keys.

        Args:
            layer: Index of the layer.
            x: The residual stream from `start` on.
            start: First position that differs from the clean run.
            earlier: The residual stream before `start`.
        """
        block, heads = self.weights.blocks[layer], self.weights.n_heads
        x = self.edit(layer, "pre", x, SuffixFrame(start))
        # Rows whose prediction position lies before `start` get the clean logits in `resume`.
        at = (self.prediction - start).clamp_min(0)
        asking, frame = (
            x[torch.arange(len(x), device=x.device), at],
            PredictionFrame(self.prediction),
        )
        q = block.part(block.norm1, asking, 0, 1, self.weights.d_head)[:, 0]
        q = self.edit(layer, "q", q, frame) * self.weights.scale
        held = torch.cat((earlier, x), 1) if start else x
        held = held[:, slice(*key_span(block.kind, self.width, self.split))]
        h = (block.cross_norm or block.norm1)(held)
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

    def _own_mask(self, kind: str, pos: Int[Tensor, "..."]) -> Float[Tensor, "... 1"] | None:
        """1 at the positions of a span that are the block's own, else 0; None for all."""
        if self.split is None or self.split.even:
            return None
        return is_own_position(kind, pos, self.split.begins[:, None])[..., None].to(
            self.weights.embed
        )

    def _merge_span(
        self,
        layer: int,
        x: Float[Tensor, "plan_row pos d_model"],
        out: Float[Tensor, "plan_row span d_model"],
        lo: int,
        start: int,
    ) -> Float[Tensor, "plan_row pos d_model"]:
        """The residual stream after a layer that has computed a span of it."""
        whole = x.clone()
        for point in ("mid", "post"):
            whole = self._apply_writes(layer, point, whole, SuffixFrame(start))
        whole[:, lo - start : lo - start + out.shape[1]] = out
        return whole

    def apply_rotary(
        self, x: Float[Tensor, "plan_row pos head d_head"], pos: Int[Tensor, "..."]
    ) -> Float[Tensor, "plan_row pos head d_head"]:
        """Queries or keys with rotary positions, if the model has them."""
        return x if self.weights.rotary is None else self.weights.rotary(x, pos)

    def _qkv(
        self,
        layer: int,
        x: Float[Tensor, "plan_row pos d_model"],
        here: Float[Tensor, "plan_row span d_model"],
        asking: Float[Tensor, "*frame d_model"],
        pos: Int[Tensor, "..."],
        before: Float[Tensor, "plan_row key 2 head d_head"] | None,
    ) -> tuple[Float[Tensor, "*frame head d_head"], Float[Tensor, "plan_row key 2 head d_head"]]:
        """Queries at `asking`, and all keys and values, of which those at `here` are computed."""
        block, width = self.weights.blocks[layer], self.weights.d_head
        if block.cross_norm is None and asking is here:
            parts = block.part(block.norm1, here, 0, 3, width)
            q, kv = parts[..., 0, :, :], parts[..., 1:, :, :]
        else:
            q = block.part(block.norm1, asking, 0, 1, width)[..., 0, :, :]
            if block.cross_norm is None:
                kv = block.part(block.norm1, here, 1, 3, width)
            elif before is not None:  # nothing that was read has changed
                return q, before
            else:
                pos = torch.arange(*key_span("X", self.width, self.split), device=x.device)
                kv = block.part(block.cross_norm, x[:, : len(pos)], 1, 3, width)
        kv = self._edited_kv(layer, kv, pos)
        if before is None:
            return q, kv
        before[:, before.shape[1] - len(pos) :] = kv
        return q, before

    def _edited_kv(
        self, layer: int, kv: Float[Tensor, "plan_row pos 2 head d_head"], pos: Int[Tensor, "..."]
    ) -> Float[Tensor, "plan_row pos 2 head d_head"]:
        """Keys and values of some positions, with edits; values of the other half are 0."""
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

    def attend(
        self,
        kind: str,
        q: Float[Tensor, "plan_row query head d_head"],
        kv: Float[Tensor, "plan_row key 2 head d_head"],
        pos: Int[Tensor, "..."],
    ) -> Float[Tensor, "plan_row query head d_head"]:
        """What each head reads; pos: (query,), or (plan row, 1) for one query per plan row."""
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

    def _apply_frozen(
        self,
        layer: int,
        z: Float[Tensor, "*frame head d_head"],
        v: Float[Tensor, "plan_row key head d_head"],
        frame: Frame,
    ) -> Float[Tensor, "*frame head d_head"]:
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

    def pass_through(
        self, layer: int, x: Float[Tensor, "*frame d_model"], frame: Frame
    ) -> Float[Tensor, "*frame d_model"]:
        """A layer at positions of the other half only: it adds nothing to them."""
        for point in STREAM:
            x = self.edit(layer, point, x, frame)
        return x

    def logits(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... vocab"]:
        """Next-token logits of the final residual stream."""
        w = self.weights
        return F.linear(w.final(x), w.unembed, w.unembed_bias)
