"""The small steps, and the compiled path that is held equal to them."""

from __future__ import annotations

from functools import cache

import pytest

from recinterp.errors import SourceError, UnknownNameError
from recinterp.semantics.elaborate import Elaborator
from recinterp.semantics.evaluate import compile_program, evaluate_on_stack
from recinterp.semantics.recursion_depth import own_functions
from recinterp.semantics.terms import symbols_of, value_of
from recinterp.semantics.trace import ReductionTrace, value_term
from recinterp.tasks import Task, task
from tests.semantics.generate import Generated, program

SEEDS = range(60)
MANY_STEPS = 3_000


@cache
def generated(seed: int) -> tuple[Generated, Elaborator] | None:
    g = program(seed)
    assert g is not None
    try:
        return g, Elaborator(g.source)
    except SourceError:
        return None


def test_successor_reduces_step_by_step() -> None:
    """succ (X1 One): δ once, then ι-fix, β and ι-match for each level."""
    trace = task("binary-successor").trace(["X1", "01"])
    assert [(s.rule, s.name) for s in trace] == [
        ("δ", "succ"),
        ("ι-fix", "succ"),
        ("β", "n"),
        ("ι-match", "X1"),
        ("ι-fix", "succ"),
        ("β", "n"),
        ("ι-match", "One"),
    ]
    texts = [s.text for s in trace]
    assert texts[0] == "succ (X1 One)"
    assert texts[3] == "X0 (succ One)"
    assert texts[-1] == "X0 (X0 One)"
    assert str(trace.result) == "X0 (X0 One)"


def test_cbv_reduces_arguments_before_outermost_does() -> None:
    t = task("tree-inorder")
    tokens = ["Node", "a", "Leaf", "Node", "b", "Leaf", "Leaf"]
    eager = [(s.rule, s.name) for s in t.trace(tokens)]
    lazy = [(s.rule, s.name) for s in t.trace(tokens, "outermost")]
    assert ("δ", "append") in eager
    # Outermost unfolds append before both of its arguments are values; cbv never does.
    assert lazy.index(("δ", "append")) < eager.index(("δ", "append"))


def test_a_fix_waits_for_a_constructor() -> None:
    """ι-fix never fires before the structural argument shows its constructor."""
    t = task("tree-inorder")
    for strategy in ("cbv", "outermost"):
        before = ""
        for rule, name, after in t.trace(["Node", "a", "Leaf", "Leaf"], strategy).exact_steps():
            if rule == "ι-fix" and name == "append":
                assert ":= match l with | @nil _ => m | @cons" in before
                assert "end) ((fix" not in before
            before = after


@pytest.mark.parametrize("seed", SEEDS)
def test_evaluators_and_strategies_agree(seed: int) -> None:
    found = generated(seed)
    if found is None:
        pytest.skip("the generator made a program outside the subset")
    g, read = found
    own = own_functions(read.program, g.function)
    compiled = compile_program(read.program, own)
    for texts in g.arguments:
        params = read.program.function(g.function).params
        arguments = []
        for text, param in zip(texts, params, strict=True):
            term = value_term(read.elaborate_term(text, param.type)[0], param.type, read.program)
            assert term is not None
            arguments.append(term)
        values = [value_of(a) for a in arguments]
        value = compiled.run_function(g.function, values)
        again, nesting = evaluate_on_stack(read.program, g.function, values, own)
        assert again == value
        assert nesting - 1 == compiled.measure_depth(g.function, values)
        for strategy in ("cbv", "outermost"):
            trace = ReductionTrace(read.program, g.function, tuple(arguments), strategy)
            if len(symbols_of(value, read.program)) < MANY_STEPS:
                assert trace.result.symbols == symbols_of(value, read.program)


@pytest.mark.slow
def test_evaluates_recursion_a_hundred_thousand_deep() -> None:
    n = 100_000
    for order in ("natural", "reverse"):
        t = task("binary-successor", order=order)
        tokens = ["X1"] * n + ["01"]
        out = ["X0"] * (n + 1) + ["01"]
        if order == "reverse":
            tokens, out = tokens[::-1], out[::-1]
        assert t.apply(tokens) == out
        assert t.depth(tokens) == n
        (term,) = t.decode(tokens)
        assert t.encode(term) == tokens
        assert t.term(str(term)) == term


def test_step_cost_does_not_grow_with_depth() -> None:
    trace = task("binary-successor").trace(["X1"] * 5_000 + ["01"])
    assert trace.rule_counts == {"δ": 1, "ι-fix": 5_001, "β": 5_001, "ι-match": 5_001}


@pytest.mark.slow
def test_evaluates_deep_trees_and_lists() -> None:
    t = task("tree-inorder")
    tokens = ["Node", "a", "Leaf"] * 5_000 + ["Leaf"]
    assert t.apply(tokens) == ["a"] * 5_000
    assert t.depth(tokens) == 5_000
    reverse = task("list-reverse")
    assert reverse.apply(["a", "b"] * 30_000) == ["b", "a"] * 30_000


def test_depth_counts_own_recursion_only() -> None:
    """A left spine of 3 nodes: inorder nests 4 unfoldings; append's own do not count."""
    tokens = ["Node", "a", "Node", "b", "Node", "c", "Leaf", "Leaf", "Leaf", "Leaf"]
    assert task("tree-inorder").depth(tokens) == 3
    assert task("list-reverse").depth(["a", "b", "c"]) == 3  # reverse_onto, which reverse applies
    assert task("binary-successor").depth(["X1", "X1", "X0", "01"]) == 2
    assert task("ring-arithmetic").depth(["Num", "Two"]) == 0


def test_lets_take_zeta_and_definitions_delta_and_beta_steps() -> None:
    t = Task.from_gallina(
        "Inductive b := T | F.\nDefinition f (x y : b) : b := let z := x in if z then y else z.",
        "f",
    )
    rules = [s.rule for s in t.trace(["F", ",", "T"])]
    assert rules == ["δ", "β", "β", "ζ", "ι-match"]


def test_mutual_recursion_unfolds_to_one_fix() -> None:
    source = (
        "Fixpoint even (n : nat) : bool := match n with O => true | S m => odd m end\n"
        "with odd (n : nat) : bool := match n with O => false | S m => even m end."
    )
    t = Task.from_gallina(source, "even")
    steps = list(t.trace(["S", "S", "O"]).exact_steps())
    assert steps[1][2].endswith("for even) (S (S O))")
    assert [s.name for s in t.trace(["S", "S", "O"]) if s.rule == "ι-fix"] == [
        "even",
        "odd",
        "even",
    ]


def test_trace_exports_html_and_json() -> None:
    trace = task("binary-successor").trace(["X1", "01"])
    assert trace.to_html().count("<tr>") == 8
    assert "http" not in trace.to_html()
    data = trace.to_json()
    assert data["result"] == "X0 (X0 One)"
    assert data["steps"][0] == {"index": 1, "rule": "δ", "name": "succ", "text": "succ (X1 One)"}


@pytest.mark.slow
def test_long_traces_omit_their_middle() -> None:
    lines = str(task("binary-successor").trace(["X1"] * 300 + ["01"])).splitlines()
    assert len(lines) == 402
    assert "steps are not shown" in lines[201]


def test_unknown_strategy_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="outermost"):
        list(task("binary-successor").trace(["01"], "outer"))


def test_runs_nesting_too_deep_for_python() -> None:
    """A hundred matches inside one another: Python's own compiler gives up, the interpreter does
    not.
    """
    levels = 60
    body = "O"
    for i in range(levels):
        body = f"match n{levels - i - 1} with O => O | S n{levels - i} => S ({body}) end"
    t = Task.from_gallina(f"Definition f (n0 : nat) : nat := {body}.", "f")
    assert t.apply(["S"] * 70 + ["O"]) == ["S"] * levels + ["O"]
