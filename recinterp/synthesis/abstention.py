"""Where a machine is reliable: an entry mode that abstains on all other inputs.

A small decision tree over what can be seen before the first step (the length, the runs at both
ends, the first and last tokens) separates inputs that the machine gets right from those that it
does not. A leaf is covered only where the machine is right on nearly every input of the dataset; a
leaf where the oracle was hardly ever right is flagged as failing.
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
    from recinterp.synthesis.config import SearchConfig
    from recinterp.synthesis.dataset import Dataset

_ENTRY = "admit-inputs"  # a control state; no function of a program is called so

Mask = Bool[np.ndarray, "rows"]


def entry_rules(machine: Machine) -> list[Rule]:
    """The rules that admit inputs to a restricted machine; empty if it was not restricted."""
    return [r for r in machine.rules_of(_ENTRY) if r.lost is None]


def restrict_to_reliable_inputs(
    machine: Machine, dataset: Dataset, config: SearchConfig, *, right: Mask | None = None
) -> Machine:
    """The machine, entered only by inputs on which it is nearly always right.

    Args:
        machine: the machine to restrict.
        dataset: inputs and outputs by which it is judged.
        config: thresholds of the decision tree.
        right: where the machine is right, if not judged by its own runs on the dataset.

    Returns:
        The machine itself if it is right nearly everywhere.
    """
    right = ~dataset.run(machine).wrong if right is None else right
    if (~right).sum() <= (1 - config.abstention.min_leaf_accuracy) * len(dataset.inputs):
        return machine
    view = dataset.run(machine).batch.view_rows(np.arange(len(dataset.inputs)))
    atoms = [(a, m) for a, m in _entry_atoms(machine, view) if m.any() and not m.all()]
    tree = _EntryTree(machine.vocab, atoms, right, dataset.failures, config)
    everything = np.ones(len(right), dtype=bool)
    return _with_entry_rules(machine, tree, list(tree.leaves(ClaimedRegion((), everything))))


def _entry_atoms(machine: Machine, view: EventView) -> Iterator[tuple[Atom, Mask]]:
    n, last = Reg("n"), add_constant(Reg("n"), -1)
    lengths: list[Expr] = [n, *(Find(Const(0), 1, (x,)) for x in machine.vocab)]
    lengths += [subtract(last, Find(last, -1, (x,))) for x in machine.vocab]
    for e in lengths:
        value = view.evaluate(e)
        for k in np.unique(value).tolist():
            yield Cmp(e, "<=", Const(k)), value <= k
    for at in (Const(0), Const(1), add_constant(n, -1), add_constant(n, -2)):
        for x in machine.vocab:
            atom = In(at, (x,))
            yield atom, view.holds(atom)


@dataclass(frozen=True)
class ClaimedRegion:
    """The inputs that satisfy a guard."""

    guard: tuple[Atom, ...]
    rows: Mask


@dataclass(frozen=True)
class _EntryTree:
    """A decision tree over what can be seen of an input before the first step.

    Attributes:
        vocab: the machine's tokens.
        atoms: the questions, and which inputs satisfy each.
        right: where the machine is right.
        failed: where the oracle differs from the ground truth.
        config: thresholds.
    """

    vocab: tuple[str, ...]
    atoms: list[tuple[Atom, Mask]]
    right: Mask
    failed: Mask
    config: SearchConfig

    def is_reliable(self, region: ClaimedRegion) -> bool:
        """Whether the machine is right on nearly every input of a region."""
        least = self.config.abstention.min_leaf_accuracy
        return int((region.rows & self.right).sum()) >= least * int(region.rows.sum())

    def is_failing(self, region: ClaimedRegion) -> bool:
        """Whether the oracle failed on nearly every input of a region."""
        return is_reliably_wrong(self.failed[region.rows], self.config.reliably_wrong_rate)

    def leaves(self, region: ClaimedRegion) -> Iterator[ClaimedRegion]:
        """The parts of a region that are not split further."""
        split = None if self._is_decided(region) else self._best_split(region.rows)
        if split is None:
            yield region
            return
        atom, mask = split
        for side, rows in ((atom, mask), (negate_atom(atom, self.vocab), ~mask)):
            yield from self.leaves(ClaimedRegion((*region.guard, side), region.rows & rows))

    def _is_decided(self, region: ClaimedRegion) -> bool:
        return (
            self.is_reliable(region)
            or not (region.rows & self.right).any()
            or self.is_failing(region)
            or len(region.guard) >= self.config.abstention.max_depth
        )

    def _best_split(self, rows: Mask) -> tuple[Atom, Mask] | None:
        """The atom that leaves the least impurity (Gini), both sides being large enough."""
        if not self.atoms:
            return None
        config = self.config.abstention
        masks = np.stack([m for _, m in self.atoms])[:, rows]
        right, total = self.right[rows], int(rows.sum())
        inside = masks.sum(axis=1)
        hits, all_hits = (masks & right).sum(axis=1), int(right.sum())
        impurity = _gini(hits, inside) + _gini(all_hits - hits, total - inside)
        least = config.min_leaf_inputs
        impurity[(inside < least) | (total - inside < least)] = np.inf
        best = int(np.argmin(impurity))
        before = float(_gini(np.array([all_hits]), np.array([total]))[0])
        return self.atoms[best] if impurity[best] < config.max_impurity_ratio * before else None


def _gini(hits: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.where(size > 0, 2 * hits * (size - hits) / np.maximum(size, 1), 0.0)


def _with_entry_rules(machine: Machine, tree: _EntryTree, leaves: list[ClaimedRegion]) -> Machine:
    rules = []
    for i, leaf in enumerate(leaves):
        guard = simplify_guard(leaf.guard)
        if tree.is_reliable(leaf):
            rules.append(Rule(f"admit-{i}", _ENTRY, guard, (), machine.start))
        else:
            lost = Lost(tree.is_failing(leaf))
            rules.append(Rule(f"refuse-{i}", _ENTRY, guard, (lost,), None))
    return replace(machine, start=_ENTRY, rules=(*rules, *machine.rules))
