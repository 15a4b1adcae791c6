"""Run a plan on a model: what it says next, or its whole outputs, beside the clean run.

Every site is proven live before it is trusted (`live.py`). Models that the fast backend understands
take it; all others go through hooks, and `Effects.backend` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recinterp.models import Adapter
from recinterp.perturb.fast.decode import decode, restrict_to_current, supports_kv_cache
from recinterp.perturb.fast.support import FastBackend, fast_backend_for
from recinterp.perturb.liveness import assert_live
from recinterp.perturb.lowering.hooks import compile_hook
from recinterp.perturb.lowering.lower import lower
from recinterp.perturb.lowering.prompts import edit_prompts
from recinterp.perturb.lowering.validate import check_plan
from recinterp.perturb.plan import ForcePrefix, Plan, Swap, edited_units
from recinterp.perturb.positions import PromptBatch, Tokens, build_batch
from recinterp.stats import Rate
from recinterp.tokens import EOS, TRUNCATED

if TYPE_CHECKING:
    from torch import nn

    from recinterp.tasks import Task

BATCH = 512  # rows a forward pass


@dataclass(frozen=True, eq=False)
class Effects:
    """What a plan did: next tokens and their logits (batch, vocab), clean and edited.

    outputs, clean_outputs: whole greedy outputs, where they were asked for. road: "fast", or
    "hooks" and why.
    """

    clean: tuple[str, ...]
    edited: tuple[str, ...]
    clean_logits: Tensor
    logits: Tensor
    clean_outputs: tuple[Tokens, ...] | None = None
    outputs: tuple[Tokens, ...] | None = None
    backend: str = "fast"

    @property
    def probabilities(self) -> Tensor:
        """The edited next-token distribution, (batch, vocab)."""
        return self.logits.softmax(-1)

    @property
    def changed(self) -> Rate:
        """The share of rows whose answer (the whole output, if asked for) is not the clean one."""
        if self.outputs is not None and self.clean_outputs is not None:
            return Rate.of(a != b for a, b in zip(self.clean_outputs, self.outputs, strict=True))
        return Rate.of(a != b for a, b in zip(self.clean, self.edited, strict=True))

    @property
    def shift(self) -> Tensor:
        """Total variation distance between the two next-token distributions, (batch,)."""
        return (self.probabilities - self.clean_logits.softmax(-1)).abs().sum(-1) / 2


def run(
    model: nn.Module | Adapter,
    task: Task,
    inputs: Sequence[Sequence[str]],
    plan: Plan,
    prefixes: Sequence[Sequence[str]] | None = None,
    *,
    whole: bool = False,
) -> Effects:
    """Run a plan over inputs, one row each, and give its effect against the clean run.

    prefixes: output tokens already written (default none). whole: also generate on to the end.
    Errors: UnknownHookError, InactiveHookError, InterventionError, IncompatibleModelError.
    """
    adapter = model if isinstance(model, Adapter) else Adapter(model, task)
    rows = build_batch(task, inputs, prefixes)
    clean, edited = next_logits(adapter, task, rows), next_logits(adapter, task, rows, plan)
    outputs = clean_outputs = None
    if whole:
        clean_outputs, outputs = (generate(adapter, task, rows, steps) for steps in ((), plan))
    decoded = [tuple(decode_tokens(adapter, logits)) for logits in (clean, edited)]
    why = hooks_needed(adapter, plan)
    backend = f"hooks: {why}" if why else "fast"
    return Effects(decoded[0], decoded[1], clean, edited, clean_outputs, outputs, backend)


def hooks_needed(adapter: Adapter, plan: Plan = ()) -> str:
    """Why a plan cannot take the fast backend on this model; empty where it does."""
    backend = fast_backend_for(adapter)
    if isinstance(backend, str):
        return backend
    return next(
        (
            why
            for unit in edited_units(adapter, plan)
            if (why := backend.reason_unsupported(unit.hook))
        ),
        "",
    )


def next_logits(adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan = ()) -> Tensor:
    """Logits of the next output token, (batch, vocab), under a plan (default: none)."""
    for hook in sorted({unit.hook for unit in edited_units(adapter, plan)}):
        assert_live(adapter, task, hook)
    chunks = [range(i, min(i + BATCH, len(rows))) for i in range(0, len(rows), BATCH)]
    if len(chunks) == 1:
        return _next_logits(adapter, task, rows, plan)
    return torch.cat(
        [
            _next_logits(adapter, task, select_rows(task, rows, c), [s.select(c) for s in plan])
            for c in chunks
        ]
    )


def select_rows(task: Task, rows: PromptBatch, indices: Sequence[int]) -> PromptBatch:
    """Some of the rows."""
    return build_batch(task, [rows.inputs[i] for i in indices], [rows.prefixes[i] for i in indices])


@torch.no_grad()
def _next_logits(adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan) -> Tensor:
    edited = edit_prompts(task, rows, plan)
    check_plan(adapter, plan)
    edits = lower(adapter, task, edited, plan, rows)
    backend = fast_backend_for(adapter)
    if isinstance(backend, FastBackend) and not hooks_needed(adapter, plan):
        return backend.run(edited, [edits])[0].cpu()
    hooks = [compile_hook(edit) for edit in edits]
    logits = adapter.run_with_hooks(edited.ids, hooks) if hooks else adapter.logits(edited.ids)
    return logits[torch.arange(len(edited)), edited.prediction.to(logits.device)].float().cpu()


def next_tokens(adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan = ()) -> list[str]:
    """The next output token of each row under a plan; "EOS" for the end."""
    return decode_tokens(adapter, next_logits(adapter, task, rows, plan))


def decode_tokens(adapter: Adapter, logits: Tensor) -> list[str]:
    """The most likely token of each row, (batch, vocab) -> names; "EOS" for the end."""
    eos = adapter.task.eos
    return [EOS if i == eos else adapter.token(i) for i in logits.argmax(-1).tolist()]


def generate(
    adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan = ()
) -> tuple[Tokens, ...]:
    """Greedy outputs under a plan that is applied anew at every step; cut ones end in "…"."""
    edited = edit_prompts(task, rows, plan)
    rest = [step for step in plan if not isinstance(step, ForcePrefix | Swap)]
    backend = fast_backend_for(adapter)
    if not isinstance(backend, str) and not hooks_needed(adapter, rest) and supports_kv_cache(rest):
        check_plan(adapter, rest)
        for hook in sorted({unit.hook for unit in edited_units(adapter, rest)}):
            assert_live(adapter, task, hook)
        decoded = decode(adapter, task, backend.weights, edited, rest)
        return tuple(tuple(out if ended else (*out, TRUNCATED)) for out, ended in decoded)
    return _generate_without_cache(adapter, task, rows, plan)


def _generate_without_cache(
    adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan
) -> tuple[Tokens, ...]:
    """Greedy outputs, all positions computed anew at every step: for plans that grow with them."""
    forced = next((step.prefixes for step in plan if isinstance(step, ForcePrefix)), rows.prefixes)
    rest = [step for step in plan if not isinstance(step, ForcePrefix)]
    outs = [list(prefix) for prefix in forced]
    open_ = list(range(len(rows)))
    while open_:
        now = build_batch(task, [rows.inputs[i] for i in open_], [outs[i] for i in open_])
        steps = restrict_to_current([step.select(open_) for step in rest], now)
        for i, token in zip(open_, next_tokens(adapter, task, now, steps), strict=True):
            outs[i].append(token)
        room = [int(q) + 2 < adapter.n_ctx for q in now.prediction]
        open_ = _still_open(open_, outs, room, task)
    return tuple(tuple(out[:-1] if out[-1] == EOS else out) for out in outs)


def _still_open(open_: list[int], outs: list[list[str]], room: list[bool], task: Task) -> list[int]:
    left = []
    for i, fits in zip(open_, room, strict=True):
        if outs[i][-1] == EOS:
            continue
        if fits and outs[i][-1] in task.ids:
            left.append(i)
        else:
            outs[i].append(TRUNCATED)
    return left
