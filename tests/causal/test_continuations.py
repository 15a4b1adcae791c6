"""Which way of continuing is found, in networks whose weights say which it is."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from recinterp.causal.continuations import find_continuation
from recinterp.causal.continuations.candidates import eligible_continuations
from recinterp.causal.forced_prefixes import predict_next_token
from recinterp.causal.pairs import PairSampler
from recinterp.causal.results import ContinuationFinding
from recinterp.machine.continuation import Preference
from recinterp.models import Adapter
from recinterp.perturb.positions import build_batch
from recinterp.perturb.runner import next_tokens
from recinterp.synthesis.dataset import Dataset
from tests.causal.hand_set_copies import copy_network
from tests.causal.letters import Letters

pytestmark = pytest.mark.backend
WAYS = {
    "position": (),
    "content": (Preference.AFTER_LAST,),
    "exclusion": (Preference.UNWRITTEN,),
}
LENGTHS = (3, 4, 5)
CASES = [(kind, way, n) for kind in ("copy", "reverse") for way in WAYS for n in LENGTHS]


def dataset_of(task: Letters, outputs: list[list[str]], inputs: list[list[str]]) -> Dataset:
    failed = np.array([list(y) != task.apply(x) for x, y in zip(inputs, outputs, strict=True)])
    machine = task.machine
    return Dataset(inputs, outputs, machine.vocab, machine.arity, failed)


@cache
def found(kind: str, way: str, length: int) -> tuple[Adapter, Letters, ContinuationFinding]:
    task = Letters(kind, length)
    adapter = Adapter(copy_network(task, way), task)
    inputs = [list(x) for x in dict.fromkeys(map(tuple, task.sample(150, seed=1)))]
    outputs = [list(y) for y in adapter.generate(inputs)]
    sampler = PairSampler(task, task.machine, [tuple(x) for x in inputs], 0)
    data = dataset_of(task, outputs, inputs)
    return adapter, task, find_continuation(adapter, sampler, data)[0]


@pytest.mark.parametrize(("kind", "way", "length"), CASES)
def test_a_hand_set_network_continues_as_its_weights_say(kind: str, way: str, length: int) -> None:
    adapter, task, finding = found(kind, way, length)
    inputs = task.sample(60, seed=2)
    assert [list(y) for y in adapter.generate(inputs)] == [task.apply(x) for x in inputs]
    assert finding.decided
    assert finding.chosen[:1] == WAYS[way]
    assert finding.followed.value >= 0.85  # the rest: last tokens that are no input
    assert finding.telling_trials >= 30


@pytest.mark.parametrize(("kind", "way"), [(k, w) for k in ("copy", "reverse") for w in WAYS])
def test_the_chosen_machine_predicts_what_follows_a_forced_token(kind: str, way: str) -> None:
    adapter, task, finding = found(kind, way, 5)
    machine = task.machine.with_continuation(*finding.chosen)
    rows = [(tuple(x), (*task.apply(x)[:2], task.apply(x)[4])) for x in task.sample(60, seed=3)]
    written = next_tokens(adapter, task, build_batch(task, *zip(*rows, strict=True)))
    predicted = [predict_next_token(machine, x, y, (), finding.pulls) for x, y in rows]
    assert sum(a == b for a, b in zip(predicted, written, strict=True)) >= 57
    plain = [predict_next_token(task.machine, x, y) for x, y in rows]
    if way != "position":
        assert sum(a == b for a, b in zip(plain, written, strict=True)) <= 30


def test_heads_that_carry_the_continuation_are_named() -> None:
    names = {h.name for h in found("copy", "content", 5)[2].heads}
    assert names == {"L0H0", "L1H0"}
    assert {h.name for h in found("copy", "position", 5)[2].heads} == {"L1H0"}


def test_nothing_is_decided_where_the_model_writes_something_else() -> None:
    """A network that reverses is no evidence on how a machine that copies continues."""
    task = Letters("copy", 5)
    adapter = Adapter(copy_network(Letters("reverse", 5), "content"), task)
    inputs = task.sample(100, seed=1)
    sampler = PairSampler(task, task.machine, [tuple(x) for x in inputs], 0)
    data = dataset_of(task, [list(y) for y in adapter.generate(inputs)], inputs)
    finding, telling = find_continuation(adapter, sampler, data)
    assert not finding.decided
    assert not telling


def test_a_continuation_that_explains_fewer_outputs_is_not_considered() -> None:
    """Where outputs repeat a token, only the carried position copies them all."""
    machine = Letters("copy", 5).machine
    inputs = [list("aba"), list("cc"), list("abc")]
    repeats = Dataset(inputs, inputs, machine.vocab, machine.arity)
    assert eligible_continuations(machine, repeats) == ((),)
    dropped = Dataset(inputs, [["a", "b"], ["c"], list("abc")], machine.vocab, machine.arity)
    assert (Preference.UNWRITTEN,) in eligible_continuations(machine, dropped)
