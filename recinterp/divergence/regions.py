"""Where a model is right, as one condition that people read.

The inputs on which a model is wrong are described by at most four comparisons: `depth > 3`, or
`length > 8 and X1 twice`, joined by *or*. The condition is chosen on the queries from which the
machine was made and judged on other inputs. It says where the model fails, not what it writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Bool, Int

from recinterp.machine.execution.batch import run_batch
from recinterp.stats import Rate
from recinterp.tokens import ARG_SEP

if TYPE_CHECKING:
    from recinterp.divergence.config import DivergenceConfig
    from recinterp.machine import Machine
    from recinterp.tasks import Task

Mask: TypeAlias = Bool[np.ndarray, "rows"]
Ints: TypeAlias = Int[np.ndarray, "rows"]


class FeatureKind(StrEnum):
    """What is measured of an input.

    DEPTH: the recursion depth. LENGTH: tokens of the input. OUTPUT_LENGTH: tokens of the correct
    output. STACK: most frames on the ground-truth machine's stack. COUNT: how often a token stands
    in the input. OUTPUT_COUNT: in the correct output. RUN: the longest run of a token in the input.
    FIRST, LAST: the first and the last position of a token, from 0; -1 where there is none.
    """

    DEPTH = "depth"
    LENGTH = "length"
    OUTPUT_LENGTH = "output-length"
    STACK = "stack"
    COUNT = "count"
    OUTPUT_COUNT = "output-count"
    RUN = "run"
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, kw_only=True)
class InputCondition:
    """A comparison of one measure of an input with a number.

    Attributes:
        kind: What is measured.
        token: The token that is counted or looked for; empty for the other measures.
        at_least: Whether the measure is at least `bound`; otherwise it is at most `bound`.
        bound: The number.
    """

    kind: FeatureKind
    token: str = ""
    at_least: bool
    bound: int

    def holds(self, features: Features) -> Mask:
        """On which inputs it holds.

        Args:
            features: The measures of the inputs, by kind and token.
        """
        value = features[self.kind, self.token]
        held: Mask = value >= self.bound if self.at_least else value <= self.bound
        return held


Features: TypeAlias = Mapping[tuple[FeatureKind, str], Ints]
Conjunction: TypeAlias = tuple[InputCondition, ...]


@dataclass(frozen=True, kw_only=True)
class Region:
    """The inputs on which a model is right, by a condition on those on which it is wrong.

    Attributes:
        wrong_where: Conjunctions of comparisons; the model is predicted to be wrong where one of
            them holds. None: nowhere.
        right: Correct outputs, of the compared inputs on which none holds.
        recall: Of the model's errors, those on inputs on which one holds.
        precision: Of the inputs on which one holds, those on which the model errs.
        right_held_out: `right` on the inputs that are held out from the search.
        recall_held_out: `recall` on those.
        precision_held_out: `precision` on those.
    """

    wrong_where: tuple[Conjunction, ...]
    right: Rate
    recall: Rate
    precision: Rate
    right_held_out: Rate
    recall_held_out: Rate
    precision_held_out: Rate

    def is_bounded(self, config: DivergenceConfig) -> bool:
        """Whether the region holds a verdict: on the compared inputs and on those held out.

        Args:
            config: The least rates and counts.
        """
        if not self.wrong_where or self.right.total < config.min_region_inputs:
            return False
        compared = (self.right, self.recall, self.precision)
        apart = (self.right_held_out, self.recall_held_out, self.precision_held_out)
        return all(
            right.total > 0
            and right.value >= config.min_region_right
            and (not recall.total or recall.value >= config.min_region_recall)
            and (not precision.total or precision.value >= config.min_region_precision)
            for right, recall, precision in (compared, apart)
        )


FeatureKey: TypeAlias = tuple[FeatureKind, str]


def list_features(task: Task, truth: Machine, max_tokens: int = 24) -> list[FeatureKey]:
    """Every measure of a task's inputs, the simplest first; of many constructors the first ones."""
    of_tokens = [
        FeatureKind.COUNT,
        FeatureKind.OUTPUT_COUNT,
        FeatureKind.RUN,
        FeatureKind.FIRST,
        FeatureKind.LAST,
    ]
    whole = [FeatureKind.DEPTH, FeatureKind.LENGTH, FeatureKind.OUTPUT_LENGTH]
    whole += [FeatureKind.STACK] * bool(truth.frames)
    tokens = [x for x in task.constructors if x != ARG_SEP][:max_tokens]
    return [*((kind, "") for kind in whole), *((kind, x) for x in tokens for kind in of_tokens)]


def measure_features(
    task: Task,
    truth: Machine,
    inputs: Sequence[Sequence[str]],
    expected: Sequence[Sequence[str]],
    keys: Sequence[FeatureKey],
) -> Features:
    """Some measures of some inputs.

    Args:
        task: The task, which measures depth and length.
        truth: The ground-truth machine.
        inputs: Tokens of N inputs.
        expected: The correct output of each.
        keys: The measures, each with its token.
    """
    depth, length, _ = task.measure_many(inputs)
    found: dict[FeatureKey, Ints] = {}
    for kind, token in keys:
        match kind:
            case FeatureKind.DEPTH:
                value = np.array(depth)
            case FeatureKind.LENGTH:
                value = np.array(length)
            case FeatureKind.OUTPUT_LENGTH:
                value = np.array([len(y) for y in expected])
            case FeatureKind.STACK:
                value = _stack_heights(truth, inputs)
            case FeatureKind.OUTPUT_COUNT:
                value = np.array([list(y).count(token) for y in expected])
            case _:
                value = np.array([_measure_token(kind, token, x) for x in inputs])
        found[kind, token] = value
    return found


def _measure_token(kind: FeatureKind, token: str, tokens: Sequence[str]) -> int:
    if kind is FeatureKind.COUNT:
        return list(tokens).count(token)
    if kind is FeatureKind.RUN:
        return _longest_run(tokens, token)
    places = [i for i, x in enumerate(tokens) if x == token] or [-1]
    return places[0] if kind is FeatureKind.FIRST else places[-1]


def _stack_heights(truth: Machine, inputs: Sequence[Sequence[str]]) -> Ints:
    batch = run_batch(truth, inputs, record=True)
    height = np.zeros(len(inputs), dtype=np.int64)
    for event in batch.events:
        height[event.view.inputs] = np.maximum(height[event.view.inputs], event.view.height)
    return height


def _longest_run(tokens: Sequence[str], token: str) -> int:
    longest = run = 0
    for x in tokens:
        run = run + 1 if x == token else 0
        longest = max(longest, run)
    return longest


def find_conditions(
    features: Features, failed: Mask, config: DivergenceConfig
) -> tuple[Conjunction, ...]:
    """Where a model is wrong, as few comparisons as describe it.

    Args:
        features: The measures of the inputs that were queried.
        failed: On which of them the model is wrong.
        config: Thresholds.

    Returns:
        Conjunctions, of which one holds where the model is wrong; none where none is found.
    """
    if failed.sum() < config.min_predicted_errors:
        return ()
    left, atoms, found = failed.copy(), 0, list[Conjunction]()
    clear = ~failed
    while left.any() and atoms < config.max_region_atoms:
        best = _best_conjunction(features, left, clear, config.max_region_atoms - atoms, config)
        if best is None:
            break
        found.append(best)
        atoms += len(best)
        here = holds_any([best], features)
        left &= ~here
        inside = ~holds_any(found, features)
        if left.sum() <= (1 - config.min_region_right) * inside.sum():
            break
    return tuple(found)


def _best_conjunction(
    features: Features, wrong: Mask, right: Mask, room: int, config: DivergenceConfig
) -> Conjunction | None:
    """The conjunction that describes most of what is wrong, and little of what is right."""
    beam: list[tuple[float, Conjunction, Mask]] = [(0.0, (), np.ones(len(wrong), dtype=bool))]
    best = beam[0]
    while beam and len(beam[0][1]) < room:
        beam = _refine(beam, features, wrong, right)
        if not beam or beam[0][0] <= best[0] + config.min_atom_gain * wrong.sum():
            break
        best = beam[0]
    _, chosen, held = best
    hits, false = int((held & wrong).sum()), int((held & right).sum())
    precise = chosen and hits >= config.min_region_precision * (hits + false)
    return chosen if precise and hits >= config.min_predicted_errors else None


def _refine(
    beam: Sequence[tuple[float, Conjunction, Mask]],
    features: Features,
    wrong: Mask,
    right: Mask,
    width: int = 12,
) -> list[tuple[float, Conjunction, Mask]]:
    """The best conjunctions with one more comparison; of equals, the simpler ones first."""
    found = []
    for _, chosen, held in beam:
        for order, condition in enumerate(_conditions(features, held)):
            gain = _gain(held & condition.holds(features), wrong, right)
            found.append((gain, -order, (*chosen, condition), held))
    found.sort(key=lambda x: x[:2], reverse=True)
    return [(gain, some, held & some[-1].holds(features)) for gain, _, some, held in found[:width]]


def _gain(here: Mask, wrong: Mask, right: Mask) -> float:
    """Errors described, less several times the correct outputs described with them."""
    return float((here & wrong).sum()) - 3.0 * float((here & right).sum())


def _conditions(features: Features, among: Mask, max_values: int = 40) -> Iterator[InputCondition]:
    """Every comparison that holds on some of the inputs in question and not on all of them."""
    for (kind, token), value in features.items():
        values = np.unique(value[among])
        if len(values) > max_values:
            values = np.unique(np.quantile(values, np.linspace(0, 1, max_values)).astype(int))
        for bound in values[1:].tolist():
            yield InputCondition(kind=kind, token=token, at_least=True, bound=bound)
        for bound in values[:-1].tolist():
            yield InputCondition(kind=kind, token=token, at_least=False, bound=bound)


def find_hint(features: Features, failed: Mask) -> Conjunction | None:
    """The one comparison that describes the failing inputs best, by its F1 score."""
    everything = np.ones(len(failed), dtype=bool)
    best, found = 0.0, None
    for condition in _conditions(features, everything):
        held = condition.holds(features)
        hits = int((held & failed).sum())
        score = 2 * hits / max(int(held.sum()) + int(failed.sum()), 1)
        if score > best + 1e-9:
            best, found = score, condition
    return None if found is None else (found,)


def holds_any(conditions: Sequence[Conjunction], features: Features) -> Mask:
    """On which inputs one of the conjunctions holds."""
    size = len(next(iter(features.values())))
    held = np.zeros(size, dtype=bool)
    for conjunction in conditions:
        held |= np.logical_and.reduce([c.holds(features) for c in conjunction])
    return held


def flag_outside(
    task: Task,
    truth: Machine,
    region: Region,
    inputs: Sequence[Sequence[str]],
    expected: Sequence[Sequence[str]],
) -> Mask:
    """Which inputs lie outside a region, where the model is predicted to be wrong."""
    keys = [(c.kind, c.token) for conjunction in region.wrong_where for c in conjunction]
    if not keys or not inputs:
        return np.zeros(len(inputs), dtype=bool)
    features = measure_features(task, truth, inputs, expected, keys)
    return holds_any(region.wrong_where, features)


def judge_region(
    conditions: tuple[Conjunction, ...], flagged: Mask, failed: Mask, held_out: Mask
) -> Region:
    """A region with its rates on the compared inputs, and on those that are held out."""
    rates = []
    for among in (np.ones(len(failed), dtype=bool), held_out):
        inside, outside = among & ~flagged, among & flagged
        errors = among & failed
        rates.append(
            (
                Rate(int((inside & ~failed).sum()), int(inside.sum())),
                Rate(int((errors & flagged).sum()), int(errors.sum())),
                Rate(int((outside & failed).sum()), int(outside.sum())),
            )
        )
    (right, recall, precision), apart = rates
    return Region(
        wrong_where=conditions,
        right=right,
        recall=recall,
        precision=precision,
        right_held_out=apart[0],
        recall_held_out=apart[1],
        precision_held_out=apart[2],
    )
