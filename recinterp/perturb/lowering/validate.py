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


def check_plan(adapter: Adapter, plan: Plan) -> None:
    """Raise UnknownHookError if a plan writes to a hook point or head that the model lacks."""
    for unit in edited_units(adapter, plan):
        check_unit(adapter, unit)


def check_unit(adapter: Adapter, unit: Unit) -> None:
    """Raise UnknownHookError, with the nearest name that exists, if a model lacks a unit."""
    check_hook(adapter, unit.hook)
    if unit.head is None:
        return
    per_head = ("hook_q", "hook_k", "hook_v", "hook_z", "hook_pattern")
    if not unit.hook.endswith(per_head):
        hint = "name a head of hook_z, hook_pattern, hook_q, hook_k or hook_v"
        raise UnknownHookError(f"edit {unit}", "this hook point has no heads", hint)
    count = adapter.count_heads(unit.hook)
    if not count:
        hint = "edit the whole activation, without a head"
        raise UnknownHookError(f"edit {unit}", "its activation has no axis of heads", hint)
    if not 0 <= unit.head < count:
        what = "key/value heads" if count < adapter.n_heads else "heads"
        hint = f"nearest: head {max(0, min(unit.head, count - 1))}"
        raise UnknownHookError(f"edit {unit}", f"its {what} are 0 to {count - 1}", hint)


def check_hook(adapter: Adapter, hook: str) -> None:
    """Raise UnknownHookError, with the nearest names that exist, for an unknown hook point."""
    known = adapter.hook_names
    if hook not in known:
        near = get_close_matches(hook, known, n=3, cutoff=0.5) or known[:8]
        hint = f"nearest: {', '.join(near)}"
        raise UnknownHookError(f"edit {hook}", "the model has no such hook point", hint)


def check_prompt_edits(plan: Plan) -> None:
    """Raise InterventionError if two interventions edit the same part of a prompt."""
    if sum(isinstance(step, ForcePrefix) for step in plan) > 1:
        problem = "the plan has two forced prefixes"
        raise InterventionError("force a prefix", problem, "keep one of them")
    swaps = [step.tokens for step in plan if isinstance(step, Swap)]
    for row, tokens in enumerate(zip(*swaps, strict=False)):
        places = [at for at, _ in tokens]
        if len(set(places)) < len(places):
            problem = f"the plan has two swaps of one token in row {row}"
            raise InterventionError("swap tokens", problem, "keep one of them")


def check_swap(task: Task, tokens: Sequence[str], at: int, token: str) -> None:
    """Raise UnknownHookError for a position outside the input, or an unknown token."""
    last = len(tokens) - 1
    if not 0 <= at <= last:
        problem = f"the input ends at position {last}"
        raise UnknownHookError(f"swap input position {at}", problem, f"choose 0 to {last}")
    if token not in task.ids:
        hint = f"one of {', '.join(task.ids)}"
        raise UnknownHookError(f"swap in token {token!r}", "it is not in the vocabulary", hint)


def check_one_per_row(what: str, given: int, rows: int) -> None:
    """Raise InterventionError if the number of `what` differs from the number of rows."""
    if given != rows:
        problem = f"there are {given} for {rows} rows"
        raise InterventionError(f"use the {what}", problem, "give one per row")
