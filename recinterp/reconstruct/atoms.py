"""The guards an edit may add: everything a rule could look at, evaluated on recorded events.

Numbers (output index, length, distance to the end, run lengths around a pointer, stack height)
are compared with each value they took; tokens are read around the pointer, at both ends of the
input and at the end of the output. The order is the order of preference, what is shorter to say
first: of guards that fire on the same events, the first is named and the others are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from recinterp.machine.batch import Event, View
from recinterp.machine.syntax import Atom, Cmp, Const, Expr, Find, In, Out, Reg, minus, plus

if TYPE_CHECKING:
    from recinterp.machine import Machine

Mask = Bool[np.ndarray, "events"]
HARM = 2.0  # of an unwanted event, where a rule does something else there
MOST_ATOMS, SEEDS = 3, 12  # atoms in a guard, and how many shorter ones each longer grows from
PER_ATOM = 0.1  # what an atom costs, in events
LOOKED = 150  # guards looked at, the best first, when those that fire alike are put together
MOST_TOKENS = 6  # run lengths are tried for alphabets up to this size


@dataclass(frozen=True)
class Guard:
    """A conjunction of added atoms, where it fires, and other guards that fire there too."""

    atoms: tuple[Atom, ...]
    mask: Mask
    equals: tuple[tuple[Atom, ...], ...] = ()


def gather(events: Sequence[Event], out: np.ndarray) -> View:
    """One view of several events of the same rule; `out` is the finished output table."""
    views = [e.view for e in events]
    rows = np.concatenate([v.rows for v in views])
    registers = {k: np.concatenate([v.registers[k] for v in views]) for k in views[0].registers}
    return View(
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


def numbers(machine: Machine, view: View) -> list[Expr]:
    """Numeric expressions worth comparing in this view, the most readable first."""
    pointers = [
        Reg(name) for name, _ in machine.registers if (view.registers[name] != view.t).any()
    ]
    found: list[Expr] = [Reg("t"), *pointers, Reg("n"), minus(Reg("n"), Reg("t"))]
    found += [minus(Reg("n"), p) for p in pointers]
    if machine.frames:
        found.append(Reg("height"))
    return found


def run_lengths(machine: Machine) -> Iterator[Expr]:
    """How far from a pointer the first other token stands, behind and ahead."""
    for p in [Reg(name) for name, _ in machine.registers]:
        for token in machine.vocab if len(machine.vocab) <= MOST_TOKENS else ():
            yield minus(p, Find(plus(p, -1), -1, (token,)))
            yield minus(Find(plus(p, 1), 1, (token,)), p)


def single_atoms(machine: Machine, view: View) -> Iterator[tuple[Atom, Mask]]:
    """Every atom that holds in some and not in all events of a view."""
    for atom, mask in _all_atoms(machine, view):
        if mask.any() and not mask.all():
            yield atom, mask


def _all_atoms(machine: Machine, view: View) -> Iterator[tuple[Atom, Mask]]:
    yield from _compared(numbers(machine, view), view)
    for at in _places(machine):
        read = view.read(at)
        for number in np.unique(read).tolist():
            yield In(at, (view.words.vocab[number],)), read == number
    yield from _compared(run_lengths(machine), view)
    for p in (Reg(name) for name, _ in machine.registers):
        for token in machine.vocab if len(machine.vocab) <= MOST_TOKENS else ():
            ahead = Cmp(Find(plus(p, 1), 1, (token,)), "=", Reg("n"))
            yield ahead, view.holds(ahead)
            behind = Cmp(Find(plus(p, -1), -1, (token,)), "=", Const(-1))
            yield behind, view.holds(behind)
    for back in (1, 2):
        for token in machine.vocab:
            wrote = Out(back, (token,))
            yield wrote, view.holds(wrote)


def _compared(expressions: Iterable[Expr], view: View) -> Iterator[tuple[Atom, Mask]]:
    for e in expressions:
        value = view.value(e)
        for k in np.unique(value).tolist():
            yield Cmp(e, ">=", Const(k)), value >= k
            yield Cmp(e, "<=", Const(k)), value <= k
            yield Cmp(e, "=", Const(k)), value == k


def _places(machine: Machine) -> list[Expr]:
    around = [plus(Reg(name), k) for name, _ in machine.registers for k in (1, 0, -1, 2, -2)]
    return [*around, Const(0), plus(Reg("n"), -1)]


@dataclass(frozen=True)
class Pool:
    """The atoms to choose from, and where each holds: one row of `table` for each."""

    atoms: tuple[Atom, ...]
    table: Float[np.ndarray, "atoms events"]

    @classmethod
    def of(cls, machine: Machine, view: View) -> Pool:
        """Every atom that holds in some and not in all events of a view."""
        found = list(single_atoms(machine, view))
        masks = [m for _, m in found] or [np.zeros(len(view.rows), dtype=bool)][:0]
        table = np.array(masks, dtype=np.float32).reshape(len(found), len(view.rows))
        return cls(tuple(a for a, _ in found), table)


def separating(
    pool: Pool, wanted: Mask, unwanted: Mask, *, most: int = 6, harm: float = HARM
) -> list[Guard]:
    """Guards that fire on the wanted events and not on the unwanted ones, the best first.

    Single atoms, then pairs and triples of them, each while nothing shorter separates cleanly.
    harm: how many wanted events one unwanted weighs.
    """
    everywhere = Guard((), np.ones(len(wanted), dtype=bool))
    weights = wanted - harm * unwanted.astype(np.float32), wanted, unwanted
    found = _best(pool, [everywhere], weights, most)
    if not unwanted.any():
        found = [everywhere, *found]
    wide = _best(pool, [everywhere], weights, SEEDS, anyhow=True)
    for _ in range(MOST_ATOMS - 1):
        if not wide or (found and _clean(found[0], wanted, unwanted)):
            break
        grown = _best(pool, wide, weights, most)
        found = sorted([*found, *grown], key=lambda g: -_score(g, weights[0]))[:most]
        wide = _best(pool, wide, weights, SEEDS, anyhow=True)
    return found


def _clean(guard: Guard, wanted: Mask, unwanted: Mask) -> bool:
    return not (guard.mask & unwanted).any() and not (wanted & ~guard.mask).any()


def _score(guard: Guard, weight: np.ndarray) -> float:
    return float(weight[guard.mask].sum()) - PER_ATOM * len(guard.atoms)


def _best(
    pool: Pool,
    grown_from: Sequence[Guard],
    weights: tuple[np.ndarray, Mask, Mask],
    most: int,
    anyhow: bool = False,
) -> list[Guard]:
    """The best guards with one atom more, those that fire alike as one; `anyhow`: harm or no."""
    weight, wanted, unwanted = weights
    before = np.stack([g.mask for g in grown_from]).astype(np.float32)
    score = (before * weight) @ pool.table.T - PER_ATOM * (1 + len(grown_from[0].atoms))
    hits = (before * wanted) @ pool.table.T
    allowed = (hits > 0) & (score > (-np.inf if anyhow else 0.0))
    order = np.argsort(-np.where(allowed, score, -np.inf), axis=None, kind="stable")
    relevant, guards = wanted | unwanted, dict[bytes, Guard]()
    for flat in order[: int(allowed.sum())][:LOOKED].tolist():
        of, at = divmod(flat, len(pool.atoms))
        if pool.atoms[at] in grown_from[of].atoms:
            continue
        mask = grown_from[of].mask & (pool.table[at] > 0)
        atoms, key = (*grown_from[of].atoms, pool.atoms[at]), mask[relevant].tobytes()
        if key in guards:
            same = guards[key]
            guards[key] = Guard(same.atoms, same.mask, (*same.equals, atoms))
        elif len(guards) < most:
            guards[key] = Guard(atoms, mask)
    return list(guards.values())
