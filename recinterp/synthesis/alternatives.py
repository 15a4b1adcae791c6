"""Machines that the queries so far do not separate from the one that was chosen.

An edit's guard often has equals: other guards that fired on the same events. Where two of them
differ on some input of the domain, the oracle is queried with it, and one of them is refuted. Where
they differ only beyond the domain, both are reported, with the shortest input that separates them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from recinterp.errors import MachineError
from recinterp.machine.execution.batch import run_batch
from recinterp.machine.formats.writer import guard_text
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import Atom, Cmp
from recinterp.splits import held_out
from recinterp.stats import Rate
from recinterp.synthesis.edits.beam import Edited, apply_edit

if TYPE_CHECKING:
    from recinterp.machine.nodes import Rule
    from recinterp.synthesis.config import AlternativesConfig, SearchConfig
    from recinterp.tasks import Domain, Task

Word: TypeAlias = tuple[str, ...]
NOT_FORCED = Rate(0, 0)


@dataclass(frozen=True, kw_only=True)
class EquivalentMachine:
    """Another machine that explains the model's outputs on the domain as well as the chosen one.

    Attributes:
        machine: the other machine.
        rules: its rules whose guards differ from the chosen machine's, each as
            `name where guard`; none where it differs in how it finds the step to continue at.
        input: the shortest input found on which the two machines differ, outside the domain; empty
            where none was found.
        output: what this machine writes on that input; None where it abstains.
        chosen_output: what the chosen machine writes there; None where it abstains.
        followed: share of the forced outputs, of those that tell such machines apart, after which
            the model goes on as this machine does; 0 of 0 where none was forced.
    """

    machine: Machine
    rules: tuple[str, ...]
    input: Word
    output: Word | None
    chosen_output: Word | None
    followed: Rate = NOT_FORCED


def propose_alternatives(edited: Edited, config: SearchConfig) -> Iterator[Machine]:
    """The machines with one guard replaced by an equal of as many atoms, a few for each edit."""
    for i, candidate in enumerate(edited.chain):
        guards = [g for g in candidate.equals if len(g) == len(candidate.variant.guard)]
        for guard in _distinct_subjects(guards, config.alternatives.max_per_edit):
            changed = replace(candidate, variant=replace(candidate.variant, guard=guard))
            chain = (*edited.chain[:i], changed, *edited.chain[i + 1 :])
            assert edited.root is not None
            other = Edited(machine=edited.root, base_size=edited.base_size)
            try:
                for c in chain:
                    other = apply_edit(other, c, 0.0, config.edits)
            except MachineError:  # rules that overlap under the other guard
                continue
            yield other.machine


def _distinct_subjects(
    guards: Sequence[tuple[Atom, ...]], max_guards: int
) -> list[tuple[Atom, ...]]:
    """One guard for each thing that guards look at, in order."""
    first: dict[tuple[str, ...], tuple[Atom, ...]] = {}
    for guard in guards:
        first.setdefault(tuple(_subject(a) for a in guard), guard)
    return list(first.values())[:max_guards]


def _subject(atom: Atom) -> str:
    return f"{atom.a} {atom.op}" if isinstance(atom, Cmp) else f"{atom}"


def distinguishing_inputs(
    task: Task,
    domain: Domain,
    chosen: Machine,
    others: Sequence[Machine],
    config: AlternativesConfig,
    *,
    seed: int = 0,
) -> list[list[str]]:
    """Inputs of a domain, none held out, on which another machine differs from the chosen one."""
    if not others:
        return []
    drawn = domain.sample(task, config.sampled, seed=seed + 2, distribution="balanced")
    inputs = [list(x) for x in dict.fromkeys(map(tuple, drawn)) if not held_out(x)]
    rows = _rows_that_differ(chosen, others, inputs)
    return [inputs[i] for i in sorted(rows)][: config.max_queries]


def find_equivalent_machines(
    task: Task,
    domain: Domain,
    chosen: Machine,
    others: Sequence[Machine],
    config: AlternativesConfig,
    *,
    seed: int = 0,
) -> tuple[EquivalentMachine, ...]:
    """The machines equal to the chosen one on a domain, each with an input where they differ."""
    found: list[EquivalentMachine] = []
    inside = domain.sample(task, config.sampled, seed=seed + 3, distribution="balanced")
    longer = list(_longer_inputs(task, domain, config, seed))
    for other in others:
        if _rows_that_differ(chosen, [other], inside):
            continue
        rows = _rows_that_differ(chosen, [other], longer)
        if rows:  # otherwise it is the same function, as far as was looked
            shortest = longer[min(rows, key=lambda i: len(longer[i]))]
            found.append(_equivalent_machine(chosen, other, shortest))
    return tuple(found)


def _equivalent_machine(chosen: Machine, other: Machine, at: list[str]) -> EquivalentMachine:
    output, chosen_output = (m.run_many([at])[0] for m in (other, chosen))
    common = {_rule_text(r) for r in chosen.rules}
    return EquivalentMachine(
        machine=other,
        rules=tuple(text for r in other.rules if (text := _rule_text(r)) not in common),
        input=tuple(at),
        output=None if output is None else tuple(output),
        chosen_output=None if chosen_output is None else tuple(chosen_output),
    )


def _rule_text(rule: Rule) -> str:
    return f"{rule.name} where {guard_text(rule.guard)}"


def _longer_inputs(
    task: Task, domain: Domain, config: AlternativesConfig, seed: int
) -> Iterator[list[str]]:
    """Inputs slightly longer than those of the domain."""
    assert domain.max_length is not None
    for n in range(domain.max_length + 1, domain.max_length + 1 + config.extra_length):
        if task.count(n):
            yield from task.sample(config.sampled // config.extra_length, seed=seed, length=n)


def _rows_that_differ(
    chosen: Machine, others: Sequence[Machine], inputs: Sequence[list[str]]
) -> set[int]:
    """Rows on which some other machine writes something else."""
    max_steps = 8 * (2 + max(map(len, inputs), default=0))
    outputs = [run_batch(m, inputs, max_steps=max_steps).outputs() for m in (chosen, *others)]
    return {i for i, row in enumerate(zip(*outputs, strict=True)) if any(x != row[0] for x in row)}
