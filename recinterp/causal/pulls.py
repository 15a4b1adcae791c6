"""Pulls: where a network mixes several ways to continue, how strongly each draws the next token.

Every step of the machine's own run gets a score, the sum of the pulls that name it, and the step
with the highest score writes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from recinterp.causal.results import Pull, PullKind

OFFSETS = (-2, -1, 0, 1, 2)
KINDS: tuple[tuple[PullKind, int], ...] = (
    *((PullKind.POSITION, d) for d in OFFSETS),
    *((PullKind.AFTER_LAST, d) for d in OFFSETS),
    (PullKind.AFTER_TWO, 0),
    (PullKind.UNWRITTEN, 0),
    (PullKind.END, 0),
    (PullKind.END_WHEN_FULL, 0),
)
Table: TypeAlias = Float[np.ndarray, "steps pulls"]


def pull_table(own: Sequence[str], written: Sequence[str]) -> Table:
    """Which pulls name each step of a run, in [0, 1]; the last row is the end.

    Several places of the last output token share its pull.
    """
    end, t = len(own), len(written)
    table = np.zeros((end + 1, len(KINDS)))
    after = [i + 1 for i, x in enumerate(own) if written and x == written[-1]]
    after_two = [i + 2 for i, x in enumerate(own) if t > 1 and x == written[-2]]
    known = set(written)
    for column, (kind, offset) in enumerate(KINDS):
        match kind:
            case PullKind.POSITION:
                named = [min(t, end) + offset]
            case PullKind.AFTER_LAST:
                named = [i + offset for i in (after if written else [0])]
            case PullKind.AFTER_TWO:
                named = after_two
            case PullKind.UNWRITTEN:
                table[:, column] = [*(x not in known for x in own), True]
                continue
            case PullKind.END:
                named = [end]
            case PullKind.END_WHEN_FULL:
                named = [end] if t >= end else []
        for step in named:
            if 0 <= step <= end:
                table[step, column] += 1 / len(named)
    return table


def pulled_step(own: Sequence[str], written: Sequence[str], pulls: Sequence[Pull]) -> int:
    """The step of a run that is drawn most strongly; of equals, the first."""
    weight = {(p.kind, p.offset): p.weight for p in pulls}
    scores = pull_table(own, written) @ np.array([weight.get(key, 0.0) for key in KINDS])
    return int(np.argmax(np.round(scores, 6)))


def continue_by_pulls(own: Sequence[str], pulls: Sequence[Pull], max_tokens: int) -> list[str]:
    """The output if before each token the most strongly drawn step of a run writes next."""
    written: list[str] = []
    while len(written) < max_tokens:
        step = pulled_step(own, written, pulls)
        if step == len(own):
            break
        written.append(own[step])
    return written
