"""Fault localization: the event that wrote the first wrong token, and the one before it."""

from __future__ import annotations

import numpy as np

from recinterp.machine import Machine
from recinterp.machine.execution.batch import EventView
from recinterp.synthesis.dataset import Outcome
from recinterp.synthesis.edits.fault_localization import RuleEvents, locate_faults
from recinterp.synthesis.edits.guards import gather
from tests.synthesis.tiny import BY_TOKEN, COPY, INPUTS, run, writes_a_from


def events(machine: Machine, outcome: Outcome, name: str) -> tuple[EventView, RuleEvents]:
    number = next(i for i, r in enumerate(machine.rules) if r.name == name)
    found = [e for e in outcome.batch.events if e.rule == number]
    view = gather(found, outcome.batch.out)
    return view, RuleEvents.of(number, machine.rules[number], view, locate_faults(outcome))


def at(view: EventView, mask: np.ndarray) -> set[tuple[str, int]]:
    """The inputs and output indices of some events."""
    inputs, indices = view.inputs[mask], view.t[mask]
    return {("".join(INPUTS[i]), t) for i, t in zip(inputs.tolist(), indices.tolist(), strict=True)}


def first_b(x: str, start: int) -> int | None:
    return next((i for i in range(start, len(x)) if x[i] == "b"), None)


def test_the_rule_that_wrote_the_first_wrong_token_is_the_culprit() -> None:
    view, found = events(COPY, run(COPY, writes_a_from(1)), "copy")
    faults = {("".join(x), i) for x in INPUTS if (i := first_b("".join(x), 1)) is not None}
    assert at(view, found.culprit) == faults
    assert at(view, found.before) == {(x, i - 1) for x, i in faults}
    assert not (found.culprit & found.sound).any()
    assert not (found.before & found.sound).any()


def test_events_until_the_fault_belong_to_failing_inputs() -> None:
    view, found = events(COPY, run(COPY, writes_a_from(1)), "copy")
    expected = {
        (x, t)
        for x in map("".join, INPUTS)
        if (i := first_b(x, 1)) is not None
        for t in range(i + 1)
    }
    assert at(view, found.until) == expected


def test_culprit_and_predecessor_may_be_different_rules() -> None:
    outcome = run(BY_TOKEN, lambda x: ["a", "a"] if x == ["a", "b"] else x)
    for name, culprit, before in (("one", set(), {("ab", 0)}), ("two", {("ab", 1)}, set())):
        view, found = events(BY_TOKEN, outcome, name)
        assert at(view, found.culprit) == culprit
        assert at(view, found.before) == before


def test_a_halting_rule_is_the_culprit_of_an_output_that_goes_on() -> None:
    outcome = run(COPY, lambda x: [*x, "a"] if len(x) == 2 else x)
    view, found = events(COPY, outcome, "end")
    assert at(view, found.culprit) == {(x, 2) for x in ("aa", "ab", "ba", "bb")}


def test_nothing_is_at_fault_where_outputs_are_equal() -> None:
    _, found = events(COPY, run(COPY, lambda x: x), "copy")
    assert not (found.culprit | found.before | found.until).any()
    assert found.sound.all()
