"""A plan as hooks: (hook name, function of an activation). The road that works for every model.

Every name is checked first, so that a plan never silently does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recinterp.errors import InterventionError, UnknownHookError
from recinterp.perturb.lowering.edits import Hook, hook_of
from recinterp.perturb.lowering.lower import lower, same_count
from recinterp.perturb.lowering.sources import SourceCache
from recinterp.perturb.plan import (
    Ablate,
    ForcePrefix,
    FreezePatterns,
    Interchange,
    PathPatch,
    Plan,
    Redirect,
    Steer,
    Swap,
    Transplant,
    Unit,
    head,
)
from recinterp.perturb.positions import QUERY, PromptBatch, build_batch, check_hook

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

__all__ = [
    "Hook",
    "SourceCache",
    "check",
    "check_unit",
    "edit_rows",
    "hook_of",
    "hooks_of",
    "units_of",
]
PER_HEAD = ("hook_q", "hook_k", "hook_v", "hook_z", "hook_pattern")


def edit_rows(task: Task, rows: PromptBatch, plan: Plan) -> PromptBatch:
    """The rows after the plan's token swaps and forced prefixes. Errors: UnknownHookError."""
    inputs, prefixes = [list(x) for x in rows.inputs], rows.prefixes
    _once(plan, rows)
    for step in plan:
        match step:
            case Swap(tokens):
                same_count("swaps", len(tokens), len(rows))
                for x, (at, token) in zip(inputs, tokens, strict=True):
                    _check_swap(task, x, at, token)
                    x[at] = token
            case ForcePrefix(forced):
                same_count("forced prefixes", len(forced), len(rows))
                prefixes = forced
    if not any(isinstance(step, Swap | ForcePrefix) for step in plan):
        return rows
    return build_batch(task, inputs, prefixes)


def _once(plan: Plan, rows: PromptBatch) -> None:
    """Raise InterventionError for two prefixes, or two swaps of one token."""
    if sum(isinstance(step, ForcePrefix) for step in plan) > 1:
        raise InterventionError("two forced prefixes", "only one can be forced", "one of them")
    swaps = [step.tokens for step in plan if isinstance(step, Swap)]
    for row, tokens in enumerate(zip(*swaps, strict=False)):
        places = [at for at, _ in tokens]
        if len(set(places)) < len(places):
            asked = f"two swaps of one token in row {row}"
            raise InterventionError(asked, "the second undoes the first", "one of them")


def _check_swap(task: Task, tokens: Sequence[str], at: int, token: str) -> None:
    if not 0 <= at < len(tokens):
        raise UnknownHookError(
            f"input position {at}",
            f"the input ends at {len(tokens) - 1}",
            f"0 to {len(tokens) - 1}",
        )
    if token not in task.ids:
        raise UnknownHookError(
            f"token {token!r}", "not in the vocabulary", f"one of {', '.join(task.ids)}"
        )


def hooks_of(
    adapter: Adapter, task: Task, rows: PromptBatch, plan: Plan, clean: PromptBatch | None = None
) -> list[Hook]:
    """The hooks that carry out a plan on these rows. clean: the rows before swaps and prefixes."""
    check(adapter, plan)
    return [hook_of(edit) for edit in lower(adapter, task, rows, plan, clean)]


def check(adapter: Adapter, plan: Plan) -> None:
    """Raise UnknownHookError where a plan writes to what the model has not."""
    for unit in units_of(adapter, plan):
        check_unit(adapter, unit)


def units_of(adapter: Adapter, plan: Plan) -> list[Unit]:
    """Every unit a plan writes to."""
    found: list[Unit] = []
    for step in plan:
        match step:
            case Steer(unit=unit):
                found.append(unit)
            case Ablate(units=units) | Interchange(units=units):
                found += units
            case Redirect(layer, h, _):
                found.append(Unit(f"blocks.{layer}.attn.hook_pattern", h, QUERY))
            case Transplant(heads=heads, through=through):
                found += [
                    Unit(f"blocks.{layer}.attn.hook_{through}", h, QUERY) for layer, h in heads
                ]
            case PathPatch((low, h), (high, to), through, at=at):
                found += [head(low, h, at), Unit(f"blocks.{high}.attn.hook_{through}", to)]
            case FreezePatterns(layers):
                chosen = range(adapter.n_layers) if layers is None else layers
                found += [Unit(f"blocks.{layer}.attn.hook_pattern") for layer in chosen]
    return found


def check_unit(adapter: Adapter, unit: Unit) -> None:
    """Raise UnknownHookError, with the nearest that exists, where a unit is not in the model."""
    check_hook(adapter, unit.hook)
    if unit.head is not None:
        if not unit.hook.endswith(PER_HEAD):
            raise UnknownHookError(
                str(unit), "this site has no heads", "a head of hook_z, hook_pattern, hook_q, …"
            )
        if not 0 <= unit.head < adapter.n_heads:
            last = adapter.n_heads - 1
            raise UnknownHookError(
                str(unit), f"heads are 0 to {last}", f"nearest: head {max(0, min(unit.head, last))}"
            )
