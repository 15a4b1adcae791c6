"""One run, many runs at once, the text form and the exported forms all mean the same machine."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recinterp.machine import Machine
from recinterp.machine.batch import HALTED, LOST, LOST_WRONG, run_batch
from recinterp.machine.check import simplify
from recinterp.machine.export import export, from_json, to_json, to_python
from recinterp.machine.minimise import minimise
from recinterp.machine.run import begin, run
from recinterp.machine.syntax import Atom
from tests.machine.strategies import guards, machines, words

STATUS = {"halted": HALTED, "lost": LOST, "lost wrong": LOST_WRONG}
few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=400)
inputs = st.lists(words, min_size=1, max_size=8)


@few
@given(machines())
def test_the_text_form_reads_back_as_the_same_machine(machine: Machine) -> None:
    again = Machine.parse(str(machine))
    assert again == machine
    assert again.arity == machine.arity
    assert str(again) == str(machine)


@few
@given(machines(), inputs)
def test_many_runs_at_once_are_the_single_runs(machine: Machine, batch: list[list[str]]) -> None:
    together = run_batch(machine, batch)
    for i, word in enumerate(batch):
        alone = run(machine, word)
        assert together.prefixes()[i] == alone.out
        assert STATUS.get(alone.status, "other") == (
            together.status[i] if together.status[i] in STATUS.values() else "other"
        )
    assert machine.run_many(batch) == [machine.run(word) for word in batch]


@few
@given(machines(), inputs)
def test_an_unknown_token_makes_both_kinds_of_run_abstain(machine: Machine, batch: list) -> None:
    strange = [[*word, "unheard of"] for word in batch]
    assert machine.run_many(strange) == [None] * len(batch)
    assert [machine.run(word) for word in strange] == [None] * len(batch)


@few
@given(machines(), inputs)
def test_minimising_changes_no_run(machine: Machine, batch: list[list[str]]) -> None:
    machine = replace(machine, limit=400)  # so that no run is cut that fewer steps would end
    small = minimise(machine)
    assert len(small.rules) <= len(machine.rules) + 2
    for word in batch:
        before, after = run(machine, word), run(small, word)
        if before.status == "abstains":  # a run that never ends may write more in as many steps
            assert after.status == "abstains"
        else:
            assert (after.status, after.out) == (before.status, before.out)


@many
@given(machines(), words, st.integers(0, 4), guards)
def test_a_simplified_guard_holds_where_the_guard_does(
    machine: Machine, word: list[str], at: int, guard: list[Atom]
) -> None:
    """Whatever is said twice, or of one place in several ways."""
    state = replace(begin(machine, word), registers={"p": at, "q'": 1})
    whole, simpler = tuple(guard), simplify(tuple(guard))
    assert all(map(state.holds, whole)) == all(map(state.holds, simpler))


@few
@given(machines(), inputs)
def test_exported_python_and_json_do_the_same(machine: Machine, batch: list[list[str]]) -> None:
    names: dict = {}
    exec(to_python(machine), names)
    assert [names["run"](word) for word in batch] == machine.run_many(batch)
    assert from_json(json.loads(export(machine, "json"))) == machine
    assert from_json(to_json(machine)).arity == machine.arity
