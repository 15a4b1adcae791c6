"""Which rule firing to blame for a first wrong token: the last one before it, or that one's own.

An edit changes what was done there, or where the machine went just before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recinterp.reconstruct.atoms import Mask
from recinterp.reconstruct.logs import NEVER

if TYPE_CHECKING:
    from recinterp.machine.batch import View
    from recinterp.reconstruct.logs import Outcome


@dataclass(frozen=True)
class Order:
    """Which event of a row came last before its first difference, and which one before that."""

    final: dict[tuple[int, int], int]
    previous: dict[tuple[int, int], int]

    def last(self, rule: int, view: View) -> Mask:
        """Where a rule's event is the last before the difference."""
        return self._flags(self.final, rule, view)

    def before(self, rule: int, view: View) -> Mask:
        """Where it is the one before that."""
        return self._flags(self.previous, rule, view)

    @staticmethod
    def _flags(table: dict[tuple[int, int], int], rule: int, view: View) -> Mask:
        return np.array(
            [
                table.get((row, t)) == rule
                for row, t in zip(view.rows.tolist(), view.t.tolist(), strict=True)
            ],
            dtype=bool,
        )


def event_order(outcome: Outcome) -> Order:
    """The events of failing runs, up to their first difference."""
    history: dict[int, list[tuple[int, int, int]]] = {}
    first = outcome.first_difference
    rules = outcome.batch.machine.rules
    for event in outcome.batch.events:
        bad = first[event.view.rows] < NEVER
        width = len(rules[event.rule].word)
        for row, t in zip(event.view.rows[bad].tolist(), event.view.t[bad].tolist(), strict=True):
            if t <= first[row]:
                history.setdefault(row, []).append((t, event.rule, t + width))
    final, previous = {}, {}
    for row, seen in history.items():
        final[row, seen[-1][0]] = seen[-1][1]
        if len(seen) > 1:
            previous[row, seen[-2][0]] = seen[-2][1]
    return Order(final, previous)
