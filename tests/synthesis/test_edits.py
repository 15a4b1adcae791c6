"""Faults of one rule are recovered as edits of it: what is passed over, left out, misread."""

from __future__ import annotations

import pytest

import recinterp as ri
from recinterp.splits import held_out
from recinterp.synthesis import Oracle, synthesize
from recinterp.synthesis.config import DEFAULTS
from recinterp.synthesis.edits.beam import search_edits
from recinterp.synthesis.search import query_oracle

pytestmark = pytest.mark.slow

FAULTS = {
    "passes a place over after a token": (
        "list-map", 5, "map_next-b",
        "own: in(p) = b and out(-1) in {a, c, d, $} -> emit c, p := p + 1, goto map_next",
        "over: in(p) = b and out(-1) = b -> emit c, p := p + 2, goto map_next",
    ),
    "passes every second place over": (
        "binary-predecessor", 9, "pred-X0-X1",
        "over: in(p) = X0 and in(p + 1) in {X0, X1} -> emit X1, p := p + 2, goto pred",
    ),
    "stands on a place": (
        "binary-predecessor", 9, "copy-X0-X1",
        "own: in(p) in {X0, X1} and t != 3 -> emit in(p), p := p + 1, goto copy",
        "stands: in(p) in {X0, X1} and t = 3 -> emit in(p), goto copy",
    ),
    "writes nothing before a token": (
        "binary-predecessor", 9, "pred-X1",
        "own: in(p) = X1 and in(p + 1) in {X0, 01, $} -> emit X0, p := p + 1, goto copy",
        "nothing: in(p) = X1 and in(p + 1) = X1 -> p := p + 1, goto copy",
    ),
    "reads beside the top of the stack": (
        "list-reverse", 5, "return-put",
        "own: top is put and out(-1) in {a, c, d, $} -> emit in(top), pop, goto return",
        "beside: top is put and out(-1) = b -> emit in(top + 1), pop, goto return",
    ),
    "ends where it should push": (
        "list-reverse", 5, "reverse-a",
        "own: in(p) in {a, b, c, d} and in(p + 1) in {b, c, d, $}"
        " -> p := p + 1, push put(p), goto reverse",
        "ends: in(p) in {a, b, c, d} and in(p + 1) = a -> halt",
    ),
    "passes a place over that it should push": (
        "list-reverse", 5, "reverse-a",
        "own: in(p) in {b, c, d} -> p := p + 1, push put(p), goto reverse",
        "over: in(p) = a -> p := p + 2, push put(p), goto reverse",
    ),
    "reads beside, far from the pointer": (
        "tree-preorder", 13, "preorder-Node",
        "beside: in(p) = Node -> emit in(p + 2), p := p + 2, push preorder(0), goto preorder",
    ),
    "goes elsewhere and writes nothing there": (
        "tree-mirror", 13, "return-mirror.2", "elsewhere: top is mirror.2 -> pop, goto skip",
    ),
}  # fmt: skip


def faulty(task: ri.Task, name: str, *rules: str) -> ri.Machine:
    """The true machine with other lines in place of one of its rules."""
    lines = str(task.machine).split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith(f"  {name}: "))
    lines[at : at + 1] = [f"  {rule}" for rule in rules]
    return ri.Machine.parse("\n".join(lines))


@pytest.mark.parametrize("name", FAULTS)
def test_fault_of_one_rule_is_recovered_exactly(name: str) -> None:
    function, longest, rule, *rules = FAULTS[name]
    task = ri.task(function)
    planted = faulty(task, rule, *rules)
    oracle = Oracle(lambda xs: [list(y) for y in planted.run_many(xs) if y is not None])
    found = synthesize(oracle, task, ri.Domain(max_length=longest)).chosen.machine
    inputs = [x for x in task.inputs(longest) if held_out(x)]
    assert planted.run_many(inputs) != task.apply_many(inputs)
    assert found.run_many(inputs) == planted.run_many(inputs)
    assert found.size <= planted.size + 4


def test_edited_machines_have_a_step_limit() -> None:
    """A loop that writes as it goes round fills the memory long before a million steps."""
    task = ri.task("list-reverse")
    inputs = [x for x in task.inputs(3) if not held_out(x)]
    dataset = query_oracle(Oracle(lambda xs: [x[:1] * 9 for x in xs]), task, inputs)
    found = search_edits(task.machine, dataset, DEFAULTS)
    max_steps = DEFAULTS.edits.max_steps
    assert any(edited.chain for edited in found)
    assert task.machine.limit > max_steps
    assert all(edited.machine.limit == max_steps for edited in found if edited.chain)
