"""Programs as textbooks write them (textbook/*.v): coqc's normal forms and steps, and a machine.

What has no machine with one stack of pointers is listed, so that neither more nor fewer are.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from recinterp.errors import NotDerivableError
from recinterp.semantics.elaborate import Elaborator
from recinterp.semantics.pretty import show_term
from recinterp.semantics.trace import ReductionTrace
from recinterp.tasks import Task
from tests.machine.inputs import Inputs
from tests.semantics import coqc
from tests.semantics.coqc import STRATEGIES, normal_form, step_sentences

pytestmark = pytest.mark.slow

FILES = sorted((Path(__file__).parent / "textbook").glob("*.v"))
NAMES = [f.stem for f in FILES]
BY_NAME = dict(zip(NAMES, FILES, strict=True))
PARTS = 6

# Functions that need more than one stack of pointers: in both orders, or in one.
NEITHER = """
    ackermann_like: fib2 iter_double; aexp: aeval beval; cpdt_exp: expDenote progDenote;
    lambda_db: shift step subst; listlib: seq split; mutual_rose: tree_size forest_size;
    natlib: div divmod log2 log2_iter modulo sqrt sqrt_iter; options: all; patterns: balance;
    positive: mul size sub_mask sub_mask_carry; queue: pop; regex_like: matches;
    sf_bin: nat_to_bin normalize; sinstr: s_execute; sorting: sort; sums: partition
"""
NATURAL_ONLY_FAILS = """
    aexp: optimize_0plus; cpdt_exp: instrDenote; cpdt_trees: nsplice; regex_like: derive;
    search_tree: insert; sorting: merge_fuel
"""
SLOW = {("positive", "mul"), ("lambda_db", "shift"), ("sf_bin", "bin_to_nat")}


def listed(text: str) -> set[tuple[str, str]]:
    """(file, function) pairs of a table above."""
    rows = [row.split(":") for row in text.split(";")]
    return {(file.strip(), name) for file, names in rows for name in names.split()}


@cache
def functions(name: str) -> tuple[str, ...]:
    """The functions of a file that take an argument."""
    program = Elaborator(BY_NAME[name].read_text(encoding="utf-8")).program
    return tuple(f.name for f in program.functions if f.params)


def task_of(name: str, function: str, order: str = "natural") -> Task:
    return Task.from_gallina(BY_NAME[name], function, order)


def sentences(name: str) -> list[str]:
    """The file, two normal forms of each function, and the steps of a run of each."""
    found = [BY_NAME[name].read_text(encoding="utf-8")]
    for k, function in enumerate(functions(name)):
        t = task_of(name, function)
        for i, tokens in enumerate(t.sample(2, seed=1, max_length=5)):
            arguments = t.decode(tokens)
            trace = ReductionTrace(t.program, function, arguments, STRATEGIES[k % 2])
            call = show_term(trace.start_term, t.program, exact=True)
            found.append(coqc.same("cbv", call, normal_form(t.program, function, arguments)))
            found += step_sentences(trace, 15) if i == 0 else []
    return coqc.module(f"T_{name}", found)


@pytest.mark.coqc
@pytest.mark.skipif(coqc.COQC is None, reason=coqc.ABSENT)
@pytest.mark.parametrize("part", range(PARTS))
def test_coqc_takes_every_step_of_textbook_functions(part: int, tmp_path: Path) -> None:
    assert coqc.run([s for name in NAMES[part::PARTS] for s in sentences(name)], tmp_path) is None


def without(order: str) -> set[tuple[str, str]]:
    return listed(NEITHER) | (listed(NATURAL_ONLY_FAILS) if order == "natural" else set())


@pytest.mark.parametrize("name", NAMES)
def test_textbook_machines_compute_their_functions(name: str) -> None:
    agree(name, "natural")


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_textbook_machines_in_reverse_order(name: str) -> None:
    agree(name, "reverse")


def agree(name: str, order: str) -> None:
    for function in functions(name):
        if (name, function) in without(order) | SLOW:
            continue
        t = task_of(name, function, order)
        made = Inputs(t)
        inputs = made.every(5, 100) + made.random(20, 5)
        assert t.machine.run_many(inputs) == t.apply_many(inputs), function


@pytest.mark.long
@pytest.mark.parametrize("order", ["natural", "reverse"])
def test_functions_beyond_one_stack_are_refused(order: str) -> None:
    for name, function in without(order) - SLOW:
        with pytest.raises(NotDerivableError, match=function):
            task_of(name, function, order).machine


# Of these, what has none up to a length either: two places are wanted at once, or results grow.
NEVER = """
    aexp: optimize_0plus; cpdt_exp: instrDenote; cpdt_trees: nsplice; lambda_db: step subst;
    patterns: balance; regex_like: derive matches; sf_bin: normalize; sorting: merge_fuel
"""


@pytest.mark.long
def test_refused_functions_have_machines_up_to_a_length() -> None:
    for name, function in without("natural") - SLOW:
        t = task_of(name, function).within(6)
        inputs = list(t.inputs(6))
        try:
            assert t.machine.run_many(inputs) == t.apply_many(inputs), function
        except NotDerivableError:
            assert (name, function) in listed(NEVER)


def test_listed_textbook_functions_exist() -> None:
    there = {(name, function) for name in NAMES for function in functions(name)}
    assert listed(NEITHER) | listed(NATURAL_ONLY_FAILS) | SLOW <= there
    assert len(there) >= 150
