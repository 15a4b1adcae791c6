"""Machines written by hand, as a user writes a hypothesis: parsed, run, printed, exported."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from recinterp.machine import Machine
from recinterp.machine.execution.interpreter import machine_states, run_machine
from recinterp.machine.formats.export import to_json, to_python
from recinterp.tasks import task
from recinterp.view import draw
from tests.machine.inputs import Inputs

CAPPED = """
vocab X0/1 X1/1 01/0
start c0
registers p := 0
mode c0
  flip: in(p) = X1 -> emit X0, p := p + 1, goto c1
  stop: in(p) = X0 -> emit X1, p := p + 1, goto copy
  base: in(p) = 01 -> emit X0 01, halt
mode c1
  flip: in(p) = X1 -> emit X0, p := p + 1, goto c2
  stop: in(p) = X0 -> emit X1, p := p + 1, goto copy
  base: in(p) = 01 -> emit X0 01, halt
mode c2
  flip: in(p) = X1 -> emit X0, p := p + 1, goto c3
  stop: in(p) = X0 -> emit X1, p := p + 1, goto copy
  base: in(p) = 01 -> emit X0 01, halt
mode c3
  forget: in(p) = X1 -> emit X1, p := p + 1, goto copy    # beyond three the carry is lost
  stop: in(p) = X0 -> emit X1, p := p + 1, goto copy
  base: in(p) = 01 -> emit X0 01, halt
mode copy
  last: in(p) = 01 -> emit in(p), halt
  same: in(p) in {X0, X1} -> emit in(p), p := p + 1, goto copy
"""
COUNTED = """
vocab X0/1 X1/1 01/0
start carry
registers p := 0, c := 0
mode carry
  flip: in(p) = X1 and c < 3 -> emit X0, p := p + 1, c := c + 1, goto carry
  forget: in(p) = X1 and c >= 3 -> emit X1, p := p + 1, goto copy
  stop: in(p) = X0 -> emit X1, p := p + 1, goto copy
  base: in(p) = 01 -> emit X0 01, halt
mode copy
  last: in(p) = 01 -> emit in(p), halt
  same: in(p) in {X0, X1} -> emit in(p), p := p + 1, goto copy
"""
REVERSE = """
vocab X0/1 X1/1 01/0
start first
registers p := 0
mode first
  grow: in(p) = 01 and find(p + 1, +1, {X1}) = n -> emit 01 X0, p := p + 1, goto rest
  keep: in(p) = 01 and find(p + 1, +1, {X1}) < n -> emit 01, p := p + 1, goto rest
mode rest
  end: in(p) = $ -> halt
  flip: in(p) = X1 and find(p + 1, +1, {X1}) = n -> emit X0, p := p + 1, goto rest
  stop: in(p) = X0 and find(p + 1, +1, {X1}) = n -> emit X1, p := p + 1, goto rest
  same: in(p) in {X0, X1} and find(p + 1, +1, {X1}) < n -> emit in(p), p := p + 1, goto rest
"""
INORDER = """
vocab Leaf/0 Node/3 a/0 b/0 c/0 d/0 e/0 f/0 g/0 h/0
start walk
registers p := 0
frames then
domain span(0) = n
mode walk
  down: in(p) = Node -> push then(p + 1), p := p + 2, goto walk  @"ι inorder Node"
  up: in(p) = Leaf and top is then -> emit in(top), pop, p := p + 1, goto walk
  done: in(p) = Leaf and stack is empty -> halt
"""
CUT = """
vocab Leaf/0 Node/3 a/0 b/0 c/0 d/0 e/0 f/0 g/0 h/0
start walk
registers p := 0
frames then
mode walk
  down: in(p) = Node and height < 3 -> push then(p + 1), p := p + 2, goto walk
  over: in(p) = Node and height >= 3 -> lost wrong, goto walk
  up: in(p) = Leaf and top is then -> emit in(top), pop, p := p + 1, goto walk
  done: in(p) = Leaf and stack is empty -> halt
"""
ALL = {"capped": CAPPED, "counted": COUNTED, "reverse": REVERSE, "inorder": INORDER, "cut": CUT}


def short(name: str, order: str = "natural", size: int = 7) -> list[list[str]]:
    return Inputs(task(name, order)).every(size, 2_000)


def test_capped_successor_is_right_up_to_depth_three() -> None:
    machine, t = Machine.parse(CAPPED), task("binary-successor")
    assert machine.modes == ("c0", "c1", "c2", "c3", "copy")
    for word in short("binary-successor", size=9):
        assert (machine.run(word) == t.apply(word)) == (t.depth(word) <= 3), word
    assert machine.run(["X1", "X1", "X1", "X1", "01"]) == ["X0", "X0", "X0", "X1", "01"]


def test_saturating_counter_computes_capped_successor() -> None:
    words = short("binary-successor", size=9)
    assert Machine.parse(COUNTED).run_many(words) == Machine.parse(CAPPED).run_many(words)


def test_lookahead_successor_equals_derived_machine() -> None:
    t = task("binary-successor", "reverse")
    words = short("binary-successor", "reverse", 9)
    machine = Machine.parse(REVERSE)
    assert machine.pointer_class == "search"
    assert machine.run_many(words) == t.apply_many(words) == t.machine.run_many(words)


def test_inorder_with_stack_equals_derived_machine() -> None:
    t, words = task("tree-inorder"), short("tree-inorder")
    machine = Machine.parse(INORDER)
    assert machine.pointer_class == "local"
    assert machine.run_many(words) == t.apply_many(words) == t.machine.run_many(words)


def test_lost_machine_claims_its_prefix() -> None:
    machine = Machine.parse(CUT)
    deep = [
        "Node",
        "a",
        "Node",
        "b",
        "Node",
        "c",
        "Node",
        "d",
        "Leaf",
        "Leaf",
        "Leaf",
        "Leaf",
        "Leaf",
    ]
    assert machine.run(deep) is None
    assert run_machine(machine, deep).status == "lost wrong"
    late = [
        "Node",
        "a",
        "Leaf",
        "Node",
        "b",
        "Node",
        "c",
        "Node",
        "d",
        "Node",
        "e",
        "Leaf",
        "Leaf",
        "Leaf",
        "Leaf",
        "Leaf",
    ]
    assert machine.known_prefix(late) == ["a"]


def test_registers_can_be_forced_during_a_run() -> None:
    machine = Machine.parse(COUNTED)
    word = ["X1", "X1", "X1", "X1", "01"]
    assert machine.run(word, set={"c": 3}, at=1) == ["X0", "X1", "X1", "X1", "01"]
    assert machine.run(word, set={"mode": "copy"}, at=2) == ["X0", "X0", "X1", "X1", "01"]


def test_runs_yield_every_state() -> None:
    seen = [s for s, _ in machine_states(Machine.parse(INORDER), ["Node", "a", "Leaf", "Leaf"])]
    assert [s.rule.name for s in seen if s.rule] == ["down", "up", "done"]
    assert [s.stack for s in seen] == [(), (("then", 1),), ()]
    assert seen[0].rule is not None
    assert seen[0].rule.origin == "ι inorder Node"


@pytest.mark.parametrize("name", ALL)
def test_printed_machines_parse_back(name: str) -> None:
    machine = Machine.parse(ALL[name])
    assert Machine.parse(str(machine)) == machine


@pytest.mark.parametrize("write", [str, lambda m: str(to_json(m)), to_python, draw])
@pytest.mark.parametrize("name", ALL)
def test_exports_name_every_mode(name: str, write: Callable[[Machine], str]) -> None:
    machine = Machine.parse(ALL[name])
    text = write(machine)
    assert all(mode in text for mode in machine.modes)
