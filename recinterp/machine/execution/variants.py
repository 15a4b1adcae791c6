"""Many variants of one machine at once: each splits one rule in two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from recinterp.machine.nodes import Atom, Rule, Update

if TYPE_CHECKING:
    from recinterp.machine.execution.batch import EventView, Ints, MachineBatch
    from recinterp.machine.machine import Machine

Known = TypeVar("Known")


@dataclass(frozen=True)
class Variant:
    """A machine with one rule split in two: under `guard`, it does something else."""

    rule: int
    guard: tuple[Atom, ...]
    updates: tuple[Update, ...]
    goto: str | None


class Variants:
    """Variants of one machine, arranged so that a step costs one pass per guard and act."""

    def __init__(self, machine: Machine, variants: Sequence[Variant], sizes: Sequence[int]) -> None:
        self.of_row = np.repeat(np.arange(len(variants)), sizes)
        guards: dict[int, dict[tuple[Atom, ...], int]] = {}
        acts: dict[int, dict[Rule, int]] = {}
        self.guard = np.full((len(machine.rules), len(variants)), -1)
        self.act = np.full((len(machine.rules), len(variants)), -1)
        for i, v in enumerate(variants):
            act = Rule("variant", machine.rules[v.rule].mode, (), v.updates, v.goto)
            self.guard[v.rule, i] = _number_of(guards.setdefault(v.rule, {}), v.guard)
            self.act[v.rule, i] = _number_of(acts.setdefault(v.rule, {}), act)
        self.guards = {rule: tuple(known) for rule, known in guards.items()}
        self.acts = {rule: tuple(known) for rule, known in acts.items()}

    def fire_rule(self, batch: MachineBatch, index: int, rule: Rule, view: EventView) -> None:
        """Fire a rule, or what a row's variant does instead of it."""
        variant = self.of_row[view.rows]
        changed = np.zeros(len(variant), dtype=bool)
        for g, mine in _split_by_number(self.guard[index, variant]):
            changed[mine] = view.select(mine).all_hold(self.guards[index][g])
        if not changed.any():
            batch.apply_rule(rule, view)
            return
        batch.apply_rule(rule, view.select(~changed))
        other = np.flatnonzero(changed)
        for a, mine in _split_by_number(self.act[index, variant[other]]):
            batch.apply_rule(self.acts[index][a], view.select(other[mine]))


def _split_by_number(numbers: Ints) -> Iterator[tuple[int, Ints]]:
    """Each number there is, but for -1, and the rows that have it."""
    order = np.argsort(numbers, kind="stable")
    found, first = np.unique(numbers[order], return_index=True)
    parts = np.split(order, first[1:])
    yield from ((n, rows) for n, rows in zip(found.tolist(), parts, strict=True) if n >= 0)


def _number_of(known: dict[Known, int], value: Known) -> int:
    return known.setdefault(value, len(known))
