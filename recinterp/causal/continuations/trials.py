"""Outputs that are forced on a model, and the step of the machine's run at which it goes on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recinterp.causal.pairs import PairSampler
from recinterp.machine.continuation import Continuation, next_step
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from recinterp.tokens import EOS, TokenTuple

if TYPE_CHECKING:
    from recinterp.models import Adapter
    from recinterp.perturb.plan import Plan
    from recinterp.tasks import Task


@dataclass(frozen=True)
class ForcedOutput:
    """An output that is forced on a model, beside the output that the machine writes.

    Attributes:
        tokens: the input.
        own: the machine's output.
        prefix: the output that is forced.
    """

    tokens: TokenTuple
    own: TokenTuple
    prefix: TokenTuple

    def predict(self, continuation: Continuation) -> str:
        """The next token of a machine that continues in this way; EOS at the end."""
        return self.token_at(next_step(self.own, self.prefix, continuation))

    def token_at(self, step: int) -> str:
        """The token that a step of the machine's own run writes; EOS at the end."""
        return EOS if step == len(self.own) else self.own[step]


@dataclass(frozen=True)
class ForcedTrial:
    """A forced output, and the token that the model writes after it."""

    forced: ForcedOutput
    token: str

    def follows(self, continuation: Continuation) -> bool:
        """Whether the model writes what a machine writes that continues in this way."""
        return self.forced.predict(continuation) == self.token

    def tells(self, continuations: Sequence[Continuation]) -> bool:
        """Whether the continuations do not all predict the same token."""
        return len({self.forced.predict(c) for c in continuations}) > 1


def draw_forced_outputs(
    adapter: Adapter, sampler: PairSampler, seed: int, count: int
) -> list[ForcedOutput]:
    """Draw outputs to be forced, on inputs whose output the model writes as the machine does.

    Most have another last token: one of the machine's output, or one that is not in it. Some have
    another token further back, follow the machine's own run from another step on, or are drawn
    token by token.

    Args:
        adapter: the model.
        sampler: gives the inputs and the machine's runs.
        seed: seed of the draw.
        count: forced outputs that are drawn, the same number on each input.
    """
    rng = random.Random(f"{seed} continuations")
    task = sampler.task
    traces = sampler.traces(sampler.inputs)
    ended = [t for t in traces if len(t.outputs) > 2 and t.outputs[-1] == EOS]
    written = adapter.generate([list(t.tokens) for t in ended])
    agreeing = [t for t, y in zip(ended, written, strict=True) if tuple(y) == t.outputs[:-1]]
    if not agreeing or 2 * len(agreeing) < len(traces):  # the machine does not describe this model
        return []
    per_input = 1 + count // len(agreeing)
    drawn = [
        ForcedOutput(t.tokens, t.outputs[:-1], prefix)
        for t in agreeing
        for prefix in _draw_prefixes(t.outputs[:-1], task, rng, per_input)
    ]
    rng.shuffle(drawn)
    room = adapter.n_ctx
    return [x for x in drawn if len(task.prompt(list(x.tokens))) + len(x.prefix) <= room]


def _draw_prefixes(
    own: TokenTuple, task: Task, rng: random.Random, count: int
) -> Iterator[TokenTuple]:
    others = [x for x in task.constructors if x not in own] or list(own)
    for _ in range(count):
        length = rng.randint(1, len(own))
        prefix = list(own[:length])
        match rng.choices(("last", "foreign", "earlier", "jump", "any"), (50, 10, 15, 10, 15))[0]:
            case "last":
                prefix[-1] = rng.choice(own)
            case "foreign":
                prefix[-1] = rng.choice(others)
            case "earlier":
                prefix[rng.randrange(length)] = rng.choice(own)
            case "jump":
                start = rng.randrange(len(own))
                prefix[-2:] = own[start : start + 2]
            case _:
                prefix = [rng.choice(own) for _ in range(length)]
        if tuple(prefix) != own[: len(prefix)]:
            yield tuple(prefix)


def run_forced(
    adapter: Adapter, task: Task, forced: Sequence[ForcedOutput], plan: Plan = ()
) -> list[ForcedTrial]:
    """The token that the model writes after each forced output, under a plan if one is given."""
    if not forced:
        return []
    rows = build_batch(task, [x.tokens for x in forced], [x.prefix for x in forced])
    written = next_tokens(adapter, task, rows, plan)
    return [ForcedTrial(x, token) for x, token in zip(forced, written, strict=True)]
