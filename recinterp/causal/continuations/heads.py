"""Which heads carry a continuation: without them the model goes on otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recinterp.causal.continuations.trials import ForcedOutput, ForcedTrial, run_forced
from recinterp.causal.results import ContinuationHead
from recinterp.perturb.liveness import is_live
from recinterp.perturb.plan import Ablate, head
from recinterp.stats import Rate

if TYPE_CHECKING:
    from recinterp.causal.config import ContinuationConfig
    from recinterp.machine.continuation import Continuation
    from recinterp.models import Adapter
    from recinterp.tasks import Task


def find_carrying_heads(
    adapter: Adapter,
    task: Task,
    telling: Sequence[ForcedTrial],
    chosen: Continuation,
    config: ContinuationConfig,
) -> tuple[ContinuationHead, ...]:
    """The heads whose ablation lowers the share of trials that follow a continuation.

    A head is named if the interval of the share without it lies below that of the share with it.

    Args:
        adapter: the model.
        task: its task.
        telling: trials in which the continuations differ.
        chosen: the continuation.
        config: the thresholds.

    Returns:
        The heads, the most necessary first.
    """
    trials = telling[: config.head_trials]
    followed = Rate.of(x.follows(chosen) for x in trials)
    forced = [x.forced for x in trials]
    unforced = [ForcedOutput(x.tokens, x.own, x.own[: len(x.prefix)]) for x in forced]
    found = []
    for layer in range(adapter.n_layers):
        if not is_live(adapter, task, head(layer).hook):
            continue
        for h in range(adapter.n_heads):
            plan = [Ablate(head(layer, h), "mean")]
            ablated = run_forced(adapter, task, forced, plan)
            without = Rate.of(x.follows(chosen) for x in ablated)
            if without.interval[1] >= followed.interval[0]:
                continue
            own = run_forced(adapter, task, unforced, plan)
            found.append(
                ContinuationHead(
                    layer=layer,
                    head=h,
                    block=adapter.block_names[layer],
                    without=without,
                    unforced=Rate.of(x.follows(()) for x in own),
                )
            )
    return tuple(sorted(found, key=lambda x: x.without.value)[: config.max_heads])
