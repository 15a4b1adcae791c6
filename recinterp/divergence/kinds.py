"""The kinds of shortcut: each a property of *where* a machine departs, checked input by input.

A kind with bound k fits a group of departures when the machine goes astray on all inputs that it
describes (in this group or another; now and then what is written comes out right all the same) and
the group holds none besides. `docs/` defines each. Two kinds that describe
the same inputs on the domain both fit: nothing seen there tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int

from recinterp.machine.execution.batch import HALTED

if TYPE_CHECKING:
    from recinterp.machine.execution.batch import Batch
    from recinterp.tasks import Task

Mask = Bool[np.ndarray, "rows"]
Ints = Int[np.ndarray, "rows"]
NEVER = -1
ENOUGH = 4  # inputs of a length, to say that all of them are copied from the same places


@dataclass(frozen=True)
class Measures:
    """What the task says of each input, whatever the machines do."""

    depth: Ints
    length: Ints
    full_depth: Mask

    @classmethod
    def of(cls, task: Task, inputs: Sequence[Sequence[str]]) -> Measures:
        """Measure inputs, once for all groups."""
        depth, length, full = task.measure_many(inputs)
        return cls(np.array(depth), np.array(length), np.array(full, dtype=bool))


@dataclass(frozen=True)
class Facts:
    """What a kind may speak of, for every input: numbers read off both machines' runs."""

    depth: Ints
    full_depth: Mask
    length: Ints
    height: Ints
    fires: Bool[np.ndarray, "rows time"]  # at which output indices the departing step's rule fires
    prefix: Mask  # the learned output is a proper beginning of the true one
    beyond: Mask  # the true output is a proper beginning of the learned one
    learned: Batch

    @cached_property
    def last_at(self) -> Ints:
        """The last output index at which the departing step's rule fires, NEVER if it does not."""
        at = np.arange(self.fires.shape[1])
        return np.where(self.fires, at, NEVER).max(axis=1, initial=NEVER)


def collect_facts(measures: Measures, truth: Batch, learned: Batch, rules: set[int]) -> Facts:
    """The facts for one group: `rules` are the true machine's rules that own the departure."""
    size = len(measures.depth)
    fires = np.zeros((size, 1 + int(truth.t.max(initial=0))), dtype=bool)
    height = np.zeros(size, dtype=np.int64)
    for event in truth.events:
        height[event.view.inputs] = np.maximum(height[event.view.inputs], event.view.height)
        if event.rule in rules:
            fires[event.view.inputs, event.view.t] = True
    same, claimed = _common(truth, learned), learned.status == HALTED
    return Facts(
        measures.depth,
        measures.full_depth,
        measures.length,
        height,
        fires,
        claimed & (same == learned.t) & (learned.t < truth.t),
        claimed & (same == truth.t) & (truth.t < learned.t),
        learned,
    )


def _common(one: Batch, other: Batch) -> Ints:
    """Length of the common beginning of two outputs."""
    width = min(one.out.shape[1], other.out.shape[1])
    here = np.arange(width)[None, :]
    equal = one.out[:, :width] == other.out[:, :width]
    equal &= (here < one.t[:, None]) & (here < other.t[:, None])
    return np.where(equal.all(axis=1), width, equal.argmin(axis=1))


def fitting_kinds(group: Mask, astray: Mask, f: Facts) -> Iterator[tuple[str, int | None]]:
    """Every kind that fits a group of departures, with its bound, the most specific first."""
    fires = f.last_at >= 0
    for name, value, among in (
        ("bounded-stack", f.height, fires & (f.height > 0)),
        ("bounded-depth", f.depth, np.ones(len(group), dtype=bool)),
        ("deep-base-case", f.depth, f.full_depth),
        ("position-keyed", f.last_at, fires),
        ("length-keyed", f.length, fires),
    ):
        bound = _from(group, astray, value, among)
        if bound is None and name == "position-keyed":
            bound = _only(group, astray, f.fires)
        if bound is None and name == "length-keyed":
            bound = _only(group, astray, fires[:, None] & _one_hot(f.length))
        if bound is not None:
            yield name, bound - 1 if name in ("bounded-stack", "bounded-depth") else bound
    if astray[fires].all() and fires[group].all():
        yield "missing-rule", None
    if f.prefix[group].all():
        ends = f.learned.t[group]
        yield "premature-end", int(ends[0]) if (ends == ends[0]).all() else None
    if f.beyond[group].all():
        yield "overrun", None
    if _copied(group, f.learned):
        yield "copied-pattern", None


def _only(group: Mask, astray: Mask, at: Bool[np.ndarray, "rows value"]) -> int | None:
    """k, where the group lies in the inputs that `at` marks at k, all of which go astray."""
    for k in np.flatnonzero(at[group].all(axis=0)).tolist():
        if astray[at[:, k]].all() and at[:, k].sum() < at.any(axis=1).sum():
            return int(k)
    return None


def _one_hot(value: Ints) -> Bool[np.ndarray, "rows value"]:
    return value[:, None] == np.arange(1 + int(value.max(initial=0)))


def _copied(group: Mask, learned: Batch) -> bool:
    """Whether every output token stands at one place of the input, the same for a whole length."""
    words, rows = learned.words, np.flatnonzero(group & (learned.status == HALTED))
    n, seen = words.n[rows], False
    for length in np.unique(n).tolist():
        mine = rows[n == length]
        ends, read = learned.t[mine], words.tokens[mine, :length]
        if len(mine) < ENOUGH or not ends.any():
            continue
        written = learned.out[mine, : int(ends.max())]
        if (ends != ends[0]).any():
            return False
        if not (read[:, None, :] == written[:, :, None]).all(axis=0).any(axis=1).all():
            return False
        seen = True
    return seen


def _from(group: Mask, astray: Mask, value: Ints, among: Mask) -> int | None:
    """k, where the group lies in {among, value >= k}, all of it astray, and some is below."""
    if not among[group].all():
        return None
    k = int(value[group].min())
    described = among & (value >= k)
    some_do_not = bool((among & (value < k)).any())
    return k if some_do_not and astray[described].all() else None


TEXT: dict[str, Callable[[int | None], str]] = {
    "bounded-depth": lambda k: f"follows the recursion to depth {k} and no further",
    "bounded-stack": lambda k: f"is right while at most {k} calls are pending, then not",
    "deep-base-case": lambda k: f"takes the base case wrongly after {k} or more recursive steps",
    "position-keyed": lambda k: f"takes this step wrongly by where it is written: position {k}",
    "length-keyed": lambda k: f"takes this step wrongly by the input's length: {k} tokens",
    "copied-pattern": lambda _: "copies fixed places of the input, the same for a whole length",
    "missing-rule": lambda _: "never takes this step rightly",
    "premature-end": lambda k: (
        "stops writing too early" + ("" if k is None else f", after {k} tokens")
    ),
    "overrun": lambda _: "writes on where the output should end",
    "degenerate": lambda _: "writes the same whatever the input",
    "other": lambda _: "departs in a way that no named kind describes",
}


def sentence(kinds_found: Sequence[tuple[str, int | None]]) -> str:
    """A group's kinds in words; further ones are what cannot be told apart from the first."""
    first, *rest = kinds_found
    said = TEXT[first[0]](first[1])
    named = [f"{name} {'' if k is None else k}".strip() for name, k in rest]
    return said + (f" (on this domain also: {', '.join(named)})" if named else "")
