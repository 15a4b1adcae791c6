"""Guard trees: the control of a machine as it is, what each step writes learned from a dataset.

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
    ABSTAIN,
    ABSTAIN_FAILING,
    ControlStateData,
    TreeActKind,
    collect_control_states,
    single_token_machine,
)
from recinterp.synthesis.guard_trees.split import NodeData, TreeNode, grow_trees
from recinterp.synthesis.guard_trees.to_rules import build_tree_machine

if TYPE_CHECKING:
    from recinterp.machine import Machine
    from recinterp.synthesis.config import GuardTreeConfig, SearchConfig
    from recinterp.synthesis.dataset import Dataset

Mask: TypeAlias = "Bool[np.ndarray, 'inputs']"

__all__ = ["FittedTrees", "failure_weights", "fit_guard_trees", "holdout_score"]


@dataclass(frozen=True, kw_only=True)
class FittedTrees:
    """A machine with fitted guards.

    Attributes:
        machine: the machine whose rules the trees split.
        leaves: leaves of all trees together.
        explained: the inputs that trees fitted without them explain.
    """

    machine: Machine
    leaves: int
    explained: Bool[np.ndarray, "inputs"]


def fit_guard_trees(
    machine: Machine,
    dataset: Dataset,
    config: SearchConfig,
    *,
    seed: int = 0,
    reads_outputs: bool = True,
    failure_weight: float,
) -> FittedTrees:
    """The machine that writes the dataset's outputs, as far as guard trees hold on validation.

    It claims nothing of longer inputs than it was fitted to.

    Args:
        machine: the machine whose control states, registers and stack are kept.
        dataset: inputs and outputs, in the machine's reading direction.
        config: the thresholds of the search.
        seed: of the validation folds.
        reads_outputs: guards may ask what was written before; not in a machine that is to be
            reversed.
        failure_weight: greatest weight of an event of a failing input.
    """
    trees, failed = config.trees, dataset.failures
    base = single_token_machine(machine)
    states = _weighted_states(base, dataset, config, reads_outputs, failure_weight)
    data = [s.data for s in states]
    folds = trees.small_folds if len(failed) <= trees.small_dataset else trees.folds
    fold = validation_folds(len(dataset.inputs), folds, seed)
    paths = [_validation_path(data, fold == k, trees) for k in range(folds)]
    max_leaves = max(max(p) for p in paths)
    halts = dataset.run(base).batch.status == RunStatus.HALTED
    explained = {
        leaves: halts & np.logical_or.reduce([_up_to_leaves(p, leaves) for p in paths])
        for leaves in range(len(data), max_leaves + 1)
    }
    leaves = _smallest_sufficient(explained, failed, trees)
    roots = grow_trees(data, np.zeros(len(failed), dtype=bool), leaves, trees)
    if (explained[leaves] & failed).sum() < trees.target_recall * failed.sum():
        for state, root in zip(states, roots, strict=True):
            _abstain_where_unreliable(state, root, explained[leaves], failed, config)
    longest = Cmp(Reg("n"), "<=", Const(int(dataset.encoded.n.max(initial=0))))
    within = replace(base, domain=(*base.domain, longest))
    fitted = build_tree_machine(within, states, roots)
    return FittedTrees(machine=fitted, leaves=leaves, explained=explained[leaves])


def holdout_score(
    machine: Machine,
    dataset: Dataset,
    config: SearchConfig,
    *,
    seed: int = 0,
    reads_outputs: bool = True,
) -> int:
    """How many failures of one validation fold are explained by trees fitted to the others.

    Evenly spaced inputs stand for a large dataset: this only compares machines to fit trees on.
    """
    trees = config.trees
    spaced = np.unique(
        np.linspace(0, len(dataset.inputs) - 1, trees.screening_size).astype(np.int64)
    )
    some = dataset.select(spaced)
    base = single_token_machine(machine)
    states = _weighted_states(base, some, config, reads_outputs, trees.failure_weight)
    fold = validation_folds(len(some.inputs), trees.folds, seed) == 0
    path = _validation_path([s.data for s in states], fold, trees)
    return max(int((m & some.failures).sum()) for m in path.values())


def failure_weights(dataset: Dataset, config: GuardTreeConfig) -> tuple[float, ...]:
    """The greatest weights of an event of a failing input that are tried."""
    if len(dataset.inputs) <= config.screening_size:
        return (config.failure_weight, config.small_failure_weight)
    return (config.failure_weight,)


def _weighted_states(
    base: Machine,
    dataset: Dataset,
    config: SearchConfig,
    reads_outputs: bool,
    failure_weight: float,
) -> list[ControlStateData]:
    """The control states with their events; those of failing inputs weigh more where few fail."""
    failed = dataset.failures
    balance = (~failed).sum() / max(failed.sum(), 1)
    weight = np.where(failed, np.clip(balance, 1.0, failure_weight), 1.0).astype(np.float32)
    return collect_control_states(base, dataset, weight, config, reads_outputs=reads_outputs)


def _smallest_sufficient(
    explained: Mapping[int, Mask], failed: Mask, config: GuardTreeConfig
) -> int:
    """The fewest leaves that explain nearly as much as any number does.

    Where some number reaches the target recall of failures, one of those.
    """
    worth = {k: explained[k].sum() - config.leaf_gain * k for k in explained}
    target = config.target_recall * failed.sum()
    reaches = {k: (explained[k] & failed).sum() >= target for k in explained}
    least = max(worth.values()) - config.slack * failed.sum()
    near = [k for k in worth if worth[k] >= least]
    return min((k for k in near if reaches[k]), default=min(near))


def _abstain_where_unreliable(
    state: ControlStateData, node: TreeNode, explained: Mask, failed: Mask, config: SearchConfig
) -> None:
    """Let leaves that write something else abstain where validation explains too few inputs."""
    if node.yes is not None and node.no is not None:
        _abstain_where_unreliable(state, node.yes, explained, failed, config)
        _abstain_where_unreliable(state, node.no, explained, failed, config)
        return
    inputs = state.data.inputs[node.events]
    changes = state.acts[node.act].kind != TreeActKind.OWN
    if changes and explained[inputs].mean() < config.trees.min_leaf_accuracy:
        failing = is_reliably_wrong(failed[inputs], config.reliably_wrong_rate)
        node.act = state.acts.index(ABSTAIN_FAILING if failing else ABSTAIN)


def _validation_path(
    data: Sequence[NodeData], apart: Mask, config: GuardTreeConfig
) -> dict[int, Mask]:
    """By number of leaves: which of the validation inputs are explained."""
    found = dict[int, Mask]()
    counts = dict[int, int]()

    def grow_further(leaves: int, right: Mask) -> bool:
        found[leaves] = apart & right
        counts[leaves] = int(found[leaves].sum())
        return leaves - max(counts, key=lambda k: (counts[k], -k)) < config.patience

    grow_trees(data, apart, config.max_leaves, config, grow_further)
    return found


def _up_to_leaves(path: dict[int, Mask], leaves: int) -> Mask:
    return path[min(leaves, max(path))]
