"""Actions: what a rule could have done instead, with the events that it would explain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from recinterp.machine.execution.batch import EventView
from recinterp.machine.nodes import Const, Copy, Emit, Pop, Push, Reg, Set, add_constant
from recinterp.synthesis.config import DEFAULTS
from recinterp.synthesis.dataset import Outcome
from recinterp.synthesis.edits.actions import (
    Action,
    goto_changes,
    pointer_shifts,
    propose_actions,
    update_deletions,
)
from recinterp.synthesis.edits.guards import Mask, gather
from tests.synthesis.tiny import COPY, REVERSE, Tokens, run, writes_a_from

EDITS = DEFAULTS.edits
RULE = COPY.rules[0]
STEP = Set("p", add_constant(Reg("p"), 1))


def copy_events(model: Callable[[Tokens], Tokens]) -> tuple[Outcome, EventView]:
    outcome = run(COPY, model)
    events = [e for e in outcome.batch.events if e.rule == 0]
    return outcome, gather(events, outcome.batch.out)


def actions(outcome: Outcome, view: EventView, bad: Mask, **changes: int) -> dict[Action, Mask]:
    config = replace(EDITS, **changes)
    return dict(propose_actions(COPY, RULE, view, bad, outcome, config))


def test_the_token_that_outputs_have_there_is_proposed() -> None:
    """Going on or halting, whichever the outputs do after it."""
    outcome, view = copy_events(writes_a_from(2))
    bad = outcome.first_difference[view.rows] == view.t
    ends = view.t + 1 == outcome.dataset.output_lengths[view.rows]
    found = actions(outcome, view, bad)
    goes_on, halts = (found[Action((Emit(("a",)), *u), g)] for u, g in (((STEP,), "m"), ((), None)))
    assert np.array_equal(goes_on & bad, bad & ~ends)
    assert np.array_equal(halts & bad, bad & ends)
    copies_b = (view.t < 2) & (view.read_tokens(Reg("p")) == COPY.vocab.index("b"))
    assert not goes_on[copies_b].any()


def test_a_copy_from_another_place_is_proposed() -> None:
    outcome, view = copy_events(lambda x: x[:1] * len(x))
    bad = outcome.first_difference[view.rows] == view.t
    ends = view.t + 1 == outcome.dataset.output_lengths[view.rows]
    found = actions(outcome, view, bad)
    first_token = Action((Emit((Copy(Const(0)),)), STEP), "m")
    assert np.array_equal(found[first_token], ~(bad & ends))


def test_an_early_end_is_proposed() -> None:
    outcome, view = copy_events(lambda x: x[:2])
    bad = (outcome.first_difference[view.rows] == view.t) & (view.t == 2)
    found = actions(outcome, view, bad)
    assert (found[Action((), None)] & bad).sum() == bad.sum()


def test_what_explains_a_single_event_is_not_proposed() -> None:
    outcome, view = copy_events(lambda x: ["b"] if x == ["a"] else x)
    bad = outcome.first_difference[view.rows] == view.t
    assert bad.sum() == 1
    assert not actions(outcome, view, bad)
    assert actions(outcome, view, bad, min_fault_events=1)


def test_a_pointer_moves_further_or_not_at_all() -> None:
    _, view = copy_events(lambda x: x)
    (further, same_further), (stays, same_here) = pointer_shifts(RULE, view)
    assert further == Action((RULE.updates[0], Set("p", add_constant(Reg("p"), 2))), "m")
    assert stays == Action((RULE.updates[0],), "m")
    read = [view.read_tokens(add_constant(Reg("p"), k)) for k in range(3)]
    assert np.array_equal(same_further, read[2] == read[1])
    assert np.array_equal(same_here, read[0] == read[1])


def test_each_update_is_left_out_in_turn() -> None:
    assert list(update_deletions(RULE)) == [
        Action((RULE.updates[1],), "m"),
        Action((RULE.updates[0],), "m"),
    ]
    push = next(r for r in REVERSE.rules if r.name == "push")
    found = list(update_deletions(push))
    assert Action((), None) in found  # it writes nothing, so it may also halt
    assert any(not any(isinstance(u, Push) for u in a.updates) and a.goto for a in found)


def test_gotos_change_only_in_small_machines_and_where_nothing_is_written() -> None:
    turn, pop = (next(r for r in REVERSE.rules if r.name == name) for name in ("turn", "pop"))
    assert list(goto_changes(REVERSE, turn, EDITS)) == [Action(turn.updates, "read")]
    assert any(isinstance(u, Pop) for u in pop.updates)
    assert not list(goto_changes(REVERSE, pop, EDITS))
    assert not list(goto_changes(REVERSE, turn, replace(EDITS, max_modes_for_gotos=1)))
