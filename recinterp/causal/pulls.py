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
from recinterp.machine.continuation import Preference, next_step

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
    """How far one pull names each step; several steps that it names share it."""
    end = len(own)
    if kind is PullKind.UNWRITTEN:
        known = set(written)
        return np.array([*(float(x not in known) for x in own), 1.0])
    column = np.zeros(end + 1)
    named = _named_steps(kind, offset, own, written)
    for step in named:
        if 0 <= step <= end:
            column[step] += 1 / len(named)
    return column


def _named_steps(
    kind: PullKind, offset: int, own: Sequence[str], written: Sequence[str]
) -> list[int]:
    """The steps that a pull names; some of them may lie outside the run."""
    end, t = len(own), len(written)
    match kind:
        case PullKind.POSITION:
            return [min(t, end) + offset]
        case PullKind.AFTER_LAST:
            return [step + offset for step in _steps_after(own, written, 1)] if t else [offset]
        case PullKind.AFTER_TWO:
            return _steps_after(own, written, 2)
        case PullKind.FIRST_UNWRITTEN:
            return [next_step(own, written, (Preference.UNWRITTEN,))]
        case PullKind.END_WHEN_FULL if t < end:
            return []
    return [end]


def _steps_after(own: Sequence[str], written: Sequence[str], back: int) -> list[int]:
    """The steps by which a run is past its places of an output token, counted from the last."""
    if len(written) < back:
        return []
    return [i + back for i, token in enumerate(own) if token == written[-back]]


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
