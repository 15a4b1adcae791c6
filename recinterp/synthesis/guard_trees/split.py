"""Growing guard trees: which question separates a node's events best, and what each leaf does.

An event may be explained by several acts (a token that is copied is also some token), so classes
are made anew in every node: the act that explains most of its events first, then the act that
explains most of the rest. A question is an atom, or a vote among a few: at least m of n hold, grown
atom by atom as long as it separates the classes clearly better. Splits are those of a
classification tree (Gini), the best of all trees first; validation says how far to grow.

References:
    L. Breiman et al., Classification and Regression Trees (1984), for the criterion.
    M. Craven, J. Shavlik, Extracting tree-structured representations of trained networks (1996),
    for questions of m of n, asked of a network.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

if TYPE_CHECKING:
    from recinterp.synthesis.config import GuardTreeConfig

Some = Int[np.ndarray, "some"]
Continue: TypeAlias = "Callable[[int, Bool[np.ndarray, 'inputs']], bool]"


@dataclass(frozen=True)
class NodeData:
    """The events of one control state: what holds there, and which acts explain them.

    Attributes:
        holds: whether each atom holds at each event.
        fits: whether each act writes, at each event, what the output has there.
        inputs: the input that each event belongs to.
        weight: of each event.
    """

    holds: Bool[np.ndarray, "events atoms"]
    fits: Bool[np.ndarray, "events acts"]
    inputs: Int[np.ndarray, "events"]
    weight: Float[np.ndarray, "events"]


@dataclass(frozen=True)
class Question:
    """Whether at least `least` of some atoms hold; each by its column, True or negated (False)."""

    least: int
    atoms: tuple[tuple[int, bool], ...]

    def held(self, data: NodeData, events: Some) -> Bool[np.ndarray, "some"]:
        """At which events the answer is yes."""
        return _votes(data.holds[events], self) >= self.least


@dataclass
class TreeNode:
    """A node of a guard tree.

    Attributes:
        tree: the number of the tree, which is that of its control state.
        grown: the events that the tree is grown from and that reach this node.
        events: all events that reach it, those kept for validation among them.
        act: what a leaf does here, by its column.
        question: what separates the two children; None in a leaf.
        yes: the child where the answer is yes.
        no: the child where it is no.
    """

    tree: int
    grown: Some
    events: Some
    act: int
    question: Question | None = None
    yes: TreeNode | None = None
    no: TreeNode | None = None


@dataclass(frozen=True)
class NodeSplit:
    """A split of a node, and how much purer it leaves the events."""

    gain: float
    question: Question


def grow_trees(
    data: Sequence[NodeData],
    apart: Bool[np.ndarray, "inputs"],
    max_leaves: int,
    config: GuardTreeConfig,
    grow_further: Continue = lambda *_: True,
) -> list[TreeNode]:
    """One tree for each control state, together of at most so many leaves.

    Args:
        data: the events of each control state.
        apart: inputs that nothing may be grown from.
        max_leaves: leaves of all trees together.
        config: the thresholds of a split.
        grow_further: called after each split with the number of leaves and the inputs every event
            of which is explained; growing ends where it returns False.
    """
    return _Forest(data, apart, config).grow(max_leaves, grow_further)


class _Forest:
    """Trees that are grown together, the best split of all of them first."""

    def __init__(
        self,
        data: Sequence[NodeData],
        apart: Bool[np.ndarray, "inputs"],
        config: GuardTreeConfig,
    ) -> None:
        self.data, self.config = data, config
        self.wrong = np.zeros(len(apart), dtype=np.int64)  # unexplained events of each input
        self.leaves = len(data)
        self.roots = list[TreeNode]()
        self._heap = list[tuple[float, int, TreeNode, NodeSplit]]()
        for number, state in enumerate(data):
            everything = np.arange(len(state.inputs))
            root = _node(number, state, everything[~apart[state.inputs]], everything)
            self.roots.append(root)
            self._add(root)

    def grow(self, max_leaves: int, grow_further: Continue) -> list[TreeNode]:
        """Split until nothing is gained, or as many leaves are reached, or the caller says so."""
        while self._heap and self.leaves < max_leaves:
            if not grow_further(self.leaves, self.wrong == 0):
                break
            _, _, node, split = heapq.heappop(self._heap)
            self._split(node, split.question)
        grow_further(self.leaves, self.wrong == 0)
        return self.roots

    def _split(self, node: TreeNode, question: Question) -> None:
        state = self.data[node.tree]
        self._count(node, -1)
        node.question = question
        grown, every = (question.held(state, e) for e in (node.grown, node.events))
        node.yes, node.no = (
            _node(node.tree, state, node.grown[grown == side], node.events[every == side])
            for side in (True, False)
        )
        self.leaves += 1
        self._add(node.yes)
        self._add(node.no)

    def _add(self, leaf: TreeNode) -> None:
        """Count what a leaf leaves unexplained, and queue its best split."""
        self._count(leaf, 1)
        split = best_split(self.data[leaf.tree], leaf.grown, self.config)
        if split is not None:
            order = len(self._heap) + 1_000_000 * self.leaves
            heapq.heappush(self._heap, (-split.gain, order, leaf, split))

    def _count(self, node: TreeNode, sign: int) -> None:
        state = self.data[node.tree]
        missed = node.events[~state.fits[node.events, node.act]]
        np.add.at(self.wrong, state.inputs[missed], sign)


def best_split(data: NodeData, events: Some, config: GuardTreeConfig) -> NodeSplit | None:
    """The question that leaves the purest sides; None where one act explains every event."""
    share = max(1.0, len(events) / config.split_sample_size)
    some = events[(np.arange(int(len(events) / share)) * share).astype(np.int64)]
    weight = data.weight[some]
    labels = _classes(data.fits[some], weight, config.max_classes)
    if labels is None or not data.holds.shape[1]:
        return None
    ballot = Ballot(data.holds[some], labels * weight[:, None], config)
    found = [ballot.extend(split) for split in ballot.single_atoms()]
    best = max(found, key=lambda s: s.gain, default=None)
    return None if best is None else NodeSplit(best.gain * share, best.question)


@dataclass(frozen=True)
class Ballot:
    """The events of a node with their weight by class, and how well questions separate them."""

    holds: Bool[np.ndarray, "some atoms"]
    mass: Float[np.ndarray, "some classes"]
    config: GuardTreeConfig

    @cached_property
    def _held(self) -> Float[np.ndarray, "some atoms"]:
        """`holds` as numbers, to be multiplied."""
        return self.holds.astype(np.float32)

    @cached_property
    def _counted(self) -> Float[np.ndarray, "some 1+classes"]:
        """For each event 1, and its weight by class."""
        return np.column_stack([np.ones(len(self.mass)), self.mass]).astype(np.float32)

    def single_atoms(self) -> list[NodeSplit]:
        """The single atoms that separate best, those that gain anything."""
        nothing = np.zeros(len(self.holds), dtype=np.int64)
        gain = self._gains(nothing, 1)[0]
        best = np.argsort(-gain, kind="stable")[: self.config.initial_atoms]
        return [
            NodeSplit(float(gain[k]), Question(1, ((int(k), True),)))
            for k in best
            if gain[k] > 1e-6
        ]

    def extend(self, split: NodeSplit) -> NodeSplit:
        """A question with further atoms, as long as each lets it separate clearly better."""
        while len(split.question.atoms) < self.config.max_votes:
            more = max(self._with_one_more(split.question), key=lambda s: s.gain)
            if more.gain <= self.config.min_vote_gain * split.gain:
                break
            split = more
        return split

    def _with_one_more(self, question: Question) -> Iterator[NodeSplit]:
        """The best questions of one atom more: as many of them have to hold, or one more."""
        votes = _votes(self.holds, question)
        present = [k for k, _ in question.atoms]
        for least in (question.least, question.least + 1):
            for gain, so in zip(self._gains(votes, least), (True, False), strict=True):
                gain[present] = -np.inf
                best = int(np.argmax(gain))
                atoms = (*question.atoms, (best, so))
                yield NodeSplit(float(gain[best]), Question(least, atoms))

    def _gains(self, votes: Int[np.ndarray, "some"], least: int) -> Float[np.ndarray, "2 atoms"]:
        """What each atom, then its opposite, gains as a vote more, where one is wanting."""
        enough, open_ = votes >= least, votes == least - 1
        counted = self._counted[open_]
        held = self._held[open_].T @ counted
        yes = np.stack([held, counted.sum(axis=0) - held]) + self._counted[enough].sum(axis=0)
        count, yes = yes[..., 0], yes[..., 1:]
        total = self._counted[:, 1:].sum(axis=0)
        gain = _purity(yes) + _purity(total - yes) - _purity(total[None, :])
        min_events = self.config.min_side_events
        gain[(count < min_events) | (len(votes) - count < min_events)] = -np.inf
        return gain


def _votes(holds: Bool[np.ndarray, "some atoms"], question: Question) -> Int[np.ndarray, "some"]:
    """How many of a question's atoms hold at each event."""
    columns = [k for k, _ in question.atoms]
    signs = np.array([is_so for _, is_so in question.atoms])
    return np.count_nonzero(holds[:, columns] == signs, axis=1)


def _purity(mass: Float[np.ndarray, "... classes"]) -> Float[np.ndarray, "..."]:
    return (mass**2).sum(axis=-1) / np.maximum(mass.sum(axis=-1), 1e-9)


def _classes(
    fits: Bool[np.ndarray, "some acts"], weight: Float[np.ndarray, "some"], max_classes: int
) -> Float[np.ndarray, "some classes"] | None:
    """Each event's class: the first act, by how many it explains, that explains it."""
    left = weight.copy()
    masses = fits.astype(np.float32)
    rows = list[Bool[np.ndarray, "some"]]()
    for _ in range(max_classes):
        cover = left @ masses
        act = int(np.argmax(cover)) if len(cover) else -1
        if act < 0 or cover[act] <= 0:
            break
        mine = fits[:, act] & (left > 0)
        rows.append(mine)
        left = np.where(mine, 0, left)
        if len(rows) == 1 and not left.any():
            return None
    rows.append(left > 0)
    return np.stack(rows, axis=1).astype(np.float32)


def _node(number: int, data: NodeData, grown: Some, events: Some) -> TreeNode:
    cover = data.weight[grown] @ data.fits[grown]
    return TreeNode(number, grown, events, int(np.argmax(cover)) if len(cover) else 0)
