"""Behaviour -> machine: query the oracle, try each strategy, keep the best and why others lost.

Nothing here knows what is held out beyond asking for none of it, and nothing here is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recinterp.errors import MachineError
from recinterp.machine.machine import Machine
from recinterp.machine.transform.reverse import reverse_machine
from recinterp.synthesis.abstention import restrict_to_reliable_inputs
from recinterp.synthesis.alternatives import (
    EquivalentMachine,
    alternatives,
    distinguishing_inputs,
    find_equivalent_machines,
)
from recinterp.synthesis.dataset import Dataset
from recinterp.synthesis.edits.beam import ABSTENTION_COST, Edited, search_edits
from recinterp.synthesis.edits.proposals import FLAGGED_FAILURE_COST
from recinterp.synthesis.guard_trees import (
    FEW,
    FittedTrees,
    fit_guard_trees,
    holdout_score,
    weights,
)
from recinterp.synthesis.hypothesis import (
    ENOUGH,
    PLENTY,
    Hypothesis,
    hypothesis,
    rejection_reason,
    rescore,
)
from recinterp.synthesis.queries import (
    full_sample,
    natural_and_disagreeing_inputs,
    stratified_queries,
)
from recinterp.synthesis.state_merging import learn

if TYPE_CHECKING:
    from recinterp.synthesis.oracle import Oracle
    from recinterp.tasks import Domain, Task
    from recinterp.tokens import Tokens

KEPT = 6  # runners-up kept
LEARNED, CLASHES = (
    3,
    2,
)  # machines from dataset looked at; steps left apart, by wrong outputs allowed
FEWEST = 8  # failures among the probes, or nothing is learned from logs
TRUE = "edits of the true machine"
TREES = "guard trees on the true machine's control"
DOUBT = 0.02  # of what it claims among inputs as they come: if more is wrong, it falls
ADDED = 300  # inputs as they come that are learned from then, of either kind


@dataclass(frozen=True)
class SynthesisResult:
    """The machine that was chosen, the others, and everything the oracle was queried."""

    chosen: Hypothesis
    rejected_hypotheses: tuple[Hypothesis, ...]
    truth: Machine
    dataset: Dataset
    equivalent_machines: tuple[EquivalentMachine, ...] = ()


@dataclass(frozen=True)
class ReadingDirection:
    """A machine to edit, what it is compared with, and how an edit of it is read back."""

    name: str
    machine: Machine
    dataset: Dataset
    back: Callable[[Machine], Machine]


def synthesize(oracle: Oracle, task: Task, domain: Domain, *, seed: int = 0) -> SynthesisResult:
    """The machine that explains an oracle on a domain best, built from probes alone.

    First from probes of every stratum; then, if it does not hold among inputs as they come, or
    machines are left that some input tells apart, once more with those on which it falls. Where
    that explains too few failures, many more inputs are queried about, and guard trees grown.
    """
    dataset = query(oracle, task, stratified_queries(task, domain, seed=seed))
    ranked = _edit_hypotheses(task, dataset)
    best = ranked[0].machine
    more = distinguishing_inputs(task, domain, best, ranked[0].alternatives, seed=seed)
    told = more and query(oracle, task, more).run(best).equal.all()
    looks = natural_and_disagreeing_inputs(task, domain, best, dataset.inputs, seed=seed)
    plain, departing = (query(oracle, task, inputs) for inputs in looks)
    if (more and not told) or _generalises_poorly(ranked[0], dataset, plain, departing):
        new = [*more, *departing.inputs, *_hard_inputs(best, plain)]
        known = dict.fromkeys(map(tuple, [*dataset.inputs, *new]))
        dataset = query(oracle, task, [list(x) for x in known])
        ranked = _edit_hypotheses(task, dataset)
    if not _enough(ranked, dataset):
        ranked = _best(dataset, [*ranked, *_merged_hypotheses(task, dataset, seed)])
    if dataset.failures.sum() >= FEWEST:
        many = query(oracle, task, full_sample(task, domain, dataset.inputs, seed=seed))
        if not rescore(ranked[0], many).enough(int(many.failures.sum()), PLENTY):
            kept = [rescore(h, many) for h in ranked[:KEPT]]
            dataset, ranked = (
                many,
                _best(many, [*kept, *_tree_hypotheses(task, many, ranked, seed)]),
            )
    chosen = ranked[0]
    others = {(h.strategy, h.wrong, h.abstained, h.machine.size): h for h in reversed(ranked[1:])}
    lost = (
        replace(h, lost_because=rejection_reason(h, chosen))
        for h in list(others.values())[::-1][:KEPT]
    )
    evident = replace(chosen, machine=with_evidence(chosen.machine, dataset))
    left = find_equivalent_machines(task, domain, chosen.machine, chosen.alternatives, seed=seed)
    return SynthesisResult(evident, tuple(lost), task.machine, dataset, left)


def _generalises_poorly(
    best: Hypothesis, dataset: Dataset, plain: Dataset, departing: Dataset
) -> bool:
    """Whether a machine that explains the probes does not hold among inputs as they come.

    Much of what it claims of failures is wrong there, or it leaves many failures unexplained.
    """
    known = int(dataset.failures.sum())
    if known >= FEWEST and not best.enough(known):
        return False
    wrong = int(departing.run(best.machine).wrong.sum())
    left = int((plain.failures & ~plain.run(best.machine).equal).sum())
    many = left >= max(FEWEST, ENOUGH * plain.failures.sum())
    return many or wrong > DOUBT * len(departing.inputs)


def _hard_inputs(machine: Machine, plain: Dataset) -> list[Sequence[str]]:
    """Some of the inputs on which a machine falls, and as many on which it holds."""
    equal = plain.run(machine).equal
    rows = np.concatenate([np.flatnonzero(side)[:ADDED] for side in (~equal, equal)])
    return [plain.inputs[i] for i in rows.tolist()]


def query(oracle: Oracle, task: Task, inputs: Sequence[Tokens]) -> Dataset:
    """An oracle's answers as dataset."""
    outputs = oracle(inputs)
    failed = [y != z for y, z in zip(outputs, task.apply_many(inputs), strict=True)]
    machine = task.machine
    return Dataset(inputs, outputs, machine.vocab, machine.arity, np.array(failed, dtype=bool))


def _edit_hypotheses(task: Task, dataset: Dataset) -> list[Hypothesis]:
    """The true machine and its edits, the best first."""
    truth = task.machine
    found = [hypothesis(TRUE, Edited(truth, (), {}, 0.0, truth.size), truth, dataset)]
    for direction in reading_directions(task, dataset):
        if _enough(found, dataset):
            break
        found += _edit_in_direction(direction, dataset)
    return _best(dataset, found)


def _best(dataset: Dataset, found: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The best first: what explains nearly all failures, then nine in ten, before what does not."""
    failures = int(dataset.failures.sum())
    return sorted(found, key=lambda h: (h.tier(failures), h.rank))


def _tree_hypotheses(
    task: Task, dataset: Dataset, known: Sequence[Hypothesis], seed: int
) -> list[Hypothesis]:
    """Guard trees on the machine that promises most, and the same where it is to be believed.

    Of each direction the true machine, and of its edits the one that tells most: all of them where
    dataset are few. Weighed by what trees grown without an input say of it: a table of inputs
    explains nothing.
    """
    grounds = list[tuple[int, ReadingDirection, Machine]]()
    for direction in reading_directions(task, dataset):
        edits = dict.fromkeys(h.acting for h in known if h.strategy == direction.name and h.acting)
        best = max(
            edits,
            key=lambda m: int(direction.dataset.run(m).equal.sum()),
            default=direction.machine,
        )
        for machine in dict.fromkeys([direction.machine, best]):
            back = direction.machine is task.machine
            grounds.append(
                (
                    holdout_score(machine, direction.dataset, seed, looks_back=back),
                    direction,
                    machine,
                )
            )
    found = list[Hypothesis]()
    for _, direction, machine in sorted(grounds, key=lambda g: -g[0]):
        for failure_weight in weights(dataset):
            found += _fit_trees(task, dataset, direction, machine, seed, failure_weight)
        if found and len(dataset.inputs) > FEW:
            break
    return found


def _fit_trees(
    task: Task,
    dataset: Dataset,
    direction: ReadingDirection,
    machine: Machine,
    seed: int,
    failure_weight: float,
) -> list[Hypothesis]:
    """Guard trees on one machine, in its direction."""
    turned = direction.machine is not task.machine
    try:
        tree = fit_guard_trees(
            machine, direction.dataset, seed, looks_back=not turned, failure_weight=failure_weight
        )
        whole = direction.back(tree.machine)
    except MachineError:  # guards not seen to be disjoint, or not read in the other direction
        return []
    name = TREES if machine is direction.machine else f"{TREES}, edited"
    name += ", read from the right" * turned
    tried = dict.fromkeys([whole, restrict_to_reliable_inputs(whole, dataset, tree.explained)])
    weighed = [_score_tree(name, m, tree, task.machine, dataset) for m in tried]
    return [h for h in weighed if h.abstained < h.queried]


def _score_tree(
    direction: str, machine: Machine, tree: FittedTrees, truth: Machine, dataset: Dataset
) -> Hypothesis:
    outcome = dataset.run(machine)
    silent = outcome.abstained & ~outcome.wrong
    wrong = ~silent & ~tree.explained
    cost = float(
        (
            wrong
            + np.where(outcome.failures_flagged, FLAGGED_FAILURE_COST, ABSTENTION_COST) * silent
        ).sum()
    )
    return Hypothesis(
        machine, direction, (), 0, int(wrong.sum()), int(silent.sum()), len(dataset.inputs), cost,
        machine.size - truth.size, leaves=tree.leaves,
    )  # fmt: skip


def _enough(found: Sequence[Hypothesis], dataset: Dataset) -> bool:
    return any(h.enough(int(dataset.failures.sum())) for h in found)


def _merged_hypotheses(task: Task, dataset: Dataset, seed: int) -> Iterator[Hypothesis]:
    """Machines learned from the dataset alone, where they hold on those kept apart.

    A few failures are no ground to learn from: a machine that fits them is a table. Nor are dataset
    that no view tells apart: each step left so costs an output. Where a token has two parts that
    recur, a machine needs a stack, and none is learned.
    """
    if dataset.failures.sum() < FEWEST or max(dataset.arity, default=0) > 1:
        return
    most = CLASHES * ENOUGH * dataset.failures.sum()
    for learned in learn(dataset.inputs, dataset.outputs, task, seed, most)[:LEARNED]:
        edited = Edited(learned.machine, (), {}, 0.0, task.machine.size)
        yield hypothesis(f"learned from logs, {learned.text}", edited, task.machine, dataset)


def reading_directions(task: Task, dataset: Dataset) -> Iterator[ReadingDirection]:
    """For reversed words the machine of the plain words, read backwards; then the true machine.

    A fault is an edit of a few nodes where the recursion is read in its own direction, and many
    where a machine has to look ahead for what it has not read.
    """
    if task.order == "reverse" and task.arity == 1:
        plain = replace(task, order="natural").machine
        if not plain.frames:
            turned = replace(dataset.reversed(), vocab=plain.vocab, arity=plain.arity)
            yield ReadingDirection(f"{TRUE}, read from the right", plain, turned, reverse_machine)
    yield ReadingDirection(TRUE, task.machine, dataset, lambda m: m)


def _edit_in_direction(direction: ReadingDirection, dataset: Dataset) -> Iterator[Hypothesis]:
    base = direction.back(direction.machine)
    for e in search_edits(direction.machine, direction.dataset):
        for machine in dict.fromkeys(
            [e.machine, restrict_to_reliable_inputs(e.machine, direction.dataset)]
        ):
            try:
                edited = replace(e, machine=direction.back(machine))
                same = [direction.back(m) for m in alternatives(e)] if machine is e.machine else []
            except MachineError:  # an edit that cannot be read back in the other direction
                continue
            yield replace(
                hypothesis(direction.name, edited, base, dataset), alternatives=tuple(same)
            )


def with_evidence(machine: Machine, dataset: Dataset) -> Machine:
    """The machine with, on each rule, how many probes it fired on and how many came out right."""
    outcome = dataset.run(machine, record=True)
    fired = [np.zeros(len(dataset.inputs), dtype=bool) for _ in machine.rules]
    for event in outcome.batch.events:
        fired[event.rule][event.view.inputs] = True
    return machine.with_rules(
        [
            replace(r, evidence=f"{int((f & outcome.equal).sum())} of {int(f.sum())} probes")
            for r, f in zip(machine.rules, fired, strict=True)
        ]
    )


def queries_and_answers(dataset: Dataset) -> list[tuple[Tokens, Tokens]]:
    """Everything that was queried, with its answer."""
    return [(list(x), list(y)) for x, y in zip(dataset.inputs, dataset.outputs, strict=True)]
