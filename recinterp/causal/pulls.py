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
PullKey: TypeAlias = tuple[PullKind, int, int | None, int | None]
PLAIN: tuple[tuple[PullKind, int], ...] = (
    *((PullKind.POSITION, d) for d in OFFSETS),
    *((PullKind.AFTER_LAST, d) for d in OFFSETS),
    (PullKind.AFTER_TWO, 0),
    (PullKind.UNWRITTEN, 0),
    (PullKind.FIRST_UNWRITTEN, 0),
    (PullKind.END, 0),
    (PullKind.END_WHEN_FULL, 0),
)
# Those that may be stronger or weaker near the output's beginning and near its end.
VARYING = (
    (PullKind.POSITION, -1),
    (PullKind.POSITION, 0),
    (PullKind.POSITION, 1),
    (PullKind.AFTER_LAST, 0),
    (PullKind.UNWRITTEN, 0),
    (PullKind.END, 0),
)
KEYS: tuple[PullKey, ...] = (
    *((kind, offset, None, None) for kind, offset in PLAIN),
    *((kind, offset, written, None) for written in (1, 2, 3, 4) for kind, offset in VARYING),
    *((kind, offset, None, left) for left in (0, 1, 2) for kind, offset in VARYING),
)
Table: TypeAlias = Float[np.ndarray, "steps pulls"]


def pull_table(own: Sequence[str], written: Sequence[str]) -> Table:
    """Which pulls name each step of a run, in [0, 1]; the last row is the end."""
    columns = {key: _column(*key, own, written) for key in PLAIN}
    t, left = len(written), len(own) - len(written)
    nothing = np.zeros(len(own) + 1)
    return np.stack(
        [
            columns[kind, offset] if when in (None, t) and rest in (None, left) else nothing
            for kind, offset, when, rest in KEYS
        ],
        axis=1,
    )


def _column(
    kind: PullKind, offset: int, own: Sequence[str], written: Sequence[str]
) -> Float[np.ndarray, "steps"]:
    """How far one pull names each step; several places of the last output token share it."""
    end, t, known = len(own), len(written), set(written)
    column = np.zeros(end + 1)
    match kind:
        case PullKind.POSITION:
            named = [min(t, end) + offset]
        case PullKind.AFTER_LAST:
            places = [i + 1 for i, x in enumerate(own) if written and x == written[-1]]
            named = [i + offset for i in (places if written else [0])]
        case PullKind.AFTER_TWO:
            named = [i + 2 for i, x in enumerate(own) if t > 1 and x == written[-2]]
        case PullKind.UNWRITTEN:
            return np.array([*(float(x not in known) for x in own), 1.0])
        case PullKind.FIRST_UNWRITTEN:
            named = [next((i for i, x in enumerate(own) if x not in known), end)]
        case PullKind.END:
            named = [end]
        case PullKind.END_WHEN_FULL:
            named = [end] if t >= end else []
    for step in named:
        if 0 <= step <= end:
            column[step] += 1 / len(named)
    return column


def pulled_step(own: Sequence[str], written: Sequence[str], pulls: Sequence[Pull]) -> int:
    """The step of a run that is drawn most strongly; of equals, the first."""
    weight = {(p.kind, p.offset, p.written, p.left): p.weight for p in pulls}
    scores = pull_table(own, written) @ np.array([weight.get(key, 0.0) for key in KEYS])
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
