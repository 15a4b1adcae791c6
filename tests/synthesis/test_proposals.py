"""Proposals: the planted fault is among the edits, with the inputs it touches and its bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recinterp.machine.nodes import Cmp, Const, Emit, Lost, Push, Reg, Set, add_constant
from recinterp.synthesis.config import DEFAULTS
from recinterp.synthesis.edits.proposals import (
    Candidate,
    propose_abstentions,
    propose_edits,
    propose_omissions,
)
from tests.synthesis.tiny import COPY, INPUTS, REVERSE, observe, run, writes_a_from

LATE = (Cmp(Reg("t"), ">=", Const(2)),)
STEP = Set("p", add_constant(Reg("p"), 1))


def variants(found: list[Candidate]) -> dict[object, Candidate]:
    """By what they do; of equal ones the one with the greatest bound, as the search takes them."""
    ranked = sorted(found, key=lambda c: c.upper_bound_gain)
    return {(c.variant.guard, c.variant.updates, c.variant.goto): c for c in ranked}


def test_the_planted_edit_is_proposed() -> None:
    outcome = run(COPY, writes_a_from(2))
    found = variants(list(propose_edits(COPY, outcome, DEFAULTS)))
    planted = found[LATE, (Emit(("a",)), STEP), "m"]
    assert planted.variant.rule == 0
    assert [INPUTS[i] for i in planted.touched] == [x for x in INPUTS if len(x) > 2]
    continued = sum("b" in x[2:-1] for x in INPUTS)  # where the output goes on after the fault
    assert planted.upper_bound_gain == continued


def test_a_planted_edit_explains_every_output() -> None:
    data = observe(COPY, writes_a_from(2))
    found = list(propose_edits(COPY, data.run(COPY, record=True), DEFAULTS))
    planted = variants(found)[LATE, (Emit(("a",)), STEP), "m"]
    assert data.run_variants(COPY, [np.arange(len(INPUTS))], [planted.variant]).equal.all()


def test_nothing_is_proposed_where_nothing_is_wrong() -> None:
    outcome = run(COPY, lambda x: x)
    assert not list(propose_edits(COPY, outcome, DEFAULTS))
    assert not list(propose_abstentions(COPY, outcome, DEFAULTS))


def test_one_faulty_event_is_no_ground_for_an_edit() -> None:
    outcome = run(COPY, lambda x: ["b"] if x == ["a"] else x)
    assert not list(propose_edits(COPY, outcome, DEFAULTS))
    tolerant = replace(DEFAULTS, edits=replace(DEFAULTS.edits, min_fault_events=1))
    assert list(propose_edits(COPY, outcome, tolerant))


def test_abstaining_rules_flag_failures_only_where_nearly_all_outputs_fail() -> None:
    outcome = run(COPY, lambda x: ["b", *x] if x[:1] == ["a"] else x)
    failed = outcome.dataset.failures
    found = list(propose_abstentions(COPY, outcome, DEFAULTS))
    assert found
    for c in found:
        assert c.variant.goto is None
        (lost,) = c.variant.updates
        assert isinstance(lost, Lost)
        if lost.wrong:
            assert failed[c.touched].mean() >= 0.9
    assert {c.variant.updates[0] for c in found} == {Lost(True), Lost(False)}


def test_false_fires_lower_the_bound() -> None:
    """At most one event of each failing input is at fault."""
    outcome = run(COPY, lambda x: ["b", *x] if x[:1] == ["a"] else x)
    found = list(propose_abstentions(COPY, outcome, DEFAULTS))
    assert max(c.upper_bound_gain for c in found) <= outcome.dataset.failures.sum()


def test_a_missing_push_is_proposed_as_an_omission() -> None:
    outcome = run(REVERSE, lambda x: [t for t in x[::-1] if t == "a"])
    push = next(i for i, r in enumerate(REVERSE.rules) if r.name == "push")
    found = [c for c in propose_omissions(REVERSE, outcome, DEFAULTS) if c.variant.rule == push]
    without_push = [
        c
        for c in found
        if c.variant.goto == "read" and not any(isinstance(u, Push) for u in c.variant.updates)
    ]
    ran = [
        outcome.dataset.run_variants(REVERSE, [np.arange(len(INPUTS))], [c.variant]).equal.all()
        for c in without_push
    ]
    assert any(ran)


def test_omission_guards_are_bounded() -> None:
    outcome = run(REVERSE, lambda x: [t for t in x[::-1] if t == "a"])
    one = replace(DEFAULTS, edits=replace(DEFAULTS.edits, max_omission_guards=1))
    found = list(propose_omissions(REVERSE, outcome, one))
    assert 0 < len(found) < len(list(propose_omissions(REVERSE, outcome, DEFAULTS)))
    assert all(len({c.variant.guard for c in found if c.variant.rule == k}) <= 1 for k in range(4))
