"""Equivalent machines: other guards for an edit, and the inputs on which two machines differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

import recinterp as ri
from recinterp.splits import held_out
from recinterp.synthesis.alternatives import (
    distinguishing_inputs,
    find_equivalent_machines,
    propose_alternatives,
)
from recinterp.synthesis.config import DEFAULTS
from recinterp.synthesis.edits.beam import Edited, search_edits
from recinterp.synthesis.edits.truncate import truncate_outputs
from tests.synthesis.tiny import COPY, INPUTS, observe

ALTERNATIVES = DEFAULTS.alternatives
DOMAIN = ri.Domain(max_length=4)


@pytest.fixture(scope="module")
def task() -> ri.Task:
    return ri.task("binary-successor")


@pytest.fixture(scope="module")
def edited() -> Edited:
    """The copying machine that writes `a` at index 3, the last of the longest inputs."""
    data = observe(COPY, lambda x: [*x[:3], *("a" for _ in x[3:])])
    best = search_edits(COPY, data, DEFAULTS)[0]
    assert data.run(best.machine).equal.all()
    return best


def test_alternatives_have_equal_outputs_and_other_rules(edited: Edited) -> None:
    found = list(propose_alternatives(edited, DEFAULTS))
    assert found
    outputs = edited.machine.run_many(INPUTS)
    for other in found:
        assert other.run_many(INPUTS) == outputs
        assert str(other) != str(edited.machine)


def test_alternatives_are_bounded_for_each_edit(edited: Edited) -> None:
    one = replace(DEFAULTS, alternatives=replace(ALTERNATIVES, max_per_edit=1))
    assert len(list(propose_alternatives(edited, one))) == len(edited.chain) == 1


def test_an_unedited_machine_has_no_alternatives() -> None:
    unchanged = Edited(machine=COPY, base_size=COPY.size)
    assert not list(propose_alternatives(unchanged, DEFAULTS))


def test_distinguishing_inputs_are_those_where_outputs_differ(task: ri.Task) -> None:
    chosen, other = task.machine, truncate_outputs(task.machine, 3)
    found = distinguishing_inputs(task, DOMAIN, chosen, [chosen, other], ALTERNATIVES)
    expected = [x for x in task.inputs(4) if len(task.apply(x)) > 3 and not held_out(x)]
    assert sorted(found) == sorted(expected)


def test_distinguishing_inputs_are_bounded_and_need_another_machine(task: ri.Task) -> None:
    chosen, other = task.machine, truncate_outputs(task.machine, 3)
    two = replace(ALTERNATIVES, max_queries=2)
    assert len(distinguishing_inputs(task, DOMAIN, chosen, [other], two)) == 2
    assert distinguishing_inputs(task, DOMAIN, chosen, [], ALTERNATIVES) == []
    assert distinguishing_inputs(task, DOMAIN, chosen, [chosen], ALTERNATIVES) == []


def test_equivalent_machines_come_with_the_shortest_input_that_separates_them(
    task: ri.Task,
) -> None:
    chosen = task.machine
    differs_inside, differs_beyond = (truncate_outputs(chosen, k) for k in (3, 5))
    others = [differs_inside, chosen, differs_beyond]
    (found,) = find_equivalent_machines(task, DOMAIN, chosen, others, ALTERNATIVES)
    assert found.machine == differs_beyond
    assert len(found.input) == 5
    assert found.chosen_output == tuple(task.apply(found.input))
    assert found.output == found.chosen_output[:5]
    assert found.rules
    unchanged = {r.name for r in chosen.rules} - {text.split(" ")[0] for text in found.rules}
    assert not unchanged  # truncation changes the guard of every rule


def test_machines_equal_as_far_as_was_looked_are_not_reported(task: ri.Task) -> None:
    other = truncate_outputs(task.machine, 20)
    assert not find_equivalent_machines(task, DOMAIN, task.machine, [other], ALTERNATIVES)
