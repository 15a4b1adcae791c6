"""Growing guard trees: which atom parts the events of a node best, and which act each leaf takes.

An event may be explained by several acts (a token that is copied is also some token), so classes
are made anew in every node: the act that explains most of its events first, then the act that
explains most of the rest. Splits are those of a classification tree (Gini), the best of all trees
first; how far to grow is read off whole outputs that were kept apart.

Source: L. Breiman et al., Classification and Regression Trees (1984), for the criterion.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

CLASSES = 10  # acts told apart in one node
LEAST = 2  # events on each side of a split
Some = Int[np.ndarray, "some"]


@dataclass(frozen=True)
class Scene:
    """The events of one control state: what holds there, and which acts explain them.

    inputs: the input each event belongs to; apart: events that nothing may be grown from.
    """

    holds: Bool[np.ndarray, "events atoms"]
    fits: Bool[np.ndarray, "events acts"]
    inputs: Int[np.ndarray, "events"]
    weight: Float[np.ndarray, "events"]


@dataclass
class Node:
    """A node: the events grown from and all of them, the act, and once split the atom and sides."""

    scene: int
    grown: Some
    events: Some
    act: int
    atom: int = -1
    yes: Node | None = None
    no: Node | None = None


@dataclass(frozen=True)
class Split:
    """The best split of a node."""

    gain: float
    atom: int


def grow(
    scenes: Sequence[Scene],
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
        held = scene.holds[:, split.atom]
        _count(wrong, scene, node, -1)
        node.atom = split.atom
        node.yes, node.no = (
            _node(node.scene, scene, node.grown[side[node.grown]], node.events[side[node.events]])
            for side in (held, ~held)
        )
        leaves += 1
        for child in (node.yes, node.no):
            _count(wrong, scene, child, 1)
            push(child)
    seen(leaves, wrong == 0)
    return roots


def best_split(scene: Scene, events: Some) -> Split | None:
    """The atom that leaves the purest sides; None where one act explains every event."""
    fits, weight = scene.fits[events], scene.weight[events]
    labels = _classes(fits, weight)
    if labels is None:
        return None
    mass = labels * weight[:, None]
    held = scene.holds[events].astype(np.float32)
    inside, total = held.T @ mass, mass.sum(axis=0)
    outside, count = total - inside, held.sum(axis=0)
    purity = _purity(inside) + _purity(outside) - _purity(total[None, :])
    purity[(count < LEAST) | (len(events) - count < LEAST)] = -np.inf
    best = int(np.argmax(purity)) if len(purity) else -1
    return Split(float(purity[best]), best) if best >= 0 and purity[best] > 1e-6 else None


def _purity(mass: Float[np.ndarray, "rows classes"]) -> Float[np.ndarray, "rows"]:
    whole = mass.sum(axis=1)
    return (mass**2).sum(axis=1) / np.maximum(whole, 1e-9)


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


def _node(number: int, scene: Scene, grown: Some, events: Some) -> Node:
    cover = scene.weight[grown] @ scene.fits[grown]
    return Node(number, grown, events, int(np.argmax(cover)) if len(cover) else 0)


def _count(wrong: Int[np.ndarray, "inputs"], scene: Scene, node: Node, sign: int) -> None:
    missed = node.events[~scene.fits[node.events, node.act]]
    np.add.at(wrong, scene.inputs[missed], sign)
