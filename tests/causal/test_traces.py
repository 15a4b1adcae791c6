"""Traces: batched runs equal single ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recinterp import task
from recinterp.causal.traces import EOS, trace_run, trace_runs
from recinterp.machine import Machine
from tests.machine.strategies import machines, words


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(machines(), st.lists(words, min_size=1, max_size=8))
def test_batched_traces_equal_single_ones(machine: Machine, batch: list[list[str]]) -> None:
    batch = [*batch, ["unheard of"]]
    assert trace_runs(machine, batch) == [trace_run(machine, word) for word in batch]


def test_states_of_a_stack_machine_have_its_frames() -> None:
    t = task("tree-inorder")
    inputs = t.sample(30, max_length=13)
    runs = trace_runs(t.machine, inputs)
    assert runs == [trace_run(t.machine, x) for x in inputs]
    assert [list(run.outputs) for run in runs] == [[*t.apply(x), EOS] for x in inputs]
    assert max(len(owner.stack) for run in runs for owner in run.emitting_states) >= 2


def test_runs_without_an_end_are_cut() -> None:
    circles = Machine.parse("vocab a/0\nstart m\nmode m\n  on: n > 0 -> emit a, goto m\n")
    (run,) = trace_runs(circles, [["a"]], max_steps=20)
    assert run == trace_run(circles, ["a"], max_steps=20)
    assert (len(run.emitting_states), run.outputs) == (20, ("a",) * 20)
