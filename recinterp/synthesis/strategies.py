"""The three search strategies, each from a dataset to hypotheses.

Edits of the true machine come first: they are small, and say what went wrong. Machines learned by
state merging and guard trees are tried where edits explain too little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recinterp.errors import MachineError
from recinterp.machine.continuation import Preference
from recinterp.machine.machine import Machine
from recinterp.machine.transform.reverse import reverse_machine
from recinterp.synthesis.abstention import restrict_to_reliable_inputs
from recinterp.synthesis.alternatives import propose_alternatives
from recinterp.synthesis.dataset import Dataset
from recinterp.synthesis.edits.beam import Edited, search_edits
from recinterp.synthesis.guard_trees import failure_weights, fit_guard_trees, holdout_score
from recinterp.synthesis.hypothesis import (
    Hypothesis,
    Strategy,
    StrategyKind,
    rank_hypotheses,
    score_edit,
    score_tree,
)
from recinterp.synthesis.state_merging import learn_by_merging

if TYPE_CHECKING:
    from recinterp.synthesis.config import SearchConfig
    from recinterp.tasks import Task


@dataclass(frozen=True)
class ReadingDirection:
    """A direction in which inputs are read: the machine to change, and what it should explain.

    Attributes:
        machine: the true machine in this direction.
        dataset: inputs and outputs in this direction.
        restore: turns a machine of this direction into one for inputs in the task's own order.
        from_right: whether inputs are read from their right ends.
    """

    machine: Machine
    dataset: Dataset
    restore: Callable[[Machine], Machine]
    from_right: bool = False

    @property
    def edits(self) -> Strategy:
        """The strategy of editing in this direction."""
        return Strategy(kind=StrategyKind.EDITS, from_right=self.from_right)


def reading_directions(task: Task, dataset: Dataset) -> Iterator[ReadingDirection]:
    """For reversed words the machine of the plain words, read backwards; then the true machine.

    A fault is an edit of a few nodes where the recursion is read in its own direction, and many
    where a machine has to look ahead for what it has not read.
    """
    if task.order == "reverse" and task.arity == 1:
        plain = replace(task, order="natural").machine
        if not plain.frames:
            turned = replace(dataset.reversed(), vocab=plain.vocab, arity=plain.arity)
            yield ReadingDirection(plain, turned, reverse_machine, from_right=True)
    yield ReadingDirection(task.machine, dataset, lambda machine: machine)


def explains_enough(found: Sequence[Hypothesis], dataset: Dataset, config: SearchConfig) -> bool:
    """Whether some hypothesis explains so much that no other strategy is tried."""
    failures = int(dataset.failures.sum())
    return any(h.explains(failures, config.max_unexplained) for h in found)


def edit_hypotheses(task: Task, dataset: Dataset, config: SearchConfig) -> tuple[Hypothesis, ...]:
    """The true machine and its edits, the best first."""
    truth = task.machine
    unchanged = Edited(machine=truth, base_size=truth.size)
    found = [score_edit(Strategy(kind=StrategyKind.EDITS), unchanged, truth, dataset, config)]
    found += _continued(truth, dataset, config)
    for direction in reading_directions(task, dataset):
        if explains_enough(found, dataset, config):
            break
        found += _edit_in_direction(direction, dataset, config)
    return rank_hypotheses(found, dataset, config)


def _continued(truth: Machine, dataset: Dataset, config: SearchConfig) -> list[Hypothesis]:
    """The true machine that looks its position up before each token, where that explains more.

    It drops repeated tokens, or goes on after the first place of one and may never end.
    """
    strategy = Strategy(kind=StrategyKind.EDITS)
    carried = int(dataset.run(truth).equal.sum())
    found = []
    for continuation in ((Preference.UNWRITTEN,), (Preference.AFTER_LAST,)):
        machine = truth.with_continuation(*continuation)
        if int(dataset.run(machine).equal.sum()) > carried:
            edited = Edited(machine=machine, base_size=truth.size, simplicity_penalty=1)
            found.append(score_edit(strategy, edited, truth, dataset, config))
    return found


def _edit_in_direction(
    direction: ReadingDirection, dataset: Dataset, config: SearchConfig
) -> Iterator[Hypothesis]:
    """Edits in one direction, each as it is and restricted to inputs on which it is reliable."""
    base = direction.restore(direction.machine)
    for found in search_edits(direction.machine, direction.dataset, config):
        restricted = restrict_to_reliable_inputs(found.machine, direction.dataset, config)
        for machine in dict.fromkeys([found.machine, restricted]):
            try:
                edited = replace(found, machine=direction.restore(machine))
                others = propose_alternatives(found, config) if machine is found.machine else ()
                alternatives = tuple(direction.restore(m) for m in others)
            except MachineError:  # an edit that cannot be read back in the other direction
                continue
            scored = score_edit(direction.edits, edited, base, dataset, config)
            yield replace(scored, alternatives=alternatives)


def merged_hypotheses(
    task: Task, dataset: Dataset, config: SearchConfig, seed: int
) -> Iterator[Hypothesis]:
    """Machines learned from inputs and outputs only, where they hold on the validation part.

    A few failures are no ground to learn from: a machine that fits them is a table. Nor is a
    dataset that no view tells apart: each step left so costs an output. Where a token has two parts
    that recur, a machine needs a stack, and none is learned.
    """
    failures = dataset.failures.sum()
    if failures < config.min_failures or max(dataset.arity, default=0) > 1:
        return
    found = learn_by_merging(
        dataset.inputs,
        dataset.outputs,
        task,
        config.merging,
        seed=seed,
        max_conflicts=config.merging.conflicts_per_error * config.max_unexplained * failures,
    )
    for learned in found[: config.merging.max_machines]:
        strategy = Strategy(
            kind=StrategyKind.STATE_MERGING,
            reading=learned.reading,
            states=len(learned.machine.modes),
        )
        edited = Edited(machine=learned.machine, base_size=task.machine.size)
        yield score_edit(strategy, edited, task.machine, dataset, config)


def tree_hypotheses(
    task: Task, dataset: Dataset, known: Sequence[Hypothesis], config: SearchConfig, seed: int
) -> list[Hypothesis]:
    """Guard trees on the most promising machine; on every candidate if the dataset is small.

    Candidates are, for each direction, the true machine and the edit that explains most.
    """
    candidates = list[tuple[int, ReadingDirection, Machine]]()
    for direction in reading_directions(task, dataset):
        for machine in _tree_bases(direction, known):
            score = holdout_score(
                machine,
                direction.dataset,
                config,
                seed=seed,
                reads_outputs=not direction.from_right,
            )
            candidates.append((score, direction, machine))
    found = list[Hypothesis]()
    for _, direction, machine in sorted(candidates, key=lambda c: -c[0]):
        for weight in failure_weights(dataset, config.trees):
            found += _fit_trees(task, dataset, direction, machine, weight, config, seed)
        if found and len(dataset.inputs) > config.trees.small_dataset:
            break
    return found


def _tree_bases(direction: ReadingDirection, known: Sequence[Hypothesis]) -> list[Machine]:
    """The true machine of a direction, and of its edits the one that explains most."""
    edits = dict.fromkeys(h.acting for h in known if h.strategy == direction.edits and h.acting)
    best = max(
        edits,
        key=lambda machine: int(direction.dataset.run(machine).equal.sum()),
        default=direction.machine,
    )
    return list(dict.fromkeys([direction.machine, best]))


def _fit_trees(
    task: Task,
    dataset: Dataset,
    direction: ReadingDirection,
    machine: Machine,
    failure_weight: float,
    config: SearchConfig,
    seed: int,
) -> list[Hypothesis]:
    """Guard trees on one machine: as they are, and restricted to where they are reliable."""
    try:
        tree = fit_guard_trees(
            machine,
            direction.dataset,
            config,
            seed=seed,
            reads_outputs=not direction.from_right,
            failure_weight=failure_weight,
        )
        whole = direction.restore(tree.machine)
    except MachineError:  # guards not seen to be disjoint, or not read in the other direction
        return []
    strategy = Strategy(
        kind=StrategyKind.GUARD_TREES,
        from_right=direction.from_right,
        on_edited=machine is not direction.machine,
    )
    restricted = restrict_to_reliable_inputs(whole, dataset, config, right=tree.explained)
    scored = [
        score_tree(strategy, m, tree, task.machine, dataset, config)
        for m in dict.fromkeys([whole, restricted])
    ]
    return [h for h in scored if h.abstained < h.queried]
