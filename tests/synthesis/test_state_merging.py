"""Machines from dataset alone: planted shortcuts come back exact, and hold on longer inputs too."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import groupby

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
from recinterp.tasks import Domain, Task, task
from tests import planted

LONGEST, BEYOND = 11, 13
ORDERS: dict[str, Callable[[planted.Function], planted.Function]] = {
    "natural": lambda f: f,
    "reverse": planted.reverse,
}


def last_run_copied(x: planted.Tokens) -> planted.Tokens:
    """Every token becomes that of the last run: no edit of the true machine."""
    runs = [list(run) for _, run in groupby(x[:-1])]
    return [*(runs[-1][0] if runs else "X0" for _ in x[:-1]), "01"]


PLANTED = {
    "truth": (planted.successor, 3),
    "carries up to 3": (planted.capped(3), 6),
    "skips a flip after 3": (planted.kept_carry(3), 7),
    "base wrong after 3": (planted.deep_base(3), 6),
    "cut at 8": (planted.cut(8), 4),
    "copies from length 8": (planted.long_inputs_copied(8), 3),
    "ignores its input": (planted.constant, 3),
    "last run copied": (last_run_copied, 4),
}


@cache
def learned(name: str, order: str) -> tuple[Task, planted.Function, list[MergedMachine]]:
    t, f = task("binary-successor", order), ORDERS[order](PLANTED[name][0])
    inputs = stratified_queries(
        t, Domain(max_length=LONGEST), replace(DEFAULTS.queries, per_cell=8)
    )
    return t, f, learn_by_merging(inputs, [f(x) for x in inputs], t, DEFAULTS.merging)


CASES = [
    *((name, "natural") for name in PLANTED),
    ("truth", "reverse"), ("carries up to 3", "reverse"), ("last run copied", "reverse"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "order"), CASES)
def test_planted_functions_are_recovered_beyond_the_queried_lengths(name: str, order: str) -> None:
    t, f, found = learned(name, order)
    best = found[0]
    assert (best.wrong, best.conflicts) == (0, 0)
    inputs = list(t.inputs(BEYOND))
    assert best.machine.run_many(inputs) == [f(x) for x in inputs]
    assert len(best.machine.modes) <= PLANTED[name][1] + (order == "reverse")


@pytest.mark.parametrize("order", ORDERS)
def test_learned_machine_has_a_text_form_and_the_domain(order: str) -> None:
    machine = learned("carries up to 3", order)[2][0].machine
    assert Machine.parse(str(machine)) == machine
    assert machine.domain == task("binary-successor", order).machine.domain


def test_reading_names_only_the_facts_that_guards_ask_about() -> None:
    cut = learned("cut at 8", "natural")[2][0]
    assert cut.reading == Reading(backwards=False, bound=(BoundOn.INDEX, 8))
    copied = learned("copies from length 8", "natural")[2][0]
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
