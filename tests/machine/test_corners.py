"""Corners in which a machine, transformed or written and parsed, has to stay the machine it was."""

from __future__ import annotations

import numpy as np
import pytest

import recinterp as ri
from recinterp.errors import MachineError, TaskError
from recinterp.machine import Machine
from recinterp.machine.formats.export import to_python
from recinterp.machine.transform.minimise import minimise_machine
from recinterp.machine.transform.reverse import reverse_machine
from recinterp.splits import held_out
from recinterp.synthesis.abstention import restrict_to_reliable_inputs
from recinterp.synthesis.config import DEFAULTS
from recinterp.synthesis.dataset import Dataset
from recinterp.synthesis.guard_trees.events import collect_control_states, single_token_machine
from recinterp.synthesis.guard_trees.split import grow_trees
from recinterp.synthesis.guard_trees.to_rules import build_tree_machine
from recinterp.synthesis.oracle import Oracle
from recinterp.synthesis.search import query_oracle

HEAD = "vocab a b\nstart m\nregisters p := 0\nmode m\n"
ENDS = "  x: in(p) = $ -> halt\n"
WORDS = [[], ["a"], ["b"], ["a", "b"], ["b", "a"], ["a", "a", "b"], ["b", "a", "b", "a"]]


@pytest.mark.parametrize(
    "rules",
    [
        "  e: in(p) in {a, b} and height = 0 -> emit in(p), p := p + 1, goto m\n" + ENDS,
        "  e: in(p) in {a, b} and top = -1 -> emit in(p), p := p + 1, goto m\n" + ENDS,
        "  e: -> emit a b, halt\n",
    ],
)
def test_reversed_machine_computes_reversed_words(rules: str) -> None:
    machine = Machine.parse(HEAD + rules)
    turned = reverse_machine(machine).run_many([x[::-1] for x in WORDS])
    assert [y[::-1] for y in turned if y] == [y for y in machine.run_many(WORDS) if y]
    assert any(turned)


def test_reversed_machine_has_enough_steps() -> None:
    machine = Machine.parse("vocab a b\nstart m\nlimit 1\nmode m\n  e: -> emit a b, halt\n")
    assert reverse_machine(machine).run(["a"]) == ["b", "a"]


@pytest.mark.parametrize("shown", [("+0", "+1"), ("copied", "-1"), (".", "'x"), ("top", "mode")])
def test_unusual_tokens_are_reversed_and_parse_back(shown: tuple[str, str]) -> None:
    task = ri.task("binary-successor")
    own = ri.Task.from_gallina(
        task.source, function="succ", tokens=dict(zip(("X0", "X1"), shown, strict=True))
    )
    turned = reverse_machine(own.machine)
    inputs = [list(x) for x in own.inputs(5)]
    given = turned.run_many([x[::-1] for x in inputs])
    assert [y and y[::-1] for y in given] == own.apply_many(inputs)
    assert Machine.parse(str(turned)) == turned


@pytest.mark.parametrize("name", ["flush", "admit", "copied"])
def test_function_may_share_a_reserved_mode_name(name: str) -> None:
    task = ri.task("binary-successor")
    own = ri.Task.from_gallina(task.source.replace("succ", name), function=name, order="reverse")
    inputs = [list(x) for x in own.inputs(6)]
    assert own.machine.run_many(inputs) == own.apply_many(inputs)
    oracle = Oracle(lambda xs: [["01"] if len(x) > 4 else own.apply(x) for x in xs])
    dataset = query_oracle(oracle, own, [x for x in inputs if not held_out(x)])
    restricted = restrict_to_reliable_inputs(own.machine, dataset, DEFAULTS)
    assert restricted.run(inputs[0]) == own.apply(inputs[0])


def test_end_marker_is_refused_as_token() -> None:
    task = ri.task("binary-successor")
    with pytest.raises(TaskError, match="taken"):
        ri.Task.from_gallina(task.source, function="succ", tokens={"X0": "$"})
    with pytest.raises(MachineError, match="vocab"):
        Machine.parse("vocab a $\nstart m\nmode m\n  e: -> halt\n")
    machine = Machine.parse(HEAD + "  e: in(p) = $ -> emit a, halt\n")
    assert machine.run(["$"]) is None
    assert machine.run_many([["$"], []]) == [None, ["a"]]


def test_parser_skips_comment_lines() -> None:
    text = "# a machine\nvocab a b\n# its start\nstart m\nmode m\n  # one rule\n  e: -> halt\n"
    assert Machine.parse(text).run(["a"]) == []


@pytest.mark.parametrize("line", ["domain in(q) = a", "registers p := 0, q := p"])
def test_registers_without_value_are_refused(line: str) -> None:
    with pytest.raises(MachineError, match="no value yet"):
        Machine.parse(f"vocab a b\nstart m\n{line}\nmode m\n  e: -> halt\n")


def test_difference_on_empty_input_is_found() -> None:
    one = Machine.parse(HEAD + "  e: -> emit a, halt\n")
    other = Machine.parse(HEAD + "  e: n = 0 -> emit b, halt\n  f: n > 0 -> emit a, halt\n")
    assert "no difference" not in str(ri.diff(one, other, domain=ri.Domain(max_length=1)))


def test_output_reads_see_the_old_output() -> None:
    machine = Machine.parse(
        HEAD + "  e: n > 2 -> emit a in(t) in(t + 1), halt\n  f: n <= 2 -> halt\n"
    )
    assert single_token_machine(machine).run_many(WORDS) == machine.run_many(WORDS)
    outputs = [y or [] for y in machine.run_many(WORDS)]
    dataset = Dataset(WORDS, outputs, machine.vocab)
    base = single_token_machine(machine)
    weight = np.ones(len(dataset.inputs), dtype=np.float32)
    seen = collect_control_states(base, dataset, weight, DEFAULTS)
    apart = np.zeros(len(dataset.inputs), dtype=bool)
    roots = grow_trees([s.data for s in seen], apart, 0, DEFAULTS.trees)
    assert build_tree_machine(base, seen, roots).run_many(WORDS) == machine.run_many(WORDS)


def test_position_read_twice_holds_one_token() -> None:
    text = HEAD + (
        "  e: in(0) in {a, b} and in(0) in {b} -> emit b, goto k\n"
        "  f: in(0) in {a, $} -> emit a, goto l\n"
        "mode k\n  g: in(p) in {a, b} and in(p) = a -> emit a, halt\n"
        "mode l\n  h: in(p) in {a, b} and in(p) = b -> emit a, halt\n"
    )
    machine = Machine.parse(text)
    assert minimise_machine(machine).run_many(WORDS) == machine.run_many(WORDS)


def test_python_export_renames_clashing_registers() -> None:
    text = (
        "vocab a b\nstart m\nregisters range := 0, p' := 1, p_prime := 2\nmode m\n"
        "  e: in(range) = a and p' = 1 and p_prime = 2 -> emit b, halt\n"
    )
    machine, scope = Machine.parse(text), dict[str, object]()
    exec(to_python(machine), scope)
    assert scope["run"](["a"]) == machine.run(["a"]) == ["b"]  # type: ignore[operator]


def test_frames_used_in_different_modes_are_not_merged() -> None:
    machine = Machine.parse(
        "vocab a b\nstart m\nframes F G\nmode m\n"
        "  x: in(0) = a -> push F(0), goto k\n  y: in(0) = b -> push G(0), goto k\n"
        "mode k\n  f: top is F -> emit a, goto q\n"
        "mode q\n  g: top is F -> pop, emit b, halt\n  h: top is G -> pop, emit b, halt\n"
    )
    assert minimise_machine(machine).run_many(WORDS) == machine.run_many(WORDS)
