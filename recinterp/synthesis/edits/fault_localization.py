"""Which rule firing is at fault for a first wrong token.

Either the rule that wrote the token is at fault, and an edit changes what it does there; or the
rule that fired just before it went wrong, and an edit changes what it leads to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recinterp.machine.execution.batch import Ints
from recinterp.machine.execution.differences import NO_DIFFERENCE
from recinterp.synthesis.edits.guards import Mask

if TYPE_CHECKING:
    from recinterp.machine.execution.batch import EventView
    from recinterp.machine.nodes import Rule
    from recinterp.synthesis.dataset import Outcome


@dataclass(frozen=True)
class LastEvents:
    """The last events of each run up to its first wrong token.

    Attributes:
        outcome: the runs, with their events.
        final: for each run, the number of its last event up to the first difference; -1 for none.
        previous: the number of the event before that; -1 for none.
    """

    outcome: Outcome
    final: Ints
    previous: Ints

    def is_final(self, rule: int) -> Mask:
        """Which of a rule's events are the last before the difference."""
        return self._flags(self.final, rule)

    def is_previous(self, rule: int) -> Mask:
        """Which of a rule's events are the last but one before the difference."""
        return self._flags(self.previous, rule)

    def _flags(self, marked: Ints, rule: int) -> Mask:
        events = enumerate(self.outcome.batch.events)
        return np.concatenate([marked[e.view.rows] == i for i, e in events if e.rule == rule])


def locate_faults(outcome: Outcome) -> LastEvents:
    """The last events of failing runs, up to their first difference."""
    first = outcome.first_difference
    final, previous = np.full(len(first), -1), np.full(len(first), -1)
    for i, event in enumerate(outcome.batch.events):
        rows, t = event.view.rows, event.view.t
        rows = rows[(first[rows] < NO_DIFFERENCE) & (t <= first[rows])]
        previous[rows] = final[rows]
        final[rows] = i
    return LastEvents(outcome, final, previous)


@dataclass(frozen=True)
class RuleEvents:
    """The events of one rule, by the part they have in first wrong tokens.

    Attributes:
        culprit: the rule wrote the wrong token, or ended, or was the last to fire before it.
        before: the rule fired just before the one that was.
        until: the run fails at this event or later.
        sound: what the rule wrote is right, and it is neither culprit nor just before.
    """

    culprit: Mask
    before: Mask
    until: Mask
    sound: Mask

    @classmethod
    def of(cls, number: int, rule: Rule, view: EventView, last: LastEvents) -> RuleEvents:
        """Classify the events of rule `number`, gathered in `view`."""
        first = last.outcome.first_difference[view.rows]
        fails, end = first < NO_DIFFERENCE, view.t + len(rule.word)
        until = fails & (view.t <= first)
        culprit = until & ((first < end) | (rule.goto is None))
        culprit |= fails & (first >= end) & last.is_final(number)
        before = fails & last.is_previous(number) & ~culprit
        return cls(culprit, before, until, (first >= end) & ~culprit & ~before)
