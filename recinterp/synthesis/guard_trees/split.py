"""Growing guard trees: which question parts the events of a node best, and what each leaf does.

An event may be explained by several acts (a token that is copied is also some token), so classes
are made anew in every node: the act that explains most of its events first, then the act that
explains most of the rest. A question is an atom, or a vote among a few: at least m of n hold, grown
atom by atom as long as it parts the classes clearly better. Splits are those of a classification
tree (Gini), the best of all trees first; how far to grow is read off outputs that were kept apart.

Sources: L. Breiman et al., Classification and Regression Trees (1984), for the criterion;
M. Craven, J. Shavlik, Extracting tree-structured representations of trained networks (1996), for
questions of m of n, asked of a network.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

CLASSES = 10  # acts told apart in one node
LEAST = 2  # events on each side of a split
FIRST = 2  # atoms that a vote is begun with
MOST_VOTES = 4  # atoms of a vote
BETTER = 1.05  # so much better has a vote to part for one atom more
LOOKED_AT = 6_000  # events that a question is chosen by
Some = Int[np.ndarray, "some"]


@dataclass(frozen=True)
class NodeData:
    """The events of one control state: what holds there, and which acts explain them.

    inputs: the input each event belongs to; apart: events that nothing may be grown from.
    """

    holds: Bool[np.ndarray, "events atoms"]
    fits: Bool[np.ndarray, "events acts"]
    inputs: Int[np.ndarray, "events"]
    weight: Float[np.ndarray, "events"]


@dataclass(frozen=True)
class Question:
    """At least so many of some atoms hold; each by its column, and whether it or its opposite."""

    least: int
    atoms: tuple[tuple[int, bool], ...]

    def held(self, scene: NodeData, events: Some) -> Bool[np.ndarray, "some"]:
        """At which events the answer is yes."""
        return _votes(scene.holds[events], self) >= self.least


@dataclass
class Node:
    """A node: the events grown from and all of them, the act, and once split question and sides."""

    scene: int
    grown: Some
    events: Some
    act: int
    question: Question | None = None
    yes: Node | None = None
    no: Node | None = None


@dataclass(frozen=True)
class Split:
    """The best split of a node, and what it gains."""

    gain: float
    question: Question


def grow(
    scenes: Sequence[NodeData],
    apart: Bool[np.ndarray, "inputs"],
    most: int,
    seen: Callable[[int, Bool[np.ndarray, "inputs"]], bool] = lambda *_: True,
) -> list[Node]:
    """One tree for each scene, together of at most so many leaves.

    seen: told, after each split, the number of leaves and which inputs every event of which is
    explained; growing ends where it says False.
    """
    wrong = np.zeros(len(apart), dtype=np.int64)
    roots, heap = list[Node](), list[tuple[float, int, Node, Split]]()

    def push(node: Node) -> None:
        split = best_split(scenes[node.scene], node.grown)
        if split is not None:
            heapq.heappush(heap, (-split.gain, len(heap) + 1_000_000 * leaves, node, split))

    leaves = len(scenes)
    for number, scene in enumerate(scenes):
        everything = np.arange(len(scene.inputs))
        root = _node(number, scene, everything[~apart[scene.inputs]], everything)
        _count(wrong, scene, root, 1)
        roots.append(root)
        push(root)
    while heap and leaves < most and seen(leaves, wrong == 0):
        _, _, node, split = heapq.heappop(heap)
        scene = scenes[node.scene]
        _count(wrong, scene, node, -1)
        node.question = split.question
        grown, every = (split.question.held(scene, e) for e in (node.grown, node.events))
        node.yes, node.no = (
            _node(node.scene, scene, node.grown[grown == side], node.events[every == side])
            for side in (True, False)
        )
        leaves += 1
        for child in (node.yes, node.no):
            _count(wrong, scene, child, 1)
            push(child)
    seen(leaves, wrong == 0)
    return roots


def best_split(scene: NodeData, events: Some) -> Split | None:
    """The question that leaves the purest sides; None where one act explains every event."""
    share = max(1.0, len(events) / LOOKED_AT)
    some = events[(np.arange(int(len(events) / share)) * share).astype(np.int64)]
    weight = scene.weight[some]
    labels = _classes(scene.fits[some], weight)
    if labels is None or not scene.holds.shape[1]:
        return None
    ballot = Ballot(scene.holds[some], labels * weight[:, None])
    found = [ballot.grown(q) for q in ballot.first()]
    best = max(found, key=lambda s: s.gain, default=None)
    return None if best is None else Split(best.gain * share, best.question)


@dataclass(frozen=True)
class Ballot:
    """The events of a node with their weight by class, and how well questions part them."""

    holds: Bool[np.ndarray, "some atoms"]
    mass: Float[np.ndarray, "some classes"]

    @cached_property
    def _held(self) -> Float[np.ndarray, "some atoms"]:
        """The same as numbers, to be multiplied."""
        return self.holds.astype(np.float32)

    @cached_property
    def _counted(self) -> Float[np.ndarray, "some 1+classes"]:
        """For each event 1, and its weight by class."""
        return np.column_stack([np.ones(len(self.mass)), self.mass]).astype(np.float32)

    def first(self) -> list[Split]:
        """The single atoms that part best, those that gain anything."""
        nothing = np.zeros(len(self.holds), dtype=np.int64)
        gain = self._gains(nothing, 1)[0]
        best = np.argsort(-gain, kind="stable")[:FIRST]
        return [
            Split(float(gain[k]), Question(1, ((int(k), True),))) for k in best if gain[k] > 1e-6
        ]

    def grown(self, split: Split) -> Split:
        """A question with further atoms, as long as each lets it part clearly better."""
        while len(split.question.atoms) < MOST_VOTES:
            more = max(self._with_one_more(split.question), key=lambda s: s.gain)
            if more.gain <= BETTER * split.gain:
                break
            split = more
        return split

    def _with_one_more(self, question: Question) -> Iterator[Split]:
        """The best questions of one atom more: as many of them have to hold, or one more."""
        votes = _votes(self.holds, question)
        asked = [k for k, _ in question.atoms]
        for least in (question.least, question.least + 1):
            for gain, so in zip(self._gains(votes, least), (True, False), strict=True):
                gain[asked] = -np.inf
                best = int(np.argmax(gain))
                atoms = (*question.atoms, (best, so))
                yield Split(float(gain[best]), Question(least, atoms))

    def _gains(self, votes: Int[np.ndarray, "some"], least: int) -> Float[np.ndarray, "2 atoms"]:
        """What each atom, then its opposite, gains as a vote more, where one is wanting."""
        sure, open_ = votes >= least, votes == least - 1
        counted = self._counted[open_]
        held = self._held[open_].T @ counted
        yes = np.stack([held, counted.sum(axis=0) - held]) + self._counted[sure].sum(axis=0)
        count, yes = yes[..., 0], yes[..., 1:]
        total = self._counted[:, 1:].sum(axis=0)
        gain = _purity(yes) + _purity(total - yes) - _purity(total[None, :])
        gain[(count < LEAST) | (len(votes) - count < LEAST)] = -np.inf
        return gain


def _votes(holds: Bool[np.ndarray, "some atoms"], question: Question) -> Int[np.ndarray, "some"]:
    """How many of a question's atoms hold at each event."""
    columns = [k for k, _ in question.atoms]
    signs = np.array([is_so for _, is_so in question.atoms])
    return np.count_nonzero(holds[:, columns] == signs, axis=1)


def _purity(mass: Float[np.ndarray, "... classes"]) -> Float[np.ndarray, "..."]:
    return (mass**2).sum(axis=-1) / np.maximum(mass.sum(axis=-1), 1e-9)


def _classes(
    fits: Bool[np.ndarray, "some acts"], weight: Float[np.ndarray, "some"]
) -> Float[np.ndarray, "some classes"] | None:
    """Each event's class: the first act, by how many it explains, that explains it."""
    left = weight.copy()
    masses = fits.astype(np.float32)
    rows = list[Bool[np.ndarray, "some"]]()
    for _ in range(CLASSES):
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


def _node(number: int, scene: NodeData, grown: Some, events: Some) -> Node:
    cover = scene.weight[grown] @ scene.fits[grown]
    return Node(number, grown, events, int(np.argmax(cover)) if len(cover) else 0)


def _count(wrong: Int[np.ndarray, "inputs"], scene: NodeData, node: Node, sign: int) -> None:
    missed = node.events[~scene.fits[node.events, node.act]]
    np.add.at(wrong, scene.inputs[missed], sign)
