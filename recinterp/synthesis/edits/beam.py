"""Search strategy one: the smallest edits of the true machine that explain what was seen.

A round runs the machine on the dataset, finds the event that wrote each first wrong token, and asks
per rule: what was written there instead (an action), and which guard separates those events from
the ones where the rule was right? Each answer is an edited machine; it is scored in closed loop, by
whole outputs; a beam of the best goes into the next round. A rule may also abstain (`Lost`) where
the form is unknown. Every round costs runs of a vectorised machine, and no run of the model.

What an edit costs follows the minimum description length principle: a rule that is added has to
explain more inputs than it takes nodes to write down.

References:
    J. Rissanen, Modeling by shortest data description (1978), for the trade of size against errors.
    B. Lowerre, The Harpy speech recognition system (1976), for beam search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Float

from recinterp.machine.execution.batch import Ints, Variant
from recinterp.machine.nodes import (
    Atom,
    Const,
    Copy,
    Emit,
    Expr,
    Rule,
    Update,
    walk,
)
from recinterp.machine.validate import negate_atom, simplify_guard
from recinterp.synthesis.edits.proposals import (
    Candidate,
    propose_abstentions,
    propose_edits,
    propose_omissions,
)
from recinterp.synthesis.edits.truncate import added_rules, truncate_outputs

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.synthesis.config import EditConfig, SearchConfig
    from recinterp.synthesis.dataset import Dataset, Outcome


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A machine on the beam, and how it came from the machine that was edited.

    Attributes:
        machine: the edited machine.
        base_size: size, in nodes, of the machine before the first edit.
        added: names of the rules that were added.
        equals: for each of those, guards that fire on the same events.
        cost: what the dataset's inputs cost in all, in inputs.
        root: the machine before the first edit; None if there was none.
        acting: the machine before rules that abstain were added.
        chain: the edits, in order.
        simplicity_penalty: nodes that added rules save by doing less than the rules they split.
    """

    machine: Machine
    base_size: int
    added: tuple[str, ...] = ()
    equals: Mapping[str, tuple[tuple[Atom, ...], ...]] = field(default_factory=dict)
    cost: float = 0.0
    root: Machine | None = None
    acting: Machine | None = None
    chain: tuple[Candidate, ...] = ()
    simplicity_penalty: int = 0

    @property
    def edit_size(self) -> int:
        """Nodes that it takes to describe how this differs from the machine that was edited."""
        return self.machine.size - self.base_size + self.simplicity_penalty

    def rank(self, config: EditConfig) -> float:
        """Cost and size together: a rule that is added has to explain more than its nodes cost."""
        return self.cost + edit_size_cost(self.edit_size, config)


InputCosts: TypeAlias = "Callable[[Outcome], Float[np.ndarray, 'rows']]"


def edit_size_cost(nodes: int, config: EditConfig) -> float:
    """What added nodes cost, in inputs: little for a readable edit, more for a table."""
    beyond = max(nodes - config.readable_size, 0)
    readable = min(nodes, config.readable_size)
    return config.node_cost * readable + config.excess_node_cost * beyond


def abstention_cost(outcome: Outcome, config: SearchConfig) -> Float[np.ndarray, "rows"]:
    """1 for a wrong claim, a little for none, less for flagging a failure without its form."""
    abstains = outcome.abstained & ~outcome.wrong
    cost = np.where(outcome.failures_flagged, config.flagged_failure_cost, config.abstention_cost)
    return outcome.wrong + cost * abstains


def search_edits(machine: Machine, dataset: Dataset, config: SearchConfig) -> list[Edited]:
    """The best edits of a machine, by wrong claims and size, and the machine itself.

    Edits that change what is done are found first, by a beam; then, greedily, rules that abstain.

    Args:
        machine: the machine to edit.
        dataset: what it should explain, in the machine's reading direction.
        config: the thresholds of the search.
    """
    return _EditSearch(dataset, config).best_edits(machine)


@dataclass(frozen=True)
class _EditSearch:
    """The search for edits that explain one dataset."""

    dataset: Dataset
    config: SearchConfig

    def best_edits(self, machine: Machine) -> list[Edited]:
        """Edited machines, the best first, with rules that abstain added where that helps."""
        found = self._beam(machine)[: self.config.edits.beam_width]
        start = Edited(machine=machine, base_size=machine.size)
        claims = [
            replace(e, cost=self._total(self.abstention_cost, e.machine), acting=e.machine)
            for e in (*found, start)
        ]
        return self._distinct([*(self._add_abstentions(e) for e in claims), claims[-1]])

    def progress_cost(self, outcome: Outcome) -> Float[np.ndarray, "rows"]:
        """1 for an input that is not explained, less where the first difference comes late."""
        discount = self.config.edits.late_difference_discount
        return np.where(outcome.equal, 0.0, 1.0 - discount * outcome.progress)

    def abstention_cost(self, outcome: Outcome) -> Float[np.ndarray, "rows"]:
        """The cost of `abstention_cost`, in this configuration."""
        return abstention_cost(outcome, self.config)

    def _total(self, costs: InputCosts, machine: Machine) -> float:
        return float(costs(self.dataset.run(machine)).sum())

    def _beam(self, machine: Machine) -> list[Edited]:
        config = self.config.edits
        beam = self._distinct(list(self._starts(machine)))
        best = beam
        for _ in range(config.max_rounds):
            children = [c for parent in beam for c in self._children(parent)]
            beam = list(islice(self._distinct_behaviours(children), config.beam_width))
            if not beam or beam[0].rank(config) >= best[0].rank(config):
                break
            best = self._distinct([*best, *beam])
            if best[0].cost == 0:
                break
        return best

    def _children(self, parent: Edited) -> list[Edited]:
        """Edits that do something else."""
        outcome = self.dataset.run(parent.machine, record=True)
        options = list(propose_edits(parent.machine, outcome, self.config))
        if parent.machine.frames:
            options += propose_omissions(parent.machine, outcome, self.config)
        return self._best_children(parent, outcome, options, self.progress_cost)

    def _add_abstentions(self, edited: Edited) -> Edited:
        """Add rules that abstain, one after the other, while each is worth its size."""
        config = self.config.edits
        for _ in range(config.max_rounds):
            outcome = self.dataset.run(edited.machine, record=True)
            options = list(propose_abstentions(edited.machine, outcome, self.config))
            children = self._best_children(edited, outcome, options, self.abstention_cost)
            best = min(children, key=lambda e: e.rank(config), default=None)
            if best is None or best.rank(config) >= edited.rank(config):
                break
            edited = best
        return edited

    def _starts(self, machine: Machine) -> Iterator[Edited]:
        """The machine and, where it writes more than any output has, the machine truncated."""
        outcome = self.dataset.run(machine)
        longest = int(self.dataset.output_lengths.max(initial=0))
        cost = float(self.progress_cost(outcome).sum())
        yield Edited(machine=machine, base_size=machine.size, cost=cost)
        if 0 < longest < outcome.batch.t.max(initial=0):
            shorter = truncate_outputs(machine, longest)
            less = self._total(self.progress_cost, shorter)
            if less <= cost - self._min_gain:
                added = added_rules(shorter)
                yield Edited(machine=shorter, base_size=machine.size, added=added, cost=less)

    @property
    def _min_gain(self) -> float:
        """What an edit with the least support gains: failures that would cost an abstention."""
        return self.config.edits.min_support * (1 - self.config.abstention_cost)

    def _distinct(self, found: Sequence[Edited]) -> list[Edited]:
        """The best of each machine, best first."""
        first = dict[str, Edited]()
        for edited in sorted(found, key=lambda e: e.rank(self.config.edits)):
            first.setdefault(str(edited.machine), edited)
        return list(first.values())

    def _distinct_behaviours(self, found: Sequence[Edited]) -> Iterator[Edited]:
        """Of machines that write the same on the dataset the best: one edit mends them all."""
        seen = set[bytes]()
        for edited in self._distinct(found):
            batch = self.dataset.run(edited.machine).batch
            behaviour = batch.t.tobytes() + batch.status.tobytes() + batch.out.tobytes()
            if behaviour not in seen:
                seen.add(behaviour)
                yield edited

    def _best_children(
        self, parent: Edited, outcome: Outcome, options: Sequence[Candidate], costs: InputCosts
    ) -> list[Edited]:
        """The best one-edit children: all scored on a sample, the best of those on everything."""
        config = self.config.edits
        candidates = _promising_first(options, config)
        here = costs(outcome)
        gains = self._gains(parent, candidates, self._sample(outcome), costs, here)
        gains -= [config.node_cost * c.nodes for c in candidates] * (gains > 0)
        order = np.argsort(-gains, kind="stable")[: config.max_fully_scored]
        chosen = [candidates[i] for i in order if gains[i] > 0]
        everything = np.arange(len(self.dataset.inputs))
        cost = parent.cost - self._gains(parent, chosen, everything, costs, here)
        unexplained = float((~outcome.equal).sum())
        max_cost = parent.cost - max(self._min_gain, config.min_support_share * unexplained)
        found = [
            apply_edit(parent, c, total, config)
            for c, total in zip(chosen, cost.tolist(), strict=True)
            if total <= max_cost
        ]
        return sorted(found, key=lambda e: e.rank(config))[: config.max_children]

    def _gains(
        self,
        parent: Edited,
        candidates: Sequence[Candidate],
        rows: Ints,
        costs: InputCosts,
        here: Float[np.ndarray, "rows"],
    ) -> Float[np.ndarray, "candidates"]:
        """How much less each candidate costs on some rows than its parent, which costs `here`."""
        among = np.zeros(len(self.dataset.inputs), dtype=bool)
        among[rows] = True
        touched = [c.touched[among[c.touched]] for c in candidates]
        gains = np.zeros(len(candidates))
        sizes = [len(t) for t in touched]
        for part in _parts(sizes, self.config.edits.max_runs_in_memory):
            variants, mine = [candidates[i].variant for i in part], [touched[i] for i in part]
            ran = costs(self.dataset.run_variants(parent.machine, mine, variants))
            owner = np.repeat(part, [len(t) for t in mine])
            gains -= np.bincount(owner, weights=ran, minlength=len(gains))
            gains += np.bincount(owner, weights=here[np.concatenate(mine)], minlength=len(gains))
        return gains.round(9)  # equal gains are equal, in whatever order they were added up

    def _sample(self, outcome: Outcome) -> Ints:
        """Evenly spaced rows, as many failing ones as others where there are enough."""
        failing, rest = np.flatnonzero(~outcome.equal), np.flatnonzero(outcome.equal)
        each = self.config.edits.sample_size // 2
        return np.concatenate([part[:: 1 + len(part) // each] for part in (failing, rest)])


def _promising_first(options: Sequence[Candidate], config: EditConfig) -> list[Candidate]:
    """The candidates with the greatest bound on their gain, each variant once."""
    best = dict[Variant, Candidate]()
    for candidate in sorted(options, key=lambda c: -c.upper_bound_gain):
        best.setdefault(candidate.variant, candidate)
    return list(best.values())[: config.max_candidates]


def _parts(sizes: Sequence[int], max_size: int) -> Iterator[list[int]]:
    """Numbers of candidates, so many at a time as their runs fit in memory together."""
    part, total = list[int](), 0
    for i, size in enumerate(sizes):
        if part and total + size > max_size:
            yield part
            part, total = [], 0
        part.append(i)
        total += size
    if part:
        yield part


def apply_edit(parent: Edited, candidate: Candidate, cost: float, config: EditConfig) -> Edited:
    """The parent with one rule split in two: as before, and otherwise under the guard.

    Raises:
        MachineError: if two rules of the edited machine could fire at once.
    """
    machine, variant = parent.machine, candidate.variant
    rule, taken = machine.rules[variant.rule], {r.name for r in machine.rules}
    base = rule.name.split(".")[0]
    name = next(f"{base}.{i}" for i in range(1, 99) if f"{base}.{i}" not in taken)
    unchanged = [
        replace(
            rule,
            name=rule.name if i == 0 else f"{name}-else{i}",
            guard=simplify_guard(
                (*rule.guard, *variant.guard[:i], negate_atom(atom, machine.vocab))
            ),
        )
        for i, atom in enumerate(variant.guard)
    ]
    guard = simplify_guard((*rule.guard, *variant.guard))
    new = Rule(name, rule.mode, guard, variant.updates, variant.goto, rule.origin)
    rules = [r for old in machine.rules for r in ([*unchanged, new] if old is rule else [old])]
    limit = min(machine.limit, config.max_steps)
    return replace(
        parent,
        machine=replace(machine, rules=tuple(rules), limit=limit),
        added=(*parent.added, name),
        equals={**parent.equals, name: candidate.equals},
        cost=cost,
        root=parent.root or machine,
        chain=(*parent.chain, candidate),
        simplicity_penalty=parent.simplicity_penalty + simplicity_penalty(rule, new, config),
    )


def simplicity_penalty(rule: Rule, new: Rule, config: EditConfig) -> int:
    """Nodes that an edited rule saves by doing less than the rule it was, or by fixed places.

    To stop, to write nothing or to read the fourth token takes fewer nodes than to go on, to write
    a token or to read the one before the pointer; where inputs are too short to separate the two,
    the latter is more likely the same rule.
    """
    if new.lost is not None:
        return 0
    fixed = sum(isinstance(x, Copy) and isinstance(x.at, Const) for x in new.word)
    silent = bool(rule.word) and not new.word
    less = [u for u in rule.updates if (silent if isinstance(u, Emit) else u not in new.updates)]
    fixed_nodes = config.fixed_place_penalty * fixed
    return (rule.goto != new.goto) + silent + sum(map(_nodes, less)) + fixed_nodes


def _nodes(update: Update) -> int:
    return sum(isinstance(x, Expr) for x in walk(update))
