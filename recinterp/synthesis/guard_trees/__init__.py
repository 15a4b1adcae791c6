"""Guard trees: a machine's control as it is, what each step writes learned from logs.

Between the two other strategies: an edit changes a rule or two and says why; state merging knows
nothing of the function. Here the control states, registers and stack of the true machine stay, and
for each state a decision tree over tokens at pointers, indices, lengths and runs says which token
comes: the machine's own, another, a copy from elsewhere, or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Bool

from recinterp.machine.execution.batch import RunStatus
from recinterp.machine.nodes import Cmp, Const, Reg
from recinterp.splits import validation_folds
from recinterp.synthesis.dataset import is_reliably_wrong
from recinterp.synthesis.guard_trees.events import (
    LOST,
    OWN,
    ControlStateData,
    single_token_machine,
    stages,
)
from recinterp.synthesis.guard_trees.split import Node, NodeData, grow
from recinterp.synthesis.guard_trees.to_rules import machine_of

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.synthesis.dataset import Dataset

Mask: TypeAlias = "Bool[np.ndarray, 'dataset']"
FOLDS = 4  # one log in so many is kept apart, each once, while it is found how far to grow
FEW, FINER = 2_500, 10  # so few dataset are kept apart in so many parts, to grow on nearly all
MOST_LEAVES = 150  # more is no explanation, whatever it foretells
LEAF = 1.0  # inputs kept apart that a leaf has to explain
SLACK = 0.01  # of the failures: so many more may be missed for fewer leaves
HEAVIER = 2.0  # what an event of a failing input weighs at most, so that few count as much as many
HEAVIEST = 6.0  # the same, tried beside it where dataset are few
TELLS = 0.905  # of the failures, with a little to spare
TRUSTED = 0.7  # of the inputs that come to a leaf: if fewer are told, it gives up
LOOK = 6_000  # dataset by which machines to grow on are compared; no more are few
STALE = 120  # leaves added without any more of those kept apart explained

__all__ = ["FEW", "FittedTrees", "fit_guard_trees", "holdout_score", "weights"]


@dataclass(frozen=True)
class FittedTrees:
    """A machine with grown guards. explained: the dataset that trees grown without them explain."""

    machine: Machine
    leaves: int
    explained: Bool[np.ndarray, "dataset"]


def fit_guard_trees(
    machine: Machine,
    dataset: Dataset,
    seed: int = 0,
    *,
    looks_back: bool = True,
    failure_weight: float = HEAVIER,
) -> FittedTrees:
    """The machine that writes what was seen, as far as guard trees hold on dataset kept apart.

    It claims nothing of longer inputs than it was grown on. looks_back: guards may ask what was
    written before (a machine to be turned around may not); failure_weight: what an event of a
    failing input weighs at most.
    """
    base, failed = single_token_machine(machine), dataset.failures
    seen = _seen(base, dataset, looks_back, failure_weight)
    scenes = [s.scene for s in seen]
    folds = FINER if len(failed) <= FEW else FOLDS
    fold = validation_folds(len(dataset.inputs), folds, seed)
    paths = [_path(scenes, fold == k) for k in range(folds)]
    most = max(max(p) for p in paths)
    ends = dataset.run(base).batch.status == RunStatus.HALTED
    right = {
        leaves: ends & np.logical_or.reduce([_at(p, leaves) for p in paths])
        for leaves in range(len(scenes), most + 1)
    }
    leaves = _fewest(right, failed)
    roots = grow(scenes, np.zeros(len(failed), dtype=bool), leaves)
    if (right[leaves] & failed).sum() < TELLS * failed.sum():
        for stage, root in zip(seen, roots, strict=True):
            _resign(stage, root, right[leaves], failed)
    longest = Cmp(Reg("n"), "<=", Const(int(dataset.words.n.max(initial=0))))
    within = replace(base, domain=(*base.domain, longest))
    return FittedTrees(machine_of(within, seen, roots), leaves, right[leaves])


def holdout_score(
    machine: Machine, dataset: Dataset, seed: int = 0, *, looks_back: bool = True
) -> int:
    """How many failures kept apart trees grown on a machine explain: a first look."""
    some = dataset.take(np.unique(np.linspace(0, len(dataset.inputs) - 1, LOOK).astype(np.int64)))
    scenes = [s.scene for s in _seen(single_token_machine(machine), some, looks_back, HEAVIER)]
    path = _path(scenes, validation_folds(len(some.inputs), FOLDS, seed) == 0)
    return max(int((m & some.failures).sum()) for m in path.values())


def weights(dataset: Dataset) -> tuple[float, ...]:
    """What is tried as the most that an event of a failing input weighs."""
    return (HEAVIER, HEAVIEST) if len(dataset.inputs) <= LOOK else (HEAVIER,)


def _seen(
    base: Machine, dataset: Dataset, looks_back: bool, failure_weight: float
) -> list[ControlStateData]:
    """The control states with their events; those of failing inputs weigh more where few fail."""
    failed = dataset.failures
    balance = (~failed).sum() / max(failed.sum(), 1)
    weight = np.where(failed, np.clip(balance, 1.0, failure_weight), 1.0).astype(np.float32)
    return stages(base, dataset, weight, looks_back)


def _fewest(right: Mapping[int, Mask], failed: Mask) -> int:
    """The fewest leaves that explain nearly as much as any number does.

    Where some number explains nine in ten of the failures, one of those.
    """
    worth = {k: right[k].sum() - LEAF * k for k in right}
    told = {k: (right[k] & failed).sum() >= TELLS * failed.sum() for k in right}
    least = max(worth.values()) - SLACK * failed.sum()
    near = [k for k in worth if worth[k] >= least]
    return min((k for k in near if told[k]), default=min(near))


def _resign(stage: ControlStateData, node: Node, explained: Mask, failed: Mask) -> None:
    """Leaves that write something else and are not to be trusted give up instead."""
    if node.yes is not None and node.no is not None:
        _resign(stage, node.yes, explained, failed)
        _resign(stage, node.no, explained, failed)
        return
    inputs = stage.scene.inputs[node.events]
    if stage.acts[node.act][0] != OWN and explained[inputs].mean() < TRUSTED:
        node.act = stage.acts.index((LOST, "wrong" if is_reliably_wrong(failed[inputs]) else ""))


def _path(scenes: Sequence[NodeData], apart: Mask) -> dict[int, Mask]:
    """By number of leaves: which of the dataset kept apart are explained."""
    found = dict[int, Mask]()
    counts = dict[int, int]()

    def look(leaves: int, right: Mask) -> bool:
        found[leaves] = apart & right
        counts[leaves] = int(found[leaves].sum())
        return leaves - max(counts, key=lambda k: (counts[k], -k)) < STALE

    grow(scenes, apart, MOST_LEAVES, look)
    return found


def _at(path: dict[int, Mask], leaves: int) -> Mask:
    return path[min(leaves, max(path))]
