"""Where a machine is not to be believed: an entry mode that sends such inputs to `lost`.

A small decision tree over what can be seen before the first step (the length, the runs at both
ends, the first and last tokens) separates inputs that the machine gets right from those that it
does not. A leaf is claimed only where nearly everything seen was right; a leaf where the oracle
was hardly ever right is lost *and wrong*.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from recinterp.machine.nodes import (
    Atom,
    Cmp,
    Const,
    Expr,
    Find,
    In,
    Lost,
    Reg,
    Rule,
    add_constant,
    subtract,
)
from recinterp.machine.validate import negate_atom, simplify_guard
from recinterp.synthesis.dataset import is_reliably_wrong

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.machine.execution.batch import EventView
    from recinterp.synthesis.dataset import Dataset

ENTRY = "admit-inputs"  # no function of a program is called so
PURE = 0.97  # a leaf is claimed where at least so many of its inputs come out right
ENOUGH = 8  # a leaf of fewer inputs is not split off
DEEPEST = 3

Mask = Bool[np.ndarray, "rows"]


@dataclass(frozen=True)
class Leaf:
    """Inputs that satisfy a guard, those the machine gets right, those the oracle fails on."""

    guard: tuple[Atom, ...]
    rows: Mask
    good: Mask
    failed: Mask

    @property
    def right(self) -> int:
        """How many come out right."""
        return int((self.rows & self.good).sum())

    @property
    def pure(self) -> bool:
        """Whether the machine is to be believed here."""
        return self.right >= PURE * self.rows.sum()

    @property
    def fails(self) -> bool:
        """Whether the oracle failed on nearly everything here."""
        return is_reliably_wrong(self.failed[self.rows])


def restrict_to_reliable_inputs(
    machine: Machine, dataset: Dataset, good: Mask | None = None
) -> Machine:
    """The machine, entered only by inputs where it was right nearly always.

    good: where it was, if that is not what it says of the dataset it was made from.
    """
    good = ~dataset.run(machine).wrong if good is None else good
    if (~good).sum() <= (1 - PURE) * len(dataset.inputs):
        return machine
    view = dataset.run(machine).batch.view_rows(np.arange(len(dataset.inputs)))
    atoms = [(a, m) for a, m in _entry_atoms(machine, view) if m.any() and not m.all()]
    everything = np.ones(len(good), dtype=bool)
    failed = ~everything if dataset.failed is None else dataset.failed
    leaves = list(_grow(Leaf((), everything, good, failed), atoms, machine.vocab))
    return _entered(machine, leaves)


def _entry_atoms(machine: Machine, view: EventView) -> Iterator[tuple[Atom, Mask]]:
    n, last = Reg("n"), add_constant(Reg("n"), -1)
    seen: list[Expr] = [n, *(Find(Const(0), 1, (x,)) for x in machine.vocab)]
    seen += [subtract(last, Find(last, -1, (x,))) for x in machine.vocab]
    for e in seen:
        value = view.evaluate(e)
        for k in np.unique(value).tolist():
            yield Cmp(e, "<=", Const(k)), value <= k
    for at in (Const(0), Const(1), add_constant(n, -1), add_constant(n, -2)):
        for x in machine.vocab:
            atom = In(at, (x,))
            yield atom, view.holds(atom)


def _grow(leaf: Leaf, atoms: list[tuple[Atom, Mask]], vocab: tuple[str, ...]) -> Iterator[Leaf]:
    done = leaf.pure or not leaf.right or leaf.fails or len(leaf.guard) >= DEEPEST
    split = None if done else _split(leaf.rows, leaf.good, atoms)
    if split is None:
        yield leaf
        return
    atom, mask = split
    for side, rows in ((atom, mask), (negate_atom(atom, vocab), ~mask)):
        yield from _grow(
            replace(leaf, guard=(*leaf.guard, side), rows=leaf.rows & rows), atoms, vocab
        )


def _split(rows: Mask, good: Mask, atoms: list[tuple[Atom, Mask]]) -> tuple[Atom, Mask] | None:
    """The atom that leaves the least impurity (Gini), both sides being large enough."""
    if not atoms:
        return None
    masks = np.stack([m for _, m in atoms])[:, rows]
    right, total = good[rows], int(rows.sum())
    inside = masks.sum(axis=1)
    hits, all_hits = (masks & right).sum(axis=1), int(right.sum())

    def gini(hit: np.ndarray, size: np.ndarray) -> np.ndarray:
        return np.where(size > 0, 2 * hit * (size - hit) / np.maximum(size, 1), 0.0)

    impurity = gini(hits, inside) + gini(all_hits - hits, total - inside)
    impurity[(inside < ENOUGH) | (total - inside < ENOUGH)] = np.inf
    best = int(np.argmin(impurity))
    before = float(gini(np.array([all_hits]), np.array([total]))[0])
    return atoms[best] if impurity[best] < 0.98 * before else None


def _entered(machine: Machine, leaves: list[Leaf]) -> Machine:
    rules = []
    for i, leaf in enumerate(leaves):
        guard = simplify_guard(leaf.guard)
        if leaf.pure:
            rules.append(Rule(f"admit-{i}", ENTRY, guard, (), machine.start))
        else:
            rules.append(Rule(f"refuse-{i}", ENTRY, guard, (Lost(leaf.fails),), None))
    return replace(machine, start=ENTRY, rules=(*rules, *machine.rules))
