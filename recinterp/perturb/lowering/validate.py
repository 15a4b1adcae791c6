"""Checks of a plan before anything runs, so that no plan silently does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, get_args

from recinterp.errors import IncompatibleModelError, InterventionError, UnknownHookError
from recinterp.models.wrapped import Wrapped
from recinterp.perturb.plan import (
    ForcePrefix,
    FreezePatterns,
    Intervention,
    PathPatch,
    Plan,
    Redirect,
    Swap,
    Transplant,
    Unit,
    edited_units,
)
from recinterp.tasks.arguments import describe

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.perturb.positions import PromptBatch
    from recinterp.tasks import Task


def check_plan_argument(plan: object) -> None:
    """Raise InterventionError if something else than a list of interventions is given as a plan."""
    hint = "pass a list of interventions: [Ablate(head(1, 0))]"
    if isinstance(plan, get_args(Intervention)):
        problem = f"the plan is one {type(plan).__name__}"
        raise InterventionError("run a plan", problem, "put it into a list")
    if not isinstance(plan, Sequence) or isinstance(plan, str | bytes):
        raise InterventionError("run a plan", f"the plan is {describe(plan)}", hint)
    other = next((step for step in plan if not isinstance(step, get_args(Intervention))), None)
    if other is not None or None in plan:
        raise InterventionError("run a plan", f"{describe(other)} is no intervention", hint)
    for step in plan:
        _check_step(step)


def _check_step(step: Intervention) -> None:
    """Raise UnknownHookError where an intervention's units or heads are something else."""
    units = getattr(step, "units", getattr(step, "unit", ()))
    for unit in units if isinstance(units, tuple | list) else (units,):
        if not isinstance(unit, Unit):
            hint = "use head(1, 0), mlp(1), layer_output(1) or Unit(name)"
            raise UnknownHookError("run a plan", f"{describe(unit)} is no unit", hint)
    if isinstance(step, Redirect):
        _check_indices((step.layer,) if step.head is None else (step.layer, step.head))
    elif isinstance(step, PathPatch):
        _check_indices((*step.sender, *step.receiver))
    elif isinstance(step, Transplant):
        _check_indices([index for pair in step.heads for index in pair])
    elif isinstance(step, FreezePatterns):
        _check_indices(step.layers or ())


def _check_indices(indices: Sequence[object]) -> None:
    wrong = [i for i in indices if isinstance(i, bool) or not hasattr(i, "__index__")]
    if wrong:
        other = wrong[0]
        problem = f"{describe(other)} is no index of a layer or head"
        raise UnknownHookError("run a plan", problem, "use whole numbers from 0 on")


def check_context(adapter: Adapter, rows: PromptBatch) -> None:
    """Raise IncompatibleModelError if a row of a batch is longer than the model's context."""
    longest = int(rows.prediction.max()) + 1
    if longest > adapter.n_ctx:
        problem = f"a row takes {longest} positions and the model has {adapter.n_ctx}"
        raise IncompatibleModelError("run a batch", problem, "pass shorter inputs and prefixes")


def check_plan(adapter: Adapter, plan: Plan) -> None:
    """Raise UnknownHookError if a plan writes to a hook point or head that the model lacks."""
    for unit in edited_units(adapter, plan):
        check_unit(adapter, unit)


def check_unit(adapter: Adapter, unit: Unit) -> None:
    """Raise UnknownHookError, with the nearest name that exists, if a model lacks a unit."""
    check_hook(adapter, unit.hook)
    if unit.head is None:
        return
    _check_indices([unit.head])
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
    if not isinstance(hook, str):
        hint = 'use a name such as "blocks.0.attn.hook_z"'  # type: ignore[unreachable]
        raise UnknownHookError("edit a hook point", f"its name is {describe(hook)}", hint)
    if hook not in known:
        if isinstance(adapter.model, Wrapped):
            raise adapter.model.explain_missing_hook(hook)
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
    _check_indices([at])
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
