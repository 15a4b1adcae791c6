"""Which rule firing to blame for a first wrong token: the last one before it, or that one's own.

An edit changes what was done there, or where the machine went just before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recinterp.machine.execution.batch import Ints
from recinterp.synthesis.dataset import NEVER
from recinterp.synthesis.edits.guards import Mask

if TYPE_CHECKING:
    from recinterp.synthesis.dataset import Outcome


@dataclass(frozen=True)
class Order:
    """By row: its last event up to its first difference, and the one before that; -1 for none."""

    outcome: Outcome
    final: Ints
    previous: Ints

    def last(self, rule: int) -> Mask:
        """Where a rule's event is the last before the difference."""
        return self._flags(self.final, rule)

    def before(self, rule: int) -> Mask:
        """Where it is the one before that."""
        return self._flags(self.previous, rule)

    def _flags(self, marked: Ints, rule: int) -> Mask:
        events = enumerate(self.outcome.batch.events)
        return np.concatenate([marked[e.view.rows] == i for i, e in events if e.rule == rule])


def locate_faults(outcome: Outcome) -> Order:
    """The events of failing runs, up to their first difference."""
    first = outcome.first_difference
    final, previous = np.full(len(first), -1), np.full(len(first), -1)
    for i, event in enumerate(outcome.batch.events):
        rows, t = event.view.rows, event.view.t
        rows = rows[(first[rows] < NEVER) & (t <= first[rows])]
        previous[rows] = final[rows]
        final[rows] = i
    return Order(outcome, final, previous)
