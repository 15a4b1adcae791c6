"""Machines learned from logs alone: state merging over a grid of views, judged on whole outputs.

The other road edits the true machine. This one knows nothing of it but vocabulary and domain, and
finds what is no small edit: read from the right, "copy the last run" is two states.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recinterp.errors import MachineError
from recinterp.splits import validation_indices
from recinterp.synthesis.state_merging.conflicts import Table
from recinterp.synthesis.state_merging.grid import bounds, views
from recinterp.synthesis.state_merging.merge import MOST_STATES, merged, tree
from recinterp.synthesis.state_merging.to_machine import machine_of
from recinterp.synthesis.state_merging.views import Pair, View

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.tasks import Task

WORST = 0.08  # of those kept apart: a machine that misses more of them is a table of the others
MOST_CONFLICTS = 0.2  # of the dataset: a view with more cannot say what was seen
FEW, SMALL = 0.01, 8  # share of wrong outputs, and control states, that leave nothing to look for
BOUNDED, BOUNDS = 2, 2  # views that are tried with a bound, and bounds on each
ENTRY, FACT = 25, 10  # nodes of a machine that a wrong output weighs, and a fact it asks about

__all__ = ["MergedMachine", "learn"]


@dataclass(frozen=True)
class MergedMachine:
    """A machine from dataset. `text`: how it reads; `conflicts`: steps its view cannot tell apart.

    wrong, missed: of the dataset, and of those kept apart while it was tried, how many whole
    outputs it does not give.
    """

    machine: Machine
    text: str
    conflicts: int
    wrong: int
    missed: int
    asked: int
    view: View


def learn(
    inputs: Sequence[Sequence[str]],
    outputs: Sequence[Sequence[str]],
    task: Task,
    seed: int = 0,
    most: float = math.inf,
) -> list[MergedMachine]:
    """Machines that explain dataset of a task's inputs (token lists) and outputs, the best first.

    most: steps that a view may fail to tell apart; of one that leaves more none is learned.
    Best: smallest, where a wrong output, among all dataset or among those kept apart from the
    merging, weighs what it would take to write it down. Empty where no view of the dataset gives a
    machine.
    """
    pairs = list(dict.fromkeys((tuple(x), tuple(y)) for x, y in zip(inputs, outputs, strict=True)))
    most = min(most, MOST_CONFLICTS * len(pairs))
    table = Table(pairs)
    grid = list(views(table))
    found = [made for view in grid if (made := _fit(table, view, task, seed, most))]
    best = min(found, key=_rank, default=None)
    if best is None or not _suffices(best, len(pairs)):
        more = [v for view in _likeliest(table, grid) for v in _bounds(table, view, most)]
        found += [made for view in more if (made := _fit(table, view, task, seed, most))]
    distinct = {str(m.machine): m for m in sorted(found, key=_rank, reverse=True)}
    return sorted(distinct.values(), key=_rank)


def _suffices(best: MergedMachine, asked: int) -> bool:
    few = best.missed + best.wrong <= FEW * asked
    return few and len(best.machine.modes) <= SMALL


def _likeliest(table: Table, grid: list[View]) -> list[View]:
    """The views with the fewest conflicts among those that know nothing ahead."""
    plain = [view for view in grid if not view.ahead and not view.rest]
    return sorted(plain, key=table.conflicts)[:BOUNDED]


def _bounds(table: Table, view: View, most: float) -> list[View]:
    """The bounds on a view that leave the fewest conflicts, and of those the fewest states."""
    found = {v: table.conflicts(v) for v in bounds(table.pairs, view)}
    least = min(found.values(), default=0)
    tied = [v for v, clashes in found.items() if clashes == least <= most]
    return sorted(tied, key=lambda v: _states(table.pairs, v))[:BOUNDS]


def _rank(learned: MergedMachine) -> int:
    view = learned.view
    facts = view.ahead + bool(view.rest) + bool(view.bound)
    return ENTRY * (learned.missed + learned.wrong) + FACT * facts + learned.machine.size


def _states(pairs: Sequence[Pair], view: View) -> int:
    return len(merged(tree(view.rows(pairs))) or range(MOST_STATES + 1))


def _fit(table: Table, view: View, task: Task, seed: int, most: float) -> MergedMachine | None:
    """The machine of one view; None where it does not hold on what it was not made from."""
    pairs, clashes = table.pairs, table.conflicts(view)
    if clashes > most:
        return None
    apart = validation_indices(len(pairs), seed)
    trial = _machine([p for i, p in enumerate(pairs) if i not in apart], view, task)
    missed = _wrong(trial[0], [pairs[i] for i in sorted(apart)]) if trial else len(apart)
    whole = _machine(pairs, view, task) if missed <= WORST * len(apart) else None
    if whole is None:
        return None
    machine, used = whole
    text = f"read {used}: {len(machine.modes)} control states"
    return MergedMachine(machine, text, clashes, _wrong(machine, pairs), missed, len(pairs), used)


def _machine(pairs: Sequence[Pair], view: View, task: Task) -> tuple[Machine, View] | None:
    states = merged(tree(view.rows(pairs)))
    if states is None:
        return None
    try:
        return machine_of(states, view, task.machine, view.last(pairs))
    except MachineError:  # what was read cannot be turned around
        return None


def _wrong(machine: Machine, pairs: Sequence[Pair]) -> int:
    """How many whole outputs a machine does not give."""
    given = machine.run_many([x for x, _ in pairs])
    return sum(out is None or tuple(out) != y for out, (_, y) in zip(given, pairs, strict=True))
