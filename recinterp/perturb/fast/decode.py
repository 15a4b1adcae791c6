"""Whole outputs under interventions, with keys and values cached from step to step.

What a position holds may change once: while it is the prediction position, an edit of that position
applies to it; after that it is an output (or SEP). So every step reads its newest token twice where
that matters: as the prediction position, for the answer, and as what it is from then on, for the
keys and values that later steps read. Earlier positions never change again, whatever absolute index
an edit names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from recinterp.perturb.fast.batching import table_of
from recinterp.perturb.fast.blocks import Pass
from recinterp.perturb.fast.forward import embed, forward
from recinterp.perturb.fast.hook_points import PredictionFrame, Table
from recinterp.perturb.fast.masks import EncoderDecoderSplit, key_span
from recinterp.perturb.fast.weights import FastWeights
from recinterp.perturb.lowering.edits import Edit, PatternEdit, PatternFreeze, Write
from recinterp.perturb.lowering.lower import lower
from recinterp.perturb.lowering.sources import ensure_source_cache
from recinterp.perturb.plan import (
    Ablate,
    ForcePrefix,
    FreezePatterns,
    Interchange,
    Intervention,
    Plan,
    Redirect,
    Steer,
    Swap,
    Transplant,
)
from recinterp.perturb.positions import (
    At,
    PromptBatch,
    Where,
    build_batch,
    without_future_positions,
)

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task


def supports_kv_cache(plan: Plan) -> bool:
    """Whether the edits of past positions stay as they are while the output grows."""
    return all(_supports_kv_cache(step) for step in plan)


def _supports_kv_cache(step: Intervention) -> bool:
    match step:
        case Ablate(kind="zero") | Steer() | Redirect() | ForcePrefix() | Swap():
            return True
        case Ablate(kind="mean", reference=reference):
            return reference is not None  # else the mean of a batch that grows
        case Interchange(within=within) if within is not None:
            return False  # the clean run's values at the prediction position grow with it
        case Interchange(units=units, at=at, control_seed=control_seed):
            places = [at] if at is not None else [unit.at for unit in units]
            # A past position stays in these classes, and a row has as many of them at every step.
            fixed = ("input", "inputs", "others", "some", "position", "prediction")
            counted = all(_only(place, fixed) for place in places)
            return counted and control_seed is None
        case Transplant(control_seed=control_seed):
            return control_seed is None
        case FreezePatterns():
            return False  # the clean run's patterns grow too
    return False


def _only(where: Where, kinds: Sequence[str]) -> bool:
    classes: tuple[At, ...] = where if isinstance(where, tuple) else (where,)
    return all(at.kind in kinds for at in classes)


def restrict_to_current(plan: Plan, rows: PromptBatch) -> list[Intervention]:
    """A plan for one step of decoding, without positions that the rows do not reach yet."""
    return [_restrict_step(step, rows) for step in plan]


def _restrict_step(step: Intervention, rows: PromptBatch) -> Intervention:
    match step:
        case Steer(unit=unit):
            return replace(step, unit=replace(unit, at=without_future_positions(unit.at, rows)))
        case Ablate(units=units):
            return replace(
                step, unit=tuple(replace(u, at=without_future_positions(u.at, rows)) for u in units)
            )
    return step


@torch.no_grad()
def decode(
    adapter: Adapter,
    task: Task,
    weights: FastWeights,
    rows: PromptBatch,
    plan: Plan,
    lengths: Sequence[int] | None = None,
) -> list[tuple[list[str], bool]]:
    """Per row: the tokens written, forced ones included, and whether that is the whole output.

    Args:
        adapter: The model.
        task: Its task.
        weights: Its weights, as the fast backend reads them.
        rows: The prompts.
        plan: The interventions.
        lengths: Tokens of each whole output, for a task without EOS.
    """
    with ensure_source_cache():
        return _Decoding(adapter, task, weights, rows, plan, lengths).run()


class _Decoding:
    def __init__(
        self,
        adapter: Adapter,
        task: Task,
        weights: FastWeights,
        rows: PromptBatch,
        plan: Plan,
        lengths: Sequence[int] | None,
    ) -> None:
        self.adapter, self.task, self.weights, self.plan = adapter, task, weights, plan
        self.rows = rows
        self.outs = [list(prefix) for prefix in rows.prefixes]
        self.ended = [False] * len(rows)
        self.open = [int(q) < adapter.n_ctx for q in rows.prediction]
        self.lengths = lengths
        self._end_full_outputs()
        self.kv: list[Tensor] = []
        self.split: EncoderDecoderSplit | None = None

    def run(self) -> list[tuple[list[str], bool]]:
        """Decode step by step until every row has ended or has no room left."""
        self._prefill()
        edits = self._lower_step()
        while any(self.open):
            here, prediction = self.rows, self.rows.prediction
            logits = self._step(here, prediction, edits)
            self._write(logits.argmax(-1).tolist())
            if not any(self.open):
                break
            self.rows = build_batch(self.task, here.inputs, self.outs)
            before, edits = edits, self._lower_step()
            if _at(before, prediction) or _at(edits, prediction):
                self._step(here, prediction, edits)  # as a past position
        return list(zip(self.outs, self.ended, strict=True))

    def _prefill(self) -> None:
        device = self.weights.embed.device
        edits = self._lower_step()
        past = [edit for edit in edits if isinstance(edit, Write)]
        ids, prediction = self.rows.ids.to(device), self.rows.prediction.to(device)
        if self.weights.start is not None:
            self.split = EncoderDecoderSplit.of(self.rows.sep.to(device))
        clean = forward(self.weights, ids, prediction, self._table(past), split=self.split)
        room = self.adapter.n_ctx - ids.shape[1]
        self.kv = [
            F.pad(kv, (0, 0, 0, 0, 0, 0, 0, room)) if block.kind in "LD" else kv
            for kv, block in zip(clean.kv, self.weights.blocks, strict=True)
        ]

    def _lower_step(self) -> list[Edit]:
        return lower(self.adapter, self.task, self.rows, restrict_to_current(self.plan, self.rows))

    def _table(self, edits: Sequence[Edit]) -> Table:
        return table_of([edits], range(len(self.rows)), len(self.rows), self.weights.embed.device)

    def _step(
        self, rows: PromptBatch, prediction: Int[Tensor, " row"], edits: Sequence[Edit]
    ) -> Float[Tensor, "row vocab"]:
        """Read one token per row, at `prediction`, under the edits at that position."""
        device = self.weights.embed.device
        ids = rows.ids[torch.arange(len(rows)), prediction].to(device)
        found = [_wide(edit, self.adapter.n_ctx) for edit in _at(edits, prediction)]
        table, width = self._table(found), self.adapter.n_ctx
        return step(self.weights, self.kv, ids, prediction.to(device), table, width, self.split)

    def _write(self, tokens: list[int]) -> None:
        for i, token in enumerate(tokens):
            if not self.open[i]:
                continue
            if token == self.task.eos:
                self.open[i], self.ended[i] = False, True
                continue
            name = self.adapter.token(token)
            self.outs[i].append(name)
            fits = int(self.rows.prediction[i]) + 2 < self.adapter.n_ctx
            self.open[i] = fits and name in self.task.ids
        self._end_full_outputs()

    def _end_full_outputs(self) -> None:
        """End the outputs that have their known length, where no EOS ends them."""
        for i, length in enumerate(self.lengths or ()):
            if len(self.outs[i]) >= length:
                self.open[i], self.ended[i] = False, True


def _at(edits: Sequence[Edit], prediction: Int[Tensor, " row"]) -> list[Edit]:
    """The edits at one position per row, restricted to it."""
    found: list[Edit] = []
    for edit in edits:
        if isinstance(edit, PatternFreeze):
            continue
        here = (edit.pos == prediction[edit.row]).nonzero()[:, 0]
        if not len(here):
            continue
        row, pos = edit.row[here], edit.pos[here]
        if isinstance(edit, PatternEdit):
            found.append(PatternEdit(edit.layer, edit.head, row, pos, edit.pattern[here]))
        else:
            value = edit.value[here.to(edit.value.device)] if edit.per_site else edit.value
            found.append(Write(edit.hook, edit.head, row, pos, edit.op, value, edit.per_site))
    return found


def _wide(edit: Edit, width: int) -> Edit:
    """An edit whose attention covers as many keys as the buffers have."""
    if not isinstance(edit, PatternEdit):
        return edit
    pattern = F.pad(edit.pattern, (0, width - edit.pattern.shape[-1]))
    return PatternEdit(edit.layer, edit.head, edit.row, edit.pos, pattern)


def step(
    weights: FastWeights,
    kv: Sequence[Float[Tensor, "row room 2 head d_head"]],
    ids: Int[Tensor, " row"],
    pos: Int[Tensor, " row"],
    table: Table,
    width: int,
    split: EncoderDecoderSplit | None = None,
) -> Float[Tensor, "row vocab"]:
    """Logits after one more token per row.

    Args:
        weights: The model.
        kv: Keys and values per layer; those of the token are written to them.
        ids: The token of each row.
        pos: Its position.
        table: The edits at these positions.
        width: Positions that the buffers have room for.
        split: Where outputs begin, in an encoder-decoder.
    """
    run = Pass(weights, pos, width, table, None, bool((pos == width - 1).all()), split)
    frame, rows = PredictionFrame(pos), torch.arange(len(ids), device=ids.device)
    x = embed(weights, ids, pos, split)
    for layer, block in enumerate(weights.blocks):
        if block.kind == "E":  # the encoder has run
            x = run.pass_through(layer, x, frame)
            continue
        x = run.edit(layer, "pre", x, frame)
        parts = block.part(block.norm1, x, 0, 1 if block.kind == "X" else 3, weights.d_head)
        q = run.apply_rotary(run.edit(layer, "q", parts[:, 0], frame)[:, None], pos[:, None])
        if block.kind != "X":
            k, v = parts[:, 1], parts[:, 2]
            run.edit(layer, "k", k, frame)
            run.edit(layer, "v", v, frame)
            at = pos - key_span(block.kind, width, split)[0]
            kv[layer][rows, at, 0] = run.apply_rotary(k[:, None], pos[:, None])[:, 0]
            kv[layer][rows, at, 1] = v
        z = run.attend(block.kind, q, kv[layer], pos[:, None])[:, 0]
        z = run.force_patterns(layer, z, kv[layer][:, :, 1], frame, None)
        x = run.finish_block(layer, x, z, frame)
    return run.logits(x)
