"""The baseline that knows the builder's own queries by heart, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from recinterp.judge.answers import Tokens
    from recinterp.tasks import Task


def nearest(
    inputs: Sequence[Tokens],
    truth: Sequence[Tokens],
    queries: Sequence[tuple[Tokens, Tokens]],
    task: Task,
) -> list[Tokens]:
    """What the nearest query of the same length says: right if it was right, else its output.

    Nearest: most equal tokens at equal positions, the first asked among equals.
    """
    by_length: dict[int, list[tuple[Tokens, Tokens]]] = {}
    for x, y in queries:
        by_length.setdefault(len(x), []).append((x, y))
    number = {name: i for i, name in enumerate(task.vocab)}
    table = {
        n: np.array([[number[c] for c in x] for x, _ in known]) for n, known in by_length.items()
    }
    right = {n: [task.apply(x) == y for x, y in known] for n, known in by_length.items()}
    found = []
    for x, z in zip(inputs, truth, strict=True):
        n = len(x)
        if n not in table:
            found.append(z)
            continue
        at = int((table[n] == np.array([number[c] for c in x])).sum(axis=1).argmax())
        found.append(z if right[n][at] else by_length[n][at][1])
    return found
