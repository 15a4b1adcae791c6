"""A machine that was considered, what it explains of the dataset, and why it lost or won."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recinterp.synthesis.edits.beam import Edited, abstention_cost, edit_size_cost

if TYPE_CHECKING:
    from recinterp.machine.machine import Machine
    from recinterp.synthesis.dataset import Dataset

ENOUGH = 0.1  # of the failures: a strategy that leaves no more of them unexplained is not left
PLENTY = 0.05  # of the failures among many inputs: where more are left, guard trees are tried too
NEARLY = 0.15  # of the failures: what leaves no more goes before what only says that it fails
PER_LEAF = 0.5  # what a leaf of a guard tree costs, in inputs


@dataclass(frozen=True)
class Hypothesis:
    """A machine that was considered: how many of the probes it explains, and why it lost."""

    machine: Machine
    strategy: str
    added: tuple[str, ...]
    equals: int
    wrong: int
    abstained: int
    queried: int
    cost: float
    edit_size: int  # nodes that its difference from the true machine of its strategy takes to say
    alternatives: tuple[Machine, ...] = ()  # machines that explain the same, by other guards
    leaves: int = 0  # of guard trees
    acting: Machine | None = (
        None  # in its strategy's direction, before rules that give up were added
    )
    lost_because: str = ""

    @property
    def rank(self) -> float:
        """Cost and size together, as the search for edits weighs them; a tree by its leaves."""
        return self.cost + (
            PER_LEAF * self.leaves if self.leaves else edit_size_cost(self.edit_size)
        )

    def enough(self, failures: int, left: float = ENOUGH) -> bool:
        """Whether no more than a share of the failures is left unexplained."""
        return self.wrong + self.abstained <= left * failures

    def tier(self, failures: int) -> int:
        """How many of the shares of failures that may be left unexplained it exceeds."""
        return sum(not self.enough(failures, left) for left in (PLENTY, ENOUGH, NEARLY))

    def __str__(self) -> str:
        claims = f"{self.wrong} wrong and {self.abstained} abstained of {self.queried}"
        return f"{self.strategy}, size {self.machine.size}: {claims}; {self.lost_because}"


def hypothesis(strategy: str, edited: Edited, base: Machine, dataset: Dataset) -> Hypothesis:
    """A machine weighed on dataset."""
    outcome = dataset.run(edited.machine)
    return Hypothesis(
        edited.machine,
        strategy,
        edited.added,
        sum(map(len, edited.equals.values())),
        int(outcome.wrong.sum()),
        int(outcome.abstained.sum()),
        len(dataset.inputs),
        float(abstention_cost(outcome).sum()),
        edited.machine.size - base.size + edited.simplicity_penalty,
        acting=edited.acting,
    )


def rejection_reason(lost: Hypothesis, chosen: Hypothesis) -> str:
    """Why one machine lost against another."""
    if lost.wrong > chosen.wrong:
        return f"{lost.wrong - chosen.wrong} more wrong claims"
    if lost.abstained > chosen.abstained:
        return f"claims {lost.abstained - chosen.abstained} inputs fewer"
    if lost.wrong < chosen.wrong:
        more, size = chosen.wrong - lost.wrong, lost.machine.size
        return (
            f"{more} fewer wrong claims, too few for size {size} instead of {chosen.machine.size}"
        )
    if lost.machine.size > chosen.machine.size:
        return f"explains no more and is larger than {chosen.machine.size}"
    return "explains no more"


def rescore(known: Hypothesis, dataset: Dataset) -> Hypothesis:
    """The same machine, weighed on other dataset."""
    outcome = dataset.run(known.machine)
    return replace(
        known,
        wrong=int(outcome.wrong.sum()),
        abstained=int(outcome.abstained.sum()),
        queried=len(dataset.inputs),
        cost=float(abstention_cost(outcome).sum()),
    )
