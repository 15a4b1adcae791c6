"""Road one: the smallest edits of the true machine that explain what was seen.

A round runs the machine on the dataset, finds the event that wrote each first wrong token, and asks
per rule: what was written there instead (an action), and which guard tells those events from the
ones where the rule was right? Each answer is an edited machine; it is scored in closed loop, by
whole outputs; a beam of the best goes into the next round. A rule may also give up (`Lost`) where
the form is unknown. Every round costs runs of a vectorised machine, and no run of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from recinterp.synthesis.dataset import Dataset, Outcome
from recinterp.synthesis.edits.proposals import (
    FLAGGED_FAILURE_COST,
    Candidate,
    candidates,
    omissions,
)
from recinterp.synthesis.edits.truncate import CUT, truncate_outputs

if TYPE_CHECKING:
    from recinterp.machine import Machine

BEAM = 3
ROUNDS = 4
SUPPORT = 3  # an edit explains about so many inputs at least, or it is a table entry
MINOR = 0.02  # and at least so large a share of what is not explained yet
ABSTENTION_COST = 0.35  # what an input costs that the machine makes no full claim about (wrong: 1)
PER_NODE = 0.05  # what a node that an edit adds costs, in inputs
FIXED = 3  # nodes that it takes more to read a fixed place
READABLE = 70  # nodes that may be added at that price; beyond, each costs
PER_NODE_BEYOND = 0.2
LATER = 0.5  # how much a late first difference is better than an early one
TRIED = 500  # candidates run per round, the most promising
SAMPLE = 240  # inputs in the first, quick scoring
CHUNK = 60_000  # runs held in memory at once
LIMIT = 2_000  # steps of an edited machine: it may stand still, and write without an end


@dataclass(frozen=True)
class Edited:
    """A machine on the beam, the rules added to the true one, their equals, and its cost."""

    machine: Machine
    added: tuple[str, ...]
    equals: Mapping[str, tuple[tuple[Atom, ...], ...]]
    cost: float
    base: int  # size of the machine that was edited
    root: Machine | None = None  # before the first edit of the chain
    acting: Machine | None = None  # before rules that give up were added
    chain: tuple[Candidate, ...] = ()
    simplicity_penalty: int = (
        0  # nodes that the added rules save by doing less than those they part from
    )

    @property
    def edit_size(self) -> int:
        """What it takes to say how this differs from the machine that was edited, in nodes."""
        return self.machine.size - self.base + self.simplicity_penalty

    @property
    def rank(self) -> float:
        """Cost and size together: a rule that is added has to explain more than it takes to say."""
        return self.cost + edit_size_cost(self.edit_size)


Costs: TypeAlias = "Callable[[Outcome], Float[np.ndarray, 'rows']]"


def edit_size_cost(added: int) -> float:
    """What added nodes cost, in inputs: little for a readable edit, more for a table."""
    return PER_NODE * min(added, READABLE) + PER_NODE_BEYOND * max(added - READABLE, 0)


def progress_cost(outcome: Outcome) -> Float[np.ndarray, "rows"]:
    """1 for an input that is not explained, less where the first difference comes late."""
    return np.where(outcome.equal, 0.0, 1.0 - LATER * outcome.progress)


def abstention_cost(outcome: Outcome) -> Float[np.ndarray, "rows"]:
    """1 for a wrong claim, a little for none, less for telling a failure without its form."""
    silent = outcome.abstained & ~outcome.wrong
    return (
        outcome.wrong
        + np.where(outcome.failures_flagged, FLAGGED_FAILURE_COST, ABSTENTION_COST) * silent
    )


def search_edits(machine: Machine, dataset: Dataset) -> list[Edited]:
    """The best edits of a machine, by wrong claims and size, and the machine itself.

    First edits that change what is done, by a beam; then, greedily, rules that give up.
    """
    found = _beam(machine, dataset)[:BEAM]
    start = Edited(machine, (), {}, 0.0, machine.size)
    claims = [
        replace(e, cost=_total(abstention_cost, dataset.run(e.machine)), acting=e.machine)
        for e in (*found, start)
    ]
    return _distinct([*(_add_abstentions(e, dataset) for e in claims), claims[-1]])


def _total(cost: Costs, outcome: Outcome) -> float:
    return float(cost(outcome).sum())


def _beam(machine: Machine, dataset: Dataset) -> list[Edited]:
    beam = _distinct(list(_starts(machine, dataset)))
    best = beam
    for _ in range(ROUNDS):
        grown = [
            e for parent in beam for e in grow(parent, dataset, progress_cost, allow_actions=True)
        ]
        beam = list(islice(_distinct_behaviours(_distinct(grown), dataset), BEAM))
        if not beam or beam[0].rank >= best[0].rank:
            break
        best = _distinct([*best, *beam])
        if best[0].cost == 0:
            break
    return best


def _starts(machine: Machine, dataset: Dataset) -> Iterator[Edited]:
    """The machine and, where no output is longer than some it writes, the machine cut there."""
    outcome, longest = dataset.run(machine), int(dataset.size.max(initial=0))
    start = Edited(machine, (), {}, _total(progress_cost, outcome), machine.size)
    yield start
    if 0 < longest < outcome.batch.t.max(initial=0):
        shorter = truncate_outputs(machine, longest)
        added = tuple(r.name for r in shorter.rules if CUT in r.name)
        cost = _total(progress_cost, dataset.run(shorter))
        if cost <= start.cost - SUPPORT * (1 - ABSTENTION_COST):
            yield Edited(shorter, added, {}, cost, machine.size)


def _add_abstentions(edited: Edited, dataset: Dataset) -> Edited:
    for _ in range(ROUNDS):
        grown = grow(edited, dataset, abstention_cost, allow_actions=False)
        if not grown or min(e.rank for e in grown) >= edited.rank:
            break
        edited = min(grown, key=lambda e: e.rank)
    return edited


def _distinct(found: Sequence[Edited]) -> list[Edited]:
    kept = dict[str, Edited]()
    for edited in sorted(found, key=lambda e: e.rank):
        kept.setdefault(str(edited.machine), edited)
    return list(kept.values())


def _distinct_behaviours(found: Sequence[Edited], dataset: Dataset) -> Iterator[Edited]:
    """Of machines that write the same on all dataset, the first: what grows on one grows on all."""
    seen = set[bytes]()
    for edited in found:
        batch = dataset.run(edited.machine).batch
        said = batch.t.tobytes() + batch.status.tobytes() + batch.out.tobytes()
        if said not in seen:
            seen.add(said)
            yield edited


def grow(parent: Edited, dataset: Dataset, cost: Costs, *, allow_actions: bool) -> list[Edited]:
    """The best one-edit children: all scored on a sample, the best of those on everything.

    allow_actions: edits that do something else; otherwise edits that give up.
    """
    outcome = dataset.run(parent.machine, record=True)
    options = [*candidates(parent.machine, outcome, allow_actions=allow_actions)]
    if allow_actions and parent.machine.frames:
        options += omissions(parent.machine, outcome)
    best = dict[Variant, Candidate]()
    for candidate in sorted(options, key=lambda c: -c.upper_bound_gain):
        best.setdefault(candidate.variant, candidate)
    tried = list(best.values())[:TRIED]
    here, sample = cost(outcome), _sample(outcome)
    few = _gains(parent.machine, tried, dataset, sample, cost, here)
    few -= [PER_NODE * c.nodes for c in tried] * (few > 0)
    chosen = [tried[i] for i in np.argsort(-few, kind="stable")[: 6 * BEAM] if few[i] > 0]
    everything = np.arange(len(dataset.inputs))
    full = parent.cost - _gains(parent.machine, chosen, dataset, everything, cost, here)
    least = parent.cost - max(
        SUPPORT * (1 - ABSTENTION_COST), MINOR * float((~outcome.equal).sum())
    )
    found = [
        edited_by(parent, c, v) for c, v in zip(chosen, full.tolist(), strict=True) if v <= least
    ]
    return sorted(found, key=lambda e: e.rank)[: 2 * BEAM]


def _gains(
    machine: Machine,
    candidates: Sequence[Candidate],
    dataset: Dataset,
    rows: Ints,
    cost: Costs,
    here: Float[np.ndarray, "rows"],
) -> Float[np.ndarray, "candidates"]:
    """How much less each candidate costs on some rows than the machine it edits (`here`)."""
    among = np.zeros(len(dataset.inputs), dtype=bool)
    among[rows] = True
    touched = [c.touched[among[c.touched]] for c in candidates]
    gains = np.zeros(len(candidates))
    for part in _chunks([len(t) for t in touched]):
        variants, mine = [candidates[i].variant for i in part], [touched[i] for i in part]
        ran = cost(dataset.run_variants(machine, mine, variants))
        owner = np.repeat(part, [len(t) for t in mine])
        gains -= np.bincount(owner, weights=ran, minlength=len(gains))
        gains += np.bincount(owner, weights=here[np.concatenate(mine)], minlength=len(gains))
    return gains.round(9)  # equal gains are equal, in whatever order they were added up


def _chunks(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of candidates, so many at a time as their runs fit in memory together."""
    part, held = list[int](), 0
    for i, size in enumerate(sizes):
        if part and held + size > CHUNK:
            yield part
            part, held = [], 0
        part.append(i)
        held += size
    if part:
        yield part


def _sample(outcome: Outcome) -> Ints:
    failing, rest = np.flatnonzero(~outcome.equal), np.flatnonzero(outcome.equal)
    return np.concatenate([part[:: 1 + len(part) // (SAMPLE // 2)] for part in (failing, rest)])


def edited_by(parent: Edited, candidate: Candidate, cost: float) -> Edited:
    """The parent with one rule split in two: as before, and otherwise under the guard."""
    machine, variant = parent.machine, candidate.variant
    rule, taken = machine.rules[variant.rule], {r.name for r in machine.rules}
    base = rule.name.split(".")[0]
    name = next(f"{base}.{i}" for i in range(1, 99) if f"{base}.{i}" not in taken)
    kept = [
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
    rules = [r for old in machine.rules for r in ([*kept, new] if old is rule else [old])]
    equals = {**parent.equals, name: candidate.equals}
    root, chain = parent.root or machine, (*parent.chain, candidate)
    added = (*parent.added, name)
    edited = replace(machine, rules=tuple(rules), limit=min(machine.limit, LIMIT))
    return Edited(
        edited, added, equals, cost, parent.base, root, parent.acting, chain,
        parent.simplicity_penalty + simplicity_penalty(rule, new),
    )  # fmt: skip


def simplicity_penalty(rule: Rule, new: Rule) -> int:
    """What an edited rule saves by doing less than the rule it was, and by reading fixed places.

    To stop, to write nothing or to read the fourth token takes fewer nodes than to go on, to write
    a token or to read the one before the pointer; where inputs are too short to tell, the latter
    is more likely the same rule.
    """
    if new.lost is not None:
        return 0
    fixed = sum(isinstance(x, Copy) and isinstance(x.at, Const) for x in new.word)
    silent = bool(rule.word) and not new.word
    less = [u for u in rule.updates if (silent if isinstance(u, Emit) else u not in new.updates)]
    return (rule.goto != new.goto) + silent + sum(map(_nodes, less)) + FIXED * fixed


def _nodes(update: Update) -> int:
    return sum(isinstance(x, Expr) for x in walk(update))
