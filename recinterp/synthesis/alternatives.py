"""Machines that nothing asked so far tells from the one that was chosen.

An edit's guard often has equals: other guards that fired on the same events. Where two of them
part on some input of the domain, the oracle is asked about it, and one falls. Where they part only
beyond the domain, both are kept, with the shortest input found that would tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recinterp.errors import MachineError
from recinterp.machine.execution.batch import run_batch
from recinterp.machine.formats.writer import guard_text
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import Atom, Cmp
from recinterp.splits import held_out
from recinterp.synthesis.edits.beam import Edited, edited_by

if TYPE_CHECKING:
    from recinterp.machine.nodes import Rule
    from recinterp.tasks import Domain, Task

EQUALS = 6  # rivals kept for each edit
LONGER = 4  # tokens beyond the domain that are looked at
DRAWN, ASKED = 1_500, 40  # inputs looked at, and asked about, where rivals part

Words = tuple[str, ...]


@dataclass(frozen=True)
class EquivalentMachine:
    """Another machine that explains all that was seen, and where it would part from the chosen.

    rules: where its guards are others; input: the shortest found, longer than the domain's; says,
    chosen: what this machine and the chosen one write there, None where they abstain.
    """

    machine: Machine
    rules: tuple[str, ...]
    input: Words
    says: Words | None
    chosen: Words | None

    def __str__(self) -> str:
        said = ["nothing" if x is None else " ".join(x) or "ε" for x in (self.says, self.chosen)]
        return (
            f"{'; '.join(self.rules)}: the same on this domain; on {' '.join(self.input)}"
            f" it would write {said[0]} instead of {said[1]}"
        )


def alternatives(edited: Edited) -> Iterator[Machine]:
    """The machines with one guard replaced by an equal of as many atoms, a few for each."""
    for i, candidate in enumerate(edited.chain):
        same = [g for g in candidate.equals if len(g) == len(candidate.variant.guard)]
        for other in _unlike(same):
            changed = replace(candidate, variant=replace(candidate.variant, guard=other))
            chain = (*edited.chain[:i], changed, *edited.chain[i + 1 :])
            assert edited.root is not None
            grown = Edited(edited.root, (), {}, 0.0, edited.base)
            try:
                for c in chain:
                    grown = edited_by(grown, c, 0.0)
            except MachineError:  # rules that overlap under the other guard
                continue
            yield grown.machine


def _unlike(guards: Sequence[tuple[Atom, ...]]) -> list[tuple[Atom, ...]]:
    """One guard for each thing that is looked at, in order."""
    seen: dict[tuple[str, ...], tuple[Atom, ...]] = {}
    for one in guards:
        seen.setdefault(tuple(_subject(a) for a in one), one)
    return list(seen.values())[:EQUALS]


def _subject(atom: Atom) -> str:
    return f"{atom.a} {atom.op}" if isinstance(atom, Cmp) else f"{atom}"


def distinguishing_inputs(
    task: Task, domain: Domain, chosen: Machine, others: Sequence[Machine], *, seed: int = 0
) -> list[list[str]]:
    """Inputs of a domain, none held out, on which a rival parts from the chosen machine."""
    if not others:
        return []
    drawn = domain.sample(task, DRAWN, seed=seed + 2, distribution="balanced")
    inputs = [list(x) for x in dict.fromkeys(map(tuple, drawn)) if not held_out(x)]
    rows = _rows_that_differ(chosen, others, inputs)
    return [inputs[i] for i in sorted(rows)][:ASKED]


def find_equivalent_machines(
    task: Task, domain: Domain, chosen: Machine, others: Sequence[Machine], *, seed: int = 0
) -> tuple[EquivalentMachine, ...]:
    """The machines equal to the chosen one on a domain, each with where it would part."""
    found: list[EquivalentMachine] = []
    inside = domain.sample(task, DRAWN, seed=seed + 3, distribution="balanced")
    longer = list(_longer(task, domain, seed))
    for other in others:
        if _rows_that_differ(chosen, [other], inside):
            continue
        rows = _rows_that_differ(chosen, [other], longer)
        if not rows:  # the same function, as far as anybody can see
            continue
        at = longer[min(rows, key=lambda i: len(longer[i]))]
        said = [m.run_many([at])[0] for m in (other, chosen)]
        kept = set(map(_told, chosen.rules))
        rules = tuple(t for r in other.rules if (t := _told(r)) not in kept)
        found.append(
            EquivalentMachine(
                other, rules, tuple(at), *(None if s is None else tuple(s) for s in said)
            )
        )
    return tuple(found)


def _told(rule: Rule) -> str:
    return f"{rule.name} where {guard_text(rule.guard)}"


def _longer(task: Task, domain: Domain, seed: int) -> Iterator[list[str]]:
    assert domain.max_length is not None
    for n in range(domain.max_length + 1, domain.max_length + 1 + LONGER):
        if task.count(n):
            yield from task.sample(DRAWN // LONGER, seed=seed, length=n)


def _rows_that_differ(
    chosen: Machine, others: Sequence[Machine], inputs: Sequence[list[str]]
) -> set[int]:
    """Rows on which some other machine says something else."""
    most = 8 * (2 + max(map(len, inputs), default=0))
    said = [run_batch(m, inputs, max_steps=most).outputs() for m in (chosen, *others)]
    return {i for i, row in enumerate(zip(*said, strict=True)) if any(x != row[0] for x in row)}
