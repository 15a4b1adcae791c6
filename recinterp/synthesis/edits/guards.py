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

Mask = Bool[np.ndarray, "events"]
FALSE_FIRE_WEIGHT = 2.0  # of an unwanted event, where a rule does something else there
MOST_ATOMS, SEEDS = 3, 12  # atoms in a guard, and how many shorter ones each longer grows from
PER_ATOM = 0.1  # what an atom costs, in events
MOST_EVENTS = 20_000  # events that a guard is weighed on: fewer, and guards that differ look alike
LOOKED = 150  # guards looked at, the best first, when those that fire alike are put together
MOST_TOKENS = 6  # run lengths are tried for alphabets up to this size


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


def run_lengths(machine: Machine) -> Iterator[Expr]:
    """How far from a pointer the first other token stands, behind and ahead."""
    for p in [Reg(name) for name, _ in machine.registers]:
        for token in machine.vocab if len(machine.vocab) <= MOST_TOKENS else ():
            yield subtract(p, Find(add_constant(p, -1), -1, (token,)))
            yield subtract(Find(add_constant(p, 1), 1, (token,)), p)


def candidate_atoms(machine: Machine, view: EventView) -> Iterator[tuple[Atom, Mask]]:
    """Every atom that holds in some and not in all events of a view."""
    for atom, mask in _all_atoms(machine, view):
        if mask.any() and not mask.all():
            yield atom, mask


def _all_atoms(machine: Machine, view: EventView) -> Iterator[tuple[Atom, Mask]]:
    yield from _compared(numbers(machine, view), view)
    for at in _places(machine):
        read = view.read_tokens(at)
        for number in np.unique(read).tolist():
            yield In(at, (view.words.vocab[number],)), read == number
    yield from _compared(run_lengths(machine), view)
    for p in (Reg(name) for name, _ in machine.registers):
        for token in machine.vocab if len(machine.vocab) <= MOST_TOKENS else ():
            ahead = Cmp(Find(add_constant(p, 1), 1, (token,)), "=", Reg("n"))
            yield ahead, view.holds(ahead)
            behind = Cmp(Find(add_constant(p, -1), -1, (token,)), "=", Const(-1))
            yield behind, view.holds(behind)
    for back in (1, 2):
        for token in machine.vocab:
            wrote = Out(back, (token,))
            yield wrote, view.holds(wrote)


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
    def of(cls, machine: Machine, view: EventView) -> Pool:
        """Every atom that holds in some and not in all events of a view."""
        found = list(candidate_atoms(machine, view))
        masks = [m for _, m in found] or [np.zeros(len(view.rows), dtype=bool)][:0]
        held = np.array(masks, dtype=bool).reshape(len(found), len(view.rows))
        atoms = tuple(a for a, _ in found)
        return cls(atoms, held.astype(np.float32), np.packbits(held, axis=1))


def find_guards(
    pool: Pool, wanted: Mask, unwanted: Mask, *, most: int = 6, harm: float = FALSE_FIRE_WEIGHT
) -> list[Guard]:
    """Guards that fire on the wanted events and not on the unwanted ones, the best first.

    Single atoms, then pairs and triples of them, each while nothing shorter separates cleanly.
    harm: how many wanted events one unwanted weighs.
    """
    everywhere = Guard((), np.ones(len(wanted), dtype=bool))
    judge = _Judge.of(pool, wanted, unwanted, harm)
    found, wide = judge.grown([everywhere], most)
    if not unwanted.any() or judge.score(everywhere) > 0:
        found = [everywhere, *found]
    for _ in range(MOST_ATOMS - 1):
        if not wide or any(_clean(guard, wanted, unwanted) for guard in found):
            break
        grown, wide = judge.grown(wide, most)
        found = sorted([*found, *grown], key=lambda g: -judge.score(g))[:most]
    return found


def _clean(guard: Guard, wanted: Mask, unwanted: Mask) -> bool:
    return not (guard.mask & unwanted).any() and not (wanted & ~guard.mask).any()


@dataclass(frozen=True)
class _Judge:
    """What a guard is worth: the wanted events it fires on, less the unwanted.

    columns: the events that matter, or some of them, evenly, where they are many; bits: the same.
    """

    pool: Pool
    columns: Int[np.ndarray, "some"]
    weight: Float[np.ndarray, "events"]
    wanted: Mask
    table: Float[np.ndarray, "atoms some"]
    bits: UInt8[np.ndarray, "bytes"]

    @classmethod
    def of(cls, pool: Pool, wanted: Mask, unwanted: Mask, harm: float) -> _Judge:
        relevant = np.flatnonzero(wanted | unwanted)
        columns = relevant[:: 1 + len(relevant) // MOST_EVENTS]
        weight = wanted - harm * unwanted.astype(np.float32)
        looked_at = np.zeros(len(wanted), dtype=bool)
        looked_at[columns] = True
        bits = np.packbits(looked_at)
        return cls(pool, columns, weight, wanted, pool.table[:, columns], bits)

    def score(self, guard: Guard) -> float:
        """What a guard is worth, its length counted."""
        return float(self.weight[self.columns] @ guard.mask[self.columns]) - PER_ATOM * len(
            guard.atoms
        )

    def grown(self, guards: Sequence[Guard], most: int) -> tuple[list[Guard], list[Guard]]:
        """The best guards of one atom more that are worth something; and the best to grow on."""
        before = np.stack([g.mask[self.columns] for g in guards]).astype(np.float32)
        score = (before * self.weight[self.columns]) @ self.table.T
        score -= PER_ATOM * (1 + len(guards[0].atoms))
        hits = (before * self.wanted[self.columns]) @ self.table.T
        order = np.argsort(-np.where(hits > 0, score, -np.inf), axis=None, kind="stable")
        order = order[: min(int((hits > 0).sum()), LOOKED)]
        found = self._distinct(guards, order, max(most, SEEDS))
        return [g for g in found if self.score(g) > 0][:most], found[:SEEDS]

    def _distinct(
        self, guards: Sequence[Guard], order: Int[np.ndarray, "some"], most: int
    ) -> list[Guard]:
        """Guards by number, the best first, those that fire alike as one."""
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
            if key not in found and len(found) < most:
                found[key] = Guard(atoms, guards[of].mask & (self.pool.table[at] > 0))
            if key in found:
                equals.setdefault(key, {}).setdefault(numbers[of] | {at}, atoms)
        return [
            replace(guard, equals=tuple(equals[key].values())[1:]) for key, guard in found.items()
        ]
