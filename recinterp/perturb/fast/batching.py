"""Many plans in few calls: plans that start alike share a call, and large ones are divided.

A call has a fixed cost, so it holds many tokens; beyond some thousand of them, the memory for its
activations has to be mapped again at every call on many machines. The wide activations inside an
MLP stay in the caches, since they are computed some tokens at a time (`weights.slices`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recinterp.perturb.fast.forward import Clean, resume
from recinterp.perturb.fast.hook_points import LOCAL, EditGroup, Table, point_of
from recinterp.perturb.fast.masks import EncoderDecoderSplit
from recinterp.perturb.fast.weights import FastWeights
from recinterp.perturb.lowering.edits import Edit, PatternEdit, PatternFreeze, Write


@dataclass(frozen=True)
class PlanStart:
    """Where a plan starts to differ from the clean run.

    Attributes:
        first: First edited layer.
        local: Whether the edits there leave all other positions of that layer unchanged.
        start: First edited position; 0 if an encoder reads one.
    """

    first: int
    local: bool
    start: int


def start_of(edits: Sequence[Edit], split: EncoderDecoderSplit | None = None) -> PlanStart | None:
    """Where a lowered plan starts; None if it writes nothing.

    An encoder attends both ways: after an edit of its input the whole row is recomputed.

    Args:
        edits: The edits, at hook points that the fast backend has.
        split: Where outputs begin, in an encoder-decoder.
    """
    begins = None if split is None else split.begins.cpu()
    touched = []
    for edit in edits:
        if isinstance(edit, PatternFreeze):
            touched.append((edit.layer, "frozen_pattern", 0))
        elif len(edit.pos):
            place = point_of(edit.hook)
            assert place is not None
            read = begins is not None and bool((edit.pos < begins[edit.row]).any())
            touched.append((*place, 0 if read else int(edit.pos.min())))
    if not touched:
        return None
    first = min(layer for layer, _, _ in touched)
    local = all(point in LOCAL for layer, point, _ in touched if layer == first)
    return PlanStart(first, local, min(start for _, _, start in touched))


@torch.no_grad()
def run_many(
    weights: FastWeights, clean: Clean, plans: Sequence[Sequence[Edit]], tokens: int | None = None
) -> Float[Tensor, "plan row vocab"]:
    """Logits at the prediction position of every row under every plan.

    Args:
        weights: The model.
        clean: The run without edits.
        plans: The edits of each plan.
        tokens: Tokens of one call; None for a number that suits the device.
    """
    rows = len(clean.prediction)
    usual = 4096 if clean.logits.device.type == "cpu" else 65536
    out = clean.logits.expand(len(plans), *clean.logits.shape).clone()
    for call in _calls(plans, clean, len(weights.blocks), tokens or usual):
        plan_rows = torch.arange(call.rows.start, call.rows.stop).repeat(len(call.plans))
        table = table_of([plans[i] for i in call.plans], call.rows, rows, clean.prediction.device)
        if not table:
            continue
        logits = resume(weights, clean, plan_rows.to(clean.prediction.device), table, call.start)
        shape = (len(call.plans), len(call.rows), -1)
        out[call.plans, call.rows.start : call.rows.stop] = logits.view(shape)
    return out


@dataclass(frozen=True)
class _Call:
    plans: list[int]
    rows: range
    start: int


def _calls(
    plans: Sequence[Sequence[Edit]], clean: Clean, n_layers: int, tokens: int
) -> Iterator[_Call]:
    rows = len(clean.prediction)
    for start, single, members in _buckets(plans, clean.split, n_layers, rows):
        each = 1 if single else clean.width - start
        plan_rows = max(1, tokens // each)
        if rows <= plan_rows:
            step = plan_rows // rows
            for i in range(0, len(members), step):
                yield _Call(members[i : i + step], range(rows), start)
        else:
            for number in members:
                for i in range(0, rows, plan_rows):
                    yield _Call([number], range(i, min(i + plan_rows, rows)), start)


def _buckets(
    plans: Sequence[Sequence[Edit]], split: EncoderDecoderSplit | None, n_layers: int, rows: int
) -> Iterator[tuple[int, bool, list[int]]]:
    """(start, whether only the prediction position is computed, plans that share a call)."""
    found: dict[tuple[int, bool], list[tuple[int, int]]] = {}
    for number, edits in enumerate(plans):
        shape = start_of(edits, split)
        if shape is not None:
            key = (shape.first, shape.local)
            found.setdefault(key, []).append((shape.start, number))
    for (first, local), members in found.items():
        members.sort(reverse=True)
        if local and first == n_layers - 1:
            yield members[-1][0], True, [number for _, number in members]
            continue
        for start, together in _split_by_waste(members, rows):
            yield start, False, together


def _split_by_waste(members: list[tuple[int, int]], rows: int) -> Iterator[tuple[int, list[int]]]:
    """Plans by start, latest first, divided where sharing a call would waste too many tokens."""
    max_waste = 192  # tokens computed in vain that cost as much as one more call
    together: list[int] = []
    start, wasted = members[0][0], 0
    for at, number in members:
        more = wasted + (start - at) * len(together) * rows
        if at != start and more > max_waste:
            yield start, together
            start, together, more = at, [], 0
        start, wasted = at, more
        together.append(number)
    yield start, together


def table_of(
    plans: Sequence[Sequence[Edit]], rows: range, total: int, device: torch.device
) -> Table:
    """The edits of some plans on some rows, by point; plan rows are ordered by plan, then row."""
    parts: dict[tuple[int, str, int, str, bool], list[_Part]] = {}
    for number, edits in enumerate(plans):
        seen: dict[tuple[int, str], int] = {}
        for edit in edits:
            point = (
                (edit.layer, "frozen_pattern")
                if isinstance(edit, PatternFreeze)
                else point_of(edit.hook)
            )
            assert point is not None
            part = _part(edit, rows, total, number * len(rows) - rows.start)
            if not len(part.plan_row):
                continue
            order = seen[point] = seen.get(point, -1) + 1
            part_op = edit.op if isinstance(edit, Write) else "set"
            headed = not isinstance(edit, PatternFreeze) and edit.head is not None
            parts.setdefault((*point, order, part_op, headed), []).append(part)
    table: Table = {}
    for (layer, name, _, op, headed), found in sorted(parts.items(), key=lambda item: item[0][:3]):
        axes = 3 if name in ("q", "k", "v", "z") and not headed else 2
        table.setdefault((layer, name), []).append(_group(op, headed, axes, found, device))
    return table


@dataclass(frozen=True, eq=False)
class _Part:
    plan_row: Int[Tensor, " site"]
    pos: Int[Tensor, " site"]
    head: int | None
    value: Float[Tensor, "site ..."]
    noise: Float[Tensor, "site ..."] | None = None


def _part(edit: Edit, rows: range, total: int, offset: int) -> _Part:
    if isinstance(edit, PatternFreeze):
        some = slice(rows.start, rows.stop)
        plan_row = torch.arange(rows.start, rows.stop) + offset
        return _Part(plan_row, plan_row, None, edit.pattern[some])
    whole = len(rows) == total
    if whole:
        some = slice(None)
    else:
        ends = torch.searchsorted(edit.row, torch.tensor([rows.start, rows.stop])).tolist()
        some = slice(*ends)
    plan_row, pos = edit.row[some] + offset, edit.pos[some]
    if isinstance(edit, PatternEdit):
        return _Part(plan_row, pos, edit.head, edit.pattern[some])
    value = edit.value[some] if edit.per_site else edit.value
    if not edit.per_site:
        value = value.expand(len(plan_row), *value.shape)
    return _Part(plan_row, pos, edit.head, value, None if edit.noise is None else edit.noise[some])


def _group(op: str, headed: bool, axes: int, parts: list[_Part], device: torch.device) -> EditGroup:
    heads = None
    if headed:
        counts = torch.tensor([len(p.plan_row) for p in parts])
        which = torch.tensor([p.head for p in parts])
        heads = which.repeat_interleave(counts).to(device)
    noise = [p.noise for p in parts if p.noise is not None]
    return EditGroup(
        op,
        torch.cat([p.plan_row for p in parts]).to(device),
        torch.cat([p.pos for p in parts]).to(device),
        heads,
        torch.cat(_expand_to_common_shape([p.value for p in parts], axes)).to(device),
        torch.cat(noise).to(device) if noise else None,
    )


def _expand_to_common_shape(values: list[Tensor], axes: int) -> list[Tensor]:
    """Zeros are numbers, means and sources vectors: give all of them the same axes."""
    max_dims = max(axes, *(value.dim() for value in values))
    grown = [v.reshape(len(v), *[1] * (max_dims - v.dim()), *v.shape[1:]) for v in values]
    sizes = [max(size) for size in zip(*(v.shape[1:] for v in grown), strict=True)]
    return [v.expand(len(v), *sizes) for v in grown]
