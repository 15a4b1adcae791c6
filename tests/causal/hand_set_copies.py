"""Transformers with weights set by hand that copy or reverse distinct letters in three ways.

    position    the query at output t looks at input t (the last but t, for reverse)
    content     layer 0 finds the place of the last output token; layer 1 looks one further on
    exclusion   one head adds up the inputs, the first ones most; another subtracts the outputs

BOS stands at place 0, the inputs at 1 to `length`, SEP after them, the outputs after SEP.
"""

from __future__ import annotations

import torch
from torch import nn

from recinterp.models.architectures.decoder_only import DecoderOnly
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends.native import build_hooked
from tests.causal.letters import Letters

SHARP = 60.0
Weights = dict[str, torch.Tensor]


def copy_network(task: Letters, way: str) -> nn.Module:
    """The hooked network that computes its task in one of the ways."""
    v, n_ctx = len(task.ids), 2 * task.length + 3
    width = 2 * (v + n_ctx)
    shape = Shape(2, 2, width, width // 2, 4, n_ctx, v, norm="none", attn_only=True)
    weights = {k: torch.zeros_like(w) for k, w in DecoderOnly(shape).export_weights().items()}
    token, place = slice(0, v), slice(v, v + n_ctx)
    found, out = slice(v + n_ctx, v + 2 * n_ctx), slice(v + 2 * n_ctx, 2 * v + 2 * n_ctx)
    weights["embed.W_E"][:, token] = torch.eye(v)
    weights["pos_embed.W_pos"][:, place] = torch.eye(n_ctx)
    unembed = weights["unembed.W_U"]
    unembed[out] = SHARP * torch.eye(v)
    for end in (task.sep, task.bos):
        unembed[out.start + end] = SHARP * torch.eye(v)[task.eos]
    backwards = task.kind == "reverse"
    if way == "position":
        _attend(weights, 1, 0, (place, place, _by_position(task, n_ctx)), (token, out))
    elif way == "content":
        match = SHARP * torch.eye(v)
        if not backwards:
            match[task.sep] = SHARP * torch.eye(v)[task.bos]
        _attend(weights, 0, 0, (token, token, match), (place, found))
        weights["blocks.0.attn.W_Q"][0, token, v] = shape.d_head**0.5
        for p in range(task.length + 2, n_ctx):  # not the outputs: only places of the input
            weights["blocks.0.attn.W_K"][0, place.start + p, v] = -2 * SHARP
        step = SHARP * torch.eye(n_ctx).roll(-1 if backwards else 1, dims=1)
        _attend(weights, 1, 0, (found, place, step), (token, out))
    else:
        _exclude(task, weights, place, token, out, n_ctx)
    return build_hooked(shape, weights)


def _attend(
    weights: Weights,
    layer: int,
    head: int,
    score: tuple[slice, slice, torch.Tensor],
    move: tuple[slice, slice],
) -> None:
    """One head: `match[i, j]` scores key j for query i; it moves one block into another."""
    query, key, match = score
    value, into = move
    block, size, width = f"blocks.{layer}.attn", match.shape[1], value.stop - value.start
    scale = weights[f"{block}.W_Q"].shape[-1] ** 0.5
    weights[f"{block}.W_Q"][head, query, :size] = match * scale
    weights[f"{block}.W_K"][head, key, :size] = torch.eye(size)
    weights[f"{block}.W_V"][head, value, :width] = torch.eye(width)
    weights[f"{block}.W_O"][head, :width, into] = torch.eye(width)


def _by_position(task: Letters, n_ctx: int) -> torch.Tensor:
    match = torch.zeros(n_ctx, n_ctx)
    for t in range(task.length + 1):
        at = task.length - t if task.kind == "reverse" else 1 + t
        match[task.length + 1 + t, at] = SHARP
    return match


def _exclude(
    task: Letters, weights: Weights, place: slice, token: slice, out: slice, n_ctx: int
) -> None:
    inputs, outputs = torch.zeros(n_ctx, n_ctx), torch.zeros(n_ctx, n_ctx)
    for q in range(task.length + 1, n_ctx):
        for i in range(1, task.length + 1):
            first = task.length - i if task.kind == "reverse" else i - 1
            inputs[q, i] = SHARP - 0.5 * first
        outputs[q, task.length + 1 :] = SHARP
    v = token.stop
    _attend(weights, 1, 0, (place, place, inputs), (token, out))
    _attend(weights, 1, 1, (place, place, outputs), (token, out))
    weights["blocks.1.attn.W_O"][1, :v, out] = -10 * torch.eye(v)
    for end in (task.sep, task.bos):
        weights["unembed.W_U"][out.start + end] = 0
    weights["pos_embed.W_pos"][:, out.start + task.eos] = 0.01  # the end, when nothing is left
