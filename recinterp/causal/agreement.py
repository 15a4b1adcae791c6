"""Where a model says what its machine says: only there does an intervention tell anything."""

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
    """The pairs at whose base and source the model says what the machine says.

    A machine may write on where the model has no position left: such steps are left out.
    """
    pairs = [p for p in pairs if all(fits(adapter, task, s) for s in (p.base, p.source))]
    if not pairs:
        return []
    steps = [s for p in pairs for s in (p.base, p.source)]
    said = next_tokens(
        adapter, task, build_batch(task, [s.tokens for s in steps], [s.prefix for s in steps])
    )
    right = [a == s.output for a, s in zip(said, steps, strict=True)]
    return [p for i, p in enumerate(pairs) if right[2 * i] and right[2 * i + 1]]


def fits(adapter: Adapter, task: Task, step: Step) -> bool:
    """Whether the model has a position for every token of a step."""
    return len(task.prompt(list(step.tokens))) + len(step.prefix) <= adapter.n_ctx


def steps_where_model_agrees(
    adapter: Adapter,
    finder: PairSampler,
    seed: int,
    count: int,
    may: Callable[[TokenTuple], bool] = lambda _: True,
) -> list[Step]:
    """Some steps, none of them the first, at which the model writes what the machine writes.

    may: says which inputs they may be of.
    """
    task, rng = finder.task, random.Random(f"{seed} steps")
    runs = finder.traces(filter(may, finder.inputs))
    at = [(run.tokens, t) for run in runs for t in range(1, len(run.emitting_states))]
    steps = [finder.build_step(x, t) for x, t in rng.sample(at, min(count, len(at)))]
    steps = [step for step in steps if fits(adapter, task, step)]
    if not steps:
        return []
    rows = build_batch(task, [s.tokens for s in steps], [s.prefix for s in steps])
    said = next_tokens(adapter, task, rows)
    return [s for a, s in zip(said, steps, strict=True) if a == s.output]
