"""From behaviour to a machine: query the oracle, try each strategy, keep the best hypothesis.

1. `first_round`: edits of the true machine, from a few hundred stratified queries.
2. `second_round`: if those do not generalise to natural inputs, or equivalent edits are left that
   some input separates, the edits once more with those inputs; then state merging where edits
   explain too little.
3. `tree_round`: if too many failures of a large sample are unexplained, guard trees fitted to it.

No query is a held-out input, and nothing is judged here: that is done on held-out inputs later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recinterp.machine.machine import Machine
from recinterp.synthesis.alternatives import (
    EquivalentMachine,
    distinguishing_inputs,
    find_equivalent_machines,
)
from recinterp.synthesis.config import DEFAULTS, SearchConfig
from recinterp.synthesis.dataset import Dataset
from recinterp.synthesis.hypothesis import (
    Hypothesis,
    RejectedHypothesis,
    rank_hypotheses,
    reject,
    rescore,
)
from recinterp.synthesis.queries import (
    full_sample,
    natural_and_disagreeing_inputs,
    stratified_queries,
)
from recinterp.synthesis.strategies import (
    edit_hypotheses,
    explains_enough,
    merged_hypotheses,
    tree_hypotheses,
)

if TYPE_CHECKING:
    from recinterp.synthesis.oracle import Oracle
    from recinterp.tasks import Domain, Task
    from recinterp.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class SynthesisResult:
    """The machine that explains an oracle best, and what it was chosen from.

    Attributes:
        chosen: the best hypothesis that people can read; each rule of its machine carries as
            evidence on how many queries it fired and how many of those came out right.
        rejected_hypotheses: the next best ones, each with the reason, the best first.
        truth: the true machine of the task.
        dataset: everything the oracle was queried with in the deciding round, with its answers.
        equivalent_machines: machines with equal outputs on the whole domain, and where they differ.
        predictor: a larger machine that explains more than the chosen one; None where none does.
    """

    chosen: Hypothesis
    rejected_hypotheses: tuple[RejectedHypothesis, ...]
    truth: Machine
    dataset: Dataset
    equivalent_machines: tuple[EquivalentMachine, ...] = ()
    predictor: Machine | None = None


def synthesize(
    oracle: Oracle,
    task: Task,
    domain: Domain,
    *,
    seed: int = 0,
    config: SearchConfig = DEFAULTS,
) -> SynthesisResult:
    """Find the machine that explains an oracle on a domain best, from queries only.

    Args:
        oracle: the model; it refuses held-out inputs.
        task: the function that the model was meant to compute, with its true machine.
        domain: the inputs that are queried; it needs a `max_length`.
        seed: of every sample; equal seeds give equal results.
        config: the thresholds of the search.

    Returns:
        The chosen hypothesis, the rejected ones, and the queries.

    Raises:
        NotDerivableError: if the task has no machine.
    """
    search = Search(oracle, task, domain, seed, config)
    state = search.first_round()
    state = search.second_round(state)
    state = search.tree_round(state)
    return search.result(state)


@dataclass(frozen=True)
class SearchState:
    """What is known after a round: the queries with their answers, and hypotheses, best first."""

    dataset: Dataset
    ranked: tuple[Hypothesis, ...]

    @property
    def best(self) -> Hypothesis:
        """The best hypothesis so far."""
        return self.ranked[0]


@dataclass(frozen=True)
class Search:
    """The rounds of one search; the arguments are those of `synthesize`."""

    oracle: Oracle
    task: Task
    domain: Domain
    seed: int
    config: SearchConfig

    def first_round(self) -> SearchState:
        """Edits of the true machine, from stratified queries."""
        inputs = stratified_queries(self.task, self.domain, self.config.queries, seed=self.seed)
        return self._edit(self._query(inputs))

    def second_round(self, state: SearchState) -> SearchState:
        """Edits with the queries that refute the first round's, then state merging."""
        known = state.dataset.inputs
        if added := self._refuting_inputs(state):
            inputs = dict.fromkeys(map(tuple, [*known, *added]))
            state = self._edit(self._query([list(x) for x in inputs]))
        if explains_enough(state.ranked, state.dataset, self.config):
            return state
        merged = merged_hypotheses(self.task, state.dataset, self.config, self.seed)
        return self._ranked(state.dataset, [*state.ranked, *merged])

    def tree_round(self, state: SearchState) -> SearchState:
        """Guard trees on a large sample, where that leaves too many failures unexplained."""
        if state.dataset.failures.sum() < self.config.min_failures:
            return state
        inputs = full_sample(
            self.task, self.domain, state.dataset.inputs, self.config.queries, seed=self.seed
        )
        sample = self._query(inputs)
        failures = int(sample.failures.sum())
        best = rescore(state.best, sample, self.config)
        if best.explains(failures, self.config.max_unexplained_full_sample):
            return state
        known = dict.fromkeys([*state.ranked[: self.config.max_rejected], self._readable(state)])
        rescored = [rescore(h, sample, self.config) for h in known]
        trees = tree_hypotheses(self.task, sample, state.ranked, self.config, self.seed)
        return self._ranked(sample, [*rescored, *trees])

    def result(self, state: SearchState) -> SynthesisResult:
        """The best hypothesis with its evidence, why others were rejected, and its equivalents."""
        chosen = self._readable(state)
        evident = with_evidence(chosen.machine, state.dataset)
        return SynthesisResult(
            chosen=replace(chosen, machine=evident),
            rejected_hypotheses=self._rejected(state, chosen),
            truth=self.task.machine,
            dataset=state.dataset,
            predictor=None if chosen is state.best else state.best.machine,
            equivalent_machines=find_equivalent_machines(
                self.task,
                self.domain,
                chosen.machine,
                chosen.alternatives,
                self.config.alternatives,
                seed=self.seed,
            ),
        )

    def _readable(self, state: SearchState) -> Hypothesis:
        """The best hypothesis that people can read; the ground truth is always one."""
        return next(h for h in state.ranked if self._is_readable(h.machine))

    def _is_readable(self, machine: Machine) -> bool:
        """Whether people can read it, or it is the ground truth itself."""
        limit = self.task.machine.size + self.config.max_readable_extra
        return machine.size <= max(self.config.max_readable_size, limit)

    def _query(self, inputs: Sequence[Tokens]) -> Dataset:
        return query_oracle(self.oracle, self.task, inputs)

    def _edit(self, dataset: Dataset) -> SearchState:
        return SearchState(dataset, edit_hypotheses(self.task, dataset, self.config))

    def _ranked(self, dataset: Dataset, found: Sequence[Hypothesis]) -> SearchState:
        return SearchState(dataset, rank_hypotheses(found, dataset, self.config))

    def _refuting_inputs(self, state: SearchState) -> list[Sequence[str]]:
        """Inputs with which edits are searched for again; none if the first round's edits hold."""
        best = state.best
        separating = distinguishing_inputs(
            self.task,
            self.domain,
            best.machine,
            best.alternatives,
            self.config.alternatives,
            seed=self.seed,
        )
        refuted = bool(separating) and not self._query(separating).run(best.machine).equal.all()
        natural, disagreeing = (
            self._query(inputs)
            for inputs in natural_and_disagreeing_inputs(
                self.task,
                self.domain,
                best.machine,
                state.dataset.inputs,
                self.config.queries,
                seed=self.seed,
            )
        )
        if refuted or self._generalises_poorly(state, natural, disagreeing):
            return [*separating, *disagreeing.inputs, *self._hard_inputs(best.machine, natural)]
        return []

    def _generalises_poorly(
        self, state: SearchState, natural: Dataset, disagreeing: Dataset
    ) -> bool:
        """Whether a machine that explains the queries does not hold among natural inputs.

        Too much of what it predicts to fail comes out otherwise, or it leaves many failures
        unexplained. What does not explain the queries either is left to other strategies.
        """
        best, config = state.best, self.config
        failures = int(state.dataset.failures.sum())
        known_poor = not best.explains(failures, config.max_unexplained)
        if failures >= config.min_failures and known_poor:
            return False
        wrong = int(disagreeing.run(best.machine).wrong.sum())
        unexplained = int((natural.failures & ~natural.run(best.machine).equal).sum())
        many = max(config.min_failures, config.max_unexplained * natural.failures.sum())
        return unexplained >= many or wrong > config.max_wrong_natural * len(disagreeing.inputs)

    def _hard_inputs(self, machine: Machine, natural: Dataset) -> list[Sequence[str]]:
        """Some of the inputs on which a machine is wrong, and as many on which it is right."""
        equal, limit = natural.run(machine).equal, self.config.max_added
        rows = np.concatenate([np.flatnonzero(side)[:limit] for side in (~equal, equal)])
        return [natural.inputs[i] for i in rows.tolist()]

    def _rejected(self, state: SearchState, chosen: Hypothesis) -> tuple[RejectedHypothesis, ...]:
        """The next best hypotheses, each figure once, at the place of its lowest rank."""
        others = [h for h in state.ranked if h is not chosen]
        worst_first = [reject(h, chosen) for h in reversed(others)]
        return tuple(reversed(dict.fromkeys(worst_first)))[: self.config.max_rejected]


def query_oracle(oracle: Oracle, task: Task, inputs: Sequence[Tokens]) -> Dataset:
    """An oracle's outputs on some inputs, compared with the ground truth."""
    outputs = oracle(inputs)
    failed = [y != z for y, z in zip(outputs, task.apply_many(inputs), strict=True)]
    machine = task.machine
    return Dataset(inputs, outputs, machine.vocab, machine.arity, np.array(failed, dtype=bool))


def with_evidence(machine: Machine, dataset: Dataset) -> Machine:
    """The machine with, on each rule, how many queries it fired on and how many came out right."""
    outcome = dataset.run(machine, record=True)
    fired = [np.zeros(len(dataset.inputs), dtype=bool) for _ in machine.rules]
    for event in outcome.batch.events:
        fired[event.rule][event.view.inputs] = True
    return machine.with_rules(
        [
            replace(r, evidence=f"{int((f & outcome.equal).sum())} of {int(f.sum())} queries")
            for r, f in zip(machine.rules, fired, strict=True)
        ]
    )


def queries_and_answers(dataset: Dataset) -> list[tuple[Tokens, Tokens]]:
    """Everything that was queried, with the oracle's answer."""
    return [(list(x), list(y)) for x, y in zip(dataset.inputs, dataset.outputs, strict=True)]
