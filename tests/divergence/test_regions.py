"""Where a model is right, as a condition: found on queries, judged on other inputs."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

import recinterp as ri
from recinterp.divergence.config import DEFAULTS
from recinterp.divergence.regions import (
    FeatureKind,
    find_conditions,
    find_hint,
    flag_outside,
    holds_any,
    judge_region,
    list_features,
    measure_features,
)
from recinterp.splits import held_out

TASK = ri.task("binary-successor")
TREES = ri.task("tree-inorder")


def features_of(task: ri.Task, inputs: list[list[str]]) -> dict:
    keys = list_features(task, task.machine)
    return dict(measure_features(task, task.machine, inputs, task.apply_many(inputs), keys))


RULES = {
    "deep": lambda x: TASK.depth(x) >= 3,
    "deep and long": lambda x: TASK.depth(x) >= 3 and len(x) >= 7,
    "deep or long": lambda x: TASK.depth(x) >= 4 or len(x) >= 9,
    "many X0": lambda x: x.count("X0") >= 3,
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_of_two_comparisons_is_found_exactly(rule: str) -> None:
    inputs = list(TASK.inputs(9))
    failed = np.array([RULES[rule](x) for x in inputs])
    asked = np.array([not held_out(x) for x in inputs])
    features = features_of(TASK, inputs)
    queried = {key: value[asked] for key, value in features.items()}
    conditions = find_conditions(queried, failed[asked], DEFAULTS)
    flagged = holds_any(conditions, features)
    assert (flagged == failed).all()
    region = judge_region(conditions, flagged, failed, ~asked)
    assert region.is_bounded(DEFAULTS)
    assert region.right.value == region.recall_held_out.value == 1.0
    assert sum(map(len, conditions)) <= 2


def test_errors_without_a_rule_have_no_region() -> None:
    inputs = list(TASK.inputs(9))
    failed = np.array([sha256(" ".join(x).encode()).digest()[0] < 60 for x in inputs])
    asked = np.array([not held_out(x) for x in inputs])
    features = features_of(TASK, inputs)
    queried = {key: value[asked] for key, value in features.items()}
    conditions = find_conditions(queried, failed[asked], DEFAULTS)
    flagged = holds_any(conditions, features)
    assert not judge_region(conditions, flagged, failed, ~asked).is_bounded(DEFAULTS)


def test_the_hint_is_the_comparison_that_covers_most_errors() -> None:
    inputs = list(TASK.inputs(8))
    failed = np.array([x.count("X1") >= 4 and x[0] == "X0" for x in inputs])
    hint = find_hint(features_of(TASK, inputs), failed)
    assert hint is not None
    assert hint[0].kind in (FeatureKind.COUNT, FeatureKind.OUTPUT_COUNT)
    assert hint[0].at_least


def test_the_stack_of_a_tree_is_a_measure() -> None:
    inputs = TREES.sample(200, seed=1, max_length=13)
    features = features_of(TREES, inputs)
    assert features[FeatureKind.STACK, ""].max() > features[FeatureKind.STACK, ""].min()


@pytest.mark.slow
def test_a_noisy_model_is_bounded_and_flagged_by_its_region() -> None:
    def noisy(inputs: list[list[str]]) -> list[list[str]]:
        return [TASK.apply(x) if TASK.depth(x) <= 2 or len(x) < 6 else _noise(x) for x in inputs]

    ex = ri.explain(noisy, TASK, domain=ri.Domain(max_length=9))
    inputs = list(TASK.inputs(10))
    wrong = [y != z for y, z in zip(noisy(inputs), TASK.apply_many(inputs), strict=True)]
    assert ex.diff.verdict == "bounded"
    assert ex.will_fail(inputs) == wrong
    flags = flag_outside(TASK, ex.truth, ex.diff.region, inputs, TASK.apply_many(inputs))
    assert flags.tolist() == wrong
    assert "except where" in str(ex)


def _noise(x: list[str]) -> list[str]:
    """Tokens by a hash, never the right ones."""
    bits = sha256(" ".join(x).encode()).digest()
    return [("X0", "X1")[bits[i] % 2] for i in range(len(x))]
