"""The guards an edit may add: everything a rule could look at, evaluated on recorded events.

Numbers (output index, length, distance to the end, run lengths around a pointer, stack height)
are compared with each value they took; tokens are read around the pointer, at both ends of the
input and at the end of the output. The order is the order of preference, what is shorter to say
first: of guards that fire on the same events, the first is named and the others are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from recinterp.machine.execution.batch import Event, EventView
from recinterp.machine.nodes import (
    Atom,
    Cmp,
    Const,
    Expr,
    Find,
    In,
    Out,
    Reg,
    add_constant,
    subtract,
)

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.synthesis.config import GuardConfig

Mask = Bool[np.ndarray, "events"]


@dataclass(frozen=True)
class Guard:
    """A conjunction of added atoms, where it fires, and other guards that fire there too."""

    atoms: tuple[Atom, ...]
    mask: Mask
    equals: tuple[tuple[Atom, ...], ...] = ()


def gather(events: Sequence[Event], out: np.ndarray) -> EventView:
    """One view of several events of the same rule; `out` is the finished output table."""
    views = [e.view for e in events]
    rows = np.concatenate([v.rows for v in views])
    registers = {k: np.concatenate([v.registers[k] for v in views]) for k in views[0].registers}
    return EventView(
        views[0].words,
        rows,
        np.concatenate([v.inputs for v in views]),
        registers,
        np.concatenate([v.t for v in views]),
        np.concatenate([v.height for v in views]),
        np.concatenate([v.top for v in views]),
        np.concatenate([v.frame for v in views]),
        out,
        views[0].frames,
    )


def numbers(machine: Machine, view: EventView) -> list[Expr]:
    """Numeric expressions worth comparing in this view, the most readable first."""
    pointers = [
        Reg(name) for name, _ in machine.registers if (view.registers[name] != view.t).any()
    ]
    found: list[Expr] = [Reg("t"), *pointers, Reg("n"), subtract(Reg("n"), Reg("t"))]
    found += [subtract(Reg("n"), p) for p in pointers]
    if machine.frames:
        found.append(Reg("height"))
    return found


def run_lengths(machine: Machine, config: GuardConfig) -> Iterator[Expr]:
    """How far from each pointer the first other token stands, to its left and to its right."""
    for p in [Reg(name) for name, _ in machine.registers]:
        for token in _run_tokens(machine, config):
            yield subtract(p, Find(add_constant(p, -1), -1, (token,)))
            yield subtract(Find(add_constant(p, 1), 1, (token,)), p)


def _run_tokens(machine: Machine, config: GuardConfig) -> tuple[str, ...]:
    return machine.vocab if len(machine.vocab) <= config.max_vocab_for_runs else ()


def candidate_atoms(
    machine: Machine, view: EventView, config: GuardConfig
) -> Iterator[tuple[Atom, Mask]]:
    """The atoms that hold in some and not in all events of a view, and where each holds."""
    for atom, mask in _all_atoms(machine, view, config):
        if mask.any() and not mask.all():
            yield atom, mask


def _all_atoms(
    machine: Machine, view: EventView, config: GuardConfig
) -> Iterator[tuple[Atom, Mask]]:
    yield from _compared(numbers(machine, view), view)
    for at in _places(machine):
        yield from tokens_read(at, view)
    yield from _compared(run_lengths(machine, config), view)
    for p in (Reg(name) for name, _ in machine.registers):
        for token in _run_tokens(machine, config):
            rest = Cmp(Find(add_constant(p, 1), 1, (token,)), "=", Reg("n"))
            yield rest, view.holds(rest)
            beginning = Cmp(Find(add_constant(p, -1), -1, (token,)), "=", Const(-1))
            yield beginning, view.holds(beginning)
    for back in (1, 2):
        for token in machine.vocab:
            wrote = Out(back, (token,))
            yield wrote, view.holds(wrote)


def tokens_read(at: Expr, view: EventView) -> Iterator[tuple[Atom, Mask]]:
    """An atom for each token that some event reads at a place."""
    read = view.read_tokens(at)
    for number in np.unique(read).tolist():
        yield In(at, (view.words.vocab[number],)), read == number


def _compared(expressions: Iterable[Expr], view: EventView) -> Iterator[tuple[Atom, Mask]]:
    for e in expressions:
        value = view.evaluate(e)
        for k in np.unique(value).tolist():
            yield Cmp(e, ">=", Const(k)), value >= k
            yield Cmp(e, "<=", Const(k)), value <= k
            yield Cmp(e, "=", Const(k)), value == k


def _places(machine: Machine) -> list[Expr]:
    around = [
        add_constant(Reg(name), k) for name, _ in machine.registers for k in (1, 0, -1, 2, -2)
    ]
    return [*around, Const(0), add_constant(Reg("n"), -1)]


@dataclass(frozen=True)
class Pool:
    """The atoms to choose from, and where each holds: one row of `table` for each, and as bits."""

    atoms: tuple[Atom, ...]
    table: Float[np.ndarray, "atoms events"]
    bits: UInt8[np.ndarray, "atoms bytes"]

    @cached_property
    def numbers(self) -> Mapping[Atom, int]:
        """Each atom's number, by which it is compared."""
        return {a: i for i, a in enumerate(self.atoms)}

    @classmethod
    def of(cls, machine: Machine, view: EventView, config: GuardConfig) -> Pool:
        """Every atom that holds in some and not in all events of a view."""
        found = list(candidate_atoms(machine, view, config))
        masks = [m for _, m in found] or [np.zeros(len(view.rows), dtype=bool)][:0]
        held = np.array(masks, dtype=bool).reshape(len(found), len(view.rows))
        atoms = tuple(a for a, _ in found)
        return cls(atoms, held.astype(np.float32), np.packbits(held, axis=1))


def find_guards(
    pool: Pool, wanted: Mask, unwanted: Mask, false_fire_weight: float, config: GuardConfig
) -> list[Guard]:
    """Guards that fire on the wanted events and not on the unwanted ones, the best first.

    Single atoms come first, then pairs and triples, each while no shorter guard separates cleanly.

    Args:
        pool: the atoms to choose from.
        wanted: events on which the guard should fire.
        unwanted: events on which it should not; an event may be neither.
        false_fire_weight: wanted events that one unwanted event weighs.
        config: bounds on the number and length of guards.
    """
    everywhere = Guard((), np.ones(len(wanted), dtype=bool))
    scorer = _GuardScorer.of(pool, wanted, unwanted, false_fire_weight, config)
    found, wide = scorer.extend([everywhere])
    if not unwanted.any() or scorer.score(everywhere) > 0:
        found = [everywhere, *found]
    for _ in range(config.max_atoms - 1):
        if not wide or any(_separates(guard, wanted, unwanted) for guard in found):
            break
        longer, wide = scorer.extend(wide)
        found = sorted([*found, *longer], key=lambda g: -scorer.score(g))[: config.max_guards]
    return found


def _separates(guard: Guard, wanted: Mask, unwanted: Mask) -> bool:
    return not (guard.mask & unwanted).any() and not (wanted & ~guard.mask).any()


@dataclass(frozen=True)
class _GuardScorer:
    """What a guard is worth: the wanted events it fires on, less the unwanted, weighed.

    Attributes:
        pool: the atoms to choose from.
        columns: the events that matter, or evenly spaced ones of them where they are many.
        weight: of every event: 1 where it is wanted, negative where it is unwanted.
        wanted: events on which the guard should fire.
        table: where each atom holds, on those columns.
        bits: those columns as packed bits of all events.
        config: bounds on the number and length of guards.
    """

    pool: Pool
    columns: Int[np.ndarray, "some"]
    weight: Float[np.ndarray, "events"]
    wanted: Mask
    table: Float[np.ndarray, "atoms some"]
    bits: UInt8[np.ndarray, "bytes"]
    config: GuardConfig

    @classmethod
    def of(
        cls,
        pool: Pool,
        wanted: Mask,
        unwanted: Mask,
        false_fire_weight: float,
        config: GuardConfig,
    ) -> _GuardScorer:
        relevant = np.flatnonzero(wanted | unwanted)
        columns = relevant[:: 1 + len(relevant) // config.max_events]
        weight = wanted - false_fire_weight * unwanted.astype(np.float32)
        counted = np.zeros(len(wanted), dtype=bool)
        counted[columns] = True
        bits = np.packbits(counted)
        return cls(pool, columns, weight, wanted, pool.table[:, columns], bits, config)

    def score(self, guard: Guard) -> float:
        """What a guard is worth, in events, after paying for its atoms."""
        fired = float(self.weight[self.columns] @ guard.mask[self.columns])
        return fired - self.config.atom_cost * len(guard.atoms)

    def extend(self, guards: Sequence[Guard]) -> tuple[list[Guard], list[Guard]]:
        """The best guards of one atom more that are worth something; and the best to extend."""
        config = self.config
        before = np.stack([g.mask[self.columns] for g in guards]).astype(np.float32)
        score = (before * self.weight[self.columns]) @ self.table.T
        score -= config.atom_cost * (1 + len(guards[0].atoms))
        hits = (before * self.wanted[self.columns]) @ self.table.T
        order = np.argsort(-np.where(hits > 0, score, -np.inf), axis=None, kind="stable")
        order = order[: min(int((hits > 0).sum()), config.max_ranked)]
        found = self._distinct(guards, order, max(config.max_guards, config.beam_width))
        worth = [g for g in found if self.score(g) > 0]
        return worth[: config.max_guards], found[: config.beam_width]

    def _distinct(
        self, guards: Sequence[Guard], order: Int[np.ndarray, "some"], max_guards: int
    ) -> list[Guard]:
        """Guards by number, the best first; guards that fire on equal events become one."""
        found: dict[bytes, Guard] = {}
        equals = dict[bytes, dict[frozenset[int], tuple[Atom, ...]]]()
        numbers = [frozenset(self.pool.numbers[a] for a in g.atoms) for g in guards]
        here = np.packbits(np.stack([g.mask for g in guards]), axis=1) & self.bits
        parents, added = np.divmod(order, len(self.pool.atoms))
        fired = here[parents] & self.pool.bits[added]
        for of, at, key in zip(parents.tolist(), added.tolist(), map(bytes, fired), strict=True):
            if at in numbers[of]:
                continue
            atoms = (*guards[of].atoms, self.pool.atoms[at])
            if key not in found and len(found) < max_guards:
                found[key] = Guard(atoms, guards[of].mask & (self.pool.table[at] > 0))
            if key in found:
                equals.setdefault(key, {}).setdefault(numbers[of] | {at}, atoms)
        return [
            replace(guard, equals=tuple(equals[key].values())[1:]) for key, guard in found.items()
        ]
