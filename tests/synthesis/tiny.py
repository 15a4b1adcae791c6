"""Hand-written machines of a few rules, and datasets of every short input, for unit tests."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from recinterp.machine import Machine
from recinterp.synthesis.dataset import Dataset, Outcome

Tokens = list[str]
INPUTS = [list(x) for n in range(5) for x in product("ab", repeat=n)]

COPY = Machine.parse("""
vocab a b
start m
registers p := 0
mode m
  copy: in(p) in {a, b} -> emit in(p), p := p + 1, goto m
  end: in(p) = $ -> halt
""")

BY_TOKEN = Machine.parse("""
vocab a b
start m
registers p := 0
mode m
  one: in(p) = a -> emit a, p := p + 1, goto m
  two: in(p) = b -> emit b, p := p + 1, goto m
  end: in(p) = $ -> halt
""")

REVERSE = Machine.parse("""
vocab a b
start read
registers p := 0
frames put
mode read
  turn: in(p) = $ -> goto write
  push: in(p) in {a, b} -> p := p + 1, push put(p), goto read
mode write
  pop: top is put -> emit in(top), pop, goto write
  done: stack is empty -> halt
""")


def observe(machine: Machine, model: Callable[[Tokens], Tokens]) -> Dataset:
    """A model's outputs on all inputs of at most four tokens; the machine is the ground truth."""
    outputs = [model(x) for x in INPUTS]
    failed = [y != z for y, z in zip(outputs, machine.run_many(INPUTS), strict=True)]
    return Dataset(INPUTS, outputs, machine.vocab, machine.arity, np.array(failed))


def run(machine: Machine, model: Callable[[Tokens], Tokens]) -> Outcome:
    """The machine's runs with their events, beside a model's outputs."""
    return observe(machine, model).run(machine, record=True)


def writes_a_from(index: int) -> Callable[[Tokens], Tokens]:
    """Copies its input, but writes `a` from an output index on."""
    return lambda x: [*x[:index], *("a" for _ in x[index:])]
