"""The prompts of a batch, edited as a plan says: swapped input tokens and forced prefixes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recinterp.perturb.lowering.validate import check_one_per_row, check_prompt_edits, check_swap
from recinterp.perturb.plan import ForcePrefix, Plan, Swap
from recinterp.perturb.positions import PromptBatch, build_batch

if TYPE_CHECKING:
    from recinterp.tasks import Task


def edit_prompts(task: Task, rows: PromptBatch, plan: Plan) -> PromptBatch:
    """The rows after the plan's token swaps and forced prefixes. Errors: UnknownHookError."""
    inputs, prefixes = [list(x) for x in rows.inputs], rows.prefixes
    check_prompt_edits(plan)
    for step in plan:
        match step:
            case Swap(tokens):
                check_one_per_row("swaps", len(tokens), len(rows))
                for x, (at, token) in zip(inputs, tokens, strict=True):
                    check_swap(task, x, at, token)
                    x[at] = token
            case ForcePrefix(forced):
                check_one_per_row("forced prefixes", len(forced), len(rows))
                prefixes = forced
    if not any(isinstance(step, Swap | ForcePrefix) for step in plan):
        return rows
    return build_batch(task, inputs, prefixes)
