"""A machine that was considered, what it explains of the dataset, and why it was rejected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from recinterp.synthesis.edits.beam import Edited, abstention_cost, edit_size_cost
from recinterp.synthesis.state_merging.views import Reading

if TYPE_CHECKING:
    from recinterp.machine.machine import Machine
    from recinterp.synthesis.config import SearchConfig
    from recinterp.synthesis.dataset import Dataset
    from recinterp.synthesis.guard_trees import FittedTrees


class StrategyKind(StrEnum):
    """The three ways in which a machine is searched for."""

    EDITS = "edits"
    GUARD_TREES = "guard-trees"
    STATE_MERGING = "state-merging"


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """How a machine was found.

    Attributes:
        kind: the search strategy.
        from_right: whether the true machine of the reversed words was changed.
        on_edited: whether guard trees were fitted to an edited machine.
        reading: of a merged machine: how it reads the input; otherwise None.
        states: of a merged machine: its control states; otherwise None.
    """

    kind: StrategyKind
    from_right: bool = False
    on_edited: bool = False
    reading: Reading | None = None
    states: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A machine that was considered, and how much of the dataset it explains.

    Attributes:
        machine: the machine, for inputs in the task's own order.
        strategy: how it was found.
        wrong: inputs on which it claims something that the model does not do.
        abstained: inputs on which it makes no full claim, and no wrong one.
        queried: inputs of the dataset.
        cost: what those inputs cost in all, in inputs.
        edit_size: nodes that it takes to describe how it differs from the true machine.
        added: names of the rules that an edit added.
        alternatives: machines that explain the dataset as well, by other guards.
        leaves: of guard trees; 0 without.
        acting: the edited machine in its reading direction, before rules that abstain were added.
    """

    machine: Machine
    strategy: Strategy
    wrong: int
    abstained: int
    queried: int
    cost: float
    edit_size: int
    added: tuple[str, ...] = ()
    alternatives: tuple[Machine, ...] = ()
    leaves: int = 0
    acting: Machine | None = None

    def rank(self, config: SearchConfig) -> float:
        """Cost and size together, in inputs; the smaller is better."""
        if self.leaves:
            return self.cost + config.trees.leaf_cost * self.leaves
        return self.cost + edit_size_cost(self.edit_size, config.edits)

    def explains(self, failures: int, max_unexplained: float) -> bool:
        """Whether no more than a share of the failures is left unexplained."""
        return self.wrong + self.abstained <= max_unexplained * failures

    def tier(self, failures: int, config: SearchConfig) -> int:
        """How many of the configured shares of unexplained failures it exceeds."""
        return sum(not self.explains(failures, share) for share in config.unexplained_tiers)


def score_edit(
    strategy: Strategy, edited: Edited, base: Machine, dataset: Dataset, config: SearchConfig
) -> Hypothesis:
    """An edited machine as a hypothesis; `base` is the machine before the edit."""
    outcome = dataset.run(edited.machine)
    return Hypothesis(
        machine=edited.machine,
        strategy=strategy,
        wrong=int(outcome.wrong.sum()),
        abstained=int(outcome.abstained.sum()),
        queried=len(dataset.inputs),
        cost=float(abstention_cost(outcome, config).sum()),
        edit_size=edited.machine.size - base.size + edited.simplicity_penalty,
        added=edited.added,
        acting=edited.acting,
    )


def score_tree(
    strategy: Strategy,
    machine: Machine,
    tree: FittedTrees,
    truth: Machine,
    dataset: Dataset,
    config: SearchConfig,
) -> Hypothesis:
    """A machine with guard trees as a hypothesis, by what validation says of each input.

    A claim counts as right only where trees fitted without the input make it: otherwise a table of
    inputs would explain everything.
    """
    outcome = dataset.run(machine)
    abstains = outcome.abstained & ~outcome.wrong
    wrong = ~abstains & ~tree.explained
    price = np.where(outcome.failures_flagged, config.flagged_failure_cost, config.abstention_cost)
    return Hypothesis(
        machine=machine,
        strategy=strategy,
        wrong=int(wrong.sum()),
        abstained=int(abstains.sum()),
        queried=len(dataset.inputs),
        cost=float((wrong + price * abstains).sum()),
        edit_size=machine.size - truth.size,
        leaves=tree.leaves,
    )


def rescore(known: Hypothesis, dataset: Dataset, config: SearchConfig) -> Hypothesis:
    """A hypothesis, scored on another dataset."""
    outcome = dataset.run(known.machine)
    return replace(
        known,
        wrong=int(outcome.wrong.sum()),
        abstained=int(outcome.abstained.sum()),
        queried=len(dataset.inputs),
        cost=float(abstention_cost(outcome, config).sum()),
    )


def rank_hypotheses(
    found: Iterable[Hypothesis], dataset: Dataset, config: SearchConfig
) -> tuple[Hypothesis, ...]:
    """The best first: those that explain more tiers of failures, then by cost and size."""
    failures = int(dataset.failures.sum())
    return tuple(sorted(found, key=lambda h: (h.tier(failures, config), h.rank(config))))


class RejectionReason(StrEnum):
    """Why a hypothesis was rejected in favour of the chosen one."""

    MORE_WRONG = "more-wrong"
    MORE_ABSTENTIONS = "more-abstentions"
    TOO_LARGE = "too-large"
    LARGER = "larger"
    NO_BETTER = "no-better"


@dataclass(frozen=True, kw_only=True)
class RejectedHypothesis:
    """A machine that the search considered and did not choose, in figures.

    Attributes:
        strategy: how it was found.
        size: its size, in nodes.
        wrong: inputs on which it claims something that the model does not do.
        abstained: inputs on which it makes no full claim, and no wrong one.
        queried: inputs of the dataset.
        reason: why it was rejected.
        difference: the inputs that `reason` speaks of: how many more or fewer wrong claims, or more
            abstentions, than the chosen machine has; 0 where both are equal.
        chosen_size: size of the chosen machine, in nodes.
    """

    strategy: Strategy
    size: int
    wrong: int
    abstained: int
    queried: int
    reason: RejectionReason
    difference: int
    chosen_size: int


def reject(rejected: Hypothesis, chosen: Hypothesis) -> RejectedHypothesis:
    """Why one machine was rejected in favour of another, and in which figures they differ."""
    reason, difference = _compare(rejected, chosen)
    return RejectedHypothesis(
        strategy=rejected.strategy,
        size=rejected.machine.size,
        wrong=rejected.wrong,
        abstained=rejected.abstained,
        queried=rejected.queried,
        reason=reason,
        difference=difference,
        chosen_size=chosen.machine.size,
    )


def _compare(rejected: Hypothesis, chosen: Hypothesis) -> tuple[RejectionReason, int]:
    if rejected.wrong > chosen.wrong:
        return RejectionReason.MORE_WRONG, rejected.wrong - chosen.wrong
    if rejected.abstained > chosen.abstained:
        return RejectionReason.MORE_ABSTENTIONS, rejected.abstained - chosen.abstained
    if rejected.wrong < chosen.wrong:
        return RejectionReason.TOO_LARGE, chosen.wrong - rejected.wrong
    if rejected.machine.size > chosen.machine.size:
        return RejectionReason.LARGER, 0
    return RejectionReason.NO_BETTER, 0
