"""Run a plan on a model: its next tokens, or its whole outputs, beside the clean run.

Every edited hook point is first shown to be live (`liveness.py`). The fast backend runs the models
and hook points that it reproduces; everything else runs through hooks, and `Effects.backend` says
why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from recinterp.models import Adapter
from recinterp.models.model_lock import hold_model
from recinterp.perturb.fast.decode import decode, restrict_to_current, supports_kv_cache
from recinterp.perturb.fast.support import FastBackend, fast_backend_for
from recinterp.perturb.liveness import assert_live
from recinterp.perturb.lowering.forward_pass import run_edits
from recinterp.perturb.lowering.lower import lower
from recinterp.perturb.lowering.prompts import edit_prompts
from recinterp.perturb.lowering.validate import check_context, check_plan, check_plan_argument
from recinterp.perturb.plan import ForcePrefix, Plan, Swap, edited_units
from recinterp.perturb.positions import PromptBatch, Tokens, build_batch
from recinterp.stats import Rate
from recinterp.tokens import EOS, TRUNCATED

if TYPE_CHECKING:
    from torch import nn

    from recinterp.tasks import Task

MAX_ROWS = 512  # rows of one forward pass


@dataclass(frozen=True, eq=False, kw_only=True)
class Effects:
    """What a plan changed: next tokens, their logits and whole outputs, clean and edited.

    Attributes:
        clean: Next token of each row without the plan; "EOS" for the end.
        edited: Next token of each row under the plan.
        clean_logits: Logits of the next token without the plan.
        logits: Logits of the next token under the plan.
        clean_outputs: Greedy outputs without the plan, if requested; truncated ones end in "…".
        outputs: Greedy outputs under the plan, if requested.
        backend: "fast", or "hooks: " and the reason.
    """

    clean: tuple[str, ...]
    edited: tuple[str, ...]
    clean_logits: Float[Tensor, "row vocab"]
    logits: Float[Tensor, "row vocab"]
    clean_outputs: tuple[Tokens, ...] | None = None
    outputs: tuple[Tokens, ...] | None = None
    backend: str = "fast"

    @property
    def probabilities(self) -> Float[Tensor, "row vocab"]:
        """The next-token distribution under the plan."""
        return self.logits.softmax(-1)

    @property
    def changed(self) -> Rate:
        """Share of rows whose output (the next token, if no outputs were requested) changed."""
        if self.outputs is not None and self.clean_outputs is not None:
            return Rate.of(a != b for a, b in zip(self.clean_outputs, self.outputs, strict=True))
        return Rate.of(a != b for a, b in zip(self.clean, self.edited, strict=True))

    @property
    def shift(self) -> Float[Tensor, " row"]:
        """Total variation distance between clean and edited next-token distribution, 0 to 1."""
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
    """Run a plan over inputs, one row each, and compare with the run without it.

    Args:
        model: A hooked model, or an adapter around one.
        task: The task, which names tokens and template.
        inputs: Token sequences, one per row.
        plan: The interventions, applied together; an empty plan changes nothing.
        prefixes: Output tokens already written, one sequence per row; None for none.
        whole: Whether to generate whole outputs too, with the plan applied at every step.

    Returns:
        Next tokens, logits and outputs, clean and edited.

    Raises:
        UnknownHookError: If the model lacks a hook point, a head or a position of the plan.
        InactiveHookError: If an edit does not reach the logits.
        InterventionError: If interventions overwrite each other or cannot run.
        IncompatibleModelError: If model, task and inputs do not fit together.
        MalformedArgumentError: If inputs or prefixes are no lists of tokens.
        UnknownNameError: If a token is unknown.
    """
    check_plan_argument(plan)
    adapter = model if isinstance(model, Adapter) else Adapter(model, task)
    rows = build_batch(task, inputs, prefixes)
    outputs = clean_outputs = None
    with hold_model(adapter.model):
        clean, edited = next_logits(adapter, task, rows), next_logits(adapter, task, rows, plan)
        if whole:
            clean_outputs, outputs = (generate(adapter, task, rows, steps) for steps in ((), plan))
    decoded = [tuple(decode_tokens(adapter, logits, rows)) for logits in (clean, edited)]
    why = hooks_needed(adapter, plan)
    backend = f"hooks: {why}" if why else "fast"
    return Effects(
        clean=decoded[0],
        edited=decoded[1],
        clean_logits=clean,
        logits=edited,
        clean_outputs=clean_outputs,
        outputs=outputs,
        backend=backend,
    )


def hooks_needed(adapter: Adapter, plan: Plan = ()) -> str:
    """Why a plan cannot run on the fast backend of this model; empty if it can."""
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


def next_logits(
    adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan = ()
) -> Float[Tensor, "row vocab"]:
    """Logits of the next output token under a plan (default: none)."""
    for hook in sorted({unit.hook for unit in edited_units(adapter, plan)}):
        assert_live(adapter, task, hook)
    chunks = [range(i, min(i + MAX_ROWS, len(rows))) for i in range(0, len(rows), MAX_ROWS)]
    if len(chunks) == 1:
        return _next_logits(adapter, task, rows, plan)
    return torch.cat(
        [
            _next_logits(adapter, task, select_rows(task, rows, c), [s.select(c) for s in plan])
            for c in chunks
        ]
    )


def select_rows(task: Task, rows: PromptBatch, indices: Sequence[int]) -> PromptBatch:
    """A batch of some of the rows, by index."""
    return build_batch(task, [rows.inputs[i] for i in indices], [rows.prefixes[i] for i in indices])


@torch.no_grad()
def _next_logits(
    adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan
) -> Float[Tensor, "row vocab"]:
    edited = edit_prompts(task, rows, plan)
    check_plan(adapter, plan)
    check_context(adapter, edited)
    edits = lower(adapter, task, edited, plan, rows)
    backend = fast_backend_for(adapter)
    if isinstance(backend, FastBackend) and not hooks_needed(adapter, plan):
        return backend.run(edited, [edits])[0].cpu()
    logits, _ = run_edits(adapter, edited, edits)
    return logits[torch.arange(len(edited)), edited.prediction.to(logits.device)].float().cpu()


def next_tokens(adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan = ()) -> list[str]:
    """The next output token of each row under a plan; "EOS" for the end."""
    return decode_tokens(adapter, next_logits(adapter, task, rows, plan), rows)


def decode_tokens(
    adapter: Adapter, logits: Float[Tensor, "row vocab"], rows: PromptBatch
) -> list[str]:
    """The most likely token of each row at its prediction position; "EOS" for the end."""
    ids = logits.argmax(-1).tolist()
    return adapter.name_next_tokens(ids, rows.inputs, [len(y) for y in rows.prefixes])


def generate(
    adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan = ()
) -> tuple[Tokens, ...]:
    """Greedy outputs under a plan that is applied at every step; truncated ones end in "…"."""
    edited = edit_prompts(task, rows, plan)
    rest = [step for step in plan if not isinstance(step, ForcePrefix | Swap)]
    backend = fast_backend_for(adapter)
    if not isinstance(backend, str) and not hooks_needed(adapter, rest) and supports_kv_cache(rest):
        check_plan(adapter, rest)
        for hook in sorted({unit.hook for unit in edited_units(adapter, rest)}):
            assert_live(adapter, task, hook)
        lengths = task.count_output_tokens(rows.inputs)
        decoded = decode(adapter, task, backend.weights, edited, rest, lengths)
        return tuple(tuple(out if ended else (*out, TRUNCATED)) for out, ended in decoded)
    return _generate_without_cache(adapter, task, rows, plan)


def _generate_without_cache(
    adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan
) -> tuple[Tokens, ...]:
    """Greedy outputs with every position recomputed at every step, for plans that need it."""
    forced = next((step.prefixes for step in plan if isinstance(step, ForcePrefix)), rows.prefixes)
    rest = [step for step in plan if not isinstance(step, ForcePrefix)]
    outs = [list(prefix) for prefix in forced]
    open_, lengths = list(range(len(rows))), task.count_output_tokens(rows.inputs) or ()
    while open_:
        now = build_batch(task, [rows.inputs[i] for i in open_], [outs[i] for i in open_])
        steps = restrict_to_current([step.select(open_) for step in rest], now)
        for i, token in zip(open_, next_tokens(adapter, task, now, steps), strict=True):
            outs[i].append(token)
        room = [int(q) + 2 < adapter.n_ctx for q in now.prediction]
        open_ = _still_open(open_, outs, room, lengths, task)
    return tuple(tuple(out[:-1] if out[-1:] == [EOS] else out) for out in outs)


def _still_open(
    open_: list[int], outs: list[list[str]], room: list[bool], lengths: Sequence[int], task: Task
) -> list[int]:
    """The rows whose outputs go on; one without room for another token is closed with "…"."""
    left = []
    for i, fits in zip(open_, room, strict=True):
        has_length = bool(lengths) and len(outs[i]) == lengths[i]
        if has_length or outs[i][-1] == EOS:
            continue
        if fits and outs[i][-1] in task.ids:
            left.append(i)
        else:
            outs[i].append(TRUNCATED)
    return left
