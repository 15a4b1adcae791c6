"""Checks of a plan before anything runs, so that no plan silently does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from recinterp.errors import InterventionError, UnknownHookError
from recinterp.perturb.plan import ForcePrefix, Plan, Swap, Unit, edited_units

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task

PER_HEAD = ("hook_q", "hook_k", "hook_v", "hook_z", "hook_pattern")


def check_plan(adapter: Adapter, plan: Plan) -> None:
    """Raise UnknownHookError where a plan writes to what the model has not."""
    for unit in edited_units(adapter, plan):
        check_unit(adapter, unit)


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


def check_hook(adapter: Adapter, hook: str) -> None:
    """Raise UnknownHookError, with the nearest that exist, for a hook point that is not there."""
    known = adapter.hook_names
    if hook not in known:
        near = get_close_matches(hook, known, n=3, cutoff=0.5) or known[:8]
        raise UnknownHookError(
            f"site {hook}", "there is no such hook point", f"nearest: {', '.join(near)}"
        )


def check_prompt_edits(plan: Plan) -> None:
    """Raise InterventionError for two prefixes, or two swaps of one token."""
    if sum(isinstance(step, ForcePrefix) for step in plan) > 1:
        raise InterventionError("two forced prefixes", "only one can be forced", "one of them")
    swaps = [step.tokens for step in plan if isinstance(step, Swap)]
    for row, tokens in enumerate(zip(*swaps, strict=False)):
        places = [at for at, _ in tokens]
        if len(set(places)) < len(places):
            asked = f"two swaps of one token in row {row}"
            raise InterventionError(asked, "the second undoes the first", "one of them")


def check_swap(task: Task, tokens: Sequence[str], at: int, token: str) -> None:
    """Raise UnknownHookError for a position outside the input, or a token of no task."""
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


def check_one_per_row(what: str, got: int, rows: int) -> None:
    """Raise InterventionError where there is not one per row."""
    if got != rows:
        raise InterventionError(f"{got} {what}", f"there are {rows} rows", "give one per row")
