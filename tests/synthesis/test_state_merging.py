"""Machines from dataset alone: planted shortcuts come back exact, and hold on longer inputs too."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recinterp.machine import Machine
from recinterp.synthesis.config import DEFAULTS
from recinterp.synthesis.queries import stratified_queries
from recinterp.synthesis.state_merging import MergedMachine, learn_by_merging
from recinterp.synthesis.state_merging.conflicts import ConflictTable
from recinterp.synthesis.state_merging.grid import (
    best_rest_class,
    enumerate_bounds,
    enumerate_views,
)
from recinterp.synthesis.state_merging.merge import build_prefix_tree, merge_states
from recinterp.synthesis.state_merging.views import BoundOn, OutputAlignment, Pair, Reading, View
from recinterp.tasks import Domain, task
from tests.cases import CASES

pytestmark = pytest.mark.slow

# Modes that a learned machine may have.
MAX_MODES = {
    "ground truth": 3,
    "carries 3 times": 6,
    "skips a flip after 3": 7,
    "base case wrong from depth 3": 6,
    "truncated after 8": 4,
    "copies from length 8": 3,
    "constant": 3,
    "copies the last run": 4,
    "ground truth, reverse": 4,
    "carries 3 times, reverse": 7,
    "copies the last run, reverse": 5,
}


@cache
def learn_case(name: str) -> list[MergedMachine]:
    """The machines learned from a case's outputs on inputs of at most 11 tokens."""
    case = CASES[name]
    queries = replace(DEFAULTS.queries, per_cell=8)
    inputs = stratified_queries(case.task, Domain(max_length=11), queries)
    return learn_by_merging(inputs, case.predict(inputs), case.task, DEFAULTS.merging)


@pytest.mark.parametrize("name", MAX_MODES)
def test_planted_functions_are_recovered_beyond_the_queried_lengths(name: str) -> None:
    case, best = CASES[name], learn_case(name)[0]
    assert (best.wrong, best.conflicts) == (0, 0)
    inputs = list(case.task.inputs(13))
    assert best.machine.run_many(inputs) == case.predict(inputs)
    assert len(best.machine.modes) <= MAX_MODES[name]


@pytest.mark.parametrize("name", ["carries 3 times", "carries 3 times, reverse"])
def test_learned_machine_has_a_text_form_and_the_domain(name: str) -> None:
    machine = learn_case(name)[0].machine
    assert Machine.parse(str(machine)) == machine
    assert machine.domain == CASES[name].task.machine.domain


def test_reading_names_only_the_facts_that_guards_ask_about() -> None:
    truncated = learn_case("truncated after 8")[0]
    assert truncated.reading == Reading(backwards=False, bound=(BoundOn.INDEX, 8))
    copied = learn_case("copies from length 8")[0]
    assert copied.reading.bound == (BoundOn.LENGTH, 8)


@pytest.mark.parametrize("name", ["list-map", "list-reverse", "peano-doubling", "tree-preorder"])
def test_other_tasks_are_learned(name: str) -> None:
    t = task(name)
    inputs = stratified_queries(t, Domain(max_length=8), DEFAULTS.queries)
    best = learn_by_merging(inputs, t.apply_many(inputs), t, DEFAULTS.merging)[0]
    longer = t.sample(200, seed=3, max_length=16)
    assert best.machine.run_many(longer) == t.apply_many(longer)
    assert len(best.machine.modes) <= 2


def test_best_rest_class_removes_conflicts() -> None:
    t = task("binary-successor", "reverse")
    inputs = [x for x in t.inputs(9) if len(x) > 1]
    pairs = [(tuple(x), tuple(t.apply(x))) for x in inputs]
    plain, table = View(backwards=False, align=OutputAlignment.FRONT), ConflictTable(pairs)
    assert table.conflicts(plain) > len(pairs) // 10
    assert best_rest_class(table, plain) == ("X1",)
    states = merge_states(
        build_prefix_tree(
            View(backwards=False, align=OutputAlignment.FRONT, rest=("X1",)).rows(pairs)
        ),
        DEFAULTS.merging.max_states,
    )
    assert states is not None
    assert len(states) <= 2
    assert table.conflicts(View(backwards=True, align=OutputAlignment.LAST, mirrored=True)) == 0


words = st.lists(st.sampled_from("ab"), max_size=5).map(tuple)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=30))
def test_conflicts_match_their_definition(
    pairs: list[Pair],
) -> None:
    table = ConflictTable(pairs)
    for view in [
        v
        for plain in enumerate_views(table, DEFAULTS.merging)
        for v in (plain, *enumerate_bounds(pairs, plain))
    ]:
        seen = defaultdict[object, Counter[object]](Counter)
        for row in view.rows(pairs):
            symbols = [symbol for symbol, _ in row]
            for i, (_, word) in enumerate(row):
                seen[tuple(symbols[: i + 1])][word] += 1
        assert table.conflicts(view) == sum(c.total() - max(c.values()) for c in seen.values())


def test_shuffled_outputs_are_not_learned() -> None:
    t = task("binary-successor")
    inputs = stratified_queries(t, Domain(max_length=9), DEFAULTS.queries)
    outputs = [t.apply(x) for x in inputs]
    found = learn_by_merging(inputs, outputs[7:] + outputs[:7], t, DEFAULTS.merging)
    assert all(m.wrong + m.missed > m.total // 4 for m in found)


def test_functions_that_need_a_stack_are_missed() -> None:
    t = task("tree-inorder")
    inputs = stratified_queries(t, Domain(max_length=7), replace(DEFAULTS.queries, per_cell=6))
    found = learn_by_merging(inputs, t.apply_many(inputs), t, DEFAULTS.merging)
    assert all(m.missed for m in found)


def test_views_whose_states_act_in_too_many_ways_are_left_out() -> None:
    case = CASES["ground truth"]
    inputs = stratified_queries(case.task, Domain(max_length=7), DEFAULTS.queries)
    for max_rules, found in ((3, False), (DEFAULTS.merging.max_rules, True)):
        config = replace(DEFAULTS.merging, max_rules=max_rules)
        learned = learn_by_merging(inputs, case.predict(inputs), case.task, config)
        assert bool(learned) == found
