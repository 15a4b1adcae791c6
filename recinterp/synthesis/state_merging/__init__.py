"""State merging: machines learned from inputs and outputs only, over a grid of views.

The other strategies change the true machine. This one knows nothing of it but vocabulary and
domain, and finds what is no small edit: read from the right, "copy the last run" is two states.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recinterp.errors import MachineError
from recinterp.splits import validation_indices
from recinterp.synthesis.state_merging.conflicts import ConflictTable
from recinterp.synthesis.state_merging.grid import enumerate_bounds, enumerate_views
from recinterp.synthesis.state_merging.merge import build_prefix_tree, merge_states
from recinterp.synthesis.state_merging.to_machine import build_merged_machine, count_rules
from recinterp.synthesis.state_merging.views import Pair, Reading, View

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.synthesis.config import MergeConfig
    from recinterp.tasks import Task

__all__ = ["MergedMachine", "learn_by_merging"]


@dataclass(frozen=True, kw_only=True)
class MergedMachine:
    """A machine learned by state merging.

    Attributes:
        machine: the machine.
        reading: how it reads, without the facts that no guard asks about.
        conflicts: steps that its view cannot tell apart.
        wrong: outputs of the dataset that it does not give.
        missed: outputs of the validation part that a machine learned without them did not give.
        total: outputs of the dataset.
    """

    machine: Machine
    reading: Reading
    conflicts: int
    wrong: int
    missed: int
    total: int


def learn_by_merging(
    inputs: Sequence[Sequence[str]],
    outputs: Sequence[Sequence[str]],
    task: Task,
    config: MergeConfig,
    *,
    seed: int = 0,
    max_conflicts: float = math.inf,
) -> list[MergedMachine]:
    """Machines that explain a model's outputs, the best first.

    The best is the smallest, where each wrong output, of the dataset or of its validation part,
    weighs what it would take to write it down.

    Args:
        inputs: token sequences of the task.
        outputs: the model's output for each.
        task: its vocabulary and domain are used, its program is not.
        config: the thresholds.
        seed: of the validation part.
        max_conflicts: steps that a view may fail to tell apart; from views that leave more nothing
            is learned.

    Returns:
        Distinct machines; none where no view gives one.
    """
    pairs = list(dict.fromkeys((tuple(x), tuple(y)) for x, y in zip(inputs, outputs, strict=True)))
    learner = _Learner(
        task, config, seed, ConflictTable(pairs),
        min(max_conflicts, config.max_conflict_share * len(pairs)),
    )  # fmt: skip
    grid = list(enumerate_views(learner.table, config))
    found = learner.fit_all(grid)
    best = min(found, key=learner.rank, default=None)
    if best is None or not learner.suffices(best):
        found += learner.fit_all(
            v for view in learner.likeliest(grid) for v in learner.bounds(view)
        )
    distinct = {str(m.machine): m for m in sorted(found, key=learner.rank, reverse=True)}
    return sorted(distinct.values(), key=learner.rank)


@dataclass(frozen=True)
class _Learner:
    """What every view is fitted to, and the bound on its conflicts."""

    task: Task
    config: MergeConfig
    seed: int
    table: ConflictTable
    max_conflicts: float

    def fit_all(self, views: Iterable[View]) -> list[MergedMachine]:
        """The machines of the views that give one."""
        return [made for view in views if (made := self._fit(view)) is not None]

    def rank(self, learned: MergedMachine) -> int:
        """Size, wrong outputs and facts together, in nodes."""
        errors = self.config.error_weight * (learned.missed + learned.wrong)
        return errors + self.config.fact_weight * learned.reading.facts + learned.machine.size

    def suffices(self, best: MergedMachine) -> bool:
        """Whether a machine is so small and right that bounds need not be tried."""
        max_errors = self.config.good_error_share * len(self.table.pairs)
        accurate = best.missed + best.wrong <= max_errors
        return accurate and len(best.machine.modes) <= self.config.good_states

    def likeliest(self, grid: list[View]) -> list[View]:
        """The views with the fewest conflicts among those that know nothing ahead."""
        plain = [view for view in grid if not view.ahead and not view.rest]
        return sorted(plain, key=self.table.conflicts)[: self.config.bounded_views]

    def bounds(self, view: View) -> list[View]:
        """The bounds on a view that leave the fewest conflicts, and of those the fewest states."""
        found = {v: self.table.conflicts(v) for v in enumerate_bounds(self.table.pairs, view)}
        least = min(found.values(), default=0)
        tied = [v for v, conflicts in found.items() if conflicts == least <= self.max_conflicts]
        return sorted(tied, key=self._count_states)[: self.config.bounds_per_view]

    def _count_states(self, view: View) -> int:
        max_states = self.config.max_states
        states = merge_states(build_prefix_tree(view.rows(self.table.pairs)), max_states)
        return len(states or range(max_states + 1))

    def _fit(self, view: View) -> MergedMachine | None:
        """The machine of one view; None where it does not hold on what it was not made from."""
        pairs, conflicts = self.table.pairs, self.table.conflicts(view)
        if conflicts > self.max_conflicts:
            return None
        apart = validation_indices(len(pairs), self.seed)
        trial = self._machine([p for i, p in enumerate(pairs) if i not in apart], view)
        missed = len(apart)
        if trial is not None:
            missed = _count_wrong(trial[0], [pairs[i] for i in sorted(apart)])
        if missed > self.config.max_missed_share * len(apart):
            return None
        whole = self._machine(pairs, view)
        if whole is None:
            return None
        machine, used = whole
        return MergedMachine(
            machine=machine,
            reading=used.reading,
            conflicts=conflicts,
            wrong=_count_wrong(machine, pairs),
            missed=missed,
            total=len(pairs),
        )

    def _machine(self, pairs: Sequence[Pair], view: View) -> tuple[Machine, View] | None:
        states = merge_states(build_prefix_tree(view.rows(pairs)), self.config.max_states)
        if states is None:
            return None
        last = view.last(pairs)
        if count_rules(states, last) > self.config.max_rules:
            return None
        try:
            return build_merged_machine(states, view, self.task.machine, last)
        except MachineError:  # what was read cannot be turned around
            return None


def _count_wrong(machine: Machine, pairs: Sequence[Pair]) -> int:
    """How many whole outputs a machine does not give."""
    given = machine.run_many([x for x, _ in pairs])
    return sum(out is None or tuple(out) != y for out, (_, y) in zip(given, pairs, strict=True))
