"""Guards: atoms hold where they say, and the shortest conjunction that separates comes first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recinterp.machine.execution.batch import EventView
from recinterp.machine.nodes import Cmp, Const, In, Reg
from recinterp.synthesis.config import DEFAULTS
from recinterp.synthesis.edits.guards import (
    Guard,
    Mask,
    Pool,
    candidate_atoms,
    find_guards,
    gather,
    run_lengths,
)
from tests.synthesis.tiny import COPY, REVERSE, run

GUARDS = DEFAULTS.guards
LATE = Cmp(Reg("t"), ">=", Const(2))
READS_B = In(Reg("p"), ("b",))


@pytest.fixture(scope="module")
def view() -> EventView:
    """All events of the copying rule."""
    batch = run(COPY, lambda x: x).batch
    return gather([e for e in batch.events if e.rule == 0], batch.out)


def guards(view: EventView, wanted: Mask, **changes: float) -> list[Guard]:
    config = replace(GUARDS, **changes)
    pool = Pool.of(COPY, view, config)
    return find_guards(pool, wanted, ~wanted, config.false_fire_weight, config)


def test_atoms_hold_in_some_events_and_where_they_say(view: EventView) -> None:
    atoms = dict(candidate_atoms(COPY, view, GUARDS))
    assert {LATE, READS_B} <= set(atoms)
    for atom, mask in atoms.items():
        assert 0 < mask.sum() < len(mask)
        assert np.array_equal(mask, view.holds(atom))


def test_a_single_atom_that_separates_comes_first(view: EventView) -> None:
    wanted = view.holds(LATE)
    best = guards(view, wanted)[0]
    assert best.atoms == (LATE,)
    assert np.array_equal(best.mask, wanted)


def test_equal_guards_fire_on_the_same_events(view: EventView) -> None:
    wanted = view.t == 3
    best = guards(view, wanted)[0]
    assert best.equals
    for atoms in best.equals:
        assert np.array_equal(view.all_hold(atoms), wanted)


def test_two_atoms_are_found_where_no_atom_separates(view: EventView) -> None:
    wanted = view.all_hold((LATE, READS_B))
    best = guards(view, wanted)[0]
    assert len(best.atoms) == 2
    assert np.array_equal(best.mask, wanted)


def test_max_atoms_bounds_the_length(view: EventView) -> None:
    wanted = view.all_hold((LATE, READS_B))
    found = guards(view, wanted, max_atoms=1, false_fire_weight=0.1)
    assert found
    assert {len(g.atoms) for g in found} <= {0, 1}
    assert not any(np.array_equal(g.mask, wanted) for g in found)


def test_false_fires_are_weighed(view: EventView) -> None:
    wanted = view.all_hold((LATE, READS_B))
    assert not guards(view, wanted, max_atoms=1, false_fire_weight=100.0)
    assert guards(view, wanted, max_atoms=1, false_fire_weight=0.1)


def test_the_empty_guard_is_offered_where_nothing_is_unwanted(view: EventView) -> None:
    everything = np.ones(len(view.rows), dtype=bool)
    assert guards(view, everything)[0].atoms == ()


def test_run_lengths_are_offered_for_small_vocabularies() -> None:
    assert len(list(run_lengths(COPY, GUARDS))) == 2 * len(COPY.vocab)
    assert not list(run_lengths(COPY, replace(GUARDS, max_vocab_for_runs=1)))


def test_stack_height_is_compared_in_machines_with_a_stack() -> None:
    batch = run(REVERSE, lambda x: x[::-1]).batch
    pop = next(i for i, r in enumerate(REVERSE.rules) if r.name == "pop")
    view = gather([e for e in batch.events if e.rule == pop], batch.out)
    atoms = {a for a, _ in candidate_atoms(REVERSE, view, GUARDS)}
    assert Cmp(Reg("height"), ">=", Const(2)) in atoms
