"""Steps at which a model writes what its machine writes: only they can test the machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from recinterp.causal.pairs import Pair, PairSampler, Step
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from recinterp.tokens import TokenTuple

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.tasks import Task


def pairs_where_model_agrees(adapter: Adapter, task: Task, pairs: Sequence[Pair]) -> list[Pair]:
    """Select the pairs at whose base and source the model writes what the machine writes.

    A machine may continue where the model has no position left: such steps are left out.
    """
    pairs = [p for p in pairs if all(fits_context(adapter, task, s) for s in (p.base, p.source))]
    agrees = _model_agrees(adapter, task, [s for p in pairs for s in (p.base, p.source)])
    return [p for i, p in enumerate(pairs) if agrees[2 * i] and agrees[2 * i + 1]]


def steps_where_model_agrees(
    adapter: Adapter,
    sampler: PairSampler,
    seed: int,
    count: int,
    is_allowed: Callable[[TokenTuple], bool] = lambda _: True,
) -> list[Step]:
    """Draw up to `count` steps, none of them the first, at which model and machine agree.

    Args:
        adapter: the model.
        sampler: gives the machine's runs.
        seed: seed of the draw.
        count: steps that are drawn before those without agreement are dropped.
        is_allowed: whether steps of an input may be drawn.
    """
    task, rng = sampler.task, random.Random(f"{seed} steps")
    traces = sampler.traces(filter(is_allowed, sampler.inputs))
    at = [(run.tokens, t) for run in traces for t in range(1, len(run.emitting_states))]
    steps = [sampler.build_step(x, t) for x, t in rng.sample(at, min(count, len(at)))]
    steps = [step for step in steps if fits_context(adapter, task, step)]
    agrees = _model_agrees(adapter, task, steps)
    return [step for step, same in zip(steps, agrees, strict=True) if same]


def fits_context(adapter: Adapter, task: Task, step: Step) -> bool:
    """Whether the model has a position for every token of a step."""
    return len(task.prompt(list(step.tokens))) + len(step.prefix) <= adapter.n_ctx


def _model_agrees(adapter: Adapter, task: Task, steps: Sequence[Step]) -> list[bool]:
    """For each step, whether the model writes what the machine writes."""
    if not steps:
        return []
    rows = build_batch(task, [s.tokens for s in steps], [s.prefix for s in steps])
    predicted = next_tokens(adapter, task, rows)
    return [token == s.output for token, s in zip(predicted, steps, strict=True)]
