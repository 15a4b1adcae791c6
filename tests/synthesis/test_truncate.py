"""Truncation: the first tokens of every output, and no others."""

from __future__ import annotations

import pytest

from recinterp.machine import Machine
from recinterp.synthesis.edits.truncate import added_rules, truncate_outputs
from tests.synthesis.tiny import COPY, INPUTS, REVERSE

TWICE = Machine.parse("""
vocab a b
start m
registers p := 0
mode m
  twice: in(p) in {a, b} -> emit in(p) in(p), p := p + 1, goto m
  end: in(p) = $ -> emit a b a, halt
""")


@pytest.mark.parametrize("machine", [COPY, TWICE, REVERSE], ids=["copy", "twice", "reverse"])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 7])
def test_outputs_are_the_first_tokens(machine: Machine, length: int) -> None:
    outputs = machine.run_many(INPUTS)
    expected = [None if y is None else y[:length] for y in outputs]
    assert truncate_outputs(machine, length).run_many(INPUTS) == expected


def test_added_rules_are_one_for_each_state_and_each_shortened_word() -> None:
    truncated = truncate_outputs(TWICE, 3)
    assert added_rules(truncated) == ("twice-cut1", "end-cut1", "end-cut2", "cut-m")
    assert added_rules(TWICE) == ()
