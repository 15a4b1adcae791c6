"""Behaviour -> machine: ask the oracle, walk the roads, keep the best and why the others lost.

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
from recinterp.synthesis.abstention import restrict
from recinterp.synthesis.alternatives import (
    EquivalentMachine,
    alternatives,
    find_equivalent_machines,
    undecided,
)
from recinterp.synthesis.dataset import Dataset
from recinterp.synthesis.edits.beam import UNCLAIMED, Edited, search
from recinterp.synthesis.edits.proposals import TOLD
from recinterp.synthesis.guard_trees import FEW, Grown, grown, promise, weights
from recinterp.synthesis.hypothesis import ENOUGH, PLENTY, Hypothesis, again, hypothesis, why
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
LEARNED, CLASHES = 3, 2  # machines from logs looked at; steps left apart, by wrong outputs allowed
FEWEST = 8  # failures among the probes, or nothing is learned from logs
TRUE = "edits of the true machine"
TREES = "guard trees on the true machine's control"
DOUBT = 0.02  # of what it claims among inputs as they come: if more is wrong, it falls
ADDED = 300  # inputs as they come that are learned from then, of either kind


@dataclass(frozen=True)
class SynthesisResult:
    """The machine that was chosen, the others, and everything the oracle was asked."""

    chosen: Hypothesis
    rejected_hypotheses: tuple[Hypothesis, ...]
    truth: Machine
    logs: Dataset
    equivalent_machines: tuple[EquivalentMachine, ...] = ()


@dataclass(frozen=True)
class SearchStrategy:
    """A machine to edit, what it is compared with, and how an edit of it is read back."""

    name: str
    machine: Machine
    logs: Dataset
    back: Callable[[Machine], Machine]


def synthesize(oracle: Oracle, task: Task, domain: Domain, *, seed: int = 0) -> SynthesisResult:
    """The machine that explains an oracle on a domain best, built from probes alone.

    First from probes of every stratum; then, if it does not hold among inputs as they come, or
    machines are left that some input tells apart, once more with those on which it falls. Where
    that explains too few failures, many more inputs are asked about, and guard trees grown.
    """
    logs = query(oracle, task, stratified_queries(task, domain, seed=seed))
    ranked = _edited(task, logs)
    best = ranked[0].machine
    more = undecided(task, domain, best, ranked[0].equal, seed=seed)
    told = more and query(oracle, task, more).run(best).equal.all()
    looks = natural_and_disagreeing_inputs(task, domain, best, logs.inputs, seed=seed)
    plain, departing = (query(oracle, task, inputs) for inputs in looks)
    if (more and not told) or _falls(ranked[0], logs, plain, departing):
        new = [*more, *departing.inputs, *_telling(best, plain)]
        known = dict.fromkeys(map(tuple, [*logs.inputs, *new]))
        logs = query(oracle, task, [list(x) for x in known])
        ranked = _edited(task, logs)
    if not _enough(ranked, logs):
        ranked = _best(logs, [*ranked, *_from_logs(task, logs, seed)])
    if logs.failures.sum() >= FEWEST:
        many = query(oracle, task, full_sample(task, domain, logs.inputs, seed=seed))
        if not again(ranked[0], many).enough(int(many.failures.sum()), PLENTY):
            kept = [again(h, many) for h in ranked[:KEPT]]
            logs, ranked = many, _best(many, [*kept, *_grown(task, many, ranked, seed)])
    chosen = ranked[0]
    others = {(h.road, h.wrong, h.unclaimed, h.machine.size): h for h in reversed(ranked[1:])}
    lost = (replace(h, lost_because=why(h, chosen)) for h in list(others.values())[::-1][:KEPT])
    evident = replace(chosen, machine=with_evidence(chosen.machine, logs))
    left = find_equivalent_machines(task, domain, chosen.machine, chosen.equal, seed=seed)
    return SynthesisResult(evident, tuple(lost), task.machine, logs, left)


def _falls(best: Hypothesis, logs: Dataset, plain: Dataset, departing: Dataset) -> bool:
    """Whether a machine that explains the probes does not hold among inputs as they come.

    Much of what it claims of failures is wrong there, or it leaves many failures unexplained.
    """
    known = int(logs.failures.sum())
    if known >= FEWEST and not best.enough(known):
        return False
    wrong = int(departing.run(best.machine).wrong.sum())
    left = int((plain.failures & ~plain.run(best.machine).equal).sum())
    many = left >= max(FEWEST, ENOUGH * plain.failures.sum())
    return many or wrong > DOUBT * len(departing.inputs)


def _telling(machine: Machine, plain: Dataset) -> list[Sequence[str]]:
    """Some of the inputs on which a machine falls, and as many on which it holds."""
    equal = plain.run(machine).equal
    rows = np.concatenate([np.flatnonzero(side)[:ADDED] for side in (~equal, equal)])
    return [plain.inputs[i] for i in rows.tolist()]


def query(oracle: Oracle, task: Task, inputs: Sequence[Tokens]) -> Dataset:
    """An oracle's answers as logs."""
    outputs = oracle(inputs)
    failed = [y != z for y, z in zip(outputs, task.apply_many(inputs), strict=True)]
    machine = task.machine
    return Dataset(inputs, outputs, machine.vocab, machine.arity, np.array(failed, dtype=bool))


def _edited(task: Task, logs: Dataset) -> list[Hypothesis]:
    """The true machine and its edits, the best first."""
    truth = task.machine
    found = [hypothesis(TRUE, Edited(truth, (), {}, 0.0, truth.size), truth, logs)]
    for road in roads(task, logs):
        if _enough(found, logs):
            break
        found += _walk(road, logs)
    return _best(logs, found)


def _best(logs: Dataset, found: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The best first: what explains nearly all failures, then nine in ten, before what does not."""
    failures = int(logs.failures.sum())
    return sorted(found, key=lambda h: (h.tier(failures), h.rank))


def _grown(task: Task, logs: Dataset, known: Sequence[Hypothesis], seed: int) -> list[Hypothesis]:
    """Guard trees on the machine that promises most, and the same where it is to be believed.

    Of each road the true machine, and of its edits the one that tells most: all of them where logs
    are few. Weighed by what trees grown without an input say of it: a table of inputs explains
    nothing.
    """
    grounds = list[tuple[int, SearchStrategy, Machine]]()
    for road in roads(task, logs):
        edits = dict.fromkeys(h.acting for h in known if h.road == road.name and h.acting)
        best = max(edits, key=lambda m: int(road.logs.run(m).equal.sum()), default=road.machine)
        for machine in dict.fromkeys([road.machine, best]):
            back = road.machine is task.machine
            grounds.append((promise(machine, road.logs, seed, looks_back=back), road, machine))
    found = list[Hypothesis]()
    for _, road, machine in sorted(grounds, key=lambda g: -g[0]):
        for heavier in weights(logs):
            found += _trees(task, logs, road, machine, seed, heavier)
        if found and len(logs.inputs) > FEW:
            break
    return found


def _trees(
    task: Task, logs: Dataset, road: SearchStrategy, machine: Machine, seed: int, heavier: float
) -> list[Hypothesis]:
    """Guard trees on one machine, in its road's direction."""
    turned = road.machine is not task.machine
    try:
        tree = grown(machine, road.logs, seed, looks_back=not turned, heavier=heavier)
        whole = road.back(tree.machine)
    except MachineError:  # guards not seen to be disjoint, or not read in the other direction
        return []
    name = TREES if machine is road.machine else f"{TREES}, edited"
    name += ", read from the right" * turned
    tried = dict.fromkeys([whole, restrict(whole, logs, tree.explained)])
    weighed = [_tried(name, m, tree, task.machine, logs) for m in tried]
    return [h for h in weighed if h.unclaimed < h.asked]


def _tried(road: str, machine: Machine, tree: Grown, truth: Machine, logs: Dataset) -> Hypothesis:
    outcome = logs.run(machine)
    silent = outcome.unclaimed & ~outcome.wrong
    wrong = ~silent & ~tree.explained
    cost = float((wrong + np.where(outcome.failures_told, TOLD, UNCLAIMED) * silent).sum())
    return Hypothesis(
        machine, road, (), 0, int(wrong.sum()), int(silent.sum()), len(logs.inputs), cost,
        machine.size - truth.size, leaves=tree.leaves,
    )  # fmt: skip


def _enough(found: Sequence[Hypothesis], logs: Dataset) -> bool:
    return any(h.enough(int(logs.failures.sum())) for h in found)


def _from_logs(task: Task, logs: Dataset, seed: int) -> Iterator[Hypothesis]:
    """The other road: machines learned from the logs alone, where they hold on those kept apart.

    A few failures are no ground to learn from: a machine that fits them is a table. Nor are logs
    that no view tells apart: each step left so costs an output. Where a token has two parts that
    recur, a machine needs a stack, and none is learned.
    """
    if logs.failures.sum() < FEWEST or max(logs.arity, default=0) > 1:
        return
    most = CLASHES * ENOUGH * logs.failures.sum()
    for learned in learn(logs.inputs, logs.outputs, task, seed, most)[:LEARNED]:
        edited = Edited(learned.machine, (), {}, 0.0, task.machine.size)
        yield hypothesis(f"learned from logs, {learned.text}", edited, task.machine, logs)


def roads(task: Task, logs: Dataset) -> Iterator[SearchStrategy]:
    """For reversed words the machine of the plain words, read backwards; then the true machine.

    A fault is an edit of a few nodes where the recursion is read in its own direction, and many
    where a machine has to look ahead for what it has not read.
    """
    if task.order == "reverse" and task.arity == 1:
        plain = replace(task, order="natural").machine
        if not plain.frames:
            turned = replace(logs.reversed(), vocab=plain.vocab, arity=plain.arity)
            yield SearchStrategy(f"{TRUE}, read from the right", plain, turned, reverse_machine)
    yield SearchStrategy(TRUE, task.machine, logs, lambda m: m)


def _walk(road: SearchStrategy, logs: Dataset) -> Iterator[Hypothesis]:
    base = road.back(road.machine)
    for e in search(road.machine, road.logs):
        for machine in dict.fromkeys([e.machine, restrict(e.machine, road.logs)]):
            try:
                edited = replace(e, machine=road.back(machine))
                same = [road.back(m) for m in alternatives(e)] if machine is e.machine else []
            except MachineError:  # an edit that cannot be read back in the other direction
                continue
            yield replace(hypothesis(road.name, edited, base, logs), equal=tuple(same))


def with_evidence(machine: Machine, logs: Dataset) -> Machine:
    """The machine with, on each rule, how many probes it fired on and how many came out right."""
    outcome = logs.run(machine, record=True)
    fired = [np.zeros(len(logs.inputs), dtype=bool) for _ in machine.rules]
    for event in outcome.batch.events:
        fired[event.rule][event.view.inputs] = True
    return machine.with_rules(
        [
            replace(r, evidence=f"{int((f & outcome.equal).sum())} of {int(f.sum())} probes")
            for r, f in zip(machine.rules, fired, strict=True)
        ]
    )


def query_log(logs: Dataset) -> list[tuple[Tokens, Tokens]]:
    """Everything that was asked, with its answer."""
    return [(list(x), list(y)) for x, y in zip(logs.inputs, logs.outputs, strict=True)]
