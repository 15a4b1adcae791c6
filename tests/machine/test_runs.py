"""One run, many runs at once, the text form and the exported forms all mean the same machine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recinterp.machine import AtLeast, Cmp, Const, In, Machine, Reg
from recinterp.machine.execution.batch import RunStatus, run_batch
from recinterp.machine.execution.interpreter import run_machine, start_run
from recinterp.machine.formats.export import from_json, to_json, to_python
from recinterp.machine.nodes import Atom
from recinterp.machine.transform.minimise import minimise_machine
from recinterp.machine.transform.simplify_votes import simplify_votes_given
from recinterp.machine.validate import simplify_guard
from tests.machine.strategies import guards, machines, words

STATUS = {"halted": RunStatus.HALTED, "lost": RunStatus.LOST, "lost wrong": RunStatus.LOST_WRONG}
few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=400)
TWO_FRAMES = """vocab A/0
start m
frames F G
mode m
  one: top is F -> pop, goto m
  other: {} -> pop, goto m
  begin: stack is empty -> push F(0), push G(0), goto m
"""
inputs = st.lists(words, min_size=1, max_size=8)


@few
@given(machines())
def test_machine_text_parses_back(machine: Machine) -> None:
    again = Machine.parse(str(machine))
    assert again == machine
    assert again.arity == machine.arity
    assert str(again) == str(machine)


@few
@given(machines(), inputs)
def test_batch_equals_single_runs(machine: Machine, batch: list[list[str]]) -> None:
    together = run_batch(machine, batch)
    for i, word in enumerate(batch):
        alone = run_machine(machine, word)
        assert together.prefixes()[i] == alone.out
        assert STATUS.get(alone.status, "other") == (
            together.status[i] if together.status[i] in STATUS.values() else "other"
        )
    assert machine.run_many(batch) == [machine.run(word) for word in batch]


@pytest.mark.slow
@few
@given(machines(), inputs)
def test_unknown_tokens_make_runs_abstain(machine: Machine, batch: list) -> None:
    strange = [[*word, "unheard of"] for word in batch]
    assert machine.run_many(strange) == [None] * len(batch)
    assert [machine.run(word) for word in strange] == [None] * len(batch)


@pytest.mark.slow
@few
@given(machines(), inputs)
@example(Machine.parse(TWO_FRAMES.format("top is G and top is G")), [["A"]])
@example(Machine.parse(TWO_FRAMES.format("top is G and top is F")), [["A"]])
def test_minimised_machine_runs_alike(machine: Machine, batch: list[list[str]]) -> None:
    machine = replace(machine, limit=400)  # so that no run is cut that fewer steps would end
    small = minimise_machine(machine)
    assert len(small.rules) <= len(machine.rules) + 2
    for word in batch:
        before, after = run_machine(machine, word), run_machine(small, word)
        if before.status == "abstains":  # a run that never ends may write more in as many steps
            assert after.status == "abstains"
        else:
            assert (after.status, after.out) == (before.status, before.out)


@pytest.mark.slow
@many
@given(machines(), words, st.integers(0, 4), guards)
def test_simplified_guard_is_equivalent(
    machine: Machine, word: list[str], at: int, guard: list[Atom]
) -> None:
    """Whatever is said twice, or of one place in several ways."""
    state = replace(start_run(machine, word), registers={"p": at, "q'": 1})
    whole, simpler = tuple(guard), simplify_guard(tuple(guard))
    assert all(map(state.holds, whole)) == all(map(state.holds, simpler))


@pytest.mark.slow
@many
@given(machines(), words, st.integers(-1, 8), guards, guards)
def test_simplified_votes_are_equivalent(
    machine: Machine, word: list[str], at: int, guard: list[Atom], known: list[Atom]
) -> None:
    """Whatever its own atoms, and what is known beside them, decide of its votes."""
    state = replace(start_run(machine, word), registers={"p": at, "q'": 1})
    told, given_ = simplify_votes_given(guard), simplify_votes_given(guard, known)
    assert all(map(state.holds, guard)) == all(map(state.holds, told))
    if all(map(state.holds, known)):
        assert all(map(state.holds, guard)) == all(map(state.holds, given_))


def test_simplified_votes_drop_decided_atoms() -> None:
    p, q = Reg("p"), Reg("q")
    vote = AtLeast(2, (In(p, ("A",)), In(q, ("A",)), In(q, ("B",)), Cmp(p, "=", Const(3))))
    assert simplify_votes_given((In(p, ("A",)), vote)) == (
        In(p, ("A",)),
        AtLeast(1, (In(q, ("A", "B")), Cmp(p, "=", Const(3)))),
    )
    assert simplify_votes_given((In(p, ("A",)), Cmp(p, ">=", Const(4)), vote)) == (
        In(p, ("A",)),
        Cmp(p, ">=", Const(4)),
        In(q, ("A", "B")),
    )
    assert simplify_votes_given((vote,), (In(p, ("A",)), In(q, ("B",)))) == ()
    never = (In(p, ("B",)), Cmp(p, "<", Const(0)), In(q, ("C",)), vote)
    assert simplify_votes_given(never) == never


@pytest.mark.slow
@few
@given(machines(), inputs)
def test_exported_python_and_json_run_alike(machine: Machine, batch: list[list[str]]) -> None:
    names: dict = {}
    exec(to_python(machine), names)
    assert [names["run"](word) for word in batch] == machine.run_many(batch)
    assert from_json(json.loads(json.dumps(to_json(machine)))) == machine
    assert from_json(to_json(machine)).arity == machine.arity
