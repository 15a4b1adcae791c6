"""The kinds of shortcut: each a property of *where* a machine diverges, checked on every input.

A kind with bound k fits a group of divergences if the machine deviates on all inputs that the kind
describes (in this group or another one, and even where the output is correct by coincidence), and
the group contains no other inputs. `docs/kinds.md` defines each. Two kinds that describe the same
inputs of the domain both fit: no observation on the domain can distinguish them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int

from recinterp.divergence.config import DEFAULTS, DivergenceConfig
from recinterp.divergence.results import ShortcutKind
from recinterp.machine.execution.batch import RunStatus

if TYPE_CHECKING:
    from recinterp.machine.execution.batch import MachineBatch
    from recinterp.tasks import Task

Mask = Bool[np.ndarray, "rows"]
Ints = Int[np.ndarray, "rows"]


@dataclass(frozen=True, kw_only=True)
class InputMeasures:
    """What the task measures of each input, whatever the machines do.

    Attributes:
        depth: Recursion depth.
        length: Tokens.
        full_depth: Whether the input is as deep as inputs of its length can be.
    """

    depth: Ints
    length: Ints
    full_depth: Mask

    @classmethod
    def of(cls, task: Task, inputs: Sequence[Sequence[str]]) -> InputMeasures:
        """Measure inputs, once for all groups."""
        depth, length, full = task.measure_many(inputs)
        return cls(
            depth=np.array(depth), length=np.array(length), full_depth=np.array(full, dtype=bool)
        )


@dataclass(frozen=True, kw_only=True)
class GroupFacts:
    """The properties of every input that a kind can refer to, read off both machines' runs.

    Attributes:
        depth: Recursion depth.
        full_depth: Whether the input is as deep as inputs of its length can be.
        length: Tokens.
        height: Most frames on the ground truth's stack.
        fires: At which output indices the diverging step's rule fires.
        prefix: Whether the learned output is a proper prefix of the correct one.
        beyond: Whether the correct output is a proper prefix of the learned one.
        runs: For some rules of a mode of the ground truth, the longest run in which they follow
            each other.
        dropped: Whether the learned output is the correct one without its repeated tokens.
        learned: Runs of the learned machine.
    """

    depth: Ints
    full_depth: Mask
    length: Ints
    height: Ints
    fires: Bool[np.ndarray, "rows time"]
    prefix: Mask
    beyond: Mask
    runs: tuple[Ints, ...]
    dropped: Mask
    learned: MachineBatch

    @cached_property
    def last_at(self) -> Ints:
        """The last output index at which the diverging step's rule fires; -1 if it does not."""
        at = np.arange(self.fires.shape[1])
        return np.where(self.fires, at, -1).max(axis=1, initial=-1)


def collect_facts(
    measures: InputMeasures, truth: MachineBatch, learned: MachineBatch, rules: set[int]
) -> GroupFacts:
    """The facts for one group; `rules`: the ground truth's rules that write the correct token."""
    size = len(measures.depth)
    fires = np.zeros((size, 1 + int(truth.t.max(initial=0))), dtype=bool)
    height = np.zeros(size, dtype=np.int64)
    for event in truth.events:
        height[event.view.inputs] = np.maximum(height[event.view.inputs], event.view.height)
        if event.rule in rules:
            fires[event.view.inputs, event.view.t] = True
    same, claimed = _common(truth, learned), learned.status == RunStatus.HALTED
    return GroupFacts(
        depth=measures.depth,
        full_depth=measures.full_depth,
        length=measures.length,
        height=height,
        fires=fires,
        prefix=claimed & (same == learned.t) & (learned.t < truth.t),
        beyond=claimed & (same == truth.t) & (truth.t < learned.t),
        runs=_longest_runs(truth),
        dropped=claimed & _drops_repeats(truth, learned),
        learned=learned,
    )


def _longest_runs(truth: MachineBatch, max_rules: int = 5) -> tuple[Ints, ...]:
    """For each set of rules that stay in one mode, the longest run of them in each input's run.

    Recursive steps that stay in a mode carry something along (a carry that runs on); a rule that
    begins it anew stays as well, so that sets of some of the rules are counted too.
    """
    machine = truth.machine
    number = {id(r): i for i, r in enumerate(machine.rules)}
    found = []
    for mode in machine.modes:
        stays = [number[id(r)] for r in machine.rules_of(mode) if r.goto == mode]
        for size in range(1, 1 + min(len(stays), max_rules)):
            for some in combinations(stays[:max_rules], size):
                found.append(_longest_run(truth, frozenset(some)))
    return tuple(found)


def _longest_run(truth: MachineBatch, rules: frozenset[int]) -> Ints:
    now = np.zeros(len(truth.source), dtype=np.int64)
    longest = now.copy()
    for event in truth.events:
        rows = event.view.rows
        now[rows] = now[rows] + 1 if event.rule in rules else 0
        longest[rows] = np.maximum(longest[rows], now[rows])
    return longest


def _drops_repeats(truth: MachineBatch, learned: MachineBatch) -> Mask:
    pairs = zip(truth.prefixes(), learned.prefixes(), strict=True)
    return np.array([list(dict.fromkeys(z)) == y for z, y in pairs], dtype=bool)


def _common(one: MachineBatch, other: MachineBatch) -> Ints:
    """Length of the common beginning of two outputs."""
    width = min(one.out.shape[1], other.out.shape[1])
    here = np.arange(width)[None, :]
    equal = one.out[:, :width] == other.out[:, :width]
    equal &= (here < one.t[:, None]) & (here < other.t[:, None])
    return np.where(equal.all(axis=1), width, equal.argmin(axis=1))


def fitting_kinds(
    group: Mask, deviates: Mask, f: GroupFacts, config: DivergenceConfig = DEFAULTS
) -> Iterator[tuple[ShortcutKind, int | None]]:
    """Every kind that fits a group of divergences, with its bound, the most specific first.

    Args:
        group: The inputs of the group.
        deviates: The inputs on which the machine deviates, in this group or another.
        f: The facts of the group.
        config: Thresholds.
    """
    yield from _kinds_of_inputs(group, deviates, f)
    yield from _kinds_of_outputs(group, deviates, f, config)


def _kinds_of_inputs(
    group: Mask, deviates: Mask, f: GroupFacts
) -> Iterator[tuple[ShortcutKind, int | None]]:
    """The kinds with a bound on something that is measured of an input."""
    fires = f.last_at >= 0
    for kind, value, among in (
        (ShortcutKind.BOUNDED_STACK, f.height, fires & (f.height > 0)),
        (ShortcutKind.BOUNDED_DEPTH, f.depth, np.ones(len(group), dtype=bool)),
        (ShortcutKind.DEEP_BASE_CASE, f.depth, f.full_depth),
        (ShortcutKind.POSITION_KEYED, f.last_at, fires),
        (ShortcutKind.LENGTH_KEYED, f.length, fires),
    ):
        bound = _from(group, deviates, value, among)
        if bound is None and kind is ShortcutKind.POSITION_KEYED:
            bound = _only(group, deviates, f.fires)
        if bound is None and kind is ShortcutKind.LENGTH_KEYED:
            bound = _only(group, deviates, fires[:, None] & _one_hot(f.length))
        if bound is not None:
            last_correct = kind in (ShortcutKind.BOUNDED_STACK, ShortcutKind.BOUNDED_DEPTH)
            yield kind, bound - 1 if last_correct else bound
    runs = (_from(group, deviates, value, np.ones(len(group), dtype=bool)) for value in f.runs)
    longest = next((bound for bound in runs if bound is not None), None)
    if longest is not None and longest > 1:
        yield ShortcutKind.BOUNDED_RUN, longest  # so many steps with the one that enters


def _kinds_of_outputs(
    group: Mask, deviates: Mask, f: GroupFacts, config: DivergenceConfig
) -> Iterator[tuple[ShortcutKind, int | None]]:
    """The kinds that say what the wrong outputs have in common, and that a step is always wrong."""
    fires = f.last_at >= 0
    if (f.learned.status[group] == RunStatus.ENDLESS).all():
        yield ShortcutKind.DOES_NOT_END, None
    if f.dropped[group].all():
        yield ShortcutKind.DROPPED_REPEATS, None
    if deviates[fires].all() and fires[group].all():
        yield ShortcutKind.MISSING_RULE, None
    if f.prefix[group].all():
        ends = f.learned.t[group]
        yield ShortcutKind.PREMATURE_END, int(ends[0]) if (ends == ends[0]).all() else None
    if f.beyond[group].all():
        yield ShortcutKind.OVERRUN, None
    if _copies_positions(group, f.learned, config.min_inputs_per_length):
        yield ShortcutKind.COPIED_PATTERN, None


def _only(group: Mask, deviates: Mask, at: Bool[np.ndarray, "rows value"]) -> int | None:
    """k, where the group lies in the inputs that `at` marks at k, on all of which it deviates."""
    for k in np.flatnonzero(at[group].all(axis=0)).tolist():
        if deviates[at[:, k]].all() and at[:, k].sum() < at.any(axis=1).sum():
            return int(k)
    return None


def _one_hot(value: Ints) -> Bool[np.ndarray, "rows value"]:
    return value[:, None] == np.arange(1 + int(value.max(initial=0)))


def _copies_positions(group: Mask, learned: MachineBatch, min_inputs: int) -> bool:
    """Whether every output token stands at one place of the input, the same for a whole length."""
    words, rows = learned.words, np.flatnonzero(group & (learned.status == RunStatus.HALTED))
    n, seen = words.n[rows], False
    for length in np.unique(n).tolist():
        mine = rows[n == length]
        ends, read = learned.t[mine], words.tokens[mine, :length]
        if len(mine) < min_inputs or not ends.any():
            continue
        written = learned.out[mine, : int(ends.max())]
        if (ends != ends[0]).any():
            return False
        if not (read[:, None, :] == written[:, :, None]).all(axis=0).any(axis=1).all():
            return False
        seen = True
    return seen


def _from(group: Mask, deviates: Mask, value: Ints, among: Mask) -> int | None:
    """k, if the group lies in {among, value >= k}, which all deviates, and some is below."""
    if not among[group].all():
        return None
    k = int(value[group].min())
    described = among & (value >= k)
    some_do_not = bool((among & (value < k)).any())
    return k if some_do_not and deviates[described].all() else None
