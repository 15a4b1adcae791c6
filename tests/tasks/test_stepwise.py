"""Step-wise tasks: the same steps as the reducer takes, leftmost-outermost."""

from __future__ import annotations

from pathlib import Path

import pytest

from recinterp.errors import TaskError
from recinterp.semantics.ast import Call
from recinterp.semantics.pretty import show_term
from recinterp.semantics.reduce import StepReducer
from recinterp.semantics.trace import term_expression
from recinterp.tasks import Task, task, tasks
from tests.machine.inputs import Inputs
from tests.semantics import coqc


def test_stepwise_takes_one_and_two_steps() -> None:
    t = task("binary-successor")
    assert t.stepwise(1).apply(["succ", "X1", "01"]) == ["X0", "succ", "01"]
    assert t.stepwise(2).apply(["succ", "X1", "01"]) == ["X0", "X0", "01"]
    assert t.stepwise(1).apply(["X0", "X0", "01"]) == ["X0", "X0", "01"]
    assert "succ" in t.stepwise(1).constructors
    reverse = task("binary-successor", order="reverse").stepwise(1)
    assert reverse.apply(["01", "X1", "succ"]) == ["01", "succ", "X0"]


@pytest.mark.parametrize(
    "name", ["binary-successor", "peano-addition", "list-map", "tree-inorder", "tree-mirror"]
)
def test_stepwise_equals_the_reducer(name: str) -> None:
    """These functions match once, so that their calls are just what the reducer passes through."""
    t = task(name)
    step = t.stepwise(1)
    for tokens in t.sample(8, seed=4, max_length=9):
        call = Call(t.function, tuple(term_expression(a) for a in t.decode(tokens)))
        reducer = StepReducer(t.program, call, "outermost")
        start = show_term(call, t.program).replace("(nil)", "nil")
        here = step.encode(step.term(start))
        while (done := reducer.contract_next()) is not None:
            if done.rule == "ι-match":
                here = step.apply(here)
                assert str(step.decode(here)[0]) == show_term(reducer.whole_term(), t.program)
        assert step.apply(here) == here


@pytest.mark.slow
@pytest.mark.parametrize("name", tasks())
def test_enough_steps_reach_normal_form(name: str) -> None:
    t = task(name)
    step = t.stepwise(3)
    plain = Task.from_gallina(t.source, t.function, tokens=dict(t.shown), bare_lists=False)
    for tokens in plain.sample(4, seed=2, max_length=8):
        call = Call(t.function, tuple(term_expression(a) for a in plain.decode(tokens)))
        if t.function not in step.constructors:  # a definition that only calls another
            reducer = StepReducer(t.program, call, "outermost")
            reducer.contract_next(), reducer.contract_next()
            call = reducer.whole_term()  # type: ignore[assignment]
        here = step.encode(step.term(show_term(call, t.program)))
        for _ in range(200):
            here = step.apply(here)
        assert here == plain.apply(tokens)


ONE_STACK = [
    "binary-predecessor", "binary-successor", "list-map", "peano-doubling", "tree-mirror",
]  # fmt: skip
REVERSED = ["list-append", "list-reverse", "peano-addition", "ring-arithmetic", "tree-inorder"]
MACHINES = [
    *((name, "natural") for name in ONE_STACK),
    *(pytest.param(name, "reverse", marks=pytest.mark.slow) for name in ONE_STACK + REVERSED),
]


@pytest.mark.parametrize(("name", "order"), MACHINES)
def test_stepwise_machines_compute_the_step(name: str, order: str) -> None:
    """Where one stack of pointers suffices; elsewhere a step looks ahead beyond what is held."""
    step = task(name, order).stepwise(1)
    inputs = Inputs(step).every(5, 200) + Inputs(step).random(50, 12)
    assert step.machine.run_many(inputs) == step.apply_many(inputs)


def test_two_steps_are_derivable() -> None:
    step = task("binary-successor").stepwise(2)
    inputs = Inputs(step).every(7, 500)
    assert step.machine.run_many(inputs) == step.apply_many(inputs)


def test_stepwise_avoids_names_of_the_program() -> None:
    source = (
        "Inductive x := y | t (x0 : x) | step_x (n : x).\n"
        "Fixpoint yes (truth : x) : x :=\n"
        "  match truth with y => y | t n => step_x (yes n) | step_x n => n end."
    )
    step = Task.from_gallina(source, "yes").stepwise(1)
    assert step.apply(["yes", "t", "y"]) == ["step_x", "yes", "y"]


def test_zero_steps_are_refused() -> None:
    with pytest.raises(TaskError):
        task("binary-successor").stepwise(0)


@pytest.mark.coqc
@pytest.mark.skipif(coqc.COQC is None, reason=coqc.ABSENT)
@pytest.mark.parametrize("name", tasks())
def test_coqc_accepts_stepwise_programs(name: str, tmp_path: Path) -> None:
    assert coqc.run([task(name).stepwise(2).source], tmp_path) is None
