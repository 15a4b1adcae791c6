"""Machines that find the step at which they continue: text, exports, and runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recinterp.errors import MachineError
from recinterp.machine import Machine
from recinterp.machine.continuation import Preference, continue_output, next_step
from recinterp.machine.execution.interpreter import machine_states
from recinterp.machine.formats.export import from_json, to_json, to_python
from recinterp.machine.transform.minimise import minimise_machine

TEXT = """vocab a b c d
start go
registers p := 0
limit 60
mode go
  step: in(p) in {a, b, c} -> emit in(p), p := p + 1, goto go
  twice: in(p) = d -> emit d d, p := p + 1, goto go
  stop: in(p) = $ -> halt
"""
MACHINE = Machine.parse(TEXT)
words = st.lists(st.sampled_from("abcd"), max_size=6)
continuations = st.lists(st.sampled_from(list(Preference)), max_size=3, unique=True).map(tuple)


@given(words, continuations)
def test_every_way_to_run_it_gives_the_same(word: list[str], continuation: tuple) -> None:
    machine = MACHINE.with_continuation(*continuation)
    scope: dict = {}
    exec(to_python(machine), scope)
    expected = machine.run(word)
    assert machine.run_many([word]) == [expected]
    assert scope["run"](word) == expected
    assert minimise_machine(machine).run(word) == expected
    if expected is not None:
        assert [s.out for s, _ in machine_states(machine, word)][0:1] in ([()], [])


@given(continuations)
def test_text_and_json_are_read_back(continuation: tuple) -> None:
    machine = MACHINE.with_continuation(*continuation)
    assert Machine.parse(str(machine)) == machine
    assert from_json(to_json(machine)) == machine
    assert Machine.parse(str(machine)).continuation == continuation


@given(st.lists(st.sampled_from("abc"), max_size=3, unique=True), continuations)
def test_all_continuations_agree_on_outputs_without_repeats(
    word: list, continuation: tuple
) -> None:
    assert MACHINE.with_continuation(*continuation).run(word) == word


@given(words.filter(lambda w: "d" not in w), continuations, st.integers(0, 9))
def test_an_output_is_cut_where_its_steps_would_go_on(
    own: list[str], continuation: tuple, limit: int
) -> None:
    """Cycles are copied without being run: the tokens are those of running them."""
    slow: list[str] = []
    while len(slow) < limit and (at := next_step(own, slow, continuation)) < len(own):
        slow.append(own[at])
    written, _ = continue_output(own, continuation, limit)
    assert written == slow


@pytest.mark.parametrize(
    ("continuation", "output"),
    [
        ((), "abac"),
        (("unwritten",), "abc"),
        (("after-last", "unwritten"), "abac"),
        (("after-last",), None),
    ],
)
def test_what_becomes_of_a_repeated_token(continuation: tuple, output: str | None) -> None:
    machine = MACHINE.with_continuation(*continuation)
    assert machine.run(list("abac")) == (None if output is None else list(output))
    if output is None:
        assert machine.known_prefix(list("abac"))[:6] == list("ababab")


def test_unknown_and_repeated_preferences_are_refused() -> None:
    with pytest.raises(MachineError, match=r"by 'content'.*use position, after-last, unwritten"):
        MACHINE.with_continuation("content")  # type: ignore[arg-type]
    with pytest.raises(MachineError, match="twice"):
        MACHINE.with_continuation(Preference.UNWRITTEN, Preference.UNWRITTEN)
